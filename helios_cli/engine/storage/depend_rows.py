"""The rows of pg_depend, which tools order definitions by and find what belongs to what."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from helios_cli.engine.datatypes.usertypes import kind_of, number_of
from helios_cli.engine.sql import tree
from helios_cli.engine.sql.ddl_sequence_names import SEQUENCE
from helios_cli.engine.sql.made_objects import PG_CAST, PG_OPERATOR
from helios_cli.engine.sql.planner import parse
from helios_cli.engine.sql.routine_bodies import statements_of
from helios_cli.engine.sql.routines import Routine
from helios_cli.engine.sql.sqltext import split_name
from helios_cli.engine.storage import inherit_rows, made_rows, type_rows
from helios_cli.engine.storage.relation_rows import Each, Whole
from helios_cli.engine.storage.system_extensions import extension_members
from helios_cli.engine.storage.system_snapshot import Snapshot

Rows = Iterator[dict[str, Any]]
PG_CLASS, PG_TYPE, PG_PROC, PG_ATTRDEF, PG_CONSTRAINT = 1259, 1247, 1255, 2604, 2606
_CALLED: Final = re.compile(r'"pg_proc#(\d+)"')
"""A function of a user in a stored expression."""


def constraint_depends(snapshot: Snapshot, oid: int) -> Rows:
    """Indexes go with constraints, constraints with their columns; a foreign key needs the key that it refers to."""
    constraint = snapshot.constraints[oid]
    if constraint.index_oid:
        yield {
            "classid": PG_CLASS, "objid": constraint.index_oid, "refclassid": PG_CONSTRAINT,
            "refobjid": constraint.oid, "deptype": "i",
        }  # fmt: skip
    if constraint.kind not in "puf":
        return
    of_constraint = {"classid": PG_CONSTRAINT, "objid": constraint.oid, "refclassid": PG_CLASS}
    ends = [("a", constraint.table_oid, constraint.columns)]
    if constraint.kind == "f":
        ends.append(("n", constraint.ref_oid, constraint.ref_columns))
        yield {**of_constraint, "refobjid": constraint.ref_index_oid, "deptype": "n"}
    for kind, table, columns in ends:
        for name in filter(None, columns):
            yield {**of_constraint, "refobjid": table, "refobjsubid": snapshot.attnum(table, name), "deptype": kind}


def default_depends(snapshot: Snapshot, relation: int) -> Rows:
    """Defaults go with their columns, and one that takes a sequence's values needs the sequence."""
    for column in snapshot.columns[relation]:
        if column.default is None:
            continue
        of_default = {"classid": PG_ATTRDEF, "objid": default_oid(relation, column.attnum), "refclassid": PG_CLASS}
        yield {**of_default, "refobjid": relation, "refobjsubid": column.attnum, "deptype": "a"}
        for oid in _sequences_in(snapshot, relation, column.default):
            yield {**of_default, "refobjid": oid, "deptype": "n"}


def default_oid(relation: int, attnum: int) -> int:
    """The OID of a column's default in pg_attrdef."""
    return (relation << 11 | attnum) & 0x7FFF_FFFF


def _sequence_depends(snapshot: Snapshot, oid: int) -> Rows:
    """Sequences go with their columns."""
    sequence = snapshot.sequences[oid]
    if sequence.owner_oid:
        yield {
            "classid": PG_CLASS, "objid": sequence.oid, "refclassid": PG_CLASS, "refobjid": sequence.owner_oid,
            "refobjsubid": sequence.owner_attnum, "deptype": "i" if sequence.internal else "a",
        }  # fmt: skip


def _view_depends(snapshot: Snapshot, view: int) -> Rows:
    """Views go with what they read."""
    for target in snapshot.depends_of[view]:
        kinds = ((PG_CLASS, snapshot.relations), (PG_OPERATOR, snapshot.operators), (PG_CAST, snapshot.casts))
        for class_oid, known in kinds:
            if target in known:
                yield {"classid": PG_CLASS, "objid": view, "refclassid": class_oid, "refobjid": target, "deptype": "n"}


def _call_depends(snapshot: Snapshot) -> Rows:
    """Tables and views need the functions that they call."""
    for name, functions in snapshot.calls.items():
        relation = snapshot.sqlite_names.get(name)
        if relation is not None:
            one = {"classid": PG_CLASS, "objid": relation.oid, "refclassid": 1255, "deptype": "n"}
            yield from ({**one, "refobjid": function} for function in functions)


