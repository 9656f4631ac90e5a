"""Backslash commands: most are a query of the catalog, the others change the shell. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_SYSTEM: Final = "('pg_catalog', 'information_schema', 'pg_toast')"


@dataclass(frozen=True, slots=True)
class Meta:
    """One backslash command."""

    usage: str
    help: str


HELP: Final = (
    Meta("\\d [NAME]", "tables, views and sequences, or the columns and indexes of one"),
    Meta("\\dt \\di \\dv \\ds", "tables, indexes, views, sequences; a pattern may follow"),
    Meta("\\dn \\du \\df", "schemas, roles, functions of the database"),
    Meta("\\l", "databases"),
    Meta("\\x [on|off]", "one column a line"),
    Meta("\\timing [on|off]", "show how long each statement took"),
    Meta("\\i FILE", "run the statements of a file"),
    Meta("\\o [FILE]", "send results to a file, or back to the terminal"),
    Meta("\\e [FILE]", "edit the last statement, or a file, and run it"),
    Meta("\\echo TEXT", "print a text"),
    Meta("\\conninfo", "whom the shell talks to"),
    Meta("\\? ", "this list"),
    Meta("\\q", "leave"),
)

_KINDS: Final = {"t": "'r', 'p'", "i": "'i', 'I'", "v": "'v', 'm'", "s": "'S'", "": "'r', 'p', 'v', 'm', 'S'"}

_SCHEMAS: Final = (
    'SELECT n.nspname AS "Name", pg_catalog.pg_get_userbyid(n.nspowner) AS "Owner" FROM pg_catalog.pg_namespace n '
    "WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1"
)
_ROLES: Final = (
    'SELECT rolname AS "Role name", rolsuper AS "Superuser", rolcanlogin AS "Can log in" '
    "FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_' ORDER BY 1"
)
_DATABASES: Final = (
    'SELECT d.datname AS "Name", pg_catalog.pg_get_userbyid(d.datdba) AS "Owner", '
    'pg_catalog.pg_encoding_to_char(d.encoding) AS "Encoding" FROM pg_catalog.pg_database d ORDER BY 1'
)
_FUNCTIONS: Final = (
    'SELECT n.nspname AS "Schema", p.proname AS "Name" FROM pg_catalog.pg_proc p '
    "JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace "
    f"WHERE n.nspname NOT IN {_SYSTEM} ORDER BY 1, 2"
)


def literal(text: str) -> str:
    """A SQL string."""
    return "'" + text.replace("'", "''") + "'"


def relations_query(kind: str, pattern: str) -> str:
    """Relations of a kind (``t``, ``i``, ``v``, ``s`` or empty for all but indexes); ``*`` and ``?`` in patterns."""
    condition = f"c.relkind IN ({_KINDS[kind]}) AND n.nspname NOT IN {_SYSTEM}"
    schema, dot, name = pattern.rpartition(".")
    if dot:
        condition += f" AND n.nspname LIKE {literal(like(schema))}"
    if name:
        condition += f" AND c.relname LIKE {literal(like(name))}"
    return (
        "SELECT n.nspname AS \"Schema\", c.relname AS \"Name\", CASE c.relkind WHEN 'r' THEN 'table' "
        "WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' "
        "WHEN 'i' THEN 'index' WHEN 'S' THEN 'sequence' ELSE 'other' END AS \"Type\", "
        'pg_catalog.pg_get_userbyid(c.relowner) AS "Owner" FROM pg_catalog.pg_class c '
        f"JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE {condition} ORDER BY 1, 2"
    )


def like(pattern: str) -> str:
    """A pattern with ``*`` and ``?`` as LIKE takes it; unquoted names are folded to lower case."""
    text = pattern[1:-1] if len(pattern) > 1 and pattern[0] == pattern[-1] == '"' else pattern.lower()
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%").replace("?", "_")


def _oid_of(name: str) -> str:
    return f"{literal(name)}::regclass"


def describe_queries(name: str) -> list[tuple[str, str]]:
    r"""Heading and query for each part of ``\d NAME``; parts without rows are not printed, but for the first."""
    oid = _oid_of(name)
    columns = (
        'SELECT a.attname AS "Column", pg_catalog.format_type(a.atttypid, a.atttypmod) AS "Type", '
        "CASE WHEN a.attnotnull THEN 'not null' ELSE '' END AS \"Nullable\", "
        'pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS "Default" FROM pg_catalog.pg_attribute a '
        "LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum "
        f"WHERE a.attrelid = {oid} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
    )
    indexes = (
        'SELECT c.relname AS "Index", pg_catalog.pg_get_indexdef(i.indexrelid) AS "Definition" '
        "FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid "
        f"WHERE i.indrelid = {oid} ORDER BY 1"
    )
    constraints = (
        'SELECT conname AS "Constraint", pg_catalog.pg_get_constraintdef(oid) AS "Definition" '
        f"FROM pg_catalog.pg_constraint WHERE conrelid = {oid} ORDER BY 1"
    )
    return [("Columns", columns), ("Indexes", indexes), ("Constraints", constraints)]


def catalog_query(command: str, pattern: str) -> str | None:
    """The query of a backslash command that lists things; None when it is none of those."""
    name = command.rstrip("+").lstrip("\\")
    if name == "d" and not pattern:
        return relations_query("", "")
    if len(name) == 2 and name[0] == "d" and name[1] in "tivs":
        return relations_query(name[1], pattern)
    return {"dn": _SCHEMAS, "du": _ROLES, "dg": _ROLES, "l": _DATABASES, "df": _FUNCTIONS}.get(name)


def switch(current: bool, argument: str) -> bool:
    """A toggle, or what ``on`` and ``off`` say.

    Raises:
        ValueError: another word.
    """
    word = argument.strip().lower()
    if not word:
        return not current
    if word in ("on", "true", "1", "yes"):
        return True
    if word in ("off", "false", "0", "no"):
        return False
    raise ValueError(f"unrecognized value {argument!r}: on or off is expected")
