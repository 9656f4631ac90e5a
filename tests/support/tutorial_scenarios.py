"""The scenarios of the high-availability tutorial, parts 7 to 10: workloads through a proxy, and what befalls it.

A :class:`Scenario` is the tutorial's own script as data. :class:`Stage` plays it against real processes, at its pace or
at a part of it, and checks what the workloads have printed and what the nodes hold then.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from support.node_cluster import NodeCluster
from support.node_forks import ForkedProcess, fork_server
from support.node_process import NodeProcess, wait_until
from support.proxy_process import ProxyProcess

PRIMARY, SYNC, ASYNC = "primary", "standby-sync", "standby-async"
GOES_ON_S: Final = 60.0
"""Longest wait for a workload to go on."""
INTERVAL_MIN_S: Final = 0.06
"""A faster workload does not print every iteration."""
MORE: Final = 5
"""Iterations of every workload before something is done, and after the last thing that is."""
ITERATION: Final = re.compile(r"\[\d\d:\d\d:\d\d\] #(\d+)\b.*")
LINE_OF_RUN: Final = re.compile(r"\[\d\d:\d\d:\d\d\] #\d+ INSERT=\[ok\] SELECT=\[ok\] \[\d+ms\]")


@dataclass(frozen=True, slots=True)
class Step:
    """One command of the script."""

    after_s: float
    """Since the one before, or since the workload began."""
    verb: str
    """``stop``, ``start`` or ``restart``, as docker compose has them, ``kill`` or ``switchover``."""
    nodes: tuple[str, ...]
    """By the names of their containers: what ``primary`` names keeps the name when it leads no longer."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One script."""

    title: str
    seconds: float
    """For how long the workloads run."""
    steps: tuple[Step, ...]
    workloads: int = 1
    interval_s: float = 1.0


SCENARIOS: Final[Mapping[str, Scenario]] = {
    "switchover": Scenario("Testing Switchover with Workload", 120, (Step(30, "switchover", (PRIMARY,)),)),
    "failover": Scenario("Failover Test", 90, (Step(20, "stop", (PRIMARY,)), Step(40, "start", (PRIMARY,)))),
    "killed": Scenario("Failover Test, with SIGKILL", 90, (
        Step(20, "kill", (PRIMARY,)), Step(40, "start", (PRIMARY,)),
    )),
    "cascade": Scenario("Cascading Failure Test", 120, (
        Step(15, "stop", (ASYNC,)), Step(15, "stop", (SYNC,)), Step(15, "stop", (PRIMARY,)),
        Step(20, "start", (PRIMARY,)), Step(10, "start", (SYNC,)), Step(10, "start", (ASYNC,)),
    )),
    "rolling": Scenario("Rolling Restart", 45, (
        Step(5, "restart", (ASYNC,)), Step(10, "restart", (SYNC,)), Step(10, "restart", (PRIMARY,)),
    )),
    "load": Scenario("Load Testing with Failover", 60, (
        Step(20, "stop", (PRIMARY,)), Step(35, "start", (PRIMARY,)),
    ), workloads=5, interval_s=0.5),
}  # fmt: skip


