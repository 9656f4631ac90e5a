"""CREATE, ALTER and DROP DATABASE (dbcommands.c). What depends on who is connected is looked at when they run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from helios_cli.engine.sql import privileges, tree
from helios_cli.engine.sql.database_copies import copied, dropped
from helios_cli.engine.sql.databases import ALIASES, FIRST_NAME, TEMPLATES, DatabaseFacts, own_text
from helios_cli.engine.sql.ddl_build import MAX_IDENTIFIER_BYTES, Builder
from helios_cli.engine.sql.ddl_grant import store
from helios_cli.engine.sql.ddl_schema import (
    CLUSTER_DESCRIPTION,
    CLUSTER_PRIVILEGE,
    DATABASE_OID,
    FIRST_OID,
    NEW_DATABASE,
)
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.privileges import PG_DATABASE
from helios_cli.engine.sql.sqltext import constant

_ENCODINGS: Final = frozenset(("utf8", "utf-8", "unicode", "6"))
_OTHER_ENCODINGS: Final = frozenset(
    (
        "sql_ascii", "sqlascii", "latin1", "latin2", "latin3", "latin4", "latin5", "latin6", "latin7", "latin8",
        "latin9", "latin10", "iso_8859_5", "iso_8859_6", "iso_8859_7", "iso_8859_8", "koi8r", "koi8u", "euc_jp",
        "euc_cn", "euc_kr", "euc_tw", "win866", "win874", "win1250", "win1251", "win1252", "win1253", "win1254",
        "win1255", "win1256", "win1257", "win1258",
    )
)  # fmt: skip
_LOCALES: Final = frozenset(("c", "posix", "c.utf-8", "c.utf8", "ucs_basic"))
_COLUMNS: Final = {
    "is_template": "datistemplate", "allow_connections": "datallowconn", "connection_limit": "datconnlimit",
}  # fmt: skip
_NEW: Final = frozenset(
    (
        *_COLUMNS, "owner", "template", "encoding", "strategy", "locale", "lc_collate", "lc_ctype", "locale_provider",
        "icu_locale", "collation_version", "tablespace", "oid", "location",
    )
)  # fmt: skip
_BOOLEANS: Final = {"true": 1, "on": 1, "1": 1, "false": 0, "off": 0, "0": 0}


@dataclass(frozen=True, slots=True)
class ChangeDatabase:
    """A statement over a whole database, which may run alone only."""

    tag: str
    unused: int = 0
    """The OID of the database that nobody may be connected to; 0: of none."""
    in_use: str = ""
    """What is said if somebody is."""
    force: bool = False
    """Those that are connected to it are ended."""
    drops: bool = False
    alone: bool = True
    """It may not be in a transaction block."""


@dataclass(frozen=True, slots=True)
class _Option:
    value: Any
    """None: DEFAULT."""
    location: int


def _options(builder: Builder, nodes: Iterable[dict[str, Any]], known: Iterable[str]) -> dict[str, _Option]:
    found: dict[str, _Option] = {}
    for node in nodes:
        element = node["DefElem"]
        name, at = element["defname"], element.get("location", -1)
        if name not in known:
            raise builder.error("42601", f'option "{name}" not recognized', at)
        if name in found:
            raise builder.error("42601", "conflicting or redundant options", at)
        argument = element.get("arg")
        found[name] = _Option(None if argument is None else _value(argument), at)
    return found


def _value(node: dict[str, Any]) -> Any:
    kind, fields = next(iter(node.items()))
    if kind == "Integer":
        return int(fields.get("ival", 0))
    if kind == "TypeName":
        return tree.strings(fields["names"])[-1]
    return next(iter(fields.values()), "")


def _number(builder: Builder, name: str, option: _Option) -> int:
    """The value of a column: of a Boolean 0 or 1, of the limit a number from -1 on."""
    if name == "connection_limit":
        if not isinstance(option.value, int):
            raise builder.error("42601", "connection_limit requires an integer value")
        if option.value < -1:
            raise builder.error("22023", f"invalid connection limit: {option.value}")
        return option.value
    found = _BOOLEANS.get(str(option.value).lower())
    if found is None:
        raise builder.error("42601", f"{name} requires a Boolean value")
    return found


def find(builder: Builder, name: str) -> DatabaseFacts:
    """A database by name. Raises SqlError 3D000."""
    found = builder.catalog.databases().get(name)
    if found is None:
        raise builder.error("3D000", f'database "{name}" does not exist')
    return found


def check_owner(builder: Builder, database: DatabaseFacts) -> None:
    """Raise SqlError 42501 unless the role owns a database."""
    if not builder.catalog.acting.unrestricted and not builder.rightful().owns(database.owner):
        raise builder.error("42501", f"must be owner of database {database.name}")


def _may_create(builder: Builder) -> bool:
    acting = builder.catalog.acting
    facts = builder.catalog.privileges.authority().by_oid.get(acting.oid)
    return acting.unrestricted or (facts is not None and (facts.superuser or facts.create_database))


def _check_member(builder: Builder, role: int) -> None:
    acting = builder.catalog.acting
    authority = builder.catalog.privileges.authority()
    if not acting.unrestricted and not authority.is_member(acting.oid, role):
        raise builder.error("42501", f'must be member of role "{authority.name(role)}"')


def _check_free(builder: Builder, name: str) -> None:
    if name in builder.catalog.databases() or name in ALIASES:
        raise builder.error("42P04", f'database "{name}" already exists')


# -- CREATE -----------------------------------------------------------------------------------------------------------


def create_database(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan CREATE DATABASE.

    Raises:
        SqlError: as PostgreSQL's createdb; 0A000 for other encodings, collations and tablespaces, and for copies of
            the first database.
    """
    name = fields["dbname"].encode()[:MAX_IDENTIFIER_BYTES].decode(errors="ignore")
    options = _options(builder, fields.get("options", []), _NEW)
    _check_storage(builder, options)
    columns = {
        _COLUMNS[key]: _number(builder, key, option)
        for key, option in options.items()
        if key in _COLUMNS and option.value is not None
    }
    owner = builder.catalog.acting.oid
    named = options.get("owner")
    if named is not None and named.value is not None:
        owner = builder.role_oid({"RoleSpec": {"roletype": "ROLESPEC_CSTRING", "rolename": named.value}})
    if not _may_create(builder):
        raise builder.error("42501", "permission denied to create database")
    _check_member(builder, owner)
    source = _template(builder, options.get("template"))
    _check_free(builder, name)
    number = options.get("oid")
    oid = _new_oid(builder) if number is None or number.value is None else _checked_oid(builder, int(number.value))
    builder.fk_off = builder.keys_unchecked = True
    if source is None:
        builder.add(*(own_text(oid, statement) for statement in NEW_DATABASE))
    else:
        builder.add(*copied(builder.catalog.file_objects(source.oid), source.oid, oid))
    values = {"oid": oid, "datname": name, "datdba": owner, **columns}
    listed = ", ".join(map(constant, values.values()))
    builder.add(f"INSERT INTO main.helios_database({', '.join(values)}) VALUES ({listed})")
    in_use = f'source database "{source.name}" is being accessed by other users' if source is not None else ""
    action = ChangeDatabase("CREATE DATABASE", source.oid if source is not None else 0, in_use)
    builder.touch(False)
    return builder.finish("CREATE DATABASE", action=action)


