"""Functions about objects: names of operators (regoper, regoperator), pg_describe_object, what may be updated."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.usertypes import kind_of
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.functions.proc_oids import FUNCTIONS
from helios_cli.engine.sql.sqltext import pg_identifier
from helios_cli.engine.storage.proc_names import or_null
from helios_cli.engine.storage.routine_definitions import routine_name
from helios_cli.engine.storage.system_operators import pg_operator
from helios_cli.engine.storage.system_relations import SYSTEM_RELATIONS
from helios_cli.engine.storage.system_snapshot import RelationRow, Snapshot
from helios_cli.engine.storage.type_rows import format_type
from helios_cli.engine.storage.updatable_rows import column_is_updatable, relation_events

if TYPE_CHECKING:
    from helios_cli.engine.storage.system_catalog import SystemCatalog

_KINDS: Final = {"r": "table", "v": "view", "m": "materialized view", "M": "materialized view", "i": "index",
                 "S": "sequence"}  # fmt: skip


@cache
def _built_in() -> dict[int, tuple[str, int, int]]:
    return {row["oid"]: (row["oprname"], row["oprleft"], row["oprright"]) for row in pg_operator()}


@cache
def _built_in_named(name: str) -> tuple[int, ...]:
    return tuple(oid for oid, operator in _built_in().items() if operator[0] == name)


def _operator_parts(snapshot: Snapshot, oid: Any) -> tuple[str, int, int] | None:
    made = snapshot.operators.get(oid)
    return (made.name, made.left, made.right) if made is not None else _built_in().get(oid)


def signature_out(snapshot: Snapshot, oid: Any, path: tuple[str, ...] | None = None) -> str:
    """A regoperator's text: the name, with a schema that is not in the path, with the types of its operands."""
    found = _operator_parts(snapshot, oid)
    if found is None:
        return str(oid) if oid else "0"
    name, *types = found
    made = snapshot.operators.get(oid)
    prefix = f"{pg_identifier(made.schema)}." if made is not None and made.schema not in (path or ("public",)) else ""
    return f"{prefix}{name}({','.join(_operand(snapshot, kind) for kind in types)})"


def _operand(snapshot: Snapshot, kind: int) -> str:
    if kind_of(kind):
        return format_type(snapshot, kind)
    return registry.sql_type_name(kind) if kind else "NONE"


class ObjectNames:
    """The functions that look in a connection's catalog."""

    def __init__(self, system: SystemCatalog, type_in: Callable[[str], int]) -> None:
        self._system = system
        self._type_in = type_in

    def functions(self) -> dict[str, tuple[Callable[..., Any], int]]:
        """By name, with the number of arguments."""
        return {
            "pg_regoper_in": (self._operator_in, 1), "pg_regoper_out": (self._operator_out, 1),
            "pg_regoperator_in": (self._signature_in, 1), "pg_regoperator_out": (self._signature_out, 1),
            "cat_to_regoper": (or_null(self._operator_in), 1), "cat_to_regoperator": (or_null(self._signature_in), 1),
            "cat_describe": (self._describe, 3),
            "cat_relation_events": (lambda oid, all_: relation_events(self._system.snapshot(), oid, bool(all_)), 2),
            "cat_column_updatable": (
                lambda oid, number, all_: int(column_is_updatable(self._system.snapshot(), oid, number, bool(all_))), 3,
            ),
        }  # fmt: skip

    def _named(self, text: str) -> tuple[int, ...]:
        """The OIDs of the operators of a name, PostgreSQL's first; one with a schema is looked for there alone."""
        schema, dot, rest = text.partition(".")
        name = rest if dot and schema.replace("_", "").isalnum() else text
        places = (schema,) if name != text else ("pg_catalog", *(self._system.path or self._system.catalog.search_path))
        made = self._system.snapshot().operators.values()
        found = [one.oid for place in places for one in made if one.name == name and one.schema == place]
        return (*(_built_in_named(name) if "pg_catalog" in places else ()), *found)

    def _operator_in(self, text: str) -> int:
        """A regoper by name or number. Raises 42883 and 42725."""
        if text.isdigit():
            return int(text)
        found = self._named(text) if text != "-" else (0,)
        if len(found) > 1:
            raise SqlError(f"more than one operator named {text}", sqlstate="42725")
        if not found:
            raise SqlError(f"operator does not exist: {text}", sqlstate="42883")
        return found[0]

    def _operator_out(self, oid: Any) -> str:
        """A regoper's text: the name, with its schema where several operators have it."""
        snapshot = self._system.snapshot()
        found = _operator_parts(snapshot, oid)
        if found is None:
            return str(oid) if oid else "0"
        made = snapshot.operators.get(oid)
        schema = made.schema if made is not None else "pg_catalog"
        return found[0] if len(self._named(found[0])) == 1 else f"{pg_identifier(schema)}.{found[0]}"

    def _signature_out(self, oid: Any) -> str:
        return signature_out(self._system.snapshot(), oid, self._system.path)

    def _signature_in(self, text: str) -> int:
        """A regoperator by name and types, or number. Raises 42883 and 22P02."""
        if text.isdigit():
            return int(text)
        name, parenthesis, rest = text.partition("(")
        words = rest.rstrip().removesuffix(")").split(",")
        if not parenthesis:
            raise SqlError("expected a left parenthesis", sqlstate="22P02")
        if len(words) != 2:
            hint = "Use NONE to denote the missing argument of a unary operator."
            raise SqlError("missing argument" if len(words) < 2 else "too many arguments", sqlstate="42P02", hint=hint)
        left, right = (0 if word.strip().lower() == "none" else self._type_in(word.strip()) for word in words)
        snapshot = self._system.snapshot()
        for oid in self._named(name.strip()):
            found = _operator_parts(snapshot, oid)
            if found is not None and found[1:] == (left, right):
                return oid
        raise SqlError(f"operator does not exist: {text}", sqlstate="42883")

    def _describe(self, class_oid: int, oid: int, column: int) -> str | None:
        """pg_describe_object(): None for an object that is not there."""
        make = _DESCRIBED.get(class_oid)
        return make(self._system.snapshot(), oid, column) if make is not None else None


