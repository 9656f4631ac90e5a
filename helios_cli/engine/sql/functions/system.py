"""System information and administration functions (PostgreSQL manual, 9.26 and 9.27).

What depends on the session comes as session values; what depends on the catalog is a SQLite function ``cat_*``
that ``engine.storage.catalog_functions`` registers on each connection; what only the node can do is a ``node_*``.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from helios_cli.engine.datatypes import encodings
from helios_cli.engine.datatypes.arrays import PgArray, write_array
from helios_cli.engine.datatypes.interval import split_interval
from helios_cli.engine.datatypes.partition_hash import partition_hash
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.functions.define import Library
from helios_cli.engine.sql.variables import BY_NAME


def encoding_name(number: int) -> str:
    """pg_encoding_to_char."""
    return encodings.NAMES.get(number, "")


def current_setting(name: str, missing_ok: int, settings: str) -> str | None:
    """current_setting, from the session's settings as a JSON object."""
    values = json.loads(settings)
    folded = name.lower()
    for known, value in values.items():
        if known.lower() == folded:
            return str(value)
    if folded in BY_NAME:
        return BY_NAME[folded].default
    if missing_ok:
        return None
    raise SqlError(f'unrecognized configuration parameter "{name}"', sqlstate="42704")


def _client_encoding(settings: str) -> str:
    return current_setting("client_encoding", 1, settings) or "UTF8"


def schemas_array(path: str, implicit: int, temp_schema: int) -> str:
    """current_schemas: the search path (a JSON array) as an array, with what is searched before it when asked for."""
    names = json.loads(path)
    if implicit:
        before = ("pg_temp", "pg_catalog") if temp_schema else ("pg_catalog",)
        names = [*(name for name in before if name not in names), *names]
    return write_array(PgArray(list(names), (len(names),) if names else (), (1,) if names else ()), str)


def size_pretty(size: int) -> str:
    """pg_size_pretty (dbsize.c): halves round away from zero, units change past 10 of the smaller times 1024."""
    units = (("bytes", 0), ("kB", 10), ("MB", 20), ("GB", 30), ("TB", 40), ("PB", 50))
    magnitude, sign = abs(size), "-" if size < 0 else ""
    if magnitude < 10 * 1024:
        return f"{size} bytes"
    for name, shift in units[1:]:
        rounded = (magnitude + (1 << (shift - 1))) >> shift
        if rounded < 20 * 1024 // 2 or name == "PB":
            return f"{sign}{rounded} {name}"
    return f"{size} bytes"


def numeric_size_pretty(size: str) -> str:
    """pg_size_pretty of a numeric: fractions show while it counts bytes."""
    if not Decimal(size).is_finite():
        return f"{size} PB"
    whole = int(Decimal(size))
    return f"{size} bytes" if abs(Decimal(size)) < 10 * 1024 else size_pretty(whole)


def install(lib: Library) -> None:
    """Declare the system functions."""
    _install_session(lib)
    _install_catalog(lib)
    _install_routines(lib)
    _install_node(lib)
    _install_sequences(lib)
    d = lib.define
    d("format_type", "oid int4 -> text", sql="cat_format_type({0}, {1}, {session})", stable=True,
      session_values=("search_path",))  # fmt: skip
    d("pg_encoding_to_char", "int4 -> name", encoding_name)
    d(
        "pg_char_to_encoding",
        "name -> int4",
        lambda name: {known: number for number, known in encodings.NAMES.items()}.get(
            encodings.encoding_name(name) or "", -1
        ),
    )
    d("pg_size_pretty", "int8 -> text", size_pretty)
    d("pg_size_pretty", "numeric -> text", lambda size: numeric_size_pretty(str(size)))
    d("pg_typeof", "any -> regtype", sql="({types} + 0 * ({0} IS NULL))")
    lib.scalars["fn_uuid_of"] = (_uuid_text, 1, False)
    d("gen_random_uuid", "-> uuid", sql="fn_uuid_of(randomblob(16))", volatile=True)
    d("num_nulls", "any... -> int4", lambda *values: sum(1 for value in values if value is None), strict=False)
    d("num_nonnulls", "any... -> int4", lambda *values: sum(1 for value in values if value is not None), strict=False)


