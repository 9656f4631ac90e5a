"""One run of a playbook: what was seen and what has been done in, what to do and what to write down out.

It neither acts nor asks the time, and it writes before it acts: a run that was killed is the same machine, made again
from its journal, and goes on in the step that it was in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from helios_cli.engine.playbook import effects, values
from helios_cli.engine.playbook.conditions import Condition
from helios_cli.engine.playbook.facts import Facts
from helios_cli.engine.playbook.journal import Entry
from helios_cli.engine.playbook.model import Do
from helios_cli.engine.playbook.plan import Plan
from helios_cli.engine.playbook.words import ACTIONS, sentence

NEEDS_S: Final = 5.0
"""How long something that a step needs may take to show: what is seen of a cluster is a moment old."""
RETURN_S: Final = 10.0
"""What an action may take beyond its step's time before it is given up."""
UNDO_S: Final = 90.0
"""For one action that undoes a step."""

Key = tuple[int, int]
"""Number of a step, and of the action that undoes it, from 0; -1 is the step's own action."""
OWN: Final = -1


class Phase(StrEnum):
    """Where a step is."""

    WAITING = "waiting"
    NEEDING = "needing"
    """What it needs does not hold yet."""
    DELAYED = "delayed"
    ACTING = "acting"
    EXPECTING = "expecting"
    """It has acted; what it expects does not hold yet."""
    DONE = "done"
    LEFT_OUT = "left out"
    FAILED = "failed"


class Outcome(StrEnum):
    """How a run has ended."""

    DONE = "done"
    FAILED = "failed"
    TIMEOUT = "timeout"
    REFUSED = "refused"
    """Something that a step needs did not hold."""
    STOPPED = "stopped"
    """A bound was passed."""
    INTERRUPTED = "interrupted"


FINAL: Final = (Phase.DONE, Phase.LEFT_OUT)


@dataclass(slots=True)
class Progress:
    """Of one step."""

    phase: Phase = Phase.WAITING
    since_s: float = 0.0
    """Since when it is in this phase."""
    acted_s: float | None = None
    """When its action began; None: never, so that there is nothing to undo."""
    ended_s: float | None = None
    clock_s: float | None = None
    """From when its time counts, when that is neither its action's begin nor its phase's: since a runner came back."""
    detail: str = ""
    unmet: tuple[str, ...] = ()
    """Conditions that it waits for."""
    remembered: dict[str, Any] = field(default_factory=dict)
    doubtful: bool = False
    """Its action was under way when the runner died."""


