"""Which tables and views call users' functions, or ask for values of a session, where SQLite keeps their definition."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

KEY: Final = "stored_calls"
"""The key of ``helios_meta`` that says that there are some; without it nobody has to look."""
_FUNCTION: Final = re.compile(r"pg_routine_(?:pure\(|call\((?:\(SELECT )?pg_session\('pid'\)\)?, )(\d+)")


def read_stored_calls(
    rows: Callable[[str], list[Any]], live_rows: Callable[[str], list[Any]], databases: tuple[str, ...]
) -> dict[str, tuple[int, ...]]:
    """By SQLite's name of a table or view the OIDs of the functions; none for one that asks the session alone.

    ``rows`` runs a query over the system tables, ``live_rows`` one over SQLite's. Those of a table's indexes are the
    table's.
    """
    found: dict[str, set[int]] = {}
    for database in databases:
        if not rows(f"SELECT 1 FROM {database}.helios_meta WHERE key = '{KEY}'"):
            continue
        for name, sql in live_rows(
            f"SELECT tbl_name, sql FROM {database}.sqlite_schema "
            "WHERE instr(sql, 'pg_session(') OR instr(sql, 'pg_routine_')"
        ):
            found.setdefault(str(name), set()).update(map(int, _FUNCTION.findall(sql)))
    return {name: tuple(sorted(oids)) for name, oids in found.items()}
