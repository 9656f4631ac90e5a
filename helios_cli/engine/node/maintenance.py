"""EXPLAIN, VACUUM, CHECKPOINT, ALTER SYSTEM, LISTEN and NOTIFY, COPY, roles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.errors import SqlError
from helios_cli.engine.node import client_encoding, identity, utility
from helios_cli.engine.node.channels import notification_of
from helios_cli.engine.node.copy_in import CopyReceiver
from helios_cli.engine.node.portal import Portal
from helios_cli.engine.node.runner import check_read_only
from helios_cli.engine.node.steps import StepsResult
from helios_cli.engine.sql import actions
from helios_cli.engine.sql.authority import CHECKPOINT
from helios_cli.engine.sql.plan import Kind
from helios_cli.engine.wire import backend
from helios_cli.engine.wire.copy import copy_formatter, copy_parser
from helios_cli.engine.wire.copy_options import CopyColumn, CopyOptions

if TYPE_CHECKING:
    from helios_cli.engine.node.session import Session

NOTIFY_PAYLOAD_MAX: Final = 8000
"""PostgreSQL's NOTIFY_PAYLOAD_MAX_LENGTH, in bytes: a payload is shorter."""


def vacuum(session: Session, action: actions.Vacuum, portal: Portal, _rows_max: int) -> bool:
    """VACUUM and ANALYZE. Space inside the file is reused by itself, so only ANALYZE has work to do."""
    if action.vacuum and session.transaction is not None:
        raise SqlError("VACUUM cannot run inside a transaction block", sqlstate="25001")
    return utility.complete(session, portal)


def checkpoint(session: Session, _action: actions.Checkpoint, portal: Portal, _rows_max: int) -> bool:
    """CHECKPOINT: bring the database file up to date now."""
    if session.restricted and CHECKPOINT not in identity.rightful(session).roles:
        message = "must be superuser or have privileges of pg_checkpoint to do CHECKPOINT"
        raise SqlError(message, sqlstate="42501")

    def done(error: BaseException | None) -> None:
        if error is not None:
            session.failed(session.runner.translate(error))
            return
        utility.complete(session, portal)
        session.finished()

    session.engine.request_checkpoint(done)
    return False


def alter_system(session: Session, action: actions.AlterSystem, portal: Portal, _rows_max: int) -> bool:
    """ALTER SYSTEM SET: written to heliosdb.auto.conf."""
    if session.transaction is not None and session.transaction.explicit:
        raise SqlError("ALTER SYSTEM cannot run inside a transaction block", sqlstate="25001")
    if session.restricted:
        what = f'set parameter "{action.name}"' if action.name is not None else "perform ALTER SYSTEM RESET ALL"
        raise SqlError(f"permission denied to {what}", sqlstate="42501")
    session.engine.alter_system(action.name, action.value)
    return utility.complete(session, portal)


def listen(session: Session, action: actions.Listen, portal: Portal, _rows_max: int) -> bool:
    """LISTEN channel."""
    session.at_commit(lambda: session.engine.channels.listen(action.channel, session))
    return utility.complete(session, portal)


def unlisten(session: Session, action: actions.Unlisten, portal: Portal, _rows_max: int) -> bool:
    """UNLISTEN channel or every one."""
    session.at_commit(lambda: session.engine.channels.unlisten(action.channel, session))
    return utility.complete(session, portal)


def notify(session: Session, action: actions.Notify, portal: Portal, _rows_max: int) -> bool:
    """NOTIFY: delivered when the transaction is committed; the same one twice in a transaction is one."""
    if len(action.payload.encode()) >= NOTIFY_PAYLOAD_MAX:
        raise SqlError("payload string too long", sqlstate="22023")
    notification = notification_of(session, action.channel, action.payload)
    if notification not in session.channel_actions:
        session.at_commit(notification)
    return utility.complete(session, portal)


# COPY ------------------------------------------------------------------------------------------------------------


