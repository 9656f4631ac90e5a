"""What is known of a cluster at one moment: the newest of each node, however old, and what follows from all of them.

A node that does not answer keeps what it said last, with its age. Nothing here asks, waits, or reads a clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from helios_cli.tui.facts import NodeFacts, NodeSample, PeerFacts, ProxyFacts, Sample

Tone = Literal["", "ok", "warn", "bad", "dim", "accent", "strong"]
"""How a text is meant; a palette gives each a colour, and a glyph or a word always says the same."""

FOLLOWING: Final = ("streaming", "catchup", "observing")
GOOD: Final = ("streaming", "observing", "serving")
HALF: Final = ("catchup", "starting", "stopping", "deposed")
STALE_S: Final = 3.0
"""What is older than this is marked as such, whatever the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSeen:
    """One node at one moment."""

    name: str
    address: str
    facts: NodeFacts | None
    """The newest that it has said; None: nothing so far."""
    seen_at_s: float | None
    """When that was; None: never."""
    error: str
    """Why it does not answer now; empty when it does."""
    process: str
    took_ms: float
    statements_s: float | None = None
    """Statements in a second; None while two answers of one life are not there."""
    commits_s: float | None = None
    log_bytes_s: float | None = None
    cpu: float | None = None
    """Share of one processor, 0.0 to 1.0 and above."""
    lag_bytes: int | None = None
    """Log that it has not applied; None for the primary, an observer, and where nobody knows."""
    lag_ms: float | None = None
    eta_s: float | None = None
    """Seconds until it lacks nothing."""
    identical: bool | None = None
    """Whether its database equals the primary's; None: not to be told now."""
    deposed: bool = False
    """It says that it leads, and another one does in a newer term."""
    in_sync: bool | None = None
    """Whether its copies count; of an observer whether its vote does; None: nobody says."""

    @property
    def role(self) -> str:
        """What it said last that it is; empty: it has said nothing."""
        return self.facts.role if self.facts else ""

    @property
    def leads(self) -> bool:
        """Whether it says so, now."""
        return self.facts is not None and self.facts.leads and not self.error and not self.deposed

    @property
    def state(self) -> str:
        """One word for what it does now."""
        if self.error:
            return self.process if self.process in ("down", "frozen") else "no answer"
        if self.deposed:
            return "deposed"
        return self.facts.state if self.facts else "unknown"

    @property
    def tone(self) -> Tone:
        """How its state is meant."""
        if self.state in GOOD:
            return "ok"
        return "warn" if self.state in HALF else "bad"

    @property
    def clients(self) -> int | None:
        """Its sessions; None of an observer."""
        return self.facts.clients if self.facts is not None and self.role != "observer" else None

    @property
    def memory_bytes(self) -> float | None:
        """What its process has in memory; None: it has not said so."""
        return self.facts.counters.get("heliosdb_process_resident_memory_bytes") if self.facts else None

    def age_s(self, now_s: float) -> float | None:
        """Age of what is known of it; None: nothing is."""
        return None if self.seen_at_s is None else max(0.0, now_s - self.seen_at_s)

    def is_stale(self, now_s: float) -> bool:
        """Whether what is shown of it is of before."""
        age = self.age_s(now_s)
        return bool(self.error) or age is None or age > STALE_S


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySeen:
    """The proxy at one moment."""

    address: str
    facts: ProxyFacts | None
    seen_at_s: float | None
    error: str
    statements_s: float | None = None

    @property
    def state(self) -> str:
        """One word for what it does now."""
        if self.error:
            return "no answer"
        if self.facts is None:
            return "unknown"
        if self.facts.stats.get("paused"):
            return "paused"
        return "serving" if not self.facts.health else "not serving"

    @property
    def tone(self) -> Tone:
        """How its state is meant."""
        return {"serving": "ok", "paused": "warn"}.get(self.state, "bad")  # type: ignore[return-value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The cluster at one moment."""

    at_s: float
    source: str
    nodes: tuple[NodeSeen, ...] = ()
    proxy: ProxySeen | None = None
    untold: str = ""
    """Why events of some node cannot be had."""
    is_kept: bool = False
    """Whether it is of before the monitor began, from what the nodes have kept."""

    @property
    def primary(self) -> NodeSeen | None:
        """Who leads: of several that say so, the one of the newest term; None when nobody does."""
        leading = [one for one in self.nodes if one.leads]
        return max(leading, key=lambda one: one.facts.term if one.facts else 0, default=None)

    @property
    def speaker(self) -> NodeSeen | None:
        """Whose word on the cluster counts most: the primary's, else that of the newest term, else of the newest."""
        known = [one for one in self.nodes if one.facts is not None]
        key = lambda one: (one.leads, not one.error, one.facts.term if one.facts else 0, one.seen_at_s or 0.0)  # noqa: E731
        return max(known, key=key, default=None)

    @property
    def term(self) -> int:
        """The newest that any node knows; 0: nobody has said one."""
        return max((one.facts.term for one in self.nodes if one.facts), default=0)

    @property
    def mode(self) -> str:
        """The cluster's; empty when nobody says."""
        return self.speaker.facts.cluster_mode if self.speaker and self.speaker.facts else ""

    @property
    def paused(self) -> bool:
        """Whether automatic failover is suspended."""
        return bool(self.speaker and self.speaker.facts and self.speaker.facts.paused)

    @property
    def alarms(self) -> list[tuple[str, str]]:
        """Node and text of what somebody has to look after, by node."""
        found = [(one.name, text) for one in self.nodes if one.facts and not one.error for text in one.facts.alarms]
        gaps = self.speaker.facts.gaps if self.speaker and self.speaker.facts else ()
        return found + [("cluster", f"durability gap: {text}") for text in gaps]

    def node(self, name: str) -> NodeSeen | None:
        """The node of a name; None when there is none."""
        return next((one for one in self.nodes if one.name == name), None)

    def newest_s(self) -> float | None:
        """When the newest word of any node came; None: none ever did."""
        return max((one.seen_at_s for one in self.nodes if one.seen_at_s is not None), default=None)


