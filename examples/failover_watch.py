"""Being told when a cluster changes its primary, and asking its observers who leads.

    python examples/failover_watch.py --node 127.0.0.1:5432 [--observer 127.0.0.1:8083 ...] [--changes 1]

Prints a line for each change, and ends after as many. Exits with 1 when nothing can be watched.
"""

from __future__ import annotations

import argparse
import queue
import sys

from helios_cli.engine.errors import HeliosError
from helios_cli.replication import (
    FailoverWatcher,
    LeadChange,
    ObserverConfig,
    Protection,
    ReplicationConfig,
    SplitBrainProtector,
)


def main() -> int:
    """Watch the cluster that the command line names."""
    options = arguments()
    try:
        if options.observer:
            needed = len(options.observer) // 2 + 1
            with SplitBrainProtector(ObserverConfig(observers=options.observer, quorum_size=needed)) as protector:
                show(protector.latest)
                protector.on_change(show)
                watch(options)
        else:
            watch(options)
    except HeliosError as error:
        print(f"error: {error.message}" + (f" (hint: {error.hint})" if error.hint else ""), file=sys.stderr)
        return 1
    return 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Watch who leads a cluster.")
    parser.add_argument("--node", required=True, metavar="HOST:PORT", help="the PostgreSQL address of any node")
    parser.add_argument("--observer", action="append", metavar="HOST:PORT", help="the HTTP address of an observer")
    parser.add_argument("--user", default="helios", help="who logs in [helios]")
    parser.add_argument("--changes", type=int, default=1, help="end after so many changes of the lead [1]")
    return parser.parse_args()


def watch(options: argparse.Namespace) -> None:
    """Print each change of the lead."""
    config = ReplicationConfig.builder().primary_endpoint(options.node).build().replica_config(user=options.user)
    watcher = FailoverWatcher(config)
    changes: queue.Queue[LeadChange] = queue.Queue()
    watcher.on_failover(changes.put)
    with watcher:
        print(f"{watcher.primary} leads at {watcher.primary_address}, term {watcher.term}", flush=True)
        for _ in range(options.changes):
            change = changes.get()
            how = "failover" if change.automatic else "asked for"
            print(f"{change.old_primary} -> {change.new_primary} in term {change.term} ({how}): {change.reason}")
        print(f"now at {watcher.primary_address}", flush=True)


def show(found: Protection) -> None:
    """What the observers say."""
    if found.has_quorum:
        print(f"{len(found.agreeing)} of {len(found.answering)} observers hear {found.primary}", flush=True)
    else:
        print(f"no quorum: {found.problem}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
