"""``explain failover`` and ``whatif``: why the lead is where it is, and what would become of it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from helios_cli.commands import _admin, _options
from helios_cli.commands._admin import Asked, Reach
from helios_cli.commands._errors import ExitCode
from helios_cli.commands._output import plain, print_json, print_line, print_table
from helios_cli.engine.errors import HeliosError

app = typer.Typer(add_completion=False)
explain = typer.Typer(add_completion=False, no_args_is_help=True, help="Why something is as it is.")
app.add_typer(explain, name="explain")

ANSWER_S = 15.0
LIMIT = 20
HANG = 33
"""Where the sentences of decisions begin."""


@explain.command("failover")
@_admin.orders
def explain_failover(
    asked: Asked,
    number: Annotated[
        int | None, typer.Argument(metavar="ID", help="One decision of the node, and what it saw around it. \\[all]")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many decisions of before.")] = LIMIT,
    as_json: _options.Json = False,
) -> int:
    """Who leads and why, who would when a node is lost, and how it was decided before; as one node knows it.

    Numbers of decisions are each node's own: name the node with them.

    Examples:

        heliosdb-nano explain failover

        heliosdb-nano explain failover 17 --node standby-sync

        heliosdb-nano explain failover --node standby-sync --limit 100 --json
    """
    reach = _admin.leader(_admin.reaches(asked))
    if number is not None:
        return _recall(reach, number, as_json)
    answer = _admin.ask(reach, "explain/failover", {"limit": limit}, ANSWER_S)
    if as_json:
        print_json(answer)
        return ExitCode.OK
    typer.echo(f"as {answer['node_id']} knows it:")
    for sentence in answer["now"]:
        print_line(f"  {sentence}")
    typer.echo("\nif a node is lost:")
    rows = [(", ".join(one["lost"]), one["kind"], one["primary"] or "", one["sentence"]) for one in answer["losses"]]
    print_table(("lost", "then", "primary", "why"), rows)
    typer.echo("\ndecisions, the newest last:" if answer["decisions"] else "\nno decision was needed yet")
    for one in answer["decisions"]:
        _tell(one)
    return ExitCode.OK


def _recall(reach: Reach, number: int, as_json: bool) -> int:
    answer = _admin.ask(reach, "explain/failover", {"id": number}, ANSWER_S)
    if as_json:
        print_json(answer)
        return ExitCode.OK
    decision = answer["decision"]
    typer.echo(f"decision {number} of {answer['node_id']}: {decision['kind']}")
    for name in ("term", "old_primary", "new_primary", "automatic", "reason"):
        if decision.get(name) is not None:
            print_line(f"  {name.replace('_', ' ')}: {plain(decision[name])}")
    typer.echo("\nwhat the node saw, the newest last:")
    for one in sorted((decision, *answer["around"]), key=lambda one: (one["time_us"], one["id"])):
        _tell(one)
    return ExitCode.OK


def _tell(one: Mapping[str, Any]) -> None:
    at = datetime.fromtimestamp(one["time_us"] / 1e6, UTC)
    print_line(f"{one['id']:>6}  {at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}  {one['sentence']}", HANG)
    for ballot in one.get("ballots", ()):
        print_line(f"{'':{HANG}}{ballot['why']}", HANG)
    if one.get("change"):
        print_line(f"{'':{HANG}}{one['change']}", HANG)


@app.command()
@_admin.orders
def whatif(
    asked: Asked,
    words: Annotated[
        list[str], typer.Argument(metavar="lose NODE,... | cut A|B", help="lose and nodes, or cut and groups of nodes.")
    ],
    as_json: _options.Json = False,
) -> int:
    """What would become of the cluster without some of its nodes, or cut in two: who takes writes, what may be lost.

    By the rules and timers that it goes by, how far its nodes are now, and its failovers of before; nothing is changed.
    Nodes that no group names keep all their links. Exit code 5 when writes would not go on by themselves.

    Examples:

        heliosdb-nano whatif lose primary

        heliosdb-nano whatif lose primary,standby-sync --json

        heliosdb-nano whatif cut "primary|standby-sync,observer"
    """
    verb, *rest = words
    named = " ".join(rest).replace(" ", ",") if verb == "lose" else "".join(rest)
    groups = [[name.strip() for name in group.split(",") if name.strip()] for group in named.split("|")]
    if verb not in ("lose", "cut") or not all(groups) or (verb == "lose" and len(groups) > 1):
        raise typer.BadParameter('say what is lost or cut: whatif lose NODE[,NODE...], or whatif cut "A,B|C"')
    nodes = _admin.reaches(asked)
    body: dict[str, object] = {"lose": groups[0]} if verb == "lose" else {"cut": groups}
    answer = dict(_admin.ask(_admin.leader(nodes), "whatif", body, ANSWER_S))
    answer["past"] = _past(nodes, body) if len(nodes) > 1 else answer["past"]
    print_json(answer) if as_json else _foretell(answer)
    return ExitCode.OK if answer["automatic"] else ExitCode.REFUSED


def _past(nodes: Sequence[Reach], body: Mapping[str, object]) -> list[Mapping[str, Any]]:
    """The failovers that the nodes remember, each its own, the oldest first; of those that can be asked now."""
    found: list[Mapping[str, Any]] = []
    for reach, status in _admin.statuses(nodes):
        if status.get("role") != "observer":
            with contextlib.suppress(HeliosError):
                found += _admin.ask(reach, "whatif", body, ANSWER_S)["past"]
    return sorted(found, key=lambda one: int(one["time_us"]))


def _foretell(answer: Mapping[str, Any]) -> None:
    sides = [f"  {', '.join(side['nodes'])}: {side['sentence']}" for side in answer.get("sides", ())]
    hint = [answer["hint"]] if answer["hint"] else []
    rpo, rto = (f"{name.upper()}: {answer[name]['sentence']}" for name in ("rpo", "rto"))
    for line in (answer["sentence"], *hint, *sides, rpo, rto):
        print_line(line)
    past = [one["ms"] / 1000 for one in answer["past"]]
    if len(past) == 1:
        typer.echo(f"before: 1 failover, {past[0]:.1f} s without a primary")
    elif past:
        spread = f"{min(past):.1f} to {max(past):.1f} s without a primary, the last {past[-1]:.1f} s"
        typer.echo(f"before: {len(past)} failovers, {spread}")
