"""Expression trees back to PostgreSQL text, in the form pg_get_expr prints (ruleutils.c, not pretty).

Types are inferred only as far as that form needs them: a string constant beside a column is printed with
the column's type, a varchar column beside text with its cast.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.io_functions import IO_FUNCTIONS
from helios_cli.engine.errors import FeatureNotSupported, SqlError
from helios_cli.engine.sql import grammar, tree
from helios_cli.engine.sql.deparse_calls import in_words
from helios_cli.engine.sql.deparse_constants import cast_constant, constant_text, constant_type, named_type
from helios_cli.engine.sql.deparse_forms import CAST_BY_CALLS, WIDENED, needs_parentheses, shared_type
from helios_cli.engine.sql.function_spec import Function
from helios_cli.engine.sql.oids import (
    ANY,
    DATE,
    FLOAT8,
    INT4,
    INT8,
    NUMERIC,
    POLYMORPHIC,
    TEXT,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    TIMETZ,
    UNKNOWN,
    VARCHAR,
)
from helios_cli.engine.sql.operator_spec import Operator
from helios_cli.engine.sql.resolution import Ambiguous
from helios_cli.engine.sql.sqltext import pg_identifier, quote_string
from helios_cli.engine.sql.typed import Node

Columns = Mapping[str, int]
"""Type OIDs of the columns an expression may name."""

_VALUE_FUNCTIONS: Final = {
    "SVFOP_CURRENT_DATE": "CURRENT_DATE",
    "SVFOP_CURRENT_TIME": "CURRENT_TIME",
    "SVFOP_CURRENT_TIMESTAMP": "CURRENT_TIMESTAMP",
    "SVFOP_LOCALTIME": "LOCALTIME",
    "SVFOP_LOCALTIMESTAMP": "LOCALTIMESTAMP",
    "SVFOP_CURRENT_USER": "CURRENT_USER",
    "SVFOP_CURRENT_ROLE": "CURRENT_ROLE",
    "SVFOP_USER": "USER",
    "SVFOP_SESSION_USER": "SESSION_USER",
    "SVFOP_CURRENT_CATALOG": "CURRENT_CATALOG",
    "SVFOP_CURRENT_SCHEMA": "CURRENT_SCHEMA",
}
_VALUE_TYPES: Final = {
    "SVFOP_CURRENT_DATE": DATE, "SVFOP_CURRENT_TIME": TIMETZ, "SVFOP_CURRENT_TIMESTAMP": TIMESTAMPTZ,
    "SVFOP_LOCALTIME": TIME, "SVFOP_LOCALTIMESTAMP": TIMESTAMP,
}  # fmt: skip
_BOOLEAN_TESTS: Final = {
    "IS_TRUE": "IS TRUE",
    "IS_NOT_TRUE": "IS NOT TRUE",
    "IS_FALSE": "IS FALSE",
    "IS_NOT_FALSE": "IS NOT FALSE",
    "IS_UNKNOWN": "IS UNKNOWN",
    "IS_NOT_UNKNOWN": "IS NOT UNKNOWN",
}


def deparse(node: Node, columns: Columns | None = None, target: int = 0, *, pretty: bool = False) -> str:
    """The PostgreSQL text of an expression; ``pretty`` leaves out parentheses that precedence makes needless.

    ``target`` is the type a bare string constant takes (the column of a DEFAULT), 0 for none.

    Raises:
        FeatureNotSupported: the tree holds a node that may not stand in a stored expression here.
    """
    return Deparser(columns or {}, pretty).expression(node, target)


def parse_expression(text: str) -> Node:
    """The tree of an expression that :func:`deparse` (or the user) wrote."""
    node: Node = grammar.parse(f"SELECT {text}")[0]["stmt"]["SelectStmt"]["targetList"][0]["ResTarget"]["val"]
    return node


@lru_cache(maxsize=4096)
def pretty_expression(text: str, types: tuple[tuple[str, int], ...]) -> str:
    """A stored expression without the parentheses that precedence makes needless; ``types`` are those of its columns.

    Tools ask for every index and check of a schema, again and again.

    Raises:
        FeatureNotSupported: as :func:`deparse`.
    """
    return deparse(parse_expression(text), dict(types), pretty=True)


@lru_cache(maxsize=4096)
def with_operator_schemas(
    text: str, types: tuple[tuple[str, int], ...], schemas: tuple[tuple[str, str], ...], pretty: bool
) -> str:
    """A stored expression whose operators of extensions are written with these schemas, (extension, schema) each.

    Raises:
        FeatureNotSupported: as :func:`deparse`.
    """
    return Deparser(dict(types), pretty, dict(schemas)).expression(parse_expression(text))


@lru_cache(maxsize=4096)
def expression_type(text: str, types: tuple[tuple[str, int], ...]) -> int:
    """The type of a stored expression as far as it is plain to see, else 0; ``types`` are those of its columns."""
    return Deparser(dict(types)).type_of(parse_expression(text))


def column_names(node: Any) -> tuple[str, ...]:
    """The columns an expression names, unqualified, in order of first mention."""
    names: dict[str, None] = {}
    for part in tree.walk(node):
        fields = part.get("ColumnRef", {}).get("fields") if isinstance(part.get("ColumnRef"), dict) else None
        if fields and "String" in fields[-1]:
            names[fields[-1]["String"]["sval"]] = None
    return tuple(names)


def rename_column(text: str, old: str, new: str, columns: Columns) -> str:
    """The expression with every mention of a column renamed; ``columns`` are those before the renaming."""
    node = parse_expression(text)
    if old not in column_names(node):
        return text
    for part in tree.walk(node):
        reference = part.get("ColumnRef")
        if isinstance(reference, dict) and reference["fields"][-1].get("String", {}).get("sval") == old:
            reference["fields"][-1]["String"]["sval"] = new
    renamed = {new if name == old else name: type_oid for name, type_oid in columns.items()}
    return deparse(node, renamed)


def _operator(symbol: str, given: tuple[int, int]) -> Operator | None:
    """The operator that is meant, as far as types are plain to see; None when they are not."""
    # Operators are translated by modules that need this one.
    from helios_cli.engine.sql.operators import find_operator

    try:
        return find_operator(symbol, given) if 0 not in given else None
    except Ambiguous:
        return None


_CONFIGURED: Final = frozenset(
    ("to_tsvector", "to_tsquery", "plainto_tsquery", "phraseto_tsquery", "websearch_to_tsquery", "ts_headline")
)
"""Functions whose first argument of several is a text search configuration."""


class Deparser:
    """Walks one expression; one method a node type."""

    def __init__(self, columns: Columns, pretty: bool = False, schemas: Mapping[str, str] | None = None) -> None:
        """``schemas`` are those that extensions' operators are written with, by extension."""
        self._columns = columns
        self._pretty = pretty
        self._schemas = schemas or {}
        self._methods: dict[str, Callable[[dict[str, Any]], str]] = {
            "ColumnRef": self._column,
            "A_Expr": self._operator,
            "BoolExpr": self._boolean,
            "FuncCall": self._call,
            "TypeCast": self._cast,
            "NullTest": self._null_test,
            "BooleanTest": self._boolean_test,
            "CaseExpr": self._case,
            "CoalesceExpr": self._coalesce,
            "MinMaxExpr": self._min_max,
            "A_ArrayExpr": self._array,
            "SQLValueFunction": self._value_function,
            "RowExpr": self._row,
            "A_Indirection": self._subscript,
            "CollateClause": self._collate,
        }

    def expression(self, node: Node, target: int = 0) -> str:
        name = tree.tag(node)
        if name == "A_Const":
            return constant_text(node["A_Const"], target)
        method = self._methods.get(name)
        if method is None:
            raise FeatureNotSupported(f"a stored expression cannot contain {name}")
        return method(node[name])

    def _whole(self, text: str) -> str:
        """An operator's text: in parentheses, which the pretty form leaves to the parent."""
        return text if self._pretty else f"({text})"

    def _inside(self, node: Node, parent: str, target: int = 0) -> str:
        """A part of an operator; the pretty form puts parentheses where :func:`needs_parentheses` says."""
        text = self.expression(node, target)
        return f"({text})" if self._pretty and needs_parentheses(node, parent) else text

    def _cast_of(self, node: Node) -> str:
        """What stands before ``::``."""
        text = self.expression(node)
        simple = self._pretty and tree.tag(node) in ("ColumnRef", "FuncCall", "A_Const", "TypeCast", "A_ArrayExpr")
        return text if simple else f"({text})"

    def type_of(self, node: Node) -> int:
        """The type of a node as far as it is plain to see, else 0; 705 for a string constant."""
        name = tree.tag(node)
        if name == "A_Const":
            return constant_type(node["A_Const"])
        if name == "ColumnRef":
            return self._columns.get(column_names(node)[0], 0) if column_names(node) else 0
        if name == "TypeCast":
            found = named_type(node[name]["typeName"])[0]
            return found.oid if found else 0
        if name == "A_Expr" and node[name]["kind"] == "AEXPR_OP" and "lexpr" in node[name]:
            return self._result_type(node[name])
        if name in ("CoalesceExpr", "MinMaxExpr"):
            return shared_type([self.type_of(part) for part in node[name]["args"]])
        if name == "FuncCall":
            function = self._function(node[name])
            return function.result if function is not None and function.result not in POLYMORPHIC else 0
        return _VALUE_TYPES.get(node[name].get("op", "").removesuffix("_N"), 0) if name == "SQLValueFunction" else 0

    def _function(self, fields: dict[str, Any]) -> Function | None:
        """The built-in function that is called, as far as types are plain to see; None when they are not."""
        # The library is made of modules that need this one.
        from helios_cli.engine.sql.functions import REGISTRY

        name = tree.strings(fields["funcname"])[-1]
        given = tuple(self.type_of(node) for node in fields.get("args", []))
        if name in IO_FUNCTIONS:
            return Function(name, *IO_FUNCTIONS[name][1])
        try:
            return REGISTRY.lookup(name, given) if 0 not in given else None
        except SqlError:
            return None

    def _result_type(self, fields: dict[str, Any]) -> int:
        given = self.type_of(fields["lexpr"]), self.type_of(fields["rexpr"])
        found = _operator(tree.strings(fields["name"])[-1], given)
        return found.result if found is not None and found.result not in POLYMORPHIC else 0

    def _column(self, fields: dict[str, Any]) -> str:
        last = fields["fields"][-1]
        if "String" not in last:
            raise FeatureNotSupported("a stored expression cannot contain *")
        return pg_identifier(last["String"]["sval"])

    def _operand(self, node: Node, beside: Node, parent: str = "=", *, right: bool = False) -> str:
        """One side of an operator, with the casts its other side calls for."""
        own, other = self.type_of(node), self.type_of(beside)
        if own == UNKNOWN:
            known = TEXT if other in (VARCHAR, TEXT, 0, UNKNOWN) else other
            found = _operator(parent, (other, own)) if right and known != TEXT else None
            if found is not None and found.args[1] not in POLYMORPHIC:
                known = found.args[1]
            return self.expression(node, known)
        if own == VARCHAR and tree.tag(node) == "ColumnRef":
            return f"{self._cast_of(node)}::text"
        if other in (NUMERIC, FLOAT8) and own in WIDENED[other]:
            return self._widened(node, other)
        return self._inside(node, parent)

    def _widened(self, node: Node, target: int) -> str:
        """A number as a type that it becomes beside another number."""
        return f"{self._cast_of(node)}::{registry.format_type(target)}"

    def _operator(self, fields: dict[str, Any]) -> str:
        kind, symbol = fields["kind"], tree.strings(fields["name"])[-1]
        handler = {
            "AEXPR_IN": self._in,
            "AEXPR_BETWEEN": self._between,
            "AEXPR_NOT_BETWEEN": self._between,
            "AEXPR_OP_ANY": self._any_all,
            "AEXPR_OP_ALL": self._any_all,
            "AEXPR_NULLIF": self._nullif,
        }.get(kind)
        if handler is not None:
            return handler(fields)
        right: Node = fields["rexpr"]
        if "lexpr" not in fields:
            return self._whole(f"{symbol} {self._inside(right, symbol)}")
        left: Node = fields["lexpr"]
        if kind == "AEXPR_NOT_DISTINCT":
            return self._whole(f"NOT {self._operator({**fields, 'kind': 'AEXPR_DISTINCT'})}")
        word = "IS DISTINCT FROM" if kind == "AEXPR_DISTINCT" else symbol
        second = self._operand(right, left, symbol, right=True)
        if self._schemas and word == symbol:
            word = self._with_schema(symbol, left, right)
        return self._whole(f"{self._operand(left, right, symbol)} {word} {second}")

    def _with_schema(self, symbol: str, left: Node, right: Node) -> str:
        """An operator, that of an extension as ``OPERATOR(schema.=)``."""
        from helios_cli.engine.sql.extension_operators import extension_of

        found = _operator(symbol, (self.type_of(left), self.type_of(right)))
        schema = self._schemas.get(extension_of(found)) if found is not None else None
        return symbol if schema is None else f"OPERATOR({pg_identifier(schema)}.{symbol})"

    def _in(self, fields: dict[str, Any]) -> str:
        left: Node = fields["lexpr"]
        items = fields["rexpr"]["List"]["items"]
        member = items[0]
        negated = tree.strings(fields["name"])[-1] == "<>"
        own = self.type_of(left)
        widened = own == INT8 and "as_array" not in fields
        values = ", ".join(
            self._widened(item, INT8) if widened and self.type_of(item) == INT4 else self._operand(item, left)
            for item in items
        )
        if len(items) == 1:
            return self._whole(f"{self._operand(left, member)} {'<>' if negated else '='} {values}")
        test = "<> ALL" if negated else "= ANY"
        if self.type_of(left) == VARCHAR and all(self.type_of(item) == UNKNOWN for item in items):
            varied = ", ".join(self.expression(item, VARCHAR) for item in items)
            array = f"ARRAY[{varied}]::text[]" if self._pretty else f"(ARRAY[{varied}])::text[]"
            return self._whole(f"{self._operand(left, member)} {test} ({array})")
        return self._whole(f"{self._operand(left, member)} {test} (ARRAY[{values}])")

    def _between(self, fields: dict[str, Any]) -> str:
        left: Node = fields["lexpr"]
        low, high = fields["rexpr"]["List"]["items"]
        first = self._whole(f"{self._operand(left, low)} {{}} {self._operand(low, left)}")
        second = self._whole(f"{self._operand(left, high)} {{}} {self._operand(high, left)}")
        if fields["kind"] == "AEXPR_BETWEEN":
            return self._whole(f"{first.format('>=')} AND {second.format('<=')}")
        return self._whole(f"{first.format('<')} OR {second.format('>')}")

    def _any_all(self, fields: dict[str, Any]) -> str:
        word = "ANY" if fields["kind"] == "AEXPR_OP_ANY" else "ALL"
        symbol, left, right = tree.strings(fields["name"])[-1], fields["lexpr"], fields["rexpr"]
        array = right["TypeCast"]["arg"] if "TypeCast" in right else right
        elements = array.get("A_ArrayExpr", {}).get("elements") if "A_ArrayExpr" in array else None
        if elements and (word, symbol) in (("ANY", "="), ("ALL", "<>")) and len(elements) > 1:
            plain = [self._untyped(item) for item in elements]
            unwrapped = left["TypeCast"]["arg"] if "TypeCast" in left and "TypeCast" in right else left
            listed = {"List": {"items": plain}}
            return self._in({"lexpr": unwrapped, "rexpr": listed, "name": fields["name"], "as_array": True})
        known = registry.find_oid(self.type_of(right)) if self.type_of(left) == UNKNOWN else None
        element = known.elem_oid if known is not None else 0
        return self._whole(f"{self._inside(left, symbol, element)} {symbol} {word} ({self.expression(right)})")

    def _untyped(self, node: Node) -> Node:
        """An element of an array without the cast that the array's other side gives it again."""
        is_number = self.type_of(node) in (INT4, NUMERIC) and "TypeCast" in node
        return node["TypeCast"]["arg"] if "TypeCast" in node and not is_number else node

    def _nullif(self, fields: dict[str, Any]) -> str:
        left, right = fields["lexpr"], fields["rexpr"]
        return f"NULLIF({self._operand(left, right)}, {self._operand(right, left)})"

    def _boolean(self, fields: dict[str, Any]) -> str:
        operation = fields["boolop"]
        parts = [self._inside(part, operation) for part in fields["args"]]
        if operation == "NOT_EXPR":
            return self._whole(f"NOT {parts[0]}")
        return self._whole((" AND " if operation == "AND_EXPR" else " OR ").join(parts))

    def _call(self, fields: dict[str, Any]) -> str:
        if any(key in fields for key in ("agg_order", "agg_filter", "over", "agg_distinct", "agg_star")):
            raise FeatureNotSupported("a stored expression cannot contain an aggregate or window function")
        names, arguments = tree.strings(fields["funcname"]), self._arguments(fields)
        if names[-1] in _CONFIGURED and len(arguments) > 1 and self.type_of(fields["args"][0]) == UNKNOWN:
            arguments[0] = f"{quote_string(_plain_string(fields['args'][0]))}::regconfig"
        if fields.get("funcformat") == "COERCE_SQL_SYNTAX" and names[-1] == "extract":
            return f"EXTRACT({_plain_string(fields['args'][0])} FROM {arguments[1]})"
        if fields.get("funcformat") == "COERCE_SQL_SYNTAX":
            given: list[Node] = fields["args"]
            plain = str(given[-1]["A_Const"].get("sval", {}).get("sval", "")) if "A_Const" in given[-1] else ""
            bare = [self.expression(node) if tree.tag(node) == "ColumnRef" else text
                    for node, text in zip(given, arguments, strict=True)]  # fmt: skip
            written = in_words(names[-1], bare, plain)
            if written is not None:
                return written
        shown = names[-1:] if names[0] == "pg_catalog" else names
        return f"{'.'.join(pg_identifier(part) for part in shown)}({', '.join(arguments)})"

    def _arguments(self, fields: dict[str, Any]) -> list[str]:
        """The arguments of a call, cast as it takes them."""
        function = self._function(fields)
        wanted = [*function.args, *([function.args[-1]] * 100 if function.variadic else [])] if function else []
        return [
            self._argument(tree.strings(fields["funcname"])[-1], node, wanted[at] if at < len(wanted) else TEXT)
            for at, node in enumerate(fields.get("args", []))
        ]

    def _argument(self, function: str, node: Node, target: int) -> str:
        if function in ("nextval", "currval", "setval") and self.type_of(node) == UNKNOWN:
            return f"{quote_string(_plain_string(node))}::regclass"
        if self.type_of(node) == VARCHAR and tree.tag(node) == "ColumnRef" and target != ANY:
            return f"{self._cast_of(node)}::text"
        own = self.type_of(node)
        if target in CAST_BY_CALLS and own in CAST_BY_CALLS[target]:
            return f"{self._cast_of(node)}::{registry.format_type(target)}"
        return self.expression(node, 0 if target == ANY else TEXT if target in POLYMORPHIC else target)

    def _cast(self, fields: dict[str, Any]) -> str:
        known, typmod, shown = named_type(fields["typeName"])
        argument: Node = fields["arg"]
        if "A_Const" in argument and "sval" in argument["A_Const"]:
            return cast_constant(str(tree.const_value(argument["A_Const"])), known, typmod, shown)
        items: list[Node] = argument.get("A_ArrayExpr", {}).get("elements", [])
        if known is not None and known.elem_oid and items and all("A_Const" in item for item in items):
            return f"ARRAY[{', '.join(self._constant_of(item, known.elem_oid, typmod) for item in items)}]"
        return f"{self._cast_of(argument)}::{shown}"

    def _constant_of(self, node: Node, target: int, typmod: int) -> str:
        """A constant of an array that is cast as a whole: PostgreSQL gives the cast to each."""
        given = self.type_of(node)
        if typmod < 0 and given in (UNKNOWN, target):
            return self.expression(node, target)
        shown = registry.format_type(target, typmod)
        if given != UNKNOWN:
            return f"{self._cast_of(node)}::{shown}"
        return cast_constant(str(tree.const_value(node["A_Const"])), registry.by_oid(target), typmod, shown)

    def _null_test(self, fields: dict[str, Any]) -> str:
        word = "IS NULL" if fields["nulltesttype"] == "IS_NULL" else "IS NOT NULL"
        return self._whole(f"{self._inside(fields['arg'], 'IS')} {word}")

    def _boolean_test(self, fields: dict[str, Any]) -> str:
        return self._whole(f"{self._inside(fields['arg'], 'IS')} {_BOOLEAN_TESTS[fields['booltesttype']]}")

    def _case(self, fields: dict[str, Any]) -> str:
        head = f"CASE {self.expression(fields['arg'])}" if "arg" in fields else "CASE"
        lines = [head]
        for when in fields["args"]:
            branch = when["CaseWhen"]
            lines.append(f"    WHEN {self.expression(branch['expr'])} THEN {self.expression(branch['result'], TEXT)}")
        lines.append(f"    ELSE {self.expression(fields['defresult'], TEXT) if 'defresult' in fields else 'NULL'}")
        return "\n" + "\n".join([*lines, "END"])

    def _coalesce(self, fields: dict[str, Any]) -> str:
        first: Node = fields["args"][0]
        types = {self.type_of(node) for node in fields["args"]} - {UNKNOWN}
        if types == {VARCHAR}:
            return f"COALESCE({', '.join(self.expression(node, VARCHAR) for node in fields['args'])})"
        return f"COALESCE({self._alike(fields['args'], first)})"

    def _alike(self, nodes: list[Node], first: Node) -> str:
        """A list of which all parts become one type."""
        numbers = {self.type_of(node) for node in nodes}
        for wide in (FLOAT8, NUMERIC, INT8):
            if wide in numbers and numbers <= {wide, *WIDENED[wide]}:
                given = ((node, self.type_of(node)) for node in nodes)
                return ", ".join(
                    self._widened(node, wide) if own != wide else self.expression(node) for node, own in given
                )
        return ", ".join(self._operand(node, first) for node in nodes)

    def _min_max(self, fields: dict[str, Any]) -> str:
        word = "GREATEST" if fields.get("op", "IS_GREATEST") == "IS_GREATEST" else "LEAST"
        return f"{word}({self._alike(fields['args'], fields['args'][0])})"

    def _array(self, fields: dict[str, Any]) -> str:
        return f"ARRAY[{', '.join(self.expression(node, TEXT) for node in fields.get('elements', []))}]"

    def _row(self, fields: dict[str, Any]) -> str:
        return f"ROW({', '.join(self.expression(node) for node in fields.get('args', []))})"

    def _value_function(self, fields: dict[str, Any]) -> str:
        operation = fields["op"]
        if operation.endswith("_N"):
            return f"{_VALUE_FUNCTIONS[operation.removesuffix('_N')]}({fields['typmod']})"
        return _VALUE_FUNCTIONS[operation]

    def _subscript(self, fields: dict[str, Any]) -> str:
        text = self.expression(fields["arg"])
        if tree.tag(fields["arg"]) != "ColumnRef":
            text = f"({text})"
        for part in fields["indirection"]:
            if "String" in part:
                whole = f"({text})" if "ColumnRef" in fields["arg"] or not text.startswith("(") else text
                text = f"{whole}.{pg_identifier(part['String']['sval'])}"
                continue
            if "A_Indices" not in part or part["A_Indices"].get("is_slice"):
                raise FeatureNotSupported("a stored expression cannot contain a slice or field selection")
            text += f"[{self.expression(part['A_Indices']['uidx'], TEXT)}]"
        return text

    def _collate(self, fields: dict[str, Any]) -> str:
        names = tree.strings(fields["collname"])
        return self._whole(f"{self.expression(fields['arg'])} COLLATE {'.'.join(map(pg_identifier, names))}")


def _plain_string(node: Node) -> str:
    value = tree.const_value(node["A_Const"]) if "A_Const" in node else None
    if not isinstance(value, str):
        raise FeatureNotSupported("a stored expression needs a constant here")
    return value
