"""A linearizable read needs those whose copies count by every configuration that somebody may act by."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from helios_cli.engine.consensus.asked import Asked
from helios_cli.engine.consensus.config import ClusterConfig, Member
from helios_cli.engine.consensus.lsns import LsnManager
from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.engine.node.lead_check import LeadCheck
from helios_cli.engine.types import Lsn, Term

NAMES = ("n1", "n2", "n3")
TERM = Term(4, 4)


class Primary:
    """n1 of three in quorum mode, as far as the check looks at it."""

    def __init__(self, mode: SyncMode = SyncMode.QUORUM) -> None:
        members = tuple(Member(name, "", "h", 1, 2, 3, mode.value) for name in NAMES)
        self.lsns = LsnManager("n1", ClusterConfig(1, mode, members, NAMES, voting=NAMES), TERM)
        self.node_id = "n1"
        self.is_leading = True
        self.leading = self
        self.streamers: dict[str, Any] = {}
        self.asked = Asked()
        self.replicator: Any = SimpleNamespace(heartbeat=self.beat, streamers=self.streamers, asked=self.asked)
        self.at, self.wall_us = 100.0, 5_000_000

    @property
    def config(self) -> ClusterConfig:
        return self.lsns.newest

    def term(self) -> Term:
        return TERM

    def now(self) -> float:
        return self.at

    def beat(self) -> None:
        """Send a heartbeat; those who are heard answer it at once."""
        sent_us = self.asked.sent(self.wall_us, self.at, 0, asks=False)
        for streamer in self.streamers.values():
            streamer.confirmed_us = sent_us

    def hear(self, node_id: str) -> None:
        """It answers every heartbeat from now on."""
        progress = SimpleNamespace(term=TERM)
        self.streamers[node_id] = SimpleNamespace(node_id=node_id, confirmed_us=0, progress=progress)

    def eject(self, *names: str) -> None:
        """Propose to go on with these alone."""
        self.lsns.propose(self.lsns.config.with_in_sync(names), Lsn(490), Lsn(500))


@pytest.fixture
def primary() -> Primary:
    return Primary()


def confirmed(primary: Primary) -> bool:
    check: Any = LeadCheck(primary)  # type: ignore[arg-type]
    heard: list[bool] = []
    check.ask(lambda: heard.append(True))
    check.acknowledged()
    return bool(heard)


def test_who_comes_with_another_disk_does_not_know_whom_it_has_followed(primary: Primary) -> None:
    primary.lsns.came("n3", "a new disk")
    primary.hear("n3")
    assert not confirmed(primary)
    primary.hear("n2")
    assert confirmed(primary)


def test_a_majority_is_enough(primary: Primary) -> None:
    assert not confirmed(primary)
    primary.hear("n3")
    assert confirmed(primary)
    primary.hear("another")


def test_an_ejection_that_nobody_agreed_to_changes_nothing(primary: Primary) -> None:
    primary.eject("n1")
    check = LeadCheck(primary)  # type: ignore[arg-type]
    assert not check.is_alone
    assert not confirmed(primary)
    primary.hear("n2")
    assert confirmed(primary)


def test_nobody_is_asked_where_one_copy_makes_a_commit() -> None:
    assert LeadCheck(Primary(SyncMode.ASYNC)).is_alone  # type: ignore[arg-type]


@pytest.mark.parametrize("jump_us", [-3_000_000, 3_000_000])
def test_an_answer_of_before_is_none_wherever_the_wall_clock_is_set(primary: Primary, jump_us: int) -> None:
    primary.hear("n2")
    primary.beat()
    primary.at += 1.0
    primary.wall_us += 1_000_000 + jump_us
    n2 = primary.streamers.pop("n2")
    check = LeadCheck(primary)  # type: ignore[arg-type]
    heard: list[bool] = []
    check.ask(lambda: heard.append(True))
    primary.streamers["n2"] = n2
    check.acknowledged()
    assert heard == [], "what n2 has answered was sent before the read came"
    primary.beat()
    check.acknowledged()
    assert heard == [True]
