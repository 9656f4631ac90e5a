"""Faults behind a proxy, again and again, under clients that must not notice: :mod:`support.proxy_clients`."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from support.node_cluster import NodeCluster
from support.node_process import wait_until
from support.proxy_clients import SCHEMA, Clients, Seen, judge
from support.proxy_process import ProxyProcess

SETTLED_S: Final = 90.0
MODES: Final = ("quorum", "quorum", "quorum")


@dataclass
class Report:
    """What a drill came to."""

    faults: Counter[str] = field(default_factory=Counter)
    turns: dict[str, int] = field(default_factory=dict)
    longest_s: dict[str, float] = field(default_factory=dict)
    tried_again: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    breaks: int = 0
    outages_s: list[float] = field(default_factory=list)
    """Of each fault: from its beginning until every client had got on."""
    seconds: float = 0.0

    @property
    def is_clean(self) -> bool:
        """Nothing failed, nothing was lost, nothing was done twice."""
        return not self.failures and not self.wrong and not self.breaks

    def record(self) -> dict[str, Any]:
        """Everything, JSON-able."""
        return asdict(self) | {"faults": dict(self.faults), "clean": self.is_clean}


class Drill:
    """A cluster, a proxy before it, and its clients."""

    def __init__(self, directory: Path, seed: int = 1, *, settings: dict[str, Any] | None = None) -> None:
        self.cluster = NodeCluster(directory / "nodes", MODES)
        self.proxy = ProxyProcess(directory / "proxy", self.cluster.nodes, settings=settings)
        self.report = Report()
        self._rng = random.Random(seed)
        self._seed = seed

    def run(self, faults: Sequence[str], told: Callable[[str], object] = lambda _: None) -> Report:
        """These faults, one after the other; nothing is left behind."""
        began = time.monotonic()
        try:
            self.cluster.start()
            with self.cluster.primary.connect() as connection:
                connection.execute(SCHEMA)
            self.proxy.start()
            proxy = self.proxy
            place = {"host": "127.0.0.1", "port": proxy.pg_port, "dbname": proxy.database, "user": proxy.user}
            with Clients(place, self._seed) as clients:
                for number, name in enumerate(faults, 1):
                    wait_until(lambda: clients.began_before(began) == 0, "every client is at work", SETTLED_S)
                    time.sleep(self._rng.uniform(0.3, 1.2))
                    self._one(name, clients)
                    told(f"{number}/{len(faults)} {name}: {self.report.outages_s[-1]:.2f} s")
                time.sleep(0.5)
            self._judge(clients.seen)
        finally:
            self.report.seconds = round(time.monotonic() - began, 1)
            self.proxy.kill()
            self.cluster.close()
        return self.report

    def _one(self, name: str, clients: Clients) -> None:
        """What was lost comes back only when the clients have got on without it."""
        moment = time.monotonic()
        undo = FAULTS[name](self, clients)
        self.report.faults[name] += 1
        behind = time.monotonic()
        wait_until(lambda: clients.began_before(behind) == 0, f"every client gets on behind {name}", SETTLED_S)
        self.report.outages_s.append(round(time.monotonic() - moment, 3))
        if undo is not None:
            undo()
        self.cluster.settle(SETTLED_S)
        clients.forgiving = False

    def _judge(self, seen: Seen) -> None:
        report = self.report
        report.turns = dict(seen.acknowledged)
        report.longest_s = {kind: round(seconds, 3) for kind, seconds in seen.longest_s.items()}
        report.tried_again = dict(seen.tried_again)
        report.failures = [
            f"{one.kind} {one.sqlstate} after {one.seconds:.2f} s: {one.message}" for one in seen.failures
        ]
        report.breaks = seen.breaks
        with self.cluster.primary.connect() as connection:
            report.wrong = judge(seen, connection)

    # Faults: each gives what undoes it, if anything ------------------------------------------------------------------

    def kill(self, _clients: Clients) -> Callable[[], object]:
        """SIGKILL of the primary; it comes back as a standby when another one leads and all clients get on."""
        primary = self.cluster.primary
        primary.kill()
        return primary.start

    def freeze(self, _clients: Clients) -> Callable[[], object]:
        """SIGSTOP of the primary; it goes on when all clients get on, and finds that another one leads."""
        primary = self.cluster.primary
        primary.send(signal.SIGSTOP)
        return lambda: primary.send(signal.SIGCONT)

    def freeze_standby(self, _clients: Clients) -> Callable[[], object]:
        """SIGSTOP of a standby: what it was asked must be answered by another one."""
        standby = self._rng.choice(self.cluster.standbys)
        standby.send(signal.SIGSTOP)
        return lambda: standby.send(signal.SIGCONT)

    def kill_standby(self, _clients: Clients) -> Callable[[], object]:
        """SIGKILL of a standby."""
        standby = self._rng.choice(self.cluster.standbys)
        standby.kill()
        return standby.start

    def switchover(self, _clients: Clients) -> None:
        """The primary's place given to another node."""
        code, answer = self.cluster.primary.http("/admin/switchover", body={}, timeout=60)
        assert code == 200, f"no switchover: {answer}"

    def restart_proxy(self, clients: Clients) -> None:
        """SIGKILL of the proxy, which is started again: connections break, and nothing is lost or done twice."""
        clients.forgiving = True
        self.proxy.kill()
        self.proxy.start()


FAULTS: Final[dict[str, Callable[[Drill, Clients], Callable[[], object] | None]]] = {
    "kill": Drill.kill, "freeze": Drill.freeze, "freeze-standby": Drill.freeze_standby,
    "kill-standby": Drill.kill_standby, "switchover": Drill.switchover, "restart-proxy": Drill.restart_proxy,
}  # fmt: skip
