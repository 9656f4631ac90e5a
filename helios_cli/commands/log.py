"""``log``: look into the page log of a data directory and verify it, with or without a node running on it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import typer

from helios_cli.commands import _options
from helios_cli.commands._errors import ExitCode, Refused
from helios_cli.commands._output import print_json, print_table
from helios_cli.engine.log.record import Flags, Record
from helios_cli.engine.storage.dirlock import running_holder
from helios_cli.engine.storage.loginspect import LogReader, NoLog, Progress, SegmentReport, Survey, newest_image
from helios_cli.engine.types import Lsn

DROPPABLE: Final = ("bytes per record", "raw bytes", "file bytes", "ratio", "terms")

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Look into the page log and verify it.")


def _lsn(text: str) -> Lsn:
    try:
        return Lsn.parse(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no LSN; one looks like 0/1A2B30") from error


From: TypeAlias = Annotated[Any, typer.Option("--from", metavar="LSN", parser=_lsn, help="Begin at this LSN.")]
To: TypeAlias = Annotated[Any, typer.Option("--to", metavar="LSN", parser=_lsn, help="Stop before this LSN.")]


@app.command()
def inspect(
    start: From = None,
    end: To = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="The newest segments only.")] = None,
    data_dir: _options.DataDir = None,
    as_json: _options.Json = False,
) -> int:
    """Print the segments of the log: LSNs, records, terms, how well pages compress.

    Examples:

        heliosdb-nano log inspect

        heliosdb-nano log inspect --data-dir ./n2 --json
    """
    directory, reader = _open(data_dir)
    with _progress(reader, "reading") as progress:
        survey = reader.survey(deep=False, progress=progress)
    segments = [one for one in survey.segments if _within(one, start, end)][-(limit or 0) :]
    control = reader.control()
    if as_json:
        document = {"segments": [_segment_record(one) for one in segments], "total": _total(segments)}
        if control is not None:
            names = ("checkpoint_lsn", "flushed_lsn", "committed_lsn", "state", "clean")
            document["control"] = {
                "cluster_id": control.cluster_id.hex(), "term": control.term.number,
                **{name: getattr(control, name) for name in names},
            }  # fmt: skip
        print_json(document)
    else:
        rows = [*map(_segment_record, segments), _total(segments)]
        cells = [list(map(_cell, row.values())) for row in rows]
        print_table([name.replace("_", " ") for name in rows[0]], cells, droppable=DROPPABLE)
    _narrate(directory, survey)
    return ExitCode.OK


@app.command()
def verify(
    replay: Annotated[
        bool, typer.Option("--replay", help="Also compare the database checksum of every record.")
    ] = False,
    data_dir: _options.DataDir = None,
    as_json: _options.Json = False,
) -> int:
    """Read every record and check it: checksums, links, chains, page images. Exit code 1 when there is damage.

    Examples:

        heliosdb-nano log verify

        heliosdb-nano log verify --replay --json
    """
    directory, reader = _open(data_dir)
    with _progress(reader, "verifying") as progress:
        survey = reader.survey(deep=True, replay=replay, progress=progress)
    problems = [
        {"lsn": one.lsn, "segment": one.segment, "offset": one.offset, "damage": one.damage, "problem": one.reason}
        for one in survey.problems
    ]
    total = _total(survey.segments)
    if as_json:
        print_json(
            {"ok": not survey.damaged, "total": total, "replayed_from": survey.replayed_from, "problems": problems}
        )
    else:
        if problems:
            print_table(list(problems[0]), [list(map(_cell, one.values())) for one in problems])
        outcome = "damaged" if survey.damaged else "ok"
        typer.echo(
            f"{outcome}: {total['records']} records in {len(survey.segments)} segments, "
            f"LSN {total['first_lsn']} to {total['end_lsn']}"
            + (f", checksums compared from {survey.replayed_from}" if replay else "")
        )
    _narrate(directory, survey)
    return ExitCode.FAILED if survey.damaged else ExitCode.OK


@app.command()
def dump(
    start: From = None,
    end: To = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most so many records.")] = None,
    pages: Annotated[bool, typer.Option("--pages", help="Also the numbers of the pages in each record.")] = False,
    page: Annotated[int | None, typer.Option("--page", min=1, help="Extract the newest image of one page.")] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where --page writes the image.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    data_dir: _options.DataDir = None,
    as_json: _options.Json = False,
) -> int:
    """Print one line for each record, or extract a page image.

    Examples:

        heliosdb-nano log dump --limit 20 --pages

        heliosdb-nano log dump --from 0/1A2B30 --json

        heliosdb-nano log dump --to 0/1A2B30 --page 7 --out page7.bin
    """
    _, reader = _open(data_dir)
    if page is not None:
        return _extract(reader.records(start, end), page, out, force, as_json)
    for count, record in enumerate(reader.records(start, end)):
        if count == limit:
            break
        line = _record_line(record, pages)
        print_json(line) if as_json else typer.echo("  ".join(f"{name}={_cell(item)}" for name, item in line.items()))
    return ExitCode.OK


def _open(data_dir: str | None) -> tuple[str, LogReader]:
    directory = data_dir or str(_options.load({}).settings.data_dir)
    return directory, LogReader(directory)


@contextmanager
def _progress(reader: LogReader, doing: str) -> Iterator[Progress | None]:
    """A bar on standard error while a person looks."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(doing, total=reader.total_bytes())
        yield lambda size: bar.advance(task, size)


