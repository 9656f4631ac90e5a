"""What must hold at every moment of a simulated run, checked from outside with knowledge of every disk.

None of it uses what the nodes believe: which configuration is in force is worked out from the records that lie on the
disks, and whether a commit is safe by trying every promotion that could happen then.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator
from itertools import chain, combinations
from operator import itemgetter
from typing import TYPE_CHECKING

from helios_cli.engine.consensus.config import ClusterConfig
from helios_cli.engine.consensus.election import Candidate, judge_all
from helios_cli.engine.consensus.rule import Progress, SyncMode
from helios_cli.engine.replication.messages import Answer
from helios_cli.engine.sim.leader import Leader
from helios_cli.engine.sim.log import SimLog
from helios_cli.engine.sim.primary import Waiting
from helios_cli.engine.sim.promises import Promises
from helios_cli.engine.sim.records import SimRecord
from helios_cli.engine.sim.violation import Violation
from helios_cli.engine.types import Lsn, Term

if TYPE_CHECKING:
    from helios_cli.engine.sim.node import SimNode
    from helios_cli.engine.sim.observer import SimObserver
    from helios_cli.engine.sim.world import World


class Checkers:
    """All of them, for one run. Each raises :class:`Violation`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.acknowledged_count = 0
        self.kept_count = 0
        """Acknowledged, and promised to survive."""
        self.lost_count = 0
        """Acknowledged commits that were lost where nothing else was promised."""
        self.leaders: dict[Term, Leader] = {}
        self._kept: dict[tuple[Lsn, int], Term] = {}
        """Ends and checksums of what must survive: acknowledged to clients, or seen by readers."""
        self._committed: set[tuple[Lsn, int]] = {(Lsn(0), 0)}
        """What a primary called committed."""
        self._at: dict[tuple[Term, Lsn], int] = {}
        self.promises = Promises()
        self._flushed: dict[str, tuple[Lsn, int]] = {}
        """By disk, what was flushed last, with its checksum."""
        self._gone: list[tuple[str, str, SimLog]] = []
        """What was on disks that were lost: by node and disk."""
        self._gone_observers: list[tuple[str, str, tuple[int, int]]] = []
        """Of observers: which configuration was on each, whose vote no other disk has."""
        self.numbers: dict[int, tuple[Lsn, int]] = {}
        """Acknowledged commits, with end and checksum."""
        self.current: list[tuple[Lsn, int]] = []
        """Of those by the cluster's mode: reads have them from then on."""
        self.salvaged: set[tuple[Lsn, int]] = set()
        """Ends and checksums of records that a node has kept aside as it went back."""
        self._said: dict[tuple[Term, str], Lsn] = {}
        """The furthest that a follower has acknowledged in a term."""
        self._shown: dict[str, tuple[int, Lsn]] = {}

    def fail(self, rule: str, text: str) -> None:
        """End the run."""
        raise Violation(rule, text)

    # What nodes do ---------------------------------------------------------------------------------------------------

    def founded(self, node: SimNode, term: Term, config: ClusterConfig, *, leads: bool) -> None:
        """The first primary of the cluster leads, and the others have a copy."""
        if leads:
            self.leaders[term] = Leader(
                node, node.life, term, {Lsn(0): 0}, Lsn(0), False, (config,), elected=True, terms=frozenset({term})
            )  # fmt: skip

    def started(self, node: SimNode | SimObserver) -> None:
        """A node has read its disk."""
        self.promises.started(node)
        flushed = self._flushed.get(node.incarnation)
        if flushed is not None and node.name in self.world.nodes:
            end, checksum = flushed
            if self.world.nodes[node.name].log.checksums.get(end) != checksum:
                self.fail("what was flushed is there", f"{node.name} had flushed {end} and wakes up without it")
        self._shown[node.name] = (node.life, Lsn(0))

    def flushed(self, node: SimNode) -> None:
        """Everything up to there is on the disk, as the node takes it."""
        end = node.log.boundary(node.log.flushed)
        self._flushed[node.incarnation] = (end, node.log.checksums[end])

    def disk_lost(self, node: SimNode | SimObserver) -> None:
        """Its disk is gone, with what had counted: what was agreed before stays so."""
        self._settle_all()
        if node.name in self.world.nodes:
            self._gone.append((node.name, node.incarnation, self.world.nodes[node.name].log))
        else:
            self._gone_observers.append((node.name, node.incarnation, self.world.observers[node.name].told))

    def made(self, node: SimNode, record: SimRecord) -> None:
        """A primary has made a record: it alone, in one life, does so in its term."""
        leader = self.leaders.get(record.term)
        if leader is None or leader.node is not node or leader.life != node.life:
            whose = f"{leader.node.name}'s" if leader else "nobody's"
            self.fail("one writer per term", f"{node.name} writes in term {record.term}, which is {whose}")

    def leads(
        self, node: SimNode, term: Term, configs: tuple[ClusterConfig, ...], *,
        by_hand: bool, forced: bool, answers: list[Answer],
    ) -> None:  # fmt: skip
        """A node begins to lead by ``configs``: it must have everything that was promised to survive."""
        heard = {answer.node_id for answer in answers}
        if not by_hand:
            self.promises.leads(node, heard, self.leaders)
        if not forced:
            self._check_heard(node, configs, answers)
        same = self.leaders.get(term)
        if same is not None:
            self.fail("one writer per term", f"{node.name} and {same.node.name} both lead in term {term}")
        config = node.log.config
        excused = forced or config.mode is SyncMode.ASYNC or self._is_split(node, config, heard)
        lost = [(at, when) for at, when in self._kept.items() if when < term and node.log.checksums.get(at[0]) != at[1]]
        for at, when in lost:
            if not excused and not self._parted_alone(self.leaders[when], _terms(node)):
                self.fail(
                    "acknowledged commits survive",
                    f"{node.name} leads in term {term} without what was committed at {at[0]} in term {when}",
                )
            del self._kept[at]
        self.lost_count += len(lost)
        alone = bool(self._alone_of_two(node, config, heard))
        self.leaders[term] = Leader(
            node, node.life, term, dict(node.log.checksums), node.log.end, excused, configs, alone=alone,
            outsider=excused and any(node.name not in one.in_sync for one in node.open_configs),
            open_from=Lsn(0) if len(configs) > 1 else None, terms=_terms(node) | {term},
            elected=not forced and all(_is_elected(node, one, heard) for one in configs),
        )  # fmt: skip

    def _check_heard(self, node: SimNode, configs: tuple[ClusterConfig, ...], answers: list[Answer]) -> None:
        """R members of D, with the disks that the configuration knows, were heard: observers are none of them."""
        disks = {node.name: node.incarnation} | {one.node_id: one.incarnation for one in answers}
        for config in configs:
            counted = [name for name in config.in_sync if disks.get(name, "") == config.incarnation(name)]
            if config.mode is not SyncMode.ASYNC and len(counted) < config.answers:
                self.fail(
                    "a new primary has heard enough",
                    f"{node.name} leads having heard {len(counted)} of {', '.join(config.in_sync)}, "
                    f"and {config.answers} are needed",
                )

    def _is_split(self, node: SimNode, config: ClusterConfig, heard: Collection[str]) -> bool:
        """By one of two data nodes, ejected by the other without a third to agree: the limit of two nodes."""
        name = self._alone_of_two(node, config, heard)
        newer = [other.log.config for other in self._nodes() if other.log.configs]
        return bool(name) and any(one.version > config.version and name not in one.in_sync for one in newer)

    def _alone_of_two(self, node: SimNode, config: ClusterConfig, heard: Collection[str]) -> str:
        """The one of two data nodes that leads or is heard, where nobody else votes; empty: both, or more than two."""
        there = [name for name in config.in_sync if name == node.name or name in heard]
        is_limited = len(config.in_sync) == 2 and len(config.voters("")) == 1
        return there[0] if is_limited and len(there) == 1 else ""

    def _parted_alone(self, leader: Leader, terms: frozenset[Term]) -> bool:
        """Whether two logs part where a node was promoted at any price, or one of two without the other.

        Both may have gone on, as the operator was told.
        """
        parted = (self.leaders[term] for term in leader.terms ^ terms if term in self.leaders)
        return any(one.alone or one.excused for one in parted)

    def proposed(self, node: SimNode, config: ClusterConfig, end: Lsn) -> None:
        """A primary has put a configuration into its log."""
        leader = self._leader(node)
        self._settle(leader)
        if leader.pending is not None:
            before = leader.pending[0]
            if set(before.in_sync) <= set(config.in_sync) and set(before.voting) <= set(config.voting):
                self.fail("one change at a time", f"{node.name} changes the configuration before the last is agreed")
            leader.in_force = (*leader.in_force, before)
        leader.pending = (config, end)
        if leader.open_from is None:
            leader.open_from = end
        leader.beside = node.primary.lsns.counting if node.primary is not None else ()

    def exposed(self, node: SimNode) -> None:
        """The readers of a node see more than before."""
        end = node.exposed
        life, before = self._shown[node.name]
        if life == node.life and end < before:
            self.fail("the committed LSN never falls", f"{node.name} showed {before} and shows {end}")
        self._shown[node.name] = (node.life, end)
        at = (end, node.log.checksums[end])
        if node.primary is not None:
            if end <= self._leader(node).begins:
                self.fail("a tail is committed with the term's first record", f"{node.name} shows {end} before that")
            for record in node.log.since(before, end):
                self._committed.add((record.end, record.checksum))
            if node.primary.lsns.committed < end:
                self.fail("reads see only what is committed", f"{node.name} shows {end}, which is not committed")
            self._check_kept(node, end, None)
        elif at not in self._committed:
            self.fail("reads see only what is committed", f"{node.name} shows {end}, which no primary has committed")

    def acknowledged(self, node: SimNode, one: Waiting) -> None:
        """A client hears that its commit is done."""
        self.acknowledged_count += 1
        self.numbers[one.number] = (one.end, node.log.checksums[one.end])
        if one.level is None:
            self.current.append((one.end, node.log.checksums[one.end]))
        self._check_deposed(node, one)
        self.world.tell(node.name, f"acknowledges commit {one.number} at {one.end}")
        self._check_kept(node, one.end, one.level)

    def _check_deposed(self, node: SimNode, one: Waiting) -> None:
        """By then nobody had been elected in a later term, but at any price or behind that, or where nobody else votes.

        A node that was promoted at any price leads on a branch of its own, which the others need not have heard of.
        """
        leader = self._leader(node)
        for later in self.leaders.values():
            if later.term <= leader.term or self._alone_votes(leader):
                continue
            if all(self.leaders[term].elected for term in leader.terms ^ later.terms if term in self.leaders):
                self.fail(
                    "a deposed primary acknowledges nothing",
                    f"{node.name} acknowledges {one.number} in term {leader.term} after term {later.term} began",
                )

    def _alone_votes(self, leader: Leader) -> bool:
        return any(len(one.voters(leader.node.name)) == 1 for one in self._required(leader))

    def counted(self, node: SimNode, name: str, said: Progress) -> None:
        """A follower's acknowledgement has reached a primary: in its own term, or it is not counted."""
        assert node.primary is not None
        term = node.primary.term
        key = (term, name)
        if said.term == term:
            self._said[key] = max(said.flushed, self._said.get(key, said.flushed))
        heard = node.primary.lsns.heard.get(name)
        if heard is not None and heard.flushed > self._said.get(key, Lsn(0)):
            self.fail(
                "acknowledgements count in their term",
                f"{node.name} counts in term {term} what {name} said in term {said.term}",
            )

    def moved(self, node: SimNode, committed: Lsn) -> None:
        """A primary knows how far its log is committed."""
        leader = self._leader(node)
        if committed < leader.committed:
            self.fail("the committed LSN never falls", f"{node.name} had {leader.committed} and has {committed}")
        if committed > leader.committed:
            leader.rules.append((committed, self._required(leader)))
            is_open = leader.open_from is not None and committed >= leader.open_from
            # Whoever had agreed has gone back since, perhaps, for a primary that was promoted at any price.
            if is_open and not self._may_lose(leader.term):
                self.fail(
                    "nothing is committed behind a change that is not agreed",
                    f"{node.name} has {committed}: whoever finds the change below that goes by no older configuration",
                )
        leader.committed = committed

    def rewound(self, node: SimNode, fork: Lsn) -> None:
        """A node goes back: not behind what must survive, unless all that it loses was lost by a known promotion."""
        self._settle_all()
        for (end, checksum), term in self._kept.items():
            if end > fork and node.log.checksums.get(end) == checksum and not self._may_lose(term):
                self.fail("the committed LSN never falls", f"{node.name} goes back to {fork}, before {end}")
        self.salvaged.update((record.end, record.checksum) for record in node.log.since(fork, node.log.end))
        self._flushed[node.incarnation] = (fork, node.log.checksums[fork])

    def read(self, node: SimNode, known: Collection[tuple[Lsn, int]]) -> None:
        """A linearizable read is answered from what a node shows; ``known`` was acknowledged before it was sent."""
        for end, checksum in known:
            term = self._kept.get((end, checksum))
            is_shown = end <= node.exposed and node.log.checksums.get(end) == checksum
            if term is not None and not is_shown and not self._may_lose(term):
                self.fail("linearizable reads are current", f"{node.name} answers a read without {end}")

    def session_read(self, node: SimNode, written: tuple[Lsn, int]) -> None:
        """A session reads at a node that says it has what the session's token stands for."""
        if node.log.checksums.get(written[0]) != written[1]:
            self.fail("a session sees what it has seen", f"{node.name} shows a session less than {written[0]}")

    def told_of_losses(self, primary: SimNode) -> None:
        """Whatever was acknowledged is in the log, or kept aside where it was lost, or was on a disk that is gone."""
        for number, at in self.numbers.items():
            if primary.log.checksums.get(at[0]) == at[1] or at in self.salvaged:
                continue
            if not any(log.checksums.get(at[0]) == at[1] for _, _, log in self._gone):
                self.fail("what is lost is told of", f"commit {number} at {at[0]} is gone without a trace")

    def converged(self) -> None:
        """Checked where (term, LSN) are equal: the databases are too."""
        for node in self._nodes():
            for record in node.log.records:
                known = self._at.setdefault((record.term, record.end), record.checksum)
                if known != node.log.checksums[record.end]:
                    self.fail("equal LSNs mean equal checksums", f"{node.name} differs at {record.end}")

    # What must survive -----------------------------------------------------------------------------------------------

    def _check_kept(self, node: SimNode, end: Lsn, level: SyncMode | None) -> None:
        leader = self._leader(node)
        checksum = node.log.checksums[end]
        if not node.log.has(end, checksum):
            self.fail("the primary has what it acknowledges", f"{node.name} has not flushed {end}")
        for config in self._required(leader) if level is not None else self._rule(leader, end):
            size = len(config.in_sync)
            copies = config.copies if level is None else level.copies(size)
            names = _copied_by(config, level or config.mode, node)
            found = {other.name for other in self._nodes() if other.name in names and other.log.has(end, checksum)}
            having = len(found | {name for name, _, log in self._gone if name in names and log.has(end, checksum)})
            if having < copies and not self._may_lose(leader.term):
                self.fail(
                    "as many copies as the mode promises",
                    f"{node.name} commits {end} with {having} copies of {copies}, D is {', '.join(config.in_sync)}",
                )
            # One of two nodes that goes on alone has nobody to agree with: then nothing is promised.
            alone = config.copies < 2 and len(config.voters(node.name)) == 1
            if config.mode is SyncMode.ASYNC or alone or copies < config.copies:
                return
        if leader.outsider or self._is_past(leader.term) or (end, checksum) in self._kept:
            return
        self._check_leaders(leader, end, checksum)
        self._check_candidates(leader, end, checksum)
        self._kept[end, checksum] = leader.term
        self.kept_count += 1

    def _is_past(self, term: Term) -> bool:
        """Whether an operator has let a later primary go on without what this term has."""
        return any(leader.excused and leader.term > term for leader in self.leaders.values())

    def _may_lose(self, term: Term) -> bool:
        """Whether a node may go back before what this term committed: some promotion has given it up."""
        kept = self.leaders[term]
        others = (leader for leader in self.leaders.values() if leader is not kept)
        return self._is_past(term) or any(self._parted_alone(kept, other.terms) for other in others)

    def _check_leaders(self, leader: Leader, end: Lsn, checksum: int) -> None:
        for later in self.leaders.values():
            if later.term <= leader.term or later.log.get(end) == checksum:
                continue
            if not self._parted_alone(leader, later.terms):
                self.fail(
                    "acknowledged commits survive",
                    f"{leader.node.name} commits {end} in term {leader.term}, which {later.node.name} has ended "
                    f"with term {later.term} and without it",
                )

    def _check_candidates(self, leader: Leader, end: Lsn, checksum: int) -> None:
        """Nobody who lacks the commit could be promoted now, whoever is heard."""
        lacking = [node for node in self._nodes() if not node.log.has(end, checksum)]
        if not lacking:
            return
        answers = [self._answer(node) for node in self._nodes()]
        answers += [one.campaign_answer(Term(0), False, "", "") for one in self.world.observers.values()]
        for node in lacking:
            configs = node.log.durable_configs()
            if not configs or configs[-1].mode is SyncMode.ASYNC or self._parted_alone(leader, _terms(node)):
                continue
            heard = self._elected_by(node, configs, [answer for answer in answers if answer.node_id != node.name])
            if heard is not None:
                names = ", ".join(answer.node_id for answer in heard) or "nobody"
                self.fail(
                    "no promotion loses a commit",
                    f"{leader.node.name} commits {end}, and {node.name} could lead without it, hearing {names}",
                )

    def _elected_by(
        self, node: SimNode, configs: tuple[ClusterConfig, ...], others: list[Answer]
    ) -> tuple[Answer, ...] | None:
        """The smallest set of answers with which a node could lead; None: with none of them."""
        own = self._candidate(node)
        for heard in _subsets(others):
            is_split = self._is_split(node, configs[-1], [answer.node_id for answer in heard])
            if not is_split and judge_all(configs, own, heard).is_safe:
                return heard
        return None

    def _candidate(self, node: SimNode) -> Candidate:
        log = node.log
        return Candidate(node.name, log.durable_term(), log.flushed, node.incarnation, log.version(log.flushed))

    def _answer(self, node: SimNode) -> Answer:
        log = node.log
        last = log.durable_term()
        return Answer(
            node.name, "standby", node.incarnation, True, last.number, last.number, last.term_id, log.flushed,
            log.version(log.flushed), False, "", "", 1,
        )  # fmt: skip

    # Which configurations count --------------------------------------------------------------------------------------

    def _leader(self, node: SimNode) -> Leader:
        assert node.primary is not None
        return self.leaders[node.primary.term]

    def _required(self, leader: Leader) -> list[ClusterConfig]:
        """What a commit must satisfy now: what is in force, and a change that is not agreed yet."""
        self._settle(leader)
        return [*leader.in_force, *(() if leader.pending is None else leader.pending[:1])]

    def _rule(self, leader: Leader, end: Lsn) -> list[ClusterConfig]:
        """What a commit had to satisfy when it was one: it may be shown later, when the next change is on its way."""
        at = bisect_left(leader.rules, end, key=itemgetter(0))
        return leader.rules[at][1] if at < len(leader.rules) else self._required(leader)

    def _settle_all(self) -> None:
        """Before a log or a disk is gone: what has been agreed with it stays so."""
        for leader in self.leaders.values():
            primary = leader.node.primary
            if primary is not None and primary.term == leader.term:
                self._settle(leader)

    def _settle(self, leader: Leader) -> None:
        if leader.pending is None:
            return
        config, end = leader.pending
        before = leader.in_force
        checksum = leader.node.log.checksums[end]

        def having(one: ClusterConfig) -> int:
            counted = _copied_by(one, one.mode, leader.node)
            return len({name for name, _, log in logs if name in counted and log.has(end, checksum)})

        def electorate(one: ClusterConfig) -> tuple[str, ...]:
            return one.voters(leader.node.name)

        def is_majority(one: ClusterConfig) -> bool:
            names = electorate(one)
            own = leader.node.name
            agree = sum(1 for name in names if name == own or (name, one.incarnation(name)) in holders)
            return agree * 2 > len(names)

        logs = [*((node.name, node.incarnation, node.log) for node in self._nodes()), *self._gone]
        holders = {(name, disk) for name, disk, log in logs if log.has(end, checksum)}
        watching = [*((o.name, o.incarnation, o.told) for o in self.world.observers.values()), *self._gone_observers]
        holders |= {
            (name, disk)
            for name, disk, (version, number) in watching
            if version >= config.version and number == leader.term.number
        }
        agreed = all(is_majority(one) for one in (*before, config))
        if not any(config.loosens(one) for one in (*before, *leader.beside)):
            voters = config.electorate(leader.node.name)
            alike = all(one.electorate(leader.node.name) == voters for one in before)
            agreed = all(having(one) >= one.copies for one in (*before, config)) and (alike or agreed)
        if agreed:
            leader.in_force, leader.pending, leader.open_from = (config,), None, None

    def _nodes(self) -> Iterator[SimNode]:
        return iter(self.world.nodes.values())


def _copied_by(config: ClusterConfig, mode: SyncMode, primary: SimNode) -> set[str]:
    """Whose copies make a commit in a mode: members of D, and of async mode the primary's own, member or not."""
    return {*config.in_sync, primary.name} if mode is SyncMode.ASYNC else set(config.in_sync)


def _is_elected(node: SimNode, config: ClusterConfig, heard: Collection[str]) -> bool:
    """Whether a majority has promised; of two nodes the primary alone would be one, and an operator may go by one."""
    voters = config.voters(config.primary)
    return 2 * sum(1 for name in voters if name == node.name or name in heard) > len(voters)


def _terms(node: SimNode) -> frozenset[Term]:
    """Of the records that are on its disk."""
    return frozenset(start.term for start in node.log.history.starts if start.start < node.log.flushed)


def _subsets(answers: list[Answer]) -> Iterator[tuple[Answer, ...]]:
    return chain.from_iterable(combinations(answers, size) for size in range(len(answers) + 1))
