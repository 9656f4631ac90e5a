"""Finding out on which pages this node has diverged from the one that it follows, and fetching those.

Both sides' page hashes are compared at one LSN, the other node's newest checkpoint. This node is not there yet: pages
that its log still changes on the way are left out, since they will be right when it gets there. What is fetched must
have the hash that the other node's table says, or it is not taken.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.log.checksum import ChecksumTable, page_hash
from helios_cli.engine.log.record import RecordHeader
from helios_cli.engine.node.peer_call import reach
from helios_cli.engine.node.peer_link import PeerLink, introduce
from helios_cli.engine.replication import copying
from helios_cli.engine.types import LOCK_BYTE_PAGE, PAGE_SIZE, Lsn
from helios_cli.engine.wire.peer import Kind, PeerProtocolError

if TYPE_CHECKING:
    from helios_cli.engine.node.replication import Replication

PAGES_MAX: Final = 4096
"""More than so many differing pages are not repaired in place: the database is copied."""

TRIES: Final = 5
PAUSE_S: Final = 0.2
LOG_S: Final = 10.0
"""How long this node's log may take to reach the LSN of the comparison."""


class NotRepairable(HeliosError):
    """The pages that differ could not be found or fetched."""

    sqlstate = "XX001"


async def find_pages(
    replication: Replication, header: RecordHeader, own: ChecksumTable
) -> tuple[dict[int, bytes], Lsn]:
    """The right images of the pages on which this node differs, and from which LSN on its checksum must be right.

    ``own`` are its page hashes behind the record of ``header``, which led to another checksum than it says.

    Raises:
        NotRepairable: they could not be had, or are too many, or there are none.
    """
    problem = ""
    for _ in range(TRIES):
        try:
            pages, at = await _compared(replication, header, own)
        except NotRepairable:
            raise
        except (OSError, HeliosError, TimeoutError) as error:
            problem = getattr(error, "message", None) or str(error) or type(error).__name__
        else:
            if not pages:
                raise NotRepairable("no page differs from the primary's")
            return pages, at
        await asyncio.sleep(PAUSE_S)
    raise NotRepairable(problem)


async def _compared(replication: Replication, header: RecordHeader, own: ChecksumTable) -> tuple[dict[int, bytes], Lsn]:
    role, node = replication.role, replication.node
    link = PeerLink(replication.term, tls=replication.node.tls.peer)
    try:
        await reach(link, role.primary_host, role.primary_port)
        await introduce(link, replication.identity(), replication.secret())
        link.send(Kind.SNAPSHOT, b"")
        snapshot = copying.Snapshot.from_body((await link.receive(Kind.SNAPSHOT)).body)
        theirs = await receive_hashes(link, snapshot.db_pages)
        if snapshot.at < header.end:
            raise HeliosError(f"its last checkpoint is at {snapshot.at}, before {header.end}")
        async with asyncio.timeout(LOG_S):
            while node.store.log.flushed < snapshot.at:
                await asyncio.sleep(0.01)
        to_come = await node.engine.read_workers.call(lambda: _changed(replication, header.end, snapshot.at))
        wanted = [page for page in theirs.differing(own) if page <= header.db_pages and page not in to_come]
        return await _fetch(link, [page for page in wanted if page != LOCK_BYTE_PAGE], theirs), snapshot.at
    finally:
        link.close()


def _changed(replication: Replication, start: Lsn, end: Lsn) -> set[int]:
    """Pages that the log changes between two LSNs; those of a transaction that is not complete there count too."""
    pages: set[int] = set()
    for record in replication.node.store.log.records(start, end):
        pages.update(record.page_numbers() if record.header.page_count else ())
    return pages


async def _fetch(link: PeerLink, wanted: list[int], theirs: ChecksumTable) -> dict[int, bytes]:
    if len(wanted) > PAGES_MAX:
        raise NotRepairable(f"{len(wanted)} pages differ")
    found: dict[int, bytes] = {}
    for at in range(0, len(wanted), copying.PAGES_MAX):
        numbers = wanted[at : at + copying.PAGES_MAX]
        link.send(Kind.WANT_PAGES, copying.want_body(numbers), compress=False)
        pages = copying.read_pages((await link.receive(Kind.PAGES)).body)
        for number in numbers:
            image = pages.get(number, bytes(PAGE_SIZE))
            if page_hash(number, image) != theirs.hash_of(number):
                raise HeliosError(f"page {number} has been written since, or is damaged there")
            found[number] = image
    return found


async def receive_hashes(link: PeerLink, db_pages: int) -> ChecksumTable:
    """The page hashes that follow a SNAPSHOT. Raises PeerProtocolError, TimeoutError."""
    hashes: list[int] = []
    while len(hashes) < db_pages:
        first, more = copying.read_hashes((await link.receive(Kind.HASHES)).body)
        if first != len(hashes) + 1 or len(hashes) + len(more) > db_pages:
            raise PeerProtocolError("hashes of pages came out of turn")
        hashes += more
    return ChecksumTable.of_hashes(hashes)
