"""Whose claim on a standby's log is over."""

from __future__ import annotations

import pytest

from helios_cli.engine.consensus.config import ClusterConfig, Member
from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.engine.replication.slot_claims import COUNTS_S, MEMBER_S, elsewhere


def member(name: str) -> Member:
    return Member(name, name, "h", 1, 2, 3, "")


CONFIG = ClusterConfig(
    7, SyncMode.SYNC, tuple(map(member, ("asynchronous", "here", "primary", "sync"))), ("here", "primary", "sync")
)
FORMER = ("asynchronous", "here", "primary", "removed", "sync")


@pytest.mark.parametrize(
    ("name", "silent_s", "is_over"),
    [
        ("primary", 0.0, True),
        ("sync", COUNTS_S, False),
        ("sync", COUNTS_S + 1, True),
        ("asynchronous", MEMBER_S, False),
        ("asynchronous", MEMBER_S + 1, True),
        ("removed", 0.0, True),
        ("cascading", 1e9, False),
        ("sync", None, False),
        ("primary", None, False),
        ("removed", None, False),
    ],
)
def test_who_needs_no_log_of_a_standby(name: str, silent_s: float | None, is_over: bool) -> None:
    silent = {} if silent_s is None else {name: silent_s}
    assert elsewhere([name], CONFIG, FORMER, silent, "primary") == ([name] if is_over else [])
