"""What becomes of a cluster when some of its nodes are lost: by the rules that it goes by when they are."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from helios_cli.engine.consensus.candidacy import rank
from helios_cli.engine.consensus.config import EJECT, ETCD, REFEREE, ClusterConfig
from helios_cli.engine.consensus.election import Answer, Candidate, Verdict, judge, named
from helios_cli.engine.consensus.lease import majority
from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.engine.types import Lsn, Term

WRITES, EJECTS, ELECTS, WAITS, BY_HAND = "writes", "ejects", "elects", "waits", "by hand"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What those who are left can do."""

    kind: str
    """``writes``: the primary goes on at once. ``ejects``: it does after ``eject_after``. ``elects``: another one
    does. ``waits``: nobody writes until somebody lost is back. ``by hand``: until an operator promotes."""
    primary: str
    """Who takes writes then; empty: nobody."""
    sentence: str
    hint: str = ""

    @property
    def is_automatic(self) -> bool:
        """Whether writes go on without an operator."""
        return self.kind in (WRITES, EJECTS, ELECTS)


def what_if(config: ClusterConfig, lost: Collection[str]) -> Outcome:
    """When the nodes in ``lost`` stop, or are cut off from the others, and all others go on and reach each other.

    Every node is taken to have all of the log. ``config`` names its primary.
    """
    primary = config.primary
    alive = set(deciding(config)) - set(lost)
    if primary in alive:
        return _led(config, alive)
    verdicts = {name: _elected(config, name, alive, unasked=True) for name in _candidates(config, alive)}
    for name, verdict in verdicts.items():
        if verdict.is_safe and not config.paused:
            return Outcome(
                ELECTS, name, f"{primary} is lost: {name} is elected, without losing a commit{_risk(config)}"
            )
    return _by_hand(config, alive, next(iter(verdicts.values()), None))


def deciding(config: ClusterConfig) -> list[str]:
    """Members, observers, and etcd where it has the authority: all that can be lost."""
    names = [one.node_id for one in (*config.members, *config.observers)]
    return [*names, REFEREE] if config.authority == ETCD else names


def table(config: ClusterConfig) -> Iterator[tuple[tuple[str, ...], Outcome]]:
    """Every loss of one node or two, with what becomes of it."""
    names = sorted(deciding(config))
    for at, first in enumerate(names):
        yield (first,), what_if(config, (first,))
        for second in names[at + 1 :]:
            yield (first, second), what_if(config, (first, second))


def _led(config: ClusterConfig, alive: set[str]) -> Outcome:
    primary = config.primary
    if config.authority == ETCD and REFEREE not in alive:
        return _without_etcd(config, alive)
    voters = config.voters(primary)
    heard = [voter for voter in voters if voter in alive]
    missing = ", ".join(voter for voter in voters if voter not in alive)
    if len(heard) < majority(len(voters)):
        told = f"it hears {len(heard)} of {len(voters)} voters, without {missing}"
        return Outcome(WAITS, "", f"{primary} acknowledges nothing: {told}", f"Start one of {missing}.")
    copies = [name for name in config.in_sync if name in alive]
    gone = ", ".join(name for name in config.in_sync if name not in alive)
    if len(copies) >= config.copies:
        told = "" if not gone else f" without {gone}"
        return Outcome(WRITES, primary, f"{primary} goes on{told}")
    if config.on_sync_loss == EJECT:
        seconds = config.eject_after_ms / 1000
        return Outcome(
            EJECTS, primary, f"commits wait for {seconds:g} s, then {primary} goes on without the copies of {gone}"
        )
    return Outcome(
        WAITS, "", f"commits wait for the copies of {gone}: on_sync_loss is {config.on_sync_loss}",
        f"Start one of {gone}, or set on_sync_loss to {EJECT}.",
    )  # fmt: skip


def _without_etcd(config: ClusterConfig, alive: set[str]) -> Outcome:
    gone = ", ".join(name for name in config.in_sync if name not in alive)
    if not gone:
        told = "it goes on while it hears every node whose copy counts, and nobody is elected meanwhile"
        return Outcome(WRITES, config.primary, f"etcd is lost: {config.primary} leads on; {told}")
    return Outcome(
        WAITS, "", f"{config.primary} acknowledges nothing: etcd is lost, and so is {gone}, whose copy counts",
        f"Start etcd or {gone}.",
    )  # fmt: skip


def _candidates(config: ClusterConfig, alive: set[str]) -> list[str]:
    """Those who would ask to be elected, in the order in which they do."""
    ranked = {name: rank(config, name) for name in sorted(alive)}
    fit = [name for name, place in ranked.items() if place is not None]
    return sorted(fit, key=lambda name: ranked[name] or 0)


def _elected(config: ClusterConfig, name: str, alive: set[str], *, unasked: bool) -> Verdict:
    term, end = Term(1), Lsn(1)
    own = Candidate(name, term, end, config.incarnation(name) or "", config.version)
    answers = [_answer(config, other) for other in sorted(alive) if other != name]
    return judge(config, own, answers, unasked=unasked)


def _answer(config: ClusterConfig, name: str) -> Answer:
    role = "observer" if config.member(name) is None else "standby"
    holds = role == "standby"
    return Answer(
        name, role, config.incarnation(name) or "", True, 1, int(holds), 0, int(holds), config.version, False, "", "", 0
    )


def _by_hand(config: ClusterConfig, alive: set[str], verdict: Verdict | None) -> Outcome:
    """Nobody is elected; whether an operator may promote somebody without losing a commit."""
    primary = config.primary
    members = [member.node_id for member in config.members if member.node_id in alive]
    if not members:
        return Outcome(WAITS, "", f"{primary} is lost, and nobody is left who holds the data", f"Start {primary}.")
    why = f"the failover_priority of {', '.join(members)} is 0"
    if config.paused:
        why = "automatic failover is paused"
    elif verdict is not None:
        why = verdict.reason
    safe = [name for name in members if _elected(config, name, alive, unasked=False).is_safe]
    if safe:
        hint = f"Promote {named(config, safe[0])}, once {primary} is known to be gone."
        return Outcome(BY_HAND, "", f"{primary} is lost, and nobody is elected: {why}", hint)
    hint = (verdict.hint if verdict is not None else "") or f"Start {primary}, or give --allow-data-loss."
    return Outcome(WAITS, "", f"{primary} is lost, and nobody is elected: {why}", hint)


def _risk(config: ClusterConfig) -> str:
    if config.mode is not SyncMode.ASYNC:
        return ""
    return f" that had reached it (at most {config.max_failover_lag_bytes} bytes of the log are given up)"
