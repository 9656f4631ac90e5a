"""Access control lists as PostgreSQL keeps them: which role may do what with an object (acl.h, acl.c). Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import Final

from helios_cli.engine.errors import SqlError

INSERT: Final = 1 << 0
SELECT: Final = 1 << 1
UPDATE: Final = 1 << 2
DELETE: Final = 1 << 3
TRUNCATE: Final = 1 << 4
REFERENCES: Final = 1 << 5
TRIGGER: Final = 1 << 6
EXECUTE: Final = 1 << 7
USAGE: Final = 1 << 8
CREATE: Final = 1 << 9
TEMPORARY: Final = 1 << 10
CONNECT: Final = 1 << 11
"""Bits of a right (parsenodes.h)."""

LETTERS: Final = "arwdDxtXUCTc"
"""The letter of each bit in an aclitem's text, from the lowest bit."""
NAMES: Final = {
    "INSERT": INSERT, "SELECT": SELECT, "UPDATE": UPDATE, "DELETE": DELETE, "TRUNCATE": TRUNCATE,
    "REFERENCES": REFERENCES, "TRIGGER": TRIGGER, "EXECUTE": EXECUTE, "USAGE": USAGE, "CREATE": CREATE,
    "TEMPORARY": TEMPORARY, "TEMP": TEMPORARY, "CONNECT": CONNECT,
}  # fmt: skip
COLUMN_RIGHTS: Final = INSERT | SELECT | UPDATE | REFERENCES

TABLE, COLUMN, SEQUENCE, DATABASE, FUNCTION, SCHEMA, TYPE, LARGE_OBJECT, LANGUAGE = (
    "table", "column", "sequence", "database", "function", "schema", "type", "large object", "language",
)  # fmt: skip
"""Kinds of objects that have rights, as has_..._privilege() names them."""
ALL: Final = {
    TABLE: INSERT | SELECT | UPDATE | DELETE | TRUNCATE | REFERENCES | TRIGGER, COLUMN: COLUMN_RIGHTS,
    SEQUENCE: USAGE | SELECT | UPDATE, DATABASE: CREATE | TEMPORARY | CONNECT, FUNCTION: EXECUTE,
    SCHEMA: USAGE | CREATE, TYPE: USAGE, LARGE_OBJECT: SELECT | UPDATE, LANGUAGE: USAGE,
}  # fmt: skip
"""What ALL PRIVILEGES stands for."""
_WORLD: Final = {DATABASE: TEMPORARY | CONNECT, FUNCTION: EXECUTE, TYPE: USAGE, LANGUAGE: USAGE}
PUBLIC: Final = 0
"""The grantee that every role belongs to."""

PG_CLASS, PG_NAMESPACE, PG_DATABASE, PG_PROC, PG_TYPE = 1259, 2615, 1262, 1255, 1247
PG_DEFAULT_ACL: Final = 826
PG_LANGUAGE: Final = 2612
PG_LARGEOBJECT: Final = 2613
DEFAULT_KINDS: Final = {"r": 1, "S": 2, "f": 3, "T": 4, "n": 5}
"""Kinds of objects that have default privileges (``defaclobjtype``), and their number in the system table."""


@dataclass(frozen=True, slots=True)
class AclItem:
    """What one role was given by another."""

    grantee: int
    grantor: int
    rights: int
    grantable: int = 0
    """Those of the rights that the grantee may pass on."""


Acl = tuple[AclItem, ...]


def parse(text: str) -> Acl:
    """An ACL as the system tables hold it."""
    return tuple(AclItem(*item) for item in json.loads(text))


def dump(acl: Acl) -> str:
    """The reverse of :func:`parse`."""
    return json.dumps([[item.grantee, item.grantor, item.rights, item.grantable] for item in acl])


def default_acl(kind: str, owner: int) -> Acl:
    """What an object has that nobody has changed anything about (acldefault)."""
    items = []
    if _WORLD.get(kind):
        items.append(AclItem(PUBLIC, owner, _WORLD[kind]))
    if kind != COLUMN:
        items.append(AclItem(owner, owner, ALL[kind]))
    return tuple(items)


def text_of(acl: Acl, name_of: Callable[[int], str]) -> str:
    """The text of an ``aclitem[]``: ``{postgres=arwdDxt/postgres,=r/postgres}``."""
    return "{" + ",".join(_item_text(item, name_of) for item in acl) + "}"


def _item_text(item: AclItem, name_of: Callable[[int], str]) -> str:
    rights = "".join(
        letter + ("*" if item.grantable >> bit & 1 else "")
        for bit, letter in enumerate(LETTERS)
        if (item.rights | item.grantable) >> bit & 1
    )
    grantee = _quoted(name_of(item.grantee)) if item.grantee != PUBLIC else ""
    text = f"{grantee}={rights}/{_quoted(name_of(item.grantor))}"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' if '"' in text or "," in text else text


