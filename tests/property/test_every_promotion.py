"""Every set of nodes that can have acknowledged, against every promotion, while one configuration follows another.

No sample: for clusters of up to five nodes (seven in the soak), with observers among them, in each protected mode, each
change that the cores make is tried with every way in which the record of the change and a commit before or behind it
can lie on the disks. Nodes that are alike in both configurations are told apart by nothing, so their number stands for
them. Whatever the primary calls committed then, nobody who lacks it may be promoted, whoever answers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations_with_replacement, product

import pytest

from helios_cli.engine.consensus.config import EMBEDDED, ETCD, REFEREE, ClusterConfig, Member
from helios_cli.engine.consensus.election import Candidate, judge_all
from helios_cli.engine.consensus.lsns import LsnManager
from helios_cli.engine.consensus.rule import Progress, SyncMode
from helios_cli.engine.replication.messages import Answer
from helios_cli.engine.types import Lsn, Term

TERM = Term(2, 1)
BEGINS, START, MIDDLE, END = Lsn(50), Lsn(100), Lsn(200), Lsn(300)
"""The term's first record ends at START, which everybody has; then come a change and a commit, in either order."""
PRIMARY = "n1"
NEW_DISK = "another disk"


def member(name: str, disk: str = "disk") -> Member:
    return Member(name, f"{disk} of {name}", "h", 1, 2, 3, "")


def config(
    mode: SyncMode, in_sync: int, behind: int, observers: int, authority: str, *, outside: bool = False
) -> ClusterConfig:
    """So many whose copies count, and others that have a vote and nothing else; observers.

    ``outside``: the primary is one more, whose copies have not counted before.
    """
    names = tuple(f"n{number}" for number in range(1, in_sync + behind + outside + 1))
    return ClusterConfig(
        7, mode, tuple(map(member, names)), names[outside:][:in_sync], primary=PRIMARY, voting=names,
        observers=tuple(member(f"o{number}") for number in range(1, observers + 1)), authority=authority,
    )  # fmt: skip


def changes(before: ClusterConfig) -> Iterator[ClusterConfig]:
    """Each next configuration that the cores propose: more and fewer copies, another mode, voters, observers."""
    last, first_behind = before.in_sync[-1], len(before.in_sync) + 1
    if len(before.in_sync) > 1:
        yield before.with_in_sync(before.in_sync[:-1])
        yield before.with_in_sync(before.in_sync[:1])
        yield before.without_member(last)
    if first_behind <= len(before.members):
        yield before.with_in_sync((*before.in_sync, f"n{first_behind}"))
    for mode in (SyncMode.SYNC, SyncMode.SEMI_SYNC, SyncMode.QUORUM):
        if mode is not before.mode:
            yield before.with_mode(mode, PRIMARY)
    new = member(f"n{len(before.members) + 1}")
    yield before.with_member(new)
    yield before.with_member(new).with_voters(new.node_id)
    if before.authority == EMBEDDED:
        yield before.with_observer(member(f"o{len(before.observers) + 1}"))
    for observer in before.observers:
        yield before.without_member(observer.node_id)
    if len(before.in_sync) > 1 and before.authority == EMBEDDED:
        # The member has lost its disk, is out of D, and in it again with the next: nobody knows that that was agreed.
        yield before.with_member(member(last, NEW_DISK)).with_voters(last).with_in_sync(before.in_sync)


def taken_over(before: ClusterConfig) -> Iterator[ClusterConfig]:
    """Each first configuration of a primary whose copies have not counted."""
    with_own = before.with_in_sync((*before.in_sync, PRIMARY))
    yield with_own
    yield with_own.with_in_sync(name for name in with_own.in_sync if name != before.in_sync[-1])


@dataclass(frozen=True)
class Case:
    """For each node but the primary how far its log reaches, and which observers, or etcd, know the change."""

    reached: dict[str, Lsn]
    knowing: frozenset[str]


