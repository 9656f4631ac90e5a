"""``promote``, ``switchover``, ``pause``, ``resume``, ``topology``: who leads, and who follows whom."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import typer

from helios_cli.commands import _admin, _options
from helios_cli.commands._admin import Asked, DryRun, Reach, Timeout
from helios_cli.commands._errors import ExitCode
from helios_cli.commands._output import print_json, print_line, print_table
from helios_cli.commands._progress import Progress
from helios_cli.engine.config.checks import is_loopback
from helios_cli.engine.consensus.config import address
from helios_cli.engine.errors import HeliosError

app = typer.Typer(add_completion=False)

ANSWER_S = 15.0
"""What a verb may take beyond the time it was given."""

FOLLOW_S = 15.0
NO_HOSTS = ("", "0.0.0.0", "::")
POLL_S = 0.05


@app.command()
@_admin.orders
def promote(
    asked: Asked,
    allow_data_loss: Annotated[
        bool, typer.Option("--allow-data-loss", help="Promote although acknowledged commits may be lost.")
    ] = False,
    timeout: Timeout = 30.0,
    dry_run: DryRun = False,
    as_json: _options.Json = False,
) -> int:
    """Make a standby the primary when the old one is gone; refused (exit code 5) when that would lose commits.

    Without --node and --data-dir the standby of cluster.toml with the most log is chosen.

    Examples:

        heliosdb-nano promote --dry-run

        heliosdb-nano promote --node 127.0.0.1:8081

        heliosdb-nano promote --node standby-async --allow-data-loss
    """
    nodes = _admin.reaches(asked)
    chosen = nodes[0] if len(nodes) == 1 else best_standby(nodes)
    with Progress(quiet=as_json) as progress:
        progress(f"asking {chosen.name} ({chosen.address})")
        answer = _admin.ask(chosen, "promote", {"allow_data_loss": allow_data_loss, "dry_run": dry_run}, timeout)
    say(answer, as_json)
    return ExitCode.OK


def best_standby(nodes: Sequence[Reach]) -> Reach:
    """The standby whose log goes furthest, among those that answer.

    Raises:
        HeliosError: no standby answers.
    """
    from helios_cli.commands.local.observation import lsn_of

    found = [(one, status) for one, status in _admin.statuses(nodes) if status.get("role") == "standby"]
    if not found:
        raise HeliosError("no standby of the cluster answers", hint="See heliosdb-nano cluster status.")
    return max(found, key=lambda pair: (pair[1].get("term") or 0, lsn_of(pair[1].get("flushed_lsn"))))[0]


@app.command()
@_admin.orders
def switchover(
    asked: Asked,
    to: Annotated[
        str,
        typer.Option(
            "--to", metavar="NODE", help="Id of the standby that takes over. \\[the highest failover_priority]"
        ),
    ] = "",
    timeout: Annotated[
        float,
        typer.Option("--timeout", metavar="SECONDS", min=0.1, max=3600, help="Longest time that writes may wait."),
    ] = 10.0,
    dry_run: DryRun = False,
    as_json: _options.Json = False,
) -> int:
    """Give the lead to a standby without losing anything; the old primary follows it.

    Writes wait meanwhile. When a step fails, the old primary goes on leading. Any node may be asked. Exit code 6 when
    the lead has changed, but the old primary does not follow yet.

    Examples:

        heliosdb-nano switchover --dry-run

        heliosdb-nano switchover --to standby-sync

        heliosdb-nano switchover --node db2.example.com:8080 --cluster-secret-file cluster.secret --ca ca.pem
    """  # fmt: skip
    nodes = _admin.reaches(asked)
    chosen = _admin.leader(nodes)
    body = {"to": to, "timeout_s": timeout}
    plan = _admin.ask_primary(chosen, "switchover", {**body, "dry_run": True}, ANSWER_S)
    if dry_run:
        say(plan, as_json)
        return ExitCode.OK
    places = _places(chosen)
    old, new = (str(places.get(str(plan.get(name)), {}).get("place") or plan.get(name)) for name in ("from", "to"))
    if not as_json:
        typer.echo(f"=== HeliosDB Nano Switchover ===\nOld Primary: {old}\nNew Primary: {new}\n")
        typer.echo("[1/5] Verifying node health...\n  Both nodes healthy ✓")
    body["to"] = str(plan.get("to") or to)
    answer = _admin.ask_primary(chosen, "switchover", {**body, "dry_run": False}, 2 * timeout + ANSWER_S)
    follows = _follows(places.get(str(plan.get("from")), {}).get("reach"), as_json)
    if as_json:
        print_json({**answer, "old_primary": old, "new_primary": new, "follows": follows})
    else:
        typer.echo("\n".join(_steps(answer, old, new, follows)))
    return ExitCode.OK if follows else ExitCode.DEGRADED


def _steps(answer: Mapping[str, Any], old: str, new: str, follows: bool) -> list[str]:
    """The steps of a switchover that went well, and its outcome."""
    return [
        "[2/5] Preparing old primary for demotion...\n  New writes wait ✓",
        "[3/5] Verifying replication sync...\n  Replication synchronized ✓",
        "[4/5] Promoting standby to primary...\n  New primary promoted ✓",
        "[5/5] Demoting old primary to standby...\n  "
        + ("Old primary demoted ✓" if follows else "It does not follow yet ✗"),
        "",
        "=== Switchover Complete ===",
        f"New Primary: {new}",
        f"New Standby: {old}",
        *([f"Took: {answer['took_ms']} ms, term {answer.get('term')}"] if "took_ms" in answer else []),
    ]


def _places(asked: Reach) -> dict[str, dict[str, Any]]:
    """The nodes that a node knows, by id: where clients connect, and how it is asked. Empty without an answer."""
    try:
        view = view_at(asked)
    except HeliosError:
        return {}
    return {
        str(one["node_id"]): {
            "place": address(str(one["host"]), int(one["pg_port"])),
            "reach": replace(asked, name=str(one["node_id"]), address=_beside(asked, one)),
        }
        for one in view.get("nodes", ())
    }


def _beside(asked: Reach, view: Mapping[str, Any]) -> Any:
    return replace(asked.address, host=str(view["host"]), port=int(view["http_port"]))


def _follows(old: Reach | None, quiet: bool) -> bool:
    """Wait until the old primary streams from the new one; False when it does not in time."""
    from helios_cli.commands.local.observation import local_view

    if old is None:
        return True
    end = time.monotonic() + FOLLOW_S
    with Progress(quiet=quiet) as progress:
        while time.monotonic() < end:
            progress(f"waiting: {old.name} is to follow")
            try:
                status = _admin.status_of(old, 1.0)
            except HeliosError:
                status = {}
            state = (local_view(status) or {}).get("state", "streaming")
            if status.get("role") == "standby" and state in ("streaming", "catchup"):
                return True
            time.sleep(POLL_S)
    return False


@app.command()
@_admin.orders
def pause(
    asked: Asked,
    timeout: Timeout = 10.0,
    dry_run: DryRun = False,
    as_json: _options.Json = False,
) -> int:
    """Suspend what the cluster does by itself, for maintenance; reads and writes go on.

    Examples:

        heliosdb-nano pause
    """
    return _maintain("pause", asked, timeout, dry_run, as_json)


@app.command()
@_admin.orders
def resume(
    asked: Asked,
    timeout: Timeout = 10.0,
    dry_run: DryRun = False,
    as_json: _options.Json = False,
) -> int:
    """End what `pause` began.

    Examples:

        heliosdb-nano resume
    """
    return _maintain("resume", asked, timeout, dry_run, as_json)


def _maintain(verb: str, asked: Asked, timeout: float, dry_run: bool, as_json: bool) -> int:
    nodes = _admin.reaches(asked)
    chosen = _admin.leader(nodes)
    if dry_run:
        say({"result": f"would ask {chosen.name} ({chosen.address}) to {verb}", "dry_run": True}, as_json)
        return ExitCode.OK
    say(_admin.ask_primary(chosen, verb, {}, timeout), as_json)
    return ExitCode.OK


@app.command()
@_admin.asks
def topology(
    asked: Asked,
    as_json: _options.Json = False,
) -> int:
    """Who leads, who follows, how far behind; as the primary sees it, or whoever answers.

    Examples:

        heliosdb-nano topology

        heliosdb-nano topology --node 127.0.0.1:8081 --json
    """
    teller, view = cluster_view(asked)
    if as_json:
        print_json({"seen_by": teller, **view})
        return ExitCode.OK
    mode, term, primary = (view.get(name) or "unknown" for name in ("mode", "term", "primary_id"))
    print_line(f"cluster {view.get('cluster_id')}, mode {mode}, term {term}, primary {primary}, as seen by {teller}", 0)
    rows = [row(one) for one in view["nodes"]] + [observer_row(one) for one in view.get("observers", ())]
    print_table(COLUMNS, rows, droppable=DROPPABLE)
    voters = view.get("voters") or ()
    if len(voters) > 1:
        elect = f"{len(voters) // 2 + 1} of them elect, lease {view.get('lease_ms')} ms"
        print_line(f"{', '.join(voters)} vote, {elect}", 0)
    if view.get("paused"):
        from helios_cli.commands.local.picture import PAUSED

        typer.echo(PAUSED)
    for line in gap_lines(view):
        print_line(line)
    return ExitCode.OK


COLUMNS = ("node", "role", "mode", "state", "counts", "address", "http", "applied", "lag", "lag ms", "checksum")
DROPPABLE = ("lag ms", "http", "checksum", "applied", "mode")
"""What a narrow terminal does not show."""


def row(one: Mapping[str, Any]) -> tuple[object, ...]:
    """A node of a view as a row of the table; what is not known is empty."""
    from helios_cli.commands.local.picture import size

    lag, lag_ms, checksum = one.get("lag_bytes"), one.get("lag_ms"), str(one.get("db_checksum") or "")
    return (
        one.get("node_id"), one.get("role"), one.get("mode"), one.get("state"), bool(one.get("in_sync")),
        address(str(one.get("host") or ""), int(one.get("pg_port") or 0)), one.get("http_port"), one.get("applied"),
        "" if lag is None else size(int(lag)), "" if lag_ms is None else f"{float(lag_ms):.0f}", checksum[:8],
    )  # fmt: skip


def observer_row(one: Mapping[str, Any]) -> tuple[object, ...]:
    """An observer as a row of the same table."""
    where = address(str(one.get("host") or ""), int(one.get("native_port") or 0))
    return (one.get("node_id"), "observer", "", one.get("state"), "no", where, one.get("http_port"), "", "", "", "")


def gap_lines(view: Mapping[str, Any]) -> list[str]:
    """The durability gaps that last, a line each."""
    return [
        f"durability gap: {one.get('node_id')} is missing from {one.get('from_lsn')} on ({one.get('reason')})"
        for one in view.get("gaps", ())
        if one.get("until_us") is None
    ]


def cluster_view(asked: Asked) -> tuple[str, Mapping[str, Any]]:
    """Who was asked last, and its view: of the primary when it can be reached, else of the node that answers.

    Raises:
        HeliosError: nobody answers, or the node has no view to give.
    """
    chosen = _admin.leader(_admin.reaches(asked))
    view = view_at(chosen)
    primary = next((one for one in view["nodes"] if one.get("node_id") == view.get("primary_id")), None)
    if primary is not None and not primary.get("is_local"):
        there = Reach(str(primary["node_id"]), _beside(chosen, primary))
        try:
            return there.name, view_at(there)
        except HeliosError:
            pass  # What the node at hand knows is all that can be had.
    return str(view["nodes"][0].get("node_id") or chosen.name), view


def view_at(reach: Reach) -> Mapping[str, Any]:
    """The cluster as a node has it; one that does not know where it is reached is where it was asked.

    Raises:
        HeliosError: it does not answer, or says nothing of a cluster.
    """
    view = view_of(_admin.status_of(reach))
    own, *others = view["nodes"]
    host = str(own.get("host") or "")
    if host in NO_HOSTS or (is_loopback(host) and not is_loopback(reach.address.host)):
        own = {**own, "host": reach.address.host}
    return {**view, "nodes": [own, *others]}


def view_of(status: Mapping[str, Any]) -> Mapping[str, Any]:
    """The cluster as a status record has it.

    Raises:
        HeliosError: it is not in there.
    """
    view = status.get("cluster")
    if not isinstance(view, dict) or not view.get("nodes"):
        raise HeliosError(f"node {status.get('node_id')} says nothing of a cluster", sqlstate="0A000")
    return view


def say(answer: Mapping[str, Any], as_json: bool) -> None:
    """Print the answer to a verb: its result, then the steps, then the rest by name."""
    if as_json:
        print_json(answer)
        return
    typer.echo(str(answer.get("result", "done")))
    for number, step in enumerate(answer.get("steps", ()), 1):
        typer.echo(f"  {number}. {step}")
    for name, value in answer.items():
        if name not in ("result", "steps", "dry_run", "node_id", "term") and value not in (None, "", []):
            text = ", ".join(map(str, value)) if isinstance(value, list) else value
            typer.echo(f"{name.replace('_', ' ')}: {text}")
