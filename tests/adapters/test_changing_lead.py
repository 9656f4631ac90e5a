"""How the lead changes between nodes of one process, where a test can make each step fail."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.inner_node import InnerNode
from support.inner_pair import SETTLED_S, pair, replication, run
from support.node_process import wait_until

from helios_cli.engine.config.roles import Role
from helios_cli.engine.errors import DiskFull
from helios_cli.engine.node import handover, promotion
from helios_cli.engine.node import replication as replication_module
from helios_cli.engine.node.promotion import PromotionRefused
from helios_cli.engine.types import Lsn


def leave(node: InnerNode) -> None:
    """No other node is answered any more, nor reaches this one."""

    def close() -> None:
        own = replication(node)
        assert own._server is not None
        own._server.close()
        own.replicator.close()

    node.on_loop(close)


def promote(node: InnerNode) -> Any:
    wait_until(lambda: not upstream_connected(node), "the primary is missed", SETTLED_S)
    return run(node, replication(node).promote)


def upstream_connected(node: InnerNode) -> bool:
    following = replication(node).following
    return following is not None and following.upstream.connected


def test_a_full_disk_leaves_a_node_that_is_promoted_following(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pair(tmp_path) as (first, second):
        leave(first)

        def full(*_: object) -> None:
            raise DiskFull("no space left")

        with monkeypatch.context() as patch:
            patch.setattr(replication_module, "save_role", full)
            with pytest.raises(DiskFull):
                promote(second)
            own = replication(second)
            assert own.following is not None and not own.takes_lead and own.role.name == "standby"
        assert "n2 is the primary" in promote(second)["result"]


def test_a_promotion_that_fails_half_way_can_be_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pair(tmp_path) as (first, second):
        leave(first)
        life = replication(second)

        def failing(*_: object) -> None:
            raise DiskFull("no space left")

        monkeypatch.setattr(second.node.store.timeline, "begins", failing)
        with pytest.raises(DiskFull):
            promote(second)
        assert not life.is_leading and not life.takes_lead
        wait_until(lambda: replication(second) is not life and second.node.serving, "it lives again", SETTLED_S)
        wait_until(lambda: replication(second).is_leading, "it leads by the rule for who was restarted", SETTLED_S)
        with second.connect() as writer:
            writer.execute("INSERT INTO t VALUES (1)")


def test_a_new_primary_is_not_read_before_it_shows_what_it_found(tmp_path: Path) -> None:
    with pair(tmp_path) as (first, second):
        following = replication(second).following
        assert following is not None
        following.committed = lambda lsn, end, sent_us: None  # type: ignore[method-assign]
        with first.connect() as writer:
            writer.execute("INSERT INTO t VALUES (7)")
        leave(first)
        wait_until(lambda: not upstream_connected(second), "the primary is missed", SETTLED_S)
        second.gate.clear()
        promoting = threading.Thread(target=promote, args=(second,))
        promoting.start()
        wait_until(lambda: replication(second).is_leading, "it leads", SETTLED_S)
        query = "SELECT count(*) FROM t WHERE a = 7"
        with ThreadPoolExecutor() as threads, second.connect() as hasty, second.connect() as reader:
            hasty.execute("SET helios.read_consistency = eventual")
            assert hasty.execute(query).fetchone() == (0,), "what it found is not committed yet"
            found = threads.submit(lambda: reader.execute(query).fetchone())
            wait_until(lambda: second.on_loop(lambda: holds(second)) == 1, "the query waits", SETTLED_S)
            second.release_disk()
            assert found.result(SETTLED_S) == (1,)
            assert not second.on_loop(lambda: second.node.engine.settles_reads)
        promoting.join(SETTLED_S)


def holds(node: InnerNode) -> int:
    """Statements that wait for a state."""
    return sum(session.runner.hold is not None for session in node.node.engine.sessions.values())


def test_a_checkpoint_sees_who_applies_until_everything_is(tmp_path: Path) -> None:
    with pair(tmp_path) as (first, second):
        leave(first)
        own = replication(second)
        following = own.following
        assert following is not None
        stop, seen = following.stop, []

        async def stopping(*, finish: bool) -> None:
            seen.append(own.following is following)
            await stop(finish=finish)
            seen.append(own.following is following)

        following.stop = stopping  # type: ignore[method-assign]
        promote(second)
        assert seen == [True, True] and own.following is None


def test_a_switchover_waits_for_a_standby_that_does_not_follow_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As right after an election."""

    async def asked() -> Any:
        streamers = replication(first).replicator.streamers
        streamers["n2"].link.close()
        while streamers:
            await asyncio.sleep(0)
        return await handover.switchover(replication(first), dry_run=True)

    with pair(tmp_path) as (first, _):
        monkeypatch.setattr(handover, "FOLLOW_S", SETTLED_S)
        assert run(first, asked)["to"] == "n2"
        monkeypatch.setattr(handover, "FOLLOW_S", 0.0)
        with pytest.raises(PromotionRefused, match="no standby's copies count"):
            run(first, asked)


