"""The operators and casts that users made, in the catalog of one connection."""

from __future__ import annotations

from typing import Any

import apsw

from helios_cli.engine.sql.made_objects import Casts, UserCast, UserOperator, read_cast, read_operator


class MadeCatalog:
    """The part of ``SqliteCatalog`` that reads ``helios_operator`` and ``helios_cast``."""

    _operators: dict[str, list[UserOperator]] | None = None
    _casts: dict[tuple[int, int], UserCast] | None = None

    def forget_made(self) -> None:
        """The schema version has moved."""
        self._operators = self._casts = None

    def _all(self, sql: str, *values: Any) -> list[Any]:
        raise NotImplementedError

    def _rows_if_any(self, sql: str) -> list[Any]:
        try:
            return self._all(sql)
        except apsw.SQLError:
            # The directory has not had one yet.
            return []

    def operators(self, name: str) -> list[UserOperator]:
        """The operators of a name, by OID."""
        if self._operators is None:
            self._operators = {}
            for found in self.all_operators():
                self._operators.setdefault(found.name, []).append(found)
        return self._operators.get(name, [])

    def all_operators(self) -> list[UserOperator]:
        """Every operator that users made, by OID."""
        query = "SELECT oid, nspname, oprname, oprowner, definition FROM main.helios_operator ORDER BY oid"
        return [read_operator(*row) for row in self._rows_if_any(query)]

    def casts(self) -> Casts:
        """Every cast that users made, by source and target."""
        if self._casts is None:
            rows = self._rows_if_any("SELECT oid, definition FROM main.helios_cast ORDER BY oid")
            self._casts = {(found.source, found.target): found for found in (read_cast(*row) for row in rows)}
        return self._casts
