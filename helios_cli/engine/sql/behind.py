"""The functions that operators, casts and aggregates are made of: users' own and the library's."""

from __future__ import annotations

from dataclasses import dataclass

from helios_cli.engine.sql import operator_functions
from helios_cli.engine.sql.coercion import can_coerce, type_name
from helios_cli.engine.sql.ddl_build import Builder
from helios_cli.engine.sql.functions.proc_oids import FUNCTIONS
from helios_cli.engine.sql.oids import BPCHAR, POLYMORPHIC, TEXT, VARCHAR
from helios_cli.engine.sql.privileges import EXECUTE, FUNCTION, PG_PROC
from helios_cli.engine.sql.resolution import bind_polymorphic
from helios_cli.engine.sql.rights import denied
from helios_cli.engine.sql.typed import TypedSql


@dataclass(frozen=True, slots=True)
class Behind:
    """One function that another object is made of."""

    oid: int
    """0 for one of the library that stands for an operator."""
    name: str
    """Of one of the library; '' for a user's."""
    args: tuple[int, ...]
    result: int
    strict: bool = False
    returns_set: bool = False
    volatile: bool = False
    kind: str = "f"


def exactly(builder: Builder, names: list[str], types: tuple[int, ...]) -> Behind:
    """The function of just these types of arguments (LookupFuncName).

    Raises:
        SqlError: 42883.
    """
    found = next((one for one in _of_name(builder, names, types) if one.args == types), None)
    if found is None:
        raise _missing(builder, names, types)
    return found


def fitting(builder: Builder, names: list[str], types: tuple[int, ...]) -> Behind:
    """The function that takes values of these types as they are, with its result for them (lookup_agg_function).

    Raises:
        SqlError: 42883 there is none.
    """
    for one in _of_name(builder, names, types):
        if len(one.args) != len(types) or one.kind != "f":
            continue
        bindings = bind_polymorphic(one.args, types) if not _open(types) else {}
        if bindings is None:
            continue
        wanted = [bindings.get(target, target) for target in one.args]
        if all(same_form(given, target) for given, target in zip(types, wanted, strict=True)):
            result = bindings.get(one.result, one.result)
            return Behind(one.oid, one.name, one.args, result, one.strict, one.returns_set, one.volatile, one.kind)
    raise _missing(builder, names, types)


def _open(types: tuple[int, ...]) -> bool:
    return not POLYMORPHIC.isdisjoint(types)


def same_form(given: int, target: int) -> bool:
    """Whether a value is the very same as another type (IsBinaryCoercible)."""
    if given == target or (given in (VARCHAR, TEXT) and target in (VARCHAR, TEXT, BPCHAR)):
        return True
    return target in POLYMORPHIC and given not in POLYMORPHIC and can_coerce(given, target)


def _of_name(builder: Builder, names: list[str], types: tuple[int, ...]) -> list[Behind]:
    """Every function of a name: the library's before users' along the path."""
    schema = names[-2] if len(names) > 1 else None
    found: list[Behind] = []
    if schema in (None, "pg_catalog"):
        found += [
            Behind(oid, function.name, function.args, function.result, function.strict, function.set_returning,
                   function.volatile or function.stable, "a" if function.aggregate else "f")
            for oid, function in FUNCTIONS.items()
            if function.name == names[-1] and not function.variadic and not function.window
        ]  # fmt: skip
        if not found and not _open(types):
            found += _of_operator(builder, names[-1], types)
    if schema != "pg_catalog":
        for made in builder.catalog.functions(schema, names[-1]):
            found.append(
                Behind(
                    made.oid, "", made.args, made.result, made.strict_args, made.returns_set, made.volatile, made.kind
                )
            )
    return found


def _of_operator(builder: Builder, name: str, types: tuple[int, ...]) -> list[Behind]:
    """The function behind an operator (``int4pl``), as that operator computes it."""
    values = [TypedSql(f"?{number}", oid) for number, oid in enumerate(types, 1)]
    context = builder.context()
    value = operator_functions.call(name, values, types, context, -1)
    return [Behind(0, name, types, value.type_oid, strict=True)] if value is not None else []


def _missing(builder: Builder, names: list[str], types: tuple[int, ...]) -> Exception:
    shown = ", ".join(type_name(oid) for oid in types)
    return builder.error("42883", f"function {'.'.join(names)}({shown}) does not exist")


def check_executable(builder: Builder, behind: Behind) -> None:
    """Raise SqlError 42501 unless the role may call the function."""
    routine = builder.catalog.routine(behind.oid) if not behind.name else None
    if routine is not None and not builder.rightful().held(FUNCTION, PG_PROC, routine.oid, routine.owner, EXECUTE):
        raise denied("function", routine.name)


__all__ = ["Behind", "check_executable", "exactly", "fitting", "same_form"]
