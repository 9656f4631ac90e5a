"""Frontend messages: what is read, and what each kind of malformed message is answered with."""

from __future__ import annotations

import struct

import pytest

from helios_cli.engine.errors import HeliosError, ProtocolViolation
from helios_cli.engine.wire import client, limits, messages, startup


def body(message: bytes) -> bytes:
    assert int.from_bytes(message[1:5], "big") == len(message) - 1
    return message[5:]


def framed(data: bytes) -> tuple[bytes, int, int]:
    """The body inside a larger buffer, so that a reader beyond its end would find something."""
    return b"\xff" * 7 + data + b"\0" * 9, 7, 7 + len(data)


def test_query() -> None:
    assert messages.parse_query(*framed(b"select '\xc3\xa9'\0")) == "select 'é'"
    for bad in (b"", b"select 1", b"a\0b\0"):
        with pytest.raises(ProtocolViolation):
            messages.parse_query(*framed(bad))


def test_invalid_utf8_is_22021_with_the_bytes() -> None:
    with pytest.raises(HeliosError) as failed:
        messages.parse_query(*framed(b"ab\xe2\x28\xa1c\0"))
    assert failed.value.sqlstate == "22021"
    assert failed.value.message == 'invalid byte sequence for encoding "UTF8": 0xe2 0x28 0xa1'


def test_parse() -> None:
    data = body(client.parse("select $1", "stmt", (23, 0)))
    assert messages.parse_parse(*framed(data)) == ("stmt", "select $1", (23, 0))
    data = body(client.parse("select 1"))
    assert messages.parse_parse(*framed(data)) == ("", "select 1", ())


@pytest.mark.parametrize(
    ("params", "formats", "results"),
    [
        ((), (), ()),
        ((b"5",), (), ()),
        ((b"",), (), ()),
        ((None,), (), ()),
        ((b"5",), (1,), (1,)),
        ((b"5", None, b"x" * 300), (0, 1, 0), (0, 1)),
        ((b"5", None), (1,), ()),
        ((b"\0\0",), (), (0,)),
        ((b"1",) * 20, (1,) * 20, (1,) * 9),
    ],
)
def test_bind(params: tuple[bytes | None, ...], formats: tuple[int, ...], results: tuple[int, ...]) -> None:
    for portal, statement in (("", ""), ("p", "é"), ("", "s")):
        message = client.bind(params, portal=portal, statement=statement, param_formats=formats, result_formats=results)
        expected = (portal, statement, formats, list(params), results)
        assert messages.parse_bind(*framed(body(message))) == expected


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "invalid string in message"),
        (b"\0", "invalid string in message"),
        (b"\0\0", "insufficient data left in message"),
        (b"\0\0\0\0", "insufficient data left in message"),
        (b"\0\0\0\0\0\1\0\0\0\5abcd\0\0", "insufficient data left in message"),
        (b"\0\0\0\0\0\1\xff\xff\xff\xfeabcd\0\0", "insufficient data left in message"),
        (b"\0\0\0\0\0\1\x7f\xff\xff\xff\0\0", "insufficient data left in message"),
        (b"\0\0\0\0\0\1\x80\0\0\0\0\0", "insufficient data left in message"),
        (b"\0\0\0\0\xff\xff", "insufficient data left in message"),
        (b"\0\0\0\0\0\0\0\0x", "invalid message format"),
        (b"\0\0\0\2\0\0\0\1\0\1\0\0\0\1x\0\0", "bind message has 2 parameter formats but 1 parameters"),
    ],
)
def test_bind_refuses(data: bytes, text: str) -> None:
    with pytest.raises(ProtocolViolation) as failed:
        messages.parse_bind(*framed(data))
    assert (failed.value.sqlstate, failed.value.message) == ("08P01", text)


