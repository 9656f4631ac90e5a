"""What a client may send before authentication: startup packets, cancel requests, passwords and SASL."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from helios_cli.engine.errors import FeatureNotSupported, HeliosError, ProtocolViolation, SqlError
from helios_cli.engine.wire import limits
from helios_cli.engine.wire.messages import _string


class Request(Enum):
    """The packets without content."""

    SSL = limits.SSL_REQUEST
    GSSENC = limits.GSSENC_REQUEST


@dataclass(frozen=True, slots=True)
class Startup:
    """A StartupMessage."""

    parameters: dict[str, str]
    """In the order sent, 'user' always among them; protocol options are in ``unknown_options``."""
    minor: int = 0
    """The minor version asked for; above 0 the answer starts with NegotiateProtocolVersion."""
    unknown_options: tuple[str, ...] = ()
    """Names starting with ``_pq_.``, none of which is known."""

    @property
    def needs_negotiation(self) -> bool:
        """Whether NegotiateProtocolVersion has to be sent."""
        return self.minor > 0 or bool(self.unknown_options)


@dataclass(frozen=True, slots=True)
class Cancel:
    """A CancelRequest."""

    pid: int
    key: bytes


class FatalStartup(HeliosError):
    """A startup packet that ends the connection with a SQLSTATE of its own."""

    severity = "FATAL"


class UnreadableStartup(ProtocolViolation):
    """What came first is no startup packet: its length is wrong. As in PostgreSQL nobody is answered, only the log."""


def startup_length(data: bytes) -> int | None:
    """The whole length of the packet that ``data`` begins with; None when four bytes are not there yet.

    Raises:
        UnreadableStartup: shorter than 8 or longer than PostgreSQL's limit. Never wait for such a packet.
    """
    if len(data) < 4:
        return None
    length = int.from_bytes(data[:4], "big")
    if not 8 <= length <= limits.MAX_STARTUP + 4:
        raise UnreadableStartup("invalid length of startup packet")
    return length


def parse_startup(packet: bytes) -> Startup | Cancel | Request:
    """One packet of exactly the length :func:`startup_length` gave.

    Raises:
        ProtocolViolation: malformed. FeatureNotSupported: another major version. FatalStartup: no user name.
    """
    if startup_length(packet) != len(packet):
        raise UnreadableStartup("invalid length of startup packet")
    code = int.from_bytes(packet[4:8], "big")
    if code == limits.CANCEL_REQUEST:
        if not 12 < len(packet) <= 12 + 256:
            raise ProtocolViolation("invalid length of cancel request packet")
        return Cancel(int.from_bytes(packet[8:12], "big"), packet[12:])
    if code in (limits.SSL_REQUEST, limits.GSSENC_REQUEST):
        if len(packet) != 8:
            raise UnreadableStartup("invalid length of startup packet")
        return Request(code)
    if code >> 16 != 3:
        raise _unsupported_version(code)
    return _startup(packet, code & 0xFFFF)


def _startup(packet: bytes, minor: int) -> Startup:
    parameters: dict[str, str] = {}
    unknown: list[str] = []
    at, end = 8, len(packet)
    while at < end and packet[at]:
        name, at = _pair_part(packet, at, end)
        value, at = _pair_part(packet, at, end)
        if name.startswith("_pq_."):
            unknown.append(name)
        else:
            parameters[name] = value
    if at != end - 1:
        raise ProtocolViolation("invalid startup packet layout: expected terminator as last byte")
    if not parameters.get("user"):
        raise FatalStartup("no PostgreSQL user name specified in startup packet", sqlstate="28000")
    return Startup(parameters, minor, tuple(unknown))


def _pair_part(packet: bytes, at: int, end: int) -> tuple[str, int]:
    try:
        return _string(packet, at, end)
    except SqlError as exc:
        raise FatalStartup(exc.message, sqlstate=exc.sqlstate) from None
    except ProtocolViolation:
        raise ProtocolViolation("invalid startup packet layout: expected terminator as last byte") from None


class Negotiation:
    """The packets of one connection before authentication, as far as their order matters.

    Encryption may be asked for once each; a third request is taken for a wrong protocol version, so nobody keeps a
    server busy with requests. Bytes that came together with a request for encryption were not encrypted and end
    the connection (CVE-2021-23214).
    """

    def __init__(self) -> None:
        self._seen: set[Request] = set()

    def take(self, packet: bytes, *, more_buffered: bool) -> Startup | Cancel | Request:
        """Read one packet; ``more_buffered`` says whether bytes behind it have been received already.

        Raises:
            ProtocolViolation, FeatureNotSupported, FatalStartup: the connection has to end.
        """
        found = parse_startup(packet)
        if not isinstance(found, Request):
            return found
        if found in self._seen:
            raise _unsupported_version(found.value)
        self._seen.add(found)
        if more_buffered:
            name = "SSL request" if found is Request.SSL else "GSSAPI encryption request"
            raise ProtocolViolation(
                f"received unencrypted data after {name}",
                detail="This could be either a client-software bug or evidence of an attempted "
                "man-in-the-middle attack.",
            )
        return found


def _unsupported_version(code: int) -> HeliosError:
    error = FeatureNotSupported(
        f"unsupported frontend protocol {code >> 16}.{code & 0xFFFF}: server supports 3.0 to 3.0"
    )
    error.severity = "FATAL"
    return error


def auth_length(code: int, length: int, limit: int = limits.MAX_AUTH_TOKEN) -> None:
    """Check the head of the only message allowed while a client authenticates, ``p``.

    Raises:
        ProtocolViolation: any other message (a second startup among them), or a length beyond ``limit``.
    """
    if code != 0x70:
        raise ProtocolViolation(f"expected password response, got message type {code}")
    if not 4 <= length <= limit + 4:
        raise ProtocolViolation("invalid message length")


def parse_password(data: bytes, start: int, end: int) -> str:
    """PasswordMessage: the password (or MD5 hash) in the clear."""
    text, at = _string(data, start, end)
    if at != end:
        raise ProtocolViolation("invalid password packet size")
    if not text:
        raise FatalStartup("empty password returned by client", sqlstate="28P01")
    return text


def parse_sasl_initial(data: bytes, start: int, end: int) -> tuple[str, bytes | None]:
    """SASLInitialResponse: (mechanism, first client message; None when left out)."""
    mechanism, at = _string(data, start, end)
    if at + 4 > end:
        raise ProtocolViolation("insufficient data left in message")
    size = int.from_bytes(data[at : at + 4], "big")
    at += 4
    if size == 0xFFFFFFFF:
        if at != end:
            raise ProtocolViolation("invalid message format")
        return mechanism, None
    if at + size != end:
        raise ProtocolViolation("insufficient data left in message" if at + size > end else "invalid message format")
    return mechanism, data[at:end]


def parse_options(text: str) -> dict[str, str]:
    """Settings of the startup option string: ``-c name=value`` or ``--name=value``, words split at blanks.

    Raises:
        ProtocolViolation: anything else.
    """
    words = text.replace("\\ ", "\0").split()
    settings: dict[str, str] = {}
    index = 0
    while index < len(words):
        word = words[index].replace("\0", " ")
        if word == "-c" and index + 1 < len(words):
            index += 1
            word = words[index].replace("\0", " ")
        elif word.startswith("-c") or word.startswith("--"):
            word = word[2:]
        else:
            raise HeliosError(f"invalid command-line argument for server process: {word}", sqlstate="42601")
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise HeliosError(f"-c {word} requires a value", sqlstate="42601")
        settings[name.replace("-", "_")] = value
        index += 1
    return settings
