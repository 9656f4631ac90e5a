"""A worker: a process that the parent has started, and that serves clients of the port that all of them share."""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import signal
import socket
import sys
from dataclasses import dataclass
from typing import Any, Final

from helios_cli.engine.config.proxy_load import LoadedProxy
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.observe.logs import configure_logging
from helios_cli.engine.proxyserver.far import FarAdministration, serve
from helios_cli.engine.proxyserver.peer import Peer
from helios_cli.engine.proxyserver.process import Process
from helios_cli.engine.proxyserver.runner import raise_file_limit, run_loop

log = logging.getLogger(__name__)

CANNOT_START: Final = 3
"""Exit code of a worker that could not begin to serve."""
_OF_NODES: Final = ("nodes", "watch", "discovery")
"""What these say the first worker says."""


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker begins with."""

    loaded: LoadedProxy
    number: int
    paused: bool = False
    drained: tuple[str, ...] = ()


def send_orders(line: socket.socket, orders: Orders) -> None:
    """Write them to a worker's line, before anything else."""
    data = pickle.dumps(orders)
    line.sendall(len(data).to_bytes(4, "big") + data)


def _read_orders(line: socket.socket) -> Orders:
    with line.dup() as copy, copy.makefile("rb", buffering=0) as file:
        size = int.from_bytes(_exactly(file, 4), "big")
        found: Orders = pickle.loads(_exactly(file, size))
    return found


def _exactly(file: Any, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = file.read(count - len(data))
        if not part:
            raise SystemExit(CANNOT_START)
        data += part
    return data


class Worker:
    """Joins the process that serves to the parent's line."""

    def __init__(self, orders: Orders, loop: asyncio.AbstractEventLoop) -> None:
        self._orders = orders
        self._loop = loop
        self.process = Process(orders.loaded, loop, orders.number)
        self.peer = Peer(loop, self._serve, self._alone)
        self.process.administration = FarAdministration(self.peer, lambda: self.process.reloading.loaded.settings)
        self.process.pass_on = lambda pid, key: self.peer.tell("cancel", pid=pid, key=key.hex())

    async def run(self, line: socket.socket) -> int:
        """Serve until the parent says that it is over, or is gone itself."""
        self._loop.add_signal_handler(signal.SIGTERM, self.process.end)
        self._loop.add_signal_handler(signal.SIGINT, lambda: None)  # the terminal's is the parent's to act on
        await self._loop.create_unix_connection(lambda: self.peer, sock=line)
        try:
            server = await self.process.start()
        except HeliosError as error:
            log.error("worker %d cannot start: %s", self._orders.number, error.message)
            return CANNOT_START
        if self._orders.paused:
            self.process.proxy.pause()
        for name in self._orders.drained:
            if name in self.process.proxy.cluster.nodes:
                await self.process.own.drain(name, force=True)
        self.peer.tell("ready")
        await self.process.serve(server)
        self.peer.close()
        return 0

    async def _serve(self, name: str, given: dict[str, Any]) -> Any:
        if name == "cancel":
            self.process.proxy.cancel_client(given["pid"], bytes.fromhex(given["key"]))
        elif name == "end":
            self.process.end()
        elif name == "alive":
            pass
        else:
            return await serve(self.process.own, name, given)
        return None

    def _alone(self) -> None:
        """The parent is gone: nobody could tell this worker to end any more."""
        self.process.end_at_once()


def main() -> int:
    """The program of a worker; its argument is the descriptor of the line."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGHUP,))
    line = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(line.fileno(), False)
    orders = _read_orders(line)
    settings = orders.loaded.settings
    configure_logging(settings.log_level, settings.log_format)  # type: ignore[arg-type]
    if orders.number:
        for name in _OF_NODES:
            logging.getLogger(f"helios_cli.engine.proxyserver.{name}").setLevel(logging.ERROR)
    raise_file_limit()
    line.setblocking(False)

    async def work() -> int:
        return await Worker(orders, asyncio.get_running_loop()).run(line)

    return run_loop(work)