def test_of_two_the_one_that_gave_the_lead_away_does_not_lead_beside_the_one_it_has_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pair(tmp_path) as (first, second):
        monkeypatch.setattr(handover, "TAKE_BACK_S", 0.2)
        monkeypatch.setattr(handover, "RETRY_S", 0.01)
        taking = replication(second)
        cut = threading.Event()

        async def promised(giver: str) -> None:
            taking.node.store.new_term()
            answers = await promotion.survey(taking, promise=True, giver=giver)
            assert [one.promised for one in answers] == [True]
            assert taking._server is not None
            taking._server.close()
            taking.replicator.close()
            cut.set()

        monkeypatch.setattr(taking, "take_over", lambda message: taking.later(promised(message.node_id)))
        with pytest.raises(PromotionRefused, match="n2 was promised that it may lead, and does not answer now"):
            run(first, lambda: handover.switchover(replication(first), to="n2"))
        assert cut.is_set() and not replication(first).is_leading
        assert first.node.store.voted_for == "n2"
        assert "n1 is the primary" in run(first, replication(first).promote)["result"], "an operator may know better"
        assert first.node.store.voted_for == ""


def test_a_lead_that_nobody_took_is_taken_back_however_often_that_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pair(tmp_path) as (first, second):
        monkeypatch.setattr(handover, "TAKE_BACK_S", 0.2)
        monkeypatch.setattr(handover, "RETRY_S", 0.01)
        # The standby does not hear that it is given the lead.
        monkeypatch.setattr(replication(second), "take_over", lambda message: None)
        refusals = iter(("the first time", "the second time"))

        async def sometimes(*args: Any, **options: Any) -> Any:
            for refusal in refusals:
                raise PromotionRefused(refusal)
            return await promotion.take_lead(*args, **options)

        monkeypatch.setattr(handover, "take_lead", sometimes)
        with pytest.raises(PromotionRefused, match="n2 did not take the lead, and this node cannot yet: the first"):
            run(first, lambda: handover.switchover(replication(first), to="n2"))
        wait_until(lambda: replication(first).is_leading, "it leads on", SETTLED_S)
        with first.connect() as writer:
            writer.execute("INSERT INTO t VALUES (1)")


def test_of_two_the_one_that_dies_while_it_gives_the_lead_away_leads_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On its disk it leads no more, and nobody else was given the lead."""
    with pair(tmp_path) as (first, _):
        before = replication(first)

        def dies() -> None:
            before.become(Role("standby"))
            first.node.begin_again("a test wants it")

        first.on_loop(dies)
        wait_until(lambda: replication(first) is not before and replication(first).is_leading, "it leads", SETTLED_S)
        with first.connect() as writer:
            writer.execute("INSERT INTO t VALUES (1)")


def test_one_that_gives_the_lead_away_and_cannot_follow_begins_again(tmp_path: Path) -> None:
    with pair(tmp_path) as (first, _):
        before = replication(first)

        def fails(_applied: Lsn) -> None:
            raise OSError("too many open files")

        before.follow = fails  # type: ignore[method-assign, assignment]
        with pytest.raises(OSError, match="too many"):
            run(first, lambda: handover.switchover(before, to="n2"))
        wait_until(lambda: replication(first) is not before and replication(first).is_leading, "it leads", SETTLED_S)
        with first.connect() as writer:
            writer.execute("INSERT INTO t VALUES (1)")
