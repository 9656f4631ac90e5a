"""Units: what is known of the messages that a client sends before it waits."""

from __future__ import annotations

import pytest

from helios_cli.engine.errors import ProtocolViolation
from helios_cli.engine.proxy.classify import Classes
from helios_cli.engine.proxy.prepared import SharedStatements
from helios_cli.engine.proxy.statement import Access, Control
from helios_cli.engine.proxy.unit import CLASS_BYTES_MAX, UNKNOWN, ClientStatements, Unit
from helios_cli.engine.wire import client as wire

CLASSES = Classes()


def taken(*data: bytes, client: ClientStatements | None = None) -> Unit:
    client = client or ClientStatements(SharedStatements(), CLASSES.of, {})
    unit = Unit(simple=False)
    for one in data:
        client.take(unit, one[0], one)
    unit.closed = True
    return unit


def run(text: str) -> tuple[bytes, bytes, bytes]:
    return wire.parse(text), wire.bind([]), wire.execute()


def test_a_unit_writes_when_one_of_its_statements_does() -> None:
    assert taken(*run("SELECT 1"), *run("INSERT INTO t VALUES (1)")).access is Access.WRITE
    assert taken(*run("SELECT 1"), *run("SELECT 2")).access is Access.READ


def test_what_is_only_prepared_is_not_run() -> None:
    unit = taken(wire.parse("INSERT INTO t VALUES (1)"), wire.describe("S"))
    assert unit.access is Access.WRITE and not unit.writes and not unit.executed


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (run("INSERT INTO t VALUES (1)"), True),
        ((*run("INSERT INTO t VALUES (1)"), wire.execute()), False),
        ((*run("INSERT INTO t VALUES (1)"), *run("SELECT 1")), False),
        (run("SELECT 1"), False),
        ((wire.execute("of an earlier unit"),), False),
    ],
)
def test_one_write_that_commits_by_itself_can_be_named(data: tuple[bytes, ...], named: bool) -> None:
    assert taken(*data).can_be_named is named


def test_a_unit_that_has_no_end_yet_cannot_be_named() -> None:
    unit = taken(*run("INSERT INTO t VALUES (1)"))
    unit.closed = False
    assert not unit.can_be_named


@pytest.mark.parametrize(
    ("texts", "ends"),
    [
        (["BEGIN"], False),
        (["BEGIN", "INSERT INTO t VALUES (1)"], False),
        (["SAVEPOINT a", "ROLLBACK TO a"], False),
        (["COMMIT"], True),
        (["ROLLBACK"], True),
        (["INSERT INTO t VALUES (1)", "COMMIT"], True),
        (["SELECT 1; COMMIT"], True),
        (["PREPARE TRANSACTION 'x'"], True),
        (["COMMIT AND CHAIN"], True),
    ],
)
def test_units_that_may_end_a_block(texts: list[str], ends: bool) -> None:
    assert taken(*[message for text in texts for message in run(text)]).may_end_block is ends


def test_a_portal_is_known_in_later_units_of_the_block() -> None:
    client = ClientStatements(SharedStatements(), CLASSES.of, {})
    taken(wire.parse("SELECT 1", "s"), wire.bind([], statement="s", portal="p"), client=client)
    assert taken(wire.execute("p"), client=client).executed[0].why == "SELECT"
    assert taken(wire.execute("q"), client=client).executed == [UNKNOWN]


def test_a_unit_that_uses_what_sql_has_prepared_is_not_known() -> None:
    unit = taken(wire.bind([], statement="of SQL"), wire.execute())
    assert unit.executed == [UNKNOWN] and unit.access is Access.WRITE


def test_the_last_statement_tells_what_a_unit_of_one_does_to_its_block() -> None:
    assert taken(*run("COMMIT")).control is Control.COMMIT
    assert taken(*run("SELECT 1"), *run("COMMIT")).control is Control.NONE
    assert taken(*run("BEGIN READ ONLY")).reads_only


def test_long_texts_are_not_remembered_by_their_bytes() -> None:
    classes: dict[bytes, object] = {}
    client = ClientStatements(SharedStatements(), CLASSES.of, classes)  # type: ignore[arg-type]
    taken(wire.parse("SELECT 1"), wire.parse("SELECT " + "1" * CLASS_BYTES_MAX), client=client)
    assert len(classes) == 1


@pytest.mark.parametrize(
    "message", [b"P\0\0\0\5x", b"P\0\0\0\6x\0", b"B\0\0\0\6x\0", b"E\0\0\0\5x", b"C\0\0\0\6Sx", b"D\0\0\0\6Sx"]
)
def test_messages_without_ends_of_their_strings(message: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        taken(message)
