"""What a proxy has to know of a query string: where it may run, and what it leaves behind in its session."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum


class Access(IntEnum):
    """Which nodes can run a statement."""

    READ = 0
    """Any node."""
    WRITE = 1
    """The primary alone."""


class Control(Enum):
    """What a statement does to the transaction block."""

    NONE = ""
    BEGIN = "BEGIN"
    """BEGIN, START TRANSACTION."""
    COMMIT = "COMMIT"
    """COMMIT, END."""
    ROLLBACK = "ROLLBACK"
    """ROLLBACK, ABORT; not ROLLBACK TO."""
    WITHIN = "WITHIN"
    """SAVEPOINT, RELEASE, ROLLBACK TO, SET TRANSACTION, SET CONSTRAINTS: of the block, and leaves it open."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A change of one parameter for the rest of the session."""

    name: str
    """Folded to lower case; ``role`` and ``session_authorization`` for SET ROLE and SET SESSION AUTHORIZATION."""
    text: str | None
    """The statement that sets it, to be run on another backend; None: back to what the session began with."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One query string's class; equal for all texts that differ in literals alone, unless the literals matter."""

    access: Access
    why: str
    """For people: ``SELECT``, ``INSERT``, ``FOR UPDATE``, ``calls nextval()``, ``hint``."""
    count: int = 1
    """Statements in the string; 0 for an empty one."""
    control: Control = Control.NONE
    """Of the only statement; of several NONE, and :attr:`has_control` tells."""
    has_control: bool = False
    """Whether any of the statements begins or ends a block."""
    read_only: bool = False
    """BEGIN READ ONLY; SET TRANSACTION READ ONLY."""
    chain: bool = False
    """COMMIT or ROLLBACK AND CHAIN."""
    named: bool = False
    """One write that commits by itself and takes a write id: it can be sent again under its name."""
    wraps: bool = False
    """Several statements that commit together, some of which write; a block around them changes nothing."""
    settings: tuple[Setting, ...] = ()
    """SET, RESET, set_config(..., false) with constants."""
    resets: bool = False
    """RESET ALL or DISCARD ALL: every parameter is back at what the session began with."""
    discards: bool = False
    """DISCARD ALL: what pinned the session is gone, and so are its prepared statements."""
    pins: str = ""
    """Why the session must keep its backend from now on, for people: ``temporary table``, ``LISTEN``."""
    unpins: tuple[str, ...] = ()
    """Such reasons that are gone; one that ends in ``*`` is for all that begin so."""
    savepoint: str = ""
    """Of SAVEPOINT, RELEASE and ROLLBACK TO: its name."""
    frees: str | None = None
    """DEALLOCATE: the name, ``""`` for ALL."""
    copies_in: bool = False
    """COPY FROM STDIN."""
    shows: str | None = None
    """SHOW: the parameter, folded."""
    hint: str = ""
    """``primary``, ``standby`` or a node's name, out of a comment ``/* helios: primary */``."""
    plain: bool = field(init=False, compare=False, repr=False)
    """It leaves nothing behind that the proxy has to look after."""

    def __post_init__(self) -> None:
        left = self.settings or self.pins or self.unpins or self.frees is not None or self.shows or self.copies_in
        ends = self.control.value or self.resets or self.discards or self.has_control
        object.__setattr__(self, "plain", not (left or ends))
