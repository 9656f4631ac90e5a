"""Which foreign key a statement violated. SQLite does not say, so it is concluded from what the statement did."""

from __future__ import annotations

import re
from typing import Final

from helios_cli.engine.errors import HeliosError, SqlError
from helios_cli.engine.sql.ddl_model import ConstraintDef, DdlCatalog, TableDef
from helios_cli.engine.sql.inheritance import keys_to
from helios_cli.engine.sql.plan import Plan

_NAME: Final = r'(?:(?:main|temp|"main"|"temp")\.)?"((?:[^"]|"")*)"'
_TARGET: Final = re.compile(rf"(?:^|[\s)])(?:INSERT (?:OR \w+ )?INTO|UPDATE(?: OR \w+)?|DELETE FROM) {_NAME}")


def foreign_key_error(plan: Plan, catalog: DdlCatalog) -> HeliosError | None:
    """The 23503 error of a failed write, by name of the constraint when only one can be meant; None when none is.

    An INSERT violates a key of its own table, a DELETE one that points at its table, an UPDATE either.
    """
    match = _TARGET.search(plan.steps[0]) if plan.steps else None
    table = catalog.table_by_sqlite_name(match[1].replace('""', '"')) if match else None
    if table is None:
        return None
    own = [] if plan.tag == "DELETE" else [found for found in table.constraints if found.kind == "f"]
    others = [] if plan.tag == "INSERT 0" else keys_to(catalog, table.oid)
    if not own and not others and plan.tag != "DELETE":
        return late_duplicate(table)
    if len(own) + len(others) != 1:
        return _unnamed(table, plan)
    return _own(table, own[0]) if own else _other(catalog, table, others[0])


def late_duplicate(table: TableDef) -> HeliosError | None:
    """The 23505 error of a unique key that is checked late, counted with the foreign keys; None: the table has none."""
    late = [index for index in table.indexes if index.deferrable]
    if not late:
        return None
    if late[0].excludes:
        return SqlError(
            f'conflicting key value violates exclusion constraint "{late[0].name}"', sqlstate="23P01",
            schema=table.schema, table=table.name, constraint=late[0].name,
        )  # fmt: skip
    return SqlError(
        f'duplicate key value violates unique constraint "{late[0].name}"', sqlstate="23505",
        schema=table.schema, table=table.name, constraint=late[0].name,
    )  # fmt: skip


def _unnamed(table: TableDef, plan: Plan) -> HeliosError:
    what = {"DELETE": "update or delete", "INSERT 0": "insert or update"}.get(plan.tag, "insert, update or delete")
    return SqlError(
        f'{what} on table "{table.name}" violates a foreign key constraint', sqlstate="23503",
        schema=table.schema, table=table.name,
    )  # fmt: skip


def _own(table: TableDef, constraint: ConstraintDef) -> HeliosError:
    return SqlError(
        f'insert or update on table "{table.name}" violates foreign key constraint "{constraint.name}"',
        sqlstate="23503", schema=table.schema, table=table.name, constraint=constraint.name,
    )  # fmt: skip


def _other(catalog: DdlCatalog, table: TableDef, constraint: ConstraintDef) -> HeliosError:
    other = catalog.table_def(constraint.table_oid)
    shown = other.name if other is not None else "?"
    return SqlError(
        f'update or delete on table "{table.name}" violates foreign key constraint "{constraint.name}" '
        f'on table "{shown}"',
        sqlstate="23503", schema=other.schema if other else None, table=shown, constraint=constraint.name,
    )  # fmt: skip