@cache
def kind(name: str, before: ClusterConfig, after: ClusterConfig) -> tuple[bool, ...]:
    """What the rules can tell of a node; nodes of one kind are alike."""
    both = (before, after)
    named = [name in names for one in both for names in (one.in_sync, one.voting, [m.node_id for m in one.members])]
    return (*named, before.incarnation(name) == after.incarnation(name))


def groups(names: Sequence[str], before: ClusterConfig, after: ClusterConfig) -> list[list[str]]:
    found: dict[tuple[bool, ...], list[str]] = {}
    for name in names:
        found.setdefault(kind(name, before, after), []).append(name)
    return list(found.values())


def watching(before: ClusterConfig, after: ClusterConfig) -> list[str]:
    """Who knows of configurations and holds no data: etcd, or observers."""
    if before.authority == ETCD:
        return [REFEREE]
    return sorted({one.node_id for part in (before, after) for one in part.observers})


def disk(name: str, before: ClusterConfig, after: ClusterConfig) -> str:
    """The disk that somebody has; one that was replaced does not come back."""
    return after.incarnation(name) or before.incarnation(name) or ""


def cases(before: ClusterConfig, after: ClusterConfig) -> Iterator[Case]:
    names = sorted({one.node_id for part in (before, after) for one in part.members} - {PRIMARY})
    watchers = watching(before, after)
    choices = [
        combinations_with_replacement((START, MIDDLE, END), len(group)) for group in groups(names, before, after)
    ]
    for chosen in product(*map(list, choices)):
        ends = dict(
            pair
            for group, lsns in zip(groups(names, before, after), chosen, strict=True)
            for pair in zip(group, lsns, strict=True)
        )
        for count in range(len(watchers) + 1):
            # Which of two observers has a vote may depend on its name.
            for knowing in {frozenset(watchers[:count]), frozenset(watchers[len(watchers) - count :])}:
                yield Case(ends, knowing)


def committed(before: ClusterConfig, after: ClusterConfig, case: Case, change_first: bool) -> tuple[bool, bool]:
    """Whether the primary calls the commit committed, and whether the change is in force, by everything it hears."""
    lsns = LsnManager(PRIMARY, before, TERM, START, begins=BEGINS)
    for name in case.reached:
        lsns.came(name, disk(name, before, after))
    commit_end = END if change_first else MIDDLE
    reached = Lsn(0)

    def hear(upto: Lsn) -> None:
        nonlocal reached
        for name, end in case.reached.items():
            known = min(end, upto)
            reached = max(reached, lsns.acknowledged(name, Progress(TERM, known, known, known)))

    begins, ends = (START, MIDDLE) if change_first else (MIDDLE, END)
    hear(START)
    reached = max(reached, lsns.own_flushed(begins))
    # The commit may be one before the change is proposed.
    hear(begins)
    reached = max(reached, lsns.propose(after, begins, ends))
    for name in sorted(case.knowing):
        reached = max(reached, lsns.observes(name, disk(name, before, after), TERM, after.version))
    reached = max(reached, lsns.own_flushed(END))
    hear(END)
    # Whoever finds the change below the committed LSN goes by it alone.
    assert lsns.config is after or reached < ends
    return reached >= commit_end, lsns.config is after


@cache
def text(one: ClusterConfig) -> str:
    return one.to_bytes().decode()


def answer(name: str, case: Case, before: ClusterConfig, after: ClusterConfig, change_end: Lsn) -> Answer:
    if name.startswith(("o", "@")):
        known = after if name in case.knowing else before
        return Answer(
            name, "observer", disk(name, before, after), True, 3, 0, 0, 0, known.version, False, PRIMARY, "h", 2,
            config=text(known), config_term=TERM.number,
        )  # fmt: skip
    end = case.reached[name]
    version = after.version if end >= change_end else before.version
    return Answer(
        name, "standby", disk(name, before, after), True, 3, TERM.number, TERM.term_id, end, version, False,
        PRIMARY, "h", 2,
    )  # fmt: skip


