"""What COPY was told, and the errors both directions share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from helios_cli.engine.datatypes.datetime_in import UTC_CONTEXT, TimeContext
from helios_cli.engine.errors import SqlError

MAX_SHOWN: Final = 100
"""MAX_COPY_DATA_DISPLAY: bytes of input shown in an error's context."""


@dataclass(frozen=True, slots=True)
class CopyColumn:
    """One column that is read or written."""

    name: str
    type_oid: int
    typmod: int = -1
    times: TimeContext = UTC_CONTEXT
    """The session's time zone."""


@dataclass(frozen=True, slots=True)
class CopyOptions:
    """The options of a COPY statement, with the defaults of its format filled in by :func:`copy_options`."""

    format: str = "text"
    """'text', 'csv' or 'binary'."""
    delimiter: str = "\t"
    null: str = "\\N"
    header: bool = False
    header_match: bool = False
    """HEADER MATCH: the header's names must be the columns'."""
    quote: str = '"'
    escape: str = '"'
    force_quote: frozenset[str] = frozenset()
    """Names of columns whose non-null values are always quoted (CSV out); ``*`` stands for all."""
    force_not_null: frozenset[str] = frozenset()
    force_null: frozenset[str] = frozenset()

    def quotes(self, column: str) -> bool:
        """Whether the non-null values of a column are always quoted."""
        return column in self.force_quote or "*" in self.force_quote


def copy_options(format: str = "text", **given: object) -> CopyOptions:
    """Options with the format's own defaults for what is not given, checked as PostgreSQL checks them.

    Raises:
        SqlError: 22023 or 0A000 or 42601 for combinations PostgreSQL refuses.
    """
    defaults: dict[str, object] = {"delimiter": ",", "null": ""} if format == "csv" else {}
    if "escape" not in given and "quote" in given:
        defaults["escape"] = given["quote"]
    options = CopyOptions(format, **{**defaults, **given})  # type: ignore[arg-type]
    _check(options, given)
    return options


def _check(options: CopyOptions, given: dict[str, object]) -> None:
    csv = options.format == "csv"
    if options.format not in ("text", "csv", "binary"):
        raise SqlError(f'COPY format "{options.format}" not recognized', sqlstate="22023")
    if options.format == "binary":
        for name in ("delimiter", "null", "header"):
            if given.get(name):
                raise SqlError(f"cannot specify {name.upper()} in BINARY mode", sqlstate="42601")
        return
    _check_characters(options, csv)
    for name in ("quote", "escape", "force_quote", "force_not_null", "force_null"):
        if given.get(name) and not csv:
            raise SqlError(f"COPY {name.replace('_', ' ')} available only in CSV mode", sqlstate="0A000")


def _check_characters(options: CopyOptions, csv: bool) -> None:
    """The one-byte rule and the collisions between delimiter, quote and null."""
    if len(options.delimiter.encode()) != 1:
        raise SqlError("COPY delimiter must be a single one-byte character", sqlstate="0A000")
    if options.delimiter in "\r\n":
        raise SqlError("COPY delimiter cannot be newline or carriage return", sqlstate="22023")
    if "\r" in options.null or "\n" in options.null:
        raise SqlError("COPY null representation cannot use newline or carriage return", sqlstate="22023")
    if not csv and options.delimiter in "\\.abcdefghijklmnopqrstuvwxyz0123456789":
        raise SqlError(f'COPY delimiter cannot be "{options.delimiter}"', sqlstate="22023")
    if csv and len(options.quote.encode()) != 1:
        raise SqlError("COPY quote must be a single one-byte character", sqlstate="0A000")
    if csv and len(options.escape.encode()) != 1:
        raise SqlError("COPY escape must be a single one-byte character", sqlstate="0A000")
    if csv and options.delimiter == options.quote:
        raise SqlError("COPY delimiter and quote must be different", sqlstate="22023")
    if options.delimiter in options.null:
        raise SqlError("COPY delimiter must not appear in the NULL specification", sqlstate="22023")
    if csv and options.quote in options.null:
        raise SqlError("CSV quote character must not appear in the NULL specification", sqlstate="22023")


def shown(text: str) -> str:
    """At most 100 bytes of input, as an error's context shows it."""
    data = text.encode("utf-8", "replace")
    return text if len(data) <= MAX_SHOWN else data[:MAX_SHOWN].decode("utf-8", "ignore") + "..."


def bad_format(message: str, *, hint: str | None = None) -> SqlError:
    """22P04: the data does not follow the format."""
    return SqlError(message, sqlstate="22P04", hint=hint)


def names(columns: Sequence[CopyColumn]) -> tuple[str, ...]:
    """The columns' names in order."""
    return tuple(column.name for column in columns)
