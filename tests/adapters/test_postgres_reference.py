"""Types, COPY and the client held against a real PostgreSQL 15 server, text and binary."""

from __future__ import annotations

import io
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from helios_cli.engine.datatypes.datetime_in import TimeContext
from helios_cli.engine.datatypes.datetimes import format_timestamptz, parse_timestamptz
from helios_cli.engine.datatypes.registry import (
    TYPES,
    apply_typmod,
    by_oid,
    decl_of,
    format_type,
    from_decl,
    parse_type_name,
)
from helios_cli.engine.datatypes.zoned import find_zone
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.net.pgclient import CannotConnect, PgClient, Target
from helios_cli.engine.wire import scram
from helios_cli.engine.wire.copy import copy_formatter, copy_parser
from helios_cli.engine.wire.copy_options import CopyColumn, copy_options

BINARIES = Path("/usr/lib/postgresql/15/bin")
pytestmark = pytest.mark.skipif(not (BINARIES / "postgres").exists(), reason="no PostgreSQL 15 server here")


@dataclass
class Server:
    """A running server."""

    directory: Path
    port: int

    def target(self, **other: object) -> Target:
        return Target(**{"port": self.port, "user": "postgres", "database": "postgres", "timeout": 20.0, **other})  # type: ignore[arg-type]


