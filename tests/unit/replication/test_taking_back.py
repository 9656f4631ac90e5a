"""A primary that gave its lead away, and hears of nobody who took it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from helios_cli.engine.consensus.config import ClusterConfig, Member
from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.engine.node import handover
from helios_cli.engine.node.promotion import PromotionRefused
from helios_cli.engine.replication.messages import Answer
from helios_cli.engine.types import Term

THERE = Answer("n2", "standby", "disk of n2", False, 4, 3, 3, 100, 1, False, "", "", 0)


def cluster(*names: str) -> ClusterConfig:
    members = tuple(Member(name, f"disk of {name}", "h", 1, 2, 3, "") for name in names)
    return ClusterConfig(1, SyncMode.SYNC, members, names, primary="n1", voting=names)


def taken_back(monkeypatch: pytest.MonkeyPatch, config: ClusterConfig, voted_for: str, answers: list[Answer]) -> bool:
    """Whether n1, which gave its lead away and has promised ``voted_for`` that this may lead, tries to lead on."""
    led: list[str] = []

    async def survey(_replication: object, **_options: object) -> list[Answer]:
        return answers

    async def take_lead(replication: Any, _cause: object, **_options: object) -> None:
        led.append(replication.node_id)

    monkeypatch.setattr(handover, "survey", survey)
    monkeypatch.setattr(handover, "take_lead", take_lead)
    node = SimpleNamespace(store=SimpleNamespace(voted_for=voted_for))
    replication: Any = SimpleNamespace(
        node_id="n1", term=lambda: Term(4, 4), open_configs=(config,), config=config, node=node
    )
    asyncio.run(handover._take_back(replication))
    return bool(led)


def test_of_two_it_does_not_take_the_lead_back_from_one_that_may_lead(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one was cut off behind the promise: it leads, and goes on without this node after a while."""
    pair = cluster("n1", "n2")
    with pytest.raises(PromotionRefused, match="n2 was promised that it may lead, and does not answer") as refusal:
        taken_back(monkeypatch, pair, "n2", [])
    assert "promote makes n1 the primary" in (refusal.value.hint or "")
    assert taken_back(monkeypatch, pair, "n2", [THERE]), "it answers, and does not lead"
    assert taken_back(monkeypatch, pair, "", []), "it has asked for no promise"


def test_where_others_vote_they_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    assert taken_back(monkeypatch, cluster("n1", "n2", "n3"), "n2", [])