def _new_oid(builder: Builder) -> int:
    taken = {one.oid for one in builder.catalog.databases().values()}
    oid = builder.oid(False)
    while oid in taken:
        oid = builder.oid(False)
    return oid


def _checked_oid(builder: Builder, oid: int) -> int:
    if oid < FIRST_OID:
        raise builder.error("22023", f"OIDs less than {FIRST_OID} are reserved for system objects")
    for one in builder.catalog.databases().values():
        if one.oid == oid:
            detail = f'database OID {oid} is already used by database "{one.name}"'
            raise builder.error("22023", detail)
    return oid


def _template(builder: Builder, option: _Option | None) -> DatabaseFacts | None:
    """The database to copy; None: an empty one."""
    name = option.value if option is not None else None
    if name is None or name in TEMPLATES:
        return None
    found = builder.catalog.databases().get("heliosdb" if name == "postgres" else name)
    if found is None:
        raise builder.error("3D000", f'template database "{name}" does not exist')
    may_copy = found.is_template or builder.catalog.acting.unrestricted or builder.rightful().owns(found.owner)
    if not may_copy:
        raise builder.error("42501", f'permission denied to copy database "{name}"')
    if found.oid == DATABASE_OID:
        hint = "Use pg_dump and psql, or keep what is to be copied in a database of its own."
        raise builder.error("0A000", f'copying the database "{found.name}" is not supported', hint=hint)
    return found


