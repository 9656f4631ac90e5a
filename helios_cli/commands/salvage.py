"""``salvage``: what a node had committed and the cluster went on without; look at it, take it out, put it back."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO, TypeAlias

import typer

from helios_cli.commands import _options
from helios_cli.commands._errors import ExitCode, Refused
from helios_cli.commands._output import print_json, print_table, readable
from helios_cli.engine.errors import ConfigError
from helios_cli.engine.storage.salvage import Manifest, load_changes, load_manifest, load_writes, salvages

if TYPE_CHECKING:
    from helios_cli.engine.storage.rowdiff import Change

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Commits that a node had and the cluster went on without."
)

Name: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="As salvage list shows it.")]
Limit: TypeAlias = Annotated[int | None, typer.Option("--limit", min=1, help="At most so many rows.")]


@app.command("list")
def list_salvages(data_dir: _options.DataDir = None, as_json: _options.Json = False) -> int:
    """The salvages of a data directory, the oldest first.

    Examples:

        heliosdb-nano salvage list

        heliosdb-nano salvage list --data-dir ./n1 --json
    """
    directory = _directory(data_dir)
    if not os.path.isdir(directory):
        raise ConfigError(f"there is no data directory {directory}", hint="Name that of a node with --data-dir.")
    found = [_summary(name, manifest) for name, manifest in salvages(directory)]
    if as_json:
        print_json({"salvages": found})
    elif found:
        print_table([name.replace("_", " ") for name in found[0]], [list(one.values()) for one in found])
    else:
        typer.echo("no salvages: nothing that this node committed was lost", err=True)
    return ExitCode.OK


@app.command()
def show(name: Name, limit: Limit = None, data_dir: _options.DataDir = None, as_json: _options.Json = False) -> int:
    """What one salvage holds: where the logs parted, and the rows that were inserted, updated and deleted.

    Examples:

        heliosdb-nano salvage show 20260102T030405Z-0000000000001a2b

        heliosdb-nano salvage show 20260102T030405Z-0000000000001a2b --limit 20 --json
    """
    directory = _directory(data_dir)
    manifest = load_manifest(directory, name)
    changes = [one for _, one in zip(range(limit or sys.maxsize), load_changes(directory, name), strict=False)]
    if as_json:
        print_json({"name": name, "manifest": asdict(manifest), "rows": [asdict(one) for one in changes]})
        return ExitCode.OK
    for label, value in _summary(name, manifest).items():
        typer.echo(f"{label.replace('_', ' ')}: {readable(value)}")
    for line in manifest.schema_changes:
        typer.echo(f"schema: {line}")
    rows = [[one.op, one.full_name, _pairs(one.key), _what(one)] for one in changes]
    if rows:
        print_table(["op", "table", "key", "values"], rows)
    _note(manifest)
    return ExitCode.OK


@app.command()
def export(
    name: Name,
    form: Annotated[str, typer.Option("--format", metavar="sql|jsonl", help="SQL statements, or JSON lines.")] = "sql",
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Instead of standard output.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    data_dir: _options.DataDir = None,
    as_json: _options.Json = False,
) -> int:
    """Write the rows of a salvage as SQL or as JSON lines; --json is the latter.

    Examples:

        heliosdb-nano salvage export 20260102T030405Z-0000000000001a2b > lost.sql

        heliosdb-nano salvage export 20260102T030405Z-0000000000001a2b --format jsonl --out lost.jsonl
    """
    from helios_cli.engine.sql.databases import FIRST_NAME
    from helios_cli.engine.sql.sqltext import quote_identifier
    from helios_cli.replication.salvage_replay import statement

    if form not in ("sql", "jsonl"):
        raise typer.BadParameter(f"--format is sql or jsonl, not {form!r}")
    directory = _directory(data_dir)
    manifest = load_manifest(directory, name)
    database = FIRST_NAME
    with _sink(out, force) as sink:
        for change in load_changes(directory, name):
            if form == "jsonl" or as_json:
                _json_line(sink, change)
            else:
                if change.database != database:
                    database = change.database
                    sink.write(f"\\connect {quote_identifier(database)}\n")
                sink.write(f"{statement(change)};\n")
    _note(manifest)
    return ExitCode.OK


@app.command()
def replay(
    name: Name,
    target: Annotated[str | None, typer.Argument(metavar="URL", help="postgresql://user@host:port/database.")] = None,
    host: Annotated[str | None, typer.Option("--host", help="The primary's address (PGHOST).")] = None,
    port: Annotated[int | None, typer.Option("--port", "-p", min=1, max=65535, help="Its port (PGPORT).")] = None,
    user: Annotated[str | None, typer.Option("--username", "--user", "-U", help="Role (PGUSER).")] = None,
    uncertain: Annotated[
        bool, typer.Option("--uncertain", help="Also from a salvage that cannot tell the lost rows from older ones.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")] = False,
    data_dir: _options.DataDir = None,
    as_json: _options.Json = False,
) -> int:
    """Put the rows of a salvage back where the cluster still has what the lost commits had found; tell of the rest.

    Exit code 6 when rows conflict with what the cluster has; they are left as they are.

    Examples:

        heliosdb-nano salvage replay 20260102T030405Z-0000000000001a2b --host db2 --dry-run

        heliosdb-nano salvage replay 20260102T030405Z-0000000000001a2b postgresql://helios@db2:5432/heliosdb
    """
    from helios_cli.commands.sql import make_target
    from helios_cli.engine.net.pgclient import PgClient
    from helios_cli.replication import salvage_replay

    directory = _directory(data_dir)
    manifest = load_manifest(directory, name)
    if not manifest.exact and not uncertain and not dry_run:
        raise Refused(
            f'salvage "{name}" holds rows that may be older than what was lost',
            hint="Look at them with --dry-run, and add --uncertain to put them back all the same.",
        )
    counts = dict.fromkeys(salvage_replay.RESULTS, 0)
    conflicts: list[dict[str, Any]] = []
    address = make_target(dict(os.environ), target, host, port, user, None, None, None, 10.0)
    with ExitStack() as clients:

        def connected(database: str) -> PgClient:
            return clients.enter_context(PgClient(replace(address, database=database)))

        client = clients.enter_context(PgClient(address))
        changes, writes = load_changes(directory, name), load_writes(directory, name)
        for outcome in salvage_replay.replay(client, changes, dry_run=dry_run, writes=writes, others=connected):
            counts[outcome.result] += 1
            if outcome.result == salvage_replay.CONFLICT:
                change = outcome.change
                table = change.full_name
                conflicts.append({"op": change.op, "table": table, "key": change.key, "reason": outcome.reason})
    if as_json:
        print_json({"dry_run": dry_run, **counts, "conflicts": conflicts, "schema_changes": manifest.schema_changes})
    else:
        if conflicts:
            rows = [[one["op"], one["table"], _pairs(one["key"]), one["reason"]] for one in conflicts]
            print_table(["op", "table", "key", "conflict"], rows)
        done = "would be put back" if dry_run else "put back"
        typer.echo(
            f"{counts['applied']} rows {done}, {counts['present']} there already, {counts['repeated']} of writes that "
            f"were done again, {counts['conflict']} conflicts"
        )
        for line in manifest.schema_changes:
            typer.echo(f"note: not done: {line}", err=True)
    return ExitCode.DEGRADED if conflicts else ExitCode.OK


def _directory(data_dir: str | None) -> str:
    return data_dir or str(_options.load({}).settings.data_dir)


def _summary(name: str, manifest: Manifest) -> dict[str, Any]:
    return {
        "name": name,
        "created": datetime.fromtimestamp(manifest.created_us / 1e6, UTC).isoformat(timespec="seconds"),
        "fork": manifest.fork,
        "end": manifest.end,
        "term": manifest.term,
        "commits": manifest.commits,
        "inserts": manifest.inserts,
        "updates": manifest.updates,
        "deletes": manifest.deletes,
        "exact": "pending" if manifest.pending else manifest.exact,
    }


def _note(manifest: Manifest) -> None:
    if manifest.pending:
        typer.echo("note: the rows are found when the node has the cluster's state to compare with", err=True)
    elif not manifest.exact:
        typer.echo("note: rows that the cluster has changed since may be among them; deletes are not known", err=True)


def _pairs(values: dict[str, str | None]) -> str:
    return ", ".join(f"{name}={'null' if value is None else value}" for name, value in values.items()) or "-"


def _what(change: Change) -> str:
    before, after = change.before or {}, change.after or {}
    if change.after is None or change.before is None:
        return _pairs(after or before)
    changed = [name for name in after if before.get(name) != after[name]]
    return ", ".join(f"{name}: {before.get(name)} -> {after[name]}" for name in changed)


def _json_line(sink: TextIO, change: Change) -> None:
    import json

    sink.write(json.dumps(asdict(change), ensure_ascii=False) + "\n")


@contextmanager
def _sink(out: Path | None, force: bool) -> Iterator[TextIO]:
    if out is None:
        yield sys.stdout
        return
    if out.exists() and not force:
        raise Refused(f'file "{out}" exists', hint="Add --force to replace it.")
    with out.open("w", encoding="utf-8") as file:
        yield file
