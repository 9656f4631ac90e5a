"""``workload``: load that counts every acknowledged write, and checks afterwards that it is there."""

from __future__ import annotations

import random
import secrets
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from helios_cli.commands import _options, workload_verbs
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

if TYPE_CHECKING:
    from helios_cli.commands.load.account import Account
    from helios_cli.commands.load.ledger import Ledger
    from helios_cli.commands.load.orders import Orders
    from helios_cli.commands.load.runner import Load, Runner
    from helios_cli.engine.net.pgclient import Target

app = typer.Typer(
    add_completion=False, help="Put load on a node or a cluster, and count what it acknowledged.", no_args_is_help=True
)
ledger_app = typer.Typer(help="Write a ledger, look into it, and check it against a node.", no_args_is_help=True)
app.add_typer(ledger_app, name="ledger")

LedgerFile = Annotated[Path, typer.Argument(metavar="FILE", help="The ledger that the run wrote.")]


Interval = Annotated[
    float, typer.Option("--interval", metavar="SECONDS", min=0, help="From one iteration of a client to its next.")
]
Rate = Annotated[
    float | None,
    typer.Option(
        "--rate",
        min=0,
        help="Iterations due each second, all clients together, instead of --interval, and measured from when they are "
        "due; 0: as fast as they go.",
    ),
]
Retry = Annotated[
    float,
    typer.Option(
        "--retry",
        metavar="SECONDS",
        min=0,
        help="Try a read, or a write that surely did not happen, again for so long.",
    ),
]
Reconnect = Annotated[bool, typer.Option("--reconnect", help="A connection for each statement, as psql -c makes one.")]
Table = Annotated[str, typer.Option("--table", metavar="NAME", help="Where to; made when it is not there.")]
AnyNode = Annotated[
    bool,
    typer.Option("--any-node", help="Write through standbys too; otherwise of several hosts the primary is sought."),
]
NewLedger = Annotated[
    Path | None,
    typer.Option("--ledger", metavar="FILE", help="Where to write the ledger. \\[workload-RUN.ledger]"),
]
Verify = Annotated[
    bool, typer.Option("--verify", help="Check the ledger at the end; exit code 1 when a row is missing.")
]


@app.command(context_settings={"help_option_names": ["--help"]})
def run(
    host: Hosts = None,
    port: Port = None,
    user: User = None,
    dbname: Database = None,
    password: Password = None,
    sslmode: SslMode = None,
    duration: Duration = 60.0,
    interval: Interval = 1.0,
    rate: Rate = None,
    clients: Clients = 1,
    retry: Retry = 0.0,
    timeout: Timeout = 60.0,
    reconnect: Reconnect = False,
    table: Table = "workload",
    any_node: AnyNode = False,
    ledger: NewLedger = None,
    verify: Verify = False,
    dry_run: DryRun = False,
    as_json: _options.Json = False,
) -> int:
    """Insert a row and read it back, again and again, and count what was acknowledged.

    A write whose answer never came is counted apart and never sent again: its row may be there or not. Exit code 0
    when every iteration succeeded, 6 when some failed, 1 when --verify misses a row, 3 when nobody answers at all.

    Examples:

        heliosdb-nano workload run --duration 120 --interval 1

        heliosdb-nano workload run --host 127.0.0.1:5432,127.0.0.1:5442 --clients 16 --rate 0 --duration 30 --verify

        heliosdb-nano workload run --rate 200 --ledger before-failover.ledger --json

        heliosdb-nano workload run --port 5400 --duration 90 --reconnect --verify
    """
    from helios_cli.commands.load.runner import Load

    hosts = find_hosts(host, port, user, dbname, password, sslmode, timeout)
    check_table(table)
    period = interval if rate is None else clients / rate if rate else 0.0
    name = f"{time.strftime('%Y%m%dT%H%M%S')}-{secrets.token_hex(2)}"
    primary_only = len(hosts) > 1 and not any_node
    load = Load(name, table, clients, duration, period, retry, primary_only, reconnect, at_rate=bool(rate))
    path = ledger or Path(f"workload-{name}.ledger")
    if dry_run:
        return _say_plan(load, hosts, path, as_json)
    runner, seconds = _execute(load, hosts, path, as_json)
    outcome = _check(path, hosts) if verify else None
    _say_outcome(runner, seconds, path, hosts, outcome, as_json)
    if outcome is not None and not outcome[1].passed:
        return ExitCode.FAILED
    return ExitCode.OK if not runner.statistics.failed else ExitCode.DEGRADED


