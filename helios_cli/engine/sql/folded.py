"""The tree of a statement whose long list of constants was taken out (``engine.sql.rows``), and its translation.

Every column of the rows is translated once for each class of constants in it. Where all classes come to the same text
the rows are read from one JSON parameter; where not, :class:`Unfoldable` sends the statement the long way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import casts, tree
from helios_cli.engine.sql.coercion import Context as How
from helios_cli.engine.sql.context import Context, LiftedLiteral, Unfoldable
from helios_cli.engine.sql.expressions import translate
from helios_cli.engine.sql.oids import BOOL, TEXT, UNKNOWN
from helios_cli.engine.sql.query import Output, Select, match_types
from helios_cli.engine.sql.rows import BOOL as CLASS_BOOL
from helios_cli.engine.sql.rows import DEFAULT, INT4, INT8, NULL, NUMERIC, STRING, Fold
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.sqltext import quote_identifier
from helios_cli.engine.sql.typed import Node, TypedSql, changed

KEY: Final = "folded"
"""The field that a SelectStmt or an IN expression has when its rows were taken out."""

_SAMPLES: Final[dict[str, tuple[dict[str, Any], Any]]] = {
    INT4: ({"ival": {"ival": 1}}, 1),
    INT8: ({"fval": {"fval": str(2**40)}}, str(2**40)),
    NUMERIC: ({"fval": {"fval": "1.5"}}, "1.5"),
    STRING: ({"sval": {"sval": "?"}}, "?"),
    CLASS_BOOL: ({"boolval": {"boolval": True}}, True),
    NULL: ({"isnull": True}, None),
}
"""A constant of each class, as the parser gives it, and its value."""


class FoldedRows:
    """The rows of one list, as the translation of its statement sees them."""

    def __init__(self, fold: Fold, items: list[Node]) -> None:
        self.fold = fold
        self.items = items
        """The first row, parsed."""

    def is_default(self, column: int) -> bool:
        """Whether a column is DEFAULT in every row. Raises Unfoldable when it is in some of them."""
        classes = self.fold.classes[column]
        if DEFAULT in classes and len(classes) > 1:
            raise Unfoldable
        return DEFAULT in classes

    def constants(self, column: int, scope: Scope) -> list[TypedSql]:
        """A constant for each class in a column. Raises Unfoldable, also for an error of their translation."""
        return [self._constant(column, letter, scope) for letter in self.fold.classes[column]]

    def _constant(self, column: int, letter: str, scope: Scope) -> TypedSql:
        ctx = scope.ctx
        item = self.items[column]
        sample, value = _SAMPLES[letter]
        inner = item["TypeCast"]["arg"] if "TypeCast" in item else item
        at = tree.location(inner)
        node: Node = {"A_Const": {**sample, "location": at}}
        if letter in (INT4, INT8, NUMERIC, STRING):
            ctx.lifted[column] = LiftedLiteral(at, letter, value)
            ctx.lifted_at[at] = column
        if "TypeCast" in item:
            node = {"TypeCast": {**item["TypeCast"], "arg": node}}
        try:
            return translate(node, scope)
        except SqlError:
            raise Unfoldable from None

    def _convert(self, value: TypedSql, convert: Callable[[TypedSql], TypedSql]) -> TypedSql:
        try:
            return convert(value)
        except SqlError:
            # The long way meets the error in its own row: PostgreSQL looks at one after the other.
            raise Unfoldable from None

    def converted(
        self, column: int, values: list[TypedSql], convert: Callable[[TypedSql], TypedSql], ctx: Context
    ) -> TypedSql:
        """What all classes of a column come to. Raises Unfoldable, also for an error of ``convert``."""
        result: TypedSql | None = None
        classes = self.fold.classes[column]
        for letter, value in zip(classes, values, strict=True):
            done = self._convert(value, convert)
            if letter == NULL:
                if done.sql != "NULL":
                    raise Unfoldable
                continue
            if letter == CLASS_BOOL:
                if done.sql != "1":
                    raise Unfoldable
                done = changed(done, sql=ctx.literal_sql(column, BOOL))
            if result is not None and result.sql != done.sql:
                raise Unfoldable
            result = done
        if result is None:
            return self._convert(values[0], convert)
        return changed(result, not_null=result.not_null and NULL not in classes, literal=-1, simple=False)

    def source(self, scope: Scope) -> str:
        """The rows as a FROM item."""
        ctx = scope.ctx
        ctx.fold_alias = quote_identifier(ctx.unique_alias("rows"))
        return f"json_each(\x02F\x03) AS {ctx.fold_alias}"

    def values(self, scope: Scope) -> Select:
        """VALUES: every column of one type. Raises Unfoldable, also when there is no such type."""
        ctx, source = scope.ctx, self.source(scope)
        outputs = []
        for column in range(len(self.items)):
            if self.is_default(column):
                raise Unfoldable
            values = self.constants(column, scope)
            types = [value.type_oid for value in values]
            target = TEXT if set(types) == {UNKNOWN} else self._common(column, types, values, ctx)

            def convert(value: TypedSql, target: int = target) -> TypedSql:
                return casts.coerce(value, target, -1, How.IMPLICIT, ctx)

            value = self.converted(column, values, convert, ctx)
            outputs.append(Output(f"column{column + 1}", changed(value, type_oid=target, location=values[0].location)))
        return Select(outputs, source=f" FROM {source}")

    def _common(self, column: int, types: list[int], values: list[TypedSql], ctx: Context) -> int:
        try:
            return match_types("VALUES", types, values, ctx)
        except SqlError:
            raise Unfoldable from None


def attach(statement: Node, fold: Fold) -> bool:
    """Tell the node that held the list. False: the list does not stand there as constants."""
    at = fold.first_at if fold.reduced.isascii() else len(fold.reduced[: fold.first_at].encode())
    for node in tree.walk(statement):
        fields, items = _list_in(node, fold.is_list)
        if items and _location(items[0]) == at:
            if len(items) != len(fold.casts) or not all(map(_is_constant, items)):
                return False
            fields[KEY] = FoldedRows(fold, items)
            return True
    return False


def _list_in(node: Node, is_list: bool) -> tuple[dict[str, Any], list[Node]]:
    """The fields and the items of a node that holds one row, or a list of one item."""
    if is_list:
        fields = node.get("A_Expr")
        if isinstance(fields, dict) and fields.get("kind") == "AEXPR_IN":
            return fields, fields["rexpr"].get("List", {}).get("items", [])
    else:
        fields = node.get("SelectStmt")
        if isinstance(fields, dict) and len(fields.get("valuesLists", ())) == 1:
            return fields, fields["valuesLists"][0]["List"]["items"]
    return {}, []


def _location(item: Node) -> int:
    return tree.location(item["TypeCast"]["arg"] if "TypeCast" in item else item)


def _is_constant(item: Node) -> bool:
    inner = item["TypeCast"]["arg"] if "TypeCast" in item else item
    return "A_Const" in inner or "SetToDefault" in inner


__all__ = ["KEY", "FoldedRows", "Unfoldable", "attach"]
