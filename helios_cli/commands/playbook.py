"""``playbook``: what is done to a cluster step by step, guarded, written down, and gone on with after a crash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from helios_cli.commands import _options
from helios_cli.commands._errors import ExitCode, Refused
from helios_cli.commands._output import print_json, print_line, print_table
from helios_cli.engine.errors import HeliosError

if TYPE_CHECKING:
    from helios_cli.commands.local.clusterfile import LocalCluster
    from helios_cli.commands.playing.runs import Run
    from helios_cli.engine.playbook.facts import Facts
    from helios_cli.engine.playbook.model import Do, Playbook
    from helios_cli.engine.playbook.plan import Plan

app = typer.Typer(
    add_completion=False, no_args_is_help=True,
    help="Do something to a cluster step by step: guarded, written down, gone on with after a crash.",
)  # fmt: skip

Named = Annotated[str, typer.Argument(metavar="NAME|FILE", help="A shipped playbook, or the path of one.")]
RunName = Annotated[str | None, typer.Argument(metavar="RUN", help="As playbook report --all lists it.")]
Directory = Annotated[
    str | None,
    typer.Option("--dir", metavar="DIR", help="Directory of the cluster and its cluster.toml (HELIOSDB_CLUSTER)."),
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="NAME=VALUE", help="A variable of the playbook; may be repeated."),
]

OUTCOMES: Final = {
    "done": ExitCode.OK, "failed": ExitCode.FAILED, "timeout": ExitCode.TIMEOUT, "refused": ExitCode.REFUSED,
    "stopped": ExitCode.REFUSED, "interrupted": ExitCode.INTERRUPTED, "unfinished": ExitCode.DEGRADED,
}  # fmt: skip
"""Exit codes by how a run has ended."""


@app.command("list")
def list_playbooks(as_json: _options.Json = False) -> int:
    """The shipped playbooks.

    Examples:

        heliosdb-nano playbook list
    """
    from helios_cli.commands.playing import shelf
    from helios_cli.engine.playbook.read import read

    found = [read(name, text) for name, text in shelf.shipped().items()]
    if as_json:
        print_json({"playbooks": [
            {"name": one.name, "title": one.title, "summary": one.summary, "steps": len(one.steps),
             "variables": {v.name: v.default for v in one.variables}} for one in found
        ]})  # fmt: skip
    else:
        print_table(("playbook", "steps", "what it does"), [(one.name, len(one.steps), one.summary) for one in found])
    return ExitCode.OK


@app.command()
def show(
    named: Named,
    source: Annotated[bool, typer.Option("--source", help="The file as it is, to begin an own one with.")] = False,
    as_json: _options.Json = False,
) -> int:
    """What a playbook does, its variables and bounds.

    Examples:

        heliosdb-nano playbook show failover-drill

        heliosdb-nano playbook show failover-drill --source > mine.toml
    """
    from helios_cli.engine.playbook.read import read

    name, text = _find(named)
    playbook = read(name, text)
    if source and not as_json:
        typer.echo(text, nl=False)
    elif as_json:
        print_json(_record(playbook, text))
    else:
        for line in _described(playbook):
            print_line(line)
    return ExitCode.OK


def _find(named: str) -> tuple[str, str]:
    from helios_cli.commands.playing import shelf

    return shelf.find(named)


def _record(playbook: Playbook, text: str) -> dict[str, Any]:
    return {
        "name": playbook.name, "title": playbook.title, "summary": playbook.summary,
        "variables": [{"name": v.name, "default": v.default, "help": v.help} for v in playbook.variables],
        "needs": playbook.needs, "stop": playbook.stop.bounds,
        "steps": [
            {"name": one.name, "do": one.action.do, "arguments": one.action.arguments, "needs": one.needs,
             "expect": one.expect, "timeout": one.timeout, "delay": one.delay, "stop": one.stop.bounds,
             "undo": None if one.undo is None else [{"do": u.do, **u.arguments} for u in one.undo],
             "parallel": one.parallel, "each": one.each, "when": one.when} for one in playbook.steps
        ],
        "source": text,
    }  # fmt: skip


def _described(playbook: Playbook) -> list[str]:
    lines = [playbook.title, f"  {playbook.summary}"] if playbook.summary else [playbook.title]
    if playbook.needs:
        lines += ["", f"needs: {'; '.join(playbook.needs)}"]
    if playbook.stop.bounds:
        lines += ["", "ends and goes back when: " + ", ".join(f"{k} > {v}" for k, v in playbook.stop.bounds.items())]
    if playbook.variables:
        width = max(len(f"{v.name} = {v.default}") for v in playbook.variables)
        lines += ["", "variables (--set NAME=VALUE):"]
        lines += [f"  {f'{v.name} = {v.default}':<{width}}  {v.help}".rstrip() for v in playbook.variables]
    lines += ["", "steps:"]
    for number, one in enumerate(playbook.steps, 1):
        lines += [f"  {number:2}. {one.name}: {_sentence(one.action)}"]
        more = [f"for each of {one.each}"] if one.each else []
        more += [f"at the same time as others of {one.parallel!r}"] if one.parallel else []
        more += [f"when {one.when}"] if one.when != "true" else []
        more += [f"after {one.delay}"] if one.delay else []
        more += [f"needs {'; '.join(one.needs)}"] if one.needs else []
        more += [f"expects {'; '.join(one.expect)}"] if one.expect else []
        more += [f"undone by {', '.join(map(_sentence, one.undo)) or 'nothing'}"] if one.undo is not None else []
        lines += [f"      {text}" for text in more]
    return lines


def _sentence(action: Do) -> str:
    from helios_cli.engine.playbook.words import sentence

    return sentence(action.do, action.arguments)


@app.command()
def check(named: Named, as_json: _options.Json = False) -> int:
    """Whether a playbook is in order; everything that is wrong, each with its line. Exit code 1 when something is.

    Examples:

        heliosdb-nano playbook check mine.toml
    """
    from helios_cli.engine.playbook.read import Faulty, read

    name, text = _find(named)
    try:
        playbook = read(name, text)
    except Faulty as error:
        problems = error.problems
        if as_json:
            print_json({"playbook": name, "problems": [
                {"line": one.line, "text": one.text, "hint": one.hint} for one in problems
            ]})  # fmt: skip
        else:
            for one in problems:
                typer.echo(f"{named}:{one.line}: {one.text}")
                if one.hint:
                    typer.echo(f"  {one.hint}")
        return ExitCode.FAILED
    if as_json:
        print_json({"playbook": name, "problems": []})
    else:
        typer.echo(f"{named} is in order: {len(playbook.steps)} steps, {len(playbook.variables)} variables")
    return ExitCode.OK


@app.command()
def run(
    named: Named,
    sets: Sets = None,
    directory: Directory = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done and what would come of it; change nothing.")
    ] = False,
    as_json: _options.Json = False,
) -> int:
    """Run a playbook on the cluster of cluster.toml, and report.

    Every change is written to DIR/playbooks/RUN/journal.jsonl before it is made. When a step fails, or a bound is
    passed, or Ctrl-C is pressed, what was done is undone; a second Ctrl-C leaves all as it is, for playbook resume.

    Exit codes: 0 done, 1 a step failed, 4 a step took too long, 5 something that it needs does not hold, or a bound
    was passed. With --dry-run 5 when a step is predicted not to get what it needs or expects.

    Examples:

        heliosdb-nano playbook run switchover

        heliosdb-nano playbook run failover-drill --set before=5s --set outage=10s

        heliosdb-nano playbook run mine.toml --dry-run
    """
    from helios_cli.commands.playing import runner, runs
    from helios_cli.engine.playbook import plan as planning

    playbook, cluster = _read(named), _cluster(directory)
    facts = _look(cluster)
    variables = planning.settle(playbook, _pairs(sets or []), facts)
    plan = planning.plan(playbook, variables, facts)
    if dry_run:
        return _predict(plan, facts, as_json)
    _remind(cluster)
    clock = runner.Clock()
    made = runs.create(cluster, playbook.name)
    with runs.Writer(cluster, made) as writer:
        writer.write(runs.head(made, planning.as_record(plan), playbook.text, cluster, clock()))
        return _play(made, writer, cluster, clock, as_json)


def _read(named: str) -> Playbook:
    from helios_cli.engine.playbook.read import read

    return read(*_find(named))


def _cluster(directory: str | None) -> LocalCluster:
    from helios_cli.commands.local import clusterfile

    return clusterfile.load(directory)


def _look(cluster: LocalCluster) -> Facts:
    from helios_cli.commands.local.acts import Acts
    from helios_cli.commands.playing.watching import look

    return look(Acts(cluster))


def _pairs(sets: list[str]) -> dict[str, str]:
    pairs = {}
    for text in sets:
        name, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter(f"--set takes NAME=VALUE, not {text!r}")
        pairs[name.strip()] = value
    return pairs


def _predict(plan: Plan, facts: Facts, as_json: bool) -> int:
    from helios_cli.engine.playbook.plan import as_record
    from helios_cli.engine.playbook.predict import predict

    unmet = [one.text for one in plan.needs if not one.holds(facts)]
    found = predict(plan, facts)
    doubtful = bool(unmet or any(one.contradicted for one in found))
    if as_json:
        print_json({"plan": as_record(plan), "unmet": unmet, "steps": [
            {"name": one.step.name, "do": one.step.sentence, "effect": one.effect, "contradicted": one.contradicted}
            for one in found
        ]})  # fmt: skip
        return ExitCode.REFUSED if doubtful else ExitCode.OK
    print_line(plan.title)
    for name, value in plan.variables.items():
        print_line(f"  {name} = {value}")
    for text in unmet:
        print_line(f"  ✗ it needs: {text}, which does not hold now")
    for number, one in enumerate(found, 1):
        step = one.step
        after = f"after {step.delay_s:g} s " if step.delay_s else ""
        print_line(f"{number:3}. {step.name}: {after}{step.sentence}")
        print_line(f"       → {one.effect}")
        if step.expect and step.wanted:
            print_line(f"       expects {'; '.join(c.text for c in step.expect)}, within {step.timeout_s:g} s")
        for text in one.contradicted:
            print_line(f"       ✗ predicted not to hold: {text}")
        if step.undo and step.wanted:
            print_line(f"       undone by {', '.join(map(_sentence, step.undo))}")
    return ExitCode.REFUSED if doubtful else ExitCode.OK


def _remind(cluster: LocalCluster) -> None:
    """Tell of a run that was never ended: what it did may still be there."""
    from helios_cli.commands.playing import runs

    known = runs.all_runs(cluster)
    if known and known[-1].outcome() == "unfinished":
        typer.echo(
            f"note: run {known[-1].name} was never ended; heliosdb-nano playbook resume goes on with it, "
            "playbook resume --undo takes back what it did", err=True,
        )  # fmt: skip


@app.command()
def resume(
    name: RunName = None,
    directory: Directory = None,
    undo: Annotated[bool, typer.Option("--undo", help="Go no further: undo what was done, and end.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say where it would go on; change nothing.")] = False,
    as_json: _options.Json = False,
) -> int:
    """Go on with a run whose runner was killed, in the step it was in; the newest such run when none is named.

    An action that was under way is done again unless its effect is there already.

    Examples:

        heliosdb-nano playbook resume

        heliosdb-nano playbook resume 20261123T110500-failover-drill --undo
    """
    from helios_cli.commands.playing import runner, runs
    from helios_cli.engine.playbook.journal import Entry

    cluster = _cluster(directory)
    found = runs.named(cluster, name, unfinished=True)
    if found.outcome() != "unfinished":
        raise Refused(
            f"run {found.name} has ended: {found.outcome()}",
            hint=f"heliosdb-nano playbook report {found.name} tells how.",
        )
    clock = runner.Clock()
    if dry_run:
        return _say_position(found, clock(), as_json)
    with runs.Writer(cluster, found) as writer:
        writer.write(Entry(clock(), "resumed", {}))
        return _play(found, writer, cluster, clock, as_json, undo=undo)


def _say_position(found: Run, now_s: float, as_json: bool) -> int:
    from helios_cli.engine.playbook.machine import FINAL

    machine = _machine(found, now_s)
    left = [
        (planned.name, str(step.phase), planned.sentence)
        for planned, step in zip(machine.plan.steps, machine.steps, strict=True)
        if step.phase not in FINAL
    ]
    if as_json:
        print_json({"run": found.name, "left": [dict(zip(("step", "phase", "do"), row, strict=True)) for row in left]})
    else:
        print_table(("step", "phase", "does"), left)
    return ExitCode.OK


def _machine(found: Run, now_s: float) -> Any:
    from helios_cli.engine.playbook.machine import Machine
    from helios_cli.engine.playbook.plan import from_record

    entries = found.entries()
    return Machine(from_record(entries[0].fields["plan"]), entries, now_s)


def _play(found: Run, writer: Any, cluster: LocalCluster, clock: Any, as_json: bool, *, undo: bool = False) -> int:
    """Run or go on, show it, and report."""
    from helios_cli.commands.playing.display import display
    from helios_cli.commands.playing.doing import Hands
    from helios_cli.commands.playing.loads import Loads
    from helios_cli.commands.playing.runner import Runner
    from helios_cli.commands.playing.watching import Watch

    machine = _machine(found, clock())
    hands = Hands(cluster.directory, Loads(found.directory))
    with display(machine.plan.title, quiet=as_json) as shown:
        runner = Runner(machine, writer, hands, Watch(hands), clock, shown)
        try:
            runner.run(undo=undo)
        except KeyboardInterrupt:
            raise HeliosError(
                f"run {found.name} was left as it is", sqlstate="57014",
                hint=f"heliosdb-nano playbook resume {found.name} goes on with it; --undo takes back what it did.",
            ) from None  # fmt: skip
    record = found.write_report()
    _say(record, found, as_json)
    return OUTCOMES[record["outcome"]]


def _say(record: Mapping[str, Any], found: Run, as_json: bool) -> None:
    if as_json:
        print_json(record)
        return
    from helios_cli.engine.playbook import values
    from helios_cli.engine.playbook.report import outage_text

    for load in record["workloads"].values():
        typer.echo("\n".join(["", *load["summary"]]))
    typer.echo("")
    for one in record["outages"]:
        typer.echo(f"without a primary: {outage_text(one).removeprefix('- ')}")
    for one in record["undone"]:
        print_line(f"undone: {one['do']}: {one['came']}")
    typer.echo(f"{record['title']}: {record['outcome']}, {_counted(record['steps'])}, "
               f"{values.seconds_text(record['took_s'])}")  # fmt: skip
    if record["reason"]:
        print_line(f"because: {record['reason']}")
    typer.echo(f"report: {found.directory / 'report.md'}")


def _counted(steps: Sequence[Mapping[str, Any]]) -> str:
    """How many steps were done; those that their condition left out are told apart, by name."""
    done = sum(one["outcome"] == "done" for one in steps)
    left_out = [one["name"] for one in steps if one["outcome"] == "left out"]
    count = f"{done} of {len(steps) - len(left_out)} steps"
    return f"{count} (not wanted: {', '.join(left_out)})" if left_out else count


@app.command()
def report(
    name: RunName = None,
    directory: Directory = None,
    all_runs: Annotated[bool, typer.Option("--all", help="List the runs of the cluster.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write it there; FILE.json gets JSON.")
    ] = None,
    as_json: _options.Json = False,
) -> int:
    """What a run did and what came of it, as Markdown or JSON; the newest run when none is named.

    Examples:

        heliosdb-nano playbook report

        heliosdb-nano playbook report --all

        heliosdb-nano playbook report 20261123T110500-failover-drill --out drill.md
    """
    import json

    from helios_cli.commands.playing import runs
    from helios_cli.engine.playbook.report import markdown

    cluster = _cluster(directory)
    if all_runs:
        return _list_runs(runs.all_runs(cluster), as_json)
    found = runs.named(cluster, name).report()
    if out is not None:
        wants_json = as_json or out.suffix == ".json"
        out.write_text(json.dumps(found, ensure_ascii=False, indent=2) + "\n" if wants_json else markdown(found))
    elif as_json:
        print_json(found)
    else:
        typer.echo(markdown(found), nl=False)
    return OUTCOMES[found["outcome"]]


def _list_runs(found: list[Run], as_json: bool) -> int:
    records = [one.report() for one in found]
    keys = ("run", "playbook", "outcome", "began", "took_s")
    if as_json:
        print_json({"runs": [{key: one[key] for key in keys} for one in records]})
    else:
        print_table(("run", "outcome", "began", "took", "why"), [
            (one["run"], one["outcome"], one["began"][:19], f"{one['took_s']:.1f} s", one["reason"]) for one in records
        ], droppable=("began", "why"))  # fmt: skip
    return ExitCode.OK
