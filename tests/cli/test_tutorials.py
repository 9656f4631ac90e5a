"""The tutorials' commands, one by one, and what their text shows: only ports and paths are others."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.node_process import wait_until
from support.walkthrough import Walkthrough, columns, lines, rows

pytestmark = [pytest.mark.slow, pytest.mark.needs("psql", "curl")]

LOCAL_PORTS = {5432, 5433, 8080, 5442, 5443, 8081, 5452, 5453, 8082, 5400, 9090}
PRIMARY = """$HELIOSDB_BIN start \\
  --data-dir /tmp/heliosdb-ha/primary \\
  --pg-port 5432 \\
  --native-port 5433 \\
  --http-port 8080 \\
  --node-id primary \\
  --replication-role primary \\
  --replication-mode sync"""
STANDBY_SYNC = """$HELIOSDB_BIN start \\
  --data-dir /tmp/heliosdb-ha/standby-sync \\
  --pg-port 5442 \\
  --native-port 5443 \\
  --http-port 8081 \\
  --node-id standby-sync \\
  --replication-role standby \\
  --primary-host localhost \\
  --primary-port 5433 \\
  --replication-mode sync"""
STANDBY_ASYNC = """$HELIOSDB_BIN start \\
  --data-dir /tmp/heliosdb-ha/standby-async \\
  --pg-port 5452 \\
  --native-port 5453 \\
  --http-port 8082 \\
  --node-id standby-async \\
  --replication-role standby \\
  --primary-host localhost \\
  --primary-port 5433 \\
  --replication-mode async"""
PROXY_TOML = """cat > /tmp/heliosdb-ha/proxy.toml <<EOF
[proxy]
listen_addr = "0.0.0.0:5400"
admin_addr = "0.0.0.0:9090"
health_check_interval_secs = 5
failure_threshold = 3
write_timeout_secs = 30

[[nodes]]
name = "primary"
host = "localhost"
port = 5432
role = "primary"
enabled = true

[[nodes]]
name = "standby-sync"
host = "localhost"
port = 5442
role = "standby"
enabled = true

[[nodes]]
name = "standby-async"
host = "localhost"
port = 5452
role = "standby"
enabled = true
EOF"""
HELIOS = "PGPASSWORD=helios psql -h localhost -p {} -U helios -d heliosdb"
TIMESTAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?[+-]\d\d"

CONTAINER_PORTS = {
    "primary": (15432, 15433, 18080), "standby-sync": (15442, 15443, 18081), "standby-semisync": (15452, 15453, 18082),
    "standby-async": (15462, 15463, 18084),
}  # fmt: skip
"""The ports of the containers on their host: PostgreSQL, native, HTTP."""
MODES = {"primary": "sync", "standby-sync": "sync", "standby-semisync": "semi-sync", "standby-async": "async"}
COLUMNS = {
    "pg_replication_status": "node_id role sync_mode listen_address replication_port current_lsn is_read_only "
    "standby_count uptime_seconds",
    "pg_replication_standbys": "node_id address sync_mode state current_lsn flush_lsn apply_lsn lag_bytes lag_ms "
    "connected_at last_heartbeat",
    "pg_replication_primary": "node_id address state primary_lsn local_lsn lag_bytes lag_ms fencing_token "
    "connected_at last_heartbeat",
    "pg_replication_metrics": "wal_writes wal_bytes_written records_replicated bytes_replicated heartbeats_sent "
    "heartbeats_received reconnect_count last_wal_write last_replication",
}
SWITCHOVER = """
=== HeliosDB Nano Switchover ===
Old Primary: localhost:5432
New Primary: localhost:5442

[1/5] Verifying node health...
 Both nodes healthy ✓
[2/5] Preparing old primary for demotion...
[3/5] Verifying replication sync...
 Replication synchronized ✓
[4/5] Promoting standby to primary...
 New primary promoted ✓
[5/5] Demoting old primary to standby...
 Old primary demoted ✓

