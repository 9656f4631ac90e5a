"""A named write on its way: whether it was done before, and what is kept of it when it is done now.

Both are asked and done in the SQLite transaction that does the write, by whoever executes it: so two attempts under one
name can come at once, from two connections, behind a failover or long after each other, and one of them is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import apsw

from helios_cli.engine.errors import HeliosError, OutcomeUnknown, SqlError
from helios_cli.engine.node.steps import StepsResult, run_steps
from helios_cli.engine.sql.ddl_roles import SetRolePassword
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.storage import write_ids
from helios_cli.engine.storage.write_ids import Done, WriteIds
from helios_cli.engine.types import WriteId

if TYPE_CHECKING:
    from helios_cli.engine.node.portal import Portal
    from helios_cli.engine.node.session import Session

VARIABLE: Final = "helios.write_id"
NAME: Final = "NAME WRITE "
"""How a standby names a write that it takes to the primary: a Query of this and the name, which has no answer."""

_OF_THE_WRITE: Final = ("21", "22", "23", "NH")
"""Classes of errors of a write that was looked for, and not found, before it was run."""


class WriteIdReused(SqlError):
    """The write of this name was another one."""

    sqlstate = "NH021"


class WriteGivenUp(SqlError):
    """helios_write_outcome() has said of this write that it is not done, so it must not be done any more."""

    sqlstate = "NH022"


class BlockDone(HeliosError):
    """The transaction of this name was committed before."""

    sqlstate = "NH023"


class Claim:
    """One write's name, while it is executed."""

    __slots__ = ("_fingerprint", "_ids", "_types", "error", "result", "write_id")

    def __init__(
        self, ids: WriteIds, write_id: WriteId, fingerprint: bytes | None, types: tuple[int, ...] | None
    ) -> None:
        self._ids = ids
        self.write_id = write_id
        self._fingerprint = fingerprint
        """None for a transaction block."""
        self._types = types
        """Types of the result's columns; None for a write without a result."""
        self.result = StepsResult(None, 0)
        """What the write came to when it was done before, if that can be told."""
        self.error: HeliosError | None = None
        """Why it is neither done now nor answered."""

    def was_done(self, connection: apsw.Connection) -> bool:
        """Whether the write must not be run; then :attr:`error` is its answer, or :attr:`result` without one."""
        self.error = None
        done = self._ids.find(connection, self.write_id)
        if done is None:
            return False
        if done.tag is None:
            self.error = WriteGivenUp(
                f"the write {self.write_id.name} was given up",
                detail="It was told to be not done, or its client has gone on to a later one.",
                hint="Send it under another id if it is to be done.",
            )
        elif done.statement != self._fingerprint:
            self.error = WriteIdReused(
                f"another write was done under the id {self.write_id.name}",
                detail=f"It was answered {done.tag}.",
                hint="Every write needs an id of its own; the same id is for the same statement, sent again.",
            )
        else:
            self._recall(done.tag, done.result)
        return True

    def _recall(self, tag: str, text: str | None) -> None:
        last = tag.rpartition(" ")[2]
        rows = None
        if self._types is not None:
            rows = write_ids.decode_rows(self._types, text) if text is not None else None
            if rows is None:
                self.error = OutcomeUnknown(
                    f"the write {self.write_id.name} was done, and its rows are gone",
                    detail=f"It was answered {tag}; its result was too large to be kept, or has other columns by now.",
                    hint="Do not send it again: read what it has written.",
                )
        self.result = StepsResult(rows, int(last) if last.isdecimal() else 0)

    def check(self, connection: apsw.Connection) -> bool:
        """As :meth:`was_done`, with the error raised."""
        found = self.was_done(connection)
        if self.error is not None:
            raise self.error
        return found

    def keep(
        self, connection: apsw.Connection, tag: str, result: StepsResult, touched: write_ids.Touched | None = None
    ) -> None:
        """The write is done, in the open transaction of ``connection``: so is its row.

        Raises:
            HeliosError, apsw.Error: the transaction must not be committed.
        """
        text = None
        if self._types is not None and result.rows is not None:
            text = write_ids.encode_rows(self._types, result.rows)
        self._ids.keep(connection, self.write_id, Done(tag, self._fingerprint, text), touched)

    def run_member(self, connection: apsw.Connection, plan: Plan, binds: Sequence[Any]) -> StepsResult:
        """Run a member of a group, or find that it was run before. Raises what SQLite and :meth:`keep` raise."""
        if self.was_done(connection):
            return self.result
        with write_ids.watched(connection) as touched:
            cursor = connection.execute(plan.steps[0], binds)
            rows = cursor.fetchall() if plan.columns is not None else None
            result = StepsResult(rows, connection.changes())
        self.keep(connection, tag_of(plan, result), result, write_ids.known(touched))
        return result


