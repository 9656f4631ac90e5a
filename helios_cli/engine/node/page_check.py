"""Comparing pages on the disk with what the page log led to, a piece at a time, while the node works.

The table of checksums is that of a state between two commits, so what a page should be and which frames of SQLite's WAL
are not in the file yet are noted in one such moment. Then the piece is read: commits go on, and change neither the file
nor those frames; checkpoints wait.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.node.readers import Workers
from helios_cli.engine.storage.livepages import PIECE_PAGES, Boundary, FrameBoundary, LivePages

if TYPE_CHECKING:
    from helios_cli.engine.node.node import Node

SETTLED_S: Final = 5.0
"""How long a moment is waited for in which the table of checksums is that of SQLite's newest commit."""

SETTLED_POLL_S: Final = 0.001
PIECE_AGAIN_S: Final = 0.5

Result = TypeVar("Result")


class NotSettled(HeliosError):
    """The record of a large transaction is being made, or a standby's pages are not the primary's yet."""

    sqlstate = "55006"


class Frames(NamedTuple):
    """A part of SQLite's WAL that is to be checked."""

    after: int
    """The frame before the first."""
    end: int | None
    """The last one; None: the newest there is."""


@contextlib.asynccontextmanager
async def settled(node: Node) -> AsyncIterator[None]:
    """While the table of checksums is that of SQLite's newest commit: nothing may be awaited within.

    On a standby nothing is applied meanwhile. Raises NotSettled: there is no such moment soon.
    """
    loop = node.engine.loop
    give_up_at = loop.time() + SETTLED_S
    while loop.time() < give_up_at:
        # Anew for each try: the role may have changed.
        async with node.replication.nothing_applied():
            node.pipeline.settle()
            if node.database.commit_lock.acquire(blocking=False):
                try:
                    if _table_is_newest(node):
                        yield
                        return
                finally:
                    node.database.commit_lock.release()
        await asyncio.sleep(SETTLED_POLL_S)
    raise NotSettled("the database is in the middle of a large change")


def _table_is_newest(node: Node) -> bool:
    following = node.replication.following
    if following is None:
        return not node.database.unrecorded
    # Its thread brings the table forward before the pages, and may have ended in between.
    return following.applicator.position[1] == node.database.checksums.total


class PageCheck:
    """The checks of one life of a node."""

    def __init__(self, node: Node, workers: Workers) -> None:
        self._node = node
        self._workers = workers
        self._live: LivePages | None = None

    async def pages(self, first: int) -> tuple[int, list[int]]:
        """How many pages there are from ``first`` on, up to a piece, and which of them are damaged in the file.

        Those that wait in the WAL for a checkpoint are left out. Raises OSError.
        """
        table = self._node.database.checksums

        async def check(live: LivePages) -> tuple[int, list[int]]:
            (frames, checkpointed), hashes = await self._noted(live, lambda _: table.some_hashes(first, PIECE_PAGES))
            boundary = Boundary(first, hashes, frames, checkpointed)
            return len(hashes), await self._workers.call(lambda: live.wrong(boundary))

        return await self._held(check)

    async def frames(self, part: Frames) -> tuple[int, list[int], Frames | None]:
        """Check a piece of the WAL: how many frames, which pages are damaged there, and what is left of the part.

        Frames that a checkpoint has put into the file are left out. Raises OSError.
        """
        table = self._node.database.checksums

        async def check(live: LivePages) -> tuple[int, list[int], Frames | None]:
            def note(counts: tuple[int, int]) -> tuple[FrameBoundary, int]:
                newest, checkpointed = counts
                end = newest if part.end is None else min(part.end, newest)
                after = max(part.after, checkpointed)
                numbers = live.pages_of_frames(after, min(end, after + PIECE_PAGES))
                hashes = [table.hash_of(number) for number in numbers]
                return FrameBoundary(after, numbers, hashes, table.pages, newest), end

            _, (boundary, end) = await self._noted(live, note)
            read = len(boundary.numbers)
            wrong = await self._workers.call(lambda: live.wrong_frames(boundary)) if read else []
            done = boundary.after + read
            return read, wrong, Frames(done, end) if done < end else None

        return await self._held(check)

    async def still_wrong(self, numbers: Iterable[int]) -> list[int]:
        """Which of these pages are damaged now, in the file or in the WAL; ascending. Raises OSError."""
        wanted = set(numbers)
        wrong: list[int] = []
        for first in sorted({(number - 1) // PIECE_PAGES * PIECE_PAGES + 1 for number in wanted}):
            wrong += (await self.pages(first))[1]
        part: Frames | None = Frames(0, None)
        while part is not None:
            _, some, part = await self.frames(part)
            wrong += some
        return sorted(wanted.intersection(wrong))

    def close_files(self) -> None:
        """Close the descriptors: only when SQLite has closed its own, or its locks would go."""
        if self._live is not None:
            self._live.close()

    async def _held(self, check: Callable[[LivePages], Awaitable[Result]]) -> Result:
        """Do a check while no checkpoint writes the file."""
        if self._live is None:
            self._live = await self._workers.call(lambda: LivePages(self._node.database.path))
        while True:
            try:
                async with self._node.checkpointer.file_held:
                    return await check(self._live)
            except NotSettled:
                # A checkpoint may come in between.
                await asyncio.sleep(PIECE_AGAIN_S)

    async def _noted(
        self, live: LivePages, note: Callable[[tuple[int, int]], Result]
    ) -> tuple[tuple[int, int], Result]:
        """Frames in the WAL and in the file, and what ``note`` makes of them, all between the same two commits."""
        while True:
            async with settled(self._node):
                counts = live.frames()
                if counts is not None:
                    return counts, note(counts)
            await asyncio.sleep(SETTLED_POLL_S)
