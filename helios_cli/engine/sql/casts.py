"""SQLite text that converts a value from one type to another, and the coercions of parse_coerce.c."""

from __future__ import annotations

from typing import Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.range_types import is_multirange, is_range
from helios_cli.engine.datatypes.styled import RANGES as STYLED_RANGES
from helios_cli.engine.datatypes.styled import STYLED
from helios_cli.engine.datatypes.usertypes import RECORD_ARRAY, is_row, is_row_array, kind_of, needs_catalog
from helios_cli.engine.datatypes.zoned import TIME_ARRAYS, ZONED
from helios_cli.engine.datatypes.zoned_ranges import ZONED_RANGES
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import sqltext
from helios_cli.engine.sql.coercion import VECTORS, can_coerce, category, element_of, matches_polymorphic, type_name
from helios_cli.engine.sql.coercion import Context as How
from helios_cli.engine.sql.collating import collation_of
from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.geometric_casts import geometric_casts
from helios_cli.engine.sql.interval_literals import counted_interval
from helios_cli.engine.sql.oids import (
    BIT,
    BOOL,
    BPCHAR,
    BYTEA,
    CHAR,
    CIDR,
    CITEXT,
    DATE,
    FLOAT4,
    FLOAT8,
    HSTORE,
    INET,
    INT2,
    INT4,
    INT8,
    INTEGERS,
    INTERVAL,
    JSON,
    JSONB,
    MACADDR,
    MACADDR8,
    MONEY,
    NAME,
    NUMERIC,
    OID,
    POLYMORPHIC,
    RECORD,
    REG_TYPES,
    REGCLASS,
    REGCONFIG,
    REGTYPE,
    TEXT,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    TIMETZ,
    UNKNOWN,
    VARBIT,
    VARCHAR,
    XID,
    XID8,
)
from helios_cli.engine.sql.reg_casts import is_named, object_name, object_oid, reg_array_cast, reg_cast
from helios_cli.engine.sql.text_collations import is_collatable, sqlite_collation
from helios_cli.engine.sql.time_literals import as_text, session_input
from helios_cli.engine.sql.typed import TypedSql, changed

_SAME_TEXT: Final = frozenset((TEXT, VARCHAR, NAME, CITEXT))
_INT_RANGE: Final = {INT2: 16, INT4: 32, INT8: 64}
_NEEDS_SESSION: Final = frozenset((DATE, TIME, TIMESTAMP, TIMETZ, *ZONED, *TIME_ARRAYS, *ZONED_RANGES))
"""Types whose text form may read the clock or the time zone ('now', 'today', a time without zone)."""
_NEEDS_STYLE: Final = frozenset((INTERVAL, 1187, *STYLED_RANGES))
"""Those whose text another style than the usual one changes."""
_SHOWN_BY_SESSION: Final = frozenset((DATE, TIMESTAMP, TIMESTAMPTZ, INTERVAL, MONEY))
"""Types with a STABLE output function in PostgreSQL; so have arrays, enums and ranges."""
_ASSIGN_UNCHECKED: Final = frozenset((VARCHAR,))
"""Types whose modifier a CHECK of the table's own DDL enforces on assignment."""

