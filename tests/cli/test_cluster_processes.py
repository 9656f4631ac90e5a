"""One process of a cluster after the other, the proxy among them: stopped, started, restarted, killed, frozen."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.local_clusters import LEAN, Capture, asked, base_port, call, end_clusters, settle_in
from support.node_process import ROOT, wait_until

from helios_cli.commands.local import clusterfile, observation, processes
from helios_cli.commands.local.acts import Acts
from helios_cli.engine.errors import HeliosError


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settle_in(tmp_path, monkeypatch)
    yield
    end_clusters(tmp_path)


def proxy_state(capsys: Capture, code: int) -> str:
    """What ``cluster status`` says of the proxy, and that it ends with ``code``."""
    return str(asked(capsys, "cluster", "status", code=code)["proxy"]["state"])


@pytest.mark.slow
def test_a_cluster_with_everything(capsys: Capture, tmp_path: Path) -> None:
    first = base_port()
    up = ("cluster", "up", "--modes", "semi-sync", "--data", "kept/here")
    found = asked(capsys, *up, "--base-port", first)
    assert [one["role"] for one in found["nodes"]] == ["primary", "standby", "observer"]
    port = found["proxy"]["ports"]["pg"]
    assert (found["proxy"]["state"], port, found["healthy"]) == ("serving", first + 30, True)
    assert (tmp_path / "kept" / "here" / "primary" / "control").is_dir()
    code, out, err = call(capsys, "sql", "--port", port, "-c", "SELECT 40 + 2")
    assert code == 0 and "42" in out, err
    assert asked(capsys, "proxy", "status")["primary"] == "primary", "the proxy of the cluster here is meant"
    assert "paused" in asked(capsys, "proxy", "pause")["result"]
    assert proxy_state(capsys, 6) == "waiting" and "proxy waits: " in call(capsys, "cluster", "status")[1]
    asked(capsys, "proxy", "resume")
    assert asked(capsys, *up)["proxy"]["pid"] == found["proxy"]["pid"], "what runs is left alone"
    assert call(capsys, *up, "--no-proxy")[0] == 2

    assert asked(capsys, "cluster", "kill", "proxy")["signal"] == "SIGKILL"
    assert proxy_state(capsys, 6) == "down"
    code, _, err = call(capsys, "cluster", "freeze", "proxy")
    assert (code, err.splitlines()[0]) == (1, "error: proxy is not running")
    again = asked(capsys, "cluster", "start", "proxy")
    assert again["proxy"]["state"] == "serving" and again["proxy"]["pid"] != found["proxy"]["pid"]
    asked(capsys, "cluster", "freeze", "proxy")
    wait_until(lambda: proxy_state(capsys, 6) == "frozen", "the proxy is frozen", 30)
    asked(capsys, "cluster", "thaw", "proxy")
    wait_until(lambda: proxy_state(capsys, 0) == "serving", "the proxy serves again", 30)

    code, _, err = call(capsys, "cluster", "restart", "standby-semi-sync")
    assert code == 0 and "stopped standby-semi-sync, process" in err
    assert asked(capsys, "cluster", "stop", "@primary", "--dry-run")["node"] == "primary"
    stopped = asked(capsys, "cluster", "stop", "@primary")
    assert (stopped["node"], stopped["pid"], stopped["done"]) == ("primary", found["nodes"][0]["pid"], True)
    assert asked(capsys, "cluster", "stop", "primary")["done"] is False, "it is down already"
    wait_until(
        lambda: asked(capsys, "cluster", "status", code=6)["primary"] == "standby-semi-sync", "it gave its place", 30
    )
    assert asked(capsys, "cluster", "restart", "primary", "--dry-run")["pid"] is None
    assert asked(capsys, "cluster", "restart", "primary")["primary"] == "standby-semi-sync"

    asked(capsys, "cluster", "freeze", "observer")
    down = asked(capsys, "cluster", "down", "--wipe", "--yes")
    assert down["stopped"] == ["proxy", "standby-semi-sync", "primary", "observer"]
    assert not Path(clusterfile.DIRECTORY).exists()
    assert not (tmp_path / "kept" / "here").exists()


@pytest.mark.slow
def test_the_acts_on_their_own(capsys: Capture) -> None:
    asked(capsys, *LEAN, "--nodes", 1, "--mode", "async", "--base-port", base_port())
    acts = Acts(clusterfile.load(None))
    assert (acts.names, acts.primary(), acts.member("@primary").name) == (["primary"], "primary", "primary")
    with pytest.raises(HeliosError, match='no node "x"'):
        acts.kill("x")
    process = acts.freeze("primary")
    wait_until(lambda: process.state == "frozen", "it is frozen", 30)
    assert acts.freeze("primary") == process
    assert acts.thaw("primary") == acts.thaw("primary") == process
    acts.start("primary")
    assert acts.process("primary") == process, "one that runs is left alone"
    acts.freeze("primary")
    assert acts.stop("primary") == process and acts.stop("primary") is None, "a frozen one is woken"
    with pytest.raises(HeliosError, match="primary is not running") as caught:
        acts.freeze("primary")
    assert caught.value.hint == "heliosdb-nano cluster start primary starts it."
    assert acts.primary() is None
    with pytest.raises(HeliosError, match="no node of the cluster leads now"):
        acts.kill("@primary")
    acts.start("primary", wait=False)
    wait_until(lambda: acts.primary() == "primary", "it leads", 30)
    (seen,) = acts.restart("primary")
    assert seen.leads and seen.process != process
    assert acts.kill("primary") == seen.process and acts.kill("primary") is None
    # A proxy is added to a cluster that had none, and standbys that come are behind it too.
    added = asked(capsys, "cluster", "up", "--proxy")
    assert added["proxy"]["state"] == "serving"
    asked(capsys, "standby", "add", "extra")
    cluster = clusterfile.load(None)
    assert [one["name"] for one in tomllib.loads(cluster.proxy_file.read_text())["nodes"]] == ["primary", "extra"]
    assert observation.observe_proxy(cluster) is not None
    assert cluster.proxy is not None and processes.find(cluster, cluster.proxy) is not None
    asked(capsys, "standby", "remove", "extra")
    assert [one["name"] for one in tomllib.loads(cluster.proxy_file.read_text())["nodes"]] == ["primary"]
    assert Acts(cluster).stop_all(hard=True) == ["proxy", "primary"]


@pytest.mark.slow
def test_a_cluster_that_is_stayed_with_ends_with_its_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "helios_cli", *map(str, LEAN), "--nodes", "1", "--base-port", str(base_port())]
    with subprocess.Popen([*command, "--no-detach"], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:  # fmt: skip
        assert process.stdout is not None and process.stderr is not None
        assert "checksum" in process.stdout.readline()
        cluster = clusterfile.load(None)
        running = processes.find(cluster, cluster.nodes[0])
        assert running is not None and running.state == "running"
        process.terminate()
        assert process.stderr.read().endswith("stopping\n")
        assert process.wait(30) == 0
    assert running.state == "gone"
