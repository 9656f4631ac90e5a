"""COPY: its options and the statements that read or store the rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from helios_cli.engine.datatypes.usertypes import needs_catalog
from helios_cli.engine.errors import FeatureNotSupported, SqlError
from helios_cli.engine.sql import casts, tree
from helios_cli.engine.sql.actions import CopyOptions
from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.dml import column_default, find_column, needs_default, target_relation
from helios_cli.engine.sql.expressions import translate
from helios_cli.engine.sql.from_clause import table_columns
from helios_cli.engine.sql.relation import ColumnInfo, Relation
from helios_cli.engine.sql.row_security import refuse_active
from helios_cli.engine.sql.scope import RangeItem, Scope
from helios_cli.engine.sql.sqltext import quote_identifier
from helios_cli.engine.sql.typed import Node
from helios_cli.engine.sql.user_casts import assigned_domain
from helios_cli.engine.sql.utility import flag

_FORMATS: Final = ("text", "csv", "binary")


def refuse_files(fields: dict[str, Any]) -> None:
    """COPY reads and writes the client's own stream only.

    Raises:
        FeatureNotSupported: a file or program is named.
    """
    if fields.get("is_program") or "filename" in fields:
        raise FeatureNotSupported(
            "COPY with a file or program is not supported",
            hint="Use COPY ... FROM STDIN or TO STDOUT; psql's \\copy does.",
        )


def read_options(nodes: list[Node], ctx: Context, *, is_from: bool) -> CopyOptions:
    """The options with the defaults of the format.

    Raises:
        SqlError: 42601, 22023, 0A000 as PostgreSQL's ProcessCopyOptions.
    """
    given: dict[str, Any] = {}
    for node in nodes:
        element = node["DefElem"]
        name = element["defname"]
        if name in given:
            raise ctx.error("42601", "conflicting or redundant options", element.get("location", -1))
        reader = _READERS.get(name)
        if reader is None:
            raise SqlError(f'option "{name}" not recognized', sqlstate="42601")
        given[name] = reader(element)
    given.pop("default", None)
    given.pop("log_verbosity", None)
    if not is_from and given.get("header", (False, False))[1]:
        raise SqlError('cannot use "match" with HEADER in COPY TO', sqlstate="0A000")
    return _with_defaults(given, is_from)


def _with_defaults(given: dict[str, Any], is_from: bool) -> CopyOptions:
    name = given.get("format", "text")
    if name not in _FORMATS:
        raise SqlError(f'COPY format "{name}" not recognized', sqlstate="22023")
    csv = name == "csv"
    for option in ("delimiter", "null", "header"):
        if name == "binary" and option in given and given[option] not in (False, (False, False)):
            word = option.upper() if option != "header" else "HEADER"
            raise SqlError(f"cannot specify {word} in BINARY mode", sqlstate="42601" if option != "header" else "0A000")
    for option in ("quote", "escape", "force_quote", "force_not_null", "force_null"):
        if option in given and not csv:
            shown = option.replace("_", " ")
            raise SqlError(f"COPY {shown} available only in CSV mode", sqlstate="0A000")
    header, match = given.pop("header", (False, False))
    quote = given.get("quote", '"')
    options = CopyOptions(
        format=name,
        delimiter=given.get("delimiter", "," if csv else "\t"),
        null=given.get("null", "" if csv else "\\N"),
        header=header,
        header_match=match,
        quote=quote,
        escape=given.get("escape", quote),
        force_quote=given.get("force_quote", ()),
        force_not_null=given.get("force_not_null", ()),
        force_null=given.get("force_null", ()),
        freeze=given.get("freeze", False),
        encoding=given.get("encoding"),
    )
    _check(options, is_from)
    return options


def _check(options: CopyOptions, is_from: bool) -> None:
    if len(options.delimiter.encode()) != 1:
        raise SqlError("COPY delimiter must be a single one-byte character", sqlstate="0A000")
    if options.delimiter in "\r\n":
        raise SqlError("COPY delimiter cannot be newline or carriage return", sqlstate="22023")
    if "\r" in options.null or "\n" in options.null:
        raise SqlError("COPY null representation cannot use newline or carriage return", sqlstate="22023")
    if options.format == "text" and options.delimiter in "\\.abcdefghijklmnopqrstuvwxyz0123456789":
        raise SqlError(f'COPY delimiter cannot be "{options.delimiter}"', sqlstate="22023")
    if options.format == "csv":
        for word, value in (("quote", options.quote), ("escape", options.escape)):
            if len(value.encode()) != 1:
                raise SqlError(f"COPY {word} must be a single one-byte character", sqlstate="0A000")
        if options.delimiter == options.quote:
            raise SqlError("COPY delimiter and quote must be different", sqlstate="22023")
    if options.delimiter in options.null:
        raise SqlError("COPY delimiter must not appear in the NULL specification", sqlstate="0A000")
    if is_from and options.force_quote != ():
        raise SqlError("COPY force quote only available using COPY TO", sqlstate="0A000")
    if not is_from and (options.force_not_null or options.force_null):
        raise SqlError("COPY force not null only available using COPY FROM", sqlstate="0A000")


def _text(element: dict[str, Any]) -> str:
    argument = element.get("arg")
    if argument is None or "String" not in argument:
        raise SqlError(f"{element['defname']} requires a parameter", sqlstate="42601")
    return str(argument["String"].get("sval", ""))


def _header(element: dict[str, Any]) -> tuple[bool, bool]:
    """Whether there is a header, and whether it is to match. Raises SqlError 42601."""
    argument = element.get("arg", {})
    word = argument.get("String", {}).get("sval", "").lower()
    if word == "match":
        return True, True
    number = argument.get("Integer", {}).get("ival", 0)
    if word not in ("", "true", "false", "on", "off") or number not in (0, 1):
        raise SqlError('header requires a Boolean value or "match"', sqlstate="42601")
    return flag(element), False


def _columns(element: dict[str, Any]) -> tuple[str, ...] | None:
    argument = element.get("arg", {})
    if "A_Star" in argument:
        return None
    return tuple(tree.strings(argument["List"]["items"]))


_READERS: Final[dict[str, Callable[[dict[str, Any]], Any]]] = {
    "format": lambda element: _text(element).lower(),
    "delimiter": _text,
    "null": _text,
    "header": _header,
    "quote": _text,
    "escape": _text,
    "encoding": _text,
    "freeze": flag,
    "force_quote": _columns,
    "force_not_null": lambda element: _columns(element) or (),
    "force_null": lambda element: _columns(element) or (),
}


def check_forced(options: CopyOptions, columns: Sequence[str], known: Sequence[str], relation: str) -> None:
    """The columns that options name must be among those that are read or written.

    ``known`` are all columns of the table ``relation``, which is empty for a query.

    Raises:
        SqlError: 42703 there is no such column, 42P10 it is left out.
    """
    for word in ("force_quote", "force_not_null", "force_null"):
        for name in getattr(options, word) or ():
            if name not in known:
                of = f' of relation "{relation}"' if relation else ""
                raise SqlError(f'column "{name}"{of} does not exist', sqlstate="42703")
            if name not in columns:
                raise SqlError(f'{word.upper()} column "{name}" not referenced by COPY', sqlstate="42P10")


def stored_columns(relation: Relation) -> list[ColumnInfo]:
    """The columns that COPY means when it names none: those whose values are not computed."""
    return [column for column in relation.columns if not column.generated]


def refuse_generated(columns: Sequence[ColumnInfo]) -> None:
    """Raise SqlError 42P10 when COPY names a computed column."""
    for column in columns:
        if column.generated:
            message, detail = (
                f'column "{column.name}" is a generated column',
                "Generated columns cannot be used in COPY.",
            )
            raise SqlError(message, sqlstate="42P10", detail=detail)


def copy_columns(fields: dict[str, Any], scope: Scope) -> tuple[Relation, list[ColumnInfo]]:
    """The table of COPY FROM and the columns that the data holds, in order."""
    relation = target_relation(fields["relation"], scope, "COPY")
    message = "COPY FROM not supported with row-level security"
    refuse_active(relation, scope.ctx, message, "Use INSERT statements instead.")
    names = tree.strings(fields.get("attlist", []))
    columns = [find_column(relation, name, scope, -1) for name in names] or stored_columns(relation)
    refuse_generated(columns)
    for position, column in enumerate(columns):
        if column in columns[:position]:
            raise SqlError(f'column "{column.name}" specified more than once', sqlstate="42701")
    scope.ctx.rights.inserts(relation.oid, (column.attnum for column in columns))
    return relation, columns


def _column_value(number: int, column: ColumnInfo, scope: Scope) -> str:
    """The data's column as it is stored: values of users' types are checked here, others were when they were read."""
    if not needs_catalog(column.type_oid) and not column.domain:
        return f"?{number}"
    value = casts.typed_parameter(number, column.type_oid, -1, scope.ctx)
    return assigned_domain(value, column, scope.ctx).sql


def copy_insert(relation: Relation, columns: list[ColumnInfo], scope: Scope, where: Node | None = None) -> str:
    """INSERT of one row: ?1 .. ?n are the data's columns, the others get their defaults. ``where`` may leave it out."""
    filled, values = copy_values(relation, columns, scope)
    table = quote_identifier(relation.sqlite_name or relation.name)
    if not filled and where is None:
        return f"INSERT INTO {table} DEFAULT VALUES"
    names = ", ".join(quote_identifier(name) for name in filled)
    return f"INSERT INTO {table} ({names}) {_row(relation, filled, values, scope, where)}"


