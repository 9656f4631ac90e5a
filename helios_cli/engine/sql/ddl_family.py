"""ALTER TABLE of tables that inherit or are inherited from: what goes on to the heirs, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from helios_cli.engine.sql.ddl_alter_columns import Alteration, add_column, set_not_null, write_column
from helios_cli.engine.sql.ddl_build import Builder, as_relation
from helios_cli.engine.sql.ddl_columns import ColumnSpec
from helios_cli.engine.sql.ddl_create import check_columns
from helios_cli.engine.sql.ddl_deparse import deparse, parse_expression
from helios_cli.engine.sql.ddl_dropping import Dropping
from helios_cli.engine.sql.ddl_inherit import heir_column, heir_default, make_table, same_type, versus
from helios_cli.engine.sql.ddl_model import ColumnDef, ConstraintDef, TableDef
from helios_cli.engine.sql.ddl_partition_parts import part_row
from helios_cli.engine.sql.ddl_partition_rows import key_columns
from helios_cli.engine.sql.ddl_render import stored_deferral, stored_not_null, update
from helios_cli.engine.sql.ddl_thing import COLUMN, CONSTRAINT, Thing
from helios_cli.engine.sql.ddl_validation import verify_parents

Command = Callable[[Alteration, dict[str, Any]], Any]


@dataclass(slots=True)
class Family:
    """The tables that one ALTER TABLE changes: the one that it names, and its heirs."""

    builder: Builder
    recurses: bool
    """The statement has no ONLY."""
    install: Callable[[Alteration, dict[str, Any]], ConstraintDef]
    """Adds a constraint to one table."""
    alterations: dict[int, Alteration] = field(default_factory=dict)

    def of(self, table: TableDef) -> Alteration:
        """The change of a table."""
        if table.oid not in self.alterations:
            self.builder.touch(table.temp)
            self.alterations[table.oid] = Alteration(self.builder, table)
        return self.alterations[table.oid]

    def table(self, oid: int) -> TableDef:
        """A table as it is by now."""
        known = self.alterations.get(oid)
        table = known.table if known is not None else self.builder.catalog.table_def(oid)
        assert table is not None
        return table

    def children(self, table: TableDef) -> list[Alteration]:
        """The changes of the tables that inherit from one directly."""
        return [self.of(self.table(oid)) for oid in self.builder.catalog.children(table.oid)]

    def heirs(self, table: TableDef) -> list[Alteration]:
        """Those of all its heirs."""
        relation = self.builder.catalog.relation_by_oid(table.oid)
        return [self.of(self.table(oid)) for oid in (relation.heirs if relation is not None else ())]

    def column_parents(self, table: TableDef, name: str) -> int:
        """How many parents a table has a column from (attinhcount)."""
        parents = self.builder.catalog.parents(table.oid)
        return sum(self.table(oid).column(name) is not None for oid in parents)

    def check_parents(self, table: TableDef, name: str) -> int:
        """How many parents a table has a CHECK from (coninhcount)."""
        found = (self.table(oid).constraint(name) for oid in self.builder.catalog.parents(table.oid))
        return sum(one is not None and one.kind == "c" and not one.no_inherit for one in found)

    def within(self, table: TableDef, others: TableDef) -> int:
        """How many of a table's parents are one table or its heirs."""
        relation = self.builder.catalog.relation_by_oid(others.oid)
        known = {others.oid, *(relation.heirs if relation is not None else ())}
        return sum(oid in known for oid in self.builder.catalog.parents(table.oid))

    def run(self, alteration: Alteration, fields: dict[str, Any], command: Command) -> None:
        """Run one subcommand on a table and, where it goes on to them, on its heirs."""
        if alteration.table.partition is not None:
            self._check_parted(alteration.table, fields)
        catalog, oid = self.builder.catalog, alteration.table.oid
        handler = _HANDLERS.get(fields["subtype"]) if catalog.parents(oid) or catalog.children(oid) else None
        if handler is None:
            command(alteration, fields)
        else:
            handler(self, alteration, fields, command)

    def _check_parted(self, table: TableDef, fields: dict[str, Any]) -> None:
        """Refuse what is not done with partitioned tables and partitions."""
        subtype, name = fields["subtype"], fields.get("name")
        above = [table.partition, *(heir.table.partition for heir in self.heirs(table))]
        keys = {key for one in above if one is not None for key in key_columns(one)}
        word = {"AT_DropColumn": "drop", "AT_AlterColumnType": "alter"}.get(subtype)
        if word is not None and name in keys:
            message = (
                f'cannot {word} column "{name}" because it is part of the partition key of relation "{table.name}"'
            )
            raise self.refuse(message)
        if subtype == "AT_AddColumn" and table.is_partition:
            raise self.builder.error("42809", "cannot add column to a partition")
        if subtype in ("AT_AddInherit", "AT_DropInherit"):
            what = "partition" if table.is_partition else "partitioned table"
            raise self.builder.error("42809", f"cannot change inheritance of a {what}")
        if subtype == "AT_DropConstraint" and table.is_partition:
            known = table.constraint(name or "")
            if known is not None and any(map(self.builder.catalog.parents, (known.index_oid, known.oid))):
                message = f'cannot drop inherited constraint "{name}" of relation "{table.name}"'
                raise self.refuse(message)

    def verify_key(self, alteration: Alteration, constraint: ConstraintDef) -> None:
        """Write what makes a foreign key that a definition has got already hold."""
        if constraint.validated and not alteration.table.parted and not alteration.rebuild:
            verify_parents(alteration, constraint)
        alteration.rebuild = True

    def finish(self) -> None:
        """Write what waits for the end."""
        for alteration in self.alterations.values():
            alteration.finish()

    def refuse(self, message: str) -> Exception:
        """42P16."""
        return self.builder.error("42P16", message)


