"""What nodes say to each other: the bodies of the native protocol's frames, as records and as bytes.

Handshakes are JSON objects, so that a later version may add to them; what flows with every commit is packed.
``docs/FORMAT.md`` has the table of the messages.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
import struct
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

from helios_cli.engine.consensus import election
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.log.history import History
from helios_cli.engine.types import Lsn
from helios_cli.engine.wire.peer import PeerProtocolError

HANDSHAKE_MAX: Final = 64 << 10
"""Bytes of a handshake's body: all that is believed of a peer before it has proved who it is."""

JSON_MAX: Final = 1 << 20
"""Bytes of any other JSON body; a history of 20,000 terms fits."""

TEXT_MAX: Final = 512
"""Characters of a field, but for a history of terms."""

NONCE_BYTES: Final = 16
_RECORDS: Final = struct.Struct("<QQ")
RECORDS_HEAD: Final = _RECORDS.size
_HEARTBEAT: Final = struct.Struct("<QQQI")
_ACKNOWLEDGE: Final = struct.Struct("<QQQQQIB")
_OBSERVED: Final = struct.Struct("<QQ")
_MOST_MS: Final = 0xFFFFFFFF


class _Json:
    """A handshake message: a JSON object with a field for each of the class's, of exactly its type."""

    def to_body(self) -> bytes:
        """The bytes of the frame's body."""
        content = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]
        return json.dumps(content, separators=(",", ":")).encode()

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read a body; fields of a later version are left out.

        Raises:
            PeerProtocolError: it is no such message.
        """
        try:
            content = json.loads(body) if len(body) <= JSON_MAX else None
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict):
            raise PeerProtocolError(f"damaged message: no {cls.__name__} of a node")
        given: dict[str, Any] = {}
        for field in dataclasses.fields(cls):  # type: ignore[arg-type]
            value = content.get(field.name)
            if type(value).__name__ != field.type or not _sound(field.name, value):
                raise PeerProtocolError(f"damaged message: {field.name} of a {cls.__name__} is no sound {field.type}")
            given[field.name] = value
        return cls(**given)


@dataclass(frozen=True, slots=True)
class Hello(_Json):
    """HELLO: who calls."""

    node_id: str
    cluster_id: str
    """32 hexadecimal digits; empty for a node that has not joined any."""
    incarnation: str
    """32 hexadecimal digits, drawn when its data directory was made; empty before."""
    role: str
    host: str
    """Where it is reached; the ports too."""
    pg_port: int
    native_port: int
    http_port: int
    mode: str
    """The class of standby that it wants to be: a replication mode."""
    nonce: str
    """32 hexadecimal digits, new with each connection."""
    can_prove: bool
    """Whether it has the cluster's secret."""
    priority: int = 1
    """Its ``failover_priority``."""


@dataclass(frozen=True, slots=True)
class Challenge(_Json):
    """CHALLENGE: whether the caller has to prove that it knows the cluster's secret, and for what.

    It says nothing of who answers: anybody may call.
    """

    nonce: str
    proof_wanted: bool


@dataclass(frozen=True, slots=True)
class Proof(_Json):
    """PROOF: that the caller knows the secret; empty when it was not asked for."""

    proof: str


@dataclass(frozen=True, slots=True)
class Welcome(_Json):
    """WELCOME: that the answering node knows it too, and what it is."""

    proof: str
    """Empty when the caller did not have to prove anything."""
    node_id: str
    cluster_id: str
    role: str
    mode: str
    """The cluster's replication mode."""
    host: str
    pg_port: int
    http_port: int
    start_lsn: int
    """Where its log begins; older records are gone."""
    end_lsn: int
    authority: str
    """Who decides who leads in the cluster."""


@dataclass(frozen=True, slots=True)
class Refused(_Json):
    """REFUSED: why not; the connection ends."""

    sqlstate: str
    message: str
    hint: str

    @classmethod
    def of(cls, error: HeliosError) -> Refused:
        """What is told of an error: one short line."""
        return cls(error.sqlstate, _one_line(error.message), _one_line(error.hint or ""))


