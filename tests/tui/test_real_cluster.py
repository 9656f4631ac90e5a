"""The monitor over real processes: found by file and by address, a primary that dies under it, the lead moved by it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import psycopg
import pyte
import pytest
from support.node_process import free_port, wait_until
from support.screens import seen, text_of, until

from helios_cli.cli import main
from helios_cli.commands._admin import Asked
from helios_cli.commands.local import clusterfile
from helios_cli.commands.local.clusterfile import LocalCluster
from helios_cli.commands.monitoring import finding
from helios_cli.commands.monitoring.gateway import ClusterGateway
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.observe import machine
from helios_cli.tui.app import MonitorApp
from helios_cli.tui.gateway import Act
from helios_cli.tui.history import History

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 60.0


def base_port() -> int:
    """The first of a hundred ports of which the first fifty are free."""
    while True:
        port = free_port() // 100 * 100
        if all(machine.port_use("127.0.0.1", port + number).free for number in range(50)):
            return port


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A primary, two standbys, an observer and a proxy; nodes that die are left to the tests to start again."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("PG", "HELIOSDB_"))]:
            patch.delenv(name)
        directory = tmp_path_factory.mktemp("monitored") / "c"
        assert main(["cluster", "up", "--dir", str(directory), "--base-port", str(base_port()), "--json"]) == 0
        try:
            yield clusterfile.read(directory)
        finally:
            main(["cluster", "down", "--dir", str(directory), "--kill", "--json"])


def once(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(["monitor", "--once", *map(str, arguments)])
    return code, *capsys.readouterr()


def test_one_frame_without_a_terminal(cluster: LocalCluster, capsys: pytest.CaptureFixture[str]) -> None:
    code, text, err = once(capsys, "--dir", cluster.directory)
    assert code == 0, text + err
    for wanted in ("● healthy", "★ primary", "standby-async", "streaming", "= equal", "has a vote"):
        assert wanted in text
    code, text, _ = once(capsys, "--dir", cluster.directory, "--json")
    found = json.loads(text)
    assert (code, found["healthy"], found["primary"], len(found["nodes"])) == (0, True, "primary", 4)
    assert {one["identical"] for one in found["nodes"] if one["role"] == "standby"} == {True}
    assert found["proxy"]["state"] == "serving"
    assert {event["node"] for event in found["events"]} >= {"primary", "standby-sync"}


def test_from_one_node_the_others_are_found(cluster: LocalCluster, capsys: pytest.CaptureFixture[str]) -> None:
    first = cluster.nodes[1]
    for address in (("--node", f"127.0.0.1:{first.http_port}"), ("--host", "127.0.0.1", "--port", first.pg_port)):
        code, text, err = once(capsys, *address, "--json")
        assert code == 0, text + err
        assert sorted(one["name"] for one in json.loads(text)["nodes"]) == sorted(one.name for one in cluster.nodes)


def test_the_port_for_sql_is_told_from_a_node_that_is_silent(
    cluster: LocalCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    port = cluster.nodes[0].pg_port
    code, text, err = once(capsys, "--node", f"127.0.0.1:{port}")
    assert (code, text) == (3, "") and f"error: 127.0.0.1:{port} speaks PostgreSQL, not HTTP" in err
    assert "--host HOST --port PORT" in err
    assert main(["topology", "--node", f"127.0.0.1:{port}"]) == 3
    assert "speaks PostgreSQL" in capsys.readouterr().err


def test_the_commands_that_are_shown_are_done_from_anywhere(
    cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    gateway = finding.gateway(Asked(directory=str(cluster.directory)), None, None, None, None)
    try:
        gateway.sample()
        for act in (Act("switchover", "standby-sync"), Act("pause"), Act("drain", "standby-async")):
            words = shlex.split(gateway.plan(act).command)
            assert words[0] == "heliosdb-nano"
            assert main([*words[1:], "--dry-run"]) == 0, capsys.readouterr().err
            assert capsys.readouterr().out
        gateway.read_only = True
        for ask in (lambda: gateway.plan(Act("pause")), gateway.playbooks, lambda: gateway.sql("primary", "SELECT 1")):
            with pytest.raises(HeliosError, match="read-only"):
                ask()
    finally:
        gateway.close()


def test_nobody_there_is_said_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text, err = once(capsys, "--node", f"127.0.0.1:{free_port()}")
    assert (code, text) == (3, "") and "error: no node of 127.0.0.1" in err and "hint: " in err
    code, _, err = once(capsys, "--dir", tmp_path)
    assert code == 2 and "hint: heliosdb-nano cluster up" in err
    assert main(["monitor", "--dir", str(tmp_path)]) == 2
    assert "the monitor needs a terminal" in capsys.readouterr().err
    assert main(["monitor", "--theme", "pink"]) == 2


@pytest.mark.asyncio
async def test_a_primary_that_dies_and_a_switchover_from_the_screen(cluster: LocalCluster) -> None:
    gateway = finding.gateway(Asked(directory=str(cluster.directory)), None, None, None, None)
    app = MonitorApp(gateway, interval_s=0.2)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await seen(pilot, "● healthy", WAIT_S)
        with psycopg.connect(
            host="127.0.0.1", port=cluster.nodes[0].pg_port, user="helios", dbname="heliosdb", autocommit=True
        ) as client:
            client.execute("CREATE TABLE t AS SELECT generate_series(1, 1000) AS n")
        assert main(["cluster", "kill", "primary", "--dir", str(cluster.directory)]) == 0
        await seen(pilot, "no answer: its process is gone", WAIT_S)
        await until(pilot, lambda: leader(app) not in ("", "primary"), "another one leads", WAIT_S)
        new = leader(app)
        rows = [line for line in text_of(app).splitlines() if "primary" in line and "down" in line]
        assert rows, "the lost one stays in sight"
        await seen(pilot, f"{new}: standby became primary", WAIT_S)
        assert main(["cluster", "start", "primary", "--dir", str(cluster.directory), "--json"]) == 0
        await seen(pilot, "primary: answers again", WAIT_S)
        await until(
            pilot, lambda: app.snapshot is not None and state(app, "primary") == "streaming", "it follows", WAIT_S
        )
        await pilot.press("up", "up", "up")
        await until(pilot, lambda: app.chosen == "primary", "the first row")
        await pilot.press("s")
        await seen(pilot, "heliosdb-nano switchover --to primary", WAIT_S)
        await pilot.press("y")
        await seen(pilot, "✓ ", WAIT_S)
        await pilot.press("escape")
        await until(pilot, lambda: leader(app) == "primary", "it leads again", WAIT_S)
        await seen(pilot, "● healthy", WAIT_S)
    try:
        await asyncio.to_thread(
            wait_until, lambda: leaders(gateway)[-3:] == ["primary", new, "primary"],
            "who begins to look only now sees who led", WAIT_S,
        )  # fmt: skip
    finally:
        gateway.close()


def leaders(gateway: ClusterGateway) -> list[str]:
    """Who led, one after the other, as the nodes have kept it; each change with an event of the former."""
    found = gateway.past(time.time())
    assert found.missing == ""
    history = History()
    history.put_before(found.samples)
    names = [one.primary.name for one in (history[i] for i in range(len(history))) if one.primary is not None]
    changes = [name for i, name in enumerate(names) if not i or name != names[i - 1]]
    if len(changes) > 1:
        told = {(one.node, one.kind) for one in history.events()}
        # Lost, or as the follower that it is since: it may be back before anybody has noted that it was away.
        assert told & {("primary", "lost"), ("primary", "role")}
    return changes


def leader(app: MonitorApp) -> str:
    primary = app.snapshot.primary if app.snapshot else None
    return primary.name if primary else ""


def state(app: MonitorApp, name: str) -> str:
    node = app.snapshot.node(name) if app.snapshot else None
    return node.state if node else ""


def test_in_a_real_terminal(cluster: LocalCluster) -> None:
    screen = pyte.Screen(80, 24)
    stream = pyte.ByteStream(screen)
    environment = {name: text for name, text in os.environ.items() if name not in ("COLUMNS", "LINES")}
    child = pexpect.spawn(
        sys.executable, ["-m", "helios_cli", "monitor", "--dir", str(cluster.directory)],
        dimensions=(24, 80), cwd=str(ROOT), env=environment | {"TERM": "xterm-256color"}, timeout=WAIT_S,
    )  # fmt: skip

    def shows(text: str) -> bool:
        with contextlib.suppress(pexpect.TIMEOUT):
            stream.feed(child.read_nonblocking(1 << 16, 0.05))
        return any(text in line for line in screen.display)

    try:
        wait_until(lambda: shows("healthy"), "the cluster on the terminal", WAIT_S)
        child.send("?")
        wait_until(lambda: shows("These keys"), "the help", WAIT_S)
        child.send("q")
        wait_until(lambda: not shows("These keys"), "no help", WAIT_S)
        child.send("4")
        wait_until(lambda: shows("Log of"), "the log", WAIT_S)
        child.setwinsize(40, 120)
        screen.resize(40, 120)
        child.send("1")
        wait_until(lambda: shows("╭─ ★"), "boxes, now that there is room", WAIT_S)
        child.send("q")
        child.expect(pexpect.EOF)
        child.wait()
        assert child.exitstatus == 0
    finally:
        child.close(force=True)
