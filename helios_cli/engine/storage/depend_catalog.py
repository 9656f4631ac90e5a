"""What depends on what, as far as the system tables tell."""

from __future__ import annotations

from typing import Any, Final

from helios_cli.engine.sql.ddl_schema import FIRST_TEMP_OID
from helios_cli.engine.sql.relation import Relation

_DEFAULTS: Final = (
    "SELECT relid FROM {0}.helios_attribute WHERE default_text IS NOT NULL AND instr(default_text, ?1) > 0"
)
_NAMING: Final = (
    f"{_DEFAULTS} UNION SELECT relid FROM {{0}}.helios_constraint WHERE instr(expression, ?1) "
    "UNION SELECT relid FROM {0}.helios_index WHERE instr(keys, ?1) OR instr(predicate, ?1)"
)


class DependCatalog:
    """The part of ``SqliteCatalog`` that reads ``helios_depend`` and looks through kept expressions."""

    def _all(self, sql: str, *values: Any) -> list[Any]:
        raise NotImplementedError

    def has_temp_tables(self, fresh: bool = False) -> bool:
        """Whether the session's temporary system tables exist."""
        raise NotImplementedError

    def relation_by_oid(self, oid: int) -> Relation | None:
        """A relation by OID."""
        raise NotImplementedError

    def _databases(self) -> tuple[str, ...]:
        return ("main", "temp") if self.has_temp_tables() else ("main",)

    def dependents(self, oid: int) -> tuple[Relation, ...]:
        """Views that read a relation, call a function or name a type directly, by OID."""
        found: list[Relation] = []
        for name in self._databases():
            rows = self._all(f"SELECT DISTINCT objid FROM {name}.helios_depend WHERE refobjid = ? ORDER BY objid", oid)
            found += [relation for (view,) in rows if (relation := self.relation_by_oid(view)) is not None]
        return tuple(found)

    def dependent_columns(self, view_oid: int, oid: int) -> tuple[str, ...]:
        """The columns of the relation that the view names; empty when that is not known."""
        name = "temp" if view_oid >= FIRST_TEMP_OID else "main"
        rows = self._all(
            f"SELECT refcolumn FROM {name}.helios_depend WHERE objid = ? AND refobjid = ? AND refcolumn <> ''",
            view_oid,
            oid,
        )
        return tuple(name for (name,) in rows)

    def views_naming(self, word: str) -> tuple[Relation, ...]:
        """Views, materialized ones too, whose query holds a text, by OID."""
        query = (
            "SELECT oid FROM {}.helios_relation WHERE relkind IN ('v', 'm', 'M') AND instr(definition, ?) ORDER BY 1"
        )
        found = [oid for name in self._databases() for (oid,) in self._all(query.format(name), word)]
        return tuple(relation for oid in found if (relation := self.relation_by_oid(oid)) is not None)

    def tables_naming(self, word: str, *, in_defaults: bool = False) -> tuple[int, ...]:
        """Tables with a default, a generated column, a CHECK or an index whose kept expression holds a text, by OID.

        With ``in_defaults`` only the first two count, of which most tables have none.
        """
        query = _DEFAULTS if in_defaults else _NAMING
        found = {oid for name in self._databases() for (oid,) in self._all(query.format(name), word)}
        return tuple(sorted(found))
