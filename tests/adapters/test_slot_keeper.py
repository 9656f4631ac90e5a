"""For whom a node keeps its log: for those who follow it, as long as that is bounded, and for nobody else."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from support.inner_node import InnerNode
from support.inner_pair import SETTLED_S, pair, replication, run
from support.node_process import wait_until

from helios_cli.engine.errors import IoFailed
from helios_cli.engine.node import handover, slot_keeper
from helios_cli.engine.storage.slots import SlotStore
from helios_cli.engine.types import Lsn, Term


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slot_keeper, "SAVED_S", 0.0)


def slots(node: InnerNode) -> list[str]:
    return [slot.name for slot in node.node.store.slots.all()]


def saved(node: InnerNode) -> list[str]:
    store = node.node.store
    return [slot.name for slot in SlotStore.open(store.files, store.control_dir).all()]


def events(node: InnerNode, kind: str) -> list[str]:
    with node.connect() as connection:
        rows = connection.execute("SELECT message FROM helios_events WHERE kind = %s", (kind,)).fetchall()
    return [str(row[0]) for row in rows]


def test_a_primary_that_gave_the_lead_away_keeps_no_log_for_the_new_one(tmp_path: Path) -> None:
    with pair(tmp_path) as (first, second):
        assert slots(first) == ["n2"]
        # One that follows standbys only is away: whoever leads, it comes back here.
        first.on_loop(lambda: replication(first).slots.hold("cascading", Lsn(0)))
        run(first, lambda: handover.switchover(replication(first)))
        wait_until(lambda: slots(first) == ["cascading"], "the slot of the new primary is gone", SETTLED_S)
        wait_until(lambda: saved(first) == ["cascading"], "so it is on disk", SETTLED_S)
        wait_until(lambda: slots(second) == saved(second) == ["n1"], "the new primary keeps log", SETTLED_S)
        told = ["no log is kept for n2: it follows the primary"]
        wait_until(lambda: events(first, "slot_released") == told, "it is told of", SETTLED_S)


def test_a_standby_without_a_primary_keeps_every_slot(tmp_path: Path) -> None:
    with pair(tmp_path) as (first, second):
        second.on_loop(lambda: replication(second).slots.hold("n1", Lsn(0)))
        wait_until(lambda: slots(second) == [], "the primary follows nobody", SETTLED_S)
        second.on_loop(lambda: setattr(replication(second).following.upstream, "connected", False))  # type: ignore[union-attr]
        second.on_loop(lambda: replication(second).slots.hold("n1", Lsn(0)))
        first.on_loop(lambda: replication(first).slots.release("n2"))
        wait_until(lambda: slots(first) == ["n2"], "one that follows has its slot again", SETTLED_S)
        looked = replication(second).slots._looked_at
        wait_until(lambda: replication(second).slots._looked_at > looked, "the standby has looked", SETTLED_S)
        assert slots(second) == ["n1"]


def test_a_slot_that_holds_too_much_is_given_up_and_the_log_goes(tmp_path: Path) -> None:
    settings = {"max_slot_lag_mb": 1, "log_segment_mb": 1, "log_retention_mb": 0}
    with InnerNode(tmp_path, node_id="n1", replication_role="primary", **settings) as node:
        inner = node.node
        start = inner.store.log.start
        node.on_loop(lambda: replication(node).slots.hold("lost", start))
        wait_until(lambda: saved(node) == ["lost"], "the slot is on disk")
        with node.connect() as connection:
            connection.execute("CREATE TABLE t (a int, b text)")
            connection.execute("INSERT INTO t SELECT g, md5(g::text) FROM generate_series(1, 5000) AS g")
            connection.execute("CHECKPOINT")
            assert inner.store.log.end - start < 1 << 20
            assert (slots(node), inner.store.log.start) == (["lost"], start)
            for _ in range(6):
                connection.execute("INSERT INTO t SELECT g, md5(random()::text) FROM generate_series(1, 20000) AS g")
            connection.execute("CHECKPOINT")
            assert slots(node) == []
            assert inner.store.log.start > start
        wait_until(lambda: saved(node) == [], "so it is on disk")
        ((said),) = events(node, "slot_dropped")
        assert said.startswith("slot lost lagged ")


def test_slots_are_saved_beside_the_loop_and_again_when_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with InnerNode(tmp_path, node_id="n1", replication_role="primary") as node:
        loop_thread = node.on_loop(threading.get_ident)
        threads: list[int] = []
        save = SlotStore.save

        def failing_once(store: SlotStore) -> None:
            threads.append(threading.get_ident())
            if len(threads) == 1:
                raise IoFailed("the disk is not in the mood")
            save(store)

        monkeypatch.setattr(SlotStore, "save", failing_once)
        node.on_loop(lambda: replication(node).slots.hold("n2", Lsn(0)))
        wait_until(lambda: saved(node) == ["n2"], "it is tried again")
        assert loop_thread not in threads and len(threads) > 1
        assert node.node.store.slots.all()[0].term > Term(0)
