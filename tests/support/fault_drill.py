"""Clusters that decide by themselves: a fault under load, again and again, and all that clients were told is judged.

Each node has a host of its own (:mod:`support.network`), so that hosts can be cut off; the clients are on another.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.etcd_server import HostedEtcd
from support.failover_drill import exported, salvages
from support.fault_clients import SCHEMA, Address, Clients, Seen, wrong
from support.network import HostedNode, Network
from support.node_process import NodeProcess, wait_until

SETTLED_S = 60.0
AWAY_S = 4.0
"""How long etcd is away: twice as long as it keeps the lead."""
LATE_S = 6.0
"""So long after an election a client may hear of a failure that was before it."""
LOGIN = {"user": "postgres", "dbname": "heliosdb"}
FLAGS = ("--allow-insecure-network", "--wal-checkpoint-mb", "1", "--log-segment-mb", "1", "--log-retention-mb", "64")

Nodes = Sequence[HostedNode]
Fault = Callable[["Network", HostedNode, "Nodes", random.Random], Callable[[], None]]
"""What it does to the primary (and its standbys); gives what undoes it."""
EtcdFault = Callable[["Network", HostedEtcd, HostedNode], Callable[[], None]]
"""What it does to the etcd that has the authority, or between it and the primary."""


@dataclass
class Outcome:
    """What a drill came to."""

    faults: int = 0
    acknowledged: int = 0
    operations: int = 0
    """Of the other workloads, whose histories were checked."""
    elections: int = 0
    salvaged: int = 0
    """In async mode: acknowledged rows that a failover lost, each found in a salvage."""
    etcd_gaps_ms: list[float] = field(default_factory=list)
    """Each time without etcd: the longest that twenty rows of all clients together took."""
    gaps_ms: list[float] = field(default_factory=list)
    """From each fault to the first acknowledged row that was sent after it."""


def kill(_network: Network, primary: HostedNode, _standbys: Nodes, _rng: random.Random) -> Callable[[], None]:
    """SIGKILL."""
    primary.kill()

    def start() -> None:
        primary.start(wait=False)

    return start


def freeze(_network: Network, primary: HostedNode, _standbys: Nodes, _rng: random.Random) -> Callable[[], None]:
    """SIGSTOP: its kernel goes on to take connections."""
    primary.send(signal.SIGSTOP)
    return lambda: primary.send(signal.SIGCONT)


def isolate(network: Network, primary: HostedNode, _standbys: Nodes, _rng: random.Random) -> Callable[[], None]:
    """The primary reaches nobody, and nobody reaches it; clients do."""
    network.isolate(primary.host)
    return network.heal


def mute(network: Network, primary: HostedNode, standbys: Nodes, _rng: random.Random) -> Callable[[], None]:
    """One way: what the primary sends to other nodes is lost."""
    network.cut(primary.host, *(node.host for node in standbys))
    return network.heal


def deaf(network: Network, primary: HostedNode, standbys: Nodes, _rng: random.Random) -> Callable[[], None]:
    """One way: what other nodes send to the primary is lost."""
    for node in standbys:
        network.cut(node.host, primary.host)
    return network.heal


def ring(network: Network, primary: HostedNode, standbys: Nodes, rng: random.Random) -> Callable[[], None]:
    """The primary and one standby do not see each other; the other one sees both."""
    one = rng.choice(standbys)
    network.cut(primary.host, one.host)
    network.cut(one.host, primary.host)
    return network.heal


def flap(network: Network, primary: HostedNode, standbys: Nodes, rng: random.Random) -> Callable[[], None]:
    """The link to one standby comes and goes, for some 3 s."""
    one = rng.choice(standbys)
    for _ in range(10):
        network.cut(primary.host, one.host)
        network.cut(one.host, primary.host)
        time.sleep(rng.uniform(0.05, 0.25))
        network.heal()
        time.sleep(rng.uniform(0.05, 0.25))
    return lambda: None


def freeze_standby(_network: Network, _primary: HostedNode, standbys: Nodes, rng: random.Random) -> Callable[[], None]:
    """A standby stands still."""
    one = rng.choice(standbys)
    one.send(signal.SIGSTOP)
    return lambda: one.send(signal.SIGCONT)


def blind(network: Network, etcd: HostedEtcd, primary: HostedNode) -> Callable[[], None]:
    """The primary and etcd do not see each other; the standbys see both."""
    network.cut(primary.host, etcd.host)
    network.cut(etcd.host, primary.host)
    return network.heal


def lose_etcd(network: Network, etcd: HostedEtcd, _primary: HostedNode) -> Callable[[], None]:
    """Nobody reaches it."""
    network.isolate(etcd.host)
    return network.heal


def kill_etcd(_network: Network, etcd: HostedEtcd, _primary: HostedNode) -> Callable[[], None]:
    """SIGKILL; it comes back with what was on its disk."""
    etcd.kill()

    def start() -> None:
        etcd.start()

    return start


def freeze_etcd(_network: Network, etcd: HostedEtcd, _primary: HostedNode) -> Callable[[], None]:
    """SIGSTOP: its kernel goes on to take connections."""
    etcd.send(signal.SIGSTOP)
    return lambda: etcd.send(signal.SIGCONT)


def empty_etcd(_network: Network, etcd: HostedEtcd, _primary: HostedNode) -> Callable[[], None]:
    """Its disk is lost, and it begins with an empty one."""
    etcd.forget()

    def start() -> None:
        etcd.start()

    return start


ETCD_FAULTS: dict[str, EtcdFault] = {
    "blind": blind, "lose-etcd": lose_etcd, "kill-etcd": kill_etcd, "freeze-etcd": freeze_etcd,
    "empty-etcd": empty_etcd,
}  # fmt: skip
"""Where etcd has the authority; after these the same node leads, and no client has waited for long."""
DEPOSING: dict[str, Fault] = {"kill": kill, "freeze": freeze, "isolate": isolate, "mute": mute, "deaf": deaf}
"""After these another node leads."""
HARMLESS: dict[str, Fault] = {"ring": ring, "flap": flap, "freeze-standby": freeze_standby}
"""After these the same one does."""
FAULTS = DEPOSING | HARMLESS
KEEPS_ETCD: frozenset[str] = frozenset(("mute", "deaf"))
"""With etcd these leave the primary its lease. In async mode it keeps the lead; in the others whoever is first decides:
the standbys, or the primary that goes on without them."""


def deposes(name: str, mode: str, *, with_etcd: bool) -> bool | None:
    """Whether another node leads after a fault; None: that may be."""
    if with_etcd and name in KEEPS_ETCD:
        return False if mode == "async" else None
    return name in DEPOSING


def make_cluster(
    network: Network, directory: Path, mode: str, count: int = 3, etcd: HostedEtcd | None = None
) -> list[HostedNode]:
    """A primary and standbys, each on a host of its own, whose copies all count, with the clients' tables."""
    hosts = [network.host(f"n{number}") for number in range(1, count + 1)]
    flags = ("--replication-mode", mode, *FLAGS, *(etcd.node_flags if etcd is not None else ()))
    first = network.node(hosts[0], directory / "n1", ("--replication-role", "primary", *flags)).start()
    with first.connect() as connection:
        connection.execute(SCHEMA)
    upstream = ("--primary-host", first.host.address, "--primary-port", str(first.native_port))
    nodes = [first]
    for host in hosts[1:]:
        role = ("--replication-role", "standby", *upstream)
        nodes.append(network.node(host, directory / host.name, (*role, *flags)).start(wait=False))
    for node in nodes:
        node.wait_healthy()
    wait_until(lambda: in_sync(first) == count, "every copy counts", SETTLED_S)
    return nodes


