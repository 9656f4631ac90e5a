"""The tables and sequences that CREATE SCHEMA makes along with the schema."""

from __future__ import annotations

from typing import Any, Final, cast

from helios_cli.engine.sql import tree
from helios_cli.engine.sql.ddl_build import Builder, unsupported
from helios_cli.engine.sql.ddl_create import create_table
from helios_cli.engine.sql.ddl_model import DdlCatalog
from helios_cli.engine.sql.ddl_sequence import create_sequence
from helios_cli.engine.sql.typed import Node

_NAMED: Final = {"CreateStmt": ("relation", create_table), "CreateSeqStmt": ("sequence", create_sequence)}


class _WithSchema:
    """A catalog that knows of a schema which is being made, and looks for names in it first."""

    def __init__(self, catalog: DdlCatalog, name: str, oid: int) -> None:
        self._catalog, self._name, self._oid = catalog, name, oid
        self.search_path = (name, *catalog.search_path)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._catalog, name)

    def schema_oid(self, name: str) -> int | None:
        """As of the catalog; of the new schema the OID that it gets."""
        return self._oid if name == self._name else self._catalog.schema_oid(name)


def create_parts(builder: Builder, nodes: list[Node], name: str, oid: int) -> None:
    """Write the steps that make what stands in a CREATE SCHEMA.

    Raises:
        SqlError: 42P15 the name of another schema; 0A000 what is no table or sequence, or names another one of them.
    """
    hint = "Create the schema first, then its objects."
    made = {node[kind][_NAMED[kind][0]]["relname"] for node in nodes if (kind := tree.tag(node)) in _NAMED}
    builder.catalog = cast(DdlCatalog, _WithSchema(builder.catalog, name, oid))
    # Sequences come first (transformCreateSchemaStmt, parse_utilcmd.c).
    for node in sorted(nodes, key=lambda one: tree.tag(one) != "CreateSeqStmt"):
        kind = tree.tag(node)
        if kind not in _NAMED:
            raise unsupported("CREATE SCHEMA with other objects than tables and sequences inside", hint)
        field, handler = _NAMED[kind]
        fields = node[kind]
        range_var = fields[field]
        given = range_var.get("schemaname", name)
        if given != name:
            message = f"CREATE specifies a schema ({given}) different from the one being created ({name})"
            raise builder.error("42P15", message)
        if range_var.get("relpersistence") == "t":
            raise unsupported("a temporary table in CREATE SCHEMA", hint)
        others = [key for key in fields if key != field]
        if any(_names(part, made) for key in others for part in tree.walk(fields[key])):
            raise unsupported("CREATE SCHEMA with objects that name each other", hint)
        handler(builder, {**fields, field: {**range_var, "schemaname": name}})


def _names(part: Node, made: set[str]) -> bool:
    """Whether a node names one of the new objects: a foreign key, a LIKE clause, a parent, nextval()."""
    key = part.get("pktable")
    if isinstance(key, dict) and key.get("relname") in made:
        return True
    return part.get("relname") in made or part.get("sval") in made
