"""What two real nodes say of their cluster: the views, PostgreSQL's functions and parameters, /status and /metrics."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from support.node_process import MakeNode, NodeProcess, wait_until

FOLLOWED_S = 20.0

MANUAL = {
    "pg_replication_status": (
        "node_id:text role:text sync_mode:text listen_address:text replication_port:int4 current_lsn:pg_lsn "
        "is_read_only:bool standby_count:int4 uptime_seconds:int8"
    ),
    "pg_replication_standbys": (
        "node_id:text address:text sync_mode:text state:text current_lsn:pg_lsn flush_lsn:pg_lsn apply_lsn:pg_lsn "
        "lag_bytes:int8 lag_ms:int8 connected_at:timestamptz last_heartbeat:timestamptz"
    ),
    "pg_replication_primary": (
        "node_id:text address:text state:text primary_lsn:pg_lsn local_lsn:pg_lsn lag_bytes:int8 lag_ms:int8 "
        "fencing_token:int8 connected_at:timestamptz last_heartbeat:timestamptz"
    ),
    "pg_replication_metrics": (
        "wal_writes:int8 wal_bytes_written:int8 records_replicated:int8 bytes_replicated:int8 heartbeats_sent:int8 "
        "heartbeats_received:int8 reconnect_count:int8 last_wal_write:timestamptz last_replication:timestamptz"
    ),
}
"""The columns that the manual promises, in its order."""

MONITORING = (
    # The manual's own examples.
    "SELECT node_id, CASE WHEN lag_ms < 1000 THEN 'IN_SYNC' WHEN lag_ms < 60000 THEN 'CATCHING_UP' ELSE 'LAGGING' END "
    "as status, lag_ms FROM pg_replication_standbys",
    "SELECT node_id, role, current_lsn FROM pg_replication_status",
    "SELECT replication_lag_bytes FROM helios_replication_status LIMIT 1",
    # What tools for PostgreSQL ask.
    "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END",
    "SELECT CASE WHEN NOT pg_is_in_recovery() THEN 0 WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0 "
    "ELSE EXTRACT (EPOCH FROM now() - pg_last_xact_replay_timestamp()) END AS lag",
    "SELECT application_name, client_addr, state, sync_state, pg_wal_lsn_diff(sent_lsn, replay_lsn) AS replay_bytes, "
    "pg_size_pretty(pg_wal_lsn_diff(sent_lsn, flush_lsn)), EXTRACT(epoch FROM replay_lag) FROM pg_stat_replication",
    "SELECT slot_name, active, restart_lsn FROM pg_replication_slots WHERE NOT active",
    "SELECT s.application_name, a.query FROM pg_stat_replication s LEFT JOIN pg_stat_activity a USING (pid)",
)


Pair = tuple[NodeProcess, NodeProcess]


def start_pair(make_node: MakeNode, mode: str = "sync") -> Pair:
    """A primary n1 and its standby n2, whose copies count already."""
    modes = ("--replication-mode", mode)
    primary = make_node("--replication-role", "primary", "--node-id", "n1", *modes)
    where = ("--primary-host", "127.0.0.1", "--primary-port", str(primary.native_port))
    standby = make_node("--replication-role", "standby", "--node-id", "n2", *where, *modes)
    counts = "SELECT count(*) FROM helios_replication_status WHERE in_sync"
    wait_until(lambda: value(primary, counts) == 2, "the copies of the standby count", FOLLOWED_S)
    return primary, standby


@pytest.fixture
def pair(make_node: MakeNode) -> Pair:
    """For a test that stops nodes or changes their roles."""
    return start_pair(make_node)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """For tests that only look and write."""
    made: list[NodeProcess] = []

    def make(*flags: str, environment: Mapping[str, str] | None = None, start: bool = True) -> NodeProcess:
        made.append(NodeProcess(tmp_path_factory.mktemp("views"), flags, environment))
        return made[-1].start() if start else made[-1]

    try:
        yield start_pair(make)
    finally:
        for node in made:
            node.kill()
            print(f"--- {node.directory.name}\n{node.log_tail()}")


def ask(node: NodeProcess, sql: str, **options: Any) -> list[dict[str, Any]]:
    """The rows by column name."""
    with node.connect(row_factory=dict_row) as connection:
        rows: list[Any] = connection.execute(sql, **options).fetchall()
        return rows


def one(node: NodeProcess, sql: str) -> dict[str, Any]:
    """The only row."""
    (row,) = ask(node, sql)
    return row


def value(node: NodeProcess, sql: str) -> Any:
    """The only value."""
    (found,) = one(node, sql).values()
    return found


def columns_of(connection: psycopg.Connection[Any], relation: str) -> list[tuple[str, int]]:
    description = connection.execute(f"SELECT * FROM {relation} LIMIT 0").description
    assert description is not None
    return [(column.name, column.type_code) for column in description]


def test_the_views_have_the_columns_and_types_of_the_manual_and_of_postgresql(
    server: NodeProcess, reference: int
) -> None:
    where = {"host": "127.0.0.1", "port": reference, "user": "postgres", "dbname": "postgres"}
    with server.connect() as ours, psycopg.connect(**where) as theirs:  # type: ignore[arg-type]
        oids: dict[int, str] = dict(theirs.execute("SELECT oid, typname FROM pg_type").fetchall())
        for relation, columns in MANUAL.items():
            found = [f"{name}:{oids[oid]}" for name, oid in columns_of(ours, relation)]
            assert found == columns.split(), relation
        for relation in ("pg_stat_replication", "pg_stat_wal_receiver", "pg_replication_slots"):
            assert columns_of(ours, relation) == columns_of(theirs, relation)
        for name in ("in_hot_standby", "default_transaction_read_only"):
            assert ours.info.parameter_status(name) == theirs.info.parameter_status(name) == "off"


def test_a_node_alone_has_a_cluster_of_one(server: NodeProcess) -> None:
    row = one(server, "SELECT * FROM pg_replication_status")
    assert (row["role"], row["is_read_only"], row["standby_count"]) == ("standalone", False, 0)
    assert row["listen_address"] == f"127.0.0.1:{server.pg_port}"
    for relation in (
        "pg_replication_standbys",
        "pg_replication_primary",
        "pg_stat_replication",
        "helios_standby_nodes",
    ):
        assert ask(server, f"SELECT * FROM {relation}") == []
    assert value(server, "SELECT reconnect_count FROM pg_replication_metrics") == 0
    for statement in MONITORING:
        ask(server, statement)


def test_both_nodes_tell_of_each_other(two: Pair) -> None:
    primary, standby = two
    with primary.connect() as writer:
        writer.execute("CREATE TABLE told (a int PRIMARY KEY)")
        writer.execute("INSERT INTO told SELECT generate_series(1, 1000)")
    assert [row["node_id"] for row in ask(primary, "SELECT * FROM pg_replication_status")] == ["n1", "n2"]
    local, other = ask(standby, "SELECT * FROM pg_replication_status")
    assert (local["node_id"], local["role"], local["is_read_only"]) == ("n2", "standby", True)
    assert (other["node_id"], other["role"], other["is_read_only"]) == ("n1", "primary", False)
    wait_until(lambda: one(primary, "SELECT * FROM pg_replication_standbys")["state"] == "synced", "all is applied")
    row = one(primary, "SELECT *, now() - last_heartbeat < '1 s' AS fresh FROM pg_replication_standbys")
    assert (row["node_id"], row["address"], row["sync_mode"]) == ("n2", f"127.0.0.1:{standby.pg_port}", "sync")
    assert (row["lag_bytes"], row["lag_ms"], row["fresh"]) == (0, 0, True)
    assert ask(standby, "SELECT * FROM pg_replication_standbys") == []
    row = one(standby, "SELECT *, now() - last_heartbeat < '1 s' AS fresh FROM pg_replication_primary")
    assert (row["node_id"], row["state"], row["fencing_token"], row["fresh"]) == ("n1", "streaming", 1, True)
    assert ask(primary, "SELECT * FROM pg_replication_primary") == []
    counted = one(primary, "SELECT * FROM pg_replication_metrics")
    assert counted["bytes_replicated"] == counted["wal_bytes_written"] > 0
    assert counted["records_replicated"] > 3
    assert value(standby, "SELECT heartbeats_received FROM pg_replication_metrics") > 0
    for node in two:
        for statement in MONITORING:
            ask(node, statement)


def test_equal_databases_show_equal_checksums(two: Pair) -> None:
    primary, _ = two
    with primary.connect() as writer:
        writer.execute("CREATE TABLE same AS SELECT generate_series(1, 1000) AS a")

    def equal(node: NodeProcess) -> bool:
        rows = ask(node, "SELECT checksum, applied_lsn, identical FROM helios_replication_status")
        return all(row["identical"] for row in rows) and len({row["checksum"] for row in rows}) == 1

    for node in two:
        wait_until(lambda node=node: equal(node), "both are at one LSN and equal")  # type: ignore[misc]


def test_topology_is_shown_everywhere(two: Pair) -> None:
    primary, standby = two
    for node, names in ((primary, ["n1", "n2"]), (standby, ["n2", "n1"])):
        simple = ask(node, "SHOW TOPOLOGY")
        extended = ask(node, "SHOW TOPOLOGY", prepare=True, binary=True)
        assert [row["node_id"] for row in simple] == names
        assert [row["http_address"] for row in extended] == [row["http_address"] for row in simple]
        by_name = {row["node_id"]: row for row in simple}
        assert by_name["n2"]["follows"] == "n1"
        assert by_name["n1"]["pg_address"] == f"127.0.0.1:{primary.pg_port}"
        assert by_name["n2"]["native_address"] == f"127.0.0.1:{standby.native_port}"


def test_postgresqls_own_views(two: Pair) -> None:
    primary, standby = two
    row = one(primary, "SELECT *, now() - reply_time < '1 s' AS fresh FROM pg_stat_replication")
    assert (row["application_name"], row["state"], row["sync_state"], row["sync_priority"]) == (
        "n2", "streaming", "sync", 1,
    )  # fmt: skip
    assert row["pid"] == primary.pid
    assert row["fresh"]
    row = one(primary, "SELECT * FROM pg_replication_slots")
    assert (row["slot_name"], row["slot_type"], row["active"], row["wal_status"]) == (
        "n2",
        "physical",
        True,
        "reserved",
    )
    row = one(standby, "SELECT * FROM pg_stat_wal_receiver")
    assert (row["status"], row["slot_name"], row["sender_port"]) == ("streaming", "n2", primary.native_port)
    assert ask(standby, "SELECT * FROM pg_stat_replication") == []
    assert ask(primary, "SELECT * FROM pg_stat_wal_receiver") == []


def test_positions_are_those_of_the_role(two: Pair) -> None:
    primary, standby = two
    with primary.connect() as writer, standby.connect() as reader:
        writer.execute("CREATE TABLE positions (a int)")
        row = writer.execute(
            "SELECT pg_is_in_recovery(), pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn(), "
            "pg_last_xact_replay_timestamp(), pg_current_wal_lsn() <= pg_current_wal_flush_lsn(), "
            "pg_current_wal_flush_lsn() <= pg_current_wal_insert_lsn()"
        ).fetchone()
        assert row == (False, None, None, None, True, True)
        (lsn,) = writer.execute("SELECT pg_current_wal_lsn()").fetchone() or ()
        replayed = "SELECT pg_is_in_recovery() AND pg_last_wal_replay_lsn() >= %s::pg_lsn"
        wait_until(lambda: reader.execute(replayed, (lsn,)).fetchone() == (True,), "the LSN is replayed")
        assert reader.execute("SELECT count(*) FROM positions").fetchone() == (0,)
        row = reader.execute(
            "SELECT now() - pg_last_xact_replay_timestamp() < '1 min', "
            "pg_last_wal_receive_lsn() >= pg_last_wal_replay_lsn(), pg_is_wal_replay_paused()"
        ).fetchone()
        assert row == (True, True, False)
        for function in ("pg_current_wal_lsn", "pg_current_wal_flush_lsn", "pg_current_wal_insert_lsn"):
            with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState) as refused:
                reader.execute(f"SELECT {function}()")
            assert refused.value.diag.message_primary == "recovery is in progress"
            assert refused.value.diag.message_hint == "WAL control functions cannot be executed during recovery."


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ("primary", "n1"),
        ("read-write", "n1"),
        ("standby", "n2"),
        ("prefer-standby", "n2"),
        ("read-only", "n2"),
    ],
)
def test_drivers_find_the_node_they_want(two: Pair, attributes: str, expected: str) -> None:
    for first, second in (two, two[::-1]):
        where = f"host=127.0.0.1,127.0.0.1 port={first.pg_port},{second.pg_port} user=postgres dbname=heliosdb"
        with psycopg.connect(f"{where} target_session_attrs={attributes}", connect_timeout=10) as connection:
            found = connection.execute("SELECT node_id FROM pg_replication_status LIMIT 1").fetchone()
            assert found == (expected,)
            standby = "on" if expected == "n2" else "off"
            assert connection.info.parameter_status("in_hot_standby") == standby
            assert connection.execute("SHOW in_hot_standby").fetchone() == (standby,)
            # Both take writes, the standby by way of the primary.
            assert connection.execute("SHOW transaction_read_only").fetchone() == ("off",)


def test_an_open_session_hears_of_the_nodes_new_role(pair: Pair) -> None:
    primary, standby = pair
    with standby.connect() as idle, standby.connect() as busy:
        busy.execute("BEGIN")
        busy.execute("SELECT 1")
        primary.kill()
        assert standby.http("/admin/promote", body={"allow_data_loss": True}, timeout=30.0)[0] == 200
        wait_until(lambda: value(standby, "SHOW in_hot_standby") == "off", "the standby is promoted")
        assert idle.execute("SELECT 1").fetchone() == (1,)
        assert idle.info.parameter_status("in_hot_standby") == "off"
        # Within a transaction nothing changes.
        busy.execute("SELECT 1")
        assert busy.info.parameter_status("in_hot_standby") == "on"
        busy.execute("COMMIT")
        assert busy.info.parameter_status("in_hot_standby") == "off"
        row = one(standby, "SELECT * FROM pg_replication_standbys")
        assert (row["node_id"], row["state"]) == ("n1", "disconnected")
        assert one(standby, "SELECT * FROM helios_durability_gaps")["node_id"] == "n1"
        kinds = [row["kind"] for row in ask(standby, "SELECT kind FROM helios_events ORDER BY id")]
        assert {"following", "promoted"} <= set(kinds)
        assert kinds.index("following") < kinds.index("promoted")


def test_a_frozen_standby_is_seen_to_lag_and_a_gap_to_open_and_close(pair: Pair) -> None:
    primary, standby = pair
    lag = "SELECT * FROM helios_standby_nodes"
    with primary.connect() as writer:
        writer.execute("CREATE TABLE t (a int)")
        standby.send(signal.SIGSTOP)
        try:
            writer.execute("INSERT INTO t VALUES (1)")  # It waits until the standby is ejected.
            wait_until(lambda: one(primary, lag)["state"] == "silent", "the standby is silent")
            row = one(primary, lag)
            assert (row["lag_cause"], row["catch_up_seconds"], row["in_sync"]) == ("silent", None, False)
            assert row["replication_lag_bytes"] > 0
            assert row["replication_lag_ms"] > 500
            gap = one(primary, "SELECT * FROM helios_durability_gaps")
            assert (gap["node_id"], gap["is_open"], gap["to_lsn"]) == ("n2", True, None)
            assert "heliosdb_durability_gaps_open 1" in primary.http("/metrics")[1]
        finally:
            standby.send(signal.SIGCONT)
        wait_until(lambda: bool(one(primary, lag)["in_sync"]), "the standby counts again", FOLLOWED_S)
        closed = "SELECT *, to_lsn > from_lsn AS has_range FROM helios_durability_gaps"
        for node in pair:
            wait_until(lambda node=node: not one(node, closed)["is_open"], "the gap is closed")  # type: ignore[misc]
            assert one(node, closed)["has_range"]


def test_a_standby_without_its_primary_does_not_claim_to_be_up_to_date(pair: Pair) -> None:
    primary, standby = pair
    primary.kill()
    state = "SELECT * FROM pg_replication_primary"
    wait_until(lambda: one(standby, state)["state"] in ("error", "disconnected"), "the loss is seen")
    row = one(standby, state)
    assert row["lag_bytes"] is None
    assert row["connected_at"] is None
    before = row["lag_ms"]
    wait_until(lambda: one(standby, state)["lag_ms"] > before + 500, "what is known grows old")
    status = one(standby, "SELECT * FROM helios_replication_status WHERE is_local")
    assert (status["state"], status["lag_cause"]) == ("disconnected", "disconnected")
    assert "heliosdb_upstream_connected 0" in standby.http("/metrics")[1]
    assert [standby.http(path)[0] for path in ("/health", "/ready")] == [200, 503]
    primary.start()
    wait_until(lambda: one(standby, state)["state"] == "streaming", "the primary is followed again", FOLLOWED_S)
    assert value(standby, "SELECT reconnect_count FROM pg_replication_metrics") == 1


def test_events_are_kept_over_a_restart(pair: Pair) -> None:
    primary, _ = pair
    history = (
        "SELECT id, kind, details->>'standby' AS standby, occurred_at < now() AS past FROM helios_events ORDER BY id"
    )
    before = ask(primary, history)
    joined = next(row for row in before if row["kind"] == "standby_joined")
    assert (joined["standby"], joined["past"]) == ("n2", True)
    primary.restart()
    after = ask(primary, history)
    assert after[: len(before)] == before
    assert len(after) > len(before)


def test_http_tells_the_same(two: Pair) -> None:
    primary, standby = two
    code, content = primary.http("/status")
    nodes = content["cluster"]["nodes"]
    assert (code, [node["node_id"] for node in nodes]) == (200, ["n1", "n2"])
    assert [node["in_sync"] for node in nodes] == [True, True]
    assert content["cluster"]["primary_id"] == "n1"
    _, content = standby.http("/status")
    assert content["cluster"]["upstream"]["streaming"] is True
    metrics = primary.http("/metrics")[1].splitlines()
    for line in (
        'heliosdb_role{role="primary"} 1.0',
        'heliosdb_role{role="standby"} 0.0',
        "heliosdb_standbys_connected 1",
        "heliosdb_in_sync_nodes 2",
        'heliosdb_standby_connected{standby="n2"} 1.0',
        'heliosdb_standby_in_sync{standby="n2"} 1.0',
    ):
        assert line in metrics
    assert any(line.startswith('heliosdb_standby_lag_bytes{standby="n2"} ') for line in metrics)
    assert [primary.http(path)[0] for path in ("/health", "/ready", "/primary", "/standby")] == [200, 200, 200, 503]
    assert [standby.http(path)[0] for path in ("/health", "/ready", "/primary", "/standby")] == [200, 200, 503, 200]


def test_a_standby_that_takes_no_writes_says_so(make_node: MakeNode) -> None:
    primary, standby = start_pair(make_node, "async")
    with standby.connect() as connection:
        for name in ("in_hot_standby", "transaction_read_only"):
            assert connection.execute(f"SHOW {name}").fetchone() == ("on",)
            assert connection.execute("SELECT setting FROM pg_settings WHERE name = %s", (name,)).fetchone() == ("on",)
        assert connection.execute("SHOW default_transaction_read_only").fetchone() == ("off",)
    code, content = standby.http("/ready")
    reason = f"standby: it takes no writes; the primary is n1 at 127.0.0.1:{primary.pg_port}"
    assert (code, content["reason"]) == (503, reason)
    assert one(primary, "SELECT * FROM pg_stat_replication")["sync_state"] == "async"
