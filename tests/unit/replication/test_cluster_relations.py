"""What the views and /status say of a cluster, made from records."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from helios_cli.engine.consensus.config import address
from helios_cli.engine.replication.relations import MAKERS, PG_EPOCH_US, interval
from helios_cli.engine.replication.view import (
    CATCHING_UP,
    DISCONNECTED,
    SILENT,
    STREAMING,
    UNKNOWN,
    ClusterView,
    GapView,
    NodeView,
    SlotView,
    UpstreamView,
)
from helios_cli.engine.replication.viewrecord import view_record
from helios_cli.engine.storage.system_relations import SYSTEM_RELATIONS
from helios_cli.engine.types import Lsn

NOW_US = PG_EPOCH_US + 850_000_000_000_000
END = Lsn(0x1_0000_0200)


def node(name: str, role: str = "standby", **other: Any) -> NodeView:
    """A node of a cluster in sync mode that has everything."""
    values: dict[str, Any] = {
        "node_id": name, "role": role, "mode": "sync", "host": "10.0.0.1", "pg_port": 5432, "native_port": 5433,
        "http_port": 8080, "follows": "n1", "is_local": False, "connected": True, "state": STREAMING,
        "in_sync": True, "term": 3,
        "written": END, "flushed": END, "applied": END, "committed": Lsn(0), "db_checksum": 0xABC, "lag_bytes": 0,
        "lag_ms": 0.0, "round_trip_ms": 0.4, "connected_since_us": NOW_US - 9, "heard_us": NOW_US - 5, "sent": END,
    }  # fmt: skip
    return NodeView(**(values | other))


def cluster(*others: NodeView, local: NodeView | None = None, **more: Any) -> ClusterView:
    """As a primary n1 sees it, or the ``local`` node."""
    own = local or node("n1", "primary", is_local=True, committed=END, sent=Lsn(0), follows="")
    values: dict[str, Any] = {
        "cluster_id": "c1", "term": 3, "mode": "sync", "primary_id": "n1", "nodes": (own, *others), "gaps": (),
        "bytes_sent": 10, "bytes_received": 0, "records_sent": 2, "records_applied": 0, "bytes_unpacked": 0,
        "now_us": NOW_US, "started_us": NOW_US - 90_000_000, "pid": 77,
    }  # fmt: skip
    return ClusterView(**(values | more))


def following(**other: Any) -> ClusterView:
    """As the standby n2 sees it."""
    upstream = UpstreamView(
        "n1", "10.0.0.1", 5433, True, True, "", END, END, Lsn(0x100), NOW_US - 9, NOW_US - 2, NOW_US - 1
    )
    own = node("n2", is_local=True, committed=END, follows="n1")
    primary = node("n1", "primary", committed=END, follows="")
    return cluster(primary, local=replace(own, **other.pop("own", {})), upstream=replace(upstream, **other))


def rows(name: str, view: ClusterView) -> list[dict[str, Any]]:
    return list(MAKERS[name](view))


FULL = cluster(
    node("n2"),
    node("n3", state=DISCONNECTED, connected=False, heard_us=0, lag_bytes=512, lag_ms=2500.0, catch_up_s=None),
    gaps=(GapView("n3", Lsn(0x10), None, NOW_US - 2_000_000, None, "not heard of"),),
    slots=(SlotView("n2", END, True, 1 << 30), SlotView("n3", Lsn(0x10), False, -1)),
)


@pytest.mark.parametrize("name", sorted(MAKERS))
@pytest.mark.parametrize("view", [FULL, following()], ids=["primary", "standby"])
def test_every_row_fits_its_relation(name: str, view: ClusterView) -> None:
    columns = {column.name for column in SYSTEM_RELATIONS["pg_catalog", name].columns}
    for row in rows(name, view):
        assert row.keys() <= columns


def test_relations_of_the_manual_have_exactly_its_columns() -> None:
    manual = {
        "pg_replication_status": "node_id role sync_mode listen_address replication_port current_lsn is_read_only "
        "standby_count uptime_seconds",
        "pg_replication_standbys": "node_id address sync_mode state current_lsn flush_lsn apply_lsn lag_bytes lag_ms "
        "connected_at last_heartbeat",
        "pg_replication_primary": "node_id address state primary_lsn local_lsn lag_bytes lag_ms fencing_token "
        "connected_at last_heartbeat",
        "pg_replication_metrics": "wal_writes wal_bytes_written records_replicated bytes_replicated heartbeats_sent "
        "heartbeats_received reconnect_count last_wal_write last_replication",
    }
    for name, columns in manual.items():
        assert [column.name for column in SYSTEM_RELATIONS["pg_catalog", name].columns] == columns.split()
        for row in rows(name, FULL) + rows(name, following()):
            assert list(row) == columns.split()


def test_the_local_node_comes_first() -> None:
    assert [row["node_id"] for row in rows("pg_replication_status", following())] == ["n2", "n1"]
    first, second = rows("pg_replication_status", cluster(node("n2")))
    assert (first["node_id"], first["is_read_only"], first["standby_count"], first["uptime_seconds"]) == (
        "n1",
        0,
        1,
        90,
    )
    assert (second["is_read_only"], second["uptime_seconds"]) == (1, None)
    assert (first["listen_address"], first["current_lsn"]) == ("10.0.0.1:5432", "1/200")


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "synced"),
        ({"lag_bytes": 8, "lag_ms": 0.2}, "streaming"),
        ({"state": CATCHING_UP, "lag_bytes": 8}, "catching_up"),
        ({"state": SILENT}, "catching_up"),
        ({"state": DISCONNECTED, "connected": False}, "disconnected"),
    ],
)
def test_the_state_of_a_standby(changes: dict[str, Any], state: str) -> None:
    (row,) = rows("pg_replication_standbys", cluster(node("n2", **changes)))
    assert row["state"] == state


def test_a_lag_below_a_millisecond_is_not_nothing() -> None:
    (row,) = rows("pg_replication_standbys", cluster(node("n2", lag_bytes=8, lag_ms=0.2)))
    assert (row["lag_bytes"], row["lag_ms"]) == (8, 1)


def test_nothing_is_said_of_a_lag_that_nobody_knows() -> None:
    unheard = node("n2", state=DISCONNECTED, connected=False, lag_known=False, written=Lsn(0), flushed=Lsn(0),
                   applied=Lsn(0), heard_us=0, db_checksum=0)  # fmt: skip
    (row,) = rows("pg_replication_standbys", cluster(unheard))
    assert (row["lag_bytes"], row["lag_ms"], row["apply_lsn"], row["last_heartbeat"]) == (None, None, None, None)
    lost = following(connected=False, streaming=False, error="refused", own={"lag_known": False, "lag_ms": 4000.0})
    (row,) = rows("pg_replication_primary", lost)
    assert (row["state"], row["lag_bytes"], row["lag_ms"]) == ("error", None, 4000)
    (local, _) = view_record(lost)["nodes"]
    assert (local["lag_bytes"], local["lag_ms"]) == (None, 4000.0)


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "streaming"),
        ({"streaming": False}, "connected"),
        ({"connected": False, "streaming": False}, "disconnected"),
        ({"connected": False, "streaming": False, "heard_us": 0}, "connecting"),
        ({"connected": False, "streaming": False, "error": "refused"}, "error"),
    ],
)
def test_the_state_of_the_primary(changes: dict[str, Any], state: str) -> None:
    (row,) = rows("pg_replication_primary", following(**changes))
    assert row["state"] == state
    assert (row["fencing_token"], row["address"]) == (3, "10.0.0.1:5433")


def test_standbys_that_follow_somebody_else_are_not_ours() -> None:
    sibling = node("n3", state=UNKNOWN, connected=False, lag_known=False, heard_us=0, follows="")
    view = replace(following(), nodes=(*following().nodes, sibling))
    assert rows("pg_replication_standbys", view) == []
    assert rows("pg_stat_replication", view) == []
    assert [row["node_id"] for row in rows("helios_standby_nodes", view)] == ["n2", "n3"]
    assert [row["node_id"] for row in rows("helios_topology", view)] == ["n2", "n1", "n3"]


def test_a_standby_of_a_standby_does_not_take_it_for_its_own() -> None:
    view = following()
    upstream = node("n1", follows="", committed=END)
    chain = replace(view, primary_id="", nodes=(view.local, upstream, node("n9", follows="n2"), node("n0", "unknown")))
    for relation in ("pg_replication_standbys", "pg_stat_replication"):
        assert [row.get("node_id") or row["application_name"] for row in rows(relation, chain)] == ["n9"]
    assert rows("pg_replication_status", chain)[0]["standby_count"] == 1
    assert [row["node_id"] for row in rows("helios_standby_nodes", chain)] == ["n2", "n1", "n9"]


def test_equality_is_told_only_at_the_same_lsn() -> None:
    same, other = node("n2"), node("n3", db_checksum=0xABD)
    behind = node("n4", applied=Lsn(END - 8), db_checksum=0xABD)
    unsaid = node("n5", db_checksum=0)
    found = rows("helios_replication_status", cluster(same, other, behind, unsaid))
    assert [row["identical"] for row in found] == [1, 1, 0, None, None]
    assert found[1]["checksum"] == "0000000000000abc"
    assert found[4]["checksum"] is None


@pytest.mark.parametrize(
    ("mode", "standby", "sync_state"),
    [
        ("async", {"mode": "async"}, "async"),
        ("sync", {}, "sync"),
        ("sync", {"in_sync": False}, "potential"),
        ("sync", {"in_sync": False, "mode": "async"}, "async"),
        ("quorum", {"mode": "quorum"}, "quorum"),
        ("semi-sync", {"mode": "semi-sync"}, "sync"),
    ],
)
def test_the_sync_state_is_postgresqls(mode: str, standby: dict[str, Any], sync_state: str) -> None:
    (row,) = rows("pg_stat_replication", cluster(node("n2", **standby), mode=mode))
    assert (row["sync_state"], row["sync_priority"]) == (sync_state, int(sync_state != "async"))
    assert (row["application_name"], row["pid"], row["replay_lag"]) == ("n2", 77, None)


def test_slots_say_how_much_room_is_left() -> None:
    first, second = rows("pg_replication_slots", FULL)
    assert (first["wal_status"], first["active"], first["safe_wal_size"]) == ("reserved", 1, 1 << 30)
    assert (second["wal_status"], second["active"]) == ("extended", 0)


def test_a_gap_that_lasts_has_no_end() -> None:
    (row,) = rows("helios_durability_gaps", FULL)
    assert (row["from_lsn"], row["to_lsn"], row["is_open"], row["seconds"]) == ("0/10", None, 1, 2.0)


def test_the_record_of_a_view_is_json() -> None:
    record = json.loads(json.dumps(view_record(FULL)))
    assert [each["node_id"] for each in record["nodes"]] == ["n1", "n2", "n3"]
    assert record["nodes"][1]["applied"] == "1/200"
    assert record["nodes"][1]["identical"] is True
    assert record["gaps"][0]["to_lsn"] is None
    assert record["slots"][0]["restart_lsn"] == "1/200"
    assert record["upstream"] is None


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0.0, None), (1.5, "00:00:00.0015"), (61_000.0, "00:01:01"), (360_000_000.25, "100:00:00.00025")],
)
def test_an_interval_is_written_as_it_is_stored(milliseconds: float, text: str | None) -> None:
    from helios_cli.engine.datatypes.registry import by_oid

    assert interval(milliseconds) == text
    if text is not None:
        assert by_oid(1186).parse_text(text) == text


def test_addresses() -> None:
    assert address("db1", 5432) == "db1:5432"
    assert address("::1", 5432) == "[::1]:5432"
    assert address("", 5432) == ""
