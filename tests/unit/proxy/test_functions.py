"""What the proxy thinks of functions, beside what the nodes say of them."""

from __future__ import annotations

import pytest

from helios_cli.engine.proxy import functions
from helios_cli.engine.proxy.functions import Call
from helios_cli.engine.sql.functions import REGISTRY

NOT_SURE = {"delete", "set_config"}
"""A name that users' own functions may have, and one that is looked at elsewhere."""
OF_PRIMARY = {
    "pg_blocking_pids", "pg_backend_pid", "pg_safe_snapshot_blocking_pids",
    "pg_current_wal_lsn", "pg_current_wal_insert_lsn", "pg_current_wal_flush_lsn", "pg_walfile_name",
    "pg_walfile_name_offset", "txid_current", "pg_current_xact_id",
}  # fmt: skip
"""What tells of one node's sessions, and what a standby of PostgreSQL refuses."""


def expected(name: str) -> tuple[Call, ...]:
    """What may be thought of a function that nodes have."""
    overloads = REGISTRY.candidates(name)
    if name in NOT_SURE:
        return (Call.UNKNOWN,)
    if any(function.writes for function in overloads):
        return (Call.WRITES, Call.PRIMARY)
    if name in OF_PRIMARY:
        return (Call.PRIMARY,)
    if any(function.volatile for function in overloads):
        return (Call.PRIMARY, Call.READS)
    return (Call.READS,)


def test_the_proxy_agrees_with_the_nodes() -> None:
    names = {function.name for function in REGISTRY}
    assert [name for name in names if functions.judge([name]) not in expected(name)] == []


def test_only_what_a_node_gives_a_name_takes_one() -> None:
    for name in functions.WRITES:
        assert any(function.writes for function in REGISTRY.candidates(name)), name


QUALIFIED = {
    ("pg_catalog", "nextval"): Call.WRITES,
    ("pg_catalog", "length"): Call.READS,
    ("public", "length"): Call.UNKNOWN,
    ("public", "nextval"): Call.UNKNOWN,
    ("extensions", "similarity"): Call.READS,
    ("public", "st_area"): Call.READS,
    ("public", "gen_random_uuid"): Call.READS,
    ("db", "pg_catalog", "length"): Call.READS,
    ("pg_catalog", "no_such_function"): Call.UNKNOWN,
}


@pytest.mark.parametrize(("names", "call"), QUALIFIED.items())
def test_a_schema_tells_whose_a_function_is(names: tuple[str, ...], call: Call) -> None:
    assert functions.judge(list(names)) is call
