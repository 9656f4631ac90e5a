"""Names with a database before the schema: that can only be the one that the session is in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from helios_cli.engine.errors import FeatureNotSupported
from helios_cli.engine.sql import tree
from helios_cli.engine.sql.relation import CatalogReader

Found = tuple[str, str, int]
"""The database, what is said of the name, and the byte at which it stands; -1: nowhere."""


def check_databases(node: dict[str, Any], source: str, catalog: CatalogReader) -> None:
    """Raise SqlError 0A000 for a name in another database.

    A statement without two dots has no such name, and its tree is not looked through.
    """
    if source.count(".") < 2:
        return
    for database, shown, at in _named(node):
        if database != catalog.database.name:
            message = f"cross-database references are not implemented: {shown}"
            position = len(source.encode()[:at].decode(errors="ignore")) + 1 if at >= 0 else None
            raise FeatureNotSupported(message, position=position)


def _named(node: dict[str, Any]) -> Iterator[Found]:
    for part in tree.walk(node):
        if "catalogname" in part:
            database, schema, name = part["catalogname"], part.get("schemaname", ""), part["relname"]
            yield database, f'"{database}.{schema}.{name}"', part.get("location", -1)
        for kind, key in (("FuncCall", "funcname"), ("TypeName", "names"), ("typeName", "names")):
            fields = part.get(kind)
            if not isinstance(fields, dict) or len(fields.get(key, ())) != 3:
                continue
            names = tree.strings(fields[key])
            yield names[0], ".".join(names), fields.get("location", -1) if kind == "FuncCall" else -1
