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
from helios_cli.engine.types import Lsn
from helios_cli.engine.wire import backend

if TYPE_CHECKING:
    from helios_cli.engine.node.frontend import Frontend
    from helios_cli.engine.node.session import Session

LEVEL: Final = "helios.read_consistency"
MIN_LSN: Final = "helios.min_lsn"
TIMEOUT: Final = "helios.min_lsn_timeout"
REPORT: Final = "helios.report_lsn"
OWN_VARIABLES: Final = frozenset((LEVEL, MIN_LSN, TIMEOUT, REPORT))
"""Parameters that are about this node's answers, and so are not carried to the primary."""


class StateTooOld(HeliosError):
    """The node did not come to show the state that was asked for in time."""

    sqlstate = "57014"
    retryable = True


class ReadGate:
    """What a session's queries wait for. A session without one waits for nothing."""

    __slots__ = ("confirmed", "level", "min_lsn")

    def __init__(self, level: str, min_lsn: Lsn) -> None:
        self.confirmed = False
        """The statement in hand has been told that this node leads."""
        self.level = level
        self.min_lsn = min_lsn

    def wanted(self, session: Session) -> Lsn:
        """The LSN that a query which comes now has to see."""
        lsn = self.min_lsn
        if self.level != "eventual":
            lsn = max(lsn, session.floor_lsn)
        if self.level in ("committed", "linearizable"):
            lsn = max(lsn, session.engine.pipeline.applied_lsn())
        return lsn


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
    min_lsn = Lsn.parse(text) if text else Lsn(0)
    floor = session.floor_lsn if level != "eventual" else Lsn(0)
    settled = max(min_lsn, floor) <= session.engine.pipeline.committed_lsn
    session.gate = None if settled and level in ("eventual", "session") else ReadGate(level, min_lsn)


def wrote(session: Session, lsn: Lsn) -> None:
    """The session has seen the primary at ``lsn``: its own writes are before that."""
    if lsn > session.floor_lsn:
        session.floor_lsn = lsn
        set_gate(session)


def seen_lsn(session: Session) -> Lsn:
    """What the session has seen, its own commits included, even those that it did not wait for."""
    pipeline = session.engine.pipeline
    lsn = max(pipeline.committed_lsn, session.floor_lsn)
    if session.floor_seq > pipeline.committed_seq:
        lsn = max(lsn, session.engine.database.records.lsn)
    return lsn


def report(session: Session) -> None:
    """Tell a client that wants to know of the LSN, if it has moved since it was told last."""
    lsn = seen_lsn(session)
    if lsn != session.reported_lsn:
        session.reported_lsn = lsn
        if session.forwarded is not None:
            session.forwarded.schema_seen()
        session.out.append(backend.parameter_status("helios.lsn", str(lsn)))


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
    if gate is None or (session.transaction is not None and session.transaction.failed):
        return False
    if gate.level == "linearizable":
        check_linearizable(session)
        if not gate.confirmed and _must_ask(session):
            Hold(frontend, None, again)
            return True
        gate.confirmed = False
    lsn = gate.wanted(session)
    if lsn <= session.engine.pipeline.committed_lsn:
        set_gate(session)
        return False
    Hold(frontend, lsn, again)
    return True


def _must_ask(session: Session) -> bool:
    engine = session.engine
    return engine.standby_refusal is None and engine.lead_check is not None and not engine.lead_check.is_alone


class Hold:
    """One statement that waits for an LSN, or to hear that this node leads."""

    def __init__(self, frontend: Frontend, lsn: Lsn | None, again: Callable[[], None]) -> None:
        """``lsn`` None: ask the cluster whether this node leads."""
        self._frontend = frontend
        self._session = session = frontend.session
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
        if not self._end():
            return
        session = self._session
        if session.closed:
            session.clean_up()
            return
        set_gate(session)
        if self._lsn is None and session.gate is not None:
            session.gate.confirmed = True
        self._frontend.again(self._again)

    def _too_late(self) -> None:
        if self._lsn is None:
            self.cancel(
                StateTooOld(
                    "timed out while waiting for the other nodes to confirm that this one leads",
                    hint="SHOW TOPOLOGY tells whom it hears. SET helios.read_consistency = committed asks nobody.",
                )
            )
            return
        committed = self._session.engine.pipeline.committed_lsn
        self.cancel(
            StateTooOld(
                f"timed out while waiting for LSN {self._lsn} to be committed here; this node is at {committed}",
                hint="Ask another node, raise helios.min_lsn_timeout, or look at SHOW TOPOLOGY for the lag.",
            )
        )
