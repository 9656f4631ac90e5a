"""``python -m bench.faults NAME ...``: named faults on clusters of real processes under load, and what came of each.

Without a name they are listed. The clients' histories are judged at the end; a wrong one is exit code 1, as is a change
of the lead that should not have been. Network faults take root and network namespaces, disk faults loop devices.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
STALLS: Mapping[str, tuple[str, float]] = {
    "stall-primary-short": ("primary", 1.5), "stall-primary": ("primary", 10.0), "stall-standby": ("standby", 4.0),
    "stall-observer": ("observer", 4.0),
}  # fmt: skip
"""Disks that stand still: whose, and for how many seconds."""


def run(names: Sequence[str], mode: str, directory: Path, seed: int, away_s: float) -> dict[str, Any]:
    """Run them; the counts of each kind. Raises AssertionError when something came of it that should not."""
    from support.fault_drill import ETCD_FAULTS, run_faults
    from support.network import Network
    from support.stall_drill import run_stalls

    counts: dict[str, Any] = {}
    stalls = [STALLS[name] for name in names if name in STALLS]
    faults = [name for name in names if name not in STALLS]
    if faults:
        network = Network()
        try:
            with_etcd = any(name in ETCD_FAULTS for name in faults)
            outcome = run_faults(
                network, directory / "faults", mode, faults, seed=seed, with_etcd=with_etcd, away_s=away_s
            )
            counts["faults"] = asdict(outcome)
        finally:
            network.close()
    if stalls:
        counts["stalls"] = asdict(run_stalls(directory / "stalls", stalls, seed=seed))
    return counts


def known() -> dict[str, str]:
    """Every fault and what it does."""
    from support.fault_drill import ETCD_FAULTS, FAULTS

    told = {name: " ".join((fault.__doc__ or "").split()) for name, fault in (FAULTS | ETCD_FAULTS).items()}
    return told | {
        name: f"The disk of the {whose} stands still for {seconds:g} s." for name, (whose, seconds) in STALLS.items()
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="faults, one after the other")
    parser.add_argument("--mode", default="quorum", choices=("async", "semi-sync", "quorum", "sync"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--away", type=float, default=4.0, metavar="S", help="seconds for which an etcd is away [4]")
    options = parser.parse_args(arguments)
    there = known()
    unknown = [name for name in options.names if name not in there]
    if unknown or not options.names:
        for name, told in there.items():
            print(f"{name:20} {told}")
        for name in unknown:
            print(f"there is no fault {name}", file=sys.stderr)
        return 2 if unknown else 0
    directory = Path(tempfile.mkdtemp(prefix="faults-"))
    try:
        counts = run(options.names, options.mode, directory, options.seed, options.away)
    except AssertionError as error:
        print(f"failed: {error}; see {directory}", file=sys.stderr)
        return 1
    print(json.dumps(counts, indent=1))
    shutil.rmtree(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
