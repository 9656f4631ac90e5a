"""The workloads of a run: children that outlive the runner, and what their files tell of them."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from helios_cli.commands.local.clusterfile import LocalCluster, Member, password_of, write_text
from helios_cli.commands.local.machines import child_environment
from helios_cli.commands.local.processes import Process, identify
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.playbook import values
from helios_cli.engine.playbook.facts import LoadFact

MARK: Final = "HELIOSPLAY_LOAD"
"""Variable of a child's environment: by it a child is found whose runner died before it could write down its number."""
SUMMARIES: Final = ("=== Workload Summary ===", "Application Continuity Test Results")
RUN_TABLE: Final = "workload"

_ORDERS: Final = re.compile(r"\((\d+) reads, (\d+) writes, (\d+) failed\)")
_MISSING: Final = re.compile(r"^(?:Missing: (\d+)|.*, missing: (\d+))$", re.M)
_GAP: Final = re.compile(
    r"^(?:Longest time without an acknowledged write|Longest operation): ([\d.]+ ?(?:ms|s|min))", re.M
)
_COUNTED: Final = {
    "total": re.compile(r"^(?:Total iterations|Total ops): (\d+)$", re.M),
    "failed": re.compile(r"^Failed: (\d+)$", re.M),
    "reads": re.compile(r"^Read ops: (\d+)$", re.M),
    "writes": re.compile(r"^Write ops: (\d+)$", re.M),
}


@dataclass(slots=True)
class _Ledger:
    """What was counted of a ledger so far."""

    at: int = 0
    total: int = 0
    failed: int = 0


