"""Reading logs that grow, are rotated or cut, belong to processes that come and go, and lie here or on hosts."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from helios_cli.commands.local import machines
from helios_cli.commands.local.clusterfile import LocalCluster, Member
from helios_cli.commands.local.loglines import Assembler, Entry
from helios_cli.engine.remote.errors import HostError
from helios_cli.engine.remote.machine import Machine

READ_BYTES: Final = 1 << 20
LINE_BYTES_MAX: Final = 1 << 20
"""A line that is longer is handed out in pieces."""


class Tail:
    """One log file of this machine.

    A name that is another file by now was rotated: the old one is read to its end, then the new.
    """

    def __init__(self, node: str, path: Path) -> None:
        self.path = path
        self.problem: HostError | None = None
        self._assembler = Assembler(node)
        self._file: BinaryIO | None = None
        self._rest = b""

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def history(self) -> Iterator[Entry]:
        """Everything so far, the file that was rotated last before the present one; then :meth:`news` goes on.

        OSError: it cannot be read. A file that is not there has nothing in it.
        """
        older = self.path.with_name(f"{self.path.name}.1")
        if older.exists():
            with open(older, "rb") as file:
                yield from self._entries(file)
            yield from self._line_without_end()
        yield from self.news()

    def news(self) -> Iterator[Entry]:
        """What has come since, whole lines only; an entry that may go on is handed out all the same."""
        while True:
            if self._file is None and not self._open():
                break
            assert self._file is not None
            if os.fstat(self._file.fileno()).st_size < self._file.tell():
                self._file.seek(0)  # it was cut off and is written anew
                self._rest = b""
            yield from self._entries(self._file)
            if not self._was_rotated():
                break
            yield from self._entries(self._file)
            yield from self._line_without_end()
            self.close()
        yield from self._assembler.flush()

    def _open(self) -> bool:
        try:
            self._file = open(self.path, "rb")  # noqa: SIM115
        except FileNotFoundError:
            return False
        return True

    def _was_rotated(self) -> bool:
        assert self._file is not None
        try:
            there = os.stat(self.path)
        except FileNotFoundError:
            return False  # the next one is not there yet: what still comes goes into this one
        here = os.fstat(self._file.fileno())
        return (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino)

    def _entries(self, file: BinaryIO) -> Iterator[Entry]:
        while data := file.read(READ_BYTES):
            *lines, self._rest = (self._rest + data).split(b"\n")
            if len(self._rest) > LINE_BYTES_MAX:
                lines.append(self._rest)
                self._rest = b""
            yield from self._assembler.feed(line.decode(errors="replace").rstrip("\r") for line in lines)

    def _line_without_end(self) -> Iterator[Entry]:
        """The last line of a file to which nothing comes any more."""
        if self._rest:
            line, self._rest = self._rest, b""
            yield from self._assembler.feed([line.decode(errors="replace")])


class FarTail:
    """The same for a log on a host. While the host cannot be reached nothing comes, and all of it afterwards."""

    def __init__(self, node: str, machine: Machine, path: str) -> None:
        self._machine, self._path = machine, path
        self.problem: HostError | None = None
        """Why nothing came from it when it was read last."""
        self._assembler = Assembler(node)
        self._mark: list[int] | None = None
        self._rest = b""

    def close(self) -> None:
        """Nothing is held open."""

    def history(self) -> Iterator[Entry]:
        """Everything so far (:meth:`Tail.history`)."""
        try:
            self._mark = self._machine.ask("oldest", self._path)
        except HostError as error:
            self.problem = error
            return
        yield from self.news()

    def news(self) -> Iterator[Entry]:
        """What has come since (:meth:`Tail.news`)."""
        try:
            yield from self._grown()
            self.problem = None
        except HostError as error:
            self.problem = error

    def _grown(self) -> Iterator[Entry]:
        while True:
            self._mark, data, is_over = self._machine.ask("grown", self._path, self._mark, READ_BYTES)
            *lines, self._rest = (self._rest + data).split(b"\n")
            if self._rest and (is_over or len(self._rest) > LINE_BYTES_MAX):
                lines.append(self._rest)
                self._rest = b""
            yield from self._assembler.feed(line.decode(errors="replace").rstrip("\r") for line in lines)
            if not data and not is_over:
                break
        yield from self._assembler.flush()


def of(cluster: LocalCluster, member: Member) -> Tail | FarTail:
    """The log of a node or the proxy, wherever it is."""
    path = cluster.log_file(member)
    return FarTail(member.name, machines.of(cluster, member), str(path)) if member.host else Tail(member.name, path)


def histories(tails: Sequence[Tail | FarTail]) -> Iterator[Entry]:
    """Everything so far of all logs, by time."""
    return heapq.merge(*(tail.history() for tail in tails), key=lambda one: one.time)


def all_news(tails: Sequence[Tail | FarTail]) -> list[Entry]:
    """What has come since in all logs, by time."""
    return sorted((one for tail in tails for one in tail.news()), key=lambda one: one.time)