_TEMPLATES: Final[dict[tuple[int, int], str]] = {
    (BOOL, INT4): "{0}",
    (BOOL, NAME): "CASE {0} WHEN 1 THEN 't' WHEN 0 THEN 'f' END",
    (INT4, BOOL): "({0} <> 0)",
    (DATE, TIMESTAMP): "pg_date_timestamp({0})",
    (TIMESTAMP, DATE): "pg_timestamp_date({0})",
    (TIMESTAMP, TIME): "pg_timestamp_time({0})",
    (DATE, TIMESTAMPTZ): "pg_local_timestamptz(pg_date_timestamp({0}), {zone})",
    (TIMESTAMP, TIMESTAMPTZ): "pg_local_timestamptz({0}, {zone})",
    (TIMESTAMPTZ, TIMESTAMP): "pg_timestamptz_local({0}, {zone})",
    (TIMESTAMPTZ, DATE): "pg_timestamp_date(pg_timestamptz_local({0}, {zone}))",
    (TIME, TIMETZ): "pg_time_zoned({0}, {zone}, {now})",
    (TIMETZ, TIME): "pg_timetz_time({0})",
    (TIMESTAMPTZ, TIMETZ): "pg_zoned_time({0}, {zone})",
    (OID, INT4): "pg_oid_int({0})",
    (XID8, XID): "({0} & 4294967295)",
    (TIMESTAMPTZ, TIME): "pg_timestamp_time(pg_timestamptz_local({0}, {zone}))",
    (TIME, INTERVAL): "pg_time_interval({0})",
    (INTERVAL, TIME): "pg_interval_time({0})",
    (JSON, JSONB): "pg_in(3802, {0})",
    (JSONB, JSON): "{0}",
    (HSTORE, JSON): "fn_hstore_to_json({0})",
    (HSTORE, JSONB): "fn_hstore_to_jsonb({0})",
    (BPCHAR, TEXT): "rtrim({0}, ' ')",
    (BPCHAR, VARCHAR): "rtrim({0}, ' ')",
    (BPCHAR, NAME): "pg_in(19, rtrim({0}, ' '))",
    (CHAR, TEXT): "{0}",
    (CHAR, INT4): "pg_char_int({0})",
    (INT4, CHAR): "pg_int_char({0})",
    (NUMERIC, FLOAT8): "pg_in(701, {0})",
    (NUMERIC, FLOAT4): "pg_in(700, {0})",
    (FLOAT8, FLOAT4): "pg_float4({0})",
    (FLOAT4, FLOAT8): "{0}",
    (FLOAT8, NUMERIC): "pg_float_numeric({0}, 15)",
    (FLOAT4, NUMERIC): "pg_float_numeric({0}, 6)",
    (MONEY, NUMERIC): "pg_money_numeric({0})",
    (NUMERIC, MONEY): "pg_money_of({0})",
    **{(whole, MONEY): "pg_money_whole({0})" for whole in (INT4, INT8)},
    (CIDR, INET): "pg_in(869, {0})",
    (INET, CIDR): "pg_inet_cidr({0})",
    **{(INET, target): "pg_inet_text({0})" for target in (TEXT, VARCHAR, BPCHAR)},
    **geometric_casts(),
    (MACADDR, MACADDR8): "pg_in(774, {0})",
    (MACADDR8, MACADDR): "pg_macaddr_of({0})",
    **{(BIT, target): f"pg_integer_of_bits({{0}}, {size})" for target, size in ((INT4, 32), (INT8, 64))},
    **dict.fromkeys(((BIT, VARBIT), (VARBIT, BIT)), "{0}"),
}


def constant_text(value: TypedSql, ctx: Context) -> str | None:
    """The text of a bare untyped string constant, which becomes part of the plan; None for anything else."""
    if value.type_oid != UNKNOWN:
        return None
    if value.literal >= 0:
        ctx.bind_constant(value.literal)
        return str(ctx.lifted[value.literal].value)
    return value.value if isinstance(value.value, str) else None


def coerce(value: TypedSql, target: int, typmod: int, how: How, ctx: Context) -> TypedSql:
    """Convert a value to a type; the caller has checked that it may be.

    A bare literal is read by the type's own input routine, a bare parameter takes the type.
    """
    source = value.type_oid
    if value.param and source == UNKNOWN:
        return _coerce_parameter(value, target, typmod, how, ctx)
    made = ctx.catalog.casts().get((source, target))
    if made is not None:
        # The conversions of users need this module.
        from helios_cli.engine.sql.user_casts import by_made_cast

        return fit(by_made_cast(value, made, ctx), target, typmod, how)
    if source != target and (needs_catalog(target) or target in (RECORD, RECORD_ARRAY)):
        # The conversions of users' types need this module.
        from helios_cli.engine.sql.user_casts import to_user_type

        return to_user_type(value, target, how, ctx)
    if source == UNKNOWN or value.literal >= 0 or value.value is not None:
        done = _coerce_literal(value, target, typmod, how, ctx)
        if done is not None:
            return done
    if source == target:
        return fit(value, target, typmod, how)
    sql = cast_sql(value, target, ctx)
    result = TypedSql(
        sql, target, not_null=value.not_null, simple=value.simple and sql == value.sql, location=value.location,
        collation=value.collation, explicit=value.explicit,
    )  # fmt: skip
    return fit(result, target, typmod, how)


