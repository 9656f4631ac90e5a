"""The rules by which nodes take, promise, lead and send back; and configurations that several may act by."""

from dataclasses import replace

import pytest

from helios_cli.engine.consensus.acceptance import may_follow, may_lead, may_promise, may_send_back
from helios_cli.engine.consensus.config import EJECT, WAIT, ClusterConfig, Member
from helios_cli.engine.consensus.election import Candidate, judge, judge_all
from helios_cli.engine.consensus.lsns import LsnManager
from helios_cli.engine.consensus.rule import Progress, SyncMode
from helios_cli.engine.consensus.steps import Follower, config_of_term, next_step
from helios_cli.engine.log.history import History, TermStart
from helios_cli.engine.replication.messages import Answer
from helios_cli.engine.types import Lsn, Term

NAMES = ("n1", "n2", "n3")
MEMBERS = tuple(Member(name, f"disk of {name}", "h", 1, 2, 3, "") for name in NAMES)
ALL = ClusterConfig(3, SyncMode.QUORUM, MEMBERS, NAMES, voting=NAMES)
ALONE = replace(ALL, version=4, in_sync=("n1",))
TERM = Term(2, 5)


def manager(*configs: ClusterConfig) -> LsnManager:
    return LsnManager("n1", configs[0], TERM, Lsn(100), begins=Lsn(50), inherited=configs[1:])


def flushed(lsn: int) -> Progress:
    return Progress(TERM, Lsn(lsn), Lsn(lsn), Lsn(lsn))


def answer(node_id: str, last: Term, lsn: int, version: int) -> Answer:
    return Answer(
        node_id, "standby", f"disk of {node_id}", True, last.number, last.number, last.term_id, lsn, version, False,
        "", "", 1,
    )  # fmt: skip


def history(*terms: tuple[int, int]) -> History:
    return History(TermStart(Term(number), Lsn(start)) for number, start in terms)


def test_terms_decide_what_is_taken_promised_and_led() -> None:
    assert may_follow(Term(2), Term(2)) and may_follow(Term(2), Term(3)) and not may_follow(Term(3), Term(2))
    assert may_promise(Term(2), Term(3), leads=False)
    assert not may_promise(Term(2), Term(1), leads=False) and not may_promise(Term(2), Term(3), leads=True)
    assert may_promise(Term(3, 1), Term(3, 1), leads=False), "who gives the lead away has told of it before"
    assert not may_promise(Term(3, 1), Term(3, 1), leads=True)
    assert not may_promise(Term(3, 1), Term(3, 1), leads=False, is_loyal=True)
    assert may_promise(Term(2, 9), Term(3, 1), leads=False)
    assert not may_promise(Term(2, 1), Term(2, 9), leads=False), "another candidate has taken that number"
    log = history((1, 0), (2, 40))
    assert may_lead(Term(3, 1), Term(3, 1), log) and not may_lead(Term(3, 2), Term(3, 1), log)
    assert may_lead(Term(1), Term(1), history()) and not may_lead(Term(2, 9), Term(2, 9), log)


@pytest.mark.parametrize(
    ("own", "theirs", "may"),
    [
        (history((1, 0), (3, 50)), history((1, 0), (2, 40)), True),
        (history((1, 0)), history((1, 0)), False),
        (history((1, 0)), history((1, 0), (2, 40)), False),
        (history(), history((1, 0)), False),
        (history((1, 0)), history(), True),
    ],
)
def test_only_a_log_of_a_later_term_sends_others_back(own: History, theirs: History, may: bool) -> None:
    assert may_send_back(own, theirs) is may


def test_an_ejection_that_nobody_agreed_to_does_not_make_a_candidate_enough() -> None:
    own = Candidate("n1", TERM, Lsn(100), "disk of n1")
    assert "2 of the voters n1, n2, n3 must agree, and 1 does; missing: n2, n3" in judge(ALONE, own, []).reason
    assert judge(ALONE, own, [answer("n2", TERM, 90, 3)]).is_safe
    assert "must be heard" in judge_all([ALL, ALONE], own, []).reason
    assert judge_all([ALL, ALONE], own, [answer("n2", TERM, 90, 3)]).is_safe


def test_whoever_knows_a_later_configuration_is_heeded_though_its_copies_do_not_count() -> None:
    config = replace(ALL, in_sync=("n1", "n2"))
    own = Candidate("n1", TERM, Lsn(100), "disk of n1")
    assert judge(config, own, [answer("n3", TERM, 200, 3)]).is_safe
    assert "has more of the log" in judge(config, own, [answer("n3", TERM, 200, 4)]).reason
    assert "has more of the log" in judge(config, own, [answer("n3", Term(3), 60, 3)]).reason


def test_inherited_configurations_all_count_until_the_next_is_agreed() -> None:
    lsns = manager(ALL, ALONE)
    assert lsns.own_flushed(Lsn(120)) == 0
    assert lsns.propose(replace(ALONE, version=5), Lsn(110), Lsn(120)) == 0
    assert lsns.acknowledged("n2", flushed(110)) == 0, "who finds one below goes by none of before"
    assert lsns.pending is not None
    assert lsns.acknowledged("n2", flushed(120)) == 120
    assert lsns.config.version == 5 and lsns.inherited == ()
    assert lsns.own_flushed(Lsn(130)) == 130