def _demote() -> dict[str, int]:
    """Run the server as another user when we are root, which it refuses to be."""
    if os.getuid() != 0:
        return {}
    account = pwd.getpwnam("postgres")
    return {"user": account.pw_uid, "group": account.pw_gid}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _self_signed(directory: Path) -> None:
    """A certificate for the TLS tests."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(30))
    (directory / "server.crt").write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    (directory / "server.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def _prepare(base: Path) -> Path:
    data = base / "data"
    run = {"check": True, "stdout": subprocess.DEVNULL, "cwd": base, **_demote()}
    subprocess.run(
        [BINARIES / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N", "--locale=C.UTF-8", "-E", "UTF8"],
        **run,
    )  # type: ignore[call-overload]
    _self_signed(data)
    (data / "pg_hba.conf").write_text(
        "host all scram_user 127.0.0.1/32 scram-sha-256\n"
        "host all plain_user 127.0.0.1/32 password\n"
        "host all md5_user 127.0.0.1/32 md5\n"
        "host all all 127.0.0.1/32 trust\n"
    )
    owner = _demote()
    for name in ("server.key", "server.crt"):
        if owner:
            os.chown(data / name, owner["user"], owner["group"])
        os.chmod(data / name, 0o600)
    return data


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    base = Path(tempfile.mkdtemp(prefix="helios-pg15-"))
    owner = _demote()
    if owner:
        os.chown(base, owner["user"], owner["group"])
    port = _free_port()
    data = _prepare(base)
    options = {"port": port, "unix_socket_directories": "", "fsync": "off", "ssl": "on", "timezone": "UTC"}
    command = [str(BINARIES / "postgres"), "-D", str(data), *(f"-c{key}={value}" for key, value in options.items())]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=base, **owner)  # type: ignore[call-overload]
    try:
        found = Server(base, port)
        _await(found, process)
        yield found
    finally:
        process.send_signal(2)
        process.wait(30)
        shutil.rmtree(base, ignore_errors=True)


def _await(server: Server, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            PgClient(server.target(sslmode="disable")).close()
            return
        except HeliosError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise


@pytest.fixture(scope="module")
def pg(server: Server) -> Iterator[PgClient]:
    with PgClient(server.target()) as client:
        client.execute("set intervalstyle = postgres; set datestyle = 'ISO, MDY'")
        yield client


VALUES: dict[str, list[str]] = {
    "boolean": ["t", "TRUE", " yes ", "of", "o", "1", "0", "", "truex", "on"],
    "smallint": ["0", "32767", "-32768", "32768", "x", "", " 5 ", "+7", "1.5", "1_0", "0x1"],
    "integer": ["0", "2147483647", "-2147483648", "2147483648", "99999999999", "x", "1e3", "- 1", "\u0661"],
    "bigint": ["9223372036854775807", "-9223372036854775808", "9223372036854775808", "a", "1" * 50],
    "oid": ["0", "4294967295", "4294967296", "-1", "x", ""],
    "real": [
        "0",
        "-0",
        "1",
        "0.1",
        "1e6",
        "123456",
        "1234567",
        "1e20",
        "1e-5",
        "0.0001",
        "0.00001234",
        "3.4028235e38",
        "1e39",
        "1e-46",
        "1e-45",
        "1.4e-45",
        "NaN",
        "inf",
        "-Infinity",
        "abc",
        "",
        "16777217",
        "1e10",
        "0.3",
        "5.877472e-39",
    ],
    "double precision": [
        "0",
        "-0",
        "1",
        "0.1",
        "1e20",
        "1e15",
        "1e14",
        "123456789012345",
        "1234567890123456",
        "1e-4",
        "0.00001",
        "1.7976931348623157e308",
        "1e309",
        "5e-324",
        "1e-400",
        "nan",
        "+inf",
        "infinity",
        "x",
        "0x10",
        "1e",
        "1.",
        ".5",
        "0.1e1",
        "2.2250738585072014e-308",
        "1e22",
        "123456789.123456789",
    ],
    "numeric": [
        "0",
        "1.50",
        "-1.50",
        "-0",
        "-0.00",
        ".5",
        "5.",
        "1e3",
        "1e-3",
        "1.5e-3",
        "00012.3400",
        "NaN",
        "inf",
        "-infinity",
        "x",
        "",
        "1e",
        "12345678901234567890.123456789",
        "0.0001",
        "0.00001",
        "10000",
        "99999999",
        "100000000",
        "1e10",
        "1e200000",
        "1e-20000",
        "1.2.3",
        "9999.9999",
        "0.00000000000000000001",
        "+5",
        "1e131071",
    ],
    "numeric(5,2)": ["1.005", "999.995", "1000", "-999.99", "NaN", "inf", "0.004", "-0.005"],
    "numeric(3,5)": ["0.00999", "0.01", "0.001234", "0"],
    "numeric(2,-3)": ["1234", "99499", "99500", "-499", "500"],
    "numeric(2,2)": ["0.99", "0.995", "1"],
    "text": ["", "a", "\u00e9\u20ac\U0001f600", "a'b\\c"],
    "varchar(3)": ["abc", "abcd", "ab ", "abc   ", "\u00e9\u00e9\u00e9\u00e9"],
    "char(3)": ["a", "abc", "abcd", ""],
    "name": ["abc", "x" * 70],
    '"char"': ["a", "abc", ""],
    "bytea": [
        "",
        "\\x",
        "\\xDEADbeef",
        "\\xde ad",
        "\\xabc",
        "\\xzz",
        "abc",
        "a\\\\b",
        "a\\001\\377",
        "a\\8",
        "\\x d e",
    ],
    "uuid": [
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "A0EEBC999C0B4EF8BB6D6BB9BD380A11",
        "{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}",
        "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11",
        "x",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1",
        "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    ],
    "json": [
        "[",
        "[,1]",
        "{1:2}",
        "{,}",
        "[1}",
        '"a\tb"',
        '"\\\\u12g4"',
        "[" + "1, " * 40 + "x]",
        "[1,\n x]",
        "-",
        "1.",
        "1e",
        "true false",
        "1",
        '{"a": [1, 2.50, null]}',
        '"\\u00e9"',
        "",
        "{",
        "[1,]",
        '{"a":}',
        "nul",
        "NaN",
        " [ ] ",
        "{'a':1}",
        "[1 2]",
        '"abc',
        "01",
        '{"a" 1}',
        "tru",
        "1 2",
        '{"a":1,}',
        '["\\x"]',
    ],
    "jsonb": [
        "1",
        '{"b":1.0,"a":[1e2, true,null,"x"],"aa":{},"b":2}',
        '"\\u00e9\\n\\"\\\\\\/"',
        "[]",
        "{}",
        '"\\u0000"',
        '"\\ud83d\\ude00"',
        '"\\ud83d"',
        "-0",
        "1E-5",
        '{"":1}',
        '"\\u001f\\u007f"',
        "123456789012345678901234567890.10",
        "[[],[{}]]",
        "x",
    ],
    "date": [
        "2020-02-29",
        "2020-02-30",
        "2021-02-29",
        "1999-01-08",
        "January 8, 1999",
        "1/8/1999",
        "1/18/1999",
        "13/8/1999",
        "19990108",
        "990108",
        "1999.008",
        "1999-008",
        "J2451187",
        "January 8, 99 BC",
        "infinity",
        "-infinity",
        "epoch",
        "5874897-12-31",
        "5874898-01-01",
        "4714-11-24 BC",
        "4714-11-23 BC",
        "0001-01-01",
        "0000-01-01",
        "10000-01-01",
        "x",
        "",
        "2020-13-01",
        "2020-00-01",
        "08-Jan-1999",
        "Jan-08-1999",
        "1999-Jan-08",
        "99-Jan-08",
        "2020-01-01 10:00",
        "8 January 1999",
        "2020-1-5",
    ],
    "time": [
        "04:05",
        "04:05:06",
        "04:05:06.789",
        "040506",
        "04:05 AM",
        "04:05 PM",
        "24:00:00",
        "24:00:01",
        "25:00",
        "04:05:06.1234567",
        "allballs",
        "12:00 am",
        "12:30 pm",
        "13:00 pm",
        "23:59:60",
        "04:60",
        "x",
        "2020-01-01 10:00:00",
        "04:05:06+02",
    ],
    "time(2)": ["04:05:06.789", "04:05:06.785", "23:59:59.999"],
    "timetz": [
        "04:05:06-08",
        "04:05:06.789+05:30",
        "040506-08",
        "04:05:06 PST",
        "04:05+16",
        "04:05 UTC",
        "04:05:06+01:02:03",
    ],
    "timestamp": [
        "2020-01-01 10:11:12.5",
        "2020-01-01T10:11:12",
        "2020-01-01 10:11:12+05",
        "2020-01-01",
        "infinity",
        "-infinity",
        "epoch",
        "294276-12-31 23:59:59.999999",
        "294277-01-01",
        "4714-11-24 00:00:00 BC",
        "4714-11-23 BC",
        "1999-01-08 04:05:06",
        "Jan 8 04:05:06 1999 PST",
        "x",
        "2020-01-01 25:00",
        "2020-02-30 00:00",
        "2020-01-01 24:00:00",
        "2020-01-01 10:11:12.1234565",
        "1969-12-31 23:59:59.5",
        "0044-03-15 12:00:00 BC",
        "20200101T101112",
        "20200101 101112",
        "2020-01-01 10:11 PM",
        "Wed Jan 01 10:11:12 2020",
        "2020-01-01 10:11:12.5 BC",
        "2020-01-01 1:2:3",
        "2020-01-01 10:11:60",
    ],
    "timestamp(3)": ["2020-01-01 10:11:12.123456", "2020-01-01 10:11:12.1235", "1960-01-01 10:11:12.1235", "infinity"],
    "timestamptz": [
        "2020-01-01 10:11:12.5",
        "2020-01-01 10:11:12+05",
        "2020-01-01T10:11:12Z",
        "2020-01-01 10:11:12 PST",
        "2020-01-01 10:11:12-03:30",
        "2020-01-01 10:11:12+0530",
        "1999-01-08 04:05:06 -8:00",
        "infinity",
        "epoch",
        "2020-01-01 10:11:12+16",
        "2020-01-01 10:11:12 XYZ",
        "2020-01-01 00:00 Foo/Bar",
        "4714-11-24 00:00:00+00 BC",
        "294277-01-01 00:00+00",
        "2020-01-01 10:11:12 UTC",
        "2020-01-01 10:11:12+00:00:01",
        "1/2/2003 4:05 pm",
    ],
    "interval": [
        "1 year 2 mons 3 days 04:05:06",
        "1-2",
        "3 4:05:06",
        "1 day",
        "-1 day",
        "1 day -1 hour",
        "1.5 days",
        "1.5 months",
        "0.1 year",
        "1 week",
        "1.5 weeks",
        "2 decades",
        "1 century",
        "1 day ago",
        "@ 1 minute",
        "P1Y2M3DT4H5M6S",
        "P1W",
        "PT0.5S",
        "P-1Y",
        "0",
        "",
        "x",
        "1 foo",
        "100",
        "1.5",
        "1:2",
        "1:2:3.456789",
        "-1:00",
        "1 mon -1 day",
        "-1 year 1 day",
        "12 months",
        "25 hours",
        "1 day 1 day",
        "1 ms",
        "5 us",
        "1.5 h",
        "10000000000 years",
        "1 year 12:00:00 ago",
        "1:60",
        "-0.5 day",
        "1 2 3",
        "P1",
        "PT",
        "P",
        "1y2mon3d4h5m6s",
        "1.2345678 sec",
        "13 mons",
        "-13 mons 1 day",
    ],
    "interval(2)": ["1.239 sec", "1 day 1.235 sec"],
    "interval year": ["1 year 5 mons 3 days", "-5 mons"],
    "interval day to hour": ["3 days 04:05:06"],
    "interval hour to minute": ["04:05:06"],
    "bit(4)": ["0101", "01", "01011", "x5", "b01", "2"],
    "bit varying(4)": ["0101", "01", "01011", ""],
    "integer[]": [
        "{}",
        "{1,2,3}",
        "{1,NULL,3}",
        "{{1,2},{3,4}}",
        "{{1,2},{3}}",
        "[2:3]={1,2}",
        "[0:1][1:1]={{1},{2}}",
        "{1,2",
        "1,2",
        "{1,,2}",
        "{a}",
        " { 1 , 2 } ",
        "{1}x",
        "{{}}",
        "{{},{}}",
        "{{1},2}",
        "{1,{2}}",
        "[1:2]={1}",
        "[2]={1,2}",
        "{{{{{{{1}}}}}}}",
    ],
    "text[]": [
        "{a,b}",
        '{"a b",c}',
        '{"",NULL,"NULL",null}',
        '{"a\\"b","c\\\\d"}',
        "{a\\,b}",
        '{"{}"}',
        "{a b}",
        "{ a b , c }",
        '{a"b"}',
        '{"a"b}',
        "{\u00e9}",
        '{"a","b"',
        "{a,}",
    ],
    "boolean[]": ["{t,f,true}"],
    "numeric(5,1)[]": ["{1.25,2}", "{99999}"],
    "timestamptz[]": ["{2020-01-01 00:00:00+02}"],
    "date[]": ["{2020-01-01,infinity}"],
    "bytea[]": ['{"\\\\xdead"}'],
    "varchar(2)[]": ["{abc,d}"],
    "float8[]": ["{1,0.1,NaN}"],
    "jsonb[]": ['{"{\\"a\\":1}"}'],
}

# Literal on the left, a session's time zone on the right.
ZONED = [
    ("2020-07-01 12:00", "Europe/Berlin"),
    ("2020-01-01 12:00", "Europe/Berlin"),
    ("2020-03-29 02:30", "Europe/Berlin"),
    ("2020-10-25 02:30", "Europe/Berlin"),
    ("2020-07-01 12:00 America/New_York", "Asia/Kolkata"),
    ("2020-07-01 12:00 europe/berlin", "UTC"),
    ("2200-07-01 12:00", "America/New_York"),
    ("12000-07-01 12:00", "America/New_York"),
    ("1890-01-01 12:00", "Europe/Berlin"),
    ("0044-01-01 12:00 BC", "Europe/Berlin"),
    ("infinity", "Europe/Berlin"),
    ("2011-12-30 12:00", "Pacific/Apia"),
]


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def theirs(pg: PgClient, type_name: str, text: str) -> object:
    try:
        return pg.execute(f"select {quoted(text)}::{type_name}")[0].rows[0][0]
    except HeliosError as error:
        return error.sqlstate, error.message, error.detail, error.hint


def ours(type_name: str, text: str) -> object:
    oid, typmod = parse_type_name(type_name)
    try:
        value = apply_typmod(oid, typmod, by_oid(oid).parse_text(text), explicit=True)
        return by_oid(oid).format_text(value).decode()
    except HeliosError as error:
        return error.sqlstate, error.message, error.detail, error.hint


@pytest.mark.parametrize("type_name", VALUES)
def test_text_in_and_out_and_every_error_are_postgresql_s(pg: PgClient, type_name: str) -> None:
    for text in VALUES[type_name]:
        assert ours(type_name, text) == theirs(pg, type_name, text), text


@pytest.mark.parametrize("type_name", VALUES)
def test_binary_forms_are_postgresql_s(pg: PgClient, type_name: str) -> None:
    oid, typmod = parse_type_name(type_name)
    columns = [CopyColumn("c", oid)]
    compared = 0
    for text in VALUES[type_name]:
        if isinstance(ours(type_name, text), tuple):
            continue
        value = apply_typmod(oid, typmod, by_oid(oid).parse_text(text), explicit=True)
        sink = io.BytesIO()
        pg.copy_out(f"copy (select {quoted(text)}::{type_name}) to stdout (format binary)", sink)
        formatter = copy_formatter(columns, copy_options("binary"))
        assert formatter.begin() + formatter.rows([(value,)]) + formatter.end() == sink.getvalue(), text
        assert copy_parser("t", columns, copy_options("binary")).feed(sink.getvalue()) == [(value,)], text
        compared += 1
    assert compared


EXTENSIONS_FROM = 15_000
"""Types of extensions, to which PostgreSQL gives OIDs when the extension is created."""


def test_format_type_and_oids_are_postgresql_s(pg: PgClient) -> None:
    rows = pg.execute("select oid, typname, typlen, typarray, typcategory, format_type(oid, null) from pg_type")[0].rows
    known = {row[0]: row[1:] for row in rows}
    for pg_type in TYPES.values():
        if pg_type.oid >= EXTENSIONS_FROM:
            continue
        name, size, array_oid, category, sql_name = known[str(pg_type.oid)]
        mine = (pg_type.name, str(pg_type.typlen), str(pg_type.array_oid), pg_type.category, pg_type.sql_name)
        assert mine == (name, size, array_oid, category, sql_name)


@pytest.mark.parametrize(
    "type_name",
    [*VALUES, "interval day to second(3)", "numeric(10)", "float(24)", "float(25)", "char", "char(5)[]", "bit",
     "time(3) with time zone", "timestamp(0)", "national character varying(7)", "numeric(10,-2)[]", "dec(3)"],
)  # fmt: skip
def test_modifiers_are_postgresql_s(pg: PgClient, type_name: str) -> None:
    pg.execute(f"drop table if exists modifiers; create table modifiers (c {type_name})")
    row = pg.execute(
        "select atttypid, atttypmod, format_type(atttypid, atttypmod) from pg_attribute"
        " where attrelid = 'modifiers'::regclass and attname = 'c'"
    )[0].rows[0]
    oid, typmod = parse_type_name(type_name)
    assert (str(oid), str(typmod), format_type(oid, typmod)) == row
    assert from_decl(decl_of(oid, typmod)) == (oid, typmod)


@pytest.mark.parametrize(("text", "zone_name"), ZONED)
def test_time_zones_are_postgresql_s(pg: PgClient, text: str, zone_name: str) -> None:
    zone = ZoneInfo(zone_name)
    context = TimeContext(zone, find_zone=find_zone)
    pg.execute(f"set timezone = '{zone_name}'")
    try:
        expected = theirs(pg, "timestamptz", text)
    finally:
        pg.execute("set timezone = 'UTC'")
    assert format_timestamptz(parse_timestamptz(text, context), zone).decode() == expected


# COPY

TABLE = [CopyColumn("a", 23), CopyColumn("b", 25), CopyColumn("c", 1043, 7), CopyColumn("d", 16)]
GOOD = [
    ("text", {}, b"1\ta\tb\tt\n2\t\\N\t\\N\t\\N\n"),
    ("text", {}, b"1\ta\\tb\\\\\tb\\x41\tf\r\n2\tx\\\ty\tz\tt\r\n"),
    ("text", {}, b"1\ta\\\nb\t\tt\n\\.\nrubbish"),
    ("text", {}, b"1\t\\303\\251\\q\tab   \tt"),
    ("text", {"delimiter": "|", "null": ""}, b"1|||t\n2|a\\|b|x|\n"),
    ("text", {"header": True}, b"what\tever\n1\ta\tb\tt\n"),
    ("csv", {}, b'1,"a,""b""\nc",x,t\n2,,"",f\n'),
    ("csv", {}, b"1,a,b,t\r\n2,\"x\r\ny\",c,f\r\n"),
    ("csv", {"header": True, "header_match": True}, b"a,b,c,d\n1,x,y,t\n"),
    ("csv", {"quote": "'", "escape": "\\"}, b"1,'a\\'b\\\\c\\d',x,t\n"),
    ("csv", {"null": "NULL", "force_not_null": frozenset({"b"}), "force_null": frozenset({"c"})},
     b'1,NULL,"NULL",t\n2,x,NULL,\n'.replace(b",\n", b",f\n")),
    ("csv", {}, b'1,a"b,c"d,x,t\n2,\\.,y,f\n\\.\n'),
]  # fmt: skip
BAD = [
    ("text", {}, b"1\ta\tb\n"),
    ("text", {}, b"1\ta\tb\tt\tmore\n"),
    ("text", {}, b"1\ta\tb\tt\nx\ta\tb\tt\n"),
    ("text", {}, b"1\ta\ttoolongtext\tt\n"),
    ("text", {}, b"1\ta\tb\tt\n2\tb\tc\tt\r\n"),
    ("text", {}, b"1\ta\tb\tt\r\n2\tb\tc\tt\n"),
    ("text", {}, b"1\ta\xff\tb\tt\n"),
    ("text", {}, b"99999999999\ta\tb\tt\n"),
    ("text", {}, b"1_0\ta\tb\tt\n1_0\ta\tb\tt\n"),
    ("text", {}, b"\n"),
    ("text", {}, b"1\t" + b"x" * 300 + b"\n"),
    ("csv", {}, b"1,a,b\n"),
    ("csv", {}, b"1,a,b,t,more\n"),
    ("csv", {}, b'1,"a,b,t\n'),
    ("csv", {}, b"1,a,b,t\n2,a,b,maybe\n"),
    ("csv", {}, b'1,"a\nb",x,t\n2,"a\nb",x,maybe\n'),
    ("csv", {"header": True, "header_match": True}, b"a,B,c,d\n"),
    ("csv", {"header": True, "header_match": True}, b"a,b\n"),
]


def clauses(format_name: str, given: dict[str, object]) -> str:
    parts = [f"format {format_name}"]
    for name, value in given.items():
        if name == "header_match":
            parts[parts.index("header true")] = "header match"
        elif isinstance(value, frozenset):
            parts.append(f"{name} ({', '.join(sorted(value))})")
        else:
            parts.append(f"{name} {'true' if value is True else quoted(str(value))}")
    return ", ".join(parts)


@pytest.fixture
def target_table(pg: PgClient) -> PgClient:
    pg.execute("drop table if exists t; create table t (a int, b text, c varchar(3), d bool)")
    return pg


@pytest.mark.parametrize("step", [1, 7, 10_000])
@pytest.mark.parametrize(("format_name", "given", "data"), GOOD)
def test_copy_in_reads_what_postgresql_reads(
    target_table: PgClient, format_name: str, given: dict[str, object], data: bytes, step: int
) -> None:
    parser = copy_parser("t", TABLE, copy_options(format_name, **given))
    mine = [row for at in range(0, len(data), step) for row in parser.feed(data[at : at + step])] + parser.finish()
    target_table.copy_in(f"copy t from stdin ({clauses(format_name, given)})", io.BytesIO(data))
    shown = [tuple(None if v is None else str(v) for v in row) for row in mine]
    expected = target_table.execute("select a, b, c, d::int from t")[0].rows
    assert shown == expected
    assert shown


@pytest.mark.parametrize("step", [1, 10_000])
@pytest.mark.parametrize(("format_name", "given", "data"), BAD)
def test_copy_in_refuses_as_postgresql_refuses(
    target_table: PgClient, format_name: str, given: dict[str, object], data: bytes, step: int
) -> None:
    parser = copy_parser("t", TABLE, copy_options(format_name, **given))
    with pytest.raises(HeliosError) as mine:
        for at in range(0, len(data), step):
            parser.feed(data[at : at + step])
        parser.finish()
    with pytest.raises(HeliosError) as other:
        target_table.copy_in(f"copy t from stdin ({clauses(format_name, given)})", io.BytesIO(data))
    for name in ("sqlstate", "message", "detail", "hint", "context"):
        assert getattr(mine.value, name) == getattr(other.value, name)


OUT_ROWS = [(1, "a\tb\\c\nd\r\b\v", "x,y", 1), (None, None, None, None), (2, "", 'q"r', 0), (3, "\\.", "\u00e9 ", 1)]


@pytest.mark.parametrize(
    ("format_name", "given"),
    [("text", {}), ("text", {"delimiter": ",", "null": "nil"}), ("text", {"header": True}), ("csv", {}),
     ("csv", {"header": True, "quote": "'", "escape": "\\"}), ("csv", {"force_quote": frozenset({"b", "a"})}),
     ("binary", {})],
)  # fmt: skip
def test_copy_out_writes_what_postgresql_writes(pg: PgClient, format_name: str, given: dict[str, object]) -> None:
    columns = [CopyColumn("a", 23), CopyColumn("b", 25), CopyColumn("c", 1043), CopyColumn("d", 16)]
    formatter = copy_formatter(columns, copy_options(format_name, **given))
    mine = formatter.begin() + formatter.rows(OUT_ROWS[:1]) + formatter.rows(OUT_ROWS[1:]) + formatter.end()
    pg.execute("drop table if exists o; create table o (a int, b text, c varchar, d bool)")
    for a, b, c, d in OUT_ROWS:
        values = ["null" if v is None else quoted(str(v)) for v in (a, b, c, d)]
        pg.execute(f"insert into o values ({', '.join(values)})")
    sink = io.BytesIO()
    pg.copy_out(f"copy o to stdout ({clauses(format_name, given)})", sink)
    assert mine == sink.getvalue()


# The client


def test_client_collects_results_tags_notices_and_status(pg: PgClient) -> None:
    results = pg.execute("select 1 as one, null; begin; create temp table if not exists x (a int) on commit drop")
    assert [result.tag for result in results] == ["SELECT 1", "BEGIN", "CREATE TABLE"]
    assert results[0].rows == [("1", None)]
    assert [(c.name, c.type_oid) for c in results[0].columns or ()] == [("one", 23), ("?column?", 25)]
    assert results[1].columns is None
    assert pg.transaction_status == "T"
    pg.notices.clear()
    pg.execute("drop table if exists nothing_there")
    assert [(notice.severity, notice.sqlstate) for notice in pg.notices] == [("NOTICE", "00000")]
    with pytest.raises(HeliosError) as failed:
        pg.execute("select 1/0")
    assert (failed.value.sqlstate, failed.value.message) == ("22012", "division by zero")
    assert pg.transaction_status == "E"
    pg.execute("rollback")
    assert pg.transaction_status == "I"
    assert pg.execute("")[0].tag == ""


def test_client_reports_every_field_of_an_error(pg: PgClient) -> None:
    with pytest.raises(HeliosError) as failed:
        pg.execute("select nowhere from pg_class")
    assert (failed.value.sqlstate, failed.value.position) == ("42703", 8)
    pg.execute("drop table if exists u; create table u (a int primary key)")
    with pytest.raises(HeliosError) as failed:
        pg.execute("insert into u values (1), (1)")
    error = failed.value
    assert (error.schema, error.table, error.constraint) == ("public", "u", "u_pkey")
    assert error.detail == "Key (a)=(1) already exists."


def test_client_streams_and_can_stop_early(pg: PgClient) -> None:
    batches = list(pg.stream("select generate_series(1, 2500)", batch_rows=1000))
    assert [len(batch.rows) for batch in batches] == [1000, 1000, 500]
    assert batches[-1].tag == "SELECT 2500"
    assert all(batch.columns for batch in batches)
    endless = pg.stream("select generate_series(1, 100000000)", batch_rows=10)
    assert len(next(endless).rows) == 10
    endless.close()  # type: ignore[attr-defined]
    assert pg.execute("select 1")[0].rows == [("1",)]


def test_client_cancels(server: Server, pg: PgClient) -> None:
    timer = threading.Timer(0.2, pg.cancel)
    timer.start()
    with pytest.raises(HeliosError) as failed:
        pg.execute("select pg_sleep(60)")
    timer.join()
    assert failed.value.sqlstate == "57014"
    assert pg.execute("select 2")[0].rows == [("2",)]


@pytest.mark.parametrize("sslmode", ["disable", "prefer", "require"])
@pytest.mark.parametrize("method", ["scram", "plain", "md5"])
def test_client_logs_in_by_every_method(server: Server, pg: PgClient, method: str, sslmode: str) -> None:
    encryption = "md5" if method == "md5" else "scram-sha-256"
    password = "p\u00e4ss\u00a0word \u2168"
    pg.execute(f"set password_encryption = '{encryption}'")
    pg.execute(f"drop role if exists {method}_user; create role {method}_user login password {quoted(password)}")
    with PgClient(server.target(user=f"{method}_user", password=password, sslmode=sslmode)) as client:
        assert client.execute("select current_user")[0].rows == [(f"{method}_user",)]
        assert client.tls == (sslmode != "disable")
    with pytest.raises(HeliosError) as failed:
        PgClient(server.target(user=f"{method}_user", password="wrong", sslmode=sslmode))
    assert failed.value.sqlstate == "28P01"
    with pytest.raises(HeliosError):
        PgClient(server.target(user=f"{method}_user", sslmode=sslmode))


@pytest.mark.parametrize(
    "password", ["plain", "p\u00e4ss", "IX\u2168", "a\u00adb", "\u0627\u0031", "tab\tin", "\u0221x", "\u00aa"]
)
def test_verifier_is_postgresql_s(pg: PgClient, password: str) -> None:
    pg.execute(
        f"set password_encryption = 'scram-sha-256'; drop role if exists v; create role v password {quoted(password)}"
    )
    text = pg.execute("select rolpassword from pg_authid where rolname = 'v'")[0].rows[0][0] or ""
    stored = scram.Verifier.parse(text)
    assert str(scram.build_verifier(password, stored.salt, stored.iterations)) == text
    assert scram.verify_password(stored, password)
    assert not scram.verify_password(stored, password + "x")


def test_our_verifier_lets_postgresql_log_us_in(server: Server, pg: PgClient) -> None:
    verifier = scram.build_verifier("sesam", bytes(range(16)))
    pg.execute(f"drop role if exists scram_user; create role scram_user login password '{verifier}'")
    PgClient(server.target(user="scram_user", password="sesam")).close()


def test_client_says_where_nobody_listens() -> None:
    with pytest.raises(CannotConnect) as failed:
        PgClient(Target(port=1, timeout=5))
    assert failed.value.sqlstate == "08001"
    assert "127.0.0.1:1" in failed.value.message


def test_client_loses_its_server(server: Server, pg: PgClient) -> None:
    with PgClient(server.target()) as victim:
        pg.execute(f"select pg_terminate_backend({victim.pid}, 5000)")
        with pytest.raises(HeliosError) as failed:
            victim.execute("select 1")
    assert failed.value.sqlstate in ("57P01", "08006")
