"""Rows about collations in pg_catalog and information_schema."""

from __future__ import annotations

from helios_cli.engine.sql.text_collations import BUILTIN, BY_OID, Collation, oid_of
from helios_cli.engine.storage.system_snapshot import Snapshot
from helios_cli.engine.storage.type_rows import DATABASE_NAME, Row, Rows


def all_collations(snapshot: Snapshot) -> list[Collation]:
    """Those that every database has, then those that users made, by OID."""
    return [*sorted(BUILTIN.values(), key=lambda one: one.oid), *snapshot.collations]


def pg_collation(snapshot: Snapshot) -> Rows:
    """Collations."""
    for one in all_collations(snapshot):
        from_library = one.provider == "c"
        yield {
            "oid": one.oid, "collname": one.name, "collnamespace": snapshot.schema_oid(one.schema),
            "collowner": one.owner, "collprovider": one.provider, "collisdeterministic": int(one.deterministic),
            "collencoding": one.encoding, "collcollate": one.shown if from_library else None,
            "collctype": one.shown if from_library else None,
            "colliculocale": one.shown if one.provider == "i" else None,
        }  # fmt: skip


def collations(snapshot: Snapshot) -> Rows:
    """information_schema.collations."""
    for one in all_collations(snapshot):
        yield {
            "collation_catalog": DATABASE_NAME, "collation_schema": one.schema, "collation_name": one.name,
            "pad_attribute": "NO PAD",
        }  # fmt: skip


def applicability(snapshot: Snapshot) -> Rows:
    """information_schema.collation_character_set_applicability."""
    for one in all_collations(snapshot):
        yield {
            "collation_catalog": DATABASE_NAME, "collation_schema": one.schema, "collation_name": one.name,
            "character_set_name": "UTF8",
        }  # fmt: skip


def find(snapshot: Snapshot, word: str) -> Collation | None:
    """The collation of a word; None for one that is gone."""
    oid = oid_of(word)
    return BY_OID.get(oid) or next((one for one in snapshot.collations if one.oid == oid), None)


def column_facts(snapshot: Snapshot, word: str) -> Row:
    """What information_schema.columns says of a column's collation; nothing for the database's."""
    found = find(snapshot, word) if word else None
    if found is None or found.provider == "d":
        return {}
    return {
        "collation_catalog": DATABASE_NAME, "collation_schema": found.schema, "collation_name": found.name,
    }  # fmt: skip
