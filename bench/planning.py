"""``python -m bench.planning``: what planning costs, of a shape that is new and of one that is known.

The statements are those of the tests' corpora: each line of ``planner_corpus``, each topic of ``dialect_corpus``, and
the queries over the catalogs that tools send. A time is the least of several, in time of the thread's processor, so
that other programs on the machine hardly matter.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import apsw
from rich.console import Console
from rich.table import Table

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.node.setup import ConnectionSetup
from helios_cli.engine.sql.ddl import SYSTEM_SCHEMA
from helios_cli.engine.sql.functions import REGISTRY
from helios_cli.engine.sql.plan import Kind
from helios_cli.engine.sql.plan_cache import PlanCache
from helios_cli.engine.sql.planner import Planner
from helios_cli.engine.storage.catalog import SqliteCatalog

CORPORA = Path(__file__).resolve().parent.parent / "tests" / "adapters"
_WORDS = ("select", "insert", "update", "delete", "with")
NEW_LIMIT_MS, KNOWN_LIMIT_US = 1.0, 5.0


@dataclass(frozen=True)
class Cost:
    """Of one statement."""

    sql: str
    new_ms: float
    known_us: float


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m bench.planning", description=__doc__)
    made.add_argument("--only", metavar="NAME", default="", help="only the classes whose name holds NAME")
    made.add_argument("--tries", type=int, default=5, metavar="N", help="how often a new shape is planned [5]")
    made.add_argument("--slowest", type=int, default=0, metavar="N", help="also list the N dearest new shapes of all")
    return made


def database() -> SqliteCatalog:
    """The corpora's schema in memory, with what a node registers."""
    connection = apsw.Connection(":memory:")
    ConnectionSetup()(connection)
    for statement in SYSTEM_SCHEMA:
        connection.execute(statement)
    catalog = SqliteCatalog(connection)
    plans = PlanCache(Planner(REGISTRY))
    for sql in (CORPORA / "planner_corpus" / "schema.sql").read_text().splitlines():
        for plan, _literals in plans.get(sql, catalog):
            if plan.kind in (Kind.DDL, Kind.WRITE):
                for step in plan.steps if "?" not in "".join(plan.steps) else ():
                    connection.execute(step)
        catalog.refresh()
    return catalog


def classes() -> Iterator[tuple[str, list[str]]]:
    """Names of classes with their statements."""
    lines = (CORPORA / "planner_corpus" / "statements.sql").read_text().splitlines()
    by_word: dict[str, list[str]] = {}
    for line in lines:
        if line.strip() and not line.startswith("--"):
            word = line.split()[0].lower().rstrip(";")
            by_word.setdefault(word if word in _WORDS else "other", []).append(line)
    for word in sorted(by_word):
        yield f"planner_corpus: {word}", by_word[word]
    for path in sorted((CORPORA / "dialect_corpus").glob("*.json")):
        yield f"dialect_corpus: {path.stem}", [entry["sql"] for entry in json.loads(path.read_text())]
    queries = sorted((CORPORA / "catalog_queries").glob("*.sql"))
    yield "catalog_queries", [path.read_text().replace("{tables}", "{16384,16385}") for path in queries]


def cost(sql: str, catalog: SqliteCatalog, planner: Planner, tries: int) -> Cost | None:
    """What a statement costs; None for one that the planner refuses, or whose plan is not kept."""
    try:
        new = min(_timed(lambda: PlanCache(planner).get(sql, catalog), 1) for _ in range(tries))
        known = PlanCache(planner)
        known.get(sql, catalog)
        if not len(known):
            return None
        return Cost(sql, new * 1e3, min(_timed(lambda: known.get(sql, catalog), 100) for _ in range(tries)) * 1e6)
    except HeliosError:
        return None


def _timed(work: Callable[[], object], times: int) -> float:
    """Seconds of the thread's processor time for one call, of ``times`` calls."""
    start = time.thread_time_ns()
    for _ in range(times):
        work()
    return (time.thread_time_ns() - start) / times / 1e9


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    catalog, planner = database(), Planner(REGISTRY)
    table = Table("class", "statements", "new: median", "95 %", "worst ms", "over 1 ms", "known: median", "worst us")
    for column in table.columns[1:]:
        column.justify = "right"
    everything: list[Cost] = []
    gc.disable()
    for name, statements in classes():
        if options.only not in name:
            continue
        costs = [found for sql in statements if (found := cost(sql, catalog, planner, options.tries)) is not None]
        gc.collect()
        everything += costs
        if costs:
            table.add_row(name, *_row(costs))
    if everything:
        table.add_row("all", *_row(everything))
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(table)
    for found in sorted(everything, key=lambda found: -found.new_ms)[: options.slowest]:
        console.print(f"{found.new_ms:7.2f} ms {len(found.sql):6d} characters  {found.sql[:90]!r}", markup=False)
    return 0


def _row(costs: list[Cost]) -> list[str]:
    new = sorted(found.new_ms for found in costs)
    known = sorted(found.known_us for found in costs)
    high = new[min(len(new) - 1, len(new) * 95 // 100)]
    over = sum(value > NEW_LIMIT_MS for value in new)
    return [
        str(len(costs)), f"{statistics.median(new):.2f}", f"{high:.2f}", f"{new[-1]:.2f}", str(over),
        f"{statistics.median(known):.1f}", f"{known[-1]:.1f}",
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
