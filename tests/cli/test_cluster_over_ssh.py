"""A cluster on hosts: installed, started, watched, broken and renewed through a real sshd on loopback."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.node_process import wait_until
from support.ssh_server import SshServer, stand_in
from support.ssh_stage import SshStage

from helios_cli.engine.remote import machine

pytestmark = [pytest.mark.slow, pytest.mark.needs("sshd", "ssh-keygen")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]) -> Iterator[SshServer]:
    made = SshServer(tmp_path_factory.mktemp("ssh"), program)
    yield made
    made.close()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, server: SshServer) -> Iterator[SshStage]:
    """A cluster that runs; each test leaves it whole."""
    made = SshStage(tmp_path_factory.mktemp("stage"), server)
    try:
        made.up()
        yield made
    finally:
        made.close()


@pytest.fixture
def fresh(tmp_path: Path, program: Callable[[str], str]) -> Iterator[SshStage]:
    """One of which there is a cluster.toml, behind a server of its own."""
    own = SshServer(tmp_path / "ssh", program)
    made = SshStage(tmp_path, own)
    try:
        yield made
    finally:
        made.close()
        own.close()


def asked(stage: SshStage, *words: object, code: int = 0) -> Any:
    return json.loads(stage.call(*words, "--json", code=code))


def refused(stage: SshStage, *words: object, code: int) -> str:
    found, out, err = stage.run(*words)
    assert found == code, out + err
    return err


def test_from_nothing_to_a_cluster_and_back(fresh: SshStage) -> None:
    said = refused(fresh, "cluster", "up", code=1)
    assert "primary: there is no" in said and "heliosdb-nano cluster install primary puts it there" in said
    _is_installed(fresh)
    plan = fresh.call("cluster", "up", "--dry-run")
    assert str(fresh.there("db2") / "standby-sync") in plan
    found = asked(fresh, "cluster", "up", "--timeout", 100)
    assert found["healthy"] and {one["name"]: one["host"] for one in found["nodes"]} == {
        "primary": "db1", "standby-sync": "db2", "standby-async": "db3", "observer": "db1",
    }  # fmt: skip
    assert (fresh.there("db1") / "primary" / "control").is_dir() and not (fresh.directory / "primary").exists()
    _keeps_secrets(fresh)
    _asks_for_the_password(fresh)
    planned = fresh.call("cluster", "down", "--wipe", "--dry-run")
    assert "would remove db3:~/db3/standby-async" in planned
    fresh.call("cluster", "down", "--wipe", "--yes")
    left = {path.name for host in ("db1", "db2", "db3") for path in fresh.there(host).iterdir()}
    assert left == {"bin"} and (fresh.directory / "cluster.toml").exists()


def _is_installed(stage: SshStage) -> None:
    planned = asked(stage, "cluster", "install", "--program", stage.program, "--dry-run")["install"]
    assert [(one["host"], one["put"]) for one in planned] == [("db1", True), ("db2", True), ("db3", True)]
    assert not (stage.there("db1") / "bin").exists()
    done = asked(stage, "cluster", "install", "--program", stage.program)["installed"]
    assert all(one["new"] and one["version"] for one in done) and len(done) == 3
    put = stage.there("db3") / "bin" / "heliosdb-nano"
    assert put.read_bytes() == stage.program.read_bytes() and os.access(put, os.X_OK)
    (stage.directory / "no-program").write_text("#!/bin/sh\nexit 3\n")
    said = refused(stage, "cluster", "install", "standby-async", "--program", stage.directory / "no-program", code=1)
    assert "ended with 3" in said and put.read_bytes() == stage.program.read_bytes(), "what runs is not replaced"
    again = asked(stage, "cluster", "install", "standby-async", "--program", stage.program)["installed"]
    assert [(one["host"], one["new"]) for one in again] == [("db3", False)]


def _keeps_secrets(stage: SshStage) -> None:
    """In files that others cannot read, and on no command line."""
    secrets = []
    for name in ("cluster.secret", "helios.password"):
        secrets.append((stage.directory / name).read_text().strip())
        for host in ("db1", "db2", "db3"):
            there = stage.there(host) / name
            assert there.read_text().strip() == secrets[-1] and stat.S_IMODE(there.stat().st_mode) == 0o600
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        assert not any(secret in line for secret in secrets)


def _asks_for_the_password(stage: SshStage) -> None:
    assert stage.cluster.proxy is not None
    words = ("sql", "--port", stage.cluster.proxy.pg_port, "--user", "helios", "-c", "SELECT 1")
    assert "password" in refused(stage, *words, code=3)
    code, out, err = stage.run(*words, PGPASSWORD=(stage.directory / "helios.password").read_text().strip())
    assert code == 0 and "1" in out, err


def test_the_table_names_hosts_and_up_again_does_nothing(stage: SshStage) -> None:
    shown = stage.call("cluster", "status").splitlines()
    assert shown[0].split()[:2] == ["node", "host"] and shown[1].split()[:2] == ["primary", "db1"]
    before = {one.node.name: one.process for one in stage.seen()}
    stage.call("cluster", "up")
    assert {one.node.name: one.process for one in stage.seen()} == before and None not in before.values()


def test_logs_are_followed_and_a_killed_primary_is_replaced(stage: SshStage, tmp_path: Path) -> None:
    said = tmp_path / "said"
    with said.open("wb") as out:
        follower = subprocess.Popen(
            stage.command("cluster", "logs", "-f", "-n", "9"), env=stage.environment() | {"PYTHONUNBUFFERED": "1"},
            stdout=out, stderr=subprocess.STDOUT,
            # What a shell starts in the background ignores Ctrl-C, and so do its children.
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
    try:
        wait_until(lambda: bool(said.read_text()), "the logs so far are told", 60.0)
        assert "asks to lead" not in said.read_text()
        old = stage.primary()
        assert f"killed {old}" in stage.call("cluster", "kill", "@primary")
        wait_until(lambda: any(one.leads and one.node.name != old for one in stage.seen()), "another leads", 60.0)
        assert stage.states()[old] == "down"
        stage.call("cluster", "start", old, "--timeout", 60)
        stage.wait_healthy()
        wait_until(lambda: "asks to lead" in said.read_text(), "the election is told", 30.0)
        wait_until(lambda: f"{old} " in said.read_text().rpartition("asks to lead")[2], "and the return", 30.0)
    finally:
        follower.send_signal(signal.SIGINT)
        assert follower.wait(30) == 0


def test_a_node_is_frozen_thawed_and_restarted(stage: SshStage) -> None:
    stage.call("cluster", "freeze", "standby-async")
    assert stage.states()["standby-async"] == "frozen"
    stage.call("cluster", "thaw", "standby-async")
    before = stage.seen()[2].process
    stage.call("cluster", "restart", "standby-async")
    assert stage.states()["standby-async"] == "streaming" and stage.seen()[2].process != before


def test_a_host_whose_sshd_is_away_does_not_hide_its_nodes(stage: SshStage, server: SshServer) -> None:
    server.stop()
    try:
        found = asked(stage, "cluster", "status", code=6)
        assert found["primary"] is not None and {one["state"] for one in found["nodes"]} <= {
            "serving", "streaming", "observing",
        }  # fmt: skip
        assert "warning: db1" in refused(stage, "cluster", "logs", code=6)
        assert "cannot be reached: connection refused" in refused(stage, "cluster", "kill", "@primary", code=3)
    finally:
        server.start()
    wait_until(lambda: None not in [one.process for one in stage.seen()], "the hosts are asked again", 60.0)


def test_an_upgrade_renews_all_and_goes_on_where_it_was(stage: SshStage, tmp_path: Path) -> None:
    program = stand_in(tmp_path / "heliosdb-nano", "9.9.9")
    planned = asked(stage, "cluster", "upgrade", "--program", program, "--dry-run")["steps"]
    old = stage.primary()
    names = [one["node"] for one in planned]
    assert names[-3:] == [old, old, "proxy"] and planned[-3]["do"] == "switchover" and old not in names[:-3]
    broken = stand_in(tmp_path / "broken", "9.9.8")
    broken.write_text(broken.read_text().replace("sys.exit(main())", "sys.exit(len(sys.argv) > 3 or main())"))
    said = refused(stage, "cluster", "upgrade", "--program", broken, "--timeout", 20, code=1)
    assert f"the upgrade stops at {names[0]}" in said and stage.primary() == old
    stage.install()
    stage.call("cluster", "up")
    done = asked(stage, "cluster", "upgrade", "--program", program, "--timeout", 60)
    assert set(done["versions"].values()) == {"9.9.9"} and stage.primary() != old
    assert asked(stage, "cluster", "upgrade", "--program", program)["steps"] == []


def test_links_are_cut_and_mended_there(stage: SshStage) -> None:
    stage.call("cluster", "partition", "standby-async")
    assert json.loads((stage.there("db3") / "standby-async" / "cuts.json").read_text())["lost"]
    assert "standby-async" in stage.call("cluster", "heal")
    assert not json.loads((stage.there("db3") / "standby-async" / "cuts.json").read_text())["lost"]
    stage.wait_healthy()


# Who it must be -------------------------------------------------------------------------------------------------------


def test_a_key_that_is_not_known_is_trusted_by_a_person_alone(tmp_path: Path, program: Callable[[str], str]) -> None:
    server = SshServer(tmp_path / "ssh", program)
    stage = SshStage(tmp_path, server, host_key="")
    try:
        _trusts(stage, server, tmp_path)
    finally:
        server.close()


def _trusts(stage: SshStage, server: SshServer, tmp_path: Path) -> None:
    def run(*words: str, code: int) -> str:
        machine.close_all()  # as another process would
        found, out, err = stage.run("cluster", *words, HOME=str(tmp_path))
        assert found == code, out + err
        return out + err

    said = run("up", code=5)
    assert "the key of db1" in said and "cluster hosts trust db1" in said
    assert "not trusted" in run("hosts", "list", code=6)
    assert "Add --yes" in run("hosts", "trust", code=5)
    assert "would trust 3 keys" in run("hosts", "trust", "--dry-run", code=0)
    assert "trusted 1 key" in run("hosts", "trust", "db1", "--yes", code=0)
    assert "every key is known already" in run("hosts", "trust", code=0)
    assert "not installed" in run("hosts", "list", code=0)
    server.generate("host_key")
    server.stop()
    server.start()
    assert "shows another key than known_hosts has" in run("up", code=5)
    assert "If the machine was made anew, add --replace" in run("hosts", "trust", "--yes", code=5)
    assert "trusted" in run("hosts", "trust", "--yes", "--replace", code=0)
    assert "not installed" in run("hosts", "list", code=0)


# systemd --------------------------------------------------------------------------------------------------------------


def test_systemd_keeps_the_nodes_of_a_host(tmp_path: Path, program: Callable[[str], str]) -> None:
    server = SshServer(tmp_path / "ssh", program)
    server.systemctl()
    stage = SshStage(tmp_path, server, service="systemd-user")
    text = (stage.directory / "cluster.toml").read_text()
    lean = text.replace("[proxy]", "[ignored]").replace('"standby-async"', '"spare"')
    (stage.directory / "cluster.toml").write_text(lean)
    try:
        done = asked(stage, "cluster", "install", "--program", stage.program)
        assert len(done["units"]) == 4
        units = server.home / ".config" / "systemd" / "user"
        unit = (units / "heliosdb-primary.service").read_text()
        assert f"ExecStart={stage.there('db1')}/bin/heliosdb-nano start --data-dir" in unit and "%" not in unit
        assert unit.strip() in stage.call("cluster", "units", "primary")
        found = asked(stage, "cluster", "up", "--timeout", 100)
        assert found["healthy"]
        kept = {path.name for path in (server.home / ".systemctl").iterdir()}
        assert "heliosdb-primary.service.enabled" in kept and "heliosdb-primary.service" in kept
        crashed = stage.seen()[2].process
        assert crashed is not None
        os.kill(crashed.pid, signal.SIGKILL)
        wait_until(lambda: stage.states()["spare"] == "streaming", "systemd started it again", 60.0)
        stage.call("cluster", "kill", "spare")
        assert stage.states()["spare"] == "down" and asked(stage, "cluster", "status", code=6)
        stage.call("cluster", "start", "spare")
        assert not any(stage.there("db3").glob("*.pid")), "systemd knows the process"
        stage.call("cluster", "down", "--wipe", "--yes")
        assert not list(units.iterdir())
    finally:
        stage.close()
        server.close()


def test_a_host_without_systemd_says_so(tmp_path: Path, server: SshServer) -> None:
    stage = SshStage(tmp_path, server, service="systemd-user")
    said = refused(stage, "cluster", "install", "--program", stage.program, code=1)
    assert "has no systemctl" in said and 'service = "process"' in said