def verdict(snapshot: Snapshot) -> tuple[Tone, str]:
    """How the cluster is, in a few words: the worst thing first."""
    nodes = snapshot.nodes
    if not any(not one.error for one in nodes):
        return "bad", "no node answers" if nodes else "no node is known"
    leading = [one for one in nodes if one.leads and one.facts and one.facts.term == snapshot.term]
    if len(leading) > 1:
        return "bad", f"{len(leading)} nodes lead in term {snapshot.term}"
    if snapshot.primary is None:
        return "bad", "no primary"
    different = [one.name for one in nodes if one.identical is False]
    if different:
        return "bad", f"{', '.join(different)} differs from the primary"
    wrong = [f"{one.name} {one.state}" for one in nodes if not one.leads and one.state not in FOLLOWING]
    if wrong:
        return "warn", wrong[0] + (f" and {len(wrong) - 1} more" if len(wrong) > 1 else "")
    reason = snapshot.primary.facts.read_only_reason if snapshot.primary.facts else ""
    if reason:
        return "warn", reason
    if snapshot.proxy is not None and snapshot.proxy.tone != "ok":
        return snapshot.proxy.tone, f"proxy {snapshot.proxy.state}"
    if snapshot.alarms:
        count = len(snapshot.alarms)
        return "warn", f"{count} alarm{'s' if count > 1 else ''}"
    return ("warn", "failover paused") if snapshot.paused else ("ok", "healthy")


def follow(before: Snapshot | None, sample: Sample) -> Snapshot:
    """The moment of a sample, with what the one before knew of those that do not answer.

    A node that is no longer in the sample is gone from the cluster.
    """
    known = {one.name: one for one in before.nodes} if before else {}
    raw = [_seen(known.get(one.name), one, sample.at_s) for one in sample.nodes]
    bare = Snapshot(at_s=sample.at_s, source=sample.source, nodes=tuple(raw))
    speaker = bare.speaker
    leader = bare.primary
    newest = leader.facts.term if leader is not None and leader.facts is not None else 0
    nodes = tuple(_judged(_deposed(one, newest), speaker) for one in raw)
    proxy = _proxy(before.proxy if before else None, sample)
    return Snapshot(
        at_s=sample.at_s, source=sample.source, nodes=nodes, proxy=proxy, untold=sample.untold, is_kept=sample.is_kept
    )


