"""How a simulated node comes to lead and gives the lead away; the decisions are the real ones.

The steps and their order are those of ``engine/node/promotion.py`` and ``engine/node/replication.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from functools import partial
from typing import TYPE_CHECKING

from helios_cli.engine.consensus.candidacy import rank
from helios_cli.engine.consensus.election import Candidate, still_led
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
        self._changing = False
        self._tried_us = 0

    # Asking and answering --------------------------------------------------------------------------------------------

    def survey(self, promise: bool, done: Answered, giver: str = "") -> None:
        """What the other members answer in this node's term; ``done`` hears it once, of those that did in time."""
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

        for other in others:
            world.network.ask(node, other, partial(other.campaign_answer, term, promise, giver), answered)
        node.after(world.timing.ask_us if others else 0, end)

    def _others(self) -> list[SimNode | SimObserver]:
        """The other members and the observers."""
        config = self.node.log.config
        world = self.node.world
        names = {one.node_id for one in (*config.members, *config.observers)} - {self.node.name}
        return [host for host in world.hosts if host.name in names]

    def answer(self, term: Term, promise: bool, giver: str) -> Answer:
        """What this node says to a candidate, to whom ``giver`` gives the lead."""
        node, world = self.node, self.node.world
        leads = node.primary is not None or self.takes_lead
        is_loyal = node.is_loyal and giver != node.upstream_id
        is_primary = node.primary is not None or (node.role == "primary" and not world.cores.leads_to_answer)
        promised = promise and world.cores.may_promise(node.term, term, leads=leads, is_loyal=is_loyal)
        if promised:
            node.promise(term)
            if world.cores.gives_time:
                node.candidacy.defer(node.now)
            world.checkers.promised(node, term)
        own = self.candidate()
        return Answer(
            node_id=node.name,
            role="primary" if is_primary else "standby",
            incarnation=own.incarnation,
            promised=promised,
            term=node.term.number,
            last_term=own.last_term.number,
            last_term_id=own.last_term.term_id,
            flushed=own.flushed,
            config_version=own.config_version,
            reaches_primary=not promised and is_loyal,
            primary_id=node.upstream_id or node.name,
            primary_host=node.follows,
            primary_native_port=1,
        )

    def candidate(self) -> Candidate:
        """This node, as a candidate."""
        log = self.node.log
        version = log.version(log.flushed)
        return Candidate(self.node.name, log.last_term, log.flushed, self.node.member().incarnation, version)

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
        node, world = self.node, self.node.world
        if node.primary is not None or self._changing:
            return
        if node.is_loyal:
            node.tell("is not promoted: it still reaches the primary")
            return
        self._changing = True

        def surveyed(answers: list[Answer]) -> None:
            verdict = still_led(answers, node.term.number)
            if verdict.is_safe:
                judged = world.cores.judge_all(node.open_configs, self.candidate(), answers)
                if judged.is_safe or (allow_data_loss and judged.loses_data):
                    self._take_lead(allow_data_loss, max((one.term for one in answers), default=0))
                    return
                verdict = judged
            self._refused(verdict.reason)

        self.survey(False, surveyed)

    def watch(self) -> None:
        """Nobody has asked, and no primary is heard of: be elected, if it is this node's turn."""
        node, world = self.node, self.node.world
        config = node.log.config
        place = rank(config, node.name)
        if place is None or config.paused or self._changing or node.primary is not None or node.role == "primary":
            return
        if not node.candidacy.due(node.now, place, is_loyal=node.is_loyal):
            return
        self._changing = True
        before = node.term

        def surveyed(answers: list[Answer]) -> None:
            verdict = still_led(answers, node.term.number)
            if verdict.is_safe:
                verdict = world.cores.judge_all(node.open_configs, self.candidate(), answers, unasked=True)
            if verdict.is_safe and not node.is_loyal and node.term == before:
                world.elections += 1
                self._take_lead(False, max((one.term for one in answers), default=0), unasked=True)
            else:
                self._changing = False

        self.survey(False, surveyed)

    def _refused(self, reason: str) -> None:
        self._changing = False
        self.node.tell(f"is not promoted: {reason}")

    def _take_lead(self, allow_data_loss: bool, floor: int, *, unasked: bool = False, giver: str = "") -> None:
        node, world = self.node, self.node.world
        self._changing = True
        term = Term(max(node.term.number, floor) + 1, world.rng.getrandbits(64))
        node.promise(term)

        def surveyed(found: list[Answer]) -> None:
            if not world.cores.may_lead(node.term, term, node.log.history):
                self._refused(f"another node has taken term {node.term} meanwhile")
                return
            answers = [answer for answer in found if answer.promised]
            config = node.log.config
            verdict = world.cores.judge_all(node.open_configs, self.candidate(), answers, unasked=unasked)
            if not verdict.is_safe and not (allow_data_loss and verdict.loses_data):
                self._refused(verdict.reason)
                return
            heard = {answer.node_id for answer in answers}
            lost = {one.node_id for one in (*config.members, *config.observers)} - {node.name} - heard
            self.takes_lead = True
            node.leave()
            forced = not verdict.is_safe
            node.after(world.rng.randrange(500, 20_000), self._lead, term, lost, forced, heard)

        self.survey(True, surveyed, giver)

    def _lead(self, term: Term, lost: set[str], forced: bool, heard: set[str]) -> None:
        node = self.node
        node.finish()
        node.become("primary", "")
        how = ", forced" if forced else ""
        node.tell(f"leads in term {term}, behind {node.log.end}, heard {len(heard)} others{how}")
        configs = (config_by_force(node.log.config, node.member(), lost),) if forced else node.open_configs
        node.world.checkers.leads(node, term, configs, forced=forced, heard=heard)
        node.primary = Primary(node, term, configs)
        self.takes_lead = self._changing = False
        node.primary.begin(lost, by_force=forced)
        self.announce()

    def lead_again(self) -> None:
        """A primary that was restarted leads on in a new term, unless another has been promoted meanwhile."""
        node, world = self.node, self.node.world
        if self._changing or self.takes_lead or world.clock.now_us - self._tried_us < world.timing.again_us:
            return
        self._tried_us = world.clock.now_us
        self._changing = True

        def surveyed(answers: list[Answer]) -> None:
            self._changing = False
            newer = [one for one in answers if one.role == "primary" and one.term >= node.term.number]
            if newer:
                node.retarget(max(newer, key=lambda one: one.term).node_id)
            elif node.role == "primary":
                self._take_lead(False, max((one.term for one in answers), default=0))

        self.survey(False, surveyed)

    def renew(self, term: Term) -> None:
        """A node of a newer term wants to follow: this primary starts over, unless another one leads."""
        node = self.node
        if self._changing:
            return
        self._changing = True

        def surveyed(answers: list[Answer]) -> None:
            self._changing = False
            newer = [one for one in answers if one.role == "primary" and one.term >= term.number]
            if newer:
                node.retarget(newer[0].node_id)
            else:
                node.tell(f"starts over: a node has promised term {term}")
                node.begin_again()

        self.survey(False, surveyed)

    # Giving the lead away --------------------------------------------------------------------------------------------

    def switchover(self, target: str) -> None:
        """Hold the writer, let ``target`` catch up, give it the lead."""
        node, world = self.node, self.node.world
        primary = node.primary
        if primary is None or self._changing or target not in primary.lsns.config.in_sync:
            return
        node.tell(f"gives the lead to {target}")
        self._changing = primary.holding = True
        self._wait_for(target, world.clock.now_us + world.timing.switch_us)

    def _wait_for(self, target: str, deadline_us: int) -> None:
        node, world = self.node, self.node.world
        primary = node.primary
        if primary is None:
            return
        stream = node.streams.get(target)
        if node.exposed == node.log.end and stream is not None and stream.progress.applied >= node.log.end:
            node.primary = None
            node.become("standby", "")
            stream.link.send(1, node.term, "take_over", int(node.log.end))
            node.after(world.timing.take_back_us, self._take_back, target)
        elif world.clock.now_us > deadline_us:
            self._changing = primary.holding = False
            node.tell(f"leads on: {target} did not catch up")
        else:
            node.after(5_000, self._wait_for, target, deadline_us)

    def _take_back(self, target: str) -> None:
        node = self.node
        self._changing = False
        if node.follows or node.primary is not None:
            return

        def surveyed(answers: list[Answer]) -> None:
            if any(one.node_id == target and one.role == "primary" for one in answers):
                node.retarget(target)
            elif not node.follows:
                self._take_lead(False, max((one.term for one in answers), default=0))

        self.survey(False, surveyed)

    def take_over(self, end: Lsn) -> None:
        """The primary gives its place to this node."""
        if self._changing:
            return
        if self.node.applied != end:
            self.node.tell(f"is not at {end}, and does not take over")
            return
        self._take_lead(False, 0, giver=self.node.upstream_id)