def mark_local(alteration: Alteration, column: ColumnDef) -> None:
    """A column is a table's own from now on."""
    column.local = True
    alteration.attribute(column, attnotnull=stored_not_null(column))


def mark_check(alteration: Alteration, constraint: ConstraintDef) -> None:
    """Record that a CHECK is a table's own from now on."""
    mark_key(alteration, constraint, local=True)


def mark_key(alteration: Alteration, constraint: ConstraintDef, *, local: bool) -> None:
    """Record whether a constraint is a table's own from now on."""
    constraint.local = local
    changes: dict[str, object] = {"condeferrable": stored_deferral(constraint)}
    alteration.builder.add(update(alteration.table.temp, "helios_constraint", changes, oid=constraint.oid))


# -- columns ------------------------------------------------------------------------------------------------------


def _add_column(family: Family, alteration: Alteration, fields: dict[str, Any], _command: Command) -> None:
    spec = add_column(alteration, fields)
    if spec is None:
        return
    children = family.children(alteration.table)
    if children and spec.column.identity and family.recurses:
        raise family.refuse("cannot recursively add identity column to table that has child tables")
    if children and not family.recurses:
        raise family.refuse("column must be added to child tables too")
    owner = (alteration.table.oid, spec.column.attnum) if spec.sequence_options is not None else None
    for child in children:
        _add_to_heir(family, child, spec.column, alteration.table, owner)
    for constraint in spec.constraints:
        if constraint["contype"] == "CONSTR_CHECK":
            _add_check(family, alteration, constraint)
        else:
            _add_key(family, alteration, constraint)


def _add_to_heir(
    family: Family, child: Alteration, theirs: ColumnDef, parent: TableDef, owner: tuple[int, int] | None
) -> None:
    builder, table, name = family.builder, child.table, theirs.name
    known = table.column(name)
    if known is not None:
        check_column(builder, table, theirs, known)
        builder.notices.append(f'merging definition of column "{name}" for child "{table.name}"')
        return
    column = heir_column(theirs, heir_default(theirs, parent, temp=table.temp))
    column.attnum = max((other.attnum for other in table.columns), default=0) + 1
    table.columns.append(column)
    check_columns(builder, table)
    node = parse_expression(column.default) if column.default is not None else None
    write_column(child, ColumnSpec(column, default_node=node, sequence_owner=owner))
    for heir in family.children(table):
        _add_to_heir(family, heir, column, table, owner)


