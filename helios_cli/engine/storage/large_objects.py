"""Large objects: their pages, owners and rights, as rows of ``helios_largeobject`` and ``helios_largeobject_metadata``.

They are in the replicated database, written by the transaction of the statement that changes them. What follows
inv_api.c: pages of 2048 bytes, of which those that nobody has written are holes that read as zeros.
"""

from __future__ import annotations

from typing import Any, Final

import apsw

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import privileges
from helios_cli.engine.sql.ddl_schema import LARGE_OBJECT_TABLES
from helios_cli.engine.sql.privileges import LARGE_OBJECT, PG_LARGEOBJECT, Acl

PAGE_BYTES: Final = 2048
"""LOBLKSIZE: a quarter of PostgreSQL's block."""
SIZE_MAX: Final = 2**31 * PAGE_BYTES
"""MAX_LARGE_OBJECT_SIZE in bytes."""
FIRST_OID: Final = 16384
LAST_OID: Final = 2**32 - 1

_PAGES: Final = "SELECT pageno, data FROM main.helios_largeobject WHERE loid = ? AND pageno BETWEEN ? AND ?"
_LAST_PAGE: Final = (
    "SELECT pageno, length(data) FROM main.helios_largeobject WHERE loid = ? ORDER BY pageno DESC LIMIT 1"
)
_PUT: Final = "INSERT OR REPLACE INTO main.helios_largeobject(loid, pageno, data) VALUES (?, ?, ?)"
_CUT: Final = "DELETE FROM main.helios_largeobject WHERE loid = ? AND pageno > ?"
_OWNER: Final = "SELECT lomowner FROM main.helios_largeobject_metadata WHERE oid = ?"
_CREATE: Final = "INSERT INTO main.helios_largeobject_metadata(oid, lomowner) VALUES (?, ?)"
_NEWEST: Final = "SELECT max(oid) FROM main.helios_largeobject_metadata"
_ACL: Final = f"SELECT acl FROM main.helios_privilege WHERE classid = {PG_LARGEOBJECT} AND objid = ?"
_PUT_ACL: Final = f"INSERT OR REPLACE INTO main.helios_privilege VALUES ({PG_LARGEOBJECT}, ?, 0, ?)"
_LISTED: Final = (
    "SELECT m.oid, m.lomowner, p.acl FROM main.helios_largeobject_metadata m LEFT JOIN main.helios_privilege p "
    f"ON p.classid = {PG_LARGEOBJECT} AND p.objid = m.oid ORDER BY m.oid"
)
_UNLINK: Final = (
    "DELETE FROM main.helios_largeobject WHERE loid = ?",
    "DELETE FROM main.helios_largeobject_metadata WHERE oid = ?",
    f"DELETE FROM main.helios_privilege WHERE classid = {PG_LARGEOBJECT} AND objid = ?",
    f"DELETE FROM main.helios_description WHERE classoid = {PG_LARGEOBJECT} AND objoid = ?",
)


def _rows(connection: apsw.Connection, sql: str, *binds: Any) -> list[Any]:
    # Reading to the end resets the statement, so that APSW's cache can hand it out again.
    return connection.execute(sql, binds).fetchall()


# -- the objects ------------------------------------------------------------------------------------------------------


def owner_of(connection: apsw.Connection, oid: int) -> int:
    """The role that owns an object. Raises SqlError 42704 when there is none."""
    try:
        found = _rows(connection, _OWNER, oid)
    except apsw.SQLError:
        found = []  # A standby of a primary that has no such tables yet.
    if not found:
        raise SqlError(f"large object {oid} does not exist", sqlstate="42704")
    return int(found[0][0])


def create(connection: apsw.Connection, oid: int, owner: int, newest: int) -> int:
    """Make an empty object; 0 asks for a free OID, behind those there are and behind ``newest``. Returns its OID.

    Raises:
        SqlError: 23505, there is one of that OID.
    """
    if not oid:
        highest = max(int(_rows(connection, _NEWEST)[0][0] or 0), newest, FIRST_OID - 1)
        oid = highest + 1 if highest < LAST_OID else FIRST_OID
        while _rows(connection, _OWNER, oid):
            oid += 1
    elif _rows(connection, _OWNER, oid):
        raise SqlError(
            'duplicate key value violates unique constraint "pg_largeobject_metadata_oid_index"',
            sqlstate="23505",
            detail=f"Key (oid)=({oid}) already exists.",
        )
    connection.execute(_CREATE, (oid, owner))
    return oid


def unlink(connection: apsw.Connection, oid: int) -> None:
    """Remove an object with its rights and its comment."""
    for sql in _UNLINK:
        connection.execute(sql, (oid,))


