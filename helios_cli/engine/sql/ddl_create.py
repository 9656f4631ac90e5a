"""CREATE TABLE: its columns, constraints, indexes and sequences, LIKE, and the rows that describe them."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Final

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import tree
from helios_cli.engine.sql.ddl_build import Builder, as_relation, unsupported
from helios_cli.engine.sql.ddl_columns import (
    MAX_COLUMNS,
    ColumnSpec,
    column_sequence,
    override_column,
    read_column,
    settle_default,
)
from helios_cli.engine.sql.ddl_constraints import add_constraint
from helios_cli.engine.sql.ddl_deparse import parse_expression
from helios_cli.engine.sql.ddl_index import key_names
from helios_cli.engine.sql.ddl_inherit import inherit_checks, inherit_columns, merge_check, parent_rows
from helios_cli.engine.sql.ddl_model import IndexDef, SequenceDef, TableDef
from helios_cli.engine.sql.ddl_partition import check_lasting, part_of, parted_by, with_bound
from helios_cli.engine.sql.ddl_partition_rows import partition_rows
from helios_cli.engine.sql.ddl_render import (
    attribute_rows,
    constraint_row,
    index_rows,
    on_commit_option,
    relation_row,
    sequence_rows,
)
from helios_cli.engine.sql.ddl_storage import storage_options
from helios_cli.engine.sql.plan import Plan

_HARMLESS_OPTIONS: Final = frozenset(
    ("fillfactor", "oids", "parallel_workers", "user_catalog_table", "toast_tuple_target")
)
_LIKE_DEFAULTS, _LIKE_CONSTRAINTS = 1 << 3, 1 << 2
_LIKE_GENERATED, _LIKE_IDENTITY, _LIKE_INDEXES = 1 << 4, 1 << 5, 1 << 6


def create_table(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan CREATE TABLE.

    Raises:
        SqlError: 42P07 exists already, 42701 a column twice, and what columns and constraints raise.
    """
    _refuse_unsupported(fields)
    range_var = fields["relation"]
    schema, name = builder.creation_schema(range_var), range_var["relname"]
    if fields.get("if_not_exists") and builder.catalog.object_kind(schema, name) is not None:
        builder.notices.append(f'relation "{name}" already exists, skipping')
        builder.steps.clear()
        return builder.finish("CREATE TABLE")
    builder.claim_name(schema, name)
    table = TableDef(builder.oid(), schema, name, builder.sqlite_name(schema, name), builder.temp, [])
    elements, is_part = fields.get("tableElts", []), "partbound" in fields
    specs, table_constraints, likes = _read_elements(builder, table, [] if is_part else elements)
    check_columns(builder, table)
    parents = inherit_columns(builder, table, specs, fields.get("inhRelations", []), is_part=is_part)
    if parents:
        check_columns(builder, table)
    if is_part:
        specs, table_constraints = _read_part(builder, table, elements)
    _part(builder, table, parents, fields)
    sequences = _settle(builder, table, specs)
    inherit_checks(builder, table, parents)
    for constraint in _in_order(specs, table_constraints):
        if merge_check(builder, table, constraint) is None:
            add_constraint(builder, table, constraint)
    for like, options in likes:
        _copy_like(builder, table, like, options)
    storage = storage_options(fields.get("options", []))
    parts = _take_parts(builder, table, parents[0]) if table.is_partition else []
    write_table(builder, table, sequences, fields.get("oncommit", "ONCOMMIT_NOOP"), storage)
    builder.add(*parent_rows(table, parents), *parts)
    if table.is_partition:
        # The module that does it needs this one.
        from helios_cli.engine.sql.ddl_trigger_parts import clone_to_partition

        clone_to_partition(builder, parents[0].oid, as_relation(table))
    if table.partition is not None:
        builder.add(*partition_rows(table.temp, table.oid, table.partition))
    return builder.finish("CREATE TABLE")


def _part(builder: Builder, table: TableDef, parents: list[TableDef], fields: dict[str, Any]) -> None:
    """Read PARTITION BY and the bound of a partition."""
    if "partspec" in fields:
        table.partition = parted_by(builder, table, fields["partspec"])
    if "partbound" in fields:
        check_lasting(builder, table, parents[0], "create")
        table.partition = with_bound(table.partition, part_of(builder, table, parents[0], fields["partbound"]))


def _take_parts(builder: Builder, table: TableDef, parent: TableDef) -> list[str]:
    # The module that does it needs this one.
    from helios_cli.engine.sql.ddl_partition_parts import narrow_default, take_parts

    assert table.partition is not None
    if table.partition.bound != "DEFAULT":
        narrow_default(builder, parent, table.partition)
    return take_parts(builder, table, parent)


