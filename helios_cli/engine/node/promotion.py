"""Changing who leads: asking the others, and taking the lead."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.consensus.acceptance import is_released, may_lead, may_promise
from helios_cli.engine.consensus.account import withheld
from helios_cli.engine.consensus.candidacy import VOTE_TRIPS
from helios_cli.engine.consensus.config import Member, address, participants
from helios_cli.engine.consensus.election import (
    SICK,
    TAKES_LEAD,
    Candidate,
    Verdict,
    is_behind,
    judge_all,
    leading,
    led_by_another,
    still_led,
)
from helios_cli.engine.consensus.election import Answer as Heard
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.node.lead_changes import Cause
from helios_cli.engine.node.peer_address import reachable
from helios_cli.engine.node.peer_link import PeerLink
from helios_cli.engine.node.streamer import RELEASE_S
from helios_cli.engine.node.votes import tell_election, tell_vote
from helios_cli.engine.replication import messages
from helios_cli.engine.replication.messages import Answer
from helios_cli.engine.types import Term
from helios_cli.engine.wire.peer import Kind

if TYPE_CHECKING:
    from helios_cli.engine.node.replication import Replication

log = logging.getLogger(__name__)

ASK_S: Final = 1.5
"""How long an answer of another node is waited for, on one site."""

BEGUN_S: Final = 5.0
"""How long the answer to a promotion waits for the term's first record to be committed."""

GRACE_S: Final = 0.1
"""How long those are waited for who have not answered when enough others have."""


class PromotionRefused(HeliosError):
    """A promotion would lose acknowledged commits, or make a second primary."""

    sqlstate = "55000"


class LedByAnother(PromotionRefused):
    """Another node leads, or is about to."""

    leader: Heard | None = None
    """The one that leads."""


async def survey(
    replication: Replication, *, promise: bool, giver: str = "", enough: Callable[[list[Heard]], bool] | None = None
) -> list[Heard]:
    """What the other members answer, those that are reached, and the authority; in this node's own term.

    Those of every configuration that may be in force: one that is about to be removed may be needed for that.

    With ``enough``, whoever has not answered when it is true is waited for only a little longer.
    """
    others = [one for one in participants(replication.open_configs) if one.node_id != replication.node_id]
    ask = messages.Ask(replication.node_id, promise, giver)
    waiting: set[asyncio.Task[Heard | None]] = {
        asyncio.ensure_future(_ask(replication, member, ask)) for member in others
    }
    waiting.add(asyncio.ensure_future(replication.authority.consult(giver, promise=promise)))
    answers: list[Heard] = []
    deadline: float | None = None
    try:
        while waiting and (deadline is None or replication.now() < deadline):
            left = None if deadline is None else deadline - replication.now()
            done, waiting = await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            answers += [told for task in done if task.exception() is None and (told := task.result()) is not None]
            if enough is not None and deadline is None and enough(answers):
                deadline = replication.now() + GRACE_S
    finally:
        for task in waiting:
            task.cancel()
    return answers


async def _ask(replication: Replication, member: Member, ask: messages.Ask) -> Answer:
    lines = replication.lines
    async with asyncio.timeout(_patience_s(replication)):
        held = lines.held(member)
        if held is not None:
            try:
                return await _asked(replication, member, ask, held)
            except HeliosError as error:
                log.debug("node %s is called anew: %s", member.node_id, error)
        return await _asked(replication, member, ask, await lines.call(member))


async def _asked(replication: Replication, member: Member, ask: messages.Ask, link: PeerLink) -> Answer:
    try:
        link.send(Kind.ASK, ask.to_body())
        answer = Answer.from_body((await link.receive(Kind.ANSWER)).body)
    except BaseException:
        link.close()
        raise
    told = replace(answer, primary_host=reachable(link, answer.primary_host) if answer.primary_host else "")
    replication.lines.hold(member, link)
    return told


def _patience_s(replication: Replication) -> float:
    return max(ASK_S, VOTE_TRIPS * replication.config.round_trip_s)


