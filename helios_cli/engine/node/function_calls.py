"""The protocol's FunctionCall: one function by its OID, run as the SELECT that calls it (fastpath.c)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.datatypes.registry import format_type
from helios_cli.engine.errors import FeatureNotSupported, ProtocolViolation, SqlError
from helios_cli.engine.node import routing
from helios_cli.engine.node.portal import Portal, aborted
from helios_cli.engine.node.readers import RowsEncoder
from helios_cli.engine.sql.function_spec import Function
from helios_cli.engine.sql.functions.proc_oids import FUNCTIONS
from helios_cli.engine.sql.oids import POLYMORPHIC
from helios_cli.engine.sql.planner import bind
from helios_cli.engine.sql.routines import Routine
from helios_cli.engine.sql.sqltext import pg_identifier
from helios_cli.engine.wire import backend, messages

if TYPE_CHECKING:
    from helios_cli.engine.node.frontend import Frontend
    from helios_cli.engine.node.session import Session

_CODE: Final = b"F"
_ROW_HEAD: Final = 7
"""Bytes of a DataRow before the length word of its first field: code, length, number of fields."""


@dataclass(frozen=True, slots=True)
class _Callee:
    name: str
    schema: str
    types: tuple[int, ...]
    callable: bool
    """It is a function that returns one value."""


def portal_of(frontend: Frontend, body: bytes) -> Portal | None:
    """What a FunctionCall runs, with its own kind of answer; None: it is on its way to the primary, or held up.

    Raises:
        SqlError: 42883 no such function, 0A000 it is no function of one value, 25P02 the transaction failed; what the
            call raises.
        ProtocolViolation: the message is malformed, or has another number of arguments.
    """
    session = frontend.session
    session.statement_starts("<function call>")
    transaction = session.transaction
    if transaction is not None and transaction.failed:
        raise transaction.lost or aborted()
    oid, formats, arguments, result = messages.parse_function_call(body, 0, len(body))
    callee = _callee(session, oid)
    if len(arguments) != len(callee.types):
        raise ProtocolViolation(
            f"function call message contains {len(arguments)} arguments but function requires {len(callee.types)}"
        )
    portal = _portal(session, callee, formats, arguments, result)
    again = partial(frontend.call_function, body)
    if routing.concerns(session) and routing.call(frontend, portal, backend.message(_CODE, body), again):
        return None
    return portal


def _callee(session: Session, oid: int) -> _Callee:
    function = FUNCTIONS.get(oid)
    found = _of_library(function) if function is not None else _of_user(session.schema_view().catalog.routine(oid))
    if found is None:
        raise SqlError(f"function with OID {oid} does not exist", sqlstate="42883")
    if not found.callable:
        raise SqlError(f'cannot call function "{found.name}" via fastpath interface', sqlstate="0A000")
    for type_oid in found.types:
        if type_oid in POLYMORPHIC:
            raise FeatureNotSupported(f"cannot accept a value of type {format_type(type_oid, -1)}")
    return found


def _of_library(function: Function) -> _Callee:
    plain = not (function.aggregate or function.window or function.set_returning)
    return _Callee(function.name, function.schema, function.args, plain)


def _of_user(routine: Routine | None) -> _Callee | None:
    if routine is None:
        return None
    plain = routine.kind == "f" and not routine.returns_set
    return _Callee(routine.name, routine.schema, routine.signature(), plain)


def _portal(
    session: Session, callee: _Callee, formats: tuple[int, ...], arguments: list[bytes | None], result: tuple[int, ...]
) -> Portal:
    numbers = ", ".join(f"${number}" for number in range(1, len(callee.types) + 1))
    text = f"SELECT {pg_identifier(callee.schema)}.{pg_identifier(callee.name)}({numbers})"
    prepared = session.prepare("", text, callee.types)
    plan = prepared.plan
    values = session.decoded(plan, formats, arguments)
    binds = bind(plan, values, prepared.literals, session.values_for(plan), text)
    portal = Portal(session, "", plan, binds, result, False)
    portal.text = text
    portal.completes = False
    portal.encode = _response(portal.encoder())
    return portal


def _response(encode: RowsEncoder) -> RowsEncoder:
    """FunctionCallResponse with what a DataRow has in its only field."""

    def response(rows: Any) -> bytes:
        return backend.message(b"V", encode(rows)[_ROW_HEAD:]) if rows else b""

    return response
