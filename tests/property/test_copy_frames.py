"""The frames of a copy: what is written is read back, and nothing else is taken."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_cli.engine.log.history import History, TermStart
from helios_cli.engine.replication import copying
from helios_cli.engine.types import PAGE_SIZE, Lsn, Term
from helios_cli.engine.wire.peer import PeerProtocolError

LSNS = st.integers(0, (1 << 63) - 1).map(Lsn)
NUMBERS = st.integers(1, (1 << 32) - 1)
HISTORY = History([TermStart(Term(1, 7), Lsn(0)), TermStart(Term(4, 8), Lsn(999))])


@given(LSNS, st.integers(0, 1 << 32), LSNS, st.text(max_size=100), LSNS)
def test_snapshots(start: Lsn, pages: int, at: Lsn, config: str, config_end: Lsn) -> None:
    snapshot = copying.Snapshot(start, pages, HISTORY, at, config, config_end)
    assert copying.Snapshot.from_body(snapshot.to_body()) == snapshot


@given(NUMBERS, st.integers(1, copying.HASHES_MAX))
def test_hashes(first: int, count: int) -> None:
    hashes = tuple(number * 0x9E3779B97F4A7C15 % (1 << 64) for number in range(count))
    assert copying.read_hashes(copying.hashes_body(first, hashes)) == (first, hashes)


@given(st.lists(NUMBERS, min_size=1, max_size=copying.PAGES_MAX))
def test_wanted_pages(numbers: list[int]) -> None:
    assert copying.read_want(copying.want_body(numbers)) == tuple(numbers)


@given(st.lists(NUMBERS, unique=True, max_size=5))
def test_pages(numbers: list[int]) -> None:
    pages = [(number, bytes([number % 256]) * PAGE_SIZE) for number in numbers]
    assert copying.read_pages(copying.pages_body(pages)) == dict(pages)


@given(LSNS)
def test_ends(lsn: Lsn) -> None:
    assert copying.read_end(copying.end_body(lsn)) == lsn


@given(st.binary(max_size=200))
def test_anything_else_is_refused(data: bytes) -> None:
    for read in (copying.Snapshot.from_body, copying.read_hashes, copying.read_want, copying.read_pages):
        with contextlib.suppress(PeerProtocolError):
            read(data)


@pytest.mark.parametrize("body", [b"", bytes(4), copying.want_body(range(1, copying.PAGES_MAX + 2))])
def test_wants_of_nothing_page_0_or_too_much_are_refused(body: bytes) -> None:
    with pytest.raises(PeerProtocolError):
        copying.read_want(body)
