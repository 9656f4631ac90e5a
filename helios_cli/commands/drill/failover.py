"""The second half of a drill: a primary and its standby under load, the primary killed, the standby promoted."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from helios_cli.commands import _admin, _http
from helios_cli.commands._errors import Refused
from helios_cli.commands.drill.display import Display
from helios_cli.commands.load.account import Account, take_account
from helios_cli.commands.load.ledger import LedgerWriter, read_ledger
from helios_cli.commands.load.runner import Load, Runner
from helios_cli.commands.load.session import Session, prepare
from helios_cli.commands.local import clusterfile, launch, observation, processes, whole
from helios_cli.commands.local.clusterfile import HOST, LocalCluster, LocalNode
from helios_cli.commands.local.observation import Observation
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.net.pgclient import Target
from helios_cli.engine.observe.machine import free_ports

MODE: Final = "sync"
RUN: Final = "drill"
TABLE: Final = "workload"
PHASE_S: Final = 3.0
"""How long the load runs before the kill, and after the promotion."""

START_S: Final = 30.0
PROMOTE_S: Final = 15.0
_PAUSE_S: Final = 0.05
_TICK_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Failover:
    """What came of it."""

    acknowledged: int
    unknown: int
    write_gap_ms: float
    """Longest time without an acknowledged write: the kill, the promotion, the clients' way to the new primary."""
    lost: int
    """Acknowledged rows that are missing on either node."""
    wrong: int
    """Rows that should not be there, or not so, on either node."""
    checksums: tuple[str, ...]
    """Of the databases at the end, at the same LSN."""

    @property
    def passed(self) -> bool:
        """Whether nothing at all is wrong."""
        same = len(set(self.checksums)) == 1 and all(self.checksums)
        return self.acknowledged > 0 and not self.lost and not self.wrong and same


def run_failover(directory: Path, writers: int, display: Display) -> Failover:
    """Run it in a directory; no process is left when this returns or raises.

    Raises:
        HeliosError: a node does not start, follow or take over.
    """
    cluster = _new_cluster(directory)
    display.begin("a primary and its standby")
    path = directory / "failover.ledger"
    try:
        primary = _up(cluster, display)
        with LedgerWriter(path, RUN, TABLE) as ledger:
            runner = _drill(cluster, primary, ledger, writers, display)
        display.picture.state = "counting"
        display.event("load stopped; reading every row back from both nodes")
        seen = whole.wait_equal(cluster, START_S)
        accounts = [take_account(read_ledger(path), _target(node)) for node in cluster.nodes]
    finally:
        running = [one for node in cluster.nodes if (one := processes.find(cluster, node))]
        for process in processes.end_all(running, START_S):
            process.send(signal.SIGKILL)
    return _verdict(runner, accounts, seen)


def _new_cluster(directory: Path) -> LocalCluster:
    ports = free_ports(6)
    nodes = (LocalNode("first", "primary", MODE, *ports[:3]), LocalNode("second", "standby", MODE, *ports[3:]))
    cluster = LocalCluster(directory / "cluster", nodes)
    cluster.directory.mkdir(parents=True)
    clusterfile.write(cluster)
    return cluster


def _target(node: LocalNode) -> Target:
    return Target(HOST, node.pg_port, "helios", sslmode="disable", timeout=5, application_name="drill", read_timeout=10)


def _up(cluster: LocalCluster, display: Display) -> LocalNode:
    """Start both; who leads."""
    begin = time.monotonic()
    launch.launch(cluster, launch.plan(cluster, observation.observe(cluster)))
    launch.wait_streaming(cluster, START_S, lambda _text: None)
    primary = cluster.nodes[0]
    process = processes.find(cluster, primary)
    display.picture.pid = process.pid if process is not None else 0
    whole.wait_whole(cluster, START_S)
    places = ", ".join(f"{node.name} on port {node.pg_port}" for node in cluster.nodes)
    display.event(f"a primary and a {MODE} standby in {(time.monotonic() - begin) * 1000:.0f} ms: {places}")
    return primary


