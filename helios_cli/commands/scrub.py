"""``scrub``: have nodes read every page on their disks again."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from helios_cli.commands import _admin, _options
from helios_cli.commands._admin import Asked, Reach
from helios_cli.commands._errors import ExitCode
from helios_cli.commands._output import print_json
from helios_cli.commands._progress import Progress
from helios_cli.engine.errors import HeliosError

app = typer.Typer(add_completion=False)

ANSWER_S = 15.0
POLL_S = 0.2
BAR = 20
"""Characters of the bar."""


@app.command()
@_admin.orders
def scrub(
    asked: Asked,
    wait: Annotated[bool, typer.Option("--wait", help="Until it is over, with what it found.")] = False,
    rate_mb: Annotated[
        int | None,
        typer.Option(
            "--rate-mb", metavar="NUMBER", min=0, max=1 << 20, help="MB in a second, 0: no limit. \\[scrub_rate_mb]"
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0, help="With --wait: longest wait. \\[no limit]")
    ] = 0.0,
    dry_run: _admin.DryRun = False,
    as_json: _options.Json = False,
) -> int:
    """Begin a scrub now: the node reads every page on its disk again, and repairs what is damaged.

    Without --node and --data-dir all nodes of cluster.toml with data do. Exit code 6 when pages are damaged and could
    not be repaired; the node goes on, health has an alarm, and helios_scrub and the events say which pages.

    Examples:

        heliosdb-nano scrub --wait

        heliosdb-nano scrub --node 127.0.0.1:8081 --dry-run

        heliosdb-nano scrub --data-dir /var/lib/heliosdb --rate-mb 0 --wait --json
    """
    nodes = _admin.reaches(asked)
    nodes = [one for one in nodes if len(nodes) == 1 or not _admin.is_observer(one)]
    if dry_run:
        return _say_plan(nodes, as_json)
    body: dict[str, object] = {} if rate_mb is None else {"rate_mb": rate_mb}
    begun = [(one, _admin.ask(one, "scrub", body, ANSWER_S)) for one in nodes]
    if wait:
        with Progress(quiet=as_json) as progress:
            begun = _wait(begun, timeout, progress)
    if as_json:
        print_json({"scrubs": [{"node": one.name, **record} for one, record in begun]})
    else:
        for one, record in begun:
            typer.echo(f"{one.name}: {_told(record)}")
    failed = any(not record["running"] and _unfinished(record) for _, record in begun)
    bad = any(record["pages_bad"] for _, record in begun)
    return ExitCode.FAILED if wait and failed else ExitCode.DEGRADED if bad else ExitCode.OK


def _say_plan(nodes: Sequence[Reach], as_json: bool) -> int:
    """How much each node would read."""
    pages = [(one, int(_admin.status_of(one).get("database_pages") or 0)) for one in nodes]
    if as_json:
        print_json({"would_read": [{"node": one.name, "pages": count} for one, count in pages], "dry_run": True})
    else:
        for one, count in pages:
            typer.echo(f"{one.name}: would read {count} pages")
    return ExitCode.OK


def _wait(
    begun: Sequence[tuple[Reach, Mapping[str, Any]]], timeout: float, progress: Progress
) -> list[tuple[Reach, Mapping[str, Any]]]:
    """The records when every scrub is over. Raises HeliosError when that takes too long, or a node is gone."""
    give_up_at = time.monotonic() + timeout if timeout else float("inf")
    while True:
        found = [(one, _admin.status_of(one)["scrub"]) for one, _ in begun]
        running = [(one, record) for one, record in found if record["running"]]
        if not running:
            return found
        progress("   ".join(f"{one.name} {bar(record['pages_checked'], record['pages'])}" for one, record in running))
        if time.monotonic() > give_up_at:
            raise HeliosError(
                f"the scrub is not over after {timeout:g} s",
                sqlstate="57014",
                hint="It goes on; heliosdb-nano status and helios_scrub show how far it is.",
            )
        time.sleep(POLL_S)


def bar(done: int, of: int) -> str:
    """How far something is: a bar and the figures."""
    share = min(1.0, done / of) if of else 0.0
    full = int(share * BAR)
    return f"[{'#' * full}{'.' * (BAR - full)}] {share:4.0%} {done} of {of} pages"


def _unfinished(record: Mapping[str, Any]) -> bool:
    return int(record["finished_us"]) < int(record["started_us"])


def _told(record: Mapping[str, Any]) -> str:
    if record["running"]:
        return f"reading {record['pages']} pages"
    if _unfinished(record):
        return f"failed: {record['last_error'] or 'the node has stopped meanwhile'}"
    bad = record["pages_bad"]
    found = f"{bad} damaged ({', '.join(map(str, record['bad_pages']))})" if bad else "none is damaged"
    repaired = f", {record['pages_repaired']} repaired" if record["pages_repaired"] else ""
    reason = f"; {record['last_error']}" if bad and record["last_error"] else ""
    return f"{record['pages_checked']} pages read in {record['seconds']:.1f} s, {found}{repaired}{reason}"
