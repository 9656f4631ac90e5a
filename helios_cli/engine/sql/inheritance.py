"""Tables that others inherit from, as statements see them: their own rows and those of their heirs.

In FROM such a table is the UNION ALL of the tables, each with the columns of the one that is named. UPDATE and DELETE
find their rows in it first and then change them one by one, each where it is (``triggered``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.relation import CatalogReader, Relation
from helios_cli.engine.sql.snapshots import row_id
from helios_cli.engine.sql.sqltext import quote_identifier

if TYPE_CHECKING:
    from helios_cli.engine.sql.ddl_model import ConstraintDef

MEMBER: Final = "\x05"
"""In RETURNING, and in checks of new rows, the alias of whichever of the tables a row is in."""
ROW: Final = "\x01row"
"""The name of the column with the number that a row has in its table."""


def is_expanded(relation: Relation, fields: dict[str, Any], ctx: Context) -> bool:
    """Whether a RangeVar stands for the rows of heirs too: without ONLY. The SQLite view of a view never does."""
    return bool(relation.heirs) and bool(fields.get("inh")) and not ctx.unsecured


def members(relation: Relation, ctx: Context) -> list[Relation]:
    """The table and its heirs."""
    found = (ctx.catalog.relation_by_oid(oid) for oid in relation.heirs)
    return [relation, *(heir for heir in found if heir is not None)]


def all_rows(relation: Relation, ctx: Context, *, numbered: bool = False) -> str:
    """The rows of a table and of its heirs as a FROM item without an alias, with their ``tableoid``.

    ``numbered`` adds :data:`ROW`, and leaves out what another part of the statement has changed.
    """
    names = [quote_identifier(column.name) for column in relation.columns]
    arms = []
    for member in members(relation, ctx):
        number = [f"{row_id(member)} AS {quote_identifier(ROW)}"] if numbered else []
        listed = ", ".join([*names, f"{member.oid} AS tableoid", *number])
        name = member.sqlite_name or member.name
        table = quote_identifier(name)
        if ctx.snapshots is not None and numbered:
            conditions = ctx.snapshots.untouched(member, name)
            table += f" WHERE {' AND '.join(conditions)}" if conditions else ""
        elif ctx.snapshots is not None and ctx.snapshots.is_changed_by_others(member):
            table = ctx.snapshots.read(member)
        arms.append(f"SELECT {listed} FROM {table}")
    return f"({' UNION ALL '.join(arms)})"


def of_member(text: str, member: Relation) -> str:
    """A text over :data:`MEMBER` for one of the tables."""
    marker = quote_identifier(MEMBER)
    table = quote_identifier(member.sqlite_name or member.name)
    return text.replace(f"{marker}.tableoid", str(member.oid)).replace(marker, table)


def row_alias(relation: Relation, *, expanded: bool) -> str:
    """The alias under which RETURNING and checks of new rows name the changed table."""
    return MEMBER if expanded else relation.sqlite_name or relation.name


def keys_to(catalog: CatalogReader, oid: int) -> list[ConstraintDef]:
    """The foreign keys that refer to a table, or to a partitioned table that it is a partition of."""
    found, relation = list(catalog.referencing(oid)), catalog.relation_by_oid(oid)
    if relation is not None and relation.partition is not None and relation.partition.bound:
        for parent in catalog.parents(oid):
            found += keys_to(catalog, parent)
    return found
