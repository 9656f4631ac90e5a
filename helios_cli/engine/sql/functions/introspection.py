"""What pg_dump, psql and graphical clients ask beside the catalogs themselves (PostgreSQL manual, 9.26)."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from helios_cli.engine.datatypes.arrays import read_array
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.functions.define import Library
from helios_cli.engine.sql.remembered import remembered

_DEFAULT_RIGHTS: Final = {
    "r": ("arwdDxt", ""), "s": ("rwU", ""), "d": ("CTc", "Tc"), "f": ("X", "X"), "l": ("U", "U"), "n": ("UC", ""),
    "T": ("U", "U"), "t": ("C", ""), "F": ("U", ""), "S": ("U", ""), "L": ("rw", ""), "p": ("sA", ""), "c": ("", ""),
}  # fmt: skip
"""By the kind of object: the rights of its owner and those of everybody (acl.c)."""
_PRIVILEGES: Final = {
    "a": "INSERT", "r": "SELECT", "w": "UPDATE", "d": "DELETE", "D": "TRUNCATE", "x": "REFERENCES", "t": "TRIGGER",
    "X": "EXECUTE", "U": "USAGE", "C": "CREATE", "T": "TEMPORARY", "c": "CONNECT", "s": "SET", "A": "ALTER SYSTEM",
}  # fmt: skip
_ITEM: Final = re.compile(r'("(?:[^"]|"")*"|[^=]*)=([a-zA-Z*]*)/("(?:[^"]|"")*"|.*)')
_SIZE: Final = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([a-zA-Z]*)\s*")
_UNITS: Final = {"": 1, "bytes": 1, "b": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30, "tb": 1 << 40, "pb": 1 << 50}


def acl_default(kind: str, owner: str) -> str:
    """acldefault: the rights of an object that nobody has granted anything on."""
    if kind not in _DEFAULT_RIGHTS:
        raise SqlError(f"unrecognized object type abbreviation: {kind}", sqlstate="XX000")
    own, everybody = _DEFAULT_RIGHTS[kind]
    items = [f"={everybody}/{owner}"] if everybody else []
    items += [f"{owner}={own}/{owner}"] if own else []
    return "{" + ",".join(f'"{item}"' if " " in item else item for item in items) + "}"


def acl_explode(items: str) -> str:
    """aclexplode, with names in the place of OIDs."""
    rows = []
    for item in read_array(items, str).items:
        match = _ITEM.fullmatch(str(item))
        if match is None:
            raise SqlError(f'invalid input syntax for type aclitem: "{item}"', sqlstate="22P02")
        for letter, star in re.findall(r"([a-zA-Z])(\*?)", match[2]):
            rows.append([match[3].strip('"'), match[1].strip('"'), _PRIVILEGES.get(letter, letter), int(bool(star))])
    return json.dumps(rows)


def size_bytes(text: str) -> int:
    """pg_size_bytes. Raises SqlError 22023."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise SqlError(f'invalid size: "{text}"', sqlstate="22023")
    if match[2].lower() not in _UNITS:
        raise SqlError(
            f'invalid size: "{text}"', sqlstate="22023", detail=f'Invalid size unit: "{match[2]}".',
            hint='Valid units are "bytes", "B", "kB", "MB", "GB", "TB", and "PB".',
        )  # fmt: skip
    return round(float(match[1]) * _UNITS[match[2].lower()])


@remembered
def expand_array(array: str) -> str:
    """_pg_expandarray: every element with its number; int2vector and oidvector are written with spaces."""
    values = array.split() if not array.startswith("{") else list(read_array(array, str).items)
    numbers = [int(value) if re.fullmatch(r"-?\d+", str(value)) else value for value in values]
    return json.dumps([[value, at] for at, value in enumerate(numbers, 1)])


def column_size(value: Any) -> int:
    """pg_column_size: bytes of a value as it is kept here."""
    if isinstance(value, str):
        return len(value.encode("utf-8", "replace")) + 1
    return len(value) + 1 if isinstance(value, bytes) else 8


def _install_rights(lib: Library) -> None:
    d = lib.define
    d("acldefault", '"char" oid -> aclitem[]'.replace('"char"', "char"), acl_default,
      sql="{udf}({0}, cat_userbyid({1}))", stable=True)  # fmt: skip
    d("aclexplode", "aclitem[] -> record", _exploded, set_returning=True, stable=True,
      sql="{udf}({0}, (SELECT json_group_object(rolname, oid) FROM \"pg_catalog.pg_roles\"))",
      columns=(("grantor", 26), ("grantee", 26), ("privilege_type", 25), ("is_grantable", 16)))  # fmt: skip


def _exploded(items: str, roles: str) -> str:
    oids = json.loads(roles)
    rows = json.loads(acl_explode(items))
    return json.dumps([[oids.get(row[0], 0), oids.get(row[1], 0), *row[2:]] for row in rows])


