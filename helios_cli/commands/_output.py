"""What commands print: data to standard output as a table for people or JSON for programs."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.types import Lsn

if TYPE_CHECKING:
    from rich.console import Console


NARROW: Final = 24
"""A column of this width is not folded where folding wider ones is enough."""
FOLDED_MIN: Final = 12
"""What is left of a wider one at least."""


def print_json(value: object) -> None:
    """One JSON document on one line; an LSN as text, other foreign values as ``str`` gives them."""
    print(json.dumps(plain(value), ensure_ascii=False))


def plain(value: object) -> Any:
    """The value in terms that JSON has."""
    if isinstance(value, Lsn):
        return str(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return str(value)


def console() -> Console:
    """A console on standard output; without colours and at full width when nobody looks."""
    from rich.console import Console  # 60 ms that JSON output does not need

    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def fitting(columns: Sequence[str], cells: Sequence[Sequence[str]], droppable: Sequence[str], width: int) -> list[int]:
    """Which columns are shown on a terminal of ``width``: of those ``droppable`` the first ones go until all fits."""
    kept = list(range(len(columns)))
    widths = [max(len(column), *(len(row[i]) for row in cells), 0) + 3 for i, column in enumerate(columns)]
    for name in droppable:
        if sum(widths[i] for i in kept) + 1 <= width:
            break
        kept.remove(columns.index(name))
    return kept


def readable(value: object) -> str:
    """A value as people read it: yes and no, nothing for None."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def print_line(text: str, hang: int | None = None) -> None:
    """A line for people; on a terminal that is too narrow broken between words.

    What follows is ``hang`` characters from the left, else two further than the line itself begins.
    """
    width = shutil.get_terminal_size().columns
    if not sys.stdout.isatty() or len(text) <= width:
        print(text)
        return
    begin = len(text) - len(text.lstrip())
    further = " " * (begin + 2 if hang is None else hang)
    lines = textwrap.wrap(
        text.lstrip(), width, initial_indent=" " * begin, subsequent_indent=further, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
    print("\n".join(lines))


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    droppable: Sequence[str] = (),
) -> None:
    """An aligned table: ruled for a terminal, plain columns for anything else.

    A terminal that is too narrow does not see the columns ``droppable``, the first of them first.
    """
    cells = [[readable(item) for item in row] for row in rows]
    if not sys.stdout.isatty():
        widths = [max(len(column), *(len(row[i]) for row in cells), 0) for i, column in enumerate(columns)]
        for line in ([str(column) for column in columns], *cells):
            print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
        return
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", header_style="bold")
    screen = console()
    shown = fitting(columns, cells, droppable, screen.width)
    widest = {i: max(len(columns[i]), *(len(row[i]) for row in cells), 0) for i in shown}
    # Folded are the wide ones alone, if that is enough.
    least = sum(width if width <= NARROW else FOLDED_MIN for width in widest.values())
    keeps = least + 3 * len(shown) + 1 <= screen.width
    for i in shown:
        table.add_column(escape(columns[i]), overflow="fold", no_wrap=keeps and widest[i] <= NARROW)
    for row in cells:
        table.add_row(*(escape(row[i]) for i in shown))
    screen.print(table)


def flatten(value: object, prefix: str = "") -> list[tuple[str, object]]:
    """Nested objects as dotted names and scalars, in their order; empty containers are dropped."""
    if isinstance(value, Mapping):
        items: Iterable[tuple[object, object]] = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    else:
        return [(prefix, value)]
    return [pair for key, item in items for pair in flatten(item, f"{prefix}.{key}" if prefix else str(key))]
