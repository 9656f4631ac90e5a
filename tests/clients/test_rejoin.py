"""A primary that comes back with commits nobody else has keeps them as a salvage, goes back, and follows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.node_process import ROOT, MakeNode, NodeProcess, wait_until

FOLLOWED_S = 30.0
SMALL = ("--log-segment-mb", "1", "--log-retention-mb", "0", "--wal-checkpoint-mb", "1")


def standby_flags(upstream: NodeProcess) -> tuple[str, ...]:
    port = str(upstream.native_port)
    return ("--replication-role", "standby", "--primary-host", "127.0.0.1", "--primary-port", port)


def position(node: NodeProcess) -> tuple[str, str]:
    try:
        code, found = node.http("/status")
    except OSError:
        return "", "no answer"
    assert code == 200
    return found["committed_lsn"], found["database_checksum"]


def wait_equal(one: NodeProcess, other: NodeProcess) -> None:
    wait_until(lambda: position(one) == position(other), "both nodes are at the same position", FOLLOWED_S)


def pair(make_node: MakeNode, *flags: str) -> tuple[NodeProcess, NodeProcess]:
    first = make_node("--replication-role", "primary", "--node-id", "n1", *flags)
    second = make_node(*standby_flags(first), "--node-id", "n2", *flags)
    with first.connect() as writer:
        writer.execute("CREATE TABLE t (a int PRIMARY KEY, b text)")
        writer.execute("INSERT INTO t SELECT i, 'old ' || i FROM generate_series(1, 200) i")
        writer.execute("CREATE TABLE other (k text, n int, at timestamptz, raw bytea, PRIMARY KEY (n, k))")
        writer.execute(
            "INSERT INTO other SELECT 'k', i, '2026-01-02 03:04:05+00', '\\xff00' FROM generate_series(1, 9) i"
        )
    wait_equal(first, second)
    return first, second


def lose_commits(first: NodeProcess, second: NodeProcess, *statements: str) -> None:
    """Commits that the second node does not get; then the first dies and the second is promoted and goes on."""
    second.kill()
    with first.connect() as writer:
        for statement in statements:
            writer.execute(statement)
    first.kill()
    second.start()

    def promoted() -> bool:
        code, _ = second.http("/admin/promote", body={"allow_data_loss": True})
        return bool(code == 200)

    wait_until(promoted, "the second node is the primary", FOLLOWED_S)
    with second.connect() as writer:
        writer.execute("INSERT INTO t VALUES (1000, 'of the new primary')")
        writer.execute("UPDATE t SET b = 'new 7' WHERE a = 7")


LOST = (
    "INSERT INTO t VALUES (500, 'lost insert')",
    "UPDATE t SET b = 'lost update' WHERE a = 5",
    "UPDATE t SET b = 'lost update of seven' WHERE a = 7",
    "DELETE FROM t WHERE a = 9",
    "INSERT INTO other VALUES ('x', 77, '2026-05-06 07:08:09+00', '\\x0102')",
    "CREATE TABLE lost_table (a int PRIMARY KEY)",
)


def salvage_of(node: NodeProcess) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    (path,) = (node.data_dir / "salvage").iterdir()
    rows = [json.loads(line) for line in (path / "rows.jsonl").read_text().splitlines()]
    assert (path / "records.log").stat().st_size > 0
    return json.loads((path / "manifest.json").read_text()), rows


def by_key(rows: list[dict[str, Any]]) -> dict[tuple[str, str], str]:
    return {(row["table"], "-".join(row["key"].values())): row["op"] for row in rows}


EXPECTED = {
    ("t", "500"): "insert",
    ("t", "5"): "update",
    ("t", "7"): "update",
    ("t", "9"): "delete",
    ("other", "77-x"): "insert",
}


@pytest.mark.parametrize("flags", [(), SMALL], ids=["usual", "small"])
def test_what_was_lost_becomes_a_salvage_and_the_node_follows(make_node: MakeNode, flags: tuple[str, ...]) -> None:
    first, second = pair(make_node, *flags)
    lose_commits(first, second, *LOST)
    first.start(wait=False)
    wait_until(lambda: "salvage" in first.log_tail(200), "the lost commits are kept", FOLLOWED_S)
    wait_equal(first, second)
    manifest, rows = salvage_of(first)
    assert manifest["exact"]
    assert by_key(rows) == EXPECTED
    assert manifest["schema_changes"] == ["created table public.lost_table"]
    assert (manifest["inserts"], manifest["updates"], manifest["deletes"]) == (2, 2, 1)
    inserted = next(row for row in rows if row["key"].get("k") == "x")
    assert inserted["before"] is None
    assert inserted["after"] == {"k": "x", "n": "77", "at": "2026-05-06 07:08:09+00", "raw": "\\x0102"}
    with first.connect() as reader:
        assert reader.execute("SELECT b FROM t WHERE a IN (5, 7, 9, 500, 1000) ORDER BY a").fetchall() == [
            ("old 5",), ("new 7",), ("old 9",), ("of the new primary",),
        ]  # fmt: skip
    with second.connect() as writer:
        writer.execute("INSERT INTO t VALUES (1001, 'more')")
    wait_equal(first, second)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "helios_cli", "salvage", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_a_salvage_is_listed_shown_exported_and_put_back(make_node: MakeNode) -> None:
    first, second = pair(make_node)
    lose_commits(first, second, *LOST)
    first.start()
    wait_until(lambda: "kept as salvage" in first.log_tail(200), "the lost commits are kept", FOLLOWED_S)
    wait_equal(first, second)
    where = ("--data-dir", str(first.data_dir))
    (listed,) = json.loads(run("list", *where, "--json").stdout)["salvages"]
    name = listed["name"]
    assert (listed["inserts"], listed["updates"], listed["deletes"], listed["exact"]) == (2, 2, 1, True)
    shown = run("show", name, *where)
    assert "schema: created table public.lost_table" in shown.stdout
    assert "b: old 5 -> lost update" in shown.stdout
    exported = run("export", name, *where).stdout.splitlines()
    assert 'UPDATE "public"."t" SET "b" = \'lost update\' WHERE "a" = \'5\';' in exported
    assert 'DELETE FROM "public"."t" WHERE "a" = \'9\';' in exported
    lines = [json.loads(line) for line in run("export", name, *where, "--format", "jsonl").stdout.splitlines()]
    assert by_key(lines) == EXPECTED
    address = f"postgresql://postgres@127.0.0.1:{second.pg_port}/heliosdb"
    before = position(second)[1]
    tried = run("replay", name, address, *where, "--dry-run", "--json")
    assert tried.returncode == 6
    assert position(second)[1] == before, "a dry run changes nothing"
    done = run("replay", name, address, *where, "--json")
    assert done.returncode == 6
    for each, dry in ((tried, True), (done, False)):
        outcome = json.loads(each.stdout)
        assert (outcome["dry_run"], outcome["applied"], outcome["present"], outcome["conflict"]) == (dry, 4, 0, 1)
        assert outcome["conflicts"][0]["key"] == {"a": "7"}
        assert outcome["conflicts"][0]["reason"] == "the row has been changed since"
    again = json.loads(run("replay", name, address, *where, "--json").stdout)
    assert (again["applied"], again["present"], again["conflict"]) == (0, 4, 1)
    wait_equal(first, second)
    with first.connect() as reader:
        assert reader.execute("SELECT a, b FROM t WHERE a IN (5, 7, 9, 500) ORDER BY a").fetchall() == [
            (5, "lost update"), (7, "new 7"), (500, "lost insert"),
        ]  # fmt: skip
        assert reader.execute("SELECT count(*) FROM other WHERE n = 77").fetchone() == (1,)
    assert run("show", "nonsense", *where).returncode == 1


def test_without_the_state_at_the_fork_the_differing_pages_are_fetched(make_node: MakeNode) -> None:
    """The checkpoint lies beyond the fork, and the log is gone that would tell what the pages were before."""
    first, second = pair(make_node, *SMALL, "--max-slot-lag-mb", "1")
    pad = " || ".join(["md5(random()::text)"] * 16)
    with first.connect() as writer:
        writer.execute("CREATE TABLE wide (a int PRIMARY KEY, pad text)")
        for start in range(0, 4000, 100):
            writer.execute(f"INSERT INTO wide SELECT {start} + i, {pad} FROM generate_series(1, 100) i")
    wait_equal(first, second)
    more = [f"UPDATE wide SET pad = {pad} WHERE a BETWEEN {start} AND {start + 99}" for start in range(0, 4000, 100)]
    second.kill()
    with first.connect() as writer:
        for statement in (*more, *more):
            writer.execute(statement)
        writer.execute("INSERT INTO t VALUES (500, 'lost insert')")
        writer.execute("DELETE FROM t WHERE a = 9")
        writer.execute("CHECKPOINT")
    first.stop()
    second.start()
    assert second.http("/admin/promote", body={"allow_data_loss": True})[0] == 200
    with second.connect() as writer:
        writer.execute("UPDATE t SET b = 'new 7' WHERE a = 7")
    first.start(wait=False)
    wait_until(lambda: "checksum verified" in first.log_tail(200), "the pages are fetched", FOLLOWED_S)
    wait_equal(first, second)
    manifest, rows = salvage_of(first)
    assert not manifest["exact"] and not manifest["pending"]
    found = by_key(rows)
    assert found["t", "500"] == "insert"
    assert "delete" not in found.values()
    (name,) = (path.name for path in (first.data_dir / "salvage").iterdir())
    refused = run("replay", name, "--data-dir", str(first.data_dir))
    assert refused.returncode == 5
    assert "--uncertain" in refused.stderr


def test_where_nothing_was_lost_there_is_no_salvage(make_node: MakeNode) -> None:
    """The old primary began a term of its own before another was promoted, and wrote nothing in it."""
    first, second = pair(make_node)
    first.kill()
    second.kill()
    first.start()
    wait_until(lambda: first.http("/status")[1]["role"] == "primary", "it leads again", FOLLOWED_S)
    first.kill()
    second.start()
    assert second.http("/admin/promote", body={"allow_data_loss": True})[0] == 200
    first.start()
    wait_equal(first, second)
    assert "are back at" in first.log_tail(200)
    assert not (first.data_dir / "salvage").exists()


CRASH = """
import os
from helios_cli.engine.storage import rewind, salvage

