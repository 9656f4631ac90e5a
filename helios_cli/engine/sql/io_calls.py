"""Calls of the functions that read and write types: ``int4in('1')``, ``varcharin('abc', 0, 6)``, ``textout(x)``.

They take and give a ``cstring``, which is stored as text.
"""

from __future__ import annotations

from dataclasses import replace

from helios_cli.engine.datatypes.io_functions import CSTRING, OF_ANY_KIND, READERS, SENDERS, WRITERS
from helios_cli.engine.sql import casts
from helios_cli.engine.sql.coercion import Context as How
from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.function_spec import Function
from helios_cli.engine.sql.oids import BOOL, BPCHAR, BYTEA, TEXT
from helios_cli.engine.sql.resolution import choose_function
from helios_cli.engine.sql.typed import TypedSql


def call(name: str, arguments: list[TypedSql], given: tuple[int, ...], ctx: Context, at: int) -> TypedSql | None:
    """The value of a call of one of them; None when there is no such function of these arguments.

    Raises:
        SqlError: 22P02 and its kin, as the cast of a text to the type.
    """
    if name in READERS:
        return _read(*READERS[name], arguments, given, ctx, at)
    if name in WRITERS and _takes((WRITERS[name],), given):
        return TypedSql(_shown(arguments[0], WRITERS[name], ctx, at), CSTRING, location=at)
    if name in SENDERS and _takes((SENDERS[name],), given):
        value = casts.coerce(arguments[0], SENDERS[name], -1, How.IMPLICIT, ctx)
        return TypedSql(f"pg_send({SENDERS[name]}, {value.sql})", BYTEA, location=at)
    return None


def _read(
    declared: tuple[int, ...], target: int, arguments: list[TypedSql], given: tuple[int, ...], ctx: Context, at: int
) -> TypedSql | None:
    if not _takes(declared, given):
        return None
    values = [
        casts.coerce(value, wanted, -1, How.IMPLICIT, ctx) for value, wanted in zip(arguments, declared, strict=True)
    ]
    text = replace(values[0], type_oid=TEXT, literal=-1, value=None, param=0)
    read = text if target == CSTRING else casts.explicit_cast(text, target, -1, ctx, at)
    sql = read.sql if len(values) == 1 else f"pg_typmod({target}, {values[2].sql}, {read.sql}, 0)"
    return TypedSql(sql, target, location=at)


def _shown(value: TypedSql, source: int, ctx: Context, at: int) -> str:
    if source not in OF_ANY_KIND:
        value = casts.coerce(value, source, -1, How.IMPLICIT, ctx)
    if source == BOOL:
        return f"CASE {value.sql} WHEN 1 THEN 't' WHEN 0 THEN 'f' END"
    return value.sql if source == BPCHAR else casts.explicit_cast(value, TEXT, -1, ctx, at).sql


def _takes(declared: tuple[int, ...], given: tuple[int, ...]) -> bool:
    return choose_function((Function("", declared, 0),), given) is not None
