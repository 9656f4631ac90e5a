"""``python -m bench.scenarios [NAME ...]``: the tutorial's scenarios through the proxy, at the pace of the tutorial.

A primary, a synchronous and an asynchronous standby, and a proxy before them, each a process of its own; the workloads
connect anew for each statement. Without a name all are played (a quarter of an hour). Exit code 1 when one statement
failed, or a row is missing. ``--write-timeout`` is longer than the tutorial's 30 s, in which its own longest outages
(a primary that is away for 40 s, and that nobody replaces) do not end.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
TAIL = 12
"""Lines of each workload's log that are shown."""


def play(names: Sequence[str], directory: Path, *, pace: float, write_timeout_s: float, elects: bool) -> list[str]:
    """Play them, one after the other, and show how each ended. Gives the names of those that failed."""
    from support.node_cluster import NodeCluster
    from support.proxy_process import ProxyProcess, wait_spread
    from support.tutorial_scenarios import SCENARIOS, Stage

    settings = {"health_check_interval_secs": 5, "failure_threshold": 3, "write_timeout_secs": write_timeout_s}
    failed = []
    for name in names:
        place = directory / name
        cluster = NodeCluster(place)
        proxy = ProxyProcess(place / "proxy", cluster.nodes, user="helios", settings=settings)
        try:
            cluster.start()
            proxy.start()
            wait_spread(proxy, len(cluster.nodes))
            stage = Stage(cluster, proxy, place / "workloads")
            stage.pause_failover(paused=not elects)
            for log in stage.play(SCENARIOS[name], pace):
                print("", *log.splitlines()[-TAIL:], "", sep="\n", flush=True)
        except AssertionError as error:
            print(f"FAILED: {name}: {error}", flush=True)
            failed.append(name)
        finally:
            proxy.kill()
            cluster.close()
    return failed


def main() -> int:
    """Run as a program; gives the exit code."""
    from support.tutorial_scenarios import SCENARIOS

    listed = "\n".join(f"  {name:12}{one.title}, {one.seconds:g} s" for name, one in SCENARIOS.items())
    parser = argparse.ArgumentParser(
        description=f"{(__doc__ or '').strip()}\n\n{listed}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[*SCENARIOS, []])
    parser.add_argument("--pace", type=float, default=1.0, help="part of the tutorial's times; 0.1: ten times as fast")
    parser.add_argument("--write-timeout", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument(
        "--no-failover", action="store_true", help="nobody replaces a primary that is away: writes wait"
    )
    given = parser.parse_args()
    names = given.names or list(SCENARIOS)
    with tempfile.TemporaryDirectory(prefix="scenarios-") as directory:
        failed = play(
            names, Path(directory), pace=given.pace, write_timeout_s=given.write_timeout, elects=not given.no_failover
        )
    print(f"{len(names) - len(failed)} of {len(names)} scenarios without a failure")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
