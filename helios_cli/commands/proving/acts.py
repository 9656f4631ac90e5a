"""What can be done to the nodes of a cluster of this machine, by name."""

from __future__ import annotations

import signal

from helios_cli.commands.local import launch, observation, processes
from helios_cli.commands.local.clusterfile import LocalCluster
from helios_cli.commands.local.observation import Observation
from helios_cli.engine.errors import HeliosError


class Acts:
    """Each may be done twice."""

    def __init__(self, cluster: LocalCluster) -> None:
        self._cluster = cluster
        self.names = [node.name for node in cluster.nodes]

    def primary(self) -> str | None:
        """Who leads, as the nodes say; None when nobody does."""
        leader = observation.primary_of(self.observe())
        return leader.node.name if leader is not None else None

    def observe(self) -> list[Observation]:
        """All nodes, in the order of the file."""
        return observation.observe(self._cluster)

    def start(self, name: str, timeout_s: float = 60.0, *, wait: bool = True) -> None:
        """Start a node that is down, and wait until it leads or streams."""
        node = self._cluster.node(name)
        steps = [step for step in launch.plan(self._cluster, self.observe()) if step.node == node]
        launch.launch(self._cluster, steps)
        if wait:
            launch.wait_streaming(self._cluster, timeout_s, lambda _text: None, [node])

    def kill(self, name: str) -> None:
        """SIGKILL, and wait for the end."""
        process = self._process(name)
        if process is not None:
            process.send(signal.SIGKILL)
            process.wait_gone(10.0)
            processes.forget(self._cluster, self._cluster.node(name))

    def freeze(self, name: str) -> None:
        """SIGSTOP."""
        self._running(name).send(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """SIGCONT."""
        process = self._process(name)
        if process is not None:
            process.send(signal.SIGCONT)

    def _process(self, name: str) -> processes.Process | None:
        return processes.find(self._cluster, self._cluster.node(name))

    def _running(self, name: str) -> processes.Process:
        process = self._process(name)
        if process is None:
            raise HeliosError(f"{name} is not running", hint=f"heliosdb-nano cluster start {name} starts it.")
        return process
