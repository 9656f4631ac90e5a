"""A reader of the log: what it hands on, and what it does when the log takes another course."""

from __future__ import annotations

import pytest

from helios_cli.engine.log.history import History, TermStart
from helios_cli.engine.log.record import encode_record
from helios_cli.engine.replication.messages import Welcome
from helios_cli.engine.types import Lsn, Term
from helios_cli.replication import LogForked, ReplicationError
from helios_cli.replication.feed import LogFollower


def record(lsn: int, term: int = 1, kind: int = 1) -> bytes:
    pages = {1: bytes([lsn % 251]) * 4096} if kind == 1 else {}
    return encode_record(
        pages, term=Term(term), lsn=lsn, prev_lsn=0, prev_term=Term(term), wall_us=1, db_pages=1, db_checksum=1,
        kind=kind,
    )  # fmt: skip


def welcome(start: int = 0, end: int = 0, cluster: str = "c1") -> Welcome:
    return Welcome(
        proof="", node_id="n1", cluster_id=cluster, role="primary", mode="async", host="h", pg_port=1, http_port=1,
        start_lsn=start, end_lsn=end, authority="embedded",
    )  # fmt: skip


def follower() -> tuple[LogFollower, list[bytes]]:
    got: list[bytes] = []
    return LogFollower("reader", got.append), got


def test_records_are_handed_on_once_they_are_committed() -> None:
    reader, got = follower()
    reader.joined(welcome(), Term(1))
    first = record(0, kind=2)
    second = record(len(first))
    reader.records(first, Term(1))
    reader.records(second, Term(1))
    assert got == [] and reader.records_received == 2
    reader.committed(Lsn(len(first)), Lsn(len(first + second)), 5)
    assert got == [first]
    reader.committed(Lsn(len(first + second) - 1), Lsn(0), 5)
    assert got == [first], "half of it is committed"
    reader.committed(Lsn(len(first + second)), Lsn(0), 5)
    assert got == [first, second]
    assert reader.log_end() == (History([TermStart(Term(1), Lsn(0))]), len(first + second))


def test_it_has_no_data_directory() -> None:
    identity = follower()[0].identity()
    assert (identity.incarnation, identity.role) == ("", "receiver")


def test_another_cluster_is_not_followed() -> None:
    reader, _ = follower()
    reader.joined(welcome(), Term(1))
    with pytest.raises(ReplicationError, match="another cluster"):
        reader.joined(welcome(cluster="c2"), Term(1))


def test_a_log_that_begins_later_is_read_from_there() -> None:
    reader, _ = follower()
    reader.joined(welcome(start=800), Term(2))
    assert reader.log_end() == (History(), 800)
    history = History([TermStart(Term(1), Lsn(0)), TermStart(Term(2), Lsn(500))])
    with pytest.raises(ReplicationError, match="following again"):
        reader.must_rewind(Lsn(0), history)
    assert reader.log_end() == (history, 800)


def test_what_was_not_committed_is_dropped_at_a_fork() -> None:
    reader, got = follower()
    reader.joined(welcome(), Term(1))
    first = record(0, kind=2)
    reader.records(first, Term(1))
    reader.committed(Lsn(len(first)), Lsn(0), 1)
    reader.records(record(len(first)), Term(1))
    history = History([TermStart(Term(1), Lsn(0)), TermStart(Term(2), Lsn(len(first)))])
    with pytest.raises(ReplicationError, match="following again"):
        reader.must_rewind(Lsn(len(first)), history)
    assert reader.log_end() == (History([TermStart(Term(1), Lsn(0))]), len(first))
    again = record(len(first), 2, kind=2)
    reader.records(again, Term(2))
    reader.committed(Lsn(len(first + again)), Lsn(0), 1)
    assert got == [first, again]
    assert reader.log_end()[0] == history


def test_what_was_handed_on_and_is_gone_ends_it() -> None:
    reader, _ = follower()
    failures: list[LogForked] = []
    reader.on_failed = failures.append
    reader.joined(welcome(), Term(1))
    first = record(0, kind=2)
    reader.records(first, Term(1))
    reader.committed(Lsn(len(first)), Lsn(0), 1)
    with pytest.raises(LogForked) as forked:
        reader.must_rewind(Lsn(8), History([TermStart(Term(1), Lsn(0)), TermStart(Term(2), Lsn(8))]))
    reader.lost(ConnectionResetError())
    assert failures == []
    reader.lost(forked.value)
    assert failures == [forked.value]
    with pytest.raises(LogForked, match="does not reach back"):
        reader.must_reseed("the log begins at 0/FF")
