"""The scrub: every page that is on the disk is read again and compared with what the page log led to.

The checksum of the database proves that equal records were seen, and nothing about what the disk has kept. A scrub
reads the database file in pieces, then SQLite's WAL (``page_check.py`` and ``livepages.py`` tell how), repairs what is
damaged (``page_repair.py``), and raises an alarm where it cannot.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import apsw

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.node.clock import SystemClock
from helios_cli.engine.node.page_check import Frames, PageCheck
from helios_cli.engine.node.page_repair import PAGES_MAX, find_images, put_images
from helios_cli.engine.node.readers import Workers
from helios_cli.engine.storage.applier import WalApplier
from helios_cli.engine.storage.scrubstate import load_scrub, save_scrub
from helios_cli.engine.types import PAGE_SIZE

if TYPE_CHECKING:
    from helios_cli.engine.node.node import Node

log = logging.getLogger(__name__)

POLL_S: Final = 1.0
AGAIN_S: Final = 60.0
"""How soon a repair, or a scrub that failed, is tried again."""

CHECKPOINT_S: Final = 30.0
TOLD_MAX: Final = 10
"""Numbers of damaged pages in a message."""


class Scrub:
    """One per life of a node; its coroutine runs until cancelled."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._workers = Workers(node.engine.loop, 1, "scrub")
        self._check = PageCheck(node, self._workers)
        self._applier: WalApplier | None = None
        self._woken = asyncio.Event()
        self._wanted = False
        self._rate_mb: int | None = None
        """Of the scrub that was asked for; None: what the settings say."""
        self._not_before = float("-inf")
        self._told: tuple[int, ...] = ()
        self._not_in_log: set[tuple[int, int]] = set()
        self.pages_read = 0
        self.running = False
        self.state = load_scrub(node.store.files, node.store.control_dir)
        if not self.state.since_us:
            # Before anybody is served: from then on the file is there, and an update of it needs no room.
            self.state = replace(self.state, since_us=SystemClock.wall_us())
            with contextlib.suppress(HeliosError):
                save_scrub(node.store.files, node.store.control_dir, self.state)

    # What others ask -------------------------------------------------------------------------------------------------

    def request(self, rate_mb: int | None = None) -> None:
        """Begin a scrub now; one that runs goes on, at the new rate if there is one (MB in a second, 0: no limit)."""
        if rate_mb is not None:
            self._rate_mb = rate_mb
        if not self.running:
            self._wanted = True
            self._begun()
            self._woken.set()

    def record(self) -> dict[str, Any]:
        """What /status, /admin/scrub and helios_scrub tell of it; times as in the state."""
        state = self.state
        return {
            "running": self.running,
            "started_us": state.started_us,
            "finished_us": state.finished_us,
            "next_us": self._next_us(),
            "pages": state.pages,
            "pages_checked": state.pages_checked,
            "pages_bad": len(state.bad),
            "bad_pages": list(state.bad[:TOLD_MAX]),
            "pages_repaired": state.pages_repaired,
            "seconds": round(state.seconds, 3),
            "last_error": state.last_error,
        }

    def alarms(self) -> list[str]:
        """What is wrong with the pages on the disk, and what to do; empty when nothing is known to be."""
        bad = self.state.bad
        if not bad:
            return []
        reason = f": {self.state.last_error}" if self.state.last_error else ""
        return [f"{_told(bad, 'damaged')}{reason}. {self._advice()}"]

    def _advice(self) -> str:
        replication = self._node.replication
        if replication.is_standby:
            return (
                "Scrub its primary; where nothing is damaged there, empty this node's data directory and start it anew."
            )
        if len(replication.config.members) > 1:
            return (
                "Scrub a standby; where nothing is damaged there, switch over to it, and start this node anew, empty."
            )
        return "Stop the node and restore its data directory from a backup; a standby would have had the page."

    # The schedule ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Scrub when it is due or asked for, and try again to repair what could not be."""
        with contextlib.suppress(apsw.Error):
            # A connection that is opened later would have to read the schema, which may be what has rotted by then.
            self._opened_applier()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._woken.wait()
            self._woken.clear()
            try:
                await self._step()
            except (HeliosError, apsw.Error, OSError) as error:
                await self._failed(error)
            except Exception as error:
                await self._failed(self._node.engine.unexpected(error))

    async def _step(self) -> None:
        if self._wanted:
            await self._whole()
        elif self._node.engine.loop.time() >= self._not_before:
            if self._due():
                self._begun()
                await self._whole()
            elif self.state.bad:
                await self._again()

    def _next_us(self) -> int:
        interval_ms = self._node.settings.scrub_interval
        return max(self.state.finished_us, self.state.since_us) + interval_ms * 1000 if interval_ms else 0

    def _due(self) -> bool:
        return 0 < self._next_us() <= SystemClock.wall_us()

    async def _failed(self, error: BaseException) -> None:
        text = getattr(error, "message", None) or str(error) or type(error).__name__
        log.warning("the scrub failed: %s", text)
        self._wanted = self.running = False
        self._not_before = self._node.engine.loop.time() + AGAIN_S
        await self._keep(last_error=text)

    async def _keep(self, **changes: Any) -> None:
        """Change the state, and put it down; a full disk only makes a restart forget it."""
        self.state = state = replace(self.state, **changes)
        store = self._node.store
        with contextlib.suppress(HeliosError):
            await self._workers.call(lambda: save_scrub(store.files, store.control_dir, state))

    # A scrub ---------------------------------------------------------------------------------------------------------

    def _begun(self) -> None:
        self.running = True
        self.state = replace(
            self.state, started_us=SystemClock.wall_us(), pages=self._node.database.checksums.pages,
            pages_checked=0, pages_repaired=0, last_error="",
        )  # fmt: skip

    async def _whole(self) -> None:
        loop = self._node.engine.loop
        self._wanted = False
        self._not_in_log.clear()
        await self._keep()
        began = loop.time()
        first = 1
        left: list[int] = []
        while checked := await self._piece(first, left):
            first += checked
            self.pages_read += checked
            self.state = replace(self.state, pages_checked=first - 1, pages=max(first - 1, self.state.pages))
        await self._wal(left)
        # A page may be damaged in the file, and later in the WAL too.
        left = sorted(set(left))
        self.running = False
        self._rate_mb = None
        seconds = loop.time() - began
        self._not_before = loop.time() + AGAIN_S
        state = self.state
        await self._keep(finished_us=SystemClock.wall_us(), seconds=seconds, bad=tuple(left), pages=state.pages_checked)
        repaired = f", {state.pages_repaired} repaired" if state.pages_repaired else ""
        self._node.event(
            "scrubbed",
            f"{state.pages_checked} pages read again in {seconds:.1f} s: {len(left)} damaged{repaired}",
            severity="error" if left else "info",
            pages=state.pages_checked,
            bad=len(left),
        )

    async def _piece(self, first: int, left: list[int]) -> int:
        """Check one piece and repair what can be; ``left`` gets what could not. The pages checked, 0 at the end."""
        began = self._node.engine.loop.time()
        checked, wrong = await self._check.pages(first)
        await self._found(wrong, left)
        await self._pace(began, checked)
        return checked

    async def _wal(self, left: list[int]) -> None:
        """Check the frames that are in SQLite's WAL now, but for those that a checkpoint takes meanwhile."""
        part: Frames | None = Frames(0, None)
        while part is not None:
            began = self._node.engine.loop.time()
            read, wrong, part = await self._check.frames(part)
            await self._found(wrong, left)
            await self._pace(began, read)

    async def _found(self, wrong: Sequence[int], left: list[int]) -> None:
        if wrong:
            self._note_bad(wrong)
            left += await self._repair(wrong)

    async def _pace(self, began: float, pages: int) -> None:
        rate = self._rate_mb if self._rate_mb is not None else self._node.settings.scrub_rate_mb
        share_s = pages * PAGE_SIZE / (rate << 20) if rate else 0.0
        await asyncio.sleep(max(0.0, began + share_s - self._node.engine.loop.time()))

    # Damaged pages ---------------------------------------------------------------------------------------------------

    def _note_bad(self, wrong: Sequence[int]) -> None:
        new = sorted(set(wrong) - set(self.state.bad))
        self.state = replace(self.state, bad=tuple(sorted({*self.state.bad, *wrong})))
        if new:
            self._node.event(
                "page_damaged", _told(new, "damaged"), severity="error", pages=new[:TOLD_MAX], count=len(new)
            )

    async def _again(self) -> None:
        """Look at the damaged pages once more: another node may be there now, or they have been written since."""
        self._not_before = self._node.engine.loop.time() + AGAIN_S
        before = self.state.bad
        left = await self._check.still_wrong(before)
        if left:
            left = await self._repair(left)
        await self._keep(bad=tuple(left), last_error=self.state.last_error if left else "")

    async def _repair(self, wrong: Sequence[int]) -> list[int]:
        """Repair what can be; what could not."""
        try:
            sources, problems = await self._repaired(wrong[:PAGES_MAX])
        except (HeliosError, apsw.Error, OSError, TimeoutError) as error:
            sources, problems = [], [getattr(error, "message", None) or str(error) or type(error).__name__]
        left = await self._check.still_wrong(wrong)
        good = sorted(set(wrong) - set(left))
        bad = tuple(sorted(set(self.state.bad) - set(good)))
        error_text = "; ".join(problems) if left else ""
        await self._keep(bad=bad, pages_repaired=self.state.pages_repaired + len(good), last_error=error_text)
        if good:
            whence = f", from {', '.join(sources)}" if sources else ", written anew since"
            self._node.event(
                "page_repaired", _told(good, "right again") + whence, severity="warning", pages=good[:TOLD_MAX]
            )
        if left and tuple(left) != self._told:
            self._told = tuple(left)
            self._node.event(
                "page_not_repaired",
                f"{_told(left, 'not repaired')}: {error_text}. {self._advice()}",
                severity="error",
                pages=left[:TOLD_MAX],
            )
        return left

    async def _repaired(self, wrong: Sequence[int]) -> tuple[list[str], list[str]]:
        """Where images came from that are in place now, and why others are not."""
        table = self._node.database.checksums
        wanted = {number: table.hash_of(number) for number in wrong}
        found = await find_images(self._node.replication, wanted, self._workers, self._not_in_log)
        if found.images:
            await put_images(self._node, self._opened_applier(), found.images)
            # Readers find them now, and the disk has them behind the next checkpoint: now, or later by itself.
            with contextlib.suppress(HeliosError, apsw.Error, OSError, TimeoutError):
                async with asyncio.timeout(CHECKPOINT_S):
                    await self._node.checkpointer.request()
        return found.sources, found.problems

    def _opened_applier(self) -> WalApplier:
        if self._applier is None:
            self._applier = WalApplier(self._node.database.path, self._node.database.connect)
        return self._applier

    # The end ---------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """End the thread and let go of SQLite's WAL, after :meth:`run` was cancelled."""
        self._workers.stop()
        if self._applier is not None:
            self._applier.close()

    def close_files(self) -> None:
        """Close the descriptors: only when SQLite has closed its own, or its locks would go."""
        self._check.close_files()


def _told(numbers: Sequence[int], what: str) -> str:
    """``page 7 of the database file is damaged``; of many pages the first ones."""
    if len(numbers) == 1:
        return f"page {numbers[0]} of the database file is {what}"
    shown = ", ".join(map(str, numbers[:TOLD_MAX])) + (", ..." if len(numbers) > TOLD_MAX else "")
    return f"{len(numbers)} pages of the database file are {what} ({shown})"
