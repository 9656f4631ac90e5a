"""What a new primary inherits is committed with the first record of its own term, and not before."""

from __future__ import annotations

import pytest

from helios_cli.engine.consensus.config import ClusterConfig, Member
from helios_cli.engine.consensus.lsns import LsnManager
from helios_cli.engine.consensus.rule import Progress, SyncMode
from helios_cli.engine.types import Lsn, Term

NAMES = ("n1", "n2", "n3")
TERM = Term(4, 4)
BEGINS = Lsn(1000)
FIRST = Lsn(1128)


def leader(mode: SyncMode) -> LsnManager:
    members = tuple(Member(name, "", "h", 1, 2, 3, mode.value) for name in NAMES)
    return LsnManager("n1", ClusterConfig(1, mode, members, NAMES, voting=NAMES), TERM, BEGINS, BEGINS)


def has(lsn: Lsn) -> Progress:
    return Progress(TERM, lsn, lsn, lsn)


@pytest.mark.parametrize("mode", SyncMode)
def test_copies_of_the_inherited_tail_commit_nothing(mode: SyncMode) -> None:
    lsns = leader(mode)
    for name in ("n2", "n3"):
        assert lsns.acknowledged(name, has(BEGINS)) == 0
    assert lsns.own_flushed(BEGINS) == 0


@pytest.mark.parametrize("mode", SyncMode)
def test_the_first_record_of_the_term_commits_all_before_it(mode: SyncMode) -> None:
    lsns = leader(mode)
    lsns.own_flushed(FIRST)
    for name in ("n2", "n3"):
        lsns.acknowledged(name, has(BEGINS))
    assert lsns.committed == (FIRST if mode is SyncMode.ASYNC else 0)
    for name in ("n2", "n3"):
        lsns.acknowledged(name, has(FIRST))
    assert lsns.committed == FIRST
