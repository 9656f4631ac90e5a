"""What a cluster needs before it starts, so that its clocks, disks or links can be made bad while it runs."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from helios_cli.commands.local.clusterfile import LocalCluster
from helios_cli.commands.proving import wall_clock
from helios_cli.commands.proving.loop_disk import LoopDisk
from helios_cli.commands.proving.tcp_link import TcpLink
from helios_cli.commands.proving.wall_clock import WallClock

CLOCK, DISK, LINK = "clock", "slow-disk", "slow-link"
DISK_MB: Final = 1024
"""Of each node's disk; the file takes what is written alone."""
HELD_S: Final = 0.25
FREE_S: Final = 0.02
"""A slow disk takes nothing for the one, then everything for the other."""
ADDRESS: Final = "127.0.77."
"""Of loopback: where nodes whose links can be slow are reached, by their numbers."""
TOOLS: Final = ("mkfs.ext4", "mount", "umount", "fsfreeze")


@dataclass(slots=True)
class Rig:
    """Each by the name of its node; empty where it was not asked for."""

    clocks: dict[str, WallClock] = field(default_factory=dict)
    disks: dict[str, LoopDisk] = field(default_factory=dict)
    links: dict[str, TcpLink] = field(default_factory=dict)
    """Towards each node: others reach it through this process alone."""


def why_no_disks() -> str:
    """Why this machine gives no disks that can be slow; empty when it seems to."""
    if os.geteuid():
        return "it takes root, to mount a file system for each node"
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"{', '.join(missing)} is not installed" if missing else ""


def why_no_clocks() -> str:
    """Why clocks cannot be moved; empty when they can."""
    return "" if wall_clock.HOOK.is_dir() else "the product is one file here, and nodes cannot be started otherwise"


@contextmanager
def rigged(cluster: LocalCluster, faults: Sequence[str]) -> Iterator[tuple[LocalCluster, Rig]]:
    """The cluster as it has to be started for some faults, and what they use; taken down in the end.

    Raises:
        NoLoopDisks: the machine gives none.
    """
    rig = Rig()
    with ExitStack() as stack:
        if CLOCK in faults:
            stack.enter_context(_clocks(cluster, rig))
        if DISK in faults:
            for node in cluster.data_nodes:
                disk = LoopDisk(cluster.data_dir(node), DISK_MB)
                rig.disks[node.name] = stack.enter_context(disk)
                (disk.path / "lost+found").rmdir()  # a data directory begins empty
        if LINK in faults:
            cluster = _linked(cluster, rig, stack)
        yield cluster, rig


@contextmanager
def _clocks(cluster: LocalCluster, rig: Rig) -> Iterator[None]:
    directory = cluster.directory / "clocks"
    directory.mkdir(parents=True)
    rig.clocks = {node.name: WallClock(directory / node.name) for node in cluster.nodes}
    before = {name: os.environ.get(name) for name in ("PYTHONPATH", wall_clock.VARIABLE)}
    os.environ.update(wall_clock.environment(directory.resolve()))
    try:
        yield
    finally:
        for name, text in before.items():
            if text is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = text


def _linked(cluster: LocalCluster, rig: Rig, stack: ExitStack) -> LocalCluster:
    """Each node says to be at a loopback address of its own, where this process listens on its native port."""
    nodes = []
    for number, node in enumerate(cluster.nodes, 1):
        address = f"{ADDRESS}{number}"
        rig.links[node.name] = stack.enter_context(TcpLink(node.native_port, address=address, port=node.native_port))
        settings = (f"advertise_address={address}", *((f"primary_host={ADDRESS}1",) if number > 1 else ()))
        nodes.append(replace(node, settings=(*node.settings, *settings)))
    return replace(cluster, nodes=tuple(nodes))


@contextmanager
def slow(disk: LoopDisk) -> Iterator[None]:
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
