"""A linearizable read needs those whose copies count by every configuration that somebody may act by."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from helios_cli.engine.consensus.config import ClusterConfig, Member
from helios_cli.engine.consensus.lsns import LsnManager
from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.engine.node.lead_check import LeadCheck
from helios_cli.engine.types import Lsn, Term

NAMES = ("n1", "n2", "n3")
TERM = Term(4, 4)
FAR_US = 1 << 60


class Primary:
    """n1 of three in quorum mode, as far as the check looks at it."""

    def __init__(self, mode: SyncMode = SyncMode.QUORUM) -> None:
        members = tuple(Member(name, "", "h", 1, 2, 3, mode.value) for name in NAMES)
        self.lsns = LsnManager("n1", ClusterConfig(1, mode, members, NAMES, voting=NAMES), TERM)
        self.node_id = "n1"
        self.is_leading = True
        self.leading = self
        self.streamers: dict[str, Any] = {}
        self.replicator: Any = SimpleNamespace(heartbeat=lambda: None, streamers=self.streamers)
        self.heard = 0

    @property
    def config(self) -> ClusterConfig:
        return self.lsns.newest

    def term(self) -> Term:
        return TERM

    def hear(self, node_id: str) -> None:
        """It answers every heartbeat, those that were not sent yet too."""
        progress = SimpleNamespace(term=TERM)
        self.streamers[node_id] = SimpleNamespace(node_id=node_id, confirmed_us=FAR_US, progress=progress)

    def eject(self, *names: str) -> None:
        """Propose to go on with these alone."""
        self.lsns.propose(self.lsns.config.with_in_sync(names), Lsn(500))


@pytest.fixture
def primary() -> Primary:
    return Primary()


def confirmed(primary: Primary) -> bool:
    check: Any = LeadCheck(primary)  # type: ignore[arg-type]
    heard: list[bool] = []
    check.ask(lambda: heard.append(True))
    check.acknowledged()
    return bool(heard)


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
