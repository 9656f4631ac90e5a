"""Several workers on one port: one proxy for whoever looks at it, and for whoever tells it what to do."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import psutil
import psycopg
import pytest
from support.node_cluster import NodeCluster
from support.node_process import wait_until
from support.proxied import MakeProxy
from support.proxy_process import ProxyProcess

from helios_cli.engine.proxyserver.proxy import worker_of

WORKERS = 3
SESSIONS_MAX = 200


def start(proxy: ProxyProcess) -> ProxyProcess:
    """Start a proxy, and wait for its workers."""
    proxy.settings["workers"] = WORKERS
    proxy.start()
    wait_until(lambda: stat(proxy, "workers") == WORKERS, "every worker serves", 30)
    return proxy


@pytest.fixture(scope="module")
def proxy(node_cluster: NodeCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyProcess]:
    """A proxy that every test leaves as it was."""
    found = ProxyProcess(tmp_path_factory.mktemp("workers"), node_cluster.nodes)
    try:
        yield start(found)
    finally:
        found.kill()


def stat(proxy: ProxyProcess, name: str) -> float:
    """One of /stats; 0 where there is none of this name."""
    return float({row["name"]: row["value"] for row in proxy.http("/stats")[1]}.get(name, 0))


def workers_of(proxy: ProxyProcess) -> list[int]:
    """Their process ids."""
    return sorted(one.pid for one in psutil.Process(proxy.pid).children())


@contextlib.contextmanager
def sessions(proxy: ProxyProcess) -> Iterator[dict[int, psycopg.Connection[Any]]]:
    """A session at each worker, by its number."""
    with contextlib.ExitStack() as stack:
        found: dict[int, psycopg.Connection[Any]] = {}
        for _ in range(SESSIONS_MAX):
            connection = stack.enter_context(proxy.connect())
            found.setdefault(worker_of(connection.info.backend_pid), connection)
            if len(found) == WORKERS:
                yield found
                return
        pytest.fail(f"of {SESSIONS_MAX} sessions all are at {list(found)}")


def test_they_share_the_port_and_are_counted_together(proxy: ProxyProcess) -> None:
    assert proxy.http("/health") == (200, {"status": "ok"})
    assert proxy.http("/ready") == (200, {"status": "ok"})
    with sessions(proxy) as found:
        ids = {row["id"] for row in proxy.http("/clients")[1]}
        assert {connection.info.backend_pid for connection in found.values()} <= ids
        before = sum(stat(proxy, f"reads_n{number}_total") for number in (1, 2, 3))
        for connection in found.values():
            connection.execute("SELECT 1")
        after = sum(stat(proxy, f"reads_n{number}_total") for number in (1, 2, 3))
        assert after == before + WORKERS
    assert [row["name"] for row in proxy.http("/nodes")[1]] == ["n1", "n2", "n3"]
    text = proxy.http("/metrics")[1]
    assert f"heliosdb_proxy_workers {WORKERS}\n" in text and "heliosdb_proxy_units_total{" in text
    assert proxy.http("/routing/explain?sql=SELECT%201")[1]["access"] == "read"


def test_the_console_of_any_of_them_speaks_for_all(proxy: ProxyProcess) -> None:
    with sessions(proxy) as found, proxy.connect(dbname="heliosproxy") as console:
        rows = console.execute("SHOW CLIENTS").fetchall()
        assert len(rows) == len(proxy.http("/clients")[1]) >= WORKERS
        for connection in found.values():
            console.execute(f"KILL {connection.info.backend_pid}".encode())
            with pytest.raises(psycopg.OperationalError) as lost:
                connection.execute("SELECT 1")
            assert lost.value.sqlstate == "57P01"
        for unknown in (0xFF_FFFF, 5 << 24, 63 << 24 | 1):
            with pytest.raises(psycopg.Error) as caught:
                console.execute(f"KILL {unknown}".encode())
            assert caught.value.sqlstate == "42704"


def sleep(connection: psycopg.Connection[Any], failures: list[str | None]) -> None:
    """Run a statement until it is cancelled."""
    try:
        connection.execute("SELECT pg_sleep(60)")
    except psycopg.Error as error:
        failures.append(error.sqlstate)


def test_a_cancel_request_finds_its_client(proxy: ProxyProcess) -> None:
    with sessions(proxy) as found:
        for connection in found.values():
            failures: list[str | None] = []
            thread = threading.Thread(target=sleep, args=(connection, failures), daemon=True)
            thread.start()
            pid = connection.info.backend_pid

            def runs(pid: int = pid) -> bool:
                return any(row["client"] == pid and row["state"] == "active" for row in proxy.http("/servers")[1])

            wait_until(runs, "the statement runs", 20)
            for _ in range(20):
                # Each goes to whichever worker the port gives it to, and does nothing before the statement has begun.
                connection.cancel_safe()
                thread.join(1)
                if not thread.is_alive():
                    break
            assert failures == ["57014"]


def test_pause_and_drain_are_for_all(proxy: ProxyProcess) -> None:
    with sessions(proxy) as found:
        assert proxy.verb("/pause?wait=1")[0] == 200
        threads = [threading.Thread(target=one.execute, args=("SELECT 1",), daemon=True) for one in found.values()]
        for thread in threads:
            thread.start()
        states = [row["state"] for row in proxy.http("/clients")[1]]
        wait_until(
            lambda: [row["state"] for row in proxy.http("/clients")[1]].count("waiting") == WORKERS,
            f"all of them wait, not {states}", 20,
        )  # fmt: skip
        assert proxy.verb("/resume")[0] == 200
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive()
        assert proxy.verb("/drain/n3")[0] == 200
        assert {row["name"]: row["state"] for row in proxy.http("/nodes")[1]}["n3"] == "draining"
        assert proxy.verb("/drain/n1")[0] == 409
        assert proxy.verb("/drain/nobody")[0] == 404
        assert proxy.verb("/undrain/n3")[0] == 200
        assert {row["state"] for row in proxy.http("/nodes")[1]} == {"healthy"}


def test_one_that_dies_is_replaced_and_is_as_the_others(make_proxy: MakeProxy, node_cluster: NodeCluster) -> None:
    proxy = start(make_proxy(node_cluster.nodes, start=False))
    proxy.verb("/drain/n3")
    before = workers_of(proxy)
    assert len(before) == WORKERS
    os.kill(before[1], signal.SIGKILL)
    wait_until(lambda: len(set(workers_of(proxy)) - set(before)) == 1, "another one has begun", 30)
    wait_until(lambda: stat(proxy, "workers") == WORKERS, "it serves", 30)
    with sessions(proxy) as found:
        for connection in found.values():
            assert connection.execute("SELECT 1").fetchone() == (1,)
    assert {row["name"]: row["state"] for row in proxy.http("/nodes")[1]}["n3"] == "draining"
    assert "ended with signal 9" in proxy.log_path.read_text()
    # All have the same node drained: nobody says that it is healthy, and none has a backend there.
    proxy.verb("/undrain/n3")
    wait_until(
        lambda: {row["state"] for row in proxy.http("/nodes")[1]} == {"healthy"}, "every worker uses it again", 20
    )


def test_one_that_hangs_is_killed_and_replaced(make_proxy: MakeProxy, node_cluster: NodeCluster) -> None:
    """The port would give it its share of the clients, and they would wait for ever."""
    proxy = start(make_proxy(node_cluster.nodes, start=False))
    hung = workers_of(proxy)[1]
    os.kill(hung, signal.SIGSTOP)
    wait_until(lambda: hung not in workers_of(proxy), "it is killed", 60)
    wait_until(lambda: len(workers_of(proxy)) == WORKERS and stat(proxy, "workers") == WORKERS, "another serves", 30)
    with sessions(proxy) as found:
        assert all(connection.execute("SELECT 1").fetchone() == (1,) for connection in found.values())


def test_settings_and_limits_are_for_all_together(make_proxy: MakeProxy, node_cluster: NodeCluster) -> None:
    proxy = start(make_proxy(node_cluster.nodes, start=False, settings={"max_clients": 6, "pool_size": 3}))
    with proxy.connect(dbname="heliosproxy") as console:
        settings = {row[0]: row[1] for row in console.execute("SHOW CONFIG").fetchall()}
    assert (settings["max_clients"], settings["pool_size"], settings["workers"]) == ("6", "3", str(WORKERS))
    with contextlib.ExitStack() as stack:
        refused = 0
        for _ in range(30):
            try:
                stack.enter_context(proxy.connect())
            except psycopg.OperationalError as error:
                refused += "too many clients" in str(error)
        assert stat(proxy, "clients") <= 6 and refused >= 24
    proxy.settings["max_clients"] = 60
    proxy.write_config()
    assert proxy.verb("/reload")[0] == 200
    wait_until(lambda: "max_clients changed" in proxy.log_path.read_text(), "the settings are others", 20)
    with contextlib.ExitStack() as stack:
        for _ in range(12):
            stack.enter_context(proxy.connect())


def test_all_of_them_end_gracefully(make_proxy: MakeProxy, node_cluster: NodeCluster) -> None:
    proxy = start(make_proxy(node_cluster.nodes, start=False))
    pids = workers_of(proxy)
    with sessions(proxy) as found:
        first, second, third = found.values()
        for connection in (first, second):
            connection.execute("BEGIN")
            connection.execute("SELECT 1")
        proxy.send(signal.SIGTERM)
        wait_until(lambda: stat(proxy, "clients") == 2, "idle sessions are ended", 20)
        assert proxy.http("/health")[1]["reason"] == "the proxy is stopping"
        with pytest.raises(psycopg.OperationalError):
            third.execute("SELECT 1")
        for connection in (first, second):
            connection.execute("SELECT 2")
            connection.execute("COMMIT")
    assert proxy.wait() == 0
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_one_that_hangs_keeps_nobody_from_an_answer(make_proxy: MakeProxy, node_cluster: NodeCluster) -> None:
    proxy = start(make_proxy(node_cluster.nodes, start=False, settings={"shutdown_timeout_secs": 0.1}))
    pids = workers_of(proxy)
    os.kill(pids[0], signal.SIGSTOP)
    assert proxy.http("/health") == (200, {"status": "ok"})
    assert stat(proxy, "workers") == WORKERS - 1
    # Nor does it keep the proxy from its end.
    assert proxy.stop() == 0
    wait_until(lambda: not is_alive(pids[0]), "the worker is gone", 20)


def is_alive(pid: int) -> bool:
    """Whether a process runs, or could."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_they_do_not_outlive_the_parent(make_proxy: MakeProxy, node_cluster: NodeCluster) -> None:
    proxy = start(make_proxy(node_cluster.nodes, start=False))
    pids = workers_of(proxy)
    os.kill(proxy.pid, signal.SIGKILL)
    proxy.wait()
    wait_until(lambda: not any(map(is_alive, pids)), "the workers are gone", 20)


def test_a_port_of_another_proxy_is_not_shared(make_proxy: MakeProxy, node_cluster: NodeCluster) -> None:
    first = start(make_proxy(node_cluster.nodes, start=False))
    second = make_proxy(node_cluster.nodes, start=False)
    second.settings |= {"workers": WORKERS, "listen_addr": f"127.0.0.1:{first.pg_port}"}
    second.start(wait=False)
    assert second.wait() != 0
    assert f"cannot listen on 127.0.0.1:{first.pg_port}" in second.log_tail()
