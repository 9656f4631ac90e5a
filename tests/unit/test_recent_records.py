"""The newest records in memory: a follower may lack only the last of several that were appended at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from helios_cli.engine.log.record import encode_record
from helios_cli.engine.node.streamer import RecentRecords
from helios_cli.engine.types import Lsn, Term
from helios_cli.engine.wire.peer import PeerProtocolError


def records(count: int) -> Iterator[bytes]:
    lsn = 0
    for number in range(count):
        data = encode_record(
            {1: bytes([number]) * 4096},
            term=Term(1, 1), lsn=lsn, prev_lsn=0, prev_term=Term(0), wall_us=0, db_pages=1, db_checksum=0,
            config_version=1,
        )  # fmt: skip
        yield data
        lsn += len(data)


@pytest.mark.parametrize("lacking", range(6))
def test_from_every_record_on(lacking: int) -> None:
    first, second, third, fourth, fifth = made = tuple(records(5))
    recent = RecentRecords(Lsn(0))
    start = 0
    for batch in (first, second + third + fourth, fifth):
        recent.append(Lsn(start), batch)
        start += len(batch)
    since = Lsn(sum(map(len, made[:lacking])))
    assert recent.since(since, 1 << 20) == b"".join(made[lacking:])


def test_what_lies_inside_a_record_is_refused() -> None:
    first, second = records(2)
    recent = RecentRecords(Lsn(0))
    recent.append(Lsn(0), first + second)
    with pytest.raises(PeerProtocolError, match="no record begins"):
        recent.since(Lsn(len(first) + 8), 1 << 20)


def test_as_many_as_one_frame_takes() -> None:
    made = tuple(records(5))
    recent = RecentRecords(Lsn(0))
    for number, data in enumerate(made):
        recent.append(Lsn(sum(map(len, made[:number]))), data)
    room = len(made[0] + made[1])
    assert recent.since(Lsn(0), room) == made[0] + made[1]
    assert recent.since(Lsn(0), room - 1) == made[0]
    assert recent.since(Lsn(room), 1) == made[2], "one at least"
