"""``cluster`` and the verbs that move the lead, with real processes; and the parts they stand on."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from support.local_clusters import LEAN, asked, base_port, call, end_clusters, settle_in
from support.node_process import wait_until

from helios_cli.commands import _output
from helios_cli.commands.local import clusterfile, faces, layout, processes, proxyfile
from helios_cli.engine.config.proxy import ProxySettings
from helios_cli.engine.config.proxy_load import load_proxy
from helios_cli.engine.errors import ConfigError, HeliosError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle_in(tmp_path, monkeypatch)


# The parts ------------------------------------------------------------------------------------------------------------


def test_the_ports_and_names_of_the_tutorial() -> None:
    nodes = layout.new_nodes(3, None, None)
    assert [(one.name, one.role, one.mode, *one.ports.values()) for one in nodes] == [
        ("primary", "primary", "sync", 5432, 5433, 8080),
        ("standby-sync", "standby", "sync", 5442, 5443, 8081),
        ("standby-async", "standby", "async", 5452, 5453, 8082),
    ]
    nodes = layout.new_nodes(4, "quorum", 7000)
    assert [one.name for one in nodes] == ["primary", "standby-quorum", "standby-quorum-2", "standby-quorum-3"]
    assert nodes[3].ports == {"pg": 7030, "native": 7031, "http": 7032}
    assert layout.new_proxy(4, None).ports == {"pg": 5400, "admin": 9090}
    assert layout.new_proxy(4, 7000).ports == {"pg": 7040, "admin": 7041}
    assert layout.proxy_after(nodes).ports == {"pg": 7040, "admin": 7041}


@pytest.mark.parametrize(
    ("modes", "mode", "names"),
    [
        ("semi-sync,async", "semi-sync", ["standby-semi-sync", "standby-async"]),
        ("async,sync,semi-sync", "sync", ["standby-async", "standby-sync", "standby-semi-sync"]),
        ("async,async", "async", ["standby-async", "standby-async-2"]),
    ],
)
def test_each_standby_has_the_class_that_was_named(modes: str, mode: str, names: list[str]) -> None:
    primary, *standbys = layout.new_nodes(3, None, None, 0, modes.split(","))
    assert primary.mode == mode, "the strictest"
    assert [one.name for one in standbys] == names and [one.mode for one in standbys] == modes.split(",")


def test_free_ports_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = server.getsockname()[1]
        monkeypatch.setattr(layout, "FREE_FROM", held - 12)  # the third port of the second process, if it were taken
        with layout.free_base(2) as base:
            assert base != held - 12
        monkeypatch.setattr(layout, "FREE_FROM", 65500)
        with pytest.raises(HeliosError, match="no free ports"), layout.free_base(4):
            pass


def test_two_that_look_for_ports_at_once_are_given_different_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "FREE_FROM", first := base_port())
    with layout.free_base(3) as one, layout.free_base(15) as other, layout.free_base(3) as third:
        assert one == first and other >= one + 100 and third >= other + 200
    with layout.free_base(3) as again:
        assert again == first, "it is let go"


def test_the_settings_of_the_proxy_are_kept_and_its_nodes_are_right(tmp_path: Path) -> None:
    cluster = clusterfile.LocalCluster(
        tmp_path, layout.new_nodes(2, "async", 7000, 1), (), layout.new_proxy(3, 7000), "elsewhere"
    )
    clusterfile.write(cluster)
    assert clusterfile.read(tmp_path) == cluster
    assert cluster.data_dir(cluster.nodes[0]) == tmp_path / "elsewhere" / "primary"
    assert [one.name for one in cluster.members] == ["primary", "standby-async", "observer", "proxy"]
    proxyfile.write(cluster)

    def loaded() -> tuple[ProxySettings, list[tuple[str, int, str]]]:
        settings = load_proxy({}, str(cluster.proxy_file)).settings
        return settings, [(one.name, one.port, one.role) for one in settings.nodes]

    settings, nodes = loaded()
    assert (settings.listen_host, settings.listen_port, settings.admin_port) == ("127.0.0.1", 7030, 7031)
    assert nodes == [("primary", 7000, "primary"), ("standby-async", 7010, "standby")]
    text = cluster.proxy_file.read_text().replace("write_timeout_secs = 30", "write_timeout_secs = 7 # mine")
    cluster.proxy_file.write_text(text.replace('role = "standby"', 'role = "standby"\nweight = 3'))
    wider = clusterfile.with_nodes(cluster, (*cluster.nodes, clusterfile.LocalNode("c", "standby", "async", 1, 2, 3)))
    proxyfile.write(clusterfile.with_proxy(wider, clusterfile.LocalProxy(7050, 7031)))
    settings, nodes = loaded()
    assert (settings.write_timeout, settings.listen_port, settings.nodes[1].weight) == (7, 7050, 3)
    assert nodes[2:] == [("c", 1, "standby")] and "# mine" in cluster.proxy_file.read_text()
    cluster.proxy_file.write_text("[proxy")
    with pytest.raises(ConfigError, match=r"proxy.toml is not in order"):
        proxyfile.write(wider)


def test_observers_lie_behind_the_data_nodes(tmp_path: Path) -> None:
    nodes = layout.new_nodes(2, "semi-sync", None, 2)
    assert [(one.name, one.role, one.ports) for one in nodes[2:]] == [
        ("observer", "observer", {"native": 5453, "http": 8082}),
        ("observer-2", "observer", {"native": 5463, "http": 8083}),
    ]
    cluster = clusterfile.LocalCluster(tmp_path, nodes)
    clusterfile.write(cluster)
    assert clusterfile.read(tmp_path) == cluster and cluster.data_nodes == nodes[:2]
    assert layout.free_ports_after(layout.new_nodes(2, None, 7000, 1)) == (7030, 7031, 7032)
    command = processes.command_line(cluster, nodes[2], nodes[0])
    assert command[command.index("--replication-role") + 1] == "observer"
    assert "--pg-port" not in command and "--replication-mode" not in command
    cluster.path.write_text('[[nodes]]\nname = "o"\nrole = "observer"\nnative_port = 1\nhttp_port = 2\n')
    with pytest.raises(ConfigError, match="names no node but observers"):
        clusterfile.read(tmp_path)


def test_the_file_is_read_back_and_keeps_what_people_wrote(tmp_path: Path) -> None:
    cluster = clusterfile.LocalCluster(tmp_path, layout.new_nodes(2, "async", 7000), ("max_connections=7",))
    clusterfile.write(cluster)
    assert clusterfile.read(tmp_path) == cluster
    text = (
        cluster.path.read_text()
        .replace("[[nodes]]", "# mine\n[[nodes]]", 1)
        .replace('mode = "async"', 'mode = "async" # why')
    )
    cluster.path.write_text(text + 'note = "kept"\n')
    clusterfile.write(
        clusterfile.with_nodes(cluster, (*cluster.nodes, clusterfile.LocalNode("c", "standby", "sync", 1, 2, 3)))
    )
    written = cluster.path.read_text()
    assert 'note = "kept"' in written
    assert "# why" in written
    assert [one.name for one in clusterfile.read(tmp_path).nodes] == ["primary", "standby-async", "c"]


def test_settings_of_one_node_and_how_it_is_asked(tmp_path: Path) -> None:
    cluster = clusterfile.LocalCluster(tmp_path, layout.new_nodes(2, "async", 7000), ("lock_timeout=5s",))
    clusterfile.write(cluster)
    text = cluster.path.read_text()
    own = 'settings = ["tls_cert=a.crt", "tls_key=a.key", "tls_ca=ca.crt"]\n'
    cluster.path.write_text(text.replace("http_port = 7002\n", f"http_port = 7002\n{own}"))
    first, second = (read := clusterfile.read(tmp_path)).nodes
    assert processes.command_line(read, first, None)[-8:] == [
        "--set", "lock_timeout=5s", "--set", "tls_cert=a.crt", "--set", "tls_key=a.key", "--set", "tls_ca=ca.crt",
    ]  # fmt: skip
    assert processes.command_line(read, second, first)[-2:] == ["--set", "lock_timeout=5s"]
    asked = faces.http_address(read, first)
    assert (asked.tls, asked.port, asked.own_certificate, asked.cluster_ca) == (True, 7002, "a.crt", "ca.crt")
    assert not faces.http_address(read, second).tls
    clusterfile.write(read)
    assert clusterfile.read(tmp_path) == read, "they are kept"
    for wrong in ('{ tls_cert = "a.crt" }', '["tls_cert"]', '"tls_cert=a.crt"'):
        cluster.path.write_text(text.replace("http_port = 7002\n", f"http_port = 7002\nsettings = {wrong}\n"))
        with pytest.raises(ConfigError, match="settings of primary are a list of texts"):
            clusterfile.read(tmp_path)


NODE = '[[nodes]]\nname="{}"\nrole="{}"\nmode="sync"\npg_port=1\nnative_port=2\nhttp_port={}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nodes = 3", "is not in order"),
        ("[[nodes]", "is no TOML"),
        ("", "nodes is missing"),
        ("nodes = []", "names no node"),
        (NODE.format("a", "king", 3), "role 'king'"),
        (NODE.format("a/b", "primary", 3), "cannot be the name"),
        (NODE.format("a", "primary", 99999), "the ports of a"),
        (NODE.format("a", "primary", 2), "the port 2 twice"),
        (NODE.format("a", "primary", 3) + "\n[proxy]\npg_port=4", "admin_port is missing"),
        (NODE.format("a", "primary", 3) + "\n[proxy]\npg_port=4\nadmin_port=3", "the port 3 twice"),
        (NODE.format("proxy", "primary", 3) + "\n[proxy]\npg_port=4\nadmin_port=5", "the name proxy twice"),
    ],
)
def test_a_file_that_is_not_in_order_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / clusterfile.NAME).write_text(text)
    with pytest.raises(ConfigError, match=message):
        clusterfile.read(tmp_path)


def test_where_the_cluster_is_looked_for(tmp_path: Path) -> None:
    assert clusterfile.find(None, {}) is None
    (tmp_path / clusterfile.DIRECTORY).mkdir()
    (tmp_path / clusterfile.DIRECTORY / clusterfile.NAME).touch()
    assert clusterfile.find(None, {}) == Path(clusterfile.DIRECTORY)
    (tmp_path / clusterfile.NAME).touch()
    assert clusterfile.find(None, {}) == Path()
    assert clusterfile.find(None, {"HELIOSDB_CLUSTER": "x/cluster.toml"}) == Path("x")
    assert clusterfile.find("y", {"HELIOSDB_CLUSTER": "x"}) == Path("y")


def test_a_number_that_was_given_to_another_process_is_never_signalled(tmp_path: Path) -> None:
    other = subprocess.Popen(["sleep", "60"])
    try:
        real = processes.identify(other.pid)
        assert real is not None and real.state == "running"
        former = processes.Process(other.pid, real.start_ticks - 1, real.boot_id)
        assert former.state == "gone"
        assert not former.send(signal.SIGKILL)
        cluster = clusterfile.LocalCluster(tmp_path, layout.new_nodes(1, None, None))
        for ticks, boot in ((real.start_ticks - 1, real.boot_id), (real.start_ticks, "another boot")):
            cluster.pid_file(cluster.nodes[0]).write_text(
                json.dumps({"pid": other.pid, "start_ticks": ticks, "boot_id": boot})
            )
            assert processes.find(cluster, cluster.nodes[0]) is None
        assert other.poll() is None
        assert real.send(signal.SIGSTOP)
        wait_until(lambda: real.state == "frozen", "the process is frozen")
        assert real.send(signal.SIGKILL)
        assert real.wait_gone(10)
        assert not real.send(signal.SIGKILL)
    finally:
        other.kill()
        other.wait()


def test_a_process_is_there_until_its_last_thread_has_ended() -> None:
    program = "import ctypes, threading, time; threading.Thread(target=time.sleep, args=(60,)).start(); "
    program += "print(1, flush=True); ctypes.CDLL(None).pthread_exit(None)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"1\n"
        process = processes.identify(other.pid)
        assert process is not None
        wait_until(lambda: "Z (zombie)" in Path(f"/proc/{other.pid}/status").read_text(), "the first has ended")
        assert process.state == "running" and not process.wait_gone(0)
        assert process.send(signal.SIGKILL) and process.wait_gone(30)


def test_a_narrow_terminal_sees_fewer_columns() -> None:
    columns, cells = ("a", "bb", "c"), [["1234567", "1", "12345"]]
    assert _output.fitting(columns, cells, ("c", "bb"), 80) == [0, 1, 2]
    assert _output.fitting(columns, cells, ("c", "bb"), 20) == [0, 1]
    assert _output.fitting(columns, cells, ("c", "bb"), 5) == [0]


# What is refused, and what a dry run says -----------------------------------------------------------------------------


def test_a_taken_port_names_its_holder_and_nothing_is_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    first = base_port()
    with socket.create_server(("127.0.0.1", first + 11)):
        code, out, err = call(capsys, "cluster", "up", "--base-port", first)
    assert (code, out) == (1, "")
    assert f"native port {first + 11} of standby-sync is held by" in err
    assert f"(process {os.getpid()})" in err
    assert "hint: Choose other ports with --base-port" in err
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_writes_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    plan = asked(capsys, "cluster", "up", "--nodes", 2, "--mode", "quorum", "--base-port", 7000, "--dry-run")
    assert [step["node"] for step in plan["start"]] == ["primary", "standby-quorum", "observer", "proxy"]
    primary, standby, _, proxy = (step["command"] for step in plan["start"])
    assert proxy[1:4] == ["proxy", "start", "--config"]
    assert primary[:2] == ["heliosdb-nano", "start"]
    assert "--primary-host" not in primary
    assert standby[standby.index("--primary-port") + 1] == "7001"
    assert list(tmp_path.iterdir()) == []


def started(capsys: pytest.CaptureFixture[str], *options: object) -> list[str]:
    """What a new cluster would consist of."""
    return [step["node"] for step in asked(capsys, "cluster", "up", "--dry-run", *options)["start"]]


def test_what_a_new_cluster_consists_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert started(capsys) == ["primary", "standby-sync", "standby-async", "observer", "proxy"]
    assert started(capsys, "--nodes", 1) == ["primary", "proxy"]
    assert started(capsys, "--modes", "semi-sync, async", "--no-proxy", "--observers", 0) == [
        "primary", "standby-semi-sync", "standby-async",
    ]  # fmt: skip
    etcd = ("--authority", "etcd", "--etcd-endpoints", "127.0.0.1:1")
    assert started(capsys, *etcd, "--nodes", 2) == ["primary", "standby-sync", "proxy"]
    for wrong in (("--modes", "fast"), ("--modes", "sync", "--nodes", 3), (*etcd, "--observers", 1)):
        assert call(capsys, "cluster", "up", "--dry-run", *wrong)[0] == 2


def test_without_a_cluster_and_with_wrong_options(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(capsys, "cluster", "status")
    assert (code, err.splitlines()[0]) == (2, "error: no cluster.toml here")
    assert call(capsys, "cluster", "up", "--mode", "slow")[0] == 2
    assert call(capsys, "cluster", "up", "--set", "no_such_setting=1", "--dry-run")[0] == 2
    assert call(capsys, "cluster", "down", "--dir", "nowhere")[0] == 2


# Real clusters --------------------------------------------------------------------------------------------------------


@pytest.fixture
def ended(tmp_path: Path) -> Iterator[None]:
    yield
    end_clusters(tmp_path)


def states(capsys: pytest.CaptureFixture[str], code: int) -> dict[str, str]:
    return {one["name"]: one["state"] for one in asked(capsys, "cluster", "status", code=code)["nodes"]}


@pytest.mark.slow
@pytest.mark.usefixtures("ended")
def test_the_life_of_the_processes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = call(capsys, *LEAN, "--nodes", 2, "--mode", "async", "--base-port", base_port())
    assert code == 0, err
    assert "started primary, standby-async\n" in err and "waiting: " in err
    header, *rows = out.splitlines()
    assert header.split()[:6] == ["node", "role", "mode", "state", "term", "ports"]
    assert [row.split()[:4] for row in rows] == [
        ["primary", "primary", "async", "serving"], ["standby-async", "standby", "async", "streaming"],
    ]  # fmt: skip
    found = asked(capsys, "cluster", "status")
    assert found["healthy"] and found["primary"] == "primary"
    assert found["nodes"][0]["database_checksum"] == found["nodes"][1]["database_checksum"]

    assert asked(capsys, "cluster", "freeze", "standby-async")["signal"] == "SIGSTOP"
    frozen = {"primary": "serving", "standby-async": "frozen"}
    wait_until(lambda: states(capsys, 6) == frozen, "the standby is frozen", 30)
    asked(capsys, "cluster", "thaw", "standby-async")
    pid = found["nodes"][0]["pid"]
    assert asked(capsys, "cluster", "kill", "@primary", "--dry-run") == {
        "node": "primary", "pid": pid, "signal": "SIGKILL", "done": False,
    }  # fmt: skip
    asked(capsys, "cluster", "kill", "@primary")
    assert states(capsys, 6)["primary"] == "down"
    code, _, err = call(capsys, "cluster", "kill", "primary")
    assert (code, err.splitlines()[0]) == (1, "error: primary is not running")
    assert "cluster start primary" in err

    again = asked(capsys, "cluster", "up")
    assert again["healthy"] and again["nodes"][0]["pid"] != pid
    assert call(capsys, "cluster", "up", "--nodes", 3)[0] == 2
    code, _, err = call(capsys, "cluster", "down", "--delete")
    assert (code, err.splitlines()[1]) == (5, "hint: Add --yes.")
    asked(capsys, "cluster", "freeze", "standby-async")
    assert asked(capsys, "cluster", "down", "--delete", "--yes")["stopped"] == ["primary", "standby-async"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.usefixtures("ended")
def test_the_lead_moves_and_no_row_is_lost(capsys: pytest.CaptureFixture[str]) -> None:
    asked(capsys, *LEAN, "--nodes", 3, "--base-port", base_port())
    wait_until(lambda: counting(capsys) == ["primary", "standby-sync"], "the sync standby's copy counts")
    assert [one["node_id"] for one in asked(capsys, "standby", "list")["standbys"]] == ["standby-async", "standby-sync"]
    asked(capsys, "workload", "run", "--duration", 0.5, "--rate", 0, "-c", 2, "--ledger", "x.ledger")

    told = asked(capsys, "doctor")
    assert told["failed"] == 0
    told = {one["check"]: (one["verdict"], one["detail"]) for one in told["checks"]}
    assert told["primary"] == ("ok", "primary leads") and told["clocks"][0] == told["token"][0] == "ok"
    assert told["copies"][0] == "warning" and "one standby that counts, standby-sync" in told["copies"][1]

    plan = asked(capsys, "switchover", "--dry-run")
    assert (plan["from"], plan["to"], len(plan["steps"])) == ("primary", "standby-sync", 4)
    assert call(capsys, "promote", "--node", "standby-sync")[0] == 5  # the primary is there
    code, out, err = call(capsys, "switchover", "--node", "standby-async")  # one that has to name the primary
    assert code == 0, err
    assert "[5/5] Demoting old primary to standby...\n  Old primary demoted ✓\n\n=== Switchover Complete ===\n" in out
    assert asked(capsys, "topology")["primary_id"] == "standby-sync"

    asked(capsys, "cluster", "kill", "@primary")
    wait_until(lambda: asked(capsys, "topology")["primary_id"] == "primary", "the old primary is elected")
    assert call(capsys, "promote", "--node", "primary")[0] == 5  # it leads already
    told = asked(capsys, "explain", "failover", "--node", "primary")
    assert [one["old_primary"] for one in told["decisions"] if one["kind"] == "elected"][-1] == "standby-sync"
    assert call(capsys, "whatif", "lose", "standby-async")[0] == 0
    promoted = next(one for one in told["decisions"] if one["kind"] == "promoted")
    code, out, _ = call(capsys, "explain", "failover", promoted["id"], "--node", "primary")
    assert code == 0 and f"decision {promoted['id']} of primary: promoted\n  term: " in out
    assert "old primary: standby-sync\n" in out and "nothing is heard of the primary standby-sync" in out
    assert call(capsys, "explain", "failover", 100000, "--node", "primary")[0] == 1
    foreseen = asked(capsys, "whatif", "cut", "primary|standby-async")
    assert (foreseen["kind"], foreseen["rpo"]["bytes"], foreseen["rto"]["ms"]) == ("writes", 0, 0)
    assert [side["kind"] for side in foreseen["sides"]] == ["writes", "waits"]
    assert 500 < foreseen["past"][-1]["ms"] < 60_000
    code, out, _ = call(capsys, "whatif", "lose", "primary")
    assert code == 5 and "\nRPO: " in out and "\nRTO: writes wait until somebody acts\n" in out
    assert "before: 1 failover, " in out
    asked(capsys, "cluster", "start", "standby-sync")
    assert asked(capsys, "topology")["primary_id"] == "primary"
    assert asked(capsys, "workload", "ledger", "verify", "x.ledger")["passed"]


@pytest.mark.slow
@pytest.mark.usefixtures("ended")
def test_two_nodes_and_an_observer_replace_a_lost_primary(capsys: pytest.CaptureFixture[str]) -> None:
    up = ("cluster", "up", "--nodes", 2, "--mode", "semi-sync", "--observers", 1, "--no-proxy")
    found = asked(capsys, *up, "--base-port", base_port())
    states_of = {one["name"]: (one["role"], one["state"], sorted(one["ports"])) for one in found["nodes"]}
    faces = ["http", "native", "pg"]
    assert states_of == {
        "primary": ("primary", "serving", faces),
        "standby-semi-sync": ("standby", "streaming", faces),
        "observer": ("observer", "observing", ["http", "native"]),
    }
    wait_until(lambda: len(asked(capsys, "topology")["voters"]) == 3, "all of them vote")
    (seen,) = asked(capsys, "topology")["observers"]
    assert (seen["node_id"], seen["state"], seen["votes"]) == ("observer", "observing", True)
    code, out, _ = call(capsys, "topology")
    assert code == 0 and "observer, primary, standby-semi-sync vote, 2 of them elect" in out
    assert [row.split()[:3] for row in out.splitlines() if row.startswith("observer ")] == [
        ["observer", "observer", "observing"]
    ]
    code, out, err = call(capsys, "sql", "--port", found["nodes"][1]["ports"]["pg"], "-c", "SHOW TOPOLOGY")
    assert code == 0 and "observer" in out, err

    wait_until(lambda: counting(capsys) == ["primary", "standby-semi-sync"], "both copies count")
    asked(capsys, "cluster", "kill", "@primary")
    wait_until(lambda: asked(capsys, "topology")["primary_id"] == "standby-semi-sync", "the standby is elected")
    assert call(capsys, "explain", "failover", "--node", "observer")[0] == 5
    asked(capsys, "cluster", "kill", "observer")
    assert states(capsys, 6)["observer"] == "down"
    wait_until(lambda: asked(capsys, "topology")["observers"][0]["state"] == "disconnected", "it is missed")
    again = asked(capsys, *up)
    assert again["healthy"] and again["primary"] == "standby-semi-sync"
    assert call(capsys, "cluster", "up", "--observers", 2)[0] == 2
    assert asked(capsys, "workload", "run", "--duration", 0.2, "--rate", 0, "-c", 2)["failed"] == 0


def counting(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The nodes whose copies count, sorted."""
    return sorted(one["node_id"] for one in asked(capsys, "topology")["nodes"] if one["in_sync"])


