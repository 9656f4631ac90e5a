"""A member that comes back under its name with an empty disk has lost what it acknowledged: it counts for nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from helios_cli.engine.consensus.config import ClusterConfig, Member
from helios_cli.engine.consensus.election import Candidate, judge, judge_all
from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.engine.replication.messages import Answer
from helios_cli.engine.types import Lsn, Term

NAMES = ("n1", "n2", "n3")
CONFIG = ClusterConfig(
    1,
    SyncMode.QUORUM,
    tuple(Member(name, f"disk of {name}", "h", 1, 2, 3, "quorum") for name in NAMES),
    NAMES,
    voting=NAMES,
)


def answer(node_id: str, incarnation: str, flushed: int = 0) -> Answer:
    return Answer(node_id, "standby", incarnation, True, 2, 1, 1, flushed, 1, False, "n1", "h", 2)


def candidate(incarnation: str = "disk of n3") -> Candidate:
    return Candidate("n3", Term(1, 1), Lsn(500), incarnation)


def test_two_of_three_are_enough() -> None:
    assert judge(CONFIG, candidate(), [answer("n2", "disk of n2", 400)]).is_safe


def test_a_new_disk_under_an_old_name_is_not_heard() -> None:
    verdict = judge(CONFIG, candidate(), [answer("n2", "another disk")])
    assert verdict.loses_data
    assert verdict.reason.endswith("must be heard, and 1 is; missing: n1, n2")


def test_a_candidate_with_a_new_disk_is_none() -> None:
    verdict = judge(CONFIG, candidate("another disk"), [answer("n2", "disk of n2", 400)])
    assert verdict.loses_data
    assert "the copies of node n3 do not count" in verdict.reason


@pytest.mark.parametrize("incarnation", ["disk of n2", "another disk"])
def test_whoever_has_more_of_the_log_stands_in_the_way(incarnation: str) -> None:
    assert "has more of the log" in judge(CONFIG, candidate(), [answer("n2", incarnation, 600)]).reason


def test_who_lacks_the_configuration_that_its_log_goes_by_is_no_candidate() -> None:
    heard = [answer("n2", "disk of n2", 400)]
    assert judge_all((CONFIG,), candidate(), heard).is_safe
    ahead = candidate()._replace(config_version=2)
    verdict = judge_all((CONFIG,), ahead, heard)
    assert verdict.loses_data and "lacks configuration 2" in verdict.reason
    assert judge_all((CONFIG, replace(CONFIG, version=2)), ahead, heard).is_safe


def test_in_async_mode_too_a_copy_that_does_not_count_is_none() -> None:
    # The cluster went on without n3 before it was told to be asynchronous: commits of that time are promised.
    config = replace(CONFIG, mode=SyncMode.ASYNC, in_sync=("n1", "n2"))
    heard = [answer("n2", "disk of n2", 400)]
    assert judge(replace(config, in_sync=NAMES), candidate(), heard).is_safe
    verdict = judge(config, candidate(), heard)
    assert verdict.loses_data and "the copies of node n3 do not count" in verdict.reason


def test_one_that_does_not_count_leads_where_all_who_do_are_heard_and_none_is_ahead() -> None:
    """A primary ejected everybody, sent that to one of them, lost power before its own disk had it, and came back."""
    alone = CONFIG.with_in_sync(["n1"])
    assert judge_all((CONFIG, alone), candidate(), [answer("n2", "disk of n2")]).loses_data
    heard = [answer("n1", "disk of n1", 400), answer("n2", "disk of n2", 400)]
    assert judge_all((CONFIG, alone), candidate(), heard, unasked=True).is_safe
    assert not judge_all((CONFIG, alone), candidate(), [answer("n1", "disk of n1", 600), heard[1]]).is_safe
    assert not judge_all((CONFIG, alone), candidate(), [answer("n1", "another disk", 400), heard[1]]).is_safe


def test_in_async_mode_it_leads_where_all_who_count_are_heard() -> None:
    config = replace(CONFIG, mode=SyncMode.ASYNC).with_in_sync(["n1", "n2"])
    heard = [answer("n1", "disk of n1", 400), answer("n2", "disk of n2", 400)]
    assert judge_all((config,), candidate(), heard, unasked=True).is_safe
    assert judge_all((config,), candidate(), heard[1:], unasked=True).loses_data


def test_in_async_mode_nobody_waits_for_the_disk_that_a_candidate_has_lost() -> None:
    """It has more than the others: they cannot lead before it, and what it had before nobody will ever say."""
    config = replace(CONFIG, mode=SyncMode.ASYNC)
    heard = [answer("n1", "disk of n1", 400), answer("n2", "disk of n2", 400)]
    assert judge_all((config,), candidate("another disk"), heard, unasked=True).is_safe
    assert judge_all((config,), candidate("another disk"), heard[1:], unasked=True).loses_data
    assert judge_all((replace(CONFIG, mode=SyncMode.SEMI_SYNC),), candidate("another disk"), heard).is_safe
    assert judge_all((replace(CONFIG, mode=SyncMode.SEMI_SYNC),), candidate("another disk"), heard[1:]).loses_data
