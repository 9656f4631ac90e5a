"""Running pgbench and psql, and reading what they print."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.servers import Endpoint

GRACE_S: Final = 60.0
"""How much longer than its own time a run may take before it is ended."""

_FIGURES: Final = {
    "tps": re.compile(r"^tps = ([0-9.]+)", re.M),
    "latency": re.compile(r"^latency average = ([0-9.]+) ms", re.M),
    "transactions": re.compile(r"^number of transactions actually processed: ([0-9]+)", re.M),
}
_FAILED = re.compile(r"^number of failed transactions: ([0-9]+)", re.M)


class RunFailed(Exception):
    """A tool did not do its work; the message is one line."""


@dataclass(frozen=True, slots=True)
class Run:
    """One pgbench run."""

    tps: float
    latency_ms: float
    transactions: int


def find(program: str) -> str | None:
    """The path of a program of PostgreSQL 15, or of any on the PATH; None when it is not installed."""
    usual = Path("/usr/lib/postgresql/15/bin") / program
    return str(usual) if usual.exists() else shutil.which(program)


def parse(text: str) -> Run:
    """Read pgbench's summary. Raises RunFailed when a figure is missing or transactions failed."""
    found = {name: pattern.search(text) for name, pattern in _FIGURES.items()}
    missing = [name for name, match in found.items() if match is None]
    if missing:
        raise RunFailed(f"pgbench printed no {', '.join(missing)}")
    failed = _FAILED.search(text)
    if failed is not None and int(failed[1]) > 0:
        raise RunFailed(f"{failed[1]} transactions failed")
    tps, latency, count = (match[1] for match in found.values() if match is not None)
    return Run(float(tps), float(latency), int(count))


def run(endpoint: Endpoint, options: Sequence[str], *, clients: int, seconds: float) -> Run:
    """One timed run of ``clients`` connections, without vacuuming first. Raises RunFailed."""
    threads = 1 if clients == 1 else 2
    timing = ["-n", "-c", str(clients), "-j", str(threads), "-T", str(max(1, round(seconds)))]
    return parse(_execute("pgbench", [*timing, *options], endpoint, seconds + GRACE_S))


def initialize(endpoint: Endpoint, scale: int) -> None:
    """Create and fill pgbench's tables. Raises RunFailed."""
    _execute("pgbench", ["-i", "-q", "-s", str(scale)], endpoint, GRACE_S + 60.0 * scale)


def psql(endpoint: Endpoint, *commands: str, timeout_s: float = GRACE_S) -> float:
    """Run commands one after the other in one psql; gives the seconds it took. Raises RunFailed."""
    arguments = ["-X", "-q", "-v", "ON_ERROR_STOP=1"]
    for command in commands:
        arguments += ["-c", command]
    started = time.perf_counter()
    _execute("psql", arguments, endpoint, timeout_s)
    return time.perf_counter() - started


def environment(endpoint: Endpoint) -> dict[str, str]:
    """The variables of a tool that connects there: none of libpq's but the endpoint's."""
    return {name: text for name, text in os.environ.items() if not name.startswith("PG")} | endpoint.environment()


def _execute(program: str, arguments: Sequence[str], endpoint: Endpoint, timeout_s: float) -> str:
    path = find(program)
    if path is None:
        raise RunFailed(f"{program} is not installed")
    try:
        done = subprocess.run(
            [path, *arguments],
            env=environment(endpoint),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise RunFailed(f"{program} was not done within {timeout_s:.0f} s") from None
    if done.returncode != 0:
        raise RunFailed(_reason(program, done.returncode, done.stderr))
    return done.stdout


def _reason(program: str, code: int, stderr: str) -> str:
    """The first line that names an error, else the last line there is."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"ERROR|FATAL|error:", line)]
    return f"{program} ended with {code}: {(errors or lines[-1:] or ['no message'])[0][:300]}"
