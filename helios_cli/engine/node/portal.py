"""Prepared statements and portals of a session, and what a session asks of its connection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final, Protocol

from helios_cli.engine.datatypes.encodings import Encoding
from helios_cli.engine.datatypes.zoned import ZONED, is_styled
from helios_cli.engine.datatypes.zoned_ranges import ZONED_RANGES
from helios_cli.engine.errors import HeliosError, SqlError
from helios_cli.engine.node.audit import AUDITED
from helios_cli.engine.node.readers import ReadJob, RowsEncoder
from helios_cli.engine.sql import actions
from helios_cli.engine.sql.plan import Kind, Plan
from helios_cli.engine.wire import backend
from helios_cli.engine.wire.recoding import rows_recoder
from helios_cli.engine.wire.rows import rows_encoder

if TYPE_CHECKING:
    from helios_cli.engine.node.claims import Claim
    from helios_cli.engine.node.session import Session


_SHOWN_BY_ZONE: Final = ZONED | ZONED_RANGES

ORIGIN_MAX: Final = 1 << 16
"""Bytes of a Bind up to which a node that leads keeps it, for the case that another one is to run the statement."""


class Prepared:
    """A named statement."""

    __slots__ = ("by_statement", "literals", "name", "oids", "plan", "prepared_us", "search_path", "sql")

    def __init__(
        self,
        name: str,
        sql: str,
        oids: tuple[int, ...],
        plan: Plan,
        literals: Sequence[Any],
        search_path: tuple[str, ...],
        prepared_us: int,
    ) -> None:
        self.name = name
        self.sql = sql
        self.oids = oids
        self.plan = plan
        self.literals = literals
        self.search_path = search_path
        """Along which the plan found its tables."""
        self.prepared_us = prepared_us
        """When its Parse or PREPARE began."""
        self.by_statement = ""
        """The text of the PREPARE that made it; '' for a Parse."""


class Portal:
    """A statement with its parameters bound, and how far its result has been taken."""

    __slots__ = (
        "binds", "claim", "completes", "describe", "done", "encode", "formats", "job", "name", "noticed", "origin",
        "plan", "renewed", "rows", "rows_max", "sent", "sent_before", "session", "stale", "text",
    )  # fmt: skip

    def __init__(
        self, session: Session, name: str, plan: Plan, binds: Sequence[Any], formats: tuple[int, ...], describe: bool
    ) -> None:
        self.session = session
        self.name = name
        self.plan = plan
        self.binds = binds
        self.formats = formats
        self.describe = describe
        """RowDescription is still to be sent before the rows: the simple protocol's way."""
        self.completes = True
        """CommandComplete follows the last row; FETCH and COPY send one of their own."""
        self.rows: list[Any] | None = None
        """Rows fetched and not yet taken."""
        self.job: ReadJob | None = None
        self.encode: RowsEncoder | None = None
        self.sent = 0
        self.sent_before = 0
        self.rows_max = 0
        """Greatest number of rows the Execute in hand wants; 0 for all."""
        self.done = False
        self.noticed = False
        """The plan's notices are on their way; a statement that waited for the writer starts again from the top."""
        self.stale = False
        """The schema has changed while it waited for the writer: it is planned again before it starts."""
        self.renewed = -1
        """The version of the schema for which it was planned again last."""
        self.claim: Claim | None = None
        """The name under which its write is done only once; None: it has none."""
        self.text = ""
        """Of its prepared statement, or of one of several in a query string; empty when it is the whole string."""
        self.origin: tuple[Prepared, bytes] | None = None
        """Its statement and the body of its Bind, for the primary; kept only where statements are forwarded."""

    def send_description(self) -> None:
        """RowDescription, once, when it is due."""
        if self.describe:
            self.describe = False
            self.session.out.append(self.description())

    def description(self) -> bytes:
        """The RowDescription message of this portal."""
        cache = self.plan.cache
        key = ("description", self.formats)
        message = cache.get(key)
        if message is None:
            message = cache[key] = backend.row_description(self.plan.columns or (), self.formats)
        return message

    def encoder(self) -> RowsEncoder:
        """Turns rows into DataRow messages."""
        return self.encode or self.encoder_for(self.formats)

    def encoder_for(self, formats: tuple[int, ...]) -> RowsEncoder:
        """The same for other formats than the portal's own."""
        encoding = self.session.encoding
        if encoding is not None:
            return rows_recoder(self._utf8_encoder(formats), self._types(), formats, encoding)
        return self._utf8_encoder(formats)

    def _utf8_encoder(self, formats: tuple[int, ...]) -> RowsEncoder:
        zone = self.session.times.zone
        if is_styled(zone) or (
            zone is not UTC and any(column.type_oid in _SHOWN_BY_ZONE for column in self.plan.columns or ())
        ):
            return rows_encoder(self._types(), formats, zone)
        cache = self.plan.cache
        encode = cache.get(formats)
        if encode is None:
            encode = cache[formats] = rows_encoder(self._types(), formats)
        return encode

    def _types(self) -> tuple[int, ...]:
        return tuple(column.type_oid for column in self.plan.columns or ())

    def sent_since_execute(self) -> int:
        """Rows sent by the Execute in hand."""
        return self.sent - self.sent_before

    def run_again(self) -> bool:
        """Execute after the last row: no rows for a query. Raises SqlError 55000 for all else."""
        plan = self.plan
        if plan.columns is None or (plan.kind > Kind.WRITE and not isinstance(plan.action, _WITH_ROWS)):
            raise SqlError(f'portal "{self.name}" cannot be run', sqlstate="55000")
        self.session.out.append(backend.command_complete(f"{plan.tag} 0" if plan.kind < Kind.UTILITY else plan.tag))
        return True

    def send_result(self, rows: list[Any] | None, changes: int) -> None:
        """The whole answer of a write."""
        self.done = True
        plan = self.plan
        if plan.kind is Kind.DDL and plan.tag in AUDITED:
            self.session.engine.audit.statement(self.session, plan.tag, plan.subject)
        out = self.session.out
        if rows is not None and plan.columns is not None:
            self.send_description()
            if 0 < self.rows_max <= len(rows):
                self.done = False
                self.rows = rows
                self.session.runner.send_kept_rows(self, self.rows_max)
                return
            out.append(self.encoder()(rows))
            if plan.tag == "SELECT":
                changes = len(rows)
        if self.completes:
            out.append(backend.command_complete(f"{plan.tag} {changes}" if plan.counts_rows else plan.tag))


