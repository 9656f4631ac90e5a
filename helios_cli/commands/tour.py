"""The demonstration of a cluster: commands as a person would type them, each shown before it runs."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import typer

from helios_cli.commands._errors import ExitCode
from helios_cli.commands._output import print_json
from helios_cli.commands.local import clusterfile
from helios_cli.commands.local.machines import child_environment

OUTAGE_SHARE: Final = 0.5
"""Of the load's time, for how long the old primary is away; the rest is before and after it."""


def run(directory: Path, seconds: float, *, keeps: bool, as_json: bool) -> int:
    """Run it in a directory. No process of the cluster is left, and without ``keeps`` nothing of its data."""
    began = time.monotonic()
    cluster = ["--dir", str(directory / "cluster")]
    share = (1 - OUTAGE_SHARE) / 2
    times = {"before": seconds * share, "outage": seconds * OUTAGE_SHARE, "after": seconds * share}
    sets = [word for name, value in times.items() for word in ("--set", f"{name}={value:g}s")]
    told: dict[str, Any] = {}
    try:
        code = _step("up", ["cluster", "up", *cluster, "--base-port", "0"], told, as_json)
        if code == ExitCode.OK:
            drill = ["playbook", "run", "failover-drill", *cluster, "--set", "interval=0.2s", *sets]
            code = _step("drill", drill, told, as_json)
            _step("status", ["cluster", "status", *cluster], told, as_json)
    except KeyboardInterrupt:
        _end(directory, cluster, told, keeps=keeps, as_json=as_json)
        typer.echo("interrupted: nothing of it runs any more", err=True)
        raise
    code = _end(directory, cluster, told, keeps=keeps, as_json=as_json) or code
    passed = code == ExitCode.OK
    if as_json:
        print_json({**told, "seconds": round(time.monotonic() - began, 1), "passed": passed})
    else:
        verdict = "passed. The primary was killed, and nobody noticed." if passed else "FAILED."
        typer.echo(f"\nVERDICT: {verdict} ({time.monotonic() - began:.0f} s)")
        if not keeps:
            typer.echo("heliosdb-nano demo --keep DIR leaves the logs and the report.", err=True)
    return ExitCode.OK if passed else ExitCode.FAILED


def _end(directory: Path, cluster: list[str], told: dict[str, Any], *, keeps: bool, as_json: bool) -> int:
    """Stop the cluster, whatever is pressed meanwhile; the exit code of that."""
    if not (directory / "cluster" / clusterfile.NAME).exists():
        return ExitCode.OK
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    wipe = [] if keeps else ["--wipe", "--yes"]
    return _step("down", ["cluster", "down", *cluster, "--kill", *wipe], told, as_json)


def _step(name: str, words: list[str], told: dict[str, Any], as_json: bool) -> int:
    """Run one command, which shows what it does itself; its exit code. With ``as_json`` its record goes to ``told``.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed; the command was told so, once, and has ended.
    """
    if not as_json:
        typer.secho(f"\n$ heliosdb-nano {shlex.join(words)}", bold=True)
    command = [sys.executable, "-m", "helios_cli", *words, *(["--json"] if as_json else [])]
    stdout = subprocess.PIPE if as_json else None
    # In a group of its own: a terminal would tell it of Ctrl-C too, and a second one leaves everything as it is.
    with subprocess.Popen(command, stdout=stdout, env=child_environment(os.environ), process_group=0) as process:
        try:
            text, _ = process.communicate()
        except BaseException:
            process.send_signal(signal.SIGINT)
            process.wait()
            raise
    if as_json:
        told[name] = _record(text)
    return process.returncode


def _record(text: bytes) -> Any:
    """What a command told; None when it failed without a word."""
    try:
        return json.loads(text)
    except ValueError:
        return None
