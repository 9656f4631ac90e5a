"""How far apart nodes are, as echoes tell, and the timers that follow it."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from helios_cli.engine.consensus import steps
from helios_cli.engine.consensus.candidacy import RANK_S, VOTE_TRIPS, Candidacy, voted_s
from helios_cli.engine.consensus.config import LEASE_MS, ClusterConfig, Member
from helios_cli.engine.consensus.lsns import LsnManager
from helios_cli.engine.consensus.round_trips import KEPT_S, RoundTrips
from helios_cli.engine.consensus.rule import Progress, SyncMode
from helios_cli.engine.consensus.steps import next_step
from helios_cli.engine.consensus.tenure import Tenure
from helios_cli.engine.types import Lsn, Term

TERM = Term(1, 1)


def echoes(trips: RoundTrips, name: str, since: float, until: float, took_s: float) -> None:
    """Ten heartbeats in a second, each echoed so much later."""
    for tick in range(int(since * 10), int(until * 10)):
        trips.took(name, tick / 10, tick / 10 + took_s)


@pytest.mark.parametrize(("took_s", "told"), [(0.001, 0), (0.05, 0), (0.06, 100), (0.3, 400), (9.0, 1600)])
def test_the_slowest_that_answers_is_told_in_steps(took_s: float, told: int) -> None:
    trips = RoundTrips(0.0)
    echoes(trips, "n2", 0, 5, 0.001)
    echoes(trips, "n3", 0, 5, took_s)
    assert trips.rounded_ms(5.0 + took_s, 0) == told


def test_nothing_is_told_before_there_was_time_to_measure() -> None:
    trips = RoundTrips(0.0)
    echoes(trips, "n2", 0, 1, 0.3)
    assert trips.rounded_ms(1.3, 0) == 0
    assert trips.rounded_ms(1.3, 200) == 200


def test_a_stall_is_no_distance() -> None:
    trips = RoundTrips(0.0)
    for second in range(10):
        echoes(trips, "n2", second, second + 0.9, 0.7)
        trips.took("n2", second + 0.95, second + 0.951)
    assert trips.rounded_ms(10.0, 0) == 0


def test_the_same_echo_counts_once() -> None:
    trips = RoundTrips(0.0)
    for tick in range(100):
        trips.took("n2", 0.0, tick / 10)
    assert trips.rounded_ms(10.0, 0) == 0


def test_it_goes_up_in_seconds_and_down_in_half_a_minute() -> None:
    trips = RoundTrips(0.0)
    echoes(trips, "n2", 0, 40, 0.3)
    assert trips.rounded_ms(40.0, 0) == 400
    echoes(trips, "n2", 40, 50, 0.001)
    assert trips.rounded_ms(50.0, 400) == 400
    echoes(trips, "n2", 50, 42 + KEPT_S, 0.001)
    assert trips.rounded_ms(42 + KEPT_S + 1, 400) == 0


def test_a_new_primary_lowers_nothing_before_it_has_seen_enough() -> None:
    trips = RoundTrips(100.0)
    echoes(trips, "n2", 100, 110, 0.001)
    assert trips.rounded_ms(110.0, 400) == 400


def test_who_is_gone_is_forgotten() -> None:
    trips = RoundTrips(0.0)
    echoes(trips, "n2", 0, 100, 0.001)
    echoes(trips, "far", 0, 10, 0.3)
    assert trips.rounded_ms(20.0, 400) == 400
    assert trips.rounded_ms(100.0, 400) == 0


# What follows it -----------------------------------------------------------------------------------------------------


def members(*names: str) -> tuple[Member, ...]:
    return tuple(Member(name, f"disk of {name}", "h", 1, 2, 3, "") for name in names)


def config(round_trip_ms: int, lease_ms: int = LEASE_MS, names: Iterable[str] = ("n1", "n2", "n3")) -> ClusterConfig:
    return ClusterConfig(
        3, SyncMode.QUORUM, members(*names), tuple(names), primary="n1", voting=tuple(names), lease_ms=lease_ms,
        round_trip_ms=round_trip_ms,
    )  # fmt: skip


def test_the_lease_is_the_setting_or_three_round_trips() -> None:
    assert config(0).term_lease_ms == LEASE_MS
    assert config(200).term_lease_ms == LEASE_MS
    assert config(400).term_lease_ms == 1200
    assert config(400, lease_ms=5000).term_lease_ms == 5000
    assert ClusterConfig.from_bytes(config(400).to_bytes()) == config(400)


def test_a_configuration_of_before_has_no_round_trip() -> None:
    known = config(0).to_bytes().replace(b',"round_trip_ms":0', b"")
    assert b"round_trip" not in known
    assert ClusterConfig.from_bytes(known) == config(0)


def test_a_step_tells_how_far_the_nodes_are() -> None:
    lsns = LsnManager("n1", config(0), TERM, Lsn(100), begins=Lsn(100))
    step = next_step(lsns, {}, (), lambda name: True, 0, (), 400)
    assert step is not None
    assert (step.kind, step.config.round_trip_ms, step.config.version) == ("paced", 400, 4)
    assert step.text == "a round trip takes up to 400 ms: the lease is 1200 ms"
    assert next_step(lsns, {}, (), lambda name: True, 0, (), 0) is None
    assert next_step(lsns, {}, (), lambda name: True, 0) is None


def test_the_pace_comes_before_anybody_is_admitted_and_after_the_lost_are_given_up() -> None:
    lsns = LsnManager("n1", config(0), TERM, Lsn(100), begins=Lsn(100))
    (new,) = members("n4")
    follower = steps.Follower(new, Progress(TERM, Lsn(100), Lsn(100), Lsn(100)), True)
    step = next_step(lsns, {}, (follower,), lambda name: True, 0, (), 400)
    assert step is not None and step.kind == "paced"
    step = next_step(lsns, {}, (follower,), lambda name: name == "n1", 0, (), 400)
    assert step is not None and step.kind == "ejected"


def test_a_longer_lease_is_asked_for_when_all_that_may_act_know_of_it() -> None:
    lsns = LsnManager("n1", config(0), TERM, Lsn(100), begins=Lsn(100), inherited=(config(400),))
    assert Tenure(("n1", "disk of n1"), lsns).lease_ms == LEASE_MS
    known = LsnManager("n1", config(400), TERM, Lsn(100), begins=Lsn(100))
    assert Tenure(("n1", "disk of n1"), known).lease_ms == 1200


def test_candidates_leave_each_other_the_time_that_a_vote_takes() -> None:
    def first_due(place: int, trip_s: float) -> float:
        candidacy, now = Candidacy(lambda: 0.0), 0.0
        while not candidacy.due(now, place, is_loyal=False, trip_s=trip_s):
            now += 0.001
        return now

    assert first_due(1, 0.0) == pytest.approx(RANK_S, abs=0.002)
    assert first_due(1, 0.2) == pytest.approx(VOTE_TRIPS * 0.2, abs=0.002)
    assert first_due(0, 0.2) == 0.0
    assert voted_s(0.0) < voted_s(0.2) == VOTE_TRIPS * 0.2
