"""Is a statement known to be short? Decided once per plan, from SQLite's own query plan.

Short statements run on the event loop; all others go to a thread. A step budget alone is no time bound (one
opcode may count millions of rows or build megabytes), so a plan qualifies only if every loop in it is a search in
an index or by rowid, and every function it calls does little (sqlite.org/eqp.html).
"""

from __future__ import annotations

import re
from typing import Final

import apsw

from helios_cli.engine.sql.plan import Kind, Plan

_STEP_OK: Final = re.compile(
    r"SEARCH .* USING (COVERING INDEX|INDEX|INTEGER PRIMARY KEY|PRIMARY KEY|AUTOMATIC)\b.*"
    r"|SCAN CONSTANT ROW|SCAN \d+ CONSTANT ROWS?|USE TEMP B-TREE FOR .*|SCALAR SUBQUERY \d+"
    r"|CORRELATED SCALAR SUBQUERY \d+|LIST SUBQUERY \d+|CREATE BLOOM FILTER|RIGHT PART OF .*|LEFT-MOST SUBQUERY"
)
_RANGE: Final = re.compile(r"\((?:[^)]*[<>][^)]*)\)")
_LONG_FUNCTION: Final = re.compile(
    r"(?:fn|pg)_(?:array_fill|exp|factorial|format|generate|ilike|like|lpad|md5|numeric_power|overlay|pg_sleep|pow|regex"
    r"|repeat|replace|rpad|sha|similar|sleep|split|string_to|translate|unnest|series)"
)
"""Functions of the library whose work or result can be large whatever the size of their arguments."""
_CLEARING: Final = ("DELETE", "TRUNCATE TABLE")
"""Without a WHERE SQLite empties a table in one opcode, which no step budget ends, and explains no loop."""
_PARAMETER: Final = re.compile(r"\?([0-9]+)")
_CALL: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\(")
"""The planner writes a call without a space before its parenthesis, and nothing else that way."""

_SHORT_CALLS_TEXT: Final = """
    abs and as avg between by case ceil char coalesce collate conflict count cross date datetime distinct do else exists
    filter floor from group having if ifnull iif in instr integer is join lateral left length like limit lower ltrim max
    min not nullif numeric on or order over partition real returning round rtrim select set sign strftime substr
    substring sum text then total trim typeof unicode union unixepoch update upper using values varchar when where with
"""

SHORT_CALLS: Final = frozenset(_SHORT_CALLS_TEXT.split())
"""Functions and keywords before a parenthesis that cost little whatever their arguments are."""


def is_short(connection: apsw.Connection, plan: Plan) -> bool:
    """Whether ``plan`` may run on the event loop. ``connection`` has the schema the plan was made for.

    False also for whatever SQLite refuses to explain: the error then comes from running it.
    """
    if plan.kind not in (Kind.READ, Kind.WRITE) or len(plan.steps) != 1 or plan.volatile:
        return False
    sql = plan.steps[0]
    if not all(_known_short(name) for name in _CALL.findall(sql)):
        return False
    try:
        rows = connection.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * bind_count(plan)).fetchall()
    except apsw.Error:
        return False
    if not rows and plan.tag in _CLEARING:
        return False
    return all(_STEP_OK.fullmatch(str(detail)) and not _RANGE.search(str(detail)) for *_, detail in rows)


def _known_short(name: str) -> bool:
    folded = name.lower()
    if folded in SHORT_CALLS:
        return True
    return folded.startswith(("fn_", "pg_")) and not _LONG_FUNCTION.match(folded)


def bind_count(plan: Plan) -> int:
    """How many parameters the plan's statement takes."""
    return max((int(number) for number in _PARAMETER.findall(plan.steps[0])), default=0)
