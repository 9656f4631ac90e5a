"""``completion``: completion scripts, written from the commands themselves.

They are plain text with every command and option in them; names of nodes are read from ``cluster.toml`` by the shell.
"""

from __future__ import annotations

from typing import Annotated

import typer

from helios_cli.commands import _options
from helios_cli.commands._output import print_json
from helios_cli.commands.completing.words import SHELLS

app = typer.Typer(add_completion=False)


@app.command()
def completion(
    shell: Annotated[str, typer.Argument(help="bash, zsh or fish.", metavar="SHELL")],
    as_json: _options.Json = False,
) -> int:
    """Print the completion script of a shell.

    Examples:

        heliosdb-nano completion bash > ~/.local/share/bash-completion/completions/heliosdb-nano

        heliosdb-nano completion fish > ~/.config/fish/completions/heliosdb-nano.fish
    """
    if shell not in SHELLS:
        raise typer.BadParameter(f"SHELL is one of {', '.join(SHELLS)}, not {shell!r}")
    text = script(shell)
    print_json({"shell": shell, "script": text}) if as_json else typer.echo(text, nl=False)
    return 0


def script(shell: str, program: str | None = None) -> str:
    """The script of a shell, for all three programs or for one."""
    from helios_cli.commands.completing import bash, fish, words, zsh
    from helios_cli.commands.tree import command_tree

    tree = command_tree()
    verbs = {name: words.walk(tree[name], ()) for name in ([program] if program else tree)}
    return {"bash": bash.script, "zsh": zsh.script, "fish": fish.script}[shell](verbs)
