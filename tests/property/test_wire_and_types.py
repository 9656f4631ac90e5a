"""Laws of parsers: any bytes give a value or a HeliosError; what was written reads back; pieces do not matter."""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helios_cli.engine.datatypes.arrays import ArrayCodec
from helios_cli.engine.datatypes.interval import Interval, interval_text, read_interval
from helios_cli.engine.datatypes.registry import TYPES, by_oid, from_decl, parse_type_name
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.wire import backend, client, messages, rows, scram, startup
from helios_cli.engine.wire.copy import copy_formatter, copy_parser
from helios_cli.engine.wire.copy_options import CopyColumn, copy_options

FEW = settings(max_examples=150, deadline=None)

NOISE = st.one_of(
    st.binary(max_size=60),
    st.lists(
        st.one_of(
            st.binary(max_size=4),
            st.sampled_from([struct.pack("!I", n) for n in (0, 3, 4, 2**31 - 1, 2**31, 2**32 - 1)]),
            st.sampled_from(
                [b"\0", b"\0\0", b"\0\1", b"S\0", b"P\0", b"user\0", b"SCRAM-SHA-256\0", b"n,,", b"r=", b","]
            ),
        ),
        max_size=12,
    ).map(b"".join),
)

BODY_PARSERS: list[Callable[[bytes, int, int], Any]] = [
    messages.parse_query,
    messages.parse_parse,
    messages.parse_bind,
    lambda data, start, end: messages.parse_target(data, start, end, "CLOSE"),
    messages.parse_execute,
    messages.parse_empty,
    messages.parse_copy_fail,
    startup.parse_password,
    startup.parse_sasl_initial,
]
WHOLE_PARSERS: list[Callable[[bytes], Any]] = [
    startup.startup_length,
    startup.parse_startup,
    client.parse_error,
    client.parse_row_description,
    client.parse_data_row,
    client.parse_tag,
    client.parse_status,
    client.parse_key_data,
    client.parse_ready,
    client.parse_auth,
    client.parse_mechanisms,
]


@FEW
@given(NOISE, st.binary(max_size=5), st.binary(max_size=5))
def test_frontend_parsers_survive_anything_and_never_look_outside(noise: bytes, before: bytes, after: bytes) -> None:
    for parse in BODY_PARSERS:
        seen = []
        for data, start in ((noise, 0), (before + noise + after, len(before))):
            try:
                seen.append(repr(parse(data, start, start + len(noise))))
            except HeliosError as error:
                seen.append(f"{error.sqlstate} {error.message}")
        assert seen[0] == seen[1]


@FEW
@given(NOISE)
def test_whole_parsers_survive_anything(noise: bytes) -> None:
    for prefix in (b"", struct.pack("!II", len(noise) + 8, 196608), struct.pack("!II", len(noise) + 8, 80877102)):
        for parse in WHOLE_PARSERS:
            try:
                parse(prefix + noise)
            except HeliosError as error:
                assert len(error.sqlstate) == 5


NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
PARAMS = st.lists(st.none() | st.binary(max_size=20), max_size=5)


@FEW
@given(NAMES, NAMES, PARAMS, st.lists(st.integers(0, 1), max_size=3), st.booleans())
def test_bind_reads_back(
    portal: str, statement: str, params: list[bytes | None], results: list[int], binary: bool
) -> None:
    formats = (1,) * len(params) if binary else ()
    data = client.bind(params, portal=portal, statement=statement, param_formats=formats, result_formats=results)
    assert messages.parse_bind(data, 5, len(data)) == (portal, statement, formats, params, tuple(results))
    with pytest.raises(HeliosError):
        messages.parse_bind(data, 5, len(data) - 1)


@FEW
@given(
    NAMES,
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    st.lists(st.integers(0, 2**32 - 1), max_size=4),
)
def test_parse_reads_back(name: str, sql: str, oids: list[int]) -> None:
    data = client.parse(sql, name, oids)
    assert messages.parse_parse(data, 5, len(data)) == (name, sql, tuple(oids))


VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(st.characters(), max_size=20),
    st.binary(max_size=20),
)
TEXT_OIDS = st.sampled_from([*sorted(TYPES), 0, 99_999])


