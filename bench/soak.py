"""``python -m bench.soak``: hours of kills, power cuts and endless readers, verified as they go.

Each scenario runs in slices, and what the slices came to is kept in ``docs/results/soak-state.json``: started again
after an interruption it goes on behind the last whole slice. A scenario that is over is appended to
``docs/results/soak.json`` with machine, counts, seconds and verdict. One that fails ends there, with the error as its
verdict; its directory stays.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from bench import report, resources

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results"
sys.path.insert(0, str(ROOT / "tests"))

Counts = dict[str, Any]
RunSlice = Callable[[Path, int, int], Counts]
"""Takes a fresh directory, the number of the first unit and how many units to run; raises AssertionError."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Something that is done very often."""

    name: str
    unit: str
    total: int
    """Units of a long run; ``quick`` are those of a short one, ``slice`` those that are done or not as a whole."""
    slice: int
    quick: int
    run: RunSlice


def kills(directory: Path, first: int, count: int) -> Counts:
    """SIGKILL at random moments under sixteen writers, on a node of its own for each slice."""
    from support.kill_drill import run_kills
    from support.node_process import NodeProcess

    flags = ("--wal-checkpoint-mb", "1", "--log-retention-mb", "8", "--log-segment-mb", "2")
    node = NodeProcess(directory, flags)
    try:
        outcome = run_kills(node.start(), count, seed=first)
    finally:
        node.kill()
    return asdict(outcome)


def power_cuts(directory: Path, first: int, count: int) -> Counts:
    """Power cuts over simulated disks, two for each seed, verified after each: of a node alone, of a member."""
    from support.power_cut import run_seed

    acked = checkpoints = 0
    for seed in range(first, first + count):
        try:
            model = run_seed(seed, directory, member=seed % 2 == 1)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        acked += len(model.acked)
        checkpoints += model.checkpoints
    return {"cuts": 2 * count, "acknowledged": acked, "checkpoints": checkpoints}


def standby_power_cuts(directory: Path, first: int, count: int) -> Counts:
    """The same of a standby under a stream of records, three cuts for each seed, and then the rest of the stream."""
    from support.standby_cut import run_seed

    streamed = checkpoints = 0
    for seed in range(first, first + count):
        try:
            told = run_seed(seed, directory)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        streamed += told.committed
        checkpoints += told.checkpoints
    return {"cuts": 3 * count, "streamed_bytes": streamed, "checkpoints": checkpoints}


def endless_reader(directory: Path, first: int, count: int) -> Counts:
    """Snapshots that are never given up, under sustained writes; a slice's figures are its peaks."""
    from support.bounds import FLAGS, check, figures, run_bounded
    from support.node_process import NodeProcess

    node = NodeProcess(directory, FLAGS)
    try:
        peaks, load = run_bounded(node.start(), float(count))
        check(peaks, load)
        stopped = node.stop()
    finally:
        node.kill()
    assert stopped == 0, f"the node ended with {stopped}"
    return figures(peaks, load)


def failovers(mode: str) -> RunSlice:
    """SIGKILL of the primary of three nodes under load, promotion by hand, and the way back of the dead one."""

    def run(directory: Path, first: int, count: int) -> Counts:
        from support.failover_drill import run_failovers

        outcome = run_failovers(directory, mode, count, seed=first)
        return asdict(outcome)

    return run


def faults(mode: str, *, with_etcd: bool = False) -> Callable[[Path, int, int], Counts]:
    """Kills, freezes and cuts under load that the cluster decides by itself; the clients' histories are checked.

    ``with_etcd``: that decides who leads, and is lost, killed, frozen and emptied too.
    """

    def run(directory: Path, first: int, count: int) -> Counts:
        from support.fault_drill import ETCD_FAULTS, FAULTS, run_faults
        from support.network import Network

        network = Network()
        try:
            names = [*FAULTS, *(ETCD_FAULTS if with_etcd else ())] * count
            return asdict(run_faults(network, directory, mode, names, seed=first, with_etcd=with_etcd))
        finally:
            network.close()

    return run


def chaos(mode: str, data: int, observers: int) -> RunSlice:
    """Disturbances drawn from a seed, several at once, on a cluster of that shape; the histories are checked."""

    def run(directory: Path, first: int, count: int) -> Counts:
        from support.chaos_drill import Shape, run_chaos
        from support.network import Network

        network = Network()
        try:
            return asdict(run_chaos(network, directory, Shape(mode, data, observers), count, seed=first))
        finally:
            network.close()

    return run


