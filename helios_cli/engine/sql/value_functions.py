"""Functions without parentheses: CURRENT_DATE, CURRENT_USER and their kin."""

from __future__ import annotations

from typing import Any, Final

from helios_cli.engine.sql import casts
from helios_cli.engine.sql.coercion import Context as How
from helios_cli.engine.sql.expressions import TRANSLATORS
from helios_cli.engine.sql.oids import DATE, NAME, TIME, TIMESTAMP, TIMESTAMPTZ, TIMETZ
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.typed import TypedSql

_LOCAL: Final = "pg_timestamptz_local({now}, {zone})"
_VALUE_FUNCTIONS: Final = {
    "CURRENT_DATE": (DATE, f"pg_timestamp_date({_LOCAL})"),
    "CURRENT_TIME": (TIMETZ, "pg_zoned_time({now}, {zone})"),
    "CURRENT_TIMESTAMP": (TIMESTAMPTZ, "{now}"),
    "LOCALTIME": (TIME, f"pg_timestamp_time({_LOCAL})"),
    "LOCALTIMESTAMP": (TIMESTAMP, _LOCAL),
    "CURRENT_ROLE": (NAME, "{current_user}"),
    "CURRENT_USER": (NAME, "{current_user}"),
    "USER": (NAME, "{current_user}"),
    "SESSION_USER": (NAME, "{session_user}"),
    "CURRENT_CATALOG": (NAME, "{current_database}"),
    "CURRENT_SCHEMA": (NAME, "{current_schema}"),
}
_SESSION_NAMES: Final = {
    "now": "now",
    "zone": "timezone",
    "current_user": "current_user",
    "session_user": "session_user",
    "current_database": "current_database",
    "current_schema": "current_schema",
}


def _value_function(fields: dict[str, Any], scope: Scope) -> TypedSql:
    word = fields["op"].removeprefix("SVFOP_").removesuffix("_N")
    oid, template = _VALUE_FUNCTIONS[word]
    names = {key: scope.ctx.session_value(name) for key, name in _SESSION_NAMES.items() if f"{{{key}}}" in template}
    value = TypedSql(template.format(**names), oid, simple=template == "{now}", location=fields.get("location", 0))
    typmod = fields.get("typmod", -1)
    return casts.fit(value, oid, typmod, How.EXPLICIT)


TRANSLATORS["SQLValueFunction"] = _value_function
