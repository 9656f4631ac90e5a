"""The definitions that pg_get_indexdef, pg_get_constraintdef and their kin print (ruleutils.c)."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from helios_cli.engine.sql.ddl_deparse import parse_expression, pretty_expression, rename_column
from helios_cli.engine.sql.ddl_model import ConstraintDef, IndexDef, IndexKey
from helios_cli.engine.sql.sqltext import pg_identifier, quote_string
from helios_cli.engine.sql.text_collations import oid_of, stored_word
from helios_cli.engine.storage import collation_rows
from helios_cli.engine.storage.extension_names import class_name, with_operators
from helios_cli.engine.storage.system_snapshot import Snapshot
from helios_cli.engine.storage.type_rows import shown_text

_ACTIONS: Final = {"r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}


def qualified_name(snapshot: Snapshot, oid: int, always: bool = True) -> str:
    """A relation's name as PostgreSQL prints it, with its schema."""
    relation = snapshot.relations.get(oid)
    if relation is None:
        return "?"
    name = pg_identifier(relation.name)
    return f"{pg_identifier(relation.schema)}.{name}" if always or relation.schema not in snapshot.path else name


_CALLS: Final = ("FuncCall", "CoalesceExpr", "MinMaxExpr", "SQLValueFunction")
"""What stands in an index without parentheses (looks_like_function, ruleutils.c)."""


def index_element(snapshot: Snapshot, table_oid: int, key: IndexKey, pretty: bool) -> str:
    """A key's column, function call, or expression in parentheses, and nothing besides."""
    if key.column is not None:
        return pg_identifier(key.column)
    text = _pretty(snapshot, table_oid, key.expression or "", pretty)
    return text if _is_call(text) else f"({text})"


@lru_cache(maxsize=4096)
def _is_call(text: str) -> bool:
    """Whether an expression looks like a function's call."""
    tree = parse_expression(text)
    return not text.startswith("(") and any(call in tree for call in _CALLS)


def index_key(snapshot: Snapshot, table_oid: int, key: IndexKey, pretty: bool = False) -> str:
    """One key, without its order: as :func:`index_element`, with its collation and operator class."""
    text = index_element(snapshot, table_oid, key, pretty)
    text += _collate(snapshot, table_oid, key)
    return f"{text} {class_name(snapshot, key.opclass)}" if key.opclass else text


def _collate(snapshot: Snapshot, table_oid: int, key: IndexKey) -> str:
    """The COLLATE clause of a key whose collation is not its column's."""
    if key.collation is None:
        return ""
    word = stored_word(key.collation)
    columns = snapshot.columns.get(table_oid, ())
    own = next((column.collation for column in columns if column.name == key.column), "")
    found = collation_rows.find(snapshot, word)
    if found is None or oid_of(word) == oid_of(own):
        return ""
    name = pg_identifier(found.name)
    visible = found.schema in ("pg_catalog", *snapshot.path)
    return f" COLLATE {name}" if visible else f" COLLATE {pg_identifier(found.schema)}.{name}"


def _order(key: IndexKey) -> str:
    if key.descending:
        return " DESC" if key.nulls_first else " DESC NULLS LAST"
    return " NULLS FIRST" if key.nulls_first else ""


_VALUE: Final = "helios_domain_value"
"""Stands for VALUE while a CHECK of a domain is written out."""


def _domain_check(snapshot: Snapshot, oid: int, pretty: bool) -> str | None:
    """A domain's CHECK; None for an unknown OID."""
    for found in snapshot.types.values():
        for check in found.checks:
            if check.oid == oid:
                rest = "" if check.validated else " NOT VALID"
                if not pretty:
                    return f"CHECK ({shown_text(snapshot, check.expression) or ''}){rest}"
                text = rename_column(check.expression, "value", _VALUE, {"value": found.base_oid})
                shown = shown_text(snapshot, pretty_expression(text, ((_VALUE, found.base_oid),))) or ""
                return f"CHECK ({shown.replace(_VALUE, 'VALUE')}){rest}"
    return None


def _pretty(snapshot: Snapshot, table_oid: int, text: str, pretty: bool) -> str:
    """A stored expression as it is, or without the parentheses that precedence makes needless."""
    types = tuple((column.name, column.type_oid) for column in snapshot.columns.get(table_oid, ()))
    shown = pretty_expression(text, types) if pretty else text
    return shown_text(snapshot, with_operators(snapshot, shown, types, pretty)) or ""


def indexdef(snapshot: Snapshot, oid: int, column: int = 0, pretty: bool = False) -> str | None:
    """CREATE INDEX for an index, or only its key number ``column``; None for an unknown OID.

    The pretty form leaves out the schema public, and needless parentheses.
    """
    index = snapshot.indexes.get(oid)
    if index is None:
        return None
    if column:
        if column <= len(index.keys):
            return index_element(snapshot, index.table_oid, index.keys[column - 1], pretty)
        rest = column - len(index.keys) - 1
        return pg_identifier(index.include[rest]) if rest < len(index.include) else ""
    return _whole(snapshot, index, pretty)