@dataclass(frozen=True, slots=True)
class Follow(_Json):
    """FOLLOW: send me what comes behind ``end_lsn``."""

    history: str
    """The terms of the caller's log, :meth:`History.to_bytes` in hexadecimal."""
    end_lsn: int

    def terms(self) -> History:
        """The history. Raises PeerProtocolError."""
        return _history(self.history)


@dataclass(frozen=True, slots=True)
class Fork(_Json):
    """FORK: our logs part at ``lsn``; go back to there and ask again."""

    lsn: int
    history: str
    """The terms of the answering node's log."""

    def terms(self) -> History:
        """The history. Raises PeerProtocolError."""
        return _history(self.history)


@dataclass(frozen=True, slots=True)
class Reseed(_Json):
    """RESEED: the records asked for are gone; begin with a copy."""

    start_lsn: int
    reason: str


@dataclass(frozen=True, slots=True)
class Ask(_Json):
    """ASK: how far are you, and whom do you follow? With ``promise`` in the term of the frame, and for good."""

    node_id: str
    promise: bool
    giver: str
    """The primary that gives its place to the caller; empty: nobody does."""


@dataclass(frozen=True)
class Answer(election.Answer, _Json):
    """ANSWER: the position of a node."""


@dataclass(frozen=True, slots=True)
class Announce(_Json):
    """ANNOUNCE: in the term of the frame this node is the primary; follow it."""

    node_id: str
    host: str
    native_port: int


@dataclass(frozen=True, slots=True)
class TakeOver(_Json):
    """TAKE_OVER: nothing comes behind ``end_lsn`` in this term; be the primary of the next."""

    node_id: str
    end_lsn: int
    leaves: bool
    """The giver stops: nobody is to wait for its copy."""
    reason: str
    """Why, where nobody has asked for it; empty: an operator did."""


class Heartbeat(NamedTuple):
    """HEARTBEAT: sent by whoever streams, a few times a second and whenever the committed LSN moved."""

    committed: Lsn
    end: Lsn
    """Behind the last record of its log, flushed or not."""
    sent_us: int
    """Its wall clock, microseconds since 1970-01-01 UTC; the acknowledgement gives it back."""

    lease_ms: int | None = None
    """For how long whoever hears it votes for nobody but the primary; 0: for nobody any more. None: it says nothing of
    that, as a node that passes the log on and has not heard of a primary."""

    def to_body(self) -> bytes:
        """The bytes of the frame's body."""
        lease_ms = _MOST_MS if self.lease_ms is None else min(self.lease_ms, _MOST_MS - 1)
        return _HEARTBEAT.pack(self.committed, self.end, self.sent_us, lease_ms)

    @classmethod
    def from_body(cls, body: bytes) -> Heartbeat:
        """Read a body. Raises PeerProtocolError."""
        if len(body) != _HEARTBEAT.size:
            raise PeerProtocolError("damaged message: a heartbeat of another length")
        committed, end, sent_us, lease_ms = _HEARTBEAT.unpack(body)
        return cls(Lsn(committed), Lsn(end), sent_us, None if lease_ms == _MOST_MS else lease_ms)


