"""INSERT, UPDATE, DELETE and MERGE of tables with row level security."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from helios_cli.engine.sql import row_security
from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.inheritance import row_alias
from helios_cli.engine.sql.relation import Relation
from helios_cli.engine.sql.scope import RangeItem

VIEW_OWNER: Final = "viewOwner"
"""The field of a statement that was rewritten for the table under a view: as whom the table's policies are asked."""
SHOWN: Final = "viewColumns"
"""The field of a target that has the names of its columns in the statement: those of the view that it stands for."""


def shown_name(column: str, shown: dict[str, str]) -> str:
    """The name of a target's column in the statement; one that the view does not show has a name of its own."""
    return shown.get(column) or f"\0{column}"


class Secured:
    """What policies add to one write; nothing for a table that has none enforced."""

    def __init__(self, relation: Relation, item: RangeItem, fields: dict[str, Any], ctx: Context) -> None:
        self._relation, self._item, self._ctx = relation, item, ctx
        self._secured = row_security.is_secured(relation)
        self._role = fields.get(VIEW_OWNER, 0)
        clause = fields.get("onConflictClause", {})
        self._updates = clause.get("action") == "ONCONFLICT_UPDATE"
        self._name = row_alias(relation, expanded=item.expanded)

    @contextmanager
    def _as_owner(self) -> Iterator[None]:
        before = self._ctx.security_role
        self._ctx.security_role = self._role or before
        try:
            yield
        finally:
            self._ctx.security_role = before

    def where(self, where: str, command: str) -> str:
        """The WHERE of an UPDATE ('w') or DELETE ('d') that leaves alone what the policies hide."""
        if not self._secured:
            return where
        commands = (command, "r") if self._ctx.rights.sees(self._relation.oid) else (command,)
        with self._as_owner():
            visible = row_security.using(self._relation, self._item.alias, commands, self._ctx)
        given = where.removeprefix(" WHERE ")
        if not given:
            return f" WHERE {visible}"
        # A function of the user's must not be shown a row that is hidden.
        guarded = f"CASE WHEN {visible} THEN ({given}) END" if self._ctx.calls else f"({given})"
        return f" WHERE {visible} AND {guarded}"

    def inserted(self) -> list[str]:
        """The checks of an INSERT's rows, and of those that ON CONFLICT DO UPDATE changes."""
        if not self._secured:
            return []
        sees = self._updates or self._ctx.rights.sees(self._relation.oid)
        with self._as_owner():
            found = row_security.checks(self._relation, self._name, "a", self._ctx, sees=sees)
            if self._updates:
                found += row_security.checks(self._relation, self._name, "w", self._ctx)
        return found

    def updated(self) -> list[str]:
        """The checks of an UPDATE's rows."""
        if not self._secured:
            return []
        sees = self._ctx.rights.sees(self._relation.oid)
        with self._as_owner():
            return row_security.checks(self._relation, self._name, "w", self._ctx, sees=sees)

    def on_conflict(self) -> str:
        """The condition that ON CONFLICT DO UPDATE puts on the row that is there; '' for none."""
        if not self._secured or not self._updates:
            return ""
        with self._as_owner():
            return row_security.conflict_check(self._relation, self._item.alias, self._ctx)


class SecuredMerge:
    """What policies add to one MERGE; nothing for a table that has none enforced."""

    def __init__(self, relation: Relation, item: RangeItem, ctx: Context) -> None:
        self._relation, self._alias, self._ctx = relation, item.alias, ctx
        self._name = row_alias(relation, expanded=item.expanded)
        self._secured = row_security.is_secured(relation)

    def matches(self, condition: str) -> str:
        """The ON condition, which no row that may not be seen meets."""
        if not self._secured:
            return condition
        visible = row_security.using(self._relation, self._alias, ("r",), self._ctx)
        return f"{visible} AND {f'CASE WHEN {visible} THEN ({condition}) END' if self._ctx.calls else condition}"

    def allowed(self, command: str) -> str:
        """The condition that raises for a row that may not be changed ('w') or deleted ('d'); '' for none."""
        if not self._secured:
            return ""
        return row_security.merge_check(self._relation, self._alias, command, self._ctx)

    def checks(self, command: str) -> list[str]:
        """The checks of new rows of INSERT ('a') or UPDATE ('w')."""
        if not self._secured:
            return []
        sees = command == "w" and self._ctx.rights.sees(self._relation.oid)
        return row_security.checks(self._relation, self._name, command, self._ctx, sees=sees)