def _refuse_unsupported(fields: dict[str, Any]) -> None:
    if "ofTypename" in fields:
        raise unsupported("a typed table")
    if fields.get("accessMethod", "heap") != "heap":
        raise unsupported(f'access method "{fields["accessMethod"]}"')
    check_storage(fields)


def check_storage(fields: dict[str, Any]) -> None:
    """Accept storage options that change no answer; refuse the others.

    Raises:
        SqlError: 22023 an unknown option, 42704 an unknown tablespace.
    """
    if fields.get("tablespacename", "pg_default") != "pg_default":
        raise SqlError(f'tablespace "{fields["tablespacename"]}" does not exist', sqlstate="42704")
    for node in fields.get("options", []):
        name = node["DefElem"]["defname"]
        if name not in _HARMLESS_OPTIONS and not name.startswith(("autovacuum_", "toast", "vacuum_", "log_autovacuum")):
            raise SqlError(f'unrecognized parameter "{name}"', sqlstate="22023")


def _read_elements(
    builder: Builder, table: TableDef, elements: list[dict[str, Any]]
) -> tuple[list[ColumnSpec], list[dict[str, Any]], list[tuple[TableDef, int]]]:
    specs: list[ColumnSpec] = []
    constraints: list[dict[str, Any]] = []
    likes: list[tuple[TableDef, int]] = []
    for element in elements:
        kind = tree.tag(element)
        if kind == "ColumnDef":
            specs.append(read_column(builder, element[kind], len(table.columns) + 1, table.name))
            table.columns.append(specs[-1].column)
        elif kind == "Constraint":
            constraints.append(element[kind])
        elif kind == "TableLikeClause":
            specs += _like_columns(builder, table, element[kind], likes)
        else:
            raise unsupported(kind)
    return specs, constraints, likes


def _read_part(
    builder: Builder, table: TableDef, elements: list[dict[str, Any]]
) -> tuple[list[ColumnSpec], list[dict[str, Any]]]:
    """What PARTITION OF says of columns, which the table has from its parent, and its constraints."""
    specs: dict[str, ColumnSpec] = {}
    for element in elements:
        fields = element.get("ColumnDef")
        if fields is None:
            continue
        name = fields["colname"]
        column = table.column(name)
        if name in specs:
            raise builder.error("42701", f'column "{name}" specified more than once')
        if column is None:
            raise builder.error("42703", f'column "{name}" does not exist')
        if "collClause" in fields:
            raise unsupported("COLLATE of a partition's column", "Leave it out: it is that of the partitioned table.")
        specs[name] = override_column(builder, column, fields, table.name)
    return list(specs.values()), [element["Constraint"] for element in elements if "Constraint" in element]


def check_columns(builder: Builder, table: TableDef) -> None:
    """Refuse duplicate names, names that differ only in case, and too many columns.

    Raises:
        SqlError: 42701, 54011; 0A000 for names that only case tells apart, which SQLite cannot hold.
    """
    if len(table.columns) > MAX_COLUMNS:
        raise builder.error("54011", f"tables can have at most {MAX_COLUMNS} columns")
    seen: dict[str, str] = {}
    for column in table.columns:
        folded = column.name.lower()
        if seen.get(folded) == column.name:
            raise builder.error("42701", f'column "{column.name}" specified more than once')
        if folded in seen:
            raise unsupported(
                f'a column "{column.name}" beside "{seen[folded]}"', "Choose names that differ in more than case."
            )
        seen[folded] = column.name


def _settle(builder: Builder, table: TableDef, specs: list[ColumnSpec]) -> list[SequenceDef]:
    sequences = []
    for spec in specs:
        sequence = column_sequence(builder, table, spec)
        if sequence is not None:
            sequences.append(sequence)
        settle_default(builder, table, spec)
    return sequences


