"""Lines of a log as entries: when, how grave, who says what; in both formats, and what is said without one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

LEVELS: Final = ("debug", "info", "warning", "error", "critical")
PACKAGE: Final = "helios_cli.engine."

_LINE: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d\.\d{3}) UTC \[(\d+)\] (DEBUG|INFO|WARNING|ERROR|CRITICAL) ([\w.]+): (.*)"
)
_SPOKEN: Final = re.compile(r"(error|warning): (.*)")
"""What a command says that has no log yet: why it cannot start."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of one log."""

    node: str
    time: str
    """``2026-01-31 12:00:00.123``, UTC; entries are sorted by it. Empty: nothing before it in the file has a time."""
    level: str
    """One of :data:`LEVELS`."""
    logger: str
    """Empty for what a process says outside of its log."""
    pid: int | None
    message: str
    """Of several lines when there is a traceback."""
    fields: dict[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """For programs."""
        return {
            "time": f"{self.time.replace(' ', 'T')}Z" if self.time else None, "node": self.node, "level": self.level,
            "logger": self.logger, "pid": self.pid, "message": self.message, **self.fields,
        }  # fmt: skip


def parse(node: str, line: str) -> Entry | None:
    """The entry that a line begins; None for one that goes on with what came before. Entries of no time have none."""
    match = _LINE.fullmatch(line)
    if match is not None:
        day, hour, pid, level, logger, message = match.groups()
        return Entry(node, f"{day} {hour}", level.lower(), logger, int(pid), message)
    if line.startswith("{"):
        return _from_json(node, line)
    spoken = _SPOKEN.fullmatch(line)
    return Entry(node, "", spoken[1], "", None, spoken[2]) if spoken is not None else None


def _from_json(node: str, line: str) -> Entry | None:
    try:
        said = json.loads(line)
        time, level = str(said.pop("time")), str(said.pop("level"))
        message, pid, logger = str(said.pop("message")), said.pop("pid", None), str(said.pop("logger", ""))
    except (ValueError, KeyError, AttributeError):
        return None
    trace = said.pop("exception", None)
    text = f"{message}\n{trace}" if trace else message
    level = level if level in LEVELS else "info"
    return Entry(node, time.replace("T", " ").rstrip("Z"), level, logger, pid if isinstance(pid, int) else None, text,
                 said)  # fmt: skip


class Assembler:
    """Lines of one log in, entries out; one is held until it is known to be whole."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._held: Entry | None = None
        self._last = Entry(node, "", "info", "", None, "")

    def feed(self, lines: Iterable[str]) -> Iterator[Entry]:
        """The entries that are whole once these lines have come."""
        for line in lines:
            begun = parse(self._node, line)
            if begun is None and self._held is None and not line.strip():
                continue
            if begun is None:
                # Behind what was handed out already, the rest of it is an entry of the same time and level.
                held = self._held
                self._held = (
                    replace(held, message=f"{held.message}\n{line}") if held else replace(self._last, message=line)
                )
                continue
            yield from self.flush()
            self._held = begun if begun.time else replace(begun, time=self._last.time)

    def flush(self) -> Iterator[Entry]:
        """What is held: nothing more is to come for it."""
        if self._held is not None:
            self._last, self._held = self._held, None
            yield self._last


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries are shown."""

    level: str = "debug"
    """The least grave."""
    pattern: re.Pattern[str] | None = None
    """What the message or the name of the logger must have in it."""
    since: str = ""
    """The first time, as entries have it; empty: from the beginning."""

    def has(self, one: Entry) -> bool:
        """Whether an entry is shown."""
        if LEVELS.index(one.level) < LEVELS.index(self.level) or one.time < self.since:
            return False
        return self.pattern is None or bool(self.pattern.search(one.message) or self.pattern.search(one.logger))


def since(text: str, now: float) -> str:
    """The time of ``--since``: so long ago (``90s``, ``10min``, ``2h``, ``1d``), or a date, with an hour or not, UTC.

    ``now`` is in seconds since 1970. Raises ValueError for anything else.
    """
    ago = re.fullmatch(r"(\d+(?:\.\d+)?) ?(s|m|min|h|d)", text.strip())
    if ago is not None:
        seconds = float(ago[1]) * {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}[ago[2]]
        moment = datetime.fromtimestamp(now - seconds, UTC)
    else:
        moment = datetime.fromisoformat(text.strip())
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{moment.microsecond // 1000:03d}"
