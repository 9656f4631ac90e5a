"""Prepared statements on every backend: what a backend is sent for a client's messages, and what comes back of it."""

from __future__ import annotations

import gc

import pytest

from helios_cli.engine.proxy import prepared as module
from helios_cli.engine.proxy.prepared import AS_PARSE, DROP, PASS, BackendStatements, SharedStatements, render
from helios_cli.engine.proxy.statement import Access, Statement
from helios_cli.engine.proxy.unit import PARSE, ClientStatements, Unit
from helios_cli.engine.wire import client as wire

READ = Statement(Access.READ, "SELECT")
SHARED = SharedStatements()


def sessions() -> ClientStatements:
    return ClientStatements(SHARED, lambda text: READ, {})


def unit(client: ClientStatements, *data: bytes) -> Unit:
    found = Unit(simple=False)
    for one in data:
        client.take(found, one[0], one)
    return found


def letters(data: bytes) -> str:
    found, at = "", 0
    while at < len(data):
        found += chr(data[at])
        at += 1 + int.from_bytes(data[at + 1 : at + 5], "big")
    return found


def sent(one: Unit, backend: BackendStatements) -> str:
    return letters(render(one.steps, backend))


def use(name: str) -> bytes:
    return wire.bind([b"1"], statement=name, portal="p")


def test_a_text_has_one_name_for_all() -> None:
    client, other = sessions(), sessions()
    unit(client, wire.parse("SELECT 1", "mine"))
    unit(other, wire.parse("SELECT 1", "yours"), wire.parse("SELECT 1", "typed", [23]))
    assert client.names[b"mine"] is other.names[b"yours"] is not other.names[b"typed"]


def test_what_is_there_is_not_prepared_again() -> None:
    client, backend = sessions(), BackendStatements()
    parse = unit(client, wire.parse("SELECT 2", "s"), wire.SYNC)
    assert sent(parse, backend) == "PS" and backend.came() == PASS
    backend.ended()
    assert sent(parse, backend) == "CS" and backend.came() == AS_PARSE
    assert len(render(parse.steps, backend)) > 0


def test_what_is_not_there_is_prepared_before_it_is_used_and_nobody_hears_of_it() -> None:
    client, backend = sessions(), BackendStatements()
    unit(client, wire.parse("SELECT 3", "s"))
    asked = unit(client, wire.describe("S", "s"), use("s"), wire.execute("p"), wire.SYNC)
    assert sent(asked, backend) == "PDBES"
    assert backend.came() == DROP
    assert client.names[b"s"].is_proven


def test_a_message_keeps_its_parts_around_the_name() -> None:
    client, backend = sessions(), BackendStatements()
    unit(client, wire.parse("SELECT 4", "a long name of the client"))
    asked = unit(client, use("a long name of the client"))
    name = client.names[b"a long name of the client"].name.decode()
    assert render(asked.steps, backend).endswith(use(name))
    described = unit(client, wire.describe("S", "a long name of the client"))
    assert render(described.steps, backend) == wire.describe("S", name)


def test_a_parse_that_fails_is_forgotten_by_both() -> None:
    client, backend = sessions(), BackendStatements()
    one = unit(client, wire.parse("SELECT 5", "s"), wire.SYNC)
    sent(one, backend)
    backend.ended()
    client.undo(one)
    assert client.names == {} and not backend.known and not backend.plan


def test_only_what_was_acknowledged_outlasts_an_error() -> None:
    client, backend = sessions(), BackendStatements()
    unit(client, wire.parse("SELECT 6", "old"))
    old = client.names[b"old"]
    messages = (wire.parse("SELECT 7", "s"), wire.close("S", "old"), wire.parse("SELECT 8", "old"), wire.SYNC)
    one = unit(client, *messages)
    sent(one, backend)
    backend.came()
    backend.ended()
    client.undo(one)
    assert client.names == {b"s": client.names[b"s"], b"old": old}


def test_the_oldest_goes_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STATEMENTS_MAX", 2)
    client, backend = sessions(), BackendStatements()
    for number in range(3):
        sent(unit(client, wire.parse(f"SELECT 9, {number}", f"s{number}")), backend)
        while backend.plan:
            backend.came()
    assert list(backend.known) == [client.names[b"s1"], client.names[b"s2"]]
    assert sent(unit(client, use("s0")), backend) == "CPB"


def test_one_whose_close_was_skipped_is_still_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STATEMENTS_MAX", 1)
    client, backend = sessions(), BackendStatements()
    sent(unit(client, wire.parse("SELECT 10", "s")), backend)
    backend.came()
    assert sent(unit(client, wire.parse("SELECT 11", "t")), backend) == "CP"
    backend.ended()
    assert list(backend.known) == [client.names[b"s"]]
    assert sent(unit(client, use("s")), backend) == "B"


def test_an_unnamed_statement_is_the_clients_own() -> None:
    client, backend = sessions(), BackendStatements()
    sent(unit(client, wire.parse("SELECT 12")), backend)
    assert backend.came() == PASS
    assert sent(unit(client, use("")), backend) == "B"
    backend.unnamed = b"of another"
    assert sent(unit(client, use("")), backend) == "PB" and backend.came() == DROP


@pytest.mark.parametrize("gone", [True, False])
def test_without_an_unnamed_statement_none_of_another_is_used(gone: bool) -> None:
    client, backend = sessions(), BackendStatements()
    backend.unnamed = b"of another"
    if gone:
        unit(client, wire.parse("SELECT 13"), wire.close("S"))
    assert sent(unit(client, use("")), backend) == "CB" and backend.unnamed is None


def test_a_close_leaves_the_statement_to_others() -> None:
    client, other, backend = sessions(), sessions(), BackendStatements()
    for one in (client, other):
        sent(unit(one, wire.parse("SELECT 14", "s")), backend)
        backend.came()
    data = render(unit(client, wire.close("S", "s")).steps, backend)
    assert letters(data) == "C" and other.names[b"s"].name not in data
    assert sent(unit(other, use("s")), backend) == "B"


def test_a_close_of_a_portal_or_of_what_is_not_known_goes_to_the_server() -> None:
    client, backend = sessions(), BackendStatements()
    for message in (wire.close("P", "s"), wire.close("S", "s")):
        assert render(unit(client, message).steps, backend) == message


def test_a_statement_whose_result_has_changed_is_shared_no_more() -> None:
    client, other, backend = sessions(), sessions(), BackendStatements()
    for one in (client, other):
        unit(one, wire.parse("SELECT 15", "s"))
    client.result_changed(unit(client, use("s")))
    fresh = sessions()
    unit(fresh, wire.parse("SELECT 15", "s"))
    assert fresh.names[b"s"] is not other.names[b"s"]
    # Nobody decodes new columns by an old description: he hears that the statement is not there.
    data = render(unit(other, use("s")).steps, backend)
    assert letters(data) == "B" and b"\0hp_\0" in data


def test_definitions_end_the_sharing() -> None:
    client = sessions()
    unit(client, wire.parse("SELECT 16", "s"))
    SHARED.forget_all()
    assert SHARED.share(client.names[b"s"].body, READ) is not client.names[b"s"]


def test_nothing_is_kept_that_nobody_has() -> None:
    shared = SharedStatements()
    client = ClientStatements(shared, lambda text: READ, {})
    unit(client, wire.parse("SELECT 17", "s"), wire.close("S", "s"))
    gc.collect()
    assert len(shared) == 0


def test_a_client_without_messages_is_never_taken_for_one_with_them() -> None:
    client = sessions()
    assert wire.parse("x")[0] == PARSE and client.names == {} and client.unnamed is None
