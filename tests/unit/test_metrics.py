"""Metrics, read back by a strict parser of the exposition format 0.0.4 written for these tests."""

from __future__ import annotations

import asyncio
import math
import re
import time
from dataclasses import dataclass, field

import pytest

from helios_cli.engine.observe.loop_monitor import LoopMonitor
from helios_cli.engine.observe.metrics import Registry
from helios_cli.engine.observe.process import register_process_metrics

_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
_PAIR = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(,|$)')
_UNESCAPE = re.compile(r'\\(\\|"|n)')

Labels = tuple[tuple[str, str], ...]


@dataclass
class Parsed:
    kind: str
    help: str
    samples: dict[tuple[str, Labels], float] = field(default_factory=dict)


def parse_labels(text: str | None) -> Labels:
    pairs, at = [], 0
    while text is not None and at < len(text):
        match = _PAIR.match(text, at)
        assert match, f"malformed labels: {text!r}"
        pairs.append((match[1], _UNESCAPE.sub(lambda m: "\n" if m[1] == "n" else m[1], match[2])))
        at = match.end()
    assert len({name for name, _ in pairs}) == len(pairs)
    return tuple(pairs)


def parse_number(text: str) -> float:
    assert re.fullmatch(r"\+Inf|-Inf|NaN|-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?", text), f"malformed number: {text!r}"
    return float(text)


def parse(text: str) -> dict[str, Parsed]:
    assert text.endswith("\n")
    families: dict[str, Parsed] = {}
    current = ""
    lines = text[:-1].split("\n")
    while lines:
        line = lines.pop(0)
        if line.startswith("# HELP "):
            current, help_text = line.removeprefix("# HELP ").split(" ", 1)
            assert current not in families, f"{current} twice"
            kind_line = lines.pop(0).split(" ")
            assert kind_line[:3] == ["#", "TYPE", current]
            assert len(kind_line) == 4
            assert kind_line[3] in ("counter", "gauge", "histogram")
            families[current] = Parsed(kind_line[3], help_text)
            continue
        match = _SAMPLE.fullmatch(line)
        assert match, f"malformed line: {line!r}"
        family = families[current]
        suffixes = ("_bucket", "_sum", "_count") if family.kind == "histogram" else ("",)
        assert match[1] in [current + suffix for suffix in suffixes], f"{match[1]} under {current}"
        key = (match[1], parse_labels(match[2]))
        assert key not in family.samples, f"{key} twice"
        family.samples[key] = parse_number(match[3])
    return families


def test_counters_gauges_and_readings() -> None:
    registry = Registry()
    registry.counter("heliosdb_commits_total", "Commits.").inc(3)
    registry.gauge("heliosdb_lag_bytes", "Lag\nof \\ something.").set(-1.5)
    served = {"count": 7}
    registry.observe("counter", "heliosdb_reads_total", "Reads.", lambda: served["count"])
    sizes = [(("log",), 10.0), (("db",), 2e20)]
    registry.observe("gauge", "heliosdb_size_bytes", "Sizes.", lambda: sizes, ("part",))
    text = registry.render()
    found = parse(text)
    assert found["heliosdb_commits_total"].samples == {("heliosdb_commits_total", ()): 3}
    assert found["heliosdb_lag_bytes"].samples == {("heliosdb_lag_bytes", ()): -1.5}
    assert found["heliosdb_lag_bytes"].help == r"Lag\nof \\ something."
    assert found["heliosdb_reads_total"].samples[("heliosdb_reads_total", ())] == 7
    assert found["heliosdb_size_bytes"].samples[("heliosdb_size_bytes", (("part", "db"),))] == 2e20
    assert "heliosdb_commits_total 3\n" in text
    assert list(found) == sorted(found)
    served["count"] = 8
    assert parse(registry.render())["heliosdb_reads_total"].samples[("heliosdb_reads_total", ())] == 8


def test_label_values_survive_escaping() -> None:
    registry = Registry()
    family = registry.counters("heliosdb_errors_total", "Errors.", ("sqlstate", "text"))
    odd = 'a"b\\n\nc,d}e=é'
    family.labels("42P01", odd).inc()
    assert family.labels("42P01", odd) is family.labels("42P01", odd)
    samples = parse(registry.render())["heliosdb_errors_total"].samples
    assert samples == {("heliosdb_errors_total", (("sqlstate", "42P01"), ("text", odd))): 1}


def test_histogram_buckets_are_cumulative_and_inclusive() -> None:
    registry = Registry()
    histogram = registry.histogram("heliosdb_sync_seconds", "Syncs.", (0.1, 1))
    for value in (0.05, 0.1, 0.5, 1, 7):
        histogram.observe(value)
    samples = parse(registry.render())["heliosdb_sync_seconds"].samples
    name = "heliosdb_sync_seconds"
    assert samples == {
        (name + "_bucket", (("le", "0.1"),)): 2,
        (name + "_bucket", (("le", "1.0"),)): 4,
        (name + "_bucket", (("le", "+Inf"),)): 5,
        (name + "_sum", ()): pytest.approx(8.65),
        (name + "_count", ()): 5,
    }
    with pytest.raises(ValueError, match="ascending"):
        registry.histogram("heliosdb_other_seconds", "x", (1, 0.5))


