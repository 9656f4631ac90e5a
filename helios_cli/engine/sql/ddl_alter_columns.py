"""The subcommands of ALTER TABLE that change columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.usertypes import kind_of, row_oid
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.ddl_build import Builder, as_relation, unsupported
from helios_cli.engine.sql.ddl_checks import user_check_name
from helios_cli.engine.sql.ddl_columns import (
    ColumnSpec,
    apply_collation,
    column_sequence,
    constant_default,
    default_text,
    read_column,
    settle_default,
)
from helios_cli.engine.sql.ddl_constraints import check_keys_of
from helios_cli.engine.sql.ddl_create import check_columns
from helios_cli.engine.sql.ddl_deparse import deparse, parse_expression
from helios_cli.engine.sql.ddl_index import drop_index_steps
from helios_cli.engine.sql.ddl_model import ColumnDef, TableDef
from helios_cli.engine.sql.ddl_rebuild import rebuild_table
from helios_cli.engine.sql.ddl_render import (
    attribute_rows,
    column_clause,
    declared_type,
    delete,
    qualified,
    refuse_temporary,
    sequence_rows,
    stored_not_null,
    update,
)
from helios_cli.engine.sql.ddl_sequence import sequence_changes
from helios_cli.engine.sql.ddl_sequence_options import apply_options
from helios_cli.engine.sql.ddl_type_rights import check_types, refuse_itself
from helios_cli.engine.sql.domain_checks import check
from helios_cli.engine.sql.expression_names import columns_named
from helios_cli.engine.sql.oids import INT2, INT4, INT8
from helios_cli.engine.sql.privileges import PG_CLASS
from helios_cli.engine.sql.sqltext import constant, quote_identifier, quote_string
from helios_cli.engine.sql.stored import translate_for_column
from helios_cli.engine.sql.typed import Node, TypedSql
from helios_cli.engine.sql.typenames import resolve_type


@dataclass(slots=True)
class Alteration:
    """One ALTER TABLE under way."""

    builder: Builder
    table: TableDef
    rebuild: bool = False
    conversions: dict[str, str] = field(default_factory=dict)
    """Column -> SQLite text over the old row, for the rebuild."""
    recurses: bool = True
    """The statement has no ONLY."""
    _late: list[Callable[[], str]] = field(default_factory=list)

    def native(self, step: Callable[[], str]) -> None:
        """Write a step at the end, unless a rebuild makes it needless: the rebuild follows the definition."""
        self._late.append(step)

    @property
    def waits(self) -> bool:
        """Whether steps wait for the end."""
        return bool(self._late)

    def now(self, step: str) -> None:
        """Write a step that changes the old table at once, before any rebuild."""
        self.builder.add(step)

    def verify(
        self, condition: str, sqlstate: str, message: str, *, constraint: str | None = None, detail: str = "NULL"
    ) -> None:
        """Write a step that fails with PostgreSQL's error when some row of the table meets a condition.

        SQLite's own ALTER finds such rows too, but only says ``constraint failed``. ``detail`` is SQLite's text for one
        that tells of the row.
        """
        named = (self.table.schema, self.table.name, constraint)
        fields = ", ".join(constant(name) for name in named)
        call = f"pg_raise({quote_string(sqlstate)}, {quote_string(message)}, {detail}, {fields})"
        self.now(f"SELECT {call} FROM {qualified(self.table.sqlite_name, self.table.temp)} WHERE {condition} LIMIT 1")

    def verify_not_null(self, column: str) -> None:
        """Write a step that fails when a row has NULL in a column."""
        message = f'column "{column}" of relation "{self.table.name}" contains null values'
        self.verify(f"{quote_identifier(column)} IS NULL", "23502", message)

    def finish(self) -> None:
        """Write the rebuild, or what was waiting for there not to be one."""
        if self.rebuild:
            rebuild_table(self.builder, self.table, self.conversions)
        else:
            self.builder.add(*(step() for step in self._late))

    def column(self, name: str) -> ColumnDef:
        """A column of the table.

        Raises:
            SqlError: 42703.
        """
        found = self.table.column(name)
        if found is None:
            raise self.builder.error("42703", f'column "{name}" of relation "{self.table.name}" does not exist')
        return found

    def alter(self) -> str:
        """``ALTER TABLE name`` for SQLite."""
        return f"ALTER TABLE {qualified(self.table.sqlite_name, self.table.temp)}"

    def attribute(self, column: ColumnDef, **changes: object) -> None:
        """Record changes of a column in the system tables."""
        if not self.table.temp:
            refuse_temporary(column.shown_oid)
        step = update(self.table.temp, "helios_attribute", changes, relid=self.table.oid, attnum=column.attnum)
        self.builder.add(step)


# -- ADD COLUMN ---------------------------------------------------------------------------------------------------


def add_column(alteration: Alteration, fields: dict[str, Any]) -> ColumnSpec | None:
    """ADD COLUMN without its constraints, which are the caller's to add; None: the column was there already."""
    builder, table = alteration.builder, alteration.table
    definition = fields["def"]["ColumnDef"]
    if table.column(definition["colname"]) is not None:
        message = f'column "{definition["colname"]}" of relation "{table.name}" already exists'
        if not fields.get("missing_ok"):
            raise builder.error("42701", message)
        builder.notices.append(f"{message}, skipping")
        return None
    attnum = max((column.attnum for column in table.columns), default=0) + 1
    spec = read_column(builder, definition, attnum, table.name)
    refuse_itself(builder, table.name, row_oid(table.oid), spec.column.type_oid)
    table.columns.append(spec.column)
    check_columns(builder, table)
    sequence = column_sequence(builder, table, spec)
    if sequence is not None:
        builder.add(*sequence_rows(sequence))
    settle_default(builder, table, spec)
    write_column(alteration, spec)
    return spec


