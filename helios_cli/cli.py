"""The three programs: ``heliosdb-nano``, its shell ``heliosdb-cli``, and its proxy ``heliosdb-proxy``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import typer

from helios_cli.commands import _errors
from helios_cli.commands.root import COMMANDS, app, load_command


def run(command: Any, arguments: Sequence[str], program: str) -> int:
    """Run a command and turn every outcome into an exit code; nothing but a bug leaves a traceback."""
    arguments = list(arguments)
    if not __debug__:  # assertions guard the log: without them a bug could reach the disk
        typer.echo("error: Python's -O (PYTHONOPTIMIZE) takes the assertions away that protect your data", err=True)
        typer.echo(f"hint: run {program} without it", err=True)
        return _errors.ExitCode.USAGE
    try:
        result = command.main(args=arguments, prog_name=program, standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return _errors.ExitCode.FAILED
    except (Exception, KeyboardInterrupt) as error:
        return _errors.report(error, program, as_json="--json" in arguments)
    return result if isinstance(result, int) else _errors.ExitCode.OK


def main(arguments: Sequence[str] | None = None) -> int:
    """``heliosdb-nano``."""
    return run(typer.main.get_command(app), sys.argv[1:] if arguments is None else arguments, "heliosdb-nano")


def main_sql(arguments: Sequence[str] | None = None) -> int:
    """``heliosdb-cli``: the shell alone."""
    command = load_command("heliosdb-cli", COMMANDS["sql"][0])
    return run(command, sys.argv[1:] if arguments is None else arguments, "heliosdb-cli")


def main_proxy(arguments: Sequence[str] | None = None) -> int:
    """``heliosdb-proxy``: ``heliosdb-nano proxy start`` alone."""
    command = load_command("start", COMMANDS["proxy"][0])
    command.name = "heliosdb-proxy"
    return run(command, sys.argv[1:] if arguments is None else arguments, "heliosdb-proxy")
