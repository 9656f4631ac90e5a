"""A session's unit on its way: the backend's session is made like the client's, and what goes first goes first."""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from typing import TYPE_CHECKING, Final

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.proxy.functions import SEQUENCE
from helios_cli.engine.proxy.prepared import Step, render
from helios_cli.engine.proxy.settings_sync import Settings, difference, everything, floor_of
from helios_cli.engine.proxy.statement import Control
from helios_cli.engine.proxy.unit import EXECUTE, Unit
from helios_cli.engine.proxyserver import local_answers
from helios_cli.engine.proxyserver.backend import Backend, Command
from helios_cli.engine.proxyserver.dialogue import TURN_STEPS
from helios_cli.engine.proxyserver.placing import Placing
from helios_cli.engine.proxyserver.recovery import Recovery
from helios_cli.engine.types import Lsn
from helios_cli.engine.wire import backend as messages

if TYPE_CHECKING:
    from helios_cli.engine.proxyserver.proxy import Proxy
    from helios_cli.engine.wire.scram import ClientKeys

log = logging.getLogger(__name__)

IDLE, IN_BLOCK, FAILED = b"ITE"
READY: Final = {IDLE: messages.READY_IDLE, IN_BLOCK: messages.READY_IN_TRANSACTION, FAILED: messages.READY_FAILED}

OWN_PARAMETERS: Final = frozenset(("in_hot_standby", "helios.lsn", "default_transaction_read_only"))
"""Reported by nodes about themselves; through the proxy there is always somebody who takes writes."""

WRITE_ID: Final = "helios.write_id"


