"""DROP TABLE, VIEW, INDEX, SEQUENCE, SCHEMA with CASCADE and RESTRICT."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from helios_cli.engine.errors import HeliosError, SqlError
from helios_cli.engine.sql.ddl_build import (
    Builder,
    list_names,
    object_words,
    range_var_of,
    unsupported,
    wrong_kind_hint,
)
from helios_cli.engine.sql.ddl_cast import drop_casts
from helios_cli.engine.sql.ddl_collation import drop_collations, drop_collations_of
from helios_cli.engine.sql.ddl_dropping import drop_things
from helios_cli.engine.sql.ddl_extension import drop_extension
from helios_cli.engine.sql.ddl_operator import drop_operators
from helios_cli.engine.sql.ddl_policy import drop_policy
from helios_cli.engine.sql.ddl_routine import WORDS, drop_routine
from helios_cli.engine.sql.ddl_schema import INFORMATION_SCHEMA_OID, PG_CATALOG_OID
from helios_cli.engine.sql.ddl_thing import COLUMN, CONSTRAINT, INDEX, RELATION, SCHEMA, Thing
from helios_cli.engine.sql.ddl_things import Things
from helios_cli.engine.sql.ddl_trigger import drop_trigger
from helios_cli.engine.sql.ddl_types import drop_types
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.relation import Relation

_KINDS: Final = {
    "OBJECT_TABLE": ("table", ("r", "t")),
    "OBJECT_VIEW": ("view", ("v",)),
    "OBJECT_MATVIEW": ("materialized view", ("m", "M")),
    "OBJECT_SEQUENCE": ("sequence", ("S",)),
}
_TAGS: Final = {
    "OBJECT_TABLE": "DROP TABLE", "OBJECT_VIEW": "DROP VIEW", "OBJECT_SEQUENCE": "DROP SEQUENCE",
    "OBJECT_MATVIEW": "DROP MATERIALIZED VIEW", "OBJECT_INDEX": "DROP INDEX", "OBJECT_SCHEMA": "DROP SCHEMA",
}  # fmt: skip
_NOTHING_TO_DROP: Final = {
    "OBJECT_RULE": "rule",
    "OBJECT_FDW": "foreign-data wrapper", "OBJECT_FOREIGN_SERVER": "server", "OBJECT_FOREIGN_TABLE": "foreign table",
    "OBJECT_LANGUAGE": "language", "OBJECT_EVENT_TRIGGER": "event trigger", "OBJECT_STATISTIC_EXT": "statistics object",
    "OBJECT_PUBLICATION": "publication",
}  # fmt: skip
"""Kinds of objects that can never exist here, as notices and errors name them."""


def drop(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan a DROP of tables, views, sequences, indexes or schemas.

    Raises:
        SqlError: 42P01 or 42704 missing, 42809 another kind, 2BP01 something depends on it.
    """
    kind = fields["removeType"]
    if kind in ("OBJECT_TYPE", "OBJECT_DOMAIN"):
        return drop_types(builder, fields)
    if kind in WORDS:
        return drop_routine(builder, fields)
    if kind == "OBJECT_OPERATOR":
        return drop_operators(builder, fields)
    if kind == "OBJECT_CAST":
        return drop_casts(builder, fields)
    if kind == "OBJECT_POLICY":
        return drop_policy(builder, fields)
    if kind == "OBJECT_TRIGGER":
        return drop_trigger(builder, fields)
    if kind in _NOTHING_TO_DROP:
        return _drop_nothing(builder, fields, _NOTHING_TO_DROP[kind])
    if kind == "OBJECT_COLLATION":
        return drop_collations(builder, fields)
    if kind == "OBJECT_EXTENSION":
        return drop_extension(builder, fields)
    if kind not in _TAGS:
        raise unsupported(object_words(kind))
    if kind == "OBJECT_SCHEMA":
        names = [[node["String"]["sval"]] for node in fields["objects"]]
        handler: Callable[..., Thing | None] = _schema
    else:
        names = [list_names(node) for node in fields["objects"]]
        handler = _index if kind == "OBJECT_INDEX" else _relation
    found = [handler(builder, name, fields) for name in names]
    drop_things(builder, [thing for thing in found if thing is not None], fields)
    return builder.finish(_TAGS[kind])


def _drop_nothing(builder: Builder, fields: dict[str, Any], word: str) -> Plan:
    """DROP of a kind of object that never exists: an error, or a notice with IF EXISTS."""
    tag = f"DROP {fields['removeType'].removeprefix('OBJECT_')}"
    node = fields["objects"][0]
    if "String" in node:
        shown = node["String"]["sval"]
    elif "List" in node:
        shown = ".".join(part["String"]["sval"] for part in node["List"]["items"] if "String" in part)
    else:
        inner = next(iter(node.values()))
        shown = ".".join(part["String"]["sval"] for part in inner.get("objname", inner.get("names", [])))
    quoted = f'"{shown}"'
    if fields.get("missing_ok"):
        builder.notices.append(f"{word} {quoted} does not exist, skipping")
        return builder.finish(tag.replace("MATVIEW", "MATERIALIZED VIEW"))
    raise builder.error("42704", f"{word} {quoted} does not exist")


