"""Row level security: the conditions that policies put on the rows a statement sees and writes (rowsecurity.c).

Who the statement runs for is asked where it runs, so that one plan serves every role. A statement that calls users'
functions computes nothing over a row before the row has passed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from helios_cli.engine.sql.context import BARRIER, Context
from helios_cli.engine.sql.inheritance import ROW
from helios_cli.engine.sql.policies import ALL, PUBLIC, Policy, RowSecurity
from helios_cli.engine.sql.relation import Relation
from helios_cli.engine.sql.rights import Rights
from helios_cli.engine.sql.scope import RangeItem, Scope
from helios_cli.engine.sql.snapshots import row_id
from helios_cli.engine.sql.sqltext import quote_identifier, quote_string
from helios_cli.engine.sql.typed import Node

IS_ACTIVE: Final = "pg_row_security"
"""The SQLite function that tells whether a table's policies count for whoever runs the statement: role or 0, table."""
IS_FOR: Final = "pg_policy_is_for"
"""Whether a policy's roles are those of whoever runs the statement: role or 0, OIDs."""
CHECK: Final = "pg_row_security_check"
"""Gives 1 for a condition that holds, and raises 42501 with a message otherwise."""


def is_secured(relation: Relation) -> bool:
    """Whether a table has row level security enabled."""
    return relation.security is not None and relation.security.enabled


def visible_rows(relation: Relation, table: str, scope: Scope, *, locked: bool = False, numbered: bool = False) -> str:
    """A table in FROM, without the rows that may not be seen, nor those that may not be changed if they are locked.

    ``table`` is its SQLite name, quoted. ``numbered``: with the numbers of its rows, as ``inheritance.ROW``.
    """
    condition = using(relation, relation.sqlite_name or relation.name, ("w", "r") if locked else ("r",), scope.ctx)
    number = f", {row_id(relation)} AS {quote_identifier(ROW)}" if numbered else ""
    return f"(SELECT *{number} FROM {table} WHERE {condition}{BARRIER})"


def using(relation: Relation, alias: str, commands: Iterable[str], ctx: Context) -> str:
    """The condition on rows that are there, for every one of the commands."""
    security = _of(relation, ctx)
    parts = [_rows(security, command, relation, alias, ctx, lambda policy: policy.using) for command in commands]
    return f"({_inactive(security, ctx)} OR ({' AND '.join(parts)}))"


def checks(relation: Relation, alias: str, command: str, ctx: Context, *, sees: bool = False) -> list[str]:
    """Calls that raise 42501 unless a new row meets the policies of INSERT ('a') or UPDATE ('w').

    ``sees``: the statement reads the table, so that the new row has to be one that may be seen.
    """
    security = _of(relation, ctx)
    found = _checks_of(security, command, relation, alias, ctx, _new)
    if sees:
        found += _checks_of(security, "r", relation, alias, ctx, lambda policy: policy.using)
    return found


def conflict_check(relation: Relation, alias: str, ctx: Context) -> str:
    """For ON CONFLICT DO UPDATE: the row in conflict has to be one that may be changed."""
    security = _of(relation, ctx)
    condition = _rows(security, "w", relation, alias, ctx, lambda policy: policy.using)
    seen = _rows(security, "r", relation, alias, ctx, lambda policy: policy.using)
    message = f'new row violates row-level security policy (USING expression) for table "{relation.name}"'
    return f"{CHECK}({_inactive(security, ctx)} OR ({condition} AND {seen}), {quote_string(message)})"


def merge_check(relation: Relation, alias: str, command: str, ctx: Context) -> str:
    """For MERGE: calls that raise 42501 unless a row that is there may be changed ('w') or deleted ('d')."""
    security = _of(relation, ctx)
    words = "target row violates row-level security policy{} (USING expression)"
    return " AND ".join(_checks_of(security, command, relation, alias, ctx, lambda policy: policy.using, words))


def refuse_active(relation: Relation, ctx: Context, message: str, hint: str) -> None:
    """The statement cannot be done where policies count: it is 0A000 for whoever they count for."""
    if is_secured(relation):
        ctx.rights.unsecured(relation, message, hint)


def _of(relation: Relation, ctx: Context) -> RowSecurity:
    assert relation.security is not None
    ctx.changes_each_time()
    return relation.security


