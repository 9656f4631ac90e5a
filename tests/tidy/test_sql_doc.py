"""The classes of differences in docs/SQL.md are those of the comparison, with the figures of the recorded cases."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from bench.comparesql.classes import CLASSES
from bench.comparesql.recording import read

ROOT = Path(__file__).parents[2]


def test_the_document_counts_the_differences_of_the_recorded_cases() -> None:
    _, found = (ROOT / "docs" / "SQL.md").read_text().split("### What random statements still find")
    told = {name: int(count) for name, count in re.findall(r"^\| (\w+) \| (\d+) \|", found, re.MULTILINE)}
    _, cases = read(ROOT / "tests" / "clients" / "random_sql.json")
    counted = Counter(case.deviation for case in cases if case.deviation)
    assert told == {name: counted[name] for name in CLASSES}
    totals = re.search(r"recorded answers of (\d+) cases, of which (\d+)\s", found)
    assert totals is not None
    assert tuple(map(int, totals.groups())) == (len(cases), counted.total())
