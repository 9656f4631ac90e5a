"""What DROP tells apart: objects and their parts, the names that messages give them, what depends on each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.usertypes import kind_of, pinned_name, relation_of, row_oid
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.coercion import type_name
from helios_cli.engine.sql.ddl_build import Builder, as_relation, kind_name
from helios_cli.engine.sql.ddl_deparse import parse_expression
from helios_cli.engine.sql.ddl_model import ColumnDef, ConstraintDef, IndexDef, TableDef
from helios_cli.engine.sql.ddl_sequence_names import SEQUENCE, planned_default
from helios_cli.engine.sql.ddl_thing import (
    CAST,
    COLUMN,
    CONSTRAINT,
    DEFAULT,
    EXTENSION,
    INDEX,
    MEMBER,
    OPERATOR,
    POLICY,
    RELATION,
    ROUTINE,
    SCHEMA,
    TRIGGER,
    TYPE,
    Found,
    Thing,
    age,
)
from helios_cli.engine.sql.expression_names import columns_named, index_columns, names_function
from helios_cli.engine.sql.extensions import EXTENSIONS
from helios_cli.engine.sql.inheritance import keys_to
from helios_cli.engine.sql.made_objects import UserCast, UserOperator
from helios_cli.engine.sql.policies import Policy
from helios_cli.engine.sql.relation import Relation, UserType
from helios_cli.engine.sql.routine_text import visible_signature
from helios_cli.engine.sql.routines import Routine, Trigger
from helios_cli.engine.sql.sqltext import pg_identifier, split_name
from helios_cli.engine.sql.stored import functions_called
from helios_cli.engine.sql.type_pins import named_types, shown_type


class Things:
    """Looks in the catalog for what a DROP meets. Tables that are being altered are seen as they are by now."""

    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self._catalog = builder.catalog
        self.tables: dict[int, TableDef] = {}

    def table(self, oid: int) -> TableDef | None:
        """The definition of a table, always the same record."""
        if oid not in self.tables:
            found = self._catalog.table_def(oid)
            if found is None:
                return None
            self.tables[oid] = found
        return self.tables[oid]

    def relation(self, oid: int) -> Relation | None:
        """A relation."""
        return self._catalog.relation_by_oid(oid)

    def routine(self, oid: int) -> Routine | None:
        """A function or procedure."""
        return self._catalog.routine(oid)

    def type(self, oid: int) -> UserType | None:
        """A type, of an array over it too."""
        return self._catalog.type_by_oid(oid & ~1)

    def constraint(self, oid: int) -> ConstraintDef | None:
        """A constraint of a table."""
        return self._catalog.constraint_by_oid(oid)

    def index(self, thing: Thing) -> IndexDef | None:
        """An index of a table."""
        table = self.table(thing.oid)
        return next((one for one in table.indexes if one.oid == thing.sub), None) if table is not None else None

    def trigger(self, oid: int) -> Trigger | None:
        """A trigger."""
        return next((found for found in self._catalog.all_triggers() if found.oid == oid), None)

    def policy(self, thing: Thing) -> Policy | None:
        """A policy."""
        return next((found for found in self._catalog.policies(thing.oid) if found.oid == thing.sub), None)

    # -- names ------------------------------------------------------------------------------------

    def shown(self, thing: Thing) -> str:
        """What messages call it (getObjectDescription)."""
        return _SHOWN[thing.kind](self, thing)

    def _shown_relation(self, thing: Thing) -> str:
        relation = self.relation(thing.oid)
        if relation is None:
            return f"relation {thing.oid}"
        visible = self._catalog.relation(None, relation.name)
        hidden = visible is None or visible.oid != relation.oid
        name = pg_identifier(relation.name)
        return f"{kind_name(relation.kind)} {f'{pg_identifier(relation.schema)}.' * hidden}{name}"

    def _shown_column(self, thing: Thing) -> str:
        if kind_of(thing.oid):
            found = self.type(thing.oid)
            name = found.fields[thing.sub - 1].name if found is not None else str(thing.sub)
            return f"column {name} of composite {self._shown_type(Thing(TYPE, thing.oid))}"
        return f"column {self.column_name(thing)} of {self._shown_relation(thing)}"

    def column_name(self, thing: Thing) -> str:
        """The name of a relation's column."""
        relation = self.relation(thing.oid)
        columns = relation.columns if relation is not None else ()
        return next((column.name for column in columns if column.attnum == thing.sub), str(thing.sub))

    def _shown_default(self, thing: Thing) -> str:
        return f"default value for {self._shown_column(thing)}"

    def _shown_constraint(self, thing: Thing) -> str:
        found = self.constraint(thing.oid)
        if found is None:
            return f"constraint {thing.oid}"
        return f"constraint {found.name} on {self._shown_relation(Thing(RELATION, found.table_oid))}"

    def _shown_index(self, thing: Thing) -> str:
        index = self.index(thing)
        if index is None:
            return f"index {thing.sub}"
        hidden = index.schema not in ("pg_temp", *self._catalog.search_path)
        return f"index {f'{pg_identifier(index.schema)}.' * hidden}{pg_identifier(index.name)}"

    def _shown_routine(self, thing: Thing) -> str:
        found = self.routine(thing.oid)
        if found is None:
            return f"function {thing.oid}"
        return f"function {visible_signature(found, self._catalog)}"

    def _shown_type(self, thing: Thing) -> str:
        found = self.type(thing.oid)
        if found is None:
            return f"type {thing.oid}"
        return f"type {shown_type(found, self._catalog)}{'[]' * (thing.oid & 1)}"

    def _shown_trigger(self, thing: Thing) -> str:
        found = self.trigger(thing.oid)
        if found is None:
            return f"trigger {thing.oid}"
        return f"trigger {found.name} on {self._shown_relation(Thing(RELATION, found.relation))}"

    def _shown_policy(self, thing: Thing) -> str:
        found = self.policy(thing)
        return f"policy {found.name if found else thing.sub} on {self._shown_relation(Thing(RELATION, thing.oid))}"

    def operator(self, oid: int) -> UserOperator | None:
        """An operator."""
        return next((found for found in self._catalog.all_operators() if found.oid == oid), None)

    def cast(self, oid: int) -> UserCast | None:
        """A cast."""
        return next((found for found in self._catalog.casts().values() if found.oid == oid), None)

    def _type_name(self, oid: int) -> str:
        return named_types(type_name(oid), self._catalog)

    def _shown_operator(self, thing: Thing) -> str:
        found = self.operator(thing.oid)
        if found is None:
            return f"operator {thing.oid}"
        hidden = found.schema not in self._catalog.search_path
        operands = f"{self._type_name(found.left) if found.left else 'NONE'},{self._type_name(found.right)}"
        return f"operator {f'{pg_identifier(found.schema)}.' * hidden}{found.name}({operands})"

    def _shown_cast(self, thing: Thing) -> str:
        found = self.cast(thing.oid)
        if found is None:
            return f"cast {thing.oid}"
        return f"cast from {self._type_name(found.source)} to {self._type_name(found.target)}"

    def _shown_schema(self, thing: Thing) -> str:
        return f"schema {self.schema_name(thing.oid)}"

    def schema_name(self, oid: int) -> str:
        """The name of a schema."""
        schemas = self._catalog.privileges.schemas()
        return next((name for name, found in schemas.items() if found[0] == oid), str(oid))

    def _shown_extension(self, thing: Thing) -> str:
        return f"extension {pg_identifier(self.extension(thing.oid))}"

    def extension(self, oid: int) -> str:
        """The name of an extension."""
        return next(name for name, found in self._catalog.extensions().items() if found[0] == oid)

    def _shown_member(self, thing: Thing) -> str:
        return f"type {type_name(thing.oid)}"

    # -- dependents -------------------------------------------------------------------------------

    def on(self, thing: Thing) -> list[Found]:
        """What directly depends on a thing, the youngest first (object_address_comparator)."""
        found: dict[Thing, bool] = {}
        for other, silent in _ON[thing.kind](self, thing):
            found[other] = found.get(other, False) or silent
        return sorted(found.items(), key=lambda one: age(one[0]), reverse=True)

    def _on_schema(self, thing: Thing) -> Iterator[Found]:
        name = self.schema_name(thing.oid)
        for relation in self._catalog.schema_objects(name):
            yield Thing(RELATION, relation.oid), False
        for routine in self._catalog.all_routines():
            if routine.schema == name:
                yield Thing(ROUTINE, routine.oid), False
        for operator in self._catalog.all_operators():
            if operator.schema == name:
                yield Thing(OPERATOR, operator.oid), False
        for found in self._catalog.all_types():
            if found.schema == name and not found.relation and found.kind != "m":
                yield Thing(TYPE, found.oid), False
        for oid, schema in self._catalog.extensions().values():
            if schema == name:
                yield Thing(EXTENSION, oid), False

    def _on_extension(self, thing: Thing) -> Iterator[Found]:
        for name in EXTENSIONS[self.extension(thing.oid)].types:
            member = registry.by_internal_name(name)
            assert member is not None, name
            yield Thing(MEMBER, member.oid), True
            yield Thing(MEMBER, member.array_oid), True

    def _on_member(self, thing: Thing) -> Iterator[Found]:
        found = [one for one in self._catalog.columns_of_type(thing.oid) if one[2] == thing.oid]
        tables = [relation for oid, _, _ in found if (relation := self.relation(oid)) and relation.kind != "v"]
        # Views over these columns are found by them.
        read = {
            oid for table in tables for oid in (table.oid, *(view.oid for view in self._catalog.dependents(table.oid)))
        }
        for oid, name, _ in found:
            table = next((table for table in tables if table.oid == oid), None)
            if table is not None:
                yield Thing(COLUMN, oid, next(one.attnum for one in table.columns if one.name == name)), False
            elif oid not in read:
                yield Thing(RELATION, oid), False
        for routine in self._catalog.all_routines():
            if thing.oid in (routine.result, *(argument.type_oid for argument in routine.arguments)):
                yield Thing(ROUTINE, routine.oid), False

    def _on_relation(self, thing: Thing) -> Iterator[Found]:
        oid, catalog = thing.oid, self._catalog
        relation = self.relation(oid)
        for view in catalog.dependents(oid):
            yield Thing(RELATION, view.oid), False
        table = self.table(oid) if relation is not None and relation.kind in ("r", "t") else None
        for constraint in table.constraints if table is not None else ():
            yield Thing(CONSTRAINT, constraint.oid), True
        for constraint in keys_to(catalog, oid):
            # Those of partitions go with that of the partitioned table.
            if constraint.table_oid == oid or not catalog.parents(constraint.oid):
                yield Thing(CONSTRAINT, constraint.oid), constraint.table_oid == oid
        for heir in catalog.children(oid):
            yield Thing(RELATION, heir), catalog.partition(heir) is not None
        for sequence in catalog.owned_sequences(oid):
            yield Thing(RELATION, sequence.oid), True
        for trigger in catalog.triggers(oid):
            yield Thing(TRIGGER, trigger.oid), True
        if relation is not None and relation.kind == "S":
            yield from self._on_sequence(relation)
        elif row_oid(oid):
            yield Thing(TYPE, row_oid(oid)), True

    def _on_sequence(self, sequence: Relation) -> Iterator[Found]:
        def takes(text: str, table: TableDef, _purpose: str) -> bool:
            return any(
                (split_name(found[2] or "")[-1:] or [""])[0] == sequence.schema
                and split_name(found[3])[-1] == sequence.name
                for found in SEQUENCE.finditer(planned_default(text, table.oid) or "")
            )

        yield from self._expressions(sequence.name, takes, in_defaults=True)

    def _on_column(self, thing: Thing) -> Iterator[Found]:
        table = self.table(thing.oid)
        column = next((one for one in table.columns if one.attnum == thing.sub), None) if table is not None else None
        if table is None or column is None:
            return
        catalog = self._catalog
        if column.default is not None:
            yield Thing(DEFAULT, *thing[1:]), True
        for view in catalog.dependents(table.oid):
            named = catalog.dependent_columns(view.oid, table.oid)
            if not named or column.name in named:
                yield Thing(RELATION, view.oid), False
        yield from self._on_columns_own(table, column)
        for other in table.columns:
            if other is not column and other.generated and column.name in columns_named(other.default):
                yield Thing(COLUMN, table.oid, other.attnum), False
        for sequence in catalog.owned_sequences(table.oid):
            if sequence.owner_attnum == column.attnum:
                yield Thing(RELATION, sequence.oid), True
        for trigger in catalog.triggers(table.oid):
            if column.name in trigger.columns or column.name in columns_named(trigger.when or None):
                yield Thing(TRIGGER, trigger.oid), False
        for policy in catalog.policies(table.oid):
            if any(column.name in columns_named(text) for text in (policy.using, policy.check)):
                yield Thing(POLICY, table.oid, policy.oid), False

    def _on_columns_own(self, table: TableDef, column: ColumnDef) -> Iterator[Found]:
        """Constraints and indexes of the table itself, and keys that point to the column."""
        for constraint in table.constraints:
            if column.name in constraint.columns:
                yield Thing(CONSTRAINT, constraint.oid), True
        behind = {constraint.index_oid for constraint in table.constraints}
        for index in table.indexes:
            if index.oid not in behind and column.name in index_columns(index):
                yield Thing(INDEX, table.oid, index.oid), True
        for key in self._catalog.referencing(table.oid):
            if column.name in key.ref_columns:
                yield Thing(CONSTRAINT, key.oid), False

    def _on_constraint(self, thing: Thing) -> Iterator[Found]:
        found = self.constraint(thing.oid)
        if found is not None and found.kind in "pux":
            yield Thing(INDEX, found.table_oid, found.index_oid), True
        for oid in self._catalog.children(thing.oid):
            yield Thing(CONSTRAINT, oid), True

    def _on_index(self, thing: Thing) -> Iterator[Found]:
        parts = self._catalog.children(thing.sub)
        for oid in self._catalog.children(thing.oid) if parts else ():
            table = self.table(oid)
            behind = {one.index_oid: one.oid for one in table.constraints if one.index_oid} if table else {}
            for index in table.indexes if table is not None else ():
                if index.oid in parts:
                    own = behind.get(index.oid)
                    yield (Thing(CONSTRAINT, own) if own else Thing(INDEX, oid, index.oid)), True
        for key in self._catalog.referencing(thing.oid):
            if key.ref_index_oid == thing.sub:
                yield Thing(CONSTRAINT, key.oid), False

    def _on_trigger(self, thing: Thing) -> Iterator[Found]:
        for trigger in self._catalog.all_triggers():
            if trigger.parent == thing.oid:
                yield Thing(TRIGGER, trigger.oid), True

    def _on_routine(self, thing: Thing) -> Iterator[Found]:
        routine = self.routine(thing.oid)
        if routine is None:
            return
        builder = self._builder
        for trigger in self._catalog.all_triggers():
            named = trigger.function == thing.oid or (trigger.when and names_function(trigger.when, routine))
            if named and not trigger.parent:
                yield Thing(TRIGGER, trigger.oid), False
        for view in self._catalog.dependents(thing.oid):
            yield Thing(RELATION, view.oid), False
        for found in self._catalog.all_types():
            if found.kind == "r" and found.made_of is not None and found.made_of.diff_oid == thing.oid:
                yield Thing(TYPE, found.oid), False
        for operator in self._catalog.all_operators():
            if operator.function == thing.oid:
                yield Thing(OPERATOR, operator.oid), False
        for cast in self._catalog.casts().values():
            if cast.function == thing.oid:
                yield Thing(CAST, cast.oid), False
        for other in self._catalog.all_routines():
            if other.aggregate is not None and thing.oid in (other.aggregate.step, other.aggregate.final):
                yield Thing(ROUTINE, other.oid), False
        for policy in self._policies():
            if any(text and names_function(text, routine) for text in (policy.using, policy.check)):
                yield Thing(POLICY, policy.relation, policy.oid), False

        def calls(text: str, table: TableDef, purpose: str) -> bool:
            if not names_function(text, routine):
                return False
            try:
                return thing.oid in functions_called(
                    parse_expression(text), as_relation(table), catalog=builder.catalog, functions=builder.functions,
                    purpose=purpose,
                )  # fmt: skip
            except SqlError:
                # What cannot be resolved any more may have been meant.
                return True

        for word in (f"pg_proc#{thing.oid}", routine.name):
            yield from self._expressions(word, calls)

    def _on_operator(self, thing: Thing) -> Iterator[Found]:
        operator = self.operator(thing.oid)
        if operator is not None:
            yield from self._users_of(thing.oid, operator.name)

    def _on_cast(self, thing: Thing) -> Iterator[Found]:
        yield from self._users_of(thing.oid, "")

    def _users_of(self, oid: int, word: str) -> Iterator[Found]:
        """Views and expressions that use an operator or a cast; ``word`` stands in the latter, '' when none does."""
        builder = self._builder
        for view in self._catalog.dependents(oid):
            yield Thing(RELATION, view.oid), False

        def uses(text: str, table: TableDef, purpose: str) -> bool:
            return oid in functions_called(
                parse_expression(text), as_relation(table), catalog=builder.catalog, functions=builder.functions,
                purpose=purpose,
            )  # fmt: skip

        yield from self._expressions(word, uses)

    def _policies(self) -> Iterator[Policy]:
        for _, _, policies in self._catalog.securities().values():
            yield from policies

    def _on_type(self, thing: Thing) -> Iterator[Found]:
        """Of the type and of the array over it, which goes with it."""
        catalog, oid = self._catalog, thing.oid
        if not oid & 1:
            yield Thing(TYPE, oid + 1), True
        for relation_oid, name, type_oid in catalog.columns_of_type(oid & ~1):
            relation = self.relation(relation_oid)
            if type_oid != oid or relation is None:
                continue
            # The query of a view tells where its columns come from.
            if relation.kind != "v":
                attnum = next(column.attnum for column in relation.columns if column.name == name)
                yield Thing(COLUMN, relation_oid, attnum), False
        for routine in catalog.all_routines():
            if oid in (routine.result, *(argument.type_oid for argument in routine.arguments)):
                yield Thing(ROUTINE, routine.oid), False
        for operator in catalog.all_operators():
            if oid in (operator.left, operator.right, operator.result):
                yield Thing(OPERATOR, operator.oid), False
        for cast in catalog.casts().values():
            if oid in (cast.source, cast.target):
                yield Thing(CAST, cast.oid), False
        for found in catalog.all_types():
            over = found.parent or (found.base_oid if found.kind == "d" else 0)
            if found.oid != oid and over == oid:
                yield Thing(TYPE, found.oid), found.kind == "m"
            for number, field in enumerate(found.fields, 1):
                if (field.domain or field.type_oid) == oid:
                    yield Thing(COLUMN, found.oid, number), False
        if not oid & 1 and not relation_of(oid):
            for view in catalog.dependents(oid):
                yield Thing(RELATION, view.oid), False
            mark = pinned_name(oid)
            yield from self._expressions(mark.strip('"'), lambda text, _table, _purpose: mark in text)

    def _expressions(
        self, word: str, uses: Callable[[str, TableDef, str], bool], *, in_defaults: bool = False
    ) -> Iterator[Found]:
        """Columns, defaults, constraints and indexes with an expression that uses something, told by a word of it."""
        for oid in self._catalog.tables_naming(word, in_defaults=in_defaults):
            table = self.table(oid)
            if table is None:
                continue
            for column in table.columns:
                purpose = "GENERATED" if column.generated else "DEFAULT"
                if column.default is not None and uses(column.default, table, purpose):
                    yield Thing(COLUMN if column.generated else DEFAULT, oid, column.attnum), False
            for constraint in table.constraints:
                if constraint.expression is not None and uses(constraint.expression, table, "CHECK"):
                    yield Thing(CONSTRAINT, constraint.oid), False
            behind = {constraint.index_oid: constraint for constraint in table.constraints if constraint.index_oid}
            for index in table.indexes:
                texts = [(key.expression, "INDEX") for key in index.keys] + [(index.predicate, "PREDICATE")]
                if any(text is not None and uses(text, table, purpose) for text, purpose in texts):
                    owner = behind.get(index.oid)
                    yield (Thing(CONSTRAINT, owner.oid) if owner is not None else Thing(INDEX, oid, index.oid)), False