def run_claimed(connection: apsw.Connection, plan: Plan, binds: Sequence[Any], claim: Claim | None) -> StepsResult:
    """Run every step, unless the write was done before. Raises as :func:`run_steps` and :meth:`Claim.check`."""
    if claim is None:
        return run_steps(connection, plan, binds)
    if claim.check(connection):
        return claim.result
    with write_ids.watched(connection) as touched:
        result = run_steps(connection, plan, binds)
    claim.keep(connection, tag_of(plan, result), result, write_ids.known(touched))
    return result


def tag_of(plan: Plan, result: StepsResult) -> str:
    """The command tag that the client is sent."""
    if not plan.counts_rows:
        return plan.tag
    changes = len(result.rows or ()) if plan.tag == "SELECT" else result.changes
    return f"{plan.tag} {changes}"


def of_statement(session: Session, portal: Portal) -> Claim:
    """Take the session's name for the write in hand: it is used up, whatever comes of the write."""
    plan = portal.plan
    types = None if plan.columns is None else tuple(column.type_oid for column in plan.columns)
    return Claim(session.engine.write_ids, take(session), _fingerprint(session, portal), types)


def of_block(session: Session) -> Claim:
    """Take the session's name for its transaction block, which is about to be committed."""
    return Claim(session.engine.write_ids, take(session), None, None)


def take(session: Session) -> WriteId:
    """The session's name for its next write, which it has no more."""
    write_id = session.write_id
    assert write_id is not None
    if VARIABLE in session.variables:
        session.put_variable(VARIABLE, None)
    # A standby's name for its client's write is no parameter, so that nobody has to be told of its end.
    session.write_id = None
    return write_id


def refuse_repeated_block(session: Session, connection: apsw.Connection) -> None:
    """A block that has its name before its first write ends there when it was committed before.

    Raises:
        BlockDone: it was. WriteGivenUp, WriteIdReused: see there.
    """
    assert session.write_id is not None
    claim = Claim(session.engine.write_ids, session.write_id, None, None)
    if claim.check(connection):
        raise BlockDone(
            f"the transaction {claim.write_id.name} is committed already",
            hint="Send ROLLBACK and go on: nothing of it is to be done again.",
        )


def after_loss(error: HeliosError, *, in_another_term: bool) -> HeliosError:
    """What an error says of a statement that was sent before, to a primary that was lost over it.

    Unless it comes of running the statement, nobody has looked whether it was done the first time. And where no other
    term has begun, what was sent first may still lie unread at the primary, and be done yet.
    """
    is_certain = in_another_term and error.sqlstate[:2] in _OF_THE_WRITE
    if is_certain or isinstance(error, OutcomeUnknown):
        return error
    detail = error.message[:1].upper() + error.message[1:].rstrip(".") + "."
    return OutcomeUnknown(
        "the primary was lost while it committed: the outcome is unknown",
        detail=detail,
        hint="Look whether the change is there before you send it again.",
    )


def failed_again(session: Session, error: HeliosError) -> HeliosError:
    """The statement that was sent again has failed here: what to tell of it. Its name is used up."""
    if session.write_id is not None:
        take(session)
    return after_loss(error, in_another_term=True)


def _fingerprint(session: Session, portal: Portal) -> bytes:
    """Of the statement's text and its parameters; not of what differs from one attempt to the next, such as now()."""
    plan = portal.plan
    if isinstance(plan.action, SetRolePassword):
        # The texts of CREATE and ALTER ROLE hold passwords, of which not even a hash is kept.
        return blake2b(repr((plan.tag, plan.action.role)).encode(), digest_size=16).digest()
    text = (portal.text or session.query).strip().rstrip(";").rstrip()
    own = len(portal.binds) - len(plan.session_values)
    return blake2b(repr((text, tuple(portal.binds[:own]))).encode(), digest_size=16).digest()
