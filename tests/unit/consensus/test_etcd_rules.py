"""What etcd's keys say to a candidate, and under which conditions they are written."""

from __future__ import annotations

from dataclasses import replace

import pytest

from helios_cli.engine.consensus.authority import (
    HISTORY_MAX,
    Keys,
    Leader,
    Sync,
    View,
    agree,
    answer,
    ask_for_term,
    give_term,
    has_forgotten,
    is_kept,
    is_protected,
    view_of,
)
from helios_cli.engine.consensus.config import ETCD, REFEREE, ClusterConfig, Member
from helios_cli.engine.consensus.election import Candidate, judge_all, still_led
from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.engine.replication.messages import Answer
from helios_cli.engine.types import Lsn, Term

KEYS = Keys("/p", "c1")
NAMES = ("n1", "n2", "n3")
CONFIG = ClusterConfig(
    7, SyncMode.QUORUM, tuple(Member(name, f"disk of {name}", "h", 1, 2, 3, "") for name in NAMES), NAMES,
    primary="n1", voting=NAMES, authority=ETCD,
)  # fmt: skip
FIRST = Leader("n1", "disk of n1", 4, 9, "h", 2)
SEEN = View(FIRST, 11, 4, 4, 11, Sync.of(Term(4, 9), CONFIG), 12)
OWN = Candidate("n2", Term(4, 9), Lsn(300), "disk of n2", 7)
OTHER = Answer("n3", "standby", "disk of n3", True, 5, 4, 9, 200, 7, False, "n1", "h", 2)
TWO, ONE = ("n2", "disk of n2"), ("n1", "disk of n1")


def test_a_term_is_given_only_if_nothing_has_changed() -> None:
    given = give_term(KEYS, SEEN, replace(FIRST, node_id="n2", term=5), Lsn(300), 1)
    assert dict(given.unchanged) == {"/p/c1/leader": 11, "/p/c1/term": 11, "/p/c1/sync": 12}
    assert [(put.key, put.leased) for put in given.puts] == [
        ("/p/c1/leader", True), ("/p/c1/term", False), (KEYS.history(5), False),
    ]  # fmt: skip
    assert KEYS.history(9) < KEYS.history(10) and given.forget_before == KEYS.history(0)
    far = give_term(KEYS, SEEN, replace(FIRST, term=HISTORY_MAX + 6), Lsn(0), 1)
    assert KEYS.history(5) < far.forget_before <= KEYS.history(6)


def test_a_candidate_has_its_term_to_itself() -> None:
    asked = ask_for_term(KEYS, SEEN, 6)
    assert dict(asked.unchanged) == {"/p/c1/leader": 11, "/p/c1/term": 11}
    (put,) = asked.puts
    found = view_of(KEYS, {put.key: (put.value, 12)})
    assert (found.term, found.given) == (6, 4)
    again = give_term(KEYS, replace(SEEN, term=6), FIRST, Lsn(0), 1)
    found = view_of(KEYS, {put.key: (put.value, 13) for put in again.puts})
    assert (found.term, found.given) == (6, 4), "a primary whose lease was over leads on, and the number is used up"


def test_a_configuration_is_agreed_to_while_the_leader_is_the_same() -> None:
    told = Sync.of(Term(4, 9), replace(CONFIG, version=8))
    agreed = agree(KEYS, SEEN, told)
    assert agreed.unchanged == (("/p/c1/leader", 11), ("/p/c1/sync", 12))
    found = view_of(KEYS, {put.key: (put.value, 20) for put in agreed.puts})
    assert found.sync == told and ClusterConfig.from_bytes(told.config.encode()) == replace(CONFIG, version=8)


def test_what_is_read_is_what_was_written() -> None:
    given = give_term(KEYS, SEEN, FIRST, Lsn(300), 1)
    found = view_of(KEYS, {put.key: (put.value, 30) for put in given.puts})
    assert (found.leader, found.leader_revision, found.term, found.sync_revision) == (FIRST, 30, 4, 0)
    assert view_of(KEYS, {}) == View(None, 0, 0, 0, 0, None, 0)
    for damaged in ("{}", "[1]", "no JSON", '{"node_id": 1}'):
        with pytest.raises(ValueError):
            view_of(KEYS, {KEYS.leader: (damaged, 1)})