@dataclass(frozen=True, slots=True)
class Record:
    """Write an entry, and sync it, before the effects that follow."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Act:
    """Do something, and tell :meth:`Machine.acted` of it."""

    key: Key
    action: Do
    timeout_s: float


@dataclass(frozen=True, slots=True)
class End:
    """The run is over."""

    outcome: Outcome


Effect = Record | Act | End


class Machine:
    """A run. Times are seconds since 1970, and may not go back."""

    def __init__(self, plan: Plan, entries: Sequence[Entry] = (), now_s: float = 0.0) -> None:
        """``entries`` are those of the journal of a run that is resumed at ``now_s``."""
        self.plan = plan
        self.steps = [Progress() for _ in plan.steps]
        self.ready = False
        """Whether what the playbook needs has held."""
        self.failing: tuple[Outcome, str] | None = None
        """Why it does not go on; None: it does."""
        self.outcome: Outcome | None = None
        self.undone: dict[Key, str] = {}
        """Actions that undo, and what came of each: ``acting``, ``done``, or what was wrong."""
        self._flying: set[Key] = set()
        self._first_s: float | None = None
        self._undo_s = now_s
        self._out: list[Effect] = []
        for entry in entries:
            self._replay(entry, now_s)

    # What comes in --------------------------------------------------------------------------------------------------

    def seen(self, now_s: float, facts: Facts) -> list[Effect]:
        """The cluster as it is now; to be told several times a second. Gives what has to be done, in its order."""
        if self.outcome is None:
            self._first_s = now_s if self._first_s is None else self._first_s
            if self.failing is None:
                self._go(now_s, facts)
            if self.failing is not None:
                self._undo(now_s)
        return self._taken()

    def acted(self, now_s: float, key: Key, error: str | None, kind: Outcome = Outcome.FAILED) -> list[Effect]:
        """An action has ended; ``error`` says why it failed, ``kind`` as what that counts."""
        self._flying.discard(key)
        number, undo = key
        if undo != OWN:
            self._write(now_s, "undo", step=number, number=undo, came=error or "done")
            self.undone[key] = error or "done"
            return self._taken()
        step = self.steps[number]
        if step.phase is Phase.ACTING:
            if error is None:
                self._enter(now_s, number, Phase.EXPECTING)
            else:
                self._fail(now_s, kind, error, number)
        return self._taken()

    def interrupt(self, now_s: float) -> list[Effect]:
        """Somebody wants it to end: what was done is undone."""
        if self.failing is None and self.outcome is None:
            self._fail(now_s, Outcome.INTERRUPTED, "it was interrupted", None)
        return self._taken()

    # Going on -------------------------------------------------------------------------------------------------------

    def _go(self, now_s: float, facts: Facts) -> None:
        if not self.ready and not self._is_ready(now_s, facts):
            return
        for group in self.plan.groups:
            self._advance_group(now_s, group, facts)
            if self.failing is not None or not all(self.steps[number].phase in FINAL for number in group):
                return
        self._end(now_s, Outcome.DONE, "")

    def _is_ready(self, now_s: float, facts: Facts) -> bool:
        unmet = _unmet(self.plan.needs, facts)
        if not unmet:
            self.ready = True
            self._write(now_s, "ready")
        elif self._first_s is not None and now_s - self._first_s > NEEDS_S:
            self._fail(now_s, Outcome.REFUSED, f"the playbook needs: {'; '.join(unmet)}", None)
        return self.ready

    def _advance_group(self, now_s: float, group: Sequence[int], facts: Facts) -> None:
        for number in group:
            step, planned = self.steps[number], self.plan.steps[number]
            if step.phase in (Phase.DELAYED, Phase.ACTING, Phase.EXPECTING):
                passed = planned.stop.passed(facts)
                if passed is not None:
                    self._fail(now_s, Outcome.STOPPED, passed, number)
                    return
            before: Phase | None = None
            while before is not step.phase and self.failing is None:
                before = step.phase
                self._advance(now_s, number, facts)
            if self.failing is not None:
                return

    def _advance(self, now_s: float, number: int, facts: Facts) -> None:
        """Take a step into its next phase, if it can go there."""
        step, planned = self.steps[number], self.plan.steps[number]
        match step.phase:
            case Phase.WAITING:
                self._enter(now_s, number, Phase.NEEDING if planned.wanted else Phase.LEFT_OUT)
            case Phase.NEEDING:
                step.unmet = _unmet(planned.needs, facts)
                if not step.unmet:
                    self._enter(now_s, number, Phase.DELAYED)
                elif now_s - step.since_s > NEEDS_S:
                    self._fail(now_s, Outcome.REFUSED, f"it needs: {'; '.join(step.unmet)}", number)
            case Phase.DELAYED:
                if now_s >= step.since_s + planned.delay_s:
                    self._begin(now_s, number, facts)
            case Phase.ACTING:
                self._look_after(now_s, number, facts)
            case Phase.EXPECTING:
                step.unmet = _unmet(planned.expect, facts)
                if not step.unmet:
                    self._enter(now_s, number, Phase.DONE)
                elif any(one.is_settled(facts) and not one.holds(facts) for one in planned.expect):
                    self._fail(now_s, Outcome.FAILED, f"not as expected: {'; '.join(step.unmet)}", number)
                elif now_s - self._clock_from(number) > planned.timeout_s:
                    limit = values.seconds_text(planned.timeout_s)
                    self._fail(now_s, Outcome.TIMEOUT, f"not within {limit}: {'; '.join(step.unmet)}", number)
            case _:
                pass

    def _begin(self, now_s: float, number: int, facts: Facts) -> None:
        step, planned = self.steps[number], self.plan.steps[number]
        step.acted_s = now_s
        step.remembered = effects.before(planned.action, facts)
        self._enter(now_s, number, Phase.ACTING, remembered=step.remembered)
        if ACTIONS[planned.action.do].acts:
            self._act((number, OWN), planned.action, planned.timeout_s)

    def _look_after(self, now_s: float, number: int, facts: Facts) -> None:
        """Of a step whose action is under way: time that passes, an action that was interrupted, or one that hangs."""
        step, planned = self.steps[number], self.plan.steps[number]
        action = planned.action
        if not ACTIONS[action.do].acts:
            if now_s >= step.since_s + values.duration(action.arguments.get("time", 0)):
                self._enter(now_s, number, Phase.EXPECTING)
        elif step.doubtful:
            self._examine(now_s, number, facts)
        elif now_s - max(step.since_s, step.clock_s or 0.0) > planned.timeout_s + RETURN_S:
            self._flying.discard((number, OWN))
            limit = values.seconds_text(planned.timeout_s)
            self._fail(now_s, Outcome.TIMEOUT, f"{planned.sentence} did not end within {limit}", number)

    def _examine(self, now_s: float, number: int, facts: Facts) -> None:
        """An action that was under way when the runner died: done if its effect is there, else done again."""
        step, planned = self.steps[number], self.plan.steps[number]
        step.doubtful, step.clock_s = False, now_s
        had = effects.had(planned.action, step.remembered, facts)
        if had is None and planned.expect:
            had = not _unmet(planned.expect, facts)
        again = ACTIONS[planned.action.do].repeatable or planned.action.arguments.get("again") is True
        if had:
            self._enter(now_s, number, Phase.EXPECTING, detail="its effect was found after the runner came back")
        elif again:
            self._act((number, OWN), planned.action, planned.timeout_s)
        else:
            why = f"nobody knows whether it was done: {planned.sentence}"
            self._fail(now_s, Outcome.FAILED, why, number)

    def _clock_from(self, number: int) -> float:
        """From when the time of a step counts: its action's begin; after a wait or another runner, later."""
        step = self.steps[number]
        waits = not ACTIONS[self.plan.steps[number].action.do].acts
        if step.clock_s is not None:
            return step.clock_s
        return step.since_s if waits or step.acted_s is None else step.acted_s

    # Going back -----------------------------------------------------------------------------------------------------

    def undo_actions(self) -> list[tuple[Key, Do]]:
        """What undoes the steps that have begun, the last of them first."""
        order = [number for group in self.plan.groups for number in group if self.steps[number].acted_s is not None]
        order.sort(key=lambda number: self.steps[number].acted_s or 0.0)
        return [
            ((number, place), action)
            for number in reversed(order)
            for place, action in enumerate(self.plan.steps[number].undo)
        ]

    def _undo(self, now_s: float) -> None:
        if self._flying:
            late = now_s - self._undo_s > UNDO_S
            if not late:
                return
            for key in [one for one in self._flying if one[1] != OWN]:
                self._out += self.acted(now_s, key, f"did not end within {UNDO_S:.0f} s")
            self._flying.clear()
        for key, action in self.undo_actions():
            if self.undone.get(key, "acting") == "acting":
                self.undone[key] = "acting"
                self._undo_s = now_s
                self._write(now_s, "undo", step=key[0], number=key[1], came="acting")
                self._act(key, action, UNDO_S - RETURN_S)
                return
        assert self.failing is not None
        self._end(now_s, *self.failing)

    # Writing down ---------------------------------------------------------------------------------------------------

    def _act(self, key: Key, action: Do, timeout_s: float) -> None:
        self._flying.add(key)
        self._out.append(Act(key, action, timeout_s))

    def _enter(self, now_s: float, number: int, phase: Phase, *, detail: str = "", **fields: Any) -> None:
        step = self.steps[number]
        step.phase, step.since_s, step.unmet = phase, now_s, ()
        step.detail = detail or step.detail
        if phase in (*FINAL, Phase.FAILED):
            step.ended_s = now_s
        more = {"detail": detail} if detail else {}
        self._write(now_s, "step", step=number, name=self.plan.steps[number].name, phase=str(phase), **more, **fields)

    def _fail(self, now_s: float, outcome: Outcome, reason: str, number: int | None) -> None:
        if number is not None:
            self._enter(now_s, number, Phase.FAILED, detail=reason)
            reason = f"{self.plan.steps[number].name}: {reason}"
        if self.failing is not None:  # of parallel steps the first one is why
            return
        self.failing = (outcome, reason)
        self._undo_s = now_s
        self._write(now_s, "failing", outcome=str(outcome), reason=reason)

    def _end(self, now_s: float, outcome: Outcome, reason: str) -> None:
        self.outcome = outcome
        self._write(now_s, "ended", outcome=str(outcome), reason=reason)
        self._out.append(End(outcome))

    def _write(self, now_s: float, kind: str, **fields: Any) -> None:
        self._out.append(Record(Entry(now_s, kind, fields)))

    def _taken(self) -> list[Effect]:
        found, self._out = self._out, []
        return found

    # Coming back ----------------------------------------------------------------------------------------------------

    def _replay(self, entry: Entry, now_s: float) -> None:
        """Take one entry of the journal in."""
        fields = entry.fields
        match entry.kind:
            case "ready":
                self.ready = True
            case "step":
                self._replay_step(entry, now_s)
            case "failing":
                self.failing = (Outcome(fields["outcome"]), str(fields["reason"]))
            case "undo":
                self.undone[int(fields["step"]), int(fields["number"])] = str(fields["came"])
            case "ended":
                self.outcome = Outcome(fields["outcome"])
            case _:
                pass

    def _replay_step(self, entry: Entry, now_s: float) -> None:
        number, phase = int(entry.fields["step"]), Phase(entry.fields["phase"])
        step, do = self.steps[number], self.plan.steps[number].action.do
        step.phase, step.since_s = phase, entry.at_s
        step.detail = str(entry.fields.get("detail", step.detail))
        if phase is Phase.ACTING:
            step.acted_s, step.remembered = entry.at_s, dict(entry.fields.get("remembered") or {})
            step.doubtful = ACTIONS[do].acts
        if phase is Phase.NEEDING:
            step.since_s = now_s
        step.clock_s = now_s if phase is Phase.EXPECTING else None
        if phase in (*FINAL, Phase.FAILED):
            step.ended_s = entry.at_s


def _unmet(needed: Sequence[Condition], facts: Facts) -> tuple[str, ...]:
    """Those that do not hold, or of which nobody can tell."""
    return tuple(one.told(facts) for one in needed if not one.holds(facts))


def undo_sentence(action: Do) -> str:
    """An action that undoes a step, in a few words."""
    return sentence(action.do, action.arguments)
