"""Results as text: aligned, one column a line, CSV or JSON lines. Pure but for the table on a terminal."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

NUMBERS: Final = {20, 21, 23, 26, 700, 701, 790, 1700}
"""Type oids that are aligned to the right: int8, int2, int4, oid, float4, float8, money, numeric."""
_INTEGERS: Final = {20, 21, 23, 26}
_FLOATS: Final = {700, 701}
_BOOLEAN: Final = 16
_JSON: Final = {114, 3802}


@dataclass(frozen=True, slots=True)
class Table:
    """One result, all values in text form."""

    columns: tuple[str, ...]
    """Empty for a statement that returns no rows."""
    oids: tuple[int, ...]
    rows: Sequence[Sequence[str | None]]
    tag: str
    """The command tag: ``SELECT 3``, ``INSERT 0 1``."""

    @property
    def has_rows(self) -> bool:
        """Whether it is a row set, be it an empty one."""
        return bool(self.columns) or self.tag.startswith("SELECT")


def aligned(table: Table, *, null: str = "", footer: bool = True) -> str:
    """Columns beside each other, as psql prints them."""
    cells = [[_visible(value, null) for value in row] for row in table.rows]
    lines_of = [[cell.split("\n") for cell in row] for row in cells]
    widths = [
        max(width(column), *(width(line) for row in lines_of for line in row[index]), 0)
        for index, column in enumerate(table.columns)
    ]
    heads = [_centre(column, widths[index]) for index, column in enumerate(table.columns)]
    lines = [" " + " | ".join(heads), "-" + "-+-".join("-" * size for size in widths) + "-"]
    for row in lines_of:
        for number in range(max((len(cell) for cell in row), default=1)):
            parts = [
                _pad(cell[number] if number < len(cell) else "", widths[index], table.oids[index] in NUMBERS)
                + ("+" if number + 1 < len(cell) else " ")
                for index, cell in enumerate(row)
            ]
            lines.append((" " + "| ".join(parts)).rstrip())
    if footer:
        lines.append(count_line(len(table.rows)))
    return "\n".join(line.rstrip() for line in lines)


def expanded(table: Table, *, null: str = "") -> str:
    r"""Each row as a block of ``column | value`` lines, as psql's ``\x`` does."""
    if not table.rows:
        return count_line(0)
    name_width = max((width(column) for column in table.columns), default=0)
    lines = []
    for number, row in enumerate(table.rows, start=1):
        head = f"-[ RECORD {number} ]"
        lines.append(head + "-" * max(0, name_width + 1 - len(head)) + "+" + "-" * 20)
        for column, value in zip(table.columns, row, strict=True):
            first, *others = _visible(value, null).split("\n")
            lines.append(f"{column}{' ' * (name_width - width(column))} | {first}".rstrip())
            lines += [f"{' ' * name_width} | {other}" for other in others]
    return "\n".join(lines)


def as_csv(table: Table) -> str:
    """RFC 4180 with a header; NULL is an empty field and an empty text is quoted."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table.columns)
    for row in table.rows:
        if "" in row or row == [None] or row == (None,):
            out.write(",".join("" if value is None else _csv_field(value) for value in row) + "\n")
        else:
            writer.writerow(["" if value is None else value for value in row])
    return out.getvalue().rstrip("\n") if table.columns else ""


def as_json_lines(table: Table) -> str:
    """One object a row; one with the tag when there are no columns."""
    if not table.columns:
        return json.dumps({"tag": table.tag})
    return "\n".join(
        json.dumps(
            {column: json_value(value, oid) for column, value, oid in zip(table.columns, row, table.oids, strict=True)},
            ensure_ascii=False,
        )
        for row in table.rows
    )


def json_value(text: str | None, oid: int) -> Any:
    """The value in JSON's types where nothing is lost: numeric stays text, NaN and Infinity too."""
    if text is None:
        return None
    try:
        if oid in _INTEGERS:
            return int(text)
        if oid in _FLOATS and text not in ("NaN", "Infinity", "-Infinity"):
            return float(text)
        if oid in _JSON:
            return json.loads(text)
    except ValueError:
        return text
    return text == "t" if oid == _BOOLEAN else text


def count_line(count: int) -> str:
    """``(1 row)`` or ``(n rows)``."""
    return f"({count} row{'' if count == 1 else 's'})"


def width(text: str) -> int:
    """Columns of a terminal that a line takes."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def rich_table(table: Table, null: str = "") -> Any:
    """The result for a terminal."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(box=box.ROUNDED)
    for column, oid in zip(table.columns, table.oids, strict=True):
        drawn.add_column(Text(column, style="bold"), justify="right" if oid in NUMBERS else "left", overflow="fold")
    for row in table.rows:
        drawn.add_row(*(Text(null if null else "NULL", style="dim") if v is None else Text(v) for v in row))
    return drawn


def _csv_field(text: str) -> str:
    if text == "" or any(char in text for char in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text


def _visible(value: str | None, null: str) -> str:
    """Control characters other than a line end as psql shows them."""
    if value is None:
        return null
    return "".join(char if char >= " " or char == "\n" else f"\\x{ord(char):02X}" for char in value)


def _pad(text: str, size: int, right: bool) -> str:
    space = " " * (size - width(text))
    return space + text if right else text + space


def _centre(text: str, size: int) -> str:
    space = size - width(text)
    return " " * (space // 2) + text + " " * (space - space // 2)
