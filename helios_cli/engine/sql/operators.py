"""Operators: which exist, which one an expression means, and their SQLite text."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from helios_cli.engine.datatypes.usertypes import is_row, is_row_array
from helios_cli.engine.sql import casts, user_operators
from helios_cli.engine.sql.coercion import Context as How
from helios_cli.engine.sql.coercion import element_of, type_name
from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.document_operators import document_operators
from helios_cli.engine.sql.extension_operators import extension_of, extension_operators
from helios_cli.engine.sql.geometric_operators import geometric_operators
from helios_cli.engine.sql.ltree_operators import ltree_operators
from helios_cli.engine.sql.made_objects import UserOperator
from helios_cli.engine.sql.network_operators import network_operators
from helios_cli.engine.sql.oids import (
    ANYARRAY,
    ANYCOMPATIBLE,
    ANYCOMPATIBLEARRAY,
    ANYENUM,
    ANYMULTIRANGE,
    ANYNONARRAY,
    ANYRANGE,
    BIT,
    BOOL,
    BPCHAR,
    BYTEA,
    CHAR,
    DATE,
    FLOAT4,
    FLOAT8,
    INET,
    INT2,
    INT4,
    INT8,
    INTERVAL,
    JSONB,
    MACADDR,
    MACADDR8,
    MONEY,
    NAME,
    NUMERIC,
    OID,
    OIDVECTOR,
    PG_LSN,
    TEXT,
    TID,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    TIMETZ,
    UNKNOWN,
    UUID,
    VARBIT,
    XID,
    XID8,
)
from helios_cli.engine.sql.operator_spec import Operator
from helios_cli.engine.sql.range_operators import range_operators
from helios_cli.engine.sql.resolution import Ambiguous, bind_polymorphic, choose
from helios_cli.engine.sql.text_collations import check_searchable, joint, sqlite_collation
from helios_cli.engine.sql.text_search_operators import text_search_operators
from helios_cli.engine.sql.typed import TypedSql, changed

TEXT_ARRAY: Final = 1009


_COMPARED: Final = (
    BOOL, BYTEA, CHAR, NAME, TEXT, OID, BPCHAR, DATE, TIME, TIMETZ, TIMESTAMP, TIMESTAMPTZ,
    INTERVAL, NUMERIC, UUID, JSONB, ANYARRAY, ANYENUM, XID, PG_LSN, INET, MACADDR, MACADDR8, BIT, VARBIT, TID,
    MONEY, XID8, OIDVECTOR,
)  # fmt: skip
_ORDER: Final = {"=": "=", "<>": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_BITS: Final = {INT2: 16, INT4: 32, INT8: 64}
_INTS: Final = (INT2, INT4, INT8)
_FLOATS: Final = (FLOAT4, FLOAT8)


def _comparisons() -> Iterator[Operator]:
    for name, sign in _ORDER.items():
        template = "({0} " + sign + " {1})"
        for oid in _COMPARED:
            if oid in (XID, OIDVECTOR) and name not in ("=", "<>"):
                continue
            yield Operator(name, (oid, oid), BOOL, template, "compare")
        for group in (_INTS, _FLOATS):
            for left in group:
                for right in group:
                    yield Operator(name, (left, right), BOOL, template, "compare")
        for pair in ((NAME, TEXT), (TEXT, NAME)):
            yield Operator(name, pair, BOOL, template, "compare")
        yield from _mixed_times(name, sign)
    yield Operator("=", (XID, INT4), BOOL, "({0} = {1})", "compare")


def _mixed_times(name: str, sign: str) -> Iterator[Operator]:
    """Comparisons between date, timestamp and timestamptz are cross-type operators, not casts."""
    as_timestamp = {DATE: "pg_date_timestamp({%d})", TIMESTAMP: "{%d}"}
    as_zoned = {
        DATE: "pg_local_timestamptz(pg_date_timestamp({%d}), {zone})",
        TIMESTAMP: "pg_local_timestamptz({%d}, {zone})",
        TIMESTAMPTZ: "{%d}",
    }
    for left in as_zoned:
        for right in as_zoned:
            if left == right:
                continue
            forms = as_zoned if TIMESTAMPTZ in (left, right) else as_timestamp
            yield Operator(name, (left, right), BOOL, f"({forms[left] % 0} {sign} {forms[right] % 1})")


def _arithmetic() -> Iterator[Operator]:
    for left in _INTS:
        for right in _INTS:
            result = max(left, right, key=_BITS.__getitem__)
            for name in "+-*":
                yield Operator(name, (left, right), result, "({0} " + name + " {1})", "int")
            yield Operator("/", (left, right), result, "({0} / {1})", "divide")
    for oid in _INTS:
        yield Operator("%", (oid, oid), oid, "({0} % {1})", "divide")
        yield Operator("&", (oid, oid), oid, "({0} & {1})")
        yield Operator("|", (oid, oid), oid, "({0} | {1})")
        yield Operator("#", (oid, oid), oid, "pg_int_xor({0}, {1})")
        yield Operator("<<", (oid, INT4), oid, f"pg_int_shift({{0}}, {{1}}, {_BITS[oid]})")
        yield Operator(">>", (oid, INT4), oid, f"pg_int_shift_right({{0}}, {{1}}, {_BITS[oid]})")
        yield Operator("-", (oid,), oid, "(-{0})", "int")
        yield Operator("+", (oid,), oid, "{0}")
        yield Operator("~", (oid,), oid, "(~{0})")
        yield Operator("@", (oid,), oid, f"pg_int{_BITS[oid]}(abs({{0}}))")
    for left in _FLOATS:
        for right in _FLOATS:
            result = FLOAT4 if left == right == FLOAT4 else FLOAT8
            for name in "+-*/":
                yield Operator(name, (left, right), result, "", f"float{name}")
    for oid in _FLOATS:
        yield Operator("-", (oid,), oid, "pg_float_negate({0})")
        yield Operator("+", (oid,), oid, "{0}")
        yield Operator("@", (oid,), oid, "pg_float_abs({0})")
    yield Operator("^", (FLOAT8, FLOAT8), FLOAT8, "pg_float_power({0}, {1})")
    yield Operator("|/", (FLOAT8,), FLOAT8, "pg_float_sqrt({0})")
    yield Operator("||/", (FLOAT8,), FLOAT8, "pg_float_cbrt({0})")
    for name, word in {
        "+": "add",
        "-": "subtract",
        "*": "multiply",
        "/": "divide",
        "%": "modulo",
        "^": "power",
    }.items():
        yield Operator(name, (NUMERIC, NUMERIC), NUMERIC, f"pg_numeric_{word}({{0}}, {{1}})")
    yield Operator("-", (NUMERIC,), NUMERIC, "pg_numeric_negate({0})")
    yield Operator("-", (PG_LSN, PG_LSN), NUMERIC, "pg_lsn_difference({0}, {1})")
    yield Operator("-", (PG_LSN, NUMERIC), PG_LSN, "pg_lsn_add({0}, {1}, -1)")
    yield Operator("+", (PG_LSN, NUMERIC), PG_LSN, "pg_lsn_add({0}, {1}, 1)")
    yield Operator("+", (NUMERIC, PG_LSN), PG_LSN, "pg_lsn_add({1}, {0}, 1)")
    yield Operator("+", (NUMERIC,), NUMERIC, "{0}")
    yield Operator("@", (NUMERIC,), NUMERIC, "pg_numeric_abs({0})")


def _money() -> Iterator[Operator]:
    yield Operator("+", (MONEY, MONEY), MONEY, "pg_money_add({0}, {1}, 1)")
    yield Operator("-", (MONEY, MONEY), MONEY, "pg_money_add({0}, {1}, -1)")
    yield Operator("/", (MONEY, MONEY), FLOAT8, "pg_money_ratio({0}, {1})")
    for oid in (*_INTS, *_FLOATS):
        yield Operator("*", (MONEY, oid), MONEY, "pg_money_multiply({0}, {1})")
        yield Operator("*", (oid, MONEY), MONEY, "pg_money_multiply({1}, {0})")
        yield Operator("/", (MONEY, oid), MONEY, "pg_money_divide({0}, {1})")


def _times() -> Iterator[Operator]:
    for day in ((DATE, INT4), (INT4, DATE)):
        yield Operator("+", day, DATE, "pg_date_add({0}, {1})" if day[0] == DATE else "pg_date_add({1}, {0})")
    yield Operator("-", (DATE, INT4), DATE, "pg_date_add({0}, -{1})")
    yield Operator("-", (DATE, DATE), INT4, "pg_date_difference({0}, {1})")
    yield Operator("-", (TIME, TIME), INTERVAL, "pg_us_interval({0} - {1}, 0)")
    yield Operator("-", (TIMESTAMP, TIMESTAMP), INTERVAL, "pg_timestamp_difference({0}, {1})")
    yield Operator("-", (TIMESTAMPTZ, TIMESTAMPTZ), INTERVAL, "pg_timestamp_difference({0}, {1})")
    for sign, factor in (("+", 1), ("-", -1)):
        yield Operator(sign, (TIMESTAMP, INTERVAL), TIMESTAMP, f"pg_timestamp_add({{0}}, {{1}}, {factor})")
        yield Operator(
            sign, (TIMESTAMPTZ, INTERVAL), TIMESTAMPTZ, f"pg_timestamptz_add({{0}}, {{1}}, {factor}, {{zone}})"
        )
        yield Operator(
            sign, (DATE, INTERVAL), TIMESTAMP, f"pg_timestamp_add(pg_date_timestamp({{0}}), {{1}}, {factor})"
        )
        yield Operator(sign, (TIME, INTERVAL), TIME, f"pg_time_add({{0}}, {{1}}, {factor})")
        yield Operator(sign, (TIMETZ, INTERVAL), TIMETZ, f"pg_timetz_add({{0}}, {{1}}, {factor})")
        yield Operator(sign, (INTERVAL, INTERVAL), INTERVAL, f"pg_interval_add({{0}}, {{1}}, {factor})")
    yield Operator("+", (INTERVAL, TIMESTAMP), TIMESTAMP, "pg_timestamp_add({1}, {0}, 1)")
    yield Operator("+", (INTERVAL, TIMESTAMPTZ), TIMESTAMPTZ, "pg_timestamptz_add({1}, {0}, 1, {zone})")
    yield Operator("+", (INTERVAL, DATE), TIMESTAMP, "pg_timestamp_add(pg_date_timestamp({1}), {0}, 1)")
    yield Operator("+", (INTERVAL, TIME), TIME, "pg_time_add({1}, {0}, 1)")
    yield Operator("+", (INTERVAL, TIMETZ), TIMETZ, "pg_timetz_add({1}, {0}, 1)")
    yield Operator("+", (DATE, TIMETZ), TIMESTAMPTZ, "pg_date_timetz({0}, {1})")
    yield Operator("+", (TIMETZ, DATE), TIMESTAMPTZ, "pg_date_timetz({1}, {0})")
    yield Operator("+", (DATE, TIME), TIMESTAMP, "pg_date_time({0}, {1})")
    yield Operator("+", (TIME, DATE), TIMESTAMP, "pg_date_time({1}, {0})")
    yield Operator("*", (INTERVAL, FLOAT8), INTERVAL, "pg_interval_multiply({0}, {1})")
    yield Operator("*", (FLOAT8, INTERVAL), INTERVAL, "pg_interval_multiply({1}, {0})")
    yield Operator("/", (INTERVAL, FLOAT8), INTERVAL, "pg_interval_divide({0}, {1})")
    yield Operator("-", (INTERVAL,), INTERVAL, "pg_interval_multiply({0}, -1.0)")


def _strings() -> Iterator[Operator]:
    yield Operator("||", (TEXT, TEXT), TEXT, "({0} || {1})")
    yield Operator("||", (TEXT, ANYNONARRAY), TEXT, "({0} || {1})")
    yield Operator("||", (ANYNONARRAY, TEXT), TEXT, "({0} || {1})")
    yield Operator("||", (BYTEA, BYTEA), BYTEA, "CAST({0} || {1} AS BLOB)")
    yield Operator("||", (JSONB, JSONB), JSONB, "pg_jsonb_concat({0}, {1})")
    yield Operator("||", (ANYCOMPATIBLEARRAY, ANYCOMPATIBLEARRAY), ANYCOMPATIBLEARRAY, "pg_array_concat({0}, {1})")
    yield Operator("||", (ANYCOMPATIBLEARRAY, ANYCOMPATIBLE), ANYCOMPATIBLEARRAY, "pg_array_append({elem}, {0}, {1})")
    yield Operator("||", (ANYCOMPATIBLE, ANYCOMPATIBLEARRAY), ANYCOMPATIBLEARRAY, "pg_array_prepend({elem}, {0}, {1})")
    for left in (TEXT, NAME, BPCHAR):
        yield Operator("~~", (left, TEXT), BOOL, "({0} GLOB {1})", "like")
        yield Operator("!~~", (left, TEXT), BOOL, "({0} NOT GLOB {1})", "like")
        yield Operator("~~*", (left, TEXT), BOOL, "pg_ilike({0}, {1})")
        yield Operator("!~~*", (left, TEXT), BOOL, "(NOT pg_ilike({0}, {1}))")
        yield Operator("~", (left, TEXT), BOOL, "pg_regex({0}, {1}, '')")
        yield Operator("!~", (left, TEXT), BOOL, "(NOT pg_regex({0}, {1}, ''))")
        yield Operator("~*", (left, TEXT), BOOL, "pg_regex({0}, {1}, 'i')")
        yield Operator("!~*", (left, TEXT), BOOL, "(NOT pg_regex({0}, {1}, 'i'))")
    yield Operator("~~", (BYTEA, BYTEA), BOOL, "pg_bytes_like({0}, {1})")
    yield Operator("!~~", (BYTEA, BYTEA), BOOL, "(NOT pg_bytes_like({0}, {1}))")
    yield Operator("^@", (TEXT, TEXT), BOOL, "(substr({0}, 1, length({1})) = {1})")


def _bit_strings() -> Iterator[Operator]:
    for name, word in {"&": "and", "|": "or", "#": "xor"}.items():
        yield Operator(name, (BIT, BIT), BIT, f"pg_bits_{word}({{0}}, {{1}})")
    yield Operator("~", (BIT,), BIT, "pg_bits_not({0})")
    yield Operator("<<", (BIT, INT4), BIT, "pg_bits_shift({0}, {1})")
    yield Operator(">>", (BIT, INT4), BIT, "pg_bits_shift({0}, -{1})")
    yield Operator("||", (VARBIT, VARBIT), VARBIT, "({0} || {1})")


def _pattern_order() -> Iterator[Operator]:
    """Comparisons by code points whatever the collation, which is how all text compares here."""
    for oid in (TEXT, BPCHAR):
        for sign in ("<", "<=", ">=", ">"):
            yield Operator(f"~{sign}~", (oid, oid), BOOL, "({0} " + sign + " {1})", "compare")


def _table() -> dict[tuple[str, int], list[tuple[Operator, tuple[int, ...]]]]:
    table: dict[tuple[str, int], list[tuple[Operator, tuple[int, ...]]]] = {}
    others = (
        _bit_strings, _pattern_order, network_operators, range_operators, text_search_operators, ltree_operators,
        geometric_operators, document_operators,
    )  # fmt: skip
    for source in (_comparisons, _arithmetic, _money, _times, _strings, *others):
        for operator in source():
            table.setdefault((operator.name, len(operator.args)), []).append((operator, operator.args))
    for name, args, result, template, style in extension_operators():
        operator = Operator(name, args, result, template, style)
        table.setdefault((name, len(args)), []).append((operator, args))
    return table


OPERATORS: Final = _table()
_SYNONYMS: Final = {"!=": "<>"}


@lru_cache(maxsize=4096)
def find_operator(name: str, given: tuple[int, ...], absent: frozenset[str] = frozenset()) -> Operator | None:
    """The operator PostgreSQL's rules choose for operand types; None when none fits.

    ``absent`` are extensions whose operators do not count.

    Raises:
        Ambiguous: several fit equally well.
    """
    candidates = OPERATORS.get((_SYNONYMS.get(name, name), len(given)), [])
    if absent:
        candidates = [pair for pair in candidates if extension_of(pair[0]) not in absent]
    if len(given) == 2 and UNKNOWN in given and given[0] != given[1]:
        known = given[0] if given[1] == UNKNOWN else given[1]
        for operator, args in candidates:
            if args == (known, known):
                return operator
    return choose(candidates, given)


def _absent(given: tuple[int, ...], ctx: Context) -> frozenset[str]:
    """The extensions that may not decide what an untyped literal is: those that were not created."""
    if UNKNOWN not in given:
        return frozenset()
    return _WITH_OPERATORS.difference(ctx.catalog.extensions())


_WITH_OPERATORS: Final = frozenset(("citext", "hstore", "ltree", "pg_trgm"))


def apply_operator(name: str, operands: list[TypedSql], ctx: Context, at: int, schema: str | None = None) -> TypedSql:
    """Translate an operator over translated operands; ``schema`` is the one that OPERATOR() names.

    Raises:
        SqlError: 42883 no such operator, 42725 several.
    """
    given = tuple(_known_type(operand, ctx) for operand in operands)
    if len(given) == 2 and all(map(is_row, given)):
        # Rows are compared by what they are made of, which operands tell and types alone do not.
        from helios_cli.engine.sql import row_values

        if name in row_values.COMPARISONS:
            return row_values.compare(name, operands[0], operands[1], ctx, at)
    name = _SYNONYMS.get(name, name)
    made = user_operators.visible(name, len(given), schema, ctx) if ctx.catalog.operators(name) else []
    foreign = schema not in (None, "pg_catalog")
    try:
        if made or foreign or ctx.catalog.casts():
            operator = user_operators.find(_candidates(name, given, foreign, ctx), made, given, ctx)
        else:
            operator = find_operator(name, given, _absent(given, ctx))
    except Ambiguous:
        hint = "Could not choose a best candidate operator. You might need to add explicit type casts."
        raise ctx.error("42725", f"operator is not unique: {_shown(name, given, schema)}", at, hint=hint) from None
    if operator is None:
        raise _missing(name, given, ctx, at, schema)
    if isinstance(operator, UserOperator):
        return user_operators.apply(operator, operands, ctx, at)
    bindings = bind_polymorphic(operator.args, given) or {}
    targets = [bindings.get(target, target) for target in operator.args]
    value = _emit(operator, operands, targets, bindings, ctx, at)
    if is_row_array(value.type_oid):
        from helios_cli.engine.sql import row_values

        row_values.carry_shape(value, operands, ctx)
    if name != "||" and any(operand.sql == "NULL" or operand.sql.startswith(NEVER) for operand in operands):
        return changed(value, sql=never(value.sql), raw="", simple=False, not_null=False)
    return value


NEVER: Final = "CASE WHEN 1 THEN NULL ELSE "


def never(text: str) -> str:
    """An expression that has a NULL for a strict operand: it is NULL, and what it calls is not called."""
    return f"{NEVER}{text} END"


def _known_type(operand: TypedSql, ctx: Context) -> int:
    if operand.param and operand.type_oid == UNKNOWN:
        return ctx.parameter_type(operand.param)
    return operand.type_oid


def _candidates(
    name: str, given: tuple[int, ...], foreign: bool, ctx: Context
) -> list[tuple[Operator, tuple[int, ...]]]:
    """The operators of a name that come with the node; ``foreign``: those of extensions alone."""
    known = OPERATORS.get((name, len(given)), [])
    absent = _absent(given, ctx)
    extensions = {pair[0]: extension_of(pair[0]) for pair in known}
    return [pair for pair in known if extensions[pair[0]] not in absent and (extensions[pair[0]] or not foreign)]


def _shown(name: str, given: tuple[int, ...], schema: str | None) -> str:
    name = f"{schema}.{name}" if schema is not None else name
    names = [type_name(oid) for oid in given]
    return f"{name} {names[0]}" if len(names) == 1 else f"{names[0]} {name} {names[1]}"


def _missing(name: str, given: tuple[int, ...], ctx: Context, at: int, schema: str | None) -> Exception:
    kind, add = ("type", "an explicit type cast") if len(given) == 1 else ("types", "explicit type casts")
    hint = f"No operator matches the given name and argument {kind}. You might need to add {add}."
    if len(given) == 2 and element_of(given[0]) != 0 and name in ("@@",):
        hint = "Use the array operators @>, <@ or &&."
    return ctx.error("42883", f"operator does not exist: {_shown(name, given, schema)}", at, hint=hint)


def _emit(
    operator: Operator, operands: list[TypedSql], targets: list[int], bindings: dict[int, int], ctx: Context, at: int
) -> TypedSql:
    if operator.style in ("int", "divide"):
        return _integer(operator, operands, targets, ctx, at)
    if operator.style.startswith("float"):
        return _float(operator, operands, targets, ctx, at)
    if operator.style == "like":
        return like(operator, operands, targets, ctx, at)
    texts = _operand_texts(operator, operands, targets, ctx)
    collated = operator.style == "compare" and any(operand.collation for operand in operands)
    if operator.template.startswith(("pg_ilike", "pg_regex", "(NOT pg_ilike", "(NOT pg_regex")):
        check_searchable(operands, "ILIKE" if operator.name.endswith("~~*") else "regular expressions")
    result = bindings.get(operator.result, operator.result)
    not_null = all(operand.not_null for operand in operands)
    zone = ctx.session_value("timezone") if "{zone}" in operator.template else ""
    element = element_of(targets[0]) or (element_of(targets[1]) if len(targets) > 1 else 0)
    settings = ctx.session_value("settings") if "{settings}" in operator.template else ""
    found, many = bindings.get(ANYRANGE, 0), bindings.get(ANYMULTIRANGE, 0)
    text = operator.template.format(*texts, zone=zone, elem=element, settings=settings, range=found, multirange=many)
    if operator.style == "compare":
        text = f"({text} COLLATE BINARY)" if collated else casts.neutral(text, *targets)
    return TypedSql(text, result, not_null=not_null, location=at)


def _operand_texts(operator: Operator, operands: list[TypedSql], targets: list[int], ctx: Context) -> list[str]:
    values = []
    for operand, target in zip(operands, targets, strict=True):
        how = How.ASSIGNMENT if operator.name == "||" else How.IMPLICIT
        if operator.name == "||" and target != TEXT and operator.result == TEXT:
            target = TEXT
        values.append(casts.coerce(operand, target, -1, how, ctx))
    if operator.style != "compare":
        return [value.sql for value in values]
    if any(value.collation for value in values):
        return _under_one_collation(operator, values)
    return [casts.collated(value) for value in values]


def _under_one_collation(operator: Operator, values: list[TypedSql]) -> list[str]:
    """The operands of a comparison, of which the left says the collation of both: SQLite looks no further."""
    word = "" if operator.name.startswith("~") else joint(values)[0]
    return [f"{values[0].sql} COLLATE {sqlite_collation(word, values[0].type_oid)}", *(one.sql for one in values[1:])]


def like(operator: Operator, operands: list[TypedSql], targets: list[int], ctx: Context, at: int) -> TypedSql:
    """LIKE by GLOB, which is case sensitive and can use an index; the pattern is rewritten when it is bound."""
    subject = casts.coerce(operands[0], targets[0], -1, How.IMPLICIT, ctx)
    pattern = operands[1]
    check_searchable([subject, pattern], "ILIKE" if "~~*" in operator.name else "LIKE")
    if pattern.type_oid == UNKNOWN and pattern.literal >= 0:
        glob = ctx.literal_sql(pattern.literal, 1)
    else:
        glob = f"pg_like_glob({casts.coerce(pattern, targets[1], -1, How.IMPLICIT, ctx).sql})"
    return TypedSql(operator.template.format(subject.sql, glob), BOOL, location=at)


_ZERO: Final = "pg_raise('22012', 'division by zero')"
_MIN: Final = {16: -(2**15), 32: -(2**31), 64: -(2**63)}
_RECOMPUTED_MAX: Final = 120
"""Longest text that is computed a second time rather than handed to a checking function."""
_FLOAT_WORDS: Final = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide"}


def _integer(operator: Operator, operands: list[TypedSql], targets: list[int], ctx: Context, at: int) -> TypedSql:
    """Integer arithmetic. The range of the result is checked once, at the root of a tree of such operators:
    SQLite computes in 64 bits and turns into REAL beyond them, so nothing inside the tree can wrap round.
    """
    values = [
        casts.coerce(operand, target, -1, How.IMPLICIT, ctx) for operand, target in zip(operands, targets, strict=True)
    ]
    bits = _BITS[operator.result]
    not_null = all(value.not_null for value in values)
    if operator.style == "divide":
        sql = _divide(operator, values, bits)
        return TypedSql(sql, operator.result, not_null=not_null, location=at)
    raw = operator.template.format(*(value.raw or value.sql for value in values))
    simple = len(raw) <= _RECOMPUTED_MAX and all(value.simple or value.raw for value in values)
    return TypedSql(
        checked_integer(raw, bits, simple), operator.result, not_null=not_null, raw=raw if simple else "", location=at
    )


def checked_integer(raw: str, bits: int, simple: bool) -> str:
    """Text of an integer expression that raises 22003 outside its type's range."""
    if not simple:
        return f"pg_int{bits}({raw})"
    inside = f"typeof({raw}) <> 'real'" if bits == 64 else f"{raw} BETWEEN {_MIN[bits]} AND {-_MIN[bits] - 1}"
    return f"CASE WHEN {inside} THEN {raw} ELSE pg_int{bits}({raw}) END"


