"""Clocks, disks and links of nodes that run, made bad through the page of memory that each of them shares."""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from helios_cli.commands.local import processes
from helios_cli.commands.local.clusterfile import LocalCluster, LocalNode
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.node.drills import BYTES, CLOCK_NS, DISK_US, LINK_US, NAME, PID

FOR_GOOD_US: Final = 10**12
"""A disk that takes nothing; until it is told otherwise."""


class NoDial(HeliosError):
    """The node was not started for it; the message says why."""

    sqlstate = "0A000"


class Dial:
    """Of one node. What is set holds until it is set again, or the node starts anew."""

    def __init__(self, path: Path) -> None:
        """Raises OSError: there is no such page."""
        with open(path, "r+b") as file:
            self._words = memoryview(mmap.mmap(file.fileno(), BYTES)).cast("q")

    @property
    def pid(self) -> int:
        """Whose it is."""
        return self._words[PID]

    def jump(self, seconds: float) -> None:
        """Its time of day is so far ahead of the true one from now on; behind it when negative."""
        self._words[CLOCK_NS] = round(seconds * 1e9)

    @property
    def delay_s(self) -> float:
        """How much later what it sends to other nodes leaves."""
        return self._words[LINK_US] / 1e6

    @delay_s.setter
    def delay_s(self, seconds: float) -> None:
        self._words[LINK_US] = round(seconds * 1e6)

    @contextlib.contextmanager
    def stalled(self) -> Iterator[None]:
        """Its disk takes nothing meanwhile."""
        self._words[DISK_US] = FOR_GOOD_US
        try:
            yield
        finally:
            self.go_on()

    def go_on(self) -> None:
        """Its disk takes everything again. Idempotent."""
        self._words[DISK_US] = 0

    def right(self) -> None:
        """Nothing is wrong with it any more."""
        self._words[CLOCK_NS] = self._words[DISK_US] = self._words[LINK_US] = 0


def of(cluster: LocalCluster, node: LocalNode) -> Dial:
    """The dial of a node.

    Raises:
        NoDial: it is down, or does not run with ``allow_faults``.
    """
    process = processes.find(cluster, node)
    if process is None:
        raise NoDial(f"{node.name} is down")
    try:
        dial = Dial(cluster.data_dir(node) / NAME)
    except (OSError, ValueError):
        dial = None
    if dial is None or dial.pid != process.pid:
        raise NoDial(f"{node.name} was not started for it")
    return dial


def why_not(cluster: LocalCluster) -> str:
    """Why the nodes of a cluster that runs have none; empty when all have one."""
    if cluster.netns:
        return "its processes have network namespaces (--netns), and no faults of their own"
    if any(one.host for one in cluster.nodes):
        return "some of its nodes are on hosts: clocks, disks and links are made bad on this machine alone"
    if not cluster.faults:
        return f"faults = true is to stand in {cluster.path}, and the nodes to be restarted"
    try:
        for node in cluster.nodes:
            of(cluster, node)
    except NoDial as error:
        return f"{error.message}: heliosdb-nano cluster restart NODE"
    return ""
