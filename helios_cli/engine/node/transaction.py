"""A session's transaction: when it takes the writer, what it sees, what its end must wait for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import apsw

from helios_cli.engine.errors import HeliosError, SqlError
from helios_cli.engine.node.deferred_triggers import NOTHING, Mark
from helios_cli.engine.storage.savepoints import roll_back_to

if TYPE_CHECKING:
    from helios_cli.engine.node.claims import Claim
    from helios_cli.engine.node.engine import SchemaView
    from helios_cli.engine.node.writer import TokenRequest

SNAPSHOT_LEVELS: Final = ("repeatable read", "serializable")


Undo = tuple[int, int, frozenset[str], int, int, Mark]
"""At a savepoint: the number of SETs and of channel actions of the transaction, the cursors that are open, the
numbers of advisory locks and of descriptors of large objects that the transaction has taken, and the triggers that
wait."""

NO_UNDO: Final[Undo] = (0, 0, frozenset(), 0, 0, NOTHING)


@dataclass(frozen=True, slots=True)
class KeyTimes:
    """When keys that could wait are checked, as SET CONSTRAINTS has said it in a transaction."""

    puts_off: bool = False
    """SQLite lets all of them wait for COMMIT, also those that are declared INITIALLY IMMEDIATE."""
    checked: frozenset[int] | None = frozenset()
    """OIDs of the constraints that each statement is checked for although they would wait; None: all."""

    @property
    def checks(self) -> bool:
        """Whether each statement is checked for any."""
        return self.checked != frozenset()


AS_DECLARED: Final = KeyTimes()


class Transaction:
    """An explicit transaction block, or the implicit one of a pipeline or a multi-statement query.

    At READ COMMITTED it owns nothing before its first write: each statement reads the newest committed state.
    """

    __slots__ = (
        "borrowed", "claim", "connection", "deferrable", "explicit", "failed", "isolation", "key_times", "lost",
        "now_us", "number", "read_only", "repeated", "savepoint_modes", "savepoint_undo", "savepoints", "schema",
        "schema_changed", "slow", "snapshot_seq", "started", "token", "writing",
    )  # fmt: skip

    def __init__(self, *, explicit: bool, isolation: str, read_only: bool, deferrable: bool, now_us: int) -> None:
        self.explicit = explicit
        self.isolation = isolation
        self.read_only = read_only
        self.deferrable = deferrable
        self.now_us = now_us
        """now() of every statement in it: microseconds since 2000-01-01 UTC."""
        self.number = 0
        """txid_current(), once it was asked for; 0 before."""
        self.failed = False
        self.lost: HeliosError | None = None
        """Why its snapshot was taken away; its next statement fails with it."""
        self.started = False
        """A statement has run, so SET TRANSACTION comes too late."""
        self.connection: apsw.Connection | None = None
        """Where statements run once it writes or holds a snapshot; None: on the ring or a borrowed reader."""
        self.borrowed = False
        self.key_times = AS_DECLARED
        self.claim: Claim | None = None
        """The name under which it is committed only once; None before its COMMIT, and when it has none."""
        self.repeated = False
        """A named write in it was done before, and is answered with its COMMIT."""
        self.token: TokenRequest | None = None
        self.writing = False
        self.slow = False
        """A statement ran on the writer thread, so the COMMIT does too."""
        self.snapshot_seq = -1
        """Commit its snapshot shows; -1 without a snapshot."""
        """Rows that its connection had changed before it."""
        self.savepoints: list[str] = []
        self.savepoint_undo: list[Undo] = []
        """For each savepoint what came before it."""
        self.savepoint_modes: list[tuple[bool, KeyTimes]] = []
        """For each savepoint whether the transaction was read only then, which it is again when the savepoint ends,
        and when its keys were checked, which is so again when it goes back there."""
        self.schema_changed = False
        self.schema: SchemaView | None = None
        """Its own view of the schema after DDL, not yet anybody else's."""

    @property
    def wants_snapshot(self) -> bool:
        """REPEATABLE READ, or SERIALIZABLE READ ONLY: pins what its first statement sees."""
        return self.isolation == "repeatable read" or (self.isolation == "serializable" and self.read_only)

    @property
    def wants_writer(self) -> bool:
        """SERIALIZABLE that may write: takes the writer at its first statement, so it runs alone."""
        return self.isolation == "serializable" and not self.read_only

    def savepoint(self, name: str, undo_length: Undo = NO_UNDO) -> None:
        """SAVEPOINT: remembered here; in SQLite only once the transaction writes."""
        if self.writing:
            self.run(f"SAVEPOINT s{len(self.savepoints)}")
        self.savepoints.append(name)
        self.savepoint_undo.append(undo_length)
        self.savepoint_modes.append((self.read_only, self.key_times))

    def release(self, name: str) -> None:
        """RELEASE SAVEPOINT: it and those after it. Raises SqlError 3B001."""
        index = self._find(name)
        if self.writing:
            self.run(f"RELEASE s{index}")
        self.read_only, _ = self.savepoint_modes[index]
        del self.savepoints[index:], self.savepoint_undo[index:], self.savepoint_modes[index:]

    def rollback_to(self, name: str) -> Undo:
        """ROLLBACK TO SAVEPOINT: keeps it, drops those after it, and revives a failed transaction.

        Returns what stays in force of the session's side of the transaction.

        Raises:
            SqlError: 3B001 unknown name; 25P02 when SQLite had to give up the whole transaction, which an
                interrupted write or a full disk makes it do.
        """
        index = self._find(name)
        if self.writing and self.connection is not None:
            if not self.connection.in_transaction:
                raise SqlError(
                    "current transaction is aborted, commands ignored until end of transaction block",
                    sqlstate="25P02",
                    detail="The interrupted statement undid the whole transaction, its savepoints with it.",
                    hint="Send ROLLBACK.",
                )
            roll_back_to(self.connection, f"s{index}", schema_changed=self.schema_changed)
            puts_off = self.savepoint_modes[index][1].puts_off
            if puts_off != self.key_times.puts_off:
                self.run(f"PRAGMA defer_foreign_keys={int(puts_off)}")
        self.read_only, self.key_times = self.savepoint_modes[index]
        del self.savepoints[index + 1 :], self.savepoint_undo[index + 1 :], self.savepoint_modes[index + 1 :]
        self.failed = False
        return self.savepoint_undo[index]

    def forget_savepoints(self) -> None:
        """Go back to none of them any more, whatever SQLite has of them."""
        self.savepoints.clear()
        self.savepoint_undo.clear()
        self.savepoint_modes.clear()

    def begin_writing(self) -> None:
        """Open the write transaction on :attr:`connection`; the writer's token is held."""
        try:
            self.run("BEGIN IMMEDIATE")
        except apsw.Error:
            # The connection is for others: their transaction is not to be rolled back with this one.
            self.connection = None
            raise
        for index in range(len(self.savepoints)):
            self.run(f"SAVEPOINT s{index}")
        self.writing = True

    def run(self, sql: str) -> None:
        """Run a transaction-control statement on the transaction's connection."""
        assert self.connection is not None
        self.connection.execute(sql)

    def _find(self, name: str) -> int:
        for index in range(len(self.savepoints) - 1, -1, -1):
            if self.savepoints[index] == name:
                return index
        raise self.lost or SqlError(f'savepoint "{name}" does not exist', sqlstate="3B001")
