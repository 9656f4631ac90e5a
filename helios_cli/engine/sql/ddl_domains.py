"""CREATE and ALTER DOMAIN: a base type with a default, NOT NULL and CHECKs.

A column of a domain is one of its base type that remembers the domain: what the domain wants is tested where values are
assigned (``domain_checks.py``), so ALTER DOMAIN rewrites no table.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.usertypes import domain_oid, kind_of
from helios_cli.engine.sql import tree
from helios_cli.engine.sql.ddl_build import Builder, unsupported
from helios_cli.engine.sql.ddl_columns import default_text, refuse_collation
from helios_cli.engine.sql.ddl_deparse import deparse
from helios_cli.engine.sql.ddl_model import ColumnDef
from helios_cli.engine.sql.ddl_render import delete, update
from helios_cli.engine.sql.ddl_type_rights import check_types
from helios_cli.engine.sql.ddl_types import definition_text, find_type, home_of, new_name, type_row, users_of
from helios_cli.engine.sql.domain_checks import condition_sql
from helios_cli.engine.sql.expressions import find_collation
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.relation import DomainCheck, UserType
from helios_cli.engine.sql.sqltext import quote_identifier, quote_string
from helios_cli.engine.sql.text_collations import is_collatable
from helios_cli.engine.sql.typed import Node, TypedSql
from helios_cli.engine.sql.typenames import resolve_type

_VALUE: Final = "helios_domain_value"
"""Stands for VALUE while a CHECK is written out."""


def create_domain(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan CREATE DOMAIN.

    Raises:
        SqlError: 42710 the name is taken, 42704 an unknown base type, 42601 conflicting constraints.
    """
    schema, name = new_name(builder, tree.strings(fields["domainname"]))
    given, typmod = resolve_type(fields["typeName"], builder.context())
    check_types(builder, given)
    parent = builder.catalog.type_by_oid(given) if kind_of(given) == "d" else None
    base = parent.base_oid if parent is not None else given
    if registry.by_oid(base).kind == "p" or (parent is None and kind_of(given) == "d"):
        raise builder.error("42804", f'"{registry.sql_type_name(base)}" is not a valid base type for a domain')
    domain = UserType(
        domain_oid(builder.oid()), schema, name, "d", base_oid=base,
        base_typmod=parent.base_typmod if parent is not None else typmod, parent=parent.oid if parent else 0,
        collation=_collation(builder, base, fields.get("collClause")) or (parent.collation if parent else 0),
    )  # fmt: skip
    for node in fields.get("constraints", []):
        domain = _constrained(builder, domain, node["Constraint"])
    builder.add(*type_row(builder, domain.oid, schema, name, "d", _definition(domain)))
    return builder.finish("CREATE DOMAIN")


def _collation(builder: Builder, base: int, clause: dict[str, Any] | None) -> int:
    """The OID of the collation in a COLLATE clause, whose order is the database's; 0 without one.

    Raises:
        SqlError: 42804 the type has no collations, 0A000 another order.
    """
    if clause is None:
        return 0
    if not is_collatable(base):
        message = f"collations are not supported by type {registry.sql_type_name(base)}"
        raise builder.error("42804", message, clause.get("location", -1))
    refuse_collation(builder, clause, "a domain")
    return find_collation(tree.strings(clause["collname"]), builder.context()).oid


def _definition(domain: UserType) -> dict[str, Any]:
    """The domain's own part: what its parents say is theirs."""
    checks = domain.checks[len(domain.checks) - domain.own_checks :] if domain.own_checks else ()
    return {
        "base": domain.base_oid, "typmod": domain.base_typmod, "not_null": domain.not_null,
        "default": domain.default, "checks": [
            [check.oid, check.name, check.expression, *([] if check.validated else [False])] for check in checks
        ],
        "parent": domain.parent, "collation": domain.collation,
    }  # fmt: skip


def _constrained(builder: Builder, domain: UserType, fields: dict[str, Any]) -> UserType:
    kind = fields["contype"]
    if kind == "CONSTR_NOTNULL":
        return replace(domain, not_null=True)
    if kind == "CONSTR_NULL":
        if domain.not_null:
            raise builder.error("42601", "conflicting NULL/NOT NULL constraints", fields.get("location", -1))
        return domain
    if kind == "CONSTR_DEFAULT":
        if domain.default is not None:
            raise builder.error("42601", "multiple default expressions", fields.get("location", -1))
        return replace(domain, default=_default(builder, domain, fields["raw_expr"]))
    if kind == "CONSTR_CHECK":
        check = _check(builder, domain, fields)
        return replace(domain, checks=(*domain.checks, check), own_checks=domain.own_checks + 1)
    word = {"CONSTR_UNIQUE": "unique", "CONSTR_PRIMARY": "primary key", "CONSTR_FOREIGN": "foreign key"}.get(kind)
    if word is not None:
        raise builder.error("42601", f"{word} constraints not possible for domains", fields.get("location", -1))
    raise unsupported("this kind of constraint on a domain")


def _default(builder: Builder, domain: UserType, node: Node) -> str | None:
    return default_text(builder, node, ColumnDef(domain.name, domain.base_oid, domain.base_typmod, 0))


def _check(builder: Builder, domain: UserType, fields: dict[str, Any]) -> DomainCheck:
    """A CHECK with its name and text. Raises what translating it raises."""
    node = fields["raw_expr"]
    for part in tree.walk(node):
        reference = part.get("ColumnRef")
        if isinstance(reference, dict) and tree.strings(reference["fields"]) == ["value"]:
            reference["fields"] = [{"String": {"sval": _VALUE}}]
    text = deparse(node, {_VALUE: domain.base_oid}).replace(_VALUE, "VALUE")
    _condition(builder, domain, text, "NULL")
    name = fields.get("conname")
    taken = {check.name for check in domain.checks}
    if name in taken:
        message = f'constraint "{name}" for domain "{domain.name}" already exists'
        raise builder.error("42710", message)
    count = 0
    while name is None or (fields.get("conname") is None and name in taken):
        name = f"{domain.name}_check{count or ''}"
        count += 1
    return DomainCheck(builder.oid(), name, text)


