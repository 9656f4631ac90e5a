"""How new a state a session's queries must see, waiting for it, and telling the client of it.

A primary's LSN is a token: whoever has written up to it can ask any node for a state that is no older. A session asks
with ``helios.min_lsn``, and by ``helios.read_consistency`` for what it wrote itself or for what this node had applied
when the query came.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from helios_cli.engine.errors import HeliosError, ReadOnlyError
from helios_cli.engine.sql.variables import parse_duration_ms
from helios_cli.engine.types import Lsn, Token
from helios_cli.engine.wire import backend

if TYPE_CHECKING:
    from helios_cli.engine.node.frontend import Frontend
    from helios_cli.engine.node.session import Session

LEVEL: Final = "helios.read_consistency"
MIN_LSN: Final = "helios.min_lsn"
TIMEOUT: Final = "helios.min_lsn_timeout"
REPORT: Final = "helios.report_lsn"
FLOORS_MAX: Final = 8
"""Terms whose newest write of a session is remembered until it has been seen: more than ever follow so fast."""
OWN_VARIABLES: Final = frozenset((LEVEL, MIN_LSN, TIMEOUT, REPORT))
"""Parameters that are about this node's answers, and so are not carried to the primary."""


class StateTooOld(HeliosError):
    """The node did not come to show the state that was asked for in time."""

    sqlstate = "57014"
    retryable = True


class StateGone(HeliosError):
    """The state that was asked for is in the log of a term that was given up before it."""

    sqlstate = "NH020"


class ReadGate:
    """What a session's queries wait for. A session without one waits for nothing but what :func:`must_settle` says."""

    __slots__ = ("confirmed", "least", "level")

    def __init__(self, level: str, least: Token) -> None:
        self.confirmed = False
        """The statement in hand has been told that this node leads."""
        self.level = level
        self.least = least
        """What ``helios.min_lsn`` says; of LSN 0 when it says nothing."""

    def wanted(self, session: Session) -> Lsn:
        """The LSN that a query which comes now has to see. Raises what :meth:`asked` raises."""
        engine = session.engine
        lsn, known = self.asked(session)
        if self.level in ("committed", "linearizable") or (self.level == "session" and engine.settles_reads):
            lsn = max(lsn, engine.pipeline.applied_lsn())
        # Positions of a term that has not come here yet are no positions of this log: its first record must come.
        return lsn if known else max(lsn, Lsn(engine.pipeline.committed_lsn + 1))

    def asked(self, session: Session) -> tuple[Lsn, bool]:
        """What the client and the session's own writes ask for, and whether the terms of all that have come here.

        Raises:
            StateGone: this node's log went another way before it. Of the session's own writes that is said once.
        """
        history = session.engine.history()
        lsn = self.least.lsn
        known = history.holds(self.least)
        if known is False:
            raise _gone(f"the state {self.least}", "RESET helios.min_lsn reads what there is.")
        if self.level != "eventual":
            lost = [token for token in session.floors if history.holds(token) is False]
            if lost:
                session.floors = [token for token in session.floors if token not in lost]
                set_gate(session)
                raise _gone(f"what this session wrote up to {lost[-1]}", "The next query reads what there is.")
            lsn = max(lsn, session.floor_lsn)
            known = known and all(history.holds(token) for token in session.floors)
        return lsn, bool(known)


def _gone(what: str, hint: str) -> StateGone:
    return StateGone(
        f"{what} is not in this database: the cluster went on without it",
        hint=f"The former primary keeps it as a salvage: heliosdb-nano salvage list. {hint}",
    )


def must_settle(session: Session) -> bool:
    """Whether something is applied here that others may have seen acknowledged, and this node does not show yet.

    In sync mode a commit is acknowledged when every member of D has applied it: what is applied when a query comes may
    have been read elsewhere. Once the primary's word is here that it is committed, it is shown.
    """
    engine = session.engine
    return (
        engine.settles_reads
        and engine.pipeline.applied_lsn() > engine.pipeline.committed_lsn
        and session.show(LEVEL) != "eventual"
    )


def variable_set(session: Session, folded: str, value: str) -> None:
    """A parameter of the family has changed."""
    if folded == REPORT:
        session.report_lsn = value == "on" or session.forwarded is not None
        session.reported_lsn = Lsn(0)
    elif folded in (LEVEL, MIN_LSN):
        set_gate(session)


def set_gate(session: Session) -> None:
    """Look again whether the session's queries have anything to wait for."""
    level = session.show(LEVEL)
    text = session.show(MIN_LSN)
    least = Token.parse(text) if text else Token(Lsn(0))
    floors = session.floors if level != "eventual" else []
    committed, history = session.engine.pipeline.committed_lsn, session.engine.history()
    if all(token.lsn <= committed and history.holds(token) for token in floors):
        del floors[:-1]
        settled = least.lsn <= committed and history.holds(least)
        if settled and level in ("eventual", "session"):
            session.gate = None
            return
    session.gate = ReadGate(level, least)


def wrote(session: Session, token: Token) -> None:
    """The session has seen the primary at a state: its own writes are before that."""
    floors = session.floors
    if floors and floors[-1].term == token.term:
        if token.lsn <= floors[-1].lsn:
            return
        floors[-1] = token
    else:
        # Of an older term's log the newer one may lack the end: that is asked when a query comes.
        floors.append(token)
        del floors[:-FLOORS_MAX]
    set_gate(session)