class Sink(Protocol):
    """What a session tells its connection."""

    def resume(self) -> None:
        """The statement in hand is over; go on with the next message."""

    def fail(self, error: HeliosError) -> None:
        """The statement in hand failed; go on as the protocol says."""

    def flush_then(self, callback: Callable[[], None]) -> bool:
        """Send what is in ``out`` and call back when the client has room for more; whether it has at once."""

    def terminate(self, error: HeliosError) -> None:
        """Send a FATAL error and close."""

    def retry(self, portal: Portal, rows_max: int) -> None:
        """Start the portal's statement again from the top."""

    def copy_begins(self) -> None:
        """COPY FROM STDIN takes what the client sends from here on."""

    def copy_wants_more(self) -> None:
        """The COPY thread has caught up; the client may be read again."""

    def copy_over(self, rest: bytes) -> None:
        """COPY has ended; ``rest`` came behind it."""

    def is_idle(self) -> bool:
        """Whether the connection is between statements."""

    def flush(self) -> None:
        """Send what is in ``out``."""

    def speak(self, encoding: Encoding | None) -> None:
        """The client's text is in an encoding from now on; None: in UTF-8."""


def aborted() -> SqlError:
    """The answer to every statement of a failed transaction."""
    return SqlError("current transaction is aborted, commands ignored until end of transaction block", sqlstate="25P02")


_WITH_ROWS: Final = (actions.Show, actions.ShowTopology, actions.Explain)
"""Utility statements whose rows are kept: to run their portal again gives none, and is no error."""

_THERE: Final = {"relation": "42P07", "schema": "42P06", "column": "42701"}


def notice_state(text: str) -> str:
    """The SQLSTATE of a plan's notice: what is there already, and so was not made, has the error's own."""
    return _THERE.get(text.partition(" ")[0], "00000") if text.endswith(" already exists, skipping") else "00000"
