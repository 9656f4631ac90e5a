"""lo_open and its kin on one SQLite connection, and the descriptors that sessions hold (be-fsstubs.c).

A descriptor belongs to the transaction that opened it: it ends with it, and with a savepoint that is rolled back.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import apsw

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import privileges
from helios_cli.engine.sql.privileges import SELECT, UPDATE, AclItem
from helios_cli.engine.sql.rights import Rightful
from helios_cli.engine.storage import large_objects
from helios_cli.engine.storage.catalog import SqliteCatalog

INV_WRITE: Final = 0x20000
INV_READ: Final = 0x40000
_READ_MAX: Final = 0x3FFF_FFFF - 4
"""The greatest bytea."""
_INT4_MAX: Final = 2**31 - 1


@dataclass(slots=True)
class Descriptor:
    """An open large object."""

    oid: int
    writes: bool
    number: int
    """Counts what the transaction has opened."""
    position: int = 0


@dataclass(slots=True)
class Opened:
    """What one transaction of a session has open."""

    scope: int
    """Names the transaction."""
    slots: list[Descriptor | None] = field(default_factory=list)
    count: int = 0


class LargeObjects:
    """What a node remembers of large objects: one for all its connections."""

    def __init__(self) -> None:
        self.opened: dict[int, Opened] = {}
        """By session."""
        self.newest = 0
        """The last OID that was chosen: not chosen again when its object is gone."""

    def forget(self, pid: int) -> None:
        """The session's transaction is over, or the session is."""
        self.opened.pop(pid, None)

    def count(self, pid: int) -> int:
        """How many descriptors the session's transaction has opened, for a savepoint."""
        opened = self.opened.get(pid)
        return opened.count if opened is not None else 0

    def close_since(self, pid: int, count: int) -> None:
        """Close those that were opened behind a savepoint."""
        opened = self.opened.get(pid)
        if opened is not None:
            opened.slots = [slot if slot is None or slot.number < count else None for slot in opened.slots]

    def _of(self, pid: int, scope: int) -> Opened:
        opened = self.opened.get(pid)
        if opened is None or opened.scope != scope:
            opened = self.opened[pid] = Opened(scope)
        return opened

    def open(self, pid: int, scope: int, oid: int, writes: bool) -> int:
        """The number of a new descriptor: the first that is free."""
        opened = self._of(pid, scope)
        made = Descriptor(oid, writes, opened.count)
        opened.count += 1
        for number, slot in enumerate(opened.slots):
            if slot is None:
                opened.slots[number] = made
                return number
        opened.slots.append(made)
        return len(opened.slots) - 1

    def descriptor(self, pid: int, scope: int, number: int) -> Descriptor:
        """An open one. Raises SqlError 42704."""
        slots = self._of(pid, scope).slots
        found = slots[number] if 0 <= number < len(slots) else None
        if found is None:
            raise SqlError(f"invalid large-object descriptor: {number}", sqlstate="42704")
        return found

    def close(self, pid: int, scope: int, number: int) -> None:
        """Give a descriptor back. Raises SqlError 42704."""
        self.descriptor(pid, scope, number)
        self._of(pid, scope).slots[number] = None

    def close_object(self, pid: int, scope: int, oid: int) -> None:
        """Give back what is open of an object."""
        opened = self._of(pid, scope)
        opened.slots = [None if slot is not None and slot.oid == oid else slot for slot in opened.slots]


