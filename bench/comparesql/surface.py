"""What can be called: functions, operators and casts as the catalogs of the PostgreSQL beside us list them."""

from __future__ import annotations

# ruff: noqa: E501
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

from bench.comparesql.values import TYPES
from helios_cli.engine.sql.functions import REGISTRY

POLYMORPHIC: Final = ("anyelement", "anyarray", "anynonarray", "anycompatible", "anycompatiblearray", "anycompatiblenonarray", "anyrange", "anymultirange", "anycompatiblerange", "anycompatiblemultirange", "any")  # fmt: skip
NOT_COMPARED: Final = frozenset(
    (
        "random", "setseed", "clock_timestamp", "statement_timestamp", "transaction_timestamp", "now", "pg_sleep",
        "version", "current_setting", "set_config", "gen_random_uuid", "timeofday", "nextval", "setval", "currval",
        "lastval", "txid_current", "current_database", "current_schema", "current_schemas", "current_user",
        "session_user", "current_query", "inet_client_addr", "format_type", "obj_description", "col_description",
        "shobj_description", "getdatabaseencoding", "row_security_active", "row_to_json", "regclass", "oid", "to_regclass",
    )
)  # fmt: skip
"""Functions whose answer is about the server, the session or chance."""


@dataclass(frozen=True)
class Call:
    """One overload: types by internal name, polymorphic ones as they are declared."""

    name: str
    args: tuple[str, ...]
    result: str
    variadic: bool = False
    set_returning: bool = False


@dataclass
class Surface:
    """Everything callable, by result type. Polymorphic results are under their own names."""

    functions: dict[str, list[Call]] = field(default_factory=lambda: defaultdict(list))
    aggregates: dict[str, list[Call]] = field(default_factory=lambda: defaultdict(list))
    windows: dict[str, list[Call]] = field(default_factory=lambda: defaultdict(list))
    sets: list[Call] = field(default_factory=list)
    operators: dict[str, list[Call]] = field(default_factory=lambda: defaultdict(list))
    casts: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Source types of the casts to a type, beside those through text."""


_OTHER_OPERATORS: Final = ("@@@",)
_ABOUT_THE_SERVER: Final = ("has_", "pg_", "txid_", "inet_", "xid")
_COMPARED_TOO: Final = frozenset(("pg_size_pretty", "pg_size_bytes"))


def _compared(name: str) -> bool:
    about = name in NOT_COMPARED or name.startswith(_ABOUT_THE_SERVER)
    return name in REGISTRY and (not about or name in _COMPARED_TOO)


_PROCS: Final = """
    SELECT p.proname, p.prokind, p.proretset, p.provariadic <> 0,
           (SELECT coalesce(string_agg(t.typname, ' ' ORDER BY a.n), '')
              FROM unnest(p.proargtypes) WITH ORDINALITY a(oid, n) JOIN pg_type t ON t.oid = a.oid), r.typname
    FROM pg_proc p JOIN pg_type r ON r.oid = p.prorettype
    WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.provolatile <> 'v' AND p.prokind IN ('f', 'a', 'w')
    ORDER BY p.proname, p.oid"""
_OPERATORS: Final = """
    SELECT o.oprname, coalesce(l.typname, ''), r.typname, s.typname
    FROM pg_operator o LEFT JOIN pg_type l ON l.oid = o.oprleft JOIN pg_type r ON r.oid = o.oprright
    JOIN pg_type s ON s.oid = o.oprresult WHERE o.oprnamespace = 'pg_catalog'::regnamespace AND o.oprcode <> 0
    ORDER BY o.oprname, o.oid"""
_CASTS: Final = """
    SELECT s.typname, t.typname FROM pg_cast c JOIN pg_type s ON s.oid = c.castsource
    JOIN pg_type t ON t.oid = c.casttarget WHERE s.oid <> t.oid ORDER BY c.oid"""


def read(connection: Any) -> Surface:
    """Ask a PostgreSQL, through a psycopg connection, what there is for the types we have values of.

    Functions are those whose names the node knows; operators and casts are all.
    """
    surface = Surface()
    known = {*TYPES, *POLYMORPHIC}
    for name, kind, many, variadic, args, result in connection.execute(_PROCS).fetchall():
        call = Call(name, tuple(args.split()), result, variadic, many)
        of_today = name == "age" and len(call.args) == 1
        if of_today or not _compared(name) or not known.issuperset(call.args):
            continue
        if many:
            if result in known or result == "record":
                surface.sets.append(call)
            continue
        if result not in known or (kind == "f" and not call.args and name != "pi"):
            continue
        {"f": surface.functions, "a": surface.aggregates, "w": surface.windows}[kind][result].append(call)
    for name, left, right, result in connection.execute(_OPERATORS).fetchall():
        args = tuple(word for word in (left, right) if word)
        if name == "@@" and left == "text":
            continue
        if known.issuperset(args) and result in known and name not in _OTHER_OPERATORS:
            surface.operators[result].append(Call(name, args, result))
    for source, target in connection.execute(_CASTS).fetchall():
        if source in known and target in known:
            surface.casts[target].append(source)
    return surface
