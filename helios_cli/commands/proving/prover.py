"""A proof as it runs: load, faults, and the evidence that is left."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from helios_cli.commands.local import whole
from helios_cli.commands.local.clusterfile import LocalNode
from helios_cli.commands.local.observation import Observation
from helios_cli.commands.proving.clients import DEFINITION, PROXY, Crowd
from helios_cli.commands.proving.faults import Injection
from helios_cli.commands.proving.outages import outage_s
from helios_cli.commands.proving.plan import Plan, Turn, turns
from helios_cli.commands.proving.stage import FORWARDING, Stage, Tell
from helios_cli.commands.proving.timeline import LeadWatch, Timeline
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.histories.sessions import Finding, Outcome, Row, Told, judge, lost_rows
from helios_cli.engine.net.pgclient import PgClient, Target

GONE: Final = "NH020"
"""What the session wrote, or has seen, is not in the database that it is at."""
OF_A_NODE: Final = 2
"""Clients of each node that takes writes: what they write there is forwarded, unless the node leads."""
REST_S: Final = (0.3, 1.2)
"""How long the load runs undisturbed before a fault."""
POLL_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Done:
    """A fault and what it came to. Times are seconds since the load began."""

    number: int
    name: str
    target: str
    text: str
    at_s: float
    until_s: float
    """When every client had got on, or was given up on."""
    outages_s: tuple[float, ...]
    """Of each client of the proxy: its longest time without an acknowledged write."""


@dataclass(slots=True)
class Evidence:
    """All that a proof has found."""

    began_wall: float = 0.0
    began: float = 0.0
    """When the load began, by the monotonic clock."""
    seconds: float = 0.0
    """Of the load."""
    faults: list[Done] = field(default_factory=list)
    told: Told = field(default_factory=Told)
    there: dict[str, list[Row]] = field(default_factory=dict)
    """The rows of each node in the end."""
    checksums: dict[str, str] = field(default_factory=dict)
    """Of each node's database in the end, at the same LSN."""
    errors: dict[str, int] = field(default_factory=dict)
    """What failed through the proxy, counted."""
    direct_errors: dict[str, int] = field(default_factory=dict)
    """What failed at the nodes themselves."""
    tried_again: int = 0
    lead_changes: int = 0
    findings: list[Finding] = field(default_factory=list)
    lost: dict[Row, float] = field(default_factory=dict)
    """Acknowledged rows that are missing on any node, and when each was acknowledged."""

    @property
    def passed(self) -> bool:
        """Whether nothing at all is wrong, and there was something to look at."""
        return not self.findings and any(one.outcome is Outcome.ACKNOWLEDGED for one in self.told.writes)