def would_win(replication: Replication, heard: list[Heard]) -> bool:
    """Whether a majority has answered, and this node would be elected if they promised: nobody else need be heard.

    Never where it needs nobody, of two data nodes the one that votes: the other one may have been promoted meanwhile,
    and nobody but that one can tell.
    """
    if not all(config.elects for config in replication.open_configs):
        return False
    return judge_all(replication.open_configs, candidate(replication), heard, unasked=True).is_safe


def leader(replication: Replication, heard: list[Heard]) -> Heard | None:
    """Who leads, by what has been heard, in no term before the one that this node promised."""
    return leading(heard, replication.term().number)


def overtaken_by(replication: Replication, heard: list[Heard]) -> Heard | None:
    """Who leads in a term as new as the log, where this node has promised a newer one that came to nothing.

    Asked for records in that one, it takes a term that is newer yet.
    """
    return leading(heard, candidate(replication).last_term.number)


def is_decided(replication: Replication, heard: list[Heard]) -> bool:
    """Whether nothing that is still to be heard changes what comes of it: somebody leads or will, or is ahead."""
    own = candidate(replication)
    return (
        leader(replication, heard) is not None
        or any(one.role == TAKES_LEAD for one in heard)
        or any(is_behind(config, own, heard) for config in replication.open_configs)
        or would_win(replication, heard)
    )


def refuse_unless_wins(replication: Replication, heard: list[Heard]) -> None:
    """Before a term is taken: whether this node would lead in it, going by what was heard.

    Raises:
        PromotionRefused: it would not; a term that comes to nothing only ends that of another.
    """
    _refuse(still_led(heard, replication.term().number, replication.node_id), allow_data_loss=False)
    refuse_while_bound(replication, heard)
    _refuse(judge_all(replication.open_configs, candidate(replication), heard), allow_data_loss=False)


def refuse_while_bound(replication: Replication, heard: list[Heard]) -> None:
    """Before this node leads unasked: whether it has promised another that this may, and is not kept by its answer.

    Raises:
        PromotionRefused: that one may lead, and this node would not know.
    """
    elects = all(config.elects for config in replication.open_configs)
    voted_for = replication.node.store.voted_for
    if not is_released(elects=elects, voted_for=voted_for, heard={one.node_id for one in heard}):
        raise PromotionRefused(
            f"node {voted_for} was promised that it may lead, and does not answer now",
            hint=f"Once it is known not to lead, heliosdb-nano promote makes {replication.node_id} the primary.",
        )


async def announce(replication: Replication, member: Member) -> None:
    """Tell a member that this node leads. Nothing is raised when it is not reached."""
    own, term = replication.identity(), replication.term()
    try:
        async with asyncio.timeout(_patience_s(replication)):
            link = replication.lines.held(member) or await replication.lines.call(member)
            # It may have been deposed while it called: the newer primary's term must not be announced as its own.
            if replication.is_leading and replication.term() == term:
                link.send(Kind.ANNOUNCE, messages.Announce(own.node_id, own.host, own.native_port).to_body())
            link.close()
    except (OSError, HeliosError, TimeoutError) as error:
        log.debug("node %s was not told of the primary: %s", member.node_id, error)


def announce_to_missing(replication: Replication) -> None:
    """Tell the members and observers of whom this primary hears nothing; a connection may be dead and not know it."""
    since = replication.now() - RELEASE_S
    following = (name for name, one in replication.replicator.streamers.items() if one.heard_at > since)
    heard = {replication.node_id, *following, *replication.watchers.heard(since)}
    for member in participants(replication.open_configs):
        if member.node_id not in heard:
            replication.later(announce(replication, member))


def candidate(replication: Replication) -> Candidate:
    """This node, as a candidate."""
    page_log = replication.node.store.log
    last = page_log.last
    own = replication.identity()
    if last is None:
        return Candidate(own.node_id, Term(0), page_log.flushed, own.incarnation)
    return Candidate(own.node_id, last.term, page_log.flushed, own.incarnation, last.config_version)


