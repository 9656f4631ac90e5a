"""System columns: ``tableoid``, and ``ctid``, which is the number of a row."""

from __future__ import annotations

from typing import Final

from helios_cli.engine.sql.oids import INT8, OID, TID, XID
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.snapshots import row_id
from helios_cli.engine.sql.sqltext import quote_identifier
from helios_cli.engine.sql.typed import TypedSql

ROW_NUMBER: Final = "\x01row"
"""Names the number of a table's row inside: no statement can be written with it."""
NAMES: Final = frozenset(("ctid", "xmin", "xmax", "cmin", "cmax", "tableoid", ROW_NUMBER))
_FIRST_UNPINNED: Final = 12000
"""Catalogs have OIDs below it, views of the system above (FirstUnpinnedObjectId, transam.h)."""
_STORED: Final = {
    "check constraints": 'system column "ctid" reference in check constraint is invalid',
    "column generation expressions": 'cannot use system column "ctid" in column generation expression',
}


def system_column(name: str, qualifier: list[str], scope: Scope, at: int) -> TypedSql | None:
    """A system column; None for a name that is none, or that a view has none of.

    Raises:
        SqlError: 42P10, a definition may not name it; 0A000, it is not there.
    """
    if name not in NAMES:
        return None
    items = [scope.find_item(qualifier, at)[1]] if qualifier else scope.items
    found = [(item, item.relation) for item in items if item.relation is not None]
    if not found or any(column.name == name for item in items for column in item.columns):
        return None
    if len(found) == 1:
        item, relation = found[0]
        if name == "tableoid" and item.expanded:
            return TypedSql(f"{quote_identifier(item.alias)}.tableoid", OID, not_null=True, simple=True, location=at)
        if name == "tableoid":
            return TypedSql(str(relation.oid), OID, not_null=True, simple=True, location=at)
        if relation.kind == "v" or (relation.kind == "c" and relation.oid >= _FIRST_UNPINNED):
            return None
        if name == "xmin" and relation.kind == "c":
            # Every row of a catalog counts as one that initdb has made (BootstrapTransactionId).
            return TypedSql("1", XID, not_null=True, simple=True, location=at)
        if name in ("ctid", ROW_NUMBER) and (item.numbered or not item.derived):
            if scope.clause in _STORED:
                raise scope.ctx.error("42P10", _STORED[scope.clause], at)
            own = quote_identifier(ROW_NUMBER) if item.numbered else row_id(relation)
            number = f"{quote_identifier(item.alias)}.{own}" if item.alias else own
            return TypedSql(number, TID if name == "ctid" else INT8, simple=True, location=at)
    raise scope.ctx.unsupported(f'the system column "{name}"', at, hint="Use the primary key to name a row.")
