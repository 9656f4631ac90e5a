"""What the proxy's log says: a line for each change, and of statements only when it is asked to."""

from __future__ import annotations

import re
import threading

from support.node_cluster import NodeCluster
from support.node_process import wait_until
from support.proxied import MakeProxy
from support.proxy_process import ProxyProcess


def lines(proxy: ProxyProcess, what: str) -> list[str]:
    """Those that a pattern is found in."""
    return [line for line in proxy.log_path.read_text().splitlines() if re.search(what, line)]


def test_sessions_and_changes_are_told_once(make_proxy: MakeProxy, node_cluster: NodeCluster) -> None:
    proxy = make_proxy(node_cluster.nodes)
    with proxy.connect(application_name="x") as connection:
        pid = connection.info.backend_pid
        connection.execute("SELECT 1")
    for name in ("n1", "n2", "n3"):
        wait_until(lambda: f"node {name} is healthy" in proxy.log_path.read_text(), f"{name} is healthy", 20)  # noqa: B023
        assert len(lines(proxy, f"INFO .* node {name} is healthy")) == 1
        assert len(lines(proxy, f"INFO .*role change: node {name} is (a standby|the primary)")) == 1
    assert len(lines(proxy, f"INFO .*session {pid} of {proxy.user}@{proxy.database} from .* begins")) == 1
    assert lines(proxy, "INFO .*routing: writes go to node n1, reads to n1, n2, n3")
    # Of statements, and of the ends of sessions, nothing.
    assert not lines(proxy, f"session {pid}.*(to node|ends)") and not lines(proxy, " DEBUG ")


def test_at_debug_each_unit_is_told_with_its_reason(make_proxy: MakeProxy, node_cluster: NodeCluster) -> None:
    proxy = make_proxy(node_cluster.nodes, settings={"log_level": "debug"})
    with proxy.connect() as connection:
        pid = connection.info.backend_pid
        connection.execute("CREATE TABLE IF NOT EXISTS told (id int, secret text)")
        connection.execute("INSERT INTO told VALUES (1, 'this is no business of the log')")
        connection.execute("SELECT 'nor is this', %s", ("nor this",))
    wait_until(lambda: len(lines(proxy, f"session {pid} .* ends after")) == 1, "the end of the session is told", 20)
    assert lines(proxy, f"DEBUG .*routing: session {pid}, INSERT to node n1")
    assert lines(proxy, f"DEBUG .*routing: session {pid}, SELECT to node n[123]")
    assert not lines(proxy, "no business|nor is this|nor this")


def test_a_pool_that_is_exhausted_is_told_once_a_minute(make_proxy: MakeProxy, node_cluster: NodeCluster) -> None:
    proxy = make_proxy(node_cluster.nodes[:1], settings={"pool_size": 1})
    with proxy.connect() as holder, proxy.connect() as other:
        for _ in range(3):
            holder.execute("BEGIN")
            holder.execute("SELECT 1")
            thread = threading.Thread(target=other.execute, args=("SELECT 2",), daemon=True)
            thread.start()
            wait_until(lambda: "waiting" in [row["state"] for row in proxy.http("/clients")[1]], "somebody waits", 20)
            assert proxy.http("/pools")[1][0]["waiting"] == 1
            holder.execute("COMMIT")
            thread.join(20)
    (line,) = lines(proxy, "pool exhausted")
    assert " WARNING " in line and "all 1 backends" in line and "node n1" in line and "pool_size" in line


def test_no_secret_is_in_the_log(make_proxy: MakeProxy, node_cluster: NodeCluster) -> None:
    more = '[[users]]\nname = "postgres"\npassword = "my-own-secret"\n'
    proxy = make_proxy(node_cluster.nodes, start=False, more=more, settings={"log_level": "debug"}).start(wait=False)
    wait_until(lambda: proxy.http("/ready")[0] == 200, "the proxy is ready", 30)
    with proxy.connect(password="my-own-secret") as connection:
        connection.execute("CREATE ROLE confided PASSWORD 'my-own-secret'")
        connection.execute("DROP ROLE confided")
    proxy.verb("/reload")
    proxy.http("/pause", body={}, token="my-own-secret" * 3)
    assert proxy.stop() == 0
    assert not lines(proxy, "my-own-secret") and not lines(proxy, re.escape(proxy.token))
    assert not lines(proxy, r"SCRAM-SHA-256\$")
