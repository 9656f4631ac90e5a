"""What a client gets, and what the next node is sent, when a node is lost or refuses."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest
from support.played_nodes import PlayedProxy, Player, Wire

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.wire import backend as answers
from helios_cli.engine.wire import client as wire

IDLE, OPEN, FAILED = b"Z\0\0\0\5I", b"Z\0\0\0\5T", b"Z\0\0\0\5E"
RUN = wire.bind([]) + wire.describe("P") + wire.execute()


def two(replay_max_bytes: int = 1 << 20) -> tuple[PlayedProxy, Player]:
    proxy = PlayedProxy("a", "b", replay_max_bytes=replay_max_bytes)
    return proxy, proxy.client()


def on(proxy: PlayedProxy, node: str) -> list[str]:
    """What a node's processes were made to run, without names of writes."""
    logs = [line for one in proxy.servers if one.backend.node.name == node for line in one.log]
    return [line for line in logs if "helios.write_id" not in line]


def in_block(player: Player, *texts: str) -> None:
    for text in ("BEGIN", *texts):
        assert player.ask(wire.query(text)).endswith(OPEN), text


# Waiting ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pool_size", [1, 4])
def test_who_waits_for_a_connection_to_a_silent_node_goes_to_the_next_primary(pool_size: int) -> None:
    """In the queue behind the one whose statement is at the node, or for a connection that never comes about."""
    proxy = PlayedProxy("a", "b", pool_size=pool_size)
    first, *others = [proxy.client() for _ in range(4)]
    for server in proxy.servers:
        server.backend.close()
    first.send(wire.query("INSERT INTO t VALUES (0)"))
    proxy.silent.add("a")
    for number, player in enumerate(others, 1):
        player.send(wire.query(f"INSERT INTO t VALUES ({number})"))
        assert player.wire.take() == b""
    proxy.depose()
    for player in (first, *others):
        assert player.wire.take().endswith(b"INSERT 0 1\0" + IDLE)
    assert sorted(on(proxy, "b")) == [f"INSERT INTO t VALUES ({number})" for number in range(4)]
    assert all(pool.connecting == 0 and not pool.waiting for pool in proxy.pools)


def test_who_speaks_before_the_welcome_waits_once() -> None:
    proxy = PlayedProxy("a", pool_size=1)
    first = proxy.client()
    first.ask(wire.query("BEGIN"))
    session = proxy.begin(cast(asyncio.Transport, Wire()), {"user": "app"}, None, wire.query("SELECT 1"))
    proxy.clock.advance(1)
    assert [list(pool.waiting) for pool in proxy.pools] == [[session]]


# Blocks ----------------------------------------------------------------------------------------------------------


def test_a_block_is_run_again_with_the_settings_of_its_session() -> None:
    proxy, player = two()
    player.ask(wire.query("SET search_path = 'mine'"))
    in_block(player, "INSERT INTO t VALUES (1)")
    proxy.fail_over()
    assert player.ask(wire.query("INSERT INTO t VALUES (2)")).endswith(b"INSERT 0 1\0" + OPEN)
    assert on(proxy, "b") == [
        "SET search_path = 'mine'",
        "BEGIN",
        "INSERT INTO t VALUES (1)",
        "INSERT INTO t VALUES (2)",
    ]


def test_what_a_chain_has_committed_is_not_run_again() -> None:
    proxy, player = two()
    in_block(player, "INSERT INTO t VALUES (1)", "COMMIT AND CHAIN", "INSERT INTO t VALUES (2)")
    proxy.fail_over()
    assert b"C40001\0" in player.ask(wire.query("INSERT INTO t VALUES (3)"))
    assert player.ask(wire.query("ROLLBACK")).endswith(IDLE)
    assert proxy.store.writes == ["INSERT INTO t VALUES (1)"]


