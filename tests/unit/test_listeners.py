"""Sockets that were handed over: served beside the own address, silent while nobody serves, served again."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.node_process import free_port

from helios_cli.engine.net import listeners
from helios_cli.engine.net.listeners import Listeners

ROOT = Path(__file__).resolve().parents[2]


class Greeter(asyncio.Protocol):
    """Says a word and goes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(b"hello")
        transport.close()


async def greeting(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        return await reader.read()
    finally:
        writer.close()


@pytest.mark.asyncio
async def test_both_are_served_and_both_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    there = free_port()  # named: one that the kernel has chosen would be another one when it listens again
    with socket.create_server(("127.0.0.1", there)) as handed:
        monkeypatch.setattr(listeners, "handed_over", lambda: {"pg": [handed]})
        made, loop = Listeners("pg"), asyncio.get_running_loop()
        for _ in range(2):
            own = await made.open(loop, Greeter, "127.0.0.1", 0, backlog=16)
            assert [await greeting(own), await greeting(there)] == [b"hello", b"hello"]
            made.close()
            for port in (own, there):
                with pytest.raises(ConnectionRefusedError):
                    await greeting(port)
        other = Listeners("http")
        await other.open(loop, Greeter, "127.0.0.1", 0)
        with pytest.raises(ConnectionRefusedError):
            await greeting(there)
        other.close()


TAKE = """
import os
from helios_cli.engine.net.listeners import handed_over
found = handed_over()
print(sorted((face, one.getsockname()[1]) for face, all in found.items() for one in all))
print([name for name in os.environ if name.startswith("LISTEN_")], [os.get_inheritable(3), os.get_inheritable(4)])
"""


HAND = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.environ["LISTEN_PID"] = str(os.getpid() + int(sys.argv[3]))
os.execv(sys.executable, [sys.executable, "-c", sys.argv[4]])
"""


@pytest.mark.parametrize("other_process", [0, 1])
def test_they_are_those_that_the_environment_names(other_process: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        descriptors = one.fileno(), two.fileno()
        done = subprocess.run(
            [sys.executable, "-c", HAND, *map(str, (*descriptors, other_process)), TAKE],
            env={"LISTEN_FDS": "2", "LISTEN_FDNAMES": "pg:http", "PYTHONPATH": str(ROOT)},
            pass_fds=descriptors, capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        ports = [int(each.getsockname()[1]) for each in (one, two)]
    found, hidden = done.stdout.splitlines()
    if other_process:
        assert found == "[]", "they were meant for another process"
    else:
        assert found == str([("http", ports[1]), ("pg", ports[0])]) and hidden == "[] [False, False]"
