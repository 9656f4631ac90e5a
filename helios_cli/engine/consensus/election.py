"""May a node be promoted? Decided from what the others answered, without a clock or a socket."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from helios_cli.engine.consensus.config import ETCD, REFEREE, ClusterConfig, address
from helios_cli.engine.consensus.lease import majority
from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.engine.types import Lsn, Term

TAKES_LEAD: Final = "candidate"
"""The role that a node answers whose promotion is decided, and who does not lead yet."""


SICK: Final = "sick"
"""The role that a primary answers whose disk takes nothing: it can promise nothing, and does not count as heard."""


@dataclass(frozen=True)
class Answer:
    """What another node has said of itself. It counts for a promotion only when ``promised``."""

    node_id: str
    role: str
    incarnation: str
    promised: bool
    term: int
    """The newest that it knows."""
    last_term: int
    """Of the last record in its log."""
    last_term_id: int
    flushed: int
    config_version: int
    reaches_primary: bool
    """It has heard from a primary just now."""
    primary_id: str
    primary_host: str
    primary_native_port: int
    config: str = ""
    """Of an observer, which has no log: the newest configuration that it knows, as text; empty otherwise."""
    config_term: int = 0
    """In which term it was told of that."""


class Candidate(NamedTuple):
    """The node that would be the primary."""

    node_id: str
    last_term: Term
    """Of the last record in its log."""
    flushed: Lsn
    incarnation: str
    """Of its data directory."""
    config_version: int = 0
    """Of the configuration that its log's last record goes by; the record of that one may still be missing."""


class Verdict(NamedTuple):
    """Whether a promotion loses nothing that was acknowledged, and if not, why."""

    reason: str = ""
    """Empty: it may be promoted."""
    hint: str = ""
    loses_data: bool = False
    """The reason is one that ``--allow-data-loss`` overrules."""

    @property
    def is_safe(self) -> bool:
        """Whether nothing stands in the way."""
        return not self.reason


SAFE: Final = Verdict()


def still_led(answers: Iterable[Answer], term: int, own_id: str = "") -> Verdict:
    """Whether somebody leads, or has heard just now from a primary that is not ``own_id``."""
    heard = list(answers)
    verdict = led_by_another(heard, term)
    if not verdict.is_safe:
        return verdict
    for answer in heard:
        if answer.node_id == REFEREE and answer.reaches_primary:
            return Verdict(
                f"etcd keeps the lead for {answer.primary_id} until its lease is over",
                "Ask again in a moment, or use heliosdb-nano switchover.",
            )
        if answer.reaches_primary and answer.primary_id != own_id:
            return Verdict(
                f"node {answer.node_id} still reaches the primary {answer.primary_id}",
                "Use heliosdb-nano switchover to move its place to another node.",
            )
    return SAFE


def leading(answers: Iterable[Answer], since: int) -> Answer | None:
    """Who leads, of those that answered: in the newest term, and in none before ``since``; None: nobody does."""
    found = [answer for answer in answers if answer.role == "primary" and answer.term >= since]
    return max(found, key=lambda answer: answer.term, default=None)


def led_by_another(answers: Iterable[Answer], term: int) -> Verdict:
    """Whether somebody who answered leads in ``term`` or a later one, or is about to.

    It needs not be asked for its promise to go on: of two members the primary alone may have agreed to.
    """
    for answer in answers:
        if answer.role == "primary" and answer.term >= term:
            return Verdict(
                f"node {answer.node_id} is the primary",
                "Use heliosdb-nano switchover to move its place to another node.",
            )
        if answer.role == TAKES_LEAD:
            return Verdict(f"node {answer.node_id} is about to be the primary", "Ask again in a moment.")
    return SAFE