def _check_storage(builder: Builder, options: dict[str, _Option]) -> None:
    """Refuse what no database here can be: another encoding, order of texts or place."""
    encoding = options.get("encoding")
    if encoding is not None and encoding.value is not None:
        folded = str(encoding.value).lower()
        known = folded.replace("-", "").replace("_", "")
        if folded not in _ENCODINGS and known not in _ENCODINGS:
            if isinstance(encoding.value, int):
                if not 0 <= encoding.value <= 41:
                    message = f"{encoding.value} is not a valid encoding code"
                    raise builder.error("42704", message, encoding.location)
            elif folded not in _OTHER_ENCODINGS:
                message = f"{encoding.value} is not a valid encoding name"
                raise builder.error("42704", message, encoding.location)
            hint = "Every database is UTF8; clients may speak other encodings (client_encoding)."
            raise builder.error("0A000", f"the encoding {encoding.value} of a database is not supported", hint=hint)
    for key in ("locale", "lc_collate", "icu_locale"):
        option = options.get(key)
        if option is not None and option.value is not None and str(option.value).lower() not in _LOCALES:
            hint = "The order of texts in a database is C; use COLLATE with a collation of ICU where another is wanted."
            raise builder.error("0A000", f'the locale "{option.value}" of a database is not supported', hint=hint)
    provider = options.get("locale_provider")
    if provider is not None and provider.value is not None and str(provider.value) != "libc":
        if provider.value != "icu":
            raise builder.error("22023", f"unrecognized locale provider: {provider.value}")
        if "icu_locale" not in options:
            raise builder.error("22023", "ICU locale must be specified")
        raise builder.error("0A000", "the locale provider icu of a database is not supported")
    strategy = options.get("strategy")
    if strategy is not None and strategy.value is not None and strategy.value not in ("wal_log", "file_copy"):
        hint = 'Valid strategies are "wal_log" and "file_copy".'
        raise builder.error("22023", f'invalid create database strategy "{strategy.value}"', hint=hint)
    _check_tablespace(builder, options)


def _check_tablespace(builder: Builder, options: dict[str, _Option]) -> None:
    option = options.get("tablespace")
    if option is not None and option.value not in (None, "pg_default"):
        if option.value == "pg_global":
            raise builder.error("22023", "pg_global cannot be used as default tablespace")
        raise builder.error("42704", f'tablespace "{option.value}" does not exist')


# -- DROP -------------------------------------------------------------------------------------------------------------


