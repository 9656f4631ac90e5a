"""What one version of the catalog says about roles, owners and rights; read when first asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

import apsw

from helios_cli.engine.sql import privileges
from helios_cli.engine.sql.authority import BOOTSTRAP, DATABASE_OWNER, EVERYTHING, Authority, RoleFacts
from helios_cli.engine.sql.ddl_model import RoleDef
from helios_cli.engine.sql.ddl_schema import CLUSTER_PRIVILEGE, FIRST_TEMP_OID, PRIVILEGE_TABLE, PUBLIC_OID
from helios_cli.engine.sql.made_objects import PG_OPERATOR
from helios_cli.engine.sql.privileges import CREATE, DEFAULT_KINDS, PG_NAMESPACE, USAGE, Acl, AclItem
from helios_cli.engine.sql.relation import Relation

if TYPE_CHECKING:
    from helios_cli.engine.storage.catalog import SqliteCatalog


def birth_acl(class_oid: int, oid: int, owner: int) -> Acl | None:
    """The rights on what a database is born with and nobody has changed: public is for looking into only."""
    if class_oid != PG_NAMESPACE or oid >= 16384:
        return None
    return (AclItem(owner, owner, USAGE | CREATE), AclItem(privileges.PUBLIC, owner, USAGE))


_OWNERS: Final = {
    privileges.PG_CLASS: ("helios_relation", "relowner"),
    privileges.PG_PROC: ("helios_function", "proowner"),
    privileges.PG_TYPE: ("helios_type", "typowner"),
    PG_OPERATOR: ("helios_operator", "oprowner"),
}
"""Where the owners of a class of objects are written."""


class CatalogPrivileges:
    """Implements ``Facts`` over a catalog's connection."""

    def __init__(self, catalog: SqliteCatalog) -> None:
        self._catalog = catalog
        self._authority: Authority | None = None
        self._acls: dict[tuple[int, int], dict[int, Acl]] = {}
        self._owners: dict[int, int] = {}
        self._schemas: dict[str, tuple[int, int]] = {}

    def authority(self) -> Authority:
        """The roles."""
        found = self._authority
        if found is None:
            found = self._authority = read_authority(self._catalog)
        return found

    def acl(self, class_oid: int, oid: int) -> Acl | None:
        """The rights on an object; None: nobody has changed the default."""
        found = self._of_object(class_oid, oid).get(0)
        if found is None and class_oid == PG_NAMESPACE:
            owner = next((owner for known, owner in self.schemas().values() if known == oid), BOOTSTRAP)
            return birth_acl(class_oid, oid, owner)
        return found

    def column_acls(self, oid: int) -> dict[int, Acl]:
        """The rights on columns of a relation, by number; those that have none are left out."""
        found = self._of_object(privileges.PG_CLASS, oid)
        return {number: acl for number, acl in found.items() if number}

    def _of_object(self, class_oid: int, oid: int) -> dict[int, Acl]:
        found = self._acls.get((class_oid, oid))
        if found is None:
            temp = class_oid == privileges.PG_CLASS and oid >= FIRST_TEMP_OID
            found = self._acls[class_oid, oid] = self._read(class_oid, oid, "temp" if temp else "main")
        return found

    def _read(self, class_oid: int, oid: int, db: str) -> dict[int, Acl]:
        table = CLUSTER_PRIVILEGE if class_oid == privileges.PG_DATABASE else f"{db}.helios_privilege"
        try:
            rows = self._catalog.rows(
                f"SELECT objsubid, acl FROM {table} WHERE classid = {class_oid} AND objid = {oid}"
            )
        except apsw.SQLError:
            # A database that was born before there were rights.
            return {}
        return {number: privileges.parse(text) for number, text in rows}

    def default_acl(self, role: int, schema: int, kind: str) -> Acl | None:
        """What ALTER DEFAULT PRIVILEGES has set for a role's new objects, in a schema or (0) in all; None: nothing."""
        key = DEFAULT_KINDS[kind]
        found = self._of_object(privileges.PG_DEFAULT_ACL, role)
        return found.get(schema * 8 + key)

    def has_defaults(self, role: int) -> bool:
        """Whether a role has default privileges."""
        return bool(self._of_object(privileges.PG_DEFAULT_ACL, role))

    def default_schemas(self, role: int, kind: str) -> list[tuple[int, str]]:
        """Schemas for which a role has default privileges; (0, '') for all schemas."""
        names = {oid: name for name, (oid, _owner) in self.schemas().items()}
        keys = sorted(key for key in self._of_object(privileges.PG_DEFAULT_ACL, role) if key % 8 == DEFAULT_KINDS[kind])
        return [(key // 8, names.get(key // 8, "")) for key in keys]

    def relation_owner(self, oid: int) -> int:
        """The owner of a relation; the bootstrap role of one that is not among the system tables."""
        found = self._owners.get(oid)
        if found is None:
            db = "temp" if oid >= FIRST_TEMP_OID else "main"
            rows = self._catalog.rows(f"SELECT relowner FROM {db}.helios_relation WHERE oid = {oid}")
            found = self._owners[oid] = int(rows[0][0]) if rows else BOOTSTRAP
        return found

    def schema_owner(self, name: str) -> tuple[int, int] | None:
        """OID and owner of a schema; None: there is none. The schema public is the database owner's."""
        return self.schemas().get(name)

    def schemas(self) -> dict[str, tuple[int, int]]:
        """OID and owner of every schema, by name."""
        if not self._schemas:
            for oid, known, owner in self._catalog.rows("SELECT oid, nspname, nspowner FROM main.helios_namespace"):
                self._schemas[known] = (oid, DATABASE_OWNER if oid == PUBLIC_OID and owner == BOOTSTRAP else owner)
        return self._schemas

    def owned(self, class_oid: int, role: int) -> tuple[int, ...]:
        """OIDs of the relations, schemas, functions, types or large objects that a role owns."""
        if class_oid == PG_NAMESPACE:
            return tuple(oid for oid, owner in self.schemas().values() if owner == role)
        if class_oid == privileges.PG_LARGEOBJECT:
            rows = self._catalog.live_rows(f"SELECT oid FROM main.helios_largeobject_metadata WHERE lomowner = {role}")
            return tuple(oid for (oid,) in rows)
        table, column = _OWNERS[class_oid]
        if not self._catalog.has_system_table(table):
            return ()  # It is made with the first object of its kind.
        rows = self._catalog.rows(f"SELECT oid FROM main.{table} WHERE {column} = {role} ORDER BY oid")
        return tuple(oid for (oid,) in rows)

    def lists_naming(self, role: int) -> tuple[tuple[tuple[int, int, int], Acl], ...]:
        """The rights in which a role stands: (class, object, column) and the list; default privileges left out."""
        # Those of large objects change without the version of the catalog.
        rows = self._catalog.live_rows(
            f"SELECT * FROM ({self._catalog.privilege_rows}) "
            f"WHERE classid <> {privileges.PG_DEFAULT_ACL} ORDER BY 1, 2, 3"
        )
        lists = [((row[0], row[1], row[2]), privileges.parse(row[3])) for row in rows]
        return tuple((key, acl) for key, acl in lists if any(role in (item.grantee, item.grantor) for item in acl))

    def view_reads(self, oid: int) -> tuple[tuple[Relation, tuple[int, ...]], ...]:
        """What a view reads: each relation with the numbers of the columns that are named."""
        db = "temp" if oid >= FIRST_TEMP_OID else "main"
        names: dict[int, list[str]] = {}
        for target, column in self._catalog.rows(
            f"SELECT refobjid, refcolumn FROM {db}.helios_depend WHERE objid = {oid}"
        ):
            names.setdefault(target, []).append(column)
        found = []
        for target, columns in names.items():
            relation = self._catalog.relation_by_oid(target)
            if relation is not None:
                numbers = tuple(column.attnum for column in relation.columns if column.name in columns)
                found.append((relation, numbers))
        return tuple(found)


def read_acls(catalog: SqliteCatalog, db: str) -> dict[tuple[int, int, int], Acl]:
    """All rights that somebody has changed, by (class, object, column)."""
    temporary = "SELECT classid, objid, objsubid, acl FROM temp.helios_privilege"
    try:
        rows = catalog.rows(catalog.privilege_rows if db == "main" else temporary)
    except apsw.SQLError:
        return {}
    return {(row[0], row[1], row[2]): privileges.parse(row[3]) for row in rows}


def read_authority(catalog: SqliteCatalog) -> Authority:
    """The roles of a database; the one it is born with in a file that has no roles."""
    try:
        rows = catalog.rows(
            "SELECT oid, rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, "
            "rolbypassrls, rolconnlimit, rolvaliduntil FROM main.helios_role"
        )
        members = catalog.rows("SELECT roleid, member, admin_option FROM main.helios_auth_member")
    except apsw.SQLError:
        return Authority.of([RoleFacts(BOOTSTRAP, "helios", superuser=True, can_login=True)], ())
    roles = [
        RoleFacts(
            row[0], row[1], bool(row[2]), bool(row[3]), bool(row[4]), bool(row[5]), bool(row[6]), bool(row[7]),
            bool(row[8]), row[9], row[10],
        )
        for row in rows
    ]  # fmt: skip
    owner = catalog.database.owner
    if owner != BOOTSTRAP:
        members = [*members, (DATABASE_OWNER, owner, 0)]
    return Authority.of(roles, members)


class RoleCatalog:
    """The part of ``SqliteCatalog`` that knows roles and rights."""

    def __init__(self) -> None:
        self.acting = EVERYTHING
        """As whom statements that change the schema are planned: set before each."""
        self.checks_bodies = True
        """Whether bodies of new functions are looked through, by ``check_function_bodies``: set before each, too."""
        self.session_value: Callable[[str], Any] = {"timezone": "UTC"}.__getitem__
        """The values of the session for which they are planned: set before each, too."""
        self._privileges: CatalogPrivileges | None = None

    @property
    def privileges(self) -> CatalogPrivileges:
        """Roles, owners and rights."""
        if self._privileges is None:
            self._privileges = CatalogPrivileges(cast("SqliteCatalog", self))
        return self._privileges

    def role(self, name: str) -> RoleDef | None:
        """A role by name."""
        found = self.privileges.authority().by_name.get(name)
        return RoleDef(found.oid, found.name, found.superuser, found.can_login) if found is not None else None


def missing_privileges(connection: apsw.Connection) -> tuple[str, ...]:
    """What makes the table of rights in a database that was born without it, with the rights that it has recorded;
    empty when it is there.
    """
    names = "SELECT name FROM main.sqlite_schema WHERE name IN ('helios_privilege', 'helios_acl')"
    found = {name for (name,) in connection.execute(names).fetchall()}
    if "helios_privilege" in found:
        return ()
    steps = [PRIVILEGE_TABLE.format(db="main")]
    if "helios_acl" in found:
        rows: list[Any] = connection.execute(
            "SELECT a.classid, a.objid, a.grantee, a.privilege, a.grantable, coalesce(r.relowner, n.nspowner, 10), "
            "coalesce(r.relkind, '') FROM main.helios_acl a LEFT JOIN main.helios_relation r ON r.oid = a.objid "
            "LEFT JOIN main.helios_namespace n ON n.oid = a.objid ORDER BY 1, 2, 3"
        ).fetchall()
        steps += [
            f"INSERT INTO main.helios_privilege VALUES ({class_oid}, {oid}, 0, '{privileges.dump(acl)}')"
            for (class_oid, oid), acl in _recorded(rows).items()
        ]
    return tuple(steps)


def _recorded(rows: list[Any]) -> dict[tuple[int, int], Acl]:
    found: dict[tuple[int, int], Acl] = {}
    kinds = {1262: privileges.DATABASE, 2615: privileges.SCHEMA}
    for class_oid, oid, grantee, name, grantable, owner, relkind in rows:
        kind = kinds.get(class_oid, privileges.SEQUENCE if relkind == "S" else privileges.TABLE)
        acl = found.get((class_oid, oid)) or birth_acl(class_oid, oid, owner) or privileges.default_acl(kind, owner)
        bit = privileges.NAMES[name]
        found[class_oid, oid] = privileges.granted(acl, AclItem(grantee, owner, bit, bit if grantable else 0), owner)
    return found
