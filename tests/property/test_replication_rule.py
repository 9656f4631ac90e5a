"""The modes' rules, against their definition in words, and against every way a candidate could miss a commit."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_cli.engine.consensus.rule import Progress, SyncMode, reached
from helios_cli.engine.types import Lsn, Term

TERM = Term(4, 1)
NODES = ["p", "a", "b", "c", "d"]
LSNS = st.integers(0, 6).map(Lsn)


@st.composite
def clusters(draw: st.DrawFn) -> tuple[list[str], Lsn, dict[str, Progress]]:
    """Members with the primary ``p``, its flushed LSN, and what was heard, from strangers and old terms too."""
    members = ["p", *draw(st.lists(st.sampled_from(NODES[1:]), unique=True))]
    heard = {}
    for node in draw(st.lists(st.sampled_from(NODES[1:]), unique=True)):
        flushed = draw(LSNS)
        term = draw(st.sampled_from([TERM, TERM, TERM, Term(3, 1), Term(4, 2)]))
        heard[node] = Progress(term, written=Lsn(flushed + 1), flushed=flushed, applied=draw(LSNS))
    return members, draw(LSNS), heard


def holds(mode: SyncMode, members: list[str], own: Lsn, heard: dict[str, Progress], lsn: Lsn) -> bool:
    """The rule in words: may a commit that ends at ``lsn`` be acknowledged?"""
    if own < lsn:
        return False
    mine = [heard[node] for node in members if node != "p" and node in heard and heard[node].term == TERM]
    flushed = [one for one in mine if one.flushed >= lsn]
    if mode is SyncMode.ASYNC:
        return True
    if mode is SyncMode.SEMI_SYNC:
        return len(flushed) >= 1 or len(members) == 1
    if mode is SyncMode.QUORUM:
        return 2 * (len(flushed) + 1) > len(members)
    return len([one for one in flushed if one.applied >= lsn]) == len(members) - 1


@given(clusters(), st.sampled_from(SyncMode))
def test_what_is_reached_is_all_that_the_rule_allows(
    cluster: tuple[list[str], Lsn, dict[str, Progress]], mode: SyncMode
) -> None:
    members, own, heard = cluster
    committed = reached(mode, members, "p", own, heard, TERM)
    for number in range(1, 9):
        lsn = Lsn(number)
        assert (lsn <= committed) == holds(mode, members, own, heard, lsn), (lsn, committed)


@pytest.mark.parametrize("mode", SyncMode)
@pytest.mark.parametrize("count", range(1, 8))
def test_every_set_that_answers_meets_every_set_that_acknowledged(mode: SyncMode, count: int) -> None:
    nodes = range(count)
    copies, answers = mode.copies(count), mode.answers(count)
    assert 1 <= copies <= count
    for holders in combinations(nodes, copies):
        for heard in combinations(nodes, answers):
            assert set(holders) & set(heard)
    if answers > 1:
        smaller = combinations(nodes, answers - 1)
        assert any(not set(holders) & set(heard) for holders in combinations(nodes, copies) for heard in smaller)