class _Functions:
    """The functions of one connection.

    The last arguments of those that use descriptors are the session's number and its transaction's; of those that ask
    for rights, the role, and -1 in its place again for one that may do everything.
    """

    def __init__(self, connection: apsw.Connection, shared: LargeObjects, catalog: SqliteCatalog) -> None:
        self.connection, self.shared, self.catalog = connection, shared, catalog

    # -- rights -----------------------------------------------------------------------------------

    def _rightful(self, role: int) -> Rightful:
        self.catalog.refresh()
        return Rightful(self.catalog.privileges, role)

    def _check(self, oid: int, wanted: int, role: int, limited: int) -> int:
        """The object's owner. Raises SqlError 42501 without the rights, 42704 without the object."""
        owner = large_objects.owner_of(self.connection, oid)
        if limited >= 0:
            roles = self._rightful(role).roles
            acl = large_objects.acl_of(self.connection, oid, owner)
            if privileges.held(acl, roles, owner, wanted) != wanted:
                raise SqlError(f"permission denied for large object {oid}", sqlstate="42501")
        return owner

    def check_owner(self, oid: int, role: int, limited: int) -> int:
        """The object's owner. Raises SqlError 42501 when the role does not own it, 42704 without the object."""
        owner = large_objects.owner_of(self.connection, oid)
        if limited >= 0 and not self._rightful(role).owns(owner):
            raise SqlError(f"must be owner of large object {oid}", sqlstate="42501")
        return owner

    def give(self, oid: int, new: int, role: int, limited: int) -> int:
        """ALTER LARGE OBJECT ... OWNER TO."""
        owner = self.check_owner(oid, role, limited)
        if limited >= 0:
            authority = self._rightful(role).authority
            if not authority.is_member(role, new):
                raise SqlError(f'must be member of role "{authority.name(new)}"', sqlstate="42501")
        large_objects.give_away(self.connection, oid, owner, new)
        return 0

    def grant(self, oid: int, wish: str, role: int, limited: int) -> int:
        """GRANT and REVOKE; ``wish`` is the JSON of (grants, rights, grantees, option, cascade)."""
        grants, rights, grantees, option, cascade = json.loads(wish)
        owner = large_objects.owner_of(self.connection, oid)
        acl = large_objects.acl_of(self.connection, oid, owner)
        grantor = owner
        if limited >= 0:
            rightful = self._rightful(role)
            if not rightful.owns(owner):
                grantor, rights = role, privileges.grantable(acl, rightful.roles, owner, rights)
                if not rights:
                    raise SqlError(f"permission denied for large object {oid}", sqlstate="42501")
        for grantee in grantees:
            if grants:
                acl = privileges.granted(acl, AclItem(grantee, grantor, rights, rights if option else 0), owner)
            else:
                taken = AclItem(grantee, grantor, 0 if option else rights, rights)
                acl = privileges.revoked(acl, taken, owner, cascade=cascade)
        large_objects.store_acl(self.connection, oid, acl)
        return 0

    # -- objects ----------------------------------------------------------------------------------

    def create(self, oid: int, role: int) -> int:
        """lo_create."""
        made = large_objects.create(self.connection, oid, role, self.shared.newest)
        if not oid:
            self.shared.newest = made
        return made

    def from_bytes(self, oid: int, data: bytes, role: int) -> int:
        """lo_from_bytea."""
        made = self.create(oid, role)
        large_objects.write(self.connection, made, 0, data)
        return made

    def unlink(self, oid: int, pid: int, scope: int, role: int, limited: int) -> int:
        """lo_unlink."""
        self.check_owner(oid, role, limited)
        self.shared.close_object(pid, scope, oid)
        large_objects.unlink(self.connection, oid)
        return 1

    def get(self, oid: int, offset: int, count: int, role: int, limited: int) -> bytes:
        """lo_get; a negative count is the whole object."""
        self._check(oid, SELECT, role, limited)
        if count < 0:
            count = large_objects.size_of(self.connection, oid) - offset
        _check_seek(offset)
        if count > _READ_MAX:
            raise SqlError("large object read request is too large", sqlstate="54000")
        return large_objects.read(self.connection, oid, offset, count)

    def get_part(self, oid: int, offset: int, count: int, role: int, limited: int) -> bytes:
        """lo_get of a part."""
        if count < 0:
            raise SqlError("requested length cannot be negative", sqlstate="22023")
        return self.get(oid, offset, count, role, limited)

    def put(self, oid: int, offset: int, data: bytes, role: int, limited: int) -> str:
        """lo_put."""
        self._check(oid, SELECT | UPDATE, role, limited)
        _check_seek(offset)
        large_objects.write(self.connection, oid, offset, data)
        return ""

    # -- descriptors ------------------------------------------------------------------------------

    def open(self, oid: int, flags: int, pid: int, scope: int, role: int, limited: int) -> int:
        """lo_open."""
        if not flags & (INV_READ | INV_WRITE):
            raise SqlError(f"invalid flags for opening a large object: {flags}", sqlstate="22023")
        writes = bool(flags & INV_WRITE)
        self._check(oid, SELECT | UPDATE if writes else SELECT, role, limited)
        return self.shared.open(pid, scope, oid, writes)

    def close(self, number: int, pid: int, scope: int) -> int:
        """lo_close."""
        self.shared.close(pid, scope, number)
        return 0

    def read(self, number: int, count: int, pid: int, scope: int) -> bytes:
        """loread."""
        found = self.shared.descriptor(pid, scope, number)
        data = large_objects.read(self.connection, found.oid, found.position, max(count, 0))
        found.position += len(data)
        return data

    def _writable(self, number: int, pid: int, scope: int) -> Descriptor:
        found = self.shared.descriptor(pid, scope, number)
        if not found.writes:
            message = f"large object descriptor {number} was not opened for writing"
            raise SqlError(message, sqlstate="55000")
        return found

    def write(self, number: int, data: bytes, pid: int, scope: int) -> int:
        """lowrite."""
        found = self._writable(number, pid, scope)
        large_objects.write(self.connection, found.oid, found.position, data)
        found.position += len(data)
        return len(data)

    def truncate(self, number: int, size: int, pid: int, scope: int) -> int:
        """lo_truncate and lo_truncate64."""
        large_objects.truncate(self.connection, self._writable(number, pid, scope).oid, size)
        return 0

    def seek64(self, number: int, offset: int, whence: int, pid: int, scope: int) -> int:
        """lo_lseek64."""
        found = self.shared.descriptor(pid, scope, number)
        if whence not in (0, 1, 2):
            raise SqlError(f"invalid whence setting: {whence}", sqlstate="22023")
        base = (0, found.position, large_objects.size_of(self.connection, found.oid) if whence == 2 else 0)[whence]
        _check_seek(base + offset)
        found.position = base + offset
        return found.position

    def seek(self, number: int, offset: int, whence: int, pid: int, scope: int) -> int:
        """lo_lseek."""
        return _as_int4(self.seek64(number, offset, whence, pid, scope), "lo_lseek", number)

    def tell64(self, number: int, pid: int, scope: int) -> int:
        """lo_tell64."""
        return self.shared.descriptor(pid, scope, number).position

    def tell(self, number: int, pid: int, scope: int) -> int:
        """lo_tell."""
        return _as_int4(self.tell64(number, pid, scope), "lo_tell", number)


