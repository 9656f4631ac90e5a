"""``demo``: what the product is for, for anybody to watch."""

from __future__ import annotations

import secrets
import shutil
import signal
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

app = typer.Typer(add_completion=False)


@app.command()
def demo(
    seconds: Annotated[float, typer.Option("--seconds", min=1, max=3600, help="How long the load runs.")] = 20.0,
    single: Annotated[
        bool, typer.Option("--single", help="Of one node alone, killed again and again under as much load as it takes.")
    ] = False,
    kills: Annotated[int, typer.Option("--kills", min=0, max=100, help="With --single: how often it is killed.")] = 3,
    writers: Annotated[
        int, typer.Option("--writers", min=1, max=64, help="With --single: client threads that insert rows.")
    ] = 4,
    seed: Annotated[int | None, typer.Option("--seed", help="With --single: repeats the moments of the kills.")] = None,
    keep: Annotated[Path | None, typer.Option("--keep", metavar="DIR", help="Run there, and leave the data.")] = None,
    as_json: _options.Json = False,
) -> int:
    """A cluster comes up, its primary is killed under load, a standby takes over: nobody notices.

    All of it happens in a temporary directory, on free ports, by the commands that it shows. Exit code 0 when no
    statement failed and every acknowledged row is there, and with --single when not one row is lost, the log verifies
    and the node stops cleanly; else 1.

    Examples:

        heliosdb-nano demo

        heliosdb-nano demo --seconds 60 --keep play

        heliosdb-nano demo --single --seconds 60 --kills 20 --writers 16
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what Ctrl-C ends in order, this does
    directory = Path(tempfile.mkdtemp(prefix="heliosdb-demo-")) if keep is None else keep
    directory.mkdir(parents=True, exist_ok=True)
    try:
        if not single:
            from helios_cli.commands import tour

            return tour.run(directory, seconds, keeps=keep is not None, as_json=as_json)
        number = secrets.randbelow(1 << 32) if seed is None else seed
        return _drill(directory, seconds, kills, writers, number, as_json)
    finally:
        if keep is None:
            shutil.rmtree(directory, ignore_errors=True)


def _drill(directory: Path, seconds: float, kills: int, writers: int, seed: int, as_json: bool) -> int:
    from helios_cli.commands.drill.display import Display, Picture
    from helios_cli.commands.drill.drill import Plan, run_drill

    with Display(Picture(), quiet=as_json) as display:
        verdict = run_drill(directory, Plan(seconds, kills, writers, seed), display)
        display.picture.state = "verified" if verdict.passed else "failed"
    if as_json:
        print_json({**asdict(verdict), "passed": verdict.passed})
    else:
        typer.echo("\n".join(summary(verdict)))
    return ExitCode.OK if verdict.passed else ExitCode.FAILED


def summary(verdict: Verdict) -> list[str]:
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
    ]
    if verdict.passed:
        return [*lines, "VERDICT: passed. Every acknowledged row survived every kill."]
    return [*lines, "VERDICT: FAILED."]