def seen(session: Session) -> Token:
    """What the session has seen, its own commits included, even those that it did not wait for."""
    pipeline = session.engine.pipeline
    lsn = pipeline.committed_lsn
    if session.floor_seq > pipeline.committed_seq:
        lsn = max(lsn, session.engine.database.records.lsn)
    own = max(session.floors, key=lambda token: token.lsn, default=None)
    return own if own is not None and own.lsn > lsn else session.engine.history().token(lsn)


def report(session: Session) -> None:
    """Tell a client that wants to know of the LSN, if it has moved since it was told last."""
    token = seen(session)
    if token.lsn != session.reported_lsn:
        session.reported_lsn = token.lsn
        if session.forwarded is not None:
            session.forwarded.schema_seen()
        session.out.append(backend.parameter_status("helios.lsn", str(token)))


def check_linearizable(session: Session) -> None:
    """Refuse a linearizable query on a node that neither leads nor can ask the primary. Raises ReadOnlyError."""
    if session.engine.standby_refusal is not None and session.engine.forwarder is None:
        raise ReadOnlyError(
            "a linearizable read must be done by the primary, to which this standby takes nothing",
            sqlstate="0A000",
            hint="Connect to the primary, or SET helios.read_consistency = committed.",
        )


def held(frontend: Frontend, again: Callable[[], None]) -> bool:
    """Hold a statement up until the node shows what it wants to see; ``again`` then starts it. False: go on now."""
    session = frontend.session
    gate = session.gate
    if session.let_through or (session.transaction is not None and session.transaction.failed):
        return False
    if gate is None:
        if not must_settle(session):
            return False
        gate = ReadGate("session", Token(Lsn(0)))
    if gate.level == "linearizable":
        check_linearizable(session)
        if not gate.confirmed and _must_ask(session):
            Hold(frontend, gate, None, again)
            return True
        gate.confirmed = False
    lsn = gate.wanted(session)
    if lsn <= session.engine.pipeline.committed_lsn:
        set_gate(session)
        return False
    Hold(frontend, gate, lsn, again)
    return True


def _must_ask(session: Session) -> bool:
    engine = session.engine
    return engine.standby_refusal is None and engine.lead_check is not None and not engine.lead_check.is_alone


class Hold:
    """One statement that waits for an LSN, or to hear that this node leads."""

    def __init__(self, frontend: Frontend, gate: ReadGate, lsn: Lsn | None, again: Callable[[], None]) -> None:
        """``lsn`` None: ask the cluster whether this node leads."""
        self._frontend = frontend
        self._session = session = frontend.session
        self._gate = gate
        self._lsn = lsn
        self._again = again
        self._over = False
        session.runner.hold = self
        frontend.wait()
        milliseconds = parse_duration_ms(TIMEOUT, session.show(TIMEOUT))
        self._timer = session.engine.loop.call_later(milliseconds / 1000, self._too_late)
        session.arm_timeouts()
        engine = session.engine
        if lsn is not None:
            self._give_up = engine.pipeline.after_lsn(lsn, self._reached)
        else:
            assert engine.lead_check is not None
            self._give_up = engine.lead_check.ask(self._reached)

    def cancel(self, reason: HeliosError) -> None:
        """End the statement."""
        if self._end():
            self._give_up()
            self._session.failed(reason)

    def _end(self) -> bool:
        if self._over:
            return False
        self._over = True
        self._timer.cancel()
        self._session.runner.hold = None
        self._session.disarm_timeouts()
        return True

    def _reached(self) -> None:
        session = self._session
        if self._lsn is not None and not self._over and not session.closed:
            try:
                known = self._gate.asked(session)[1]
            except StateGone as error:
                self.cancel(error)
                return
            if not known:
                pipeline = session.engine.pipeline
                self._give_up = pipeline.after_lsn(Lsn(pipeline.committed_lsn + 1), self._reached)
                return
        if not self._end():
            return
        if session.closed:
            session.clean_up()
            return
        set_gate(session)
        if self._lsn is None and session.gate is not None:
            session.gate.confirmed = True
        self._frontend.again(self._go_on)

    def _go_on(self) -> None:
        """Start the statement: it has waited for what was applied when it came, not for what has come since."""
        session = self._session
        session.let_through = self._lsn is not None
        try:
            self._again()
        finally:
            session.let_through = False

    def _too_late(self) -> None:
        if self._lsn is None:
            self.cancel(
                StateTooOld(
                    "timed out while waiting for the other nodes to confirm that this one leads",
                    hint="SHOW TOPOLOGY tells whom it hears. SET helios.read_consistency = committed asks nobody.",
                )
            )
            return
        token = self._session.engine.history().token(self._session.engine.pipeline.committed_lsn)
        term = self._gate.least.term
        what = f"LSN {self._lsn}" if term is None else f"{self._gate.least}"
        self.cancel(
            StateTooOld(
                f"timed out while waiting for {what} to be committed here; this node is at {token}",
                hint="Ask another node, raise helios.min_lsn_timeout, or look at SHOW TOPOLOGY for the lag. "
                "SET helios.read_consistency = eventual reads what there is.",
            )
        )
