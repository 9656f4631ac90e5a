"""Nodes forked from a process that has imported the product, since importing is most of what a start costs.

Each process of tests has one such server, started with its first node and ended with it. What it forks gets the
arguments, the environment, the log and the network of its caller; from there on it is ``heliosdb-nano start``.
"""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
CLONE_NEWNET: Final = 0x40000000
PR_SET_PDEATHSIG: Final = 1
MESSAGE_MAX: Final = 100_000


class ForkedProcess:
    """A process that somebody else is the parent of, with the methods of Popen that nodes need."""

    def __init__(self, server: ForkServer, pid: int) -> None:
        self.pid = pid
        self._server = server
        self._code: int | None = None

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        if self._code is None:
            self._code = self._server.exit_code(self.pid)
        return self._code

    def wait(self, timeout: float) -> int:
        """Wait for the end. Raises TimeoutExpired."""
        deadline = time.monotonic() + timeout
        if self.poll() is None:
            descriptor, ended = os.pidfd_open(self.pid), select.poll()
            try:
                ended.register(descriptor, select.POLLIN)
                ended.poll(timeout * 1000)
            finally:
                os.close(descriptor)
        # Of one that is traced the parent hears when the tracer has let it go.
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("a forked node", timeout)
            time.sleep(0.005)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal; nothing when it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


class ForkServer:
    """The process that forks, seen from the tests. Its requests are answered one after the other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        path = os.pathsep.join([str(ROOT / "tests"), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "support.node_forks", str(theirs.fileno())], cwd=ROOT, stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": path}, pass_fds=[theirs.fileno()],
            )  # fmt: skip

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], log: int) -> ForkedProcess:
        """``heliosdb-nano`` with these arguments and no other variables, in the network of the calling thread."""
        network = os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", os.O_RDONLY)
        try:
            request = json.dumps({"arguments": list(arguments), "environment": dict(environment)})
            return ForkedProcess(self, self._ask(request, [log, network]))
        finally:
            os.close(network)

    def exit_code(self, pid: int) -> int | None:
        """Of a process that it has forked; None while that runs."""
        code = self._ask(json.dumps({"pid": pid}), [])
        return None if code == _RUNS else code

    def close(self) -> None:
        """End it, and what it has forked."""
        self._channel.close()
        self._process.wait(10)

    def _ask(self, request: str, descriptors: list[int]) -> int:
        with self._lock:
            socket.send_fds(self._channel, [request.encode()], descriptors)
            answer = self._channel.recv(MESSAGE_MAX)
        assert answer, "the server of forks has ended"
        return int(answer)


_servers: list[ForkServer] = []


def fork_server() -> ForkServer:
    """That of this process, started when it is first asked for: the network it is started in is kept until then."""
    if not _servers:
        _servers.append(ForkServer())
        atexit.register(_servers[0].close)
    return _servers[0]


# In the server -------------------------------------------------------------------------------------------------------

_RUNS: Final = 1_000_000
"""In place of an exit code."""


def _serve(channel: socket.socket) -> int:
    """Fork and tell of ends until the tests are gone. In a forked process: the exit code of the node."""
    import gc

    import uvloop  # noqa: F401 -- that the forked find it

    from helios_cli import cli
    from helios_cli.commands import node as _command
    from helios_cli.engine.node import node as _node
    from helios_cli.engine.node import observer as _observer

    del _command, _node, _observer
    gc.freeze()
    while True:
        request, descriptors, _, _ = socket.recv_fds(channel, MESSAGE_MAX, 2)
        if not request:
            return 0
        asked = json.loads(request)
        if "pid" in asked:
            channel.send(str(_ended(asked["pid"])).encode())
            continue
        pid = os.fork()
        if not pid:
            channel.close()
            _become(asked["environment"], *descriptors)
            sys.argv = ["heliosdb-nano", *asked["arguments"]]
            return cli.main()
        for each in descriptors:
            os.close(each)
        channel.send(str(pid).encode())


def _ended(pid: int) -> int:
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else _RUNS


def _become(environment: Mapping[str, str], log: int, network: int) -> None:
    """Have the surroundings of a process that the caller has started itself."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    libc = ctypes.CDLL(None, use_errno=True)
    # Tests that are killed leave no nodes behind that elect each other for ever.
    assert libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0, os.strerror(ctypes.get_errno())
    if os.fstat(network).st_ino != os.stat("/proc/self/ns/net").st_ino:
        assert libc.setns(network, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
    os.close(network)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(_serve(socket.socket(fileno=int(sys.argv[1]))))