=== Switchover Complete ===
New Primary: localhost:5442
New Standby: localhost:5432
"""


@pytest.fixture
def local(tmp_path: Path, program: Callable[[str], str]) -> Iterator[Walkthrough]:
    """Part 2 of the hands-on tutorial, steps 1 to 3: three nodes, each in a terminal of its own."""
    tour = Walkthrough(tmp_path, LOCAL_PORTS, {"/tmp/heliosdb-ha": "ha"}, program)
    tour.export(f"export HELIOSDB_BIN={tmp_path}/bin/heliosdb-nano")
    try:
        assert tour.run("mkdir -p /tmp/heliosdb-ha/{primary,standby-sync,standby-async}") == ""
        tour.terminal(PRIMARY)
        tour.terminal(STANDBY_SYNC)
        tour.terminal(STANDBY_ASYNC)
        for http_port in (8080, 8081, 8082):
            tour.wait_healthy(http_port)
        yield tour
    finally:
        tour.close()


@pytest.fixture
def containers(tmp_path: Path, program: Callable[[str], str]) -> Iterator[Walkthrough]:
    """The four nodes of the cluster tutorial, told by the environment what they are, as its containers are."""
    ports = {port for three in CONTAINER_PORTS.values() for port in three}
    tour = Walkthrough(tmp_path, ports, {"/data": "data"}, program)
    try:
        for name, (pg, native, http) in CONTAINER_PORTS.items():
            standby = {} if name == "primary" else {
                "HELIOSDB_PRIMARY_HOST": "localhost", "HELIOSDB_PRIMARY_PORT": str(CONTAINER_PORTS["primary"][1]),
            }  # fmt: skip
            tour.terminal(
                "heliosdb-nano start", HELIOSDB_ROLE="standby" if standby else "primary", HELIOSDB_NODE_ID=name,
                HELIOSDB_DATA_DIR=f"/data/{name}", HELIOSDB_REPLICATION_MODE=MODES[name], HELIOSDB_PG_PORT=str(pg),
                HELIOSDB_NATIVE_PORT=str(native), HELIOSDB_HTTP_PORT=str(http), **standby,
            )  # fmt: skip
        for _, _, http in CONTAINER_PORTS.values():
            tour.wait_healthy(http)
        yield tour
    finally:
        tour.close()


@pytest.fixture
def proxied(local: Walkthrough) -> Walkthrough:
    """Steps 4 and 5: the proxy in a terminal of its own."""
    local.export(f"export HELIOSPROXY_BIN={local.directory}/bin/heliosdb-proxy")
    local.run(PROXY_TOML)
    local.terminal("$HELIOSPROXY_BIN --config /tmp/heliosdb-ha/proxy.toml")
    heard = '"state":"healthy".*"state":"healthy".*"state":"healthy"'
    wait_until(
        lambda: bool(re.search(heard, local.run("curl -s http://localhost:9090/nodes || true"))), "all are healthy", 30
    )
    return local


def test_transparent_routing_through_the_proxy(proxied: Walkthrough) -> None:
    """Parts 3 and 4, and the admin endpoints of part 5."""
    tour, proxy = proxied, HELIOS.format(5400)
    create = f"""{proxy} <<EOF