def _shown(relation: RelationRow) -> str:
    name = pg_identifier(relation.name)
    return name if relation.schema in ("public", "pg_temp") else f"{pg_identifier(relation.schema)}.{name}"


def _relation(snapshot: Snapshot, oid: int, column: int) -> str | None:
    relation = snapshot.relations.get(oid)
    if relation is None:
        system = next((found for found in SYSTEM_RELATIONS.values() if found.oid == oid), None)
        if system is None:
            return None
        prefix = "" if system.schema == "pg_catalog" else f"{system.schema}."
        return f"{_KINDS[system.kind]} {prefix}{system.name}"
    text = f"{_KINDS[relation.kind]} {_shown(relation)}"
    name = next((found.name for found in snapshot.columns.get(oid, ()) if found.attnum == column), None)
    return text if name is None else f"column {pg_identifier(name)} of {text}"


def _type(snapshot: Snapshot, oid: int, _column: int) -> str | None:
    text = format_type(snapshot, oid)
    return None if text == "???" else f"type {text}"


def _function(snapshot: Snapshot, oid: int, _column: int) -> str | None:
    routine, known = snapshot.routines_by_oid.get(oid), FUNCTIONS.get(oid)
    if routine is None and known is None:
        return None
    arguments = routine.signature() if routine is not None else known.args if known is not None else ()
    name = routine_name(routine, ("public",)) if routine is not None else known.name if known is not None else ""
    return f"function {name}({','.join(format_type(snapshot, argument) for argument in arguments)})"


def _constraint(snapshot: Snapshot, oid: int, _column: int) -> str | None:
    found = snapshot.constraints.get(oid)
    if found is None:
        return None
    return f"constraint {pg_identifier(found.name)} on {_relation(snapshot, found.table_oid, 0)}"


def _trigger(snapshot: Snapshot, oid: int, _column: int) -> str | None:
    found = snapshot.triggers_by_oid.get(oid)
    return f"trigger {pg_identifier(found.name)} on {_relation(snapshot, found.relation, 0)}" if found else None


def _operator(snapshot: Snapshot, oid: int, _column: int) -> str | None:
    return f"operator {signature_out(snapshot, oid)}" if _operator_parts(snapshot, oid) is not None else None


def _cast(snapshot: Snapshot, oid: int, _column: int) -> str | None:
    found = snapshot.casts.get(oid)
    if found is None:
        return None
    return f"cast from {format_type(snapshot, found.source)} to {format_type(snapshot, found.target)}"


def _schema(snapshot: Snapshot, oid: int, _column: int) -> str | None:
    return next((f"schema {pg_identifier(name)}" for found, name, _owner in snapshot.namespaces if found == oid), None)


def _extension(snapshot: Snapshot, oid: int, _column: int) -> str | None:
    names = (f"extension {pg_identifier(name)}" for name, found in snapshot.extensions.items() if found[0] == oid)
    return next(names, None)


def _role(snapshot: Snapshot, oid: int, _column: int) -> str | None:
    name = snapshot.role_names.get(oid)
    return f"role {pg_identifier(name)}" if name is not None else None


_DESCRIBED: Final[dict[int, Callable[[Snapshot, int, int], str | None]]] = {
    1247: _type, 1255: _function, 1259: _relation, 1260: _role, 2605: _cast, 2606: _constraint, 2615: _schema,
    2617: _operator, 2620: _trigger, 3079: _extension,
}  # fmt: skip
"""By the class of an object."""
