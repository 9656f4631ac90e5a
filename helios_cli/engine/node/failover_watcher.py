"""A standby's watch over the primary: whom it is loyal to, and when it asks to be elected in its place."""

from __future__ import annotations

import asyncio
import random
import threading
from functools import partial
from typing import TYPE_CHECKING, Final

from helios_cli.engine.consensus.acceptance import gives_way
from helios_cli.engine.consensus.candidacy import Candidacy, turn
from helios_cli.engine.consensus.config import LEASE_MS, ClusterConfig, participants
from helios_cli.engine.consensus.election import Answer, Verdict, judge_all, still_led
from helios_cli.engine.consensus.lease import Loyalty
from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.engine.consensus.vote import Vote
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.node import promotion
from helios_cli.engine.node.lead_changes import Cause, facts
from helios_cli.engine.node.search import Search
from helios_cli.engine.types import Term

if TYPE_CHECKING:
    from helios_cli.engine.node.replication import Replication

HEARD_S: Final = 1.0
"""Where the primary alone votes, who was asked for its vote within this time takes it to be there."""

ROUNDED_S: Final = 0.005
"""So much too early a loop may wake who sleeps."""

BLOCKED_S: Final = 0.25
"""A node whose disk has taken nothing for so long does not ask to lead."""


class FailoverWatcher:
    """One per life of a node. Nobody has to ask for what it does; ``heliosdb-nano pause`` suspends it."""

    def __init__(self, replication: Replication) -> None:
        self._replication = replication
        longest_ms = max((config.term_lease_ms for config in replication.node.store.configs.all()), default=LEASE_MS)
        self.vote = Vote(Loyalty(replication.now(), longest_ms / 1000), threading.Lock())
        self._candidacy = Candidacy(random.random)
        self._search = Search(replication)
        self._electing = False
        self._told = ""
        """Why it was not elected last: told once."""

    def heard(self, lease_ms: int | None) -> bool:
        """The node that is followed is heard, and the primary asks for this node's vote for so long; whether it has it.

        None: it does not ask.
        """
        if lease_ms is None:
            return True
        self._told = ""
        return self.grants(self._replication.term(), lease_ms)

    def grants(self, term: Term, lease_ms: int) -> bool:
        """Give the vote to the primary of a term; False: it is a candidate's. From any thread.

        A longer lease than this node's log knows of is not granted: after a start nobody would wait for its end.
        """
        own = self._replication
        if term != own.term() or lease_ms > own.config.term_lease_ms:
            return False
        return self.vote.heard(own.now(), lease_ms / 1000, term)

    @property
    def is_loyal(self) -> bool:
        """Whether a primary has been heard of whose lease is not over. Where it alone votes it needs none."""
        return self._is_one_of_many and self.vote.holds(self._replication.now())

    @property
    def _is_one_of_many(self) -> bool:
        return self._replication.config.elects

    @property
    def reaches_primary(self) -> bool:
        """Whether a primary is connected, and has asked for this node's vote just now.

        One that was restarted and does not lead yet does not: where it alone votes, it may be waiting for an operator.
        """
        following = self._replication.following
        if following is None or not following.upstream.connected:
            return False
        if self._is_one_of_many:
            return self.is_loyal
        return following.upstream.role != "standby" and self._replication.now() - self.vote.heard_at < HEARD_S

    async def released(self) -> None:
        """Wait until this node may vote for somebody else."""
        if self._is_one_of_many:
            await asyncio.sleep(self.vote.remaining(self._replication.now()) + ROUNDED_S)

    def may_vote_for(self, asker: str, giver: str) -> bool:
        """Whether nobody else has this node's word: the primary itself may ask, or give its place to ``asker``."""
        return not self.is_loyal or self.is_primary(asker, giver)

    def is_primary(self, asker: str, giver: str) -> bool:
        """Whether one of them is the primary that this node follows, or this node itself, which gives its lead away.

        Not one that it has followed before.
        """
        following = self._replication.following
        if following is None:
            return gives_way(self._replication.node_id, asker, giver)
        return following.upstream.connected and gives_way(following.upstream.node_id, asker, giver)

    def pledge(self, term: int, *, excused: bool = False) -> bool:
        """Keep the vote for a candidate of that term; False: it is the primary's, who has not given it away."""
        return self.vote.pledge(self._replication.now(), term, excused=excused or not self._is_one_of_many)

    @property
    def trip_s(self) -> float:
        """What the slowest question of an election takes, which candidates leave each other the time for."""
        own = self._replication
        return max(own.config.round_trip_s, own.authority.trip_s())

    def has_voted(self) -> None:
        """Another node was promised: it has its time to lead before this one asks."""
        self._candidacy.defer(self._replication.now(), self.trip_s)

    def lease_ms(self) -> int | None:
        """What this node, while it follows, passes on to those that follow it."""
        remaining = self.vote.remaining(self._replication.now())
        return int(remaining * 1000) if remaining else None

    def beat(self) -> None:
        """Look whether it is this node's turn to be elected; to be called often."""
        own = self._replication
        config = own.config
        place = turn(own.open_configs, own.node_id)
        if place is None or not self._is_one_of_many:
            self._search.beat()
        if place is None or not self._may_stand(config):
            self._tell_why_not(config)
            return
        if not self.is_loyal and not own.authority.may_stand():
            return
        if self._candidacy.due(own.now(), place, is_loyal=self.is_loyal, trip_s=self.trip_s):
            self._electing = True
            own.later(self._elect())

    def _may_stand(self, config: ClusterConfig) -> bool:
        own = self._replication
        is_free = not (self._electing or own.takes_lead or own.changing.locked())
        following = own.following
        if following is None or following.has_no_room or following.blocked_s > BLOCKED_S:
            return False
        follows = own.role.name == "standby" and own.has_state.is_set()
        return is_free and follows and self._is_one_of_many and not config.paused

    async def _elect(self) -> None:
        own = self._replication
        try:
            async with own.changing:
                if own.following is None or self.is_loyal:
                    return
                term = own.term()
                verdict, floor, leader = await self._sounded()
                if leader is not None:
                    # Nobody else tells a node that was removed, or whose address is another one.
                    own.retarget(leader.node_id, leader.primary_host, leader.primary_native_port, leader.term)
                    return
                if not verdict.is_safe:
                    self._tell(verdict.reason, verdict.hint, self._unreached())
                    return
                # Heard of again, or a vote was given meanwhile: what was sounded is not so any more.
                if self.is_loyal:
                    return
                if own.term() != term:
                    return
                silent_s = own.now() - self.vote.heard_at
                own.node.event(
                    "primary_silent", f"nothing is heard of the primary {own.config.primary}: this node asks to lead",
                    severity="warning", silent_ms=round(silent_s * 1000), primary=own.config.primary,
                )  # fmt: skip
                cause = Cause(
                    f"nothing was heard of the primary {own.config.primary} for {silent_s * 1000:.0f} ms",
                    automatic=True,
                )
                await promotion.take_lead(own, cause, floor=floor, unasked=True)
        except HeliosError as error:
            self._tell(error.message, error.hint or "")
        finally:
            self._electing = False

    async def _sounded(self) -> tuple[Verdict, int, Answer | None]:
        """Whether this node would be elected, the newest term that was heard of, and who leads, if somebody does.

        Nobody promises anything yet.
        """
        own = self._replication
        answers = await promotion.survey(own, promise=False, enough=partial(promotion.would_win, own))
        floor = max((answer.term for answer in answers), default=0)
        verdict = still_led(answers, own.term().number)
        if verdict.is_safe:
            verdict = judge_all(own.open_configs, promotion.candidate(own), answers, unasked=True)
        leader = promotion.leader(own, answers)
        return (verdict if not verdict.is_safe else self._within_bounds()), floor, leader

    def _within_bounds(self) -> Verdict:
        """In async mode: whether no more is lost than the cluster allows a failover that nobody asked for."""
        own = self._replication
        config, following = own.config, own.following
        if config.mode is not SyncMode.ASYNC or following is None:
            return Verdict()
        lag = following.upstream.end - own.node.store.log.flushed
        if lag <= config.max_failover_lag_bytes:
            return Verdict()
        return Verdict(
            f"{lag} bytes of the log are missing here, and max_failover_lag_mb allows {config.max_failover_lag_bytes}",
            "Promote by hand, with --allow-data-loss.",
            loses_data=True,
        )

    def _tell_why_not(self, config: ClusterConfig) -> None:
        """Nothing is heard of the primary, and this node does not ask to lead: why, if somebody should know."""
        own = self._replication
        following, member = own.following, config.member(own.node_id)
        silent_s = own.now() - self.vote.heard_at
        if following is None or member is None or silent_s < HEARD_S or self.is_loyal or not self._is_one_of_many:
            return
        if config.paused:
            self._tell("automatic failover is paused", "Promote a standby by hand: heliosdb-nano promote.")
        elif member.priority == 0:
            self._tell("its failover_priority is 0", "Promote it by hand, or start it with another failover_priority.")
        elif following.has_no_room or following.blocked_s > BLOCKED_S:
            self._tell("its disk takes nothing", "Free space on it, or promote another standby.")

    def _unreached(self) -> str:
        """Which nodes could not be asked, and why."""
        own = self._replication
        names = sorted(one.node_id for one in participants(own.open_configs) if one.node_id in own.lines.faults)
        return "; ".join(f"{name}: {own.lines.faults[name]}" for name in names)

    def _tell(self, reason: str, change: str = "", unreached: str = "") -> None:
        """Once until a primary is heard of again. ``change``: what would make it different."""
        if reason != self._told:
            self._told = reason
            own = self._replication
            told = facts(term=own.term().number, old=own.config.primary, new=None, reason=reason, automatic=True)
            text = f"this node is not elected: {reason}" + (f" ({unreached})" if unreached else "")
            text += f". {change}" if change else ""
            own.node.event("not_elected", text, severity="warning", change=change, unreached=unreached, **told)
