"""``workload bank``, ``ycsb``, ``tpcb``, ``script``, ``ledger run``: how fast, how steady, and whether it is right."""

from __future__ import annotations

import inspect
import json
import os
import random
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from helios_cli.commands import _options
from helios_cli.commands._errors import ExitCode
from helios_cli.commands._load_options import (
    Clients,
    Database,
    DryRun,
    Duration,
    Hosts,
    Password,
    Port,
    SslMode,
    Timeout,
    User,
    check_table,
    find_hosts,
)
from helios_cli.commands._output import print_json
from helios_cli.engine.errors import ConfigError
from helios_cli.engine.net.pgclient import Target

if TYPE_CHECKING:
    from helios_cli.commands.load.driver import Driver, Work

Rate = Annotated[
    float,
    typer.Option(
        "--rate",
        min=0,
        help="Operations due each second, all clients together, measured from when they are due; 0: each when the one "
        "before is answered.",
    ),
]
Proxy = Annotated[bool, typer.Option("--proxy", help="Through the proxy of cluster.toml, not at its nodes.")]
Table = Annotated[str, typer.Option("--table", metavar="NAME", help="Where to; made anew.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Draw the same operations again.")]
Svg = Annotated[
    Path | None, typer.Option("--svg", metavar="FILE", help="Latencies and throughput as a picture, for any browser.")
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="The outcome as JSON, besides what is shown.")
]


@dataclass(frozen=True, slots=True)
class Given:
    """The options that all of them have."""

    hosts: list[Target]
    duration: float
    clients: int
    rate: float
    seed: int
    svg: Path | None
    output: Path | None
    dry_run: bool
    as_json: bool


def _given(
    host: Hosts = None,
    port: Port = None,
    proxy: Proxy = False,
    user: User = None,
    dbname: Database = None,
    password: Password = None,
    sslmode: SslMode = None,
    timeout: Timeout = 60.0,
    duration: Duration = 60.0,
    clients: Clients = 8,
    rate: Rate = 0.0,
    seed: Seed = None,
    svg: Svg = None,
    output: Output = None,
    dry_run: DryRun = False,
    as_json: _options.Json = False,
) -> Given:
    if proxy:
        host, port, password = _proxy_of_the_cluster(password)
    found = find_hosts(host, port, user, dbname, password, sslmode, timeout)
    drawn = secrets.randbelow(1 << 32) if seed is None else seed
    return Given(found, duration, clients, rate, drawn, svg, output, dry_run, as_json)


def _proxy_of_the_cluster(password: str | None) -> tuple[str, int, str | None]:
    from helios_cli.commands.local import clusterfile

    cluster = clusterfile.load(None, os.environ)
    if cluster.proxy is None:
        raise ConfigError(f"the cluster of {cluster.path} has no proxy", hint="Name one: --host HOST --port PORT.")
    password = password or os.environ.get("PGPASSWORD") or clusterfile.password_of(cluster)
    return cluster.asked_at(cluster.proxy), cluster.proxy.pg_port, password


def _with_given(function: Callable[..., int]) -> Callable[..., int]:
    """A command that has all of the options of :func:`_given` besides its own; they arrive as ``given``."""
    shared = inspect.signature(_given, eval_str=True).parameters
    own = [one for one in inspect.signature(function, eval_str=True).parameters.values() if one.name != "given"]

    def command(**values: Any) -> int:
        given = _given(**{name: values.pop(name) for name in shared})
        return function(given, **values)

    command.__doc__, command.__name__ = function.__doc__, function.__name__
    keyed = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (*own, *shared.values())]
    command.__signature__ = inspect.Signature(keyed)  # type: ignore[attr-defined]
    return command


@_with_given
def bank(
    given: Given,
    table: Table = "bank",
    accounts: Annotated[int, typer.Option("--accounts", min=2, max=100_000, help="How many there are.")] = 100,
) -> int:
    """Move money between accounts in transactions, and look at all of them: the sum must always be the same.

    Exit code 0 when every operation succeeded and every sum was right, 6 when some failed, 1 when a sum was wrong.

    Examples:

        heliosdb-nano workload bank --clients 16 --duration 30

        heliosdb-nano workload bank --proxy --rate 200 --json
    """
    from helios_cli.commands.load.works import Bank

    check_table(table)
    return _run(given, Bank(table, accounts), f"table {table} is made anew with {accounts} accounts")


