"""A candidate that finds another node leading, or about to, does not lead; nor does one that is given the lead late."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from helios_cli.engine.consensus.config import ClusterConfig, Member
from helios_cli.engine.consensus.election import TAKES_LEAD, still_led
from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.engine.log.history import History
from helios_cli.engine.node import promotion
from helios_cli.engine.node.authority import EmbeddedAuthority
from helios_cli.engine.node.handover import TAKE_OVER_S
from helios_cli.engine.node.lead_changes import Cause
from helios_cli.engine.node.promotion import PromotionRefused, take_lead
from helios_cli.engine.replication.messages import Answer
from helios_cli.engine.types import Lsn, Term

MEMBERS = tuple(Member(name, f"disk of {name}", "h", 1, 2, 3, "") for name in ("n1", "n2"))
PAIR = ClusterConfig(1, SyncMode.SYNC, MEMBERS, ("n1", "n2"))
PROMISE = Answer("n1", "standby", "disk of n1", True, 2, 1, 1, 100, 1, False, "", "", 0)


class Node:
    """The standby n2 of two, in term 1; it takes its terms, and leads, by noting that it did."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answers: list[Answer], taking_s: float = 0) -> None:
        self.at = 0.0
        self.taken = Term(1, 1)
        self.led: list[Term] = []
        self.events: list[tuple[str, str]] = []
        self._taking_s = taking_s
        page_log = SimpleNamespace(last=SimpleNamespace(term=Term(1, 1), config_version=1), flushed=Lsn(100))
        self.node = SimpleNamespace(
            store=SimpleNamespace(
                voted_for="", new_term=self._new_term, log=page_log, timeline=SimpleNamespace(history=History())
            ),
            event=lambda kind, text, **fields: self.events.append((kind, text)),
        )
        self.following = None
        self.watcher = SimpleNamespace(pledge=lambda term, *, excused: excused)
        self.authority = EmbeddedAuthority()
        self.node_id = "n2"
        self.config = PAIR
        self.open_configs = (PAIR,)

        async def survey(_replication: object, *, promise: bool, **_options: object) -> list[Answer]:
            assert promise
            return answers

        monkeypatch.setattr(promotion, "survey", survey)

    def _new_term(self, floor: int) -> Term:
        self.taken = Term(max(self.taken.number, floor) + 1, 7)
        self.at += self._taking_s
        return self.taken

    def term(self) -> Term:
        return self.taken

    def now(self) -> float:
        return self.at

    def identity(self) -> Any:
        return SimpleNamespace(node_id="n2", incarnation="disk of n2")

    async def lead(self, term: Term, lost: set[str], cause: Cause, *, by_force: bool = False) -> None:
        self.led.append(term)

    def take(self, **options: Any) -> None:
        this: Any = self
        asyncio.run(take_lead(this, Cause("a test"), **options))


def test_a_candidate_that_was_promised_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node(monkeypatch, [PROMISE])
    node.take(giver="n1", within_s=TAKE_OVER_S)
    assert node.led == [Term(2, 7)]


@pytest.mark.parametrize("options", [{}, {"allow_data_loss": True}])
@pytest.mark.parametrize("role", ["primary", TAKES_LEAD])
def test_a_candidate_that_hears_of_another_leader_does_not_lead(
    monkeypatch: pytest.MonkeyPatch, role: str, options: dict[str, Any]
) -> None:
    """Its own copy would be enough: the other one may have agreed to go on without it."""
    node = Node(monkeypatch, [replace(PROMISE, role=role, promised=False)])
    with pytest.raises(PromotionRefused, match="node n1 is "):
        node.take(**options)
    assert node.led == []


def test_the_primary_of_an_ended_term_does_not_stand_in_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node(monkeypatch, [replace(PROMISE, role="primary", promised=False, term=0)])
    node.take()
    assert node.led == [Term(2, 7)]


def test_a_node_that_is_given_the_lead_needs_the_giver_s_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    for answers in ([], [replace(PROMISE, promised=False)]):
        node = Node(monkeypatch, answers)
        with pytest.raises(PromotionRefused, match="n1 did not promise in time"):
            node.take(giver="n1", within_s=TAKE_OVER_S)
        assert node.led == []


def test_who_is_there_and_does_not_promise_is_not_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hint to start it, or to give up what it has, would be a bad one."""
    node = Node(monkeypatch, [replace(PROMISE, promised=False, term=1)])
    members = (*MEMBERS, Member("n3", "disk of n3", "h", 1, 2, 3, ""))
    node.config = ClusterConfig(1, SyncMode.QUORUM, members, ("n1", "n2", "n3"), voting=("n1", "n2", "n3"))
    node.open_configs = (node.config,)
    with pytest.raises(PromotionRefused, match="node n1 did not promise: its vote is not free") as refusal:
        node.take()
    assert refusal.value.hint == "Ask again in a moment." and node.led == []
    assert [kind for kind, _text in node.events] == ["not_elected"]


def test_a_node_that_is_given_the_lead_and_is_slow_leaves_it(monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node(monkeypatch, [PROMISE], taking_s=TAKE_OVER_S + 1)
    with pytest.raises(PromotionRefused, match="n1 did not promise in time"):
        node.take(giver="n1", within_s=TAKE_OVER_S)
    assert node.led == []


def test_a_node_that_is_about_to_lead_counts_as_led() -> None:
    assert "about to be the primary" in still_led([replace(PROMISE, role=TAKES_LEAD)], 5).reason
    assert still_led([PROMISE], 2).is_safe