def _row(relation: Relation, filled: tuple[str, ...], values: list[str], scope: Scope, where: Node | None) -> str:
    """The query of one row: none when ``where`` leaves it out."""
    if where is None:
        return f"VALUES ({', '.join(values)})"
    if not filled:
        raise scope.ctx.unsupported("COPY FROM WHERE into a table without columns", -1, hint="Leave WHERE out.")
    for part in tree.walk(where):
        if "SubLink" in part:
            at = part["SubLink"].get("location", -1)
            raise scope.ctx.error("0A000", "cannot use subquery in COPY FROM WHERE condition", at)
    own = table_columns(relation, "")
    inner = Scope(
        ctx=scope.ctx, items=[RangeItem(relation.name, own, relation)], columns=own, clause="COPY FROM WHERE conditions"
    )
    condition = casts.to_boolean(translate(where, inner), "WHERE", scope.ctx).sql
    row = [f"{value} AS {quote_identifier(name)}" for name, value in zip(filled, values, strict=True)]
    row += [f"NULL AS {quote_identifier(column.name)}" for column in relation.columns if column.name not in filled]
    names = ", ".join(quote_identifier(name) for name in filled)
    return f"SELECT {names} FROM (SELECT {', '.join(row)}) WHERE {condition}"


def copy_row(
    relation: Relation, columns: list[ColumnInfo], scope: Scope, where: Node | None = None
) -> tuple[tuple[str, ...], str]:
    """The columns that a row of the data fills, and the query of their values; ``where`` may leave the row out."""
    filled, values = copy_values(relation, columns, scope)
    return filled, _row(relation, filled, values, scope, where)


def copy_values(relation: Relation, columns: list[ColumnInfo], scope: Scope) -> tuple[tuple[str, ...], list[str]]:
    """The columns that a row of the data fills, and what with."""
    others = [column for column in relation.columns if column not in columns and needs_default(column)]
    values = [_column_value(number, column, scope) for number, column in enumerate(columns, 1)]
    values += [column_default(column, scope).sql for column in others]
    return tuple(column.name for column in [*columns, *others]), values
