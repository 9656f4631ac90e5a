"""WITH CHECK OPTION: what is written through a view has to be seen through it (manual, CREATE VIEW)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from helios_cli.engine.sql import casts, grammar
from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.ddl_build import Builder
from helios_cli.engine.sql.ddl_storage import change_options, storage_options
from helios_cli.engine.sql.expressions import expect_boolean
from helios_cli.engine.sql.from_clause import table_columns
from helios_cli.engine.sql.functions import REGISTRY
from helios_cli.engine.sql.inheritance import row_alias
from helios_cli.engine.sql.oids import TEXT
from helios_cli.engine.sql.query import Output
from helios_cli.engine.sql.relation import Relation
from helios_cli.engine.sql.scope import RangeItem, Scope
from helios_cli.engine.sql.sqltext import quote_string

_SHOWN_COLUMNS_MAX: Final = 100
"""A row of more columns is not shown: SQLite's functions take 127 arguments at most."""
_OPTION: Final = re.compile(r"\s+WITH(?:\s+(?:LOCAL|CASCADED))?\s+CHECK\s+OPTION\s*;?\s*\Z", re.IGNORECASE)


def check_option_of(fields: dict[str, Any]) -> str:
    """'local', 'cascaded' or '', from the fields of a ViewStmt, which has it behind the query or among its options."""
    written = fields.get("withCheckOption", "NO_CHECK_OPTION")
    if written != "NO_CHECK_OPTION":
        return "local" if written == "LOCAL_CHECK_OPTION" else "cascaded"
    for node in fields.get("options", []):
        option = node["DefElem"]
        if option["defname"] == "check_option":
            # An unquoted word is parsed as the name of a type.
            word = option["arg"].get("TypeName", {}).get("names", [option["arg"]])[-1]
            return str(word["String"]["sval"]).lower()
    return ""


def view_options(fields: dict[str, Any], check_option: str) -> list[dict[str, Any]]:
    """The options of a ViewStmt, that of a check behind its query among them."""
    given: list[dict[str, Any]] = fields.get("options", [])
    if not check_option or any(node["DefElem"]["defname"] == "check_option" for node in given):
        return given
    return [*given, {"DefElem": {"defname": "check_option", "arg": {"String": {"sval": check_option}}}}]


def check_view_options(builder: Builder, options: list[dict[str, Any]]) -> None:
    """Raise SqlError 22023 for options of a view that there are not, or values that they do not take."""
    for pair in (storage_options([node]) or "{}" for node in options):
        name, _, value = pair[1:-1].partition("=")
        if name not in ("check_option", *_SWITCHES):
            raise builder.error("22023", f'unrecognized parameter "{name}"')
        if name in _SWITCHES and value not in _BOOLEANS:
            raise builder.error("22023", f'invalid value for boolean option "{name}": {value}')


def without_option(text: str) -> str:
    """A view's query without the option behind it."""
    return _OPTION.sub("", text)


def check_takes_option(builder: Builder, select: dict[str, Any]) -> None:
    """Raise SqlError 0A000 for a view that cannot be written through."""
    from helios_cli.engine.sql.updatable_views import why_not_simple

    ctx = Context(
        catalog=builder.catalog, functions=builder.functions, source=builder.source, encoded=builder.source.encode()
    )
    hint = why_not_simple(select, Scope(ctx=ctx))
    if hint is not None:
        message = "WITH CHECK OPTION is supported only on automatically updatable views"
        raise builder.error("0A000", message, hint=hint)


_SWITCHES: Final = ("security_barrier", "security_invoker")
_BOOLEANS: Final = frozenset(("true", "false", "on", "off", "yes", "no", "1", "0"))
SET_OPTIONS: Final = ("AT_SetRelOptions", "AT_ResetRelOptions")
"""Of ALTER VIEW: SET (...) and RESET (...)."""


def set_view_options(builder: Builder, view: Relation, command: dict[str, Any]) -> None:
    """ALTER VIEW ... SET or RESET (...). Raises SqlError 22023, 0A000."""
    nodes = command.get("def", {}).get("List", {}).get("items", [])
    if command["subtype"] == "AT_SetRelOptions":
        check_view_options(builder, nodes)
    for node in nodes:
        option = node["DefElem"]
        if option["defname"] != "check_option":
            continue
        if command["subtype"] == "AT_SetRelOptions":
            value = check_option_of({"options": [node]})
            if value not in ("local", "cascaded"):
                detail = 'Valid values are "local" and "cascaded".'
                raise builder.error("22023", f'invalid value for enum option "check_option": {value}', detail=detail)
            parsed: Any = grammar.parse(builder.catalog.view_query(view.oid) or "")
            check_takes_option(builder, parsed[0]["stmt"]["SelectStmt"])
    change_options(builder, view.oid, nodes, reset=command["subtype"] == "AT_ResetRelOptions")


def view_checks(fields: dict[str, Any], item: RangeItem, scope: Scope) -> list[str]:
    """Calls that give 1 for each condition that a statement's new rows have to meet, and raise 44000 otherwise."""
    from helios_cli.engine.sql.updatable_views import CHECKS

    found = fields.get(CHECKS)
    if not found:
        return []
    relation = item.relation
    assert relation is not None
    inner = Scope(ctx=scope.ctx, parent=scope.parent, ctes=scope.ctes, clause="RETURNING")
    columns = table_columns(relation, row_alias(relation, expanded=item.expanded))
    inner.items, inner.columns = [RangeItem(item.name, columns, relation, relation.schema)], columns
    shown = [casts.cast_sql(column.value, TEXT, scope.ctx) for column in columns]
    row = ", ".join(["", *shown]) if len(shown) <= _SHOWN_COLUMNS_MAX else ""
    calls = []
    for view, node in found:
        condition = expect_boolean(node, inner, "WHERE").sql
        calls.append(f"pg_check_option({condition}, {quote_string(view)}{row})")
    return calls


def with_checks(returning: str, outputs: list[Output], checks: list[str]) -> str:
    """A RETURNING clause that checks each row before anything of it is returned."""
    if not checks:
        return returning
    test = " AND ".join(checks)
    if not outputs:
        return f" RETURNING {test}"
    values = [output.value.sql for output in outputs]
    return f" RETURNING {', '.join([f'CASE WHEN {test} THEN {values[0]} END', *values[1:]])}"


@lru_cache(1024)
def is_simple(text: str) -> bool:
    """Whether a view over a query is automatically updatable, as far as its text alone tells."""
    from helios_cli.engine.sql.updatable_views import reason_of_form

    parsed: Any = grammar.parse(text)
    select = parsed[0]["stmt"].get("SelectStmt") if parsed else None
    return select is not None and reason_of_form(select, _is_folding) is None


def _is_folding(name: str) -> bool:
    return any(function.aggregate or function.set_returning for function in REGISTRY.candidates(name))
