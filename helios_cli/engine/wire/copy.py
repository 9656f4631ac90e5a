"""The way in to COPY: a parser or formatter for the options of a statement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from helios_cli.engine.wire.copy_binary import BinaryFormatter, BinaryParser
from helios_cli.engine.wire.copy_in import CsvParser, TextParser
from helios_cli.engine.wire.copy_options import CopyColumn, CopyOptions
from helios_cli.engine.wire.copy_out import CsvFormatter, TextFormatter


class CopyParser(Protocol):
    """Incremental reader of COPY data."""

    line_no: int
    done: bool

    def feed(self, data: bytes) -> list[tuple[Any, ...]]:
        """Rows of SQLite values completed by ``data``, which may end anywhere. Raises SqlError with context."""

    def finish(self) -> list[tuple[Any, ...]]:
        """The last rows. Raises SqlError when the data cannot end here."""


class CopyFormatter(Protocol):
    """Writer of COPY data."""

    def begin(self) -> bytes:
        """What comes before the first row; may be empty."""

    def rows(self, rows: Iterable[Sequence[Any]]) -> bytes:
        """The rows, joined; empty for none."""

    def end(self) -> bytes:
        """What comes after the last row; may be empty."""


def copy_parser(table: str, columns: Sequence[CopyColumn], options: CopyOptions) -> CopyParser:
    """A reader for COPY ``table`` (columns) FROM STDIN."""
    if options.format == "binary":
        return BinaryParser(table, columns)
    return CsvParser(table, columns, options) if options.format == "csv" else TextParser(table, columns, options)


def copy_formatter(columns: Sequence[CopyColumn], options: CopyOptions) -> CopyFormatter:
    """A writer for COPY ... TO STDOUT."""
    if options.format == "binary":
        return BinaryFormatter(columns)
    return CsvFormatter(columns, options) if options.format == "csv" else TextFormatter(columns, options)