def write_column(alteration: Alteration, spec: ColumnSpec) -> None:
    """Write the steps that add a column, with the values of the rows that are there."""
    builder, table, column = alteration.builder, alteration.table, spec.column
    value = constant_default(column, spec.default_node) if spec.default_node is not None else None
    if column.generated:
        alteration.rebuild = True
    else:
        wanted, column.not_null = column.not_null, False
        fill = None if value is not None else _fill_text(alteration, spec)
        default = constant(value) if value is not None else None
        column.sqlite_default = default is not None
        clause = column_clause(table, column, builder.translate, default)
        alteration.now(f"{alteration.alter()} ADD COLUMN {clause}")
        if fill is not None:
            name = quote_identifier(column.name)
            alteration.now(f"UPDATE {qualified(table.sqlite_name, table.temp)} SET {name} = {fill}")
        if wanted:
            alteration.verify_not_null(column.name)
            alteration.now(f"{alteration.alter()} ALTER COLUMN {quote_identifier(column.name)} SET NOT NULL")
            column.not_null = True
        _verify_domain(alteration, column)
    builder.add(*attribute_rows(table.temp, table.oid, [column]))


def _verify_domain(alteration: Alteration, column: ColumnDef) -> None:
    """Write the step that fails when a new column's domain does not want the value that the rows have in it."""
    builder, table = alteration.builder, alteration.table
    domain = builder.catalog.type_by_oid(column.domain) if column.domain else None
    if domain is not None and (domain.not_null or domain.checks):
        value = TypedSql(quote_identifier(column.name), column.type_oid, column.typmod, simple=True)
        tested = check(value, domain, builder.context()).sql
        alteration.now(f"SELECT count({tested}) FROM {qualified(table.sqlite_name, table.temp)}")


def _fill_text(alteration: Alteration, spec: ColumnSpec) -> str | None:
    """The value of existing rows when the default is no constant: evaluated for each row."""
    column = spec.column
    if spec.sequence_options is not None or spec.sequence_owner is not None:
        table, attnum = spec.sequence_owner or (alteration.table.oid, column.attnum)
        return f"pg_nextval_owned({table}, {attnum})"
    if column.default is None:
        return None
    return default_sql(alteration.builder, column)


def default_sql(builder: Builder, column: ColumnDef) -> str:
    """A default as SQLite text of the column's type, to be run once."""
    typed = translate_for_column(
        parse_expression(column.default or "NULL"), None, catalog=builder.catalog, functions=builder.functions,
        type_oid=column.type_oid, typmod=column.typmod, purpose="DEFAULT", source=builder.source,
        session=builder.session,
    )  # fmt: skip
    return typed.sql


# -- DROP ---------------------------------------------------------------------------------------------------------