@_with_given
def ycsb(
    given: Given,
    mix: Annotated[str, typer.Argument(metavar="a|b|c|d|e|f", help="Which of the core workloads.")],
    table: Annotated[
        str, typer.Option("--table", metavar="NAME", help="Where to; filled unless it has as many rows.")
    ] = "usertable",
    records: Annotated[int, typer.Option("--records", min=10, max=10_000_000, help="Rows of 1 kB.")] = 1000,
) -> int:
    """YCSB's core workloads: a updates, b reads, c reads alone, d reads what is new, e scans, f reads and changes.

    Exit code 0 when every operation succeeded, 6 when some failed, 1 when a row is missing in the end.

    Examples:

        heliosdb-nano workload ycsb a --clients 16 --duration 30

        heliosdb-nano workload ycsb e --records 100000 --proxy --svg scans.svg
    """
    from helios_cli.commands.load.ycsb import MIXES, SUMMARIES, Ycsb

    check_table(table)
    if mix.lower() not in MIXES:
        told = "; ".join(f"{name}: {text}" for name, text in SUMMARIES.items())
        raise typer.BadParameter(f"the workload is one of {', '.join(MIXES)}, not {mix!r} ({told})")
    return _run(
        given, Ycsb(mix.lower(), table, records), f"table {table} is filled with {records} rows, if it has not as many"
    )


@_with_given
def tpcb(
    given: Given,
    prefix: Annotated[str, typer.Option("--prefix", metavar="NAME", help="Of the four tables, made anew.")] = "tpcb",
    scale: Annotated[int, typer.Option("--scale", min=1, max=1000, help="Branches.")] = 1,
    accounts: Annotated[int, typer.Option("--accounts", min=1, max=100_000, help="Of each branch.")] = 10_000,
) -> int:
    """The transaction of TPC-B, as pgbench has it: three updates, a query and an insert.

    Exit code 0 when every transaction succeeded, 6 when some failed, 1 when the sums of the tables differ in the end.

    Examples:

        heliosdb-nano workload tpcb --scale 10 --clients 16

        heliosdb-nano workload tpcb --port 5400 --rate 100 --duration 300 --output tpcb.json
    """
    from helios_cli.commands.load.works import TpcB

    check_table(prefix)
    return _run(given, TpcB(prefix, scale, accounts), f"tables {prefix}_... are made anew, {scale * accounts} accounts")


@_with_given
def script(
    given: Given,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A script for pgbench.")],
    define: Annotated[
        list[str] | None, typer.Option("--define", "-D", metavar="NAME=VALUE", help="A variable; may be repeated.")
    ] = None,
    protocol: Annotated[
        str, typer.Option("--protocol", "-M", metavar="simple|extended|prepared", help="How statements are sent.")
    ] = "simple",
) -> int:
    r"""Run a script of pgbench's, again and again; each run of it is one operation.

    All of pgbench 15 is understood: statements with :variables, \set with its operators and functions, \gset, \aset,
    \if, \elif, \else, \endif, \sleep, \startpipeline, \endpipeline; but \shell and \setshell are refused. :client_id
    is the client's number, from 0. Exit code 6 when an operation failed.

    Examples:

        heliosdb-nano workload script transfer.sql --clients 16 -D scale=10

        heliosdb-nano workload script report.sql --rate 5 --proxy

        heliosdb-nano workload script batch.sql --protocol prepared --duration 30 --svg batch.svg
    """
    from helios_cli.commands.load.script import PROTOCOLS, Script
    from helios_cli.commands.load.scriptfile import read

    if protocol not in PROTOCOLS:
        raise typer.BadParameter(f"--protocol is one of {', '.join(PROTOCOLS)}, not {protocol!r}")
    return _run(given, Script(file, read(file), _defined(define or [], given.seed), protocol), f"{file} is run")


