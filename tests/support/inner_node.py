"""A whole node on a thread of the test: clients reach it over the wire, and the test reaches into it.

with InnerNode(tmp_path) as node:
    node.hold_disk()
    ...
    node.release_disk()
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from support.node_process import free_port, wait_until
from support.raw_wire import RawClient

from helios_cli.engine.config.settings import Settings
from helios_cli.engine.node.node import Node

Result = TypeVar("Result")


class _Node(Node):
    """Signals belong to the test process, which a failing disk must not end either."""

    failure: BaseException | None = None

    def _install_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        pass

    def panic(self, error: BaseException) -> None:
        """Keep the reason for the test."""
        self.failure = error


class InnerNode:
    """One node and its loop. Every client is trusted; what goes to the disk can be held back."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.port = free_port()
        given: dict[str, Any] = {
            "data_dir": str(directory / "data"),
            "pg_port": self.port,
            "http_port": free_port(),
            "io_method": "worker",
        }
        self.settings = Settings(**(given | {"native_port": free_port()} | settings))
        self.gate = threading.Event()
        self.gate.set()
        self.node: _Node
        self._thread = threading.Thread(target=self._run, name="node", daemon=True)

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self.node = _Node(self.settings)
        await self.node.run()

    def __enter__(self) -> InnerNode:
        self._thread.start()
        wait_until(lambda: hasattr(self, "node") and self.node.serving, "the node serves")
        log, write = self.node.store.log, self.node.store.log.write_through

        def gated(data: bytes) -> None:
            self.gate.wait()
            write(data)

        log.write_through = gated  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        self.gate.set()
        self.on_loop(self.node.stop_requested.set)
        self._thread.join(20)
        assert not self._thread.is_alive(), "the node did not stop"

    def hold_disk(self) -> None:
        """From now on nothing reaches the disk, once what is on its way has."""
        wait_until(lambda: not self.node.pipeline.in_flight, "nothing is in flight")
        self.gate.clear()

    def release_disk(self) -> None:
        """The disk takes everything again."""
        self.gate.set()

    @property
    def in_flight(self) -> int:
        """Commits that are not on disk; the seal of an idle log, which changes nothing, is none."""
        pipeline = self.node.pipeline
        return len({commit.seq for commit in pipeline.in_flight if commit.seq > pipeline.committed_seq})

    def on_loop(self, action: Callable[[], Result]) -> Result:
        """Run something on the node's loop."""

        async def run() -> Result:
            return action()

        return asyncio.run_coroutine_threadsafe(run(), self.node.engine.loop).result(20)

    def wait_in_flight(self, count: int = 1) -> None:
        """Until so many commits wait for the disk."""
        wait_until(lambda: self.in_flight >= count, f"{count} commits are in flight")

    def raw(self, **parameters: str) -> RawClient:
        """A client that sees every byte."""
        return RawClient(self.port, parameters=parameters)

    def connect(self, **options: Any) -> psycopg.Connection[tuple[Any, ...]]:
        """A psycopg connection in autocommit, unless told otherwise."""
        given: dict[str, Any] = {"host": "127.0.0.1", "port": self.port, "dbname": "heliosdb", "user": "postgres"}
        return psycopg.connect(**(given | {"autocommit": True} | options))
