"""CREATE, DROP and ALTER EXTENSION."""

from __future__ import annotations

from typing import Any

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.ddl_build import Builder
from helios_cli.engine.sql.ddl_dropping import drop_things
from helios_cli.engine.sql.ddl_thing import EXTENSION, Thing
from helios_cli.engine.sql.extensions import EXTENSIONS, META_KEY, PLPGSQL, Extension
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.sqltext import constant


def _available(builder: Builder, name: str) -> Extension:
    found = EXTENSIONS.get(name)
    if found is None:
        raise builder.error(
            "0A000",
            f'extension "{name}" is not available',
            detail=f'Could not open extension control file "{name}.control": No such file or directory.',
            hint="The extension must first be installed on the system where PostgreSQL is running.",
        )
    return found


def create_extension(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan CREATE EXTENSION.

    Raises:
        SqlError: 42710 it is there, 3F000 no such schema; 0A000 it is none of those that are built in.
    """
    name = fields["extname"]
    if name in builder.catalog.extensions():
        if fields.get("if_not_exists"):
            builder.notices.append(f'extension "{name}" already exists, skipping')
            return builder.finish("CREATE EXTENSION")
        raise builder.error("42710", f'extension "{name}" already exists')
    _available(builder, name)
    options = {node["DefElem"]["defname"]: node["DefElem"].get("arg") for node in fields.get("options", [])}
    schema = options["schema"]["String"]["sval"] if options.get("schema") else builder.default_schema()
    if builder.catalog.schema_oid(schema) is None:
        raise builder.error("3F000", f'schema "{schema}" does not exist')
    key = constant(f"{META_KEY}{name} {schema}")
    builder.add(f"INSERT INTO main.helios_meta(key, value) VALUES ({key}, {builder.oid(False)})")
    return builder.finish("CREATE EXTENSION")


def alter_extension(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER EXTENSION ... UPDATE, which finds the newest version in place.

    Raises:
        SqlError: 42704 no such extension.
    """
    name = fields["extname"]
    if name not in builder.catalog.extensions():
        raise builder.error("42704", f'extension "{name}" does not exist')
    builder.notices.append(f'version "{_available(builder, name).version}" of extension "{name}" is already installed')
    return builder.finish("ALTER EXTENSION")


def drop_extension(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan DROP EXTENSION.

    Raises:
        SqlError: 42704 no such extension; 2BP01 something has one of its types, and it is no CASCADE.
    """
    things = []
    for node in fields["objects"]:
        name = node["String"]["sval"]
        known = builder.catalog.extensions().get(name)
        if known is None:
            if not fields.get("missing_ok"):
                raise builder.error("42704", f'extension "{name}" does not exist')
            builder.notices.append(f'extension "{name}" does not exist, skipping')
            continue
        if name == PLPGSQL.name:
            raise SqlError(
                "cannot drop extension plpgsql because it is required by the database system", sqlstate="2BP01"
            )
        things.append(Thing(EXTENSION, known[0]))
    drop_things(builder, things, fields)
    return builder.finish("DROP EXTENSION")


__all__ = ["alter_extension", "create_extension", "drop_extension"]
