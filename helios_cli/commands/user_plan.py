"""What the verbs of ``user`` come to in SQL. Pure: a list of statements that a person can read before it runs."""

from __future__ import annotations

from typing import Final

import typer

PRESETS: Final = ("read-only", "read-write", "admin")
_RIGHTS: Final = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "USAGE", "ALL")
_MEMBERSHIPS: Final = {
    "read-only": ("pg_read_all_data",), "read-write": ("pg_read_all_data", "pg_write_all_data"), "admin": (),
}  # fmt: skip


def quoted(name: str) -> str:
    """An identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A string constant."""
    return "'" + text.replace("'", "''") + "'"


def options_of(
    *,
    login: bool | None = None,
    superuser: bool | None = None,
    replication: bool | None = None,
    create_roles: bool | None = None,
    connection_limit: int | None = None,
    valid_until: str | None = None,
    verifier: str | None = None,
) -> list[str]:
    """Options of CREATE and ALTER ROLE; what is None is left out. The password comes last."""
    flags = {"LOGIN": login, "SUPERUSER": superuser, "REPLICATION": replication, "CREATEROLE": create_roles}
    options = [word if wanted else f"NO{word}" for word, wanted in flags.items() if wanted is not None]
    if connection_limit is not None:
        options.append(f"CONNECTION LIMIT {connection_limit}")
    if valid_until is not None:
        options.append(f"VALID UNTIL {literal(valid_until)}")
    if verifier is not None:
        options.append(f"PASSWORD {literal(verifier)}")
    return options


def create_steps(
    name: str, options: list[str], preset: str | None, member_of: list[str], schemas: list[str]
) -> list[str]:
    """Statements that make a role."""
    steps = [f"CREATE ROLE {quoted(name)} {' '.join(options)}".rstrip()]
    if preset is not None:
        steps += preset_steps(name, preset, schemas, giving=True)
    return steps + [f"GRANT {quoted(role)} TO {quoted(name)}" for role in member_of]


def preset_steps(name: str, preset: str, schemas: list[str], *, giving: bool) -> list[str]:
    """Statements that give or take a preset's rights: every table, and for read-write every sequence, too."""
    verb, link = ("GRANT", "TO") if giving else ("REVOKE", "FROM")
    role = quoted(name)
    if preset == "admin":
        return [] if giving else [f"ALTER ROLE {role} NOSUPERUSER"]
    steps = [f"{verb} {group} {link} {role}" for group in _MEMBERSHIPS[preset]]
    if preset == "read-write":
        rights = "USAGE, SELECT, UPDATE"
        steps += [f"{verb} {rights} ON ALL SEQUENCES IN SCHEMA {quoted(schema)} {link} {role}" for schema in schemas]
        steps.append(f"ALTER DEFAULT PRIVILEGES {verb} {rights} ON SEQUENCES {link} {role}")
    return steps


def grant_steps(name: str, what: str, on: str | None, schemas: list[str], *, giving: bool) -> list[str]:
    """Statements of ``user grant`` and ``user revoke``.

    Raises:
        typer.BadParameter: a right that does not exist, or none where --on was given.
    """
    verb, link = ("GRANT", "TO") if giving else ("REVOKE", "FROM")
    if what in PRESETS:
        if what == "admin" and giving:
            return [f"ALTER ROLE {quoted(name)} SUPERUSER"]
        return preset_steps(name, what, schemas, giving=giving)
    if on is None:
        return [f"{verb} {quoted(what)} {link} {quoted(name)}"]
    rights = [part.strip().upper() for part in what.split(",")]
    for right in rights:
        if right not in _RIGHTS:
            raise typer.BadParameter(f"{right!r} is no right: {', '.join(_RIGHTS)}")
    return [f"{verb} {', '.join(rights)} ON {_target(on)} {link} {quoted(name)}"]


def _target(text: str) -> str:
    schema, dot, relation = text.rpartition(".")
    if relation == "*":
        return f"ALL TABLES IN SCHEMA {quoted(schema or 'public')}"
    return f"{quoted(schema)}.{quoted(relation)}" if dot else quoted(relation)


def drop_steps(name: str, reassign_to: str | None) -> list[str]:
    """Statements that drop a role, and before that what would keep it."""
    steps = []
    if reassign_to is not None:
        steps = [f"REASSIGN OWNED BY {quoted(name)} TO {quoted(reassign_to)}", f"DROP OWNED BY {quoted(name)}"]
    return [*steps, f"DROP ROLE {quoted(name)}"]
