"""A backend goes from one session to the next: nothing of the first one is left in it."""

from __future__ import annotations

import pytest
from support.played_nodes import PlayedProxy, Player

from helios_cli.engine.proxyserver.client import FLOOR_ASKED
from helios_cli.engine.wire import client as wire

READY = b"Z\0\0\0\5I"


def bind(name: str) -> bytes:
    return wire.bind([], statement=name)


def one_node() -> PlayedProxy:
    return PlayedProxy("a", pool_size=1)


def value(player: Player, name: str) -> str:
    """A setting of the session, as its server has it."""
    return player.ask(wire.query(f"SELECT setting {name}")).split(b"D", 1)[1][10:].split(b"C")[0].decode()


def test_named_statements_of_a_client_that_leaves_in_a_block_are_there_for_the_next() -> None:
    proxy = one_node()
    use = wire.parse("SELECT 1", "s") + bind("s") + wire.execute() + wire.SYNC
    first, second = proxy.client(), proxy.client()
    assert b"SELECT 1" in first.ask(wire.query("BEGIN")) + first.ask(use)
    first.session.connection_lost(None)
    proxy.run()
    assert second.ask(use).endswith(b"SELECT 1\0" + READY)
    assert len(proxy.servers) == 1 and proxy.servers[0].log.count("ROLLBACK") == 1


def test_what_pinned_a_session_goes_with_it_also_out_of_a_block() -> None:
    proxy = one_node()
    first = proxy.client()
    first.ask(wire.query("LISTEN x"))
    first.ask(wire.query("BEGIN"))
    first.session.connection_lost(None)
    proxy.run()
    assert proxy.servers[0].log[-2:] == ["ROLLBACK", "DISCARD ALL"]
    assert proxy.client().ask(wire.query("SELECT 2")).endswith(READY)


def test_settings_of_a_failed_block_are_not_taken_for_committed() -> None:
    proxy = one_node()
    first, second = proxy.client(), proxy.client()
    for text in ("BEGIN", "SET a = 1", "FAIL", "COMMIT"):
        first.ask(wire.query(text))
    assert (value(first, "a"), value(second, "a"), value(first, "a")) == ("", "", "")


def test_settings_of_a_block_that_a_string_of_several_ends() -> None:
    proxy = one_node()
    first, second = proxy.client(), proxy.client()
    for text in ("BEGIN", "SET a = 1", "SELECT 1; COMMIT"):
        first.ask(wire.query(text))
    assert (value(second, "a"), value(first, "a")) == ("", "1")


def test_settings_that_a_savepoint_takes_back() -> None:
    proxy = one_node()
    first, second = proxy.client(), proxy.client()
    for text in ("BEGIN", "SET a = 1", "SAVEPOINT s", "SET a = 2", "SAVEPOINT t", "RELEASE t", "SET b = 3"):
        first.ask(wire.query(text))
    first.ask(wire.query("ROLLBACK TO s"))
    first.ask(wire.query("COMMIT"))
    assert (value(second, "a"), value(second, "b")) == ("", "")
    assert (value(first, "a"), value(first, "b")) == ("1", "")


def test_reset_brings_back_what_the_session_began_with() -> None:
    proxy = one_node()
    first, second = proxy.client(search_path="mine"), proxy.client()
    assert value(first, "search_path") == "mine"
    first.ask(wire.query("SET search_path = 'other'"))
    first.ask(wire.query("RESET search_path"))
    assert (value(first, "search_path"), value(second, "search_path")) == ("mine", "")
    for text in ("BEGIN", "RESET ALL", "COMMIT"):
        first.ask(wire.query(text))
    assert (value(first, "search_path"), value(second, "search_path")) == ("mine", "")


def test_a_string_that_fails_behind_reset_all() -> None:
    proxy = one_node()
    first = proxy.client(search_path="mine")
    first.ask(wire.query("RESET ALL; FAIL"))
    assert value(first, "search_path") == "mine"


def test_a_slow_client_does_not_leave_its_backend_deaf() -> None:
    proxy = one_node()
    first, second = proxy.client(), proxy.client()
    first.wire.on_write = lambda data: first.session.pause_writing()
    first.ask(wire.query("SELECT 1"))
    assert all(one.transport.reading for one in proxy.backends())  # type: ignore[attr-defined]
    assert second.ask(wire.query("SELECT 2")).endswith(READY)