def _missing(
    builder: Builder, name: list[str], word: str, missing_ok: bool, state: str = "42P01"
) -> HeliosError | None:
    text = f'{word} "{name[-1]}" does not exist'
    if len(name) > 1 and builder.catalog.schema_oid(name[-2]) is None:
        state, text = "3F000", f'schema "{name[-2]}" does not exist'
    if missing_ok:
        builder.notices.append(f"{text}, skipping")
        return None
    return builder.error(state, text)


def _relation(builder: Builder, name: list[str], fields: dict[str, Any]) -> Thing | None:
    """The table, view or sequence that a DROP names; None for none, after a notice."""
    word, kinds = _KINDS[fields["removeType"]]
    range_var = range_var_of(name)
    relation = builder.catalog.relation(range_var.get("schemaname"), name[-1])
    if relation is None:
        index = builder.catalog.index_def(range_var.get("schemaname"), name[-1])
        if index is not None:
            raise _wrong_kind(builder, name[-1], word, "i")
        error = _missing(builder, name, word, bool(fields.get("missing_ok")))
        if error is not None:
            raise error
        return None
    if relation.kind == "c":
        raise builder.error("42501", f'permission denied: "{relation.name}" is a system catalog')
    if relation.kind not in kinds:
        raise _wrong_kind(builder, relation.name, word, relation.kind)
    _refuse_identity(builder, relation)
    return Thing(RELATION, relation.oid)


def _refuse_identity(builder: Builder, relation: Relation) -> None:
    """The sequence of an identity column goes with the column alone. Raises 2BP01."""
    sequence = builder.catalog.sequence_def(relation.oid) if relation.kind == "S" else None
    if sequence is None or not sequence.internal:
        return
    things = Things(builder)
    column = things.shown(Thing(COLUMN, sequence.owner_oid, sequence.owner_attnum))
    what = things.shown(Thing(RELATION, relation.oid))
    message = f"cannot drop {what} because {column} requires it"
    raise SqlError(message, sqlstate="2BP01", hint=f"You can drop {column} instead.")


def _wrong_kind(builder: Builder, name: str, word: str, kind: str) -> HeliosError:
    article = "an" if word == "index" else "a"
    return builder.error("42809", f'"{name}" is not {article} {word}', hint=wrong_kind_hint(kind))


def _index(builder: Builder, name: list[str], fields: dict[str, Any]) -> Thing | None:
    """The index that a DROP names; None for none, after a notice."""
    range_var = range_var_of(name)
    index = builder.catalog.index_def(range_var.get("schemaname"), name[-1])
    if index is None:
        relation = builder.catalog.relation(range_var.get("schemaname"), name[-1])
        if relation is not None:
            raise _wrong_kind(builder, relation.name, "index", relation.kind)
        error = _missing(builder, name, "index", bool(fields.get("missing_ok")), "42704")
        if error is not None:
            raise error
        return None
    table = builder.catalog.table_def(index.table_oid)
    constraints = table.constraints if table is not None else ()
    owner = next((found for found in constraints if found.index_oid == index.oid and found.kind in "pux"), None)
    thing = Thing(INDEX, index.table_oid, index.oid)
    above = builder.catalog.parents(index.oid)
    if above and table is not None:
        things = Things(builder)
        parent = Thing(INDEX, builder.catalog.parents(table.oid)[0], above[0])
        message = f"cannot drop {things.shown(thing)} because {things.shown(parent)} requires it"
        raise SqlError(message, sqlstate="2BP01", hint=f"You can drop {things.shown(parent)} instead.")
    if owner is not None:
        things = Things(builder)
        what = things.shown(Thing(CONSTRAINT, owner.oid))
        message = f"cannot drop {things.shown(thing)} because {what} requires it"
        raise SqlError(message, sqlstate="2BP01", hint=f"You can drop {what} instead.")
    return thing


def _schema(builder: Builder, name: list[str], fields: dict[str, Any]) -> Thing | None:
    """The schema that a DROP names; None for none, after a notice."""
    oid = builder.catalog.schema_oid(name[0])
    if oid is None:
        if fields.get("missing_ok"):
            builder.notices.append(f'schema "{name[0]}" does not exist, skipping')
            return None
        raise builder.error("3F000", f'schema "{name[0]}" does not exist')
    if oid in (PG_CATALOG_OID, INFORMATION_SCHEMA_OID):
        raise SqlError(f"cannot drop schema {name[0]} because it is required by the database system", sqlstate="2BP01")
    drop_collations_of(builder, name[0], cascade=fields.get("behavior") == "DROP_CASCADE")
    return Thing(SCHEMA, oid)
