"""``cluster install``, ``upgrade`` and ``units``: the program on hosts, and who keeps it running."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from helios_cli.commands import _options
from helios_cli.commands._cluster import Directory, DryRun, Timeout, say
from helios_cli.commands._errors import ExitCode
from helios_cli.commands._output import print_json, print_table
from helios_cli.commands._progress import Progress
from helios_cli.engine.errors import ConfigError, HeliosError

if TYPE_CHECKING:
    from helios_cli.commands.local.clusterfile import LocalCluster, LocalNode, Member
    from helios_cli.commands.local.installing import Installed, Program
    from helios_cli.commands.local.observation import Observation
    from helios_cli.commands.local.upgrading import Turn

Names: TypeAlias = Annotated[
    list[str] | None, typer.Argument(metavar="[NODE]...", help="Nodes, or proxy. \\[all that are on hosts]")
]
ProgramFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--program", metavar="FILE", help="Single-file executable, or a .whl. \\[this one, or dist/heliosdb-nano]"
    ),
]


def install(
    nodes: Names = None,
    program: ProgramFile = None,
    directory: Directory = None,
    dry_run: DryRun = False,
    as_json: _options.Json = False,
) -> int:
    """Put the program on the hosts of cluster.toml over SSH and check it there; write units where systemd keeps nodes.

    A host needs python3 and nothing else. What has arrived is compared by its checksum and run once. Nodes that run
    go on with what they have: cluster upgrade renews them.

    Examples:

        heliosdb-nano cluster install

        heliosdb-nano cluster install standby-sync --program dist/heliosdb-nano --dry-run
    """
    from helios_cli.commands.local import clusterfile, installing
    from helios_cli.engine.remote.machine import together

    cluster = clusterfile.load(directory)
    members = _on_hosts(cluster, nodes)
    hosts = [one for one in cluster.hosts if any(member.host == one.name for member in members)]
    wanted = installing.program(program)
    if dry_run:
        return _say_plan(cluster, members, wanted, as_json)
    with Progress(quiet=as_json) as progress:
        tell = installing.Telling([one.name for one in hosts], progress)
        done = together(lambda host: installing.install(cluster, host, wanted, tell.of(host.name)), hosts)
        units = _write_units(cluster, members)
    return _say_installed(done, units, as_json)


def _on_hosts(cluster: LocalCluster, names: list[str] | None) -> list[Member]:
    """What is meant, which has to be on hosts."""
    if not cluster.hosts:
        raise ConfigError(
            f"{cluster.path} names no hosts",
            hint='Describe one: [hosts.db1] with address = "10.0.0.11"; then host = "db1" below [[nodes]].',
        )
    found = [cluster.member(name) for name in dict.fromkeys(names or [])] or [
        one for one in cluster.members if one.host
    ]
    here = ", ".join(one.name for one in found if not one.host)
    if here or not found:
        raise ConfigError(
            f"{here} runs on this machine, as this very program"
            if here
            else f"{cluster.path} has nothing on its hosts",
            hint=f'Write host = "{cluster.hosts[0].name}" below its [[nodes]] in {cluster.path}.',
        )
    return found


def _say_plan(cluster: LocalCluster, members: list[Member], wanted: Program, as_json: bool) -> int:
    from helios_cli.commands.local import installing, machines, units
    from helios_cli.engine.remote.machine import together

    hosts = [one for one in cluster.hosts if any(member.host == one.name for member in members)]
    there = together(lambda host: installing.has(machines.of_host(cluster, host), host.program_path), hosts)
    records = [
        {
            "host": host.name, "path": host.program_path, "sha256": wanted.sha256,
            "put": has != wanted.sha256,
            "units": [units.path_of(host, one) for one in members if one.host == host.name and host.is_systemd],
        }
        for host, has in zip(hosts, there, strict=True)
    ]  # fmt: skip
    if as_json:
        print_json({"install": records, "done": False})
        return ExitCode.OK
    for one in records:
        does = f"would put {wanted.file} at" if one["put"] else "has it already:"
        typer.echo(f"{one['host']} {does} {one['path']}")
        for path in one["units"] if isinstance(one["units"], list) else []:
            typer.echo(f"{one['host']} would get {path}")
    return ExitCode.OK


def _say_installed(done: list[Installed], units: list[str], as_json: bool) -> int:
    if as_json:
        print_json({
            "installed": [
                {"host": one.host, "path": one.path, "sha256": one.sha256, "version": one.version, "new": one.is_new}
                for one in done
            ],
            "units": units,
            "done": True,
        })  # fmt: skip
        return ExitCode.OK
    print_table(("host", "version", "checksum", "path", ""), [
        (one.host, one.version, one.sha256[:12], one.path, "new" if one.is_new else "was there") for one in done
    ])  # fmt: skip
    for path in units:
        typer.echo(f"wrote {path}")
    return ExitCode.OK


def _write_units(cluster: LocalCluster, members: list[Member]) -> list[str]:
    """Have the units of these where systemd keeps them; their paths."""
    from helios_cli.commands.local import clusterfile, machines, processes, proxyfile, units
    from helios_cli.engine.remote.machine import together

    kept = [one for one in members if (host := cluster.host_of(one)) is not None and host.is_systemd]
    if not kept:
        return []
    clusterfile.create_secret(cluster)
    proxyfile.write(cluster)
    machines.equip(cluster, kept)

    def write(member: Member) -> str:
        host = cluster.host_of(member)
        assert host is not None
        arguments = processes.command_line(cluster, member, _joins(cluster, member))
        units.install(machines.of_host(cluster, host), cluster, member, arguments)
        return f"{host.name}:{units.path_of(host, member)}"

    return together(write, kept)


def _joins(cluster: LocalCluster, member: Member) -> LocalNode | None:
    """Whom an empty directory follows."""
    first = next((one for one in cluster.nodes if one.role == "primary"), None)
    return None if first is member else first


def upgrade(
    program: ProgramFile = None,
    directory: Directory = None,
    timeout: Timeout = 120.0,
    dry_run: DryRun = False,
    as_json: _options.Json = False,
) -> int:
    """Renew every node with another program, one after the other, under running clients.

    Observers and standbys first, then the lead moves, then the old primary, then the proxy. After each the cluster has
    to be whole again, else the upgrade stops there. Begun again, it goes on. On this machine nodes are restarted as
    this very program.

    Examples:

        heliosdb-nano cluster upgrade --program dist/heliosdb-nano

        heliosdb-nano cluster upgrade --dry-run
    """
    from helios_cli.commands.local import clusterfile, installing, upgrading, whole

    cluster = clusterfile.load(directory)
    has_hosts = any(one.host for one in cluster.members)
    if program is not None and not has_hosts:
        raise ConfigError("--program is for hosts; nodes of this machine run as this very program")
    wanted = installing.program(program) if has_hosts else None
    with Progress(quiet=as_json) as progress:
        renewal = upgrading.Upgrade(cluster, wanted, timeout, progress, progress.say)
        progress("looking at the nodes")
        seen = _calm(cluster, upgrading.CALM_S)
        renewed = renewal.renewed()
        turns = upgrading.turns(cluster, seen, renewed)
        if not dry_run:
            for turn in turns:
                try:
                    renewal.do(turn)
                except HeliosError as error:
                    raise upgrading.failed(turn, error) from None
            seen = whole.wait_whole(cluster, timeout, progress)
    return _say_upgrade(turns, renewed, [] if dry_run else seen, dry_run, as_json)


def _say_upgrade(turns: list[Turn], renewed: list[str], seen: list[Observation], dry_run: bool, as_json: bool) -> int:
    record: dict[str, object] = {
        "steps": [{"do": one.verb, "node": one.member.name} for one in turns],
        "left_alone": renewed, "versions": {one.node.name: one.status.get("version") for one in seen},
        "done": not dry_run,
    }  # fmt: skip
    lines = [f"would {one.sentence}" for one in turns] if dry_run else []
    lines += [f"left alone, it is renewed already: {name}" for name in renewed]
    if not dry_run:
        versions = ", ".join(sorted({str(one.status.get("version")) for one in seen}))
        lines.append(f"renewed {sum(one.verb == 'renew' for one in turns)}, version {versions}")
    return say(as_json, record, "\n".join(lines))


def _calm(cluster: LocalCluster, seconds: float) -> list[Observation]:
    """The nodes when nothing is lacking, or as they are after some time."""
    from helios_cli.commands.local import observation, whole

    try:
        return whole.wait_whole(cluster, seconds)
    except HeliosError:
        return observation.observe(cluster)


def units(
    nodes: Names = None,
    directory: Directory = None,
    system: Annotated[
        bool | None, typer.Option("--system/--user", help="For which manager. \\[as service says; else the system's]")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Write them there.")] = None,
    as_json: _options.Json = False,
) -> int:
    """The systemd units of nodes and proxy, as cluster install writes them where service is systemd.

    Examples:

        heliosdb-nano cluster units primary

        heliosdb-nano cluster units --user --out ~/.config/systemd/user
    """
    from helios_cli.commands.local import clusterfile, processes
    from helios_cli.commands.local import units as unit_files

    cluster = clusterfile.load(directory)
    texts: dict[str, str] = {}
    for one in [cluster.member(name) for name in dict.fromkeys(nodes or [])] or cluster.members:
        host = cluster.host_of(one)
        is_system = system if system is not None else host is None or host.service != "systemd-user"
        arguments = processes.command_line(cluster, one, _joins(cluster, one))
        texts[unit_files.name_of(one)] = unit_files.text(cluster, one, arguments, is_system=is_system)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            clusterfile.write_text(out / name, text)
        return say(
            as_json, {"units": [str(out / name) for name in texts]}, "\n".join(f"wrote {out / name}" for name in texts)
        )
    return say(as_json, {"units": texts}, "\n".join(f"# {name}\n{text}" for name, text in texts.items()).rstrip())


VERBS = (install, upgrade, units)
