"""Column definitions of CREATE TABLE and ADD COLUMN: types, serial, identity, defaults, column constraints."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.usertypes import is_enum, kind_of
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.sql import tree
from helios_cli.engine.sql.coercion import type_name
from helios_cli.engine.sql.ddl_build import Builder, unsupported
from helios_cli.engine.sql.ddl_deparse import deparse
from helios_cli.engine.sql.ddl_model import ColumnDef, SequenceDef, TableDef
from helios_cli.engine.sql.ddl_sequence_names import named_sequences
from helios_cli.engine.sql.ddl_sequence_options import new_sequence
from helios_cli.engine.sql.ddl_type_rights import check_types
from helios_cli.engine.sql.ddl_values import check_default, check_generated
from helios_cli.engine.sql.deparse_constants import interval_default
from helios_cli.engine.sql.expressions import find_collation
from helios_cli.engine.sql.oids import INT2, INT4, INT8, INTERVAL
from helios_cli.engine.sql.plan import Debugged
from helios_cli.engine.sql.sqltext import pg_identifier, quote_string
from helios_cli.engine.sql.text_collations import DEFAULT_OID, C, is_collatable
from helios_cli.engine.sql.typed import Node
from helios_cli.engine.sql.typenames import resolve_type

MAX_COLUMNS: Final = 1600
"""PostgreSQL's limit (MaxHeapAttributeNumber); SQLite's is 2000."""

SERIAL: Final = {
    "serial": INT4, "serial4": INT4, "bigserial": INT8, "serial8": INT8, "smallserial": INT2, "serial2": INT2,
}  # fmt: skip

_CATALOG_NAMES: Final = frozenset(("tableoid", "cmax", "xmax", "cmin", "xmin", "ctid"))

_TABLE_LEVEL: Final = {
    "CONSTR_PRIMARY", "CONSTR_UNIQUE", "CONSTR_CHECK", "CONSTR_FOREIGN",
}  # fmt: skip


@dataclass(slots=True)
class ColumnSpec:
    """One parsed column with what must be made beside it."""

    column: ColumnDef
    serial: bool = False
    sequence_options: list[Node] | None = None
    """Options of the identity's sequence; None when the column has no sequence."""
    constraints: list[dict[str, Any]] = field(default_factory=list)
    """Constraints that belong to the table, with ``keys`` or ``fk_attrs`` filled in."""
    default_node: Node | None = None
    """The DEFAULT's tree; None for none and for serial."""
    sequence_owner: tuple[int, int] | None = None
    """The table and column with the new sequence that gives an heir's rows their values; None: there is none."""


def read_column(builder: Builder, fields: dict[str, Any], attnum: int, table_name: str) -> ColumnSpec:
    """Read one ColumnDef node.

    Raises:
        SqlError: 42704 unknown type, 42701 a system column's name, 42601 conflicting NULL/NOT NULL.
    """
    name: str = fields["colname"]
    if name in _CATALOG_NAMES:
        raise builder.error("42701", f'column name "{name}" conflicts with a system column name')
    type_name = fields["typeName"]
    names = tree.strings(type_name["names"])
    if len(names) == 1 and names[0] in SERIAL and "arrayBounds" not in type_name:
        type_oid, typmod = SERIAL[names[0]], -1
        spec = ColumnSpec(ColumnDef(name, type_oid, typmod, attnum, not_null=True), serial=True, sequence_options=[])
    else:
        type_oid, typmod = resolve_type(type_name, builder.context())
        _check_column_type(builder, name, type_oid)
        check_types(builder, type_oid)
        spec = ColumnSpec(ColumnDef(name, type_oid, typmod, attnum, dims=len(type_name.get("arrayBounds", ()))))
        _apply_domain(builder, spec.column)
    apply_collation(builder, spec.column, fields.get("collClause"))
    _read_constraints(builder, spec, fields.get("constraints", []), table_name)
    return spec


def _check_column_type(builder: Builder, name: str, type_oid: int) -> None:
    found = registry.by_oid(type_oid)
    if found.kind == "p":
        raise builder.error("42P16", f'column "{name}" has pseudo-type {found.sql_name}')


def _apply_domain(builder: Builder, column: ColumnDef) -> None:
    """A new column whose type is a domain becomes one of the base type that remembers the domain. Raises 0A000."""
    if kind_of(column.type_oid) != "d":
        return
    domain = builder.catalog.type_by_oid(column.type_oid)
    if domain is None:
        raise unsupported("an array over a domain", "Use an array over the base type.")
    column.domain, column.type_oid, column.typmod = domain.oid, domain.base_oid, domain.base_typmod


def apply_collation(builder: Builder, column: ColumnDef, clause: dict[str, Any] | None) -> None:
    """Give a column the collation of a COLLATE clause, None for none.

    Raises:
        SqlError: 42704 there is no such collation; 42804 the type has none.
    """
    if clause is None:
        return
    at = clause.get("location", -1)
    found = find_collation(tree.strings(clause["collname"]), builder.context(), at)
    if not is_collatable(column.type_oid):
        raise builder.error("42804", f"collations are not supported by type {type_name(column.type_oid)}", at)
    column.collation = "" if found.oid == DEFAULT_OID else found.word


