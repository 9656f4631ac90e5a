"""The drill's own arithmetic, on accounts written by hand."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest

from helios_cli.commands.demo import summary
from helios_cli.commands.drill import workload
from helios_cli.commands.drill.display import sparkline
from helios_cli.commands.drill.drill import Plan, Verdict, kill_times
from helios_cli.commands.drill.workload import Account, Ledger, payload, take_account
from helios_cli.engine.net.pgclient import Result, Target


class Stored:
    """A node that holds given rows."""

    rows: list[tuple[str, str, str]] = []  # noqa: RUF012 -- replaced by each test

    def __init__(self, _target: Target) -> None:
        pass

    def __enter__(self) -> Stored:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def stream(self, _sql: str) -> Iterator[Result]:
        yield Result(None, list(self.rows), "SELECT")


def account_of(monkeypatch: pytest.MonkeyPatch, rows: list[tuple[int, int, str]], *ledgers: Ledger) -> Account:
    monkeypatch.setattr(workload, "PgClient", Stored)
    monkeypatch.setattr(Stored, "rows", [(str(writer), str(seq), text) for writer, seq, text in rows])
    return take_account(Target(), list(ledgers))


def ledger(acknowledged: int, last: int, *unknown: int) -> Ledger:
    return Ledger(1, acknowledged=acknowledged, last_seq=last, unknown=set(unknown))


def test_all_there(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(1, seq, payload(1, seq)) for seq in (1, 2, 4)]
    assert account_of(monkeypatch, rows, ledger(2, 4, 3, 4)) == Account(2, 3, 0, 0, 1)


def test_a_lost_row_a_wrong_one_and_one_never_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(1, 1, payload(1, 1)), (1, 2, "other"), (1, 9, payload(1, 9)), (7, 1, payload(7, 1))]
    assert account_of(monkeypatch, rows, ledger(3, 3)) == Account(3, 4, 2, 3, 0)


@pytest.mark.parametrize("kills", [0, 1, 7])
def test_kills_fall_inside_the_time_one_in_each_part(kills: int) -> None:
    for seed in range(20):
        times = kill_times(Plan(10, kills, 1, seed))
        assert len(times) == kills and times == sorted(times)
        assert all(1 <= time <= 9 for time in times)
        assert times == kill_times(Plan(10, kills, 1, seed))


def verdict(**changes: Any) -> Verdict:
    sound: dict[str, Any] = {
        "seed": 5, "seconds": 2.0, "rows_per_s": 10.0, "kills": 1, "recovery_ms": (120.0,),
        "account": Account(20, 20, 0, 0, 0), "refused": (), "log_verified": True, "log_report": "ok", "exit_code": 0,
    }  # fmt: skip
    return Verdict(**{**sound, **changes})


def test_only_a_clean_account_passes() -> None:
    assert verdict().passed
    assert summary(verdict())[-1].startswith("VERDICT: passed")
    for change in (
        {"account": Account(20, 19, 1, 0, 0)},
        {"account": Account(20, 21, 0, 1, 0)},
        {"refused": ("XX000: no",)},
        {"log_verified": False},
        {"exit_code": -9},
    ):
        assert not verdict(**change).passed, change
        assert summary(verdict(**change))[-1] == "VERDICT: FAILED."
    assert "repeat with          --seed 5" in summary(verdict())


def test_sparkline() -> None:
    assert sparkline([0, 1, 2, 4]) == "▁▃▅█"
    assert sparkline(deque([0.0, 0.0])) == "▁▁"
    rng = random.Random(1)
    assert len(sparkline([rng.random() for _ in range(30)])) == 30
