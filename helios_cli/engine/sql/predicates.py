"""A_Expr in all its kinds: operators, IN lists, BETWEEN, LIKE, ANY/ALL over arrays, row comparisons."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from helios_cli.engine.datatypes.usertypes import is_row
from helios_cli.engine.sql import casts, operators, tree, vectors
from helios_cli.engine.sql import row_values as whole_rows
from helios_cli.engine.sql.coercion import Context as How
from helios_cli.engine.sql.coercion import array_of, can_coerce, common_type, element_of, type_name
from helios_cli.engine.sql.context import Context, Unfoldable
from helios_cli.engine.sql.expressions import TRANSLATORS, translate, unify
from helios_cli.engine.sql.folded import KEY, FoldedRows
from helios_cli.engine.sql.function_columns import extracted
from helios_cli.engine.sql.oids import BOOL, BPCHAR, BYTEA, POLYMORPHIC, RECORD, TEXT, UNKNOWN, VARCHAR
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.stars import starred
from helios_cli.engine.sql.typed import Node, TypedSql


def _a_expr(fields: dict[str, Any], scope: Scope) -> TypedSql:
    return _KINDS[fields["kind"]](fields, scope)


def _name(fields: dict[str, Any]) -> str:
    return tree.strings(fields["name"])[-1]


def _is_row(node: Node | None) -> bool:
    return node is not None and "RowExpr" in node


def _operator(fields: dict[str, Any], scope: Scope) -> TypedSql:
    """One operator, or a chain of them down its left side (``a + b + c``), without a call for each link."""
    chain = [fields]
    while scope.grouping is None or not scope.grouping.expressions:
        inner = chain[-1].get("lexpr", {}).get("A_Expr")
        if inner is None or inner["kind"] != "AEXPR_OP" or "rexpr" not in inner or _is_row(inner.get("lexpr")):
            break
        chain.append(inner)
    value = _one_operator(chain.pop(), None, scope)
    while chain:
        value = _one_operator(chain.pop(), value, scope)
    return value


def _one_operator(fields: dict[str, Any], left_value: TypedSql | None, scope: Scope) -> TypedSql:
    at, name = fields.get("location", 0), _name(fields)
    left, right = fields.get("lexpr"), fields.get("rexpr")
    if right is None:
        raise scope.ctx.error("42601", "postfix operators are not supported", at)
    if (
        left_value is None
        and _is_row(left)
        and (_is_row(right) or right.get("SubLink", {}).get("subLinkType") == "EXPR_SUBLINK")
    ):
        return _row_comparison(fields, scope)
    operands = [translate(left, scope)] if left_value is None and left is not None else []
    if left_value is not None:
        operands = [left_value]
    operands.append(translate(right, scope))
    if name in whole_rows.COMPARISONS and len(operands) == 2 and any(is_row(value.type_oid) for value in operands):
        return _compare_whole_rows(name, operands, scope, at)
    names = tree.strings(fields["name"])
    return operators.apply_operator(name, operands, scope.ctx, at, names[-2] if len(names) > 1 else None)


# -- rows -----------------------------------------------------------------------------------------


def _compare_whole_rows(name: str, operands: list[TypedSql], scope: Scope, at: int) -> TypedSql:
    """A comparison in which at least one side is a row value."""
    ctx = scope.ctx
    for position, value in enumerate(operands):
        other = operands[1 - position]
        if value.type_oid == UNKNOWN and is_row(other.type_oid):
            operands[position] = casts.coerce(value, other.type_oid, -1, How.IMPLICIT, ctx)
            if value.param and ctx.parameter_type(value.param) == RECORD:
                # What a parameter of type record is made of nobody says: it is refused when it is read.
                message = "input of anonymous composite types is not implemented"
                return TypedSql(f"pg_raise('0A000', '{message}')", BOOL, location=at)
    left, right = operands
    if not (is_row(left.type_oid) and is_row(right.type_oid)):
        return operators.apply_operator(name, operands, ctx, at)
    return whole_rows.compare(name, left, right, ctx, at)


def row_values(node: Node, scope: Scope) -> list[TypedSql]:
    """The translated fields of a row constructor; ``t.*`` in it stands for the columns."""
    # Stars are told by a module that needs this one.
    from helios_cli.engine.sql.stars import is_star, starred

    found: list[TypedSql] = []
    for item in node["RowExpr"].get("args", []):
        found += [value for _, value in starred(item, scope)] if is_star(item) else [translate(item, scope)]
    return found


def _row_comparison(fields: dict[str, Any], scope: Scope) -> TypedSql:
    name, at = _name(fields), fields.get("location", 0)
    left = row_values(fields["lexpr"], scope)
    if not _is_row(fields["rexpr"]):
        # Subqueries are translated by a module that needs this one.
        from helios_cli.engine.sql.sublinks import compare_with_subquery

        return compare_with_subquery(name, left, fields["rexpr"]["SubLink"], scope, at)
    right = row_values(fields["rexpr"], scope)
    return compare_rows(name, left, right, scope, at)


def compare_rows(name: str, left: list[TypedSql], right: list[TypedSql], scope: Scope, at: int) -> TypedSql:
    """``(a, b) op (c, d)`` column by column.

    Raises:
        SqlError: 42601 for rows of different lengths or an operator that compares no rows.
    """
    if len(left) != len(right):
        raise scope.ctx.error("42601", "unequal number of entries in row expressions", at)
    pairs = list(zip(left, right, strict=True))
    if not pairs:
        raise scope.ctx.error("0A000", "cannot compare rows of zero length", at)
    if name in ("=", "<>", "!="):
        parts = [operators.apply_operator(name, [one, other], scope.ctx, at).sql for one, other in pairs]
        word = " AND " if name == "=" else " OR "
        return TypedSql(f"({word.join(parts)})", BOOL, location=at)
    if name not in ("<", "<=", ">", ">="):
        raise scope.ctx.error("0A000", f"could not determine interpretation of row comparison operator {name}", at)
    # Lexicographic: the last pair decides with the operator itself, the ones before with its strict form.
    firsts = [
        [operators.apply_operator(word, list(pair), scope.ctx, at).sql for word in (name[0], "=")]
        for pair in pairs[:-1]
    ]
    last = operators.apply_operator(name, list(pairs[-1]), scope.ctx, at).sql
    for less, same in reversed(firsts):
        last = f"({less} OR ({same} AND {last}))"
    return TypedSql(last, BOOL, location=at)


def _row(fields: dict[str, Any], scope: Scope) -> TypedSql:
    values: list[TypedSql] = []
    for node in fields.get("args", []):
        reference = node.get("ColumnRef")
        if reference is not None and "A_Star" in reference["fields"][-1]:
            values += [value for _, value in starred(node, scope)]
        else:
            values.append(translate(node, scope))
    names = [f"f{number}" for number in range(1, len(values) + 1)]
    return replace(whole_rows.make_row(values, names, scope.ctx), location=fields.get("location", 0))


# -- IN, BETWEEN, LIKE ----------------------------------------------------------------------------


def _in_list(fields: dict[str, Any], scope: Scope) -> TypedSql:
    at = fields.get("location", 0)
    negated = _name(fields) == "<>"
    items = fields["rexpr"]["List"]["items"]
    if _is_row(fields["lexpr"]):
        return _row_in_list(fields["lexpr"], items, negated, scope, at)
    subject = translate(fields["lexpr"], scope)
    if KEY in fields:
        return _in_folded(subject, fields[KEY], negated, scope, at)
    values = [translate(item, scope) for item in items]
    alike = [n for n, item in enumerate(items) if not any("ColumnRef" in part for part in tree.walk(item))]
    _listed_alike(subject, values, alike, scope.ctx)
    return in_values(subject, values, negated, scope, at)


def _listed_alike(subject: TypedSql, values: list[TypedSql], alike: list[int], ctx: Context) -> None:
    """Give untyped literals beside several types the one that the subject and all of them have (transformAExprIn)."""
    types = [subject.type_oid, *(values[n].type_oid for n in alike)]
    if len(alike) < _FEWEST_ALIKE or UNKNOWN not in types[1:] or len(set(types) - {UNKNOWN}) < _FEWEST_ALIKE:
        return
    target = common_type(types)
    if target is None or not all(can_coerce(oid, target) for oid in types):
        return
    for number in alike:
        if values[number].type_oid == UNKNOWN:
            values[number] = casts.coerce(values[number], target, -1, How.IMPLICIT, ctx)


_FEWEST_ALIKE: Final = 2


def in_values(subject: TypedSql, values: list[TypedSql], negated: bool, scope: Scope, at: int) -> TypedSql:
    """``subject [NOT] IN (values)``: SQLite's own IN where one comparison type serves all."""
    ctx = scope.ctx
    target = _compared_as(subject, values)
    if target:
        everything = [casts.coerce(value, target, -1, How.IMPLICIT, ctx) for value in (subject, *values)]
        word = "NOT IN" if negated else "IN"
        listed = ", ".join(value.sql for value in everything[1:])
        not_null = all(value.not_null for value in everything)
        sql = casts.neutral(f"({casts.collated(everything[0])} {word} ({listed}))", target)
        return TypedSql(sql, BOOL, not_null=not_null, location=at)
    name, joint = ("<>", " AND ") if negated else ("=", " OR ")
    tests = [operators.apply_operator(name, [replace(subject), value], ctx, at).sql for value in values]
    return TypedSql(f"({joint.join(tests)})", BOOL, location=at)