class Acknowledge(NamedTuple):
    """ACKNOWLEDGE: how far the following node has come. The frame's term is the one whose records it follows."""

    written: Lsn
    """Received."""
    flushed: Lsn
    """On its disk."""
    applied: Lsn
    """In its database."""
    echo_us: int
    """``sent_us`` of the newest heartbeat that it saw; 0 before the first."""
    db_checksum: int
    """Checksum of its database at the applied LSN."""
    blocked_ms: int = 0
    """For how long its disk has taken nothing, because it is full or does not answer; 0 when it does."""
    is_full: bool = False
    """Whether there is no room for writes of its own: records of others may still find some."""

    def to_body(self) -> bytes:
        """The bytes of the frame's body."""
        blocked_ms = min(self.blocked_ms, _MOST_MS)
        return _ACKNOWLEDGE.pack(
            self.written, self.flushed, self.applied, self.echo_us, self.db_checksum, blocked_ms, self.is_full
        )

    @classmethod
    def from_body(cls, body: bytes) -> Acknowledge:
        """Read a body. Raises PeerProtocolError."""
        if len(body) != _ACKNOWLEDGE.size:
            raise PeerProtocolError("damaged message: an acknowledgement of another length")
        written, flushed, applied, echo_us, db_checksum, blocked_ms, is_full = _ACKNOWLEDGE.unpack(body)
        if not applied <= flushed <= written:
            raise PeerProtocolError("damaged message: applied, flushed and written do not rise in this order")
        return cls(Lsn(written), Lsn(flushed), Lsn(applied), echo_us, db_checksum, blocked_ms, bool(is_full))


class Observed(NamedTuple):
    """OBSERVED: an observer answers whatever it hears. The frame's term is the one in which it does."""

    version: int
    """Of the newest configuration that it was told of in this term and has on its disk; 0: of none."""
    echo_us: int
    """``sent_us`` of the heartbeat that it answers; 0: of none."""

    def to_body(self) -> bytes:
        """The bytes of the frame's body."""
        return _OBSERVED.pack(self.version, self.echo_us)

    @classmethod
    def from_body(cls, body: bytes) -> Observed:
        """Read a body. Raises PeerProtocolError."""
        if len(body) != _OBSERVED.size:
            raise PeerProtocolError("damaged message: an observer's word of another length")
        return cls(*_OBSERVED.unpack(body))


def records_body(committed: int, sent_us: int, records: bytes) -> bytes:
    """RECORDS: what the sender knows to be committed, its wall clock, and whole records verbatim."""
    return _RECORDS.pack(committed, sent_us) + records


def read_records_head(body: bytes) -> tuple[Lsn, int]:
    """Committed LSN and wall clock of a RECORDS body; the records are behind RECORDS_HEAD.

    Raises:
        PeerProtocolError: it holds no record.
    """
    if len(body) <= RECORDS_HEAD:
        raise PeerProtocolError("damaged message: records without a record")
    committed, sent_us = _RECORDS.unpack_from(body)
    return Lsn(committed), sent_us


def prove(secret: bytes, who: str, hello: bytes, challenge: bytes, binding: bytes = b"") -> str:
    """What shows that ``who`` (``caller`` or ``answerer``) knows the secret, for this connection alone.

    ``binding`` is the SHA-256 of the answerer's certificate, empty without TLS: a man in the middle with a certificate
    of his own cannot hand the proof on (RFC 5929, tls-server-end-point).
    """
    parts = (who.encode(), hello, challenge, binding)
    text = b"".join(len(part).to_bytes(4, "little") + part for part in parts)
    return hmac.new(secret, text, hashlib.sha256).hexdigest()


def proves(given: str, secret: bytes, who: str, hello: bytes, challenge: bytes, binding: bytes = b"") -> bool:
    """Whether ``given`` is that proof; takes the same time for every wrong one. Never without a secret."""
    if not secret:
        return False
    return hmac.compare_digest(given.encode(), prove(secret, who, hello, challenge, binding).encode())


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)[:TEXT_MAX]


def _sound(name: str, value: Any) -> bool:
    """Whether a field can be worked with: numbers of 64 bits, ports of 16, short printable texts."""
    if isinstance(value, int):
        return 0 <= value < (1 << 16 if name.endswith("_port") else 1 << 64)
    if name in ("history", "config"):
        return bool(value.isascii())
    return len(value) <= TEXT_MAX and bool(value.isprintable())


def _history(text: str) -> History:
    try:
        return History.from_bytes(bytes.fromhex(text))
    except Exception as error:
        raise PeerProtocolError(f"damaged message: {error}") from error