CREATE TABLE twr_test (
    id INTEGER PRIMARY KEY,
    data TEXT,
    created_at TEXT DEFAULT CURRENT_TIMESTAMP
);
EOF"""
    assert tour.run(create) == "CREATE TABLE\n"
    assert tour.run(f"{proxy} -c \\\n \"INSERT INTO twr_test (id, data) VALUES (1, 'test data')\"") == "INSERT 0 1\n"
    for port in (5432, 5442):
        shown = lines(tour.run(f'{HELIOS.format(port)} -c \\\n "SELECT * FROM twr_test"'))
        assert re.fullmatch(rf"1 \| test data \| {TIMESTAMP}", shown[2])
    said = tour.run(f"for i in {{1..10}}; do {proxy} -c \\\n \"SELECT '$i', current_timestamp\"\ndone")
    assert re.findall(r"^ +(\d+) +\| \d{4}-", said, re.MULTILINE) == [str(number) for number in range(1, 11)]
    assert tour.run("curl -s http://localhost:9090/health").strip() == '{"status":"ok"}'
    nodes = json.loads(tour.run("curl -s http://localhost:9090/nodes"))
    assert [(node["name"], node["role"], node["state"]) for node in nodes] == [
        ("primary", "primary", "healthy"), ("standby-sync", "standby", "healthy"),
        ("standby-async", "standby", "healthy"),
    ]  # fmt: skip
    log = tour.directory / "terminal-4.log"
    routing = tour.run(f'cat {log} 2>&1 | grep -i "routing\\|selected"')
    assert "routing: writes go to node primary, reads to primary, standby-sync, standby-async" in routing
    seen = {tour.run(f'{proxy} -t -c "SELECT inet_server_port()"').strip() for _ in range(6)}
    assert seen == {"5432", "5442", "5452"}
    assert lines(tour.run(f'{proxy} -c "SHOW TOPOLOGY;"'))[-1] == "(3 rows)"


def test_local_deployment_and_transparent_write_routing(local: Walkthrough) -> None:
    """Part 3, "Testing TWR": with the port of the sync standby where the tutorial has the proxy's."""
    primary, standby = HELIOS.format(5432), HELIOS.format(5442)
    create = f"""{standby} <<EOF
CREATE TABLE twr_test (
    id INTEGER PRIMARY KEY,
    data TEXT,
    created_at TEXT DEFAULT CURRENT_TIMESTAMP
);
EOF"""
    assert local.run(create) == "CREATE TABLE\n"
    insert = f"{standby} -c \\\n \"INSERT INTO twr_test (id, data) VALUES (1, 'test data')\""
    assert local.run(insert) == "INSERT 0 1\n"
    for node in (primary, standby):
        shown = lines(local.run(f'{node} -c \\\n "SELECT * FROM twr_test"'))
        assert shown[0] == "id | data | created_at"
        assert re.fullmatch(r"-+\+-+\+-+", shown[1])
        assert re.fullmatch(rf"1 \| test data \| {TIMESTAMP}", shown[2])
        assert shown[3:] == ["(1 row)"]
    # The statements of the chapter's drawing, and both kinds of its table.
    assert local.run(f'{standby} -c "CREATE TABLE users (id SERIAL, name TEXT, active BOOL)"') == "CREATE TABLE\n"
    assert local.run(f"{standby} -c \"INSERT INTO users (name) VALUES ('Alice')\"") == "INSERT 0 1\n"
    assert local.run(f'{standby} -c "UPDATE users SET active = true"') == "UPDATE 1\n"
    assert lines(local.run(f'{standby} -c "SELECT * FROM users"')) == [
        "id | name | active", "----+-------+--------", "1 | Alice | t", "(1 row)",
    ]  # fmt: skip
    assert local.run(f'{standby} -c "DELETE FROM users WHERE id = 5"') == "DELETE 0\n"
    for statement, tag in (
        ("ALTER TABLE users ADD COLUMN seen INT", "ALTER TABLE"), ("TRUNCATE users", "TRUNCATE TABLE"),
        ("DROP TABLE users", "DROP TABLE"), ("BEGIN; DELETE FROM twr_test; ROLLBACK", "BEGIN\nDELETE 1\nROLLBACK"),
    ):  # fmt: skip
        assert local.run(f'{standby} -c "{statement}"') == f"{tag}\n"
    assert lines(local.run(f'{primary} -c "SHOW TOPOLOGY;"'))[-1] == "(3 rows)"
    assert local.run("curl -s http://localhost:8081/health").strip() == '{"status":"ok"}'


