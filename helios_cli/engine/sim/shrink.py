"""A failing run made short: as few of its actions as still break the same rule.

Delta debugging: parts of the list are left out, smaller and smaller ones, for as long as that helps (Zeller and
Hildebrandt, Simplifying and Isolating Failure-Inducing Input, IEEE TSE 2002).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from helios_cli.engine.sim.plan import Spec, draw
from helios_cli.engine.sim.world import Result

TRIES_MAX = 400


def shrink(result: Result, run: Callable[[Spec], Result], tries: int = TRIES_MAX) -> Result:
    """The shortest run found within so many tries that breaks the rule which ``result`` broke; at worst that one."""
    best = result
    left = [action.number for action in draw(result.spec)]
    size = max(1, len(left) // 2)
    while tries > 0:
        at, shorter = 0, False
        while at < len(left) and tries > 0:
            tries -= 1
            fewer = left[:at] + left[at + size :]
            found = run(replace(result.spec, only=tuple(fewer)))
            if found.rule == result.rule:
                best, left, shorter = found, fewer, True
            else:
                at += size
        if size == 1 and not shorter:
            break
        size = size if shorter and size == 1 else max(1, size // 2)
    return best