def _condition(builder: Builder, domain: UserType, text: str, value: str) -> str:
    context = builder.context()
    context.session_allowed = False
    sql = condition_sql(text, TypedSql(value, domain.base_oid, domain.base_typmod), context)
    return context.finish([sql])[0][0]


def alter_domain(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER DOMAIN: default, NOT NULL, adding and dropping constraints.

    Raises:
        SqlError: 42704 no such domain or constraint; 23502 and 23514 for values that are there come when it runs.
    """
    domain = find_domain(builder, tree.strings(fields["typeName"]))
    kind = fields["subtype"]
    users = [other for other in builder.catalog.all_types() if other.kind == "r" and other.parent == domain.oid]
    if kind in ("O", "C") and users:
        raise unsupported("a constraint of a domain that a range is over", "Use a range over the base type.")
    own = replace(domain, default=domain.default)
    if kind == "T":
        node = fields.get("def")
        own = replace(own, default=_default(builder, own, node) if node is not None else None)
    elif kind in ("N", "O"):
        own = replace(own, not_null=kind == "O")
        if kind == "O":
            _verify(builder, domain, "{} IS NULL", "23502", "contains null values")
    elif kind == "C":
        added = fields["def"]["Constraint"]
        own = _constrained(builder, own, added)
        if added["contype"] == "CONSTR_CHECK" and added.get("skip_validation"):
            own = replace(own, checks=(*own.checks[:-1], replace(own.checks[-1], validated=False)))
        elif added["contype"] == "CONSTR_CHECK":
            text = own.checks[-1].expression
            problem = "contains values that violate the new constraint"
            _verify(builder, domain, "NOT " + _condition(builder, own, text, "{}"), "23514", problem)
    elif kind == "X":
        own = _without(builder, own, fields)
        builder.add(*(
            delete(home_of(builder, own.oid), "helios_description", objoid=check.oid)
            for check in domain.checks if check not in own.checks
        ))  # fmt: skip
    elif kind == "V":
        own = _validate(builder, own, fields["name"])
    else:
        raise unsupported("this form of ALTER DOMAIN")
    text = definition_text(_definition(own))
    builder.add(update(home_of(builder, own.oid), "helios_type", {"definition": text}, oid=own.oid))
    return builder.finish("ALTER DOMAIN")


def _validate(builder: Builder, domain: UserType, name: str) -> UserType:
    """Look whether values that are there meet a constraint that was added NOT VALID, which is then valid."""
    check = next((check for check in domain.checks if check.name == name), None)
    if check is None:
        raise builder.error("42704", f'constraint "{name}" of domain "{domain.name}" does not exist')
    problem = "contains values that violate the new constraint"
    _verify(builder, domain, "NOT " + _condition(builder, domain, check.expression, "{}"), "23514", problem)
    return replace(domain, checks=tuple(replace(one, validated=one.validated or one is check) for one in domain.checks))


def find_domain(builder: Builder, names: list[str]) -> UserType:
    """A domain by name. Raises 42704 and 42809."""
    found = find_type(builder, names)
    assert found is not None
    if found.kind != "d":
        raise builder.error("42809", f"{found.name} is not a domain")
    return found


def _without(builder: Builder, domain: UserType, fields: dict[str, Any]) -> UserType:
    kept = tuple(check for check in domain.checks if check.name != fields["name"])
    if len(kept) == len(domain.checks):
        message = f'constraint "{fields["name"]}" of domain "{domain.name}" does not exist'
        if not fields.get("missing_ok"):
            raise builder.error("42704", message)
        builder.notices.append(f"{message}, skipping")
        return domain
    return replace(domain, checks=kept, own_checks=domain.own_checks - 1)


def _verify(builder: Builder, domain: UserType, condition: str, sqlstate: str, problem: str) -> None:
    """Steps that fail when a column of the domain holds a value that meets a condition."""
    for relation, column, _ in users_of(builder, domain.oid):
        if relation.kind == "v":
            continue
        message = f'column "{column}" of table "{relation.name}" {problem}'
        call = f"pg_raise({quote_string(sqlstate)}, {quote_string(message)})"
        test = condition.replace("{}", quote_identifier(column))
        builder.add(f"SELECT {call} FROM {quote_identifier(relation.sqlite_name)} WHERE {test} LIMIT 1")
    for other in builder.catalog.all_types():
        if other.parent == domain.oid:
            _verify(builder, other, condition, sqlstate, problem)


def rename_domain_constraint(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER DOMAIN ... RENAME CONSTRAINT. Raises 42704 and 42710."""
    domain = find_domain(builder, tree.strings(fields["object"]["List"]["items"]))
    old, new = fields["subname"], fields["newname"]
    if all(check.name != old for check in domain.checks):
        raise builder.error("42704", f'constraint "{old}" of domain "{domain.name}" does not exist')
    if any(check.name == new for check in domain.checks):
        raise builder.error("42710", f'constraint "{new}" for domain "{domain.name}" already exists')
    checks = tuple(replace(check, name=new) if check.name == old else check for check in domain.checks)
    text = definition_text(_definition(replace(domain, checks=checks)))
    builder.add(update(home_of(builder, domain.oid), "helios_type", {"definition": text}, oid=domain.oid))
    return builder.finish("ALTER DOMAIN")