def test_labelled_histograms() -> None:
    registry = Registry()
    registry.histograms("heliosdb_wait_seconds", "Waits.", ("kind",), (1,)).labels("lock").observe(2)
    samples = parse(registry.render())["heliosdb_wait_seconds"].samples
    assert samples[("heliosdb_wait_seconds_bucket", (("kind", "lock"), ("le", "+Inf")))] == 1
    assert samples[("heliosdb_wait_seconds_bucket", (("kind", "lock"), ("le", "1.0")))] == 0


def test_special_numbers() -> None:
    registry = Registry()
    for name, value in (("a", math.inf), ("b", -math.inf), ("c", math.nan)):
        registry.gauge(f"heliosdb_{name}", "x").set(value)
    found = parse(registry.render())
    assert found["heliosdb_a"].samples[("heliosdb_a", ())] == math.inf
    assert math.isnan(found["heliosdb_c"].samples[("heliosdb_c", ())])


@pytest.mark.parametrize("name", ["commits_total", "heliosdb_commits", "heliosdb_Commits_total", "heliosdb_a b_total"])
def test_bad_counter_names(name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        Registry().counter(name, "x")


def test_misuse_is_refused() -> None:
    registry = Registry()
    counter = registry.counter("heliosdb_a_total", "x")
    with pytest.raises(ValueError, match="already"):
        registry.counter("heliosdb_a_total", "x")
    with pytest.raises(ValueError, match="not a name"):
        registry.gauge("heliosdb_b_total", "x")
    with pytest.raises(ValueError, match="label"):
        registry.counters("heliosdb_c_total", "x", ("le",))
    with pytest.raises(ValueError, match="fall"):
        counter.inc(-1)
    with pytest.raises(ValueError, match="label values"):
        registry.counters("heliosdb_d_total", "x", ("a",)).labels()


def test_label_combinations_are_bounded() -> None:
    registry = Registry()
    family = registry.counters("heliosdb_logins_total", "x", ("user",))
    for number in range(1500):
        family.labels(f"u{number}").inc()
    samples = parse(registry.render())["heliosdb_logins_total"].samples
    assert len(samples) == 1001
    assert samples[("heliosdb_logins_total", (("user", "other"),))] == 500


def test_a_failing_reading_costs_only_its_own_metric() -> None:
    registry = Registry()
    registry.observe("gauge", "heliosdb_bad", "x", lambda: 1 / 0)
    registry.observe("gauge", "heliosdb_mixed", "x", lambda: [(("a", "b"), 1.0)], ("one",))
    registry.gauge("heliosdb_good", "x")
    found = parse(registry.render())
    assert "heliosdb_good" in found
    assert "heliosdb_bad" not in found
    assert "heliosdb_mixed" not in found
    errors = parse(registry.render())["heliosdb_scrape_errors_total"]
    assert errors.samples[("heliosdb_scrape_errors_total", ())] == 4


def test_process_metrics() -> None:
    registry = Registry()
    register_process_metrics(registry)
    found = parse(registry.render())
    assert found["heliosdb_process_resident_memory_bytes"].samples[("heliosdb_process_resident_memory_bytes", ())] > 1e6
    assert found["heliosdb_process_cpu_seconds_total"].kind == "counter"


def test_loop_monitor_sees_a_blocked_loop() -> None:
    registry = Registry()
    monitor = LoopMonitor(registry, interval_s=0.005)

    async def main() -> None:
        monitor.start()
        until = time.monotonic() + 0.1
        while time.monotonic() < until:
            pass
        async with asyncio.timeout(5):
            while monitor.worst_s == 0:
                await asyncio.sleep(0)
        monitor.stop()

    asyncio.run(main())
    assert monitor.worst_s >= 0.09
    assert monitor.recent_s == monitor.worst_s
    lag = parse(registry.render())["heliosdb_loop_lag_seconds"].samples
    assert lag[("heliosdb_loop_lag_seconds_count", ())] >= 1


def test_loop_monitor_forgets_old_stalls_in_the_recent_gauge() -> None:
    monitor = LoopMonitor(Registry(), clock=lambda: 0.0)
    monitor.note(0.5, 1.0)
    monitor.note(0.1, 61.0)
    assert monitor.recent_s == 0.5
    monitor.note(0.2, 122.0)
    assert monitor.recent_s == 0.2
    monitor.note(0.0, 400.0)
    assert monitor.recent_s == 0.0
    assert monitor.worst_s == 0.5