def _compared_as(subject: TypedSql, values: list[TypedSql]) -> int:
    """The one type as which the subject and all values are compared; 0 when each has to be compared by itself."""
    types = {value.type_oid for value in (subject, *values)}
    known = types - {UNKNOWN}
    if not known or known & {BOOL, RECORD}:
        return 0
    if len(known) == 1:
        only = known.pop()
        return only if operators.find_operator("=", (only, only)) is not None else 0
    if known <= {21, 23, 20}:
        return 20
    listed = {value.type_oid for value in values}
    if len(listed) > 1 or UNKNOWN in types or any(value.collation for value in (subject, *values)):
        return 0
    operator = operators.find_operator("=", (subject.type_oid, listed.pop()))
    if operator is None or operator.style != "compare" or operator.args[0] != operator.args[1]:
        return 0
    return operator.args[0] if operator.args[0] in _NUMBERS else 0


_NUMBERS: Final = frozenset((20, 21, 23, 26, 700, 701, 1700))


def _in_folded(subject: TypedSql, rows: FoldedRows, negated: bool, scope: Scope, at: int) -> TypedSql:
    """IN over a list that was taken out of the text. Raises Unfoldable where SQLite's own IN would not do."""
    ctx, source = scope.ctx, rows.source(scope)
    values = rows.constants(0, scope)
    known = {value.type_oid for value in (subject, *values)} - {UNKNOWN}
    if (len(known) > 1 and not known <= {21, 23, 20}) or not known or known & {BOOL, RECORD}:
        raise Unfoldable
    target = known.pop() if len(known) == 1 else 20
    one = casts.coerce(subject, target, -1, How.IMPLICIT, ctx)
    other = rows.converted(0, values, lambda value: casts.coerce(value, target, -1, How.IMPLICIT, ctx), ctx)
    test = f"({casts.collated(one)} {'NOT IN' if negated else 'IN'} (SELECT {other.sql} FROM {source}))"
    return TypedSql(casts.neutral(test, target), BOOL, not_null=one.not_null and other.not_null, location=at)


