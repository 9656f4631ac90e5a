"""``explain failover`` and ``whatif``: why the lead is where it is, and what would become of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from helios_cli.commands import _admin, _options
from helios_cli.commands._admin import Asked
from helios_cli.commands._errors import ExitCode
from helios_cli.commands._output import print_json, print_table

app = typer.Typer(add_completion=False)
explain = typer.Typer(add_completion=False, no_args_is_help=True, help="Why something is as it is.")
app.add_typer(explain, name="explain")

ANSWER_S = 15.0
LIMIT = 20


@explain.command("failover")
@_admin.orders
def explain_failover(
    asked: Asked,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many decisions of before.")] = LIMIT,
    as_json: _options.Json = False,
) -> int:
    """Who leads and why, who would when a node is lost, and how it was decided before; as one node knows it.

    Examples:

        heliosdb-nano explain failover

        heliosdb-nano explain failover --node standby-sync --limit 100 --json
    """
    reach = _admin.leader(_admin.reaches(asked))
    answer = _admin.ask(reach, "explain/failover", {"limit": limit}, ANSWER_S)
    if as_json:
        print_json(answer)
        return ExitCode.OK
    typer.echo(f"as {answer['node_id']} knows it:")
    for sentence in answer["now"]:
        typer.echo(f"  {sentence}")
    typer.echo("\nif a node is lost:")
    rows = [(", ".join(one["lost"]), one["kind"], one["primary"] or "", one["sentence"]) for one in answer["losses"]]
    print_table(("lost", "then", "primary", "why"), rows)
    typer.echo("\ndecisions, the newest last:" if answer["decisions"] else "\nno decision was needed yet")
    for one in answer["decisions"]:
        _tell(one)
    return ExitCode.OK


def _tell(one: Mapping[str, Any]) -> None:
    at = datetime.fromtimestamp(one["time_us"] / 1e6, UTC)
    typer.echo(f"  {at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}  {one['sentence']}")
    for ballot in one.get("ballots", ()):
        typer.echo(f"{'':27}{ballot['why']}")
    if one.get("change"):
        typer.echo(f"{'':27}{one['change']}")


@app.command()
@_admin.orders
def whatif(
    asked: Asked,
    lost: Annotated[list[str], typer.Argument(metavar="lose NODE,...", help="The word lose, then the nodes.")],
    as_json: _options.Json = False,
) -> int:
    """What would become of the cluster without some of its nodes, by the rules it goes by. Nothing is changed.

    Exit code 5 when writes would not go on by themselves.

    Examples:

        heliosdb-nano whatif lose primary

        heliosdb-nano whatif lose primary,standby-sync --json
    """
    if len(lost) < 2 or lost[0] != "lose":
        raise typer.BadParameter("say what is lost: whatif lose NODE[,NODE...]")
    names = [name for text in lost[1:] for name in text.split(",") if name]
    reach = _admin.leader(_admin.reaches(asked))
    answer = _admin.ask(reach, "whatif", {"lose": names}, ANSWER_S)
    if as_json:
        print_json(answer)
    else:
        typer.echo(answer["sentence"])
        if answer["hint"]:
            typer.echo(answer["hint"])
    return ExitCode.OK if answer["automatic"] else ExitCode.REFUSED