def answer(replication: Replication, ask: messages.Ask, term: Term) -> Answer:
    """What this node says to a candidate. A promise is on disk before it is given."""
    if ask.promise:
        replication.give_way(term, f"node {ask.node_id} asks to lead")
    is_loyal = not replication.watcher.may_vote_for(ask.node_id, ask.giver)
    leads = replication.is_leading or replication.takes_lead
    sick = replication.leading is not None and replication.leading.lease.is_sick
    promised = (
        ask.promise
        and may_promise(replication.term(), term, leads=leads, is_loyal=is_loyal)
        and replication.watcher.pledge(term.number, excused=replication.watcher.is_primary(ask.node_id, ask.giver))
    )
    if promised:
        replication.node.store.promise(term, ask.node_id)
        replication.watcher.has_voted()
    own_position = candidate(replication)
    following = replication.following
    upstream = following.upstream if following is not None else None
    primary = upstream.node_id if upstream is not None else replication.node_id
    tell_vote(
        replication.node.event, ask, term, replication.term(), primary, promised=promised, loyal=is_loyal or leads
    )
    identity = replication.identity()
    return Answer(
        node_id=identity.node_id,
        # One that was restarted and does not lead yet is no primary that others could follow.
        role=SICK
        if sick
        else "primary"
        if replication.is_leading
        else TAKES_LEAD
        if replication.takes_lead
        else "standby",
        incarnation=identity.incarnation,
        promised=promised,
        term=replication.term().number,
        last_term=own_position.last_term.number,
        last_term_id=own_position.last_term.term_id,
        flushed=own_position.flushed,
        config_version=max(replication.config.version, own_position.config_version),
        reaches_primary=not promised and replication.watcher.reaches_primary,
        primary_id=primary,
        primary_host=replication.role.primary_host if not replication.is_leading else identity.host,
        primary_native_port=replication.role.primary_port if not replication.is_leading else identity.native_port,
    )


async def promote(replication: Replication, *, allow_data_loss: bool, dry_run: bool) -> Mapping[str, Any]:
    """Make this node the primary, by hand.

    Raises:
        PromotionRefused: it leads already; the primary is still there; or acknowledged commits would be lost.
    """
    if replication.is_leading:
        raise PromotionRefused(f"node {replication.node_id} is the primary already")
    following = replication.following
    if following is not None and replication.watcher.reaches_primary:
        raise PromotionRefused(
            f"node {replication.node_id} still reaches the primary {following.upstream.node_id}",
            hint=f"Use heliosdb-nano switchover --to {replication.node_id} to move its place to this node.",
        )
    if following is not None and following.has_no_room:
        raise PromotionRefused(
            f"the disk of node {replication.node_id} is full: what its log holds cannot be applied",
            hint="Free disk space there; records are applied within a second of that, and then ask again.",
        )
    answers = await survey(replication, promise=False, enough=partial(would_win, replication))
    _refuse(still_led(answers, replication.term().number), allow_data_loss=False)
    verdict = judge_all(replication.open_configs, candidate(replication), answers)
    _refuse(verdict, allow_data_loss=allow_data_loss)
    plan = {
        "node_id": replication.node_id,
        "heard": sorted(answer.node_id for answer in answers),
        "log_end": str(replication.node.store.log.flushed),
        "data_loss": verdict.reason,
    }
    if dry_run:
        return plan | {"result": f"node {replication.node_id} can be promoted", "dry_run": True}
    await replication.watcher.released()
    cause = Cause("an operator promoted it" + (": commits may be lost" if allow_data_loss else ""))
    floor = max((a.term for a in answers), default=0)
    term = await take_lead(replication, cause, allow_data_loss=allow_data_loss, floor=floor, heeds=True)
    result = f"node {replication.node_id} is the primary of term {term}"
    if not await _has_begun(replication):
        result += ", and takes writes when enough copies have its first record"
    return plan | {"result": result, "term": term.number}


async def _has_begun(replication: Replication) -> bool:
    """Whether what the new primary found in its log is committed now: only then does anybody see all of it."""
    begun = asyncio.Event()
    replication.node.pipeline.after_latest(begun.set)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(BEGUN_S):
            await begun.wait()
    return begun.is_set()


