"""What some faults need: clocks, disks and links of the nodes that can be made bad while these run."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from helios_cli.commands.local.clusterfile import LocalCluster
from helios_cli.commands.proving import dials
from helios_cli.commands.proving.dials import Dial
from helios_cli.commands.proving.loop_disk import LoopDisk
from helios_cli.commands.proving.tcp_link import TcpLink

CLOCK, DISK, LINK = "clock", "slow-disk", "slow-link"
DIALLED: Final = (CLOCK, DISK, LINK)
"""What a node lets be done to it (engine/node/drills.py)."""
DISK_MB: Final = 1024
"""Of each node's disk; the file takes what is written alone."""
HELD_S: Final = 0.25
FREE_S: Final = 0.02
"""A slow disk takes nothing for the one, then everything for the other."""
ADDRESS: Final = "127.0.77."
"""Of loopback: where nodes whose links can be slow are reached, by their numbers."""
TOOLS: Final = ("mkfs.ext4", "mount", "umount", "fsfreeze")


class Disk(Protocol):
    """One that can stand still."""

    def stalled(self) -> AbstractContextManager[None]:
        """Take nothing meanwhile."""

    def go_on(self) -> None:
        """Take everything again."""


class Slowed(Protocol):
    """A way to other nodes that can take its time."""

    delay_s: float


@dataclass(slots=True)
class Rig:
    """Each by the name of its node; empty where it was not asked for."""

    clocks: Mapping[str, Dial] = field(default_factory=dict)
    disks: Mapping[str, Disk] = field(default_factory=dict)
    links: Mapping[str, Slowed] = field(default_factory=dict)

    def take_dials(self, cluster: LocalCluster, faults: Sequence[str]) -> list[Dial]:
        """Use what the running nodes themselves offer for the faults that nothing else is there for.

        Raises:
            NoDial: a node offers nothing.
        """
        if not set(faults) & set(DIALLED):
            return []
        found = {node.name: dials.of(cluster, node) for node in cluster.nodes}
        if CLOCK in faults:
            self.clocks = found
        if DISK in faults and not self.disks:
            self.disks = found
        if LINK in faults and not self.links:
            self.links = found
        return list(found.values())


def has_disks() -> bool:
    """Whether each node can have a file system of its own, which stands still as a whole: root, and the tools."""
    return not os.geteuid() and all(shutil.which(tool) for tool in TOOLS)


@contextmanager
def rigged(cluster: LocalCluster, faults: Sequence[str]) -> Iterator[tuple[LocalCluster, Rig]]:
    """The cluster as it has to be started for some faults, and what they use; taken down in the end.

    Raises:
        NoLoopDisks: the machine gives none.
    """
    rig = Rig()
    with ExitStack() as stack:
        if DISK in faults and has_disks():
            disks: dict[str, Disk] = {}
            for node in cluster.data_nodes:
                disk = LoopDisk(cluster.data_dir(node), DISK_MB)
                disks[node.name] = stack.enter_context(disk)
                (disk.path / "lost+found").rmdir()  # a data directory begins empty
            rig.disks = disks
        if LINK in faults:
            cluster = _linked(cluster, rig, stack)
        yield cluster, rig


def _linked(cluster: LocalCluster, rig: Rig, stack: ExitStack) -> LocalCluster:
    """Each node says to be at a loopback address of its own, where this process listens on its native port."""
    nodes = []
    links: dict[str, TcpLink] = {}
    for number, node in enumerate(cluster.nodes, 1):
        address = f"{ADDRESS}{number}"
        links[node.name] = stack.enter_context(TcpLink(node.native_port, address=address, port=node.native_port))
        settings = (f"advertise_address={address}", *((f"primary_host={ADDRESS}1",) if number > 1 else ()))
        nodes.append(replace(node, settings=(*node.settings, *settings)))
    rig.links = links
    return replace(cluster, nodes=tuple(nodes))


@contextmanager
def slow(disk: Disk) -> Iterator[None]:
    """Meanwhile a disk takes what is written only now and then."""
    over = threading.Event()

    def turn() -> None:
        while not over.is_set():
            with disk.stalled():
                over.wait(HELD_S)
            over.wait(FREE_S)

    thread = threading.Thread(target=turn, name="slow-disk", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        with contextlib.suppress(Exception):
            disk.go_on()
