"""CREATE, ALTER and DROP OPERATOR."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import tree
from helios_cli.engine.sql.behind import check_executable, exactly
from helios_cli.engine.sql.coercion import type_name
from helios_cli.engine.sql.ddl_build import Builder, list_names
from helios_cli.engine.sql.ddl_dropping import drop_things
from helios_cli.engine.sql.ddl_function import argument_type, creation_schema
from helios_cli.engine.sql.ddl_ownership import new_owner
from helios_cli.engine.sql.ddl_thing import OPERATOR, Thing
from helios_cli.engine.sql.ddl_type_rights import check_types
from helios_cli.engine.sql.made_objects import TABLES, UserOperator
from helios_cli.engine.sql.oids import BOOL
from helios_cli.engine.sql.operators import OPERATORS
from helios_cli.engine.sql.plan import Plan, Warned
from helios_cli.engine.sql.rights import not_owner
from helios_cli.engine.sql.sqltext import constant

_ATTRIBUTES: Final = {
    "leftarg": "leftarg", "rightarg": "rightarg", "function": "function", "procedure": "function",
    "commutator": "commutator", "negator": "negator", "restrict": "restrict", "join": "join", "hashes": "hashes",
    "merges": "merges",
    # Understood and without meaning, as in PostgreSQL.
    "sort1": "merges", "sort2": "merges", "ltcmp": "merges", "gtcmp": "merges",
}  # fmt: skip


def create_operator(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan CREATE OPERATOR.

    Raises:
        SqlError: 42P13 what it lacks or cannot be, 42883 no such function, 42723 it is there.
    """
    names = tree.strings(fields["defnames"])
    schema = creation_schema(builder, names)
    given = _given(builder, fields.get("definition", []))
    left, right = (_operand(builder, given.get(key)) for key in ("leftarg", "rightarg"))
    _check_operands(builder, given, left, right)
    check_types(builder, *(oid for oid in (left, right) if oid))
    types = (left, right) if left else (right,)
    behind = exactly(builder, _names(given["function"]), types)
    check_types(builder, behind.result)
    check_executable(builder, behind)
    _check_optimization(builder, given, left, behind.result)
    if _same(builder, schema, names[-1], left, right) is not None:
        raise builder.error("42723", f"operator {names[-1]} already exists")
    made = UserOperator(
        builder.oid(False), schema, names[-1], builder.catalog.acting.oid, left, right, behind.result, behind.oid,
        behind.name, merges=_flag(given.get("merges")), hashes=_flag(given.get("hashes")),
    )  # fmt: skip
    builder.touch(False)
    builder.add(*TABLES)
    made.commutator = _partner(builder, made, given.get("commutator"), (right, left), "commutator")
    made.negator = _partner(builder, made, given.get("negator"), (left, right), "negator")
    builder.add(store(made))
    return builder.finish("CREATE OPERATOR")


def store(operator: UserOperator) -> str:
    """The statement that keeps an operator."""
    return (
        f"INSERT OR REPLACE INTO main.helios_operator VALUES ({operator.oid}, {constant(operator.schema)}, "
        f"{constant(operator.name)}, {operator.owner}, {constant(operator.definition())})"
    )


