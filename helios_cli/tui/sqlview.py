"""The answer to a statement as lines: a table where it fits, else a line for each value."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from helios_cli.engine.errors import HeliosError
from helios_cli.tui import words
from helios_cli.tui.gateway import SqlAnswer
from helios_cli.tui.lines import Line, wrapped

NULL: Final = "∅"
HINT: Final = "a statement, then Enter; ↑ and ↓ bring back former ones, Esc goes back to the nodes"


def answer_lines(text: str, outcome: SqlAnswer | HeliosError | None, width: int) -> list[Line]:
    """What was asked and what came; ``outcome`` None: it is under way."""
    asked: list[Line] = [((line, "accent"),) for line in wrapped(text, width)] if text else []
    if outcome is None:
        return [*asked, (("running ..." if text else HINT, "dim"),)]
    if isinstance(outcome, HeliosError):
        return [*asked, *_error(outcome, width)]
    counted = f"{outcome.command or 'done'}, {outcome.row_count} row{'' if outcome.row_count == 1 else 's'}"
    if outcome.truncated:
        counted += f", the first {len(outcome.rows)} are shown"
    head: Line = ((f"{counted}, {words.milliseconds(outcome.took_ms)}, at {outcome.node}", "dim"),)
    notices: list[Line] = [((line, "warn"),) for one in outcome.notices for line in wrapped(f"notice: {one}", width)]
    return [*asked, head, *notices, *_rows(outcome, width)]


def _error(error: HeliosError, width: int) -> list[Line]:
    found: list[Line] = [((line, "bad"),) for line in wrapped(f"✖ {error.message} ({error.sqlstate})", width)]
    for name, text in (("detail", error.detail), ("hint", error.hint)):
        found += [((line, "dim"),) for line in wrapped(f"{name}: {text}", width)] if text else []
    return found


def _rows(answer: SqlAnswer, width: int) -> list[Line]:
    if not answer.columns:
        return []
    cells = [[_shown(value) for value in row] for row in answer.rows]
    widths = [max(len(name), *(len(row[i]) for row in cells), 0) for i, name in enumerate(answer.columns)]
    if sum(widths) + 2 * (len(widths) - 1) > width:
        return _each(answer.columns, cells, width)
    numbers = [
        bool(cells) and all(isinstance(row[i], (int, float)) or row[i] is None for row in answer.rows)
        for i in range(len(widths))
    ]

    def line(row: Sequence[str]) -> str:
        parts = (text.rjust(w) if right else text.ljust(w) for text, w, right in zip(row, widths, numbers, strict=True))
        return "  ".join(parts)

    return [((line(answer.columns), "accent"),), *(((line(row), ""),) for row in cells)]


def _each(columns: Sequence[str], cells: Sequence[Sequence[str]], width: int) -> list[Line]:
    """A line for each value, longer ones wrapped, the rows numbered."""
    longest = min(max(map(len, columns)), width // 2)
    found: list[Line] = []
    for number, row in enumerate(cells, 1):
        found.append(((f"row {number}", "dim"),))
        for name, value in zip(columns, row, strict=True):
            first, *rest = wrapped(value, width - longest - 2)
            found.append(((words.cut(name, longest).ljust(longest + 2), "accent"), (first, "")))
            found += [((" " * (longest + 2), ""), (more, "")) for more in rest]
    return found


def _shown(value: Any) -> str:
    if value is None:
        return NULL
    if isinstance(value, bool):
        return "t" if value else "f"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "".join(sign if sign.isprintable() else " " if sign.isspace() else "·" for sign in text)
