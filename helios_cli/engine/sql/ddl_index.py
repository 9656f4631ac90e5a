"""CREATE INDEX, DROP INDEX and REINDEX."""

from __future__ import annotations

from typing import Any, Final

from helios_cli.engine.sql import ddl_unique, tree
from helios_cli.engine.sql.ddl_build import Builder, unsupported
from helios_cli.engine.sql.ddl_deparse import deparse
from helios_cli.engine.sql.ddl_model import NULLS_ALIKE, IndexDef, IndexKey, TableDef
from helios_cli.engine.sql.ddl_partition_rows import check_key
from helios_cli.engine.sql.ddl_render import database_of, delete, index_rows, qualified
from helios_cli.engine.sql.ddl_storage import storage_options
from helios_cli.engine.sql.expressions import find_collation
from helios_cli.engine.sql.names import column_name
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.text_collations import BUILTIN
from helios_cli.engine.sql.type_pins import unpinned

_SAME_ANSWERS: Final = frozenset(("btree", "hash"))
"""Access methods whose every search an ordinary index answers alike."""
_NEEDS_OWN_STRUCTURE: Final = {
    "gin": "Leave the index out: the same queries run as a scan.",
    "gist": "Leave the index out: the same queries run as a scan.",
    "spgist": "Leave the index out: the same queries run as a scan.",
    "brin": "Create a btree index instead.",
    "bloom": "Create a btree index instead.",
}
_GIN_AS_BTREE: Final = frozenset((3802, 3614))
_MAX_KEYS: Final = 32


