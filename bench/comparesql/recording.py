"""Cases with PostgreSQL's answers in a file, so that a node can be held against them without a PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.comparesql import generator, tables
from bench.comparesql.answers import Answer, Asker, difference
from bench.comparesql.classes import classify
from bench.comparesql.comparison import gave_up
from bench.comparesql.surface import Surface
from bench.comparesql.tree import Case, node


@dataclass(frozen=True)
class Recorded:
    """A case, what PostgreSQL answered, and the class of the node's deviation when it was recorded, else ''."""

    case: Case
    answers: tuple[Answer, ...]
    deviation: str


def record(path: Path, ours: Asker, theirs: Asker, callable_here: Surface, seed: int, count: int) -> None:
    """Write ``count`` cases of a seed with PostgreSQL's answers, in the text format."""
    entries: list[dict[str, Any]] = []
    for number in range(count):
        made = generator.case(callable_here, seed, number)
        case = replace(made, binary=False)
        expected = theirs.ask(case)
        if gave_up(expected):
            continue
        found = difference(case, ours.ask(case), expected)
        entry: dict[str, Any] = {"family": case.family, "steps": [step.text for step in case.steps]}
        entry["answers"] = [_plain(answer) for answer in expected]
        if case.ordered:
            entry["ordered"] = True
        if case.proceed:
            entry["proceed"] = True
        if case.described:
            entry["described"] = True
        if found is not None:
            entry["deviation"] = classify(case, found, theirs)
        entries.append(entry)
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False, separators=(",", ":")) for entry in entries)
    schema = json.dumps(tables.statements(), ensure_ascii=False, indent=0)
    path.write_text(f'{{"schema": {schema},\n"cases": [\n{lines}\n]}}\n')


def _plain(answer: Answer) -> dict[str, Any]:
    if answer.sqlstate:
        return {"sqlstate": answer.sqlstate, "message": answer.message}
    rows = [[None if cell is None else cell.decode() for cell in row] for row in answer.rows]
    return {"columns": answer.columns, "rows": rows, "tag": answer.tag}


def read(path: Path) -> tuple[list[str], list[Recorded]]:
    """(statements that make the tables, cases) of a file."""
    content = json.loads(path.read_text())
    return content["schema"], list(_cases(content["cases"]))


def _cases(entries: list[dict[str, Any]]) -> Iterator[Recorded]:
    for entry in entries:
        steps = tuple(node("", "statement", text) for text in entry["steps"])
        answers = tuple(_answer(fields) for fields in entry["answers"])
        case = Case(
            entry["family"], steps, entry.get("ordered", False), proceed=entry.get("proceed", False),
            described=entry.get("described", False),
        )  # fmt: skip
        yield Recorded(case, answers, entry.get("deviation", ""))


def _answer(fields: dict[str, Any]) -> Answer:
    if "sqlstate" in fields:
        return Answer(sqlstate=fields["sqlstate"], message=fields["message"])
    rows = tuple(tuple(None if cell is None else cell.encode() for cell in row) for row in fields["rows"])
    columns = tuple((name, oid, typmod) for name, oid, typmod in fields["columns"])
    return Answer(columns, rows, fields["tag"])