def _in_order(specs: list[ColumnSpec], table_constraints: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Constraints in the order PostgreSQL makes them: checks, then keys (the primary key first), then foreign keys."""
    everything = [constraint for spec in specs for constraint in spec.constraints] + table_constraints
    rank = {"CONSTR_CHECK": 0, "CONSTR_PRIMARY": 1, "CONSTR_UNIQUE": 2, "CONSTR_FOREIGN": 4, "CONSTR_EXCLUSION": 3}
    return sorted(everything, key=lambda constraint: rank.get(constraint["contype"], 5))


def check_on_commit(builder: Builder, word: str) -> None:
    """Raise SqlError 42P16 for ON COMMIT of a table that is not temporary; its schema has been chosen."""
    if word != "ONCOMMIT_NOOP" and not builder.temp:
        raise builder.error("42P16", "ON COMMIT can only be used on temporary tables")


def write_table(
    builder: Builder,
    table: TableDef,
    sequences: list[SequenceDef],
    on_commit: str = "ONCOMMIT_NOOP",
    storage: str | None = None,
) -> None:
    """The steps that make a table and everything that came with it. ``on_commit`` is the parser's word; ``storage``
    are storage parameters as pg_class shows them.
    """
    check_on_commit(builder, on_commit)
    for sequence in sequences:
        builder.add(*sequence_rows(sequence))
    builder.add(builder.table_sql(table))
    options = on_commit_option(on_commit) or (None if table.temp else storage)
    builder.add(relation_row(table.temp, table.oid, table.schema, table.name, "r", table.sqlite_name, options=options))
    builder.add(*attribute_rows(table.temp, table.oid, table.columns))
    for position, index in enumerate(table.indexes):
        builder.add(builder.index_sql(table, position), *index_rows(table.temp, index))
    builder.add(*(constraint_row(table.temp, constraint) for constraint in table.constraints))


# -- LIKE ---------------------------------------------------------------------------------------------------------


def _like_columns(
    builder: Builder, table: TableDef, fields: dict[str, Any], likes: list[tuple[TableDef, int]]
) -> list[ColumnSpec]:
    """Append the columns of a LIKE clause; what the options copy besides follows in ``_copy_like``."""
    temp = builder.temp
    source = builder.find_table(fields["relation"])
    builder.temp = temp
    if source is None:
        return []
    options = fields.get("options", 0)
    likes.append((source, options))
    specs = []
    for column in source.columns:
        copied = deepcopy(column)
        copied.attnum = len(table.columns) + 1
        copied.sqlite_default, copied.dims = False, 0
        keep = _LIKE_GENERATED if column.generated else _LIKE_DEFAULTS
        if not options & keep:
            copied.default, copied.generated = None, ""
        spec = ColumnSpec(copied)
        if column.identity:
            copied.identity = column.identity if options & _LIKE_IDENTITY else ""
            spec.sequence_options = _like_sequence(builder, source, column.attnum) if options & _LIKE_IDENTITY else None
        table.columns.append(copied)
        specs.append(spec)
    return specs


def _like_sequence(builder: Builder, source: TableDef, attnum: int) -> list[dict[str, Any]]:
    """The options of an identity column's sequence, for a copy of it."""
    for sequence in builder.catalog.owned_sequences(source.oid):
        if sequence.owner_attnum == attnum:
            values = {
                "start": sequence.start, "increment": sequence.increment, "minvalue": sequence.minimum,
                "maxvalue": sequence.maximum, "cache": sequence.cache,
            }  # fmt: skip
            options = [
                {"DefElem": {"defname": key, "arg": {"Float": {"fval": str(value)}}}} for key, value in values.items()
            ]
            return [*options, {"DefElem": {"defname": "cycle", "arg": {"Boolean": {"boolval": sequence.cycle}}}}]
    return []


def _copy_like(builder: Builder, table: TableDef, source: TableDef, options: int) -> None:
    if options & _LIKE_CONSTRAINTS:
        for constraint in source.constraints:
            if constraint.kind == "c" and constraint.expression is not None:
                node = parse_expression(constraint.expression)
                add_constraint(
                    builder, table, {"contype": "CONSTR_CHECK", "raw_expr": node, "conname": constraint.name}
                )
    if not options & _LIKE_INDEXES:
        return
    for index in source.indexes:
        if index.excludes:
            raise unsupported("LIKE INCLUDING INDEXES of a table with EXCLUDE constraints")
        copy_index(builder, table, source, index)


def copy_index(builder: Builder, table: TableDef, source: TableDef, index: IndexDef) -> None:
    """Add an index like one of another table to a definition, with its key where it is one's."""
    constraint = next(
        (found for found in source.constraints if found.index_oid == index.oid and found.kind in "pu"), None
    )
    if constraint is not None:
        keys = [{"String": {"sval": name}} for name in constraint.columns]
        kind = "CONSTR_PRIMARY" if constraint.kind == "p" else "CONSTR_UNIQUE"
        included = [{"String": {"sval": name}} for name in index.include]
        fields = {"contype": kind, "keys": keys, "including": included, "inherited": table.is_partition}
        fields["nulls_not_distinct"] = index.nulls_alike
        if constraint.deferrable:
            fields |= {"deferrable": True, "initdeferred": constraint.deferred}
        add_constraint(builder, table, fields)
        return
    elements = [
        {"IndexElem": {"expr": parse_expression(key.expression)} if key.expression is not None else {}}
        for key in index.keys
    ]
    names = "_".join(key_names(builder, elements, index.keys))
    copied = deepcopy(index)
    copied.oid, copied.table_oid, copied.schema = builder.oid(), table.oid, table.schema
    copied.name = builder.choose_relation_name(table.schema, table.name, names, "idx")
    copied.sqlite_name = builder.sqlite_name(table.schema, copied.name)
    table.indexes.append(copied)