def run_faults(
    network: Network,
    directory: Path,
    mode: str,
    names: Sequence[str],
    seed: int,
    *,
    writers: int = 8,
    pause_s: float = 0.0,
    with_etcd: bool = False,
    away_s: float = AWAY_S,
) -> Outcome:
    """The named faults one after the other. Raises AssertionError when the clients were told what cannot be.

    ``pause_s``: how long each client rests behind what it did. ``with_etcd``: that decides who leads, on one more
    host, and is away for ``away_s`` by the faults that take it away.
    """
    etcd = HostedEtcd(network.host("etcd"), directory / "etcd") if with_etcd else None
    try:
        return _run_faults(network, directory, mode, names, seed, writers, pause_s, etcd, away_s)
    finally:
        if etcd is not None:
            etcd.kill()


def _run_faults(
    network: Network,
    directory: Path,
    mode: str,
    names: Sequence[str],
    seed: int,
    writers: int,
    pause_s: float,
    etcd: HostedEtcd | None,
    away_s: float,
) -> Outcome:
    rng = random.Random(seed)
    outcome = Outcome()
    if etcd is not None:
        etcd.start()
    nodes = make_cluster(network, directory, mode, etcd=etcd)
    addresses = [Address(node.host.address, node.pg_port) for node in nodes]
    clients = Clients(addresses, network.switch.entered, seed, LOGIN, writers=writers, pause_s=pause_s)
    with clients:
        for name in names:
            if etcd is not None and name in ETCD_FAULTS:
                _without_etcd(network, etcd, nodes, clients, name, outcome, away_s)
            else:
                _one(network, nodes, clients, name, rng, outcome, deposes(name, mode, with_etcd=etcd is not None))
    outcome.acknowledged, outcome.operations, outcome.salvaged = judge(nodes, clients.seen, mode)
    return outcome