def check_column(builder: Builder, table: TableDef, theirs: ColumnDef, own: ColumnDef) -> None:
    """Raise SqlError 42804, 42P21 unless an heir's column is of its parent's type and collation."""
    if not same_type(theirs, own):
        raise builder.error("42804", f'child table "{table.name}" has different type for column "{own.name}"')
    if theirs.collation != own.collation:
        message = f'child table "{table.name}" has different collation for column "{own.name}"'
        raise builder.error("42P21", message, detail=versus(theirs, own))


def _drop_column(family: Family, alteration: Alteration, fields: dict[str, Any], command: Command) -> None:
    name = fields["name"]
    if alteration.table.column(name) is None:
        command(alteration, fields)
        return
    if family.column_parents(alteration.table, name):
        raise family.refuse(f'cannot drop inherited column "{name}"')
    _drop(family, _dropped_columns(family, alteration, name), fields)


def _dropped_columns(family: Family, alteration: Alteration, name: str) -> list[Thing]:
    found = []
    for child in family.children(alteration.table):
        column = child.column(name)
        if not family.recurses:
            mark_local(child, column)
        elif family.column_parents(child.table, name) == 1 and not column.local:
            found += _dropped_columns(family, child, name)
    return [*found, Thing(COLUMN, alteration.table.oid, alteration.column(name).attnum)]


def _drop(family: Family, things: list[Thing], fields: dict[str, Any]) -> None:
    dropping = Dropping(family.builder, cascade=fields.get("behavior") == "DROP_CASCADE")
    for alteration in family.alterations.values():
        dropping.within(alteration)
    dropping.run(things)


def _set_not_null(family: Family, alteration: Alteration, fields: dict[str, Any], command: Command) -> None:
    for child in family.children(alteration.table) if alteration.table.parted and not family.recurses else ():
        _check_not_null(family, child.table, fields["name"])
    _everywhere(family, alteration, fields, command)


def _drop_not_null(family: Family, alteration: Alteration, fields: dict[str, Any], command: Command) -> None:
    """Raise SqlError 42P16 where the partitioned table's column is NOT NULL (ATExecDropNotNull)."""
    table, catalog = alteration.table, family.builder.catalog
    command_alone = table.parted and not family.recurses and catalog.children(table.oid)
    if command_alone:
        message = "cannot remove constraint from only the partitioned table when partitions exist"
        raise family.builder.error("42P16", message, hint="Do not specify the ONLY keyword.")
    above = family.table(catalog.parents(table.oid)[0]) if table.is_partition else None
    theirs = above.column(fields["name"]) if above is not None else None
    if theirs is not None and theirs.not_null and not _in_primary_key(table, theirs.name):
        raise family.refuse(f'column "{theirs.name}" is marked NOT NULL in parent table')
    _everywhere(family, alteration, fields, command)


def _in_primary_key(table: TableDef, name: str) -> bool:
    primary = table.primary_key()
    return primary is not None and name in primary.columns


def _everywhere(family: Family, alteration: Alteration, fields: dict[str, Any], command: Command) -> None:
    """What is done to every heir alike (ATSimpleRecursion)."""
    command(alteration, fields)
    for heir in family.heirs(alteration.table) if family.recurses else ():
        command(heir, fields)


def _drop_expression(family: Family, alteration: Alteration, fields: dict[str, Any], command: Command) -> None:
    if family.heirs(alteration.table) and not family.recurses:
        message = "ALTER TABLE / DROP EXPRESSION must be applied to child tables too"
        raise family.builder.error("0A000", message)
    if family.column_parents(alteration.table, fields["name"]):
        raise family.refuse("cannot drop generation expression from inherited column")
    _everywhere(family, alteration, fields, command)


def _alter_type(family: Family, alteration: Alteration, fields: dict[str, Any], command: Command) -> None:
    name, table = fields["name"], alteration.table
    alteration.column(name)
    if family.column_parents(table, name):
        raise family.refuse(f'cannot alter inherited column "{name}"')
    heirs = family.heirs(table)
    if heirs and not family.recurses:
        raise family.refuse(f'type of inherited column "{name}" must be changed in child tables too')
    for heir in heirs:
        if family.column_parents(heir.table, name) > family.within(heir.table, table):
            message = f'cannot alter inherited column "{name}" of relation "{heir.table.name}"'
            raise family.refuse(message)
    for one in (alteration, *heirs):
        command(one, fields)


# -- constraints --------------------------------------------------------------------------------------------------


