"""ALTER ROLE ... SET and ALTER DATABASE ... SET: parameters that sessions begin with.

They are checked here, kept in ``helios_db_role_setting``, and applied when a session begins.
"""

from __future__ import annotations

from typing import Any, Final

from helios_cli.engine.datatypes.zoned import find_zone, hours_east
from helios_cli.engine.sql.databases import DatabaseFacts
from helios_cli.engine.sql.ddl_build import Builder
from helios_cli.engine.sql.ddl_database import check_owner
from helios_cli.engine.sql.ddl_database import find as find_database
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.sqltext import quote_string
from helios_cli.engine.sql.utility import NAME_LISTS, setting_text
from helios_cli.engine.sql.variables import find

_FIXED: Final = {"h": " now", "p": " without restarting the server", "n": ""}
"""What is said of parameters that no session may change, by :attr:`Variable.context`."""
EVERYBODY: Final = 0
"""The role of a setting for all roles, and the database of one for all databases."""


def alter_role_set(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER ROLE name | ALL [IN DATABASE name] SET | RESET.

    Raises:
        SqlError: 42704 no such role or parameter, 3D000 no such database, 42501 not the role's to do, 22023.
    """
    acting = builder.catalog.acting
    database = find_database(builder, fields["database"]) if "database" in fields else None
    if "role" not in fields:
        if database is not None:
            check_owner(builder, database)
        elif not acting.unrestricted:
            raise builder.error("42501", "must be superuser to alter settings globally")
        return _set(builder, "ALTER ROLE", _oid(database), EVERYBODY, fields["setstmt"])
    oid = builder.role_oid(fields["role"])
    if not acting.unrestricted:
        authority = builder.catalog.privileges.authority()
        if authority.by_oid[oid].superuser:
            raise builder.error("42501", "must be superuser to alter superusers")
        own = authority.by_oid.get(acting.oid)
        if oid != acting.oid and (own is None or not own.create_role):
            raise builder.error("42501", "permission denied")
    return _set(builder, "ALTER ROLE", _oid(database), oid, fields["setstmt"])


def _oid(database: DatabaseFacts | None) -> int:
    return database.oid if database is not None else EVERYBODY


def alter_database_set(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER DATABASE name SET | RESET.

    Raises:
        SqlError: 42704 no such parameter, 3D000 no such database, 42501 not the role's to do, 22023.
    """
    database = find_database(builder, fields["dbname"])
    check_owner(builder, database)
    return _set(builder, "ALTER DATABASE", database.oid, EVERYBODY, fields["setstmt"])


def _set(builder: Builder, tag: str, database: int, role: int, statement: dict[str, Any]) -> Plan:
    kind, name = statement["kind"], statement.get("name", "")
    where = f"setdatabase = {database} AND setrole = {role}"
    if kind == "VAR_RESET_ALL":
        builder.add(f"DELETE FROM main.helios_db_role_setting WHERE {where}")
        return builder.finish(tag)
    variable = find(name)
    folded = variable.name.lower()
    if kind in ("VAR_SET_DEFAULT", "VAR_RESET"):
        builder.add(f"DELETE FROM main.helios_db_role_setting WHERE {where} AND name = {quote_string(folded)}")
        return builder.finish(tag)
    if kind != "VAR_SET_VALUE":
        raise builder.error("0A000", f"{tag} ... SET FROM CURRENT is not supported", hint="Name the value.")
    if variable.context in _FIXED:
        raise builder.error("55P02", f'parameter "{variable.name}" cannot be changed{_FIXED[variable.context]}')
    value = setting_text(statement.get("args", []), quoted=folded in NAME_LISTS)
    checked = variable.check(variable.name, value)
    if folded == "timezone" and find_zone(checked) is None and hours_east(checked) is None:
        raise builder.error("22023", f'invalid value for parameter "TimeZone": "{value}"')
    builder.add(
        "INSERT INTO main.helios_db_role_setting(setdatabase, setrole, name, shown, value) VALUES "
        f"({database}, {role}, {quote_string(folded)}, {quote_string(variable.name)}, {quote_string(value)}) "
        "ON CONFLICT (setdatabase, setrole, name) DO UPDATE SET value = excluded.value"
    )
    return builder.finish(tag)