class Loads:
    """Those of one run's directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ledgers: dict[str, _Ledger] = {}
        self._ended: dict[str, LoadFact] = {}

    # The children ----------------------------------------------------------------------------------------------------

    def start(self, cluster: LocalCluster, arguments: Mapping[str, Any]) -> None:
        """Start one unless it is there. Raises OSError when its files cannot be written."""
        name = str(arguments["load"])
        if self._process(name) is not None or self._orphan(name) is not None:
            return
        command = [sys.executable, "-m", "helios_cli", *self.command(cluster, arguments)]
        self._ledger(name).unlink(missing_ok=True)
        log = os.open(self._log(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
        try:
            pid = os.posix_spawn(
                sys.executable, command, child_environment(os.environ) | _password(cluster) | {MARK: self._mark(name)},
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, log, 1),
                    (os.POSIX_SPAWN_DUP2, log, 2),
                ],
                setsid=True,
            )  # fmt: skip
        finally:
            os.close(log)
        process = identify(pid)
        if process is not None:
            self._remember(name, process)

    def command(self, cluster: LocalCluster, arguments: Mapping[str, Any]) -> list[str]:
        """The arguments of ``heliosdb-nano``."""
        kind, name = str(arguments.get("kind", "run")), str(arguments["load"])
        port = cluster.proxy.pg_port if cluster.proxy is not None else None
        route = arguments.get("through", "any")
        if route == "proxy" and port is None:
            raise HeliosError(
                f"{name}: {cluster.path} has no proxy", sqlstate="55000",
                hint="heliosdb-nano cluster up --proxy gives it one; through = \"nodes\" goes without.",
            )  # fmt: skip
        direct = route == "nodes" or port is None
        served: Sequence[Member] = cluster.data_nodes if direct or cluster.proxy is None else [cluster.proxy]
        hosts = [f"{cluster.asked_at(one)}:{one.ports['pg']}" for one in served]
        command = ["workload", kind, "--host", ",".join(hosts)]
        for key in ("duration", "interval"):
            if key in arguments:
                command += [f"--{key}", f"{values.duration(arguments[key]):g}"]
        if kind == "run":
            command += ["--ledger", str(self._ledger(name)), "--verify"]
            command += ["--clients", str(arguments["clients"])] if "clients" in arguments else []
            command += ["--rate", str(arguments["rate"])] if "rate" in arguments else []
            command += ["--retry", f"{values.duration(arguments.get('retry', 30)):g}"]
            command += ["--reconnect"] if arguments.get("reconnect") else []
        return command

    def finish(self, name: str, *, now: bool) -> None:
        """Have it end after what is under way, if that is wanted ``now``; otherwise it ends when its time is over."""
        process = self._process(name) or self._orphan(name)
        if now and process is not None:
            process.send(signal.SIGTERM)

    def _orphan(self, name: str) -> Process | None:
        """A child whose number was never written down."""
        mark = f"{MARK}={self._mark(name)}".encode()
        for place in Path("/proc").iterdir():
            if not place.name.isdigit():
                continue
            try:
                if mark in (place / "environ").read_bytes().split(b"\0"):
                    process = identify(int(place.name))
                    if process is not None:
                        self._remember(name, process)
                    return process
            except OSError:
                continue
        return None

    def _mark(self, name: str) -> str:
        return str(self._directory.resolve() / name)

    def _remember(self, name: str, process: Process) -> None:
        record = {"pid": process.pid, "start_ticks": process.start_ticks, "boot_id": process.boot_id}
        write_text(self._record(name), json.dumps(record) + "\n")

    def _process(self, name: str) -> Process | None:
        """The child, running or gone; None when there was none."""
        try:
            content = json.loads(self._record(name).read_text(encoding="ascii"))
            return Process(int(content["pid"]), int(content["start_ticks"]), str(content["boot_id"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    # What they tell --------------------------------------------------------------------------------------------------

    def facts(self) -> dict[str, LoadFact]:
        """Every workload of the run, as far as it has got."""
        return {name: self._fact(name) for name in self._names()}

    def summaries(self) -> dict[str, list[str]]:
        """The summaries of those that have ended, as they have printed them."""
        return {name: summary(self._said(name)) for name in self._names()}

    def last_words(self, name: str) -> str:
        """The end of what it said, on one line."""
        return " / ".join(line.strip() for line in self._said(name).splitlines()[-3:] if line.strip())

    def _names(self) -> list[str]:
        return sorted(one.name.removesuffix(".process") for one in self._directory.glob("*.process"))

    def _fact(self, name: str) -> LoadFact:
        if name in self._ended:
            return self._ended[name]
        process = self._process(name)
        running = process is not None and process.state != "gone"
        said = self._said(name)
        if running:
            return self._counted_so_far(name, said)
        found = replace(counted(said), running=False)
        if not found.complete:  # it was killed, or never got to anybody
            found = replace(self._counted_so_far(name, said), running=False)
        self._ended[name] = found
        return found

    def _counted_so_far(self, name: str, said: str) -> LoadFact:
        orders = _ORDERS.findall(said)
        if orders:
            reads, writes, failed = map(int, orders[-1])
            failed = max(failed, said.count("✗ - "))
            return LoadFact(True, reads + writes + failed, failed, reads, writes)
        ledger = self._ledgers.setdefault(name, _Ledger())
        try:
            with self._ledger(name).open("rb") as file:
                file.seek(ledger.at)
                text = file.read()
        except OSError:
            return LoadFact(running=True)
        whole = text[: text.rfind(b"\n") + 1]
        ledger.at += len(whole)
        for line in whole.splitlines():
            word = line.partition(b" ")[0]
            ledger.total += word in (b"ack", b"unknown", b"refused")
            ledger.failed += word in (b"unknown", b"refused")
        return LoadFact(True, ledger.total, ledger.failed)

    def _said(self, name: str) -> str:
        try:
            return self._log(name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def _log(self, name: str) -> Path:
        return self._directory / f"{name}.log"

    def _ledger(self, name: str) -> Path:
        return self._directory / f"{name}.ledger"

    def _record(self, name: str) -> Path:
        return self._directory / f"{name}.process"


def counted(said: str) -> LoadFact:
    """What a workload has summed up; not ``complete`` when it has not."""
    if not summary(said):
        return LoadFact(running=False)
    numbers = {key: int(found[1]) for key, pattern in _COUNTED.items() if (found := pattern.search(said))}
    missing = [int(one or other) for one, other in _MISSING.findall(said)]
    gap = _GAP.search(said)
    return LoadFact(
        False, numbers.get("total", 0), numbers.get("failed", 0), numbers.get("reads"), numbers.get("writes"),
        missing[-1] if missing else None, values.duration(gap[1]) if gap else None, "total" in numbers,
    )  # fmt: skip


def summary(said: str) -> list[str]:
    """The last lines of a workload's output, from its summary on; none when there is none."""
    lines = said.splitlines()
    at = [number for number, line in enumerate(lines) if any(title in line for title in SUMMARIES)]
    if not at:
        return []
    begin = at[-1] - 1 if at[-1] and lines[at[-1] - 1].startswith("╔") else at[-1]
    return lines[begin:]


def _password(cluster: LocalCluster) -> dict[str, str]:
    """What lets a workload in where clients prove who they are; the user's own PGPASSWORD is the stronger one."""
    found = os.environ.get("PGPASSWORD") or password_of(cluster)
    return {"PGPASSWORD": found} if found else {}
