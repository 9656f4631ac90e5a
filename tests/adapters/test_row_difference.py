"""What differs between two states of a database: every change of a random run of statements is found again."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.inner_node import InnerNode
from support.node_process import wait_until

from helios_cli.engine.storage import rowdiff

KEYS = range(40)


def copy_of(node: InnerNode, path: Path) -> Path:
    """The database as it is now."""
    future = node.on_loop(node.node.checkpointer.request)
    wait_until(future.done, "the checkpoint is over")
    assert node.node.checkpointer.complete
    shutil.copyfile(node.node.database.path, path)
    return path


def found(base: Path, tip: Path) -> list[rowdiff.Change]:
    before, after = rowdiff.open_still(str(base)), rowdiff.open_still(str(tip))
    try:
        return list(rowdiff.differences(before, after))
    finally:
        before.close()
        after.close()


@pytest.mark.parametrize("seed", range(3))
def test_every_change_is_found_and_no_other(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    with InnerNode(tmp_path) as node, node.connect() as client:
        client.execute("CREATE SCHEMA s; CREATE TABLE s.t (k text, n int, v text, PRIMARY KEY (n, k))")
        rows: dict[tuple[str, int], str | None] = {}

        def change() -> None:
            key = ("k" * rng.randrange(1, 3), rng.choice(KEYS))
            if key not in rows:
                rows[key] = rng.choice([None, "it's", "\u00e9"])
                client.execute("INSERT INTO s.t VALUES (%s, %s, %s)", (*key, rows[key]))
            elif rng.random() < 0.5:
                rows[key] = str(rng.random())
                client.execute("UPDATE s.t SET v = %s WHERE k = %s AND n = %s", (rows[key], *key))
            else:
                del rows[key]
                client.execute("DELETE FROM s.t WHERE k = %s AND n = %s", key)

        for _ in range(60):
            change()
        base, before = copy_of(node, tmp_path / "base.db"), dict(rows)
        for _ in range(60):
            change()
        tip = copy_of(node, tmp_path / "tip.db")
    expected = {key for key in before.keys() | rows.keys() if before.get(key, 0) != rows.get(key, 0)}
    changes = {(str(one.key["k"]), int(one.key["n"] or 0)): one for one in found(base, tip)}
    assert changes.keys() == expected
    for key, one in changes.items():
        assert (one.schema, one.table) == ("s", "t")
        assert value(one.before) == (before.get(key, "absent"))
        assert value(one.after) == (rows.get(key, "absent"))
        kinds = {(True, False): "delete", (False, True): "insert", (True, True): "update"}
        assert one.op == kinds[key in before, key in rows]


def value(row: dict[str, Any] | None) -> Any:
    return "absent" if row is None else row["v"]


def test_tables_without_a_key_and_tables_that_changed(tmp_path: Path) -> None:
    with InnerNode(tmp_path) as node, node.connect() as client:
        client.execute("CREATE TABLE plain (a int); INSERT INTO plain VALUES (1), (1), (2)")
        client.execute("CREATE TABLE gone (a int); CREATE TABLE wider (a int PRIMARY KEY)")
        client.execute("INSERT INTO wider VALUES (1), (2)")
        base = copy_of(node, tmp_path / "base.db")
        client.execute("DELETE FROM plain WHERE a = 2; INSERT INTO plain VALUES (1); DROP TABLE gone")
        client.execute("ALTER TABLE wider ADD COLUMN b bytea; INSERT INTO wider VALUES (3, '\\x00ff')")
        client.execute("CREATE TABLE fresh (at timestamptz); INSERT INTO fresh VALUES ('2026-01-02 03:04:05+01')")
        tip = copy_of(node, tmp_path / "tip.db")
    changes = [(one.op, one.table, one.before, one.after) for one in found(base, tip)]
    assert sorted(changes, key=str) == sorted(
        [
            ("insert", "plain", None, {"a": "1"}),
            ("delete", "plain", {"a": "2"}, None),
            ("insert", "wider", None, {"a": "3", "b": "\\x00ff"}),
            ("insert", "fresh", None, {"at": "2026-01-02 02:04:05+00"}),
        ],
        key=str,
    )
    before, after = rowdiff.open_still(str(base)), rowdiff.open_still(str(tip))
    assert sorted(rowdiff.schema_changes(before, after)) == [
        "altered table public.wider", "created table public.fresh", "dropped table public.gone",
    ]  # fmt: skip