@app.command(context_settings={"help_option_names": ["--help"]})
def mixed(
    host: Hosts = None,
    port: Port = None,
    user: User = None,
    dbname: Database = None,
    password: Password = None,
    sslmode: SslMode = None,
    duration: Duration = 180.0,
    interval: Annotated[
        float, typer.Option("--interval", metavar="SECONDS", min=0, help="From the end of an operation to the next.")
    ] = 0.5,
    timeout: Timeout = 60.0,
    table: Annotated[str, typer.Option("--table", metavar="NAME", help="Where to; made anew.")] = "app_orders",
    seed: Annotated[int | None, typer.Option("--seed", help="Draw the same operations again.")] = None,
    dry_run: DryRun = False,
    as_json: _options.Json = False,
) -> int:
    """Read and write orders as an application does, 7 reads to 3 writes, each on a connection of its own.

    For a proxy, or a node, whose cluster loses nodes meanwhile. Every acknowledged order is looked up at the end. Exit
    code 0 when every operation succeeded, 6 when some failed, 1 when an order is missing, 3 when nobody answers at all.

    Examples:

        heliosdb-nano workload mixed --port 5400

        heliosdb-nano workload mixed --host 127.0.0.1 --port 5400 --duration 60 --interval 0.1 --json
    """
    from helios_cli.commands.load.orders import Orders
    from helios_cli.commands.load.session import Session

    hosts = find_hosts(host, port, user, dbname, password, sslmode, timeout)
    check_table(table)
    if dry_run:
        return _say_mixed_plan(hosts, table, duration, interval, as_json)
    session = Session(hosts, primary_only=len(hosts) > 1, reconnects=True)
    orders = Orders(session, table, duration, interval, random.Random(seed))
    seconds, missing = _trade(orders, as_json)
    if as_json:
        print_json({**orders.record(seconds), "missing": missing})
    else:
        _say_orders(orders, seconds, missing)
    return ExitCode.FAILED if missing else ExitCode.DEGRADED if orders.failed else ExitCode.OK


def _say_mixed_plan(hosts: list[Target], table: str, seconds: float, interval_s: float, as_json: bool) -> int:
    names = [f"{one.host}:{one.port}" for one in hosts]
    if as_json:
        print_json({"hosts": names, "table": table, "seconds": seconds, "interval_s": interval_s})
    else:
        length = f"for {seconds:g} s" if seconds else "until Ctrl-C"
        typer.echo(f"table {table} is dropped and made anew on {', '.join(names)}, and used {length}")
    return ExitCode.OK


