"""What a server answers to a case, and how two answers differ."""

from __future__ import annotations

import select
import time
from dataclasses import dataclass, replace
from typing import Any, Final

from bench.comparesql.tree import Case

FIRST_OWN_OID: Final = 16384
"""OIDs from here on are given by each server as it likes."""
KINDS: Final = ("sqlstate", "columns", "types", "typmods", "rows", "tag")
"""Ways to differ, the first that applies counting; SQLSTATEs of one class and message texts are counted apart."""


PATIENCE_S: Final = 20.0
"""A statement without an answer after this long has brought the server to a stop."""


class NoAnswer(Exception):
    """A server did not answer; the message is the statement."""


@dataclass(frozen=True)
class Answer:
    """The answer to one statement: columns as (name, type OID, typmod), rows, command tag; or an error."""

    columns: tuple[tuple[str, int, int], ...] = ()
    rows: tuple[tuple[bytes | None, ...], ...] = ()
    tag: str = ""
    sqlstate: str = ""
    message: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    """What else an error says, by the names of :data:`FIELDS`."""
    notices: tuple[str, ...] = ()
    """Severity, SQLSTATE and text of the notices and warnings on the way."""


FIELDS: Final = {
    "severity": "S", "detail": "D", "hint": "H", "position": "P", "context": "W", "schema": "s", "table": "t",
    "column": "c", "type": "d", "constraint": "n",
}  # fmt: skip
"""Fields of an error beside its SQLSTATE and message, with their letters in the protocol."""


class Asker:
    """Runs cases on one connection, each in a transaction that is rolled back."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._notices: list[str] = []
        connection.pgconn.notice_handler = self._noticed
        for setting in ("statement_timeout = '4s'", "timezone = 'UTC'", "lc_messages = 'C'"):
            self.run(f"SET {setting}")

    def run(self, sql: str, binary: bool = False) -> Answer:
        """One query string; the answer to its last statement."""
        pgconn = self._connection.pgconn
        if binary:
            pgconn.send_query_params(sql.encode(), [], result_format=1)
        else:
            pgconn.send_query(sql.encode())
        until, last = time.monotonic() + PATIENCE_S, None
        self._notices.clear()
        while True:
            pgconn.flush()
            while pgconn.is_busy():
                if not select.select([pgconn.socket], [], [], max(until - time.monotonic(), 0.0))[0]:
                    raise NoAnswer(sql)
                pgconn.consume_input()
            result = pgconn.get_result()
            if result is None:
                return replace(last or Answer(), notices=tuple(self._notices))
            last = _read(result)

    def _noticed(self, result: Any) -> None:
        parts = [(result.error_field(ord(letter)) or b"").decode("utf-8", "replace") for letter in "SCM"]
        self._notices.append(" ".join(parts))

    def describe(self, sql: str) -> Answer:
        """What Parse and Describe say of a statement: its columns, and one row with the types of its parameters."""
        pgconn = self._connection.pgconn
        self._notices.clear()
        parsed = _read(pgconn.prepare(b"", sql.encode()))
        if parsed.sqlstate:
            return parsed
        result = pgconn.describe_prepared(b"")
        answer = _read(result)
        if answer.sqlstate:
            return answer
        kinds = tuple(str(_known(result.param_type(at))).encode() for at in range(result.nparams))
        return replace(answer, rows=(kinds,), tag="")

    def ask(self, case: Case) -> tuple[Answer, ...]:
        """The answers up to the first error, or all of them."""
        self.run("BEGIN")
        found: list[Answer] = []
        for step in case.steps:
            found.append(self.describe(step.text) if case.described else self.run(step.text, case.binary))
            if found[-1].sqlstate and not case.proceed:
                break
        self.run("ROLLBACK")
        return tuple(found)


def _read(result: Any) -> Answer:
    if result.status == 7:
        code, text = result.error_field(ord("C")), result.error_field(ord("M"))
        fields = tuple(
            (name, found.decode("utf-8", "replace"))
            for name, letter in FIELDS.items()
            if (found := result.error_field(ord(letter)))
        )
        message = (text or b"").decode("utf-8", "replace")
        return Answer(sqlstate=(code or b"?????").decode(), message=message, fields=fields)
    columns = tuple(
        ((result.fname(at) or b"").decode(), result.ftype(at), result.fmod(at)) for at in range(result.nfields)
    )
    rows = tuple(tuple(result.get_value(row, at) for at in range(result.nfields)) for row in range(result.ntuples))
    return Answer(columns, rows, (result.command_status or b"").decode())


@dataclass(frozen=True)
class Difference:
    """How a node's answer differs: ``kind`` is one of KINDS, ``detail`` tells kinds of one kind apart."""

    kind: str
    detail: str = ""
    ours: str = ""
    theirs: str = ""