def _uuid_text(random: bytes) -> str:
    """A version 4 UUID from sixteen random bytes, which SQLite draws."""
    octets = bytearray(random)
    octets[6] = octets[6] & 0x0F | 0x40
    octets[8] = octets[8] & 0x3F | 0x80
    digits = octets.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _install_session(lib: Library) -> None:
    d = lib.define

    def value(name: str, result: str, session: str) -> None:
        d(name, f"-> {result}", sql="{session}", session_values=(session,), stable=True)

    for name, result, session in (
        ("version", "text", "version"), ("current_database", "name", "current_database"),
        ("current_catalog", "name", "current_database"), ("current_schema", "name", "current_schema"),
        ("current_user", "name", "current_user"), ("session_user", "name", "session_user"),
        ("user", "name", "current_user"), ("pg_backend_pid", "int4", "pid"),
        ("inet_client_addr", "inet", "client_addr"), ("inet_client_port", "int4", "client_port"),
        ("inet_server_addr", "inet", "server_addr"), ("inet_server_port", "int4", "server_port"),
        ("pg_is_in_recovery", "bool", "in_recovery"), ("pg_postmaster_start_time", "timestamptz", "start_time"),
        ("pg_conf_load_time", "timestamptz", "start_time"),
        ("pg_last_wal_receive_lsn", "pg_lsn", "received_lsn"), ("pg_last_wal_replay_lsn", "pg_lsn", "replayed_lsn"),
        ("pg_last_xact_replay_timestamp", "timestamptz", "replayed_time"),
        ("pg_trigger_depth", "int4", "trigger_depth"), ("pg_my_temp_schema", "oid", "temp_schema"),
        ("txid_current", "int8", "txid"), ("pg_current_xact_id", "xid8", "txid"),
        ("txid_current_if_assigned", "int8", "assigned_txid"),
        ("pg_current_xact_id_if_assigned", "xid8", "assigned_txid"),
    ):  # fmt: skip
        value(name, result, session)
    _install_log_positions(lib)
    d("current_schemas", "bool -> name[]", _schemas, session_values=("schemas", "temp_schema"), stable=True)
    d("pg_client_encoding", "-> name", _client_encoding, session_values=("settings",), stable=True)
    d("getdatabaseencoding", "-> name", sql="'UTF8'")
    d("pg_is_other_temp_schema", "oid -> bool", sql="0")
    d(
        "current_setting",
        "text -> text",
        lambda name, all_of: current_setting(name, 0, all_of),
        session_values=("settings",),
        stable=True,
    )
    d("current_setting", "text bool -> text", current_setting, session_values=("settings",), stable=True)
    d(
        "set_config",
        "text text bool -> text",
        sql="node_set_config({session}, {0}, {1}, {2})",
        session_values=("pid",),
        volatile=True,
    )


def _install_log_positions(lib: Library) -> None:
    """Positions in the page log, and what may be asked only of a primary or only of a standby (xlogfuncs.c)."""
    d = lib.define
    for name, session in (
        ("pg_current_wal_lsn", "current_lsn"),
        ("pg_current_wal_insert_lsn", "insert_lsn"),
        ("pg_current_wal_flush_lsn", "flush_lsn"),
    ):
        # The error is the function's own, so that a CASE on pg_is_in_recovery() can avoid it.
        d(name, "-> pg_lsn", sql="fn_primary_lsn({session})", session_values=(session,), stable=True)
    lib.helper("fn_primary_lsn", primary_lsn, 1, strict=False)
    recovery: dict[str, Any] = {"session_values": ("in_recovery",), "stable": True}
    d("pg_is_wal_replay_paused", "-> bool", sql="fn_if_recovering({session}, 0)", **recovery)
    d("pg_get_wal_replay_pause_state", "-> text", sql="fn_if_recovering({session}, 'not paused')", **recovery)
    lib.helper("fn_if_recovering", if_recovering, 2, strict=False)
    d("pg_wal_lsn_diff", "pg_lsn pg_lsn -> numeric", sql="pg_lsn_difference({0}, {1})")
    d("pg_lsn", "numeric -> pg_lsn", sql="pg_lsn_of({0})")