def _trade(orders: Orders, as_json: bool) -> tuple[float, list[int]]:
    """Run it, and look for what was acknowledged; Ctrl-C and SIGTERM end it in order."""
    if not as_json:
        print("Setting up test environment...", flush=True)
    orders.prepare()
    length = f" ({orders.seconds:g}s)" if orders.seconds else ""
    if not as_json:
        print(f"Starting application continuity test{length}...\nPress Ctrl+C to stop\n", flush=True)
    one_line = sys.stdout.isatty()

    def show(line: str, succeeded: bool) -> None:
        if not as_json:
            before, after = ("\r" if succeeded else "\n", "") if one_line else ("", "\n")
            print(before + line, end=after, flush=True)

    before = {
        number: signal.signal(number, lambda *_: orders.stopped.set()) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        seconds = orders.run(show)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return seconds, orders.missing()


def _say_orders(orders: Orders, seconds: float, missing: list[int]) -> None:
    from helios_cli.commands.load.orders import summary

    lines = ["", f"Acknowledged orders: {len(orders.acknowledged)}, missing: {len(missing)}"]
    lines += [f"Longest operation: {orders.longest_s * 1000:.0f} ms"]
    lines += [f"Error: {text} ({count} times)" for text, count in orders.errors.most_common(5)]
    print("\n".join([*lines, "", *summary(orders.record(seconds))]), flush=True)


def _execute(load: Load, hosts: list[Target], path: Path, as_json: bool) -> tuple[Runner, float]:
    """The run itself; Ctrl-C and SIGTERM end it in order."""
    from helios_cli.commands.load.ledger import LedgerWriter
    from helios_cli.commands.load.runner import Runner
    from helios_cli.commands.load.session import Session, prepare

    session = Session(hosts, primary_only=load.primary_only)
    prepare(session, load.table)
    session.close()
    with LedgerWriter(path, load.run, load.table) as ledger:
        runner = Runner(load, hosts, ledger)
        before = {number: signal.signal(number, lambda *_: runner.stop()) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            seconds = runner.run(lambda lines: None if as_json else _print_lines(lines))
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    return runner, seconds


def _print_lines(lines: list[str]) -> None:
    for line in lines:
        print(line, flush=True)


def _say_plan(load: Load, hosts: list[Target], path: Path, as_json: bool) -> int:
    names = [f"{one.host}:{one.port}" for one in hosts]
    if as_json:
        print_json({"hosts": names, "table": load.table, "clients": load.clients, "seconds": load.seconds,
                    "period_s": load.period_s, "ledger": str(path)})  # fmt: skip
        return ExitCode.OK
    pace = f"every {load.period_s:g} s" if load.period_s else "as fast as they go"
    length = f"for {load.seconds:g} s" if load.seconds else "until Ctrl-C"
    typer.echo(
        f"{load.clients} clients insert into {load.table} {pace}, {length}, on {', '.join(names)}; ledger {path}"
    )
    return ExitCode.OK


def _check(path: Path, hosts: list[Target]) -> tuple[Target, Account, Ledger]:
    from helios_cli.commands.load.account import first_answering
    from helios_cli.commands.load.ledger import read_ledger

    ledger = read_ledger(path)
    return (*first_answering(ledger, hosts), ledger)


def _say_outcome(
    runner: Runner,
    seconds: float,
    path: Path,
    hosts: list[Target],
    outcome: tuple[Target, Account, Ledger] | None,
    as_json: bool,
) -> None:
    from helios_cli.commands.load import account

    record = _record(runner, seconds, path, hosts)
    if as_json:
        print_json({**record, "ledger_verify": account.record(outcome[1], outcome[0], outcome[2]) if outcome else None})
        return
    lines = _writes(runner, record)
    if outcome is not None:
        lines += ["", "=== Ledger ===", *account.lines(outcome[1], outcome[0], 10)]
    print("\n".join(["", *lines, "", *summary(record)]), flush=True)


def _record(runner: Runner, seconds: float, path: Path, hosts: list[Target]) -> dict[str, Any]:
    from helios_cli.commands.load.statistics import success_rate

    counted = runner.statistics
    return {
        "run": runner.load.run, "table": runner.load.table, "hosts": [f"{one.host}:{one.port}" for one in hosts],
        "ledger": str(path), "clients": runner.load.clients, "seconds": round(seconds, 3),
        "iterations": counted.iterations, "successful": counted.successful, "failed": counted.failed,
        "success_rate": success_rate(counted.successful, counted.iterations),
        "acknowledged": counted.acknowledged, "unknown": counted.unknown, "refused": counted.refused,
        "reads_failed": counted.reads_failed, "reads_missing": counted.reads_missing,
        "iterations_per_s": round(counted.iterations / max(seconds, 1e-9), 1), "connects": runner.connects,
        "latency_ms": {name: round(counted.percentile_ms(share), 3)
                       for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))},
        "longest_gap_ms": round(counted.longest_gap_s * 1000, 1), "errors": dict(counted.errors),
    }  # fmt: skip


