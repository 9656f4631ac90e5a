"""What becomes of clusters that lose nodes, by the rules that they go by."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, combinations

import pytest

from helios_cli.engine.consensus.config import WAIT, ClusterConfig, Member
from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.engine.consensus.whatif import BY_HAND, EJECTS, ELECTS, WAITS, WRITES, table, what_if

ASYNC, SEMI, QUORUM, SYNC = SyncMode.ASYNC, SyncMode.SEMI_SYNC, SyncMode.QUORUM, SyncMode.SYNC


def member(name: str, priority: int = 1) -> Member:
    return Member(name, f"disk of {name}", f"{name}.example.com", 5432, 5433, 8080, "", priority)


def cluster(mode: SyncMode, data: str, observers: str = "") -> ClusterConfig:
    """One character is a node's name; ``a`` is the primary."""
    return ClusterConfig(
        version=4, mode=mode, members=tuple(member(name) for name in data), in_sync=tuple(data), primary="a",
        voting=tuple(data), observers=tuple(member(name) for name in observers),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("mode", "data", "observers", "lost", "kind", "primary"),
    [
        # Two data nodes: nobody can know who is gone.
        (SEMI, "ab", "", "a", BY_HAND, ""),
        (SEMI, "ab", "", "b", EJECTS, "a"),
        (ASYNC, "ab", "", "a", BY_HAND, ""),
        (ASYNC, "ab", "", "b", WRITES, "a"),
        # An observer tells them.
        (SEMI, "ab", "o", "a", ELECTS, "b"),
        (SEMI, "ab", "o", "b", EJECTS, "a"),
        (SEMI, "ab", "o", "o", WRITES, "a"),
        (SEMI, "ab", "o", "ao", WAITS, ""),
        (SEMI, "ab", "o", "bo", WAITS, ""),
        (ASYNC, "ab", "o", "a", ELECTS, "b"),
        (ASYNC, "ab", "o", "bo", WAITS, ""),
        (SEMI, "ab", "o", "ab", WAITS, ""),
        # Three.
        (QUORUM, "abc", "", "a", ELECTS, "b"),
        (QUORUM, "abc", "", "b", WRITES, "a"),
        (QUORUM, "abc", "", "ab", WAITS, ""),
        (QUORUM, "abc", "", "bc", WAITS, ""),
        (SYNC, "abc", "", "b", EJECTS, "a"),
        (SYNC, "abc", "", "a", ELECTS, "b"),
        # An observer beside three would only be one more that must be heard.
        (QUORUM, "abc", "o", "ab", WAITS, ""),
        # Five, and four with an observer.
        (QUORUM, "abcde", "", "ab", ELECTS, "c"),
        (QUORUM, "abcde", "", "abc", WAITS, ""),
        (QUORUM, "abcd", "o", "ab", ELECTS, "c"),
    ],
)
def test_losses(mode: SyncMode, data: str, observers: str, lost: str, kind: str, primary: str) -> None:
    outcome = what_if(cluster(mode, data, observers), tuple(lost))
    assert (outcome.kind, outcome.primary) == (kind, primary), outcome.sentence
    assert outcome.is_automatic is bool(primary)
    assert bool(outcome.hint) is (kind in (WAITS, BY_HAND))


def test_priorities_choose() -> None:
    config = cluster(QUORUM, "abc")
    first = replace(config, members=(member("a"), member("b", 1), member("c", 5)))
    assert what_if(first, "a").primary == "c"
    assert what_if(replace(config, members=(member("a"), member("b", 0), member("c", 0))), "a").kind == BY_HAND


def test_what_is_paused_or_waits_says_so() -> None:
    config = cluster(SEMI, "ab", "o")
    paused = what_if(replace(config, paused=True), "a")
    assert (paused.kind, paused.sentence) == (BY_HAND, "a is lost, and nobody is elected: automatic failover is paused")
    assert paused.hint == "Promote b (--node b.example.com:8080), once a is known to be gone."
    waits = what_if(replace(config, on_sync_loss=WAIT), "b")
    assert (waits.kind, waits.hint) == (WAITS, "Start one of b, or set on_sync_loss to eject.")


def test_one_that_does_not_count_is_not_elected() -> None:
    config = replace(cluster(SEMI, "abc"), in_sync=("a", "b"))
    both = what_if(config, "ab")
    assert (both.kind, both.hint) == (WAITS, "Start one of a, b, or give --allow-data-loss."), (
        "nobody there can be promoted"
    )
    assert what_if(config, "a").primary == "b"
    alone = what_if(replace(config, in_sync=("a",)), "a")
    assert alone.sentence == (
        "a is lost, and nobody is elected: the copies of node b do not count: it may lack acknowledged commits"
    )
    never = replace(config, members=tuple(replace(member, priority=0) for member in config.members))
    assert what_if(never, "a").sentence == "a is lost, and nobody is elected: the failover_priority of b, c is 0"


def test_the_table_has_every_loss_of_one_and_two() -> None:
    config = cluster(QUORUM, "abc", "o")
    found = [lost for lost, _ in table(config)]
    assert sorted(found) == sorted(chain(combinations("abco", 1), combinations("abco", 2)))