def primary_lsn(lsn: str | None) -> str:
    """A position that only a node that writes has. Raises SqlError 55000 when there is none: on a standby."""
    if lsn is None:
        raise SqlError(
            "recovery is in progress",
            sqlstate="55000",
            hint="WAL control functions cannot be executed during recovery.",
        )
    return lsn


def if_recovering(recovering: int, answer: Any) -> Any:
    """The answer of a function that only a standby has. Raises SqlError 55000 elsewhere."""
    if not recovering:
        raise SqlError(
            "recovery is not in progress",
            sqlstate="55000",
            hint="Recovery control functions can only be executed during recovery.",
        )
    return answer


def _schemas(implicit: int, path: str, temp_schema: int) -> str:
    return schemas_array(path, implicit, temp_schema)


def _install_routines(lib: Library) -> None:
    path: dict[str, Any] = {"session_values": ("search_path",)}
    for name, signature, sql in (
        ("pg_get_functiondef", "oid -> text", "cat_functiondef({0}, {session})"),
        ("pg_get_function_result", "oid -> text", "cat_function_result({0}, {session})"),
        ("pg_get_function_sqlbody", "oid -> text", "cat_function_sqlbody({0}, {session})"),
        ("pg_get_function_arguments", "oid -> text", "cat_function_arguments({0}, 0, {session})"),
        ("pg_get_function_identity_arguments", "oid -> text", "cat_function_arguments({0}, 1, {session})"),
        ("pg_get_triggerdef", "oid -> text", "cat_triggerdef({0}, 0, {session})"),
        ("pg_get_triggerdef", "oid bool -> text", "cat_triggerdef({0}, {1}, {session})"),
        ("pg_function_is_visible", "oid -> bool", "cat_function_visible({0}, {session})"),
    ):
        lib.define(name, signature, sql=sql, stable=True, **path)


