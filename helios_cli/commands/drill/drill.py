"""The drill itself: load, kills, recoveries, and the verdict."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from helios_cli.commands.drill.display import Display
from helios_cli.commands.drill.process import NodeProcess
from helios_cli.commands.drill.workload import TABLE, Account, Workload, take_account
from helios_cli.engine.net.pgclient import PgClient

_TICK_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, as numbers."""

    seconds: float
    kills: int
    writers: int
    seed: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of it."""

    seed: int
    seconds: float
    rows_per_s: float
    kills: int
    recovery_ms: tuple[float, ...]
    """From the kill to the first answered query, for each kill."""
    account: Account
    refused: tuple[str, ...]
    """Errors that no kill explains."""
    log_verified: bool
    log_report: str
    """What ``log verify`` said, one line."""
    exit_code: int
    """Of the node, stopped by SIGTERM."""

    @property
    def passed(self) -> bool:
        """Whether nothing at all is wrong."""
        clean = not self.account.lost and not self.account.wrong and not self.refused
        return clean and self.log_verified and self.exit_code == 0


def kill_times(plan: Plan) -> list[float]:
    """When to kill, in seconds, sorted: one at random in each equal part of the time, away from both ends."""
    rng = random.Random(plan.seed)
    part = plan.seconds * 0.8 / max(plan.kills, 1)
    return [plan.seconds * 0.1 + part * (number + rng.uniform(0.1, 0.9)) for number in range(plan.kills)]


def run_drill(directory: Path, plan: Plan, display: Display) -> Verdict:
    """Run it in a directory; the node is gone when this returns or raises.

    Raises:
        HeliosError: the node does not start or come back.
    """
    node = NodeProcess(directory)
    try:
        first = node.start()
        display.event(f"node started in {first * 1000:.0f} ms, process {node.pid}, port {node.pg_port}")
        with PgClient(node.target) as client:
            client.execute(TABLE)
        workload = Workload(node.target, plan.writers)
        workload.start()
        try:
            recoveries = _run_load(node, workload, plan, display)
        finally:
            workload.stop()
        display.picture.state = "counting"
        display.event("load stopped; reading every row back")
        account = take_account(node.target, workload.ledgers)
        display.picture.state = "stopping"
        code = node.stop()
        verified, report = verify_log(node.data_dir)
        display.event(f"log verify: {report}")
    finally:
        node.stop()
    return Verdict(
        seed=plan.seed,
        seconds=plan.seconds,
        rows_per_s=account.acknowledged / plan.seconds,
        kills=plan.kills,
        recovery_ms=tuple(round(one * 1000, 1) for one in recoveries),
        account=account,
        refused=tuple(text for ledger in workload.ledgers for text in ledger.refused),
        log_verified=verified,
        log_report=report,
        exit_code=code,
    )


def _run_load(node: NodeProcess, workload: Workload, plan: Plan, display: Display) -> list[float]:
    picture = display.picture
    picture.seconds_total, picture.kills_total = plan.seconds, plan.kills
    picture.state, picture.pid = "serving", node.pid
    pending = kill_times(plan)
    recoveries: list[float] = []
    begin = sampled = time.monotonic()
    rows = 0
    while (now := time.monotonic()) - begin < plan.seconds:
        picture.seconds = now - begin
        if pending and picture.seconds >= pending[0]:
            pending.pop(0)
            recoveries.append(_kill_and_recover(node, workload, display))
        _sample(node, workload, display, (workload.acknowledged - rows) / max(now - sampled, 1e-3))
        rows, sampled = workload.acknowledged, now
        display.refresh()
        time.sleep(_TICK_S)
    picture.seconds = plan.seconds
    return recoveries


def _kill_and_recover(node: NodeProcess, workload: Workload, display: Display) -> float:
    picture = display.picture
    begin = time.monotonic()
    old = node.pid
    node.kill()
    picture.kills += 1
    picture.state = "killed"
    display.event(f"SIGKILL to process {old} after {workload.acknowledged:,} acknowledged rows")
    node.start()
    elapsed = time.monotonic() - begin
    picture.state, picture.pid = "serving", node.pid
    display.event(f"recovered as process {node.pid} in {elapsed * 1000:.0f} ms")
    return elapsed


def _sample(node: NodeProcess, workload: Workload, display: Display, rate: float) -> None:
    picture = display.picture
    latencies = workload.take_latencies()
    picture.acknowledged = workload.acknowledged
    picture.rate.append(rate)
    picture.p99_ms.append(latencies[int(len(latencies) * 0.99)] if latencies else 0.0)
    status = node.status()
    picture.lsn = str(status.get("flushed_lsn", picture.lsn))
    picture.log_bytes = int(status.get("log_bytes_kept", picture.log_bytes))


def verify_log(data_dir: Path) -> tuple[bool, str]:
    """Let ``log verify`` check the stopped node; whether it agrees, and what it said."""
    command = [sys.executable, "-m", "helios_cli", "log", "verify", "--replay", "--data-dir", str(data_dir), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        said: Any = json.loads(done.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        said = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no answer"]
    if isinstance(said, dict):
        text = ", ".join(f"{key} {value}" for key, value in said.items() if isinstance(value, (str, int, float, bool)))
    else:
        text = str(said[0]) if isinstance(said, list) and said else str(said)
    return done.returncode == 0, text
