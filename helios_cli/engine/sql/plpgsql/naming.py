"""How statements are called in CONTEXT lines."""

from __future__ import annotations

from typing import Final

from helios_cli.engine.sql.plpgsql.program import Statement

_SHOWN: Final = {
    "block": "statement block", "assign": "assignment", "if": "IF", "case": "CASE", "loop": "LOOP", "while": "WHILE",
    "fori": "FOR with integer loop variable", "fors": "FOR over SELECT rows", "forc": "FOR over cursor",
    "foreach_a": "FOREACH over array", "return": "RETURN", "return_next": "RETURN NEXT",
    "return_query": "RETURN QUERY", "raise": "RAISE", "assert": "ASSERT", "execsql": "SQL statement",
    "dynexecute": "EXECUTE", "dynfors": "FOR over EXECUTE statement", "open": "OPEN", "close": "CLOSE",
    "perform": "PERFORM", "call": "CALL", "commit": "COMMIT", "rollback": "ROLLBACK",
}  # fmt: skip
"""plpgsql_stmt_typename (pl_funcs.c)."""


def shown_kind(statement: Statement) -> str:
    """What kind of statement it is, as CONTEXT says it."""
    fields = statement.fields
    if statement.kind == "exit":
        return "EXIT" if fields.get("is_exit") else "CONTINUE"
    if statement.kind == "getdiag":
        return "GET STACKED DIAGNOSTICS" if fields.get("is_stacked") else "GET DIAGNOSTICS"
    if statement.kind == "fetch":
        return "MOVE" if fields.get("is_move") else "FETCH"
    return _SHOWN.get(statement.kind, statement.kind.upper())
