"""Advisory locks, pg_notify() and FOR UPDATE's ways to wait, over the wire, as PostgreSQL 15 answers them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import errors
from support.node_process import NodeProcess, wait_until

Connection = psycopg.Connection[Any]


def value(connection: Connection, sql: str) -> Any:
    row = connection.execute(sql).fetchone()
    assert row is not None
    return row[0]


def beside(action: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Run something on a thread; the list gets its result or its error."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(action())
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, found


def waits(server: NodeProcess, pid: int) -> bool:
    with server.connect() as observer:
        sql = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND pid = %s"
        row = observer.execute(sql, (pid,)).fetchone()
        return row == (1,)


def test_locks_of_sessions_exclude_each_other_and_count(server: NodeProcess) -> None:
    with server.connect() as one, server.connect() as other:
        assert value(one, "SELECT pg_advisory_lock(1)") == ""
        assert value(one, "SELECT pg_try_advisory_lock(1)") is True
        assert value(other, "SELECT pg_try_advisory_lock(1)") is False
        assert value(other, "SELECT pg_try_advisory_lock(0, 1)") is True
        assert value(one, "SELECT pg_advisory_unlock(1)") is True
        assert value(other, "SELECT pg_try_advisory_lock(1)") is False
        assert value(one, "SELECT pg_advisory_unlock(1)") is True
        assert value(other, "SELECT pg_try_advisory_lock(1)") is True
        notices: list[str] = []
        one.add_notice_handler(lambda notice: notices.append(f"{notice.severity} {notice.message_primary}"))
        assert value(one, "SELECT pg_advisory_unlock(1)") is False
        assert notices == ["WARNING you don't own a lock of type ExclusiveLock"]
        other.execute("SELECT pg_advisory_unlock_all()")
        assert value(one, "SELECT pg_try_advisory_lock_shared(1)") is True
        assert value(other, "SELECT pg_try_advisory_lock_shared(1)") is True
        assert value(other, "SELECT pg_try_advisory_lock(1)") is False
        sql = "SELECT classid, objid, objsubid, mode, granted FROM pg_locks WHERE locktype = 'advisory' AND pid = %s"
        assert one.execute(sql, (one.info.backend_pid,)).fetchall() == [(0, 1, 1, "ShareLock", True)]


def test_locks_of_a_transaction_end_with_it(server: NodeProcess) -> None:
    with server.connect(autocommit=False) as one, server.connect() as other:
        one.execute("SELECT pg_advisory_xact_lock(7)")
        one.execute("SAVEPOINT s")
        one.execute("SELECT pg_advisory_xact_lock(8)")
        assert value(other, "SELECT pg_try_advisory_xact_lock(8)") is False
        one.execute("ROLLBACK TO s")
        assert value(other, "SELECT pg_try_advisory_xact_lock(8)") is True
        assert value(other, "SELECT pg_try_advisory_xact_lock(7)") is False
        one.commit()
        assert value(other, "SELECT pg_try_advisory_xact_lock(7)") is True
        # Without a block it ended with the statement.
        assert value(one, "SELECT pg_try_advisory_lock(7)") is True


def test_a_waiter_gets_the_lock_when_it_is_free(server: NodeProcess) -> None:
    with server.connect() as one, server.connect() as other:
        one.execute("SELECT pg_advisory_lock(21)")
        both = "SELECT pg_advisory_lock(20), pg_advisory_lock(21)"
        thread, found = beside(lambda: value(other, both))
        wait_until(lambda: waits(server, other.info.backend_pid), "it does not wait")
        one.execute("SELECT pg_advisory_unlock(21)")
        thread.join(10)
        assert found == [""]
        # What it had locked before it waited is counted once.
        assert value(other, "SELECT pg_advisory_unlock(20)") is True
        assert value(one, "SELECT pg_try_advisory_lock(20)") is True


def test_a_session_that_ends_gives_its_locks_back(server: NodeProcess) -> None:
    with server.connect() as other:
        with server.connect() as one:
            one.execute("SELECT pg_advisory_lock(31)")
            thread, found = beside(lambda: value(other, "SELECT pg_advisory_lock(31)"))
            wait_until(lambda: waits(server, other.info.backend_pid), "it does not wait")
        thread.join(10)
        assert found == [""]


def test_waiting_ends_with_lock_timeout_or_cancel(server: NodeProcess) -> None:
    with server.connect() as one, server.connect() as other:
        one.execute("SELECT pg_advisory_lock(41)")
        other.execute("SET lock_timeout = '50ms'")
        with pytest.raises(errors.LockNotAvailable):
            other.execute("SELECT pg_advisory_lock(41)")
        other.execute("SET lock_timeout = 0")
        thread, found = beside(lambda: value(other, "SELECT pg_advisory_lock(41)"))
        wait_until(lambda: waits(server, other.info.backend_pid), "it does not wait")
        other.cancel()
        thread.join(10)
        assert isinstance(found[0], errors.QueryCanceled)
        one.execute("SELECT pg_advisory_unlock(41)")
        assert value(one, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0


def test_two_that_wait_for_each_other_are_a_deadlock(server: NodeProcess) -> None:
    with server.connect() as one, server.connect() as other:
        one.execute("SELECT pg_advisory_lock(51)")
        other.execute("SELECT pg_advisory_lock(52)")
        thread, found = beside(lambda: value(one, "SELECT pg_advisory_lock(52)"))
        wait_until(lambda: waits(server, one.info.backend_pid), "it does not wait")
        with pytest.raises(errors.DeadlockDetected):
            other.execute("SELECT pg_advisory_lock(51)")
        other.execute("SELECT pg_advisory_unlock(52)")
        thread.join(10)
        assert found == [""]


def test_a_write_waits_for_an_advisory_lock_too(server: NodeProcess) -> None:
    with server.connect() as one, server.connect() as other:
        one.execute("CREATE TABLE IF NOT EXISTS advised (a text)")
        one.execute("SELECT pg_advisory_lock(61)")
        sql = "INSERT INTO advised SELECT 'x' WHERE pg_advisory_xact_lock(61) IS NOT NULL"
        thread, found = beside(lambda: other.execute(sql).rowcount)
        wait_until(lambda: waits(server, other.info.backend_pid), "it does not wait")
        one.execute("SELECT pg_advisory_unlock(61)")
        thread.join(10)
        assert found == [1]
        assert value(one, "SELECT pg_try_advisory_lock(61)") is True


def test_pg_notify_is_delivered_at_commit(server: NodeProcess) -> None:
    with server.connect() as one, server.connect(autocommit=False) as other:
        one.execute("LISTEN news; LISTEN sport")
        assert one.execute("SELECT pg_listening_channels()").fetchall() == [("news",), ("sport",)]
        other.execute("SELECT pg_notify('news', 'lost')")
        other.rollback()
        other.execute("SELECT pg_notify('news', 'kept'), pg_notify('news', 'kept'), pg_notify('sport', NULL)")
        other.commit()
        found = [(notify.channel, notify.payload) for notify in one.notifies(timeout=10, stop_after=2)]
        assert found == [("news", "kept"), ("sport", "")]
        with pytest.raises(errors.InvalidParameterValue, match="channel name cannot be empty"):
            other.execute("SELECT pg_notify('', 'x')")


def test_for_update_nowait_does_not_wait_and_skip_locked_is_accepted(server: NodeProcess) -> None:
    with server.connect(autocommit=False) as one, server.connect() as other:
        other.execute("CREATE TABLE IF NOT EXISTS queue (id int PRIMARY KEY)")
        other.execute("INSERT INTO queue VALUES (1) ON CONFLICT DO NOTHING")
        assert one.execute("SELECT id FROM queue FOR UPDATE SKIP LOCKED").fetchall() == [(1,)]
        with pytest.raises(errors.LockNotAvailable, match='could not obtain lock on row in relation "queue"'):
            other.execute("SELECT id FROM queue FOR UPDATE NOWAIT")
        one.rollback()
        assert other.execute("SELECT id FROM queue FOR UPDATE NOWAIT").fetchall() == [(1,)]