def create_index(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan CREATE INDEX.

    Raises:
        SqlError: 42P07 exists already, 42703 unknown column, 42P17 a function that is not immutable.
    """
    table = builder.find_table(fields["relation"])
    assert table is not None
    name = fields.get("idxname")
    if name is not None and fields.get("if_not_exists") and not builder.name_is_free(table.schema, name):
        builder.notices.append(f'relation "{name}" already exists, skipping')
        return builder.finish("CREATE INDEX")
    method = fields.get("accessMethod", "btree")
    _check_method(builder, fields, method)
    predicate = _predicate(builder, table, fields.get("whereClause"))
    keys = tuple(index_key(builder, table, element["IndexElem"]) for element in fields["indexParams"])
    _check(builder, table, fields, method, keys)
    if name is None:
        name = _default_name(builder, table, fields["indexParams"], keys)
    else:
        builder.claim_name(table.schema, name)
    index = IndexDef(
        oid=builder.oid(), schema=table.schema, name=name, sqlite_name=builder.sqlite_name(table.schema, name),
        table_oid=table.oid, unique=bool(fields.get("unique")), primary=False, method=method, keys=keys,
        include=tuple(_include(builder, table, element) for element in fields.get("indexIncludingParams", [])),
        predicate=predicate,
        options=storage_options(fields.get("options", [])),
        rules=NULLS_ALIKE if fields.get("nulls_not_distinct") else 0,
    )  # fmt: skip
    if index.unique:
        check_key(builder, table, False, tuple(key.column for key in keys))
    table.indexes.append(index)
    builder.add(builder.index_sql(table, len(table.indexes) - 1), *index_rows(table.temp, index))
    if table.parted:
        # The modules that do it need this one.
        from helios_cli.engine.sql.ddl_index_parts import leave_incomplete
        from helios_cli.engine.sql.ddl_partition_parts import index_partitions

        (index_partitions if fields["relation"].get("inh") else leave_incomplete)(builder, table, index)
    return builder.finish("CREATE INDEX")


def _check(builder: Builder, table: TableDef, fields: dict[str, Any], method: str, keys: tuple[IndexKey, ...]) -> None:
    if len(keys) > _MAX_KEYS:
        raise builder.error("54011", f"cannot use more than {_MAX_KEYS} columns in an index")
    # An index never changes an answer, only its speed: these are kept as ordinary indexes so that migrations run.
    # One over an expression is worth its price for a unique key alone, but text search is declared so everywhere.
    if method == "brin" and any(key.column is None for key in keys):
        raise unsupported(f"a {method} index over an expression", _NEEDS_OWN_STRUCTURE[method])


def _check_method(builder: Builder, fields: dict[str, Any], method: str) -> None:
    own = method in _NEEDS_OWN_STRUCTURE and (method != "bloom" or method in builder.catalog.extensions())
    if method not in _SAME_ANSWERS and not own:
        raise builder.error("42704", f'access method "{method}" does not exist')
    if fields.get("unique") and method != "btree":
        raise builder.error("0A000", f'access method "{method}" does not support unique indexes')
    if method in ("hash", "spgist") and len(fields["indexParams"]) > 1:
        raise builder.error("0A000", f'access method "{method}" does not support multicolumn indexes')


def index_key(builder: Builder, table: TableDef, fields: dict[str, Any]) -> IndexKey:
    """A key by its IndexElem. Raises SqlError 42703, 42P17."""
    descending = fields.get("ordering") == "SORTBY_DESC"
    nulls = fields.get("nulls_ordering", "SORTBY_NULLS_DEFAULT")
    nulls_first = descending if nulls == "SORTBY_NULLS_DEFAULT" else nulls == "SORTBY_NULLS_FIRST"
    opclass = tree.strings(fields["opclass"])[-1] if fields.get("opclass") else None
    collation = _collation(builder, fields)
    if "name" in fields:
        if table.column(fields["name"]) is None:
            raise builder.error("42703", f'column "{fields["name"]}" does not exist')
        return IndexKey(fields["name"], None, descending, nulls_first, opclass, collation)
    collated = fields["expr"].get("CollateClause", {})
    named = collated.get("arg", {}).get("ColumnRef", {}).get("fields", [])
    if len(named) == 1 and "collation" not in fields:
        inner = {**fields, "name": tree.strings(named)[-1], "collation": collated["collname"]}
        return index_key(builder, table, {key: value for key, value in inner.items() if key != "expr"})
    builder.translate_node(table, fields["expr"], "INDEX")
    types = {column.name: column.type_oid for column in table.columns}
    return IndexKey(None, deparse(fields["expr"], types), descending, nulls_first, opclass, collation)


def _collation(builder: Builder, fields: dict[str, Any]) -> str | None:
    if not fields.get("collation"):
        return None
    found = find_collation(tree.strings(fields["collation"]), builder.context())
    return found.name if found.name in BUILTIN and found.schema == "pg_catalog" else found.word


def _include(builder: Builder, table: TableDef, element: dict[str, Any]) -> str:
    name = element["IndexElem"].get("name")
    if name is None:
        raise builder.error("0A000", "expressions are not supported in included columns")
    if table.column(name) is None:
        raise builder.error("42703", f'column "{name}" does not exist')
    return str(name)


def _predicate(builder: Builder, table: TableDef, node: dict[str, Any] | None) -> str | None:
    if node is None:
        return None
    builder.translate_node(table, node, "PREDICATE")
    return deparse(node, {column.name: column.type_oid for column in table.columns})


def _default_name(builder: Builder, table: TableDef, elements: list[dict[str, Any]], keys: tuple[IndexKey, ...]) -> str:
    return builder.choose_relation_name(table.schema, table.name, "_".join(key_names(builder, elements, keys)), "idx")


def key_names(builder: Builder, elements: list[dict[str, Any]], keys: tuple[IndexKey, ...]) -> list[str]:
    """As ChooseIndexColumnNames: what the expressions would be called as result columns, else 'expr'."""
    parts: list[str] = []
    for element, key in zip(elements, keys, strict=True):
        part = key.column
        if part is None:
            node = element["IndexElem"]["expr"]
            call = node.get("FuncCall")
            part = unpinned(tree.strings(call["funcname"]), builder.catalog)[-1] if call else column_name(node)
            part = "expr" if part == "?column?" else part
        count, base = 0, part
        while part in parts:
            count += 1
            part = f"{base}{count}"
        parts.append(part)
    return parts


def drop_index_steps(temp: bool, index: IndexDef) -> list[str]:
    """The steps that remove an index and its rows."""
    db = database_of(temp)
    return [
        *_drop_triggers(index, db),
        *ddl_unique.drop_index(index, db),
        delete(temp, "helios_index", oid=index.oid),
        delete(temp, "helios_relation", oid=index.oid),
        delete(temp, "helios_description", objoid=index.oid),
    ]


def _drop_triggers(index: IndexDef, db: str) -> list[str]:
    if index.excludes:
        # The module that writes them needs this one.
        from helios_cli.engine.sql.ddl_exclusion import drop_steps

        return drop_steps(index, db)
    return ddl_unique.drop_triggers(index, db) if index.deferrable else []


def reindex(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan REINDEX of an index or table; of a schema, database or system it rebuilds every index."""
    kind = fields["kind"]
    if kind == "REINDEX_OBJECT_INDEX":
        range_var = fields["relation"]
        index = builder.catalog.index_def(range_var.get("schemaname"), range_var["relname"])
        if index is None:
            raise builder.error(
                "42P01", f'relation "{range_var["relname"]}" does not exist', range_var.get("location", -1)
            )
        table = builder.catalog.table_def(index.table_oid)
        builder.add(f"REINDEX {qualified(index.sqlite_name, table is not None and table.temp)}")
    elif kind == "REINDEX_OBJECT_TABLE":
        found = builder.find_table(fields["relation"])
        assert found is not None
        if not found.indexes:
            builder.notices.append(f'table "{found.name}" has no indexes to reindex')
        builder.add(f"REINDEX {qualified(found.sqlite_name, found.temp)}")
    else:
        builder.add("REINDEX")
    return builder.finish("REINDEX")
