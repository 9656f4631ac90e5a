"""DROP TABLE, VIEW, INDEX, SEQUENCE, SCHEMA with CASCADE and RESTRICT."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from helios_cli.engine.errors import HeliosError, SqlError
from helios_cli.engine.sql.ddl_build import Builder, kind_name, list_names, range_var_of, unsupported, wrong_kind_hint
from helios_cli.engine.sql.ddl_collation import drop_collations, drop_collations_of
from helios_cli.engine.sql.ddl_extension import drop_extension
from helios_cli.engine.sql.ddl_index import drop_index_steps
from helios_cli.engine.sql.ddl_model import ConstraintDef, IndexDef, TableDef
from helios_cli.engine.sql.ddl_policy import drop_policy, forget_steps
from helios_cli.engine.sql.ddl_rebuild import rebuild_table
from helios_cli.engine.sql.ddl_render import delete, qualified, update
from helios_cli.engine.sql.ddl_routine import WORDS, drop_routine, forget_routine
from helios_cli.engine.sql.ddl_schema import INFORMATION_SCHEMA_OID, PG_CATALOG_OID, PUBLIC_OID
from helios_cli.engine.sql.ddl_trigger import drop_trigger
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.relation import Relation
from helios_cli.engine.sql.routine_text import shown_signature
from helios_cli.engine.sql.routines import Routine

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
    "OBJECT_AGGREGATE": "aggregate", "OBJECT_OPERATOR": "operator",
    "OBJECT_RULE": "rule", "OBJECT_CAST": "cast",
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
        # Dropping a type drops columns, and ALTER TABLE's modules need this one.
        from helios_cli.engine.sql.ddl_types import drop_types

        return drop_types(builder, fields)
    if kind in WORDS:
        return drop_routine(builder, fields)
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
        raise unsupported(kind.removeprefix("OBJECT_").replace("_", " "))
    if kind == "OBJECT_SCHEMA":
        names = [[node["String"]["sval"]] for node in fields["objects"]]
        handler: Callable[..., None] = _drop_schema
    else:
        names = [list_names(node) for node in fields["objects"]]
        handler = _drop_index if kind == "OBJECT_INDEX" else _drop_relation
    dropping = Dropping(builder, cascade=fields.get("behavior") == "DROP_CASCADE")
    for name in names:
        handler(dropping, name, kind, bool(fields.get("missing_ok")))
    dropping.run()
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
    if word in ("function", "procedure", "routine", "aggregate"):
        shown += "()"
    quoted = shown if shown.endswith("()") else f'"{shown}"'
    if fields.get("missing_ok"):
        builder.notices.append(f"{word} {quoted} does not exist, skipping")
        return builder.finish(tag.replace("MATVIEW", "MATERIALIZED VIEW"))
    state = "42883" if shown.endswith("()") else "42704"
    raise builder.error(state, f"{word} {quoted} does not exist")


class Dropping:
    """The set of relations that go, worked out before any step is written."""

    def __init__(self, builder: Builder, *, cascade: bool) -> None:
        self.builder = builder
        self.cascade = cascade
        self.relations: dict[int, Relation] = {}
        self.indexes: dict[int, tuple[TableDef, IndexDef]] = {}
        self.schemas: list[str] = []
        self._implied: list[str] = []
        self._lost_keys: dict[int, tuple[TableDef, list[ConstraintDef]]] = {}

    def imply(self, what: str) -> None:
        """Something goes that the statement does not name."""
        self._implied.append(what)

    def run(self, implied: Sequence[str] = ()) -> None:
        """Find what depends on the named objects, then write the steps; ``implied`` goes besides.

        Raises:
            SqlError: 2BP01 without CASCADE.
        """
        self._implied += implied
        self._follow()
        if self._implied:
            message = f"drop cascades to {self._implied[0]}"
            if len(self._implied) > 1:
                message = f"drop cascades to {len(self._implied)} other objects"
            self.builder.notices.append(message)
        self._rebuild_referencing()
        for relation in sorted(self.relations.values(), key=lambda found: (found.kind != "v", found.oid)):
            self._drop_steps(relation)
        for table, index in self.indexes.values():
            if table.oid not in self.relations:
                self.builder.touch(table.temp)
                self.builder.add(*drop_index_steps(table.temp, index))
        for schema in self.schemas:
            self.builder.touch(False)
            self.builder.add(delete(False, "helios_namespace", nspname=schema))

    def _follow(self) -> None:
        catalog = self.builder.catalog
        waiting = list(self.relations.values())
        while waiting:
            relation = waiting.pop(0)
            for view in catalog.dependents(relation.oid):
                if view.oid not in self.relations:
                    self._depends(relation, f"view {view.name}")
                    self.relations[view.oid] = view
                    waiting.append(view)
            for routine in catalog.all_routines():
                if routine.relation == relation.oid:
                    self._lose_routine(relation, routine)
            for constraint in catalog.referencing(relation.oid):
                if constraint.table_oid not in self.relations:
                    self._lose_key(relation, constraint)
            self._check_sequence(relation)

    def _lose_routine(self, relation: Relation, routine: Routine) -> None:
        shown = f"function {shown_signature(routine)}"
        if not self.cascade:
            what = kind_name(relation.kind)
            raise SqlError(
                f"cannot drop {what} {relation.name} because other objects depend on it", sqlstate="2BP01",
                detail=f"{shown} depends on type {relation.name}",
                hint="Use DROP ... CASCADE to drop the dependent objects too.",
            )  # fmt: skip
        self._implied.append(shown)
        forget_routine(self.builder, routine, cascade=True)

    def _lose_key(self, relation: Relation, constraint: ConstraintDef) -> None:
        table = self.builder.catalog.table_def(constraint.table_oid)
        if table is None:
            return
        self._depends(relation, f"constraint {constraint.name} on table {table.name}")
        known = self._lost_keys.setdefault(table.oid, (table, []))
        known[1].append(constraint)

    def _check_sequence(self, relation: Relation) -> None:
        """A sequence that a column's default takes values from."""
        if relation.kind != "S":
            return
        sequence = self.builder.catalog.sequence_def(relation.oid)
        if sequence is None or not sequence.owner_oid or sequence.owner_oid in self.relations:
            return
        table = self.builder.catalog.table_def(sequence.owner_oid)
        column = (
            next((found for found in table.columns if found.attnum == sequence.owner_attnum), None) if table else None
        )
        if table is None or column is None or (column.default is None and not column.identity):
            return
        if sequence.internal:
            raise SqlError(
                f"cannot drop sequence {relation.name} because column {column.name} of table {table.name} requires it",
                sqlstate="2BP01", hint=f"You can drop column {column.name} of table {table.name} instead.",
            )  # fmt: skip
        if column.default is None or "nextval(" not in column.default:
            return
        self._depends(relation, f"default value for column {column.name} of table {table.name}")
        changes: dict[str, object] = {"default_text": None}
        step = update(table.temp, "helios_attribute", changes, relid=table.oid, attnum=column.attnum)
        self.builder.add(step)

    def _depends(self, on: Relation, what: str) -> None:
        if self.cascade:
            self._implied.append(what)
            return
        shown = f"{kind_name(on.kind)} {on.name}"
        raise SqlError(
            f"cannot drop {shown} because other objects depend on it", sqlstate="2BP01",
            detail=f"{what} depends on {shown}", hint="Use DROP ... CASCADE to drop the dependent objects too.",
        )  # fmt: skip

    def _rebuild_referencing(self) -> None:
        for table, lost in self._lost_keys.values():
            gone = {constraint.oid for constraint in lost}
            table.constraints = [kept for kept in table.constraints if kept.oid not in gone]
            for constraint in lost:
                self.builder.add(delete(table.temp, "helios_constraint", oid=constraint.oid))
            rebuild_table(self.builder, table)

    def _drop_steps(self, relation: Relation) -> None:
        builder, temp = self.builder, relation.kind == "t" or relation.oid >= 0x8000_0000
        builder.touch(temp)
        if relation.kind == "v":
            builder.add(f"DROP VIEW {qualified(relation.sqlite_name, temp)}")
        elif relation.kind in ("r", "t", "m", "M"):
            self._drop_table_parts(relation, temp)
        builder.add(*_forget(temp, relation.oid))
        if builder.catalog.triggers(relation.oid):
            builder.add(delete(temp, "helios_trigger", relid=relation.oid))

    def _drop_table_parts(self, relation: Relation, temp: bool) -> None:
        builder = self.builder
        table = builder.catalog.table_def(relation.oid)
        # Without references a DROP deletes nothing elsewhere, and the check of the whole database is saved.
        builder.fk_off |= bool(builder.catalog.referencing(relation.oid))
        builder.add(f"DROP TABLE {qualified(relation.sqlite_name, temp)}")
        for sequence in builder.catalog.owned_sequences(relation.oid):
            if sequence.oid not in self.relations:
                builder.add(*_forget(temp, sequence.oid))
        for index in table.indexes if table else ():
            builder.add(*_forget(temp, index.oid))
        builder.add(*forget_steps(builder, relation.oid))
        builder.add(
            delete(temp, "helios_index", relid=relation.oid), delete(temp, "helios_constraint", relid=relation.oid)
        )


