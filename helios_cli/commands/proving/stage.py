"""Where a proof takes place: a cluster of this machine and the proxy before it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from helios_cli.commands.local import clusterfile, launch, observation, processes, whole
from helios_cli.commands.local.clusterfile import HOST, LocalCluster, LocalNode
from helios_cli.commands.proving.acts import Acts
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.net.pgclient import PgClient, Target
from helios_cli.engine.observe.machine import free_ports

START_S: Final = 60.0
STOP_S: Final = 20.0
ANSWER_S: Final = 60.0
"""What a client waits for an answer: longer than a proxy has a write wait for a primary."""
WRITE_TIMEOUT_S: Final = 30

FORWARDING: Final = ("sync", "semi-sync", "quorum")
"""Modes of standbys that take their clients' writes to the primary."""

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Stage:
    """All of it."""

    cluster: LocalCluster
    acts: Acts
    proxy: Target
    is_own: bool
    """Whether the cluster was made for this proof, and goes with it."""

    @property
    def mode(self) -> str:
        """What a commit waits for."""
        return self.cluster.data_nodes[0].mode

    def target(self, node: LocalNode) -> Target:
        """A node itself."""
        return target(node.pg_port)


def target(port: int) -> Target:
    """An address of this machine, as clients of a proof use it."""
    return Target(
        HOST, port, "helios", sslmode="disable", timeout=ANSWER_S, application_name="prove", read_timeout=ANSWER_S
    )


def new_cluster(directory: Path, count: int, mode: str, observers: int) -> LocalCluster:
    """A cluster on free ports, of which nothing runs yet. The directory is made."""
    ports = free_ports(3 * (count + observers))
    nodes = [
        LocalNode(f"n{number + 1}", "primary" if not number else "standby", mode, *ports[3 * number : 3 * number + 3])
        for number in range(count)
    ]
    for number in range(observers):
        at = 3 * (count + number)
        nodes.append(LocalNode(f"o{number + 1}", "observer", "", 0, *ports[at : at + 2]))
    return LocalCluster(directory, tuple(nodes))


@contextmanager
def own(cluster: LocalCluster, tell: Tell) -> Iterator[Stage]:
    """A new cluster, started and whole, with a proxy; no process of it is left behind.

    Raises:
        HeliosError: it does not come up.
    """
    cluster.directory.mkdir(parents=True, exist_ok=True)
    clusterfile.write(cluster)
    try:
        launch.launch(cluster, launch.plan(cluster, observation.observe(cluster)))
        launch.wait_streaming(cluster, START_S, tell)
        whole.wait_whole(cluster, START_S, tell)
        with proxied(cluster, cluster.directory / "proxy", tell) as port:
            yield Stage(cluster, Acts(cluster), target(port), is_own=True)
    finally:
        _end(cluster)


def _end(cluster: LocalCluster) -> None:
    """The end of every node; frozen ones too."""
    for node in cluster.nodes:
        process = processes.find(cluster, node)
        if process is not None:
            process.send(signal.SIGKILL)
            process.wait_gone(STOP_S)
            processes.forget(cluster, node)


@contextmanager
def proxied(cluster: LocalCluster, directory: Path, tell: Tell) -> Iterator[int]:
    """A proxy before all nodes with data; its port. It ends with the block.

    Raises:
        HeliosError: it does not answer (57014), or has ended (08006).
    """
    directory.mkdir(parents=True, exist_ok=True)
    port, admin_port = free_ports(2)
    config = directory / "proxy.toml"
    config.write_text(_proxy_toml(cluster, port, admin_port), encoding="utf-8")
    log = directory / "proxy.log"
    tell("waiting: the proxy starts")
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "helios_cli", "proxy", "start", "--config", str(config)],
            stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
            env=processes.child_environment(os.environ),
        )  # fmt: skip
    try:
        whole.wait_until(lambda: _answers(process, port, log), START_S, "the proxy answers")
        yield port
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
        process.kill()
        process.wait()


def _answers(process: subprocess.Popen[bytes], port: int, log: Path) -> bool:
    if process.poll() is not None:
        said = " / ".join(log.read_text(errors="replace").splitlines()[-3:])
        raise HeliosError(f"the proxy ended with {process.returncode}", sqlstate="08006", detail=said or None)
    try:
        with PgClient(target(port)) as client:
            return client.execute("SELECT 1")[0].rows == [("1",)]
    except HeliosError:
        return False


def _proxy_toml(cluster: LocalCluster, port: int, admin_port: int) -> str:
    lines = [
        "[proxy]", f'listen_addr = "{HOST}:{port}"', f'admin_addr = "{HOST}:{admin_port}"', 'auth_user = "helios"',
        "health_check_interval_secs = 1", f"write_timeout_secs = {WRITE_TIMEOUT_S}",
    ]  # fmt: skip
    for node in cluster.data_nodes:
        lines += ["[[nodes]]", f'name = "{node.name}"', f'host = "{HOST}"', f"port = {node.pg_port}"]
        lines += [f'role = "{node.role}"']
    return "\n".join([*lines, ""])
