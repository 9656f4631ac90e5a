"""Arguments that a function wants of a certain form: format strings, field names, patterns, small counts."""

from __future__ import annotations

# ruff: noqa: E501
from typing import Final

FIELDS: Final = (
    "year", "month", "day", "hour", "minute", "second", "dow", "doy", "epoch", "week", "quarter", "isoyear", "isodow",
    "century", "decade", "millennium", "milliseconds", "microseconds", "julian", "timezone", "timezone_hour",
    "timezone_minute", "nope",
)  # fmt: skip
UNITS: Final = (
    "microseconds", "milliseconds", "second", "minute", "hour", "day", "week", "month", "quarter", "year", "decade",
    "century", "millennium", "DAY", "months", "nope",
)  # fmt: skip
ZONES: Final = (
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Asia/Kolkata",
    "EST5EDT",
    "+03",
    "-05:30",
    "Nope/Zone",
    "PST",
)
TIME_FORMATS: Final = (
    "YYYY-MM-DD", "YYYY-MM-DD HH24:MI:SS", "DD Mon YYYY", "Dy, DD Mon YY HH12:MI:SS AM", "FMDay, FMDD FMMonth YYYY",
    "YYYYMMDD", "IYYY-IW-ID", "HH24:MI:SS.MS", "HH24:MI:SS.US", "Q CC J", "DDD D W WW", "\"year\" YYYY", "Month|MON|mon",
    "DAY Day day DY", "YYYY BC", "a.m. P.M.", "SSSS", "MM/DD/YYYY", "DDth", "FF1 FF3 FF6", "YYYTHY", "", "RM rm", "TZH:TZM",
    "YY Y YYY", "HH:MI", "FMHH24hFMMI", "OF TZ", "TMMonth", "IDDD I", "FXYYYY",
)  # fmt: skip
NUMBER_FORMATS: Final = (
    "999", "9999.99", "000000", "FM999.00", "9,999,999", "S999", "999S", "MI999", "999PR", "$999", "0.9", "FM0.999",
    "9.99EEEE", "RN", "FMRN", "999th", "L999", "99V99", "9G999D99", "SG99", "\"n\"999", "", "FM9999999999", "B99",
    "99999999.9999", "PL999",
)  # fmt: skip
PATTERNS: Final = (
    "a", "b+", "^a", "o{2}", "[a-c]+", "(o)(b)", ".*", "\\d+", "\\w", "(?i)ABC", "a|b", "[[:alpha:]]+", "x*", "$", "(", "\\s",
    "[^a]", "(a)(b)?", "\\mfoo", "o.*?b", "(?:o)b",
)  # fmt: skip
LIKES: Final = ("%a%", "a%", "%b", "_", "a_c", "%", "", "A%", "%\\%%", "h_llo", "%o_b%", "abc", "a\\", "___")
SIMILARS: Final = ("%a%", "(a|b)%", "a", "[a-c]+", "_*", "%(foo|bar)", "abc?", "[^x]{3}", "a\\%", "a{2,3}")
FLAGS: Final = ("g", "i", "gi", "", "n", "x", "z", "s")
PATHS: Final = ("{a}", "{a,b}", "{0}", "{a,b,0}", "{-1}", "{}", "{nope}", "{a,b,1}")
KEYS: Final = ("a", "b", "nope", "0", "")
SMALL: Final = ("0", "1", "2", "3", "-1", "5", "10")
FORMATS: Final = ("%s", "%s %s", "%I", "%L", "%1$s", "%%", "%10s|", "%-10s|", "%2$s", "a%", "%s-%I-%L", "%*s", "%z")