class Sending(Placing):
    """The part of a session that sends."""

    def __init__(
        self,
        proxy: Proxy,
        transport: asyncio.Transport,
        parameters: dict[str, str],
        keys: ClientKeys | str | None,
    ) -> None:
        super().__init__(proxy, transport, parameters, keys)
        self.settings: Settings = {}
        self.told: dict[str, str] = {}
        """Parameters as the client knows them."""
        self.status = IDLE
        """Of the last ReadyForQuery that the client got."""
        self.own_name = ""
        """The statement by which the client names its next write."""
        self.recovery: Recovery | None = None
        """What is being done about a backend that was lost."""
        self._welcomed = False
        self.pins: set[str] = set()
        """Why the session keeps its backend."""
        self.token = ""
        """The floor as text, with its term."""
        self.tokens_asked = 0
        self.awaits_token = False
        """A plain PostgreSQL has been asked for that of the last write."""
        self.asks_token = False
        """The unit in hand is about it, and waits for that."""
        self.units = 0
        self.began_at = self.asked_at = proxy.loop.time()
        """When the session began, and when its last unit came."""

    @property
    def was_sent(self) -> bool:
        """Whether the unit in hand is on its way."""
        return self._sent

    @property
    def is_under_way(self) -> bool:
        """Whether something of it is at a node that has not come to its end."""
        return self.block is not None or (self.unit is not None and self._sent)

    def _dispatch(self, unit: Unit) -> None:
        self.units += 1
        self.asked_at = self.proxy.loop.time()
        backend = self.backend
        if self.block is not None and backend is None:
            if self.block.lost or unit.control is Control.ROLLBACK:
                local_answers.in_lost_block(self, unit)
            else:
                Recovery(self).resume_block()
            return
        if backend is not None and not unit.plain and self._reads_from_now_on(unit):
            # It may run where no failover cuts it.
            self.detach(backend)
            backend.command("ROLLBACK", backend.clean_up)
            Recovery(self).move_block()
            return
        if not unit.plain and local_answers.answered(self, unit):
            return
        if backend is None and not unit.executed and not unit.simple and local_answers.is_known(unit):
            self.finish_locally(local_answers.build_answer(unit, ""))
            return
        if backend is None:
            self.choose(unit)
        elif self.proxy.paused and self.block is None:
            self.wait_for_node(unit)
        else:
            self.agree(unit, backend)

    def _reads_from_now_on(self, unit: Unit) -> bool:
        """Whether a block that has just begun at the primary is told to only read, and a standby can go on with it."""
        block, primary = self.block, self.proxy.cluster.primary
        if block is None or block.read_only or len(block.units) != 1:
            return False
        if len(unit.executed) != 1 or unit.executed[0].why != "SET TRANSACTION":
            return False
        if not unit.closed or unit.access or not unit.reads_only or self.pins or primary is None:
            return False
        block.read_only = self.proxy.cluster.reader(self.floor, (primary,)) is not None
        return block.read_only

    def agree(self, unit: Unit, backend: Backend) -> None:
        """Make the backend's session like the client's, then send."""
        if (backend.settings is not self.settings or not backend.settings_known) and backend.status == IDLE:
            if not backend.settings_known:
                sql = everything(self.settings)
            else:
                sql = difference(backend.settings, self.settings) if backend.settings != self.settings else ""
            if sql:
                backend.settings_known = False
                backend.command(sql, self._agreed)
                return
            backend.settings = self.settings
        self._send(unit, backend)

    def _agreed(self, command: Command) -> None:
        backend, unit = self.backend, self.unit
        if backend is None or backend.closed:
            return  # its loss comes next
        if command.error is not None:
            self.detach(backend)
            backend.leave()
            self.give_up(command.error)
            return
        backend.settings, backend.settings_known = self.settings, True
        if unit is not None:
            self._send(unit, backend)

    def _send(self, unit: Unit, backend: Backend) -> None:
        if not self._welcomed:
            self._welcome(backend)
            return
        if backend.parameters is not self.told:
            self._tell(backend.parameters)
        if self.recovery is not None:
            self.recovery.ready(backend)
        else:
            self.send_unit(unit, backend)

    def send_unit(self, unit: Unit, backend: Backend) -> None:
        """Send the unit in hand, with what has to come before it."""
        before = ""
        if (unit.access or self.block is not None) and backend.node.is_heliosdb:
            before = self._name(unit)
            if before:
                backend.may_be_named = True
            elif backend.may_be_named and backend.status == IDLE:
                before, backend.may_be_named = f"RESET {WRITE_ID}", False
            if unit.wrapped:
                self.recovery = Recovery(self)
                self.recovery.wrap(unit, backend, before)
                if not unit.closed:
                    self.go_on()
                return
        if not unit.plain and not self.pins and backend.last_user != self.pid and _asks_sequence(unit):
            # What another session drew there is nobody's here: the answer is then that nothing was drawn.
            before = "; ".join(filter(None, [before, "DISCARD SEQUENCES"]))
        unit.attempts += 1
        if before or unit.simple:
            backend.statements.unnamed = None
        if unit.simple:
            steps = unit.steps
            backend.send(steps[0].raw if len(steps) == 1 else b"".join([step.raw for step in steps]), before)
            self._mark_sent(unit)
        else:
            self.send_steps(unit, backend, before)
        if self.proxy.debug:
            log.debug("routing: session %d, %s to node %s", self.pid, _why(unit), backend.node.name)
        if not unit.closed:
            self.go_on()

    def send_steps(self, unit: Unit, backend: Backend, before: str) -> None:
        """Send the unit in hand, as far as it has come, and ``before`` it a query of our own; many steps in pieces."""
        steps = unit.steps
        most = TURN_STEPS * self.proxy.turns.length
        first = steps if len(steps) <= most else steps[:most]
        backend.send(render(first, backend.statements), before)
        self._mark_sent(unit)
        if first is not steps:
            self._send_on(unit, backend, len(first))
        elif unit.by_query:
            backend.statements.unnamed = None

    def _send_on(self, unit: Unit, backend: Backend, at: int) -> None:
        """Send, in turns, those of its steps from ``at`` on that were there when it was sent."""
        end = self._sent_steps

        def go_on() -> None:
            nonlocal at
            if self._sends_on is not go_on:
                return  # it is over, or on its way again
            if backend.closed or backend is not self.backend:
                self._sends_on = None
                return
            piece = unit.steps[at : min(at + TURN_STEPS * self.proxy.turns.length, end)]
            at += len(piece)
            backend.more(render(piece, backend.statements))
            if at < end:
                self.proxy.turns.take(go_on, self.pid)
                return
            self._sends_on = None
            if unit.by_query:
                backend.statements.unnamed = None
            self._flush_unit()

        self._sends_on = go_on
        self.proxy.turns.take(go_on, self.pid)

    def _mark_sent(self, unit: Unit) -> None:
        """The unit in hand, as far as it has come, is on its way."""
        self._sent, self._sent_steps, self._sends_on = True, len(unit.steps), None
        unit.wanted = 0
        unit.ran = bool(unit.executed)

    def _send_steps(self, steps: list[Step]) -> None:
        backend, unit = self.backend, self.unit
        if backend is None or unit is None:
            return
        if unit.access and not unit.ran and self.block is None and self._is_misplaced(unit):
            # It began with what any node can do; its beginning is done again where the rest can be done.
            self.detach(backend)
            backend.close()
            Recovery(self).again(unit)
            return
        unit.ran = unit.ran or any(step.raw[0] == EXECUTE for step in steps)
        backend.more(render(steps, backend.statements))
        if unit.by_query:
            backend.statements.unnamed = None
        if unit.bytes > self.proxy.settings.replay_max_bytes:
            unit.steps.clear()
            self._sent_steps = 0
            unit.forgotten = True

    def _is_misplaced(self, unit: Unit) -> bool:
        primary, backend = self.proxy.cluster.primary, self.backend
        if self.pins or backend is None:
            return False
        return backend.node is not primary or (backend.node.is_heliosdb and not unit.wrapped)

    def _name(self, unit: Unit) -> str:
        """What names the write in hand, so that it can be asked after; empty where it has or needs no name."""
        alone = self.block is None and not (unit.executed and unit.executed[0].control is Control.BEGIN)
        if self.own_name and (alone or unit.may_end_block):
            name, self.own_name = self.own_name, ""
            return name
        if self.block is not None:
            if (
                unit.control is not Control.COMMIT
                or not self.block.wrote
                or self.status != IN_BLOCK
                or unit.ends_unseen
            ):
                return ""
        elif not unit.can_be_named:
            unit.wrapped = self.proxy.can_wrap(unit)
            return ""
        if unit.name is None:
            unit.name = self.proxy.names.take()
        return f"SET {WRITE_ID} = '{unit.name}'"

    def _wants_sync(self, unit: Unit) -> None:
        if self.recovery is not None and self.unit is unit:
            self.recovery.let_out()
        super()._wants_sync(unit)

    def token_came(self, command: Command, asked: int) -> None:
        """A plain PostgreSQL says how far a write went, or was lost; of two the later one counts."""
        if asked != self.tokens_asked:
            return
        self.awaits_token = False
        if command.rows and command.rows[0][0] is not None:
            self.token = command.rows[0][0].decode()
            self.floor = int(Lsn.parse(self.token))
        if self.asks_token and self.unit is not None and not self.closing:
            self.asks_token = False
            if not local_answers.answered(self, self.unit):
                self.choose(self.unit)

    def adopt(self, settings: Settings) -> None:
        """The session has these from now on; a token among them is a floor."""
        self.settings = settings
        self.floor = max(self.floor, floor_of(settings))

    def _sync_alone(self) -> None:
        self.transport.write(READY[self.status])

    def _tell(self, parameters: dict[str, str]) -> None:
        """The backend's parameters, where the client knows other ones."""
        told, self.told = self.told, parameters
        fresh = [(n, v) for n, v in parameters.items() if n not in OWN_PARAMETERS and told.get(n) != v]
        if fresh:
            self.transport.write(b"".join([messages.parameter_status(name, value) for name, value in fresh]))

    @abstractmethod
    def pass_on(self, data: bytes) -> None:
        """Give the client a part of an answer, but for what it has already."""

    @abstractmethod
    def finish_locally(self, data: bytes, *, failed: bool = False) -> None:
        """Answer the unit in hand with what the proxy knows; ReadyForQuery is put behind it."""

    @abstractmethod
    def fail_in_block(self, error: HeliosError) -> None:
        """The unit in hand fails, in a block that has failed before."""

    @abstractmethod
    def _welcome(self, backend: Backend) -> None:
        """The session begins: tell the client what the backend reports."""


def _asks_sequence(unit: Unit) -> bool:
    return any(statement.pins == SEQUENCE for statement in unit.statements)


def _why(unit: Unit) -> str:
    return " and ".join(dict.fromkeys(statement.why for statement in unit.statements)) or "nothing"