def _coerce_parameter(value: TypedSql, target: int, typmod: int, how: How, ctx: Context) -> TypedSql:
    """Give ``$n`` its type, or convert it when an earlier use has already given it another."""
    known = ctx.parameter_type(value.param)
    if known == UNKNOWN:
        ctx.set_parameter_type(value.param, target)
        known = target
    return coerce(typed_parameter(value.param, known, value.location, ctx), target, typmod, how, ctx)


def typed_parameter(number: int, type_oid: int, at: int, ctx: Context) -> TypedSql:
    """``$number`` of a known type. Names of objects arrive as text and become OIDs; users' types are checked."""
    sql = f"?{number}"
    if needs_catalog(type_oid):
        from helios_cli.engine.sql.user_casts import read_as

        return read_as(sql, type_oid, ctx, at)
    if type_oid == REGCONFIG:
        return TypedSql(f"pg_regconfig({sql})", type_oid, location=at)
    if is_named(type_oid):
        return TypedSql(object_oid(type_oid, sql, ctx), type_oid, location=at)
    return TypedSql(sql, type_oid, simple=True, location=at)


def _coerce_literal(value: TypedSql, target: int, typmod: int, how: How, ctx: Context) -> TypedSql | None:
    """Read a literal as another type when it is bound (or now, if it was not lifted); None: convert at run time."""
    source = value.type_oid
    if source == UNKNOWN:
        if value.sql == "NULL":
            return TypedSql("NULL", target, location=value.location)
        if target == INTERVAL and typmod >= 0:
            value = counted_interval(value, constant_text(value, ctx), typmod)
        needs = target in _NEEDS_SESSION or (target in _NEEDS_STYLE and ctx.style is not None)
        # What is stored keeps the value that the literal has now, as in PostgreSQL.
        if needs and ctx.session_allowed and not ctx.session_form:
            return fit(session_input(value, target, ctx), target, typmod, how)
        if is_named(target):
            known = _object_oid(value, target, ctx)
            text = changed(value, sql=as_text(value, ctx), type_oid=TEXT)
            sql = str(known) if known is not None else cast_sql(text, target, ctx)
            return TypedSql(sql, target, simple=known is not None, location=value.location)
    elif not _widens(source, target):
        return None
    if value.literal >= 0:
        negative = value.sql.endswith(":-\x03")
        if typmod >= 0 and how == How.ASSIGNMENT and not negative:
            fitted = ctx.literal_sql(value.literal, target, typmod=typmod)
            return TypedSql(fitted, target, typmod, not_null=True, simple=True, location=value.location)
        sql = ctx.literal_sql(value.literal, target, negative)
    else:
        if how == How.ASSIGNMENT and target in _ASSIGN_UNCHECKED and isinstance(value.value, str):
            value = changed(value, value=_without_excess_spaces(value.value, target, typmod))
        sql = _read_constant(value, target, ctx)
    result = TypedSql(sql, target, not_null=True, simple=True, location=value.location)
    result.collation, result.explicit = value.collation, value.explicit
    if source != UNKNOWN:
        result.literal, result.value = value.literal, value.value
    return fit(result, target, typmod, how)


def _without_excess_spaces(text: str, target: int, typmod: int) -> str:
    """A string cut to its column's length where only spaces go; else as it is, for the column's CHECK to refuse."""
    try:
        return str(registry.apply_typmod(target, typmod, text))
    except SqlError:
        return text


