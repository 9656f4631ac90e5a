"""Clocks, disks and links of nodes that run, made bad through the page of memory that each of them shares."""

from __future__ import annotations

import contextlib
import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from helios_cli.commands.local import machines, processes
from helios_cli.commands.local.clusterfile import LocalCluster, LocalNode
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.node.drills import BYTES, CLOCK_NS, DISK_US, LINK_US, NAME, PID
from helios_cli.engine.remote.machine import HERE, Machine

FOR_GOOD_US: Final = 10**12
"""A disk that takes nothing; until it is told otherwise."""


class NoDial(HeliosError):
    """The node was not started for it; the message says why."""

    sqlstate = "0A000"


class _Words(Protocol):
    """The page as numbers."""

    def __getitem__(self, at: int, /) -> int: ...

    def __setitem__(self, at: int, value: int, /) -> None: ...


class _FarWords:
    """The page of a node on a host: what is written to the file there is in the memory of the node at once."""

    def __init__(self, machine: Machine, path: str) -> None:
        self._machine, self._path = machine, path
        self[PID]  # whether it is there

    def __getitem__(self, at: int) -> int:
        found: int = struct.unpack("=q", self._machine.ask("peek", self._path, 8 * at, 8))[0]
        return found

    def __setitem__(self, at: int, value: int) -> None:
        self._machine.ask("poke", self._path, 8 * at, struct.pack("=q", value))


class Dial:
    """Of one node. What is set holds until it is set again, or the node starts anew."""

    def __init__(self, path: Path, machine: Machine = HERE) -> None:
        """Raises OSError: there is no such page."""
        self._words: _Words
        if machine.name:
            self._words = _FarWords(machine, str(path))
            return
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
        dial = Dial(cluster.data_dir(node) / NAME, machines.of(cluster, node))
    except (OSError, ValueError, struct.error):
        dial = None
    if dial is None or dial.pid != process.pid:
        raise NoDial(f"{node.name} was not started for it")
    return dial


def why_not(cluster: LocalCluster) -> str:
    """Why the nodes of a cluster that runs have none; empty when all have one."""
    if cluster.netns:
        return "its processes have network namespaces (--netns), and no faults of their own"
    if not cluster.faults:
        return f"faults = true is to stand in {cluster.path}, and the nodes to be restarted"
    try:
        for node in cluster.nodes:
            of(cluster, node)
    except NoDial as error:
        return f"{error.message}: heliosdb-nano cluster restart NODE"
    return ""
