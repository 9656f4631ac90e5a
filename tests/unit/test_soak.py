"""The soak's bookkeeping: slices, interruptions, verdicts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.soak import Counts, Scenario, State, add, run_scenario


def scenario(calls: list[tuple[int, int]], fail_at: int = -1, interrupt_at: int = -1) -> Scenario:
    def run(directory: Path, first: int, count: int) -> Counts:
        assert directory.is_dir()
        calls.append((first, count))
        if first == fail_at:
            raise AssertionError("row 7\nis gone")
        if first == interrupt_at:
            raise KeyboardInterrupt
        return {"cuts": count, "rss_max": first, "quarters": [first]}

    return Scenario("cuts", "seeds", 25, 10, 3, run)


def run(one: Scenario, tmp_path: Path, *, quick: bool = False) -> bool:
    state = State(tmp_path / "state.json")
    return run_scenario(one, quick=quick, state=state, results=tmp_path / "soak.json", workspace=tmp_path)


def records(tmp_path: Path) -> list[Counts]:
    return list(json.loads((tmp_path / "soak.json").read_text()))


def test_slices_add_up(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    assert run(scenario(calls), tmp_path)
    assert calls == [(0, 10), (10, 10), (20, 5)]
    (record,) = records(tmp_path)
    assert record["verdict"] == "passed"
    assert record["seeds"] == 25
    assert record["counts"] == {"cuts": 25, "rss_max": 20, "quarters": [0, 10, 20]}
    assert record["machine"]["processors"] >= 1
    assert not (tmp_path / "state.json").exists()


def test_an_interrupted_run_goes_on_behind_the_last_slice(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    with pytest.raises(KeyboardInterrupt):
        run(scenario(calls, interrupt_at=10), tmp_path)
    assert not (tmp_path / "soak.json").exists()
    assert run(scenario(calls), tmp_path)
    assert calls == [(0, 10), (10, 10), (10, 10), (20, 5)]
    assert records(tmp_path)[0]["counts"]["cuts"] == 25


def test_a_failure_is_the_verdict_and_keeps_the_directory(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    assert not run(scenario(calls, fail_at=10), tmp_path)
    (record,) = records(tmp_path)
    assert record["verdict"] == "failed from 10: row 7 is gone"
    assert record["seeds"] == 10
    assert len(list(tmp_path.glob("cuts-10-*"))) == 1
    assert not list(tmp_path.glob("cuts-0-*"))


def test_a_quick_run_is_one_short_slice(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    assert run(scenario(calls), tmp_path, quick=True)
    assert calls == [(0, 3)]
    assert records(tmp_path)[0]["scenario"] == "cuts-quick"


def test_counts_add_by_their_kind() -> None:
    assert add({"a": 1, "b_max": 5}, {"a": 2, "b_max": 3, "c": [1]}) == {"a": 3, "b_max": 5, "c": [1]}
