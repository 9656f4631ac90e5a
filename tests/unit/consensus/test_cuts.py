"""What becomes of clusters that are cut into groups; never two groups that write."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest

from helios_cli.engine.consensus.config import ETCD, REFEREE, ClusterConfig, Member
from helios_cli.engine.consensus.cuts import loses_nothing, recovery_ms, what_if_cut
from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.engine.consensus.whatif import BY_HAND, EJECTS, ELECTS, WAITS, WRITES, deciding, what_if

ASYNC, SEMI, QUORUM, SYNC = SyncMode.ASYNC, SyncMode.SEMI_SYNC, SyncMode.QUORUM, SyncMode.SYNC


def cluster(mode: SyncMode, data: str, observers: str = "") -> ClusterConfig:
    """One character is a node's name; ``a`` is the primary."""

    def member(name: str) -> Member:
        return Member(name, f"disk of {name}", f"{name}.example.com", 5432, 5433, 8080, "", 1)

    return ClusterConfig(
        version=4, mode=mode, members=tuple(map(member, data)), in_sync=tuple(data), primary="a", voting=tuple(data),
        observers=tuple(map(member, observers)),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("mode", "data", "observers", "groups", "kind", "primary", "sides"),
    [
        (SEMI, "ab", "", ["a", "b"], EJECTS, "a", [EJECTS, WAITS]),
        (SEMI, "ab", "o", ["a", "bo"], ELECTS, "b", [WAITS, ELECTS]),
        (SEMI, "ab", "o", ["ao", "b"], EJECTS, "a", [EJECTS, WAITS]),
        (SEMI, "ab", "o", ["a", "b"], EJECTS, "a", [EJECTS, WAITS]),  # the observer hears both, and stays loyal
        (QUORUM, "abc", "", ["a", "bc"], ELECTS, "b", [WAITS, ELECTS]),
        (QUORUM, "abc", "", ["a"], ELECTS, "b", [WAITS, ELECTS]),
        (QUORUM, "abc", "", ["ab", "c"], WRITES, "a", [WRITES, WAITS]),
        (QUORUM, "abc", "", ["b", "c"], WRITES, "a", [WRITES, WRITES]),
        (QUORUM, "abc", "", ["a", "b", "c"], WAITS, "", [WAITS, WAITS, WAITS]),
        (QUORUM, "abcde", "", ["ab", "cde"], ELECTS, "c", [WAITS, ELECTS]),
        (ASYNC, "ab", "", ["a", "b"], WRITES, "a", [WRITES, WAITS]),
    ],
)
def test_cuts(
    mode: SyncMode, data: str, observers: str, groups: list[str], kind: str, primary: str, sides: list[str]
) -> None:
    whole, found = what_if_cut(cluster(mode, data, observers), groups)
    assert (whole.kind, whole.primary) == (kind, primary), whole.sentence
    assert [side.outcome.kind for side in found] == sides, [side.outcome.sentence for side in found]


@pytest.mark.parametrize("mode", [ASYNC, SEMI, QUORUM, SYNC])
@pytest.mark.parametrize(("data", "observers"), [("ab", ""), ("ab", "o"), ("abc", ""), ("abcd", "o"), ("abcde", "")])
def test_never_two_groups_write(mode: SyncMode, data: str, observers: str) -> None:
    config = cluster(mode, data, observers)
    names = deciding(config)
    for size in range(1, len(names)):
        for first in combinations(names, size):
            for rest in range(1, len(names) - size + 1):
                for second in combinations([name for name in names if name not in first], rest):
                    _, sides = what_if_cut(config, [first, second])
                    writers = {side.outcome.primary for side in sides if side.outcome.is_automatic}
                    assert len(writers) <= 1, (first, second, writers)


def test_etcd_between_the_groups_gives_the_lead_to_those_who_lost_nothing() -> None:
    config = replace(cluster(SEMI, "ab"), authority=ETCD)
    whole, (old, new) = what_if_cut(config, ["a", "b"])
    assert (whole.kind, whole.primary, old.outcome.kind, new.outcome.kind) == (ELECTS, "b", WAITS, ELECTS)
    whole, _ = what_if_cut(config, [["a", REFEREE], ["b"]])
    assert whole.primary == "a"
    whole, _ = what_if_cut(replace(config, mode=ASYNC), ["a", "b"])
    assert whole.primary == "a"


def test_recovery_follows_the_timers() -> None:
    config = cluster(QUORUM, "abc")
    elected = what_if(config, "a")
    near = recovery_ms(config, elected)
    assert near is not None and 750 <= near < 1500
    far = recovery_ms(replace(config, round_trip_ms=600), elected)
    assert far is not None and far >= 3 * 600 + 12 * 600
    assert recovery_ms(config, what_if(config, "b")) == 0
    pair = cluster(SEMI, "ab")
    assert recovery_ms(pair, what_if(pair, "b")) == pair.eject_after_ms
    assert what_if(pair, "a").kind == BY_HAND and recovery_ms(pair, what_if(pair, "a")) is None


def test_what_may_be_lost() -> None:
    assert loses_nothing(cluster(SYNC, "abc"), what_if(cluster(SYNC, "abc"), "a"))
    assert not loses_nothing(cluster(ASYNC, "abc"), what_if(cluster(ASYNC, "abc"), "a"))
    assert loses_nothing(cluster(ASYNC, "abc"), what_if(cluster(ASYNC, "abc"), "b"))
