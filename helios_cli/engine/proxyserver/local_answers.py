"""Answers that the proxy gives itself: to what is about its own doing, or of a block that no node has any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.proxy.prepared import CloseStep, ParseStep
from helios_cli.engine.proxy.statement import Control
from helios_cli.engine.proxy.unit import BIND, CLOSE, DESCRIBE, EXECUTE, PARSE, Unit
from helios_cli.engine.wire import backend as messages
from helios_cli.engine.wire.client import ResultColumn

if TYPE_CHECKING:
    from helios_cli.engine.proxyserver.sending import Sending

SYNC_MESSAGE: Final = b"S\0\0\0\x04"
FAILED_BLOCK: Final = b"E"[0]
_TEXT_OID: Final = 25


def build_answer(unit: Unit, tag: str, column: str | None = None, value: str = "") -> bytes:
    """What a server answers to a unit of one statement, without ReadyForQuery; with a ``column`` it is one row."""
    columns = [ResultColumn(column, _TEXT_OID)] if column is not None else []
    row = messages.message(b"D", b"\0\1" + len(value.encode()).to_bytes(4, "big") + value.encode()) if columns else b""
    described = messages.row_description(columns) if columns else messages.NO_DATA
    end = messages.command_complete(tag)
    if unit.simple:
        return (described + row if columns else b"") + end
    parts = []
    for step in unit.steps:
        at = 0
        while at + 5 <= len(step.raw):  # a step may be a whole unit
            code = step.raw[at]
            if code == PARSE:
                parts.append(messages.PARSE_COMPLETE)
            elif code == BIND:
                parts.append(messages.BIND_COMPLETE)
            elif code == CLOSE:
                parts.append(messages.CLOSE_COMPLETE)
            elif code == DESCRIBE:
                parts.append((messages.parameter_description(()) if step.raw[at + 5] == 0x53 else b"") + described)
            elif code == EXECUTE:
                parts.append(row + end)
            at += 1 + int.from_bytes(step.raw[at + 1 : at + 5], "big")
    return b"".join(parts)


def rest_of_answer(unit: Unit, tag: str) -> bytes:
    """The same, but for what the client has of it already."""
    unit.skip = 0
    if unit.copied:
        return messages.command_complete(tag)  # it had all that stands before the data
    return build_answer(unit, tag)[unit.passed :]


def answered(client: Sending, unit: Unit) -> bool:
    """Answer a unit here if no node is to be asked."""
    if len(unit.executed) != 1 or not unit.closed:
        return False
    statement = unit.executed[0]
    if statement.frees is not None and client.status != FAILED_BLOCK:
        return _free(client, unit, statement.frees)
    if statement.shows == "helios.lsn" and client.awaits_token:
        client.asks_token = True
        return True
    if statement.shows == "helios.lsn" and client.token and client.status != FAILED_BLOCK:
        client.finish_locally(build_answer(unit, "SHOW", "helios.lsn", client.token))
        return True
    return False


def is_known(unit: Unit) -> bool:
    """Whether a unit only prepares what some node has taken before, or closes statements: no backend is needed."""
    *steps, end = unit.steps
    return end.raw == SYNC_MESSAGE and all(
        step.prepared.is_proven if isinstance(step, ParseStep) else isinstance(step, CloseStep) and step.is_statement
        for step in steps
    )


def _free(client: Sending, unit: Unit, name: str) -> bool:
    """DEALLOCATE of what was prepared by the protocol, of which the nodes do not know the client's name."""
    names = client.statements.names
    if name:
        if names.pop(name.encode("utf-8", "surrogateescape"), None) is None:
            return False
    else:
        names.clear()
        if client.pins:
            if client.backend is not None:
                client.backend.statements.clear()
            return False
    client.finish_locally(build_answer(unit, "DEALLOCATE" if name else "DEALLOCATE ALL"))
    return True


def in_lost_block(client: Sending, unit: Unit) -> None:
    """Answer what comes in a block that no node has any more: it can only be ended."""
    if unit.closed and unit.control in (Control.ROLLBACK, Control.COMMIT):
        client.block = None
        client.finish_locally(build_answer(unit, "ROLLBACK"))
        return
    client.fail_in_block(
        HeliosError("current transaction is aborted, commands ignored until end of transaction block", sqlstate="25P02")
    )
