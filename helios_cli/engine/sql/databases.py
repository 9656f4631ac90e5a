"""Several databases in one file: each has system tables of its own, and names of its own for what is in it.

SQLite's names of everything in another database than the first begin with ``@<oid>.``; those of the first are what they
would be alone. Statements over system tables are written for the first: ``main.helios_relation`` is a table of the
database that runs them, and :func:`own_text` makes it the table of another. A quoted name (``main."helios_meta"``) is
taken as it stands, which is the first database's; what is in :data:`SHARED` all have in common.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from helios_cli.engine.sql.ddl_schema import BOOTSTRAP_ROLE_OID, DATABASE_OID

FIRST_NAME: Final = "heliosdb"
"""The database that a directory is born with."""
ALIASES: Final = ("postgres", "template1", "template0")
"""Names of PostgreSQL's own databases: no other may have one of them."""
OPEN_ALIASES: Final = ("postgres", "template1")
"""Those of them by which the first database is reached."""
TEMPLATES: Final = ("template1", "template0")
"""Templates that are empty."""

SHARED: Final = frozenset(
    (
        "helios_role", "helios_auth_member", "helios_db_role_setting", "helios_database", "helios_write",
        "helios_token", "helios_duplicate_now", "helios_duplicate_late", "helios_nothing",
    )
)  # fmt: skip
"""System tables that all databases have in common."""

_PIECE: Final = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\bmain\.(helios_\w+)(?: ON (helios_\w+))?")
_FOREIGN: Final = re.compile(r"@\d+\.")
OF_FIRST: Final = "s.name NOT GLOB '@[0-9]*.*'"
"""Whether a row ``s`` of SQLite's schema belongs to the first database."""
_PREFIX: Final = re.compile(r"(?<!\S)@\d+\.")
_KEPT_MAX: Final = 10_000
"""Characters of a text whose translation is kept."""


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """A row of ``helios_database``."""

    oid: int
    name: str
    owner: int = BOOTSTRAP_ROLE_OID
    is_template: bool = False
    allows_connections: bool = True
    connection_limit: int = -1
    """-1: none."""


@dataclass(frozen=True, slots=True)
class FileObject:
    """What SQLite's schema says of a table, index, view or trigger of a database."""

    kind: str
    name: str
    sql: str
    columns: tuple[str, ...] = ()
    """Those of a table that are stored and not generated."""


FIRST: Final = DatabaseFacts(DATABASE_OID, FIRST_NAME)
"""The first database, where no table says anything of it."""


def prefix_of(oid: int) -> str:
    """What SQLite's names of a database's objects begin with; empty for the first one."""
    return "" if oid == DATABASE_OID else f"@{oid}."


def is_of_another(sqlite_name: str) -> bool:
    """Whether a name of SQLite's belongs to another database than the first."""
    return _FOREIGN.match(sqlite_name) is not None


def without_prefixes(text: str) -> str:
    """A text of SQLite's over tables of one database, for those who are in it."""
    return _PREFIX.sub("", text)


def own_name(oid: int, table: str) -> str:
    """SQLite's name of a system table of a database."""
    return table if table in SHARED else prefix_of(oid) + table


def own_text(oid: int, sql: str) -> str:
    """A statement over system tables, as another database than the first has to run it."""
    if "helios_" not in sql:
        return sql
    return _kept(oid, sql) if len(sql) <= _KEPT_MAX else _translated(oid, sql)


@lru_cache(4096)
def _kept(oid: int, sql: str) -> str:
    return _translated(oid, sql)


def _translated(oid: int, sql: str) -> str:
    def own(found: re.Match[str]) -> str:
        name, table = found[1], found[2]
        if name is None or name in SHARED:
            return found[0]
        prefix = prefix_of(oid)
        return f'main."{prefix}{name}"' + (f' ON "{prefix}{table}"' if table else "")

    return _PIECE.sub(own, sql)


def reached(databases: Mapping[str, DatabaseFacts], name: str, user: str) -> DatabaseFacts | None:
    """The database that a client means by a name; None: there is none.

    PostgreSQL's own databases, and one with the user's name, stand for the first where nobody has made them.
    """
    found = databases.get(name or user)
    if found is None and name in (*OPEN_ALIASES, user, ""):
        return next(one for one in databases.values() if one.oid == DATABASE_OID)
    return found