def _forget(temp: bool, oid: int) -> list[str]:
    """Remove a relation's rows from the system tables."""
    steps = [
        delete(temp, "helios_relation", oid=oid),
        delete(temp, "helios_attribute", relid=oid),
        delete(temp, "helios_sequence", oid=oid),
        delete(temp, "helios_index", oid=oid),
        delete(temp, "helios_depend", objid=oid),
        delete(temp, "helios_description", objoid=oid),
    ]
    if not temp:
        steps.append(delete(False, "helios_privilege", objid=oid))
    return steps


def _missing(
    builder: Builder, name: list[str], word: str, missing_ok: bool, state: str = "42P01"
) -> HeliosError | None:
    shown = ".".join(name)
    if len(name) > 1 and builder.catalog.schema_oid(name[-2]) is None and missing_ok:
        builder.notices.append(f'schema "{name[-2]}" does not exist, skipping')
        return None
    if missing_ok:
        builder.notices.append(f'{word} "{shown}" does not exist, skipping')
        return None
    return builder.error(state, f'{word} "{shown}" does not exist')


def _drop_relation(dropping: Dropping, name: list[str], kind: str, missing_ok: bool) -> None:
    builder = dropping.builder
    word, kinds = _KINDS[kind]
    range_var = range_var_of(name)
    relation = builder.catalog.relation(range_var.get("schemaname"), name[-1])
    if relation is None:
        index = builder.catalog.index_def(range_var.get("schemaname"), name[-1])
        if index is not None:
            raise _wrong_kind(builder, name[-1], word, "i")
        error = _missing(builder, name, word, missing_ok)
        if error is not None:
            raise error
        return
    if relation.kind == "c":
        raise builder.error("42501", f'permission denied: "{relation.name}" is a system catalog')
    if relation.kind not in kinds:
        raise _wrong_kind(builder, relation.name, word, relation.kind)
    dropping.relations[relation.oid] = relation


