"""A join that stands behind a comma or another join, as SQLite takes it.

SQLite makes a subquery without names of a join in parentheses. It cannot read the columns that stand before it, and
ALTER TABLE ... RENAME, which reads every view again, does not find columns behind it: as long as there is a view with
one every RENAME fails. So a view's text has a subquery in its place that names its columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.scope import RangeItem, ScopeColumn
from helios_cli.engine.sql.sqltext import quote_identifier
from helios_cli.engine.sql.typed import derived

if TYPE_CHECKING:
    from helios_cli.engine.sql.from_clause import Source


def enclose(source: Source, before: list[RangeItem], ctx: Context, *, flat: bool = True) -> None:
    """Put a join into parentheses, or give it a name; anything else stays as it is.

    A join that reads columns of the items ``before`` it does without parentheses where it may, and ``flat`` allows it.
    """
    if not source.is_join:
        return
    if _reads(source, before):
        if not (flat and source.flat):
            source.sql = f"({source.sql})"
    elif ctx.unsecured:
        _name(source, ctx)
    else:
        source.sql = f"({source.sql})"


def _reads(source: Source, before: list[RangeItem]) -> bool:
    """Whether its text, or that of values which are computed where they are named, reads one of the items."""
    texts = [source.sql, *(column.value.sql for item in source.items if not item.alias for column in item.columns)]
    prefixes = [f"{quote_identifier(item.alias)}." for item in before if item.alias]
    return any(prefix in text for prefix in prefixes for text in texts)


def _name(source: Source, ctx: Context) -> None:
    """Make it a subquery under an alias."""
    alias = quote_identifier(ctx.unique_alias("join"))
    names: dict[str, str] = {}

    def outside(column: ScopeColumn) -> ScopeColumn:
        value = column.value
        name = names.setdefault(value.sql, f"c{len(names) + 1}")
        return ScopeColumn(column.name, derived(value, f"{alias}.{name}"))

    for item in source.items:
        item.columns = [outside(column) for column in item.columns]
        item.derived = True
    source.columns = [outside(column) for column in source.columns]
    listed = ", ".join(f"{text} AS {name}" for text, name in names.items()) or "1"
    source.sql = f"(SELECT {listed} FROM {source.sql}) AS {alias}"
    source.is_join = False
