"""How long a primary may be sure that it is the only one, and a voter bound."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from helios_cli.engine.consensus.config import EMBEDDED, ETCD, REFEREE, REFEREE_DISK, ClusterConfig, Member
from helios_cli.engine.consensus.lease import Lease, Loyalty
from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.engine.consensus.silence import Attention, Stall
from helios_cli.engine.node.lease_keeper import LeaseKeeper
from helios_cli.engine.types import Term

A, B, C = (("a", "disk of a"), ("b", "disk of b"), ("c", "disk of c"))


def test_a_lease_needs_a_majority_and_gives_up_an_eighth() -> None:
    lease = Lease(A)
    assert lease.until((A, B, C)) == -math.inf
    lease.confirmed(B, 10.0, 0.8)
    assert lease.until((A, B, C)) == pytest.approx(10.7)
    assert lease.until((A, B, C, ("d", ""), ("e", ""))) == -math.inf
    lease.confirmed(B, 9.0, 0.8)
    assert lease.until((A, B, C)) == pytest.approx(10.7), "an older word takes nothing back"
    assert lease.missing((A, B, C), 10.0) == ["c"]


def test_who_alone_decides_needs_nobody() -> None:
    assert Lease(A).until((A,)) == math.inf
    assert Lease(A).until(()) == -math.inf


def test_a_voter_with_another_disk_is_another_voter() -> None:
    lease = Lease(A)
    lease.confirmed(("b", "a new disk"), 10.0, 0.8)
    assert lease.until((A, B, C)) == -math.inf
    assert lease.until((A, ("b", "a new disk"), C)) > 10


def test_loyalty_lasts_from_when_it_was_heard() -> None:
    loyalty = Loyalty(5.0, 0.75)
    assert loyalty.holds(5.7) and not loyalty.holds(5.75), "what it granted before it started is waited for"
    loyalty.heard(6.0, 0.75)
    assert loyalty.holds(6.7) and loyalty.remaining(6.5) == pytest.approx(0.25)
    loyalty.heard(6.6, 0.0)
    assert not loyalty.holds(6.6) and loyalty.remaining(6.7) == 0.0


def test_a_stall_is_what_was_wanted_and_not_done_while_the_process_ran() -> None:
    attention = Attention(0.0)
    stall = Stall(attention, 0.0)
    for beat in range(1, 11):
        attention.beat(beat / 10)
        assert stall.seconds(beat / 10, 100, 100) == 0.0
    attention.beat(1.4)
    assert stall.seconds(1.4, 100, 200) == pytest.approx(0.4)
    attention.beat(9.0)
    assert stall.seconds(9.0, 100, 200) == pytest.approx(0.4), "it stood still, whatever the disk did"
    attention.beat(9.3)
    assert stall.seconds(9.3, 150, 200) == 0.0


class Replication:
    """The primary a of three, in term 3."""

    def __init__(self, *, progress_timeout_ms: int = 3000, names: str = "abc", authority: str = EMBEDDED) -> None:
        self.at = 100.0
        self.node_id = "a"
        self.events: list[str] = []
        self.beats: list[bool] = []
        self.asked: dict[int, tuple[float, int]] = {}
        self.node = SimpleNamespace(event=lambda kind, text, **_: self.events.append(kind))
        self.replicator = SimpleNamespace(
            asked=SimpleNamespace(asked=self.asked.get), heartbeat=lambda *, asks=False: self.beats.append(asks)
        )
        members = tuple(Member(name, f"disk of {name}", "h", 1, 2, 3, "") for name in names)
        self.config = ClusterConfig(
            1, SyncMode.QUORUM, members, tuple(names), voting=tuple(names), progress_timeout_ms=progress_timeout_ms,
            authority=authority,
        )  # fmt: skip
        this: Any = self
        lsns = SimpleNamespace(term=Term(3), counting=(self.config,), newest=self.config)
        leading: Any = SimpleNamespace(lsns=lsns)
        self.leading = leading
        self.lease = LeaseKeeper(this, leading)
        assert self.lease.holds() is (len(names) < 3)

    def identity(self) -> Any:
        return SimpleNamespace(incarnation="disk of a")

    def now(self) -> float:
        return self.at

    def ask(self, sent_us: int) -> None:
        self.asked[sent_us] = (self.at, self.lease.lease_ms)


def test_a_lease_is_that_which_was_asked_for_in_this_term() -> None:
    own = Replication()
    own.ask(1)
    own.at += 0.1
    own.lease.confirmed(B, Term(2), 1)
    own.lease.confirmed(B, Term(3), 99)
    assert not own.lease.holds()
    own.lease.confirmed(B, Term(3), 1)
    assert own.lease.holds()
    own.at = 100.0 + 0.75 * 7 / 8
    assert not own.lease.holds()


def test_a_lease_that_was_longer_later_counts_as_it_was_asked_for() -> None:
    own = Replication()
    own.asked[1] = (own.at, 300)
    own.lease.confirmed(B, Term(3), 1)
    own.at += 0.3
    assert not own.lease.holds()


def test_a_sick_primary_gives_its_lease_up_and_what_it_asked_before_counts_no_more() -> None:
    own = Replication()
    own.ask(1)
    own.lease.confirmed(B, Term(3), 1)
    own.lease.progress(3.0)
    assert own.lease.holds() and own.events == []
    own.ask(2)
    own.lease.progress(3.1)
    assert (own.lease.is_sick, own.lease.lease_ms, own.beats, own.events) == (True, 0, [False], ["primary_sick"])
    assert not own.lease.holds()
    own.lease.confirmed(C, Term(3), 2)
    assert not own.lease.holds()
    own.at += 0.2
    own.lease.progress(0.0)
    assert (own.lease.is_sick, own.beats, own.events[-1]) == (False, [False, True], "primary_well")
    own.lease.confirmed(C, Term(3), 2)
    assert not own.lease.holds(), "an echo of before it gave the lease up"
    own.ask(3)
    own.lease.confirmed(C, Term(3), 3)
    assert own.lease.holds()


def test_who_is_alone_or_told_not_to_does_not_give_up() -> None:
    pair = Replication(names="ab")
    pair.lease.progress(60.0)
    assert pair.lease.holds() and not pair.lease.is_sick
    never = Replication(progress_timeout_ms=0)
    never.lease.progress(60.0)
    assert not never.lease.is_sick


def test_the_end_of_a_lease_is_told_once() -> None:
    own = Replication()
    own.lease.tell()
    assert own.events == [], "the first one is still to be granted"
    own.at += 0.751
    own.lease.tell()
    own.lease.tell()
    assert own.events == ["lease_over"]
    own.ask(1)
    own.lease.confirmed(B, Term(3), 1)
    own.lease.tell()
    assert own.events == ["lease_over", "lease_held"]


def test_with_etcd_either_that_or_everybody_is_enough() -> None:
    own = Replication(authority=ETCD)
    etcd = (REFEREE, REFEREE_DISK)
    own.lease.granted(etcd, Term(3), own.at, 3000)
    assert own.lease.holds() and not own.lease.hears_everybody()
    own.at += 3 * 7 / 8
    assert not own.lease.holds(), "etcd may have given the lead to another node"
    own.ask(1)
    own.lease.confirmed(B, Term(3), 1)
    assert not own.lease.holds(), "the other one could be elected by etcd, whatever a majority says"
    own.lease.confirmed(("c", "a new disk"), Term(3), 1)
    assert not own.lease.holds()
    own.lease.confirmed(C, Term(3), 1)
    assert own.lease.holds() and own.lease.hears_everybody()
    own.at += 0.75 * 7 / 8
    assert not own.lease.holds()
    own.lease.tell()
    assert own.events[-1] == "lease_over"
    own.lease.granted(etcd, Term(2), own.at, 3000)
    assert not own.lease.holds(), "what etcd gave in another term"


def test_every_configuration_that_may_count_has_to_be_heard() -> None:
    own = Replication(authority=ETCD)
    small = own.config.with_in_sync("ab")
    own.leading.lsns.counting = (own.config, small)
    own.ask(1)
    own.lease.confirmed(B, Term(3), 1)
    assert not own.lease.holds(), "c may be elected by the configuration that has it"
    own.leading.lsns.counting = (small,)
    assert own.lease.holds()


def test_a_shorter_lease_takes_back_nothing_that_was_granted() -> None:
    """The primary counts on what it has heard of last, which may be the longer one."""
    loyalty = Loyalty(0.0, 0.0)
    loyalty.heard(10.0, 2.0)
    loyalty.heard(10.1, 0.3)
    assert loyalty.holds(11.9) and not loyalty.holds(12.0)
    loyalty.heard(11.0, 0.0)
    assert not loyalty.holds(11.0), "a primary that cannot lead releases its voters"