@FEW
@given(st.lists(st.tuples(TEXT_OIDS, VALUES), max_size=6))
def test_any_value_in_any_column_keeps_the_framing(cells: list[tuple[int, Any]]) -> None:
    oids = tuple(oid for oid, _ in cells)
    row = tuple(value for _, value in cells)
    data = rows.row_encoder(oids, (0,) * len(oids))(row)
    assert data[0] == ord("D")
    assert int.from_bytes(data[1:5], "big") == len(data) - 1
    read = client.parse_data_row(data[5:])
    assert [field is None for field in read] == [value is None for value in row]
    encoders = [rows.field_encoder(oid, 0) for oid in oids]
    assert data == rows.encode_slowly(encoders, row)
    assert rows.rows_encoder(oids, (0,) * len(oids))([row, row]) == data + data


@FEW
@given(st.sampled_from(sorted(TYPES)), NOISE)
def test_binary_values_are_read_or_refused_and_read_back(oid: int, noise: bytes) -> None:
    pg_type = by_oid(oid)
    try:
        value = pg_type.parse_binary(noise)
    except HeliosError:
        return
    assert pg_type.parse_binary(pg_type.format_binary(value)) == value


@FEW
@given(st.sampled_from(sorted(TYPES)), st.text(st.characters(exclude_categories=["Cs"]), max_size=25))
def test_texts_are_read_or_refused_and_the_output_is_stable(oid: int, text: str) -> None:
    pg_type = by_oid(oid)
    try:
        value = pg_type.parse_text(text)
    except HeliosError as error:
        assert error.sqlstate in {
            "22P02",
            "22003",
            "22007",
            "22008",
            "22009",
            "22015",
            "22023",
            "22P05",
            "2202E",
            "54000",
            # As ltree and hstore have it: the latter tells of its own syntax as PostgreSQL tells of what cannot be.
            "42601",
            *(["XX000"] if pg_type.name == "hstore" else []),
        }
        return
    shown = pg_type.format_text(value).decode()
    assert pg_type.format_text(pg_type.parse_text(shown)) == shown.encode()


DATE_BITS = st.lists(
    st.sampled_from(
        [
            "2020",
            "-",
            "01",
            "31",
            "/",
            ":",
            " ",
            "T",
            "Z",
            "+02",
            "BC",
            "jan",
            "PM",
            "infinity",
            ".5",
            "99",
            "day",
            "P",
            "1",
            "24",
            "J1",
        ]
    ),
    max_size=9,
).map("".join)


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(["date", "time", "timetz", "timestamp", "timestamptz", "interval"]), DATE_BITS)
def test_pieces_of_dates_are_read_or_refused(name: str, text: str) -> None:
    oid, _ = parse_type_name(name)
    try:
        value = by_oid(oid).parse_text(text)
    except HeliosError as error:
        assert error.sqlstate in {"22007", "22008", "22009", "22015", "22023"}
        return
    shown = by_oid(oid).format_text(value).decode()
    assert by_oid(oid).parse_text(shown) == value


@FEW
@given(st.floats(allow_nan=False))
def test_doubles_read_back_exactly(value: float) -> None:
    shown = by_oid(701).format_text(value).decode()
    assert math.copysign(1, by_oid(701).parse_text(shown)) == math.copysign(1, value)
    assert by_oid(701).parse_text(shown) == value


@FEW
@given(st.floats(width=32, allow_nan=False))
def test_singles_read_back_exactly(value: float) -> None:
    assert by_oid(700).parse_text(by_oid(700).format_text(value).decode()) == value


@FEW
@given(st.decimals(allow_nan=False, allow_infinity=False, places=7) | st.integers(-(10**40), 10**40))
def test_numerics_survive_both_forms(value: object) -> None:
    text = by_oid(1700).parse_text(str(value))
    assert by_oid(1700).parse_binary(by_oid(1700).format_binary(text)) == text


@FEW
@given(st.integers(-(2**31), 2**31 - 1), st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1))
def test_intervals_read_back(months: int, days: int, us: int) -> None:
    value = Interval(months, days, us)
    assert read_interval(interval_text(value)) == value


@FEW
@given(
    st.lists(
        st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8), max_size=5
    )
)
def test_arrays_read_back(items: list[str | None]) -> None:
    codec = ArrayCodec(by_oid(25))
    literal = codec.write(items)
    assert codec.read(literal).items == items
    assert codec.parse_text(literal) == literal
    assert codec.parse_binary(codec.format_binary(literal)) == literal


