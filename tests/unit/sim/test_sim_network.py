"""The simulated network is as good as TCP is, and no better."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from helios_cli.engine.sim.clock import SimClock
from helios_cli.engine.sim.network import SimNetwork
from helios_cli.engine.types import Term


class Host:
    """One that is always there."""

    up, life, doom = True, 1, None

    def __init__(self, name: str) -> None:
        self.name = name

    def meet(self, point: str) -> None:
        """Nothing happens there."""

    def run(self, life: int, action: Callable[..., None], *arguments: Any) -> None:
        action(*arguments)


@pytest.mark.parametrize("seed", range(20))
def test_what_a_cut_held_up_arrives_before_what_was_sent_later(seed: int) -> None:
    clock = SimClock()
    network = SimNetwork(clock, Random(seed))
    link = network.connect(Host("n1"), Host("n2"))
    assert link is not None
    came: list[str] = []
    link.on_message[1] = lambda term, kind, body: came.append(kind)
    network.cut("n1", "n2")
    for number in range(3):
        link.send(0, Term(1), f"held {number}")
    clock.run_until(clock.now_us + 100_000)
    assert came == []
    # Under way when the cut is over.
    link.send(0, Term(1), "later")
    network._cuts.clear()
    link.release()
    link.send(0, Term(1), "last")
    clock.run_until(clock.now_us + 1_000_000)
    assert came == ["held 0", "held 1", "held 2", "later", "last"]