def _add_constraint(family: Family, alteration: Alteration, fields: dict[str, Any], _command: Command) -> None:
    constraint = fields["def"]["Constraint"]
    if constraint["contype"] == "CONSTR_CHECK":
        _add_check(family, alteration, constraint)
        return
    _add_key(family, alteration, constraint)


def _add_key(family: Family, alteration: Alteration, fields: dict[str, Any]) -> None:
    """Add a constraint that heirs do not get; but the columns of a primary key are NOT NULL in them too."""
    if alteration.table.parted:
        _check_whole(family, alteration.table, fields)
    made = family.install(alteration, fields)
    if alteration.table.parted:
        _add_to_partitions(family, alteration, made, fields)
        return
    heirs = family.heirs(alteration.table) if family.recurses and made.kind == "p" else []
    for heir in heirs:
        for name in made.columns:
            set_not_null(heir, {"name": name}, wanted=True)


def _check_whole(family: Family, table: TableDef, fields: dict[str, Any]) -> None:
    """Refuse keys that partitioned tables do not have. Raises SqlError 42809, FeatureNotSupported."""
    builder = family.builder
    if "indexname" in fields:
        message = "ALTER TABLE / ADD CONSTRAINT USING INDEX is not supported on partitioned tables"
        raise builder.error("0A000", message)
    if fields["contype"] == "CONSTR_FOREIGN" and not family.recurses:
        what = f'partitioned table "{table.name}" referencing relation "{fields["pktable"]["relname"]}"'
        raise builder.error("42809", f"cannot use ONLY for foreign key on {what}")
    if fields["contype"] == "CONSTR_FOREIGN" and fields.get("skip_validation"):
        what = f'partitioned table "{table.name}" referencing relation "{fields["pktable"]["relname"]}"'
        detail = "This feature is not yet supported on partitioned tables."
        raise builder.error("42809", f"cannot add NOT VALID foreign key on {what}", detail=detail)


def _add_to_partitions(family: Family, alteration: Alteration, made: ConstraintDef, fields: dict[str, Any]) -> None:
    """Every partition gets a key like a new one of the partitioned table."""
    if not family.recurses:
        _leave_incomplete(family, alteration.table, made)
        return
    for child in family.children(alteration.table):
        own = {key: value for key, value in fields.items() if key != "conname"}
        if made.kind == "f":
            own["conname"] = made.name
        theirs = family.install(child, {**own, "inherited": True})
        pair = (theirs.index_oid, made.index_oid) if theirs.index_oid else (theirs.oid, made.oid)
        family.builder.add(make_table(child.table.temp), part_row(child.table, *pair))
        if child.table.parted:
            _add_to_partitions(family, child, theirs, fields)


def _leave_incomplete(family: Family, table: TableDef, made: ConstraintDef) -> None:
    """A key with ONLY: its index is valid when every partition has got one."""
    # The module that does it needs this one.
    from helios_cli.engine.sql.ddl_index_parts import leave_incomplete

    for child in family.children(table) if made.kind == "p" else ():
        for name in made.columns:
            _check_not_null(family, child.table, name)
    leave_incomplete(family.builder, table, next(one for one in table.indexes if one.oid == made.index_oid))


def _check_not_null(family: Family, child: TableDef, name: str) -> None:
    """Raise SqlError 42P16 when a column of a partition may be NULL where there is ONLY (ATCheckNotNull)."""
    column = child.column(name)
    if column is not None and not column.not_null:
        raise family.builder.error(
            "42P16", "constraint must be added to child tables too", hint="Do not specify the ONLY keyword.",
            detail=f'Column "{name}" of relation "{child.name}" is not already NOT NULL.',
        )  # fmt: skip


def _add_check(family: Family, alteration: Alteration, fields: dict[str, Any], *, inherited: bool = False) -> None:
    known = alteration.table.constraint(fields.get("conname") or "")
    if known is not None and (inherited or not known.local):
        _merge_check(family, alteration, known, fields, inherited=inherited)
        return
    made = family.install(alteration, {**fields, "inherited": inherited})
    if made.no_inherit:
        return
    children = family.children(alteration.table)
    if children and not family.recurses:
        raise family.refuse("constraint must be added to child tables too")
    for child in children:
        _add_check(family, child, {**fields, "conname": made.name}, inherited=True)


