"""``demo``: a drill that anybody can watch."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from helios_cli.commands import _options
from helios_cli.commands._errors import ExitCode
from helios_cli.commands._output import print_json

if TYPE_CHECKING:
    from helios_cli.commands.drill.drill import Verdict
    from helios_cli.commands.drill.failover import Failover

app = typer.Typer(add_completion=False)


@app.command()
def demo(
    seconds: Annotated[float, typer.Option("--seconds", min=1, max=3600, help="How long the load runs.")] = 15.0,
    kills: Annotated[int, typer.Option("--kills", min=0, max=100, help="How often the node is killed.")] = 3,
    writers: Annotated[int, typer.Option("--writers", min=1, max=64, help="Client threads that insert rows.")] = 4,
    single: Annotated[
        bool, typer.Option("--single", help="Without the second part, a primary and its standby.")
    ] = False,
    seed: Annotated[int | None, typer.Option("--seed", help="Repeats the moments of the kills.")] = None,
    keep: Annotated[Path | None, typer.Option("--keep", metavar="DIR", help="Run there, and leave the data.")] = None,
    as_json: _options.Json = False,
) -> int:
    """Kill a node under load, then a primary and promote its standby, and count every row that was acknowledged.

    All of it happens in a temporary directory. Exit code 0 when not one row is lost, the log verifies, the node stops
    cleanly and the two nodes end up equal; else 1.

    Examples:

        heliosdb-nano demo

        heliosdb-nano demo --seconds 60 --kills 20 --writers 16

        heliosdb-nano demo --json
    """
    from helios_cli.commands.drill.display import Display, Picture
    from helios_cli.commands.drill.drill import Plan, run_drill
    from helios_cli.commands.drill.failover import run_failover

    plan = Plan(seconds, kills, writers, secrets.randbelow(1 << 32) if seed is None else seed)
    directory = Path(tempfile.mkdtemp(prefix="heliosdb-demo-")) if keep is None else keep
    directory.mkdir(parents=True, exist_ok=True)
    try:
        with Display(Picture(), quiet=as_json) as display:
            verdict = run_drill(directory, plan, display)
            failover = None if single else run_failover(directory, writers, display)
            passed = verdict.passed and (failover is None or failover.passed)
            display.picture.state = "verified" if passed else "failed"
    finally:
        if keep is None:
            shutil.rmtree(directory, ignore_errors=True)
    if as_json:
        print_json({**asdict(verdict), "failover": asdict(failover) if failover else None, "passed": passed})
    else:
        typer.echo("\n".join(summary(verdict, failover)))
    return ExitCode.OK if passed else ExitCode.FAILED


def summary(verdict: Verdict, failover: Failover | None) -> list[str]:
    """The outcome for people, the verdict last."""
    account = verdict.account
    recoveries = ", ".join(f"{one:.0f}" for one in verdict.recovery_ms) or "none"
    lines = [
        "",
        f"acknowledged rows    {account.acknowledged:,} ({verdict.rows_per_s:,.0f} a second, {verdict.seconds:g} s)",
        f"kills                {verdict.kills}; recovered after {recoveries} ms",
        f"lost rows            {account.lost}",
        f"wrong rows           {account.wrong}",
        f"unanswered but kept  {account.kept_unanswered}",
        f"log verify           {'ok' if verdict.log_verified else 'FAILED'}: {verdict.log_report}",
        f"node stopped with    {verdict.exit_code}",
        *(f"unexpected error     {text}" for text in verdict.refused[:5]),
        f"repeat with          --seed {verdict.seed}",
        "",
        *(_failover_lines(failover) if failover is not None else ()),
    ]
    if verdict.passed and (failover is None or failover.passed):
        return [*lines, "VERDICT: passed. Every acknowledged row survived every kill."]
    return [*lines, "VERDICT: FAILED."]


def _failover_lines(failover: Failover) -> list[str]:
    """The outcome of the second part."""
    same = "equal" if len(set(failover.checksums)) == 1 else "DIFFERENT"
    return [
        "a primary killed, its standby promoted",
        f"acknowledged rows    {failover.acknowledged:,}",
        f"writes waited        {failover.write_gap_ms:,.0f} ms",
        f"lost rows            {failover.lost}, on either node",
        f"wrong rows           {failover.wrong}, on either node",
        f"unanswered           {failover.unknown}",
        f"both databases       {same}: {', '.join(failover.checksums)}",
        "",
    ]
