"""Hosts on a network of their own: network namespaces at a bridge, whose packets a test can drop.

    def test_something(network: Network, tmp_path: Path) -> None:
        one, other = network.host("n1"), network.host("n2")
        node = network.node(one, tmp_path / "n1").start()
        network.cut(one, other)          # what "one" sends to "other" is lost; the other way is open
        network.isolate(one)             # and now nothing goes in or out
        network.heal()

The namespaces have no name: they live as long as a process is in them or a descriptor of them is open, so nothing is
left behind even when the tests are killed. The machine's own network is not touched. It takes root, ``ip`` and ``nft``.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.delay_line import DelayLine, tap
from support.node_forks import fork_server
from support.node_process import NodeProcess

CLONE_NEWNET = 0x40000000
PREFIX = "10.99.0."
SECRET = "a secret that only the hosts of this test know"

RULES = """
    table inet cuts {
        set lost { type ipv4_addr; }
        chain arriving { type filter hook input priority 0; policy accept; ip saddr @lost drop; }
    }"""
"""What comes from a host in ``lost`` is dropped where it arrives."""


class Namespace:
    """A network of its own, with a loopback; what is opened or started inside :meth:`entered` stays in it."""

    def __init__(self) -> None:
        """Raises OSError without the right to make one."""
        with _come_back():
            _checked("unshare", CLONE_NEWNET)
            self._descriptor = os.open(_current(), os.O_RDONLY | os.O_CLOEXEC)
            try:
                _run("ip", "link", "set", "lo", "up")
            except BaseException:
                self.close()
                raise

    @property
    def path(self) -> str:
        """As what other processes find it, for as long as it is not closed."""
        return f"/proc/{os.getpid()}/fd/{self._descriptor}"

    @contextmanager
    def entered(self) -> Iterator[None]:
        """The calling thread is in it, and so are the threads and processes that it starts, for good."""
        with _come_back():
            _checked("setns", self._descriptor, CLONE_NEWNET)
            yield

    def close(self) -> None:
        """Let go of it. Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Host(Namespace):
    """A machine on the network."""

    def __init__(self, name: str, number: int) -> None:
        super().__init__()
        self.name = name
        self.number = number
        self.address = f"{PREFIX}{number}"


@dataclass(slots=True)
class Cut:
    """A time in which packets of one host to another were lost, by the monotonic clock."""

    source: str
    target: str
    since: float
    until: float = float("inf")


class Network:
    """Hosts at one bridge, and the nodes on them."""

    def __init__(self) -> None:
        self.cuts: list[Cut] = []
        """All that there were, in their order."""
        self.lines: dict[str, DelayLine] = {}
        """Of hosts that are far away, by name."""
        self._hosts: list[Host] = []
        self._nodes: list[HostedNode] = []
        self.switch = Host("switch", 254)
        """Where the bridge is; a host too, which reaches all others."""
        with self.switch.entered():
            _run("ip", "link", "add", "bridge", "type", "bridge")
            _run("ip", "address", "add", f"{self.switch.address}/24", "dev", "bridge")
            _run("ip", "link", "set", "bridge", "up")

    def host(self, name: str, delay_s: float = 0.0) -> Host:
        """Another host; what it sends is so long under way to the switch, and what it is sent as long from there."""
        made = Host(name, len(self._hosts) + 1)
        self._hosts.append(made)
        port = f"port{made.number}"
        with self.switch.entered():
            far = tap(port) if delay_s else None
            if far is None:
                _run("ip", "link", "add", port, "type", "veth", "peer", "name", "net", "netns", made.path)
            _run("ip", "link", "set", port, "master", "bridge", "up")
        if far is not None:
            with made.entered():
                self.lines[name] = DelayLine(tap("net"), far, delay_s)
        with made.entered():
            _run("ip", "address", "add", f"{made.address}/24", "dev", "net")
            _run("ip", "link", "set", "net", "up")
            _run("nft", "--file", "-", given=RULES)
        return made

    def node(self, host: Host, directory: Path, flags: Sequence[str] = ()) -> HostedNode:
        """A node of that name on a host, not started; it is killed with the network."""
        directory.mkdir(parents=True)
        made = HostedNode(host, directory, ("--node-id", host.name, *flags))
        self._nodes.append(made)
        return made

    def cut(self, source: Host, *targets: Host) -> None:
        """What ``source`` sends to ``targets`` is lost from now on, also over connections that stand."""
        for target in targets:
            with target.entered():
                _run("nft", "add", "element", "inet", "cuts", "lost", f"{{ {source.address} }}")
            self.cuts.append(Cut(source.name, target.name, time.monotonic()))

    def isolate(self, host: Host) -> None:
        """Nothing goes out of ``host`` or comes in: as if it were dead, or its cable pulled."""
        others = [other for other in self._hosts if other is not host]
        self.cut(host, *others)
        for other in others:
            self.cut(other, host)

    def heal(self) -> None:
        """Everything goes through again."""
        for cut in self.cuts:
            cut.until = min(cut.until, time.monotonic())
        for host in self._hosts:
            with host.entered():
                _run("nft", "flush", "set", "inet", "cuts", "lost")

    def close(self) -> None:
        """Kill the nodes, and let go of the namespaces. Idempotent."""
        for node in self._nodes:
            node.kill()
        for line in self.lines.values():
            line.close()
        self.lines.clear()
        for host in (*self._hosts, self.switch):
            host.close()

    def logs(self) -> str:
        """The end of what each node logged."""
        return "".join(f"--- {node.host.name}\n{node.log_tail()}\n" for node in self._nodes)


