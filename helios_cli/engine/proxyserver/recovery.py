"""What becomes of a unit whose backend was lost, or said that it is not the one to ask.

- A read is sent to another node; what the client has of the answer must come out the same, and is left out.
- A named write is sent again under its name: the engine does it once.
- Of a COMMIT whose answer did not come the next primary is asked.
- A block is run again from its beginning, when every answer comes out byte for byte as the client got it.
- What may be done, and cannot be asked after, is 08007; what is certainly not done, and cannot be redone, 40001.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import xxhash

from helios_cli.engine.errors import HeliosError, OutcomeUnknown, SerializationFailure
from helios_cli.engine.proxy.block import Fate
from helios_cli.engine.proxy.prepared import render
from helios_cli.engine.proxy.statement import Access, Control
from helios_cli.engine.proxy.unit import Unit
from helios_cli.engine.proxyserver import verdicts
from helios_cli.engine.proxyserver.local_answers import rest_of_answer
from helios_cli.engine.wire import backend as messages
from helios_cli.engine.wire import client as wire

if TYPE_CHECKING:
    from helios_cli.engine.proxyserver.backend import Backend, Command
    from helios_cli.engine.proxyserver.sending import Sending

log = logging.getLogger(__name__)

IDLE, IN_BLOCK, FAILED = b"ITE"
REPLAYS_MAX: Final = 5
"""Of one block; and so many nodes may be lost over one unit, which may be what ends them."""
REFUSALS_MAX: Final = 20
"""By nodes that only read, of one unit; the primary is asked who it is after each."""
ATTEMPTS_MAX: Final = 200
"""Of one unit; the write timeout ends it earlier."""
PAUSE_S: Final = 0.05
"""Before a node that has refused is asked again."""
HELD_MAX: Final = 16 << 20
"""Bytes of a wrapped unit's answer that are held until its commit; more goes on as it comes."""

READ_ONLY: Final = "25006"
UNPREPARED: Final = ("26000", "42P05")
"""A backend does not have the statements that it should have: a function has taken them away."""
NOT_DONE: Final = "not done"


