"""Clusters in simulated time: no seed breaks a promise, and every planted bug is found by some."""

import json
from pathlib import Path

import pytest

from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.engine.sim.checkers import Violation
from helios_cli.engine.sim.cores import BUGS, Cores
from helios_cli.engine.sim.schedule import Schedule
from helios_cli.engine.sim.world import World, run_seed

PROTECTED = (SyncMode.SEMI_SYNC, SyncMode.QUORUM, SyncMode.SYNC)


@pytest.mark.parametrize("first", range(0, 200, 40))
def test_no_seed_breaks_a_promise(first: int) -> None:
    kept = 0
    for seed in range(first, first + 40):
        mode = list(SyncMode)[seed % 4]
        nodes = (3, 3, 3, 5, 2)[seed % 5]
        # Of two data nodes every other time with an observer.
        observers = int(nodes == 2 and seed % 2)
        result = run_seed(seed, nodes=nodes, observers=observers, mode=mode, steps=70)
        assert result.is_clean, f"seed {seed}, {mode.value}: {result.rule}: {result.text}"
        kept += result.counts["kept"]
    assert kept > 200, "the runs acknowledge next to nothing: they prove nothing"


FOUND_AT: dict[str, tuple[int, int, int, SyncMode, int]] = {
    "lsns-without-terms": (1, 3, 0, SyncMode.SYNC, 120),
    "sent-back-by-anybody": (46, 3, 0, SyncMode.SEMI_SYNC, 120),
    "loosened-at-once": (13, 3, 0, SyncMode.SYNC, 120),
    "endless-lease": (25, 3, 0, SyncMode.ASYNC, 120),
    "fickle-voters": (151, 3, 0, SyncMode.ASYNC, 150),
    "observer-counts": (3, 2, 1, SyncMode.QUORUM, 120),
    "observer-unheeded": (4, 2, 1, SyncMode.SYNC, 80),
}
"""Bugs that need more to go wrong, each with a run that meets it: seed, data nodes, observers, mode, steps."""

WITHIN = 20


@pytest.mark.parametrize("bug", FOUND_AT)
def test_a_rare_bug_is_found(bug: str) -> None:
    seed, nodes, observers, mode, steps = FOUND_AT[bug]
    assert run_seed(seed, nodes=nodes, observers=observers, mode=mode, steps=steps).is_clean
    result = run_seed(seed, nodes=nodes, observers=observers, mode=mode, steps=steps, bug=bug)
    assert not result.is_clean and result.rule != "the cores raise nothing", result.text


@pytest.mark.parametrize("bug", [bug for bug in BUGS if bug not in FOUND_AT])
def test_a_planted_bug_is_found(bug: str) -> None:
    for seed in range(WITHIN):
        result = run_seed(seed, nodes=5 if seed % 4 == 3 else 3, mode=PROTECTED[seed % 3], bug=bug)
        if not result.is_clean:
            assert result.story[-1].endswith(f"{result.rule}: {result.text}")
            return
    pytest.fail(f"{bug} was not found with {WITHIN} seeds")


@pytest.mark.parametrize("seed", [3, 14, 15])
def test_a_seed_replays_its_run(seed: int) -> None:
    once = run_seed(seed, nodes=3, mode=SyncMode.QUORUM, steps=60)
    again = run_seed(seed, nodes=3, mode=SyncMode.QUORUM, steps=60)
    assert once == again and len(once.story) > 30
    assert run_seed(seed + 1, nodes=3, mode=SyncMode.QUORUM, steps=60).digest != once.digest


def test_a_violation_replays_too() -> None:
    once, again = (run_seed(0, mode=SyncMode.QUORUM, bug="nobody-heard") for _ in range(2))
    assert not once.is_clean and once == again


def test_a_story_is_the_same_in_another_process(tmp_path: Path) -> None:
    """Nothing depends on the hashes of strings, which differ from process to process."""
    import os
    import subprocess
    import sys

    code = (
        "from helios_cli.engine.sim.world import run_seed; from helios_cli.engine.consensus.rule import SyncMode;"
        "print(run_seed(21, nodes=5, mode=SyncMode.SYNC, steps=60).digest)"
    )
    root = str(Path(__file__).resolve().parents[2])
    environment = os.environ | {"PYTHONHASHSEED": "77", "PYTHONPATH": root}
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == run_seed(21, nodes=5, mode=SyncMode.SYNC, steps=60).digest


@pytest.mark.parametrize("mode", PROTECTED)
def test_an_undisturbed_cluster_acknowledges_everything(mode: SyncMode) -> None:
    world = World(1, nodes=3, mode=mode, cores=Cores())
    schedule = Schedule(world)
    schedule.settle(1_000_000)
    for _ in range(50):
        schedule.write()
        schedule.settle(20_000)
    schedule.settle(1_000_000)
    assert world.checkers.acknowledged_count == schedule.counts["writes"] > 50
    ends = {node.log.end for node in world.nodes.values()}
    exposed = {node.exposed for node in world.nodes.values()}
    assert len(ends) == 1 and exposed == ends


def test_an_acknowledgement_without_its_copies_is_told() -> None:
    world = World(1, nodes=3, mode=SyncMode.QUORUM, cores=Cores())
    schedule = Schedule(world)
    schedule.settle(1_000_000)
    primary = next(node for node in world.nodes.values() if node.primary is not None)
    for node in world.nodes.values():
        if node is not primary:
            node.freeze()
    assert primary.primary is not None
    primary.primary.write(1, None)
    world.clock.run_until(world.clock.now_us + 100_000)
    with pytest.raises(Violation, match="as many copies as the mode promises"):
        world.checkers.acknowledged(primary, primary.primary.waiting[0])


def test_the_command_tells_what_it_found(capsys: pytest.CaptureFixture[str]) -> None:
    from helios_cli.cli import main

    assert main(["sim", "run", "--seeds", "0..2", "--steps", "30", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["runs"], record["clean"], record["broken"]) == (3, 3, [])
    assert main(["sim", "run", "--seed", "0", "--mode", "quorum", "--bug", "nobody-heard"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].startswith("seed 0: ") and lines[-1].endswith("1 broke a rule")
    assert main(["sim", "run", "--seeds", "9..2"]) == 2
    assert main(["sim", "run", "--mode", "perhaps"]) == 2
    assert main(["sim", "run", "--bug", "nonesuch"]) == 1
