"""UPDATE of the few system rows that tools write: what ALTER TABLE and COMMENT would say otherwise.

Rails, which loads fixtures with the keys switched off, marks every foreign key as not valid and validates it again.
"""

from __future__ import annotations

from typing import Any, Final, cast

from helios_cli.engine.sql import casts, tree
from helios_cli.engine.sql.coercion import Context as How
from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.ddl_model import DdlCatalog
from helios_cli.engine.sql.ddl_render import NOT_VALID
from helios_cli.engine.sql.ddl_schema import new_version
from helios_cli.engine.sql.expressions import expect_boolean, translate
from helios_cli.engine.sql.finishing import finish_plan
from helios_cli.engine.sql.from_clause import find_relation, from_item
from helios_cli.engine.sql.oids import BOOL, TEXT
from helios_cli.engine.sql.plan import Kind, Plan
from helios_cli.engine.sql.privileges import UPDATE
from helios_cli.engine.sql.scope import Scope

_WRITES: Final = {
    ("pg_constraint", "convalidated"): (
        BOOL, "oid",
        f"UPDATE main.helios_constraint SET condeferrable = condeferrable & ~{NOT_VALID} "
        f"| iif({{value}}, 0, {NOT_VALID}) WHERE oid IN ({{rows}})",
    ),
    ("pg_description", "description"): (
        TEXT, "objoid, classoid, objsubid",
        "UPDATE main.helios_description SET description = {value} WHERE (objoid, classoid, objsubid) IN ({rows})",
    ),
}  # fmt: skip
"""By relation and column: the type, the key of a row, and the statement."""


def plan_system_update(fields: dict[str, Any], ctx: Context) -> Plan | None:
    """The plan of an UPDATE of system rows that can be done; None for any other UPDATE.

    Raises:
        SqlError: as UPDATE does; 23502 a NULL.
    """
    names = [node["ResTarget"]["name"] for node in fields.get("targetList", [])]
    known = _WRITES.get((fields["relation"].get("relname", ""), names[0])) if len(names) == 1 else None
    scope = Scope(ctx=ctx)
    if known is None or any(key in fields for key in ("fromClause", "returningList", "withClause")):
        return None
    relation = find_relation(fields["relation"], scope)
    if relation.kind != "c":
        return None
    type_oid, key, statement = known
    ctx.rights.relation(relation, UPDATE, qualified="schemaname" in fields["relation"])
    node = fields["targetList"][0]["ResTarget"]["val"]
    if any("ColumnRef" in part for part in tree.walk(node)):
        return None
    value = casts.coerce(translate(node, scope), type_oid, -1, How.ASSIGNMENT, ctx)
    if value.sql == "NULL":
        message = f'null value in column "{names[0]}" of relation "{relation.name}" violates not-null constraint'
        raise ctx.error("23502", message)
    source = from_item({"RangeVar": fields["relation"]}, scope)
    scope.items, scope.columns = list(source.items), list(source.columns)
    where = f" WHERE {expect_boolean(fields['whereClause'], scope, 'WHERE').sql}" if "whereClause" in fields else ""
    step = statement.format(value=value.sql, rows=f"SELECT {key} FROM {source.sql}{where}")
    catalog = cast(DdlCatalog, ctx.catalog)
    plan = finish_plan(Kind.DDL, "UPDATE", [step, new_version(False, catalog.drawn_version())], ctx)
    plan.volatile = True
    return plan