def give_away(connection: apsw.Connection, oid: int, old: int, new: int) -> None:
    """Make another role the owner."""
    connection.execute("UPDATE main.helios_largeobject_metadata SET lomowner = ? WHERE oid = ?", (new, oid))
    acl = changed_acl(connection, oid)
    if acl is not None:
        store_acl(connection, oid, privileges.with_owner(acl, old, new))


def changed_acl(connection: apsw.Connection, oid: int) -> Acl | None:
    """The rights on an object; None: nobody has changed the default."""
    found = _rows(connection, _ACL, oid)
    return privileges.parse(found[0][0]) if found else None


def acl_of(connection: apsw.Connection, oid: int, owner: int) -> Acl:
    """The rights on an object."""
    acl = changed_acl(connection, oid)
    return privileges.default_acl(LARGE_OBJECT, owner) if acl is None else acl


def store_acl(connection: apsw.Connection, oid: int, acl: Acl) -> None:
    """Write an object's rights."""
    connection.execute(_PUT_ACL, (oid, privileges.dump(acl)))


def listed(connection: apsw.Connection) -> list[tuple[int, int, Acl | None]]:
    """OID, owner and changed rights of every object, by OID."""
    try:
        rows = _rows(connection, _LISTED)
    except apsw.SQLError:
        return []
    return [(oid, owner, None if acl is None else privileges.parse(acl)) for oid, owner, acl in rows]


def missing_tables(connection: apsw.Connection) -> tuple[str, ...]:
    """What makes the tables in a database that was born without them; empty when they are there."""
    found = connection.execute("SELECT 1 FROM main.sqlite_schema WHERE name = 'helios_largeobject'").fetchall()
    return () if found else LARGE_OBJECT_TABLES


# -- their bytes ------------------------------------------------------------------------------------------------------


def size_of(connection: apsw.Connection, oid: int) -> int:
    """Bytes up to the end of the last page."""
    found = _rows(connection, _LAST_PAGE, oid)
    return int(found[0][0]) * PAGE_BYTES + int(found[0][1]) if found else 0


def read(connection: apsw.Connection, oid: int, offset: int, count: int) -> bytes:
    """Up to ``count`` bytes from ``offset`` on; fewer at the end, none behind it."""
    count = min(count, size_of(connection, oid) - offset)
    if count <= 0:
        return b""
    out = bytearray(count)
    first = offset // PAGE_BYTES
    for page_no, data in _rows(connection, _PAGES, oid, first, (offset + count - 1) // PAGE_BYTES):
        at = page_no * PAGE_BYTES - offset
        piece = data[max(0, -at) : count - at]
        out[max(0, at) : max(0, at) + len(piece)] = piece
    return bytes(out)


def write(connection: apsw.Connection, oid: int, offset: int, data: bytes) -> None:
    """Put bytes at an offset; what is between the end and it becomes a hole.

    Raises:
        SqlError: 22023, the object would become too large.
    """
    if not data:
        return
    end = offset + len(data)
    if end > SIZE_MAX:
        raise SqlError(f"invalid large object write request size: {len(data)}", sqlstate="22023")
    first, last = offset // PAGE_BYTES, (end - 1) // PAGE_BYTES
    edges: dict[int, bytes] = {}
    for edge in {first, last}:
        edges.update(_rows(connection, _PAGES, oid, edge, edge))
    pages = []
    for page_no in range(first, last + 1):
        begin = page_no * PAGE_BYTES
        page = data[max(0, begin - offset) : begin + PAGE_BYTES - offset]
        if page_no in (first, last):
            page = _spliced(edges.get(page_no, b""), max(0, offset - begin), page)
        pages.append((oid, page_no, page))
    connection.executemany(_PUT, pages)


def _spliced(old: bytes, at: int, piece: bytes) -> bytes:
    return old[:at].ljust(at, b"\0") + piece + old[at + len(piece) :]


def truncate(connection: apsw.Connection, oid: int, size: int) -> None:
    """Make an object exactly so long: what it gains are zeros.

    Raises:
        SqlError: 22023, no object can be so long.
    """
    if not 0 <= size <= SIZE_MAX:
        raise SqlError(f"invalid large object truncation target: {size}", sqlstate="22023")
    page_no, left = divmod(size, PAGE_BYTES)
    found = _rows(connection, _PAGES, oid, page_no, page_no)
    old = found[0][1] if found else b""
    connection.execute(_PUT, (oid, page_no, old[:left].ljust(left, b"\0")))
    connection.execute(_CUT, (oid, page_no))


__all__ = [
    "PAGE_BYTES", "SIZE_MAX", "acl_of", "changed_acl", "create", "give_away", "listed", "missing_tables", "owner_of",
    "read", "size_of", "store_acl", "truncate", "unlink", "write",
]  # fmt: skip
