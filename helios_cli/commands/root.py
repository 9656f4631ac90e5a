"""The commands by name, loaded when they are called.

``--help`` and the health check of a container thereby start in a tenth of a second: Textual, paramiko or SQLite cost
more than all the rest together.
"""

from __future__ import annotations

import importlib
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from helios_cli import __version__

COMMANDS: Final = {
    "start": ("helios_cli.commands.node", "Run one node in the foreground.", "Node"),
    "server": (
        "helios_cli.commands.node",
        "Run one node, in the words of a cluster (--ha-mode, --ha-primary).",
        "Node",
    ),
    "stop": ("helios_cli.commands.stop", "Stop the node of a data directory and wait until it is gone.", "Node"),
    "health": ("helios_cli.commands.health", "Exit 0 when the node serves; made for health checks.", "Node"),
    "status": ("helios_cli.commands.health", "What the node says about itself.", "Node"),
    "cluster": ("helios_cli.commands.cluster", "Run a cluster of real processes, here or on hosts.", "Cluster"),
    "monitor": ("helios_cli.commands.monitor", "A cluster on one screen, while it works.", "Cluster"),
    "topology": ("helios_cli.commands.ha", "Who leads, who follows, how far behind.", "Cluster"),
    "switchover": ("helios_cli.commands.ha", "Give the lead to a standby; the old primary follows it.", "Cluster"),
    "promote": ("helios_cli.commands.ha", "Make a standby the primary when the old one is gone.", "Cluster"),
    "pause": ("helios_cli.commands.ha", "Suspend what the cluster does by itself, for maintenance.", "Cluster"),
    "resume": ("helios_cli.commands.ha", "End what pause began.", "Cluster"),
    "explain": ("helios_cli.commands.failover", "Why the lead is where it is, and how it was decided.", "Cluster"),
    "whatif": ("helios_cli.commands.failover", "What would become of the cluster without some nodes.", "Cluster"),
    "standby": ("helios_cli.commands.standby", "List, add and remove the standbys of a cluster.", "Cluster"),
    "proxy": (
        "helios_cli.commands.proxy",
        "Run HeliosProxy, one address for a cluster, and ask one that runs.",
        "Cluster",
    ),
    "workload": (
        "helios_cli.commands.workload",
        "Put load on a node or a cluster, and count what it acknowledged.",
        "Cluster",
    ),
    "prove": (
        "helios_cli.commands.prove",
        "Prove under faults that a cluster keeps what it acknowledged.",
        "Cluster",
    ),
    "playbook": (
        "helios_cli.commands.playbook",
        "Do something to a cluster step by step, guarded; drills and procedures.",
        "Cluster",
    ),
    "sql": ("helios_cli.commands.sql", "A SQL shell, interactive or for scripts.", "Data"),
    "user": ("helios_cli.commands.user", "Make, list, change and drop roles.", "Data"),
    "log": ("helios_cli.commands.log", "Look into the page log and verify it.", "Data"),
    "scrub": ("helios_cli.commands.scrub", "Read every page on the disk again, and repair what is damaged.", "Data"),
    "salvage": ("helios_cli.commands.salvage", "Commits that a node had and the cluster went on without.", "Data"),
    "config": ("helios_cli.commands.config", "Show, check, write and change settings.", "Machine"),
    "doctor": (
        "helios_cli.commands.doctor",
        "Check this machine, or a cluster that runs, and say what to do.",
        "Machine",
    ),
    "sim": ("helios_cli.commands.sim", "Simulate a cluster from a seed, and check what it promises.", "Machine"),
    "demo": ("helios_cli.commands.demo", "A cluster whose primary is killed under load: nobody notices.", "Machine"),
    "completion": ("helios_cli.commands.completion", "Print the completion script of a shell.", "Machine"),
    "version": ("helios_cli.commands.version", "Versions of the product and of what it stands on.", "Machine"),
}
"""Name: module with a Typer ``app``, summary, panel of the help. The order is that of the help."""


class LazyGroup(TyperGroup):
    """A group that knows its commands by name and summary, and imports one only to run it."""

    describing = False

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | TyperGroup | None:
        """The command; while help is printed only its summary. None when there is no such name."""
        if cmd_name not in COMMANDS:
            return None
        module, summary, panel = COMMANDS[cmd_name]
        if self.describing:
            return TyperCommand(name=cmd_name, help=summary, rich_help_panel=panel)
        return load_command(cmd_name, module)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help without loading any command."""
        self.describing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self.describing = False

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find a command, with every name known to the suggestions."""
        self.commands = {name: TyperCommand(name=name) for name in COMMANDS}
        return super().resolve_command(ctx, args)


def load_command(name: str, module: str) -> TyperCommand | TyperGroup:
    """Import a command. A module with several commands of its own name hands out the one asked for."""
    command = typer.main.get_command(importlib.import_module(module).app)
    if isinstance(command, TyperGroup) and name in command.commands:
        command = command.commands[name]
    assert isinstance(command, (TyperCommand, TyperGroup))
    command.name = name
    return command


app = typer.Typer(
    cls=LazyGroup, invoke_without_command=True, add_completion=False, pretty_exceptions_enable=False,
    rich_markup_mode="rich", context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip


@app.callback()
def root(
    ctx: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    """HeliosDB Nano: a replicated SQLite that speaks the PostgreSQL wire protocol.

    Exit codes: 0 ok, 1 failed, 2 usage, 3 cannot connect, 4 timeout, 5 refused as unsafe, 6 degraded.
    """
    if version:
        typer.echo(f"heliosdb-nano {__version__}")
    elif ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())