def _row_in_list(left: Node, items: list[Node], negated: bool, scope: Scope, at: int) -> TypedSql:
    subject = row_values(left, scope)
    tests = []
    for item in items:
        if not _is_row(item):
            raise scope.ctx.error("42601", "IN list of a row holds something that is no row", at)
        tests.append(compare_rows("=", [replace(value) for value in subject], row_values(item, scope), scope, at).sql)
    listed = " OR ".join(tests)
    return TypedSql(f"(NOT ({listed}))" if negated else f"({listed})", BOOL, location=at)


def _between(fields: dict[str, Any], scope: Scope) -> TypedSql:
    kind, at, ctx = fields["kind"], fields.get("location", 0), scope.ctx
    low_node, high_node = fields["rexpr"]["List"]["items"]
    subject = translate(fields["lexpr"], scope)
    low, high = translate(low_node, scope), translate(high_node, scope)

    def within(one: TypedSql, other: TypedSql) -> str:
        above = operators.apply_operator(">=", [replace(subject), replace(one)], ctx, at).sql
        below = operators.apply_operator("<=", [replace(subject), replace(other)], ctx, at).sql
        return f"({above} AND {below})"

    sql = within(low, high)
    if kind.endswith("_SYM"):
        sql = f"({sql} OR {within(high, low)})"
    return TypedSql(f"(NOT {sql})" if kind.startswith("AEXPR_NOT") else sql, BOOL, location=at)