def _quoted(name: str) -> str:
    """A role's name in an aclitem, quoted where it is more than letters, digits and underscores (putid)."""
    if name and all(letter.isalnum() or letter == "_" for letter in name):
        return name
    return '"' + name.replace('"', '""') + '"'


# -- what is held -----------------------------------------------------------------------------------------------------


def held(acl: Acl, roles: Collection[int], owner: int, wanted: int) -> int:
    """Those of the wanted rights that anybody of ``roles``, or everybody, was given."""
    found = 0
    for item in acl:
        if item.grantee == PUBLIC or item.grantee in roles:
            found |= item.rights
    return found & wanted


def grantable(acl: Acl, roles: Collection[int], owner: int, wanted: int) -> int:
    """Those of the rights that ``roles`` may pass on: an owner all of them."""
    if owner in roles:
        return wanted
    found = 0
    for item in acl:
        if item.grantee in roles:
            found |= item.grantable
    return found & wanted


# -- GRANT and REVOKE -------------------------------------------------------------------------------------------------


def granted(acl: Acl, item: AclItem, owner: int) -> Acl:
    """The list after a GRANT.

    Raises:
        SqlError: 0LP01, the right to grant would come back to somebody whom it came from.
    """
    if item.grantable:
        _check_circularity(acl, item, owner)
    return _added(acl, item)


def _added(acl: Acl, item: AclItem) -> Acl:
    changed, found = [], False
    for known in acl:
        if known.grantee == item.grantee and known.grantor == item.grantor:
            known = replace(known, rights=known.rights | item.rights, grantable=known.grantable | item.grantable)
            found = True
        changed.append(known)
    return tuple(changed) if found else (*acl, item)


def _check_circularity(acl: Acl, item: AclItem, owner: int) -> None:
    """Nobody may pass an option on to whom he has it from (check_circularity)."""
    if item.grantor == owner:
        return
    rest = acl
    again = True
    while again:
        again = False
        for known in rest:
            if known.grantee == item.grantee and known.grantable:
                rest = revoked(rest, replace(known, rights=0), owner, cascade=True)
                again = True
                break
    if item.grantable & ~grantable(rest, (item.grantor,), owner, item.grantable):
        raise SqlError("grant options cannot be granted back to your own grantor", sqlstate="0LP01")


def revoked(acl: Acl, item: AclItem, owner: int, *, cascade: bool) -> Acl:
    """The list after a REVOKE of an item's rights and of its rights to pass them on.

    Raises:
        SqlError: 2BP01, others have it from the one who loses it, and it is not a CASCADE.
    """
    changed: list[AclItem] = []
    lost = 0
    for known in acl:
        if known.grantee == item.grantee and known.grantor == item.grantor:
            lost = known.grantable & item.grantable
            known = replace(known, rights=known.rights & ~item.rights, grantable=known.grantable & ~item.grantable)
            if not known.rights and not known.grantable:
                continue
        changed.append(known)
    result = tuple(changed)
    return _followed(result, item.grantee, lost, owner, cascade) if lost else result


def _followed(acl: Acl, grantee: int, lost: int, owner: int, cascade: bool) -> Acl:
    """Take back what a role that may grant no more has granted (recursive_revoke)."""
    if grantee == owner:
        return acl
    lost &= ~grantable(acl, (grantee,), owner, lost)
    while True:
        dependent = next((item for item in acl if item.grantor == grantee and item.rights & lost), None)
        if dependent is None:
            return acl
        if not cascade:
            raise SqlError("dependent privileges exist", sqlstate="2BP01", hint="Use CASCADE to revoke them too.")
        acl = revoked(acl, replace(dependent, rights=lost, grantable=lost), owner, cascade=True)


def with_owner(acl: Acl, old: int, new: int) -> Acl:
    """The list when its object changes hands: the new owner stands where the old one stood (aclnewowner)."""
    merged: Acl = ()
    for item in acl:
        moved = replace(
            item,
            grantee=new if item.grantee == old else item.grantee,
            grantor=new if item.grantor == old else item.grantor,
        )
        merged = _added(merged, moved)
    return merged


def without(acl: Acl, role: int) -> Acl:
    """The list without anything that a role was given, or has given."""
    return tuple(item for item in acl if role not in (item.grantee, item.grantor))


def mask_of(names: Iterable[str]) -> int:
    """The bits of rights by name."""
    mask = 0
    for name in names:
        mask |= NAMES[name]
    return mask
