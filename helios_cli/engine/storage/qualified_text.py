"""Texts of definitions with the schemas that a search path makes necessary (what pg_dump relies on)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from functools import lru_cache, partial
from typing import Any, Final

from helios_cli.engine.errors import FeatureNotSupported, SqlError
from helios_cli.engine.sql import tree
from helios_cli.engine.sql.ddl_deparse import parse_expression, pretty_expression
from helios_cli.engine.sql.ddl_sequence_names import shown_default
from helios_cli.engine.sql.deparse_query import QueryWriter
from helios_cli.engine.sql.functions import REGISTRY
from helios_cli.engine.sql.planner import parse
from helios_cli.engine.sql.sqltext import pg_identifier
from helios_cli.engine.storage.extension_names import with_operators
from helios_cli.engine.storage.system_definitions import qualified_name
from helios_cli.engine.storage.system_snapshot import Snapshot
from helios_cli.engine.storage.type_rows import shown_text

_SUBQUERY: Final = re.compile(r"\(\s*(?:SELECT|WITH|VALUES)\b", re.IGNORECASE)
_GROUP: Final = re.compile(r"(?<![a-z0-9_$\"])\(", re.IGNORECASE)
"""A parenthesis that is not a call's: without any, none is needless."""


@lru_cache(maxsize=256)
def schemas_of(search_path: str) -> tuple[str, ...]:
    """The schemas that are searched for users' objects, from a session's search path (a JSON array)."""
    return ("pg_temp", *json.loads(search_path)) if search_path else ("pg_temp", "public")


@lru_cache(maxsize=256)
def path_of(search_path: str) -> tuple[str, ...]:
    """The schemas whose names are left out, from a session's search path (a JSON array)."""
    return ("pg_temp", "pg_catalog", *json.loads(search_path))


def expression_text(snapshot: Snapshot, table_oid: int, text: str, pretty: bool) -> str:
    """A stored expression for pg_get_expr: sequences with their schemas, without needless parentheses if ``pretty``."""
    if text == "DEFAULT" or text.startswith("FOR VALUES "):
        return text
    types = tuple((column.name, column.type_oid) for column in snapshot.columns.get(table_oid, ()))
    if _SUBQUERY.search(text):
        return _condition(snapshot, text, dict(types), pretty)
    if pretty and _GROUP.search(text):
        try:
            text = pretty_expression(text, types)
        except SqlError:
            return shown_text(snapshot, text) or ""
    text = with_operators(snapshot, text, types, pretty)
    return shown_default(shown_text(snapshot, text) or "", table_oid, snapshot.path)


def _condition(snapshot: Snapshot, text: str, types: dict[str, int], pretty: bool) -> str:
    """A kept condition with subqueries."""
    node = _without_schemas(parse_expression(text), snapshot)
    try:
        text = QueryWriter(partial(_relation, snapshot, snapshot.path), types, pretty=pretty).condition(node)
    except FeatureNotSupported:
        return shown_text(snapshot, text) or ""
    return shown_text(snapshot, text) or ""


_USUAL_PATH: Final = ("pg_temp", "pg_catalog", "public")


def shown_view(snapshot: Snapshot, view_oid: int, text: str) -> str:
    """A view's query in the catalogs' relations, which are the same for every session."""
    return plain_view(snapshot, view_oid, text, _USUAL_PATH) or f" {text};"


def plain_view(
    snapshot: Snapshot, view_oid: int, text: str, path: tuple[str, ...], *, pretty: bool = False
) -> str | None:
    """The query of a view as PostgreSQL prints it; None for one of a form that is not printed."""
    select = _without_schemas(parse(text)[0].node, snapshot).get("SelectStmt", {})
    names = [column.name for column in snapshot.columns.get(view_oid, ())]
    try:
        made = QueryWriter(partial(_relation, snapshot, path), pretty=pretty).query(select, names)
    except FeatureNotSupported:
        return None
    return shown_text(snapshot, _with_schemas(snapshot, made, {}))