def take_column(alteration: Alteration, column: ColumnDef) -> None:
    """Remove a column on which nothing depends any more."""
    builder, table = alteration.builder, alteration.table
    table.columns.remove(column)
    if alteration.waits or not table.columns:
        # SQLite drops no column that a table constraint still names, and constraints go only at the end.
        alteration.rebuild = True
    elif not alteration.rebuild:
        alteration.now(f"{alteration.alter()} DROP COLUMN {quote_identifier(column.name)}")
    builder.add(
        delete(table.temp, "helios_attribute", relid=table.oid, attnum=column.attnum),
        delete(table.temp, "helios_description", objoid=table.oid, objsubid=column.attnum),
        delete(table.temp, "helios_privilege", classid=PG_CLASS, objid=table.oid, objsubid=column.attnum),
    )


def take_constraint(alteration: Alteration, oid: int) -> None:
    """Remove a constraint on which nothing depends any more, with its index."""
    builder, table = alteration.builder, alteration.table
    constraint = next((found for found in table.constraints if found.oid == oid), None)
    if constraint is None:
        return
    if constraint.kind in "pux":
        index = next(found for found in table.indexes if found.oid == constraint.index_oid)
        table.indexes.remove(index)
        builder.add(*drop_index_steps(table.temp, index))
    elif constraint.kind == "c":
        name = quote_identifier(user_check_name(constraint.oid, constraint.name))
        alteration.native(lambda: f"{alteration.alter()} DROP CONSTRAINT {name}")
    else:
        alteration.rebuild = True
    table.constraints.remove(constraint)
    builder.add(delete(table.temp, "helios_constraint", oid=oid), delete(table.temp, "helios_description", objoid=oid))


def take_default(alteration: Alteration, column: ColumnDef) -> None:
    """Remove a column's default."""
    column.default = None
    if column.sqlite_default:
        alteration.rebuild = True
    alteration.attribute(column, default_text=None)


# -- ALTER COLUMN -------------------------------------------------------------------------------------------------


def set_default(alteration: Alteration, fields: dict[str, Any]) -> None:
    """SET DEFAULT and DROP DEFAULT.

    SQLite's own DEFAULT stays, for it is what rows older than their column show; INSERT names every column that
    has a default. Without a default INSERT leaves the column out, so then SQLite's must go, by a rebuild.
    """
    column = alteration.column(fields["name"])
    if column.identity:
        message = f'column "{column.name}" of relation "{alteration.table.name}" is an identity column'
        hint = None if "def" in fields else "Use ALTER TABLE ... ALTER COLUMN ... DROP IDENTITY instead."
        raise alteration.builder.error("42601", message, hint=hint)
    if column.generated:
        message = f'column "{column.name}" of relation "{alteration.table.name}" is a generated column'
        hint = None if "def" in fields else "Use ALTER TABLE ... ALTER COLUMN ... DROP EXPRESSION instead."
        raise alteration.builder.error("42601", message, hint=hint)
    if "def" not in fields:
        take_default(alteration, column)
        return
    column.default = default_text(alteration.builder, fields["def"], column, temp=alteration.table.temp)
    alteration.attribute(column, default_text=column.default)


def set_not_null(alteration: Alteration, fields: dict[str, Any], *, wanted: bool) -> None:
    """SET NOT NULL, which reads every row, and DROP NOT NULL.

    Raises:
        SqlError: 42P16, the column is part of the primary key.
    """
    table, column = alteration.table, alteration.column(fields["name"])
    if column.not_null == wanted:
        return
    primary = table.primary_key()
    if not wanted and primary is not None and column.name in primary.columns:
        raise alteration.builder.error("42P16", f'column "{column.name}" is in a primary key')
    if not wanted and column.identity:
        message = f'column "{column.name}" of relation "{table.name}" is an identity column'
        raise alteration.builder.error("42601", message)
    column.not_null = wanted
    if wanted and column.name not in alteration.conversions:
        alteration.verify_not_null(column.name)
    word = "SET" if wanted else "DROP"
    alteration.native(lambda: f"{alteration.alter()} ALTER COLUMN {quote_identifier(column.name)} {word} NOT NULL")
    alteration.attribute(column, attnotnull=stored_not_null(column))