class Recovery:
    """One attempt to bring a client's unit to its end in spite of what happened."""

    def __init__(self, client: Sending) -> None:
        self.client = client
        self._next: Callable[[Backend], None] | None = None
        """What is done when a backend is at hand."""
        self._over: Callable[[bytes, int], None] = self._nothing_awaited
        """What is done at the end of the answer in hand."""
        self._digest: xxhash.xxh3_128 | None = None
        self._replayed = 0
        self._moves = False
        """Nothing was lost: the block is better off elsewhere."""
        self._wraps = False
        """The unit runs in a block of ours."""
        self._held: list[bytes] = []
        """Its answer, until the block is committed."""
        self._held_bytes = 0
        self._streams = False
        """Its answer goes on as it comes, for a client that has asked for parts of it."""
        self._error: HeliosError | None = None
        self._answer = b""
        """The error of a second attempt, which may be the client's."""
        self._asking = False
        self._ask_until = 0.0
        self._committing = False
        self._refusal = ""
        """SQLSTATE with which a node has refused."""

    @property
    def is_in_doubt(self) -> bool:
        """Whether the unit in hand may be done already."""
        return self._committing or self._asking

    @property
    def is_wrapping(self) -> bool:
        """Whether the client's unit is what runs."""
        return self._wraps and not self._committing and not self._asking

    # What the client's session tells -------------------------------------------------------------------------------

    def answer(self, data: bytes) -> None:
        """Part of an answer that is not passed on, or not yet."""
        if self._streams:
            self.client.pass_on(data)
        elif self._wraps:
            self._held.append(data)
            self._held_bytes += len(data)
            if self._held_bytes > HELD_MAX:
                self.let_out()
        elif self._digest is not None:
            self._digest.update(data)

    def let_out(self) -> None:
        """Let the answer go on as it comes."""
        if self._wraps and self._held:
            self._streams = True
            self.client.pass_on(b"".join(self._held))
            self._held.clear()

    def unit_over(self, data: bytes, status: int) -> None:
        """The end of such an answer."""
        if self._wraps:
            data = data[: -len(messages.READY_IDLE)]
        if data:
            self.answer(data)
        self._over(data, status)

    def ready(self, backend: Backend) -> None:
        """A backend is at hand, with the client's settings."""
        assert self._next is not None
        self._next(backend)

    def _nothing_awaited(self, data: bytes, status: int) -> None:
        raise AssertionError("an answer that nobody awaits")

    # Errors of a server --------------------------------------------------------------------------------------------

    def takes(self, unit: Unit, message: bytes) -> bool:
        """Whether an ErrorResponse is not for the client: then the unit goes on elsewhere when its answer has ended."""
        client = self.client
        error = wire.parse_error(message[5:])
        if error.severity in ("FATAL", "PANIC"):
            # The connection ends; what comes of the unit is seen to then.
            client.recovery = self
            if client.backend is not None:
                client.proxy.loop.call_soon(client.backend.close)
            return True
        if unit.passed or unit.attempts > ATTEMPTS_MAX or client.pins:
            return False
        block = client.block
        self._refusal = error.sqlstate
        if error.sqlstate == READ_ONLY and unit.attempts <= REFUSALS_MAX and self._may_write():
            return self._elsewhere(unit)
        if error.sqlstate == SerializationFailure.sqlstate and client.backend is not None:
            if block is not None:
                return block.attempts < REPLAYS_MAX and self._elsewhere(unit)
            return client.backend.node.is_heliosdb and self._elsewhere(unit)
        if error.sqlstate == "57P03" or (error.sqlstate in UNPREPARED and b'"hp_' in message and unit.attempts < 3):
            return self._elsewhere(unit)
        if unit.repeated and unit.name is not None and error.sqlstate != OutcomeUnknown.sqlstate:
            self._answer = message
            self._over = lambda data, status: self._ask_after(unit)
            client.recovery = self
            return True
        return False

    def _may_write(self) -> bool:
        client = self.client
        if client.block is not None and client.block.made_read_only:
            return False
        told = client.backend.parameters if client.backend is not None else {}
        if told.get("default_transaction_read_only") == "on" and told.get("in_hot_standby") == "off":
            return False  # of the role or the database
        return not any("read_only" in name for name in client.settings)

    def _elsewhere(self, unit: Unit) -> bool:
        client = self.client
        if client.block is not None and not client.block.replayable:
            return False
        client.recovery = self
        if unit.closed:
            self._over = lambda data, status: self._refused_there(unit)
        else:
            # Its Sync is not there yet, and no answer ends before that.
            client.proxy.loop.call_soon(self._leave_open, unit)
        return True

    def _leave_open(self, unit: Unit) -> None:
        if self.client.recovery is self and self.client.unit is unit:
            self._refused_there(unit)

    def _refused_there(self, unit: Unit) -> None:
        """The answer that refused is at its end: leave that node."""
        client = self.client
        backend = client.backend
        client.recovery = None
        is_reader = backend is not None and backend.node is not client.proxy.cluster.primary
        if backend is not None:
            if self._refusal not in UNPREPARED:
                unit.access = Access.WRITE
            if backend.node is client.proxy.cluster.primary and self._refusal in (READ_ONLY, "57P03"):
                client.proxy.cluster.suspect(backend.node, "it refused a write")
            client.detach(backend)
            backend.leave()
        unit.failed = False
        if client.block is not None:
            client.block.attempts += 1
            self.resume_block()
        else:
            self.again(unit, 0.0 if is_reader else PAUSE_S)

    # A backend is lost ---------------------------------------------------------------------------------------------

    def lost(self, backend: Backend, error: HeliosError) -> None:
        """The connection broke with a unit in hand, or between two units of a block."""
        client = self.client
        unit = client.unit
        self._error = error
        if unit is None:
            return
        unit.failed = False
        unit.deadline = 0.0
        unit.losses += client.was_sent
        client.proxy.stats.lost += 1
        if self.is_in_doubt:
            self._ask_after(unit)
        elif client.block is not None:
            self._lost_in_block(unit, backend)
        elif unit.forgotten and unit.copied and unit.name is not None:
            # Too much to be sent again; but it may be done.
            unit.repeated = True
            self._ask_after(unit)
        elif not client.was_sent or self._can_be_repeated(unit, backend):
            if unit.losses <= REPLAYS_MAX:
                self.again(unit)
            else:
                client.recovery = None
                client.give_up(verdicts.too_many_losses())
        else:
            self._unknown()

    def _can_be_repeated(self, unit: Unit, backend: Backend) -> bool:
        if not unit.access or not unit.executed or self._wraps or unit.wrapped:
            return True
        if unit.executed[0].control is Control.BEGIN and not unit.may_end_block:
            return True
        if unit.name is not None:
            unit.repeated = True
            return True
        return False

    def _lost_in_block(self, unit: Unit, backend: Backend) -> None:
        client = self.client
        block = client.block
        assert block is not None
        fate = block.fate(unit, was_sent=client.was_sent, has_failed=client.status == FAILED)
        if fate is Fate.RUN_AGAIN:
            self.resume_block()
        elif fate is Fate.ROLLED_BACK:
            self._rolled_back(unit)
        elif fate is Fate.COMMITTED:
            self._end(unit, "COMMIT")
        elif fate is Fate.ASK:
            unit.repeated = True
            self._ask_after(unit)
        else:
            self._unknown()

    def _unknown(self) -> None:
        client = self.client
        client.block = None
        client.proxy.stats.unknown += 1
        why = self._error.message if self._error is not None else "the connection ended"
        client.recovery = None
        client.give_up(verdicts.unknown(why))

    def again(self, unit: Unit, pause: float = 0.0) -> None:
        """Send the unit to whoever can do it now."""
        client = self.client
        proxy = client.proxy
        client.recovery = None
        if unit.forgotten:
            self._cannot(verdicts.TOO_MUCH)
            return
        now = proxy.loop.time()
        if not unit.deadline:
            unit.deadline = now + proxy.settings.write_timeout
        if unit.passed and unit.seen is not None:
            unit.skip, unit.expected, unit.fresh = unit.passed, unit.seen.digest(), None
        proxy.stats.repeated += 1
        client.choose_for_block(pause)

    def differs(self) -> None:
        """The answer comes out otherwise than the client has seen it."""
        client = self.client
        client.proxy.stats.differed += 1
        backend = client.backend
        if backend is not None:
            client.detach(backend)
            backend.close()
        if client.unit is not None:
            client.unit.skip = 0
        self._cannot("the node was lost in the middle of the answer, and another gives a different one")

    def _cannot(self, why: str) -> None:
        client = self.client
        client.recovery = None
        client.give_up(verdicts.not_repeated(why))

    # Blocks ----------------------------------------------------------------------------------------------------------

    def move_block(self) -> None:
        """Begin the block at another node: nothing has been done in it yet."""
        self._moves = True
        self.resume_block()

    def resume_block(self) -> None:
        """Run the block again, up to the unit in hand."""
        client = self.client
        block, unit = client.block, client.unit
        assert block is not None
        proxy = client.proxy
        has_failed = client.status == FAILED
        if unit is not None and block.fate(unit, was_sent=False, has_failed=has_failed) is Fate.ROLLED_BACK:
            self._rolled_back(unit)
            return
        if unit is not None and unit.forgotten:
            block.replayable = False
        if block.lost or not block.replayable or block.attempts > REPLAYS_MAX:
            proxy.stats.replays_failed += not block.lost
            self._block_is_lost("it is too large to be run again" if not block.lost else "it was lost before")
            return
        if unit is not None and not unit.deadline:
            unit.deadline = proxy.loop.time() + proxy.settings.write_timeout
        block.attempts += 1
        self._replayed = 0
        client.recovery = self
        self._next = self._replay
        if unit is not None and unit.passed and unit.seen is not None:
            unit.skip, unit.expected, unit.fresh = unit.passed, unit.seen.digest(), None
        client.choose_for_block(PAUSE_S if block.attempts > 1 else 0.0)

    def _replay(self, backend: Backend) -> None:
        client = self.client
        block = client.block
        assert block is not None
        if self._replayed == len(block.units):
            self._digest = None
            client.recovery = None
            if not self._moves:
                client.proxy.stats.replayed += 1
                log.info("session %d: its block was run again on node %s", client.pid, backend.node.name)
            if client.unit is not None:
                client.send_unit(client.unit, backend)
            return
        unit, _ = block.units[self._replayed]
        self._digest = xxhash.xxh3_128()
        self._over = self._compare
        before, backend.may_be_named = "RESET helios.write_id" if backend.may_be_named else "", False
        if before:
            backend.statements.unnamed = None
        backend.send(render(unit.steps, backend.statements), before)
        if unit.by_query:
            backend.statements.unnamed = None

    def _compare(self, data: bytes, status: int) -> None:
        client = self.client
        block, backend = client.block, client.backend
        assert block is not None and self._digest is not None and backend is not None
        if self._digest.digest() != block.units[self._replayed][1]:
            client.proxy.stats.replays_failed += 1
            client.detach(backend)
            backend.close()
            self._block_is_lost("its results do not come out the same")
            return
        self._replayed += 1
        self._replay(backend)

    def _block_is_lost(self, why: str) -> None:
        client = self.client
        client.recovery = None
        if client.block is not None:
            client.block.lost = True
        client.give_up(verdicts.block_lost(why))

    # Outcomes --------------------------------------------------------------------------------------------------------

    def _ask_after(self, unit: Unit, pause: float = 0.0) -> None:
        """Ask the primary what has come of a named write or block."""
        client = self.client
        now = client.proxy.loop.time()
        if not self._asking:
            self._ask_until = now + client.proxy.settings.write_timeout
        elif now >= self._ask_until:
            self._unknown()
            return
        unit.deadline = unit.deadline or self._ask_until
        client.recovery = self
        self._asking = True
        self._digest, self._over = None, self._nothing_awaited
        self._next = self._ask
        if client.backend is not None and not client.backend.closed:
            self.ready(client.backend)
        else:
            client.choose_for_block(pause)

    def _ask(self, backend: Backend) -> None:
        unit = self.client.unit
        assert unit is not None and unit.name is not None
        if backend.may_be_named:
            # The question is a write itself, and would take a name that was left there.
            backend.command("RESET helios.write_id")
            backend.may_be_named = False
        backend.command(f"SELECT helios_write_outcome('{unit.name.name}')", self._told)

    def _told(self, command: Command) -> None:
        client = self.client
        unit, backend = client.unit, client.backend
        if unit is None or client.closing:
            return
        if command.error is not None or not command.rows:
            if backend is not None and not backend.closed:
                client.detach(backend)
                backend.leave()
                self._ask_after(unit, PAUSE_S)
            return  # the loss of the backend comes next
        outcome = (command.rows[0][0] or b"").decode()
        client.proxy.stats.asked += 1
        self._asking = False
        if outcome == NOT_DONE:
            unit.name = client.proxy.names.take()
            unit.repeated = False
            if (self._committing or client.block is not None) and backend is not None:
                client.give_back(backend)
            if self._committing:
                self._committing = False
                self.again(unit)
            elif client.block is not None:
                self.resume_block()
            elif unit.forgotten:
                self._cannot(verdicts.TOO_MUCH)
            else:
                # Its second attempt failed: that is the answer.
                client.recovery = None
                client.finish_locally(self._answer, failed=True)
        elif self._wraps:
            self._deliver_held()
        elif client.block is not None:
            self._end(unit, "COMMIT")
        else:
            self._end(unit, outcome)

    def _end(self, unit: Unit, tag: str) -> None:
        """What the unit has come to is certain, though no node has answered it to its end."""
        self.client.recovery = None
        self.client.finish_locally(rest_of_answer(unit, tag))

    def _rolled_back(self, unit: Unit) -> None:
        """The block is over with its backend, as the client wants it to be."""
        self.client.block = None
        self._end(unit, "ROLLBACK")

    # Units in a block of the proxy's own ---------------------------------------------------------------------------

    def wrap(self, unit: Unit, backend: Backend, before: str) -> None:
        """Run several writes that commit together so that the commit can be asked after."""
        client = self.client
        self._wraps, self._streams = True, not unit.closed
        self._over = self._wrapped_over
        if unit.name is None:
            unit.name = client.proxy.names.take()
        unit.attempts += 1
        backend.statements.unnamed = None
        client.send_steps(unit, backend, f"{before}; BEGIN" if before else "BEGIN")

    def _wrapped_over(self, data: bytes, status: int) -> None:
        client = self.client
        unit, backend = client.unit, client.backend
        assert unit is not None and backend is not None
        if status == IN_BLOCK:
            self._committing = True
            backend.command(f"SET helios.write_id = '{unit.name}'; COMMIT", self._wrap_committed)
        else:
            unit.failed = True
            backend.command("ROLLBACK", self._wrap_committed)

    def _wrap_committed(self, command: Command) -> None:
        client = self.client
        if client.backend is None or client.backend.closed:
            return  # its loss comes next
        self._committing = False
        if command.error is not None and client.unit is not None:
            if command.error.sqlstate == SerializationFailure.sqlstate and not client.unit.passed:
                # Nothing of it is done: that node gives its place away.
                client.give_back(client.backend)
                self.again(client.unit, PAUSE_S)
                return
            client.recovery = None
            client.unit.failed = True
            client.finish_locally(messages.error_response(command.error), failed=True)
            return
        self._deliver_held()

    def _deliver_held(self) -> None:
        client = self.client
        client.recovery = None
        client.finish_locally(b"".join(self._held), failed=client.unit is not None and client.unit.failed)