def test_an_unknown_format_code_is_22023() -> None:
    with pytest.raises(HeliosError) as failed:
        messages.parse_bind(*framed(b"\0\0\0\1\0\2\0\0\0\0"))
    assert (failed.value.sqlstate, failed.value.message) == ("22023", "unsupported format code: 2")


def test_result_formats_are_spread_over_the_columns() -> None:
    assert messages.formats_for((), 3) == (0, 0, 0)
    assert messages.formats_for((1,), 3) == (1, 1, 1)
    assert messages.formats_for((1, 0), 2) == (1, 0)
    with pytest.raises(ProtocolViolation, match="bind message has 2 result formats but query has 3 columns"):
        messages.formats_for((1, 0), 3)


def test_describe_close_execute_copy_fail() -> None:
    assert messages.parse_target(*framed(body(client.describe("S", "x"))), "DESCRIBE") == ("S", "x")
    assert messages.parse_target(*framed(body(client.close("P"))), "CLOSE") == ("P", "")
    with pytest.raises(HeliosError, match="invalid DESCRIBE message subtype 88"):
        messages.parse_target(*framed(b"X\0"), "DESCRIBE")
    for bad in (b"", b"S", b"S\0x"):
        with pytest.raises(ProtocolViolation):
            messages.parse_target(*framed(bad), "DESCRIBE")
    assert messages.parse_execute(*framed(body(client.execute("p", 7)))) == ("p", 7)
    assert messages.parse_execute(*framed(body(client.execute()))) == ("", 0)
    for bad in (b"", b"\0", b"\0\0\0\0", b"\0\0\0\0\0\0"):
        with pytest.raises(ProtocolViolation):
            messages.parse_execute(*framed(bad))
    assert messages.parse_copy_fail(*framed(body(client.copy_fail("why")))) == "why"
    messages.parse_empty(*framed(b""))
    with pytest.raises(ProtocolViolation):
        messages.parse_empty(*framed(b"x"))


@pytest.mark.parametrize("length", [0, 3, 2**31 - 1, 2**31, 2**32 - 1])
@pytest.mark.parametrize("code", b"QPBDECSHXdcfp\0\xff")
def test_no_message_has_an_impossible_length(code: int, length: int) -> None:
    with pytest.raises(ProtocolViolation):
        messages.check_length(code, length)


@pytest.mark.parametrize(("code", "limit"), [(ord("Q"), limits.MAX_LARGE), (ord("E"), limits.MAX_SMALL)])
def test_the_limits_are_inclusive(code: int, limit: int) -> None:
    messages.check_length(code, 4)
    messages.check_length(code, limit)
    with pytest.raises(ProtocolViolation):
        messages.check_length(code, limit + 1)


def test_startup() -> None:
    packet = client.startup({"user": "ann", "database": "d", "_pq_.x": "1"})
    assert startup.startup_length(packet) == len(packet)
    found = startup.parse_startup(packet)
    assert isinstance(found, startup.Startup)
    assert (found.parameters, found.minor, found.unknown_options) == ({"user": "ann", "database": "d"}, 0, ("_pq_.x",))
    assert found.needs_negotiation
    newer = startup.parse_startup(client.startup({"user": "ann"}, 0x30002))
    assert isinstance(newer, startup.Startup)
    assert (newer.minor, newer.needs_negotiation) == (2, True)


def test_requests_before_startup() -> None:
    assert startup.parse_startup(client.SSL_REQUEST_PACKET) is startup.Request.SSL
    assert startup.parse_startup(struct.pack("!II", 8, limits.GSSENC_REQUEST)) is startup.Request.GSSENC
    assert startup.parse_startup(client.cancel_request(7, b"abcd")) == startup.Cancel(7, b"abcd")


@pytest.mark.parametrize("length", [0, 3, 4, 7, 10_005, 2**31 - 1, 2**31, 2**32 - 1])
def test_a_startup_packet_of_impossible_length_is_never_waited_for(length: int) -> None:
    with pytest.raises(ProtocolViolation, match="invalid length of startup packet"):
        startup.startup_length(struct.pack("!I", length))