@FEW
@given(st.text(max_size=30))
def test_any_declaration_and_type_name_is_survived(text: str) -> None:
    assert from_decl(text)[0] in TYPES
    try:
        parse_type_name(text)
    except HeliosError as error:
        assert error.sqlstate in ("42704", "22023", "42601")


# COPY

COLUMNS = [CopyColumn("a", 23), CopyColumn("b", 25), CopyColumn("c", 25), CopyColumn("d", 16)]
CELLS = st.tuples(
    st.none() | st.integers(-(2**31), 2**31 - 1),
    st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
    st.none() | st.text(st.sampled_from("ab,;\"\\\t\n\r|N.'é"), max_size=6),
    st.none() | st.integers(0, 1),
)
OPTIONS = [
    copy_options(),
    copy_options("text", delimiter="|", null=""),
    copy_options("csv"),
    copy_options("csv", header=True, quote="'", escape="\\"),
    copy_options("csv", delimiter=";", null="N"),
    copy_options("binary"),
]


def fed(options: Any, data: bytes, cuts: list[int]) -> list[tuple[Any, ...]]:
    parser = copy_parser("t", COLUMNS, options)
    at = 0
    out: list[tuple[Any, ...]] = []
    for cut in [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]:
        out += parser.feed(data[at:cut])
        at = cut
    return out + parser.finish()


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(OPTIONS), st.lists(CELLS, max_size=6), st.lists(st.integers(0, 10_000), max_size=4))
def test_copy_reads_back_what_it_wrote_in_any_pieces(
    options: Any, table: list[tuple[Any, ...]], cuts: list[int]
) -> None:
    if options.null == "" and options.format == "text":
        # An empty text and NULL are written alike then; PostgreSQL does the same.
        table = [tuple(None if value == "" else value for value in row) for row in table]
    formatter = copy_formatter(COLUMNS, options)
    data = formatter.begin() + formatter.rows(table) + formatter.end()
    assert fed(options, data, cuts) == table


COPY_NOISE = st.one_of(
    st.binary(max_size=60),
    st.lists(
        st.sampled_from(
            [
                b"1",
                b"\t",
                b",",
                b"x",
                b"\n",
                b"\r\n",
                b"\r",
                b"\\",
                b"\\N",
                b'"',
                b"t",
                b"\\.",
                b"\\t",
                b"\xff",
                b"1\ta\tb\tt\n",
                b"1,a,b,t\n",
            ]
        ),
        max_size=20,
    ).map(b"".join),
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(OPTIONS), COPY_NOISE, st.lists(st.integers(0, 10_000), max_size=4))
def test_copy_gives_the_same_for_any_pieces(options: Any, noise: bytes, cuts: list[int]) -> None:
    seen = []
    for where in ([], cuts):
        try:
            seen.append(repr(fed(options, noise, where)))
        except HeliosError as error:
            seen.append(f"{error.sqlstate} {error.message} {error.context}")
    assert seen[0] == seen[1]


@FEW
@given(st.lists(st.sampled_from(["first", "final", "noise"]), min_size=1, max_size=4), NOISE)
def test_scram_lets_nobody_in_but_in_order(steps: list[str], noise: bytes) -> None:
    verifier = scram.Verifier(1, b"salt", b"\1" * 32, b"\2" * 32)
    server = scram.ScramServer(verifier, b"n" * 18)
    messages_of = {
        "first": b"n,,n=,r=abcdef",
        "final": b"c=biws,r=abcdef" + base64.b64encode(b"n" * 18) + b",p=" + base64.b64encode(bytes(32)),
        "noise": noise,
    }
    for step in steps:
        for call in (server.first, server.final):
            try:
                call(messages_of[step])
            except HeliosError:
                continue
    assert server.client_key is None


@FEW
@given(NAMES, NAMES)
def test_startup_reads_back(user: str, value: str) -> None:
    packet = client.startup({"user": user or "x", "application_name": value})
    found = startup.parse_startup(packet)
    assert isinstance(found, startup.Startup)
    assert found.parameters == {"user": user or "x", "application_name": value}


@FEW
@given(st.text(), st.text() | st.none())
def test_errors_read_back(text: str, detail: str | None) -> None:
    data = backend.error_response(HeliosError(text, detail=detail))
    read = client.parse_error(data[5:])
    assert len(data) == int.from_bytes(data[1:5], "big") + 1
    assert (read.detail is None) == (detail is None)
    assert read.sqlstate == "XX000"
