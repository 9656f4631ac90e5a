"""CREATE and DROP CAST."""

from __future__ import annotations

from typing import Any, Final

from helios_cli.engine.datatypes.usertypes import kind_of
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import tree
from helios_cli.engine.sql.behind import Behind, check_executable, exactly, same_form
from helios_cli.engine.sql.coercion import CASTS, type_name, type_of
from helios_cli.engine.sql.ddl_build import Builder
from helios_cli.engine.sql.ddl_dropping import drop_things
from helios_cli.engine.sql.ddl_function import argument_type
from helios_cli.engine.sql.ddl_thing import CAST, Thing
from helios_cli.engine.sql.ddl_type_rights import check_types
from helios_cli.engine.sql.made_objects import TABLES, UserCast
from helios_cli.engine.sql.oids import BOOL, INT4
from helios_cli.engine.sql.plan import Plan, Warned
from helios_cli.engine.sql.rights import not_owner
from helios_cli.engine.sql.sqltext import constant
from helios_cli.engine.sql.type_pins import shown_type

_CONTEXTS: Final = {"COERCION_IMPLICIT": "i", "COERCION_ASSIGNMENT": "a", "COERCION_EXPLICIT": "e"}


def create_cast(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan CREATE CAST.

    Raises:
        SqlError: 42P17 the function or the types do not go with it, 42710 it is there, 42883, 42704, 42501.
    """
    source, target = (argument_type(builder, fields[key]) for key in ("sourcetype", "targettype"))
    if not _owns(builder, source) and not _owns(builder, target):
        shown = f"type {_shown(builder, source)} or type {_shown(builder, target)}"
        raise SqlError(f"must be owner of {shown}", sqlstate="42501")
    check_types(builder, source, target)
    for oid, which in ((source, "source"), (target, "target")):
        if kind_of(oid) == "d":
            builder.notices.append(Warned(f"cast will be ignored because the {which} data type is a domain", "42809"))
    behind = _function(builder, fields["func"], source, target) if "func" in fields else None
    method = "f" if behind is not None else "i" if fields.get("inout") else "b"
    if method == "b":
        _check_compatible(builder, source, target)
    if source == target and (behind is None or len(behind.args) < 2):
        raise builder.error("42P17", "source data type and target data type are the same")
    if (source, target) in builder.catalog.casts() or (source, target) in CASTS:
        shown = f"cast from type {_shown(builder, source)} to type {_shown(builder, target)}"
        raise builder.error("42710", f"{shown} already exists")
    made = UserCast(
        builder.oid(False), source, target, method, _CONTEXTS[fields["context"]], behind.oid if behind else 0,
        behind.name if behind else "",
    )  # fmt: skip
    builder.touch(False)
    builder.add(*TABLES, f"INSERT INTO main.helios_cast VALUES ({made.oid}, {constant(made.definition())})")
    return builder.finish("CREATE CAST")


def _shown(builder: Builder, oid: int) -> str:
    found = builder.catalog.type_by_oid(oid & ~1) if kind_of(oid) else None
    return shown_type(found, builder.catalog) + "[]" * (oid & 1) if found is not None else type_name(oid)


def _owns(builder: Builder, oid: int) -> bool:
    found = builder.catalog.type_by_oid(oid & ~1) if kind_of(oid) else None
    return builder.rightful().owns(found.owner if found is not None else 10)


def _function(builder: Builder, fields: dict[str, Any], source: int, target: int) -> Behind:
    """The function of a cast. Raises SqlError 42883, 42P17."""
    types = tuple(argument_type(builder, node["TypeName"]) for node in fields.get("objargs", []))
    behind = exactly(builder, tree.strings(fields["objname"]), types)
    check_executable(builder, behind)
    if not 1 <= len(types) <= 3:
        raise builder.error("42P17", "cast function must take one to three arguments")
    if not same_form(source, types[0]):
        message = "argument of cast function must match or be binary-coercible from source data type"
        raise builder.error("42P17", message)
    for position, wanted, word in ((1, INT4, "integer"), (2, BOOL, "boolean")):
        if len(types) > position and types[position] != wanted:
            ordinal = ("second", "third")[position - 1]
            raise builder.error("42P17", f"{ordinal} argument of cast function must be type {word}")
    if not same_form(behind.result, target):
        message = "return data type of cast function must match or be binary-coercible to target data type"
        raise builder.error("42P17", message)
    if behind.kind != "f":
        raise builder.error("42P17", "cast function must be a normal function")
    if behind.returns_set:
        raise builder.error("42P17", "cast function must not return a set")
    return behind


def _check_compatible(builder: Builder, source: int, target: int) -> None:
    """Refuse a cast WITHOUT FUNCTION between types that are not kept alike. Raises SqlError 42P17, 42501."""
    if not builder.rightful().unrestricted:
        raise SqlError("must be superuser to create a cast WITHOUT FUNCTION", sqlstate="42501")
    kinds = (kind_of(source), kind_of(target))
    for letters, words in (
        ("cr", "composite data types are"),
        ("e", "enum data types are"),
        ("d", "domain data types"),
    ):
        if any(kind and kind in letters for kind in kinds):
            ending = "must not be marked binary-compatible" if letters == "d" else "not binary-compatible"
            raise builder.error("42P17", f"{words} {ending}")
    for oid in (source, target):
        found = type_of(oid)
        if found is not None and found.category == "A":
            raise builder.error("42P17", "array data types are not binary-compatible")
    one, other = type_of(source), type_of(target)
    if one is None or other is None or one.typlen != other.typlen:
        raise builder.error("42P17", "source and target data types are not physically compatible")


def find_cast(builder: Builder, nodes: list[dict[str, Any]], *, missing_ok: bool = False) -> UserCast | None:
    """The cast between two types; None only with ``missing_ok``, after a notice.

    Raises:
        SqlError: 42704 there is none, 2BP01 it is PostgreSQL's own.
    """
    try:
        source, target = (argument_type(builder, node["TypeName"]) for node in nodes)
    except SqlError as error:
        if not missing_ok or error.sqlstate != "42704":
            raise
        builder.notices.append(f"{error.message}, skipping")
        return None
    found = builder.catalog.casts().get((source, target))
    if found is not None:
        return found
    if (source, target) in CASTS:
        shown = f"cast from {type_name(source)} to {type_name(target)}"
        raise SqlError(f"cannot drop {shown} because it is required by the database system", sqlstate="2BP01")
    if missing_ok:
        one, other = (".".join(tree.strings(node["TypeName"]["names"])) for node in nodes)
        builder.notices.append(f"cast from type {one} to type {other} does not exist, skipping")
        return None
    one, other = _shown(builder, source), _shown(builder, target)
    raise builder.error("42704", f"cast from type {one} to type {other} does not exist")


def drop_casts(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan DROP CAST. Raises SqlError 42704, 42501, 2BP01."""
    things = []
    for node in fields["objects"]:
        found = find_cast(builder, node["List"]["items"], missing_ok=bool(fields.get("missing_ok")))
        if found is None:
            continue
        if not _owns(builder, found.source) and not _owns(builder, found.target):
            raise not_owner("type", f"{_shown(builder, found.source)} or type {_shown(builder, found.target)}")
        things.append(Thing(CAST, found.oid))
    drop_things(builder, things, fields)
    return builder.finish("DROP CAST")