@pytest.mark.parametrize(
    "text", ["INSERT INTO t VALUES (2); COMMIT", "COMMIT; BEGIN; INSERT INTO t VALUES (3)", "PREPARE TRANSACTION 'x'"]
)
def test_a_string_that_may_have_committed_is_not_sent_again(text: str) -> None:
    proxy, player = two()
    in_block(player, "INSERT INTO t VALUES (1)")
    player.server.stops_at = 0
    player.send(wire.query(text))
    proxy.run()
    proxy.fail_over()
    assert b"C08007\0" in player.wire.take()
    assert proxy.store.writes.count("INSERT INTO t VALUES (1)") <= 1 and on(proxy, "b") == []


def test_a_commit_among_extended_messages_is_not_sent_again() -> None:
    proxy, player = two()
    in_block(player, "INSERT INTO t VALUES (1)")
    player.server.stops_at = 0
    player.send(wire.parse("INSERT INTO t VALUES (2)") + RUN + wire.parse("COMMIT") + RUN + wire.SYNC)
    proxy.run()
    proxy.fail_over()
    assert b"C08007\0" in player.wire.take() and on(proxy, "b") == []


def test_a_commit_that_was_partly_answered() -> None:
    proxy, player = two()
    in_block(player, "INSERT INTO t VALUES (1)")
    player.server.stops_at = 10
    player.send(wire.parse("COMMIT") + RUN + wire.SYNC)
    proxy.run()
    proxy.fail_over()
    assert player.wire.take() == b"1\0\0\0\4" + b"2\0\0\0\4" + b"n\0\0\0\4" + b"C\0\0\0\13COMMIT\0" + IDLE
    assert proxy.store.writes == ["INSERT INTO t VALUES (1)"]


def test_a_commit_whose_sync_has_not_come() -> None:
    proxy, player = two()
    in_block(player, "INSERT INTO t VALUES (1)")
    player.server.stops_at = 10
    player.send(wire.parse("COMMIT") + RUN + wire.FLUSH)
    proxy.run()
    proxy.fail_over()
    proxy.run()
    assert player.wire.take() == b"1\0\0\0\4" + b"2\0\0\0\4" + b"n\0\0\0\4" + b"C\0\0\0\13COMMIT\0"
    assert player.ask(wire.SYNC) == IDLE
    assert proxy.store.writes == ["INSERT INTO t VALUES (1)"]


def test_a_commit_and_chain_is_not_run_again() -> None:
    proxy, player = two()
    in_block(player, "INSERT INTO t VALUES (1)")
    player.server.stops_at = 0
    player.send(wire.query("COMMIT AND CHAIN"))
    proxy.run()
    proxy.fail_over()
    assert b"C08007\0" in player.wire.take()
    assert proxy.store.writes == ["INSERT INTO t VALUES (1)"] and on(proxy, "b") == []


def test_a_rollback_that_was_lost_is_one() -> None:
    proxy, player = two()
    in_block(player, "INSERT INTO t VALUES (1)")
    proxy.fail_over()
    assert player.ask(wire.query("ROLLBACK")) == b"C\0\0\0\15ROLLBACK\0" + IDLE
    assert on(proxy, "b") == []


def test_a_block_whose_copy_is_too_long_to_be_kept() -> None:
    proxy, player = two(replay_max_bytes=1000)
    in_block(player)
    player.ask(wire.query("COPY t FROM STDIN"))
    for _ in range(3):
        player.ask(answers.copy_data(b"x" * 600))
    proxy.fail_over()
    player.send(answers.copy_data(b"x" * 600) + answers.COPY_DONE)
    proxy.run()
    assert b"C40001\0" in player.wire.take()
    assert player.ask(wire.query("ROLLBACK")).endswith(IDLE)
    assert on(proxy, "b") == []


