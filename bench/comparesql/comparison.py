"""A run: every case on both servers, differences shrunk and grouped."""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass
from typing import Final

from bench.comparesql import generator
from bench.comparesql.answers import Answer, Asker, Difference, NoAnswer, difference, failures
from bench.comparesql.classes import classify
from bench.comparesql.report import Tally, root
from bench.comparesql.shrink import shrunk
from bench.comparesql.surface import Surface
from bench.comparesql.tree import Case

_TIMEOUT: Final = "57014"
_ABSENT: Final = re.compile(r"((?:function|operator) .*) does not exist$")
"""A message that says what is missing, so that nothing has to be shrunk to find it."""


@dataclass(frozen=True)
class Run:
    """What to run: cases ``first`` to ``first + count`` of a seed, stopped after ``seconds`` at the latest."""

    seed: int
    count: int
    first: int = 0
    seconds: float = float("inf")
    families: tuple[str, ...] = ()
    """Only cases of these; empty: all."""
    shrink: int = 4
    """How many differences that look alike are shrunk; the rest are counted with the first of them."""


def compare(ours: Asker, theirs: Asker, callable_here: Surface, run: Run) -> Tally:
    """Run the cases; those that PostgreSQL itself does not finish in time are skipped."""

    def differs(case: Case) -> Difference | None:
        return difference(case, ours.ask(case), theirs.ask(case))

    tally = Tally()
    alike: Counter[tuple[str, ...]] = Counter()
    until = time.monotonic() + run.seconds

    def one(number: int) -> None:
        case = generator.case(callable_here, run.seed, number)
        if run.families and case.family not in run.families:
            return
        expected = theirs.ask(case)
        if gave_up(expected):
            tally.skipped += 1
            return
        given = ours.ask(case)
        found = difference(case, given, expected)
        tally.count(case, found, len(expected))
        both = failures(given, expected)
        if found is None:
            if both is not None:
                tally.failed_both(case.text, *both)
            tally.texts(case.text, given, expected)
            return
        tally.classes[classify(case, found, theirs)] += 1
        known = _ABSENT.search(found.ours)
        look = (found.kind, found.detail, root(case), found.ours if found.kind == "sqlstate" else "")
        alike[look] += 1
        if known or alike[look] > run.shrink:
            tally.group(case, found, known[1] if known else "")
            return
        small = shrunk(case, found, differs)
        tally.group(small, differs(small) or found)

    try:
        for number in range(run.first, run.first + run.count):
            if time.monotonic() > until:
                break
            one(number)
    except NoAnswer as stopped:
        tally.stopped = str(stopped)
    return tally


def gave_up(answers: tuple[Answer, ...]) -> bool:
    """Whether a server did not finish in time."""
    return any(answer.sqlstate == _TIMEOUT for answer in answers)