_CONSTANT: Final = (
    # Of what does not exist here.
    ("pg_get_function_arg_default", "oid int4 -> text", "NULL"),
    ("pg_get_statisticsobjdef", "oid -> text", "NULL"),
    ("pg_get_statisticsobjdef_expressions", "oid -> text[]", "NULL"),
    ("pg_get_replica_identity_index", "regclass -> regclass", "NULL"),
    ("pg_collation_actual_version", "oid -> text", "NULL"), ("pg_column_compression", "any -> text", "NULL"),
    ("pg_extension_config_dump", "regclass text -> void", "''"), ("pg_current_logfile", "-> text", "NULL"),
    ("pg_blocking_pids", "int4 -> int4[]", "'{{}}'"), ("pg_safe_snapshot_blocking_pids", "int4 -> int4[]", "'{{}}'"),
    ("pg_isolation_test_session_is_blocked", "int4 int4[] -> bool", "0"),
    ("pg_encoding_max_length", "int4 -> int4", "CASE {0} WHEN 6 THEN 4 ELSE 1 END"),
    ("pg_relation_filepath", "regclass -> text", "('base/5/' || {0})"),
    ("pg_relation_is_updatable", "regclass bool -> int4", "cat_relation_events({0}, {1})"),
    ("pg_column_is_updatable", "regclass int2 bool -> bool", "cat_column_updatable({0}, {1}, {2})"),
    ("pg_get_viewdef", "oid int4 -> text", "cat_viewdef({0}, 1, {session})"),
    ("pg_get_viewdef", "text bool -> text", "cat_viewdef(pg_regclass_in({0}, {session}), {1}, {session})"),
    ("pg_indexam_has_property", "oid text -> bool", "cat_method_property({0}, {1})"),
    ("pg_index_has_property", "regclass text -> bool", "cat_index_property({0}, {1})"),
    ("pg_index_column_has_property", "regclass int4 text -> bool", "cat_column_property({0}, {1}, {2})"),
    ("to_regnamespace", "text -> regnamespace", "cat_to_regnamespace({0})"),
    ("to_regrole", "text -> regrole", "cat_to_regrole({0})"),
    ("to_regoper", "text -> regoper", "cat_to_regoper({0})"),
    ("to_regoperator", "text -> regoperator", "cat_to_regoperator({0})"),
    ("to_regcollation", "text -> regcollation", "cat_to_regcollation({0}, {session})"),
    ("to_regproc", "text -> regproc", "cat_to_regproc({0}, {session})"),
    ("to_regprocedure", "text -> regprocedure", "cat_to_regprocedure({0}, {session})"),
    ("pg_stat_get_snapshot_timestamp", "-> timestamptz", "NULL"),
)  # fmt: skip

_COUNTERS: Final = (
    "tuples_returned tuples_fetched tuples_inserted tuples_updated tuples_deleted tuples_hot_updated live_tuples "
    "dead_tuples mod_since_analyze ins_since_vacuum blocks_fetched blocks_hit vacuum_count autovacuum_count "
    "analyze_count autoanalyze_count db_xact_commit db_xact_rollback db_blocks_fetched db_blocks_hit "
    "db_tuples_returned db_tuples_fetched db_tuples_inserted db_tuples_updated db_tuples_deleted"
)


def install(lib: Library) -> None:
    """Declare the functions."""
    d = lib.define
    for name, signature, sql in _CONSTANT:
        d(name, signature, sql=sql, stable=True, session_values=("search_path",) if "{session}" in sql else ())
    for counter in _COUNTERS.split():
        d(f"pg_stat_get_{counter}", "oid -> int8", sql="0", stable=True)
    for when in ("vacuum", "autovacuum", "analyze", "autoanalyze"):
        d(f"pg_stat_get_last_{when}_time", "oid -> timestamptz", sql="NULL", stable=True)
    d("pg_stat_get_db_numbackends", "oid -> int4", sql="1", stable=True)
    _install_rights(lib)
    d("pg_size_bytes", "text -> int8", size_bytes)
    d("pg_column_size", "any -> int4", column_size)
    d("_pg_expandarray", "anyarray -> record", expand_array, set_returning=True, schema="information_schema",
      columns=(("x", 23), ("n", 23)))  # fmt: skip
    d("oidvectortypes", "oidvector -> text", stable=True, session_values=("search_path",),
      sql="(SELECT coalesce(group_concat(cat_format_type(value, NULL, {session}), ', '), '') "
      "FROM json_each('[' || replace({0}, ' ', ',') || ']'))", null_for_null=True)  # fmt: skip
    for vector, element in (("int2vector", 21), ("oidvector", 26)):
        d("_pg_expandarray", f"{vector} -> record", expand_array, set_returning=True, schema="information_schema",
          columns=(("x", element), ("n", 23)))  # fmt: skip
    nothing: dict[str, Any] = {"sql": "NULL", "set_returning": True, "stable": True}
    d("pg_get_publication_tables", "text -> record", columns=(("relid", 26), ("attrs", 22), ("qual", 194)), **nothing)