SPECIAL: Final[dict[tuple[str, int], tuple[str, ...]]] = {
    ("date_trunc", 0): UNITS,
    ("date_trunc", 2): ZONES,
    ("date_part", 0): FIELDS,
    ("extract", 0): FIELDS,
    ("timezone", 0): ZONES,
    ("make_timestamptz", 6): ZONES,
    ("date_bin", 0): ("1 day", "15 minutes", "2 hours", "1 mon", "0", "-1 hour"),
    ("encode", 1): ("hex", "base64", "escape", "nope"),
    ("decode", 1): ("hex", "base64", "escape", "HEX"),
    ("decode", 0): ("616263", "YWJj", "abc\\000", "zz", ""),
    ("convert_from", 1): ("UTF8", "LATIN1", "nope"),
    ("convert_to", 1): ("UTF8", "LATIN1", "SQL_ASCII"),
    ("to_timestamp", 1): TIME_FORMATS,
    ("to_date", 1): TIME_FORMATS,
    ("to_timestamp", 0): ("2020-01-02", "05 Dec 2000", "2020-01-02 03:04:05", "20200131", "Tue, 05 Dec 00 01:02:03 PM", "x"),
    ("to_date", 0): ("2020-01-02", "05 Dec 2000", "20200131", "2020-13-01", "2005-52-1", "12/31/1999", "x"),
    ("to_number", 1): NUMBER_FORMATS,
    ("to_number", 0): ("12", "12,454.8-", "1,234.56", "-7", "$12", "x", "0012", " 5"),
    ("repeat", 1): SMALL,
    ("lpad", 1): SMALL,
    ("rpad", 1): SMALL,
    ("left", 1): SMALL,
    ("right", 1): SMALL,
    ("substr", 1): SMALL,
    ("substr", 2): SMALL,
    ("substring", 2): SMALL,
    ("overlay", 2): SMALL,
    ("overlay", 3): SMALL,
    ("split_part", 1): (",", " ", "o", "", "bar"),
    ("split_part", 2): SMALL,
    ("chr", 0): ("65", "97", "8364", "128578", "0", "-1", "10", "1114112", "55296"),
    ("factorial", 0): ("0", "1", "5", "20", "30", "-1"),
    ("format", 0): FORMATS,
    ("string_to_array", 1): (",", " ", "", "o"),
    ("regexp_match", 1): PATTERNS, ("regexp_match", 2): FLAGS,
    ("regexp_matches", 1): PATTERNS, ("regexp_matches", 2): FLAGS,
    ("regexp_replace", 1): PATTERNS, ("regexp_replace", 2): ("X", "\\1", "[\\&]", "", "\\\\", "\\2"),
    ("regexp_count", 1): PATTERNS, ("regexp_count", 2): ("1", "2", "0", "5"), ("regexp_count", 3): FLAGS,
    ("regexp_instr", 1): PATTERNS, ("regexp_instr", 2): ("1", "2", "0"), ("regexp_instr", 3): ("1", "2"),
    ("regexp_like", 1): PATTERNS, ("regexp_like", 2): FLAGS,
    ("regexp_substr", 1): PATTERNS, ("regexp_substr", 2): ("1", "2"), ("regexp_substr", 3): ("1", "2"),
    ("regexp_split_to_array", 1): PATTERNS, ("regexp_split_to_array", 2): FLAGS,
    ("regexp_split_to_table", 1): PATTERNS, ("regexp_split_to_table", 2): FLAGS,
    ("jsonb_set", 1): PATHS, ("jsonb_set_lax", 1): PATHS, ("jsonb_insert", 1): PATHS,
    ("jsonb_extract_path", 1): KEYS, ("jsonb_extract_path_text", 1): KEYS,
    ("json_extract_path", 1): KEYS, ("json_extract_path_text", 1): KEYS,
    ("json_object", 0): ("{a,1,b,2}", "{{a,1},{b,2}}", "{a}", "{}", "{a,NULL}"),
    ("jsonb_object", 0): ("{a,1,b,2}", "{{a,1},{b,2}}", "{a}", "{}", "{a,NULL}"),
    ("generate_series", 2): ("1", "2", "-1", "0", "3"),
    ("array_fill", 1): ("{2}", "{2,2}", "{0}", "{}", "{-1}"),
    ("array_fill", 2): ("{1}", "{0}", "{2,3}"),
    ("array_length", 1): ("1", "2", "0"), ("array_lower", 1): ("1", "2"), ("array_upper", 1): ("1", "2"),
    ("round", 1): ("0", "1", "2", "-1", "-2", "5"),
    ("trunc", 1): ("0", "1", "2", "-1", "-2", "5"),
    ("ntile", 0): ("1", "2", "3"), ("nth_value", 1): ("1", "2", "9"), ("lag", 1): ("1", "0", "2", "-1"),
    ("lead", 1): ("1", "0", "2", "-1"),
    ("width_bucket", 3): ("1", "5", "10", "0"),
    ("unistr", 0): ("abc", "\\0041", "\\+01F642", "\\", "d\\u0061t"),
    ("normalize", 1): ("NFC", "NFD"),
    ("make_date", 0): ("2020", "1", "-44", "0", "99999999"), ("make_date", 1): ("1", "2", "12", "13"), ("make_date", 2): ("1", "29", "31"),
    ("make_time", 0): ("0", "12", "23", "24", "25"), ("make_time", 1): ("0", "30", "59", "60"), ("make_time", 2): ("0", "1.5", "59.999", "60"),
    ("make_timestamp", 0): ("2020", "1999"), ("make_timestamp", 1): ("1", "2", "12"), ("make_timestamp", 2): ("1", "28", "31"),
    ("make_timestamp", 3): ("0", "12", "23"), ("make_timestamp", 4): ("0", "30", "59"), ("make_timestamp", 5): ("0", "1.5", "59.999999"),
    ("make_timestamptz", 0): ("2020", "1999"), ("make_timestamptz", 1): ("1", "2", "12"), ("make_timestamptz", 2): ("1", "28", "31"),
    ("make_timestamptz", 3): ("0", "12", "23"), ("make_timestamptz", 4): ("0", "30", "59"), ("make_timestamptz", 5): ("0", "1.5", "59.999999"),
    ("pg_get_keywords", 0): (), ("get_byte", 1): ("0", "1", "9"), ("set_byte", 1): ("0", "1"), ("set_byte", 2): ("0", "65", "256"),
    ("get_bit", 1): ("0", "1", "9"), ("set_bit", 1): ("0", "1"), ("set_bit", 2): ("0", "1", "2"),
}  # fmt: skip
"""Texts for an argument by function name and position."""

TO_CHAR: Final[dict[str, tuple[str, ...]]] = {
    kind: TIME_FORMATS if kind in ("timestamp", "timestamptz", "interval") else NUMBER_FORMATS
    for kind in ("timestamp", "timestamptz", "interval", "int4", "int8", "numeric", "float4", "float8")
}
"""Formats of ``to_char`` by the type of its first argument."""

OPERATOR_RIGHT: Final[dict[str, tuple[str, ...]]] = {
    "~": PATTERNS, "!~": PATTERNS, "~*": PATTERNS, "!~*": PATTERNS,
    "~~": LIKES, "!~~": LIKES, "~~*": LIKES, "!~~*": LIKES,
    "#>": PATHS, "#>>": PATHS, "#-": PATHS, "->": KEYS, "->>": KEYS, "?": KEYS,
    "<<": ("0", "1", "3", "31"), ">>": ("0", "1", "3", "31"), "^": ("0", "1", "2", "-1", "0.5", "3"),
}  # fmt: skip
"""Right operands by operator, where the type allows."""
