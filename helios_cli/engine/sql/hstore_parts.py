"""Values of hstore by their keys: ``h['key']``, read and stored into (hstore_subs.c)."""

from __future__ import annotations

from helios_cli.engine.sql import casts
from helios_cli.engine.sql.coercion import Context as How
from helios_cli.engine.sql.coercion import can_coerce
from helios_cli.engine.sql.expressions import translate
from helios_cli.engine.sql.oids import HSTORE, TEXT
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.typed import Node, TypedSql


def member(value: TypedSql, steps: list[Node], scope: Scope) -> TypedSql:
    """``value['key']``, NULL when it is not there. Raises SqlError as :func:`_key` does."""
    return TypedSql(f"pg_hstore_get({value.sql}, {_key(steps, scope)})", TEXT, location=value.location)


def stored(current: TypedSql, way: list[Node], value: TypedSql, name: str, scope: Scope) -> TypedSql:
    """The hstore after ``[key] = value``; one of nothing else when there was none.

    Raises:
        SqlError: as :func:`_key` does; 42804 the value is no text.
    """
    text = casts.assign(value, name, TEXT, -1, scope.ctx).sql
    sql = f"pg_hstore_store({current.sql}, {_key(way, scope)}, {text})"
    return TypedSql(sql, HSTORE, location=value.location)


def _key(steps: list[Node], scope: Scope) -> str:
    """Raises SqlError 0A000 for a slice or several subscripts, 42804 for one that is no text."""
    indices = steps[0]["A_Indices"]
    if indices.get("is_slice") or len(steps) > 1:
        raise scope.ctx.error("0A000", "hstore allows only one subscript", -1)
    key = translate(indices["uidx"], scope)
    if not can_coerce(key.type_oid, TEXT, How.ASSIGNMENT):
        raise scope.ctx.error("42804", "hstore subscript must have type text", key.location)
    return casts.coerce(key, TEXT, -1, How.ASSIGNMENT, scope.ctx).sql