def _object_oid(value: TypedSql, target: int, ctx: Context) -> int | None:
    """The OID a literal of type regclass or regtype names, while planning; None: it is looked up at run time."""
    if target not in (REGCLASS, REGTYPE):
        return None
    text = constant_text(value, ctx) or ""
    if text.isdigit():
        return int(text)
    if target == REGTYPE:
        try:
            return registry.parse_type_name(text)[0]
        except SqlError:
            # A user's type, or none.
            return None
    parts = sqltext.split_name(text)
    if not 1 <= len(parts) <= 2:
        return None
    found = ctx.catalog.relation(parts[0] if len(parts) == 2 else None, parts[-1])
    return found.oid if found is not None else None


def _read_constant(value: TypedSql, target: int, ctx: Context) -> str:
    """A constant that was not lifted, converted now."""
    text = str(value.value)
    if target in (TEXT, UNKNOWN):
        return sqltext.constant(text)
    try:
        return sqltext.constant(registry.by_oid(target).parse_text(text))
    except SqlError as error:
        error.position = error.position or ctx.position(value.location)
        raise


def _widens(source: int, target: int) -> bool:
    """Whether a numeric constant's own digits can be read as the target without rounding rules."""
    if source in (INT4, INT8):
        return target in (INT8, NUMERIC, FLOAT8, FLOAT4) or source == target
    return source == NUMERIC and target in (FLOAT8, FLOAT4, NUMERIC)


def fit(value: TypedSql, target: int, typmod: int, how: How) -> TypedSql:
    """Apply a type modifier: cut, pad, round, or raise 22001/22003."""
    if typmod < 0 or (value.type_oid == target and value.typmod == typmod) or value.sql == "NULL":
        return value
    if how == How.ASSIGNMENT and target in _ASSIGN_UNCHECKED:
        return value
    explicit = 1 if how == How.EXPLICIT else 0
    sql = f"pg_typmod({target}, {typmod}, {value.sql}, {explicit})"
    return TypedSql(
        sql, target, typmod, not_null=value.not_null, location=value.location, collation=value.collation,
        explicit=value.explicit,
    )  # fmt: skip


def cast_sql(value: TypedSql, target: int, ctx: Context) -> str:
    """SQLite text for a cast between two known, different types.

    Raises:
        FeatureNotSupported: PostgreSQL has the cast and there is no translation.
    """
    source, sql = value.type_oid, value.sql
    text = _cast_text(value, target, ctx)
    return neutral(text, source) if text == sql and not collation_of(target) else text


def _cast_text(value: TypedSql, target: int, ctx: Context) -> str:
    source, sql = value.type_oid, value.sql
    template = _TEMPLATES.get((source, target))
    if template is not None:
        zone = ctx.session_value("timezone") if "{zone}" in template else ""
        now = ctx.session_value("now") if "{now}" in template else ""
        return template.format(sql, zone=zone, now=now)
    if source in REG_TYPES or target in REG_TYPES:
        return reg_cast(source, target, sql, ctx)
    if target in INTEGERS or target == OID:
        return _to_integer(source, target, sql)
    if source in INTEGERS or source == OID:
        return _from_integer(source, target, sql)
    if source in _SAME_TEXT and target in (TEXT, VARCHAR, BPCHAR, CITEXT):
        return sql
    if source in VECTORS and element_of(target):
        return _vector_cast(VECTORS[source], element_of(target), sql, ctx)
    if is_range(source) and is_multirange(target):
        return f"pg_multirange({target}, {sql})"
    if element_of(source) and element_of(target):
        return reg_array_cast(source, target, sql, ctx) or _array_cast(element_of(source), element_of(target), sql, ctx)
    if category(target) == "S":
        ctx.asks_session |= source in _SHOWN_BY_SESSION or bool(element_of(source)) or category(source) in ("E", "R")
        if is_row(source) or is_row_array(source):
            from helios_cli.engine.sql.row_values import row_text

            text = row_text(value, ctx)
        else:
            text = _to_text(source, sql, ctx)
        return text if target in (TEXT, VARCHAR, BPCHAR, CITEXT) else f"pg_in({target}, {text})"
    if category(source) == "S":
        text = f"rtrim({sql}, ' ')" if source == BPCHAR else sql
        return _from_text(target, text, ctx)
    if source == JSONB:
        return f"pg_jsonb_scalar({target}, {sql})"
    raise ctx.unsupported(f"cast from {type_name(source)} to {type_name(target)}", value.location)


