"""A primary that comes back with commits nobody else has keeps them as a salvage, goes back to the fork, and follows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.node_process import MakeNode, NodeProcess, wait_until

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
            writer.execute(statement)  # type: ignore[arg-type]
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
