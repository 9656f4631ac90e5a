"""has_..._privilege() and pg_has_role(): what a role may do, asked in SQL (acl.c)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import apsw

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.usertypes import kind_of
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import privileges
from helios_cli.engine.sql.authority import BOOTSTRAP
from helios_cli.engine.sql.databases import OPEN_ALIASES, reached
from helios_cli.engine.sql.ddl_type_rights import LANGUAGES
from helios_cli.engine.sql.functions import REGISTRY
from helios_cli.engine.sql.functions.proc_oids import FUNCTIONS
from helios_cli.engine.sql.privileges import PG_CLASS, PG_DATABASE, PG_LANGUAGE, PG_NAMESPACE, PG_PROC, PG_TYPE
from helios_cli.engine.sql.relation import Relation
from helios_cli.engine.sql.rights import CLOSED_RELATIONS, Rightful
from helios_cli.engine.storage.sequences import split_name

if TYPE_CHECKING:
    from helios_cli.engine.storage.system_catalog import SystemCatalog

_LIBRARY: Final = frozenset(function.name for function in REGISTRY)
UNRESTRICTED: Final = -1
"""The role of a session that may do everything."""
_WITH_OPTION: Final = " WITH GRANT OPTION"
_COLUMN: Final = privileges.COLUMN_RIGHTS
_KNOWN: Final = {
    "table": privileges.ALL[privileges.TABLE], "any_column": _COLUMN, "column": _COLUMN,
    "sequence": privileges.ALL[privileges.SEQUENCE], "schema": privileges.ALL[privileges.SCHEMA],
    "database": privileges.ALL[privileges.DATABASE], "function": privileges.EXECUTE, "type": privileges.USAGE,
    "language": privileges.USAGE, "tablespace": privileges.CREATE, "server": privileges.USAGE,
    "foreign_data_wrapper": privileges.USAGE,
}  # fmt: skip


class PrivilegeFunctions:
    """The functions of one connection."""

    def __init__(self, system: SystemCatalog, type_in: Callable[[str], int], function_in: Callable[[str], int]) -> None:
        """``type_in`` and ``function_in`` give the OIDs of a type and of a function with its arguments, by name."""
        self._system, self._type_in, self._function_in = system, type_in, function_in

    @property
    def _catalog(self) -> Any:
        catalog = self._system.catalog
        catalog.refresh()
        return catalog

    def has(self, kind: str, user: Any, thing: Any, column: Any, wanted: str, acting: int) -> int | None:
        """Whether a role has one of several rights; NULL for an object that is not there.

        Raises:
            SqlError: 22023 no such right, 42704 no such role, 42P01 or 3F000 no such object by name.
        """
        rightful = self._rightful(user, acting)
        rights, options = _parsed(wanted, _KNOWN[kind])
        if kind == "function":
            return self._function(rightful, thing, rights, options)
        if kind == "type":
            return self._type(rightful, thing, rights, options)
        if kind == "language":
            return self._language(rightful, thing, rights, options)
        if kind in ("tablespace", "server", "foreign_data_wrapper"):
            return int(rightful.unrestricted)
        if kind == "schema":
            return self._schema(rightful, thing, rights, options)
        if kind == "database":
            return self._database(rightful, thing, rights, options)
        relation = self._relation(thing)
        if relation is None:
            return None
        if kind == "sequence" and relation.kind != "S":
            raise SqlError(f'"{relation.name}" is not a sequence', sqlstate="42809")
        found = _of_relation(rightful, relation, rights, options)
        if found or kind in ("table", "sequence"):
            return int(found)
        number = _number(relation, column) if kind == "column" else 0
        return None if number is None else int(_of_columns(rightful, relation, number, rights, options))

    def _rightful(self, user: Any, acting: int) -> Rightful:
        facts = self._catalog.privileges
        if user is None:
            return Rightful(facts, BOOTSTRAP if acting == UNRESTRICTED else acting, unrestricted=acting == UNRESTRICTED)
        return Rightful(facts, self._role(user))

    def _role(self, user: Any) -> int:
        if user == "public":
            return privileges.PUBLIC
        if isinstance(user, int):
            return user
        found = self._catalog.privileges.authority().by_name.get(user)
        if found is None:
            raise SqlError(f'role "{user}" does not exist', sqlstate="42704")
        return int(found.oid)

    def _relation(self, thing: Any) -> Relation | None:
        if isinstance(thing, int):
            found: Relation | None = self._catalog.relation_by_oid(thing)
            return found
        schema, name = split_name(thing)
        found = self._catalog.relation(schema, name)
        if found is None:
            raise SqlError(f'relation "{thing}" does not exist', sqlstate="42P01")
        return found

    def _schema(self, rightful: Rightful, thing: Any, rights: int, options: int) -> int | None:
        schemas = rightful.facts.schemas()
        if isinstance(thing, int):
            thing = next((name for name, (oid, _owner) in schemas.items() if oid == thing), None)
            if thing is None:
                return None
        if thing not in schemas:
            raise SqlError(f'schema "{thing}" does not exist', sqlstate="3F000")
        oid, owner = schemas[thing]
        if rights and rightful.schema_held(thing, rights):
            return 1
        return int(_passes_on(rightful, privileges.SCHEMA, (PG_NAMESPACE, oid), owner, options))

    def _database(self, rightful: Rightful, thing: Any, rights: int, options: int) -> int | None:
        databases = self._catalog.databases()
        if isinstance(thing, int):
            found = next((one for one in databases.values() if one.oid == thing), None)
            if found is None:
                return None
        else:
            found = databases.get(thing) or (reached(databases, thing, "") if thing in OPEN_ALIASES else None)
            if found is None:
                raise SqlError(f'database "{thing}" does not exist', sqlstate="3D000")
        if rights and rightful.held(privileges.DATABASE, PG_DATABASE, found.oid, found.owner, rights):
            return 1
        return int(_passes_on(rightful, privileges.DATABASE, (PG_DATABASE, found.oid), found.owner, options))

    def _type(self, rightful: Rightful, thing: Any, rights: int, options: int) -> int | None:
        """Those that are built in are everybody's."""
        oid = thing if isinstance(thing, int) else self._type_in(thing)
        found = self._catalog.type_by_oid(oid & ~1) if kind_of(oid) else None
        if found is None:
            known = isinstance(thing, str) or registry.find_oid(oid) is not None
            return int(bool(rights) or rightful.unrestricted) if known and not kind_of(oid) else None
        if rights and rightful.held(privileges.TYPE, PG_TYPE, found.oid, found.owner, rights):
            return 1
        return int(_passes_on(rightful, privileges.TYPE, (PG_TYPE, found.oid), found.owner, options))

    def _language(self, rightful: Rightful, thing: Any, rights: int, options: int) -> int | None:
        oid = thing if isinstance(thing, int) else LANGUAGES.get(thing)
        if oid is None:
            raise SqlError(f'language "{thing}" does not exist', sqlstate="42704")
        if oid not in LANGUAGES.values():
            return None
        if rights and rightful.held(privileges.LANGUAGE, PG_LANGUAGE, oid, BOOTSTRAP, rights):
            return 1
        return int(_passes_on(rightful, privileges.LANGUAGE, (PG_LANGUAGE, oid), BOOTSTRAP, options))

    def _function(self, rightful: Rightful, thing: Any, rights: int, options: int) -> int | None:
        """Those of the library are everybody's."""
        oid = thing if isinstance(thing, int) else self._function_in(thing)
        routine = self._catalog.routine(oid)
        if routine is None and oid not in FUNCTIONS:
            return None
        if routine is None:
            return int(bool(rights) or rightful.unrestricted)
        if rights and rightful.held(privileges.FUNCTION, PG_PROC, routine.oid, routine.owner, rights):
            return 1
        return int(_passes_on(rightful, privileges.FUNCTION, (PG_PROC, routine.oid), routine.owner, options))

    def has_role(self, user: Any, role: Any, wanted: str, acting: int) -> int | None:
        """pg_has_role().

        Raises:
            SqlError: 22023 no such right, 42704 no such role.
        """
        authority = self._catalog.privileges.authority()
        member = self._role(user) if user is not None else BOOTSTRAP if acting == UNRESTRICTED else acting
        other = self._role(role)
        for word in wanted.split(","):
            plain = " ".join(word.upper().split())
            if plain in ("USAGE WITH GRANT OPTION", "USAGE WITH ADMIN OPTION", "MEMBER WITH GRANT OPTION",
                         "MEMBER WITH ADMIN OPTION"):  # fmt: skip
                found = authority.is_admin(member, other)
            elif plain == "USAGE":
                found = authority.has_privileges_of(member, other)
            elif plain == "MEMBER":
                found = authority.is_member(member, other)
            else:
                raise SqlError(f'unrecognized privilege type: "{word.strip()}"', sqlstate="22023")
            if found or (user is None and acting == UNRESTRICTED):
                return 1
        return 0