@pytest.mark.needs("pgbench")
def test_switchover_under_load(local: Walkthrough) -> None:
    """Part 7: the text of the switchover script, and the workload that goes on through it."""
    local.run(f'{HELIOS.format(5432)} -c "CREATE TABLE load (id INT PRIMARY KEY, at TEXT)"')
    local.run(f'{HELIOS.format(5432)} -c "CREATE SEQUENCE ids"')
    (local.directory / "load.sql").write_text("INSERT INTO load VALUES (nextval('ids'), 'x');\n")
    bench = local.terminal("pgbench -n -h localhost -p 5442 -U helios -c 4 -j 2 -T 8 -f load.sql heliosdb")
    workload = local.terminal(
        "heliosdb-nano workload run --host localhost --port 5442 --duration 8 --interval 0.2 "
        "--ledger /tmp/heliosdb-ha/workload.ledger"
    )

    def count(port: int) -> int:
        return int(local.run(f'{HELIOS.format(port)} -t -c "SELECT count(*) FROM load"'))

    wait_until(lambda: count(5432) > 100, "the load has begun", 20)
    said = local.run(
        "heliosdb-nano switchover --node localhost:8080 --to standby-sync "
        "--token-file /tmp/heliosdb-ha/primary/http.token 2>/dev/null"
    )
    before = count(5442)
    shown = [line.replace("127.0.0.1:", "localhost:") for line in lines(said)]
    expected = lines(SWITCHOVER)
    assert [line for line in shown if line in expected] == expected
    assert set(shown) - set(expected) <= {"New writes wait ✓", shown[-1]}
    assert re.fullmatch(r"Took: [\d.]+ ms, term 2", shown[-1])
    assert bench.wait(30) == 0 and workload.wait(30) == 0
    report = (local.directory / "terminal-4.log").read_text()
    assert "number of failed transactions: 0 (0.000%)" in report
    done = re.search(r"number of transactions actually processed: (\d+)", report)
    assert done is not None
    assert before < count(5442) == count(5432) == int(done[1])
    log = lines((local.directory / "terminal-5.log").read_text())
    iterations = [line for line in log if line.startswith("[")]
    assert all(re.fullmatch(r"\[[\d:]{8}\] #\d+ INSERT=\[ok\] SELECT=\[ok\] \[\d+ms\]", line) for line in iterations)
    assert log[-5:] == [
        "=== Workload Summary ===", f"Total iterations: {len(iterations)}", f"Successful: {len(iterations)}",
        "Failed: 0", "Success rate: 100%",
    ]  # fmt: skip
    (row,) = rows(local.run(f"{HELIOS.format(5432)} -c 'SELECT * FROM pg_replication_status LIMIT 1'"))
    assert (row["node_id"], row["role"], row["is_read_only"]) == ("primary", "standby", "t")


def test_cluster_tutorial_write_routing(containers: Walkthrough) -> None:
    """Step 3, every command of it."""
    tour = containers
    assert tour.run(
        'psql -h localhost -p 15432 -c "CREATE TABLE users (id INT PRIMARY KEY, name TEXT, created_by TEXT);"'
    ) == "CREATE TABLE\n"  # fmt: skip
    said = tour.run("psql -h localhost -p 15442 -c \"INSERT INTO users VALUES (1, 'Alice', 'standby-sync');\"")
    assert said == "INSERT 0 1\n"
    said = tour.run("psql -h localhost -p 15452 -c \"INSERT INTO users VALUES (2, 'Bob', 'standby-semisync');\"")
    assert said == "INSERT 0 1\n"
    said = tour.run(
        "psql -h localhost -p 15462 -c \"INSERT INTO users VALUES (3, 'Charlie', 'standby-async');\"", code=1
    )
    assert lines(said) == [
        "ERROR: cannot execute write operations in read-only mode (async standby)",
        "HINT: Connect to the primary for write operations, or configure sync mode for transparent routing.",
    ]
    assert lines(tour.run('psql -h localhost -p 15432 -c "SELECT * FROM users ORDER BY id;"')) == [
        "id | name | created_by",
        "----+-------+------------------",
        "1 | Alice | standby-sync",
        "2 | Bob | standby-semisync",
        "(2 rows)",
    ]
    said = tour.run("psql -h localhost -p 15442 -c \"UPDATE users SET name = 'Alice Updated' WHERE id = 1;\"")
    assert said == "UPDATE 1\n"
    assert tour.run('psql -h localhost -p 15452 -c "DELETE FROM users WHERE id = 2;"') == "DELETE 1\n"
    assert lines(tour.run('psql -h localhost -p 15432 -c "SELECT * FROM users;"')) == [
        "id | name | created_by", "----+---------------+--------------", "1 | Alice Updated | standby-sync", "(1 row)",
    ]  # fmt: skip


