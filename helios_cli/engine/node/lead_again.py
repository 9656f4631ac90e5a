"""A primary that was restarted, in the middle of a switchover perhaps: it leads again, or follows who leads now."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Final

from helios_cli.engine.consensus.candidacy import voted_s
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.node import promotion
from helios_cli.engine.node.lead_changes import Cause
from helios_cli.engine.node.promotion import LedByAnother, PromotionRefused

if TYPE_CHECKING:
    from helios_cli.engine.node.replication import Replication

log = logging.getLogger(__name__)

LEAD_AGAIN_S: Final = 3.0
"""After so long such a node serves what it has, whether somebody leads or not."""

RESTARTED: Final = Cause("it led before it was restarted", automatic=True)

LOOK_S: Final = 0.1
"""Between two looks at who leads."""

PAUSE_MAX_S: Final = 0.4
"""Between two terms that are asked for in vain."""


def leads_again(replication: Replication) -> bool:
    """Whether a node that starts leads unless another one does: it led, or gave the lead away and nobody took it.

    Of the latter the control file knows whom it has promised. Where the members elect who leads they do it without.
    """
    role = replication.role
    if role.name != "standby":
        return True
    return not role.primary_host and not replication.config.elects


def pause_s(refused: int, own_vote_s: float) -> float:
    """Until the others are asked again. ``refused``: terms that they have refused; ``own_vote_s``: until this node,
    which has begun with them perhaps, may vote.

    Whoever has just begun promises nothing until the longest lease is over that a primary before may have; each term
    that is asked for meanwhile is one in vain.
    """
    if not refused:
        return LOOK_S
    return max(own_vote_s, min(PAUSE_MAX_S, LOOK_S * 2.0 ** max(0, refused - 2)))


async def lead_again(replication: Replication) -> None:
    """A primary that was restarted leads on in a new term, unless another node has been promoted meanwhile."""
    told, refused = "", 0
    # Whoever was promised a term gets the time to lead in it.
    has_voted = replication.term() > promotion.candidate(replication).last_term
    own_turn = replication.now() + (voted_s(replication.watcher.trip_s) if has_voted else 0.0)
    while replication.leading is None and leads_again(replication):
        try:
            answers = await promotion.survey(
                replication, promise=False, enough=partial(promotion.is_decided, replication)
            )
            leader = promotion.leader(replication, answers)
            if leader is not None:
                replication.retarget(leader.node_id, leader.primary_host, leader.primary_native_port, leader.term)
                return
            if replication.now() < own_turn:
                raise PromotionRefused("another node was promised that it may")
            try:
                promotion.refuse_unless_wins(replication, answers)
            except PromotionRefused:
                leader = promotion.overtaken_by(replication, answers)
                if leader is None:
                    raise
                replication.retarget(leader.node_id, leader.primary_host, leader.primary_native_port, leader.term)
                return
            refused += 1
            async with replication.changing:
                await promotion.take_lead(replication, RESTARTED, floor=max((a.term for a in answers), default=0))
        except LedByAnother as error:
            # It has said so once: that it does not answer the next time is no reason to lead.
            if error.leader is not None:
                leader = error.leader
                replication.retarget(leader.node_id, leader.primary_host, leader.primary_native_port, leader.term)
                return
            await asyncio.sleep(LOOK_S)
        except HeliosError as error:
            if error.message != told:
                log.warning("this node does not lead yet: %s", error.message)
                told = error.message
            own_vote_s = replication.watcher.vote.remaining(replication.now()) if refused else 0.0
            await asyncio.sleep(pause_s(refused, own_vote_s))