def _parsed(text: str, known: int) -> tuple[int, int]:
    """Rights, and rights to pass on, of a list of names. Raises SqlError 22023."""
    rights = options = 0
    for word in text.split(","):
        plain = " ".join(word.upper().split())
        bit = privileges.NAMES.get(plain.removesuffix(_WITH_OPTION), 0)
        if not bit & known:
            raise SqlError(f'unrecognized privilege type: "{word.strip()}"', sqlstate="22023")
        if plain.endswith(_WITH_OPTION):
            options |= bit
        else:
            rights |= bit
    return rights, options


def _passes_on(rightful: Rightful, kind: str, key: tuple[int, int], owner: int, options: int) -> bool:
    if not options or rightful.unrestricted:
        return bool(options)
    acl = rightful.facts.acl(*key)
    if acl is None:
        acl = privileges.default_acl(kind, owner)
    return bool(privileges.grantable(acl, rightful.roles, owner, options))


def _of_relation(rightful: Rightful, relation: Relation, rights: int, options: int) -> bool:
    if rights and rightful.relation_held(relation.oid, relation.kind, relation.name, rights):
        return True
    if relation.kind == "c":
        return bool(options) and rightful.unrestricted and relation.name not in CLOSED_RELATIONS
    kind = privileges.SEQUENCE if relation.kind == "S" else privileges.TABLE
    return _passes_on(rightful, kind, (PG_CLASS, relation.oid), relation.owner, options)


