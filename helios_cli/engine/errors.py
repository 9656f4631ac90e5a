"""Every error the engine raises on purpose.

One tree under :class:`HeliosError`. Each class carries its SQLSTATE (PostgreSQL's own where one fits,
appendix A of its manual; ours in class ``NH``), and may carry a hint that names the next command.
"""

from __future__ import annotations


class HeliosError(Exception):
    """An error with everything a PostgreSQL ErrorResponse can say about it.

    ``position`` is the 1-based character index in the query text, or None. ``context`` is where it happened
    ('COPY t, line 3'). ``routine`` is PostgreSQL's function that would have raised it, where drivers look at it.
    ``retryable`` tells a client that the same statement may succeed when sent again unchanged.
    """

    sqlstate = "XX000"
    severity = "ERROR"
    retryable = False

    def __init__(
        self,
        message: str,
        *,
        sqlstate: str | None = None,
        detail: str | None = None,
        hint: str | None = None,
        position: int | None = None,
        schema: str | None = None,
        table: str | None = None,
        column: str | None = None,
        datatype: str | None = None,
        constraint: str | None = None,
        context: str | None = None,
        routine: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        if sqlstate is not None:
            self.sqlstate = sqlstate
        self.detail = detail
        self.hint = hint
        self.position = position
        self.schema = schema
        self.table = table
        self.column = column
        self.datatype = datatype
        self.constraint = constraint
        self.context = context
        self.routine = routine


class SqlError(HeliosError):
    """A statement is wrong or cannot be done; the SQLSTATE says which."""

    sqlstate = "42000"


class FeatureNotSupported(SqlError):
    """PostgreSQL can do this and we cannot."""

    sqlstate = "0A000"


class QueryCanceled(HeliosError):
    """A statement ended by CancelRequest or a timeout."""

    sqlstate = "57014"


class SerializationFailure(HeliosError):
    """The snapshot is too old to write over, or was taken away."""

    sqlstate = "40001"
    retryable = True


class LeadMoved(SerializationFailure):
    """A write waited on a node that ceased to lead; nothing of it was run."""


class ReadOnlyError(HeliosError):
    """The node, or the transaction, accepts no writes."""

    sqlstate = "25006"


class ProtocolViolation(HeliosError):
    """The client sent something the wire protocol does not allow; the connection ends."""

    sqlstate = "08P01"
    severity = "FATAL"


class OutcomeUnknown(HeliosError):
    """A commit whose record may or may not have reached the disk."""

    sqlstate = "08007"


class DiskFull(HeliosError):
    """No room for the change; nothing of it was kept."""

    sqlstate = "53100"
    retryable = True


class IoFailed(HeliosError):
    """The operating system refused to read, write or sync a file."""

    sqlstate = "58030"


class TooManyConnections(HeliosError):
    """The connection limit is reached."""

    sqlstate = "53300"
    severity = "FATAL"
    retryable = True


class ConfigError(HeliosError):
    """A setting is unknown, malformed or out of range."""

    sqlstate = "F0000"


class DataDirectoryInUse(HeliosError):
    """Another process holds the data directory."""

    sqlstate = "55006"


class LogDamaged(HeliosError):
    """A page-log record that was known to be on disk is unreadable."""

    sqlstate = "XX001"


class NotServing(HeliosError):
    """The node is starting, stopping or recovering."""

    sqlstate = "57P03"
    severity = "FATAL"
    retryable = True
