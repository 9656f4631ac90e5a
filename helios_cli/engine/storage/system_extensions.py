"""Extensions as pg_catalog shows them: those that were created, those that could be, and the types that are theirs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.sql.extensions import EXTENSIONS, MEMBER_TYPES, TYPE_EXTENSIONS
from helios_cli.engine.storage.system_snapshot import Snapshot

Rows = Iterator[dict[str, Any]]
_PG_TYPE, _PG_EXTENSION, _PG_CATALOG = 1247, 3079, 11
_TRUSTED: Final = 1


def type_namespace(snapshot: Snapshot, name: str) -> int:
    """The OID of the schema that a built-in type is in; 0 for one whose extension was not created."""
    extension = TYPE_EXTENSIONS.get(name)
    if extension is None:
        return _PG_CATALOG
    created = snapshot.extensions.get(extension)
    return snapshot.schema_oid(created[1]) if created is not None else 0


def pg_extension(snapshot: Snapshot) -> Rows:
    """The extensions that were created."""
    for name, (oid, schema) in snapshot.extensions.items():
        yield {
            "oid": oid, "extname": name, "extowner": 10, "extnamespace": snapshot.schema_oid(schema),
            "extrelocatable": int(schema != "pg_catalog"), "extversion": EXTENSIONS[name].version,
        }  # fmt: skip


def extension_comments(snapshot: Snapshot) -> Rows:
    """Their rows of pg_description."""
    for name, (oid, _schema) in snapshot.extensions.items():
        yield {"objoid": oid, "classoid": _PG_EXTENSION, "objsubid": 0, "description": EXTENSIONS[name].comment}


def extension_members(snapshot: Snapshot) -> Rows:
    """Rows of pg_depend that tie types to their extension, so that a dump leaves them to CREATE EXTENSION."""
    for name, extension in MEMBER_TYPES.items():
        created, found = snapshot.extensions.get(extension), registry.by_internal_name(name)
        if created is not None and found is not None:
            yield {
                "classid": _PG_TYPE, "objid": found.oid, "refclassid": _PG_EXTENSION, "refobjid": created[0],
                "deptype": "e",
            }  # fmt: skip


def pg_available_extensions(snapshot: Snapshot) -> Rows:
    """The extensions that CREATE EXTENSION knows."""
    for extension in EXTENSIONS.values():
        yield {
            "name": extension.name, "default_version": extension.version,
            "installed_version": extension.version if extension.name in snapshot.extensions else None,
            "comment": extension.comment,
        }  # fmt: skip


def pg_available_extension_versions(snapshot: Snapshot) -> Rows:
    """The same by version, of which there is one."""
    for extension in EXTENSIONS.values():
        yield {
            "name": extension.name, "version": extension.version,
            "installed": int(extension.name in snapshot.extensions),
            "superuser": 1, "trusted": _TRUSTED, "relocatable": int(not extension.oid),
            "schema": "pg_catalog" if extension.oid else None, "requires": None, "comment": extension.comment,
        }  # fmt: skip
