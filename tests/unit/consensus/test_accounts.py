"""Elections told in sentences."""

from __future__ import annotations

from helios_cli.engine.consensus.account import account, withheld
from helios_cli.engine.consensus.config import ClusterConfig, Member
from helios_cli.engine.consensus.election import SICK, TAKES_LEAD, Answer, Candidate, judge
from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.engine.types import Lsn, Term


def member(name: str) -> Member:
    return Member(name, f"disk of {name}", "h", 1, 2, 3, "")


def config(mode: SyncMode, data: str = "ab", observers: str = "o") -> ClusterConfig:
    return ClusterConfig(
        4, mode, tuple(map(member, data)), tuple(data), primary="a", voting=tuple(data),
        observers=tuple(map(member, observers)),
    )  # fmt: skip


def answer(name: str, *, promised: bool = True, flushed: int = 100, last_term: int = 2, **more: object) -> Answer:
    fields: dict[str, object] = {
        "node_id": name, "role": "standby", "incarnation": f"disk of {name}", "promised": promised, "term": 2,
        "last_term": last_term, "last_term_id": 0, "flushed": flushed, "config_version": 4, "reaches_primary": False,
        "primary_id": "a", "primary_host": "", "primary_native_port": 0,
    }  # fmt: skip
    return Answer(**(fields | more))  # type: ignore[arg-type]


OWN = Candidate("b", Term(2), Lsn(100), "disk of b", 4)


def told(cluster: ClusterConfig, *answers: Answer) -> tuple[str, dict[str, str]]:
    promised = [one for one in answers if one.promised]
    verdict = judge(cluster, OWN, promised, unasked=True)
    found = account(cluster, OWN, Term(3), answers, verdict, unasked=True)
    assert found.is_won is verdict.is_safe and bool(found.change) is not found.is_won
    return found.sentence, {one.node_id: one.sentence for one in found.ballots}


def test_who_won_and_by_what() -> None:
    sentence, why = told(config(SyncMode.SEMI_SYNC), answer("o", role="observer"))
    assert sentence == (
        "node b leads in term 3: 2 of the 3 votes, 2 needed; 1 of the 2 nodes whose copies count, 1 needed, none ahead "
        "of it; nothing was heard of a"
    )
    assert why == {
        "a": "nothing was heard of node a",
        "b": "node b is the candidate: its log ends at 0/64",
        "o": "node o promised: it holds no data",
    }


def test_in_async_mode_no_copies_are_asked_for() -> None:
    sentence, _ = told(config(SyncMode.ASYNC), answer("o", role="observer"))
    assert sentence == "node b leads in term 3: 2 of the 3 votes, 2 needed; nothing was heard of a"


def test_who_lost_and_what_would_change_it() -> None:
    cluster = config(SyncMode.QUORUM, "abc", "")
    sentence, why = told(
        cluster, answer("a", promised=False, role=SICK), answer("c", promised=False, reaches_primary=True)
    )
    assert sentence == "node b does not lead in term 3: 2 of a, b, c must be heard, and 1 is; missing: a, c"
    assert why["a"] == "node a did not promise: it is the primary, and its disk takes nothing"
    assert why["c"] == "node c did not promise: it still hears the primary a"
    verdict = judge(cluster, OWN, [], unasked=True)
    record = account(cluster, OWN, Term(3), [], verdict, unasked=True).record()
    assert record["change"] == "Start one of the missing nodes, or give --allow-data-loss."
    assert (record["votes"], record["votes_needed"], record["copies"], record["copies_needed"]) == (1, 2, 1, 2)
    assert [one["outcome"] for one in record["ballots"]] == ["silent", "granted", "silent"]


def test_who_answered_and_did_not_promise_is_not_missing() -> None:
    """To start it, or to give up what it has, is no way out: it is there."""
    cluster, term = config(SyncMode.QUORUM, "abc", ""), Term(3)
    answers = [
        answer("a", promised=False, term=3), answer("c", promised=False, term=2),
        answer("d", promised=False, role=TAKES_LEAD, term=3),
    ]  # fmt: skip
    verdict = withheld(judge(cluster, OWN, [], unasked=True), term, answers)
    assert verdict.reason == (
        "node a did not promise: it has given its vote in term 3; node c did not promise: its vote is not free yet, "
        "and may be a primary's that it has heard of; node d did not promise: it is about to lead in term 3"
    )
    assert verdict.hint == "Ask again in a moment." and verdict.loses_data
    _, why = told(cluster, *answers)
    assert f"{why['a']}; {why['c']}" in verdict.reason


def test_positions_are_compared_with_the_candidate_s() -> None:
    cluster = config(SyncMode.QUORUM, "abcde", "")
    _, why = told(
        cluster, answer("a", flushed=300), answer("c", flushed=60), answer("d", last_term=1, flushed=400),
        answer("e", incarnation="a new disk"),
    )  # fmt: skip
    assert why["a"] == "node a promised: its log ends at 0/12C, ahead of the candidate"
    assert why["c"] == "node c promised: its log ends at 0/3C, 40 bytes behind"
    assert why["d"] == "node d promised: its log ends at 0/190, of the older term 1"
    assert why["e"] == "node e has another disk than it had: it does not know what it has promised"
