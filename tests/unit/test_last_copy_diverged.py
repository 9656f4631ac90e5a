"""A standby that has diverged gives nothing up while there is nobody to copy from, and does not lead with it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from helios_cli.engine.node import following as following_module
from helios_cli.engine.node.divergence import Diverged
from helios_cli.engine.node.following import Following, Upstream
from helios_cli.engine.node.promotion import PromotionRefused
from helios_cli.engine.node.replication import Replication
from helios_cli.engine.node.self_repair import NotRepairable
from helios_cli.engine.storage import copytarget
from helios_cli.engine.types import Lsn

PAGES = {3: b"x"}


class Standby:
    """As much of one as its following touches."""

    def __init__(self, *, connected: bool, takes_lead: bool = False) -> None:
        self.states: list[tuple[str, Lsn]] = []
        self.answers: list[object] = []
        self.lives = 0
        following: Any = object.__new__(Following)
        self.following = following
        following.upstream = Upstream()
        following.upstream.connected = connected
        following._replication = SimpleNamespace(takes_lead=takes_lead)
        following.applicator = SimpleNamespace(repaired=lambda pages, lsn: self.answers.append(pages))
        control = SimpleNamespace(update=lambda state, flushed_lsn: self.states.append((state, flushed_lsn)))
        following._node = SimpleNamespace(
            event=lambda *_, **__: None,
            store=SimpleNamespace(control=control, log=SimpleNamespace(flushed=Lsn(900))),
            begin_again=self._begin_again,
        )

    def _begin_again(self, why: str) -> None:
        self.lives += 1


@pytest.mark.parametrize("connected", [False, True])
def test_a_copy_is_begun_only_where_there_is_a_source(connected: bool) -> None:
    standby = Standby(connected=connected)
    standby.following._apply_failed(Diverged("another checksum"))
    assert standby.states == ([(copytarget.STATE, Lsn(900))] if connected else [])
    assert standby.lives == 1


def test_a_node_that_takes_the_lead_copies_nobody() -> None:
    """What it followed may be connected still; the next life, of a primary, would have nobody to copy from."""
    standby = Standby(connected=True, takes_lead=True)
    standby.following._apply_failed(Diverged("another checksum"))
    assert (standby.states, standby.lives) == ([], 1)


@pytest.mark.parametrize("connected", [False, True])
def test_a_repair_waits_for_a_source(monkeypatch: pytest.MonkeyPatch, connected: bool) -> None:
    tries: list[int] = []

    async def find(*_: object) -> tuple[dict[int, bytes], Lsn]:
        tries.append(1)
        if len(tries) < 3:
            raise NotRepairable("connection refused")
        return PAGES, Lsn(9)

    monkeypatch.setattr(following_module, "find_pages", find)
    monkeypatch.setattr(following_module, "REPAIR_AGAIN_S", 0, raising=False)
    standby = Standby(connected=connected)
    asyncio.run(standby.following._repair(None, None))
    assert standby.answers == ([{}] if connected else [PAGES])


def test_one_that_could_not_apply_its_log_does_not_lead() -> None:
    async def stop(*, finish: bool) -> None:
        assert finish

    node: Any = object.__new__(Replication)
    node.node = SimpleNamespace(settings=SimpleNamespace(node_id="n2", pg_port=1))
    node.following = SimpleNamespace(
        stop=stop, close=lambda: None, applicator=SimpleNamespace(failure=Diverged("another checksum"))
    )
    with pytest.raises(PromotionRefused, match="not where its log ends: another checksum"):
        asyncio.run(node._follow_no_longer())
    node.following.applicator.failure = None
    asyncio.run(node._follow_no_longer())
    assert node.following is None