def test_cluster_tutorial_monitoring(containers: Walkthrough) -> None:
    """Step 4: the columns are those that the documentation of the views lists."""

    def asked(port: int, view: str) -> list[dict[str, str]]:
        said = containers.run(f'psql -h localhost -p {port} -c "SELECT * FROM {view};"')
        assert columns(said) == COLUMNS[view].split()
        return rows(said)

    def streaming() -> bool:
        found = asked(15432, "pg_replication_standbys")
        return len(found) == 3 and all(one["state"] == "synced" for one in found)

    wait_until(streaming, "three standbys are synced", 20)
    status = {one["node_id"]: one for one in asked(15432, "pg_replication_status")}
    assert next(iter(status)) == "primary"
    assert {name: one["role"] for name, one in status.items()} == {
        name: "primary" if name == "primary" else "standby" for name in MODES
    }
    assert {name: one["sync_mode"] for name, one in status.items()} == MODES
    assert (status["primary"]["is_read_only"], status["primary"]["standby_count"]) == ("f", "3")
    assert re.fullmatch(r"(localhost|127\.0\.0\.1):15432", status["primary"]["listen_address"])
    local = asked(15442, "pg_replication_status")[0]
    assert (local["node_id"], local["role"], local["sync_mode"], local["is_read_only"]) == (
        "standby-sync", "standby", "sync", "t",
    )  # fmt: skip
    assert {one["node_id"]: one["sync_mode"] for one in asked(15432, "pg_replication_standbys")} == {
        name: mode for name, mode in MODES.items() if name != "primary"
    }
    (primary,) = asked(15442, "pg_replication_primary")
    assert (primary["node_id"], primary["state"], primary["fencing_token"]) == ("primary", "streaming", "1")
    assert primary["local_lsn"] and int(primary["lag_bytes"]) >= 0
    (metrics,) = asked(15432, "pg_replication_metrics")
    assert int(metrics["records_replicated"]) > 0 and int(metrics["wal_bytes_written"]) > 0


def test_cluster_tutorial_interactive_session(containers: Walkthrough) -> None:
    """Step 5: what a person types into psql, and what it answers."""
    said = containers.run(
        "psql -h localhost -p 15432",
        typed="CREATE TABLE products (id INT, name TEXT, price DECIMAL);\n"
        "INSERT INTO products VALUES (1, 'Widget', 9.99);\n"
        "SELECT * FROM products;\n"
        "SELECT * FROM pg_replication_status;\n"
        "\\q\n",
    )
    assert lines(said)[:6] == [
        "CREATE TABLE", "INSERT 0 1", "id | name | price", "----+--------+-------", "1 | Widget | 9.99", "(1 row)",
    ]  # fmt: skip
    assert lines(said)[6].split(" | ") == COLUMNS["pg_replication_status"].split()
    assert lines(said)[8].startswith("primary | primary | sync |")
    said = containers.run(
        "psql -h localhost -p 15442",
        typed="INSERT INTO products VALUES (2, 'Gadget', 19.99); -- Forwarded!\n"
        "SELECT * FROM pg_replication_status; -- Shows standby role\n"
        "\\q\n",
    )
    assert lines(said)[0] == "INSERT 0 1"
    assert lines(said)[3].startswith("standby-sync | standby | sync |")
    assert lines(containers.run('psql -h localhost -p 15432 -c "SELECT * FROM products;"')) == [
        "id | name | price", "----+--------+-------", "1 | Widget | 9.99", "2 | Gadget | 19.99", "(2 rows)",
    ]  # fmt: skip