def _number(relation: Relation, column: Any) -> int | None:
    """A column's number; None for a number that no column has. Raises SqlError 42703."""
    for found in relation.columns:
        if column in (found.name, found.attnum):
            return found.attnum
    if isinstance(column, int):
        return None
    message = f'column "{column}" of relation "{relation.name}" does not exist'
    raise SqlError(message, sqlstate="42703")


def _of_columns(rightful: Rightful, relation: Relation, number: int, rights: int, options: int) -> bool:
    """By the lists of columns: of one, or of any of them with number 0."""
    for known, acl in rightful.facts.column_acls(relation.oid).items():
        if number in (0, known):
            held = privileges.held(acl, rightful.roles, relation.owner, rights)
            if held or privileges.grantable(acl, rightful.roles, relation.owner, options):
                return True
    return False


def register(
    connection: apsw.Connection, system: SystemCatalog, type_in: Callable[[str], int],
    function_in: Callable[[str], int], searching: Callable[[Callable[..., Any]], Callable[..., Any]],
) -> None:  # fmt: skip
    """Make ``cat_has`` and ``cat_has_role`` callable on a connection; NULL for a missing object or right.

    ``searching`` makes a function look for names along the search path that is its last argument.
    """
    functions = PrivilegeFunctions(system, type_in, function_in)

    def has(kind: str, user: Any, thing: Any, column: Any, wanted: str | None, acting: int) -> int | None:
        if thing is None or wanted is None or (kind == "column" and column is None):
            return None
        return functions.has(kind, user, thing, column, wanted, acting)

    def has_role(user: Any, role: Any, wanted: Any, acting: Any) -> int | None:
        return None if role is None or wanted is None else functions.has_role(user, role, wanted, acting)

    table: dict[str, tuple[Callable[..., Any], int]] = {"cat_has": (searching(has), 7), "cat_has_role": (has_role, 4)}
    for name, (call, count) in table.items():
        connection.create_scalar_function(name, call, count)
