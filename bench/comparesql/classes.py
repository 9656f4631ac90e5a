"""Names for the ways in which a node is known to answer otherwise; docs/SQL.md describes each under Deviations."""

from __future__ import annotations

from typing import Final

from bench.comparesql.answers import Asker, Difference
from bench.comparesql.tree import Case

CLASSES: Final[dict[str, str]] = {
    "refused": "0A000: what the tables of docs/SQL.md list as not supported",
    "absent": "42883: a function, operator or overload that is not there",
    "constants": "what PostgreSQL computes while it plans: an error in a constant comes when a row needs it",
    "evaluation": "of several values that fail, or that need not be computed, another one is met first",
    "zero": "a negative zero that is grouped, sorted or made distinct loses its sign",
    "other": "differences without a name yet",
}
"""Class -> what belongs to it."""
_DATA: Final = "22"
"""The class of SQLSTATEs for errors in values."""


def classify(case: Case, found: Difference, theirs: Asker) -> str:
    """The class of a difference; PostgreSQL is asked whether it fails before it runs."""
    if found.kind == "sqlstate":
        mine, _, other = found.detail.partition(" for ")
        if mine == "0A000":
            return "refused"
        if mine == "42883":
            return "absent"
        if other.startswith((_DATA, "54", "0A")) and _fails_while_planned(case, theirs):
            return "constants"
        if mine.startswith(_DATA) or other.startswith((_DATA, "21")):
            return "evaluation"
    if found.kind == "typmods":
        return "constants"
    if found.kind == "rows" and found.ours.replace("'-0'", "'0'") == found.theirs.replace("'-0'", "'0'"):
        return "zero"
    return "other"


def _fails_while_planned(case: Case, theirs: Asker) -> bool:
    """Whether EXPLAIN of a statement of the case fails as the statement itself does."""
    theirs.run("BEGIN")
    try:
        for step in case.steps:
            theirs.run("SAVEPOINT before")
            explained = theirs.run(f"EXPLAIN {step.text}")
            if explained.sqlstate.startswith((_DATA, "54", "0A")):
                return True
            theirs.run("ROLLBACK TO before")
            if theirs.run(step.text).sqlstate:
                return False
        return False
    finally:
        theirs.run("ROLLBACK")
