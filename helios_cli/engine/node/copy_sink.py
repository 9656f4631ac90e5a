"""Copying the database of another node into this node's directory, between two lives.

Only the pages that differ are fetched, so a copy that was cut goes on where it was, and one of a node that was away
takes what has changed. What makes the result a database is the log behind it, and what proves it is its checksum.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from helios_cli.engine.consensus.config import participants
from helios_cli.engine.errors import HeliosError, IoFailed
from helios_cli.engine.node import report
from helios_cli.engine.node.join import configs_on_disk
from helios_cli.engine.node.peer_call import reach
from helios_cli.engine.node.peer_link import Identity, PeerLink, PeerRefused, introduce
from helios_cli.engine.node.self_repair import receive_hashes
from helios_cli.engine.replication import copying, messages
from helios_cli.engine.storage.copytarget import CopyTarget
from helios_cli.engine.storage.files import OsFiles
from helios_cli.engine.types import Lsn
from helios_cli.engine.wire.peer import Frame, Kind, PeerProtocolError

if TYPE_CHECKING:
    from helios_cli.engine.node.join import Beginning
    from helios_cli.engine.node.node import Node

log = logging.getLogger(__name__)

RETRY_S: Final = 0.5
SILENCE_S: Final = 10.0
AHEAD: Final = 4
"""Requests for pages on their way at a time."""

INBOX_HIGH: Final = 32
"""Frames of the log that wait for the disk before nothing more is read."""

PROGRESS_S: Final = 5.0

Result = TypeVar("Result")


class CopySink:
    """One copy, through as many connections as it takes."""

    def __init__(self, node: Node, beginning: Beginning, database: str) -> None:
        self._node = node
        self._beginning = beginning
        self._database = database
        self._loop = asyncio.get_running_loop()
        self._target: CopyTarget
        self._others: list[tuple[str, int]] = []
        """Where the other members are: another one may lead by now."""
        self._told_at = 0.0
        self.pages_fetched = 0
        self.pages_kept = 0

    async def run(self) -> None:
        """Until the directory holds a whole copy. Whatever goes wrong is told of once, and tried again.

        Raises:
            IoFailed: but not with a disk that has failed: what is on it is known when it is opened again.
        """
        settings = self._node.settings
        self._target = await self._blocking(
            lambda: CopyTarget(settings.data_dir, self._database, settings.log_segment_mb << 20)
        )
        told = ""
        try:
            self._others = await self._blocking(self._members)
            while True:
                try:
                    await self._attempt()
                    return
                except IoFailed:
                    raise
                except (OSError, HeliosError, TimeoutError) as error:
                    text = getattr(error, "message", None) or str(error) or type(error).__name__
                    if text != told:
                        self._interrupted(text)
                    told = text
                await asyncio.sleep(RETRY_S)
        finally:
            self._target.close()

    def _interrupted(self, text: str) -> None:
        self._node.event(
            "copy_interrupted",
            f"the copy is interrupted after {self.pages_fetched} pages, and tried again: {text}",
            severity="warning",
        )

    def _members(self) -> list[tuple[str, int]]:
        settings, record = self._node.settings, self._target.control.record
        members = participants(configs_on_disk(OsFiles(), f"{settings.data_dir}/control"))
        return [
            (one.host, one.native_port) for one in members if one.host and one.incarnation != record.incarnation.hex()
        ]

    async def _attempt(self) -> None:
        """Copy from the node that is followed, or from whoever leads. Raises what kept it from the first."""
        role = self._beginning.role
        first = (role.primary_host, role.primary_port)
        errors: list[Exception] = []
        for where in (first, *(other for other in self._others if other != first)):
            try:
                await self._copy_from(*where, leads=where != first)
                return
            except IoFailed:
                raise
            except (OSError, HeliosError, TimeoutError) as error:
                errors.append(error)
        raise errors[0]

    async def _copy_from(self, host: str, port: int, *, leads: bool) -> None:
        """``leads``: only when it does."""
        record = self._target.control.record
        role, settings = self._beginning.role, self._node.settings
        # Without an incarnation it is nobody whose copy could count: what it has flushed is dropped if it dies now.
        own = Identity(
            report.node_id(settings), record.cluster_id.hex(), "", role.name,
            settings.replication_mode, settings.advertise_address, settings.pg_port, settings.native_port,
            settings.http_port,
        )  # fmt: skip
        link = PeerLink(lambda: self._target.control.record.term, tls=self._node.tls.peer)
        try:
            await reach(link, host, port)
            welcome = await introduce(link, own, self._beginning.secret)
            if leads and welcome.role != "primary":
                raise PeerRefused(f"node {welcome.node_id} does not lead")
            if welcome.cluster_id != record.cluster_id.hex():
                raise PeerRefused(f"node {welcome.node_id} belongs to another cluster")
            # A primary of an older term refuses by itself, and takes a newer one.
            if link.peer_term < record.term and welcome.role != "primary":
                raise PeerRefused(
                    f"node {welcome.node_id} is in term {link.peer_term}, which term {record.term} has ended"
                )
            await self._copy(link, welcome)
        finally:
            link.close()

    async def _copy(self, link: PeerLink, welcome: messages.Welcome) -> None:
        who = welcome.node_id
        link.send(Kind.SNAPSHOT, b"")
        snapshot = copying.Snapshot.from_body((await link.receive(Kind.SNAPSHOT)).body)
        had = await self._blocking(lambda: self._target.had(snapshot.history))
        if had > welcome.end_lsn:
            raise PeerRefused(f"the log of node {who} ends at {Lsn(welcome.end_lsn)}, and this node had it up to {had}")
        source = await receive_hashes(link, snapshot.db_pages)
        wanted = await self._blocking(lambda: self._target.differing(source))
        self.pages_kept = snapshot.db_pages - len(wanted)
        self._node.event(
            "copying",
            f"copying {len(wanted)} of {snapshot.db_pages} pages from {who}, as of {snapshot.start}",
            pages=len(wanted),
            of=snapshot.db_pages,
        )
        await self._fetch(link, wanted)
        link.send(Kind.SNAPSHOT_END, b"")
        redo_to = copying.read_end((await link.receive(Kind.SNAPSHOT_END)).body)
        await self._blocking(lambda: self._target.begin_log(snapshot.start))
        await self._fetch_log(link, snapshot, max(redo_to, had))
        term = link.peer_term
        records = await self._blocking(lambda: self._target.finish(snapshot, redo_to, term))
        self._node.event(
            "copied",
            f"{self.pages_fetched} pages copied from {who}, {records} records redone up to {redo_to}, "
            "checksum verified",
            pages=self.pages_fetched,
            records=records,
        )

    async def _fetch(self, link: PeerLink, wanted: list[int]) -> None:
        """Ask for pages a few requests ahead, and write them as they come."""
        requests = [wanted[at : at + copying.PAGES_MAX] for at in range(0, len(wanted), copying.PAGES_MAX)]
        for numbers in requests[:AHEAD]:
            link.send(Kind.WANT_PAGES, copying.want_body(numbers), compress=False)
        for done, numbers in enumerate(requests):
            pages = copying.read_pages((await link.receive(Kind.PAGES)).body)
            if done + AHEAD < len(requests):
                link.send(Kind.WANT_PAGES, copying.want_body(requests[done + AHEAD]), compress=False)
            if not pages.keys() <= set(numbers):
                raise PeerProtocolError("pages came that were not asked for")
            await self._blocking(lambda pages=pages: self._target.write(pages))  # type: ignore[misc]
            self.pages_fetched += len(pages)
            self._progress(done + 1, len(requests))

    def _progress(self, done: int, total: int) -> None:
        now = self._loop.time()
        if now - self._told_at > PROGRESS_S:
            self._told_at = now
            log.info("copying: %s of %s pages fetched", done * copying.PAGES_MAX, total * copying.PAGES_MAX)

    async def _fetch_log(self, link: PeerLink, snapshot: copying.Snapshot, end: Lsn) -> None:
        """Follow from where the copy begins until the log reaches what the copied pages need, and this node had."""
        target = self._target
        history = snapshot.history.cut_at(snapshot.start)
        frames: asyncio.Queue[Frame | None] = asyncio.Queue()
        link.on_lost = lambda: frames.put_nowait(None)

        def take(frame: Frame) -> None:
            frames.put_nowait(frame)
            if frames.qsize() > INBOX_HIGH:
                link.transport.pause_reading()

        nothing_yet = messages.Acknowledge(snapshot.start, snapshot.start, snapshot.start, 0, 0).to_body()
        link.send(Kind.FOLLOW, messages.Follow(history.to_bytes().hex(), snapshot.start).to_body())
        link.begin(take)
        while target.log_end < end:
            async with asyncio.timeout(SILENCE_S):
                frame = await frames.get()
            if frame is None:
                raise link.error or PeerProtocolError("the connection was cut")
            if frames.empty():
                link.transport.resume_reading()
            if frame.kind is Kind.RECORDS:
                messages.read_records_head(frame.body)
                data = frame.body[messages.RECORDS_HEAD :]
                await self._blocking(lambda data=data: target.append(data))  # type: ignore[misc]
            elif frame.kind is not Kind.HEARTBEAT:
                raise PeerProtocolError(f"the log of the copy cannot be had: {frame.kind.name}")
            link.send(Kind.ACKNOWLEDGE, nothing_yet, compress=False)

    async def _blocking(self, work: Callable[[], Result]) -> Result:
        return await self._loop.run_in_executor(None, work)
