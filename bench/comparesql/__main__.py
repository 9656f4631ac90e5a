"""``python -m bench.comparesql``: random SQL on a PostgreSQL and on a node, and where they differ."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bench.comparesql import surface, tables
from bench.comparesql.answers import Asker
from bench.comparesql.comparison import Run, compare
from bench.comparesql.recording import record
from bench.servers import NodeServer, PostgresServer


class Reference(PostgresServer):
    """A PostgreSQL that answers, with Unicode's letters and without care for its disk."""

    locale = "--locale=C.UTF-8"

    def command(self) -> list[str]:
        """As always, and nothing is synced."""
        return [*super().command(), "-c", "fsync=off"]


def main() -> int:
    """Run, print, and give 1 when less than ``--at-least`` agrees."""
    arguments = _arguments()
    postgres, node = Reference(arguments.postgres), NodeServer()
    try:
        for server in (postgres, node):
            server.prepare()
            server.start()
        with postgres.endpoint.connect() as theirs, node.endpoint.connect() as ours:
            callable_here = surface.read(theirs)
            askers = Asker(ours), Asker(theirs)
            for asker in askers:
                for statement in tables.statements():
                    answer = asker.run(statement)
                    if answer.sqlstate:
                        raise SystemExit(f"{statement}: {answer.message}")
            if arguments.record:
                record(arguments.record, *askers, callable_here, arguments.seed, arguments.count)
                return 0
            run = Run(
                arguments.seed, arguments.count, arguments.first, arguments.seconds, tuple(arguments.family or ()),
                arguments.shrink,
            )  # fmt: skip
            tally = compare(*askers, callable_here, run)
    finally:
        postgres.remove()
        node.remove()
    if arguments.messages:
        for name, texts in sorted(tally.messages.items(), key=lambda item: -len(item[1])):
            sys.stdout.write(
                f"{name}: {len(texts)}\n"
                + "".join(f"    {text}\n" for text in sorted(texts, key=len)[: arguments.messages])
            )
    sys.stdout.write(json.dumps(tally.as_json(), indent=1) if arguments.json else tally.table(not arguments.short))
    sys.stdout.write("\n")
    return int(bool(tally.stopped) or tally.agreement < arguments.at_least)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.comparesql", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=5000, help="cases, of one or several statements (5000)")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so many")
    parser.add_argument(
        "--shrink", type=int, default=4, metavar="N", help="shrink N of differences that look alike (4)"
    )
    parser.add_argument(
        "--family", action="append", metavar="NAME", help="only cases of this family, as the table names it"
    )
    parser.add_argument("--postgres", type=Path, default=Path("/usr/lib/postgresql/15/bin"), help="its binaries")
    parser.add_argument("--record", type=Path, metavar="FILE", help="write the cases with PostgreSQL's answers instead")
    parser.add_argument("--json", action="store_true", help="JSON instead of the table")
    parser.add_argument("--short", action="store_true", help="no figures for each construct")
    parser.add_argument(
        "--messages", type=int, default=0, metavar="N", help="show N examples of each other message text"
    )
    parser.add_argument("--at-least", type=float, default=0.99, help="exit with 1 when less agrees (0.99)")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