@pytest.mark.slow
@pytest.mark.usefixtures("ended")
def test_standbys_come_and_go(capsys: pytest.CaptureFixture[str]) -> None:
    asked(capsys, *LEAN, "--nodes", 1, "--mode", "async", "--base-port", base_port())
    assert "--primary-host" in asked(capsys, "standby", "add", "--dry-run")["command"]
    added = asked(capsys, "standby", "add", "extra")
    assert [(one["name"], one["role"]) for one in added["nodes"]] == [("primary", "primary"), ("extra", "standby")]
    assert call(capsys, "standby", "add", "extra")[0] == 1
    http = added["nodes"][1]["ports"]["http"]
    command = asked(capsys, "standby", "add", "far", "--node", f"127.0.0.1:{http}")["command"]
    assert command[command.index("--primary-port") + 1] == str(added["nodes"][0]["ports"]["native"])

    for verb, said in (("pause", "paused"), ("resume", "resumed")):
        assert said in asked(capsys, verb)["result"]
        for command in (["topology"], ["cluster", "status"]):
            assert ("automatic failover is paused" in call(capsys, *command)[1]) is (verb == "pause")
        assert asked(capsys, "cluster", "status")["paused"] is (verb == "pause")
    assert call(capsys, "standby", "remove", "primary")[0] == 5
    assert "removed" in asked(capsys, "standby", "remove", "extra")["result"]
    assert [one["name"] for one in asked(capsys, "cluster", "status")["nodes"]] == ["primary"]
    assert Path(clusterfile.DIRECTORY, "extra", "log").is_dir()


