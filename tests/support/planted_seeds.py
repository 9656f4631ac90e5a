"""Seeds that meet the simulator's planted bugs: ``python tests/support/planted_seeds.py [bug ...]`` looks for them.

Whatever changes the plan of a run, a node or a core moves the runs. Then this tells of each bug whether its seed meets
it still, or else the first one that does, and ends with the new ``FOUND_AT``. Not part of the tests: it takes minutes.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Final

from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.engine.sim.bugs import BUGS
from helios_cli.engine.sim.plan import Spec, drawn
from helios_cli.engine.sim.planted import run_with
from helios_cli.engine.sim.world import run

BELOW: Final = 2000
"""No bug may need a seed from here on."""

FOUND_AT: Final[dict[str, int]] = {
    "one-copy-less": 0, "any-term": 4, "own-flush-forgotten": 0, "committed-falls": 6, "observer-counts": 11,
    "tail-at-once": 0, "ejection-unagreed": 4, "not-joint": 0, "loosened-at-once": 3, "disks-unknown": 53,
    "committed-past-a-change": 14,
    "disks-before": 53, "lsns-without-terms": 74, "nobody-heard": 10, "minority-elects": 22, "newest-alone": 95,
    "observer-unheeded": 22, "old-disks-vote": 1652, "old-disks-copy": 18, "promise-broken": 483,
    "taken-back-unheard": 159,
    "leader-promises": 51, "old-term-followed": 0, "sent-back-by-anybody": 176, "endless-lease": 20,
    "lease-without-margin": 247, "vote-taken-back": 966, "lease-from-the-echo": 20, "lease-on-the-wall-clock": 20,
    "fickle-voters": 37, "votes-at-start": 148, "promise-in-memory": 0, "written-acknowledged": 0, "cache-believed": 22,
    "sync-tried-again": 4, "primary-shows-flushed": 0, "standby-shows-applied": 0, "reads-unconfirmed": 74,
    "reads-confirmed-before": 700, "reads-before-the-first-record": 147, "fork-not-cut": 1,
}  # fmt: skip
"""A seed that meets each planted bug."""

DRAWN_SO: Final[dict[str, dict[str, Any]]] = {
    "lease-without-margin": {"nodes": 3, "mode": SyncMode.ASYNC, "survivable": True, "steps": 240},
    "vote-taken-back": {"mode": SyncMode.ASYNC, "survivable": False},
    "taken-back-unheard": {"nodes": 2, "mode": SyncMode.SYNC, "survivable": False},
    "votes-at-start": {"nodes": 3, "mode": SyncMode.ASYNC, "survivable": False},
}
"""What is told and not drawn, for bugs that show in few of the runs."""


def spec_for(bug: str, seed: int) -> Spec:
    """The run with that number, as it is drawn for a bug."""
    return drawn(seed, **DRAWN_SO.get(bug, {}))


def rule_broken(bug: str, seed: int) -> str:
    """The rule that the bug breaks in this run, which is clean without; empty: none."""
    spec = spec_for(bug, seed)
    result = run_with(BUGS[bug], spec)
    return result.rule if result.rule != "the cores raise nothing" and run(spec).is_clean else ""


def search(bug: str, below: int = BELOW) -> tuple[int, str]:
    """The seed that is known, or else the first one that meets a bug, and the rule; -1 where none below does."""
    known = (FOUND_AT[bug],) if bug in FOUND_AT else ()
    return next(((seed, rule) for seed in (*known, *range(below)) if (rule := rule_broken(bug, seed))), (-1, ""))


def main(names: Sequence[str]) -> int:
    """Look for the bugs of these names; all without. 1: one of them is not found."""
    chosen = list(names) or list(BUGS)
    found_at = dict(FOUND_AT)
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), multiprocessing.get_context("spawn")) as pool:
        for name, (seed, rule) in zip(chosen, pool.map(search, chosen), strict=True):
            told = "as before" if seed == FOUND_AT.get(name) else f"not by {FOUND_AT.get(name, 'any yet')} any more"
            print(f"{name:30} {f'seed {seed}, {told}: {rule}' if rule else f'NOT FOUND below {BELOW}'}", flush=True)
            found_at[name] = seed
    if found_at != FOUND_AT:
        print(", ".join(f'"{name}": {found_at[name]}' for name in BUGS if name in found_at))
    return 1 if -1 in found_at.values() else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