def difference(case: Case, ours: tuple[Answer, ...], theirs: tuple[Answer, ...]) -> Difference | None:
    """The first way in which the node's answers differ from PostgreSQL's; None when they agree.

    Another SQLSTATE of the same class is no difference here: see :func:`same_class_only`.
    """
    for mine, other in zip(ours, theirs, strict=False):
        found = _between(case, mine, other)
        if found is not None:
            return found
    return None


def _between(case: Case, mine: Answer, other: Answer) -> Difference | None:
    if mine.sqlstate[:2] != other.sqlstate[:2]:
        detail = f"{mine.sqlstate or 'ok'} for {other.sqlstate or 'ok'}"
        return Difference("sqlstate", detail, mine.message or _shown(mine), other.message or _shown(other))
    if mine.sqlstate:
        return None
    names, others = [name for name, _, _ in mine.columns], [name for name, _, _ in other.columns]
    if names != others:
        return Difference("columns", "", str(names), str(others))
    types, expected = [_known(oid) for _, oid, _ in mine.columns], [_known(oid) for _, oid, _ in other.columns]
    if types != expected:
        return Difference("types", f"{types} for {expected}", _shown(mine), _shown(other))
    if sorted(map(repr, mine.rows)) != sorted(map(repr, other.rows)):
        return Difference("rows", "", _shown(mine), _shown(other))
    if case.ordered and mine.rows != other.rows:
        return Difference("rows", "order", _shown(mine), _shown(other))
    if [mod for _, _, mod in mine.columns] != [mod for _, _, mod in other.columns]:
        shown = [str([mod for *_, mod in each.columns]) for each in (mine, other)]
        return Difference("typmods", "", shown[0], shown[1])
    if mine.tag != other.tag:
        return Difference("tag", "", mine.tag, other.tag)
    return None


def _known(oid: int) -> int:
    return oid if oid < FIRST_OWN_OID else -1


def _shown(answer: Answer) -> str:
    text = "; ".join(", ".join("NULL" if cell is None else repr(cell)[1:] for cell in row) for row in answer.rows[:8])
    return text[:400]


def failures(ours: tuple[Answer, ...], theirs: tuple[Answer, ...]) -> tuple[Answer, Answer] | None:
    """The two errors where both ended in one, for counting exact SQLSTATEs and message texts."""
    mine, other = ours[-1], theirs[-1]
    return (mine, other) if len(ours) == len(theirs) and mine.sqlstate and other.sqlstate else None


def unlike_texts(ours: tuple[Answer, ...], theirs: tuple[Answer, ...]) -> list[str]:
    """What differs in the texts of answers that agree otherwise: names of an error's fields, 'notices'."""
    found: set[str] = set()
    for mine, other in zip(ours, theirs, strict=False):
        if mine.sqlstate != other.sqlstate:
            found.add("SQLSTATE")
        elif mine.message != other.message:
            found.add("message")
        elif mine.sqlstate:
            left, right = dict(mine.fields), dict(other.fields)
            found |= {name for name in FIELDS if left.get(name) != right.get(name)}
        if mine.notices != other.notices:
            found.add("notices")
    return sorted(found)
