"""The result of planning one statement: what to run in SQLite, what to bind, what comes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from helios_cli.engine.sql.rights import Right

SqliteValue = None | int | float | str | bytes
"""What SQLite stores and returns. Which PostgreSQL type it stands for is the plan's knowledge."""


class Kind(IntEnum):
    """What a statement needs from the node."""

    READ = 0
    """A query that changes nothing."""
    WRITE = 1
    """INSERT, UPDATE, DELETE (with or without RETURNING), SELECT with side effects."""
    DDL = 2
    """Changes the schema; runs alone, never in a group."""
    UTILITY = 3
    """Everything decided without SQLite: BEGIN, SET, SHOW, PREPARE, ...; see ``Plan.action``."""
    COPY = 4
    """COPY in or out; see ``Plan.action``."""
    EMPTY = 5
    """A query string without a statement."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a result set, as RowDescription needs it."""

    name: str
    type_oid: int
    typmod: int = -1
    table_oid: int = 0
    attnum: int = 0


@dataclass(frozen=True, slots=True)
class Watch:
    """A table whose rows from before the statement later steps read."""

    table: str
    """SQLite's name."""
    temporary: bool
    columns: tuple[str, ...]
    """In the order in which its rows are kept."""
    touched: str
    """The session value that is a JSON array of the numbers of the rows that were changed."""
    before: str
    """The session value that is a JSON array of those rows as they were, each an array."""


@dataclass(frozen=True, slots=True)
class Program:
    """How the steps of a WRITE hang together: what one returns is bound to those behind it."""

    saves: tuple[str, ...]
    """For each step the session value that its rows become, a JSON array of arrays; '' for one that is not read."""
    answers: tuple[int, ...]
    """The steps that are the statement's own: their changes are counted, and the last one's rows are the result."""
    watched: tuple[Watch, ...] = ()


class Warned(str):
    """A notice of a plan that is a WARNING with an SQLSTATE of its own."""

    __slots__ = ("hint", "sqlstate")
    sqlstate: str
    hint: str | None

    def __new__(cls, text: str, sqlstate: str = "01000", hint: str | None = None) -> Warned:
        """The text with its SQLSTATE."""
        made = super().__new__(cls, text)
        made.sqlstate, made.hint = sqlstate, hint
        return made


class Debugged(str):
    """A notice of a plan that is a DEBUG message, which few clients ask for."""

    __slots__ = ()


class Detailed(str):
    """A notice of a plan with a DETAIL."""

    __slots__ = ("detail",)
    detail: str

    def __new__(cls, text: str, detail: str) -> Detailed:
        """The text with what comes behind it."""
        made = super().__new__(cls, text)
        made.detail = detail
        return made


@dataclass(slots=True, eq=False)
class Plan:
    """One planned statement. Shared by all sessions, so nothing in it belongs to one execution.

    SQLite parameters are numbered ``?1`` up: first the statement's own ``$1 .. $n``, then one for each
    literal lifted out of the text, then one for each entry of ``session_values``.
    """

    kind: Kind
    tag: str
    """First word(s) of the command tag: 'SELECT', 'INSERT 0', 'UPDATE', 'CREATE TABLE', 'BEGIN' ..."""
    steps: tuple[str, ...] = ()
    """SQLite statements to run in order; only the last may return rows. One element except for DDL."""
    param_types: tuple[int, ...] = ()
    """Type OIDs of $1 .. $n, resolved."""
    literal_in: tuple[Callable[[Any], SqliteValue] | None, ...] = ()
    """For each lifted literal a conversion to its SQLite value; None where the literal is used as is."""
    session_values: tuple[str, ...] = ()
    """Names of per-session values to bind last: 'now', 'current_user', ... (``engine.sql.session``)."""
    columns: tuple[Column, ...] | None = None
    """The result set's columns; None when the statement returns none (INSERT without RETURNING)."""
    action: object | None = None
    """For UTILITY and COPY: a record of ``engine.sql.actions``."""
    groupable: bool = False
    """A plain write that may share a SQLite transaction with other clients' writes."""
    volatile: bool = False
    """Calls a function whose second run could differ; never rerun behind the client's back.

    nextval does not count: run again it takes the next number, and leaves a gap as a ROLLBACK does.
    """
    counts_rows: bool = True
    """Whether the command tag ends with a row count."""
    fk_off: bool = False
    """Rebuilds a table: foreign-key enforcement is off while the steps run, then checked."""
    keys_unchecked: bool = False
    """And not checked: the keys are those of triggers that are switched off or on."""
    catalog_version: int = 0
    notices: tuple[str, ...] = ()
    """NOTICE texts to send before the result ('table "x" does not exist, skipping')."""
    source: str = ""
    """The statement's own text when it is one of several in a query string, else ''. A statement behind one that
    changes the schema is planned when its turn comes: until then ``catalog_version`` is -1."""
    program: Program | None = None
    """For a WRITE of several steps that depend on each other; None: each step stands alone."""
    source_offset: int = 0
    """Characters of the query string before ``source``, for the positions of errors."""
    makes_temporary: bool = False
    """What it calls may make temporary tables, so that it runs on a connection of the session's own."""
    locks_rows: bool = False
    """SELECT ... FOR UPDATE or FOR SHARE: it takes the writer, and changes nothing."""
    routine: object | None = None
    """What runs instead of the steps: DO, CALL, a write that triggers have to see (``engine.sql.routine_programs``)."""
    literal_numbers: tuple[int, ...] = ()
    """Which of the text's literals are bound, in order, where ``literal_in`` has any."""
    rights: tuple[Right, ...] = ()
    """What a role has to be allowed to do; asked once for each role, when the statement first runs as it."""
    subject: str = ""
    """What a change of roles or rights is about, for the record of it; never a secret."""
    guarded: bool = False
    """Even a superuser may be refused: it reads a view, which asks for the rights of its owner."""
    nowait: str = ""
    """With NOWAIT a table whose rows it would lock: it does not wait for the writer. '' without."""
    spills: bool = False
    """It has more parameters than SQLite can bind (``engine.sql.many_parameters``)."""
    constant_error: Exception | None = None
    """What computing its constants raised, for whoever binds it: PostgreSQL plans a prepared statement only then."""
    cache: dict[Any, Any] = field(default_factory=dict)
    """Derived facts kept by higher layers (row encoders, access path), keyed by them."""