class HostedNode(NodeProcess):
    """A node on a host of a :class:`Network`. Its clients come over the host's loopback, other nodes by its address."""

    def __init__(
        self, host: Host, directory: Path, flags: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> None:
        flags = ("--listen-address", "0.0.0.0", "--advertise-address", host.address, *flags)
        super().__init__(directory, flags, {"HELIOSDB_CLUSTER_SECRET": SECRET, **(environment or {})})
        self.host = host

    def start(self, *, wait: bool = True) -> HostedNode:
        """As of any node, on its host."""
        fork_server()  # not on the host, which it would keep
        with self.host.entered():
            super().start(wait=wait)
        return self

    def connect(self, **options: Any) -> psycopg.Connection[tuple[Any, ...]]:
        """As to any node, from its host."""
        with self.host.entered():
            return super().connect(**options)

    def http(self, path: str, *, body: Mapping[str, Any] | None = None, timeout: float = 10.0) -> tuple[int, Any]:
        """As of any node, from its host."""
        with self.host.entered():
            return super().http(path, body=body, timeout=timeout)


def missing_for_networks() -> str:
    """What this machine lacks for a :class:`Network`; empty when nothing."""
    for program in ("ip", "nft"):
        if shutil.which(program) is None:
            return f"{program} is not installed (make deps)"
    if os.geteuid() != 0:
        return "network namespaces take root"
    return ""


@pytest.fixture
def network() -> Iterator[Network]:
    """A network without hosts yet. Where none can be made the test skips by name, or fails where CI promises it."""
    missing = missing_for_networks()
    made: Network | None = None
    if not missing:
        try:
            made = Network()
        except (OSError, subprocess.CalledProcessError) as error:
            missing = f"no network namespaces here: {getattr(error, 'stderr', None) or error}"
    if made is None:
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    try:
        yield made
    finally:
        made.close()
        sys.stdout.write(made.logs())


# Inside --------------------------------------------------------------------------------------------------------------

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(function: str, *arguments: int) -> None:
    if getattr(_libc, function)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function}: {os.strerror(number)}")


def _current() -> str:
    return f"/proc/self/task/{threading.get_native_id()}/ns/net"


@contextmanager
def _come_back() -> Iterator[None]:
    """The calling thread is in the network of before afterwards."""
    before = os.open(_current(), os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield
    finally:
        _checked("setns", before, CLONE_NEWNET)
        os.close(before)


def _run(*command: str, given: str | None = None) -> None:
    """Raises CalledProcessError."""
    subprocess.run(command, input=given, check=True, capture_output=True, text=True, timeout=10)
