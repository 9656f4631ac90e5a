"""Conditions of a playbook: short sentences about facts, such as ``healthy`` or ``standby-sync leads``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from helios_cli.engine.playbook import values
from helios_cli.engine.playbook.facts import Facts, LoadFact

FORMS: Final = (
    "healthy", "led", "paused", "one leads", "checksums equal", "NODE leads", "NODE follows", "NODE runs",
    "NODE is STATE", "METRIC < VALUE", "WORKLOAD is running", "WORKLOAD.failed == 0", "not CONDITION",
)  # fmt: skip
"""What there is, for people."""

Metric = tuple[Callable[[Facts], float | None], Callable[[object], float]]

METRICS: Final[Mapping[str, Metric]] = {
    "nodes": (lambda facts: len(facts.data_nodes), values.number),
    "standbys": (lambda facts: len(facts.standbys), values.number),
    "observers": (lambda facts: len(facts.nodes) - len(facts.data_nodes), values.number),
    "leaders": (lambda facts: facts.leaders, values.number),
    "voters": (lambda facts: len(facts.voters), values.number),
    "term": (lambda facts: max((one.term for one in facts.nodes), default=0), values.number),
    "lag": (lambda facts: facts.lag_bytes, values.size),
    "lag_time": (lambda facts: facts.lag_s, values.duration),
    "rpo": (lambda facts: facts.rpo_bytes, values.size),
    "error_rate": (lambda facts: facts.error_rate, values.share),
    "outage": (lambda facts: facts.unled_s, values.duration),
}
"""Numbers of a cluster by name, and how their bounds are written."""

LOAD_METRICS: Final[Mapping[str, tuple[Callable[[LoadFact], float | None], Callable[[object], float]]]] = {
    "total": (lambda load: load.total, values.number),
    "failed": (lambda load: load.failed, values.number),
    "successful": (lambda load: load.total - load.failed, values.number),
    "error_rate": (lambda load: load.error_rate, values.share),
    "reads": (lambda load: load.reads, values.number),
    "writes": (lambda load: load.writes, values.number),
    "missing": (lambda load: load.missing, values.number),
    "longest_gap": (lambda load: load.longest_gap_s, values.duration),
}
"""Numbers of a workload."""

COMPARE: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "<=": operator.le, ">=": operator.ge, "==": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt,
}  # fmt: skip
_COMPARISON: Final = re.compile(r"(?:([\w-]+)\.)?([a-z_]+)\s*(<=|>=|==|!=|<|>)\s*(\S+)")
_SENTENCE: Final = re.compile(r"(\S+) (leads|follows|runs|is (\S+))")
WHOLE: Final[Mapping[str, Callable[[Facts], bool | None]]] = {
    "healthy": lambda facts: facts.healthy,
    "led": lambda facts: facts.primary is not None,
    "paused": lambda facts: facts.paused,
    "one leads": lambda facts: facts.leaders == 1,
    "checksums equal": lambda facts: facts.checksums_equal,
}
LOAD_STATES: Final = ("running", "finished")
NODE_STATES: Final = (
    "down", "frozen", "starting", "serving", "streaming", "catchup", "observing", "disconnected", "blocked", "silent",
    "lapsed", "disk_full",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Condition:
    """One sentence, read."""

    text: str
    holds: Callable[[Facts], bool | None]
    """Whether it holds; None when the facts do not tell."""
    names: tuple[str, ...] = ()
    """The nodes and workloads that it names."""
    load: str = ""
    """The workload that it is about, if it is about one."""
    measure: Callable[[Facts], float | None] | None = None
    """The number that it compares, if it compares one."""

    def told(self, facts: Facts) -> str:
        """The sentence, with the number that it is about."""
        value = None if self.measure is None else self.measure(facts)
        return self.text if value is None else f"{self.text} (it is {value:.10g})"

    def is_settled(self, facts: Facts) -> bool:
        """Whether waiting cannot change it: it is about a workload that has ended."""
        load = facts.loads.get(self.load)
        return load is not None and not load.running


def parse(text: str, loads: tuple[str, ...] = ()) -> Condition:
    """Read a condition whose variables are filled; ``loads`` are the names of the playbook's workloads.

    Raises:
        ValueError: it is none.
    """
    stripped = " ".join(text.split())
    if stripped.startswith("not "):
        inner = parse(stripped.removeprefix("not "), loads)
        return Condition(stripped, lambda facts: _opposite(inner.holds(facts)), inner.names, inner.load, inner.measure)
    if stripped in WHOLE:
        return Condition(stripped, WHOLE[stripped])
    sentence = _SENTENCE.fullmatch(stripped)
    if sentence is not None:
        return _sentence(stripped, sentence[1], sentence[2].split()[0], sentence[3], loads)
    comparison = _COMPARISON.fullmatch(stripped)
    if comparison is not None:
        return _comparison(stripped, comparison, loads)
    raise ValueError(f"{stripped!r} is no condition; there are: {', '.join(FORMS)}")


def _opposite(held: bool | None) -> bool | None:
    return None if held is None else not held


def _sentence(text: str, name: str, verb: str, state: str | None, loads: tuple[str, ...]) -> Condition:
    if state in LOAD_STATES and name in loads:
        return Condition(text, lambda facts: _load_is(facts, name, str(state)), (name,), name)
    if verb == "is" and state not in NODE_STATES:
        raise ValueError(f"{state!r} is no state of a node; there are: {', '.join(NODE_STATES)}")

    def holds(facts: Facts) -> bool | None:
        node = facts.node(name)
        if node is None:
            return False
        return node.state == state if verb == "is" else bool(getattr(node, verb))

    return Condition(text, holds, (name,))


def _load_is(facts: Facts, name: str, state: str) -> bool | None:
    load = facts.loads.get(name)
    return None if load is None else load.running is (state == "running")


def _comparison(text: str, found: re.Match[str], loads: tuple[str, ...]) -> Condition:
    name, metric, sign, bound = found.groups()
    known = METRICS if name is None else LOAD_METRICS
    if name is not None and name not in loads:
        raise ValueError(f"there is no workload {name!r} in the playbook" + _or_one_of(loads))
    if metric not in known:
        raise ValueError(f"there is no number {metric!r}{_or_one_of(known)}")
    limit = (METRICS[metric][1] if name is None else LOAD_METRICS[metric][1])(bound)

    def measure(facts: Facts) -> float | None:
        return measured(facts, metric, name)

    def holds(facts: Facts) -> bool | None:
        value = measure(facts)
        return None if value is None else COMPARE[sign](value, limit)

    return Condition(text, holds, () if name is None else (name,), name or "", measure)


def measured(facts: Facts, metric: str, load: str | None = None) -> float | None:
    """A number of the cluster, or of one of its workloads; None when the facts do not tell."""
    if load is None:
        return METRICS[metric][0](facts)
    found = facts.loads.get(load)
    return None if found is None else LOAD_METRICS[metric][0](found)


def _or_one_of(names: Mapping[str, object] | tuple[str, ...]) -> str:
    return f"; there are: {', '.join(names)}" if names else ""
