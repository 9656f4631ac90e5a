"""What is told of etcd: whether it answers, for how long it has not, and what it keeps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from helios_cli.engine.consensus.authority import Leader, View
from helios_cli.engine.net.etcd import EtcdFailed
from helios_cli.engine.node.etcd_meter import EtcdMeter, measured, sentences

LEADER = Leader("n1", "01", 4, 9, "h", 2)


class Clock:
    at = 100.0

    def __call__(self) -> float:
        return self.at


def fail(meter: EtcdMeter) -> None:
    with pytest.raises(EtcdFailed), meter.round():
        raise EtcdFailed("etcd does not answer")


def test_rounds_and_failures_are_counted_and_timed() -> None:
    clock = Clock()
    meter = EtcdMeter(clock)
    values = measured(meter, lambda: True, lambda: False)
    assert values["heliosdb_etcd_silent_seconds"][2]() == -1.0
    with meter.round():
        clock.at += 0.25
    clock.at += 2
    assert (meter.round_s, meter.silent_s, meter.failing_s) == (0.25, 2.0, None)
    for _ in range(3):
        fail(meter)
        clock.at += 1
    assert (meter.rounds, meter.failures, meter.failing_s, meter.silent_s) == (1, 3, 3.0, 5.0)
    found = {name.removeprefix("heliosdb_etcd_"): read() for name, (_kind, _text, read) in values.items()}
    assert found == {
        "reached": 1, "leads": 0, "round_seconds": 0.25, "silent_seconds": 5, "rounds_total": 1, "failures_total": 3,
        "renewals_total": 0,
    }  # fmt: skip
    with meter.round():
        pass
    assert meter.failing_s is None


def told(meter: EtcdMeter, seen: View | None, error: str = "", *, knows: bool = True) -> tuple[str, ...]:
    return sentences(meter, seen, error, knows=knows, version=7, counting=("n1", "n2"))


def test_sentences_say_what_is_so() -> None:
    clock = Clock()
    meter = EtcdMeter(clock)
    seen = View(LEADER, 1, 4, 4, 1, None, 0)
    with meter.round():
        pass
    assert told(meter, seen) == ("etcd keeps the lead for n1 in term 4",)
    assert told(meter, replace(seen, leader=None)) == ("etcd keeps the lead for nobody: whoever is elected gets it",)
    assert "does not know the configuration" in told(meter, seen, knows=False)[0]
    with meter.round():
        clock.at += 0.8
    assert told(meter, seen)[1] == "etcd is slow: the newest look took 800 ms"
    fail(meter)
    clock.at += 12
    assert told(meter, seen, "no route") == (
        "etcd decides nothing for 12 s (no route): nobody is elected meanwhile",
        "a primary leads on without it while it hears n1, n2, whose copies count",
    )