class Prover:
    """One proof."""

    def __init__(self, stage: Stage, plan: Plan, table: str, timeline: Timeline, tell: Tell) -> None:
        """``tell`` gets what is waited for, in a few words, again and again."""
        self.stage, self.plan, self.table, self.timeline = stage, plan, table, timeline
        self.evidence = Evidence()
        self.crowd = Crowd(self._places(), table, plan.seed)
        self.turns_done = 0
        self._tell = tell
        self._rng = random.Random(plan.seed)
        self._proxied = [client for client in self.crowd.clients if client.through == PROXY]
        self._marks = [0] * len(self._proxied)

    def _places(self) -> list[tuple[str, Target]]:
        places = [(PROXY, self.stage.proxy)] * self.plan.clients
        if self.stage.mode in FORWARDING:
            places += [
                (node.name, self.stage.target(node))
                for node in self.stage.cluster.data_nodes
                if node.mode in FORWARDING
                for _ in range(OF_A_NODE)
            ]
        return places

    def run(self) -> Evidence:
        """All of it; what is wrong is in the evidence.

        Raises:
            HeliosError: the cluster was not whole to begin with, or a node cannot be asked in the end.
        """
        whole.wait_whole(self.stage.cluster, self.plan.settle_s, self._tell)
        with PgClient(self.stage.proxy) as client:
            for statement in DEFINITION:
                client.execute(statement.format(table=self.table))
        evidence = self.evidence
        evidence.began_wall = time.time()
        self.timeline.begin()
        evidence.began = self.timeline.began
        self.timeline.add("load", f"{len(self._proxied)} clients write and read through the proxy")
        with LeadWatch(self.stage.cluster, self.timeline) as watch, self.crowd:
            self._inject_all()
            self.crowd.stop()
        evidence.seconds = round(time.monotonic() - self.timeline.began, 3)
        evidence.lead_changes = watch.changes
        self.timeline.add("end", "the load is over; every row is read back from every node")
        self._collect()
        if not self.stage.is_own and evidence.passed:
            with PgClient(self.stage.proxy) as client:
                client.execute(f"DROP TABLE {self.table}")
        return evidence

    def _inject_all(self) -> None:
        """Until the plan is done, or the cluster does not come back."""
        for turn in turns(self.plan):
            if self.plan.seconds and time.monotonic() - self.timeline.began >= self.plan.seconds:
                return
            if not self._wait_clients(time.monotonic(), "every client writes"):
                return
            time.sleep(self._rng.uniform(*REST_S))
            if not self._inject(turn):
                return
            self.turns_done += 1
        if not self.turns_done:
            self._wait_clients(time.monotonic(), "every client writes")

    def _inject(self, turn: Turn) -> bool:
        """One fault, from calm to calm; False when the cluster does not come back."""
        began = time.monotonic()
        variant = turn.fault.variants[turn.variant]
        self._tell(f"fault {self.turns_done + 1}: {turn.fault.name}")
        injection = variant(self.stage, self._rng)
        self.timeline.add("fault", injection.text, injection.at or began)
        gets_on = self._wait_clients(time.monotonic(), f"every client gets on behind {turn.fault.name}")
        self._note(turn, injection, injection.at or began)
        if injection.undo is not None:
            self._tell(f"waiting: {injection.lost or injection.target} comes back")
            injection.undo()
            self.timeline.add("back", f"{injection.lost or injection.target} is back")
        if not gets_on:
            return False
        try:
            whole.wait_whole(self.stage.cluster, self.plan.settle_s, self._tell)
        except HeliosError as error:
            self._found("not-whole", f"after {injection.text}: {error.message}")
            return False
        self.timeline.add("whole", "one leads, all follow, every copy counts")
        return True

    def _note(self, turn: Turn, injection: Injection, began: float) -> None:
        until = time.monotonic()
        outages = []
        for at, client in enumerate(self._proxied):
            recent = client.writes[self._marks[at] :]
            self._marks[at] = len(client.writes)
            answers = [one.answered for one in recent if one.outcome is Outcome.ACKNOWLEDGED]
            outages.append(round(outage_s(answers, began, until), 4))
        done = Done(
            len(self.evidence.faults) + 1, turn.fault.name, injection.target, injection.text,
            round(began - self.timeline.began, 3), round(until - self.timeline.began, 3), tuple(outages),
        )  # fmt: skip
        self.evidence.faults.append(done)
        self.timeline.add("clients", f"all clients write again, the last after {max(outages, default=0.0):.2f} s")

    def _wait_clients(self, moment: float, what: str) -> bool:
        """Wait until every client of the proxy has a write acknowledged that it sent after a moment."""
        end = time.monotonic() + self.plan.settle_s
        while behind := self.crowd.behind(moment, PROXY):
            if time.monotonic() >= end:
                self._found("no-progress", f"not within {self.plan.settle_s:g} s: {what}; {behind} do not")
                return False
            self._tell(f"waiting: {what}")
            time.sleep(POLL_S)
        return True

    def _found(self, kind: str, text: str) -> None:
        self.evidence.findings.append(Finding(kind, text))
        self.timeline.add("end", text)

    def _collect(self) -> None:
        evidence = self.evidence
        if self.crowd.hanging:
            self._found("hanging", f"clients do not get an answer: {', '.join(map(str, self.crowd.hanging))}")
        evidence.told = self.crowd.told()
        for client in self.crowd.clients:
            errors = evidence.errors if client.through == PROXY else evidence.direct_errors
            for text, count in client.errors.items():
                errors[text] = errors.get(text, 0) + count
        evidence.tried_again = sum(client.tried_again for client in self.crowd.clients)
        try:
            seen = whole.wait_equal(self.stage.cluster, self.plan.settle_s)
        except HeliosError as error:
            self._found("not-equal", error.message)
            seen = self.stage.acts.observe()
        evidence.checksums = {one.node.name: one.checksum for one in seen if not one.node.is_observer}
        self._judge(seen)

    def _judge(self, seen: Sequence[Observation]) -> None:
        evidence = self.evidence
        for node in self.stage.cluster.data_nodes:
            try:
                evidence.there[node.name] = rows_of(self.stage, node, self.table)
            except HeliosError as error:
                self._found("unreadable", f"{node.name} cannot be read in the end: {error.message}")
        durable = self.stage.mode != "async"
        gone = [text for text in (*evidence.errors, *evidence.direct_errors) if text.startswith(GONE)]
        if durable and gone:
            self._found("gone", f"sessions were told that what they had written is gone: {gone[0]}")
        evidence.findings += judge(evidence.told, evidence.there, durable=durable)
        for rows in evidence.there.values():
            evidence.lost.update(lost_rows(evidence.told, frozenset(rows)))
        sums = set(evidence.checksums.values())
        if len(sums) > 1 and all(one.committed == seen[0].committed for one in seen if not one.node.is_observer):
            told = ", ".join(f"{name} {text}" for name, text in evidence.checksums.items())
            self._found("different", f"the databases differ at the same LSN: {told}")


def rows_of(stage: Stage, node: LocalNode, table: str) -> list[Row]:
    """Every row that a node shows.

    Raises:
        HeliosError: it does not answer.
    """
    with PgClient(stage.target(node)) as client:
        return [
            (int(row[0] or 0), int(row[1] or 0))
            for result in client.stream(f"SELECT client, seq FROM {table}")
            for row in result.rows
        ]
