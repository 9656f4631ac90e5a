"""When a node asks to be elected: by rank, less and less often, and not while one that it has voted for begins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle

from helios_cli.engine.consensus.candidacy import RANK_S, RETRY_MAX_S, VOTED_S, Candidacy, rank, turn
from helios_cli.engine.consensus.config import ClusterConfig, Member
from helios_cli.engine.consensus.rule import SyncMode


def draws(*numbers: float) -> Candidacy:
    given: Iterator[float] = cycle(numbers)
    return Candidacy(lambda: next(given))


def first_due(candidacy: Candidacy, since: float, place: int = 0) -> float:
    """When it asks next, in steps of a millisecond."""
    now = since
    while not candidacy.due(now, place, is_loyal=False):
        now = round(now + 0.001, 3)
        assert now < since + 60
    return round(now - since, 3)


def test_by_rank_and_less_and_less_often() -> None:
    assert first_due(draws(0.0), 10.0) == 0
    assert first_due(draws(0.0), 10.0, place=2) == 2 * RANK_S
    candidacy = draws(0.5)
    pauses, now = [], 10.0
    for _ in range(8):
        pauses.append(first_due(candidacy, now))
        now += pauses[-1] + 0.001
    assert pauses[1:] == sorted(pauses[1:]) and pauses[-1] <= RETRY_MAX_S
    assert not candidacy.due(now + 100, 0, is_loyal=True)
    assert first_due(candidacy, now + 100) < pauses[1]


def test_a_vote_for_another_leaves_it_time() -> None:
    for candidacy in (draws(0.0), draws(0.9)):
        candidacy.defer(10.0)
        assert VOTED_S <= first_due(candidacy, 10.0) <= 2 * VOTED_S + 0.001
    waiting = draws(0.5)
    for _ in range(12):
        first_due(waiting, 10.0)
    later = first_due(waiting, 10.0)
    again = draws(0.5)
    for _ in range(12):
        first_due(again, 10.0)
    again.defer(10.0)
    assert first_due(again, 10.0) >= min(later, VOTED_S)
    # Heard of: the primary that was voted for leads, and what was put off is forgotten.
    assert not again.due(11.0, 0, is_loyal=True)
    assert first_due(again, 11.0) < VOTED_S


def test_one_whose_copies_do_not_count_tries_behind_all_others() -> None:
    """Perhaps it is ahead of them, with records that the primary has lost: then nobody else can lead."""
    names = ("a", "b", "c")
    members = tuple(Member(name, name, "h", 1, 2, 3, "", priority=9 - place) for place, name in enumerate(names))
    before = ClusterConfig(4, SyncMode.QUORUM, members, names, primary="a", voting=names)
    assert turn((before,), "b") == 0 and turn((before, before.with_in_sync(["a", "c"])), "b") == 2
    never = replace(before, members=tuple(replace(member, priority=0) for member in members))
    assert turn((never,), "b") is None and turn((before,), "d") is None


def test_one_that_a_newer_configuration_does_not_know_tries_by_the_one_before() -> None:
    """Perhaps nobody but this node has the newer one, and it is ahead of all others."""
    names = ("a", "b", "c")
    members = tuple(Member(name, name, "h", 1, 2, 3, "") for name in names)
    before = ClusterConfig(4, SyncMode.QUORUM, members, names, primary="a", voting=names)
    assert turn((before, before.without_member("c")), "c") == 1 and turn((before.without_member("c"),), "c") is None


def test_a_primary_that_gave_the_lead_away_tries_last() -> None:
    """Perhaps nobody took it, and all others lack what it has."""
    names = ("a", "b", "c")
    members = tuple(Member(name, name, "h", 1, 2, 3, "") for name in names)
    config = ClusterConfig(4, SyncMode.QUORUM, members, names, primary="a", voting=names)
    assert [rank(config, name) for name in names] == [2, 0, 1]
