"""Operators and casts that users define: the records the catalog keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from helios_cli.engine.sql.coercion import Context as How

TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS main.helios_operator(
  oid INTEGER PRIMARY KEY,
  nspname TEXT NOT NULL,
  oprname TEXT NOT NULL,
  oprowner INTEGER NOT NULL DEFAULT 10,
  definition TEXT NOT NULL
)""",
    """CREATE TABLE IF NOT EXISTS main.helios_cast(
  oid INTEGER PRIMARY KEY,
  definition TEXT NOT NULL
)""",
)
"""What holds operators and casts; a directory gets it with its first one."""
PG_OPERATOR: Final = 2617
PG_CAST: Final = 2605


@dataclass(slots=True)
class UserOperator:
    """One operator, as ``helios_operator`` holds it."""

    oid: int
    schema: str
    name: str
    owner: int
    left: int
    """Type OID of the left operand; 0 for a prefix operator."""
    right: int
    result: int
    function: int
    """OID of the function behind it, a user's or the library's."""
    function_name: str = ""
    """Of one of the library, by which it is called; '' for a user's."""
    commutator: int = 0
    negator: int = 0
    restrict: int = 0
    join: int = 0
    merges: bool = False
    hashes: bool = False

    @property
    def args(self) -> tuple[int, ...]:
        """Type OIDs of the operands."""
        return (self.left, self.right) if self.left else (self.right,)

    def definition(self) -> str:
        """The definition column."""
        fields = asdict(self)
        for key in ("oid", "schema", "name", "owner"):
            del fields[key]
        return json.dumps(fields)


def read_operator(oid: int, schema: str, name: str, owner: int, definition: str) -> UserOperator:
    """A row of ``helios_operator``."""
    return UserOperator(oid, schema, name, owner, **json.loads(definition))


@dataclass(slots=True)
class UserCast:
    """One cast, as ``helios_cast`` holds it."""

    oid: int
    source: int
    target: int
    method: str
    """pg_cast.castmethod: f function, b binary coercible, i by the types' text."""
    context: str
    """pg_cast.castcontext: e explicit, a assignment, i implicit."""
    function: int = 0
    function_name: str = ""
    """Of one of the library; '' for a user's."""

    @property
    def how(self) -> How:
        """How willingly it is applied."""
        return {"e": How.EXPLICIT, "a": How.ASSIGNMENT, "i": How.IMPLICIT}[self.context]

    def definition(self) -> str:
        """The definition column."""
        fields: dict[str, Any] = asdict(self)
        del fields["oid"]
        return json.dumps(fields)


def read_cast(oid: int, definition: str) -> UserCast:
    """A row of ``helios_cast``."""
    return UserCast(oid, **json.loads(definition))


Casts = Mapping[tuple[int, int], UserCast]
"""By source and target."""
NO_CASTS: Final[Casts] = {}