def _merge_check(
    family: Family, alteration: Alteration, known: ConstraintDef, fields: dict[str, Any], *, inherited: bool
) -> None:
    """A CHECK that a table has already gets another source (MergeWithExistingConstraint, heap.c)."""
    builder, table = family.builder, alteration.table
    types = {column.name: column.type_oid for column in as_relation(table).columns}
    if known.kind != "c" or deparse(fields["raw_expr"], types) != known.expression:
        raise builder.error("42710", f'constraint "{known.name}" for relation "{table.name}" already exists')
    conflict = f'constraint "{known.name}" conflicts with {{}} constraint on relation "{table.name}"'
    if known.no_inherit:
        raise builder.error("42P17", conflict.format("non-inherited"))
    if fields.get("is_no_inherit") and family.check_parents(table, known.name):
        raise builder.error("42P17", conflict.format("inherited"))
    if not fields.get("skip_validation") and not known.validated:
        raise builder.error("42P17", conflict.format("NOT VALID"))
    builder.notices.append(f'merging constraint "{known.name}" with inherited definition')
    if not inherited:
        mark_check(alteration, known)


def _drop_constraint(family: Family, alteration: Alteration, fields: dict[str, Any], command: Command) -> None:
    name, table = fields["name"], alteration.table
    constraint = table.constraint(name)
    if constraint is None or constraint.kind != "c":
        command(alteration, fields)
        return
    if family.check_parents(table, name):
        raise family.refuse(f'cannot drop inherited constraint "{name}" of relation "{table.name}"')
    _drop(family, _dropped_checks(family, alteration, constraint), fields)


def _dropped_checks(family: Family, alteration: Alteration, constraint: ConstraintDef) -> list[Thing]:
    found = []
    for child in family.children(alteration.table) if not constraint.no_inherit else ():
        theirs = child.table.constraint(constraint.name)
        if theirs is None:
            continue
        if not family.recurses:
            mark_check(child, theirs)
        elif family.check_parents(child.table, theirs.name) == 1 and not theirs.local:
            found += _dropped_checks(family, child, theirs)
    return [*found, Thing(CONSTRAINT, constraint.oid)]


def _validate(family: Family, alteration: Alteration, fields: dict[str, Any], command: Command) -> None:
    constraint = alteration.table.constraint(fields["name"])
    heirs = family.heirs(alteration.table)
    if constraint is None or constraint.kind != "c" or constraint.validated or constraint.no_inherit or not heirs:
        command(alteration, fields)
        return
    if not family.recurses:
        raise family.refuse("constraint must be validated on child tables too")
    for one in (alteration, *heirs):
        command(one, fields)


def _no_install(_alteration: Alteration, _fields: dict[str, Any]) -> ConstraintDef:
    raise AssertionError("a renaming adds no constraint")


def renamed(builder: Builder, table: TableDef, name: str, *, recurses: bool, constraint: bool) -> list[TableDef]:
    """The tables in which a column or a CHECK gets another name, the heirs first.

    Raises:
        SqlError: 42P16, it is inherited, or it is and there is ONLY.
    """
    family, what = Family(builder, recurses, _no_install), "constraint" if constraint else "column"
    count = family.check_parents if constraint else family.column_parents
    heirs = [heir.table for heir in family.heirs(table)]
    if heirs and not recurses:
        raise family.refuse(f'inherited {what} "{name}" must be renamed in child tables too')
    for one in (*heirs, table):
        if count(one, name) > (family.within(one, table) if one is not table else 0):
            raise family.refuse(f'cannot rename inherited {what} "{name}"')
    return [*heirs, table]


_HANDLERS: Final = {
    "AT_AddColumn": _add_column,
    "AT_DropColumn": _drop_column,
    "AT_ColumnDefault": _everywhere,
    "AT_SetNotNull": _set_not_null,
    "AT_DropNotNull": _drop_not_null,
    "AT_DropExpression": _drop_expression,
    "AT_AlterColumnType": _alter_type,
    "AT_AddConstraint": _add_constraint,
    "AT_DropConstraint": _drop_constraint,
    "AT_ValidateConstraint": _validate,
}

__all__ = ["Family", "check_column", "mark_check", "mark_key", "mark_local", "renamed"]
