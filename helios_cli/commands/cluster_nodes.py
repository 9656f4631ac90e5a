"""The verbs of ``cluster`` that do something to one process: a node, or the proxy."""

from __future__ import annotations

import signal
from typing import Annotated

import typer

from helios_cli.commands import _options
from helios_cli.commands._cluster import Directory, DryRun, Hard, Node, Timeout, print_plan, say, show


def kill(node: Node, directory: Directory = None, dry_run: DryRun = False, as_json: _options.Json = False) -> int:
    """SIGKILL to a node: what a crash of its process is to the others.

    Examples:

        heliosdb-nano cluster kill @primary

        heliosdb-nano cluster kill standby-sync --dir q
    """
    return _signal(node, directory, signal.SIGKILL, "killed", dry_run, as_json)


def freeze(node: Node, directory: Directory = None, dry_run: DryRun = False, as_json: _options.Json = False) -> int:
    """SIGSTOP to a node: it keeps its ports and connections, and does nothing.

    Examples:

        heliosdb-nano cluster freeze standby-async
    """
    return _signal(node, directory, signal.SIGSTOP, "frozen", dry_run, as_json)


def thaw(node: Node, directory: Directory = None, dry_run: DryRun = False, as_json: _options.Json = False) -> int:
    """SIGCONT to a node that was frozen.

    Examples:

        heliosdb-nano cluster thaw standby-async
    """
    return _signal(node, directory, signal.SIGCONT, "thawed", dry_run, as_json)


def _signal(name: str, directory: str | None, number: signal.Signals, done: str, dry_run: bool, as_json: bool) -> int:
    from helios_cli.commands.local import acts, clusterfile

    doing = acts.Acts(clusterfile.load(directory))
    name = doing.member(name).name
    process = doing.running(name)
    if not dry_run:
        {signal.SIGKILL: doing.kill, signal.SIGSTOP: doing.freeze, signal.SIGCONT: doing.thaw}[number](name)
    told = f"would send {number.name} to" if dry_run else done
    record: dict[str, object] = {"node": name, "pid": process.pid, "signal": number.name, "done": not dry_run}
    return say(as_json, record, f"{told} {name}, process {process.pid}")


def start(
    node: Annotated[str, typer.Argument(metavar="NODE", help="Name of the node, or proxy.")],
    directory: Directory = None,
    timeout: Timeout = 60.0,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Until it leads, streams or serves.")] = True,
    dry_run: DryRun = False,
    as_json: _options.Json = False,
) -> int:
    """Start a node that is down, and wait until it leads or streams. One that runs is left alone.

    Examples:

        heliosdb-nano cluster start standby-sync

        heliosdb-nano cluster start primary --no-wait
    """
    from helios_cli.commands.local import acts, bringup, clusterfile, launch

    doing = acts.Acts(cluster := clusterfile.load(directory))
    wanted = cluster.member(node)
    if dry_run:
        steps = [step for step in launch.plan(cluster, doing.observe()) if step.node == wanted]
        return print_plan(cluster, steps, as_json)
    with bringup.BringUp(cluster, quiet=as_json) as display:
        seen = doing.start(node, timeout, wait=wait, tell=display, saw=display.saw)
    return show(cluster, seen, as_json)


def stop(
    node: Node,
    directory: Directory = None,
    timeout: Timeout = 30.0,
    hard: Hard = False,
    dry_run: DryRun = False,
    as_json: _options.Json = False,
) -> int:
    """Have a node end in order. A primary whose cluster elects gives its place to a standby first.

    One that is down is left alone, and is no error.

    Examples:

        heliosdb-nano cluster stop standby-async

        heliosdb-nano cluster stop @primary --dry-run
    """
    from helios_cli.commands.local import acts, clusterfile

    doing = acts.Acts(clusterfile.load(directory))
    name = doing.member(node).name
    process = doing.process(name)
    if process is not None and not dry_run:
        doing.stop(name, timeout, hard=hard)
    told = f"{'would stop' if dry_run else 'stopped'} {name}, process {process.pid}" if process else f"{name} is down"
    done = process is not None and not dry_run
    return say(as_json, {"node": name, "pid": process.pid if process else None, "done": done}, told)


def restart(
    node: Node,
    directory: Directory = None,
    timeout: Timeout = 60.0,
    hard: Hard = False,
    dry_run: DryRun = False,
    as_json: _options.Json = False,
) -> int:
    """Stop a node in order, start it again, and wait until it leads or streams. One that is down is started.

    Examples:

        heliosdb-nano cluster restart standby-sync

        heliosdb-nano cluster restart proxy
    """
    from helios_cli.commands.local import acts, bringup, clusterfile

    doing = acts.Acts(cluster := clusterfile.load(directory))
    name = doing.member(node).name
    process = doing.process(name)
    if dry_run:
        told = f"would stop {name}, process {process.pid}, and start it" if process else f"would start {name}"
        return say(as_json, {"node": name, "pid": process.pid if process else None, "done": False}, told)
    with bringup.BringUp(cluster, quiet=as_json) as display:
        if process is not None:
            doing.stop(name, timeout, hard=hard)
            display.say(f"stopped {name}, process {process.pid}")
        seen = doing.start(name, timeout, tell=display, saw=display.saw)
    return show(cluster, seen, as_json)


VERBS = (start, stop, restart, kill, freeze, thaw)