if "{state}" == "parted at":
    finish = salvage.SalvageWriter.finish
    def crash(self, manifest):
        finish(self, manifest)
        os._exit(9)
    salvage.SalvageWriter.finish = crash
else:
    def crash(self, last):
        os._exit(9)
    rewind.Rewinder._scan = crash
"""
"""Ends the process when the salvage has its name and the control file does not know it yet; or when the log has been
cut and the database been replaced, and the control file still says that they are to be."""


@pytest.mark.parametrize("state", ["parted at", "rewinding to"])
def test_a_crash_on_the_way_back_is_survived(make_node: MakeNode, tmp_path: Path, state: str) -> None:
    first, second = pair(make_node)
    lose_commits(first, second, *LOST)
    (tmp_path / "sitecustomize.py").write_text(CRASH.format(state=state))
    first.environment_of_start["PYTHONPATH"] = f"{tmp_path}:{ROOT}"
    first.start(wait=False)
    assert first.wait(FOLLOWED_S) == 9
    assert state.encode() in (first.data_dir / "control" / "control").read_bytes()
    del first.environment_of_start["PYTHONPATH"]
    first.start()
    wait_equal(first, second)
    manifest, rows = salvage_of(first)
    assert manifest["exact"]
    assert by_key(rows) == EXPECTED
    assert not (first.data_dir / "db" / "helios.db.rewound").exists()