def alter_type(alteration: Alteration, fields: dict[str, Any]) -> None:
    """ALTER COLUMN TYPE, with or without USING, by a rebuild.

    Raises:
        SqlError: 42804 no automatic conversion; 0A000 a view and the like use the column.
    """
    builder, table = alteration.builder, alteration.table
    column = alteration.column(fields["name"])
    definition = fields["def"]["ColumnDef"]
    type_oid, typmod = resolve_type(definition["typeName"], builder.context())
    check_types(builder, type_oid)
    refuse_itself(builder, table.name, row_oid(table.oid), type_oid)
    domain = builder.catalog.type_by_oid(type_oid) if kind_of(type_oid) == "d" else None
    if kind_of(type_oid) == "d" and domain is None:
        raise unsupported("an array over a domain", "Use an array over the base type.")
    if column.identity and type_oid not in (INT2, INT4, INT8):
        raise builder.error("22023", "identity column type must be smallint, integer, or bigint")
    _refuse_users(alteration, column.name)
    using = definition.get("raw_default")
    node = using or {"ColumnRef": {"fields": [{"String": {"sval": column.name}}], "location": -1}}
    shown = registry.sql_type_name(type_oid)

    def converted(value: Node, target: int, modifier: int) -> TypedSql:
        return translate_for_column(
            value, as_relation(table), catalog=builder.catalog, functions=builder.functions, type_oid=target,
            typmod=modifier, purpose="USING", source=builder.source, session=builder.session,
        )  # fmt: skip

    try:
        if domain is None:
            typed = converted(node, type_oid, typmod)
        else:
            typed = converted(node, domain.base_oid, domain.base_typmod)
            # It is assigned to the base type, and then asked what the domain asks.
            cast = {"TypeCast": {"arg": node, "typeName": definition["typeName"], "location": -1}}
            typed = converted(cast, domain.base_oid, domain.base_typmod)
    except SqlError as error:
        if error.sqlstate != "42804" and (using is not None or error.sqlstate != "42846"):
            raise
        if using is not None:
            message = f'result of USING clause for column "{column.name}" cannot be cast automatically to type {shown}'
            raise builder.error("42804", message, hint="You might need to add an explicit cast.") from None
        raise builder.error(
            "42804", f'column "{column.name}" cannot be cast automatically to type {shown}',
            hint=f'You might need to specify "USING {column.name}::{registry.format_type(type_oid, typmod)}".',
        ) from None  # fmt: skip
    alteration.conversions[column.name] = typed.sql
    column.type_oid, column.typmod, column.domain, column.collation = type_oid, typmod, 0, ""
    if domain is not None:
        column.type_oid, column.typmod, column.domain = domain.base_oid, domain.base_typmod, domain.oid
    column.dims = len(definition["typeName"].get("arrayBounds", ()))
    apply_collation(builder, column, definition.get("collClause"))
    check_keys_of(builder, table, column.name)
    if column.default is not None and not column.generated:
        column.default = _retyped_default(builder, column)
    if column.identity:
        _set_identity_options(
            alteration, column, [{"DefElem": {"defname": "as", "arg": {"TypeName": definition["typeName"]}}}]
        )
    alteration.rebuild = True
    alteration.attribute(
        column, atttypid=column.shown_oid, atttypmod=-1 if column.domain else typmod, typname=declared_type(column),
        default_text=column.default, attnotnull=stored_not_null(column),
    )  # fmt: skip


def _retyped_default(builder: Builder, column: ColumnDef) -> str | None:
    node = parse_expression(column.default or "NULL")
    if "TypeCast" in node and "A_Const" in node["TypeCast"]["arg"]:
        node = node["TypeCast"]["arg"]
    if "A_Const" in node:
        return default_text(builder, node, column)
    default_sql(builder, column)
    return deparse(node)


def _refuse_users(alteration: Alteration, column: str) -> None:
    """Raise SqlError 0A000 where a view, a trigger, a policy or a generated column is over the column."""
    builder, table = alteration.builder, alteration.table
    catalog, shown = builder.catalog, f'depends on column "{column}"'
    for view in catalog.dependents(table.oid):
        named = catalog.dependent_columns(view.oid, table.oid)
        if not named or column in named:
            raise builder.error(
                "0A000", "cannot alter type of a column used by a view or rule",
                detail=f"rule _RETURN on view {view.name} {shown}",
            )  # fmt: skip
    for trigger in catalog.triggers(table.oid):
        if column in trigger.columns or column in columns_named(trigger.when or None):
            message = "cannot alter type of a column used in a trigger definition"
            raise builder.error("0A000", message, detail=f"trigger {trigger.name} on table {table.name} {shown}")
    for policy in catalog.policies(table.oid):
        if any(column in columns_named(text) for text in (policy.using, policy.check)):
            message = "cannot alter type of a column used in a policy definition"
            raise builder.error("0A000", message, detail=f"policy {policy.name} on table {table.name} {shown}")
    for other in table.columns:
        if other.generated and column in columns_named(other.default):
            message = "cannot alter type of a column used by a generated column"
            detail = f'Column "{column}" is used by generated column "{other.name}".'
            raise builder.error("0A000", message, detail=detail)