def _divide(operator: Operator, values: list[TypedSql], bits: int) -> str:
    """Quotient or remainder. SQLite gives NULL for a zero divisor, and REAL for the one quotient out of range."""
    left, right = values[0].sql, values[1].sql
    slow = f"pg_int_{'divide' if operator.name == '/' else 'modulo'}({left}, {right}, {bits})"
    if not (values[0].simple and values[1].simple):
        return slow
    return f"CASE WHEN {right} > 0 THEN {operator.template.format(left, right)} ELSE {slow} END"


def _float(operator: Operator, operands: list[TypedSql], targets: list[int], ctx: Context, at: int) -> TypedSql:
    """Float arithmetic. NaN is stored as text, and PostgreSQL raises on overflow, underflow and zero divisors:
    everything but finite, nonzero results of REAL operands is left to a function.
    """
    values = [
        casts.coerce(operand, target, -1, How.IMPLICIT, ctx) for operand, target in zip(operands, targets, strict=True)
    ]
    left, right = values[0].sql, values[1].sql
    name = operator.style[-1]
    single = ", 1" if operator.result == FLOAT4 else ""
    sql = f"pg_float_{_FLOAT_WORDS[name]}({left}, {right}{single})"
    if values[0].simple and values[1].simple and not single:
        quick = f"({left} {name} {right})"
        reals = f"typeof({left}) = 'real' AND typeof({right}) = 'real'"
        sql = f"CASE WHEN {reals} AND abs({quick}) BETWEEN 1e-307 AND 1.7e308 THEN {quick} ELSE {sql} END"
    return TypedSql(sql, operator.result, not_null=all(value.not_null for value in values), location=at)
