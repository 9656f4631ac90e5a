"""The proxy's admin address: what it tells, its verbs, and its end."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from support.node_cluster import NodeCluster
from support.node_process import free_port, wait_until
from support.proxied import MakeProxy, Proxied
from support.proxy_process import ProxyProcess

from helios_cli.engine.proxyserver import admin_fields

SAMPLE = re.compile(r"(heliosdb_[a-z0-9_]+)(?:\{([^}]*)\})? (-?[0-9.e+-]+|\+Inf|NaN)")


@pytest.fixture(scope="module")
def proxy(node_cluster: NodeCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyProcess]:
    """A proxy before the cluster, for all tests that leave it as it was."""
    found = ProxyProcess(tmp_path_factory.mktemp("admin"), node_cluster.nodes)
    try:
        yield found.start()
    finally:
        found.kill()


def samples(proxy: ProxyProcess) -> dict[tuple[str, str], float]:
    """All of /metrics: name and labels to value."""
    status, text = proxy.http("/metrics")
    assert status == 200
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    found = [SAMPLE.fullmatch(line) for line in lines]
    assert all(found), [line for line, match in zip(lines, found, strict=True) if match is None]
    return {(match[1], match[2] or ""): float(match[3]) for match in found if match is not None}


def stat(proxy: ProxyProcess, name: str) -> float:
    """One of /stats."""
    found = {row["name"]: row["value"] for row in proxy.http("/stats")[1]}
    return float(found[name])


def test_it_says_that_it_serves(proxy: ProxyProcess) -> None:
    assert proxy.http("/health") == (200, {"status": "ok"})
    assert proxy.http("/ready") == (200, {"status": "ok"})


def test_without_any_node_it_does_not_serve_and_says_why(make_proxy: MakeProxy) -> None:
    proxy = make_proxy([free_port()], start=False).start(wait=False)

    wait_until(lambda: proxy.http("/health")[0] > 0, "the admin address answers", 30)
    status, said = proxy.http("/health")
    assert status == 503 and "n1 is unhealthy" in said["reason"]
    status, said = proxy.http("/ready")
    assert status == 503


def test_nodes_tells_who_leads_and_who_follows(proxied: Proxied) -> None:
    status, rows = proxied.proxy.http("/nodes")
    assert status == 200 and [tuple(row) for row in rows] == [admin_fields.NODES] * len(rows)
    assert [row["role"] for row in rows] == ["primary"] + ["standby"] * (len(rows) - 1)
    assert {row["state"] for row in rows} == {"healthy"} and {row["port"] for row in rows} == proxied.ports
    assert all(row["term"] >= 1 and row["lsn"] != "0/0" and row["latency_ms"] > 0 for row in rows)


def test_clients_and_pools_and_servers_tell_of_a_session(proxied: Proxied) -> None:
    proxy = proxied.proxy
    with proxy.connect(application_name="looked at", autocommit=False) as connection:
        connection.execute("SELECT 1")
        status, rows = proxy.http("/clients")
        assert status == 200 and tuple(rows[0]) == admin_fields.CLIENTS
        (row,) = [row for row in rows if row["application_name"] == "looked at"]
        assert (row["state"], row["user"], row["database"]) == ("transaction", proxy.user, proxy.database)
        assert row["id"] == connection.info.backend_pid and row["node"] and not row["tls"]
        servers = [one for one in proxy.http("/servers")[1] if one["client"] == row["id"]]
        assert [(one["node"], one["state"]) for one in servers] == [(row["node"], "kept")]
        pools = proxy.http("/pools")[1]
        assert tuple(pools[0]) == admin_fields.POOLS
        (pool,) = [one for one in pools if one["node"] == row["node"] and one["database"] == proxy.database]
        assert pool["active"] >= 1 and pool["mode"] == "transaction"
        connection.commit()
        (row,) = [row for row in proxy.http("/clients")[1] if row["application_name"] == "looked at"]
        assert (row["state"], row["node"]) == ("idle", "")


def test_metrics_count_units_by_node_and_class(proxied: Proxied) -> None:
    proxy = proxied.proxy
    proxied.prepare("CREATE TABLE IF NOT EXISTS counted (id int)")

    def units(kind: str) -> float:
        found = samples(proxy).items()
        name = "heliosdb_proxy_units_total"
        return sum(value for key, value in found if key[0] == name and f'class="{kind}"' in key[1])

    reads, writes = units("read"), units("write")
    with proxy.connect() as connection:
        for _ in range(5):
            connection.execute("SELECT 1")
        connection.execute("INSERT INTO counted VALUES (1)")
    assert (units("read"), units("write")) == (reads + 5, writes + 1)
    found = samples(proxy)
    names = {name for name, _ in found}
    for expected in (
        "sessions_total", "clients", "waits_total", "timeouts_total", "lost_total", "repeated_total", "asked_total",
        "unknown_total", "replayed_total", "replays_failed_total", "pool_idle", "pool_active", "pool_waiting",
        "node_state", "node_term", "node_lag_bytes", "node_lag_seconds", "node_latency_seconds", "wait_seconds_bucket",
        "memory_bytes", "failed_logins_total", "refused_clients_total",
    ):  # fmt: skip
        assert f"heliosdb_proxy_{expected}" in names
    assert "heliosdb_loop_stall_max_seconds" in names
    assert found["heliosdb_proxy_node_state", 'node="n1",state="healthy",role="primary"'] == 1


def explain(proxy: ProxyProcess, sql: str, **more: str) -> dict[str, Any]:
    """What /routing/explain says."""
    extra = "".join(f"&{name}={quote(text, safe='')}" for name, text in more.items())
    status, found = proxy.http(f"/routing/explain?sql={quote(sql, safe='')}{extra}")
    assert status == 200, found
    assert set(admin_fields.EXPLAINED) <= set(found)
    return dict(found)


def test_explain_tells_where_a_statement_would_go(proxy: ProxyProcess) -> None:
    everybody = ["n1", "n2", "n3"]
    wait_until(lambda: explain(proxy, "SELECT 1")["candidates"] == everybody, "all are readers", 20)
    assert explain(proxy, "SELECT 1")["access"] == "read"
    write = explain(proxy, "INSERT INTO t VALUES (1)")
    assert (write["access"], write["why"], write["node"], write["candidates"]) == ("write", "INSERT", "n1", ["n1"])
    assert write["named"]
    assert explain(proxy, "SELECT * FROM t FOR UPDATE")["candidates"] == ["n1"]
    assert explain(proxy, "/* helios: primary */ SELECT 1")["node"] == "n1"
    assert explain(proxy, "SELECT 1", hint="n3")["node"] == "n3"
    assert explain(proxy, "LISTEN x")["pins"] == "LISTEN"
    # What nobody but the primary can show goes there.
    assert explain(proxy, "SELECT 1", floor="FFFF/0")["candidates"] == ["n1"]
    assert explain(proxy, "SELECT 1", floor="0/1")["candidates"] == everybody


def test_explain_refuses_what_it_cannot_read(proxy: ProxyProcess) -> None:
    assert proxy.http("/routing/explain")[0] == 400
    status, said = proxy.http("/routing/explain?sql=SELECT%201&floor=yesterday")
    assert (status, said["sqlstate"]) == (400, "22023")


VERBS = ("/pause", "/resume", "/reload", "/drain/n2", "/undrain/n2", "/drain/nobody")


@pytest.mark.parametrize("path", VERBS)
def test_no_verb_without_the_token(proxy: ProxyProcess, path: str) -> None:
    assert proxy.http(path, body={})[0] == 401
    assert proxy.http(path, body={}, token="x" * 43)[0] == 403
    assert proxy.http(path, body={}, token=proxy.token[:-1])[0] == 403
    assert proxy.http(path)[0] == 405
    assert proxy.http("/ready") == (200, {"status": "ok"})
    assert {row["state"] for row in proxy.http("/nodes")[1]} == {"healthy"}


def test_what_there_is_not(proxy: ProxyProcess) -> None:
    status, said = proxy.http("/nowhere")
    assert status == 404 and "/metrics" in said["hint"] and "/drain/{node}" in said["hint"]
    assert proxy.http("/health", body={})[0] == 405
    for verb in ("/drain/", "/undrain/"):
        status, said = proxy.verb(f"{verb}nobody")
        assert (status, said["sqlstate"]) == (404, "42704") and said["hint"] == "Its nodes: n1, n2, n3."


def test_the_token_is_in_a_file_of_the_owner_and_nowhere_in_the_log(proxy: ProxyProcess) -> None:
    assert (proxy.directory / "proxy.token").stat().st_mode & 0o777 == 0o600
    proxy.verb("/resume")
    assert proxy.token not in proxy.log_path.read_text()


class Running:
    """A statement in a thread of its own."""

    def __init__(self, connection: psycopg.Connection[Any], sql: str) -> None:
        self.failure: BaseException | None = None
        self._work = (connection, sql)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        connection, sql = self._work
        try:
            connection.execute(sql)
        except BaseException as error:
            self.failure = error

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def join(self) -> None:
        self._thread.join(30)
        assert not self._thread.is_alive()


def states(proxy: ProxyProcess) -> list[str]:
    """Of all clients."""
    return sorted(row["state"] for row in proxy.http("/clients")[1])


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_what_comes_in_a_pause_waits_and_goes_on(make_proxy: MakeProxy, node_cluster: NodeCluster, mode: str) -> None:
    proxy = make_proxy(node_cluster.nodes, settings={"pool_mode": mode})
    with proxy.connect() as connection, proxy.connect(autocommit=False) as other:
        connection.execute("SELECT 1")
        other.execute("SELECT 1")
        waits = stat(proxy, "waits_total")
        status, said = proxy.verb("/pause")
        assert status == 200 and said["under_way"] == 1
        status, said = proxy.http("/ready")
        assert (status, said["reason"]) == (503, "the proxy is paused") and proxy.http("/health")[0] == 200
        waiting = Running(connection, "SELECT 1")
        wait_until(lambda: "waiting" in states(proxy), "it waits", 20)
        # What has begun may end.
        other.execute("SELECT 2")
        other.commit()
        assert proxy.verb("/pause?wait=1")[1]["under_way"] == 0
        assert waiting.running
        assert proxy.verb("/resume")[0] == 200
        waiting.join()
        assert waiting.failure is None
        assert stat(proxy, "waits_total") == waits + 1 and stat(proxy, "timeouts_total") == 0
    assert samples(proxy)["heliosdb_proxy_wait_seconds_count", ""] >= 1


def test_a_pause_has_an_end_for_everybody(make_proxy: MakeProxy, node_cluster: NodeCluster) -> None:
    proxy = make_proxy(node_cluster.nodes, settings={"write_timeout_secs": 1})
    with proxy.connect() as connection, proxy.connect(autocommit=False) as other:
        other.execute("SELECT 1")
        status, said = proxy.verb("/pause?wait=1")
        assert status == 504 and "1 clients" in said["error"]
        with pytest.raises(psycopg.OperationalError, match="the proxy, which is paused") as caught:
            connection.execute("SELECT 1")
        assert caught.value.sqlstate == "57P03"
        assert stat(proxy, "timeouts_total") == 1
        proxy.verb("/resume")
        connection.execute("SELECT 1")


def test_a_drained_node_gets_nothing_new(make_proxy: MakeProxy, node_cluster: NodeCluster) -> None:
    proxy = make_proxy(node_cluster.nodes)
    wait_until(lambda: explain(proxy, "SELECT 1")["candidates"] == ["n1", "n2", "n3"], "all are readers", 20)

    def reads(count: int) -> set[int]:
        with proxy.connect() as connection:
            found = [connection.execute("SELECT inet_server_port()").fetchone() for _ in range(count)]
        return {row[0] for row in found if row is not None}

    third = node_cluster.nodes[2].pg_port
    assert third in reads(12)
    assert proxy.verb("/drain/n3")[0] == 200
    assert proxy.verb("/drain/n3")[0] == 200
    assert third not in reads(12)
    (row,) = [row for row in proxy.http("/nodes")[1] if row["name"] == "n3"]
    assert (row["state"], row["backends"]) == ("draining", 0)
    assert proxy.verb("/undrain/n3")[0] == 200
    assert third in reads(12)


def test_who_waits_at_a_drained_node_is_served_by_another(make_proxy: MakeProxy, node_cluster: NodeCluster) -> None:
    proxy = make_proxy(node_cluster.nodes, settings={"pool_size": 1})
    wait_until(lambda: explain(proxy, "SELECT 1")["candidates"] == ["n1", "n2", "n3"], "all are readers", 20)
    with proxy.connect() as holder, proxy.connect() as other:
        holder.execute("/* helios: n3 */ BEGIN READ ONLY")
        holder.execute("SELECT 1")
        waiting = Running(other, "/* helios: n3 */ SELECT 1")
        wait_until(lambda: "waiting" in states(proxy), "it waits for the only backend", 20)
        assert proxy.verb("/drain/n3")[0] == 200
        waiting.join()
        assert waiting.failure is None
        # What has begun there goes on to its end, and then nothing is left.
        assert holder.execute("SELECT inet_server_port()").fetchone() == (node_cluster.nodes[2].pg_port,)
        holder.execute("COMMIT")
        (row,) = [row for row in proxy.http("/nodes")[1] if row["name"] == "n3"]
        assert (row["state"], row["backends"], row["active"]) == ("draining", 0, 0)


def test_the_primary_is_drained_by_force_alone(make_proxy: MakeProxy, node_cluster: NodeCluster) -> None:
    proxy = make_proxy(node_cluster.nodes)
    status, said = proxy.verb("/drain/n1")
    assert (status, said["sqlstate"]) == (409, "55000") and "switchover" in said["hint"]
    assert proxy.http("/ready")[0] == 200
    assert proxy.verb("/drain/n1?force=1")[0] == 200
    assert proxy.http("/ready")[0] == 503
    with proxy.connect() as connection:
        connection.execute("SELECT 1")
        writing = Running(connection, "CREATE TABLE IF NOT EXISTS drained (id int)")
        wait_until(lambda: "waiting" in states(proxy), "it waits", 20)
        assert proxy.verb("/undrain/n1")[0] == 200
        writing.join()
        assert writing.failure is None


def test_reload_says_what_has_changed(make_proxy: MakeProxy, node_cluster: NodeCluster) -> None:
    proxy = make_proxy(node_cluster.nodes)
    proxy.settings |= {"pool_size": 3, "workers": 2}
    proxy.write_config()
    status, said = proxy.verb("/reload")
    assert status == 200
    # The watch of the file may have been quicker.
    log = proxy.log_path.read_text()
    assert said["at_once"] == ["pool_size"] or "pool_size changed" in log
    proxy.settings["pool_size"] = 0
    proxy.write_config()
    status, said = proxy.verb("/reload")
    assert (status, said["sqlstate"]) == (422, "F0000") and "pool_size" in said["problems"][0]


def test_what_has_begun_may_end_before_the_proxy_does(make_proxy: MakeProxy, node_cluster: NodeCluster) -> None:
    proxy = make_proxy(node_cluster.nodes)
    with proxy.connect() as idle, proxy.connect() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS at_the_end (id int)")
        connection.execute("BEGIN")
        connection.execute("INSERT INTO at_the_end VALUES (1)")
        proxy.send(signal.SIGTERM)
        wait_until(lambda: states(proxy) == ["transaction"], "the idle session is ended", 20)
        with pytest.raises(psycopg.OperationalError) as caught:
            idle.execute("SELECT 1")
        assert caught.value.sqlstate == "57P01"
        status, said = proxy.http("/health")
        assert (status, said["reason"]) == (503, "the proxy is stopping")
        with pytest.raises(psycopg.OperationalError):
            proxy.connect(connect_timeout=2)
        connection.execute("INSERT INTO at_the_end VALUES (2)")
        connection.execute("COMMIT")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    assert proxy.wait() == 0
    with node_cluster.primary.connect() as direct:
        assert direct.execute("SELECT count(*) FROM at_the_end").fetchone() == (2,)


@pytest.mark.parametrize("again", [False, True], ids=["in time", "at the second signal"])
def test_the_end_does_not_wait_for_ever(make_proxy: MakeProxy, node_cluster: NodeCluster, again: bool) -> None:
    proxy = make_proxy(node_cluster.nodes, settings={"shutdown_timeout_secs": 3600 if again else 0.2})
    with proxy.connect() as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT 1")
        proxy.send(signal.SIGTERM)
        if again:
            wait_until(lambda: proxy.http("/health")[0] == 503, "it is about to end", 20)
            proxy.send(signal.SIGTERM)
        assert proxy.wait() == 0
        with pytest.raises(psycopg.OperationalError) as caught:
            connection.execute("SELECT 1")
        assert caught.value.sqlstate == "57P01"
