"""Replacing pages that are damaged on the disk, under running readers and writers.

What a page should be is known: its hash is in the table of checksums. So an image is right when it has that hash,
whoever has it and at whatever LSN he is; it is asked of the other nodes one after the other, and then looked for in the
page log. What is found becomes a frame of SQLite's WAL, and comes into the file with the next checkpoint. There is no
record of it, since the state of the database is what it was.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.log.checksum import page_hash
from helios_cli.engine.node.copy_source import pages_frame
from helios_cli.engine.node.page_check import settled
from helios_cli.engine.node.peer_call import reach
from helios_cli.engine.node.peer_link import PeerLink, introduce
from helios_cli.engine.node.readers import Workers
from helios_cli.engine.replication import copying
from helios_cli.engine.storage.applier import WalApplier
from helios_cli.engine.storage.database import Commit
from helios_cli.engine.storage.pagelog import LogRemoved, PageLog
from helios_cli.engine.types import PAGE_SIZE, Lsn
from helios_cli.engine.wire.peer import Frame, Kind

if TYPE_CHECKING:
    from helios_cli.engine.node.node import Node
    from helios_cli.engine.node.replication import Replication

CHECKPOINT_S: Final = 2.0
"""How long whoever is asked tries to have the newest pages in its file."""

ASK_S: Final = 15.0
"""How long one node is asked before the next one is."""

TOKEN_S: Final = 30.0
"""How long the writer is waited for; after that the repair is tried again later."""

PAGES_MAX: Final = 1024
"""Pages repaired at a time: 4 MiB."""


class Found:
    """Images that have the hash they should, and where they were."""

    def __init__(self, wanted: Mapping[int, int]) -> None:
        """``wanted``: page number -> hash."""
        self.wanted = wanted
        self.images: dict[int, bytes] = {}
        self.sources: list[str] = []
        self.problems: list[str] = []
        """Of each source that did not have everything, why."""

    @property
    def missing(self) -> list[int]:
        """What has not been found yet, ascending."""
        return sorted(self.wanted.keys() - self.images.keys())

    def take(self, source: str, images: Mapping[int, bytes]) -> None:
        """Keep what is right of what a source has given."""
        right = _right(self.wanted, images)
        if right:
            self.images.update(right)
            self.sources.append(source)


async def find_images(
    replication: Replication, wanted: Mapping[int, int], workers: Workers, searched: set[tuple[int, int]]
) -> Found:
    """Look for the pages that have these hashes: at the other nodes, then in this node's log.

    ``searched`` are pages and hashes that the log does not have, nor will have; it grows by what is not found.
    """
    found = Found(wanted)
    for name, host, port in _others(replication):
        if not found.missing:
            break
        try:
            async with asyncio.timeout(ASK_S):
                found.take(f"node {name}", await _asked(replication, host, port, found.missing))
        except (OSError, HeliosError, TimeoutError) as error:
            text = getattr(error, "message", None) or str(error) or "it does not answer"
            found.problems.append(f"node {name}: {text}")
        else:
            if found.missing:
                found.problems.append(f"node {name} has other bytes there")
    if found.missing:
        log = replication.node.store.log
        sought = {number: wanted[number] for number in found.missing if (number, wanted[number]) not in searched}
        if sought:
            found.take("the log", await workers.call(lambda: in_log(log, sought)))
        if found.missing:
            searched.update((number, wanted[number]) for number in found.missing)
            found.problems.append("the log does not reach back that far")
    return found


def _others(replication: Replication) -> list[tuple[str, str, int]]:
    """Whom to ask: the node that is followed, then the members."""
    role = replication.role
    members = [
        (member.node_id, member.host, member.native_port)
        for member in replication.config.members
        if member.node_id != replication.node_id
    ]
    upstream = (role.primary_host, role.primary_port)
    if replication.is_standby and role.primary_host:
        members.sort(key=lambda one: one[1:] != upstream)
        if not any(one[1:] == upstream for one in members):
            members.insert(0, (f"at {role.primary_host}:{role.primary_port}", *upstream))
    return members


async def _asked(replication: Replication, host: str, port: int, numbers: list[int]) -> dict[int, bytes]:
    link = PeerLink(replication.term, tls=replication.node.tls.peer)
    try:
        await reach(link, host, port)
        await introduce(link, replication.identity(), replication.secret())
        given: dict[int, bytes] = {}
        for at in range(0, len(numbers), copying.PAGES_MAX):
            some = numbers[at : at + copying.PAGES_MAX]
            link.send(Kind.WANT_PAGES, copying.want_body(some), compress=False)
            given |= dict.fromkeys(some, bytes(PAGE_SIZE))
            given |= copying.read_pages((await link.receive(Kind.PAGES)).body)
        return given
    finally:
        link.close()


async def give_pages(node: Node, link: PeerLink, frame: Frame) -> None:
    """Answer another node's repair: the pages it wants as they are in this node's database file.

    Raises:
        PeerProtocolError, TimeoutError: it keeps to no protocol, or has what it wanted.
    """
    with contextlib.suppress(HeliosError, TimeoutError):
        async with asyncio.timeout(CHECKPOINT_S):
            await node.checkpointer.request()
    while True:
        numbers = copying.read_want(frame.body)
        link.write(await node.engine.read_workers.call(lambda numbers=numbers: pages_frame(node, numbers)))  # type: ignore[misc]
        frame = await link.receive(Kind.WANT_PAGES)


def in_log(log: PageLog, wanted: Mapping[int, int]) -> dict[int, bytes]:
    """The images in the log that have these hashes. Reads all of it; blocks."""
    found: dict[int, bytes] = {}
    while True:
        try:
            for record in log.records(log.start, log.flushed):
                if record.header.page_count and not wanted.keys().isdisjoint(record.page_numbers()):
                    found |= _right(wanted, record.pages())
        except LogRemoved:
            # A checkpoint has let go of what was being read: what is kept may have the page.
            continue
        except HeliosError:
            pass
        return found


def _right(wanted: Mapping[int, int], images: Mapping[int, bytes]) -> dict[int, bytes]:
    return {number: image for number, image in images.items() if page_hash(number, image) == wanted.get(number)}


async def put_images(node: Node, applier: WalApplier, images: Mapping[int, bytes]) -> list[int]:
    """Make the images the newest frames of their pages, those that have the right hash still; the page numbers.

    Readers that are pinned go on seeing what they saw; whoever begins to read sees the repaired pages.

    Raises:
        TimeoutError: the writer was not to be had.
        apsw.Error, HeliosError, OSError: SQLite's WAL does not take them.
    """
    async with node.checkpointer.file_held:
        async with asyncio.timeout(TOKEN_S):
            await node.engine.queue.acquire_async(first=True)
        try:
            async with settled(node):
                return _put(node, applier, images)
        finally:
            node.engine.queue.release()


def _put(node: Node, applier: WalApplier, images: Mapping[int, bytes]) -> list[int]:
    database = node.database
    table = database.checksums
    # Whoever gave it: what does not lead to the table's checksum would be a change that no record tells of.
    right = {number: image for number, image in images.items() if page_hash(number, image) == table.hash_of(number)}
    if not right:
        return []
    frames = applier.apply(right, table.pages)
    # The next commit's frames come behind these, and its record is made without them.
    database.capture.note(frames, applier.salts())
    database.commit_seq += 1
    database.changed_seq = database.commit_seq
    commit = Commit(database.commit_seq, None, lsn_end=_newest_lsn(node), db_checksum=table.total)
    # What a standby's thread has applied before it may still be on its way to the loop, and is heard first.
    node.engine.loop.call_soon(_show, node, commit)
    return sorted(right)


def _newest_lsn(node: Node) -> Lsn:
    following, in_flight = node.replication.following, node.pipeline.in_flight
    if following is not None:
        return following.applicator.applied
    return in_flight[-1].lsn_end if in_flight else node.pipeline.committed_lsn


def _show(node: Node, commit: Commit) -> None:
    """It is committed with what was made before it, which may be long ago."""
    pipeline, following = node.pipeline, node.replication.following
    newest = pipeline.in_flight[-1] if pipeline.in_flight else None
    if newest is not None and newest.seq > commit.seq:
        # A commit has been made since, in this turn of the loop: whoever sees that sees the repaired pages.
        return
    # A record that changes no page may have been made since.
    commit.lsn_end = max(commit.lsn_end, newest.lsn_end if newest is not None else pipeline.committed_lsn)
    pipeline.submit_applied(commit)
    if following is not None:
        following.show(pipeline.committed_lsn)
    else:
        pipeline.advance(pipeline.committed_lsn)