def test_a_block_with_a_copy_is_run_again() -> None:
    proxy, player = two()
    in_block(player)
    player.ask(wire.query("COPY t FROM STDIN"))
    assert player.ask(answers.copy_data(b"1\n") + answers.COPY_DONE).endswith(b"COPY 1\0" + OPEN)
    proxy.fail_over()
    assert player.ask(wire.query("SELECT 1") + wire.query("SELECT 2")).count(OPEN) == 2
    assert on(proxy, "b") == ["BEGIN", "COPY t FROM STDIN", "SELECT 1", "SELECT 2"]


def test_data_of_a_copy_waits_with_its_client_while_nobody_leads() -> None:
    proxy, player = two()
    in_block(player)
    player.ask(wire.query("COPY t FROM STDIN"))
    proxy.lose()
    for _ in range(40):
        player.send(answers.copy_data(b"x" * 60000))
        if not player.wire.reading:
            break
    assert not player.wire.reading
    proxy.fail_over()
    assert player.wire.reading
    assert player.ask(answers.COPY_DONE).endswith(b"COPY 1\0" + OPEN)


def test_an_unnamed_statement_is_prepared_again_behind_a_query_that_is_run_again() -> None:
    proxy, player = two()
    in_block(player)
    player.ask(wire.parse("SELECT 1") + wire.SYNC)
    player.ask(wire.query("SELECT 2"))
    player.ask(wire.parse("SELECT 1") + RUN + wire.SYNC)
    player.ask(wire.query("SELECT 3"))
    proxy.fail_over()
    assert b"SELECT 1" in player.ask(RUN + wire.SYNC)


def test_a_unit_that_begins_its_block_is_sent_again() -> None:
    proxy, player = two()
    player.send(wire.parse("BEGIN") + RUN + wire.parse("INSERT INTO t VALUES (1)") + RUN + wire.SYNC)
    player.server.stops_at = 0
    proxy.played.falls = True
    proxy.run()
    proxy.fail_over()
    assert player.wire.take().endswith(b"INSERT 0 1\0" + OPEN)
    assert on(proxy, "b") == ["BEGIN", "INSERT INTO t VALUES (1)"]


# Writes ------------------------------------------------------------------------------------------------------------


def lost_write(proxy: PlayedProxy, player: Player) -> None:
    """A named write is done, and its answer does not come."""
    player.ask(wire.query("SELECT 1"))
    player.send(wire.query("INSERT INTO t VALUES (1)"))
    player.server.stops_at = 0
    proxy.played.falls = True
    proxy.run()
    assert player.wire.take() == b""


def test_a_write_that_nobody_can_be_asked_after_is_of_unknown_outcome() -> None:
    proxy, player = two()
    lost_write(proxy, player)
    proxy.clock.advance(31)
    assert b"C08007\0" in player.wire.take()


def test_a_write_that_is_asked_after_cannot_be_cancelled_for_certain() -> None:
    proxy, player = two()
    lost_write(proxy, player)
    player.session.cancel()
    assert b"C08007\0" in player.wire.take()


def test_a_commit_that_nobody_can_be_asked_after_is_of_unknown_outcome() -> None:
    proxy, player = two()
    in_block(player, "INSERT INTO t VALUES (1)")
    player.server.stops_at = 0
    player.send(wire.query("COMMIT"))
    proxy.played.falls = True
    proxy.run()
    proxy.clock.advance(31)
    assert b"C08007\0" in player.wire.take()
    assert player.session.block is None


def test_a_question_that_is_always_refused_ends() -> None:
    proxy, player = two()
    in_block(player, "INSERT INTO t VALUES (1)")
    player.server.stops_at = 0
    player.send(wire.query("COMMIT"))
    proxy.played.falls = True
    proxy.run()
    proxy.refuses["b"]["SELECT"] = HeliosError("no such function", sqlstate="42883")
    proxy.fail_over()
    for _ in range(1000):
        proxy.clock.advance(0.1)
        proxy.run()
    assert b"C08007\0" in player.wire.take()


