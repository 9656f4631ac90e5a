"""The bodies of the frames by which one node copies the database of another.

The caller sends SNAPSHOT without a body. The answer is SNAPSHOT with where the copy begins, and HASHES for each page of
the database file as it was then. The caller asks for the pages on which its own file differs with WANT_PAGES, any
number of times, and gets PAGES for each; they may be newer than the hashes. It ends with SNAPSHOT_END, and gets in the
same frame the LSN up to which it has to redo the log from where the copy began. ``docs/FORMAT.md`` has the table.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from helios_cli.engine.log.history import History
from helios_cli.engine.types import PAGE_SIZE, Lsn
from helios_cli.engine.wire.peer import PeerProtocolError

HASHES_MAX: Final = 65_536
"""Page hashes in a frame: 512 KiB."""

PAGES_MAX: Final = 128
"""Pages asked for at a time: 512 KiB."""

_HASHES: Final = struct.Struct("<I")
_END: Final = struct.Struct("<Q")
HISTORY_MAX: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Snapshot:
    """SNAPSHOT of the answering node."""

    start: Lsn
    """Everything before it is in the database file; the log is kept from here on while the copy runs."""
    db_pages: int
    """Size of the database file then, in pages."""
    history: History
    """The terms of its log."""
    at: Lsn = Lsn(0)
    """Of the hashes: the checkpoint whose database file they are of; ``start`` or behind it."""
    config: str = ""
    """The newest configuration of the cluster in its log up to ``start``; empty when there is none."""
    config_end: Lsn = Lsn(0)
    """The LSN behind that one's record."""

    def to_body(self) -> bytes:
        """The bytes of the frame's body."""
        content = {
            "start": self.start,
            "db_pages": self.db_pages,
            "history": self.history.to_bytes().hex(),
            "at": self.at,
            "config": self.config,
            "config_end": self.config_end,
        }
        return json.dumps(content, separators=(",", ":")).encode()

    @classmethod
    def from_body(cls, body: bytes) -> Snapshot:
        """Read a body. Raises PeerProtocolError."""
        try:
            if len(body) > HISTORY_MAX:
                raise ValueError("it is too long")
            content = json.loads(body)
            numbers = [content[name] for name in ("start", "db_pages", "at", "config_end")]
            if any(type(number) is not int or not 0 <= number < 1 << 63 for number in numbers):
                raise ValueError("a number is none")
            if type(content["config"]) is not str:
                raise ValueError("the configuration is no text")
            history = History.from_bytes(bytes.fromhex(content["history"]))
        except Exception as error:
            raise PeerProtocolError(f"damaged message: no Snapshot of a node ({error})") from error
        start, db_pages, at, config_end = numbers
        return cls(Lsn(start), db_pages, history, Lsn(at), content["config"], Lsn(config_end))


def hashes_body(first: int, hashes: Sequence[int]) -> bytes:
    """HASHES: those of the pages from page ``first`` on, at most HASHES_MAX; an empty database has none to send."""
    return _HASHES.pack(first) + struct.pack(f"<{len(hashes)}Q", *hashes)


def read_hashes(body: bytes) -> tuple[int, tuple[int, ...]]:
    """The number of the first page of a HASHES body, and the hashes. Raises PeerProtocolError."""
    count, rest = divmod(len(body) - _HASHES.size, 8)
    if rest or not 0 < count <= HASHES_MAX:
        raise PeerProtocolError("damaged message: hashes of another length")
    return _HASHES.unpack_from(body)[0], struct.unpack_from(f"<{count}Q", body, _HASHES.size)


def want_body(numbers: Sequence[int]) -> bytes:
    """WANT_PAGES: the numbers of the pages wanted, at most PAGES_MAX."""
    return struct.pack(f"<{len(numbers)}I", *numbers)


def read_want(body: bytes) -> tuple[int, ...]:
    """The page numbers of a WANT_PAGES body. Raises PeerProtocolError."""
    count, rest = divmod(len(body), 4)
    if rest or not 0 < count <= PAGES_MAX:
        raise PeerProtocolError("damaged message: wanted pages of another length")
    numbers = struct.unpack(f"<{count}I", body)
    if 0 in numbers:
        raise PeerProtocolError("damaged message: there is no page 0")
    return numbers


def pages_body(pages: Sequence[tuple[int, bytes]]) -> bytes:
    """PAGES: the number of each page and then their images; pages beyond the end of the file are left out."""
    numbers = struct.pack(f"<I{len(pages)}I", len(pages), *(number for number, _ in pages))
    return numbers + b"".join(image for _, image in pages)


def read_pages(body: bytes) -> dict[int, bytes]:
    """The images of a PAGES body by page number; empty when none of them exists. Raises PeerProtocolError."""
    count = _HASHES.unpack_from(body)[0] if len(body) >= _HASHES.size else PAGES_MAX + 1
    if count > PAGES_MAX or len(body) != 4 + count * (4 + PAGE_SIZE):
        raise PeerProtocolError("damaged message: pages of another length")
    numbers = struct.unpack_from(f"<{count}I", body, 4)
    start = 4 + 4 * count
    if 0 in numbers:
        raise PeerProtocolError("damaged message: there is no page 0")
    return {number: body[start + at * PAGE_SIZE : start + (at + 1) * PAGE_SIZE] for at, number in enumerate(numbers)}


def end_body(redo_to: Lsn) -> bytes:
    """SNAPSHOT_END: the log has to be redone up to here."""
    return _END.pack(redo_to)


def read_end(body: bytes) -> Lsn:
    """The LSN of a SNAPSHOT_END body. Raises PeerProtocolError."""
    if len(body) != _END.size:
        raise PeerProtocolError("damaged message: the end of a copy of another length")
    return Lsn(_END.unpack(body)[0])
