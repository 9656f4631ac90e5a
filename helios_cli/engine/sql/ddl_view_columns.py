"""ALTER VIEW and ALTER MATERIALIZED VIEW ... RENAME COLUMN.

SQLite renames columns of tables alone: a view is made anew under its name, and so are the views that read it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from helios_cli.engine.sql.ddl_build import Builder
from helios_cli.engine.sql.ddl_follow import follow_column
from helios_cli.engine.sql.ddl_render import qualified, update
from helios_cli.engine.sql.ddl_trigger import is_temporary
from helios_cli.engine.sql.ddl_view import made_anew
from helios_cli.engine.sql.relation import Relation
from helios_cli.engine.sql.sqltext import quote_identifier
from helios_cli.engine.sql.stored_names import KeptText


def rename_view_column(builder: Builder, view: Relation, old: str, new: str) -> None:
    """Write the steps that rename a column of a view. Raises SqlError 42703, 42701."""
    column = next((one for one in view.columns if one.name == old), None)
    if column is None:
        raise builder.error("42703", f'column "{old}" does not exist')
    if any(one.name.lower() == new.lower() and one is not column for one in view.columns):
        raise builder.error("42701", f'column "{new}" of relation "{view.name}" already exists')
    temp = is_temporary(view.oid)
    builder.touch(temp)
    follow_column(builder, [view.oid], old, new)
    builder.add(
        update(temp, "helios_attribute", {"attname": new}, relid=view.oid, attnum=column.attnum),
        *(update(is_temporary(one.oid), "helios_depend", {"refcolumn": new}, objid=one.oid, refobjid=view.oid,
                 refcolumn=old) for one in builder.catalog.dependents(view.oid)),
    )  # fmt: skip
    if view.kind != "v":
        table = qualified(view.sqlite_name, temp)
        builder.add(f"ALTER TABLE {table} RENAME COLUMN {quote_identifier(old)} TO {quote_identifier(new)}")
        return
    columns = tuple(replace(one, name=new) if one is column else one for one in view.columns)
    after = replace(view, columns=columns)
    seen = replace(builder, catalog=_Renamed(builder.catalog, after))
    builder.add(*made_anew(seen, after, builder.catalog.view_query(view.oid) or ""))
    for reader in builder.catalog.dependents(view.oid):
        text = builder.catalog.view_query(reader.oid) or ""
        if reader.kind == "v":
            builder.add(*made_anew(seen, reader, KeptText(builder, text).with_column([view.oid], old, new)))


class _Renamed:
    """A catalog in which one relation is another one already."""

    def __init__(self, catalog: Any, relation: Relation) -> None:
        self._catalog, self._relation = catalog, relation

    def __getattr__(self, name: str) -> Any:
        return getattr(self._catalog, name)

    def relation(self, schema: str | None, name: str) -> Relation | None:
        """See :class:`~helios_cli.engine.sql.relation.CatalogReader`."""
        found: Relation | None = self._catalog.relation(schema, name)
        return self._relation if found is not None and found.oid == self._relation.oid else found