def _install_catalog(lib: Library) -> None:
    d = lib.define
    stable: dict[str, Any] = {"stable": True}
    for name, signature, sql in (
        ("pg_get_expr", "pg_node_tree oid -> text", "cat_expr({0}, {1}, 0, {session})"),
        ("pg_get_expr", "pg_node_tree oid bool -> text", "cat_expr({0}, {1}, {2}, {session})"),
        ("pg_get_indexdef", "oid -> text", "cat_indexdef({0}, 0, 0, {session})"),
        ("pg_get_indexdef", "oid int4 bool -> text", "cat_indexdef({0}, {1}, {2}, {session})"),
        ("pg_get_constraintdef", "oid -> text", "cat_constraintdef({0}, 0, {session})"),
        ("pg_get_constraintdef", "oid bool -> text", "cat_constraintdef({0}, {1}, {session})"),
        ("pg_get_viewdef", "oid -> text", "cat_viewdef({0}, 0, {session})"),
        ("pg_get_viewdef", "oid bool -> text", "cat_viewdef({0}, {1}, {session})"),
        ("pg_get_viewdef", "text -> text", "cat_viewdef(pg_regclass_in({0}, {session}), 0, {session})"),
        ("pg_get_userbyid", "oid -> name", "cat_userbyid({0})"),
        ("pg_get_serial_sequence", "text text -> text", "cat_serial_sequence({0}, {1}, {session})"),
        ("pg_get_ruledef", "oid -> text", "cat_ruledef({0}, 0, {session})"),
        ("pg_get_ruledef", "oid bool -> text", "cat_ruledef({0}, {1}, {session})"),
        ("pg_get_statisticsobjdef_columns", "oid -> text", "NULL"),
        ("obj_description", "oid name -> text", "cat_description({0}, {1}, 0)"),
        ("obj_description", "oid -> text", "cat_description({0}, NULL, 0)"),
        ("col_description", "oid int4 -> text", "cat_description({0}, 'pg_class', {1})"),
        ("shobj_description", "oid name -> text", "cat_description({0}, {1}, 0)"),
        ("pg_table_is_visible", "oid -> bool", "cat_visible({0}, {session})"),
        ("pg_collation_is_visible", "oid -> bool", "cat_collation_visible({0}, {session})"),
        ("pg_type_is_visible", "oid -> bool", "cat_type_visible({0}, {session})"),
        ("to_regclass", "text -> regclass", "cat_to_regclass({0}, {session})"),
        ("to_regtype", "text -> regtype", "cat_to_regtype({0}, {session})"),
        ("pg_relation_size", "regclass -> int8", "cat_size({0}, 0)"),
        ("pg_relation_size", "regclass text -> int8", "cat_size({0}, 0)"),
        ("pg_table_size", "regclass -> int8", "cat_size({0}, 0)"),
        ("pg_indexes_size", "regclass -> int8", "cat_size({0}, 1)"),
        ("pg_total_relation_size", "regclass -> int8", "(cat_size({0}, 0) + cat_size({0}, 1))"),
        ("pg_database_size", "name -> int8", "cat_database_size({0})"), ("pg_database_size", "oid -> int8",
        "cat_database_size({0})"),
        ("pg_tablespace_size", "name -> int8", "cat_database_size(NULL)"),
        ("pg_tablespace_size", "oid -> int8", "iif({0} = 1663, cat_database_size(NULL), 0)"),
        ("pg_describe_object", "oid oid int4 -> text", "cat_describe({0}, {1}, {2})"),
        ("pg_relation_filenode", "regclass -> oid", "{0}"), ("pg_tablespace_location", "oid -> text", "''"),
        ("pg_relation_is_publishable", "regclass -> bool", "1"), ("pg_filenode_relation", "oid oid -> regclass", "{1}"),
        ("pg_stat_get_numscans", "oid -> int8", "0"), ("pg_options_to_table", "text[] -> text", "NULL"),
    ):  # fmt: skip
        marks = {**stable, "session_values": ("search_path",)} if "{session}" in sql else stable
        if name == "pg_options_to_table":
            d(
                name,
                "text[] -> record",
                sql="NULL",
                set_returning=True,
                columns=(("option_name", 25), ("option_value", 25)),
            )
        else:
            d(name, signature, sql=sql, **marks)
    _install_partitions(lib)
    for name in (
        "operator",
        "opclass",
        "opfamily",
        "conversion",
        "statistics_obj",
        "ts_config",
        "ts_dict",
        "ts_parser",
        "ts_template",
    ):
        d(f"pg_{name}_is_visible", "oid -> bool", sql="1", stable=True)


def _satisfies_hash_partition(
    types: str, _parent: int | None, modulus: int | None, remainder: int | None, *values: Any
) -> int:
    """Whether a row with a partition key is in a hash partition; that it is the key's is not looked at."""
    if _parent is None or modulus is None or remainder is None:
        return 0
    if modulus <= 0:
        raise SqlError("modulus for hash partition must be an integer value greater than zero", sqlstate="22023")
    if remainder < 0:
        message = "remainder for hash partition must be an integer value greater than or equal to zero"
        raise SqlError(message, sqlstate="22023")
    if remainder >= modulus:
        raise SqlError("remainder for hash partition must be less than modulus", sqlstate="22023")
    oids = [int(oid) for oid in types.split(",")[3:]]
    return int(partition_hash(oids, values) % modulus == remainder)


