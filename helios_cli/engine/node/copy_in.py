"""COPY FROM STDIN: raw messages go to the writer thread, which frames, parses and inserts them in batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

import apsw

from helios_cli.engine.errors import HeliosError, ProtocolViolation, QueryCanceled
from helios_cli.engine.node.late_keys import CopiedKeys
from helios_cli.engine.node.routine_calls import of_connection
from helios_cli.engine.node.routine_programs import TriggeredCopy
from helios_cli.engine.sql.actions import CopyIn
from helios_cli.engine.storage.io_errors import is_no_room, note_errno
from helios_cli.engine.wire.copy import CopyParser

if TYPE_CHECKING:
    from helios_cli.engine.node.session import Session

READ_AHEAD_MAX: Final = 4 << 20
"""Bytes of COPY data held while the thread is behind; then the client is not read."""

BATCH_MIN: Final = 64 * 1024
"""Bytes worth a trip to the thread, unless the client is waiting."""

MESSAGE_MAX: Final = 0x3FFF_FFFF


class TakesBytes(Protocol):
    """What a session hands its client's bytes to, instead of reading messages from them."""

    def data_received(self, data: bytes) -> bool:
        """Bytes from the client; False when it should not be read for now."""

    def wants_more(self) -> bool:
        """Whether reading may go on."""

    def cancel(self, reason: HeliosError) -> bool:
        """The statement in hand is to end; False when that is somebody else's business."""

    def abort(self) -> None:
        """The client is gone."""

    def in_doubt(self) -> bool:
        """Whether the client waits for the answer to a commit that may come true or not."""


class CopyReceiver:
    """The data phase of one COPY FROM STDIN. The session's transaction, or the COPY alone, holds the token."""

    def __init__(
        self,
        session: Session,
        connection: apsw.Connection,
        action: CopyIn,
        parser: CopyParser,
        *,
        done: Callable[[int, bytes], None],
        failed: Callable[[BaseException, bytes], None],
    ) -> None:
        self.rows = 0
        self.culprit: tuple[Any, ...] = ()
        """The row that broke a constraint, as its INSERT takes it; empty when there is none."""
        self.is_repeated = False
        """It was done before under its name: what the client sends is read and left."""
        self._session = session
        self._connection = connection
        self._insert = action.insert.steps[0]
        self._relation = action.relation
        self._filtered = action.filtered
        self._triggered = TriggeredCopy(connection, action.insert) if action.insert.routine is not None else None
        self._late: CopiedKeys | None = None
        """The keys that rows may break which others mend; None before the first one, and where triggers see them."""
        self._constants = tuple(session.values_for(action.insert))
        self._parser = parser
        self._done = done
        """Called on the loop with the row count and the bytes that came after CopyDone."""
        self._failed = failed
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._rest = b""
        self._running = False
        self._aborted = False

    def data_received(self, data: bytes) -> bool:
        """Bytes from the client; False when it should not be read for now."""
        self._session.woke_up()
        self._pending.append(data)
        self._pending_bytes += len(data)
        if not self._running:
            self._start()
        return self._pending_bytes < READ_AHEAD_MAX

    def wants_more(self) -> bool:
        """Whether reading may go on."""
        return self._pending_bytes < READ_AHEAD_MAX // 2

    def cancel(self, reason: HeliosError) -> bool:
        """The thread is interrupted by whoever knows its connection."""
        return False

    def abort(self) -> None:
        """The client is gone."""
        self._aborted = True
        if not self._running:
            self._session.copy = None

    def in_doubt(self) -> bool:
        """Never: the commit comes when the data phase is over."""
        return False

    def _start(self) -> None:
        data = b"".join((self._rest, *self._pending))
        self._pending.clear()
        self._pending_bytes = 0
        self._running = True
        self._session.runner.on_thread(
            self._connection, lambda: self._consume(data), self._consumed, lambda error: self._stop(error, b"")
        )

    def _consume(self, data: bytes) -> tuple[bool, bytes]:
        """On the thread: take in complete messages; (whether COPY is over, what is left of ``data``)."""
        chunks: list[bytes] = []
        at, size = 0, len(data)
        over = False
        failure: str | None = None
        from_bytes = int.from_bytes
        while size - at >= 5 and not over:
            code = data[at]
            length = from_bytes(data[at + 1 : at + 5], "big")
            end = at + 1 + length
            if not 4 <= length <= MESSAGE_MAX:
                raise ProtocolViolation("invalid message length")
            if end > size:
                break
            if code == 0x64:
                chunks.append(data[at + 5 : end])
            elif code == 0x63:
                over = True
            elif code == 0x66:
                failure = data[at + 5 : end].rstrip(b"\0").decode(errors="replace")
                over = True
            elif code not in (0x48, 0x53):
                raise ProtocolViolation(f"unexpected message type 0x{code:02X} during COPY from stdin")
            at = end
        if failure is not None:
            raise CopyStopped(QueryCanceled(f"COPY from stdin failed: {failure}"), data[at:])
        try:
            if chunks:
                self._insert_rows(self._parser.feed(b"".join(chunks)))
            if over:
                self._insert_rows(self._parser.finish())
                if self._triggered is not None:
                    self._triggered.end()
                elif self._late is not None:
                    self._late.check()
        except Exception as error:
            raise CopyStopped(error, data[at:]) from error
        return over, data[at:]

    def _insert_rows(self, rows: list[tuple[Any, ...]]) -> None:
        if rows and not self.is_repeated:
            if self._constants:
                rows = [(*row, *self._constants) for row in rows]
            before = self._connection.total_changes()
            try:
                if self._triggered is not None:
                    self.rows += self._triggered.rows(rows)
                    return
                if self._late is None:
                    host = of_connection(self._connection).host_for(self._session)
                    self._late = CopiedKeys(host, self._relation)
                with self._late.put_off():
                    self._connection.executemany(self._insert, rows)
            except apsw.ConstraintError:
                done = self._connection.total_changes() - before
                self.rows += done
                self.culprit = rows[done] if done < len(rows) else ()
                raise
            self.rows += self._connection.total_changes() - before if self._filtered else len(rows)

    def _consumed(self, outcome: tuple[bool, bytes]) -> None:
        over, self._rest = outcome
        self._running = False
        if self._aborted:
            self._session.copy = None
        elif over:
            rest = b"".join((self._rest, *self._pending))
            self._session.copy = None
            self._done(self.rows, rest)
        elif self._pending:
            self._start()
            self._session.sink.copy_wants_more()
        else:
            self._session.went_idle(within=True)
            self._session.sink.copy_wants_more()

    def _stop(self, error: BaseException, rest: bytes) -> None:
        self._running = False
        self._session.copy = None
        cause = error
        if isinstance(error, CopyStopped):
            cause, rest = error.error, error.rest
            note_errno(cause, self._connection)
            if is_no_room(cause):
                self._session.engine.on_disk_full()
        if not self._aborted:
            self._failed(cause, b"".join((rest, *self._pending)))


class CopyStopped(Exception):
    """A COPY failed with messages left behind it."""

    def __init__(self, error: BaseException, rest: bytes) -> None:
        super().__init__(str(error))
        self.error = error
        self.rest = rest