def test_the_lead_is_kept_while_the_primary_may_acknowledge_alone() -> None:
    assert is_kept(SEEN, TWO, "", protected=False)
    assert not is_kept(SEEN, TWO, "", protected=True)
    assert not is_kept(SEEN, TWO, "n1", protected=False), "it gives the lead away itself"
    assert not is_kept(SEEN, ONE, "", protected=False), "it was restarted"
    assert is_kept(SEEN, ("n1", "another disk"), "", protected=False)
    assert not is_kept(replace(SEEN, leader=None), TWO, "", protected=False)
    alone = CONFIG.with_in_sync(("n1",))
    assert is_protected((CONFIG,)) and not is_protected((CONFIG, alone))
    assert not is_protected((replace(CONFIG, mode=SyncMode.ASYNC),))


def test_nobody_leads_whom_etcd_does_not_let() -> None:
    told = answer(SEEN, TWO, "", promise=True, protected=True)
    assert told.promised and judge_all((CONFIG,), OWN, [OTHER, told], unasked=True).is_safe
    verdict = judge_all((CONFIG,), OWN, [OTHER], unasked=True)
    assert "etcd does not give the lead" in verdict.reason and verdict.loses_data
    assert "must be heard" in judge_all((CONFIG,), OWN, [told], unasked=True).reason
    kept = answer(SEEN, TWO, "", promise=True, protected=False)
    assert not kept.promised and "etcd keeps the lead for n1" in still_led([kept], 5).reason


def test_the_lead_is_not_taken_by_one_that_hears_nobody() -> None:
    sync = replace(CONFIG, mode=SyncMode.SYNC)
    told = answer(SEEN, TWO, "", promise=True, protected=True)
    assert "etcd keeps the lead for n1, and 1 of n1, n2, n3 are heard" in judge_all((sync,), OWN, [told]).reason
    assert judge_all((sync,), OWN, [told, OTHER], unasked=True).is_safe
    for free in (replace(SEEN, leader=None), replace(SEEN, leader=replace(FIRST, node_id="n2", incarnation=TWO[1]))):
        assert judge_all((sync,), OWN, [answer(free, TWO, "", promise=True, protected=True)], unasked=True).is_safe
    assert judge_all((sync,), OWN, [answer(SEEN, TWO, "n1", promise=True, protected=True)]).is_safe, "it is given away"
    assert judge_all((sync.with_in_sync(("n1", "n2")),), OWN, [told], unasked=True).is_safe, "of two one is half"


def test_the_configuration_in_etcd_is_gone_by_too() -> None:
    later = replace(CONFIG.with_in_sync(("n1",)), version=8)
    told = answer(replace(SEEN, sync=Sync.of(Term(4, 9), later)), TWO, "", promise=True, protected=True)
    assert "copies of node n2 do not count" in judge_all((CONFIG,), OWN, [OTHER, told], unasked=True).reason
    older = answer(replace(SEEN, sync=Sync.of(Term(3, 1), later)), TWO, "", promise=True, protected=True)
    assert judge_all((CONFIG,), OWN, [OTHER, older], unasked=True).is_safe, "a primary of a later term has changed it"


def test_an_etcd_that_goes_back_has_forgotten() -> None:
    assert SEEN.sync is not None and not has_forgotten(SEEN, None) and not has_forgotten(SEEN, SEEN.sync)
    assert has_forgotten(replace(SEEN, sync=None), None)
    assert has_forgotten(SEEN, replace(SEEN.sync, version=8))
    assert has_forgotten(SEEN, replace(SEEN.sync, term=5, version=1))


def test_etcd_is_the_one_voter() -> None:
    assert CONFIG.elects and CONFIG.voters("n1") == (REFEREE,) and CONFIG.electorate("n1") == ((REFEREE, "etcd"),)
    assert CONFIG.everybody == tuple((name, f"disk of {name}") for name in NAMES)
    assert ClusterConfig.from_bytes(CONFIG.to_bytes()) == CONFIG
    pair = replace(CONFIG, in_sync=("n1", "n2"), authority="embedded", voting=("n1", "n2"))
    assert not pair.elects and replace(pair, authority=ETCD).elects