def _install_partitions(lib: Library) -> None:
    d = lib.define
    rows: dict[str, Any] = {"set_returning": True, "stable": True}
    d("pg_partition_ancestors", "regclass -> regclass", sql="cat_partition_ancestors({0})",
      columns=(("relid", 2205),), **rows)  # fmt: skip
    d("pg_partition_tree", "regclass -> record", sql="cat_partition_tree({0})",
      columns=(("relid", 2205), ("parentrelid", 2205), ("isleaf", 16), ("level", 23)), **rows)  # fmt: skip
    d("pg_partition_root", "regclass -> regclass", sql="cat_partition_root({0})", stable=True)
    d("satisfies_hash_partition", "oid int4 int4 any... -> bool", _satisfies_hash_partition,
      sql="{udf}('{types}', {args})", strict=False)  # fmt: skip
    d("pg_get_partkeydef", "oid -> text", sql="cat_partkeydef({0})", stable=True)
    d("pg_get_partition_constraintdef", "oid -> text", sql="cat_partition_check({0})", stable=True)


def _install_node(lib: Library) -> None:
    d = lib.define
    d("pg_sleep", "float8 -> void", sql="node_sleep({0})", volatile=True)
    d("pg_sleep_for", "interval -> void", sql="node_sleep(fn_extract_seconds({0}))", volatile=True)
    caller: dict[str, Any] = {"session_values": ("pid",), "volatile": True}
    d("pg_cancel_backend", "int4 -> bool", sql="node_signal({0}, 'cancel', {session})", **caller)
    d("pg_terminate_backend", "int4 -> bool", sql="node_signal({0}, 'terminate', {session})", **caller)
    d("pg_terminate_backend", "int4 int8 -> bool", sql="node_signal({0}, 'terminate', {session})", **caller)
    outcome: dict[str, Any] = {"session_values": ("in_block",), "volatile": True, "writes": True}
    d("helios_write_outcome", "text -> text", sql="node_write_outcome({0}, 1, {session})", **outcome)
    d("helios_write_outcome", "text bool -> text", sql="node_write_outcome({0}, {1}, {session})", **outcome)
    restore = "node_write_restore({0}, {1}, {2}, {3})"
    d("helios_write_restore", "text text text text -> text", sql=restore, volatile=True, writes=True)
    user: dict[str, Any] = {"session_values": ("current_user",), "volatile": True, "writes": True}
    d("helios_token_create", "text -> text", sql="node_token_create({0}, NULL, NULL, {session})", **user)
    d("helios_token_create", "text text -> text", sql="node_token_create({0}, {1}, NULL, {session})", **user)
    lifetime = "node_token_create({0}, {1}, fn_extract_seconds({2}), {session})"
    d("helios_token_create", "text text interval -> text", sql=lifetime, **user)
    d("helios_token_revoke", "text -> bool", sql="node_token_revoke({0}, {session})", **user)
    d("pg_reload_conf", "-> bool", sql="node_signal(0, 'reload', 0)", volatile=True)
    lib.helper("fn_extract_seconds", _seconds, 1)


def _seconds(text: str) -> float:
    months, days, us = split_interval(text)
    return (months * 30 + days) * 86400 + us / 1_000_000


def _install_sequences(lib: Library) -> None:
    d = lib.define
    pid: dict[str, Any] = {"session_values": ("pid",), "volatile": True}
    d("nextval", "regclass -> int8", sql="pg_nextval({0}, {session})", writes=True, **pid)
    d("currval", "regclass -> int8", sql="pg_currval({0}, {session})", **pid)
    d("lastval", "-> int8", sql="pg_lastval({session})", **pid)
    d("setval", "regclass int8 -> int8", sql="pg_setval({0}, {1}, 1, {session})", writes=True, **pid)
    d("setval", "regclass int8 bool -> int8", sql="pg_setval({0}, {1}, {2}, {session})", writes=True, **pid)
    d("pg_sequence_last_value", "regclass -> int8", sql="cat_sequence_last_value({0})", volatile=True)