def _like(fields: dict[str, Any], scope: Scope) -> TypedSql:
    at, name = fields.get("location", 0), _name(fields)
    subject, right = translate(fields["lexpr"], scope), fields["rexpr"]
    escape = None
    call = right.get("FuncCall")
    if call is not None and tree.strings(call["funcname"])[-1] == "like_escape":
        escape = translate(call["args"][1], scope)
        right = call["args"][0]
    pattern = translate(right, scope)
    if escape is not None:
        kind = BYTEA if subject.type_oid == BYTEA else TEXT
        parts = [casts.coerce(value, kind, -1, How.IMPLICIT, scope.ctx) for value in (pattern, escape)]
        pattern = TypedSql(f"pg_like_escape({parts[0].sql}, {parts[1].sql})", kind, location=parts[0].location)
    return operators.apply_operator(name, [subject, pattern], scope.ctx, at)


def _similar(fields: dict[str, Any], scope: Scope) -> TypedSql:
    subject = translate(fields["lexpr"], scope)
    if subject.type_oid != BPCHAR:  # Its padding counts for a regular expression.
        subject = casts.coerce(subject, TEXT, -1, How.IMPLICIT, scope.ctx)
    arguments = [
        casts.coerce(translate(node, scope), TEXT, -1, How.IMPLICIT, scope.ctx).sql
        for node in fields["rexpr"]["FuncCall"]["args"]
    ]
    test = f"pg_similar({', '.join([subject.sql, *arguments])})"
    sql = f"(NOT {test})" if _name(fields) == "!~" else test
    return TypedSql(sql, BOOL, location=fields.get("location", 0))


# -- DISTINCT FROM, NULLIF ------------------------------------------------------------------------


def _distinct(fields: dict[str, Any], scope: Scope) -> TypedSql:
    at, word = fields.get("location", 0), "IS" if fields["kind"] == "AEXPR_NOT_DISTINCT" else "IS NOT"
    if _is_row(fields["lexpr"]) and _is_row(fields["rexpr"]):
        pairs = zip(row_values(fields["lexpr"], scope), row_values(fields["rexpr"], scope), strict=True)
        same = " AND ".join(_same(one, other, "IS", scope, at) for one, other in pairs)
        return TypedSql(f"({same})" if word == "IS" else f"(NOT ({same}))", BOOL, not_null=True, location=at)
    left, right = translate(fields["lexpr"], scope), translate(fields["rexpr"], scope)
    return TypedSql(_same(left, right, word, scope, at), BOOL, not_null=True, location=at)


def _same(left: TypedSql, right: TypedSql, word: str, scope: Scope, at: int) -> str:
    """``IS [NOT] DISTINCT FROM`` by the equality operator's own types."""
    operators.apply_operator("=", [replace(left), replace(right)], scope.ctx, at)
    types = [scope.ctx.parameter_type(value.param) if value.param else value.type_oid for value in (left, right)]
    found = operators.find_operator("=", (types[0], types[1])) if common_type(types) is None else None
    if found is not None and found.args[0] == found.args[1] and found.args[0] not in POLYMORPHIC:
        # Types of two categories that one operator takes: time and interval.
        left, right = (casts.coerce(value, found.args[0], -1, How.IMPLICIT, scope.ctx) for value in (left, right))
    values, target = unify([left, right], "IS DISTINCT FROM", scope)
    return casts.neutral(f"({casts.collated(values[0])} {word} {values[1].sql})", target)


def _nullif(fields: dict[str, Any], scope: Scope) -> TypedSql:
    at = fields.get("location", 0)
    left, right = translate(fields["lexpr"], scope), translate(fields["rexpr"], scope)
    test = operators.apply_operator("=", [replace(left), replace(right)], scope.ctx, at)
    if left.type_oid == UNKNOWN:
        found = operators.find_operator("=", (UNKNOWN, right.type_oid))
        same = right.type_oid in (UNKNOWN, VARCHAR)
        target = TEXT if same else found.args[0] if found is not None else right.type_oid
        target = right.type_oid if target in POLYMORPHIC or is_row(right.type_oid) else target
        left = casts.coerce(left, target, -1, How.IMPLICIT, scope.ctx)
    elif left.type_oid == VARCHAR:
        left = replace(left, type_oid=TEXT, typmod=-1)  # It is compared as text, and that is what is given back.
    else:
        # What is given back is what was compared.
        found = operators.find_operator("=", (left.type_oid, right.type_oid))
        if found is not None and found.args[0] not in (left.type_oid, *POLYMORPHIC):
            left = casts.coerce(left, found.args[0], -1, How.IMPLICIT, scope.ctx)
    return TypedSql(f"CASE WHEN {test.sql} THEN NULL ELSE {left.sql} END", left.type_oid, left.typmod, location=at)