def _wrong_kind(builder: Builder, name: str, word: str, kind: str) -> HeliosError:
    article = "an" if word == "index" else "a"
    return builder.error("42809", f'"{name}" is not {article} {word}', hint=wrong_kind_hint(kind))


def _drop_index(dropping: Dropping, name: list[str], _kind: str, missing_ok: bool) -> None:
    builder = dropping.builder
    range_var = range_var_of(name)
    index = builder.catalog.index_def(range_var.get("schemaname"), name[-1])
    if index is None:
        relation = builder.catalog.relation(range_var.get("schemaname"), name[-1])
        if relation is not None:
            raise _wrong_kind(builder, relation.name, "index", relation.kind)
        error = _missing(builder, name, "index", missing_ok, "42704")
        if error is not None:
            raise error
        return
    table = builder.catalog.table_def(index.table_oid)
    if table is None:
        return
    owner = next((found for found in table.constraints if found.index_oid == index.oid and found.kind in "pux"), None)
    if owner is not None:
        raise SqlError(
            f"cannot drop index {index.name} because constraint {owner.name} on table {table.name} requires it",
            sqlstate="2BP01", hint=f"You can drop constraint {owner.name} on table {table.name} instead.",
        )  # fmt: skip
    user = next((found for found in builder.catalog.referencing(table.oid) if found.ref_index_oid == index.oid), None)
    if user is not None:
        raise SqlError(
            f"cannot drop index {index.name} because other objects depend on it", sqlstate="2BP01",
            detail=f"constraint {user.name} depends on index {index.name}",
            hint="Drop the foreign key constraint first.",
        )  # fmt: skip
    dropping.indexes[index.oid] = (table, index)


def _drop_schema(dropping: Dropping, name: list[str], _kind: str, missing_ok: bool) -> None:
    builder = dropping.builder
    oid = builder.catalog.schema_oid(name[0])
    if oid is None:
        if missing_ok:
            builder.notices.append(f'schema "{name[0]}" does not exist, skipping')
            return
        raise builder.error("3F000", f'schema "{name[0]}" does not exist')
    if oid in (PG_CATALOG_OID, INFORMATION_SCHEMA_OID, PUBLIC_OID):
        if oid == PUBLIC_OID:
            raise unsupported("dropping the schema public", "Drop its objects one by one.")
        raise SqlError(f"cannot drop schema {name[0]} because it is required by the database system", sqlstate="2BP01")
    drop_collations_of(builder, name[0], cascade=dropping.cascade)
    inside = builder.catalog.schema_objects(name[0])
    routines = [routine for routine in builder.catalog.all_routines() if routine.schema == name[0]]
    if routines and not inside and not dropping.cascade:
        raise SqlError(
            f"cannot drop schema {name[0]} because other objects depend on it",
            sqlstate="2BP01",
            detail="\n".join(
                f"function {name[0]}.{shown_signature(routine)} depends on schema {name[0]}" for routine in routines
            ),
            hint="Use DROP ... CASCADE to drop the dependent objects too.",
        )
    for routine in routines:
        dropping.imply(f"function {name[0]}.{shown_signature(routine)}")
        forget_routine(builder, routine, cascade=True, gone=frozenset(found.oid for found in inside))
    # Dropping a type drops columns, and ALTER TABLE's modules need this one.
    from helios_cli.engine.sql.ddl_types import drop_types_in, types_in

    types = types_in(builder, name[0])
    if (inside or types) and not dropping.cascade:
        shown = "\n".join(
            f"{kind} {name[0]}.{found} depends on schema {name[0]}"
            for kind, found in [
                *(("type", one.name) for one in types), *((kind_name(one.kind), one.name) for one in inside),
            ]
        )  # fmt: skip
        raise SqlError(
            f"cannot drop schema {name[0]} because other objects depend on it", sqlstate="2BP01", detail=shown,
            hint="Use DROP ... CASCADE to drop the dependent objects too.",
        )  # fmt: skip
    dropping.relations.update({found.oid: found for found in inside})
    for found in types:
        dropping.imply(f"type {found.name}")
    if types:
        drop_types_in(builder, name[0], frozenset(dropping.relations))
    dropping.schemas.append(name[0])