def test_a_configuration_that_names_a_lost_disk_is_replaced_once_that_is_agreed() -> None:
    """By the one of before, the copies of all would count, and one of them is on a disk that is gone."""
    everyone = replace(ALL, mode=SyncMode.SYNC)
    lost = Member("n3", "another disk of n3", "h", 1, 2, 3, "")
    lsns = manager(everyone, everyone.with_member(lost))
    for name, disk in (("n2", "disk of n2"), ("n3", lost.incarnation)):
        lsns.came(name, disk)
    lsns.own_flushed(Lsn(120))
    again = lsns.inherited[0].with_voters("n3").with_in_sync(NAMES)
    assert again.loosens(everyone) and not again.loosens(lsns.inherited[0])
    lsns.propose(again, Lsn(110), Lsn(120))
    assert lsns.acknowledged("n3", flushed(120)) == 0
    assert lsns.acknowledged("n2", flushed(120)) == 120
    assert lsns.config is again


def test_a_smaller_configuration_counts_too_while_it_is_pending() -> None:
    """A candidate that has its record already needs only its members."""
    lsns = manager(ALL)
    lsns.own_flushed(Lsn(130))
    assert lsns.propose(replace(ALL, version=4, in_sync=("n1", "n2")), Lsn(115), Lsn(120)) == 0
    assert lsns.acknowledged("n3", flushed(112)) == 0
    assert lsns.reached_by(SyncMode.QUORUM) == 0
    assert lsns.acknowledged("n2", flushed(112)) == 112
    assert lsns.acknowledged("n2", flushed(118)) == 115


def test_nothing_is_committed_behind_a_change_before_the_voters_have_agreed_to_it() -> None:
    """Whoever finds a configuration below the committed LSN goes by that alone, and the others by the one before."""
    everywhere = replace(ALL, mode=SyncMode.ASYNC)
    lsns = manager(everywhere)
    assert lsns.own_flushed(Lsn(110)) == 110
    assert lsns.propose(everywhere.without_member("n3"), Lsn(110), Lsn(120)) == 110
    assert lsns.own_flushed(Lsn(200)) == 110
    assert lsns.reached_by(SyncMode.SEMI_SYNC) == 0
    assert lsns.acknowledged("n2", flushed(119)) == 110
    assert lsns.reached_by(SyncMode.SEMI_SYNC) == 110, "no level stronger than the mode is reached sooner"
    assert lsns.acknowledged("n2", flushed(120)) == 200
    assert lsns.config.voting == ("n1", "n2")


def test_the_copy_of_a_primary_is_one_of_those_that_count_only_where_it_is_a_member_of_them() -> None:
    """By the configuration of before, one of the two is enough to be promoted: both have to have what is committed."""
    lsns = manager(replace(ALL, in_sync=("n2", "n3")))
    lsns.own_flushed(Lsn(130))
    assert lsns.propose(replace(ALL, version=4), Lsn(110), Lsn(120)) == 0
    assert lsns.acknowledged("n2", flushed(130)) == 0
    assert lsns.acknowledged("n3", flushed(110)) == 110
    assert lsns.acknowledged("n3", flushed(120)) == 130 and lsns.config.version == 4


def test_whoever_a_configuration_waits_for_that_is_still_in_force_is_ejected() -> None:
    before = replace(ALL, in_sync=("n2", "n3"))
    lsns = manager(before)
    lsns.own_flushed(Lsn(130))
    lsns.propose(replace(ALL, version=4), Lsn(110), Lsn(120))
    assert next_step(lsns, {}, (), lambda name: True, 0) is None
    step = next_step(lsns, {}, (), lambda name: name != "n3", 0)
    assert step is not None and (step.kind, step.config.in_sync) == ("ejected", ("n1", "n2"))
    lsns.propose(step.config, Lsn(120), Lsn(130))
    assert lsns.acknowledged("n2", flushed(130)) == 130 and lsns.config.in_sync == ("n1", "n2")
    assert next_step(lsns, {}, (), lambda name: name != "n3", 0) is None


@pytest.mark.parametrize(
    ("on_sync_loss", "by_force", "in_sync"),
    [
        (EJECT, False, ("n2", "n3")),
        (WAIT, False, NAMES),
        (WAIT, True, ("n2", "n3")),
    ],
)
def test_a_new_primary_gives_up_a_lost_copy_only_where_that_is_wanted(
    on_sync_loss: str, by_force: bool, in_sync: tuple[str, ...]
) -> None:
    before = replace(ALL, mode=SyncMode.SYNC, on_sync_loss=on_sync_loss)
    config = config_of_term(before, MEMBERS[1], {"n1"}, Lsn(100), 0, by_force=by_force)
    assert config.in_sync == in_sync
    assert [gap.node_id for gap in config.gaps] == ([] if in_sync == NAMES else ["n1"])
    assert config.version > before.version


def test_a_member_with_another_disk_leaves_also_while_a_change_waits_for_it() -> None:
    """In sync mode the first configuration of a term waits for every copy, and that node's counts no more."""
    config = replace(ALL, mode=SyncMode.SYNC, on_sync_loss=WAIT)
    lsns = manager(config)
    lsns.came("n2", "a new disk")
    lsns.propose(config_of_term(config, MEMBERS[0], set(), Lsn(0), 0), Lsn(140), Lsn(150))
    followers = [
        Follower(replace(MEMBERS[1], incarnation="a new disk"), flushed(200), True),
        Follower(MEMBERS[2], flushed(200), True),
    ]

    def step() -> ClusterConfig | None:
        found = next_step(lsns, {}, followers, lambda node: True, 0)
        return None if found is None else found.config

    proposed = step()
    assert proposed is not None and proposed.in_sync == proposed.voting == ("n1", "n3")
    lsns.propose(proposed, Lsn(170), Lsn(180))
    assert step() is None
    lsns.own_flushed(Lsn(200))
    assert lsns.committed == 0
    lsns.acknowledged("n3", flushed(200))
    assert lsns.committed == 200 and lsns.config == proposed
