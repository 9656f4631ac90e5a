"""Clients whose connection ends while they wait for a commit: it may be done or not, and they have to know that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from helios_cli.engine.errors import HeliosError, OutcomeUnknown

if TYPE_CHECKING:
    from helios_cli.engine.node.session import Session

_ENDED: Final = "57P01"
_READY: Final = b"Z"[0]


def last_word(session: Session, error: HeliosError) -> HeliosError:
    """What a client is told whose connection ends with ``error``: that, or that the outcome of its commit is unknown.

    Then nothing of the statement in hand is said before that, such as that its rows were taken. PostgreSQL answers the
    commit itself when a backend is ended there, since that is done at once; here others decide.
    """
    if error.sqlstate != _ENDED or not in_doubt(session):
        return error
    session.out[:] = [_answered(b"".join(session.out))]
    reason = error.message[:1].upper() + error.message[1:]
    return OutcomeUnknown(
        "the connection ends while its commit is on the way: the outcome is unknown",
        detail=f"{reason}.",
        hint="Look whether the change is there before you send it again.",
    )


def in_doubt(session: Session) -> bool:
    """Whether the client waits for the answer to a commit that may come true or not.

    An open transaction is rolled back with its session, and what waits for the writer is not begun: no doubt there.
    """
    runner, engine = session.runner, session.engine
    if session.copy is not None:
        return session.copy.in_doubt()
    if runner.queued is not None:
        return not engine.queue.is_waiting(runner.queued)
    if runner.busy_connection is not None:
        return session.transaction is None
    return runner.awaits_level or runner.awaited_seq > engine.pipeline.committed_seq


def _answered(out: bytes) -> bytes:
    """The messages up to the last ReadyForQuery: all that is no part of the statement in hand."""
    at = end = 0
    while at < len(out):
        is_ready = out[at] == _READY
        at += 1 + int.from_bytes(out[at + 1 : at + 5], "big")
        end = at if is_ready else end
    return out[:end]