def stalled_disks(directory: Path, first: int, count: int) -> Counts:
    """Disks that stand still for a random time; only a long stall of the primary's moves the lead, and that once."""
    import random

    from support.stall_drill import LONG_S, run_stalls

    rng = random.Random(first)
    stalls = [("primary", LONG_S), *((whose, rng.uniform(0.2, 2.0)) for whose in ("primary", "primary"))]
    stalls += [(whose, rng.uniform(0.2, 8.0)) for whose in ("standby", "observer")]
    return asdict(run_stalls(directory, stalls * count, seed=first))


def reseed(directory: Path, first: int, count: int) -> Counts:
    """A standby that was away for too long copies so many megabytes, beside a paced writer."""
    from support.reseed_drill import run_reseed

    return asdict(run_reseed(directory, count, seed=first))


def mutations(directory: Path, first: int, count: int) -> Counts:
    """Mutated messages by the thousand beside a client that checks every row it has written."""
    from support.fuzz_drill import run_fuzz
    from support.node_process import NodeProcess

    node = NodeProcess(directory)
    try:
        outcome = run_fuzz(node.start(), count * 1000, seed=first)
    finally:
        node.kill()
    return asdict(outcome)


def simulations(_directory: Path, first: int, count: int) -> Counts:
    """Clusters in simulated time, with everything that can go wrong; a process for each processor it may use."""
    parts = [range(at, min(at + 25, first + count)) for at in range(first, first + count, 25)]
    total: Counts = {}
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), multiprocessing.get_context("spawn")) as pool:
        for counts in pool.map(_simulated, parts):
            total = add(total, counts)
    return total


def _simulated(seeds: range) -> Counts:
    from helios_cli.engine.sim.plan import drawn
    from helios_cli.engine.sim.world import run

    total: Counts = {}
    begin = time.process_time()
    for seed in seeds:
        result = run(drawn(seed))
        if not result.is_clean:
            raise AssertionError(f"seed {seed}: {result.rule}: {result.text}")
        total = add(total, {f"{name}_all" if name == "terms" else name: value for name, value in result.counts.items()})
    return add(total, {"processor_s": round(time.process_time() - begin, 2)})


def every_promotion(_directory: Path, _first: int, count: int) -> Counts:
    """Every promotion against every set that can have acknowledged, in clusters of so many nodes."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "tests/property/test_every_promotion.py"]
    inherited = os.environ | {"HELIOSDB_TEST_PROMOTION_NODES": str(count)}
    ran = subprocess.run(command, cwd=ROOT, env=inherited, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout
    return {"nodes": count}


MODES = ("quorum", "sync", "semi-sync", "async")
SHAPES = (("quorum", 3, 0), ("sync", 2, 1), ("semi-sync", 3, 2), ("quorum", 5, 0), ("async", 3, 0))
"""Of clusters that chaos comes over: mode, data nodes, observers."""
SCENARIOS = (
    Scenario("kills", "kills", 100, 10, 6, kills),
    Scenario("power-cuts", "seeds", 1000, 50, 20, power_cuts),
    Scenario("standby-power-cuts", "seeds", 1000, 50, 10, standby_power_cuts),
    Scenario("endless-reader", "seconds", 3600, 3600, 15, endless_reader),
    Scenario("mutated-messages", "thousands", 1000, 100, 20, mutations),
    Scenario("simulated-clusters", "seeds", 100_000, 1000, 200, simulations),
    Scenario("failover-sync", "kills", 50, 10, 2, failovers("sync")),
    Scenario("failover-semi-sync", "kills", 50, 10, 2, failovers("semi-sync")),
    Scenario("failover-quorum", "kills", 50, 10, 2, failovers("quorum")),
    Scenario("failover-async", "kills", 50, 10, 2, failovers("async")),
    *(Scenario(f"faults-{mode}", "rounds", 100, 2, 1, faults(mode)) for mode in MODES),
    *(Scenario(f"faults-etcd-{mode}", "rounds", 100, 2, 1, faults(mode, with_etcd=True)) for mode in MODES),
    *(
        Scenario(f"chaos-{mode}-{data}-{observers}", "rounds", 200, 20, 2, chaos(mode, data, observers))
        for mode, data, observers in SHAPES
    ),
    Scenario("stalled-disks", "rounds", 100, 2, 1, stalled_disks),
    Scenario("every-promotion", "nodes", 7, 7, 5, every_promotion),
    Scenario("reseed", "megabytes", 1100, 1100, 60, reseed),
)


class State:
    """What is done of runs that are not over; written after each slice."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.exists() else {}

    def of(self, key: str) -> dict[str, Any]:
        """Units done, seconds spent and counts of a scenario that is under way or begins."""
        return self._open.setdefault(key, {"done": 0, "seconds": 0.0, "counts": {}})

    def save(self) -> None:
        """Put it on disk; no file when nothing is under way."""
        if not self._open:
            self._path.unlink(missing_ok=True)
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self._path.with_suffix(".new")
        unfinished.write_text(json.dumps(self._open, indent=1) + "\n")
        unfinished.replace(self._path)

    def forget(self, key: str) -> None:
        """It is over."""
        self._open.pop(key, None)
        self.save()