def copy_out(session: Session, action: actions.CopyOut, portal: Portal, _rows_max: int) -> bool:
    """COPY ... TO STDOUT: the rows of a query, each a CopyData message."""
    query = action.query
    columns = query.columns or ()
    binary = action.options.format == "binary"
    described = [CopyColumn(column.name, column.type_oid, column.typmod, session.times) for column in columns]
    encoding = client_encoding.copied(session, action.options)
    formatter = client_encoding.formatter_for(copy_formatter(described, _wire_options(action.options)), encoding)
    head, tail = formatter.begin(), formatter.end()
    opening = backend.copy_out_response(len(columns), binary=binary)
    if head and not binary:
        opening += backend.copy_data(head)
    rows = _CopyRows(formatter.rows, head if binary else b"", opening)
    inner = Portal(session, "", query, portal.binds, (0,) * len(columns), False)
    inner.completes = False
    inner.encode = rows
    inner.text = portal.text

    def finished() -> None:
        session.out.append(rows.take_opening())
        if rows.head or tail:
            session.out.append(backend.copy_data(rows.head + tail))
        session.out.append(backend.COPY_DONE)
        session.out.append(backend.command_complete(f"COPY {rows.count}"))
        portal.done = True

    session.after_statement = finished
    portal.rows = None
    if query.kind is Kind.WRITE:
        done = session.runner.write(inner)
    else:
        session.out.append(rows.take_opening())
        done = session.runner.read(inner, 0)
    if done:
        session.run_after_statement()
        return True
    return False


class _CopyRows:
    """Turns rows into CopyData messages, one each. Binary's header travels with the first row: drivers count on it."""

    def __init__(self, encode: Callable[[Iterable[Sequence[Any]]], bytes], head: bytes, opening: bytes) -> None:
        self.head = head
        """Not sent yet."""
        self.count = 0
        """Rows turned so far."""
        self._opening = opening
        self._encode = encode

    def take_opening(self) -> bytes:
        """What comes before the rows; nothing the second time. A write begins with it when it has been done."""
        opening, self._opening = self._opening, b""
        return opening

    def __call__(self, batch: Iterable[Sequence[Any]]) -> bytes:
        messages: list[bytes] = [self.take_opening()]
        for row in batch:
            messages.append(backend.copy_data(self.head + self._encode((row,))))
            self.head = b""
        self.count += len(messages) - 1
        return b"".join(messages)


def _wire_options(options: actions.CopyOptions) -> CopyOptions:
    """The same options as the wire's own record."""
    every = options.force_quote is None
    return CopyOptions(
        options.format,
        options.delimiter,
        options.null,
        options.header,
        options.header_match,
        options.quote,
        options.escape,
        frozenset({"*"}) if every else frozenset(options.force_quote or ()),
        frozenset(options.force_not_null),
        frozenset(options.force_null),
    )


def copy_in(session: Session, action: actions.CopyIn, portal: Portal, rows_max: int) -> bool:
    """COPY ... FROM STDIN, in the session's transaction or in one of its own."""
    transaction = session.transaction
    if transaction is not None and transaction.read_only:
        check_read_only(portal.plan)
    session.check_may_write(portal.plan)
    if transaction is None:
        transaction = session.begin(explicit=False)
    transaction.started = True
    if session.write_id is not None:
        session.runner.claim(portal)
    if not transaction.writing:
        return session.runner.with_writer(lambda: session.retry(portal, rows_max))
    transaction.slow = True
    connection, claim = transaction.connection, portal.claim
    assert connection is not None
    done_before = claim is not None and claim.check(connection)
    times = session.times_now()
    columns = [
        CopyColumn(name, oid, typmod, times) for name, (oid, typmod) in zip(action.columns, action.types, strict=True)
    ]
    encoding = client_encoding.copied(session, action.options)
    parser = client_encoding.parser_for(copy_parser(action.table, columns, _wire_options(action.options)), encoding)

    def done(count: int, rest: bytes) -> None:
        if claim is not None and done_before:
            transaction.repeated = True
            count = claim.result.changes
        elif claim is not None:
            try:
                claim.keep(connection, f"COPY {count}", StepsResult(None, count))
            except Exception as error:
                failed(error, rest)
                return
        session.out.append(backend.command_complete(f"COPY {count}"))
        portal.done = True
        session.sink.copy_over(rest)
        session.finished()

    def failed(error: BaseException, rest: bytes) -> None:
        session.sink.copy_over(rest)
        told = session.runner.translate(error, action.insert, receiver.culprit)
        if told.sqlstate == "23505" and receiver.culprit:
            told.context = f"COPY {action.table}, line {receiver.rows + 1 + action.options.header}"
        session.runner.fail_after_base(told)

    session.copy = receiver = CopyReceiver(session, connection, action, parser, done=done, failed=failed)
    receiver.is_repeated = done_before
    session.out.append(backend.copy_in_response(len(action.columns), binary=action.options.format == "binary"))
    session.went_idle(within=True)
    session.sink.copy_begins()
    return False


def run_role_action(session: Session, portal: Portal) -> bool:
    """CREATE or ALTER ROLE with a password: the verifier is made here, the plain text goes no further."""
    portal.binds = session.engine.role_binds(portal.plan)
    return session.runner.write(portal)
