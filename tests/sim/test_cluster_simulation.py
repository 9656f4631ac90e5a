"""Clusters in simulated time: no seed breaks a promise, and every planted bug is found by some."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from support import planted_seeds
from support.planted_seeds import BELOW, FOUND_AT, spec_for

from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.engine.sim.bugs import BUGS
from helios_cli.engine.sim.director import Director
from helios_cli.engine.sim.liveness import Healing
from helios_cli.engine.sim.plan import WEIGHTS, Spec, draw, drawn
from helios_cli.engine.sim.planted import Bug, run_with
from helios_cli.engine.sim.shrink import shrink
from helios_cli.engine.sim.violation import Violation
from helios_cli.engine.sim.world import World, run

PROTECTED = (SyncMode.SEMI_SYNC, SyncMode.QUORUM, SyncMode.SYNC)
SEEDS, RANGE = 1000, 25


@pytest.mark.parametrize("first", range(0, SEEDS, RANGE))
def test_no_seed_breaks_a_promise(first: int) -> None:
    """Half of them with any faults, half with survivable ones after which the cluster has to come back."""
    counts: Counter[str] = Counter()
    for seed in range(first, first + RANGE):
        result = run(drawn(seed))
        assert result.is_clean, f"seed {seed}: {result.rule}: {result.text}"
        counts.update(result.counts)
    assert counts["kept"] > 200, "the runs acknowledge next to nothing: they prove nothing"
    happened = (
        "crashes",
        "points",
        "freezes",
        "cuts",
        "resets",
        "disasters",
        "disks_full",
        "disks_slow",
        "disks_stuck",
        "clocks",
    )
    assert all(counts[kind] for kind in happened), counts
    assert counts["disks_failing"] and counts["configured"] and counts["promotions"]


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(bug: str) -> None:
    spec = spec_for(bug, FOUND_AT[bug])
    assert run(spec).is_clean
    result = run_with(BUGS[bug], spec)
    assert not result.is_clean and result.rule != "the cores raise nothing", result.text
    assert result.story[-1].endswith(f"{result.rule}: {result.text}")


BROKEN_BEFORE = (
    1312,
    1773,
    2307,
    2522,
    3310,
    3336,
    3978,
    5867,
    5992,
    7005,
    7995,
    9123,
    9345,
    10733,
    11481,
    12838,
    18974,
    21636,
    53041,
    70517,
    75948,
    90972,
    99380,
)
"""Seeds beyond those that are run anyway by which a mistake in the cores or in the simulator was found."""


@pytest.mark.parametrize("seed", BROKEN_BEFORE)
def test_what_was_broken_once_holds(seed: int) -> None:
    result = run(drawn(seed))
    assert result.is_clean, f"seed {seed}: {result.rule}: {result.text}"


def test_every_seed_of_a_bug_is_among_the_first() -> None:
    assert set(FOUND_AT) == set(BUGS) and len(BUGS) >= 20
    assert max(FOUND_AT.values()) < BELOW


def test_seeds_of_planted_bugs_can_be_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    known = FOUND_AT["committed-falls"]
    assert planted_seeds.search("committed-falls") == (known, "the committed LSN never falls")
    monkeypatch.setitem(FOUND_AT, "committed-falls", known - 1)
    assert planted_seeds.search("committed-falls", below=known) == (-1, "")
    seed, rule = planted_seeds.search("committed-falls", below=known + 1)
    assert (seed, rule) == (known, "the committed LSN never falls")


def test_a_bug_whose_place_is_gone_is_told() -> None:
    with pytest.raises(ValueError, match="0 times in"):
        run_with(Bug("", "consensus.lsns", "what nobody wrote", ""), drawn(0))


@pytest.mark.parametrize("seed", [3, 14, 15])
def test_a_seed_replays_its_run(seed: int) -> None:
    once, again = run(drawn(seed, steps=60)), run(drawn(seed, steps=60))
    assert once == again and len(once.story) > 60
    assert run(drawn(seed + 1, steps=60)).digest != once.digest


def test_a_violation_replays_too() -> None:
    once, again = (run_with(BUGS["nobody-heard"], drawn(FOUND_AT["nobody-heard"])) for _ in range(2))
    assert not once.is_clean and once == again


def test_a_story_is_the_same_in_another_process() -> None:
    """Nothing depends on the hashes of strings, which differ from process to process."""
    code = (
        "from helios_cli.engine.sim.world import run; from helios_cli.engine.sim.plan import drawn;"
        "print(run(drawn(24, steps=60)).digest)"
    )
    root = str(Path(__file__).resolve().parents[2])
    environment = os.environ | {"PYTHONHASHSEED": "77", "PYTHONPATH": root}
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == run(drawn(24, steps=60)).digest


def test_a_plan_has_every_kind_and_any_part_of_it_can_be_left_out() -> None:
    kinds = {action.kind for seed in range(20) for action in draw(drawn(seed))}
    assert kinds == set(WEIGHTS)
    whole = draw(drawn(7))
    assert draw(replace(drawn(7), only=(3, 90))) == [whole[3], whole[90]]


def test_a_run_that_fails_is_made_short() -> None:
    bug, spec = BUGS["nobody-heard"], drawn(FOUND_AT["nobody-heard"])
    long = run_with(bug, spec)
    short = shrink(long, lambda one: run_with(bug, one), tries=60)
    assert short.rule == long.rule and short.spec.only is not None
    assert len(short.spec.only) < spec.steps / 3
    assert run_with(bug, short.spec) == short
    assert sum(1 for line in short.story if " -- " in line) < spec.steps / 3


@pytest.mark.parametrize("mode", PROTECTED)
def test_an_undisturbed_cluster_acknowledges_everything(mode: SyncMode) -> None:
    world = World(Spec(1, nodes=3, mode=mode))
    director = Director(world)
    world.clock.run_until(3_000_000)
    for action in [one for one in draw(drawn(1, steps=400)) if one.kind == "write"][:50]:
        director.act(action)
        world.clock.run_until(world.clock.now_us + 20_000)
    world.clock.run_until(world.clock.now_us + 1_000_000)
    assert world.checkers.acknowledged_count == director.counts["writes"] > 50
    Healing(world).check()
    assert len({node.log.end for node in world.nodes.values()}) == 1


def test_an_acknowledgement_without_its_copies_is_told() -> None:
    world = World(Spec(1, nodes=3, mode=SyncMode.QUORUM))
    world.clock.run_until(3_000_000)
    primary = next(node for node in world.nodes.values() if node.primary is not None)
    for node in world.nodes.values():
        if node is not primary:
            node.freeze()
    assert primary.primary is not None
    primary.primary.write(1, None)
    world.clock.run_until(world.clock.now_us + 100_000)
    with pytest.raises(Violation, match="as many copies as the mode promises"):
        world.checkers.acknowledged(primary, primary.primary.waiting[0])


def test_a_cluster_that_does_not_come_back_is_told() -> None:
    world = World(Spec(1, nodes=3, mode=SyncMode.QUORUM))
    world.clock.run_until(3_000_000)
    world.nodes["n2"].stop()
    with pytest.raises(Violation, match="the cluster comes back"):
        Healing(world).check()


def test_the_command_tells_what_it_found(capsys: pytest.CaptureFixture[str]) -> None:
    from helios_cli.cli import main

    assert main(["sim", "run", "--seeds", "0..2", "--steps", "30", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["runs"], record["clean"], record["broken"]) == (3, 3, [])
    seed = str(FOUND_AT["nobody-heard"])
    assert main(["sim", "run", "--seed", seed, "--bug", "nobody-heard"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].startswith(f"seed {seed}: ") and lines[-1].endswith("1 broke a rule")
    assert main(["sim", "run", "--seeds", "9..2"]) == 2
    assert main(["sim", "run", "--mode", "perhaps"]) == 2
    assert main(["sim", "run", "--faults", "few"]) == 2
    assert main(["sim", "run", "--only", "few"]) == 2
    assert main(["sim", "run", "--bug", "nonesuch"]) == 1


def test_the_command_tells_how_to_run_it_again(capsys: pytest.CaptureFixture[str]) -> None:
    from helios_cli.cli import main

    seed = str(FOUND_AT["one-copy-less"])
    assert main(["sim", "run", "--seed", seed, "--bug", "one-copy-less", "--shrink"]) == 1
    lines = capsys.readouterr().out.splitlines()
    again = next(line for line in lines if line.startswith("again: heliosdb-nano "))
    assert main([*again.split()[2:], "--bug", "one-copy-less"]) == 1
    found = [line for line in capsys.readouterr().out.splitlines() if line.startswith("seed ")]
    assert found == [line for line in lines if line.startswith("seed ")]
