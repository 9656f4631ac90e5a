"""A standby that asks for more names the terms of all that it was sent, though the disk has not taken it yet."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from helios_cli.engine.log.encoder import RecordEncoder
from helios_cli.engine.log.history import History, TermStart
from helios_cli.engine.log.record import decode_header
from helios_cli.engine.node import applicator
from helios_cli.engine.node.applicator import WalApplicator
from helios_cli.engine.types import Lsn, Term

FIRST, SECOND = Term(1, 11), Term(2, 22)


@pytest.fixture
def standby(monkeypatch: pytest.MonkeyPatch) -> WalApplicator:
    """Whose thread never runs, so that what it is fed waits for the disk."""
    nothing: Any = SimpleNamespace(apply=None)
    monkeypatch.setattr(applicator, "WalApplier", lambda *_: nothing)
    log: Any = SimpleNamespace(end=Lsn(0))
    timeline: Any = SimpleNamespace(history=History())
    database: Any = SimpleNamespace(checksums=SimpleNamespace(total=0), path="", connect=None)
    loop = asyncio.new_event_loop()
    loop.close()
    return WalApplicator(
        log, timeline, nothing, database, loop, applied=Lsn(0), boundaries_max=4, on_flushed=print, on_applied=print,
        on_failed=print,
    )  # fmt: skip


def test_terms_that_wait_for_the_disk(standby: WalApplicator) -> None:
    first = RecordEncoder(FIRST, last=None, db_pages=0, db_checksum=0)
    start, seal = first.term_start(1), first.seal(2)
    one = start + seal
    standby.queue.feed(one)
    assert standby.history() == History([TermStart(FIRST, Lsn(0))])
    second = RecordEncoder(SECOND, last=decode_header(seal), db_pages=0, db_checksum=0)
    standby.queue.feed(second.term_start(3))
    assert standby.history() == History([TermStart(FIRST, Lsn(0)), TermStart(SECOND, Lsn(len(one)))])
    assert standby.queue.written == len(one) + 128


def test_what_is_no_record_ends_the_search(standby: WalApplicator) -> None:
    standby.queue.feed(b"garbage" * 100)
    assert standby.history() == History()