def test_a_named_write_is_done_once() -> None:
    proxy, player = two()
    lost_write(proxy, player)
    proxy.fail_over()
    assert player.wire.take() == b"C\0\0\0\17INSERT 0 1\0" + IDLE
    assert proxy.store.writes == ["INSERT INTO t VALUES (1)"]


def test_a_read_that_ends_every_node_is_given_up() -> None:
    proxy, player = two()
    player.send(wire.query("SELECT 1"))
    for _ in range(50):
        for server in proxy.servers:
            server.dies_before = "SELECT"
        proxy.run()
        proxy.clock.advance(1)
    assert sum(server.log == ["SELECT 1"] for server in proxy.servers) < 10
    assert player.wire.take().endswith(IDLE)


def test_an_answer_that_comes_out_shorter_is_an_error() -> None:
    proxy, player = two()
    text = "SELECT many"
    player.send(wire.query(text))
    server = player.server
    server.rows[text] = [str(number) for number in range(100)]
    server.chunk, server.stops_at = 100, 1200
    proxy.run()
    assert len(player.wire.written) > 1000
    proxy.run()
    assert b"C40001\0" in player.wire.take()
    assert player.ask(wire.query("SELECT 2")).endswith(IDLE)


def test_rows_of_a_write_that_come_out_otherwise_are_not_called_undone() -> None:
    proxy, player = two()
    player.send(wire.query("INSERT INTO t VALUES (1) RETURNING x"))
    player.server.stops_at = 23
    proxy.played.falls = True
    proxy.run()
    assert player.wire.written
    proxy.refuses["b"]["INSERT"] = HeliosError("the rows are not kept", sqlstate="08007")
    proxy.fail_over()
    assert b"C08007\0" in player.wire.take()


# Refusals ----------------------------------------------------------------------------------------------------------


def test_a_conflict_is_no_reason_to_suspect_a_node() -> None:
    proxy, player = two()
    player.send(wire.query("INSERT INTO t VALUES (1)"))
    proxy.refuses["a"]["INSERT"] = HeliosError("conflict", sqlstate="40001")
    proxy.run()
    del proxy.refuses["a"]["INSERT"]
    proxy.clock.advance(1)
    proxy.run()
    assert b"INSERT 0 1\0" in player.wire.take() and proxy.played.suspected == []


def test_a_role_that_may_only_read_is_told_so() -> None:
    proxy, player = two()
    proxy.refuses["a"]["INSERT"] = HeliosError("cannot execute INSERT in a read-only transaction", sqlstate="25006")
    player.send(wire.query("INSERT INTO t VALUES (1)"))
    for _ in range(30):
        proxy.run()
        proxy.clock.advance(0.1)
    assert b"C25006\0" in player.wire.take()
    assert on(proxy, "a").count("INSERT INTO t VALUES (1)") < 30


def test_a_block_that_was_made_read_only_is_told_so_at_once() -> None:
    proxy, player = two()
    error = HeliosError("cannot execute INSERT in a read-only transaction", sqlstate="25006")
    proxy.refuses["a"]["INSERT"] = proxy.refuses["b"]["INSERT"] = error
    in_block(player, "SET TRANSACTION READ ONLY")
    assert b"C25006\0" in player.ask(wire.query("INSERT INTO t VALUES (1)"))
    assert (on(proxy, "a") + on(proxy, "b")).count("INSERT INTO t VALUES (1)") == 1


@pytest.mark.parametrize("end", [wire.SYNC, wire.FLUSH])
def test_a_write_that_a_standby_refuses_goes_to_the_primary(end: bytes) -> None:
    proxy, player = two()
    error = HeliosError("cannot execute nextval() in a read-only transaction", sqlstate="25006")
    proxy.refuses["b"]["SELECT"] = error
    player.send(wire.parse("SELECT f()") + RUN + end)
    proxy.run()
    assert b"SELECT f()" in player.wire.take()
    assert on(proxy, "a")[-1] == "SELECT f()"


