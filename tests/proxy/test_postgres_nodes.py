"""What the proxy knows of plain PostgreSQL: the role by pg_is_in_recovery(), the term by the timeline, the lag."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from support.node_process import wait_until
from support.postgres_pair import PostgresPair
from support.watched import WAIT_S, Watched, as_nodes, watched

from helios_cli.engine.config.proxy import ProxySettings
from helios_cli.engine.proxyserver.node import State

Watch = Callable[..., Watched]


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Watches the pair until the end of the test."""
    with ExitStack() as stack:
        yield lambda pair, **settings: stack.enter_context(
            watched(nodes=as_nodes(pair.nodes), database=pair.database, auth_user="postgres", **settings)
        )


@pytest.fixture
def own(program: Callable[[str], str]) -> Iterator[PostgresPair]:
    """A pair whose servers may be ended."""
    pair = PostgresPair(program)
    try:
        yield pair.start()
    finally:
        pair.close()
        for node in (pair.primary, pair.standby):
            print(f"--- {node.name}\n{node.log_tail()}")


def names(pair: PostgresPair) -> tuple[str, str]:
    return pair.primary.name, pair.standby.name


def test_roles_and_the_way_to_read(postgres_pair: PostgresPair, watch: Watch) -> None:
    primary, standby = names(postgres_pair)
    seen = watch(postgres_pair)
    seen.wait_primary(primary)
    seen.wait_readers(primary, standby)
    assert not seen.node(primary).is_heliosdb
    assert seen.node(standby).role == "standby"
    with postgres_pair.primary.connect() as connection:
        row = connection.execute("SELECT timeline_id FROM pg_control_checkpoint()").fetchone()
    assert row == (seen.node(primary).term,)


def test_a_role_without_rights_is_enough(postgres_pair: PostgresPair) -> None:
    with postgres_pair.primary.connect() as connection:
        connection.execute("CREATE ROLE watcher LOGIN")
    postgres_pair.wait_caught_up()
    primary, standby = names(postgres_pair)
    with watched(nodes=as_nodes(postgres_pair.nodes), database="postgres", auth_user="watcher") as seen:
        seen.wait_primary(primary)
        seen.wait_readers(primary, standby)
    with postgres_pair.primary.connect() as connection:
        connection.execute("DROP ROLE watcher")


def test_from_one_address_only_that_server_is_known(postgres_pair: PostgresPair) -> None:
    address = f"127.0.0.1:{postgres_pair.primary.pg_port}"
    with watched(discover=address, database="postgres", auth_user="postgres") as seen:
        seen.wait_primary(address)
        assert list(seen.cluster.nodes) == [address]


def test_a_standby_that_lags_is_left_out_by_bytes_and_by_time(postgres_pair: PostgresPair, watch: Watch) -> None:
    primary, standby = names(postgres_pair)
    by_bytes, by_time = watch(postgres_pair, max_lag_bytes=100_000), watch(postgres_pair, max_lag=0.3)
    freely = watch(postgres_pair)
    for seen in (by_bytes, by_time, freely):
        seen.wait_readers(primary, standby)
    with postgres_pair.standby.connect() as other, postgres_pair.primary.connect() as connection:
        other.execute("SELECT pg_wal_replay_pause()")
        try:
            connection.execute("CREATE TABLE lagging AS SELECT repeat('x', 500) FROM generate_series(1, 1000)")
            by_bytes.wait_readers(primary)
            by_time.wait_readers(primary)
            wait_until(lambda: freely.node(standby).lag_bytes > 100_000, "the lag is known", WAIT_S)
            assert freely.readers() == {primary, standby}
        finally:
            other.execute("SELECT pg_wal_replay_resume()")
        for seen in (by_bytes, by_time):
            seen.wait_readers(primary, standby)
            assert (seen.node(primary).lag_bytes, seen.node(primary).lag_ms) == (0, 0.0)
        connection.execute("DROP TABLE lagging")