def _vector_cast(source: int, target: int, sql: str, ctx: Context) -> str:
    """An int2vector or oidvector as an array, whose first subscript is 0."""
    bounds = f"iif({sql} = '', '', '[0:' || (length({sql}) - length(replace({sql}, ' ', ''))) || ']=')"
    array = f"({bounds} || '{{' || replace({sql}, ' ', ',') || '}}')"
    return array if source == target else _array_cast(source, target, array, ctx)


def _array_cast(source: int, target: int, sql: str, ctx: Context) -> str:
    """An array with another element type. Elements that meet the zone or the clock are read in the session's."""
    template = _TEMPLATES.get((source, target), "")
    styled = ctx.style is not None and (source in STYLED or target == INTERVAL)
    if styled or "{zone}" in template or source in ZONED or (target in _NEEDS_SESSION and category(source) == "S"):
        zone, now = ctx.session_value("timezone"), ctx.session_value("now")
        return f"pg_array_time_cast({source}, {target}, {sql}, {zone}, {now})"
    return f"pg_array_cast({source}, {target}, {sql})"


def _to_integer(source: int, target: int, sql: str) -> str:
    if source in INTEGERS or source == OID:
        if target == OID:
            return f"pg_oid({sql})" if source == INT8 else f"({sql} & 4294967295)"
        if source in INTEGERS and _INT_RANGE[target] >= _INT_RANGE[source]:
            return sql
        return f"pg_int{_INT_RANGE[target]}({sql})"
    if source in (FLOAT4, FLOAT8):
        return f"pg_float_int({sql}, {_INT_RANGE.get(target, 32)})"
    if source == NUMERIC:
        return f"pg_numeric_int({sql}, {_INT_RANGE.get(target, 32)})"
    if source == JSONB:
        return f"pg_jsonb_scalar({target}, {sql})"
    return f"pg_in({target}, {sql})"


def _from_integer(source: int, target: int, sql: str) -> str:
    if target == FLOAT8:
        return f"CAST({sql} AS REAL)"
    if target == FLOAT4:
        return f"pg_int_float4({sql})"
    if target in (NUMERIC, TEXT, VARCHAR, BPCHAR):
        return f"CAST({sql} AS TEXT)"
    return f"pg_in({target}, CAST({sql} AS TEXT))"


def _to_text(source: int, sql: str, ctx: Context) -> str:
    """A type's output form as text."""
    if is_named(source):
        return object_name(source, sql, ctx)
    if source == BOOL:
        return f"CASE {sql} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END"
    if source in (NUMERIC, JSON, JSONB) or category(source) == "S":
        return sql
    if source in ZONED or (source in STYLED and ctx.style is not None):
        return f"pg_out_zoned({source}, {sql}, {ctx.session_value('timezone')})"
    if source in ZONED_RANGES:
        return f"pg_range_zoned({source}, {sql}, {ctx.session_value('timezone')})"
    return f"pg_out({source}, {sql})"


def _from_text(target: int, sql: str, ctx: Context) -> str:
    if is_named(target):
        return object_oid(target, sql, ctx)
    if target in _NEEDS_SESSION or (target in _NEEDS_STYLE and ctx.style is not None):
        zone, now = ctx.session_value("timezone"), ctx.session_value("now")
        return f"pg_time_in({target}, {sql}, {zone}, {now})"
    return f"pg_in({target}, {sql})"


# -- coercions with their checks ------------------------------------------------------------------


