"""A cluster made by hand for the monitor: samples as nodes' records would give them, and a gateway that plays them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.types import Lsn
from helios_cli.tui.facts import NodeSample, ProxyFacts, ProxySample, Sample, Told, facts_of
from helios_cli.tui.gateway import Act, Plan, SqlAnswer
from helios_cli.tui.past import Past

AT_S = 1_790_000_000.0
"""When the play begins: 2026-09-21 14:13:20 UTC."""

CHECKSUM = "9d1f2f7107716240"


def peer(name: str, number: int, **more: Any) -> dict[str, Any]:
    """A member as ``/status`` has it: one that follows and lacks nothing."""
    return {
        "node_id": name, "role": "standby", "mode": "sync", "host": "127.0.0.1", "pg_port": 5432 + 10 * number,
        "http_port": 8080 + number, "state": "streaming", "in_sync": True, "lag_bytes": 0, "lag_ms": 0.0,
        "catch_up_s": 0.0, "identical": True, "round_trip_ms": 0.2, "follows": "",
    } | more  # fmt: skip


def status(name: str, number: int, peers: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A node's record: of a standby, unless told otherwise."""
    own = next(one for one in peers if one["node_id"] == name)
    others = [one for one in peers if one is not own and one["role"] != "observer"]
    observers = [
        {"node_id": one["node_id"], "host": "127.0.0.1", "native_port": 5453, "http_port": one["http_port"],
         "votes": True, "state": "observing"}
        for one in peers
        if one["role"] == "observer"
    ]  # fmt: skip
    lsn = str(Lsn(0x2B90F8))
    return {
        "node_id": name, "version": "0.1.0", "role": own["role"], "mode": own["mode"], "state": "running",
        "read_only_reason": None, "pid": 100 + number, "started_us": int((AT_S - 3600) * 1e6), "term": 3,
        "written_lsn": lsn, "flushed_lsn": lsn, "committed_lsn": lsn, "database_checksum": CHECKSUM,
        "sessions": 12 - number, "log_bytes_kept": 5_000_000, "database_pages": 4000, "alarms": [],
        "ports": {"pg": own["pg_port"], "native": 5433, "http": own["http_port"]}, "data_dir": f"data/{name}",
        "cluster": {
            "term": 3, "mode": "sync", "primary_id": "primary", "nodes": [own, *others], "observers": observers,
            "gaps": [], "voters": ["observer", "primary", "standby-sync"], "lease_ms": 2000, "paused": False,
        },
    } | more  # fmt: skip


def peers_of(**lag: Any) -> list[dict[str, Any]]:
    """The members of the usual cluster; ``lag`` are fields of ``standby-async``."""
    return [
        peer("primary", 0, role="primary"),
        peer("standby-sync", 1),
        peer("standby-async", 2, mode="async", in_sync=False, **lag),
        peer("observer", 3, role="observer"),
    ]


def node(name: str, number: int, peers: list[dict[str, Any]], statements: float = 0.0, **more: Any) -> NodeSample:
    """What came of asking a node that answers."""
    if name == "observer":
        record: dict[str, Any] = {
            "node_id": name, "role": "observer", "state": "running", "pid": 103, "term": 3, "reaches_primary": True,
            "primary_id": "primary", "votes": True, "alarms": [], "ports": {"native": 5453, "http": 8083},
        }  # fmt: skip
    else:
        record = status(name, number, peers)
    metrics = (
        {}
        if name == "observer"
        else {"heliosdb_statements_total": statements, "heliosdb_commits_total": statements / 2}
    )
    facts = facts_of(record | more, metrics)
    return NodeSample(name=name, address=f"127.0.0.1:{8080 + number}", facts=facts, took_ms=1.5)


