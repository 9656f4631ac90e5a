"""Operators of inet, cidr, macaddr and macaddr8 beyond comparisons (PostgreSQL manual, 9.12)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from helios_cli.engine.sql.oids import BOOL, INET, INT8, MACADDR, MACADDR8
from helios_cli.engine.sql.operator_spec import Operator

_CONTAINMENT: Final = {
    "<<": "pg_inet_inside({0}, {1}, 0)",
    "<<=": "pg_inet_inside({0}, {1}, 1)",
    ">>": "pg_inet_inside({1}, {0}, 0)",
    ">>=": "pg_inet_inside({1}, {0}, 1)",
    "&&": "pg_inet_overlap({0}, {1})",
}


def network_operators() -> Iterator[Operator]:
    """All of them."""
    for name, template in _CONTAINMENT.items():
        yield Operator(name, (INET, INET), BOOL, template)
    yield Operator("+", (INET, INT8), INET, "pg_inet_add({0}, {1})")
    yield Operator("+", (INT8, INET), INET, "pg_inet_add({1}, {0})")
    yield Operator("-", (INET, INT8), INET, "pg_inet_add({0}, -{1})")
    yield Operator("-", (INET, INET), INT8, "pg_inet_difference({0}, {1})")
    yield Operator("&", (INET, INET), INET, "pg_inet_combine('AND', {0}, {1})")
    yield Operator("|", (INET, INET), INET, "pg_inet_combine('OR', {0}, {1})")
    yield Operator("~", (INET,), INET, "pg_inet_invert({0})")
    for oid in (MACADDR, MACADDR8):
        yield Operator("&", (oid, oid), oid, "pg_mac_combine('&', {0}, {1})")
        yield Operator("|", (oid, oid), oid, "pg_mac_combine('|', {0}, {1})")
        yield Operator("~", (oid,), oid, "pg_mac_combine('~', {0}, NULL)")
