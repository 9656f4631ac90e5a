"""``prove``: load, faults and verification in one command, whose report is signed."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperGroup

from helios_cli.commands import _options
from helios_cli.commands._errors import ExitCode, Refused
from helios_cli.commands._output import print_json

if TYPE_CHECKING:
    from helios_cli.commands.proving.plan import Plan
    from helios_cli.commands.proving.stage import Scene
    from helios_cli.engine.histories.sessions import Write


class _RunFirst(TyperGroup):
    """A group that takes options without a verb as those of ``run``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] != "--help"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_RunFirst, add_completion=False, help="Prove under faults that a cluster keeps what it acknowledged."
)

Key = Annotated[
    Path | None,
    typer.Option(
        "--key",
        metavar="FILE",
        help="Private key of the signature, made where there is none (HELIOSDB_PROVE_KEY). "
        "\\[~/.config/heliosdb/prove.key]",
    ),
]
Directory = Annotated[
    str | None,
    typer.Option("--dir", metavar="DIR", help="A cluster of this machine that runs, in place of one that is made."),
]
Nodes = Annotated[int, typer.Option("--nodes", min=2, max=7, help="Data nodes of the cluster that is made.")]
Settle = Annotated[
    float, typer.Option("--settle", metavar="SECONDS", min=1, help="Longest time to be whole again after a fault.")
]
MODES: Final = "async|semi-sync|sync|quorum"


@app.command(context_settings={"help_option_names": ["--help"]})
def run(
    faults: Annotated[
        str,
        typer.Option("--faults", metavar="A,B", help="Which: kill, freeze, partition, slow-disk, slow-link, clock."),
    ] = "kill,freeze,partition",
    rounds: Annotated[int, typer.Option("--rounds", min=1, max=1000, help="How often each fault is injected.")] = 3,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0, max=86400, help="Rounds until so much time is over, instead.")
    ] = 0.0,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Repeats order and moments of the faults.")] = None,
    clients: Annotated[int, typer.Option("--clients", "-c", min=1, max=64, help="Connections through the proxy.")] = 8,
    nodes: Nodes = 3,
    observers: Annotated[int, typer.Option("--observers", min=0, max=3, help="Observers, besides.")] = 0,
    mode: Annotated[str, typer.Option("--mode", metavar=MODES, help="Of the cluster that is made.")] = "quorum",
    netns: Annotated[
        bool, typer.Option("--netns", help="Its processes get network namespaces: packets are lost (root).")
    ] = False,
    directory: Directory = None,
    yes: Annotated[bool, typer.Option("--yes", help="With --dir: its nodes may be taken away.")] = False,
    settle: Settle = 90.0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="The report. \\[prove-RUN.json]")
    ] = None,
    key: Key = None,
    keep: Annotated[Path | None, typer.Option("--keep", metavar="DIR", help="Run there, and leave the data.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would do.")] = False,
    as_json: _options.Json = False,
) -> int:
    """Write a ledger through a proxy, take nodes away meanwhile, and count everything that was acknowledged.

    A cluster is made for it, with a proxy, on free ports in a temporary directory; or --dir names one that runs. Exit
    code 0 when every acknowledged write is there once on every node, no read was stale or taken back, and no two
    primaries acknowledged in one term; else 1. The report is signed: prove verify checks it.

    Examples:

        heliosdb-nano prove run

        heliosdb-nano prove run --faults kill --rounds 10 --mode sync --nodes 2 --observers 1

        heliosdb-nano prove run --seconds 300 --seed 7 --json

        heliosdb-nano prove run --dir heliosdb-cluster --yes
    """
    from helios_cli.commands.proving import plan as plans
    from helios_cli.commands.proving import signature

    drawn = secrets.randbelow(1 << 32) if seed is None else seed
    plan = plans.Plan(plans.chosen(faults), rounds, seconds, drawn, clients, settle)
    with _scene(directory, keep, nodes, mode, observers, netns) as scene:
        plans.refuse_impossible(plan.faults, scene)
        name = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"
        path = output or Path(f"prove-{name}.json")
        if dry_run:
            return _say_plan(plan, scene, path, as_json)
        _refuse_unasked(scene, yes)
        private = signature.load_key(signature.key_file(os.environ, key))
        found, writes, began = _prove(name, plan, scene, as_json)
        scene.leaves = found["verdict"] != "passed"
    path.write_bytes(signature.signed(found, private))
    _say(found, writes, began, path, signature.public_text(private), as_json)
    if scene.leaves and scene.is_own:
        typer.echo(f"The cluster's data and logs are left in {scene.cluster.directory}.", err=True)
    return ExitCode.OK if found["verdict"] == "passed" else ExitCode.FAILED


@contextmanager
def _scene(
    directory: str | None, keep: Path | None, nodes: int, mode: str, observers: int, netns: bool
) -> Iterator[Scene]:
    """The cluster that is meant: one that runs, or one that is made, and removed again unless it is to be left."""
    from helios_cli.commands.local import clusterfile, network
    from helios_cli.commands.proving import stage

    if mode not in clusterfile.MODES:
        raise typer.BadParameter(f"--mode is one of {', '.join(clusterfile.MODES)}, not {mode!r}")
    if directory is not None:
        yield stage.Scene(clusterfile.load(directory), is_own=False)
        return
    place = keep or Path(tempfile.gettempdir()) / f"heliosdb-prove-{secrets.token_hex(4)}"
    if (place / "cluster").exists():
        raise Refused(f"{place / 'cluster'} is there already", hint="Name another directory with --keep.")
    if netns:
        network.check()
    named = network.new_name() if netns else ""
    scene = stage.Scene(stage.new_cluster(place / "cluster", nodes, mode, observers, named), is_own=True)
    try:
        yield scene
    finally:
        if keep is None and not scene.leaves:
            shutil.rmtree(place, ignore_errors=True)


