"""What a DROP takes along: found, told or refused in PostgreSQL's order, and then written as steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from helios_cli.engine.datatypes.usertypes import kind_of, relation_of
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.ddl_alter_columns import Alteration, take_column, take_constraint, take_default
from helios_cli.engine.sql.ddl_build import Builder, unsupported
from helios_cli.engine.sql.ddl_index import drop_index_steps
from helios_cli.engine.sql.ddl_model import TableDef
from helios_cli.engine.sql.ddl_part_keys import drop_keys
from helios_cli.engine.sql.ddl_policy import forget_steps
from helios_cli.engine.sql.ddl_render import delete, qualified
from helios_cli.engine.sql.ddl_thing import (
    CAST,
    COLUMN,
    CONSTRAINT,
    DEFAULT,
    EXTENSION,
    INDEX,
    OPERATOR,
    POLICY,
    RELATION,
    ROUTINE,
    SCHEMA,
    TRIGGER,
    TYPE,
    Thing,
)
from helios_cli.engine.sql.ddl_things import Things
from helios_cli.engine.sql.ddl_trigger import forget, is_temporary
from helios_cli.engine.sql.extensions import META_KEY
from helios_cli.engine.sql.plan import Detailed
from helios_cli.engine.sql.relation import Relation
from helios_cli.engine.sql.sqltext import constant

REPORTED_MAX: Final = 100
"""How many dependents a message lists (MAX_REPORTED_DEPS, dependency.c)."""
HINT: Final = "Use DROP ... CASCADE to drop the dependent objects too."


class Dropping:
    """The set of things that go, worked out before any step is written."""

    def __init__(self, builder: Builder, *, cascade: bool) -> None:
        self.builder = builder
        self.cascade = cascade
        self.things = Things(builder)
        self.gone: dict[Thing, bool] = {}
        """What goes, dependents first, and whether that needs no word."""
        self._because: dict[Thing, Thing] = {}
        self._alterations: dict[int, Alteration] = {}
        self._left: set[int] = set()
        """The partitioned tables whose default partition has got what goes."""

    def within(self, alteration: Alteration) -> None:
        """The DROP is part of an ALTER TABLE, which writes its own steps in the end."""
        self._alterations[alteration.table.oid] = alteration
        self.things.tables[alteration.table.oid] = alteration.table

    def run(self, named: Sequence[Thing]) -> None:
        """Find what depends on the named things, then write the steps.

        Raises:
            SqlError: 2BP01, there is something and it is no CASCADE.
        """
        own = set(self._alterations)
        for thing in named:
            self._follow(thing, None, frozenset(), silent=True)
        self.gone.update(dict.fromkeys(named, True))
        self._report(named)
        self._write(own)

    def relations(self) -> set[int]:
        """The OIDs of the tables, views and sequences that go."""
        return {thing.oid for thing in self.gone if thing.kind == RELATION}

    # -- finding (findDependentObjects, dependency.c) ---------------------------------------------

    def _follow(self, thing: Thing, because: Thing | None, above: frozenset[Thing], *, silent: bool) -> None:
        if thing in above:
            return
        if thing in self.gone:
            self.gone[thing] |= silent
            return
        for other, part in self.things.on(thing):
            self._follow(other, thing, above | {thing}, silent=part)
        if thing not in self.gone:
            self.gone[thing] = silent
            if because is not None:
                self._because[thing] = because

    def _told(self) -> Iterator[Thing]:
        """What is worth a word, in the order of dependency; parts of what goes are not."""
        for thing, silent in reversed(self.gone.items()):
            whole = Thing(TYPE if kind_of(thing.oid) else RELATION, thing.oid)
            part = thing.kind in (COLUMN, DEFAULT, INDEX, POLICY) and whole in self.gone
            if not silent and not part and thing in self._because:
                yield thing

    def _report(self, named: Sequence[Thing]) -> None:
        shown = self.things.shown
        told = [(shown(thing), shown(self._because[thing])) for thing in self._told()]
        if not told:
            return
        lines = [f"drop cascades to {what}" if self.cascade else f"{what} depends on {why}" for what, why in told]
        if len(lines) > REPORTED_MAX:
            others = len(lines) - REPORTED_MAX
            word = "objects" if others > 1 else "object"
            lines = [*lines[:REPORTED_MAX], f"and {others} other {word} (see server log for list)"]
        if not self.cascade:
            message = "cannot drop desired object(s) because other objects depend on them"
            if len(named) == 1:
                message = f"cannot drop {shown(named[0])} because other objects depend on it"
            raise SqlError(message, sqlstate="2BP01", detail="\n".join(lines), hint=HINT)
        if len(told) == 1:
            self.builder.notices.append(lines[0])
        else:
            text = f"drop cascades to {len(told)} other objects"
            self.builder.notices.append(Detailed(text, detail="\n".join(lines)))

    # -- writing ----------------------------------------------------------------------------------

    def _write(self, own: set[int]) -> None:
        self._drop_keys()
        relations = [self.things.relation(thing.oid) for thing in self._of(RELATION)]
        for view in relations:
            if view is not None and view.kind == "v":
                self._drop_relation(view)
        self._take_parts()
        self._take_columns(set(self._tables()) - own)
        for oid, alteration in self._alterations.items():
            if oid not in own:
                alteration.finish()
        self._take_columns(own)
        for relation in relations:
            if relation is not None and relation.kind != "v":
                self._drop_relation(relation)
        for thing in self.gone:
            self._drop_other(thing)

    def _drop_keys(self) -> None:
        """What is kept for foreign keys that refer to partitioned tables, and go."""
        found = [self.things.constraint(thing.oid) for thing in self._of(CONSTRAINT)]
        gone = {thing.oid for thing in self.gone if thing.kind in (CONSTRAINT, RELATION)}
        drop_keys(self.builder, [one for one in found if one is not None and one.kind == "f"], gone)

    def _of(self, kind: str) -> list[Thing]:
        return [thing for thing in self.gone if thing.kind == kind]

    def _alteration(self, oid: int) -> Alteration | None:
        """The change of a table that stays; None for one that goes."""
        if Thing(RELATION, oid) in self.gone:
            return None
        if oid not in self._alterations:
            table = self.things.table(oid)
            if table is None:
                return None
            self.builder.touch(table.temp)
            self._alterations[oid] = Alteration(self.builder, table)
        return self._alterations[oid]

    def _take_parts(self) -> None:
        """Take constraints, indexes and defaults out of tables that stay."""
        for thing in self._of(CONSTRAINT):
            constraint = self.things.constraint(thing.oid)
            alteration = self._alteration(constraint.table_oid) if constraint is not None else None
            if alteration is not None:
                take_constraint(alteration, thing.oid)
                self.builder.add(*_forget_parents(self.builder, thing.oid, alteration.table.temp))
        for thing in self._of(INDEX):
            alteration, index = self._alteration(thing.oid), self.things.index(thing)
            if alteration is not None and index is not None:
                alteration.table.indexes.remove(index)
                temp = alteration.table.temp
                self.builder.add(*drop_index_steps(temp, index), *_forget_parents(self.builder, index.oid, temp))
        for thing in self._of(DEFAULT):
            alteration = self._alteration(thing.oid)
            if alteration is not None and thing._replace(kind=COLUMN) not in self.gone:
                take_default(alteration, next(one for one in alteration.table.columns if one.attnum == thing.sub))

    def _tables(self) -> list[int]:
        """The OIDs of what loses columns."""
        return [thing.oid for thing in self._of(COLUMN)]

    def _take_columns(self, tables: set[int]) -> None:
        for thing in self._of(COLUMN):
            if thing.oid not in tables:
                continue
            if kind_of(thing.oid):
                if Thing(TYPE, thing.oid) not in self.gone:
                    raise unsupported("dropping a type that a composite type uses", "Drop the composite type first.")
                continue
            alteration = self._alteration(thing.oid)
            if alteration is not None:
                take_column(alteration, next(one for one in alteration.table.columns if one.attnum == thing.sub))

    def _drop_relation(self, relation: Relation) -> None:
        builder, temp = self.builder, is_temporary(relation.oid)
        builder.touch(temp)
        if relation.kind == "v":
            builder.add(f"DROP VIEW {qualified(relation.sqlite_name, temp)}")
        elif relation.kind != "S":
            self._drop_table_parts(relation, temp)
        builder.add(*_forget(temp, relation.oid), *_forget_parents(builder, relation.oid, temp))

    def _drop_table_parts(self, relation: Relation, temp: bool) -> None:
        builder = self.builder
        table = builder.catalog.table_def(relation.oid)
        # Without references a DROP deletes nothing elsewhere, and the check of the whole database is saved.
        builder.fk_off |= bool(builder.catalog.referencing(relation.oid))
        builder.add(f"DROP TABLE {qualified(relation.sqlite_name, temp)}")
        for index in table.indexes if table else ():
            builder.add(*_forget(temp, index.oid), *_forget_parents(builder, index.oid, temp))
        for constraint in table.constraints if table else ():
            builder.add(*_forget_parents(builder, constraint.oid, temp))
        if table is not None and table.is_partition:
            self._leave(table)
        builder.add(*forget_steps(builder, relation.oid))
        builder.add(
            delete(temp, "helios_index", relid=relation.oid), delete(temp, "helios_constraint", relid=relation.oid)
        )

    def _leave(self, partition: TableDef) -> None:
        """The default partition gets what a partition that goes has had."""
        # The module that does it needs the one of ALTER TABLE.
        from helios_cli.engine.sql.ddl_partition_parts import narrow_default

        gone = self.relations()
        parent = self.builder.catalog.table_def(self.builder.catalog.parents(partition.oid)[0])
        if parent is not None and parent.oid not in gone | self._left:
            self._left.add(parent.oid)
            narrow_default(self.builder, parent, None, gone)

    def _drop_other(self, thing: Thing) -> None:
        builder, temp = self.builder, is_temporary(thing.oid)
        if thing.kind == TRIGGER:
            trigger = self.things.trigger(thing.oid)
            if trigger is not None:
                builder.touch(temp)
                builder.add(forget(trigger), delete(temp, "helios_description", objoid=thing.oid))
        elif thing.kind == POLICY and Thing(RELATION, thing.oid) not in self.gone:
            builder.touch(False)
            builder.add(delete(False, "helios_policy", oid=thing.sub), *_described(False, thing.sub))
        elif thing.kind == ROUTINE:
            builder.touch(False)
            builder.add(delete(False, "helios_function", oid=thing.oid), *_described(False, thing.oid))
        elif thing.kind == TYPE and not thing.oid & 1 and not relation_of(thing.oid):
            # The module that makes types needs this one.
            from helios_cli.engine.sql.ddl_types import forget_type

            forget_type(builder, thing.oid)
        elif thing.kind in (OPERATOR, CAST):
            builder.touch(False)
            builder.add(delete(False, f"helios_{thing.kind}", oid=thing.oid), *_described(False, thing.oid))
        elif thing.kind == EXTENSION:
            name = self.things.extension(thing.oid)
            key = constant(f"{META_KEY}{name} {builder.catalog.extensions()[name][1]}")
            builder.add(f"DELETE FROM main.helios_meta WHERE key = {key}")
        elif thing.kind == SCHEMA:
            builder.touch(False)
            builder.add(delete(False, "helios_namespace", oid=thing.oid), *_described(False, thing.oid))


def _described(temp: bool, oid: int) -> list[str]:
    """Remove what is said of an object, and the rights on it."""
    steps = [delete(temp, "helios_description", objoid=oid)]
    return steps if temp else [*steps, delete(False, "helios_privilege", objid=oid)]


def _forget(temp: bool, oid: int) -> list[str]:
    """Remove a relation's rows from the system tables."""
    return [
        delete(temp, "helios_relation", oid=oid),
        delete(temp, "helios_attribute", relid=oid),
        delete(temp, "helios_sequence", oid=oid),
        delete(temp, "helios_index", oid=oid),
        delete(temp, "helios_depend", objid=oid),
        *_described(temp, oid),
    ]


def _forget_parents(builder: Builder, oid: int, temp: bool) -> list[str]:
    """Remove what is known of the tables that a table inherits from, and of its parts; heirs go before it."""
    steps = [delete(temp, "helios_inherits", inhrelid=oid)] if builder.catalog.parents(oid) else []
    if builder.catalog.partition(oid) is not None:
        steps.append(delete(temp, "helios_partition", oid=oid))
    return steps


def drop_things(builder: Builder, named: Sequence[Thing], fields: dict[str, Any]) -> None:
    """Write the steps of a DROP statement of these things.

    Raises:
        SqlError: 2BP01, others depend on them and it is no CASCADE.
    """
    if named:
        Dropping(builder, cascade=fields.get("behavior") == "DROP_CASCADE").run(list(dict.fromkeys(named)))


__all__ = ["Dropping", "Thing", "drop_things"]