# Several writes in a block of the proxy's own ------------------------------------------------------------------------

SEVERAL = wire.parse("INSERT INTO t VALUES (1)") + RUN + wire.parse("INSERT INTO t VALUES (2)") + RUN + wire.SYNC


def test_several_writes_that_an_old_primary_refuses_go_to_the_new_one() -> None:
    proxy, player = two()
    proxy.refuses["a"]["INSERT"] = HeliosError("cannot execute INSERT in a read-only transaction", sqlstate="25006")
    player.send(SEVERAL)
    proxy.run()
    proxy.fail_over()
    proxy.clock.advance(1)
    proxy.run()
    assert player.wire.take().endswith(b"INSERT 0 1\0" + IDLE)
    assert len(proxy.store.writes) == 2


def test_notices_of_several_writes_are_passed_on() -> None:
    _proxy, player = two()
    player.send(SEVERAL)
    backend = player.session.backend
    assert backend is not None
    notice = answers.notice("mind this")
    server = player.server
    data = server.wire.take()
    backend.data_received(answers.command_complete("BEGIN") + OPEN + answers.PARSE_COMPLETE + notice)
    server.wire.written[:0] = b""
    assert data
    rest = answers.BIND_COMPLETE + answers.NO_DATA + answers.command_complete("INSERT 0 1")
    backend.data_received(rest + answers.PARSE_COMPLETE + rest + OPEN)
    backend.data_received(answers.command_complete("SET") + answers.command_complete("COMMIT") + IDLE)
    assert notice in player.wire.take()


def test_several_writes_whose_commit_was_lost() -> None:
    proxy, player = two()
    player.send(SEVERAL)
    server = player.server
    server.dies_before = "COMMIT"
    proxy.run()
    proxy.fail_over()
    assert player.wire.take().endswith(b"INSERT 0 1\0" + IDLE)
    assert len(proxy.store.writes) == 2


def test_a_write_with_a_long_answer_beside_it_is_not_kept_whole() -> None:
    proxy, player = two()
    text = "SELECT many"
    player.send(wire.parse("INSERT INTO t VALUES (1)") + RUN + wire.parse(text) + RUN + wire.SYNC)
    server = player.server
    server.rows[text] = ["x" * 60000] * 400
    server.chunk = 65536
    most = 0

    def watch(data: bytes) -> None:
        nonlocal most
        most = max(most, len(data))

    player.wire.on_write = watch
    proxy.run()
    assert player.wire.take().endswith(b"SELECT 400\0" + IDLE) and most < 20 << 20


@pytest.mark.parametrize("is_done", [True, False])
def test_a_copy_too_long_to_be_sent_again_is_asked_after(is_done: bool) -> None:
    proxy, player = two(replay_max_bytes=1000)
    player.ask(wire.query("COPY t FROM STDIN"))
    for _ in range(3):
        player.ask(answers.copy_data(b"x" * 600))
    player.server.stops_at = 0
    player.send(answers.COPY_DONE)
    if is_done:
        proxy.run()
    proxy.fail_over()
    answer = player.wire.take()
    if is_done:  # that is how the played node remembers it
        assert answer == answers.command_complete("INSERT 0 1") + IDLE
    else:
        assert b"C40001\0" in answer and answer.endswith(IDLE)
    assert not any("COPY" in line for line in on(proxy, "b"))


def test_several_writes_whose_commit_finds_the_lead_given_away() -> None:
    proxy, player = two()
    proxy.refuses["a"]["COMMIT"] = HeliosError("the primary gave the lead away", sqlstate="40001")
    player.send(SEVERAL)
    proxy.run()
    proxy.fail_over()
    proxy.clock.advance(1)
    proxy.run()
    answer = player.wire.take()
    assert b"C40001\0" not in answer and answer.endswith(b"INSERT 0 1\0" + IDLE)
    assert len(proxy.store.writes) == 2