def drop_expression(alteration: Alteration, fields: dict[str, Any]) -> None:
    """DROP EXPRESSION: a generated column keeps its values as an ordinary one."""
    builder, table = alteration.builder, alteration.table
    column = alteration.column(fields["name"])
    if not column.generated:
        message = f'column "{column.name}" of relation "{table.name}" is not a stored generated column'
        if not fields.get("missing_ok"):
            raise builder.error("55000", message)
        builder.notices.append(f"{message}, skipping")
        return
    column.generated, column.default = "", None
    alteration.rebuild = True
    alteration.attribute(column, attgenerated="", default_text=None)


def set_identity(alteration: Alteration, fields: dict[str, Any]) -> None:
    """ADD GENERATED ... AS IDENTITY, SET GENERATED and DROP IDENTITY."""
    builder, table = alteration.builder, alteration.table
    column = alteration.column(fields["name"])
    subtype = fields["subtype"]
    if subtype == "AT_AddIdentity":
        _add_identity(alteration, column, fields)
        return
    if not column.identity:
        if subtype == "AT_DropIdentity" and fields.get("missing_ok"):
            builder.notices.append(
                f'column "{column.name}" of relation "{table.name}" is not an identity column, skipping'
            )
            return
        message = f'column "{column.name}" of relation "{table.name}" is not an identity column'
        raise builder.error("55000", message)
    owned = [found for found in builder.catalog.owned_sequences(table.oid) if found.owner_attnum == column.attnum]
    if subtype == "AT_DropIdentity":
        column.identity = ""
        for sequence in owned:
            builder.add(
                delete(table.temp, "helios_relation", oid=sequence.oid),
                delete(table.temp, "helios_sequence", oid=sequence.oid),
            )
    else:
        _set_identity_options(alteration, column, fields["def"]["List"]["items"])
    alteration.attribute(column, attidentity=column.identity)


def _add_identity(alteration: Alteration, column: ColumnDef, fields: dict[str, Any]) -> None:
    builder, table = alteration.builder, alteration.table
    if column.identity:
        message = f'column "{column.name}" of relation "{table.name}" is already an identity column'
        raise builder.error("55000", message)
    if column.type_oid not in (INT2, INT4, INT8):
        raise builder.error("22023", "identity column type must be smallint, integer, or bigint")
    if not column.not_null:
        message = (
            f'column "{column.name}" of relation "{table.name}" must be declared NOT NULL before identity can be added'
        )
        raise builder.error("55000", message)
    if column.default is not None:
        message = f'column "{column.name}" of relation "{table.name}" already has a default value'
        raise builder.error("55000", message)
    constraint = fields["def"]["Constraint"]
    column.identity = constraint["generated_when"]
    spec = ColumnSpec(column, sequence_options=constraint.get("options", []))
    sequence = column_sequence(builder, table, spec)
    if sequence is not None:
        builder.add(*sequence_rows(sequence))
    alteration.attribute(column, attidentity=column.identity)


def _set_identity_options(alteration: Alteration, column: ColumnDef, items: list[dict[str, Any]]) -> None:
    builder = alteration.builder
    options = []
    for item in items:
        if item["DefElem"]["defname"] == "generated":
            column.identity = chr(item["DefElem"]["arg"]["Integer"]["ival"])
        else:
            options.append(item)
    for sequence in builder.catalog.owned_sequences(alteration.table.oid):
        if options and sequence.owner_attnum == column.attnum:
            found = apply_options(builder, sequence, options, is_new=False)
            builder.add(sequence_changes(sequence, found))


__all__ = [
    "Alteration", "add_column", "alter_type", "default_sql", "set_default", "set_identity", "set_not_null",
    "take_column", "take_constraint", "take_default", "write_column",
]  # fmt: skip