def refuse_collation(builder: Builder, clause: dict[str, Any] | None, what: str) -> None:
    """Refuse a COLLATE clause of what keeps none, unless its order is the database's. Raises FeatureNotSupported."""
    if clause is not None and find_collation(tree.strings(clause["collname"]), builder.context()).locale != C:
        raise unsupported(f"{what} with a collation of its own", "Give the column the collation.")


def override_column(builder: Builder, column: ColumnDef, definition: dict[str, Any], table_name: str) -> ColumnSpec:
    """What a partition says of a column that it has from its table.

    Raises:
        SqlError: 42601 what does not go together; 0A000 for a generated column.
    """
    spec = ColumnSpec(column)
    _read_constraints(builder, spec, definition.get("constraints", []), table_name)
    if spec.default_node is not None and column.generated:
        raise unsupported("another default of a generated column", "Leave it out.")
    return spec


def _read_constraints(builder: Builder, spec: ColumnSpec, nodes: list[Node], table_name: str) -> None:
    column = spec.column
    nullable_said, values = False, set[str]()
    for node in nodes:
        fields = node["Constraint"]
        kind = fields["contype"]
        if kind in _TABLE_LEVEL:
            spec.constraints.append(_as_table_constraint(fields, column.name))
        elif kind == "CONSTR_NOTNULL":
            if nullable_said:
                raise _conflict(builder, column.name, table_name, fields)
            column.not_null = True
        elif kind == "CONSTR_NULL":
            if column.not_null:
                raise _conflict(builder, column.name, table_name, fields)
            nullable_said = True
        else:
            if nullable_said and kind == "CONSTR_IDENTITY":
                raise _conflict(builder, column.name, table_name, fields)
            if kind in _VALUES:
                _check_value(builder, spec, fields, values, table_name)
            _read_value(builder, spec, fields, table_name)


_VALUES: Final = {
    "CONSTR_DEFAULT": ("default", "default values"),
    "CONSTR_IDENTITY": ("identity", "identity specifications"),
    "CONSTR_GENERATED": ("generation expression", "generation clauses"),
}
"""What gives a column its values: as one of two, and of several."""


def _check_value(builder: Builder, spec: ColumnSpec, fields: dict[str, Any], known: set[str], table: str) -> None:
    """A column gets its values in one way only (transformColumnDefinition). Raises SqlError 42601."""
    word, plural = _VALUES[fields["contype"]]
    known |= {"default"} if spec.serial else set()
    of = f'for column "{spec.column.name}" of table "{table}"'
    at = fields.get("location", -1)
    if word in known:
        raise builder.error("42601", f"multiple {plural} {'' if word == 'identity' else 'specified '}{of}", at)
    known.add(word)
    for one, other in combinations(("default", "identity", "generation expression"), 2):
        if {one, other} <= known:
            raise builder.error("42601", f"both {one} and {other} specified {of}", -1 if spec.serial else at)


def _conflict(builder: Builder, column: str, table: str, fields: dict[str, Any]) -> HeliosError:
    message = f'conflicting NULL/NOT NULL declarations for column "{column}" of table "{table}"'
    return builder.error("42601", message, fields.get("location", -1))


def _as_table_constraint(fields: dict[str, Any], column: str) -> dict[str, Any]:
    name = [{"String": {"sval": column}}]
    extra: dict[str, dict[str, Any]] = {"CONSTR_FOREIGN": {"fk_attrs": name}, "CONSTR_CHECK": {"column": column}}
    return {**fields, **extra.get(fields["contype"], {"keys": name})}


def _read_value(builder: Builder, spec: ColumnSpec, fields: dict[str, Any], table_name: str) -> None:
    """DEFAULT, GENERATED, IDENTITY, and the attributes of the constraint before them."""
    kind, column = fields["contype"], spec.column
    if kind == "CONSTR_DEFAULT":
        spec.default_node = fields["raw_expr"]
    elif kind == "CONSTR_IDENTITY":
        if column.type_oid not in (INT2, INT4, INT8):
            raise builder.error("22023", "identity column type must be smallint, integer, or bigint")
        column.identity = fields["generated_when"]
        column.not_null = True
        spec.sequence_options = fields.get("options", [])
    elif kind == "CONSTR_GENERATED":
        column.generated = "s"
        spec.default_node = fields["raw_expr"]
    elif kind in ("CONSTR_ATTR_DEFERRABLE", "CONSTR_ATTR_DEFERRED"):
        _mark_last(builder, spec, fields, deferrable=True, initdeferred=kind == "CONSTR_ATTR_DEFERRED")
    elif kind in ("CONSTR_ATTR_NOT_DEFERRABLE", "CONSTR_ATTR_IMMEDIATE"):
        _mark_last(builder, spec, fields)
    else:
        raise unsupported(f"column constraint {kind}")


def _mark_last(builder: Builder, spec: ColumnSpec, fields: dict[str, Any], **marks: bool) -> None:
    if not spec.constraints or (marks and spec.constraints[-1]["contype"] == "CONSTR_CHECK"):
        raise builder.error("42601", "misplaced DEFERRABLE clause", fields.get("location", -1))
    spec.constraints[-1].update({key: value for key, value in marks.items() if value})


