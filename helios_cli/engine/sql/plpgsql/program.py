"""A PL/pgSQL body made ready to run: its variables, the names each place sees, and its statements."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from helios_cli.engine.errors import FeatureNotSupported, SqlError
from helios_cli.engine.sql import grammar
from helios_cli.engine.sql.plpgsql.cursor_arguments import unwrapped, wrapped
from helios_cli.engine.sql.plpgsql.source import Declaration, read_source

Json = dict[str, Any]

_PREFIX: Final = re.compile(r'pg_catalog\."?([^"]*)"?')
"""The tree qualifies the types that the language itself uses, and quotes the words for them."""
_UNKNOWN_STATEMENTS: Final = ("commit", "rollback")


@dataclass(slots=True)
class Names:
    """The names of one block or loop, and of those around it."""

    parent: Names | None = None
    label: str = ""
    entries: dict[str, int] = field(default_factory=dict)
    """Name -> number of the datum."""

    def find(self, name: str) -> int | None:
        """The datum of an unqualified name; None when there is none."""
        scope: Names | None = self
        while scope is not None:
            if name in scope.entries:
                return scope.entries[name]
            scope = scope.parent
        return None

    def labelled(self, label: str) -> Names | None:
        """The nearest block of a label; None when there is none."""
        scope: Names | None = self
        while scope is not None and scope.label != label:
            scope = scope.parent
        return scope


@dataclass(slots=True, eq=False)
class Expression:
    """A piece of SQL in a body, with the names it may use."""

    text: str
    names: Names
    whole: bool = False
    """It is a statement, not an expression."""
    plans: list[Any] = field(default_factory=list)
    """What the interpreter planned for it."""


@dataclass(slots=True)
class Datum:
    """One variable, record, field of a record, or list of targets."""

    kind: str
    """'var', 'rec', 'field' or 'row'."""
    name: str = ""
    type_text: str = ""
    not_null: bool = False
    constant: bool = False
    default: Expression | None = None
    parent: int = 0
    """Of a field: its record."""
    fields: list[int] = field(default_factory=list)
    """Of a row: its targets."""
    cursor: Expression | None = None
    cursor_row: int = -1
    """Of a bound cursor: the row of its arguments."""
    row_of: str = ""
    """Of a record: the table whose row it holds, as the text names it."""
    type_oid: int = 0
    typmod: int = -1
    relation: int = 0


@dataclass(slots=True)
class Statement:
    """One statement: its kind, as in PLpgSQL_stmt_..., and its fields."""

    kind: str
    line: int
    fields: Json
    declared: list[int] = field(default_factory=list)
    """Of a block: the datums it initialises."""
    number: int = -1
    """Of a loop over integers: the datum of its variable."""


@dataclass(slots=True)
class Program:
    """A body that can be run."""

    datums: list[Datum]
    body: Statement
    root: Names
    column_wins: bool | None
    types_known: bool = False
    moved: dict[int, int] = field(default_factory=dict)
    """Arguments for which another datum stands: by number."""

    def place(self, argument: int) -> int:
        """The datum that holds an argument."""
        return self.moved.get(argument, argument)


def parse_program(
    header: str,
    body: str,
    name: str,
    arguments: list[str],
    is_row: Callable[[str], bool],
    declared: Mapping[str, str] | None = None,
) -> Program:
    """Parse a body.

    ``header`` is the statement up to its body, such as ``CREATE FUNCTION f(a int) RETURNS int LANGUAGE plpgsql AS``.
    ``declared`` are the arguments that are variables of the body, with their types: refcursor or record.

    Raises:
        SqlError: PostgreSQL's own, mostly 42601.
    """
    declared = declared or {}
    source = read_source(body, is_row)
    text = wrapped(source.text, declared)
    tag = "$body$"
    while tag in text:
        tag = f"{tag[:-1]}_$"
    try:
        parsed: Any = grammar.parse_routine(f"{header} {tag}{text}{tag}")
    except grammar.Refused as error:
        raise SqlError(str(error.args[0]), sqlstate=_state_of(str(error.args[0]))) from None
    function = parsed[0]["PLpgSQL_function"]
    moved = unwrapped(function, arguments, declared)
    return _Compiler(function, source.blocks, source.returns, name, arguments).program(source.column_wins, moved)


def _state_of(message: str) -> str:
    if "is declared CONSTANT" in message:
        return "22005"
    if message.startswith(("RETURN ", "cannot use RETURN")):
        return "42804"
    if "unrecognized exception condition" in message:
        return "42704"
    return "42601"


class _Compiler:
    """Gives each expression its names; goes through the tree in the order of the text."""

    def __init__(
        self, function: Json, blocks: list[list[Declaration]], returns: list[str], name: str, arguments: list[str]
    ) -> None:
        self.raw = function.get("datums", [])
        self.function = function
        self.blocks: Iterator[list[Declaration]] = iter(blocks)
        self.returns: Iterator[str] = iter(returns)
        self.at = 0
        self.root = Names(label=name)
        self.arguments = arguments
        self.datums: list[Datum] = []

    def program(self, column_wins: bool | None, moved: dict[int, int]) -> Program:
        self.datums = [self._datum(node) for node in self.raw]
        for number, argument in enumerate(self.arguments):
            self.root.entries[f"${number + 1}"] = moved.get(number, number)
            if argument:
                self.root.entries[argument] = moved.get(number, number)
        for number, datum in enumerate(self.datums):
            special = datum.name in ("found", "new", "old") and datum.name not in self.root.entries
            if (special and number <= len(self.arguments) + 2) or datum.name.startswith("__Case__Variable"):
                self.root.entries[datum.name] = number
        self.at = max((len(self.arguments), *(number + 1 for number in moved.values())))
        own = self.root.entries.get("found", -1)
        if own >= self.at and "lineno" not in self.raw[own].get("PLpgSQL_var", {}):
            # A variable of that name is another one.
            self.at = own + 1
        body = self._statement(self.function["action"], self.root)
        return Program(self.datums, body, self.root, column_wins, moved=moved)

    def _datum(self, node: Json) -> Datum:
        kind, fields = next(iter(node.items()))
        if kind == "PLpgSQL_var":
            return Datum(
                "var",
                fields["refname"],
                _PREFIX.sub(r"\1", fields["datatype"]["PLpgSQL_type"]["typname"].strip()),
                not_null=bool(fields.get("notnull")),
                constant=bool(fields.get("isconst")),
                default=self._raw_expression(fields.get("default_val")),
                cursor=self._raw_expression(fields.get("cursor_explicit_expr"), whole=True),
                cursor_row=fields.get("cursor_explicit_argrow", -1),
            )
        if kind == "PLpgSQL_rec":
            return Datum("rec", fields["refname"], default=self._raw_expression(fields.get("default_val")))
        if kind == "PLpgSQL_recfield":
            return Datum("field", fields["fieldname"], parent=fields.get("recparentno", 0))
        return Datum("row", fields["refname"], fields=[item.get("varno", 0) for item in fields.get("fields", [])])

    def _raw_expression(self, node: Json | None, *, whole: bool = False) -> Expression | None:
        if node is None:
            return None
        return Expression(node["PLpgSQL_expr"]["query"], self.root, whole)

    def _convert(self, value: Any, names: Names) -> Any:
        if isinstance(value, list):
            return [self._convert(item, names) for item in value]
        if not isinstance(value, dict):
            return value
        if "PLpgSQL_expr" in value:
            fields = value["PLpgSQL_expr"]
            return Expression(fields["query"], names, fields.get("parseMode", 0) == 0)
        if len(value) == 1:
            key, inner = next(iter(value.items()))
            if key.startswith("PLpgSQL_stmt_"):
                return self._statement(value, names)
            if key == "PLpgSQL_row":
                return [item.get("varno", 0) for item in inner.get("fields", [])]
            if key in ("PLpgSQL_rec", "PLpgSQL_recfield", "PLpgSQL_var"):
                return self._target(key, inner, names)
            if key.startswith("PLpgSQL_"):
                return self._convert(inner, names)
        return {key: self._convert(item, names) for key, item in value.items()}

    def _target(self, key: str, fields: Json, names: Names) -> int:
        if key == "PLpgSQL_rec":
            return int(fields.get("dno", 0))
        if key == "PLpgSQL_var":
            return names.find(fields["refname"]) or 0
        parent, name = fields.get("recparentno", 0), fields["fieldname"]
        return next(
            number
            for number, datum in enumerate(self.datums)
            if datum.kind == "field" and datum.name == name and datum.parent == parent
        )

    def _statement(self, node: Json, names: Names) -> Statement:
        key, fields = next(iter(node.items()))
        kind = key.removeprefix("PLpgSQL_stmt_")
        line = fields.get("lineno", 0)
        if kind == "block":
            return self._block(fields, names, line)
        if kind == "fori":
            return self._integer_loop(fields, names, line)
        if kind in ("return", "return_next", "return_query") and line:
            text = next(self.returns, "")
            if kind != "return_query" and text and "expr" not in fields:
                return Statement(kind, line, {"expr": Expression(text, names)})
        if kind == "fors" or kind == "dynfors" or kind == "forc" or kind == "loop" or kind == "while":
            names = Names(names, fields.get("label", ""))
            loop_record = fields.get("var", {}).get("PLpgSQL_rec") if kind == "forc" else None
            if loop_record is not None:
                names.entries[loop_record["refname"]] = loop_record.get("dno", 0)
        if kind in _UNKNOWN_STATEMENTS:
            return Statement(kind, line, {})
        return Statement(kind, line, {name: self._convert(value, names) for name, value in fields.items()})

    def _block(self, fields: Json, names: Names, line: int) -> Statement:
        names = Names(names, fields.get("label", ""))
        block = Statement("block", line, {"label": fields.get("label", "")})
        for declared in next(self.blocks, []):
            self._declare(declared, names, block)
        block.fields["body"] = self._convert(fields.get("body", []), names)
        if "exceptions" in fields:
            handlers = fields["exceptions"]["PLpgSQL_exception_block"]["exc_list"]
            block.fields["handlers"] = [self._handler(item["PLpgSQL_exception"], names) for item in handlers]
        return block

    def _handler(self, fields: Json, names: Names) -> tuple[list[str], list[Statement]]:
        conditions = [item["PLpgSQL_condition"]["condname"] for item in fields["conditions"]]
        return conditions, self._convert(fields.get("action", []), names)

    def _declare(self, declared: Declaration, names: Names, block: Statement) -> None:
        if declared.alias_of:
            found = names.find(declared.alias_of.strip('"').lower())
            if found is None:
                raise SqlError(f'variable "{declared.alias_of}" does not exist', sqlstate="42704")
            names.entries[declared.name] = found
            return
        number = self._next(declared.name)
        datum = self.datums[number]
        if declared.is_row:
            datum.row_of = declared.type_text
        elif datum.kind == "var" and not datum.cursor:
            datum.type_text = declared.type_text or datum.type_text
        # What stands before it in the block is there already, what comes behind it is not.
        self._name_parts(datum, Names(names.parent, names.label, dict(names.entries)))
        names.entries[declared.name] = number
        block.declared.append(number)

    def _name_parts(self, datum: Datum, names: Names) -> None:
        """A default or a cursor's query sees the names of its block."""
        if datum.default is not None:
            datum.default.names = names
        if datum.cursor is not None:
            inner = Names(names)
            if datum.cursor_row >= 0:
                for number in self.datums[datum.cursor_row].fields:
                    inner.entries[self.datums[number].name] = number
            datum.cursor.names = inner

    def _next(self, name: str) -> int:
        """The next datum of a name in the order of the text."""
        for number in range(self.at, len(self.datums)):
            if self.datums[number].name == name and self.datums[number].kind in ("var", "rec"):
                self.at = number + 1
                return number
        raise FeatureNotSupported(f'the declaration of "{name}" is not understood')

    def _integer_loop(self, fields: Json, names: Names, line: int) -> Statement:
        name = fields["var"]["PLpgSQL_var"]["refname"]
        loop = Statement("fori", line, {"label": fields.get("label", ""), "reverse": fields.get("reverse", False)})
        for part in ("lower", "upper", "step"):
            if part in fields:
                loop.fields[part] = self._convert(fields[part], names)
        inner = Names(names, fields.get("label", ""))
        loop.number = inner.entries[name] = self._next(name)
        loop.fields["body"] = self._convert(fields.get("body", []), inner)
        return loop
