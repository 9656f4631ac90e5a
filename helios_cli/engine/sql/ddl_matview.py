"""Materialized views: tables whose rows are those of a query, as of the last REFRESH.

``helios_relation`` has them as kind 'm', and as 'M' while they have not been populated.
"""

from __future__ import annotations

import re
from typing import Any, Final

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import grammar, tree
from helios_cli.engine.sql.ddl_build import Builder
from helios_cli.engine.sql.ddl_create import check_columns, check_storage
from helios_cli.engine.sql.ddl_model import TableDef
from helios_cli.engine.sql.ddl_render import attribute_rows, qualified, relation_row, update
from helios_cli.engine.sql.ddl_storage import storage_options
from helios_cli.engine.sql.ddl_type_rights import check_types
from helios_cli.engine.sql.ddl_view import record_dependencies, translate_stored, view_text
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.sqltext import quote_identifier
from helios_cli.engine.sql.stored_names import settled_query

_DATA: Final = re.compile(r"\s+WITH\s+(?:NO\s+)?DATA\s*$", re.IGNORECASE)


def create_matview(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan CREATE MATERIALIZED VIEW; its tag is ``SELECT n`` when it is populated.

    Raises:
        SqlError: 42P07 the name is taken, 42601 more names than columns.
    """
    into = fields["into"]
    check_storage({"options": into.get("options", []), "tablespacename": into.get("tableSpaceName", "pg_default")})
    range_var = into["rel"]
    schema, name = builder.creation_schema(range_var), range_var["relname"]
    if fields.get("if_not_exists") and not builder.name_is_free(schema, name):
        builder.notices.append(f'relation "{name}" already exists, skipping')
        builder.steps.clear()
        return builder.finish("CREATE MATERIALIZED VIEW")
    builder.claim_name(schema, name)
    query = fields["query"]
    called: set[int] = set()
    sql, columns = translate_stored(builder, query, tree.strings(into.get("colNames", [])), called)
    check_types(builder, *(column.type_oid for column in columns))
    table = TableDef(builder.oid(), schema, name, builder.sqlite_name(schema, name), builder.temp, columns)
    check_columns(builder, table)
    populated = not into.get("skipData")
    text = settled_query(builder, _DATA.sub("", view_text(builder.source, range_var.get("location", 0))))
    builder.add(builder.table_sql(table))
    kind = "m" if populated else "M"
    options = storage_options(into.get("options", []))
    row = relation_row(table.temp, table.oid, schema, name, kind, table.sqlite_name, definition=text, options=options)
    builder.add(row)
    builder.add(*attribute_rows(table.temp, table.oid, columns))
    record_dependencies(builder, table.oid, query, called)
    plan = builder.finish("SELECT" if populated else "CREATE MATERIALIZED VIEW")
    if populated:
        plan.steps = (*plan.steps, _fill(table, sql))
        plan.counts_rows = True
    return plan


def _fill(table: TableDef, sql: str) -> str:
    listed = ", ".join(quote_identifier(column.name) for column in table.columns)
    return f"INSERT INTO {qualified(table.sqlite_name, table.temp)} ({listed}) {sql}"


def refresh_matview(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan REFRESH MATERIALIZED VIEW.

    Raises:
        SqlError: 42P01 missing, 0A000 not a materialized view, 42601 CONCURRENTLY WITH NO DATA, 0A000 CONCURRENTLY
            before it is populated, 55000 CONCURRENTLY without a unique index over columns.
    """
    relation = builder.find_relation(fields["relation"])
    assert relation is not None
    populates, concurrent = not fields.get("skipData"), bool(fields.get("concurrent"))
    if relation.kind not in ("m", "M"):
        raise builder.error("0A000", f'"{relation.name}" is not a materialized view')
    table, definition = builder.catalog.table_def(relation.oid), builder.catalog.view_def(relation.oid)
    assert table is not None and definition is not None
    if concurrent and relation.kind == "m" and not populates:
        message = "REFRESH options CONCURRENTLY and WITH NO DATA cannot be used together"
        raise SqlError(message, sqlstate="42601")
    if concurrent:
        _check_concurrent(builder, table, relation.kind)
    builder.touch(table.temp)
    builder.add(f"DELETE FROM {qualified(table.sqlite_name, table.temp)}")
    if populates:
        parsed: Any = grammar.parse(definition.text)
        sql, _columns = translate_stored(builder, parsed[0]["stmt"], [column.name for column in table.columns])
        builder.add(_fill(table, sql))
    builder.add(update(table.temp, "helios_relation", {"relkind": "m" if populates else "M"}, oid=table.oid))
    return builder.finish("REFRESH MATERIALIZED VIEW")


def _check_concurrent(builder: Builder, table: TableDef, kind: str) -> None:
    if kind == "M":
        message = "CONCURRENTLY cannot be used when the materialized view is not populated"
        raise builder.error("0A000", message)
    plain = (
        index for index in table.indexes
        if index.unique and index.predicate is None and all(key.column is not None for key in index.keys)
    )  # fmt: skip
    if next(plain, None) is None:
        shown = f"{table.schema}.{table.name}"
        hint = "Create a unique index with no WHERE clause on one or more columns of the materialized view."
        raise builder.error("55000", f'cannot refresh materialized view "{shown}" concurrently', hint=hint)