def add(total: Counts, part: Counts) -> Counts:
    """Counts are summed; what is named a maximum is the larger; lists are kept one after the other."""
    joined = dict(total)
    for name, value in part.items():
        old = joined.get(name)
        if old is None:
            joined[name] = value
        elif isinstance(value, list):
            joined[name] = [*old, *value]
        elif isinstance(value, dict):
            joined[name] = add(old, value)
        else:
            joined[name] = max(old, value) if name.endswith("_max") or name == "terms" else old + value
    return joined


def run_scenario(scenario: Scenario, *, quick: bool, state: State, results: Path, workspace: Path) -> bool:
    """Run what is left of a scenario and append the result; whether it passed."""
    key = f"{scenario.name}{'-quick' if quick else ''}"
    total = scenario.quick if quick else scenario.total
    progress = state.of(key)
    verdict = "passed"
    while progress["done"] < total and verdict == "passed":
        first, count = progress["done"], min(scenario.slice, total - progress["done"])
        directory = Path(tempfile.mkdtemp(prefix=f"{key}-{first}-", dir=workspace))
        begin = time.monotonic()
        try:
            counts = scenario.run(directory, first, count)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            # What the tests' support raises when it has waited in vain is no Exception.
            verdict = f"failed from {first}: {' '.join(str(error).split())}"
            _say(f"{key}: {verdict}; see {directory}")
            break
        progress["seconds"] += time.monotonic() - begin
        progress["counts"] = add(progress["counts"], counts)
        progress["done"] += count
        state.save()
        shutil.rmtree(directory)
        _say(f"{key}: {progress['done']} of {total} {scenario.unit}, {progress['seconds']:.0f} s, {progress['counts']}")
    append(results, _record(scenario, key, progress, verdict))
    state.forget(key)
    return verdict == "passed"


def _record(scenario: Scenario, key: str, progress: dict[str, Any], verdict: str) -> dict[str, Any]:
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "scenario": key,
        "verdict": verdict,
        scenario.unit: progress["done"],
        "seconds": round(progress["seconds"], 1),
        "per_second": round(progress["done"] / max(progress["seconds"], 0.1), 2),
        "counts": progress["counts"],
        "machine": report.machine(),
    }


def append(path: Path, record: dict[str, Any]) -> None:
    """Add a finished run to the list in a file."""
    runs = json.loads(path.read_text()) if path.exists() else []
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([*runs, record], indent=1) + "\n")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    made.add_argument("--only", metavar="NAME", help="only the scenarios whose name holds NAME")
    made.add_argument("--quick", action="store_true", help="a minute of each instead of hours")
    made.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="where results go [docs/results]")
    made.add_argument(
        "--directory", type=Path, metavar="DIR", help="where the nodes' files lie [a temporary directory]"
    )
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _terminated)
    resources.allow_many_files()
    chosen = [one for one in SCENARIOS if options.only is None or options.only in one.name]
    if not chosen:
        _say(f"no scenario is named {options.only}; there are {', '.join(one.name for one in SCENARIOS)}")
        return 2
    # A state file for each choice, so that two runs side by side do not undo each other's notes.
    name = "soak-state.json" if options.only is None else f"soak-state-{options.only}.json"
    state = State(options.results / name)
    workspace = options.directory or Path(tempfile.mkdtemp(prefix="soak-"))
    results = options.results / "soak.json"
    try:
        passed = [
            run_scenario(one, quick=options.quick, state=state, results=results, workspace=workspace) for one in chosen
        ]
    except KeyboardInterrupt:
        _say("interrupted; the same command goes on behind the last slice")
        return 130
    if all(passed) and options.directory is None:
        shutil.rmtree(workspace)
    return 0 if all(passed) else 1


def _say(text: str) -> None:
    print(f"soak: {text}", file=sys.stderr, flush=True)


def _terminated(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
