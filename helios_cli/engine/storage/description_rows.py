"""Comments, as pg_description and pg_shdescription list them."""

from __future__ import annotations

from typing import Final

from helios_cli.engine.sql.ddl_schema import PUBLIC_OID
from helios_cli.engine.sql.privileges import PG_NAMESPACE
from helios_cli.engine.storage.system_extensions import extension_comments
from helios_cli.engine.storage.system_snapshot import Snapshot
from helios_cli.engine.storage.text_search_rows import text_search_comments
from helios_cli.engine.storage.type_rows import Rows

PUBLIC_COMMENT: Final = "standard public schema"
"""What the schema public says that was there from the beginning, unless it was given another comment."""


def pg_description(snapshot: Snapshot) -> Rows:
    """Comments."""
    yield from extension_comments(snapshot)
    yield from text_search_comments()
    said = any(oid == PUBLIC_OID and class_oid == PG_NAMESPACE for oid, class_oid, *_ in snapshot.descriptions)
    if not said and any(oid == PUBLIC_OID for oid, _name, _owner in snapshot.namespaces):
        yield {"objoid": PUBLIC_OID, "classoid": PG_NAMESPACE, "objsubid": 0, "description": PUBLIC_COMMENT}
    for oid, class_oid, column, text in snapshot.descriptions:
        if class_oid not in (1262, 1260):
            yield {"objoid": oid, "classoid": class_oid, "objsubid": column, "description": text}


def pg_shdescription(snapshot: Snapshot) -> Rows:
    """Comments on databases and roles."""
    for oid, class_oid, _column, text in snapshot.descriptions:
        if class_oid in (1262, 1260):
            yield {"objoid": oid, "classoid": class_oid, "description": text}