def explicit_cast(value: TypedSql, target: int, typmod: int, ctx: Context, at: int) -> TypedSql:
    """``CAST(value AS target)``.

    Raises:
        SqlError: 42846 no such cast.
    """
    if kind_of(target) == "d":
        from helios_cli.engine.sql.user_casts import to_domain

        return to_domain(value, target, How.EXPLICIT, ctx, at)
    if target in POLYMORPHIC and value.type_oid != UNKNOWN and matches_polymorphic(value.type_oid, target):
        return value  # A pseudo-type stands for the type that the value has.
    if target == UNKNOWN == value.type_oid:
        return value
    if not can_coerce(value.type_oid, target, How.EXPLICIT, ctx.catalog.casts()):
        raise ctx.error("42846", f"cannot cast type {type_name(value.type_oid)} to {type_name(target)}", at)
    if target == BIT and value.type_oid in (INT4, INT8):
        sql = f"pg_bits_of_integer({value.sql}, {max(typmod, 1)}, {_INT_RANGE[value.type_oid]})"
        return TypedSql(sql, BIT, typmod, not_null=value.not_null, location=value.location)
    return changed(coerce(value, target, typmod, How.EXPLICIT, ctx), typmod=typmod, table_oid=0, attnum=0)


def assign(value: TypedSql, column: str, target: int, typmod: int, ctx: Context) -> TypedSql:
    """Convert a value for storing in a column.

    Raises:
        SqlError: 42804 ``column "x" is of type integer but expression is of type text``.
    """
    if not can_coerce(value.type_oid, target, How.ASSIGNMENT, ctx.catalog.casts()):
        message = (
            f'column "{column}" is of type {type_name(target)} but expression is of type {type_name(value.type_oid)}'
        )
        hint = "You will need to rewrite or cast the expression."
        raise ctx.error("42804", message, value.location, hint=hint)
    return coerce(unchecked(value, target), target, typmod, How.ASSIGNMENT, ctx)


def unchecked(value: TypedSql, target: int) -> TypedSql:
    """Integer arithmetic stored in a column of its own type needs no range check: the column has one."""
    if value.raw and value.type_oid == target and target in INTEGERS:
        return changed(value, sql=value.raw, raw="")
    return value


def to_boolean(value: TypedSql, clause: str, ctx: Context) -> TypedSql:
    """A condition.

    Raises:
        SqlError: 42804 ``argument of WHERE must be type boolean, not type integer``.
    """
    if value.type_oid != BOOL and value.type_oid != UNKNOWN:
        message = f"argument of {clause} must be type boolean, not type {type_name(value.type_oid)}"
        raise ctx.error("42804", message, value.location)
    return coerce(value, BOOL, -1, How.IMPLICIT, ctx)


def to_text_if_unknown(value: TypedSql, ctx: Context) -> TypedSql:
    """An untyped literal or parameter that nothing gave a type is text."""
    if value.type_oid == UNKNOWN:
        return coerce(value, TEXT, -1, How.IMPLICIT, ctx)
    return value


def neutral(sql: str, *types: int) -> str:
    """Text that computes something from values of these types, rid of their collations.

    SQLite hands a collation written inside an expression on to whatever compares the expression's result:
    ``CASE WHEN a COLLATE pg_numeric > 1 THEN 'x' END`` would compare as a number.
    """
    return f"({sql} COLLATE BINARY)" if any(collation_of(oid) for oid in types) else sql


def collated(value: TypedSql) -> str:
    """The text of a value where its order or equality matters; see :func:`neutral` for what it is part of."""
    name = collation_of_value(value)
    return f"{value.sql} COLLATE {name}" if name else value.sql


def collation_of_value(value: TypedSql) -> str:
    """SQLite's collation under which a value compares; '' when plain comparison does. Raises SqlError 42P22."""
    if value.collation and is_collatable(value.type_oid):
        return sqlite_collation(value.collation, value.type_oid)
    return collation_of(value.type_oid)


__all__ = [
    "BYTEA", "assign", "cast_sql", "coerce", "collated", "collation_of", "collation_of_value", "constant_text",
    "explicit_cast", "fit", "neutral", "to_boolean", "to_text_if_unknown", "unchecked",
]  # fmt: skip
