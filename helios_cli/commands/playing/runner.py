"""Runs a playbook: looks, tells the machine, writes down what it says, does what it says, until it ends."""

from __future__ import annotations

import queue
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Final, Protocol

from helios_cli.commands._errors import Refused, sqlstate_of
from helios_cli.commands.playing.doing import Hands
from helios_cli.commands.playing.runs import Writer
from helios_cli.commands.playing.watching import Watch, sketch
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.playbook.facts import Facts
from helios_cli.engine.playbook.journal import Entry
from helios_cli.engine.playbook.machine import Act, Effect, Key, Machine, Outcome, Record

POLL_S: Final = 0.2
"""From one look at the cluster to the next."""


class Show(Protocol):
    """Who shows a run while it goes on."""

    def entry(self, entry: Entry, machine: Machine) -> None:
        """Something was written down."""

    def now(self, now_s: float, machine: Machine, facts: Facts) -> None:
        """How it is now; called several times a second."""


class Clock:
    """Seconds since 1970 that do not jump while the process lives."""

    def __init__(self) -> None:
        self._offset_s = time.time() - time.monotonic()

    def __call__(self) -> float:
        return time.monotonic() + self._offset_s


@dataclass(frozen=True, slots=True)
class Acted:
    """An action has ended."""

    key: Key
    error: str | None
    kind: Outcome


class Runner:
    """One run, in this process."""

    def __init__(self, machine: Machine, writer: Writer, hands: Hands, watch: Watch, clock: Clock, show: Show) -> None:
        self.machine = machine
        self._writer, self._hands, self._watch, self._clock, self._show = writer, hands, watch, clock, show
        self._acted: queue.SimpleQueue[Acted] = queue.SimpleQueue()
        self._interrupts = 0
        self._sketch: dict[str, object] = {}

    def run(self, *, undo: bool = False) -> Outcome:
        """Go on until it ends; gives how. ``undo`` goes no further, and undoes what was done.

        Ctrl-C and SIGTERM end it in the same way; a second one leaves everything as it is.

        Raises:
            KeyboardInterrupt: the second one came; the run can be resumed. OSError: the journal cannot be written.
        """
        before = {number: signal.signal(number, self._interrupted) for number in (signal.SIGINT, signal.SIGTERM)}
        self._interrupts = int(undo)
        try:
            while self.machine.outcome is None:
                self._turn()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        return self.machine.outcome

    def _turn(self) -> None:
        facts = self._watch.look(self._clock())
        now_s = self._clock()
        self._note(now_s, facts)
        if self._interrupts:
            self._obey(self.machine.interrupt(now_s))
        self._obey(self.machine.seen(now_s, facts))
        self._show.now(now_s, self.machine, facts)
        end_s = now_s + POLL_S
        while self.machine.outcome is None and (left_s := end_s - self._clock()) > 0:
            try:
                acted = self._acted.get(timeout=left_s)
            except queue.Empty:
                return
            self._obey(self.machine.acted(self._clock(), acted.key, acted.error, acted.kind))

    def _note(self, now_s: float, facts: Facts) -> None:
        """Write down how the cluster is, when that has changed."""
        seen = sketch(facts)
        if seen != self._sketch:
            self._sketch = seen
            self._write(Entry(now_s, "seen", seen))

    def _obey(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Record):
                self._write(effect.entry)
            elif isinstance(effect, Act):
                threading.Thread(target=self._do, args=(effect,), name="action", daemon=True).start()

    def _write(self, entry: Entry) -> None:
        self._writer.write(entry)
        self._show.entry(entry, self.machine)

    def _do(self, act: Act) -> None:
        try:
            self._hands.do(act.action, act.timeout_s)
        except Exception as error:
            self._acted.put(Acted(act.key, said(error), kind_of(error)))
        else:
            self._acted.put(Acted(act.key, None, Outcome.DONE))

    def _interrupted(self, _number: int, _frame: FrameType | None) -> None:
        self._interrupts += 1
        if self._interrupts > 1:
            raise KeyboardInterrupt


def said(error: BaseException) -> str:
    """An error on one line."""
    if not isinstance(error, HeliosError):
        return str(error) or type(error).__name__
    parts = [error.message, *([error.detail] if error.detail else []), *([f"({error.hint})"] if error.hint else [])]
    return " ".join(" ".join(parts).split())


def kind_of(error: BaseException) -> Outcome:
    """What an error of an action makes of the run."""
    if isinstance(error, Refused):
        return Outcome.REFUSED
    return Outcome.TIMEOUT if sqlstate_of(error) == "57014" else Outcome.FAILED
