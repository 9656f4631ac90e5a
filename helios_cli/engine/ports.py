"""What the engine asks of the outside world, as protocols that a simulator can fulfil too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

from helios_cli.engine.consensus.election import Answer
from helios_cli.engine.types import Term

Measured = tuple[Literal["gauge", "counter"], str, Callable[[], float]]
"""Its kind, what it says, and what to read."""


class File(Protocol):
    """An open file, addressed by offset; no hidden cursor."""

    def pread(self, size: int, offset: int) -> bytes:
        """Up to ``size`` bytes at ``offset``; fewer only at the end of the file."""

    def pwrite(self, data: bytes | bytearray | memoryview, offset: int) -> None:
        """Write all of ``data``. Raises OSError (ENOSPC among them)."""

    def pwrite_through(self, data: bytes, offset: int) -> None:
        """Write all of ``data`` and force it to stable storage. What was written before stays as unsynced as it was."""

    def through_descriptor(self) -> int | None:
        """A descriptor of the operating system's through which every write is durable; None: there is none."""

    def allocate(self, size: int) -> None:
        """Make the file at least ``size`` bytes long with space reserved; new bytes read as zero."""

    def truncate(self, size: int) -> None:
        """Cut or extend the file to ``size`` bytes."""

    def sync(self) -> None:
        """Force the file's data (and the size needed to read it) to stable storage."""

    def size(self) -> int:
        """Bytes in the file now."""

    def close(self) -> None:
        """Release the descriptor. Never syncs."""


class Files(Protocol):
    """A directory tree that survives crashes only as far as it was synced."""

    def open(self, path: str, *, create: bool = False) -> File:
        """Open for reading and writing. Raises FileNotFoundError unless ``create``."""

    def listdir(self, path: str) -> list[str]:
        """Names in a directory, sorted; empty when it does not exist."""

    def exists(self, path: str) -> bool:
        """Whether a file or directory of that name is there."""

    def makedirs(self, path: str) -> None:
        """Create a directory and its parents; nothing happens when it is there."""

    def rename(self, source: str, target: str) -> None:
        """Replace ``target`` by ``source`` atomically."""

    def unlink(self, path: str) -> None:
        """Remove a file. Raises FileNotFoundError."""

    def sync_dir(self, path: str) -> None:
        """Force the entries of a directory (creations, renames, removals) to stable storage."""

    def free_bytes(self, path: str) -> int:
        """Bytes that an ordinary process may still write on the file system of ``path``."""


class Clock(Protocol):
    """The two clocks a node may read."""

    def monotonic_ns(self) -> int:
        """A clock that never steps back and keeps running while the machine is suspended."""

    def wall_us(self) -> int:
        """Microseconds since 1970-01-01 UTC; may step."""


class Authority(Protocol):
    """Who decides, beside the data nodes' promises, which node leads in which term, and which configuration counts."""

    def begin(self) -> None:
        """From now on it may be asked."""

    def stop(self) -> None:
        """End; the lead is given back if this node has it. Waits for its threads. Idempotent."""

    def hurry(self) -> None:
        """This node leads now, or has put a configuration into its log."""

    def may_stand(self) -> bool:
        """Whether it is worthwhile to ask to be elected, as far as is known."""

    def may_agree(self) -> bool:
        """Whether it would take a change of the configuration now, as far as is known: until it has, commits wait."""

    def trip_s(self) -> float:
        """What a question to it and its answer take now."""

    async def consult(self, giver: str, *, promise: bool) -> Answer | None:
        """What it says of the lead; None: nothing that would help a candidate, or nothing beside what nodes say."""

    async def reserve(self, floor: int, giver: str, *, by_force: bool) -> int:
        """Before this node takes a term: the number that it has to be above, so that no other candidate has the same.

        Raises:
            HeliosError: another node has taken one, or leads, since this one looked around; or it is not reached.
        """

    async def claim(self, term: Term, *, by_force: bool) -> None:
        """Give the lead in ``term`` to this node, by what was told when it was last consulted.

        ``by_force``: an authority that is not reached, or has forgotten the cluster, is done without.

        Raises:
            HeliosError: somebody else has it, or agreed to another configuration meanwhile.
        """

    async def demand(self) -> None:
        """Raises HeliosError when it could not give the lead to another node now."""

    def record(self) -> Mapping[str, Any]:
        """What /status shows of it."""

    def metrics(self) -> Mapping[str, Measured]:
        """What /metrics shows of it, by name."""

    def trouble(self) -> str:
        """Why it decides nothing, once that has lasted; empty while it does."""

    def present(self) -> tuple[str, ...]:
        """What is so now, in sentences."""
