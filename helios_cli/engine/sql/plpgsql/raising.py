"""RAISE and GET DIAGNOSTICS."""

from __future__ import annotations

from typing import Any, Final

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.oids import TEXT
from helios_cli.engine.sql.plpgsql import conditions
from helios_cli.engine.sql.plpgsql.machine import Machine
from helios_cli.engine.sql.plpgsql.program import Statement

_SEVERITIES: Final = {
    10: "DEBUG", 11: "DEBUG", 12: "DEBUG", 13: "DEBUG", 14: "DEBUG", 15: "LOG", 17: "INFO", 18: "NOTICE",
    19: "WARNING",
}  # fmt: skip
"""By elog.h's numbers."""
_ERROR_LEVEL: Final = 21
_OPTIONS: Final = ("sqlstate", "message", "detail", "hint", "column", "constraint", "datatype", "table", "schema")
"""By PLpgSQL_raise_option_type."""
_WRITTEN: Final = ("ERRCODE", "MESSAGE", "DETAIL", "HINT", "COLUMN", "CONSTRAINT", "DATATYPE", "TABLE", "SCHEMA")

_STACKED: Final = {
    "RETURNED_SQLSTATE": "sqlstate", "MESSAGE_TEXT": "message", "PG_EXCEPTION_DETAIL": "detail",
    "PG_EXCEPTION_HINT": "hint", "PG_EXCEPTION_CONTEXT": "context", "COLUMN_NAME": "column",
    "CONSTRAINT_NAME": "constraint", "PG_DATATYPE_NAME": "datatype", "TABLE_NAME": "table", "SCHEMA_NAME": "schema",
}  # fmt: skip


class Raising(Machine):
    """The part of the interpreter that is about errors."""

    def _run_raise(self, statement: Statement) -> None:
        fields = statement.fields
        level = fields.get("elog_level", _ERROR_LEVEL)
        if "message" not in fields and "condname" not in fields and "options" not in fields:
            if not self.handled:
                raise SqlError("RAISE without parameters cannot be used outside an exception handler", sqlstate="0Z002")
            raise self.handled[-1]
        parts = self._raise_options(fields)
        message = self._message(fields)
        if "message" in parts and message is not None:
            raise SqlError("RAISE option already specified: MESSAGE", sqlstate="42601")
        sqlstate = parts.pop("sqlstate", None)
        if fields.get("condname") and sqlstate is not None:
            raise SqlError("RAISE option already specified: ERRCODE", sqlstate="42601")
        if fields.get("condname"):
            sqlstate = _state(fields["condname"])
        elif sqlstate is not None:
            sqlstate = _state(sqlstate)
        message = parts.pop("message", message)
        if message is None:
            message = fields.get("condname") or sqlstate or "P0001"
        if level >= _ERROR_LEVEL:
            raise SqlError(message, sqlstate=sqlstate or "P0001", routine="exec_stmt_raise", **parts)
        state = sqlstate or ("01000" if level == 19 else "00000")
        notice = SqlError(message, sqlstate=state, routine="exec_stmt_raise", **parts)
        notice.context = f"PL/pgSQL function {self.name} line {statement.line} at RAISE"
        self.host.notice(notice, _SEVERITIES.get(level, "NOTICE"))

    def _raise_options(self, fields: dict[str, Any]) -> dict[str, Any]:
        parts: dict[str, Any] = {}
        for item in fields.get("options", ()):
            option = item.get("opt_type", 0)
            name = _OPTIONS[option]
            if name in parts:
                raise SqlError(f"RAISE option already specified: {_WRITTEN[option]}", sqlstate="42601")
            value = self.value(item["expr"], (TEXT, -1))
            if value is None:
                raise SqlError("RAISE statement option cannot be null", sqlstate="22004")
            parts[name] = value
        return parts

    def _message(self, fields: dict[str, Any]) -> str | None:
        text = fields.get("message")
        if text is None:
            return None
        values = iter(fields.get("params", ()))
        out: list[str] = []
        characters = iter(text.split("%"))
        out.append(next(characters))
        skip = False
        pieces = list(characters)
        for position, piece in enumerate(pieces):
            if skip:
                skip = False
                out.append(piece)
            elif piece == "" and position + 1 < len(pieces):
                out.append("%")
                skip = True
            else:
                expression = next(values)
                value, type_oid = self.typed_value(expression)
                out.append("<NULL>" if value is None else self.host.show(type_oid, value))
                out.append(piece)
        return "".join(out)

    def diagnostic(self, kind: str, *, stacked: bool, line: int) -> Any:
        """An item of GET DIAGNOSTICS, which stands on ``line``; the context is that of this function alone.

        Raises:
            SqlError: 0Z002, a stacked item outside a handler.
        """
        if not stacked:
            if kind == "ROW_COUNT":
                return self.row_count
            shown = f"PL/pgSQL function {self.name} line {line} at GET DIAGNOSTICS"
            return shown if kind == "PG_CONTEXT" else 0
        if not self.handled:
            raise SqlError("GET STACKED DIAGNOSTICS cannot be used outside an exception handler", sqlstate="0Z002")
        return getattr(self.handled[-1], _STACKED[kind]) or ""


def _state(condition: str) -> str:
    """The SQLSTATE of a condition's name, or of a SQLSTATE.

    Raises:
        SqlError: 42704.
    """
    if len(condition) == 5 and condition.isalnum() and condition.upper() == condition:
        return condition
    states = conditions.STATES.get(condition)
    if states is None:
        raise SqlError(f'unrecognized exception condition "{condition}"', sqlstate="42704")
    return states[0]