# The admin verbs' way, against answers that are made up ---------------------------------------------------------------


class Answers(BaseHTTPRequestHandler):
    pages: ClassVar[dict[str, tuple[int, Any]]] = {}
    heard: ClassVar[list[tuple[str, str, Any]]] = []

    def do_GET(self) -> None:
        self._answer(None)

    def do_POST(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, body: Any) -> None:
        self.heard.append((self.path, self.headers.get("Authorization", ""), body))
        status, page = self.pages.get(self.path, (404, {"error": "no such page"}))
        data = json.dumps(page).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture
def fake() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    Answers.heard = []
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_token_and_the_arguments_arrive(
    capsys: pytest.CaptureFixture[str], fake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Answers.pages = {"/admin/promote": (200, {"result": "done", "heard": ["a", "b"], "data_loss": ""})}
    code, _, err = call(capsys, "promote", "--node", fake)
    assert code == 2
    assert "--token-file" in err and "--cluster-secret-file" in err
    assert [path for path, _, _ in Answers.heard] == ["/health"]  # Whether anybody answers matters more.
    Answers.heard.clear()
    monkeypatch.setenv("HELIOSDB_HTTP_TOKEN", "from the environment")
    code, out, _ = call(capsys, "promote", "--node", fake, "--allow-data-loss")
    assert (code, out) == (0, "done\nheard: a, b\n")
    (tmp_path / "t").write_text("of the file\n")
    (tmp_path / clusterfile.NAME).write_text("a broken file does not stand in the way of a node that is named")
    assert call(capsys, "pause")[0] == 2
    call(capsys, "promote", "--node", fake, "--token-file", "t", "--dry-run")
    assert Answers.heard == [
        ("/admin/promote", "Bearer from the environment", {"allow_data_loss": True, "dry_run": False}),
        ("/admin/promote", "Bearer of the file", {"allow_data_loss": False, "dry_run": True}),
    ]


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        ((500, {"error": "2 commits would be lost", "sqlstate": "55000", "hint": "h"}), 5, "2 commits would be lost"),
        ((400, {"error": "dry_run is true or false", "sqlstate": "22023"}), 1, "dry_run is true or false"),
        ((503, {"error": "starting", "sqlstate": "57P03"}), 3, "starting"),
        ((403, {"error": "wrong token"}), 3, "wrong token"),
        ((404, {"error": "no such admin verb"}), 1, "does not know promote"),
        ((500, "rubbish"), 1, "rubbish"),
    ],
)
def test_refusals_have_their_exit_codes(
    capsys: pytest.CaptureFixture[str], fake: str, monkeypatch: pytest.MonkeyPatch, answer: tuple[int, Any], code: int,
    message: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("HELIOSDB_HTTP_TOKEN", "secret")
    Answers.pages = {"/admin/promote": answer}
    found, _, err = call(capsys, "promote", "--node", fake)
    assert (found, message in err) == (code, True), err


def test_a_node_that_does_not_lead_sends_on_to_the_primary(
    capsys: pytest.CaptureFixture[str], fake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HELIOSDB_HTTP_TOKEN", "secret")
    refusal = {"error": "node b is not the primary", "sqlstate": "55000", "hint": f"Ask {fake}."}
    Answers.pages = {"/admin/pause": (500, refusal)}
    assert call(capsys, "pause", "--node", fake)[0] == 5  # in a circle: it ends
    assert len(Answers.heard) == 4
    Answers.pages = {"/admin/pause": (500, {**refusal, "hint": None})}
    assert call(capsys, "pause", "--node", fake)[0] == 5
    assert len(Answers.heard) == 5
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        Answers.pages = {"/admin/pause": (500, {**refusal, "hint": f"Ask 127.0.0.1:{nobody.getsockname()[1]}."})}
        code, _, err = call(capsys, "pause", "--node", fake)
    assert (code, "pause is the primary's to do, which is lost" in err, "explain failover" in err) == (3, True, True)
