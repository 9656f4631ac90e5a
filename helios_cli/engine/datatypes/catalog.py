"""The table of types: oids, names and conversions. Oids are those of PostgreSQL's pg_type.dat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct
from typing import Any, Final

from helios_cli.engine.datatypes import calendar as cal
from helios_cli.engine.datatypes import (
    datetimes,
    floats,
    geometric,
    integers,
    interval,
    jsonpath,
    jsons,
    ltree,
    money,
    network,
    numeric,
    regs,
    strings,
    system_types,
    tsquery,
    tsvector,
)
from helios_cli.engine.datatypes.arrays import BOX, ArrayCodec
from helios_cli.engine.datatypes.hstore import format_hstore_binary, parse_hstore, parse_hstore_binary
from helios_cli.engine.datatypes.lsn import format_lsn_binary, parse_lsn, parse_lsn_binary
from helios_cli.engine.datatypes.orders import comparison
from helios_cli.engine.datatypes.pgtype import PgType
from helios_cli.engine.datatypes.ranges import DISCRETE, KINDS, RangeCodec
from helios_cli.engine.datatypes.utf8 import decode_utf8
from helios_cli.engine.datatypes.vectors import VectorForm


@dataclass(frozen=True, slots=True)
class Codec:
    """The four conversions of a type."""

    parse_text: Callable[[str], Any]
    format_text: Callable[[Any], bytes]
    parse_binary: Callable[[bytes], Any]
    format_binary: Callable[[Any], bytes]


def _integer(name: str, bits: int, layout: str) -> Codec:
    packed = Struct(layout)
    return Codec(
        integers.integer_parser(name, bits),
        integers.format_number,
        integers.binary_reader(packed),
        integers.binary_writer(packed, bits, name),
    )


def _unsigned(name: str, parse: Callable[[str], int]) -> Codec:
    packed = Struct("!I")
    write = integers.binary_writer(packed, -32, name)
    return Codec(parse, integers.format_number, integers.binary_reader(packed), write)


def _opaque(parse: Callable[[str], str]) -> Codec:
    """A type kept as text whose binary form is its text."""
    return Codec(parse, strings.format_string, lambda data: parse(decode_utf8(data)), strings.format_binary_string)


_INT8 = Struct("!q")
_INT4 = Struct("!i")
_TEXT: Final = _opaque(strings.parse_string)
_OID: Final = _unsigned("oid", integers.parse_oid)
_BOOL: Final = Codec(integers.parse_bool, integers.format_bool, integers.parse_bool_binary, integers.format_bool_binary)
_FLOAT4: Final = Codec(
    floats.parse_float4, floats.format_float4, floats.parse_float4_binary, floats.format_float4_binary
)
_FLOAT8: Final = Codec(
    floats.parse_float8, floats.format_float8, floats.parse_float8_binary, floats.format_float8_binary
)
_NUMERIC: Final = Codec(
    numeric.parse_numeric, numeric.format_numeric, numeric.parse_numeric_binary, numeric.format_numeric_binary
)
_MONEY: Final = Codec(
    money.parse_money,
    money.format_money,
    integers.binary_reader(_INT8),
    integers.binary_writer(_INT8, 64, "money"),
)
_BYTEA: Final = Codec(strings.parse_bytea, strings.format_bytea, strings.parse_bytea_binary, strings.to_bytes)
_LSN: Final = Codec(parse_lsn, strings.format_string, parse_lsn_binary, format_lsn_binary)
_INET: Final = Codec(network.parse_inet, strings.format_string, network.parse_inet_binary, network.format_inet_binary)
_CIDR: Final = Codec(network.parse_cidr, strings.format_string, network.parse_cidr_binary, network.format_cidr_binary)
_MACADDR: Final = Codec(
    network.parse_macaddr, strings.format_string, network.parse_macaddr_binary, network.format_mac_binary
)
_MACADDR8: Final = Codec(
    network.parse_macaddr8, strings.format_string, network.parse_macaddr8_binary, network.format_mac_binary
)
_JSONPATH: Final = Codec(
    jsonpath.parse_jsonpath,
    strings.format_string,
    jsonpath.parse_jsonpath_binary,
    jsonpath.format_jsonpath_binary,
)
_UUID: Final = Codec(strings.parse_uuid, strings.format_string, strings.parse_uuid_binary, strings.format_uuid_binary)
_JSON: Final = _opaque(jsons.parse_json)
_JSONB: Final = Codec(jsons.parse_jsonb, strings.format_string, jsons.parse_jsonb_binary, jsons.format_jsonb_binary)
_DATE: Final = Codec(
    datetimes.parse_date,
    datetimes.format_date,
    datetimes.ranged_reader(_INT4, cal.DATE_MIN, cal.DATE_END, "date", (cal.DATE_INFINITY, cal.DATE_MINUS_INFINITY)),
    integers.binary_writer(_INT4, 32, "date"),
)
_TIME: Final = Codec(
    datetimes.parse_time,
    datetimes.format_time,
    datetimes.ranged_reader(_INT8, 0, cal.DAY_US + 1, "time", ()),
    integers.binary_writer(_INT8, 64, "time"),
)
_TIMETZ: Final = Codec(
    datetimes.parse_timetz, strings.format_string, datetimes.parse_timetz_binary, datetimes.format_timetz_binary
)
_TIMESTAMP_READER: Final = datetimes.ranged_reader(
    _INT8,
    cal.TIMESTAMP_MIN,
    cal.TIMESTAMP_END,
    "timestamp",
    (cal.TIMESTAMP_INFINITY, cal.TIMESTAMP_MINUS_INFINITY),
)
_TIMESTAMP: Final = Codec(
    datetimes.parse_timestamp,
    datetimes.format_timestamp,
    _TIMESTAMP_READER,
    integers.binary_writer(_INT8, 64, "timestamp without time zone"),
)
_TIMESTAMPTZ: Final = Codec(
    datetimes.parse_timestamptz,
    datetimes.format_timestamptz,
    _TIMESTAMP_READER,
    integers.binary_writer(_INT8, 64, "timestamp with time zone"),
)
_TSVECTOR: Final = Codec(
    tsvector.parse_tsvector, strings.format_string, tsvector.parse_tsvector_binary, tsvector.format_tsvector_binary
)
_TSQUERY: Final = Codec(
    tsquery.parse_tsquery, strings.format_string, tsquery.parse_tsquery_binary, tsquery.format_tsquery_binary
)
_INTERVAL: Final = Codec(
    interval.parse_interval, strings.format_string, interval.parse_interval_binary, interval.format_interval_binary
)
_CHAR: Final = Codec(
    system_types.parse_char, strings.format_string, system_types.parse_char_binary, system_types.format_char_binary
)
_TID: Final = Codec(
    system_types.parse_tid, system_types.format_tid, system_types.parse_tid_binary, system_types.format_tid_binary
)
_REG: Final = Codec(regs.parse_reg, regs.format_reg, regs.parse_reg_binary, regs.format_reg_binary)
_XML: Final = Codec(_TEXT.parse_text, system_types.format_xml, _TEXT.parse_binary, system_types.format_xml)
_BIT: Final = Codec(
    strings.bits_parser("bit"), strings.format_string, strings.parse_bits_binary, strings.format_bits_binary
)
_VARBIT: Final = Codec(
    strings.bits_parser("varbit"), strings.format_string, strings.parse_bits_binary, strings.format_bits_binary
)


def _geometric(parse: Callable[[str], str], read: Callable[[bytes], str], write: Callable[[Any], bytes]) -> Codec:
    return Codec(parse, strings.format_string, read, write)


def _doubles(parse: Callable[[str], str], count: int, write: Callable[[list[float | str]], str]) -> Codec:
    return _geometric(parse, geometric.fixed_reader(count, write), geometric.write_doubles)


_POINT: Final = _doubles(geometric.parse_point, 2, geometric.write_point)
_SEGMENT: Final = _doubles(geometric.parse_segment, 4, geometric.write_segment)
_BOX: Final = _doubles(geometric.parse_box, 4, geometric.write_box)
_PATH: Final = _geometric(geometric.parse_path, geometric.read_path, geometric.write_path)
_POLYGON: Final = _geometric(geometric.parse_polygon, geometric.read_polygon, geometric.write_counted)
_LINE: Final = _geometric(geometric.parse_line, geometric.read_line, geometric.write_doubles)
_CIRCLE: Final = _geometric(geometric.parse_circle, geometric.read_circle, geometric.write_doubles)


def _path(name: str, parse: Callable[[str], str]) -> Codec:
    return Codec(parse, strings.format_string, ltree.binary_reader(name, parse), ltree.format_binary)


def _vector(name: str, element_oid: int, number: Struct) -> Codec:
    form = VectorForm(name, element_oid, number)
    return Codec(strings.parse_string, strings.format_string, form.parse_binary, form.format_binary)


_HSTORE: Final = Codec(parse_hstore, strings.format_string, parse_hstore_binary, format_hstore_binary)
_XID8: Final = Codec(
    integers.parse_xid8,
    lambda value: str(value & 0xFFFFFFFFFFFFFFFF).encode() if isinstance(value, int) else strings.format_string(value),
    integers.binary_reader(_INT8),
    integers.binary_writer(_INT8, 64, "xid8"),
)

# oid, name, SQL name, typlen, array oid, category, declared type, codec. A declared type is the internal name, with
# _text or _blob where SQLite's affinity rules would otherwise turn '007' into 7; and since INT anywhere in it wins over
# TEXT (sqlite.org/datatype3.html, 3.1), interval is "timespan", point "coordinates" and int4[] "i4_array".
_BASE: Final[tuple[tuple[int, str, str, int, int, str, str, Codec], ...]] = (
    (16, "bool", "boolean", 1, 1000, "B", "bool", _BOOL),
    (17, "bytea", "bytea", -1, 1001, "U", "bytea_blob", _BYTEA),
    (18, "char", '"char"', 1, 1002, "Z", "char_text", _CHAR),
    (19, "name", "name", 64, 1003, "S", "name_text", _opaque(strings.parse_name)),
    (20, "int8", "bigint", 8, 1016, "N", "int8", _integer("bigint", 64, "!q")),
    (21, "int2", "smallint", 2, 1005, "N", "int2", _integer("smallint", 16, "!h")),
    (22, "int2vector", "int2vector", -1, 1006, "A", "i2vector_text", _vector("int2vector", 21, Struct("!h"))),
    (23, "int4", "integer", 4, 1007, "N", "int4", _integer("integer", 32, "!i")),
    (24, "regproc", "regproc", 4, 1008, "N", "regproc", _REG),
    (25, "text", "text", -1, 1009, "S", "text", _TEXT),
    (26, "oid", "oid", 4, 1028, "N", "oid", _OID),
    (27, "tid", "tid", 6, 1010, "U", "tid", _TID),
    (28, "xid", "xid", 4, 1011, "U", "xid", _unsigned("xid", integers.parse_oid)),
    (29, "cid", "cid", 4, 1012, "U", "cid", _unsigned("cid", integers.parse_oid)),
    (30, "oidvector", "oidvector", -1, 1013, "A", "oidvector_text", _vector("oidvector", 26, Struct("!I"))),
    (114, "json", "json", -1, 199, "U", "json_text", _JSON),
    (142, "xml", "xml", -1, 143, "U", "xml_text", _XML),
    (194, "pg_node_tree", "pg_node_tree", -1, 0, "Z", "pg_node_tree_text", _TEXT),
    (600, "point", "point", 16, 1017, "G", "coordinates_text", _POINT),
    (601, "lseg", "lseg", 32, 1018, "G", "lseg_text", _SEGMENT),
    (602, "path", "path", -1, 1019, "G", "path_text", _PATH),
    (603, "box", "box", 32, 1020, "G", "box_text", _BOX),
    (604, "polygon", "polygon", -1, 1027, "G", "polygon_text", _POLYGON),
    (628, "line", "line", 24, 629, "G", "line_text", _LINE),
    (650, "cidr", "cidr", -1, 651, "I", "cidr_text", _CIDR),
    (700, "float4", "real", 4, 1021, "N", "float4", _FLOAT4),
    (701, "float8", "double precision", 8, 1022, "N", "float8", _FLOAT8),
    (718, "circle", "circle", 24, 719, "G", "circle_text", _CIRCLE),
    (774, "macaddr8", "macaddr8", 8, 775, "U", "macaddr8_text", _MACADDR8),
    (790, "money", "money", 8, 791, "N", "money", _MONEY),
    (829, "macaddr", "macaddr", 6, 1040, "U", "macaddr_text", _MACADDR),
    (869, "inet", "inet", -1, 1041, "I", "inet_text", _INET),
    (1033, "aclitem", "aclitem", 12, 1034, "U", "aclitem_text", _TEXT),
    (1042, "bpchar", "character", -1, 1014, "S", "bpchar", _TEXT),
    (1043, "varchar", "character varying", -1, 1015, "S", "varchar", _TEXT),
    (1082, "date", "date", 4, 1182, "D", "date", _DATE),
    (1083, "time", "time without time zone", 8, 1183, "D", "time", _TIME),
    (1114, "timestamp", "timestamp without time zone", 8, 1115, "D", "timestamp", _TIMESTAMP),
    (1184, "timestamptz", "timestamp with time zone", 8, 1185, "D", "timestamptz", _TIMESTAMPTZ),
    (1186, "interval", "interval", 16, 1187, "T", "timespan_text", _INTERVAL),
    (1266, "timetz", "time with time zone", 12, 1270, "D", "timetz_text", _TIMETZ),
    (1560, "bit", "bit", -1, 1561, "V", "bit_text", _BIT),
    (1562, "varbit", "bit varying", -1, 1563, "V", "varbit_text", _VARBIT),
    (1700, "numeric", "numeric", -1, 1231, "N", "numeric_text", _NUMERIC),
    (1790, "refcursor", "refcursor", -1, 2201, "U", "refcursor_text", _TEXT),
    (2202, "regprocedure", "regprocedure", 4, 2207, "N", "regprocedure", _REG),
    (2203, "regoper", "regoper", 4, 2208, "N", "regoper", _REG),
    (2204, "regoperator", "regoperator", 4, 2209, "N", "regoperator", _REG),
    (2205, "regclass", "regclass", 4, 2210, "N", "regclass", _REG),
    (2206, "regtype", "regtype", 4, 2211, "N", "regtype", _REG),
    (2950, "uuid", "uuid", 16, 2951, "U", "uuid_text", _UUID),
    (3220, "pg_lsn", "pg_lsn", 8, 3221, "U", "pg_lsn_text", _LSN),
    (3614, "tsvector", "tsvector", -1, 3643, "U", "tsvector_text", _TSVECTOR),
    (3615, "tsquery", "tsquery", -1, 3645, "U", "tsquery_text", _TSQUERY),
    (3734, "regconfig", "regconfig", 4, 3735, "N", "regconfig", _REG),
    (3769, "regdictionary", "regdictionary", 4, 3770, "N", "regdictionary", _REG),
    (3802, "jsonb", "jsonb", -1, 3807, "U", "jsonb_text", _JSONB),
    (4072, "jsonpath", "jsonpath", -1, 4073, "U", "jsonpath_text", _JSONPATH),
    (4089, "regnamespace", "regnamespace", 4, 4090, "N", "regnamespace", _REG),
    (4096, "regrole", "regrole", 4, 4097, "N", "regrole", _REG),
    (4191, "regcollation", "regcollation", 4, 4192, "N", "regcollation", _REG),
    # Types of extensions, whose OIDs differ from server to server: below those of user objects.
    (15801, "citext", "citext", -1, 15802, "S", "citext", _TEXT),
    (15803, "hstore", "hstore", -1, 15804, "U", "hstore_text", _HSTORE),
    (15805, "ltree", "ltree", -1, 15806, "U", "ltree_text", _path("ltree", ltree.parse_ltree)),
    (15807, "lquery", "lquery", -1, 15808, "U", "lquery_text", _path("lquery", ltree.parse_lquery)),
    (15809, "ltxtquery", "ltxtquery", -1, 15810, "U", "ltxtquery_text", _path("ltxtquery", ltree.parse_ltxtquery)),
    (5069, "xid8", "xid8", 8, 271, "U", "xid8", _XID8),
)

_PSEUDO: Final[tuple[tuple[int, str, str, int, int, str], ...]] = (
    (705, "unknown", "unknown", -2, 0, "X"),
    (2249, "record", "record", -1, 2287, "P"),
    (2275, "cstring", "cstring", -2, 1263, "P"),
    (2276, "any", '"any"', 4, 0, "P"),
    (2277, "anyarray", "anyarray", -1, 0, "P"),
    (2278, "void", "void", 4, 0, "P"),
    (2279, "trigger", "trigger", 4, 0, "P"),
    (2281, "internal", "internal", 8, 0, "P"),
    (2283, "anyelement", "anyelement", 4, 0, "P"),
    (2776, "anynonarray", "anynonarray", 4, 0, "P"),
    (3500, "anyenum", "anyenum", 4, 0, "P"),
    (3831, "anyrange", "anyrange", -1, 0, "P"),
    (4537, "anymultirange", "anymultirange", -1, 0, "P"),
    (4538, "anycompatiblemultirange", "anycompatiblemultirange", -1, 0, "P"),
    (5077, "anycompatible", "anycompatible", 4, 0, "P"),
    (5078, "anycompatiblearray", "anycompatiblearray", -1, 0, "P"),
    (5079, "anycompatiblenonarray", "anycompatiblenonarray", 4, 0, "P"),
    (5080, "anycompatiblerange", "anycompatiblerange", -1, 0, "P"),
    (3838, "event_trigger", "event_trigger", 4, 0, "P"),
)

_PREFERRED: Final = frozenset(("bool", "text", "oid", "float8", "timestamptz", "interval", "varbit", "inet"))


def _base_types() -> list[PgType]:
    return [
        PgType(
            oid, name, sql_name, typlen, array_oid, category, decl,
            codec.parse_text, codec.format_text, codec.parse_binary, codec.format_binary,
            preferred=name in _PREFERRED,
        )
        for oid, name, sql_name, typlen, array_oid, category, decl, codec in _BASE
    ]  # fmt: skip


def _pseudo_types() -> list[PgType]:
    text = _TEXT
    return [
        PgType(
            oid, name, sql_name, typlen, array_oid, category, f"{name.replace('int', 'i')}_text",
            text.parse_text, text.format_text, text.parse_binary, text.format_binary,
            kind="p",
        )
        for oid, name, sql_name, typlen, array_oid, category in _PSEUDO
    ]  # fmt: skip


def _array_decl(decl: str) -> str:
    """The declared type of an array: int4 becomes i4, since INT anywhere in it would mean a number to SQLite."""
    stem = decl.removesuffix("_text").removesuffix("_blob")
    return f"{stem.replace('int', 'i')}_array_text"


def _array_of(element: PgType) -> PgType:
    codec = ArrayCodec(element)
    return PgType(
        element.array_oid, f"_{element.name}", f"{element.sql_name}[]", -1, 0, "P" if element.name == "record" else "A",
        _array_decl(element.decl),
        codec.parse_text, codec.format_text if element.oid == BOX or codec.names_objects else strings.format_string,
        codec.parse_binary, codec.format_binary, elem_oid=element.oid, kind="p" if element.name == "record" else "b",
    )  # fmt: skip


RANGE_CODECS: Final[dict[int, RangeCodec]] = {}
"""By the OID of the range type and by that of its multirange."""


def _codec(subtype: PgType) -> RangeCodec:
    compare = comparison(subtype.oid)
    assert compare is not None
    return RangeCodec(subtype, compare, bits=DISCRETE.get(subtype.oid, 0))


def _range_types(known: list[PgType]) -> list[PgType]:
    """Ranges and multiranges over the base types that have them."""
    by_oid = {found.oid: found for found in known}
    types = []
    for oid, name, array_oid, subtype, multi_oid, multi_name, multi_array, stem in KINDS:
        codec = RANGE_CODECS[oid] = RANGE_CODECS[multi_oid] = _codec(by_oid[subtype])
        types.append(PgType(
            oid, name, name, -1, array_oid, "R", f"{stem}_range_text", codec.parse_text, strings.format_string,
            codec.parse_binary, codec.format_binary, kind="r",
        ))  # fmt: skip
        types.append(PgType(
            multi_oid, multi_name, multi_name, -1, multi_array, "R", f"{stem}_multirange_text", codec.parse_many,
            strings.format_string, codec.parse_many_binary, codec.format_many_binary, kind="m",
        ))  # fmt: skip
    return types


def build_types() -> dict[int, PgType]:
    """Every type by oid, arrays included."""
    types = _base_types() + _pseudo_types()
    types += _range_types(types)
    types += [_array_of(element) for element in types if element.array_oid]
    return {pg_type.oid: pg_type for pg_type in types}