def _narrate(directory: str, survey: Survey) -> None:
    holder = running_holder(directory)
    if holder is not None:
        typer.echo(
            f"note: process {holder.pid} is running on this directory; the log goes on while it is read", err=True
        )
    for problem in survey.problems:
        kind = "damage" if problem.damage else "note"
        typer.echo(f"{kind}: {problem.segment} at byte {problem.offset}: {problem.reason}", err=True)
        typer.echo(f"hint: {problem.advice}", err=True)


def _within(segment: SegmentReport, start: Lsn | None, end: Lsn | None) -> bool:
    return (start is None or segment.end_lsn > start) and (end is None or segment.first_lsn < end)


def _segment_record(segment: SegmentReport) -> dict[str, Any]:
    return {
        "segment": segment.name, "first_lsn": segment.first_lsn, "end_lsn": segment.end_lsn,
        "terms": segment.terms, **_amounts([segment]),
    }  # fmt: skip


def _total(segments: list[SegmentReport]) -> dict[str, Any]:
    terms = sorted({term for one in segments for term in one.terms})
    return {
        "segment": "total",
        "first_lsn": segments[0].first_lsn if segments else None,
        "end_lsn": segments[-1].end_lsn if segments else None,
        "terms": terms,
        **_amounts(segments),
    }


def _amounts(segments: list[SegmentReport]) -> dict[str, Any]:
    records = sum(one.records for one in segments)
    stored = sum(one.stored_bytes for one in segments)
    raw = sum(one.raw_bytes for one in segments)
    return {
        "records": records,
        "pages": sum(one.pages for one in segments),
        "raw_bytes": raw,
        "stored_bytes": stored,
        "ratio": round(raw / stored, 2) if stored else None,
        "bytes_per_record": round(stored / records) if records else None,
        "file_bytes": sum(one.file_bytes for one in segments),
    }


def _record_line(record: Record, pages: bool) -> dict[str, Any]:
    header = record.header
    line = {
        "lsn": header.lsn,
        "end": header.end,
        "term": header.term.number,
        "kind": header.kind.name.lower(),
        "chain": _chain_word(header.flags),
        "time": _time(header.wall_us),
        "bytes": header.length,
        "raw_bytes": header.raw_length,
        "db_pages": header.db_pages,
        "db_checksum": f"{header.db_checksum:016x}",
        "flushed": header.flushed_lsn,
        "committed": header.committed_lsn,
        "config": header.config_version,
        "pages": list(record.page_numbers()) if pages else header.page_count,
    }
    return line


def _time(wall_us: int) -> str:
    try:
        return datetime.fromtimestamp(wall_us / 1e6, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return f"{wall_us} us"  # A clock that was far off when the record was made.


def _chain_word(flags: int) -> str:
    if flags & Flags.CHAIN_START:
        return "start"
    if flags & Flags.CHAIN_PART:
        return "part"
    return "end" if flags & Flags.CHAIN_END else "-"


def _cell(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value)) or "-"
    return "-" if value is None else str(value)


def _extract(records: Iterator[Record], page: int, out: Path | None, force: bool, as_json: bool) -> int:
    if out is None:
        raise typer.BadParameter("--page needs --out FILE to write the image to")
    if out.exists() and not force:
        raise Refused(f'file "{out}" exists', hint="Add --force to replace it.")
    found = newest_image(records, page)
    if found is None:
        raise NoLog(f"page {page} is in none of these records", hint="Widen the range with --from and --to.")
    image, lsn = found
    out.write_bytes(image)
    document = {"page": page, "lsn": lsn, "bytes": len(image), "file": str(out)}
    print_json(document) if as_json else typer.echo(f"page {page} as of the record at {lsn}: wrote {out}")
    return ExitCode.OK
