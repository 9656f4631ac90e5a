"""The whole tree of commands, loaded: for documents and completion scripts."""

from __future__ import annotations

from typing import Any

import typer

from helios_cli.commands.root import COMMANDS, app, load_command


def command_tree() -> dict[str, Any]:
    """The command of each program, with all commands below it imported."""
    program: Any = typer.main.get_command(app)
    program.commands = {name: load_command(name, module) for name, (module, _, _) in COMMANDS.items()}
    return {
        "heliosdb-nano": program,
        "heliosdb-cli": load_command("heliosdb-cli", COMMANDS["sql"][0]),
        "heliosdb-proxy": load_command("start", COMMANDS["proxy"][0]),
    }
