"""How PostgreSQL lays values of its types out, and which functions of its read and write them (pg_type.dat).

Clients find out what a type is by the names of these functions, and call some. What can be called here are those that
read the text format of one type (:data:`READERS`), write it (:data:`WRITERS`) and give the binary (:data:`SENDERS`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from helios_cli.engine.datatypes.usertypes import kind_of

_TABLE: Final = """
16 boolin 1242 boolout 1243 boolrecv 2436 boolsend 2437 c p 1
17 byteain 1244 byteaout 31 bytearecv 2412 byteasend 2413 i x 0
18 charin 1245 charout 33 charrecv 2434 charsend 2435 c p 1
19 namein 34 nameout 35 namerecv 2422 namesend 2423 c p 0
20 int8in 460 int8out 461 int8recv 2408 int8send 2409 d p 1
21 int2in 38 int2out 39 int2recv 2404 int2send 2405 s p 1
22 int2vectorin 40 int2vectorout 41 int2vectorrecv 2410 int2vectorsend 2411 i p 0
23 int4in 42 int4out 43 int4recv 2406 int4send 2407 i p 1
24 regprocin 44 regprocout 45 regprocrecv 2444 regprocsend 2445 i p 1
25 textin 46 textout 47 textrecv 2414 textsend 2415 i x 0
26 oidin 1798 oidout 1799 oidrecv 2418 oidsend 2419 i p 1
27 tidin 48 tidout 49 tidrecv 2438 tidsend 2439 s p 0
28 xidin 50 xidout 51 xidrecv 2440 xidsend 2441 i p 1
29 cidin 52 cidout 53 cidrecv 2442 cidsend 2443 i p 1
30 oidvectorin 54 oidvectorout 55 oidvectorrecv 2420 oidvectorsend 2421 i p 0
114 json_in 321 json_out 322 json_recv 323 json_send 324 i x 0
142 xml_in 2893 xml_out 2894 xml_recv 2898 xml_send 2899 i x 0
269 table_am_handler_in 267 table_am_handler_out 268 - 0 - 0 i p 1
325 index_am_handler_in 326 index_am_handler_out 327 - 0 - 0 i p 1
600 point_in 117 point_out 118 point_recv 2428 point_send 2429 d p 0
601 lseg_in 119 lseg_out 120 lseg_recv 2480 lseg_send 2481 d p 0
602 path_in 121 path_out 122 path_recv 2482 path_send 2483 d x 0
603 box_in 123 box_out 124 box_recv 2484 box_send 2485 d p 0
604 poly_in 347 poly_out 348 poly_recv 2486 poly_send 2487 d x 0
628 line_in 1490 line_out 1491 line_recv 2488 line_send 2489 d p 0
650 cidr_in 1267 cidr_out 1427 cidr_recv 2498 cidr_send 2499 i m 0
700 float4in 200 float4out 201 float4recv 2424 float4send 2425 i p 1
701 float8in 214 float8out 215 float8recv 2426 float8send 2427 d p 1
705 unknownin 109 unknownout 110 unknownrecv 2416 unknownsend 2417 c p 0
718 circle_in 1450 circle_out 1451 circle_recv 2490 circle_send 2491 d p 0
774 macaddr8_in 4110 macaddr8_out 4111 macaddr8_recv 3446 macaddr8_send 3447 i p 0
790 cash_in 886 cash_out 887 cash_recv 2492 cash_send 2493 d p 1
829 macaddr_in 436 macaddr_out 437 macaddr_recv 2494 macaddr_send 2495 i p 0
869 inet_in 910 inet_out 911 inet_recv 2496 inet_send 2497 i m 0
1033 aclitemin 1031 aclitemout 1032 - 0 - 0 i p 0
1042 bpcharin 1044 bpcharout 1045 bpcharrecv 2430 bpcharsend 2431 i x 0
1043 varcharin 1046 varcharout 1047 varcharrecv 2432 varcharsend 2433 i x 0
1082 date_in 1084 date_out 1085 date_recv 2468 date_send 2469 i p 1
1083 time_in 1143 time_out 1144 time_recv 2470 time_send 2471 d p 1
1114 timestamp_in 1312 timestamp_out 1313 timestamp_recv 2474 timestamp_send 2475 d p 1
1184 timestamptz_in 1150 timestamptz_out 1151 timestamptz_recv 2476 timestamptz_send 2477 d p 1
1186 interval_in 1160 interval_out 1161 interval_recv 2478 interval_send 2479 d p 0
1266 timetz_in 1350 timetz_out 1351 timetz_recv 2472 timetz_send 2473 d p 0
1560 bit_in 1564 bit_out 1565 bit_recv 2456 bit_send 2457 i x 0
1562 varbit_in 1579 varbit_out 1580 varbit_recv 2458 varbit_send 2459 i x 0
1700 numeric_in 1701 numeric_out 1702 numeric_recv 2460 numeric_send 2461 i m 0
1790 textin 46 textout 47 textrecv 2414 textsend 2415 i x 0
2202 regprocedurein 2212 regprocedureout 2213 regprocedurerecv 2446 regproceduresend 2447 i p 1
2203 regoperin 2214 regoperout 2215 regoperrecv 2448 regopersend 2449 i p 1
2204 regoperatorin 2216 regoperatorout 2217 regoperatorrecv 2450 regoperatorsend 2451 i p 1
2205 regclassin 2218 regclassout 2219 regclassrecv 2452 regclasssend 2453 i p 1
2206 regtypein 2220 regtypeout 2221 regtyperecv 2454 regtypesend 2455 i p 1
2249 record_in 2290 record_out 2291 record_recv 2402 record_send 2403 d x 0
2275 cstring_in 2292 cstring_out 2293 cstring_recv 2500 cstring_send 2501 c p 0
2276 any_in 2294 any_out 2295 - 0 - 0 i p 1
2277 anyarray_in 2296 anyarray_out 2297 anyarray_recv 2502 anyarray_send 2503 d x 0
2278 void_in 2298 void_out 2299 void_recv 3120 void_send 3121 i p 1
2279 trigger_in 2300 trigger_out 2301 - 0 - 0 i p 1
2280 language_handler_in 2302 language_handler_out 2303 - 0 - 0 i p 1
2281 internal_in 2304 internal_out 2305 - 0 - 0 d p 1
2283 anyelement_in 2312 anyelement_out 2313 - 0 - 0 i p 1
2776 anynonarray_in 2777 anynonarray_out 2778 - 0 - 0 i p 1
2950 uuid_in 2952 uuid_out 2953 uuid_recv 2961 uuid_send 2962 c p 0
2970 txid_snapshot_in 2939 txid_snapshot_out 2940 txid_snapshot_recv 2941 txid_snapshot_send 2942 d x 0
3115 fdw_handler_in 3116 fdw_handler_out 3117 - 0 - 0 i p 1
3310 tsm_handler_in 3311 tsm_handler_out 3312 - 0 - 0 i p 1
3500 anyenum_in 3504 anyenum_out 3505 - 0 - 0 i p 1
3614 tsvectorin 3610 tsvectorout 3611 tsvectorrecv 3639 tsvectorsend 3638 i x 0
3615 tsqueryin 3612 tsqueryout 3613 tsqueryrecv 3641 tsquerysend 3640 i p 0
3642 gtsvectorin 3646 gtsvectorout 3647 - 0 - 0 i p 0
3734 regconfigin 3736 regconfigout 3737 regconfigrecv 3738 regconfigsend 3739 i p 1
3769 regdictionaryin 3771 regdictionaryout 3772 regdictionaryrecv 3773 regdictionarysend 3774 i p 1
3802 jsonb_in 3806 jsonb_out 3804 jsonb_recv 3805 jsonb_send 3803 i x 0
3831 anyrange_in 3832 anyrange_out 3833 - 0 - 0 d x 0
3838 event_trigger_in 3594 event_trigger_out 3595 - 0 - 0 i p 1
3904 range_in 3834 range_out 3835 range_recv 3836 range_send 3837 i x 0
3906 range_in 3834 range_out 3835 range_recv 3836 range_send 3837 i x 0
3908 range_in 3834 range_out 3835 range_recv 3836 range_send 3837 d x 0
3910 range_in 3834 range_out 3835 range_recv 3836 range_send 3837 d x 0
3912 range_in 3834 range_out 3835 range_recv 3836 range_send 3837 i x 0
3926 range_in 3834 range_out 3835 range_recv 3836 range_send 3837 d x 0
4072 jsonpath_in 4001 jsonpath_out 4003 jsonpath_recv 4002 jsonpath_send 4004 i x 0
4089 regnamespacein 4084 regnamespaceout 4085 regnamespacerecv 4087 regnamespacesend 4088 i p 1
4096 regrolein 4098 regroleout 4092 regrolerecv 4094 regrolesend 4095 i p 1
4191 regcollationin 4193 regcollationout 4194 regcollationrecv 4196 regcollationsend 4197 i p 1
4451 multirange_in 4231 multirange_out 4232 multirange_recv 4233 multirange_send 4234 i x 0
4532 multirange_in 4231 multirange_out 4232 multirange_recv 4233 multirange_send 4234 i x 0
4533 multirange_in 4231 multirange_out 4232 multirange_recv 4233 multirange_send 4234 d x 0
4534 multirange_in 4231 multirange_out 4232 multirange_recv 4233 multirange_send 4234 d x 0
4535 multirange_in 4231 multirange_out 4232 multirange_recv 4233 multirange_send 4234 i x 0
4536 multirange_in 4231 multirange_out 4232 multirange_recv 4233 multirange_send 4234 d x 0
4537 anymultirange_in 4229 anymultirange_out 4230 - 0 - 0 d x 0
4538 anycompatiblemultirange_in 4226 anycompatiblemultirange_out 4227 - 0 - 0 d x 0
5069 xid8in 5070 xid8out 5081 xid8recv 5082 xid8send 5083 d p 1
5078 anycompatiblearray_in 5088 anycompatiblearray_out 5089 anycompatiblearray_recv 5090 \
anycompatiblearray_send 5091 d x 0
5077 anycompatible_in 5086 anycompatible_out 5087 - 0 - 0 i p 1
5079 anycompatiblenonarray_in 5092 anycompatiblenonarray_out 5093 - 0 - 0 i p 1
5080 anycompatiblerange_in 5094 anycompatiblerange_out 5095 - 0 - 0 d x 0
194 pg_node_tree_in 195 pg_node_tree_out 196 pg_node_tree_recv 197 pg_node_tree_send 198 i x 0
3220 pg_lsn_in 3229 pg_lsn_out 3230 pg_lsn_recv 3238 pg_lsn_send 3239 d p 1
5038 pg_snapshot_in 5055 pg_snapshot_out 5056 pg_snapshot_recv 5057 pg_snapshot_send 5058 d x 0
"""
"""OID of the type; name and OID of its input, output, receive and send function; alignment, storage, by value."""

_ARRAY: Final = "0 array_in 750 array_out 751 array_recv 2400 array_send 2401 i x 0"
_KINDS: Final = {
    "e": "0 enum_in 3506 enum_out 3507 enum_recv 3532 enum_send 3533 i p 1",
    "c": "0 record_in 2290 record_out 2291 record_recv 2402 record_send 2403 d x 0",
    "r": "0 range_in 3834 range_out 3835 range_recv 3836 range_send 3837 i x 0",
    "m": "0 multirange_in 4231 multirange_out 4232 multirange_recv 4233 multirange_send 4234 i x 0",
}


@dataclass(frozen=True, slots=True)
class Layout:
    """What pg_type says of one type."""

    functions: tuple[tuple[str, int], ...]
    """Name and OID of the input, output, receive and send function; ('-', 0) for none."""
    align: str
    storage: str
    by_value: int


def _layout(words: list[str]) -> Layout:
    pairs = tuple((words[at], int(words[at + 1])) for at in range(1, 9, 2))
    return Layout(pairs, words[9], words[10], int(words[11]))


_BY_OID: Final = {int(line.split()[0]): _layout(line.split()) for line in _TABLE.strip().splitlines()}
_BY_KIND: Final = {kind: _layout(text.split()) for kind, text in _KINDS.items()}
_ANY_ARRAY: Final = _layout(_ARRAY.split())
_OF_ARRAY: Final = {align: replace(_ANY_ARRAY, align="d" if align == "d" else "i") for align in "csid"}
"""The layouts of arrays by the alignment of their elements."""
DOMAIN: Final = (("domain_in", 2597), ("domain_recv", 2598))
"""What reads the values of domains; they are written by the functions of the types that these are over."""


def layout_of(oid: int, kind: str, *, element: int = 0) -> Layout:
    """The layout of a type; ``kind`` is pg_type.typtype, ``element`` what an array is over and 0 of other types."""
    if element:
        return _OF_ARRAY[layout_of(element, kind_of(element) or "b").align]
    return _BY_OID.get(oid) or _BY_KIND.get(kind) or _BY_OID[25]


CSTRING: Final = 2275
_INTERNAL: Final = 2281
_ANY_OF_KIND: Final = {"e": 3500, "c": 2249, "r": 3831, "m": 4537}
OF_ANY_KIND: Final = frozenset((2249, 2277, 3500, 3831, 4537, 5078))
"""Pseudo-types for every array, enum, range, multirange and row: a function of one takes the value as it is."""
_UNREADABLE: Final = OF_ANY_KIND | {269, 325, 705, 2276, 2278, 2279, 2280, 2281, 3115, 3310, 3838}
"""Pseudo-types: to read a text as one of them fails, or asks for the OID of a type of users."""
_MODIFIED: Final = frozenset(
    [
        "array",
        "bit",
        "bpchar",
        "domain",
        "interval",
        "multirange",
        "anymultirange",
        "anycompatiblemultirange",
        "numeric",
        "range",
        "anyrange",
        "anycompatiblerange",
        "record",
        "time",
        "timestamp",
        "timestamptz",
        "timetz",
        "varbit",
        "varchar",
    ]
)
"""Types whose input and receive functions take the OID of an element type and a modifier too."""

Signature = tuple[tuple[int, ...], int]
"""Types of the arguments and of the result."""


def _signature(place: int, name: str, type_oid: int) -> Signature:
    if place in (1, 3):
        return (type_oid,), CSTRING if place == 1 else 17
    source = (CSTRING, _INTERNAL)[place // 2]
    stem = name.removesuffix("recv" if place else "in").rstrip("_")
    return (source, 26, 23) if stem in _MODIFIED else (source, 26) if stem == "enum" else (source,), type_oid


def _signatures() -> dict[str, tuple[int, Signature]]:
    owners = [(_ANY_OF_KIND[kind], layout.functions) for kind, layout in _BY_KIND.items()]
    owners += [(2277, _ANY_ARRAY.functions), (2276, (DOMAIN[0], ("-", 0), DOMAIN[1], ("-", 0)))]
    owners += [(oid, layout.functions) for oid, layout in sorted(_BY_OID.items())]
    found: dict[str, tuple[int, Signature]] = {}
    for type_oid, functions in owners:
        for place, (name, oid) in enumerate(functions):
            if oid:
                found.setdefault(name, (oid, _signature(place, name, type_oid)))
    return found


IO_FUNCTIONS: Final = _signatures()
"""OIDs and signatures of all of them by name; a function of several types is that of the one with the lowest OID."""
READERS: Final = {
    name: signature
    for name, (_, signature) in IO_FUNCTIONS.items()
    if signature[0][0] == CSTRING and signature[1] not in (*_UNREADABLE, 17) and not name.endswith("send")
}
"""Those that read the text format of a type."""
WRITERS: Final = {
    name: signature[0][0] for name, (_, signature) in IO_FUNCTIONS.items() if signature[1] == CSTRING and "out" in name
}
"""The types that functions show as text."""
SENDERS: Final = {
    name: signature[0][0]
    for name, (_, signature) in IO_FUNCTIONS.items()
    if name.endswith("send") and signature[0][0] not in OF_ANY_KIND - {2249}
}
"""The types whose binary format functions give."""