def test_a_slow_client_gets_no_more_answers_than_it_takes() -> None:
    proxy = one_node()
    first = proxy.client()
    first.wire.on_write = lambda data: first.session.pause_writing()
    first.ask(wire.query("SELECT 1") + wire.query("SELECT 2") + wire.query("SELECT 3"))
    assert proxy.servers[0].log == ["SELECT 1"]
    first.wire.on_write = None
    first.session.resume_writing()
    proxy.run()
    assert proxy.servers[0].log == ["SELECT 1", "SELECT 2", "SELECT 3"]


def test_a_client_is_read_again_when_the_node_that_did_not_take_its_data_is_lost() -> None:
    proxy = PlayedProxy("a", "b")
    first = proxy.client()
    first.ask(wire.query("BEGIN"))
    backend = first.session.backend
    assert backend is not None
    first.send(wire.query("INSERT 1"))
    backend.pause_writing()
    assert not first.wire.reading
    proxy.fail_over()
    proxy.run()
    assert first.wire.reading and first.wire.take().endswith(b"Z\0\0\0\5T")


def test_the_next_one_has_no_unnamed_statement_of_the_one_before() -> None:
    proxy = one_node()
    first, second = proxy.client(), proxy.client()
    unnamed = bind("") + wire.execute() + wire.SYNC
    second.ask(wire.parse("INSERT 7") + wire.SYNC)
    # Its Parse comes behind an error: the server never sees it.
    first.ask(bind("none") + wire.parse("SELECT 1") + wire.SYNC)
    first.ask(unnamed)
    assert proxy.store.writes == []
    assert b"INSERT 0 1" in second.ask(unnamed)


def test_a_name_of_the_clients_own_is_not_left_for_others() -> None:
    proxy = one_node()
    first, second = proxy.client(), proxy.client()
    first.ask(wire.query("SET helios.write_id = '00000000-0000-0000-0000-000000000001:1'"))
    second.ask(wire.query("VACUUM t"))
    assert "00000000-0000-0000-0000-000000000001:1" not in proxy.store.outcomes
    first.ask(wire.query("INSERT INTO t VALUES (1)"))
    assert "00000000-0000-0000-0000-000000000001:1" in proxy.store.outcomes


def test_the_oldest_statement_is_prepared_again_when_its_close_was_skipped() -> None:
    from helios_cli.engine.proxy import prepared

    proxy = one_node()
    first = proxy.client()
    for number in range(prepared.STATEMENTS_MAX):
        first.ask(wire.parse(f"SELECT {number}", f"s{number}") + wire.SYNC)
        first.ask(bind(f"s{number}") + wire.execute() + wire.SYNC)
    assert len(proxy.servers[0].statements) == prepared.STATEMENTS_MAX
    first.ask(bind("none") + wire.parse("SELECT more", "more") + wire.SYNC)
    for number in range(3):
        assert b"SELECT 1" in first.ask(bind(f"s{number}") + wire.execute() + wire.SYNC)


def test_statements_that_are_deallocated_unseen_are_prepared_again() -> None:
    proxy = one_node()
    first, second = proxy.client(), proxy.client()
    for one in (first, second):
        one.ask(wire.parse("SELECT 1", "s") + bind("s") + wire.execute() + wire.SYNC)
    first.ask(wire.query("DEALLOCATE ALL; SELECT 2"))
    assert b"SELECT 1" in second.ask(bind("s") + wire.execute() + wire.SYNC)


def test_the_floor_is_that_of_the_last_write_whichever_answer_comes_first() -> None:
    proxy = PlayedProxy("a", "b", is_heliosdb=False)
    player, other = proxy.client(), proxy.client()
    player.send(wire.query("INSERT INTO t VALUES (1)"))
    first = player.server
    first.work()
    question = first.wire.take()
    assert b"wal_insert_lsn" in question
    other.send(wire.query("INSERT INTO t VALUES (2)"))
    player.send(wire.query("INSERT INTO t VALUES (3)"))
    second = player.server
    assert second is not first
    second.work()
    first.wire.written[:0] = question
    first.work()
    assert player.session.floor == FLOOR_ASKED
    proxy.run()
    assert player.session.floor == 1


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_name_of_the_clients_own_is_that_of_its_block(at: int) -> None:
    proxy = one_node()
    player = proxy.client()
    texts = ["BEGIN", "INSERT INTO t VALUES (1)", "COMMIT"]
    texts.insert(at, "SET helios.write_id = '00000000-0000-0000-0000-000000000001:1'")
    for text in texts:
        player.ask(wire.query(text))
    assert proxy.store.outcomes == {"00000000-0000-0000-0000-000000000001:1": "COMMIT"}
