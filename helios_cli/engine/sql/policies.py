"""Row level security as the catalog keeps it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Final

ALL: Final = "*"
COMMANDS: Final = {"all": ALL, "select": "r", "insert": "a", "update": "w", "delete": "d"}
"""The commands of policies and their letters (pg_policy.polcmd)."""
PUBLIC: Final = 0
"""In the place of a role: everybody."""

TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS main.helios_policy(
  oid INTEGER PRIMARY KEY,
  relid INTEGER NOT NULL,
  polname TEXT NOT NULL,
  definition TEXT NOT NULL,
  UNIQUE(relid, polname)
)""",
    """CREATE TABLE IF NOT EXISTS main.helios_row_security(
  relid INTEGER PRIMARY KEY,
  enabled INTEGER NOT NULL DEFAULT 0,
  forced INTEGER NOT NULL DEFAULT 0
)""",
)
"""What holds policies, and the tables that have them enforced; a directory gets both with the first."""


@dataclass(slots=True)
class Policy:
    """One policy, as ``helios_policy`` holds it."""

    oid: int
    relation: int
    name: str
    command: str
    """pg_policy.polcmd."""
    permissive: bool
    roles: tuple[int, ...]
    """OIDs; :data:`PUBLIC` alone for everybody."""
    using: str | None = None
    """PostgreSQL text of the condition on rows that are there; None: there is none."""
    check: str | None = None
    """The same on new rows; None: ``using`` counts for them too."""

    def to_json(self) -> str:
        """The definition column."""
        fields = asdict(self)
        for key in ("oid", "relation", "name"):
            del fields[key]
        return json.dumps(fields)


@dataclass(frozen=True, slots=True)
class RowSecurity:
    """What a table enforces."""

    relation: int
    name: str
    owner: int
    enabled: bool
    forced: bool
    policies: tuple[Policy, ...]
    """By name."""


def read_policy(oid: int, relation: int, name: str, definition: str) -> Policy:
    """A row of ``helios_policy``."""
    fields = json.loads(definition)
    fields["roles"] = tuple(fields["roles"])
    return Policy(oid=oid, relation=relation, name=name, **fields)
