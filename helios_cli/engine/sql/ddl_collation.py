"""CREATE, ALTER and DROP COLLATION."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import tree
from helios_cli.engine.sql.ddl_build import Builder, list_names, unsupported
from helios_cli.engine.sql.ddl_ownership import new_owner
from helios_cli.engine.sql.expressions import find_collation
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.privileges import CREATE
from helios_cli.engine.sql.rights import not_owner
from helios_cli.engine.sql.sqltext import constant
from helios_cli.engine.sql.text_collations import META_KEY, C, Collation, check_available

PG_COLLATION: Final = 3456
_OPTIONS: Final = frozenset(("from", "locale", "lc_collate", "lc_ctype", "provider", "deterministic", "version"))
_C_LOCALES: Final = frozenset(("C", "POSIX", "C.UTF-8", "C.utf8"))
_FALSE: Final = frozenset(("false", "off", "0", "f"))


def create_collation(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan CREATE COLLATION.

    Raises:
        SqlError: 42710 it is there, 42P17 or 42601 the options do not go together; 0A000 a locale of the C library.
    """
    schema, name = _place(builder, tree.strings(fields["defnames"]))
    options = _options(builder, fields.get("definition", []))
    if builder.catalog.collation(schema, name) is not None:
        message = f'collation "{name}" already exists'
        if fields.get("if_not_exists"):
            builder.notices.append(f"{message}, skipping")
            return builder.finish("CREATE COLLATION")
        raise builder.error("42710", message)
    if "from" in options:
        source = find_collation(options["from"], builder.context())
        if source.provider == "d":
            raise builder.error("42P17", 'collation "default" cannot be copied')
        made = replace(source, oid=builder.oid(False), schema=schema, name=name, owner=builder.catalog.acting.oid)
    else:
        made = _defined(builder, options, schema, name)
    check_available(made)
    builder.add(_insert(made))
    return builder.finish("CREATE COLLATION")


def _place(builder: Builder, names: list[str]) -> tuple[str, str]:
    schema = names[-2] if len(names) > 1 else builder.default_schema()
    if builder.catalog.schema_oid(schema) is None:
        raise builder.error("3F000", f'schema "{schema}" does not exist')
    return schema, names[-1]