def _writes(runner: Runner, record: Mapping[str, Any]) -> list[str]:
    """What became of the writes, for people."""
    from helios_cli.commands.load.statistics import gap_text

    latency = ", ".join(f"{name} {value:.1f}" for name, value in record["latency_ms"].items())
    lines = [
        "=== Writes ===",
        f"Acknowledged: {record['acknowledged']}",
        f"Pace: {record['iterations_per_s']:g} iterations a second for {record['seconds']:.1f} s",
        f"Outcome unknown: {record['unknown']}",
        f"Refused: {record['refused']}",
        f"Latency in ms{' from when each was due' if runner.load.at_rate else ''}: {latency}",
        f"Longest time without an acknowledged write: {gap_text(runner.statistics.longest_gap_s)}",
    ]
    lines += [f"Error: {text} ({count} times)" for text, count in runner.statistics.errors.most_common(5)]
    return [*lines, f"Ledger: {record['ledger']}"]


def summary(record: Mapping[str, Any]) -> list[str]:
    """The last lines of every run."""
    return [
        "=== Workload Summary ===",
        f"Total iterations: {record['iterations']}",
        f"Successful: {record['successful']}",
        f"Failed: {record['failed']}",
        f"Success rate: {record['success_rate']}",
    ]


@ledger_app.command("verify", context_settings={"help_option_names": ["--help"]})
def ledger_verify(
    file: LedgerFile,
    host: Hosts = None,
    port: Port = None,
    user: User = None,
    dbname: Database = None,
    password: Password = None,
    sslmode: SslMode = None,
    timeout: Timeout = 60.0,
    names: Annotated[int, typer.Option("--names", min=0, help="How many rows of each kind are named.")] = 20,
    as_json: _options.Json = False,
) -> int:
    """Read every row of a run back from a node: each acknowledged one must be there exactly once.

    Of several hosts the first that answers is read. Exit code 1 when a row is missing, twice, wrong, or there although
    it was refused; rows whose outcome was unknown may be there or not.

    Examples:

        heliosdb-nano workload ledger verify workload-20261121T093000-5f3a.ledger

        heliosdb-nano workload ledger verify run.ledger --host 127.0.0.1:5442 --json
    """
    from helios_cli.commands.load import account

    target, found, ledger = _check(file, find_hosts(host, port, user, dbname, password, sslmode, timeout))
    if as_json:
        print_json(account.record(found, target, ledger))
    else:
        typer.echo("\n".join(account.lines(found, target, names)))
    return ExitCode.OK if found.passed else ExitCode.FAILED


@ledger_app.command("show")
def ledger_show(file: LedgerFile, as_json: _options.Json = False) -> int:
    """What a ledger says, without asking any node.

    Examples:

        heliosdb-nano workload ledger show run.ledger
    """
    from helios_cli.commands.load.ledger import count, read_ledger

    ledger = read_ledger(file)
    record = {
        "run": ledger.run, "table": ledger.table, "acknowledged": count(ledger.acknowledged),
        "unknown": count(ledger.unknown), "refused": count(ledger.refused), "complete": ledger.complete,
    }  # fmt: skip
    if as_json:
        print_json(record)
    else:
        for name, value in record.items():
            typer.echo(f"{name}: {('yes' if value else 'no') if isinstance(value, bool) else value}")
    return ExitCode.OK


app.command()(workload_verbs.bank)
app.command()(workload_verbs.ycsb)
app.command()(workload_verbs.tpcb)
app.command()(workload_verbs.script)
ledger_app.command("run")(workload_verbs.ledger_run)
