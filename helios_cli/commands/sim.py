"""``sim``: a cluster in simulated time, with everything that can go wrong, from one number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

import typer

from helios_cli.commands import _options
from helios_cli.commands._errors import ExitCode
from helios_cli.commands._output import print_json
from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.sim.bugs import BUGS
from helios_cli.engine.sim.plan import STEPS, Spec, drawn
from helios_cli.engine.sim.planted import run_any
from helios_cli.engine.sim.shrink import shrink
from helios_cli.engine.sim.world import Result

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Simulate a cluster, and check what it promises.")

NODES_MAX = 7
OBSERVERS_MAX = 3
KINDS = {"any": False, "survivable": True}


@app.callback()
def sim() -> None:
    """Simulate a cluster, and check what it promises."""


@app.command()
def run(
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="The run with this number \\[0].")] = None,
    seeds: Annotated[str | None, typer.Option("--seeds", metavar="A..B", help="All runs from A to B.")] = None,
    nodes: Annotated[
        int | None, typer.Option("--nodes", min=1, max=NODES_MAX, help="Data nodes; else as the number has it.")
    ] = None,
    observers: Annotated[
        int | None, typer.Option("--observers", min=0, max=OBSERVERS_MAX, help="Observers; else as the number has it.")
    ] = None,
    mode: Annotated[
        str | None, typer.Option("--mode", help="sync, semi-sync, quorum or async; else as the number has it.")
    ] = None,
    faults: Annotated[
        str | None,
        typer.Option("--faults", help="any: safety is checked; survivable: and that the cluster comes back."),
    ] = None,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Actions of clients, operators and bad luck.")] = STEPS,
    only: Annotated[
        str | None, typer.Option("--only", metavar="N,N,...", help="Of these, only those with these numbers, or none.")
    ] = None,
    bug: Annotated[str, typer.Option("--bug", metavar="NAME", help="Plant a bug; 'list' names them.")] = "",
    shorten: Annotated[
        bool, typer.Option("--shrink", help="Make the first run that breaks a rule as short as it still does.")
    ] = False,
    trace: Annotated[bool, typer.Option("--trace", help="Tell what happened, also when nothing was found.")] = False,
    as_json: _options.Json = False,
) -> int:
    """Run the replication of a cluster under a simulated clock, network and disk; exit code 1 when a rule is broken.

    The same numbers give the same run, to the microsecond.

    Examples:

        heliosdb-nano sim run --seed 7 --trace

        heliosdb-nano sim run --seeds 0..999 --nodes 5 --mode quorum --faults survivable

        heliosdb-nano sim run --seeds 0..99 --bug one-copy-less --shrink
    """
    if bug == "list":
        return _list_bugs(as_json)
    if bug and bug not in BUGS:
        raise HeliosError(f"there is no bug {bug}", sqlstate="22023", hint="heliosdb-nano sim run --bug list")
    wanted = None if mode is None else _mode(mode)
    survivable = None if faults is None else _kind(faults)
    numbers = _numbers(seed, seeds)
    run_one = partial(run_any, bug=BUGS[bug] if bug else None)
    total: Counter[str] = Counter()
    broken: list[Result] = []
    for number in numbers:
        spec = drawn(number, nodes=nodes, observers=observers, mode=wanted, steps=steps, survivable=survivable)
        result = run_one(replace(spec, only=_only(only)))
        total.update(result.counts)
        if not result.is_clean:
            if shorten and not broken:
                result = shrink(result, run_one)
            broken.append(result)
        if not as_json:
            _say(result, trace or (not result.is_clean and (shorten or len(numbers) == 1)))
    if as_json:
        print_json(_record(len(numbers), total, broken, trace))
    else:
        typer.echo(_summary(len(numbers), total, broken))
    return ExitCode.FAILED if broken else ExitCode.OK


def _list_bugs(as_json: bool) -> int:
    if as_json:
        print_json({"bugs": {name: one.text for name, one in BUGS.items()}})
    else:
        for name, one in BUGS.items():
            typer.echo(f"{name:30} {one.text}")
    return ExitCode.OK


def _mode(text: str) -> SyncMode:
    try:
        return SyncMode(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is none of sync, semi-sync, quorum, async", param_hint="--mode") from None


def _kind(text: str) -> bool:
    if text not in KINDS:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(KINDS)}", param_hint="--faults")
    return KINDS[text]


def _only(text: str | None) -> tuple[int, ...] | None:
    if text is None or text == "none":
        return None if text is None else ()
    if not all(number.isdecimal() for number in text.split(",")):
        raise typer.BadParameter("give the numbers of actions, such as 3,17,40", param_hint="--only")
    return tuple(int(number) for number in text.split(","))


def _numbers(seed: int | None, seeds: str | None) -> Sequence[int]:
    if seeds is None:
        return (seed or 0,)
    first, dots, last = seeds.partition("..")
    if seed is not None or not dots or not first.isdecimal() or not last.isdecimal() or int(last) < int(first):
        raise typer.BadParameter("give either --seed N or --seeds A..B", param_hint="--seeds")
    return range(int(first), int(last) + 1)


def _say(result: Result, tell: bool) -> None:
    if tell:
        for line in result.story:
            typer.echo(line)
    if not result.is_clean:
        typer.echo(f"seed {result.spec.seed}: {result.rule}: {result.text}")
        if result.spec.only is not None:
            typer.echo(f"again: {_command(result.spec)}")


def _command(spec: Spec) -> str:
    """What gives a run again, but for the bug that was planted."""
    kind = next(name for name, survivable in KINDS.items() if survivable == spec.survivable)
    only = "" if spec.only is None else ",".join(str(number) for number in spec.only) or "none"
    return (
        f"heliosdb-nano sim run --seed {spec.seed} --nodes {spec.nodes} --observers {spec.observers} "
        f"--mode {spec.mode.value} --faults {kind} --steps {spec.steps}{' --only ' if only else ''}{only}"
    )


def _summary(runs: int, total: Counter[str], broken: Sequence[Result]) -> str:
    kinds = ("acknowledged", "terms", "crashes", "freezes", "cuts", "promotions", "switchovers")
    told = ", ".join(f"{total[kind]} {kind}" for kind in kinds)
    found = f"{len(broken)} broke a rule" if broken else "no rule was broken"
    return f"{runs} run{'s'[: runs != 1]}, {total['simulated_ms'] / 1000:.0f} simulated seconds, {told}: {found}"


def _record(runs: int, total: Counter[str], broken: Sequence[Result], trace: bool) -> dict[str, Any]:
    return {"runs": runs, "clean": runs - len(broken), "counts": total, "broken": list(_broken(broken, trace))}


def _broken(results: Sequence[Result], trace: bool) -> Iterator[dict[str, Any]]:
    for one in results:
        story = {"story": one.story} if trace else {}
        again = {"again": _command(one.spec)}
        yield {"seed": one.spec.seed, "rule": one.rule, "text": one.text, "digest": one.digest, **again, **story}