def _check_seek(target: int) -> None:
    if not 0 <= target <= large_objects.SIZE_MAX:
        raise SqlError(f"invalid large object seek target: {target}", sqlstate="22023")


def _as_int4(position: int, what: str, number: int) -> int:
    if position > _INT4_MAX:
        message = f"{what} result out of range for large-object descriptor {number}"
        raise SqlError(message, sqlstate="22003")
    return position


def register(connection: apsw.Connection, shared: LargeObjects, catalog: SqliteCatalog) -> None:
    """Make the functions known to a connection. Their arguments are never NULL."""
    functions = _Functions(connection, shared, catalog)
    table: dict[str, tuple[Callable[..., Any], int]] = {
        "pg_lo_create": (functions.create, 2), "pg_lo_from_bytea": (functions.from_bytes, 3),
        "pg_lo_unlink": (functions.unlink, 5), "pg_lo_get": (functions.get, 5),
        "pg_lo_get_part": (functions.get_part, 5),
        "pg_lo_put": (functions.put, 5), "pg_lo_open": (functions.open, 6), "pg_lo_close": (functions.close, 3),
        "pg_lo_read": (functions.read, 4), "pg_lo_write": (functions.write, 4),
        "pg_lo_truncate": (functions.truncate, 4), "pg_lo_lseek": (functions.seek, 5),
        "pg_lo_lseek64": (functions.seek64, 5), "pg_lo_tell": (functions.tell, 3),
        "pg_lo_tell64": (functions.tell64, 3), "pg_lo_check_owner": (functions.check_owner, 3),
        "pg_lo_give": (functions.give, 4), "pg_lo_grant": (functions.grant, 4),
    }  # fmt: skip
    for name, (call, count) in table.items():
        connection.create_scalar_function(name, _unless_null(call), count)


def _unless_null(call: Callable[..., Any]) -> Callable[..., Any]:
    def strict(*arguments: Any) -> Any:
        return None if None in arguments else call(*arguments)

    return strict