# -- ANY and ALL over arrays ----------------------------------------------------------------------


def _quantified(fields: dict[str, Any], scope: Scope) -> TypedSql:
    at, name, ctx = fields.get("location", 0), _name(fields), scope.ctx
    every = fields["kind"] == "AEXPR_OP_ALL"
    subject = translate(fields["lexpr"], scope)
    array = translate(fields["rexpr"], scope)
    array = _typed_array(subject, array, scope, at)
    element = element_of(array.type_oid)
    if subject.type_oid == UNKNOWN:
        subject = casts.coerce(subject, element, -1, How.IMPLICIT, ctx)
    # A NULL array makes the answer NULL, as an array of one NULL does.
    elements = f"pg_array_json({array.sql}, {element})"
    rows = f"json_each(coalesce({elements}, '[null]'))"
    shape = whole_rows.shape_of(array, ctx)
    value = extracted("value", element)
    item = TypedSql(value, element, shape=shape.element if shape is not None else None)
    found = operators.apply_operator(name, [replace(subject), item], ctx, at)
    if found.type_oid != BOOL:
        raise ctx.error("42809", "op ANY/ALL (array) requires operator to yield boolean", at)
    test = found.sql
    plain = test == f"({casts.collated(subject)} {name} {casts.collated(item)})"
    if plain and name == ("<>" if every else "=") and not casts.collation_of(element):
        if scope.bare_columns and value == "value":  # Stored expressions have no subqueries.
            held = f"pg_is_element({subject.sql}, {elements})"
            return TypedSql(f"(NOT {held})" if every else held, BOOL, location=at)
        word = "NOT IN" if every else "IN"
        return TypedSql(f"({subject.sql} {word} (SELECT {value} FROM {rows}))", BOOL, location=at)
    return TypedSql(_fold(test, rows, every), BOOL, location=at)


def _fold(test: str, rows: str, every: bool) -> str:
    """Three-valued OR (or AND, with ``every``) of a test over the elements."""
    pick, decided = ("min", 0) if every else ("max", 1)
    return (
        f"(SELECT CASE WHEN {pick}(t) = {decided} THEN {decided} WHEN count(*) > count(t) THEN NULL "
        f"ELSE {1 - decided} END FROM (SELECT {test} AS t FROM {rows}))"
    )


def _typed_array(subject: TypedSql, array: TypedSql, scope: Scope, at: int) -> TypedSql:
    """Give the right side of ANY/ALL an array type: its own, or the array over the left side's type."""
    ctx = scope.ctx
    oid = ctx.parameter_type(array.param) if array.param else array.type_oid
    if oid == UNKNOWN:
        wanted = array_of(subject.type_oid if subject.type_oid != UNKNOWN else TEXT)
        if not can_coerce(oid, wanted) or not wanted:
            raise ctx.error("42883", f"operator does not exist: {type_name(subject.type_oid)} = ANY (unknown)", at)
        return casts.coerce(array, wanted, -1, How.IMPLICIT, ctx)
    if vectors.is_vector(oid):
        return vectors.as_array(array)
    if not element_of(oid):
        raise ctx.error("42809", "op ANY/ALL (array) requires array on right side", at)
    return casts.coerce(array, oid, -1, How.IMPLICIT, ctx)


_KINDS: Final = {
    "AEXPR_OP": _operator,
    "AEXPR_OP_ANY": _quantified,
    "AEXPR_OP_ALL": _quantified,
    "AEXPR_DISTINCT": _distinct,
    "AEXPR_NOT_DISTINCT": _distinct,
    "AEXPR_NULLIF": _nullif,
    "AEXPR_IN": _in_list,
    "AEXPR_LIKE": _like,
    "AEXPR_ILIKE": _like,
    "AEXPR_SIMILAR": _similar,
    "AEXPR_BETWEEN": _between,
    "AEXPR_NOT_BETWEEN": _between,
    "AEXPR_BETWEEN_SYM": _between,
    "AEXPR_NOT_BETWEEN_SYM": _between,
}

TRANSLATORS["A_Expr"] = _a_expr
TRANSLATORS["RowExpr"] = _row