def _without_etcd(
    network: Network,
    etcd: HostedEtcd,
    nodes: Nodes,
    clients: Clients,
    name: str,
    outcome: Outcome,
    away_s: float,
) -> None:
    """The same node leads on, in the same term, and clients go on for longer than etcd keeps the lead for it."""
    primary = leader(nodes)
    goes_on(clients, 50)
    if outcome.elections:
        # Who wrote through a standby when its primary went hears late that nobody knows what came of it.
        time.sleep(LATE_S)
    before, errors = elections(nodes, primary), failures(clients)
    undo = ETCD_FAULTS[name](network, etcd, primary)
    try:
        end, gaps = time.monotonic() + away_s, []
        while time.monotonic() < end:
            moment = time.monotonic()
            goes_on(clients, 20)
            gaps.append(time.monotonic() - moment)
        assert failures(clients) == errors, f"{name}: {clients.seen.errors}, the last: {clients.seen.last_error}"
        outcome.etcd_gaps_ms.append(round(max(gaps) * 1000, 1))
    finally:
        undo()
    settle(nodes, name)
    wait_until(lambda: has_lead(primary), f"{name}: it has the lead in etcd again", SETTLED_S)
    goes_on(clients, 50)
    assert leader(nodes) is primary and elections(nodes, primary) == before, f"{name}: somebody was elected"
    outcome.faults += 1


def failures(clients: Clients) -> int:
    """How often a client was told of anything but a conflict; one that meets a standby goes on by itself."""
    with clients.lock:
        return sum(count for name, count in clients.seen.errors.items() if name not in ("40001", "OSError"))


def has_lead(node: HostedNode) -> bool:
    """Whether etcd keeps the lead for it, as it says, and knows the configuration."""
    _, content = node.http("/status")
    found = content["authority"]
    return bool(found["reached"] and found["leader"] == node.host.name and found["knows_cluster"])


def _one(
    network: Network,
    nodes: Nodes,
    clients: Clients,
    name: str,
    rng: random.Random,
    outcome: Outcome,
    is_deposed: bool | None,
) -> None:
    primary = leader(nodes)
    standbys = [node for node in nodes if node is not primary]
    goes_on(clients, 50)
    time.sleep(rng.uniform(0.0, 0.5))
    before = elections(nodes, primary)
    moment = time.monotonic()
    undo = FAULTS[name](network, primary, standbys, rng)
    try:
        if is_deposed is not False:
            may_stay = is_deposed is None
            wait_until(
                lambda: any(leads(node) for node in standbys) or (may_stay and in_sync(primary) == 1),
                f"{name}: another one leads", SETTLED_S,
            )  # fmt: skip
        goes_on(clients, 50)
        time.sleep(rng.uniform(0.0, 1.0))
    finally:
        undo()
    settle(nodes, name)
    goes_on(clients, 50)
    new = leader(nodes)
    if is_deposed is not None:
        assert (new is not primary) == is_deposed, f"{name}: {new.host.name} leads, {primary.host.name} led"
    outcome.faults += 1
    outcome.elections += len(elections(nodes, new) - before)
    gap = clients.seen.first_after(moment)
    assert gap is not None
    outcome.gaps_ms.append(round(gap * 1000, 1))