def _relation(
    snapshot: Snapshot, path: tuple[str, ...], schema: str | None, name: str
) -> tuple[str, dict[str, int]] | None:
    """How a relation is written, and the types of its columns."""
    schemas = (schema,) if schema else path
    found = next((known for one in schemas if (known := snapshot.names.get((one, name))) is not None), None)
    if found is None:
        system = schema is None or schema in ("pg_catalog", "information_schema")
        shown = (
            f"{pg_identifier(schema)}.{pg_identifier(name)}" if schema == "information_schema" else pg_identifier(name)
        )
        return (shown, {}) if system else None
    first = next((known for one in path if (known := snapshot.names.get((one, name))) is not None), None)
    hidden = first is None or first.oid != found.oid
    shown = f"{f'{pg_identifier(found.schema)}.' * hidden}{pg_identifier(name)}"
    return shown, {column.name: column.type_oid for column in snapshot.columns.get(found.oid, ())}


def _without_schemas(node: Any, snapshot: Snapshot) -> Any:
    """A copy of a tree whose calls name users' functions without the schemas that the search path shows."""
    node = deepcopy(node)
    known = {(routine.schema, routine.name) for routine in snapshot.routines if routine.schema in snapshot.path}
    for kind, fields in _nodes(node):
        if kind == "FuncCall" and tuple(tree.strings(fields["funcname"])) in known:
            del fields["funcname"][0]
    return node


def view_text(snapshot: Snapshot, view_oid: int, text: str) -> str:
    """A view's query, each table, function and type that the search path does not show with its schema."""
    hidden: dict[str, str] = {}
    for target in snapshot.depends_of.get(view_oid, ()):
        relation = snapshot.relations.get(target)
        if relation is not None and relation.schema not in snapshot.path:
            hidden[relation.name] = relation.schema
    return _with_schemas(snapshot, text, hidden)


def viewdef(snapshot: Snapshot, oid: int, pretty: bool) -> str | None:
    """pg_get_viewdef; None for what is no view."""
    relation = snapshot.relations.get(oid)
    if relation is None or relation.kind not in "vmM":
        return None
    text = relation.definition or ""
    return plain_view(snapshot, oid, text, tuple(snapshot.path), pretty=pretty) or f" {view_text(snapshot, oid, text)};"


def ruledef(snapshot: Snapshot, oid: int, pretty: bool) -> str | None:
    """pg_get_ruledef of the rule of a view; None for what is no view."""
    name, query = qualified_name(snapshot, oid, not pretty), viewdef(snapshot, oid, pretty)
    return f'CREATE RULE "_RETURN" AS\n    ON SELECT TO {name} DO INSTEAD {query}' if query else None


def _with_schemas(snapshot: Snapshot, text: str, hidden: dict[str, str]) -> str:
    """A query with the schemas of what has none and is not in the search path; ``hidden`` are such relations."""
    functions = {
        routine.name: routine.schema
        for routine in snapshot.routines
        if routine.schema not in snapshot.path and not REGISTRY.candidates(routine.name)
    }
    types = {found.name: found.schema for found in snapshot.types.values() if found.schema not in snapshot.path}
    if not hidden and not any(name in text for name in (*functions, *types)):
        return text
    trees = [statement.node for statement in parse(text)]
    local = {fields["ctename"] for kind, fields in _nodes(trees) if kind == "CommonTableExpr"}
    places: dict[int, str] = {}
    for kind, fields in _nodes(trees):
        name, schemas = _bare_name(kind, fields, (hidden, functions, types))
        if name in schemas and "location" in fields and not (kind == "RangeVar" and name in local):
            places[fields["location"]] = schemas[name]
    data = text.encode()
    for at in sorted(places, reverse=True):
        data = data[:at] + f"{pg_identifier(places[at])}.".encode() + data[at:]
    return data.decode()


def _bare_name(kind: str, fields: dict[str, Any], known: tuple[dict[str, str], ...]) -> tuple[str, dict[str, str]]:
    """What a node names without a schema, and where such names are looked for; '' for another node."""
    if kind == "RangeVar":
        return ("" if "schemaname" in fields else fields["relname"]), known[0]
    named: list[Any] = fields.get({"FuncCall": "funcname", "typeName": "names"}.get(kind, ""), [])
    return (named[0]["String"]["sval"] if len(named) == 1 else ""), known[1 if kind == "FuncCall" else 2]


def _nodes(tree: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every node of a parse tree with its kind."""
    waiting = [tree]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            yield from ((kind, fields) for kind, fields in found.items() if isinstance(fields, dict))
            waiting.extend(found.values())
        elif isinstance(found, list):
            waiting.extend(found)