async def take_lead(
    replication: Replication,
    cause: Cause,
    *,
    allow_data_loss: bool = False,
    floor: int = 0,
    giver: str = "",
    within_s: float = 0,
    leaving: Collection[str] = (),
    unasked: bool = False,
    heeds: bool = False,
) -> Term:
    """Take a new term, get the promises that it needs, and lead.

    Where ``giver`` gives the lead to this node it must promise too, and that ``within_s`` seconds: later it may lead on
    itself. Of two members it could, without asking this one. ``leaving`` stop, whatever they promise: nobody waits for
    their copies. ``unasked``: no operator wants it, so a majority has to.
    ``heeds``: an operator wants it, who may know that the one that was promised does not lead; this node's own vote has
    to be free, as it has where nobody asked.

    Raises:
        PromotionRefused: too few promised, or one that did has more of the log; or another node leads.
    """
    before, began = replication.term().number, replication.now()
    if not replication.watcher.pledge(max(before, floor) + 1, excused=not (unasked or heeds)):
        raise PromotionRefused("the primary is heard of again")
    try:
        floor = await replication.authority.reserve(floor, giver, by_force=allow_data_loss)
        term = replication.node.store.new_term(floor)
    except BaseException:
        # No term was taken: the vote is the primary's again, who may have been elected meanwhile.
        replication.watcher.vote.withdraw(replication.term().number)
        raise

    def enough(heard: list[Heard]) -> bool:
        return would_win(replication, [answer for answer in heard if answer.promised])

    asked = await survey(replication, promise=True, giver=giver, enough=None if giver else enough)
    _refuse_where_led(asked, before)
    answers = [answer for answer in asked if answer.promised]
    if giver and (giver not in {one.node_id for one in answers} or replication.now() - began > within_s):
        raise PromotionRefused(f"node {giver} did not promise in time to lead no more", hint="It leads on.")
    _refuse_if_passed(replication, term)
    if not heeds:
        refuse_while_bound(replication, answers)
    own, config = candidate(replication), replication.config
    verdict = judge_all(replication.open_configs, own, answers, unasked=unasked)
    if not verdict.is_safe and judge_all(replication.open_configs, own, asked, unasked=unasked).is_safe:
        verdict = withheld(verdict, term, asked)
    tell_election(replication.node.event, config, own, term, asked, verdict, cause, unasked=unasked)
    _refuse(verdict, allow_data_loss=allow_data_loss)
    await replication.authority.claim(term, by_force=not verdict.is_safe)
    _refuse_if_passed(replication, term)
    others = {one.node_id for one in (*config.members, *config.observers)} - {replication.node_id}
    lost = others - {answer.node_id for answer in answers} | set(leaving)
    await replication.lead(term, lost, cause, by_force=not verdict.is_safe)
    return term


def _refuse_where_led(heard: list[Heard], since: int) -> None:
    verdict = led_by_another(heard, since)
    if not verdict.is_safe:
        refusal = LedByAnother(verdict.reason, hint=verdict.hint or None)
        refusal.leader = leading(heard, since)
        raise refusal


def _refuse_if_passed(replication: Replication, term: Term) -> None:
    """Raises PromotionRefused when this node has promised a newer term than the one that it took."""
    following = replication.following
    log = following.log_end()[0] if following is not None else replication.node.store.timeline.history
    if not may_lead(replication.term(), term, log):
        raise PromotionRefused(
            f"another node has taken term {replication.term()} meanwhile",
            hint="Ask again: two nodes were being promoted at once.",
        )


def _refuse(verdict: Verdict, *, allow_data_loss: bool) -> None:
    if not verdict.is_safe and not (allow_data_loss and verdict.loses_data):
        raise PromotionRefused(verdict.reason, hint=verdict.hint or None)


def not_the_primary(replication: Replication) -> PromotionRefused:
    """The refusal of what only a primary does; its hint names the one that this node knows, and how to ask it."""
    view = replication.view()
    primary = next((node for node in view.nodes if node.node_id == view.primary_id and not node.is_local), None)
    where = address(primary.host, primary.http_port) if primary is not None and primary.http_port else ""
    hint = f"Ask {where}, with --node {where}." if where else "heliosdb-nano topology shows who leads, once one does."
    return PromotionRefused(f"node {replication.node_id} is not the primary", hint=hint)
