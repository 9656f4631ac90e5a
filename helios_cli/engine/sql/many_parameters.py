"""Statements with more parameters than SQLite has: the last one it has is a list of all that are left."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from helios_cli.engine.sql.function_spec import ScalarTable

LAST: Final = 32766
"""SQLITE_MAX_VARIABLE_NUMBER of the SQLite that APSW carries."""
MOST: Final = 65535
"""Parameters that a Bind can carry."""

_NUMBER: Final = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\?(\d{5,})")


class Spilled(tuple[Any, ...]):
    """The values from the :data:`LAST` parameter on. A connection binds it as an object of Python's."""

    __slots__ = ()


def spilled_text(sql: str) -> str:
    """A statement whose parameters from the :data:`LAST` on are taken from the list."""

    def taken(match: re.Match[str]) -> str:
        number = int(match[1]) if match[1] is not None else 0
        return f"pg_parameter(?{LAST}, {number - LAST})" if number >= LAST else match[0]

    return _NUMBER.sub(taken, sql)


def spilled_values(values: Sequence[Any]) -> Sequence[Any]:
    """The values of such a statement's parameters."""
    return (*values[: LAST - 1], Spilled(values[LAST - 1 :]))


def _parameter(rest: Any, position: int) -> Any:
    # Without values, where SQLite only explains the statement, there is no list.
    return rest[position] if isinstance(rest, Spilled) else None


SCALARS: Final[ScalarTable] = {"pg_parameter": (_parameter, 2, True)}
"""To be registered on every connection."""