def _seen(before: NodeSeen | None, one: NodeSample, at_s: float) -> NodeSeen:
    old = before.facts if before else None
    if one.facts is None:
        return NodeSeen(
            name=one.name, address=one.address, facts=old, seen_at_s=before.seen_at_s if before else None,
            error=one.error or "no answer", process=one.process, took_ms=one.took_ms,
        )  # fmt: skip
    if before is not None and old is one.facts:
        return replace(before, seen_at_s=at_s, error="", process=one.process)
    passed = at_s - before.seen_at_s if before and before.seen_at_s is not None else 0.0
    if old is not None and old.told_us and one.facts.told_us:
        passed = (one.facts.told_us - old.told_us) / 1e6
    same_life = old is not None and old.pid == one.facts.pid and old.started_us == one.facts.started_us
    rates = dict.fromkeys(RATES) if old is None or not same_life or passed <= 0 else _rates(old, one.facts, passed)
    return NodeSeen(
        name=one.name, address=one.address, facts=one.facts, seen_at_s=at_s, error="", process=one.process,
        took_ms=one.took_ms, statements_s=rates["statements"], commits_s=rates["commits"],
        log_bytes_s=rates["log_bytes"], cpu=rates["process_cpu_seconds"],
    )  # fmt: skip


RATES: Final = {
    "statements": "heliosdb_statements_total",
    "commits": "heliosdb_commits_total",
    "log_bytes": "heliosdb_log_bytes_total",
    "process_cpu_seconds": "heliosdb_process_cpu_seconds_total",
}


def _rates(old: NodeFacts, new: NodeFacts, passed_s: float) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for name, metric in RATES.items():
        first, last = old.counters.get(metric), new.counters.get(metric)
        found[name] = None if first is None or last is None else max(0.0, (last - first) / passed_s)
    return found


def _deposed(one: NodeSeen, newest_term: int) -> NodeSeen:
    """A node that leads in a term before that of the newest leader has not heard of it yet."""
    return replace(one, deposed=True) if one.leads and one.facts and one.facts.term < newest_term else one


def _judged(one: NodeSeen, speaker: NodeSeen | None) -> NodeSeen:
    """A node with what is known of its lag: by its primary, else by itself."""
    own = one.facts.local if one.facts else None
    told = speaker.facts.peer(one.name) if speaker and speaker.facts and not speaker.error else None
    if one.leads:
        return replace(one, in_sync=own.in_sync if own else None, identical=None)
    best = told if _tells_lag(told) else own if not one.error else told
    return replace(
        one,
        lag_bytes=best.lag_bytes if best else None,
        lag_ms=best.lag_ms if best else None,
        eta_s=best.catch_up_s if best else None,
        identical=told.identical if told else None,
        in_sync=told.in_sync if told else own.in_sync if own else None,
    )


def _tells_lag(told: PeerFacts | None) -> bool:
    return told is not None and (told.lag_bytes is not None or told.lag_ms is not None)


def _proxy(before: ProxySeen | None, sample: Sample) -> ProxySeen | None:
    now = sample.proxy
    if now is None:
        return None
    old = before.facts if before else None
    if now.facts is None:
        return ProxySeen(
            address=now.address, facts=old, seen_at_s=before.seen_at_s if before else None,
            error=now.error or "no answer",
        )  # fmt: skip
    statements_s = None
    if old is not None and before is not None and before.seen_at_s is not None and sample.at_s > before.seen_at_s:
        first, last = (_statements(facts) for facts in (old, now.facts))
        if first is not None and last is not None and last >= first:
            statements_s = (last - first) / (sample.at_s - before.seen_at_s)
    return ProxySeen(address=now.address, facts=now.facts, seen_at_s=sample.at_s, error="", statements_s=statements_s)


def _statements(facts: ProxyFacts) -> float | None:
    """How many it has passed on since its start; None: it does not say."""
    reads, writes = facts.stats.get("reads_total"), facts.stats.get("writes_total")
    return None if reads is None or writes is None else reads + writes


def series(window: Sequence[Snapshot], name: str, field: str) -> list[float | None]:
    """A number of a node over a window of snapshots, oldest first; None where it was not known or stale."""
    found: list[float | None] = []
    for one in window:
        node = one.node(name)
        value = getattr(node, field) if node is not None and not node.error else None
        found.append(None if value is None else float(value))
    return found
