"""The calls by which a node asks the others: open between the questions of one election, and no longer."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.inner_pair import SETTLED_S, pair, replication, run
from support.node_process import wait_until

from helios_cli.engine.node import lines, peer_call, promotion
from helios_cli.engine.node.peer_link import PeerLink
from helios_cli.engine.types import Lsn


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[PeerLink]:
    """Every call that is made."""
    links: list[PeerLink] = []

    async def reach(link: PeerLink, host: str, port: int) -> None:
        links.append(link)
        await real(link, host, port)

    real = peer_call.reach
    monkeypatch.setattr(lines, "reach", reach)
    return links


def asked(node: Any) -> list[str]:
    """Who answers it."""
    answers = run(node, partial(promotion.survey, replication(node), promise=False))
    return [answer.node_id for answer in answers]


def test_the_next_question_and_the_news_go_by_the_same_call(
    tmp_path: Path, called: list[PeerLink], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "HELD_S", SETTLED_S)
    with pair(tmp_path) as (first, _):
        assert [asked(first) for _ in range(3)] == [["n2"]] * 3
        (member,) = (one for one in replication(first).config.members if one.node_id == "n2")
        run(first, partial(promotion.announce, replication(first), member))
        assert len(called) == 1 and called[0].closed
        assert asked(first) == ["n2"] and len(called) == 2


def test_whoever_is_about_to_be_removed_is_asked_and_told_too(tmp_path: Path, called: list[PeerLink]) -> None:
    """The configuration without it may never come into force."""
    with pair(tmp_path) as (first, _):
        node, config = first.node, replication(first).config
        first.on_loop(
            lambda: node.store.configs.append(
                Lsn(node.store.log.end + 100), config.without_member("n2"), node.pipeline.committed_lsn
            )
        )
        assert replication(first).config.member("n2") is None
        assert asked(first) == ["n2"]


def test_a_call_that_was_answered_does_not_stay_open(
    tmp_path: Path, called: list[PeerLink], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "HELD_S", 0.05)
    with pair(tmp_path) as (first, _):
        asked(first)
        wait_until(lambda: called[0].closed, "it is closed")


@pytest.mark.parametrize("gone", ["it", "its connection"])
def test_whoever_is_gone_meanwhile_is_called_anew(tmp_path: Path, called: list[PeerLink], gone: str) -> None:
    with pair(tmp_path) as (first, second):
        assert asked(first) == ["n2"]
        if gone == "it":
            before = second.node.replication
            second.on_loop(lambda: second.node.begin_again("a test wants it"))
            wait_until(lambda: second.node.replication is not before and second.node.serving, "it lives", SETTLED_S)
        else:
            # The connection is gone, and nobody has told this side.
            first.on_loop(lambda: called[0].transport.abort())
        # While it was missing it was told who leads, perhaps.
        assert asked(first) == ["n2"] and len(called) > 1


def test_a_call_that_breaks_under_a_question_is_made_again(tmp_path: Path, called: list[PeerLink]) -> None:
    with pair(tmp_path) as (first, _):
        asked(first)

        async def breaking() -> Any:
            survey = asyncio.ensure_future(promotion.survey(replication(first), promise=False))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            called[0].transport.abort()
            return await survey

        assert [answer.node_id for answer in run(first, breaking)] == ["n2"]
        assert len(called) == 2