def test_startup_length_waits_for_its_four_bytes() -> None:
    assert startup.startup_length(b"\0\0\0") is None
    assert startup.startup_length(struct.pack("!I", 10_004)) == 10_004


@pytest.mark.parametrize(
    ("packet", "sqlstate"),
    [
        (struct.pack("!II", 9, 196608) + b"\0", "28000"),
        (struct.pack("!II", 12, 196608) + b"user", "08P01"),
        (struct.pack("!II", 15, 196608) + b"user\0a\0", "08P01"),
        (struct.pack("!II", 17, 196608) + b"user\0a\0\0x", "08P01"),
        (struct.pack("!II", 16, 196608) + b"user\0\xff\0\0", "22021"),
        (struct.pack("!II", 9, 131072) + b"\0", "0A000"),
        (struct.pack("!II", 9, 80877103) + b"\0", "08P01"),
        (struct.pack("!II", 12, 80877102) + b"abcd", "08P01"),
        # An HTTP request that came to the wrong port.
        (b"GET / HTTP/1.1\r\n\r\n", "08P01"),
    ],
)
def test_startup_refuses(packet: bytes, sqlstate: str) -> None:
    with pytest.raises(HeliosError) as failed:
        startup.parse_startup(packet)
    assert (failed.value.sqlstate, failed.value.severity) == (sqlstate, "FATAL")


def test_only_p_is_allowed_while_authenticating() -> None:
    startup.auth_length(ord("p"), 100)
    for code, length in ((0, 100), (ord("Q"), 100), (ord("p"), 3), (ord("p"), 65_540), (ord("p"), 2**32 - 1)):
        with pytest.raises(ProtocolViolation):
            startup.auth_length(code, length)
    with pytest.raises(ProtocolViolation):
        startup.auth_length(ord("p"), 1_029, limits.MAX_SASL)


def test_passwords_and_sasl() -> None:
    assert startup.parse_password(*framed(body(client.password("sesam")))) == "sesam"
    with pytest.raises(HeliosError, match="empty password returned by client"):
        startup.parse_password(*framed(b"\0"))
    first = body(client.sasl_initial("SCRAM-SHA-256", b"n,,n=,r=x"))
    assert startup.parse_sasl_initial(*framed(first)) == ("SCRAM-SHA-256", b"n,,n=,r=x")
    assert startup.parse_sasl_initial(*framed(b"X\0\xff\xff\xff\xff")) == ("X", None)
    for size in (0, 3, 2**31 - 1, 2**31, 2**32 - 2):
        with pytest.raises(ProtocolViolation):
            startup.parse_sasl_initial(*framed(b"X\0" + struct.pack("!I", size) + b"abcd"))


@pytest.mark.parametrize(("packet", "name"), [(80877103, "SSL request"), (80877104, "GSSAPI encryption request")])
def test_plaintext_behind_a_request_for_encryption_ends_the_connection(packet: int, name: str) -> None:
    with pytest.raises(ProtocolViolation, match=f"received unencrypted data after {name}"):
        startup.Negotiation().take(struct.pack("!II", 8, packet), more_buffered=True)


def test_encryption_can_be_asked_for_once_each() -> None:
    negotiation = startup.Negotiation()
    gss = struct.pack("!II", 8, limits.GSSENC_REQUEST)
    assert negotiation.take(client.SSL_REQUEST_PACKET, more_buffered=False) is startup.Request.SSL
    assert negotiation.take(gss, more_buffered=False) is startup.Request.GSSENC
    for again in (client.SSL_REQUEST_PACKET, gss):
        with pytest.raises(HeliosError, match="unsupported frontend protocol 1234"):
            negotiation.take(again, more_buffered=False)
    found = negotiation.take(client.startup({"user": "ann"}), more_buffered=True)
    assert isinstance(found, startup.Startup)