def _defined(pairs: list[str], seed: int) -> dict[str, Any]:
    rng = random.Random(seed)
    found: dict[str, Any] = {"scale": 1, "default_seed": rng.getrandbits(63), "random_seed": seed}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise typer.BadParameter(f"-D takes NAME=VALUE, not {pair!r}")
        found[name] = value
    return found


@_with_given
def ledger_run(
    given: Given,
    table: Annotated[
        str, typer.Option("--table", metavar="NAME", help="Where to; made when it is not there.")
    ] = "workload",
    ledger: Annotated[
        Path | None,
        typer.Option("--ledger", metavar="FILE", help="Where to write the ledger. \\[workload-RUN.ledger]"),
    ] = None,
) -> int:
    """Insert numbered rows, write down what became of each, and count them all in the end.

    What ledger verify does can be done again later, at any node. Exit code 1 when an acknowledged row is missing.

    Examples:

        heliosdb-nano workload ledger run --clients 16 --duration 30

        heliosdb-nano workload ledger run --proxy --rate 500 --ledger before.ledger
    """
    from helios_cli.commands.load.works import LedgerWork

    check_table(table)
    name = f"{time.strftime('%Y%m%dT%H%M%S')}-{secrets.token_hex(2)}"
    path = ledger or Path(f"workload-{name}.ledger")
    told = f"rows are inserted into {table}, ledger {path}"
    if path.exists():
        raise ConfigError(f"{path} is there already", hint="Name another file with --ledger, or remove it.")
    return _run(given, LedgerWork(table, name, path, given.hosts), told)


def _run(given: Given, work: Work, told: str) -> int:
    """Prepare, run, check and tell."""
    from helios_cli.commands.load import live
    from helios_cli.commands.load.driver import Driver, Pace

    if given.dry_run:
        return _say_plan(given, work.name, told)
    pace = Pace(given.clients, given.duration, given.rate)
    driver = Driver(work, pace, given.hosts, primary_only=len(given.hosts) > 1, seed=given.seed)
    work.prepare(driver.workers[0])
    screen = live.Screen(f"heliosdb-nano workload {work.name}", given.duration, quiet=given.as_json)
    with screen, _ended_by_signals(driver):
        seconds = driver.run(screen.show, screen.every_s)
    wrong = work.check(driver.workers[0])
    driver.workers[0].session.close()
    record = {
        **driver.record(seconds), "hosts": [f"{one.host}:{one.port}" for one in given.hosts], "seed": given.seed,
        "wrong": wrong,
    }  # fmt: skip
    return _tell(given, driver, record, wrong)


def _tell(given: Given, driver: Driver, record: dict[str, Any], wrong: list[str]) -> int:
    from helios_cli.commands.load import live
    from helios_cli.commands.load.svg import drawn

    if given.output is not None:
        given.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    if given.svg is not None:
        given.svg.write_text(drawn(record), encoding="utf-8")
    if given.as_json:
        print_json(record)
    else:
        told = [*live.lines(record, driver.total()), *(f"WRONG: {text}" for text in wrong)]
        typer.echo("\n".join([*told, "VERDICT: FAILED." if wrong else "VERDICT: passed."]))
    return ExitCode.FAILED if wrong else ExitCode.DEGRADED if record["failed"] else ExitCode.OK


@contextmanager
def _ended_by_signals(driver: Driver) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the run in order meanwhile."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: driver.stop()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say_plan(given: Given, name: str, told: str) -> int:
    places = [f"{one.host}:{one.port}" for one in given.hosts]
    if given.as_json:
        print_json({"workload": name, "hosts": places, "clients": given.clients, "seconds": given.duration,
                    "rate": given.rate, "prepares": told})  # fmt: skip
        return ExitCode.OK
    pace = f"{given.rate:g} operations a second" if given.rate else "as fast as they go"
    length = f"for {given.duration:g} s" if given.duration else "until Ctrl-C"
    typer.echo(f"{name}: {told}; {given.clients} clients, {pace}, {length}, on {', '.join(places)}")
    return ExitCode.OK