def _refuse_unasked(scene: Scene, yes: bool) -> None:
    if not scene.is_own and not yes:
        raise Refused(
            f"this would take nodes of {scene.cluster.path} away, again and again, and write a table there",
            hint="Add --yes; --dry-run says what it does.",
        )


def _prove(name: str, plan: Plan, scene: Scene, as_json: bool) -> tuple[dict[str, Any], list[Write], float]:
    """The record, all writes, and when the load began by their clock."""
    from helios_cli.commands.drill.display import Display, Picture
    from helios_cli.commands.proving import report
    from helios_cli.commands.proving.prover import Prover
    from helios_cli.commands.proving.timeline import Timeline

    total = 0 if plan.seconds else plan.rounds * len(plan.faults)
    picture = Picture(program="prove", title=", ".join(plan.faults), faults="faults", kills_total=total)
    picture.seconds_total = plan.seconds
    picture.began = time.monotonic()
    with Display(picture, quiet=as_json) as display, scene.entered(plan.faults, display.wait) as stage:
        timeline = Timeline(display.event)
        prover = Prover(stage, plan, f"prove_{name.replace('-', '_').lower()}", timeline, display.wait)
        with display.sampling(lambda: (prover.crowd.acknowledged, prover.turns_done)):
            evidence = prover.run()
        display.picture.waiting = ""
        display.picture.state = "verified" if evidence.passed else "failed"
        found = report.record(name, stage, plan, evidence, timeline.events)
        return found, evidence.told.writes, timeline.began


def _say_plan(plan: Plan, scene: Scene, path: Path, as_json: bool) -> int:
    from itertools import islice

    from helios_cli.commands.proving.plan import turns

    count = plan.rounds * len(plan.faults)
    order = [(one.fault.name, one.fault.variants[one.variant]) for one in islice(turns(plan), count)]
    if as_json:
        print_json({
            "cluster": str(scene.cluster.path), "own": scene.is_own, "nodes": [one.name for one in scene.cluster.nodes],
            "mode": scene.cluster.data_nodes[0].mode, "clients": plan.clients, "seed": plan.seed,
            "seconds": plan.seconds, "report": str(path),
            "faults": [{"name": name, "variant": variant.__name__} for name, variant in order],
        })  # fmt: skip
        return ExitCode.OK
    names, mode = ", ".join(one.name for one in scene.cluster.nodes), scene.cluster.data_nodes[0].mode
    typer.echo(
        f"a cluster of {names} in mode {mode} is made, with a proxy, and removed again"
        if scene.is_own
        else f"the cluster of {scene.cluster.path} is used, {names} in mode {mode}; a table is made there, and dropped"
    )
    typer.echo(f"{plan.clients} clients write and read through the proxy, two more at each node that takes writes")
    for number, (name, variant) in enumerate(order, 1):
        told = (variant.__doc__ or "").partition("\n")[0].rstrip(".")
        typer.echo(f"{number:3}. {name}: {told}")
    if plan.seconds:
        typer.echo(f"and so on, until {plan.seconds:g} s are over")
    typer.echo(f"report {path}, seed {plan.seed}")
    return ExitCode.OK


def _say(
    found: Mapping[str, Any], writes: list[Write], began: float, path: Path, public_key: str, as_json: bool
) -> None:
    from helios_cli.commands.proving import report, signature

    if as_json:
        print_json({**found, "file": str(path), "signed_by": signature.fingerprint(public_key)})
        return
    text = report.lines(found, writes, began)
    text[-1:-1] = [f"Report: {path}", f"Signed by: {signature.fingerprint(public_key)}"]
    typer.echo("\n".join(["", *text]))


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A report that prove run has written.")],
    key: Key = None,
    public_key: Annotated[
        str | None, typer.Option("--public-key", metavar="BASE64", help="Whose signature it must be; else any is told.")
    ] = None,
    as_json: _options.Json = False,
) -> int:
    """Check the signature of a report: exit code 1 when a single byte of it was changed, or it says FAILED.

    A signature tells that the report is as it was signed, and by which key. Compare the key with that of whom you
    trust, or name it with --public-key; of one that this machine has made itself it is said.

    Examples:

        heliosdb-nano prove verify prove-20261123T104512-9c1e.json

        heliosdb-nano prove verify report.json --public-key 3q2+7w... --json
    """
    from helios_cli.commands.proving import report, signature

    verified = signature.verify(signature.read(file), str(file))
    if public_key is not None and verified.public_key != public_key:
        raise signature.Tampered(
            f"{file} is signed by another key, {verified.public_key}", hint="Its content may be anybody's."
        )
    path = signature.key_file(os.environ, key)
    is_own = path.exists() and signature.public_text(signature.load_key(path)) == verified.public_key
    found = verified.report
    passed = found.get("verdict") == "passed"
    if as_json:
        print_json({"file": str(file), "valid": True, "verdict": found.get("verdict"), "run": found.get("run"),
                    "began": found.get("began"), "public_key": verified.public_key,
                    "signed_by": verified.fingerprint, "own_key": is_own})  # fmt: skip
        return ExitCode.OK if passed else ExitCode.FAILED
    whose = "the key of this machine" if is_own else "a key that is not this machine's"
    typer.echo(f"{file} is as it was signed, by {whose}: {verified.fingerprint}")
    typer.echo(f"public key: {verified.public_key}")
    typer.echo("\n".join(["", *report.summary(found), *report.verdict(found)]))
    return ExitCode.OK if passed else ExitCode.FAILED
