"""Opening SQLite connections the one way a live database may be opened.

One SQLite library (APSW's) and one process per live database file. No connection checkpoints by itself, on
close or otherwise: frames may enter the database file only through :mod:`helios_cli.engine.storage.checkpoint`,
which knows what is committed (sqlite.org/wal.html, section 3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import apsw

from helios_cli.engine.sql.databases import own_text
from helios_cli.engine.sql.ddl_schema import DATABASE_OID

STATEMENT_CACHE_SIZE: Final = 512
"""Prepared statements kept per connection; more than the shapes a busy application uses."""

CACHE_KIB: Final = 16_384
"""Page cache of the writer. Readers have a smaller one: a commit by another connection empties it anyway."""

READER_CACHE_KIB: Final = 2_048

MINIMUM_SQLITE: Final = (3, 51, 3)
"""The first version without the WAL-reset corruption bug (sqlite.org/changes.html)."""


def _configure_library() -> None:
    """Make the settings of the library, which it takes before its first use alone.

    A whole table is read in the order of its rows, as PostgreSQL does, not of an index that covers it: programs rely on
    that order where they ask for none. And nobody counts the memory that SQLite has, which would take a lock of the
    whole process for every block; reading a schema takes tens of thousands of them.
    """
    if not apsw.connections():
        apsw.shutdown()
        apsw.config(apsw.SQLITE_CONFIG_COVERING_INDEX_SCAN, 0)
        apsw.config(apsw.SQLITE_CONFIG_MEMSTATUS, False)
        apsw.initialize()


_configure_library()

Setup = Callable[[apsw.Connection], None]
"""Registers functions, collations and virtual tables on a new connection."""


def check_library() -> None:
    """Refuse a SQLite that can corrupt a WAL database.

    Raises:
        RuntimeError: the APSW wheel carries a library older than 3.51.3.
    """
    version = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if version < MINIMUM_SQLITE:
        raise RuntimeError(f"SQLite {apsw.sqlite_lib_version()} has the WAL-reset bug; install apsw 3.54.1 or newer")


class DatabaseConnection(apsw.Connection):
    """A connection for sessions of another database than the first: its statements mean that one's system tables."""

    database: int


class _OwnCursor(apsw.Cursor):
    """What runs every statement of a :class:`DatabaseConnection`."""

    def execute(self, statements: str, *arguments: Any, **options: Any) -> Any:
        """As apsw.Cursor.execute."""
        return super().execute(own_text(database_of(self.connection), statements), *arguments, **options)

    def executemany(self, statements: str, *arguments: Any, **options: Any) -> Any:
        """As apsw.Cursor.executemany."""
        return super().executemany(own_text(database_of(self.connection), statements), *arguments, **options)


def database_of(connection: apsw.Connection) -> int:
    """The OID of the database whose system tables a connection's statements mean."""
    return connection.database if isinstance(connection, DatabaseConnection) else DATABASE_OID


def _opened(path: str, database: int) -> apsw.Connection:
    if database == DATABASE_OID:
        return apsw.Connection(path, statementcachesize=STATEMENT_CACHE_SIZE)
    connection = DatabaseConnection(path, statementcachesize=STATEMENT_CACHE_SIZE)
    connection.database = database
    connection.cursor_factory = _OwnCursor
    return connection


def open_connection(
    path: str, setup: Setup | None = None, *, cache_kib: int = READER_CACHE_KIB, database: int = DATABASE_OID
) -> apsw.Connection:
    """Open the database file with the settings every connection must share, for sessions of one database.

    ``synchronous=OFF`` because the page log, not SQLite's WAL, is the durable truth.
    """
    connection = _opened(path, database)
    connection.set_busy_timeout(10_000)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    # Without this a statement is planned anew whenever a parameter that statistics know about is bound.
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    connection.config(apsw.SQLITE_DBCONFIG_DQS_DML, 0)
    connection.config(apsw.SQLITE_DBCONFIG_DQS_DDL, 0)
    for pragma in (
        "PRAGMA wal_autocheckpoint=0",
        "PRAGMA synchronous=OFF",
        "PRAGMA foreign_keys=ON",
        "PRAGMA recursive_triggers=ON",
        "PRAGMA temp_store=MEMORY",
        "PRAGMA mmap_size=0",
        f"PRAGMA cache_size=-{cache_kib}",
    ):
        connection.execute(pragma).fetchall()
    if setup is not None:
        setup(connection)
    return connection


def create_database(path: str) -> None:
    """Make an empty WAL database of 4096-byte pages at ``path``."""
    connection = apsw.Connection(path)
    try:
        for pragma in ("PRAGMA page_size=4096", "PRAGMA encoding='UTF-8'", "PRAGMA auto_vacuum=NONE"):
            connection.execute(pragma).fetchall()
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        mode = connection.execute("PRAGMA journal_mode=WAL").fetchall()[0][0]
        if mode != "wal":
            raise RuntimeError(f"the file system of {path} cannot hold a WAL database (journal mode {mode})")
    finally:
        connection.close()
