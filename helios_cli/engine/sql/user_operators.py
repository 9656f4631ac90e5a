"""Operators that users made: which one an expression means among theirs and PostgreSQL's, and its SQLite text."""

from __future__ import annotations

from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.made_objects import UserOperator
from helios_cli.engine.sql.oids import UNKNOWN
from helios_cli.engine.sql.operator_spec import Operator
from helios_cli.engine.sql.resolution import choose
from helios_cli.engine.sql.typed import TypedSql

Candidate = tuple[Operator | UserOperator, tuple[int, ...]]


def visible(name: str, count: int, schema: str | None, ctx: Context) -> list[UserOperator]:
    """The operators of users that a name with so many operands reaches, along the path where it names no schema."""
    found = []
    places = ctx.catalog.search_path if schema is None else (schema,)
    for place in places:
        found += [one for one in ctx.catalog.operators(name) if one.schema == place and len(one.args) == count]
    return found


def find(
    known: list[tuple[Operator, tuple[int, ...]]], made: list[UserOperator], given: tuple[int, ...], ctx: Context
) -> Operator | UserOperator | None:
    """The operator PostgreSQL's rules choose (parse_oper.c oper()); None when none fits.

    Raises:
        Ambiguous: several fit equally well.
    """
    candidates: list[Candidate] = list(known)
    taken = {args for _, args in known}
    for operator in made:
        if operator.args not in taken:
            taken.add(operator.args)
            candidates.append((operator, operator.args))
    if len(given) == 2 and UNKNOWN in given and given[0] != given[1]:
        same = given[0] if given[1] == UNKNOWN else given[1]
        for candidate, args in candidates:
            if args == (same, same):
                return candidate
    return choose(candidates, given, ctx.catalog.casts())


def apply(operator: UserOperator, operands: list[TypedSql], ctx: Context, at: int) -> TypedSql:
    """The call of the function behind an operator."""
    # The module of casts needs the one of operators.
    from helios_cli.engine.sql.user_casts import call_function_of

    ctx.made.add(operator.oid)
    return call_function_of(operator.function, operator.function_name, operands, ctx, at)
