"""Values of the types beyond the everyday ones: ranges, networks, JSON paths, hstore's kin."""

from __future__ import annotations

# ruff: noqa: E501
from typing import Final

COMMON: Final[dict[str, tuple[str, ...]]] = {
    "int4range": ("[1,5)", "(1,10]", "[3,3]", "empty", "[,5)", "[2,)"),
    "int8range": ("[1,5)", "[10,20]", "empty", "(,)"),
    "numrange": ("[1.5,2.5]", "(0,1)", "[1,10)", "empty", "(,3.14]"),
    "daterange": ("[2020-01-01,2020-02-01)", "[2020-01-15,2020-01-20]", "empty", "[2019-01-01,)"),
    "tsrange": ("[2020-01-01 00:00,2020-01-02 12:00)", "empty", "(,2020-01-01 06:00]"),
    "tstzrange": ("[2020-01-01 00:00+00,2020-01-02 12:00+02)", "[2020-01-01 10:00+00,)"),
    "int4multirange": ("{}", "{[1,3),[5,9)}", "{[1,5),[4,8]}", "{(,2),[10,)}"),
    "int8multirange": ("{}", "{[1,3),[5,9)}"),
    "nummultirange": ("{}", "{[1.5,2.5],(3,4)}", "{(0,1),[1,2)}"),
    "datemultirange": ("{}", "{[2020-01-01,2020-02-01),[2020-03-01,)}"),
    "tsmultirange": ("{[2020-01-01 00:00,2020-01-02 12:00)}", "{}"),
    "tstzmultirange": ("{[2020-01-01 00:00+00,2020-01-02 12:00+00)}", "{}"),
    "inet": ("192.168.1.5", "192.168.1.5/24", "10.0.0.0/8", "::1", "2001:db8::1/64", "0.0.0.0"),
    "cidr": ("192.168.1.0/24", "10.0.0.0/8", "2001:db8::/32", "10.1.2.3"),
    "macaddr": ("08:00:2b:01:02:03", "08002b:010203", "ff:ff:ff:ff:ff:ff"),
    "macaddr8": ("08:00:2b:01:02:03:04:05", "08:00:2b:01:02:03"),
    "jsonpath": ("$", "$.a", "$[*]", "$.a.b[1]", "strict $.nope", "$.* ? (@ > 1)", "$[*].size()", "exists($.a)", "$ == 1"),
}  # fmt: skip
EDGES: Final[dict[str, tuple[str, ...]]] = {
    "int4range": ("[-2147483648,2147483646]", "(1,1)", "[1,1]", "[5,1]", "(3,4)"),
    "int8range": ("[9223372036854775806,9223372036854775807)",),
    "numrange": ("[NaN,NaN]", "[1.50,1.5]", "[-Infinity,0)", "(1,1]"),
    "daterange": ("[-infinity,infinity]", "(2020-01-01,2020-01-02)", "[2020-02-28,2020-02-29]"),
    "tsrange": ("[-infinity,infinity)", "[2020-01-01,2020-01-01]"),
    "int4multirange": ("{[1,2),[2,3)}", "{empty}", "{(,)}"),
    "inet": ("255.255.255.255/0", "::ffff:1.2.3.4", "fe80::1/128", "::/0"),
    "cidr": ("0.0.0.0/0", "::/0", "192.168"),
    "macaddr": ("0800.2b01.0203", "08-00-2B-01-02-03"),
    "jsonpath": ("$.a ? (@.b > 1 && @.c == \"x\")", "$.**", "$.**{1 to 2}", "$[last]", "$.a.type()", "$ ? (@ like_regex \"^a\" flag \"i\")", "$.a + 1", "-$.b", "$x", "$[0 to 1].double()", "$.keyvalue()"),
}  # fmt: skip
"""Texts that more seldom appear, some of them at the ends of the notation."""