def proxy(statements: float = 0.0, **states: str) -> ProxySample:
    """A proxy before the usual cluster; ``states`` by node, with ``_`` for ``-``."""
    rows = [
        {"name": name, "role": role, "state": states.get(name.replace("-", "_"), "healthy"), "lag_bytes": 0,
         "latency_ms": 0.4, "active": 2, "backends": 5, "reason": ""}
        for name, role in (("primary", "primary"), ("standby-sync", "standby"), ("standby-async", "standby"))
    ]  # fmt: skip
    pool = {"node": "primary", "user": "helios", "database": "heliosdb", "active": 3, "idle": 2, "size": 20,
            "waiting": 0, "wait_ms": 0.0}  # fmt: skip
    stats = {"clients": 9.0, "paused": 0.0, "reads_total": statements, "writes_total": 0.0}
    facts = ProxyFacts(address="127.0.0.1:9090", health="", nodes=tuple(rows), pools=(pool,), stats=stats)
    return ProxySample(address="127.0.0.1:9090", facts=facts)


def sample(second: float = 0.0, *, with_proxy: bool = True, **lag: Any) -> Sample:
    """The usual cluster at a second of the play: a primary, two standbys, an observer, a proxy."""
    peers = peers_of(**lag)
    names = ["primary", "standby-sync", "standby-async", "observer"]
    return Sample(
        at_s=AT_S + second, source="demo/cluster.toml",
        nodes=tuple(node(name, number, peers, 1000.0 * second) for number, name in enumerate(names)),
        proxy=proxy(500.0 * second) if with_proxy else None,
    )  # fmt: skip


def lost(base: Sample, name: str, error: str = "no node answers at 127.0.0.1:8080: Connection refused") -> Sample:
    """The same with a node that does not answer."""
    nodes = tuple(
        replace(one, facts=None, error=error, process="down") if one.name == name else one for one in base.nodes
    )
    return replace(base, nodes=nodes)


def told(name: str, second: float, message: str, severity: str = "info", kind: str = "elected") -> Told:
    """An event of a node at a second of the play."""
    return Told(node=name, at_us=round((AT_S + second) * 1e6), kind=kind, severity=severity, message=message)


class PlayedGateway:
    """Gives the samples one after the other, the last of them again and again; remembers what it was asked to do."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self.samples = list(samples)
        self.given = 0
        self.at_s = AT_S
        """When the newest sample was taken: the clock of the play."""
        self.done: list[Act] = []
        self.asked: list[tuple[str, str]] = []
        self.refusal: HeliosError | None = None
        """What plans and acts are answered with."""
        self.answer: Callable[[str], SqlAnswer] = lambda text: SqlAnswer(("n",), ((1,),), "SELECT", 1, node="primary")
        self.before = Past(())
        """What the nodes have kept of the time before the play."""
        self.go = threading.Event()
        self.go.set()

    def sample(self) -> Sample:
        found = self.samples[min(self.given, len(self.samples) - 1)]
        at_s = found.at_s + max(0, self.given - len(self.samples) + 1)
        self.given += 1
        self.at_s = at_s
        return replace(found, at_s=at_s)

    def past(self, until_s: float) -> Past:
        return self.before

    def plan(self, act: Act) -> Plan:
        if self.refusal is not None:
            raise self.refusal
        return Plan((f"would {act.verb} {act.node}".strip(), "1. a step"), f"heliosdb-nano {act.verb}")

    def carry_out(self, act: Act) -> list[str]:
        assert self.go.wait(30.0)
        if self.refusal is not None:
            raise self.refusal
        self.done.append(act)
        return [f"{act.verb} is done"]

    def playbooks(self) -> list[tuple[str, str]]:
        return [("switchover", "The lead goes to a standby."), ("failover-drill", "The primary is lost under load.")]

    def sql(self, node: str, text: str) -> SqlAnswer:
        self.asked.append((node, text))
        return self.answer(text)

    def log_tail(self, name: str, lines: int) -> list[str]:
        if name == "observer":
            raise HeliosError(f"the log of {name} is not on this machine", hint="Look there.")
        return [f"2026-09-21 14:13:2{i} UTC [1] INFO {name}: line {i}" for i in range(3)]

    def close(self) -> None:
        """Nothing to let go of."""
