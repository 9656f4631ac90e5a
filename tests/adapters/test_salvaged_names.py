"""Named writes that were lost: whose rows they were is known, and what was done again since is not put back."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.inner_node import InnerNode
from support.node_process import wait_until

from helios_cli.engine.net.pgclient import PgClient, Target
from helios_cli.engine.storage import rowdiff, salvage, write_ids
from helios_cli.engine.storage.rowdiff import Change
from helios_cli.engine.storage.write_ids import LostWrite
from helios_cli.replication.salvage_replay import Outcome, replay

Client = psycopg.Connection[tuple[Any, ...]]
SCHEMA = "CREATE TABLE t (a serial PRIMARY KEY, b text UNIQUE, c text); INSERT INTO t (b) VALUES ('old'), ('older')"


def copy_of(node: InnerNode, path: Path) -> Path:
    """The database as it is now."""
    future = node.on_loop(node.node.checkpointer.request)
    wait_until(future.done, "the checkpoint is over")
    shutil.copyfile(node.node.database.path, path)
    return path


def name(number: int) -> str:
    return f"{uuid.UUID(int=1)}:{number}"


def write(client: Client, number: int, sql: str) -> str | None:
    client.execute(f"SET helios.write_id = '{name(number)}'")
    return client.execute(sql).statusmessage


@contextmanager
def wire(node: InnerNode) -> Iterator[PgClient]:
    with PgClient(Target(port=node.port, user="postgres")) as client:
        yield client


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[InnerNode]:
    """What went on without the lost writes, from the same state."""
    with InnerNode(tmp_path / "cluster") as node:
        with node.connect() as client:
            client.execute(SCHEMA)
        yield node


@pytest.fixture
def lost(tmp_path: Path) -> tuple[list[LostWrite], list[Change]]:
    """Named writes 1 to 5 and one without a name, as a salvage keeps them."""
    with InnerNode(tmp_path / "lost") as node, node.connect() as client:
        client.execute(SCHEMA)
        write(client, 0, "UPDATE t SET c = 'before the fork'")
        base = copy_of(node, tmp_path / "base.db")
        write(client, 1, "INSERT INTO t (b) VALUES ('one') RETURNING a")
        write(client, 2, "INSERT INTO t (b) VALUES ('two')")
        write(client, 3, "UPDATE t SET c = 'three' WHERE b = 'old'")
        client.execute("INSERT INTO t (b) VALUES ('unnamed')")
        write(client, 4, "INSERT INTO t (b) SELECT 'many ' || g FROM generate_series(1, 40) g")
        write(client, 5, "UPDATE t SET c = 'five' WHERE b IN ('one', 'two')")
        tip = copy_of(node, tmp_path / "tip.db")
    before, after = rowdiff.open_still(str(base)), rowdiff.open_still(str(tip))
    try:
        writes = write_ids.lost(before, after)
        changes = list(rowdiff.differences(before, after, write_ids.by_row(writes)))
    finally:
        before.close()
        after.close()
    writer = salvage.SalvageWriter(str(tmp_path), "kept")
    manifest = salvage.Manifest("", 0, "0/0", "0/0", 1, 6, 0)
    writer.finish(salvage.put_rows(writer.path, salvage.put_writes(writer.path, manifest, writes), changes))
    assert salvage.load_manifest(str(tmp_path), "kept").named_writes == 5
    return list(salvage.load_writes(str(tmp_path), "kept")), list(salvage.load_changes(str(tmp_path), "kept"))


def by_text(outcomes: list[Outcome]) -> dict[str | None, str]:
    return {one.change.after["b"]: one.result for one in outcomes if one.change.after}


def test_a_salvage_knows_which_named_write_changed_which_row(lost: tuple[list[LostWrite], list[Change]]) -> None:
    writes, changes = lost
    assert {one.name: one.tag for one in writes} == {
        name(1): "INSERT 0 1", name(2): "INSERT 0 1", name(3): "UPDATE 1", name(4): "INSERT 0 40", name(5): "UPDATE 2"
    }  # fmt: skip
    known = {one.after["b"]: one.write_ids for one in changes if one.after and not one.after["b"].startswith("many")}  # type: ignore[union-attr]
    assert known == {"one": [name(1), name(5)], "two": [name(2), name(5)], "old": [name(3)], "unnamed": []}
    assert not [one for one in changes if one.after and one.write_ids and "many" in str(one.after["b"])]


def test_what_was_done_again_is_left_and_the_rest_cannot_be(
    cluster: InnerNode, lost: tuple[list[LostWrite], list[Change]]
) -> None:
    writes, changes = lost
    with cluster.connect() as client, wire(cluster) as target:
        write(client, 3, "UPDATE t SET c = 'three' WHERE b = 'old'")
        # What became of it was changed again: by its key alone it would be a conflict.
        client.execute("UPDATE t SET c = 'newer' WHERE b = 'old'")
        write(client, 1, "INSERT INTO t (b) VALUES ('one') RETURNING a")
        # Otherwise the row would be there once more, under a key that is free.
        client.execute("DELETE FROM t WHERE b = 'one'")
        client.execute("SELECT helios_write_outcome(%s)", (name(4),))
        planned = by_text(list(replay(target, changes, dry_run=True, writes=writes)))
        done = by_text(list(replay(target, changes, dry_run=False, writes=writes)))
        assert planned == done
        assert (done["old"], done["one"], done["two"], done["unnamed"]) == (
            "repeated",
            "conflict",
            "applied",
            "applied",
        )
        assert client.execute("SELECT c FROM t WHERE b = 'two'").fetchone() == ("five",)
        # A client that has not heard of the loss is answered as it was: its write is there.
        assert write(client, 2, "INSERT INTO t (b) VALUES ('two')") == "INSERT 0 1"
        again = by_text(list(replay(target, changes, dry_run=False, writes=writes)))
        assert (again["old"], again["two"]) == ("repeated", "present"), "a replay that was cut goes on"


def test_a_lost_result_comes_back_too(cluster: InnerNode, lost: tuple[list[LostWrite], list[Change]]) -> None:
    writes, changes = lost
    with cluster.connect() as client, wire(cluster) as target:
        list(replay(target, changes, dry_run=False, writes=writes))
        client.execute(f"SET helios.write_id = '{name(1)}'")
        assert client.execute("INSERT INTO t (b) VALUES ('one') RETURNING a").fetchall() == [(3,)]


def test_nonsense_in_place_of_a_salvaged_write_is_an_error_of_its_sender(cluster: InnerNode) -> None:
    insert = "INSERT INTO t (b) VALUES ('new') RETURNING a"
    with cluster.connect() as client:
        with pytest.raises(psycopg.errors.InvalidParameterValue):
            client.execute("SELECT helios_write_restore(%s, 'INSERT 0 1', 'no digits', NULL)", (name(1),))
        write(client, 1, insert)
        found = client.execute("SELECT helios_write_outcome(%s, false)", (name(1),)).fetchone()
        assert found == ("INSERT 0 1",)
    for text in ("nonsense", "[]", "[[23]]", "[[23], 5]", "[[23], [[[]]]]"):
        assert write_ids.decode_rows([23], text) is None
    assert write_ids.decode_rows([23], "[[23], [[7]]]") == [(7,)]
