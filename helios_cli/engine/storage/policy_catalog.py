"""Policies in the catalog of one connection."""

from __future__ import annotations

from typing import Any

import apsw

from helios_cli.engine.sql.policies import Policy, RowSecurity, read_policy
from helios_cli.engine.sql.relation import Relation


class PolicyCatalog:
    """The part of ``SqliteCatalog`` that reads ``helios_policy`` and ``helios_row_security``."""

    _security: dict[int, tuple[bool, bool, tuple[Policy, ...]]] | None = None

    def _all(self, sql: str, *values: Any) -> list[Any]:
        raise NotImplementedError

    def relation_by_oid(self, oid: int) -> Relation | None:
        """A relation by OID."""
        raise NotImplementedError

    def forget_policies(self) -> None:
        """The schema version has moved."""
        self._security = None

    def securities(self) -> dict[int, tuple[bool, bool, tuple[Policy, ...]]]:
        """By table: whether row level security is enabled, whether it is forced, and the policies by name."""
        if self._security is None:
            self._security = self._read_policies()
        return self._security

    def _read_policies(self) -> dict[int, tuple[bool, bool, tuple[Policy, ...]]]:
        try:
            rows = self._all("SELECT oid, relid, polname, definition FROM main.helios_policy ORDER BY polname")
            switched = self._all("SELECT relid, enabled, forced FROM main.helios_row_security")
        except apsw.SQLError:
            # The directory has not had a policy yet.
            return {}
        policies: dict[int, list[Policy]] = {}
        for row in rows:
            policies.setdefault(row[1], []).append(read_policy(*row))
        switches = {relid: (bool(enabled), bool(forced)) for relid, enabled, forced in switched}
        return {
            relid: (*switches.get(relid, (False, False)), tuple(policies.get(relid, ())))
            for relid in {*policies, *switches}
        }

    def policies(self, oid: int) -> tuple[Policy, ...]:
        """The policies of a table, by name."""
        found = self.securities().get(oid)
        return found[2] if found is not None else ()

    def row_security(self, oid: int) -> RowSecurity | None:
        """What a table enforces; None: it has neither policies nor a switch that was ever touched."""
        found = self.securities().get(oid)
        relation = self.relation_by_oid(oid) if found is not None else None
        return relation.security if relation is not None else None

    def security_of(self, oid: int, name: str, owner: int) -> RowSecurity | None:
        """As :meth:`row_security`, while the table's record is being made."""
        found = self.securities().get(oid)
        return RowSecurity(oid, name, owner, *found) if found is not None else None