def drop_database(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan DROP DATABASE.

    Raises:
        SqlError: 3D000 no such database, 42501 it is another's, 55006 it is the one that is open, 42809 a template.
    """
    name = fields["dbname"]
    if fields.get("missing_ok") and name not in builder.catalog.databases() and name not in ALIASES:
        builder.notices.append(f'database "{name}" does not exist, skipping')
        return builder.finish("DROP DATABASE", action=ChangeDatabase("DROP DATABASE"))
    if name in TEMPLATES:
        raise builder.error("42809", "cannot drop a template database")
    database = find(builder, name)
    check_owner(builder, database)
    if database.is_template:
        raise builder.error("42809", "cannot drop a template database")
    if database.oid == builder.catalog.database.oid:
        raise builder.error("55006", "cannot drop the currently open database")
    if database.oid == DATABASE_OID:
        hint = "The node was born with it, and it holds the system's own tables."
        raise builder.error("0A000", f'dropping the database "{name}" is not supported', hint=hint)
    builder.fk_off = builder.keys_unchecked = True
    builder.add(
        *dropped(builder.catalog.file_objects(database.oid)),
        f"DELETE FROM main.helios_db_role_setting WHERE setdatabase = {database.oid}",
        f"DELETE FROM {CLUSTER_PRIVILEGE} WHERE classid = {PG_DATABASE} AND objid = {database.oid}",
        f"DELETE FROM {CLUSTER_DESCRIPTION} WHERE classoid = {PG_DATABASE} AND objoid = {database.oid}",
        f"DELETE FROM main.helios_database WHERE oid = {database.oid}",
    )
    force = any(node["DefElem"]["defname"] == "force" for node in fields.get("options", []))
    in_use = f'database "{name}" is being accessed by other users'
    builder.touch(False)
    return builder.finish(
        "DROP DATABASE", action=ChangeDatabase("DROP DATABASE", database.oid, in_use, force=force, drops=True)
    )


# -- ALTER ------------------------------------------------------------------------------------------------------------


def alter_database(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER DATABASE ... IS_TEMPLATE, ALLOW_CONNECTIONS, CONNECTION LIMIT, SET TABLESPACE.

    Raises:
        SqlError: 3D000, 42501, 42601 no such option, 22023, 42704 no such tablespace.
    """
    options = _options(builder, fields.get("options", []), (*_COLUMNS, "tablespace"))
    columns = {_COLUMNS[key]: _number(builder, key, option) for key, option in options.items() if key in _COLUMNS}
    _check_tablespace(builder, options)
    database = find(builder, fields["dbname"])
    check_owner(builder, database)
    if columns.get("datallowconn") == 0 and database.oid == builder.catalog.database.oid:
        raise builder.error("22023", "cannot disallow connections for current database")
    return _changed(builder, database, columns)


def rename_database(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER DATABASE ... RENAME TO.

    Raises:
        SqlError: 3D000, 42501, 42P04 the name is taken, 0A000 it is the one that is open, or the first one.
    """
    database, name = find(builder, fields["subname"]), fields["newname"]
    check_owner(builder, database)
    if not _may_create(builder):
        raise builder.error("42501", "permission denied to rename database")
    _check_free(builder, name)
    if database.oid == builder.catalog.database.oid:
        raise builder.error("0A000", "current database cannot be renamed")
    if database.oid == DATABASE_OID:
        raise builder.error("0A000", f'renaming the database "{FIRST_NAME}" is not supported')
    in_use = f'database "{database.name}" is being accessed by other users'
    action = ChangeDatabase("ALTER DATABASE", database.oid, in_use, alone=False)
    return _changed(builder, database, {"datname": name}, action)


def own_database(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER DATABASE ... OWNER TO. Raises SqlError 3D000, 42704, 42501."""
    role = builder.role_oid(fields["newowner"])
    database = find(builder, fields["object"]["String"]["sval"])
    if role != database.owner:
        check_owner(builder, database)
        _check_member(builder, role)
        if not _may_create(builder):
            raise builder.error("42501", "permission denied to change owner of database")
    give_database(builder, database, role)
    return builder.finish("ALTER DATABASE")


def give_database(builder: Builder, database: DatabaseFacts, role: int) -> None:
    """Make a role the owner of a database, and of the rights on it that its owner had."""
    acl = builder.catalog.privileges.acl(PG_DATABASE, database.oid)
    if acl is not None:
        store(builder, (PG_DATABASE, database.oid, 0), privileges.with_owner(acl, database.owner, role))
    _change(builder, database, {"datdba": role})


def refresh_database(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER DATABASE ... REFRESH COLLATION VERSION: that of C never changes. Raises SqlError 3D000, 42501."""
    check_owner(builder, find(builder, fields["dbname"]))
    builder.notices.append("version has not changed")
    return builder.finish("ALTER DATABASE")


def _changed(
    builder: Builder, database: DatabaseFacts, columns: dict[str, Any], action: ChangeDatabase | None = None
) -> Plan:
    if columns:
        _change(builder, database, columns)
    return builder.finish("ALTER DATABASE", action=action)


def _change(builder: Builder, database: DatabaseFacts, columns: dict[str, Any]) -> None:
    sets = ", ".join(f"{column} = {constant(value)}" for column, value in columns.items())
    builder.add(f"UPDATE main.helios_database SET {sets} WHERE oid = {database.oid}")
    builder.touch(False)
