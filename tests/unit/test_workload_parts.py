"""The parts of the workloads that need no server: histograms, the pace, scripts, keys, the picture."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

import pytest

from helios_cli.commands.load import live, svg, ycsb
from helios_cli.commands.load.driver import Driver, Pace, Sample, Worker
from helios_cli.commands.load.histogram import Histogram, bar, bucket_of, merged, span_us
from helios_cli.commands.load.ledger import LedgerWriter
from helios_cli.commands.load.runner import Load, Runner, payload
from helios_cli.commands.load.works import Bank, TpcB
from helios_cli.engine.errors import ConfigError, HeliosError
from helios_cli.engine.net.pgclient import Result, Target

SVG: Final = "{http://www.w3.org/2000/svg}"

# Histograms -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, 1, 31, 32, 33, 63, 64, 65, 1000, 12_345, 1_000_000, 59_999_999])
def test_a_value_lies_in_its_bucket_which_is_narrow(value: int) -> None:
    low, high = span_us(bucket_of(value))
    assert low <= value < high
    assert high - low <= max(1, value / 32)


def test_buckets_follow_each_other_without_a_gap() -> None:
    spans = [span_us(number) for number in range(700)]
    assert all(one[1] == following[0] for one, following in pairwise(spans))


def test_percentiles_are_near_the_true_ones_and_merge() -> None:
    rng = random.Random(7)
    values = [rng.lognormvariate(-6, 1) for _ in range(5000)]
    parts = [Histogram() for _ in range(3)]
    for number, value in enumerate(values):
        parts[number % 3].add(value)
    whole, ordered = merged(parts), sorted(values)
    assert whole.total == 5000 and whole.max_s == max(values)
    for share in (0.5, 0.9, 0.99):
        assert whole.percentile_s(share) == pytest.approx(ordered[int(share * 5000) - 1], rel=0.04)
    assert whole.percentile_s(1.0) == max(values)
    assert sum(count for _, _, count in whole.buckets_ms()) == 5000


def test_the_picture_has_a_line_for_each_factor_of_two() -> None:
    found = Histogram()
    for milliseconds in [3] * 30 + [5] * 60 + [20] * 10:
        found.add(milliseconds / 1000)
    lines = found.picture(10)
    assert [line.split()[:5] for line in lines] == [
        ["2.05", "ms", "-", "4.1", "ms"], ["4.1", "ms", "-", "8.19", "ms"], ["8.19", "ms", "-", "16.4", "ms"],
        ["16.4", "ms", "-", "32.8", "ms"],
    ]  # fmt: skip
    assert lines[1].endswith("██████████         60  60.0 %") and lines[2].endswith("0   0.0 %")
    assert Histogram().picture() == ["no latency was measured"]
    assert bar(1.0, 4) == "████" and bar(0.5, 4) == "██" and bar(0.001, 4) == "▏" and bar(0.0, 4) == ""


def test_the_picture_as_a_file() -> None:
    found = Histogram()
    for milliseconds in [*range(1, 100)] * 20 + [1500]:
        found.add(milliseconds / 1000)
    record = {
        "workload": "<bank>", "clients": 8, "rate": 100.0, "seconds": 4.2, "successful": 1981, "failed": 3,
        "histogram_ms": found.buckets_ms(), "latency_ms": found.record_ms(), "series": [600, 0, 700, 681, 0],
        "outages": [{"at_s": 1.0, "seconds": 1.5}],
    }  # fmt: skip
    root = ElementTree.fromstring(svg.drawn(record))
    texts = [one.text or "" for one in root.iter(f"{SVG}text")]
    assert "<bank>: 8 clients, 100 a second, 4.2 s" in texts and "1,981 operations, 3 failed" in texts
    assert {"max 1.5 s", "outage 1.5 s", "Latency, from when each was due"} <= set(texts)
    bars = [one for one in root.iter(f"{SVG}rect") if one.get("class") == "bar"]
    heights = [float(one.get("height", "0")) for one in bars]
    assert heights[-1] == min(heights) > 10, "a single slow operation is seen beside two thousand"
    outage = next(one for one in root.iter(f"{SVG}rect") if one.get("class") == "out")
    assert float(outage.get("width", "0")) == pytest.approx(1.5 / 4.2 * (svg.RIGHT - svg.LEFT), abs=1)
    for one in (*root.iter(f"{SVG}rect"), *root.iter(f"{SVG}text")):
        assert 0 <= float(one.get("x", "-1")) <= svg.WIDTH and 0 <= float(one.get("y", "-1")) <= svg.HEIGHT
    record |= {"histogram_ms": [], "latency_ms": Histogram().record_ms(), "series": [0], "seconds": 0.0, "outages": []}
    assert "no latency was measured" in svg.drawn(record)


# The pace -------------------------------------------------------------------------------------------------------------


class Stalling:
    """Every operation is done at once, but for one that has all others wait."""

    name = "stalling"

    def __init__(self, stall_s: float, at: int) -> None:
        self.stall_s, self.at, self.done = stall_s, at, 0
        self.lock = threading.Lock()

    def prepare(self, worker: Worker) -> None: ...

    def turn(self, worker: Worker) -> str:
        with self.lock:
            self.done += 1
            if self.done == self.at:
                time.sleep(self.stall_s)
        return "turn"

    def check(self, worker: Worker) -> list[str]:
        return []


def driven(work: Any, pace: Pace) -> tuple[Driver, dict[str, Any]]:
    driver = Driver(work, pace, [Target()], primary_only=False, seed=1)
    return driver, driver.record(driver.run(lambda _sample: None))


def test_at_a_rate_what_was_due_during_a_stall_is_late_and_counted() -> None:
    driver, record = driven(Stalling(1.0, 50), Pace(2, 3.0, 100.0))
    late = sum(count for low, _, count in record["histogram_ms"] if low >= 100)
    assert late >= 80, "one operation stood still, and all that were due in that second waited for it"
    assert record["latency_ms"]["p90"] > 300
    assert 0.95 <= record["operations"] / (100 * record["seconds"]) <= 1.01
    assert [round(one["seconds"]) for one in record["outages"]] == [1]
    assert driver.total().total == record["successful"] == sum(record["series"])


def test_what_was_due_and_never_begun_is_told() -> None:
    _, record = driven(Stalling(1.0, 50), Pace(1, 1.0, 100.0))
    assert 40 <= record["never_begun"] <= 100 - record["operations"] + 60
    assert driven(Stalling(0.0, 0), Pace(1, 0.5, 0.0))[1]["never_begun"] == 0


def test_as_fast_as_they_go_one_operation_is_slow_and_the_others_are_not() -> None:
    _, record = driven(Stalling(0.8, 50), Pace(2, 1.5, 0.0))
    assert sum(count for low, _, count in record["histogram_ms"] if low >= 100) <= 2
    assert record["latency_ms"]["p99"] < 100 < record["latency_ms"]["max"]


class StallingSession:
    """A connection on which one insert takes long, and everything else no time."""

    def __init__(self, stall_s: float, at: int) -> None:
        self.stall_s, self.at, self.writes, self.connects = stall_s, at, 0, 1

    def write(self, _sql: str) -> None:
        self.writes += 1
        if self.writes == self.at:
            time.sleep(self.stall_s)

    def execute(self, _sql: str) -> Result:
        return Result(rows=[(payload(1, self.writes),)])

    def close(self) -> None: ...


@pytest.mark.parametrize("at_rate", [True, False])
def test_inserts_at_a_rate_are_measured_from_when_each_was_due(tmp_path: Path, at_rate: bool) -> None:
    load = Load("r", "t", 1, 2.0, 0.02, 0.0, False, at_rate=at_rate)
    with LedgerWriter(tmp_path / "l", "r", "t") as ledger:
        runner = Runner(load, [Target()], ledger)
        session: Any = StallingSession(0.8, 10)
        runner._sessions = [session]
        seconds = runner.run(lambda _lines: None)
    found = runner.statistics
    undisturbed = (seconds - 0.8) / load.period_s
    assert found.failed == 0 and found.percentile_ms(1.0) >= 800
    if at_rate:
        assert found.iterations > undisturbed + 15 and found.percentile_ms(0.9) > 400, "what was due then was late"
    else:
        assert found.iterations < undisturbed + 3 and found.percentile_ms(0.9) < 400, "who waits does nothing then"


class Failing(Stalling):
    def __init__(self, error: HeliosError, every: int) -> None:
        super().__init__(0.0, -1)
        self.error, self.every, self.calls = error, every, 0

    def turn(self, worker: Worker) -> str:
        self.calls += 1
        if self.calls % self.every == 0:
            raise self.error
        return super().turn(worker)


def test_failures_are_counted_and_conflicts_tried_again() -> None:
    _, record = driven(Failing(HeliosError("no", sqlstate="25006"), 3), Pace(1, 0.5, 100.0))
    assert record["failed"] > 0 and record["errors"] == {"25006 no": record["failed"]}
    _, record = driven(Failing(HeliosError("again", sqlstate="40001"), 3), Pace(1, 0.5, 100.0))
    assert (record["failed"], record["errors"]) == (0, {}) and record["tried_again"] > 0


def test_a_workload_that_cannot_be_run_ends_at_once() -> None:
    began = time.monotonic()
    with pytest.raises(ConfigError, match="no variable"):
        driven(Failing(ConfigError("there is no variable x"), 1), Pace(4, 30.0, 0.0))
    assert time.monotonic() - began < 20


# Keys, checks, the display --------------------------------------------------------------------------------------------


def test_few_keys_are_hot_and_all_can_be_drawn() -> None:
    zipfian, rng = ycsb.Zipfian(100), random.Random(3)
    drawn = Counter(zipfian.draw(rng) for _ in range(20_000))
    assert set(drawn) == set(range(100))
    assert 0.17 < drawn[0] / 20_000 < 0.22, "1 / (1 + 1/2**0.99 + ... + 1/100**0.99)"
    assert drawn[0] > drawn[1] > drawn[5] > drawn[50]
    assert {ycsb.Zipfian(count).draw(rng) < count for count in (1, 2, 3) for _ in range(50)} == {True}


class Answering:
    """In place of a worker: gives answers in their order."""

    def __init__(self, *answers: list[tuple[str | None, ...]]) -> None:
        self.answers = list(answers)

    def execute(self, _sql: str) -> list[tuple[str | None, ...]]:
        return self.answers.pop(0)


def test_money_that_is_gone_or_owed_is_found() -> None:
    right: Any = Answering([("900",), ("1100",)])
    assert Bank("bank", 2, [(2000, 0)]).check(right) == []
    gone: Any = Answering([("900",), ("1000",)])
    assert "1900" in Bank("bank", 2).check(gone)[0]
    seen: Any = Answering([("900",), ("1100",)])
    assert Bank("bank", 2, [(1990, 0), (2000, -5)]).check(seen) == [
        "an audit saw 1990 in all, where 2000 are", "an audit saw a balance of -5",
    ]  # fmt: skip
    sums: Any = Answering([("7",)], [("7",)], [("7",)], [("8",)])
    assert TpcB("t", 1, 10).check(sums) == ["the sums differ: t_branches 7, t_tellers 7, t_accounts 7, t_history 8"]


def test_an_outage_is_marked() -> None:
    assert live.series([1, 4, 0, 8]) == "▁▄✗█" or live.series([1, 4, 0, 8])[2] == live.OUTAGE
    assert live.series([0, 0]) == "✗✗"
    assert live.fitted([4.0] * 100 + [0.0] * 20 + [4.0], 60).count(0.0) == 10
    assert live.outages([(2.0, 0.7)]) == "700 ms, from 2.0 s on"
    assert live.outages([(2.0, 0.7), (9.5, 1.25), (30.0, 0.6)]) == "3, the longest 1.2 s, from 9.5 s on"
    told = live.line(Sample(at_s=9.0, operations=3, failed=2, per_s=0.0, outage_s=1.5, late_s=2.0))
    assert told.endswith("failed 2  2.0 s behind  OUTAGE for 1.5 s")
