"""The text of a heliosdb.conf to a flat list of entries, each with its line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from helios_cli.engine.config.problems import Problem
from helios_cli.engine.config.settings import Origin

_HEADER: Final = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?")
_KEY: Final = re.compile(
    r"\s*((?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*'))*)\s*="
)
_PART: Final = re.compile(r"\"([^\"]*)\"|'([^']*)'|([A-Za-z0-9_-]+)")
_AT_LINE: Final = re.compile(r"\(at line (\d+), column \d+\)")
_NAMED_TABLES: Final = ("replication.tenant_config",)


@dataclass(frozen=True, slots=True)
class Entry:
    """One value of a file."""

    path: tuple[str | int, ...]
    """Names of tables and indexes into arrays of tables, the key last."""
    raw: object
    origin: Origin

    @property
    def key(self) -> str:
        """As it is shown: ``replication.masters[0].priority``."""
        text = ""
        for part in self.path:
            text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
        return text

    @property
    def pattern(self) -> str:
        """As the table of settings writes it: ``replication.masters[].priority``."""
        text = ""
        for part in self.path:
            if isinstance(part, int):
                text += "[]"
            elif text in _NAMED_TABLES:
                text += ".*"
            else:
                text += f".{part}" if text else part
        return text

    @property
    def table(self) -> str:
        """The shown key of the table it stands in; empty at the top of the file."""
        return Entry(self.path[:-1], None, self.origin).key


def read_entries(text: str, where: str, kind: str) -> tuple[list[Entry], list[Problem]]:
    """Parse a file.

    Args:
        where: the path that is shown.
        kind: ``file`` or ``auto``, for the origins.
    Returns:
        The entries in file order, and a single problem when it is not TOML.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = _AT_LINE.search(str(error))
        origin = Origin(kind, where, int(match[1]) if match else None)
        reason = _AT_LINE.sub("", str(error)).strip()
        return [], [Problem(origin, "", f"not TOML: {reason[:1].lower()}{reason[1:]}")]
    lines = key_lines(text)
    return [Entry(path, raw, Origin(kind, where, lines.get(path))) for path, raw in _flatten(document, ())], []


def _flatten(
    table: Mapping[str, object], prefix: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], object]]:
    for name, value in table.items():
        path = (*prefix, name)
        if isinstance(value, dict):
            yield from _flatten(value, path)
        elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            for index, item in enumerate(value):
                yield from _flatten(item, (*path, index))
        else:
            yield path, value


def key_lines(text: str) -> dict[tuple[str | int, ...], int]:
    """The 1-based line each key is written on; keys of inline tables and odd layouts are absent."""
    lines: dict[tuple[str | int, ...], int] = {}
    prefix: tuple[str | int, ...] = ()
    counts: dict[tuple[str | int, ...], int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        header = _HEADER.fullmatch(line)
        if header is not None:
            prefix = _parts(header[2])
            if header[1] == "[[":
                counts[prefix] = counts.get(prefix, -1) + 1
                prefix = (*prefix, counts[prefix])
            continue
        key = _KEY.match(line)
        if key is not None:
            lines.setdefault((*prefix, *_parts(key[1])), number)
    return lines


def _parts(dotted: str) -> tuple[str | int, ...]:
    return tuple(a or b or c for a, b, c in _PART.findall(dotted))
