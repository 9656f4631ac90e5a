"""Playbooks from the monitor: run by a process of their own, which goes on when the monitor ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Final

from helios_cli.commands._errors import ExitCode, Refused
from helios_cli.commands.local import machines
from helios_cli.commands.local.clusterfile import LocalCluster
from helios_cli.engine.errors import HeliosError
from helios_cli.tui.gateway import Plan

DRY_RUN_S: Final = 30.0
TOLD: Final = 12
"""Lines of what a playbook said that are shown."""


def names() -> list[tuple[str, str]]:
    """Name and summary of each that is shipped."""
    found = json.loads(_run(["list", "--json"], DRY_RUN_S).stdout)
    return [(str(one["name"]), str(one["summary"])) for one in found["playbooks"]]


def plan(name: str, cluster: LocalCluster) -> Plan:
    """What a playbook would do.

    Raises:
        Refused: a step would not get what it needs. HeliosError: its dry run fails.
    """
    done = _run(["run", name, "--dry-run", "--dir", str(cluster.directory)], DRY_RUN_S)
    lines = tuple(done.stdout.splitlines())
    if done.returncode == ExitCode.REFUSED:
        raise Refused("a step would not get what it needs", detail=" / ".join(line.strip() for line in lines[-3:]))
    _check(done, "its dry run failed")
    return Plan(lines, f"heliosdb-nano playbook run {name} --dir {cluster.directory}")


def carry_out(name: str, cluster: LocalCluster) -> list[str]:
    """Run a playbook to its end: the last that it said.

    Raises:
        HeliosError: it failed, or was refused.
    """
    done = _run(["run", name, "--dir", str(cluster.directory)], None)
    _check(done, "it failed")
    return [f"{name} is done", *done.stdout.splitlines()[-TOLD:]]


def _run(arguments: list[str], timeout_s: float | None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "helios_cli", "playbook", *arguments]
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, check=False,
            start_new_session=True, env=machines.child_environment(os.environ),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise HeliosError(f"no answer within {timeout_s:g} s: {' '.join(command[1:])}", sqlstate="57014") from None


def _check(done: subprocess.CompletedProcess[str], what: str) -> None:
    if done.returncode == 0:
        return
    said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()][-3:]
    hint = next((line.removeprefix("hint: ") for line in said if line.startswith("hint: ")), None)
    told = " / ".join(line.strip().removeprefix("error: ") for line in said if not line.startswith("hint: "))
    hint = hint or "heliosdb-nano playbook report shows the run."
    raise HeliosError(f"{what}, exit code {done.returncode}: {told}", sqlstate="XX000", hint=hint)