def _given(builder: Builder, nodes: list[dict[str, Any]]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for node in nodes:
        element = node["DefElem"]
        name = element["defname"]
        if name not in _ATTRIBUTES:
            builder.notices.append(Warned(f'operator attribute "{name}" not recognized', "42601"))
            continue
        if name in ("leftarg", "rightarg") and element.get("arg", {}).get("TypeName", {}).get("setof"):
            raise builder.error("42P13", "SETOF type not allowed for operator argument")
        given[_ATTRIBUTES[name]] = element.get("arg", {})
    return given


def _operand(builder: Builder, node: dict[str, Any] | None) -> int:
    """The type of an operand; 0 for none."""
    if not node:
        return 0
    return argument_type(builder, node.get("TypeName", {"names": [node]}))


def _names(node: dict[str, Any]) -> list[str]:
    if "TypeName" in node:
        return tree.strings(node["TypeName"]["names"])
    return list_names(node) if "List" in node else [node["String"]["sval"]]


def _flag(node: dict[str, Any] | None) -> bool:
    if node is None:
        return False
    word = str(node.get("String", {}).get("sval", "true")).lower() if node else "true"
    return word not in ("false", "off", "0") and not ("Boolean" in node and not node["Boolean"].get("boolval"))


def _check_operands(builder: Builder, given: dict[str, Any], left: int, right: int) -> None:
    if "function" not in given:
        raise builder.error("42P13", "operator function must be specified")
    if not left and not right:
        raise builder.error("42P13", "operator argument types must be specified")
    if not right:
        detail = "Postfix operators are not supported."
        raise builder.error("42P13", "operator right argument type must be specified", detail=detail)


def _check_optimization(builder: Builder, given: dict[str, Any], left: int, result: int) -> None:
    """Refuse clauses that an operator of this form cannot have (OperatorCreate)."""
    binary = (
        ("commutator", "have commutators"), ("join", "have join selectivity"), ("merges", "merge join"),
        ("hashes", "hash"),
    )  # fmt: skip
    for key, what in binary:
        if not left and _flag(given.get(key)):
            raise builder.error("42P13", f"only binary operators can {what}")
    boolean = (
        ("negator", "have negators"), ("restrict", "have restriction selectivity"), ("join", "have join selectivity"),
        ("merges", "merge join"), ("hashes", "hash"),
    )  # fmt: skip
    for key, what in boolean:
        if result != BOOL and _flag(given.get(key)):
            raise builder.error("42P13", f"only boolean operators can {what}")


def _same(builder: Builder, schema: str, name: str, left: int, right: int) -> UserOperator | None:
    found = builder.catalog.operators(name)
    return next((one for one in found if (one.schema, one.left, one.right) == (schema, left, right)), None)


def _partner(
    builder: Builder, made: UserOperator, node: dict[str, Any] | None, operands: tuple[int, int], key: str
) -> int:
    """The OID of a commutator or negator, which learns of this one; 0 for one that is not there yet."""
    if node is None:
        return 0
    names = _names(node)
    if names[-1] == made.name and operands == (made.left, made.right):
        if key == "negator":
            raise builder.error("42P13", "operator cannot be its own negator")
        return made.oid
    schemas = names[-2:-1] or builder.catalog.search_path
    for schema in schemas:
        found = _same(builder, schema, names[-1], *operands)
        if found is not None:
            if not getattr(found, key):
                changed = replace(found)
                setattr(changed, key, made.oid)
                builder.add(store(changed))
            return found.oid
    return 0


# -- those that are there ---------------------------------------------------------------------------------------------


def find_operator(builder: Builder, fields: dict[str, Any], *, missing_ok: bool = False) -> UserOperator | None:
    """The operator that an ObjectWithArgs names; None only with ``missing_ok``, after a notice.

    Raises:
        SqlError: 42883 missing, 2BP01 it is PostgreSQL's own.
    """
    names = tree.strings(fields["objname"])
    try:
        left, right = (_operand(builder, node or None) for node in fields["objargs"])
    except SqlError as error:
        if not missing_ok or error.sqlstate != "42704":
            raise
        builder.notices.append(f"{error.message}, skipping")
        return None
    for schema in names[-2:-1] or builder.catalog.search_path:
        found = _same(builder, schema, names[-1], left, right)
        if found is not None:
            return found
    shown = type_name(left) + " " if left else ""
    types = (left, right) if left else (right,)
    own = OPERATORS.get((names[-1], len(types)), ()) if len(names) == 1 or names[-2] == "pg_catalog" else ()
    if any(args == types for _, args in own):
        listed = ",".join([type_name(left) if left else "NONE", type_name(right)])
        message = f"cannot drop operator {names[-1]}({listed}) because it is required by the database system"
        raise SqlError(message, sqlstate="2BP01")
    if missing_ok:
        builder.notices.append(f"operator {'.'.join(names)} does not exist, skipping")
        return None
    if not right:
        raise builder.error("42601", "postfix operators are not supported")
    raise builder.error("42883", f"operator does not exist: {shown}{'.'.join(names)} {type_name(right)}")


def _owned(builder: Builder, operator: UserOperator) -> None:
    if not builder.rightful().owns(operator.owner):
        raise not_owner("operator", operator.name)


def drop_operators(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan DROP OPERATOR. Raises SqlError 42883, 2BP01."""
    things = []
    for node in fields["objects"]:
        found = find_operator(builder, node["ObjectWithArgs"], missing_ok=bool(fields.get("missing_ok")))
        if found is not None:
            _owned(builder, found)
            things.append(Thing(OPERATOR, found.oid))
    drop_things(builder, things, fields)
    return builder.finish("DROP OPERATOR")


def _altered(builder: Builder, fields: dict[str, Any], **changes: Any) -> Plan:
    found = find_operator(builder, fields)
    assert found is not None
    _owned(builder, found)
    if changes:
        builder.touch(False)
        builder.add(store(replace(found, **changes)))
    return builder.finish("ALTER OPERATOR")


def alter_operator(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER OPERATOR ... SET (RESTRICT, JOIN), which only a planner with statistics would look at.

    Raises:
        SqlError: 42601 another attribute.
    """
    for node in fields["options"]:
        name = node["DefElem"]["defname"]
        if name in _ATTRIBUTES and name not in ("restrict", "join"):
            raise builder.error("42601", f'operator attribute "{name}" cannot be changed')
        if name not in _ATTRIBUTES:
            raise builder.error("42601", f'operator attribute "{name}" not recognized')
    return _altered(builder, fields["opername"])


def own_operator(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER OPERATOR ... OWNER TO."""
    named = fields["object"]["ObjectWithArgs"]
    found = find_operator(builder, named)
    assert found is not None
    _owned(builder, found)
    return _altered(builder, named, owner=new_owner(builder, fields["newowner"], found.owner, found.schema))


def move_operator(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER OPERATOR ... SET SCHEMA. Raises SqlError 3F000, 42710."""
    schema = fields["newschema"]
    found = find_operator(builder, fields["object"]["ObjectWithArgs"])
    assert found is not None
    if builder.catalog.schema_oid(schema) is None:
        raise builder.error("3F000", f'schema "{schema}" does not exist')
    if schema != found.schema and _same(builder, schema, found.name, found.left, found.right) is not None:
        listed = ", ".join(type_name(oid) for oid in found.args)
        raise builder.error("42710", f'operator "{found.name}({listed})" already exists in schema "{schema}"')
    return _altered(builder, fields["object"]["ObjectWithArgs"], schema=schema)
