"""Blocks: what is kept to run one again, and what becomes of it when its backend is lost."""

from __future__ import annotations

import pytest

from helios_cli.engine.proxy.block import Block, Fate
from helios_cli.engine.proxy.classify import Classes
from helios_cli.engine.proxy.prepared import Step
from helios_cli.engine.proxy.unit import UNKNOWN, Unit
from helios_cli.engine.types import WriteId

CLASSES = Classes()


def unit(*texts: str, name: bool = False) -> Unit:
    found = Unit(simple=True)
    for text in texts:
        found.touch(CLASSES.of(text))
        found.executed.append(CLASSES.of(text))
        found.add(Step(text.encode()))
    found.name = WriteId(bytes(16), 1) if name else None
    return found


def fate(one: Unit, *, wrote: bool = True, sent: bool = True, failed: bool = False) -> Fate:
    block = Block(read_only=False, limit=1000)
    block.wrote = wrote
    return block.fate(one, was_sent=sent, has_failed=failed)


def test_a_block_is_kept_up_to_its_limit() -> None:
    block = Block(read_only=False, limit=20)
    block.add(unit("x" * 10), b"1")
    assert block.replayable and [digest for _, digest in block.units] == [b"1"]
    block.add(unit("x" * 11), b"2")
    assert not block.replayable and block.units == []
    block.add(unit("x"), b"3")
    assert block.units == []


def test_a_unit_that_was_not_kept_ends_it() -> None:
    block, one = Block(read_only=False, limit=20), unit("x")
    one.forgotten = True
    block.add(one, b"")
    assert not block.replayable


WRITE = "INSERT INTO t VALUES (1)"


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([WRITE], Fate.RUN_AGAIN),
        (["SAVEPOINT a"], Fate.RUN_AGAIN),
        (["ROLLBACK"], Fate.ROLLED_BACK),
        (["COMMIT"], Fate.UNKNOWN),
        (["COMMIT AND CHAIN"], Fate.UNKNOWN),
        (["ROLLBACK AND CHAIN"], Fate.UNKNOWN),
        ([WRITE, "COMMIT"], Fate.UNKNOWN),
        (["SELECT 1; COMMIT"], Fate.UNKNOWN),
        (["PREPARE TRANSACTION 'x'"], Fate.UNKNOWN),
    ],
)
def test_what_may_be_committed_is_not_run_again(texts: list[str], expected: Fate) -> None:
    assert fate(unit(*texts)) is expected
    if expected is not Fate.ROLLED_BACK:
        assert fate(unit(*texts), sent=False) is Fate.RUN_AGAIN


def test_a_portal_that_is_not_known_may_commit() -> None:
    one = unit()
    one.executed.append(UNKNOWN)
    assert fate(one) is Fate.UNKNOWN


def test_a_commit_with_a_name_can_be_asked_after() -> None:
    assert fate(unit("COMMIT", name=True)) is Fate.ASK


def test_a_block_that_has_written_nothing_is_committed_by_its_end() -> None:
    assert fate(unit("COMMIT"), wrote=False) is Fate.COMMITTED
    assert fate(unit("SELECT 1; COMMIT"), wrote=False) is Fate.RUN_AGAIN
    assert fate(unit(WRITE, "COMMIT"), wrote=False) is Fate.UNKNOWN


def test_the_end_of_a_block_that_has_failed_rolls_it_back() -> None:
    assert fate(unit("COMMIT"), failed=True) is Fate.ROLLED_BACK
    open_yet = unit("ROLLBACK")
    open_yet.closed = False
    assert fate(open_yet) is Fate.UNKNOWN