def judge(nodes: Nodes, seen: Seen, mode: str) -> tuple[int, int, int]:
    """What the clients were told, when all is over: counts of acknowledged rows, other operations, salvaged rows.

    Raises AssertionError when something of it is not so.
    """
    settle(nodes, "the end")
    wait_until(lambda: len({position(node) for node in nodes}) == 1, "all nodes are equal", SETTLED_S)
    with session(leader(nodes)) as connection:
        there = [row[0] for row in connection.execute("SELECT id FROM rows").fetchall()]
    salvaged = 0
    if mode == "async":
        salvaged = _judge_salvage(nodes, seen, set(there))
    else:
        found = wrong(seen.judge(there))
        assert not found, "\n".join(found)
    operations = sum(map(len, seen.registers.values())) + len(seen.lists)
    operations += len(seen.balances) + len(seen.additions) + len(seen.counts)
    return len(seen.rows), operations, salvaged


def _judge_salvage(nodes: Nodes, seen: Seen, there: set[int]) -> int:
    """In async mode: the acknowledged rows that are missing are those of the salvages, no more and no fewer."""
    kept: set[int] = set()
    for node in nodes:
        for name in salvages(node):
            for row in exported(node, name):
                if row["table"] == "rows":
                    kept.add(int(row["key"]["id"]))
    lost = seen.rows.keys() - there
    assert kept & seen.rows.keys() == lost, f"missing: {sorted(lost)}, salvaged: {sorted(kept & seen.rows.keys())}"
    assert not kept & there, f"salvaged and there: {sorted(kept & there)}"
    assert not there & seen.refused, f"refused and there: {sorted(there & seen.refused)}"
    return len(lost)


def goes_on(clients: Clients, more: int) -> None:
    """Wait until so many more rows are acknowledged."""
    before = clients.acknowledged()
    try:
        wait_until(lambda: clients.acknowledged() >= before + more, "writes are acknowledged", SETTLED_S)
    except pytest.fail.Exception as error:
        raise AssertionError(f"{error}; {clients.seen.errors}, the last: {clients.seen.last_error}") from None


def settle(nodes: Nodes, what: str) -> None:
    """Wait until one leads, and every copy counts."""

    def settled() -> bool:
        leading = [node for node in nodes if leads(node)]
        return len(leading) == 1 and in_sync(leading[0]) == len(nodes)

    wait_until(settled, f"{what}: one leads, and every copy counts", SETTLED_S)


def leader(nodes: Nodes) -> HostedNode:
    """The one that leads; waited for, since on a busy machine a lease may be over for a moment."""
    leading: list[HostedNode] = []

    def is_one() -> bool:
        leading[:] = [node for node in nodes if leads(node)]
        return len(leading) == 1

    wait_until(is_one, "one leads", SETTLED_S)
    return leading[0]


def leads(node: NodeProcess) -> bool:
    """Whether it says so, and answers within a second."""
    try:
        return node.http("/primary", timeout=1)[0] == 200
    except OSError:
        return False


def in_sync(node: HostedNode) -> int:
    """How many copies count, as it says; 0 when it does not answer."""
    try:
        _, content = node.http("/status", timeout=2)
    except OSError:
        return 0
    return sum(1 for each in content["cluster"]["nodes"] if each["in_sync"])


def position(node: HostedNode) -> tuple[str, str]:
    """Committed LSN and database checksum."""
    _, content = node.http("/status")
    return content["committed_lsn"], content["database_checksum"]


def session(node: HostedNode) -> psycopg.Connection[tuple[Any, ...]]:
    """An operator's."""
    return node.connect(**LOGIN)


def elections(nodes: Nodes, node: HostedNode) -> set[int]:
    """The terms that nodes were elected for, as far as this one and the others tell."""
    terms: set[int] = set()
    for each in nodes:
        try:
            code, found = each.http("/admin/explain/failover", body={"limit": 1000}, timeout=2)
        except OSError:
            continue
        if code == 200:
            terms |= {one["term"] for one in found["decisions"] if one["kind"] == "promoted"}
    return terms