def settle_default(builder: Builder, table: TableDef, spec: ColumnSpec) -> None:
    """Check a column's DEFAULT or generation expression and keep it as PostgreSQL text.

    Raises:
        SqlError: 0A000 a default that names columns or has a subquery; what the translation raises.
    """
    node, column = spec.default_node, spec.column
    if node is None:
        return
    if column.generated:
        types = {known.name: known.type_oid for known in table.columns}
        column.default = deparse(node, types)
        check_generated(builder, table, node, column)
        return
    column.default = default_text(builder, node, column, temp=table.temp)


def default_text(builder: Builder, node: Node, column: ColumnDef, *, temp: bool = False) -> str | None:
    """A DEFAULT as PostgreSQL text, checked; None for DEFAULT NULL.

    Raises:
        SqlError: 0A000 for column references; 22P02 and its like for a constant that the type refuses.
    """
    if "A_Const" in node and node["A_Const"].get("isnull"):
        # It stands before the default that a domain has.
        return f"NULL::{registry.sql_type_name(column.type_oid)}" if column.domain else None
    for part in tree.walk(node):
        if "ColumnRef" in part and isinstance(part["ColumnRef"], dict):
            message = "cannot use column reference in DEFAULT expression"
            raise builder.error("0A000", message, part["ColumnRef"].get("location", -1))
        if "SubLink" in part and isinstance(part["SubLink"], dict):
            message = "cannot use subquery in DEFAULT expression"
            raise builder.error("0A000", message, part["SubLink"].get("location", -1))
    if is_enum(column.type_oid) and "A_Const" in node:
        _check_label(builder, column.type_oid, tree.const_value(node["A_Const"]), node["A_Const"].get("location", -1))
    if constant_default(column, node) is None:
        check_default(builder, node, column)
    if column.type_oid == INTERVAL:
        return interval_default(node, column.typmod) or deparse(node, target=INTERVAL)
    return deparse(named_sequences(builder, node, temp=temp), target=column.type_oid)


def _check_label(builder: Builder, oid: int, label: object, at: int) -> None:
    found = builder.catalog.type_by_oid(oid)
    if found is not None and isinstance(label, str) and label not in found.labels:
        raise builder.error("22P02", f'invalid input value for enum {type_name(oid)}: "{label}"', at)


def constant_default(column: ColumnDef, node: Node) -> object | None:
    """The stored value of a DEFAULT that is a plain constant; None when it is an expression.

    Raises:
        SqlError: the constant is no value of the column's type.
    """
    if "TypeCast" in node and "A_Const" in node["TypeCast"]["arg"]:
        known = registry.by_name(tree.strings(node["TypeCast"]["typeName"]["names"])[-1])
        if known is None or known.oid != column.type_oid:
            return None
        node = node["TypeCast"]["arg"]
    if "A_Const" not in node or node["A_Const"].get("isnull"):
        return None
    value = tree.const_value(node["A_Const"])
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if "sval" not in node["A_Const"] and column.type_oid not in _CONSTANT_TYPES.get(type(value), ()):
        return None
    parsed = registry.by_oid(column.type_oid).parse_text(text)
    return registry.apply_typmod(column.type_oid, column.typmod, parsed)


_CONSTANT_TYPES: Final[dict[type, tuple[int, ...]]] = {
    bool: (16,),
    int: (20, 21, 23, 700, 701, 1700),
    str: (700, 701, 1700),
}
"""Types that take a constant of a Python type without a cast that could change what it means."""


def column_sequence(builder: Builder, table: TableDef, spec: ColumnSpec) -> SequenceDef | None:
    """The sequence behind a serial or identity column, with the column's default set; None for other columns."""
    if spec.sequence_options is None:
        return None
    column = spec.column
    name = builder.choose_relation_name(table.schema, table.name, column.name, "seq")
    sequence = new_sequence(
        builder, spec.sequence_options, schema=table.schema, name=name, type_oid=column.type_oid, temp=table.temp
    )
    sequence.owner_oid, sequence.owner_attnum = table.oid, column.attnum
    sequence.internal = bool(column.identity)
    if spec.serial:
        column.default = nextval_text(sequence)
        word, place = "ALTER" if builder.altering else "CREATE", f"{table.name}.{column.name}"
        message = f'{word} TABLE will create implicit sequence "{name}" for serial column "{place}"'
        builder.notices.append(Debugged(message))
    return sequence


def nextval_text(sequence: SequenceDef) -> str:
    """The default that takes the next value of a sequence: ``nextval('t_id_seq'::regclass)``."""
    shown = pg_identifier(sequence.name)
    if sequence.schema not in ("public", "pg_temp"):
        shown = f"{pg_identifier(sequence.schema)}.{shown}"
    return f"nextval({quote_string(shown)}::regclass)"


__all__ = [
    "ColumnSpec", "column_sequence", "constant_default", "default_text", "nextval_text", "read_column",
    "settle_default",
]  # fmt: skip
