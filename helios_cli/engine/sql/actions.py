"""Records for statements that the node carries out itself: ``Plan.action``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.relation import Relation


@dataclass(frozen=True, slots=True)
class Begin:
    """BEGIN or START TRANSACTION. None: the session's default holds."""

    isolation: str | None = None
    """'read uncommitted', 'read committed', 'repeatable read' or 'serializable'."""
    read_only: bool | None = None
    deferrable: bool | None = None


@dataclass(frozen=True, slots=True)
class Commit:
    """COMMIT or END."""

    chain: bool = False


@dataclass(frozen=True, slots=True)
class Rollback:
    """ROLLBACK or ABORT."""

    chain: bool = False


@dataclass(frozen=True, slots=True)
class Savepoint:
    """SAVEPOINT name."""

    name: str


@dataclass(frozen=True, slots=True)
class Release:
    """RELEASE SAVEPOINT name."""

    name: str


@dataclass(frozen=True, slots=True)
class RollbackTo:
    """ROLLBACK TO SAVEPOINT name."""

    name: str


@dataclass(frozen=True, slots=True)
class PrepareTransaction:
    """PREPARE TRANSACTION, which ends the transaction: there is no two-phase commit."""


@dataclass(frozen=True, slots=True)
class EndPrepared:
    """COMMIT PREPARED or ROLLBACK PREPARED."""

    gid: str
    committed: bool


@dataclass(frozen=True, slots=True)
class SetTransaction:
    """SET TRANSACTION, or with ``session`` SET SESSION CHARACTERISTICS. None: unchanged."""

    isolation: str | None = None
    read_only: bool | None = None
    deferrable: bool | None = None
    session: bool = False
    snapshot: str | None = None


@dataclass(frozen=True, slots=True)
class SetVariable:
    """SET name TO value. ``value`` None is DEFAULT. Lists arrive joined by ', ' as PostgreSQL stores them."""

    name: str
    value: str | None
    local: bool = False


@dataclass(frozen=True, slots=True)
class ResetVariable:
    """RESET name; None is RESET ALL."""

    name: str | None


@dataclass(frozen=True, slots=True)
class Show:
    """SHOW name: one row, one text column of that name. None is SHOW ALL: name, setting, description."""

    name: str | None


@dataclass(frozen=True, slots=True)
class ShowTopology:
    """SHOW TOPOLOGY: one row for each node of the cluster that is known."""


@dataclass(frozen=True, slots=True)
class AlterSystem:
    """ALTER SYSTEM SET name = value. ``value`` None is RESET; ``name`` None is RESET ALL."""

    name: str | None
    value: str | None


@dataclass(frozen=True, slots=True)
class Prepare:
    """PREPARE name (types) AS query."""

    name: str
    param_types: tuple[int, ...]
    """OIDs as declared; 0 where none was given."""
    query: str
    """The statement's text."""
    plan: Plan


@dataclass(frozen=True, slots=True)
class Execute:
    """EXECUTE name (arguments)."""

    name: str
    arguments: tuple[Plan, ...]
    """Each argument as a one-row, one-column query. Its type is the column's; convert to the parameter's."""
    argument_texts: tuple[str | None, ...]
    """For an argument that is a bare constant its text (None is NULL), to be read as the parameter's type;
    ``is_text`` tells which."""
    is_text: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Deallocate:
    """DEALLOCATE name; None is ALL."""

    name: str | None


@dataclass(frozen=True, slots=True)
class DeclareCursor:
    """DECLARE name CURSOR FOR query."""

    name: str
    plan: Plan
    query: str
    hold: bool = False
    scroll: bool | None = None
    binary: bool = False
    keys: tuple[int, ...] = ()
    """OIDs of the tables whose rows' numbers stand behind the columns of the plan, for WHERE CURRENT OF."""
    locked: tuple[int, ...] | None = None
    """OIDs of the tables that FOR UPDATE or FOR SHARE names, once for each time; None without such a clause."""


class Direction(Enum):
    """Where FETCH and MOVE go."""

    FORWARD = "forward"
    BACKWARD = "backward"
    ABSOLUTE = "absolute"
    RELATIVE = "relative"


@dataclass(frozen=True, slots=True)
class Fetch:
    """FETCH or, with ``move``, MOVE. ``count`` None is ALL."""

    cursor: str
    direction: Direction
    count: int | None
    move: bool = False


@dataclass(frozen=True, slots=True)
class CloseCursor:
    """CLOSE name; None is ALL."""

    name: str | None


@dataclass(frozen=True, slots=True)
class Listen:
    """LISTEN channel."""

    channel: str


@dataclass(frozen=True, slots=True)
class Unlisten:
    """UNLISTEN channel; None is every channel."""

    channel: str | None


@dataclass(frozen=True, slots=True)
class Notify:
    """NOTIFY channel, payload."""

    channel: str
    payload: str = ""


@dataclass(frozen=True, slots=True)
class Discard:
    """DISCARD 'all', 'plans', 'sequences' or 'temp'."""

    what: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """CHECKPOINT."""


@dataclass(frozen=True, slots=True)
class Vacuum:
    """VACUUM (``vacuum`` true) or ANALYZE, of the named SQLite tables; none means all."""

    vacuum: bool
    analyze: bool
    full: bool = False
    tables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LockTable:
    """LOCK TABLE: take the writer, since there is one."""

    tables: tuple[str, ...]
    mode: str
    """As PostgreSQL writes it: 'ACCESS EXCLUSIVE', 'SHARE' ..."""
    nowait: bool = False


@dataclass(frozen=True, slots=True)
class Explain:
    """EXPLAIN of a plan. The result is one text column, 'QUERY PLAN'."""

    plan: Plan
    analyze: bool = False
    verbose: bool = False
    timing: bool = True
    """Whether ANALYZE tells times."""
    summary: bool = True
    """Whether ANALYZE tells the whole time behind the plan."""
    format: str = "text"


@dataclass(frozen=True, slots=True)
class SetConstraints:
    """SET CONSTRAINTS ALL or names."""

    names: tuple[str, ...]
    deferred: bool


@dataclass(frozen=True, slots=True)
class CopyOptions:
    """How COPY's data is written. Defaults depend on the format and are filled in."""

    format: str = "text"
    """'text', 'csv' or 'binary'."""
    delimiter: str = "\t"
    null: str = "\\N"
    header: bool = False
    header_match: bool = False
    quote: str = '"'
    escape: str = '"'
    force_quote: tuple[str, ...] | None = ()
    """Columns always quoted; None is all of them (``*``)."""
    force_not_null: tuple[str, ...] = ()
    force_null: tuple[str, ...] = ()
    freeze: bool = False
    encoding: str | None = None


@dataclass(frozen=True, slots=True)
class CopyIn:
    """COPY table FROM STDIN. ``insert`` takes one row's values for ``columns`` in order, already converted to SQLite's
    representation; columns left out get their defaults inside it.
    """

    table: str
    """PostgreSQL's name of the table."""
    columns: tuple[str, ...]
    types: tuple[tuple[int, int], ...]
    """(type OID, typmod) of each column."""
    insert: Plan
    options: CopyOptions
    relation: Relation
    filtered: bool = False
    """With WHERE: a row may be left out."""


@dataclass(frozen=True, slots=True)
class CopyOut:
    """COPY table or query TO STDOUT; ``query`` gives the rows and ``query.columns`` names and types."""

    query: Plan
    options: CopyOptions


TRANSACTION_COMMANDS: Final = (Begin, Commit, Rollback, Savepoint, RollbackTo, Release)
"""What functions may not run as a statement."""
