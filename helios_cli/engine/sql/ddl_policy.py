"""CREATE, ALTER, DROP and RENAME POLICY, and switching row level security on and off."""

from __future__ import annotations

import re
from typing import Any, Final

from helios_cli.engine.errors import FeatureNotSupported
from helios_cli.engine.sql import tree
from helios_cli.engine.sql.ddl_build import Builder, range_var_of, unsupported
from helios_cli.engine.sql.ddl_deparse import deparse
from helios_cli.engine.sql.ddl_model import TableDef
from helios_cli.engine.sql.ddl_render import delete
from helios_cli.engine.sql.plan import Plan, Warned
from helios_cli.engine.sql.policies import COMMANDS, PUBLIC, TABLES, Policy
from helios_cli.engine.sql.sqltext import constant
from helios_cli.engine.sql.typed import Node

PG_POLICY: Final = 3256
_SWITCHES: Final = {
    "AT_EnableRowSecurity": ("enabled", 1), "AT_DisableRowSecurity": ("enabled", 0),
    "AT_ForceRowSecurity": ("forced", 1), "AT_NoForceRowSecurity": ("forced", 0),
}  # fmt: skip
_USING: Final = re.compile(r"\bUSING\s*\(", re.IGNORECASE)
_CHECK: Final = re.compile(r"\bWITH\s+CHECK\s*\(", re.IGNORECASE)
_TOKEN: Final = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\$\$.*?\$\$|[()]|[^'\"()$]+|\$", re.DOTALL)


def create_policy(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan CREATE POLICY.

    Raises:
        SqlError: 42710 it exists, 42601 an expression that its command does not take, 42704 no such role.
    """
    table = _table(builder, fields["table"])
    name, command = fields["policy_name"], COMMANDS[fields.get("cmd_name", "all").lower()]
    if command in "rd" and "with_check" in fields:
        raise builder.error("42601", "WITH CHECK cannot be applied to SELECT or DELETE")
    if command == "a" and "qual" in fields:
        raise builder.error("42601", "only WITH CHECK expression allowed for INSERT")
    if any(known.name == name for known in builder.catalog.policies(table.oid)):
        raise builder.error("42710", f'policy "{name}" for table "{table.name}" already exists')
    policy = Policy(
        builder.oid(temp=False), table.oid, name, command, fields.get("permissive", False),
        _roles(builder, fields["roles"]), _expression(builder, table, fields.get("qual"), _USING),
        _expression(builder, table, fields.get("with_check"), _CHECK),
    )  # fmt: skip
    builder.touch(False)
    builder.add(*TABLES, store(policy))
    return builder.finish("CREATE POLICY")


def alter_policy(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER POLICY ... TO, USING, WITH CHECK. Raises SqlError 42704, 42601."""
    table = _table(builder, fields["table"])
    policy = _policy(builder, table, fields["policy_name"])
    if policy.command in "rd" and "with_check" in fields:
        raise builder.error("42601", "only USING expression allowed for SELECT, DELETE")
    if policy.command == "a" and "qual" in fields:
        raise builder.error("42601", "only WITH CHECK expression allowed for INSERT")
    if "roles" in fields:
        policy.roles = _roles(builder, fields["roles"])
    if "qual" in fields:
        policy.using = _expression(builder, table, fields["qual"], _USING)
    if "with_check" in fields:
        policy.check = _expression(builder, table, fields["with_check"], _CHECK)
    builder.touch(False)
    builder.add(store(policy))
    return builder.finish("ALTER POLICY")


def rename_policy(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER POLICY ... RENAME TO. Raises SqlError 42704, 42710."""
    table = _table(builder, fields["relation"])
    policy, new = _policy(builder, table, fields["subname"]), fields["newname"]
    if any(known.name == new for known in builder.catalog.policies(table.oid)):
        raise builder.error("42710", f'policy "{new}" for table "{table.name}" already exists')
    policy.name = new
    builder.touch(False)
    builder.add(store(policy))
    return builder.finish("ALTER POLICY")


def drop_policy(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan DROP POLICY. Raises SqlError 42P01, 42704."""
    missing_ok = bool(fields.get("missing_ok"))
    for node in fields["objects"]:
        *table_name, name = tree.strings(node["List"]["items"])
        range_var = range_var_of(table_name)
        if missing_ok and builder.catalog.relation(range_var.get("schemaname"), range_var["relname"]) is None:
            builder.notices.append(f'relation "{".".join(table_name)}" does not exist, skipping')
            continue
        table = _table(builder, range_var)
        found = next((known for known in builder.catalog.policies(table.oid) if known.name == name), None)
        if found is None and missing_ok:
            builder.notices.append(f'policy "{name}" for relation "{table.name}" does not exist, skipping')
            continue
        policy = found or _policy(builder, table, name)
        builder.touch(False)
        builder.add(
            delete(False, "helios_policy", oid=policy.oid), delete(False, "helios_description", objoid=policy.oid)
        )
    return builder.finish("DROP POLICY")


def switch_row_security(builder: Builder, table: TableDef, subtype: str) -> None:
    """ENABLE, DISABLE, FORCE and NO FORCE ROW LEVEL SECURITY."""
    if table.temp:
        raise unsupported("row level security of a temporary table")
    column, value = _SWITCHES[subtype]
    builder.touch(False)
    builder.add(
        *TABLES,
        f"INSERT INTO main.helios_row_security(relid, {column}) VALUES ({table.oid}, {value}) "
        f"ON CONFLICT (relid) DO UPDATE SET {column} = {value}",
    )


def forget_steps(builder: Builder, relation: int) -> list[str]:
    """The steps that remove what a table that goes had."""
    if builder.catalog.row_security(relation) is None:
        return []
    return [delete(False, "helios_policy", relid=relation), delete(False, "helios_row_security", relid=relation)]


def store(policy: Policy) -> str:
    """The statement that keeps a policy."""
    return (
        f"INSERT OR REPLACE INTO main.helios_policy VALUES ({policy.oid}, {policy.relation}, {constant(policy.name)}, "
        f"{constant(policy.to_json())})"
    )


def _table(builder: Builder, range_var: dict[str, Any]) -> TableDef:
    table = builder.find_table(range_var)
    assert table is not None
    if table.temp:
        raise unsupported("row level security of a temporary table")
    return table


def _policy(builder: Builder, table: TableDef, name: str) -> Policy:
    for known in builder.catalog.policies(table.oid):
        if known.name == name:
            return known
    raise builder.error("42704", f'policy "{name}" for table "{table.name}" does not exist')


def _roles(builder: Builder, nodes: list[Node]) -> tuple[int, ...]:
    found: dict[int, None] = {}
    for node in nodes:
        if node["RoleSpec"]["roletype"] == "ROLESPEC_PUBLIC":
            if len(nodes) > 1:
                message = "ignoring specified roles other than PUBLIC"
                hint = "All roles are members of the PUBLIC role."
                builder.notices.append(Warned(message, sqlstate="01000", hint=hint))
            return (PUBLIC,)
        found[builder.role_oid(node)] = None
    return tuple(found)


def _expression(builder: Builder, table: TableDef, node: Node | None, head: re.Pattern[str]) -> str | None:
    """A policy's expression as it is kept; one that cannot be written anew keeps its text."""
    if node is None:
        return None
    _check(builder, table, node)
    try:
        return deparse(node, {column.name: column.type_oid for column in table.columns})
    except FeatureNotSupported:
        text = _written(builder.source, head)
        relation = builder.catalog.relation_by_oid(table.oid)
        # The module that reads kept texts needs the one of expressions, which needs policies.
        from helios_cli.engine.sql.stored_names import KeptText

        return KeptText(builder, text if _is_enclosed(text) else f"({text})", relation).settled()


def _check(builder: Builder, table: TableDef, node: Node) -> None:
    from helios_cli.engine.sql.context import Context
    from helios_cli.engine.sql.expressions import expect_boolean
    from helios_cli.engine.sql.from_clause import table_columns
    from helios_cli.engine.sql.scope import RangeItem, Scope

    relation = builder.catalog.relation_by_oid(table.oid)
    assert relation is not None
    ctx = Context(
        catalog=builder.catalog, functions=builder.functions, source=builder.source, encoded=builder.source.encode(),
        parameters_allowed=False,
    )  # fmt: skip
    ctx.securing.append(table.oid)
    scope = Scope(ctx=ctx, clause="policy expressions")
    columns = table_columns(relation, relation.name)
    scope.items, scope.columns = [RangeItem(relation.name, columns, relation, relation.schema)], columns
    expect_boolean(node, scope, "POLICY")


def _is_enclosed(text: str) -> bool:
    """Whether one pair of parentheses holds the whole text."""
    depth = 0
    for token in _TOKEN.finditer(text):
        depth += {"(": 1, ")": -1}.get(token[0], 0)
        if not depth:
            return text.startswith("(") and token.end() == len(text)
    return False


def _written(source: str, head: re.Pattern[str]) -> str:
    """What stands between the parentheses behind a keyword."""
    found = head.search(source)
    if found is None:
        raise unsupported("this expression in a policy")
    depth, start = 1, found.end()
    for token in _TOKEN.finditer(source, start):
        depth += {"(": 1, ")": -1}.get(token[0], 0)
        if not depth:
            return source[start : token.start()].strip()
    raise unsupported("this expression in a policy")