def judge_all(
    configs: Iterable[ClusterConfig], own: Candidate, answers: Iterable[Answer], *, unasked: bool = False
) -> Verdict:
    """The verdict by every configuration that the candidate has seen since the last that it knows to be committed.

    Any of them may be in force, or none but the oldest: a primary that was cut off has a configuration without the
    others in its log, which they never agreed to. One that an observer has agreed to may be in force as well.

    ``unasked``: nobody has asked for the promotion, so that a majority of the voters has to.
    """
    heard, known = [answer for answer in answers if answer.role != SICK], list(configs)
    newest = max([config.version for config in known], default=0)
    if own.config_version > newest:
        return Verdict(
            f"node {own.node_id} lacks configuration {own.config_version}, by which its log goes: it knows {newest}",
            "Promote the node that led last, or give --allow-data-loss.",
            loses_data=True,
        )
    known += _observed(own, newest, heard)
    for config in known:
        verdict = judge(config, own, heard, unasked=unasked)
        if not verdict.is_safe:
            return verdict
    return SAFE


def _observed(own: Candidate, newest: int, heard: Iterable[Answer]) -> list[ClusterConfig]:
    """Configurations that observers know, and the candidate's log does not hold."""
    since = (own.last_term.number, newest)
    later = [one.config for one in heard if one.config and (one.config_term, one.config_version) > since]
    return [ClusterConfig.from_bytes(text.encode()) for text in later]


def judge(config: ClusterConfig, own: Candidate, answers: Iterable[Answer], *, unasked: bool = False) -> Verdict:
    """Whether ``own`` has every commit that may have been acknowledged, going by those who answered.

    Two conditions: enough members of D answer for every set of W to hold one of them, none of which is ahead; and
    enough voters do for every majority to hold one of them, which may have agreed to another configuration.

    A node whose data directory is another than the configuration knows has lost what it had acknowledged and promised:
    it does not count, under its old name or not.
    """
    heard = {answer.node_id: answer for answer in answers if answer.node_id != own.node_id}
    verdict = _none_ahead(config, own, heard.values())
    if verdict.is_safe:
        verdict = _has_copies(config, own, heard)
    return _has_votes(config, own, heard, unasked=unasked) if verdict.is_safe else verdict


def is_behind(config: ClusterConfig, own: Candidate, heard: Iterable[Answer]) -> bool:
    """Whether somebody who answered has more of the log, in a way that matters by this configuration."""
    return not _none_ahead(config, own, heard).is_safe


def _none_ahead(config: ClusterConfig, own: Candidate, heard: Iterable[Answer]) -> Verdict:
    mine = (own.last_term.number, own.last_term.term_id, own.flushed)
    for answer in heard:
        theirs = (answer.last_term, answer.last_term_id, answer.flushed)
        if theirs <= mine:
            continue
        # Whoever knows of a later term or configuration may know of commits that needed no member of this one.
        knows_later = theirs[:2] > mine[:2] or answer.config_version > config.version
        if answer.node_id in config.in_sync or config.mode is SyncMode.ASYNC or knows_later:
            return Verdict(
                f"node {answer.node_id} has more of the log: it ends at {Lsn(answer.flushed)}, here at {own.flushed}",
                f"Promote {named(config, answer.node_id)}, or give --allow-data-loss.",
                loses_data=True,
            )
    return SAFE


def _has_copies(config: ClusterConfig, own: Candidate, heard: Mapping[str, Answer]) -> Verdict:
    """R members of D leave no W of them that might have more than whoever of them has most.

    The candidate may be none of them: that nobody of those is ahead of it makes its copy as good. In async mode, where
    that takes all of D, one of them needs to hear nobody, and one that was with a disk that is lost all others.
    """
    is_counted = _counts(config, own.node_id, own.incarnation)
    counting = _counting(config, own, heard)
    needed = config.answers
    if config.mode is SyncMode.ASYNC and own.node_id in config.in_sync:
        needed = 0 if is_counted else needed - 1
    if len(counting) >= needed:
        return SAFE
    if not is_counted:
        heard_of = [named(config, name) for name in config.in_sync if name in counting]
        others = f"Promote {' or '.join(heard_of)}" if heard_of else f"Start one of {', '.join(config.in_sync)}"
        return Verdict(
            f"the copies of node {own.node_id} do not count: it may lack acknowledged commits",
            f"{others}, or give --allow-data-loss.",
            loses_data=True,
        )
    missing = ", ".join(node for node in config.in_sync if node not in counting)
    return Verdict(
        f"{config.answers} of {', '.join(config.in_sync)} must be heard, and {_are(len(counting))}; missing: {missing}",
        "Start one of the missing nodes, or give --allow-data-loss.",
        loses_data=True,
    )