def _whole(snapshot: Snapshot, index: IndexDef, pretty: bool) -> str:
    keys = ", ".join(index_key(snapshot, index.table_oid, key, pretty) + _order(key) for key in index.keys)
    unique = "UNIQUE " if index.unique else ""
    table = qualified_name(snapshot, index.table_oid, always=not pretty)
    parted = snapshot.partitions.get(index.table_oid)
    table = f"ONLY {table}" if parted is not None and parted.strategy else table
    text = f"CREATE {unique}INDEX {pg_identifier(index.name)} ON {table} USING {index.method} ({keys})"
    if index.include:
        text += f" INCLUDE ({', '.join(pg_identifier(name) for name in index.include)})"
    if index.nulls_alike:
        text += " NULLS NOT DISTINCT"
    text += _storage_options(snapshot, index)
    if index.predicate is None:
        return text
    return f"{text} WHERE {_pretty(snapshot, index.table_oid, index.predicate, pretty)}"


def _storage_options(snapshot: Snapshot, index: IndexDef) -> str:
    relation = snapshot.relations.get(index.oid)
    if relation is None or not relation.options:
        return ""
    pairs = (option.partition("=") for option in relation.options[1:-1].split(","))
    shown = (f"{name}={value if pg_identifier(value) == value else quote_string(value)}" for name, _, value in pairs)
    return f" WITH ({', '.join(shown)})"


def _deferral(constraint: ConstraintDef) -> str:
    if not constraint.deferrable:
        return ""
    return " DEFERRABLE INITIALLY DEFERRED" if constraint.deferred else " DEFERRABLE"


def constraintdef(snapshot: Snapshot, oid: int, pretty: bool = False) -> str | None:
    """A constraint as ALTER TABLE ADD would take it; None for an unknown OID."""
    constraint = snapshot.constraints.get(oid)
    if constraint is None:
        return _domain_check(snapshot, oid, pretty)
    return _constraint(snapshot, constraint, pretty) + ("" if constraint.validated else " NOT VALID")


def _constraint(snapshot: Snapshot, constraint: ConstraintDef, pretty: bool) -> str:
    columns = ", ".join(pg_identifier(name) for name in constraint.columns)
    if constraint.kind == "x":
        return _exclusion(snapshot, constraint, pretty)
    if constraint.kind in "pu":
        index = snapshot.indexes.get(constraint.index_oid)
        word = "PRIMARY KEY" if constraint.kind == "p" else "UNIQUE"
        if index is not None and index.nulls_alike:
            word += " NULLS NOT DISTINCT"
        include = (
            f" INCLUDE ({', '.join(pg_identifier(name) for name in index.include)})" if index and index.include else ""
        )
        return f"{word} ({columns}){include}{_deferral(constraint)}"
    if constraint.kind == "c":
        text = f"CHECK ({_pretty(snapshot, constraint.table_oid, constraint.expression or '', pretty)})"
        return f"{text} NO INHERIT" if constraint.no_inherit else text
    return _foreign_key(snapshot, constraint, columns)


def _exclusion(snapshot: Snapshot, constraint: ConstraintDef, pretty: bool) -> str:
    index = snapshot.indexes[constraint.index_oid]
    keys = ", ".join(
        f"{index_key(snapshot, index.table_oid, key, pretty)}{_order(key)} WITH {key.operator}" for key in index.keys
    )
    text = f"EXCLUDE USING {index.method} ({keys})"
    if index.include:
        text += f" INCLUDE ({', '.join(pg_identifier(name) for name in index.include)})"
    if index.predicate is not None:
        text += f" WHERE ({_pretty(snapshot, index.table_oid, index.predicate, pretty)})"
    return text + _deferral(constraint)


def _foreign_key(snapshot: Snapshot, constraint: ConstraintDef, columns: str) -> str:
    table = qualified_name(snapshot, constraint.ref_oid, always=False)
    referenced = ", ".join(pg_identifier(name) for name in constraint.ref_columns)
    text = f"FOREIGN KEY ({columns}) REFERENCES {table}({referenced})"
    if constraint.match == "f":
        text += " MATCH FULL"
    if constraint.on_update in _ACTIONS:
        text += f" ON UPDATE {_ACTIONS[constraint.on_update]}"
    if constraint.on_delete in _ACTIONS:
        text += f" ON DELETE {_ACTIONS[constraint.on_delete]}"
    if constraint.delete_columns:
        text += f" ({', '.join(map(pg_identifier, constraint.delete_columns))})"
    if constraint.deferrable:
        text += " DEFERRABLE"
    return f"{text} INITIALLY DEFERRED" if constraint.deferred else text