def _role(ctx: Context) -> int:
    return ctx.security_role


def _inactive(security: RowSecurity, ctx: Context) -> str:
    return f"(SELECT {IS_ACTIVE}({_role(ctx)}, {security.relation})) = 0"


def _new(policy: Policy) -> str | None:
    return policy.check if policy.check is not None else policy.using


def _applies(policy: Policy, ctx: Context) -> str:
    if PUBLIC in policy.roles:
        return ""
    return f"(SELECT {IS_FOR}({_role(ctx)}, '{','.join(map(str, policy.roles))}'))"


def _rows(
    security: RowSecurity, command: str, relation: Relation, alias: str, ctx: Context,
    text_of: Callable[[Policy], str | None],
) -> str:  # fmt: skip
    """One condition of all policies of a command: one of the permissive ones, and every restrictive one."""
    allowed, required = [], []
    for policy in security.policies:
        if policy.command not in (ALL, command):
            continue
        condition = _condition(text_of(policy), policy, relation, alias, ctx)
        applies = _applies(policy, ctx)
        if policy.permissive:
            allowed.append(f"({applies} AND {condition})" if applies else condition)
        else:
            required.append(f"(NOT {applies} OR {condition})" if applies else condition)
    either = f"({' OR '.join(allowed)})" if allowed else "0"
    return f"({' AND '.join([either, *required])})"


def _checks_of(
    security: RowSecurity, command: str, relation: Relation, alias: str, ctx: Context,
    text_of: Callable[[Policy], str | None], words: str = "new row violates row-level security policy{}",
) -> list[str]:  # fmt: skip
    plain = f'{words.format("")} for table "{relation.name}"'
    allowed = []
    found = []
    for policy in security.policies:
        if policy.command not in (ALL, command):
            continue
        condition = _condition(text_of(policy), policy, relation, alias, ctx)
        applies = _applies(policy, ctx)
        if policy.permissive:
            allowed.append(f"({applies} AND {condition})" if applies else condition)
            continue
        name = f' "{policy.name}"'
        named = f'{words.format(name)} for table "{relation.name}"'
        condition = f"(NOT {applies} OR {condition})" if applies else condition
        found.append(f"{CHECK}({_inactive(security, ctx)} OR {condition}, {quote_string(named)})")
    first = f"{CHECK}({_inactive(security, ctx)} OR ({' OR '.join(allowed) or '0'}), {quote_string(plain)})"
    return [first, *found]


def _condition(text: str | None, policy: Policy, relation: Relation, alias: str, ctx: Context) -> str:
    """A policy's expression over the row under an alias; one that is not there holds for every row.

    Raises:
        SqlError: 42P17, it reads the table itself.
    """
    if text is None:
        return "1"
    from helios_cli.engine.sql.expressions import expect_boolean
    from helios_cli.engine.sql.from_clause import table_columns
    from helios_cli.engine.sql.stored import parse_expression

    if relation.oid in ctx.securing:
        message = f'infinite recursion detected in policy for relation "{relation.name}"'
        if ctx.security_role:
            raise ctx.error("42P17", message)
        # Only those that the policies count for are told; for others nothing is asked.
        ctx.rights.unsecured(relation, message, sqlstate="42P17")
        return "1"
    columns = table_columns(relation, alias)
    scope = Scope(ctx=ctx, clause="policy expressions")
    scope.items, scope.columns = [RangeItem(relation.name, columns, relation, relation.schema)], columns
    kept = ctx.lifted_at, ctx.source, ctx.encoded, ctx.rights
    inside = Rights()
    ctx.lifted_at, ctx.source, ctx.encoded, ctx.rights = {}, "", b"", inside
    ctx.securing.append(relation.oid)
    try:
        node: Node = parse_expression(text)
        return f"({expect_boolean(node, scope, 'POLICY').sql})"
    finally:
        ctx.securing.pop()
        ctx.lifted_at, ctx.source, ctx.encoded, ctx.rights = kept
        ctx.rights.policy(_of(relation, ctx), policy.roles, ctx.security_role, inside)


def quoted(relation: Relation) -> str:
    """SQLite's name of a table, quoted."""
    return quote_identifier(relation.sqlite_name or relation.name)
