"""``cluster hosts``: the machines of a cluster that are reached over SSH."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from helios_cli.commands import _options
from helios_cli.commands._cluster import Directory, DryRun, say
from helios_cli.commands._errors import ExitCode, Refused
from helios_cli.commands._output import print_json, print_table
from helios_cli.engine.errors import ConfigError, HeliosError

if TYPE_CHECKING:
    from helios_cli.commands.local.clusterfile import LocalCluster
    from helios_cli.commands.local.hosts import HostEntry

app = typer.Typer(
    add_completion=False, help="List and trust the machines of a cluster that are reached over SSH.",
    no_args_is_help=True,
)  # fmt: skip

Names: TypeAlias = Annotated[list[str] | None, typer.Argument(metavar="[HOST]...", help="Hosts of the file. \\[all]")]


@app.command("list")
def list_hosts(names: Names = None, directory: Directory = None, as_json: _options.Json = False) -> int:
    """Log in to each host and tell what is there; exit code 6 when one cannot be used.

    Examples:

        heliosdb-nano cluster hosts list
    """
    from helios_cli.commands.local import clusterfile
    from helios_cli.engine.remote.machine import together

    cluster = clusterfile.load(directory)
    found = together(lambda host: _looked_at(cluster, host), _chosen(cluster, names))
    if as_json:
        print_json({"hosts": found})
    else:
        print_table(
            ("host", "address", "state", "python", "program", "service", "nodes"),
            [
                (one["host"], one["address"], one["state"], one["python"] or "", one["program"] or "", one["service"],
                 ", ".join(one["nodes"]))
                for one in found
            ],
            droppable=("service", "nodes", "python"),
        )  # fmt: skip
        for one in found:
            for name in ("error", "hint"):
                if one[name]:
                    typer.echo(f"{name}: {one['host'] + ': ' if name == 'hint' else ''}{one[name]}", err=True)
    return ExitCode.OK if all(one["state"] == "ok" for one in found) else ExitCode.DEGRADED


def _looked_at(cluster: LocalCluster, host: HostEntry) -> dict[str, Any]:
    from helios_cli.commands.local import installing, machines

    found: dict[str, Any] = {
        "host": host.name, "address": str(host.login(cluster.directory)), "state": "ok", "python": None,
        "program": None, "service": host.service,
        "nodes": [one.name for one in cluster.members if one.host == host.name],
        "error": None, "hint": None,
    }  # fmt: skip
    try:
        machine = machines.of_host(cluster, host)
        found["python"] = ".".join(map(str, machine.about["python"]))
        path = machines.expanded(machine, host.program_path)
        found["program"] = installing.version(machine, path) if machine.ask("exists", path) else "not installed"
    except HeliosError as error:
        found.update(state=_word(error), error=error.message, hint=error.hint)
    return found


def _word(error: HeliosError) -> str:
    words = {"NH010": "not trusted", "28000": "no login", "08001": "unreachable"}
    return words.get(error.sqlstate, "unusable")


@app.command()
def trust(
    names: Names = None,
    directory: Directory = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Also where another key was known: the machine was made anew.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="The keys are right; do not ask.")] = False,
    dry_run: DryRun = False,
    as_json: _options.Json = False,
) -> int:
    """Show the keys of hosts that are not known yet, ask, and note them beside cluster.toml.

    Keys that ~/.ssh/known_hosts, /etc/ssh/ssh_known_hosts or host_key in the file has are known already. Whoever can
    answer in a host's place now would be trusted for ever: compare the fingerprints with those on the machines.

    Examples:

        heliosdb-nano cluster hosts trust

        heliosdb-nano cluster hosts trust db1 --replace
    """
    from helios_cli.commands.local import clusterfile, trusting

    cluster = clusterfile.load(directory)
    keys = [one for host in _chosen(cluster, names) if (one := trusting.ask(cluster, host)) is not None]
    changed = [one.host.name for one in keys if one.changed]
    for one in keys:
        if not as_json:
            again = ", not the one that was known" if one.changed else ""
            typer.echo(f"{one.host.name} {one.host.address} {one.kind} {one.fingerprint}{again}")
    if changed and not replace and not dry_run:
        raise Refused(
            f"{', '.join(changed)} shows another key than was known: somebody else may be answering there",
            hint="If the machine was made anew, add --replace.",
        )
    if keys and not dry_run and not yes and not _asks(len(keys)):
        raise Refused("no key was taken", hint="Add --yes when you have compared the fingerprints.")
    if not dry_run:
        for one in keys:
            trusting.take(cluster, one)
    record: dict[str, object] = {
        "keys": [{"host": one.host.name, "type": one.kind, "fingerprint": one.fingerprint, "key": one.key,
                  "changed": one.changed} for one in keys],
        "done": bool(keys) and not dry_run,
    }  # fmt: skip
    told = f"{'would trust' if dry_run else 'trusted'} {len(keys)} key{'s' if len(keys) > 1 else ''}"
    return say(as_json, record, told if keys else "every key is known already")


def _asks(count: int) -> bool:
    """Whether the user says yes; nobody is asked where nobody is."""
    return sys.stdin.isatty() and typer.confirm(f"Trust {'them' if count > 1 else 'it'}?")


def _chosen(cluster: LocalCluster, names: list[str] | None) -> list[HostEntry]:
    from helios_cli.commands.local import hosts

    if not cluster.hosts:
        raise ConfigError(
            f"{cluster.path} names no hosts", hint='Describe one: [hosts.db1] with address = "10.0.0.11".'
        )
    for name in names or []:
        if all(one.name != name for one in cluster.hosts):
            raise hosts.unknown(name, cluster.hosts, f"{cluster.path} has no")
    return [one for one in cluster.hosts if not names or one.name in names]