def test_the_floor_is_an_lsn_of_the_primary(postgres_pair: PostgresPair, watch: Watch) -> None:
    primary, standby = names(postgres_pair)
    seen = watch(postgres_pair, health_check_interval=600.0)
    seen.wait_readers(primary, standby)
    with postgres_pair.standby.connect() as other, postgres_pair.primary.connect() as connection:
        other.execute("SELECT pg_wal_replay_pause()")
        connection.execute("CREATE TABLE floored (a int)")
        row = connection.execute("SELECT pg_current_wal_lsn() - '0/0'").fetchone()
        assert row is not None
        floor = int(row[0])
        seen.call(lambda: seen.cluster.look(floor))
        assert seen.readers(floor) == {primary}
        other.execute("SELECT pg_wal_replay_resume()")

        def look() -> None:
            seen.cluster.look(floor)
            seen.cluster.when_changed(look)

        seen.call(look)
        seen.wait_readers(primary, standby, floor=floor)
        connection.execute("DROP TABLE floored")


def test_a_standby_that_is_promoted_leads_and_the_old_primary_is_not_believed(
    own: PostgresPair, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    """The old one comes back as a primary, as one without a fence does: its timeline is over."""
    caplog.set_level(logging.INFO, "helios_cli.engine.proxyserver")
    old, new = own.primary, own.standby
    seen = watch(own, health_check_interval=600.0)
    timeline = seen.wait_primary(old.name).term
    own.primary.kill()
    wait_until(lambda: seen.primary == "", "the loss is noticed", WAIT_S)
    assert seen.readers() == {new.name}, "reads go on"
    own.standby.promote()
    seen.wait_primary(new.name)
    assert seen.node(new.name).term > timeline
    old.start()
    wait_until(lambda: seen.node(old.name).state is State.HEALTHY, "the old primary answers", WAIT_S)
    with old.connect() as connection:
        assert connection.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)
    wait_until(lambda: seen.node(old.name).role == "deposed", "it is not believed", WAIT_S)
    assert seen.primary == new.name
    assert seen.readers() == {new.name}
    assert [name for name, _term in seen.leads] == [old.name, new.name]
    told = [record.getMessage() for record in caplog.records]
    assert any(f"node {old.name} is deposed" in line for line in told)
    old.kill()
    own.primary, own.standby = new, old
    old.copy(new)
    old.start()
    seen.wait_role(old.name, "standby")
    seen.wait_readers(old.name, new.name)


def test_a_planned_switch(own: PostgresPair, watch: Watch) -> None:
    seen = watch(own)
    old, new = own.primary, own.standby
    seen.wait_primary(old.name)
    own.fail_over()
    seen.wait_primary(new.name)
    seen.wait_role(old.name, "standby")
    seen.wait_readers(old.name, new.name)


def test_servers_that_freeze(own: PostgresPair, watch: Watch) -> None:
    seen = watch(own, health_check_interval=600.0)
    primary, standby = names(own)
    seen.wait_readers(primary, standby)
    for name, server, others in ((standby, own.standby, {primary}), (primary, own.primary, {standby})):
        seen.node(name).active = 1
        server.send(signal.SIGSTOP)
        try:
            seen.wait_state(name, State.UNHEALTHY)
            assert seen.readers() == others
        finally:
            server.send(signal.SIGCONT)
        seen.node(name).active = 0
        seen.wait_readers(primary, standby)
    seen.wait_primary(primary)


def test_of_two_primaries_on_one_timeline_the_configured_one_counts(own: PostgresPair) -> None:
    """Servers that nobody fences, a standby without its signal file: nothing but the configuration can tell."""
    own.standby.stop()
    (own.standby.data / "standby.signal").unlink()
    own.standby.start()
    hint = {own.standby.name: {"role": "primary"}}
    options: dict[str, Any] = {"database": "postgres", "auth_user": "postgres"}
    with watched(nodes=as_nodes(own.nodes, **hint), **options) as seen:
        wait_until(lambda: all(node.role for node in seen.cluster.nodes.values()), "both were heard", WAIT_S)
        assert seen.primary == own.standby.name
        assert seen.node(own.primary.name).role == "deposed"
        other = {own.primary.name: {"role": "primary"}}
        changed = ProxySettings(nodes=as_nodes(own.nodes, **other), **options)
        seen.call(lambda: seen.cluster.apply(changed))
        assert seen.primary == own.standby.name, "the one that leads stays"
