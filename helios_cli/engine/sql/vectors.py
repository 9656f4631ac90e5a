"""name, int2vector and oidvector: types of catalogs with elements that are numbered from 0 (pg_type.typelem)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from helios_cli.engine.sql import casts
from helios_cli.engine.sql.coercion import Context
from helios_cli.engine.sql.oids import INT4
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.typed import TypedSql

_NAME: Final = 19
_ELEMENTS: Final = {_NAME: 18, 22: 21, 30: 26}
_ARRAYS: Final = {22: 1005, 30: 1028}
"""The arrays over the elements of int2vector and oidvector, which are kept with spaces between their numbers."""


def has_elements(type_oid: int) -> bool:
    """Whether a value may be subscripted by this module."""
    return type_oid in _ELEMENTS


def is_vector(type_oid: int) -> bool:
    """Whether ANY and ALL take a value as an array."""
    return type_oid in _ARRAYS


def as_array(value: TypedSql) -> TypedSql:
    """A vector as the array of the same elements."""
    return replace(value, sql=f"('{{' || replace({value.sql}, ' ', ',') || '}}')", type_oid=_ARRAYS[value.type_oid])


def constructed(fields: dict[str, Any], type_oid: int, scope: Scope) -> TypedSql:
    """``ARRAY[1, 2]::int2vector``: only the constructor is read as a vector, as in PostgreSQL; arrays are not cast."""
    from helios_cli.engine.sql.expressions import array_constructor

    made = array_constructor(fields, scope, _ELEMENTS[type_oid])
    return replace(made, sql=f"replace(trim({made.sql}, '{{}}'), ',', ' ')", type_oid=type_oid)


def element(value: TypedSql, steps: list[dict[str, Any]], scope: Scope) -> TypedSql:
    """``relname[0]``, ``indkey[0]``; NULL behind the last."""
    from helios_cli.engine.sql.expressions import translate

    fields = steps[0]["A_Indices"]
    if len(steps) > 1 or fields.get("is_slice"):
        raise scope.ctx.unsupported("a slice of a name or a vector", value.location)
    at = casts.coerce(translate(fields["uidx"], scope), INT4, -1, Context.ASSIGNMENT, scope.ctx).sql
    if value.type_oid == _NAME:
        sql = f"nullif(substr({value.sql}, ({at}) + 1, 1), '')"
    else:
        sql = f"json_extract('[' || replace({value.sql}, ' ', ',') || ']', '$[' || ({at}) || ']')"
    return TypedSql(sql, _ELEMENTS[value.type_oid], location=value.location)