def subsets(names: Sequence[str], before: ClusterConfig, after: ClusterConfig, case: Case) -> Iterator[list[str]]:
    """Who may answer: of nodes that are alike and have the same on their disks so many, of the observers any."""
    alike: dict[tuple[object, ...], list[str]] = {}
    for name in names:
        key = (name,) if name.startswith(("o", "@")) else (kind(name, before, after), case.reached[name])
        alike.setdefault(key, []).append(name)
    for counts in product(*(range(len(group) + 1) for group in alike.values())):
        yield [name for group, count in zip(alike.values(), counts, strict=True) for name in group[:count]]


def may_be_promoted(
    name: str, before: ClusterConfig, after: ClusterConfig, case: Case, change_end: Lsn, *, in_force: bool
) -> list[str] | None:
    """Who would have to answer for this node to be promoted; None when nobody can help it."""
    end = case.reached[name]
    knows = end >= change_end
    version = after.version if knows else before.version
    own = Candidate(name, TERM, end, disk(name, before, after), version)
    known = [(before, after)] if knows else [(before,)]
    if knows and in_force:
        # It may have been told that the change is agreed: then it goes by that alone.
        known.append((after,))  # type: ignore[arg-type]
    others = sorted(case.reached.keys() - {name}) + watching(before, after)
    answered = {other: answer(other, case, before, after, change_end) for other in others}
    for heard in subsets(others, before, after, case):
        answers = [answered[other] for other in heard]
        if any(judge_all(configs, own, answers).is_safe for configs in known):
            return heard
    return None


def is_alone(one: ClusterConfig) -> bool:
    """One of two nodes that goes on alone has nobody to agree with: then nothing is promised."""
    return one.copies < 2 and not one.elects


NODES_MAX = int(os.environ.get("HELIOSDB_TEST_PROMOTION_NODES", "5"))
"""Seven take some minutes."""


def sizes(most: int) -> Iterator[tuple[int, int, int]]:
    """How many have copies that count, how many other data nodes there are, and how many observers."""
    for size, behind, observers in product(range(1, most + 1), (0, 1), (0, 1, 2)):
        if size + behind + observers <= most:
            yield size, behind, observers


@pytest.mark.parametrize("authority", [EMBEDDED, ETCD])
@pytest.mark.parametrize("mode", [SyncMode.SYNC, SyncMode.SEMI_SYNC, SyncMode.QUORUM])
@pytest.mark.timeout(3600)
def test_no_promotion_misses_a_commit(mode: SyncMode, authority: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Each answer of an observer brings its configuration along; they are few.
    monkeypatch.setattr(ClusterConfig, "from_bytes", cache(ClusterConfig.from_bytes))
    tried = having = promoted = 0
    for outside, (size, behind, observers) in product((False, True), sizes(NODES_MAX)):
        if observers and authority == ETCD:
            continue
        before = config(mode, size, behind, observers, authority, outside=outside)
        for after in taken_over(before) if outside else changes(before):
            if len(after.members) + len(after.observers) > NODES_MAX or is_alone(before) or is_alone(after):
                continue
            for change_first, case in product((True, False), cases(before, after)):
                is_committed, in_force = committed(before, after, case, change_first)
                commit_end, change_end = (END, MIDDLE) if change_first else (MIDDLE, END)
                lacking = [name for name, end in case.reached.items() if end < commit_end] if is_committed else []
                # Of those that are alike in all one stands for the rest.
                for name in {(kind(name, before, after), case.reached[name]): name for name in lacking}.values():
                    helped = may_be_promoted(name, before, after, case, change_end, in_force=in_force)
                    tried += 1
                    assert helped is None, f"{name} leads without a commit, heard: {helped}; {case}; {before} {after}"
                if is_committed and not lacking and case.reached:
                    having += 1
                    name = max(case.reached, key=lambda name: (case.reached[name], name in before.in_sync))
                    promoted += may_be_promoted(name, before, after, case, change_end, in_force=in_force) is not None
    assert tried > 300 and promoted > having // 2, f"too few may lead at all: {tried}, {promoted} of {having}"
