"""The native protocol's frames and messages, as nodes speak it among themselves; bytes only.

A connection begins with a preface of eight bytes each way: ``HELIOS`` and the lowest and the highest version that the
caller speaks; the answer names the version chosen twice, or zeros when there is none in common. A caller that wants TLS
asks for it with ``HELIOTLS`` before that. Everything after the preface is frames: a header, checked by its own CRC
together with the body, and a body that may be compressed. Every frame carries the term of its sender.
``docs/FORMAT.md`` has the table of the messages.
"""

from __future__ import annotations

import enum
import struct
from typing import Final, NamedTuple

import lz4.block
from google_crc32c import value as crc32c

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.types import Term

MAGIC: Final = b"HELIOS"
VERSION_MIN: Final = 1
VERSION_MAX: Final = 1
PREFACE_BYTES: Final = 8
NO_VERSION: Final = 0
TLS_WANTED: Final = b"HELIOTLS"
"""Instead of a preface: let this be TLS, and the preface come inside it. The same bytes come back for a yes."""
TLS_UNKNOWN: Final = b"HELIOCLR"
"""The answer of a node that has no certificate."""
PULSE_WANTED: Final = b"HELIOPLS"
"""Instead of a preface: the connection is for heartbeats alone. The same bytes come back, then the preface goes."""

HEADER_BYTES: Final = 28
BODY_MAX: Final = 16 << 20
"""Bytes of a body, as sent and unpacked: more than the largest record of a group and a part of any chain."""
COMPRESS_FROM: Final = 512
"""Bodies from this size on are compressed when that makes them smaller. Records are not: theirs are already."""

_HEADER: Final = struct.Struct("<IBBHQQ")
_CRC: Final = struct.Struct("<I")
_RAW_LENGTH: Final = struct.Struct("<I")
_LZ4: Final = 1


class PeerProtocolError(HeliosError):
    """The other side sent what no node of a version in common sends; the connection must end."""

    sqlstate = "08P01"
    severity = "FATAL"


class Kind(enum.IntEnum):
    """What a frame is."""

    HELLO = 1
    CHALLENGE = 2
    PROOF = 3
    WELCOME = 4
    REFUSED = 5
    FOLLOW = 10
    RECORDS = 11
    HEARTBEAT = 12
    ACKNOWLEDGE = 13
    FORK = 14
    RESEED = 15
    OBSERVE = 16
    CONFIG = 17
    OBSERVED = 18
    PULSE = 19
    SNAPSHOT = 20
    PAGES = 21
    SNAPSHOT_END = 22
    HASHES = 23
    WANT_PAGES = 24
    ASK = 40
    ANSWER = 41
    ANNOUNCE = 42
    TAKE_OVER = 43
    SESSION = 50
    SESSION_OPEN = 51
    CANCEL = 52


_KINDS: Final = {int(kind): kind for kind in Kind}


class Frame(NamedTuple):
    """One message."""

    kind: Kind
    term: Term
    body: bytes


def preface(lowest: int = VERSION_MIN, highest: int = VERSION_MAX) -> bytes:
    """The first bytes of whoever connects."""
    return MAGIC + bytes((lowest, highest))


def answer_preface(data: bytes) -> tuple[int, bytes]:
    """The version chosen for a preface, and the answer; version 0 when there is none in common.

    Raises:
        PeerProtocolError: these are not the first bytes of a node.
    """
    if len(data) != PREFACE_BYTES or data[:6] != MAGIC or data[6] > data[7]:
        raise PeerProtocolError("not a HeliosDB node's connection")
    chosen = min(data[7], VERSION_MAX)
    if chosen < max(data[6], VERSION_MIN):
        chosen = NO_VERSION
    return chosen, MAGIC + bytes((chosen, chosen))


def read_answer(data: bytes) -> int:
    """The version that the other side chose for our preface.

    Raises:
        PeerProtocolError: it is no node, or speaks none of our versions.
    """
    if len(data) != PREFACE_BYTES or data[:6] != MAGIC or data[6] != data[7]:
        raise PeerProtocolError("not a HeliosDB node", hint="Give a node's native port (5433 if it was not changed).")
    if not VERSION_MIN <= data[6] <= VERSION_MAX:
        raise PeerProtocolError(
            "no version of the native protocol in common",
            hint="Upgrade the older node: a node speaks its own version and the one before.",
        )
    return data[6]


def encode_frame(kind: Kind, term: Term, body: bytes, *, compress: bool = True) -> bytes:
    """The bytes of one frame.

    Raises:
        ValueError: the body is longer than BODY_MAX.
    """
    if len(body) > BODY_MAX:
        raise ValueError(f"a body of {len(body)} bytes is longer than {BODY_MAX}")
    flags = 0
    if compress and len(body) >= COMPRESS_FROM:
        packed = _RAW_LENGTH.pack(len(body)) + lz4.block.compress(body, store_size=False)
        if len(packed) < len(body):
            body, flags = packed, _LZ4
    header = _HEADER.pack(len(body), kind, flags, 0, term.number, term.term_id)
    return b"".join((header, _CRC.pack(crc32c(header + body)), body))


class FrameReader:
    """Cuts a stream of bytes into frames. Holds one unfinished frame at most, so its memory is bounded."""

    def __init__(self, body_max: int = BODY_MAX) -> None:
        """``body_max`` is the longest body that is taken, as sent and unpacked."""
        self.body_max = body_max
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that ``data`` completes, in order; empty while one is unfinished.

        Raises:
            PeerProtocolError: a header or a body that no node sends. The reader is of no use after that.
        """
        buffer = self._buffer
        buffer += data
        frames: list[Frame] = []
        at = 0
        while len(buffer) - at >= HEADER_BYTES:
            length, code, flags, reserved, number, term_id = _HEADER.unpack_from(buffer, at)
            kind = _KINDS.get(code)
            if kind is None or flags & ~_LZ4 or reserved:
                raise PeerProtocolError("damaged frame: its header is none of this version")
            if length > self.body_max:
                raise PeerProtocolError(f"damaged frame: its body is longer than {self.body_max} bytes")
            end = at + HEADER_BYTES + length
            if end > len(buffer):
                break
            frames.append(Frame(kind, Term(number, term_id), self._body(at, end, flags)))
            at = end
        if at:
            del buffer[:at]
        return frames

    @property
    def pending(self) -> int:
        """Bytes of the frame that is not complete yet."""
        return len(self._buffer)

    def _body(self, at: int, end: int, flags: int) -> bytes:
        start = at + HEADER_BYTES
        checked = bytes(self._buffer[at : at + _HEADER.size]) + bytes(self._buffer[start:end])
        if _CRC.unpack_from(self._buffer, at + _HEADER.size)[0] != crc32c(checked):
            raise PeerProtocolError("damaged frame: its checksum is wrong")
        body = checked[_HEADER.size :]
        return _unpacked(body, self.body_max) if flags & _LZ4 else body


def _unpacked(body: bytes, body_max: int) -> bytes:
    if len(body) < _RAW_LENGTH.size:
        raise PeerProtocolError("damaged frame: its compressed body is cut short")
    length = _RAW_LENGTH.unpack_from(body)[0]
    if length > body_max:
        raise PeerProtocolError("damaged frame: its body would unpack to too much")
    try:
        raw: bytes = lz4.block.decompress(body[_RAW_LENGTH.size :], uncompressed_size=length)
    except lz4.block.LZ4BlockError as error:
        raise PeerProtocolError(f"damaged frame: its body does not unpack ({error})") from error
    if len(raw) != length:
        raise PeerProtocolError("damaged frame: its body has another length than it says")
    return raw
