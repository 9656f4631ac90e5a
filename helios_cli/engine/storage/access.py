"""Is a statement known to be short? Decided once per plan, from SQLite's own query plan.

Short statements run on the event loop; all others go to a thread. A step budget alone is no time bound (one
opcode may count millions of rows or build megabytes), so a plan qualifies only if every loop in it is a search in
an index or by rowid, and every function it calls does little (sqlite.org/eqp.html).
"""

from __future__ import annotations

import re
from typing import Any, Final

import apsw

from helios_cli.engine.sql.plan import Kind, Plan
from helios_cli.engine.storage import system_columns_cluster

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
SHORT_TEXT_MAX: Final = 32 * 1024
"""Characters of a statement that may run on the loop: SQLite compiles some 10 MB a second, on whatever thread it is."""
_WRITES_ROWS: Final = frozenset(("Delete", "Insert", "IdxDelete", "IdxInsert"))
_STARTS_SCAN: Final = frozenset(("Rewind", "Last"))
_OPENS_TABLE: Final = frozenset(("OpenRead", "OpenWrite", "ReopenIdx"))
_SYSTEM_NAME: Final = re.compile(r'"((?:pg_catalog|information_schema)\.\w+)"')
_CLUSTER_VIEWS: Final = frozenset(f"pg_catalog.{name}" for name in system_columns_cluster.NAMES)
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
    if len(sql) > SHORT_TEXT_MAX:
        return False
    if not all(_known_short(name) for name in _CALL.findall(sql)):
        return False
    binds = [None] * bind_count(plan)
    try:
        rows = _explain(connection, f"QUERY PLAN {sql}", binds)
        if plan.kind is Kind.WRITE and _acts_on_others(connection, sql, binds):
            return False
    except apsw.Error:
        return False
    if not rows and plan.tag in _CLEARING:
        return False
    return all(_STEP_OK.fullmatch(str(detail)) and not _RANGE.search(str(detail)) for *_, detail in rows)


def reads_data(connection: apsw.Connection, plan: Plan) -> bool:
    """Whether a query opens a table, or a catalog that tells of them; the views about the cluster do not.

    ``connection`` has the schema the plan was made for. True also for whatever SQLite refuses to explain.
    """
    try:
        opened = [(str(row[1]), row[4]) for row in _explain(connection, plan.steps[0], [None] * bind_count(plan))]
    except apsw.Error:
        return True
    if any(opcode in _OPENS_TABLE and database == 0 for opcode, database in opened):
        return True
    if not any(opcode == "VOpen" for opcode, _ in opened):
        return False
    return not _CLUSTER_VIEWS.issuperset(_SYSTEM_NAME.findall(plan.steps[0]))


def _explain(connection: apsw.Connection, what: str, binds: list[None]) -> list[Any]:
    """The rows of an EXPLAIN, compiled anew.

    SQLite does not notice that the schema has changed since an EXPLAIN was compiled: one from the cache of statements
    would tell of indexes that are gone, and its listing of opcodes read tables that have been freed.
    """
    return connection.execute(f"EXPLAIN {what}", binds, can_cache=False).fetchall()


def _acts_on_others(connection: apsw.Connection, sql: str, binds: list[None]) -> bool:
    """Whether a write sets off a foreign key's CASCADE, SET NULL or SET DEFAULT, or a RESTRICT that has to scan.

    SQLite compiles such an action to a program of its own, which the query plan leaves out and the listing of opcodes
    puts behind the statement's own (sqlite.org/opcode.html, Program). How many rows it touches nobody knows.
    """
    opcodes = [str(row[1]) for row in _explain(connection, sql, binds)]
    programs = opcodes[opcodes.index("Init", 1) :] if "Program" in opcodes else []
    return any(opcode in _WRITES_ROWS or opcode in _STARTS_SCAN for opcode in programs)


def _known_short(name: str) -> bool:
    folded = name.lower()
    if folded in SHORT_CALLS:
        return True
    return folded.startswith(("fn_", "pg_")) and not _LONG_FUNCTION.match(folded)


def bind_count(plan: Plan) -> int:
    """How many parameters the plan's statement takes."""
    return max((int(number) for number in _PARAMETER.findall(plan.steps[0])), default=0)