def _drill(cluster: LocalCluster, primary: LocalNode, ledger: LedgerWriter, writers: int, display: Display) -> Runner:
    """The load, and the kill in its midst; the runner when it is over."""
    hosts = [_target(node) for node in cluster.nodes]
    session = Session(hosts, primary_only=True)
    prepare(session, TABLE)
    session.close()
    runner = Runner(Load(RUN, TABLE, writers, 0.0, 0.0, PROMOTE_S, primary_only=True), hosts, ledger)
    thread = threading.Thread(target=runner.run, args=(lambda _lines: None,), name="load", daemon=True)
    thread.start()
    try:
        display.picture.state = "serving"
        _watch(runner, display)
        display.event(_lag_text(cluster))
        _kill_and_promote(cluster, primary, runner, display)
        _watch(runner, display)
        display.event(f"{primary.name} starts again, as a standby")
        launch.launch(cluster, launch.plan(cluster, observation.observe(cluster)))
        launch.wait_streaming(cluster, START_S, lambda _text: None)
        display.event(_lag_text(cluster))
    finally:
        runner.stop()
        thread.join(PROMOTE_S + START_S)
    return runner


def _watch(runner: Runner, display: Display) -> None:
    """Let the load run for a while, and show it."""
    picture, end = display.picture, time.monotonic() + PHASE_S
    while (now := time.monotonic()) < end:
        rows = runner.statistics.acknowledged
        time.sleep(_TICK_S)
        picture.acknowledged = runner.statistics.acknowledged
        picture.rate.append((picture.acknowledged - rows) / (time.monotonic() - now))
        display.refresh()


def _lag_text(cluster: LocalCluster) -> str:
    seen = observation.observe(cluster)
    primary = observation.primary_of(seen)
    standby = next((one for one in seen if one is not primary), None)
    if primary is None or standby is None:
        return "nobody leads"
    lag = observation.lag_bytes(standby, primary)
    return f"{standby.node.name} follows {primary.node.name} {lag} bytes behind, at LSN {standby.committed}"


def _kill_and_promote(cluster: LocalCluster, primary: LocalNode, runner: Runner, display: Display) -> None:
    process = processes.find(cluster, primary)
    if process is None:
        raise HeliosError("the primary ended by itself", detail=processes.last_words(cluster, primary))
    before = runner.statistics.acknowledged
    begin = time.monotonic()
    process.send(signal.SIGKILL)
    display.picture.state = "killed"
    display.picture.kills += 1
    display.event(f"SIGKILL to {primary.name}, process {process.pid}, after {before:,} acknowledged rows")
    heir = next(node for node in cluster.nodes if node != primary)
    answer = _promote(cluster, heir)
    display.event(f"{answer.get('result')}, {(time.monotonic() - begin) * 1000:.0f} ms after the kill")
    whole.wait_until(lambda: runner.statistics.acknowledged > before + 1, PROMOTE_S, "writes go on")
    display.picture.state = "serving"
    display.event(f"writes go on: no row was acknowledged for {runner.statistics.longest_gap_s * 1000:.0f} ms at most")


def _promote(cluster: LocalCluster, heir: LocalNode) -> Mapping[str, Any]:
    """Ask for the promotion until it is granted: the standby may not have noticed the end of its primary yet."""
    reach = _admin.Reach(heir.name, _http.Address(HOST, heir.http_port), (str(cluster.token_file(heir)),))
    end = time.monotonic() + PROMOTE_S
    while True:
        try:
            return _admin.ask(reach, "promote", {"allow_data_loss": False, "dry_run": False}, PROMOTE_S)
        except Refused:
            if time.monotonic() >= end:
                raise
            time.sleep(_PAUSE_S)


def _verdict(runner: Runner, accounts: Sequence[Account], seen: Sequence[Observation]) -> Failover:
    counted = runner.statistics
    wrong = [len(one.twice) + len(one.wrong) + len(one.refused_present) + len(one.foreign) for one in accounts]
    return Failover(
        acknowledged=counted.acknowledged,
        unknown=counted.unknown,
        write_gap_ms=round(counted.longest_gap_s * 1000, 1),
        lost=sum(len(one.missing) for one in accounts),
        wrong=sum(wrong),
        checksums=tuple(one.checksum for one in seen),
    )
