"""A playbook as it is written: steps, variables, bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from helios_cli.engine.playbook import values
from helios_cli.engine.playbook.conditions import METRICS
from helios_cli.engine.playbook.facts import Facts
from helios_cli.engine.playbook.values import Value


@dataclass(frozen=True, slots=True)
class Variable:
    """What a run may be told."""

    name: str
    default: Value
    """Its kind is the kind of every value. A text that begins with ``@`` names nodes by what they are at the start."""
    help: str = ""


@dataclass(frozen=True, slots=True)
class Do:
    """An action and what it is done to."""

    do: str
    """A name of :data:`~helios_cli.engine.playbook.words.ACTIONS`."""
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stop:
    """The stop-loss: bounds by the name of what is measured; a run that passes one is ended and undone."""

    bounds: Mapping[str, Value] = field(default_factory=dict)
    """Of :data:`BOUNDS`; the word ``off`` takes a bound away."""

    def beside(self, stronger: Stop) -> Stop:
        """These bounds, and those of ``stronger`` in their place."""
        return Stop({**self.bounds, **stronger.bounds})

    def check(self) -> None:
        """Raise ValueError when a bound cannot be read."""
        for name, bound in self.bounds.items():
            if bound != OFF:
                METRICS[name][1](bound)

    def passed(self, facts: Facts) -> str | None:
        """What has passed its bound, as a sentence; None when nothing has. What cannot be measured has not."""
        for name, bound in self.bounds.items():
            if bound == OFF:
                continue
            measure, read = METRICS[name]
            value = measure(facts)
            if value is not None and value > read(bound):
                return f"{BOUNDS[name]} is {_shown(name, value)}, more than {values.text(bound)}"
        return None


OFF: Final = "off"
BOUNDS: Final[Mapping[str, str]] = {
    "lag": "the lag of a standby",
    "lag_time": "the lag of a standby",
    "rpo": "what a loss of the primary would cost",
    "error_rate": "the share of failed operations",
    "outage": "the time without a primary",
}
"""What may be bounded, in words."""


def _shown(name: str, value: float) -> str:
    if name in ("lag", "rpo"):
        return f"{value:.0f} B"
    return f"{value:.1f}%" if name == "error_rate" else values.seconds_text(value)


@dataclass(frozen=True, slots=True)
class Step:
    """One step, its variables not filled in yet."""

    name: str
    action: Do
    needs: tuple[str, ...] = ()
    """What has to hold before it begins."""
    expect: tuple[str, ...] = ()
    timeout: Value | None = None
    """How long the action and its effect may take; None: what is usual for the action."""
    delay: Value = 0
    stop: Stop = Stop()
    undo: tuple[Do, ...] | None = None
    """What is done when the run fails after the step has begun; None: the inverse of its action."""
    parallel: str = ""
    """Steps one after the other with the same text are done at the same time."""
    each: str = ""
    """Nodes for each of which there is one such step, with ``${node}``; empty: one step."""
    when: str = "true"
    """``true`` and ``false``, most often from a variable: whether the step is done at all."""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Playbook:
    """One file."""

    name: str
    title: str
    summary: str
    variables: tuple[Variable, ...]
    needs: tuple[str, ...]
    """What has to hold before the first step."""
    stop: Stop
    steps: tuple[Step, ...]
    text: str
    """The file."""

    @property
    def loads(self) -> tuple[str, ...]:
        """The names of its workloads."""
        return tuple(str(one.action.arguments.get("load")) for one in self.steps if one.action.do == "workload")