def _nothing(_things: Things, _thing: Thing) -> Iterator[Found]:
    return iter(())


_SHOWN: Final[dict[str, Callable[[Things, Thing], str]]] = {
    RELATION: Things._shown_relation, COLUMN: Things._shown_column, DEFAULT: Things._shown_default,
    CONSTRAINT: Things._shown_constraint, INDEX: Things._shown_index, ROUTINE: Things._shown_routine,
    TYPE: Things._shown_type, TRIGGER: Things._shown_trigger, POLICY: Things._shown_policy,
    SCHEMA: Things._shown_schema, OPERATOR: Things._shown_operator, CAST: Things._shown_cast,
    EXTENSION: Things._shown_extension, MEMBER: Things._shown_member,
}  # fmt: skip
_ON: Final[dict[str, Callable[[Things, Thing], Iterator[Found]]]] = {
    RELATION: Things._on_relation, COLUMN: Things._on_column, DEFAULT: _nothing,
    CONSTRAINT: Things._on_constraint, INDEX: Things._on_index, ROUTINE: Things._on_routine,
    TYPE: Things._on_type, TRIGGER: Things._on_trigger, POLICY: _nothing,
    SCHEMA: Things._on_schema, OPERATOR: Things._on_operator, CAST: Things._on_cast,
    EXTENSION: Things._on_extension, MEMBER: Things._on_member,
}  # fmt: skip
