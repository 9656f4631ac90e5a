"""Names in the body of a standard SQL function, which keeps to what they meant when it was made."""

from __future__ import annotations

from typing import Any

from helios_cli.engine.sql import tree
from helios_cli.engine.sql.ddl_model import DdlCatalog
from helios_cli.engine.sql.extensions import FUNCTION_EXTENSIONS, SHARED_FUNCTIONS
from helios_cli.engine.sql.functions import REGISTRY
from helios_cli.engine.sql.sqltext import pg_identifier

_OWN = ("pg_catalog", "information_schema", "pg_temp")


def with_schemas(catalog: DdlCatalog, body: Any, source: str, start: int) -> str:
    """The statement's text from ``start`` on, in which the tree ``body`` lies: users' relations, functions and types
    with their schemas.
    """
    local = {
        part["CommonTableExpr"]["ctename"] for part in tree.walk(body) if isinstance(part.get("CommonTableExpr"), dict)
    }
    places: dict[int, str] = {}
    for part in tree.walk(body):
        for kind in ("RangeVar", "FuncCall", "typeName"):
            fields = part.get(kind)
            if isinstance(fields, dict) and fields.get("location", -1) >= 0:
                schema = _schema(catalog, kind, fields, local)
                if schema and schema not in _OWN:
                    places[fields["location"]] = schema
    data = source.encode()
    for at in sorted(places, reverse=True):
        data = data[:at] + f"{pg_identifier(places[at])}.".encode() + data[at:]
    return data[len(source[:start].encode()) :].decode()


def _schema(catalog: DdlCatalog, kind: str, fields: dict[str, Any], local: set[str]) -> str | None:
    """The schema of what a node names without one; None for what has one and for what PostgreSQL itself has."""
    if kind == "RangeVar":
        name = fields["relname"]
        found = catalog.relation(None, name) if "schemaname" not in fields and name not in local else None
        return found.schema if found is not None else None
    names = tree.strings(fields.get("funcname" if kind == "FuncCall" else "names", []))
    if len(names) != 1:
        return None
    if kind == "typeName":
        made = catalog.user_type(None, names[0])
        return made.schema if made is not None else None
    if REGISTRY.candidates(names[0]):
        created = catalog.extensions().get(FUNCTION_EXTENSIONS.get(names[0], ""))
        return created[1] if created is not None and names[0] not in SHARED_FUNCTIONS else None
    called = catalog.functions(None, names[0])
    routine = catalog.routine(called[0].oid) if called else None
    return routine.schema if routine is not None else None
