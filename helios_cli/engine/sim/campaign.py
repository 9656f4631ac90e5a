"""How a simulated node comes to lead and gives the lead away; the decisions are the real ones.

The steps and their order are those of ``engine/node/promotion.py``, ``engine/node/handover.py`` and
``engine/node/replication.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from functools import partial
from typing import TYPE_CHECKING

from helios_cli.engine.consensus.acceptance import gives_way, is_released, may_lead, may_promise
from helios_cli.engine.consensus.candidacy import turn, voted_s
from helios_cli.engine.consensus.config import ClusterConfig, participants
from helios_cli.engine.consensus.election import (
    SICK,
    TAKES_LEAD,
    Candidate,
    Verdict,
    judge_all,
    leading,
    led_by_another,
    still_led,
)
from helios_cli.engine.consensus.election import Answer as Heard
from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.engine.consensus.steps import config_by_force
from helios_cli.engine.replication.messages import Answer
from helios_cli.engine.sim.primary import Primary
from helios_cli.engine.types import Lsn, Term

if TYPE_CHECKING:
    from helios_cli.engine.sim.node import SimNode
    from helios_cli.engine.sim.observer import SimObserver

Answered = Callable[[list[Answer]], None]


class Campaign:
    """A node's side of every change of the lead, for one life."""

    def __init__(self, node: SimNode) -> None:
        self.node = node
        self.takes_lead = False
        """Its promotion is decided."""
        self.is_changing = False
        self._tried_us = 0
        self._own_turn: float | None = None
        self._turn: tuple[tuple[ClusterConfig, ...], int | None] = ((), None)
        """Its turn by some configurations, which change seldom."""

    # Asking and answering --------------------------------------------------------------------------------------------

    def survey(
        self, promise: bool, done: Answered, giver: str = "", *, enough: Callable[[list[Answer]], bool] | None = None
    ) -> None:
        """What the other members answer in this node's term; ``done`` hears it once, of those that did in time.

        With ``enough``, whoever has not answered when it is true is waited for only a little longer.
        """
        node, world = self.node, self.node.world
        others = self._others()
        answers: list[Answer] = []
        over: list[bool] = []
        term = node.term

        def end() -> None:
            if not over:
                over.append(True)
                done(answers)

        def answered(answer: Answer) -> None:
            if not over:
                answers.append(answer)
                if len(answers) == len(others):
                    end()
                elif enough is not None and enough(answers):
                    node.after(world.timing.grace_us, end)

        for other in others:
            node.meet("before a question is sent")
            world.network.ask(node, other, partial(other.campaign_answer, term, promise, node.name, giver), answered)
        node.after(world.timing.ask_us if others else 0, end)

    def _wins(self, answers: list[Answer]) -> bool:
        """Whether this node would be elected if they promised."""
        return judge_all(self.node.open_configs, self.candidate(), answers, unasked=True).is_safe

    def _others(self) -> list[SimNode | SimObserver]:
        """The other members and the observers, by every configuration that may be in force."""
        names = {one.node_id for one in participants(self.node.open_configs)} - {self.node.name}
        return [host for host in self.node.world.hosts if host.name in names]

    def answer(self, term: Term, promise: bool, asker: str, giver: str) -> Answer:
        """What this node says to a candidate, to whom ``giver`` gives the lead."""
        node = self.node
        if promise:
            node.give_way(term)
        elif node.is_leading and term > node.term:
            # It is to ask for the vote in a moment; if it does not, then nobody else may be able to lead.
            node.after(node.world.timing.ask_us, node.give_way, term)
        leads = node.is_leading or self.takes_lead
        is_primary = gives_way(node.following.upstream_id or node.name, asker, giver)
        is_loyal = node.is_loyal and not is_primary
        promised = (
            promise
            and may_promise(node.term, term, leads=leads, is_loyal=is_loyal)
            and self._pledge(term.number, excused=is_primary)
        )
        if promised:
            node.promise(term, asker)
            node.candidacy.defer(node.now, _trip_s(node))
            node.world.checkers.promises.voted(node, term, asker)
            node.tell(f"promises term {term} to {asker}")
        own = self.candidate()
        config = node.config
        return Answer(
            node_id=node.name,
            role=self._role(),
            incarnation=own.incarnation,
            promised=promised,
            term=node.term.number,
            last_term=own.last_term.number,
            last_term_id=own.last_term.term_id,
            flushed=own.flushed,
            config_version=max(own.config_version, config.version if config is not None else 0),
            reaches_primary=not promised and node.reaches_primary,
            primary_id=node.following.upstream_id or node.name,
            primary_host=node.follows,
            primary_native_port=1,
        )

    def _role(self) -> str:
        node = self.node
        if node.primary is not None and node.primary.tenure.is_sick:
            return SICK
        if node.is_leading:
            return "primary"
        return TAKES_LEAD if self.takes_lead else "standby"

    def _pledge(self, term: int, *, excused: bool) -> bool:
        node = self.node
        return node.vote.pledge(node.now, term, excused=excused or not node.is_one_of_many)

    def candidate(self) -> Candidate:
        """This node, as a candidate."""
        log = self.node.log
        return Candidate(self.node.name, log.last_term, log.flushed, self.node.incarnation, log.version(log.flushed))

    def announce(self, but: Container[str] = ()) -> None:
        """Tell the members who leads."""
        node = self.node
        term = node.term
        for other in self._others():
            if other.name not in but:
                node.world.network.ask(node, other, partial(other.announced, term, node.name), lambda _answer: None)

    # Taking the lead -------------------------------------------------------------------------------------------------

    def promote(self, *, allow_data_loss: bool) -> None:
        """The operator wants this node to lead."""
        node = self.node
        if node.primary is not None or self.is_changing or node.is_ending or node.config is None:
            return
        if node.reaches_primary or node.following.has_no_room:
            node.tell("is not promoted: it still reaches the primary, or has no room")
            return
        self.is_changing = True

        def surveyed(answers: list[Answer]) -> None:
            verdict = still_led(answers, node.term.number)
            if verdict.is_safe:
                verdict = judge_all(node.open_configs, self.candidate(), answers)
                if verdict.is_safe or (allow_data_loss and verdict.loses_data):
                    # Its own vote is the primary's until the lease is over.
                    wait_us = int(node.vote.remaining(node.now) * 1.2e6) if node.is_one_of_many else 0
                    node.after(wait_us, partial(self._take_lead, allow_data_loss, _newest(answers), heeds=True))
                    return
            self._refused(verdict.reason)

        self.survey(False, surveyed, enough=self._wins)

    def watch(self) -> None:
        """Nobody has asked, and no primary is heard of: be elected, if it is this node's turn."""
        node = self.node
        config = node.config
        if config is None or config.paused or self.is_changing or node.role == "primary" or node.is_ending:
            return
        place = self._place()
        if place is None or not node.is_one_of_many or node.following.blocked_s > node.world.timing.blocked_us / 1e6:
            return
        if not node.candidacy.due(node.now, place, is_loyal=node.is_loyal, trip_s=config.round_trip_s):
            return
        self.is_changing = True
        before = node.term

        def surveyed(answers: list[Answer]) -> None:
            verdict = still_led(answers, node.term.number)
            if verdict.is_safe:
                verdict = judge_all(node.open_configs, self.candidate(), answers, unasked=True)
            if verdict.is_safe:
                verdict = self._within_bounds()
            if verdict.is_safe and not node.is_loyal and node.term == before:
                node.world.elections += 1
                self._take_lead(False, _newest(answers), unasked=True)
            else:
                self.is_changing = False

        self.survey(False, surveyed, enough=self._wins)

    def _place(self) -> int | None:
        configs = self.node.open_configs
        if configs != self._turn[0]:
            self._turn = configs, turn(configs, self.node.name)
        return self._turn[1]

    def _within_bounds(self) -> Verdict:
        """In async mode: whether no more is lost than the cluster allows a failover that nobody asked for."""
        config, node = self.node.log.config, self.node
        lag = node.following.end - node.log.flushed
        if config.mode is not SyncMode.ASYNC or lag <= config.max_failover_lag_bytes:
            return Verdict()
        return Verdict(f"{lag} bytes of the log are missing")

    def _refused(self, reason: str) -> None:
        self.is_changing = False
        self.node.tell(f"is not promoted: {reason}")

    def _take_lead(
        self, allow_data_loss: bool, floor: int, *, unasked: bool = False, giver: str = "", heeds: bool = False
    ) -> None:
        """``heeds``: an operator wants it; this node's own vote has to be free, as it has where nobody asked."""
        node, world = self.node, self.node.world
        self.is_changing = True
        before = node.term.number
        began = node.now
        if not self._pledge(max(before, floor) + 1, excused=not (unasked or heeds)):
            self._refused("the primary is heard of again")
            return
        term = Term(max(before, floor) + 1, world.rng.getrandbits(64))
        node.promise(term)
        world.checkers.promises.voted(node, term, node.name)

        def surveyed(asked: list[Answer]) -> None:
            verdict = led_by_another(asked, before)
            answers = [answer for answer in asked if answer.promised]
            config = node.log.config
            late = node.now - began > world.timing.take_over_us / 1e6
            if giver and (late or giver not in {answer.node_id for answer in answers}):
                verdict = Verdict(f"node {giver} did not promise in time to lead no more")
            if verdict.is_safe and not may_lead(node.term, term, node.log.history):
                verdict = Verdict(f"another node has taken term {node.term} meanwhile")
            if verdict.is_safe and not heeds and not self._is_released(answers):
                verdict = Verdict(f"node {node.voted_for} was promised that it may lead")
            if not verdict.is_safe:
                self._refused(verdict.reason)
                return
            verdict = judge_all(node.open_configs, self.candidate(), answers, unasked=unasked)
            if not verdict.is_safe and not (allow_data_loss and verdict.loses_data):
                self._refused(verdict.reason)
                return
            heard = {answer.node_id for answer in answers}
            lost = {one.node_id for one in (*config.members, *config.observers)} - {node.name} - heard
            self.takes_lead = True
            node.become("primary", "")
            node.following.drop()
            forced = not verdict.is_safe
            node.after(node.rng.randrange(500, 20_000), self._lead, term, lost, forced, answers, heeds)

        def enough(asked: list[Answer]) -> bool:
            return self._wins([answer for answer in asked if answer.promised])

        self.survey(True, surveyed, giver, enough=None if giver else enough)

    def _lead(self, term: Term, lost: set[str], forced: bool, answers: list[Answer], by_hand: bool) -> None:
        node = self.node
        node.finish()
        how = ", at any price" if forced else ""
        node.tell(f"leads in term {term}, behind {node.log.end}, heard {len(answers)} others{how}")
        configs = (config_by_force(node.log.config, node.member(), lost),) if forced else node.open_configs
        node.world.checkers.leads(node, term, configs, by_hand=by_hand, forced=forced, answers=answers)
        node.primary = Primary(node, term, configs)
        node.vote.leads()
        self.takes_lead = self.is_changing = False
        if not node.primary.begin(lost, by_force=forced):
            node.tell("has no room for the term's first record")
            node.begin_again()
            return
        self.announce()

    def lead_again(self) -> None:
        """A primary that was restarted leads on in a new term, unless another has been promoted meanwhile."""
        node, world = self.node, self.node.world
        if self.is_changing or self.takes_lead or world.clock.now_us - self._tried_us < world.timing.again_us:
            return
        self._tried_us = world.clock.now_us
        self.is_changing = True
        if self._own_turn is None:
            # Whoever was promised a term gets the time to lead in it.
            has_voted = node.term > self.candidate().last_term
            self._own_turn = node.now + (voted_s(_trip_s(node)) if has_voted else 0.0)

        def surveyed(answers: list[Answer]) -> None:
            self.is_changing = False
            leader = self._leader(answers)
            if leader is None and (node.role != "primary" or node.now < (self._own_turn or 0.0)):
                return
            if leader is None and not self._would_win(answers):
                # Its own term came to nothing, and who leads does so in an older one.
                leader = leading(answers, self.candidate().last_term.number)
                if leader is None:
                    return
            if leader is not None:
                node.retarget(leader.node_id)
            else:
                self._take_lead(False, _newest(answers))

        self.survey(False, surveyed, enough=self._wins)

    def _is_released(self, answers: list[Answer]) -> bool:
        node = self.node
        elects = all(config.elects for config in node.open_configs)
        return is_released(elects=elects, voted_for=node.voted_for, heard={one.node_id for one in answers})

    def _leader(self, answers: list[Answer]) -> Heard | None:
        return leading(answers, self.node.term.number)

    def _would_win(self, answers: list[Answer]) -> bool:
        """A term that comes to nothing only ends that of another."""
        node = self.node
        led = still_led(answers, node.term.number, node.name)
        return (
            led.is_safe
            and self._is_released(answers)
            and judge_all(node.open_configs, self.candidate(), answers).is_safe
        )

    def renew(self, term: Term) -> None:
        """A node of a newer term wants to follow: this primary starts over."""
        node = self.node
        if node.is_leading and not self.is_changing:
            node.tell(f"starts over: a node has promised term {term}")
            node.begin_again()

    # Giving the lead away --------------------------------------------------------------------------------------------

    def switchover(self, target: str) -> None:
        """Hold the writer, let ``target`` catch up, give it the lead."""
        node, world = self.node, self.node.world
        primary = node.primary
        if primary is None or self.is_changing or target not in primary.lsns.config.in_sync:
            return
        if primary.lsns.pending is not None:
            return
        node.tell(f"gives the lead to {target}")
        self.is_changing = primary.holding = True
        self._wait_for(target, world.clock.now_us + world.timing.switch_us)

    def _wait_for(self, target: str, deadline_us: int) -> None:
        node, world = self.node, self.node.world
        primary = node.primary
        if primary is None:
            return
        stream = node.serving.streams.get(target)
        if node.exposed == node.log.end and stream is not None and stream.progress.applied >= node.log.end:
            node.become("standby", "")
            primary.tenure.end()
            node.primary = None
            stream.link.send(1, node.term, "take_over", (node.name, int(node.log.end)))
            node.after(world.timing.take_back_us, self._take_back)
        elif world.clock.now_us > deadline_us:
            self.is_changing = primary.holding = False
            node.tell(f"leads on: {target} did not catch up")
        else:
            node.after(5_000, self._wait_for, target, deadline_us)

    def _take_back(self) -> None:
        """The standby did not take the lead in time: lead on, or follow it if it did; again until somebody leads."""
        node = self.node
        self.is_changing = False
        if node.follows or node.primary is not None or self.takes_lead:
            return

        def surveyed(answers: list[Answer]) -> None:
            if node.follows or node.primary is not None or self.is_changing:
                return
            leader = self._leader(answers)
            if leader is not None:
                node.retarget(leader.node_id)
                return
            if self._is_released(answers):
                self._take_lead(False, _newest(answers))
            node.after(node.world.timing.take_back_us, self._take_back)

        self.survey(False, surveyed)

    def take_over(self, giver: str, end: Lsn) -> None:
        """The primary gives its place to this node."""
        if self.is_changing:
            return
        if self.node.applied != end:
            self.node.tell(f"is not at {end}, and does not take over")
            return
        self._take_lead(False, 0, giver=giver)


def _newest(answers: list[Answer]) -> int:
    return max((one.term for one in answers), default=0)


def _trip_s(node: SimNode) -> float:
    return node.config.round_trip_s if node.config is not None else 0.0