def _counting(config: ClusterConfig, own: Candidate, heard: Mapping[str, Answer]) -> set[str]:
    """Those of whom something was heard, and the candidate, whose copies count."""
    known = {own.node_id: own.incarnation} | {node: one.incarnation for node, one in heard.items()}
    return {node for node, incarnation in known.items() if _counts(config, node, incarnation)}


def _has_votes(config: ClusterConfig, own: Candidate, heard: Mapping[str, Answer], *, unasked: bool) -> Verdict:
    """Half of the voters hold one of every majority; a majority of them leaves none for somebody else.

    Of one voter, the primary, that cannot be asked for: it is gone. Then the operator has to know that it is.
    """
    if config.authority == ETCD:
        return _has_referee(config, own, heard)
    voters = config.voters(config.primary)
    given = {own.node_id: own.incarnation, **{node: answer.incarnation for node, answer in heard.items()}}
    votes = [voter for voter in voters if given.get(voter, "") == config.incarnation(voter)]
    if len(voters) == 1:
        if unasked and not votes:
            return Verdict(
                f"only {voters[0]} votes: of two nodes none can know whether the other is gone",
                "Promote by hand, or start an observer: heliosdb-nano start --replication-role observer.",
            )
        return SAFE
    needed = majority(len(voters)) if unasked else len(voters) - len(voters) // 2
    if len(votes) >= needed:
        return SAFE
    missing = ", ".join(voter for voter in voters if voter not in votes)
    return Verdict(
        f"{needed} of the voters {', '.join(voters)} must agree, and {_do(len(votes))}; missing: {missing}",
        "Start one of the missing nodes, or give --allow-data-loss.",
        loses_data=True,
    )


def _has_referee(config: ClusterConfig, own: Candidate, heard: Mapping[str, Answer]) -> Verdict:
    """Etcd gives each term to one node, and tells which configuration was agreed last: nothing goes without it.

    From a primary for whom etcd still keeps the lead it is not taken by a node that hears few others: that one may be
    cut off from a cluster that is well, and would have to go on with fewer copies than the primary has.
    """
    if REFEREE in heard:
        kept_for, counting = heard[REFEREE].primary_id, len(_counting(config, own, heard))
        needed = len(config.in_sync) - len(config.in_sync) // 2
        if not kept_for or counting >= needed:
            return SAFE
        return Verdict(
            f"etcd keeps the lead for {kept_for}, and {counting} of {', '.join(config.in_sync)} are heard: "
            f"{needed} are needed to take it away",
            "Ask again in a moment: etcd drops what a lost primary does not renew.",
        )
    return Verdict(
        "etcd does not give the lead to this node: it is not reached, or does not know the cluster's configuration",
        "heliosdb-nano explain failover says what etcd answers; --allow-data-loss promotes without it.",
        loses_data=True,
    )


def _counts(config: ClusterConfig, node_id: str, incarnation: str) -> bool:
    member = config.member(node_id)
    return node_id in config.in_sync and member is not None and member.incarnation == incarnation


def _are(count: int) -> str:
    return f"{count} {'is' if count == 1 else 'are'}"


def _do(count: int) -> str:
    return f"{count} {'does' if count == 1 else 'do'}"


def named(config: ClusterConfig, node_id: str) -> str:
    """A node, and how ``promote`` is told to ask it."""
    member = config.member(node_id)
    return node_id if member is None else f"{node_id} (--node {address(member.host, member.http_port)})"