def _sequences_in(snapshot: Snapshot, relation: int, text: str) -> Iterator[int]:
    """The sequences that a default names, by OID; that of an identity column is not named."""
    for found in {match.group(2, 3): match for match in SEQUENCE.finditer(text)}.values():
        name = split_name(found[3])[-1]
        schema = split_name(found[2])[-1] if found[2] else snapshot.relations[relation].schema
        places = (schema,) if found[2] else ("pg_temp", "public")
        sequence = next((one for place in places if (one := snapshot.names.get((place, name))) is not None), None)
        if sequence is not None:
            yield sequence.oid


def column_depends(snapshot: Snapshot, relation: int) -> Rows:
    """Tables need the types of their columns."""
    if snapshot.relations[relation].kind != "r":
        return
    for column in snapshot.columns[relation]:
        if kind_of(column.shown_oid):
            yield _on_type(PG_CLASS, relation, column.shown_oid, column.attnum)


def type_depends(snapshot: Snapshot, oid: int) -> Rows:
    """A composite type needs the types of its fields, a domain what it is over and what its CHECKs call."""
    found = snapshot.types[oid]
    yield _on_type(PG_TYPE, oid + 1, oid, kind="i")
    if found.kind == "c":
        relation = number_of(oid)
        yield _on_type(PG_CLASS, relation, oid, kind="i")
        for field in found.fields:
            if kind_of(field.domain or field.type_oid):
                yield _on_type(PG_CLASS, relation, field.domain or field.type_oid, field.attnum)
    elif found.kind == "d":
        if kind_of(found.parent or found.base_oid):
            yield _on_type(PG_TYPE, oid, found.parent or found.base_oid)
        for check in found.checks[len(found.checks) - found.own_checks :]:
            yield _on_type(PG_CONSTRAINT, check.oid, oid, kind="a")
            for function in _CALLED.findall(check.expression):
                yield {**_on_type(PG_CONSTRAINT, check.oid, int(function)), "refclassid": PG_PROC}


def row_type_depends(snapshot: Snapshot, oid: int) -> Rows:
    """The row type of a table or view goes with it, and the array over it with that."""
    yield {**_on_type(PG_TYPE, oid, snapshot.row_types[oid].oid, kind="i"), "refclassid": PG_CLASS}
    yield _on_type(PG_TYPE, oid + 1, oid, kind="i")


def routine_depends(snapshot: Snapshot, oid: int) -> Rows:
    """Functions need the types of their arguments and results."""
    routine = snapshot.routines_by_oid[oid]
    for used in dict.fromkeys((*(argument.type_oid for argument in routine.arguments), routine.result)):
        if kind_of(used):
            yield _on_type(PG_PROC, oid, used)
    if routine.sql_body:
        yield from _body_depends(snapshot, routine)


def _body_depends(snapshot: Snapshot, routine: Routine) -> Rows:
    """A standard body needs the relations and functions that it names, which it does with their schemas."""
    called = {(one.schema, one.name): one.oid for one in snapshot.routines}
    found: dict[tuple[int, int], None] = {}
    for text in statements_of(routine):
        for part in tree.walk(parse(text)[0].node):
            if isinstance(part.get("RangeVar"), dict):
                relation = snapshot.names.get((part["RangeVar"].get("schemaname", ""), part["RangeVar"]["relname"]))
                if relation is not None:
                    found[PG_CLASS, relation.oid] = None
            elif isinstance(part.get("FuncCall"), dict):
                names = tree.strings(part["FuncCall"]["funcname"])
                function = called.get((names[0], names[-1]))
                if function is not None and function != routine.oid:
                    found[PG_PROC, function] = None
    for class_oid, on in found:
        yield {**_on_type(PG_PROC, routine.oid, on), "refclassid": class_oid}


def _on_type(catalog: int, oid: int, on: int, column: int = 0, kind: str = "n") -> dict[str, Any]:
    return {
        "classid": catalog, "objid": oid, "objsubid": column, "refclassid": PG_TYPE, "refobjid": on, "refobjsubid": 0,
        "deptype": kind,
    }  # fmt: skip


MAKER: Final = (
    Each("sequences", _sequence_depends), Each("constraints", constraint_depends), Whole(extension_members),
    Each("columns", default_depends), Each("columns", column_depends), Each("depends_of", _view_depends),
    Whole(_call_depends), Each("types", type_rows.range_depends), Each("types", type_depends),
    Each("row_types", row_type_depends), Each("routines_by_oid", routine_depends),
    Each("operators", made_rows.operator_depends), Each("casts", made_rows.cast_depends),
    Each("routines_by_oid", made_rows.aggregate_depends), Each("parents", inherit_rows.parent_depends),
)  # fmt: skip
"""What makes the rows of pg_depend."""