class Workload:
    """One ``heliosdb-nano workload`` at the proxy, in a process of its own."""

    def __init__(self, scenario: Scenario, proxy: ProxyProcess, directory: Path, number: int, pace: float) -> None:
        self.log_path = directory / f"workload_{number}.log"
        self.ledger = directory / f"workload_{number}.ledger"
        arguments = ["workload", "run", "--host", "127.0.0.1", "--port", str(proxy.pg_port)]
        arguments += [
            "--username",
            proxy.user,
            "--duration",
            "0",
            "--interval",
            f"{max(INTERVAL_MIN_S, scenario.interval_s * pace):g}",
        ]
        arguments += ["--timeout", "120", "--reconnect", "--verify", "--ledger", str(self.ledger)]
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("HELIOSDB_", "PG"))}
        with self.log_path.open("wb") as log:
            self._process: ForkedProcess = fork_server().start(arguments, kept, log.fileno())
        self.code: int | None = None

    @property
    def log(self) -> str:
        """What it has printed."""
        return self.log_path.read_text()

    @property
    def iterations(self) -> int:
        """The number of the last line; fails when it has ended by itself."""
        assert self._process.poll() is None, f"the workload has ended:\n{self.log}"
        found = ITERATION.findall(self.log)
        return int(found[-1]) if found else 0

    def end(self) -> str:
        """Have it finish its iteration, and sum up; gives what it has printed."""
        self._process.send_signal(signal.SIGTERM)
        self.code = self._process.wait(GOES_ON_S)
        return self.log

    def kill(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.wait(GOES_ON_S)


class Stage:
    """A cluster as the tutorial has it, primary, synchronous and asynchronous standby, behind a proxy."""

    def __init__(
        self, cluster: NodeCluster, proxy: ProxyProcess, directory: Path, tell: Callable[[str], None] = print
    ) -> None:
        self.cluster, self.proxy, self.directory = cluster, proxy, directory
        self._tell = tell
        primary = cluster.primary
        sync = next(node for node in cluster.nodes[:2] if node is not primary)
        self._nodes: Mapping[str, NodeProcess] = {PRIMARY: primary, SYNC: sync, ASYNC: cluster.nodes[2]}

    def play(self, scenario: Scenario, pace: float) -> list[str]:
        """Do it; gives what each workload has printed. Raises AssertionError when anything failed or is lost."""
        self._tell(f"{scenario.title}: {scenario.workloads} workload(s)")
        self.directory.mkdir(parents=True, exist_ok=True)
        numbers = range(1, scenario.workloads + 1)
        workloads = [Workload(scenario, self.proxy, self.directory, number, pace) for number in numbers]
        try:
            self._wait_more(workloads)
            began = time.monotonic()
            for step in scenario.steps:
                time.sleep(step.after_s * pace)
                self._do(step)
            self.cluster.settle()
            self._wait_more(workloads)
            time.sleep(max(0.0, began + scenario.seconds * pace - time.monotonic()))
            logs = [workload.end() for workload in workloads]
        finally:
            for workload in workloads:
                workload.kill()
        for workload in workloads:
            assert workload.code == 0, f"exit code {workload.code}:\n{workload.log}"
            self._check_rows(workload)
        return logs

    def pause_failover(self, *, paused: bool) -> None:
        """Whether nobody is elected in place of a primary that is lost: then writes wait until it is back."""
        code, answer = self.cluster.primary.http(f"/admin/{'pause' if paused else 'resume'}", body={})
        assert code == 200, answer

    def _wait_more(self, workloads: list[Workload]) -> None:
        """Until every workload has done some more."""
        before = [workload.iterations for workload in workloads]
        for workload, number in zip(workloads, before, strict=True):
            wait_until(lambda w=workload, n=number: w.iterations >= n + MORE, "the workload goes on", GOES_ON_S)  # type: ignore[misc]

    def _do(self, step: Step) -> None:
        self._tell(f"[{time.strftime('%H:%M:%S')}] {step.verb} {' '.join(step.nodes)}")
        for name in step.nodes:
            node = self._nodes[name]
            if step.verb in ("stop", "restart"):
                assert node.stop() == 0
            if step.verb == "kill":
                node.kill()
            if step.verb in ("start", "restart"):
                node.start(wait=False)  # alone it may have to wait for others
            if step.verb == "restart":
                self.cluster.settle()  # that the next one is not away as well
            if step.verb == "switchover":
                wait_until(self._switched_over, "the lead moves", GOES_ON_S)

    def _switched_over(self) -> bool:
        """Whether the lead went to a standby. A refusal is told: it is tried again, as an operator would."""
        code, answer = self.cluster.primary.http("/admin/switchover", body={}, timeout=30)
        if code != 200:
            self._tell(f"switchover refused: {answer}")
        return code == 200

    # What came of it -------------------------------------------------------------------------------------------------

    def _check_rows(self, workload: Workload) -> None:
        """Of ``workload run``: its lines and its summary as the tutorial prints them, and the rows on every node."""
        lines = workload.log.splitlines()
        iterations = [line for line in lines if ITERATION.fullmatch(line)]
        wrong = [line for line in iterations if not LINE_OF_RUN.fullmatch(line)]
        assert not wrong, wrong
        count = len(iterations)
        assert lines[-5:] == [
            "=== Workload Summary ===", f"Total iterations: {count}", f"Successful: {count}", "Failed: 0",
            "Success rate: 100%",
        ], workload.log  # fmt: skip
        assert "VERDICT: passed. Every acknowledged row is there exactly once." in lines
        run = workload.ledger.read_text().splitlines()[1].removeprefix("run ")
        self._check_everywhere(
            f"SELECT count(*), count(DISTINCT seq) FROM workload WHERE run = '{run}'", (count, count)
        )

    def _check_everywhere(self, query: str, expected: tuple[int, int]) -> None:
        for node in self.cluster.nodes:
            with node.connect() as connection:
                wait_until(lambda c=connection: c.execute(query).fetchone() == expected, "a node has every row", 20)  # type: ignore[misc]