def _options(builder: Builder, nodes: list[dict[str, Any]]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for node in nodes:
        element = node["DefElem"]
        name, at = element["defname"], element.get("location", -1)
        if name not in _OPTIONS:
            raise builder.error("42601", f'collation attribute "{name}" not recognized', at)
        if name in out:
            raise builder.error("42601", "conflicting or redundant options", at)
        out[name] = _value(element.get("arg", {}), name)
    if "from" in out and len(out) > 1:
        detail = "FROM cannot be specified together with any other options."
        raise builder.error("42601", "conflicting or redundant options", detail=detail)
    if "locale" in out and ("lc_collate" in out or "lc_ctype" in out):
        detail = "LOCALE cannot be specified together with LC_COLLATE or LC_CTYPE."
        raise builder.error("42601", "conflicting or redundant options", detail=detail)
    return out


def _value(node: dict[str, Any], name: str) -> Any:
    if name == "from":
        return list_names(node) if "List" in node else tree.strings(node["TypeName"]["names"])
    if "String" in node:
        return node["String"]["sval"]
    if "TypeName" in node:
        return ".".join(tree.strings(node["TypeName"]["names"]))
    if "Boolean" in node:
        return "true" if node["Boolean"].get("boolval") else "false"
    return str(node.get("Integer", {}).get("ival", 0))


def _defined(builder: Builder, options: dict[str, Any], schema: str, name: str) -> Collation:
    owner = builder.catalog.acting.oid
    provider = str(options.get("provider", "libc")).lower()
    deterministic = str(options.get("deterministic", "true")).lower() not in _FALSE
    if provider not in ("icu", "libc"):
        raise builder.error("42P17", f"unrecognized collation provider: {provider}")
    if provider == "icu":
        if "locale" not in options:
            raise builder.error("42P17", 'parameter "locale" must be specified')
        locale = str(options["locale"])
        return Collation(builder.oid(False), schema, name, "i", locale, deterministic, shown=locale, owner=owner)
    collate, ctype = (options.get(key, options.get("locale")) for key in ("lc_collate", "lc_ctype"))
    for key, given in (("lc_collate", collate), ("lc_ctype", ctype)):
        if given is None:
            raise builder.error("42P17", f'parameter "{key}" must be specified')
    if not deterministic:
        raise builder.error("0A000", "nondeterministic collations not supported with this provider")
    if not {collate, ctype} <= _C_LOCALES:
        raise unsupported(f'the locale "{collate}" of the C library', "Use PROVIDER = icu, or the locale C.")
    return Collation(builder.oid(False), schema, name, "c", C, shown=str(collate), owner=owner)


def _key(collation: Collation) -> str:
    facts = [
        collation.schema, collation.name, collation.provider, collation.locale, collation.deterministic,
        collation.shown, collation.owner,
    ]  # fmt: skip
    return constant(META_KEY + json.dumps(facts))


def _insert(collation: Collation) -> str:
    return f"INSERT INTO main.helios_meta(key, value) VALUES ({_key(collation)}, {collation.oid})"


def _own(builder: Builder, names: list[str]) -> Collation:
    """A collation that may be changed. Raises SqlError 42704, or 42501 for one that every database has."""
    found = find_collation(names, builder.context())
    if found.schema == "pg_catalog":
        raise builder.error("42501", f"must be owner of collation {found.name}")
    if not builder.catalog.acting.unrestricted and not builder.rightful().owns(found.owner):
        raise not_owner("collation", found.name)
    return found


def _change(builder: Builder, found: Collation, **facts: Any) -> Plan:
    changed = replace(found, **facts)
    builder.add(f"UPDATE main.helios_meta SET key = {_key(changed)} WHERE key = {_key(found)}")
    return builder.finish("ALTER COLLATION")


def rename_collation(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER COLLATION ... RENAME TO. Raises SqlError 42704, 42710."""
    found, new = _own(builder, list_names(fields["object"])), fields["newname"]
    builder.rightful().check_schema(found.schema, CREATE)
    _check_free(builder, found.schema, new)
    return _change(builder, found, name=new)


def move_collation(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER COLLATION ... SET SCHEMA. Raises SqlError 42704, 3F000, 42710."""
    found = _own(builder, list_names(fields["object"]))
    schema, _name = _place(builder, [fields["newschema"], found.name])
    _check_free(builder, schema, found.name)
    return _change(builder, found, schema=schema)


def own_collation(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER COLLATION ... OWNER TO. Raises SqlError 42704."""
    found = _own(builder, list_names(fields["object"]))
    return _change(builder, found, owner=new_owner(builder, fields["newowner"], found.owner, found.schema))


def refresh_collation(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER COLLATION ... REFRESH VERSION, which finds the version in use. Raises SqlError 42704."""
    find_collation(tree.strings(fields["collname"]), builder.context())
    builder.notices.append("version has not changed")
    return builder.finish("ALTER COLLATION")


def _check_free(builder: Builder, schema: str, name: str) -> None:
    if builder.catalog.collation(schema, name) is not None:
        message = f'collation "{name}" already exists in schema "{schema}"'
        raise builder.error("42710", message)


def drop_collations(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan DROP COLLATION.

    Raises:
        SqlError: 42704 there is none, 2BP01 a column has it; 0A000 the same with CASCADE.
    """
    for node in fields["objects"]:
        names = list_names(node)
        found = builder.catalog.collation(names[-2] if len(names) > 1 else None, names[-1])
        if found is None and fields.get("missing_ok"):
            builder.notices.append(f'collation "{".".join(names)}" does not exist, skipping')
            continue
        found = _own(builder, names)
        _check_unused(builder, found, cascade=fields.get("behavior") == "DROP_CASCADE")
        builder.add(f"DELETE FROM main.helios_meta WHERE key = {_key(found)}")
    return builder.finish("DROP COLLATION")


def drop_collations_of(builder: Builder, schema: str, *, cascade: bool) -> None:
    """Drop the collations of a schema that is dropped. Raises SqlError 2BP01 without CASCADE."""
    for found in builder.catalog.user_collations():
        if found.schema != schema:
            continue
        if not cascade:
            raise SqlError(
                f"cannot drop schema {schema} because other objects depend on it", sqlstate="2BP01",
                detail=f"collation {schema}.{found.name} depends on schema {schema}",
                hint="Use DROP ... CASCADE to drop the dependent objects too.",
            )  # fmt: skip
        _check_unused(builder, found, cascade=True)
        builder.add(f"DELETE FROM main.helios_meta WHERE key = {_key(found)}")


def move_collations_of(builder: Builder, old: str, new: str) -> None:
    """Keep the collations of a schema that gets another name."""
    for found in builder.catalog.user_collations():
        if found.schema == old:
            changed = replace(found, schema=new)
            builder.add(f"UPDATE main.helios_meta SET key = {_key(changed)} WHERE key = {_key(found)}")


def _check_unused(builder: Builder, found: Collation, *, cascade: bool) -> None:
    used = builder.catalog.collated_column(found)
    if used is None:
        return
    if cascade:
        raise unsupported("DROP COLLATION ... CASCADE of a collation that columns have", "Drop the columns first.")
    raise SqlError(
        f"cannot drop collation {found.name} because other objects depend on it",
        sqlstate="2BP01",
        detail=f"column {used[1]} of table {used[0]} depends on collation {found.name}",
        hint="Use DROP ... CASCADE to drop the dependent objects too.",
    )
