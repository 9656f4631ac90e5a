"""Switchover: one node gives the lead away, another takes it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.config.roles import Role
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.node.cluster_news import HANDOVER, HANDOVER_ENDED
from helios_cli.engine.node.lead_changes import Cause
from helios_cli.engine.node.promotion import (
    PromotionRefused,
    is_decided,
    leader,
    not_the_primary,
    refuse_while_bound,
    survey,
    take_lead,
)
from helios_cli.engine.node.streamer import BLOCKED_S, WalStreamer
from helios_cli.engine.node.writer_taking import take_writer
from helios_cli.engine.replication import messages
from helios_cli.engine.types import Lsn
from helios_cli.engine.wire.peer import Kind

if TYPE_CHECKING:
    from helios_cli.engine.node.replication import Replication

log = logging.getLogger(__name__)

TAKE_BACK_S: Final = 5.0
"""A node that gave the lead away and hears nothing of the new primary for so long tries to take it back."""

RETRY_S: Final = 0.5
"""Between two attempts of it."""

LEAVE_S: Final = 3.0
"""A primary that stops gives its place away in that time, or leaves it to the others to find out."""

NEAR_BYTES: Final = 1 << 20
"""Who lacks no more of the log than that has it in a moment."""

FOLLOW_S: Final = 2.0
"""A standby that does not follow yet, since this node has just been elected, say, is waited for so long."""

TAKE_OVER_S: Final = TAKE_BACK_S / 2
"""A node that is given the lead and has not been promised by then that it leads leaves it to the giver."""


def choose_target(replication: Replication, wanted: str, *, unasked: bool = False) -> str:
    """The standby that a switchover goes to: of those that are near the end of the log who has the highest priority.

    ``unasked``: no operator wants it. Then, as in an election, one whose priority is 0 does not get the lead.

    Raises:
        PromotionRefused: there is none that could lead without loss.
    """
    streamers = replication.replicator.streamers
    config = replication.config
    if wanted == replication.node_id:
        raise PromotionRefused(f"node {wanted} leads already", hint="heliosdb-nano topology shows who follows it.")
    if any(one.node_id == wanted for one in config.observers):
        raise PromotionRefused(f"node {wanted} is an observer: it votes, and holds no data", hint="Choose a standby.")
    if wanted and wanted not in streamers:
        known = ", ".join(sorted(streamers)) or "nobody"
        raise PromotionRefused(
            f"node {wanted} does not follow this primary", hint=f"Choose one that does; now: {known}."
        )
    fit = [node for node in ([wanted] if wanted else sorted(streamers)) if node in config.in_sync]
    if not fit:
        who = f"the copies of node {wanted} do not count" if wanted else "no standby's copies count"
        raise PromotionRefused(f"{who} in mode {config.mode.value}", hint="heliosdb-nano topology shows whose do.")
    blocked = [f"the disk of node {node} {_matter(streamers[node])}" for node in fit if _matter(streamers[node])]
    fit = [node for node in fit if not _matter(streamers[node])]
    if not fit:
        raise PromotionRefused(
            " and ".join(blocked), hint="Free space there, or see what the disk waits for; this node leads on."
        )
    priorities = {member.node_id: member.priority for member in config.members}
    willing = [node for node in fit if priorities.get(node, 0) > 0]
    if unasked and not willing:
        raise PromotionRefused(f"the failover_priority of {', '.join(fit)} is 0")
    end = replication.replicator.recent.end

    def fitness(node: str) -> tuple[bool, int, Lsn]:
        applied = streamers[node].progress.applied
        return end - applied <= NEAR_BYTES, priorities.get(node, 0), applied

    return max(willing or fit, key=fitness)


def _matter(streamer: WalStreamer) -> str:
    """What is the matter with the disk of a standby; empty: nothing."""
    if streamer.is_full:
        return "is full"
    return f"has taken nothing for {streamer.blocked_s:.1f} s" if streamer.blocked_s > BLOCKED_S else ""


async def switchover(
    replication: Replication, *, to: str = "", timeout_s: float = 10.0, dry_run: bool = False
) -> Mapping[str, Any]:
    """Give the lead to a standby: drain, wait until it has everything, hand over, follow it.

    Raises:
        PromotionRefused: this node does not lead; no standby can; or a step failed, and this node leads on.
    """
    deadline = replication.now() + min(FOLLOW_S, timeout_s)
    while _is_awaited(replication, to) and replication.now() < deadline:
        await asyncio.sleep(0.01)
    async with replication.changing:
        return await _switched_over(replication, to, timeout_s, dry_run=dry_run)


def _is_awaited(replication: Replication, wanted: str) -> bool:
    """Whether the standby that would get the lead belongs to the cluster, and does not follow yet."""
    if not replication.is_leading:
        return False
    names = [wanted] if wanted else [one for one in replication.config.in_sync if one != replication.node_id]
    known = [name for name in names if name != replication.node_id and replication.config.member(name) is not None]
    return bool(known) and not any(name in replication.replicator.streamers for name in known)


async def _switched_over(replication: Replication, to: str, timeout_s: float, *, dry_run: bool) -> Mapping[str, Any]:
    if not replication.is_leading:
        raise not_the_primary(replication)
    target = choose_target(replication, to)
    streamer = replication.replicator.streamers[target]
    lag = replication.replicator.recent.end - streamer.progress.applied
    gap_ms = round(20 + 4 * streamer.echo_us / 1000 + lag / 20_000, 1)
    plan = {
        "from": replication.node_id,
        "to": target,
        "lag_bytes": lag,
        "expected_write_gap_ms": gap_ms,
        "steps": [
            f"hold new writes on {replication.node_id}, wait for the transaction that writes now",
            f"wait until {target} has applied everything",
            f"{target} takes a new term and leads",
            f"{replication.node_id} follows {target}",
        ],
    }
    # Once this node leads no more it needs the authority itself to lead again.
    await replication.authority.demand()
    if dry_run:
        return plan | {"result": f"the lead can go from {replication.node_id} to {target}", "dry_run": True}
    began = replication.now()
    await neared(replication, target, timeout_s)
    undone = await hand_over(replication, target, timeout_s)
    told = f"; {undone} transaction that had the writer was undone" if undone else ""
    return plan | {
        "result": f"node {target} is the primary of term {replication.term()}{told}",
        "undone": undone,
        "took_ms": round((replication.now() - began) * 1000, 1),
        "term": replication.term().number,
    }


async def neared(replication: Replication, target: str, timeout_s: float) -> None:
    """Wait until a standby lacks next to nothing of the log, while writes go on.

    Raises:
        PromotionRefused: it does not come near, or follows no more.
    """
    deadline = replication.now() + timeout_s
    while _lacks(replication, target) > NEAR_BYTES:
        if replication.now() > deadline:
            raise _not_caught_up(target, timeout_s)
        await asyncio.sleep(0.01)


def _lacks(replication: Replication, target: str) -> int:
    """Bytes of the log that a standby has not applied; all of it when it does not follow."""
    streamer = replication.replicator.streamers.get(target)
    return replication.replicator.recent.end - (streamer.progress.applied if streamer is not None else 0)


def _not_caught_up(target: str, timeout_s: float) -> PromotionRefused:
    return PromotionRefused(
        f"node {target} did not catch up within {timeout_s:g} s",
        hint="heliosdb-nano topology shows its lag; this node leads on.",
    )


async def leave(replication: Replication) -> None:
    """This node stops: give the lead to a standby first, so that nobody has to wait until its lease is over.

    Only where the others would elect one of themselves without it. Nothing is raised.
    """
    if not (replication.is_leading and replication.config.elects) or replication.config.paused:
        return
    try:
        async with asyncio.timeout(LEAVE_S), replication.changing:
            await hand_over(replication, choose_target(replication, "", unasked=True), LEAVE_S / 3, leaves=True)
    except (HeliosError, TimeoutError) as error:
        log.info("the lead is given to nobody before this node stops: %s", str(error) or "no node took it in time")


async def hand_over(
    replication: Replication, target: str, timeout_s: float, *, leaves: bool = False, reason: str = ""
) -> int:
    """Hold the writer, let ``target`` catch up, give it the lead, and follow it, unless this node ``leaves`` then.

    Gives the number of transactions that were undone for it.

    ``reason``: why, where no operator has asked for it.

    Raises:
        PromotionRefused: a step took too long; this node leads on.
    """
    queue = replication.node.engine.queue
    replication.news.tell(HANDOVER)
    try:
        undone = await take_writer(replication, target, timeout_s)
    except BaseException:
        replication.news.tell(HANDOVER_ENDED)
        raise
    try:
        streamer, end = await _drained(replication, target, timeout_s)
        # On disk before this node leads no longer: a restart must not lead again by itself.
        replication.become(Role("standby"))
        leading, replication.leading = replication.leading, None
        assert leading is not None
        # Before standbys are told that what they wait for was not done: a commit that waits for more copies was.
        leading.close()
        try:
            replication.follow(end)
        except Exception:
            # It takes no writes any more, and nobody else does.
            replication.node.begin_again("it could not follow whom it gives the lead to")
            raise
        message = messages.TakeOver(replication.node_id, end, leaves, reason)
        streamer.link.send(Kind.TAKE_OVER, message.to_body())
    finally:
        if replication.leading is not None:
            replication.leading.resume()
            replication.news.tell(HANDOVER_ENDED)
        queue.release()
        replication.news.look()
    deadline = replication.now() + TAKE_BACK_S
    while not replication.role.primary_host:
        await asyncio.sleep(0.002)
        if replication.now() > deadline:
            await _not_taken(replication, target)
    return undone


async def _drained(replication: Replication, target: str, timeout_s: float) -> tuple[WalStreamer, Lsn]:
    """Wait until ``target`` has applied everything; its stream, and the end of the log. The writer is held."""
    node = replication.node
    try:
        async with asyncio.timeout(timeout_s):
            await _all_answered(replication, timeout_s / 2)
            end = node.database.records.lsn
            streamer = replication.replicator.streamers.get(target)
            while streamer is None or streamer.progress.applied < end:
                await asyncio.sleep(0.001)
                streamer = replication.replicator.streamers.get(target)
    except TimeoutError:
        raise _not_caught_up(target, timeout_s) from None
    return streamer, end


async def _all_answered(replication: Replication, patience_s: float) -> None:
    """Wait until every commit is committed, and every client that waits for more copies than that has its answer.

    The latter are waited for ``patience_s`` seconds. The next primary has their commits all the same, and nobody counts
    the copies any more: when this node leads no longer they are told that this is unknown.

    From then on the configuration stays as it is, and so the log, until this node resumes leading or has the lead no
    more.
    """
    pipeline, leading = replication.node.pipeline, replication.leading
    deadline = replication.now() + patience_s

    def is_waited_for() -> bool:
        return leading is not None and leading.is_waited_for and replication.now() < deadline

    await pipeline.quiesce()
    while leading is not None and (is_waited_for() or pipeline.in_flight or not leading.hold()):
        await asyncio.sleep(0.001)


async def _not_taken(replication: Replication, target: str) -> None:
    """The standby did not take the lead in time: lead on, or follow it if it did after all.

    Raises:
        PromotionRefused: this node leads on; or it cannot yet, and goes on trying.
    """
    try:
        await _take_back(replication)
    except HeliosError as error:
        replication.later(_lead_on(replication))
        raise PromotionRefused(
            f"node {target} did not take the lead, and this node cannot yet: {error.message}",
            hint=error.hint or "It tries again until a node leads; heliosdb-nano topology shows which.",
        ) from error
    if replication.is_leading:
        raise PromotionRefused(f"node {target} did not take the lead; this node leads on")


async def _lead_on(replication: Replication) -> None:
    told = ""
    while _is_forsaken(replication):
        await asyncio.sleep(RETRY_S)
        try:
            async with replication.changing:
                if _is_forsaken(replication):
                    await _take_back(replication)
        except HeliosError as error:
            if error.message != told:
                told = error.message
                log.warning("this node gave the lead away, nobody took it, and it cannot take it back yet: %s", told)


def _is_forsaken(replication: Replication) -> bool:
    """Whether this node neither leads nor knows who does."""
    return not replication.is_leading and not replication.role.primary_host


async def _take_back(replication: Replication) -> None:
    """Lead on in a new term, unless somebody leads; then follow that one.

    Raises:
        PromotionRefused: this node may not lead, or cannot know whether it may.
    """
    answers = await survey(replication, promise=False, enough=partial(is_decided, replication))
    found = leader(replication, answers)
    if found is not None:
        replication.retarget(found.node_id, found.primary_host, found.primary_native_port, found.term)
        return
    refuse_while_bound(replication, answers)
    cause = Cause("it gave the lead away, and nobody took it")
    await take_lead(replication, cause, floor=max((answer.term for answer in answers), default=0))


async def take_over(replication: Replication, message: messages.TakeOver) -> None:
    """The primary gives its place to this node: take it."""
    async with replication.changing:
        following = replication.following
        if replication.node.stop_requested.is_set():
            log.warning("node %s gives the lead away, but this node stops", message.node_id)
            return
        if following is None or following.applicator.applied != message.end_lsn:
            log.warning("node %s gives the lead away, but this node is not at %s", message.node_id, message.end_lsn)
            return
        try:
            why = f": {message.reason}" if message.reason else ""
            cause = Cause(f"switchover: node {message.node_id} gave it the lead{why}", automatic=bool(message.reason))
            leaving = {message.node_id} if message.leaves else set()
            await take_lead(replication, cause, giver=message.node_id, within_s=TAKE_OVER_S, leaving=leaving)
        except HeliosError as error:
            log.warning("node %s gave the lead away, and this node cannot take it: %s", message.node_id, error)
