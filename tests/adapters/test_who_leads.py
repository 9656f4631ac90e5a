"""Who is told of a primary, who believes it, and who is hurried by it: the moments that a real cluster seldom hits."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from helios_cli.engine.config.roles import Role
from helios_cli.engine.consensus.asked import Asked
from helios_cli.engine.consensus.config import ClusterConfig, Member
from helios_cli.engine.consensus.lsns import LsnManager
from helios_cli.engine.consensus.rule import Progress, SyncMode
from helios_cli.engine.log.history import History
from helios_cli.engine.node import lead_again, promotion, receiver
from helios_cli.engine.node.apply_queue import ApplyQueue
from helios_cli.engine.node.authority import EmbeddedAuthority
from helios_cli.engine.node.failover_watcher import HEARD_S, FailoverWatcher
from helios_cli.engine.node.following import Following, Upstream
from helios_cli.engine.node.lead_changes import Cause
from helios_cli.engine.node.lead_check import LeadCheck
from helios_cli.engine.node.peer_address import Callers
from helios_cli.engine.node.peer_link import PeerLink
from helios_cli.engine.node.visitors import Visitors
from helios_cli.engine.node.watchers import Watcher, Watchers
from helios_cli.engine.replication import messages
from helios_cli.engine.replication.messages import Answer
from helios_cli.engine.types import Lsn, Term
from helios_cli.engine.wire.peer import Frame, Kind

OLD, NEW = Term(1, 11), Term(2, 22)
MEMBER = Member("n2", "", "10.0.0.2", 1, 2, 3, "")


class Link:
    """A connection that remembers what was sent."""

    def __init__(self) -> None:
        self.sent: list[Kind] = []

    def send(self, kind: Kind, _body: bytes) -> None:
        self.sent.append(kind)

    def close(self) -> None:
        pass


@pytest.mark.parametrize("deposed", [False, True])
def test_a_primary_deposed_while_it_calls_announces_nothing(deposed: bool) -> None:
    """Its announcement would carry the newer primary's term, and depose that one."""
    terms = [OLD]
    link = Link()

    async def call(_member: Member) -> Link:
        if deposed:
            terms.append(NEW)
        return link

    lines = SimpleNamespace(held=lambda member: None, call=call)
    own = SimpleNamespace(node_id="n1", host="10.0.0.1", native_port=2)
    config = ClusterConfig(1, SyncMode.QUORUM, (), ())
    replication: Any = SimpleNamespace(
        identity=lambda: own,
        term=lambda: terms[-1],
        is_leading=True,
        config=config,
        open_configs=(config,),
        lines=lines,
    )
    asyncio.run(promotion.announce(replication, MEMBER))
    assert link.sent == ([] if deposed else [Kind.ANNOUNCE])


def test_one_that_nothing_is_heard_of_is_told_who_leads_though_its_connection_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The connection may be dead and not know it, and the other node follow somebody who leads no longer."""
    called: list[str] = []

    async def announce(_replication: Any, member: Member) -> None:
        called.append(member.node_id)

    monkeypatch.setattr(promotion, "announce", announce)
    heard_at = {"n2": 99.9, "n3": 90.0}
    members = tuple(Member(name, "", "", 0, 0, 0, "") for name in ("n1", "n2", "n3", "n4"))
    replication: Any = SimpleNamespace(
        node_id="n1",
        open_configs=(
            ClusterConfig(1, SyncMode.QUORUM, members, ("n1",)).with_observer(replace(MEMBER, node_id="o1")),
        ),
        replicator=SimpleNamespace(streamers={name: SimpleNamespace(heard_at=at) for name, at in heard_at.items()}),
        now=lambda: 100.0,
        later=asyncio.run,
    )
    replication.watchers = watchers = Watchers(replication)
    promotion.announce_to_missing(replication)
    assert called == ["n3", "n4", "o1"]
    watchers._connected["o1"] = Watcher(
        PeerLink(lambda: OLD), messages.Hello("o1", "", "", "observer", "", 0, 0, 0, "", "", False), 99.9
    )
    called.clear()
    promotion.announce_to_missing(replication)
    assert called == ["n3", "n4"]


@pytest.mark.parametrize(("newest", "follows"), [(3, "n2"), (1, "")])
def test_a_primary_whose_own_term_came_to_nothing_follows_who_leads_in_an_older_one(
    monkeypatch: pytest.MonkeyPatch, newest: int, follows: str
) -> None:
    """It was restarted, and took a term that the others refused it; it waits on where its log knows of a later one."""
    followed: list[str] = []
    leads = Answer("n2", "primary", "", False, newest, newest, 1, 900, 1, False, "n2", "h", 1)

    async def survey(_replication: Any, **_options: Any) -> list[Answer]:
        return [leads]

    async def sleep(_seconds: float) -> None:
        replication.leading = object()

    monkeypatch.setattr(promotion, "survey", survey)
    monkeypatch.setattr("helios_cli.engine.node.lead_again.asyncio.sleep", sleep)
    config = ClusterConfig(1, SyncMode.SEMI_SYNC, (), ("n1", "n2"))
    page_log = SimpleNamespace(last=SimpleNamespace(term=Term(2, 22), config_version=1), flushed=Lsn(100))
    replication: Any = SimpleNamespace(
        node_id="n1",
        leading=None,
        role=Role("primary"),
        term=lambda: Term(4),
        now=iter((0.0, 9.0)).__next__,
        watcher=SimpleNamespace(trip_s=0.0),
        config=config,
        open_configs=(config,),
        identity=lambda: SimpleNamespace(node_id="n1", incarnation=""),
        node=SimpleNamespace(store=SimpleNamespace(log=page_log, voted_for="")),
        retarget=lambda node_id, host, port, term: followed.append(node_id),
    )
    asyncio.run(lead_again.lead_again(replication))
    assert followed == ([follows] if follows else [])


@pytest.mark.parametrize(("later_s", "terms"), [(-0.1, 2), (0.05, 3), (0.5, 5)])
def test_voters_that_have_just_begun_are_not_asked_for_term_after_term(
    monkeypatch: pytest.MonkeyPatch, later_s: float, terms: int
) -> None:
    """All nodes were restarted: nobody promises anything before a lease is over, by each one's own clock."""
    lease_s, clock, asked = 0.75, [100.0], []

    async def survey(_replication: Any, **_options: Any) -> list[Answer]:
        return []

    async def sleep(seconds: float) -> None:
        clock[0] += seconds

    async def take_lead(_replication: Any, *_: object, **__: object) -> None:
        asked.append(clock[0])
        if clock[0] < 100.0 + lease_s + later_s:
            raise promotion.PromotionRefused("the votes are not free yet")
        replication.leading = object()

    for name, fake in (("survey", survey), ("take_lead", take_lead), ("refuse_unless_wins", lambda *_: None)):
        monkeypatch.setattr(promotion, name, fake)
    monkeypatch.setattr("helios_cli.engine.node.lead_again.asyncio.sleep", sleep)
    log_of_two = SimpleNamespace(last=SimpleNamespace(term=Term(2, 22), config_version=1), flushed=Lsn(100))
    replication: Any = SimpleNamespace(
        leading=None, role=Role("primary"), term=lambda: Term(2, 22), now=lambda: clock[0], open_configs=(),
        config=ClusterConfig(1, SyncMode.SYNC, (), ()), changing=contextlib.AsyncExitStack(),
        watcher=SimpleNamespace(
            trip_s=0.0, vote=SimpleNamespace(remaining=lambda now: max(0.0, 100.0 + lease_s - now))
        ),
        identity=lambda: SimpleNamespace(node_id="n1", incarnation=""),
        node=SimpleNamespace(store=SimpleNamespace(log=log_of_two, voted_for="")),
    )  # fmt: skip
    asyncio.run(lead_again.lead_again(replication))
    assert len(asked) == terms, asked
    assert asked[-1] - (100.0 + lease_s + later_s) < 0.5, "and it does not wait for much longer than they do"


class Restarted:
    """The primary n1 of two data nodes, which alone votes, after a restart; n2 leads in term 4, and answers late."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answers_s: tuple[float, ...]) -> None:
        self.followed: list[str] = []
        self.led = False
        answers = iter(answers_s)
        members = tuple(Member(name, f"disk of {name}", "h", 1, 2, 3, "") for name in ("n1", "n2"))
        config = ClusterConfig(1, SyncMode.SYNC, members, ("n1", "n2"), primary="n1", voting=("n1",))
        page_log = SimpleNamespace(last=SimpleNamespace(term=Term(3, 3), config_version=1), flushed=Lsn(100))
        store = SimpleNamespace(
            log=page_log, voted_for="", new_term=self._new_term, timeline=SimpleNamespace(history=History())
        )

        async def ask(_replication: Any, _member: Member, _ask: messages.Ask) -> Answer:
            async with asyncio.timeout(1.0):
                await asyncio.sleep(next(answers))
            return Answer("n2", "primary", "disk of n2", False, 4, 4, 4, 900, 2, False, "n2", "h", 5433)

        monkeypatch.setattr(promotion, "_ask", ask)
        self.terms = [Term(3, 3)]
        self.replication: Any = SimpleNamespace(
            node_id="n1", leading=None, following=None, role=Role("primary"), config=config, open_configs=(config,),
            term=lambda: self.terms[-1], now=time.monotonic, authority=EmbeddedAuthority(),
            watcher=SimpleNamespace(pledge=lambda term, *, excused: excused),
            identity=lambda: SimpleNamespace(node_id="n1", incarnation="disk of n1"),
            node=SimpleNamespace(store=store, event=lambda *_, **__: None), changing=contextlib.AsyncExitStack(),
            retarget=lambda node_id, host, port, term: self.followed.append(node_id), lead=self._lead,
        )  # fmt: skip
        restarted: Any = self.replication
        asyncio.run(lead_again.lead_again(restarted))

    def _new_term(self, floor: int) -> Term:
        self.terms.append(Term(max(floor, self.terms[-1].number) + 1, 9))
        return self.terms[-1]

    async def _lead(self, *_: object, **__: object) -> None:
        self.led = True
        self.replication.leading = object()


def test_where_it_alone_votes_a_restarted_primary_waits_for_the_other_node_s_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The other one may have been promoted by hand, and has acknowledged commits of which nobody else knows."""
    own = Restarted(monkeypatch, (promotion.GRACE_S + 0.3,))
    assert own.followed == ["n2"] and not own.led


def test_what_a_restarted_primary_has_heard_once_of_who_leads_it_does_not_forget(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The answer came when it had taken a term already; the ones before and behind it come too late."""
    own = Restarted(monkeypatch, (2.0, 0.0, 2.0, 2.0))
    assert own.terms == [Term(3, 3), Term(4, 9)]
    assert own.followed == ["n2"] and not own.led


def test_a_primary_that_gives_its_lead_away_has_its_vote_to_give() -> None:
    """It may have begun a moment ago, and waits for the end of a lease that it could have granted before."""
    config = ClusterConfig(1, SyncMode.QUORUM, (), (), voting=("n1", "n2", "n3"))
    replication: Any = SimpleNamespace(node_id="n1", config=config, following=None, now=lambda: 0.0)
    replication.node = SimpleNamespace(store=SimpleNamespace(configs=SimpleNamespace(all=lambda: (config,))))
    watcher = FailoverWatcher(replication)
    assert watcher.is_loyal and not watcher.may_vote_for("n2", "") and watcher.may_vote_for("n2", "n1")
    replication.following = SimpleNamespace(upstream=SimpleNamespace(connected=True, node_id="n3"))
    assert not watcher.may_vote_for("n2", "n1") and watcher.may_vote_for("n2", "n3")


def test_where_it_alone_votes_a_restarted_primary_that_does_not_lead_is_not_reached() -> None:
    """It lets the other node in and says how far it is, waits for more answers, and nobody else could be promoted."""
    config = ClusterConfig(1, SyncMode.SYNC, (), (), primary="n1", voting=("n1",))
    clock = [0.0]
    replication: Any = SimpleNamespace(node_id="n2", config=config, now=lambda: clock[0], term=lambda: OLD)
    replication.node = SimpleNamespace(store=SimpleNamespace(configs=SimpleNamespace(all=lambda: (config,))))
    replication.log_clock = SimpleNamespace(sample=lambda *_: None)
    replication.meter = SimpleNamespace(heartbeats_received=0)
    replication.watcher = watcher = FailoverWatcher(replication)
    replication.following = following = object.__new__(Following)
    for name, value in {
        "upstream": Upstream(),
        "_replication": replication,
        "_awaited": None,
        "_offset": SimpleNamespace(local_us=lambda *_: 0),
        "_advance": lambda: None,
        "applicator": SimpleNamespace(queue=ApplyQueue(Lsn(0), 1)),
        "_acknowledge": lambda echo_us: None,
    }.items():
        setattr(following, name, value)
    following.upstream.role, following.upstream.connected = "primary", True

    def reached_after(seconds: float, *lease_ms: int | None) -> bool:
        clock[0] += seconds
        for asked in lease_ms:
            following.committed(Lsn(0), Lsn(0), 1)
            following.heartbeat(asked)
        return watcher.reaches_primary

    assert not reached_after(2 * HEARD_S, None), "it says how far it is, and asks for nothing"
    assert reached_after(0.1, config.lease_ms), "it leads"
    assert not reached_after(HEARD_S), "nothing is heard of it"
    assert reached_after(0.1, 0), "its disk takes nothing, and it leads all the same"
    following.upstream.connected = False
    assert not watcher.reaches_primary


def announcement(term: Term) -> Frame:
    return Frame(Kind.ANNOUNCE, term, messages.Announce("n3", "10.0.0.3", 2).to_body())


@pytest.mark.parametrize(
    ("leads", "term", "gives_way"), [(True, NEW, False), (True, Term(3), True), (False, NEW, True)]
)
def test_a_primary_gives_way_to_a_newer_term_alone(leads: bool, term: Term, gives_way: bool) -> None:
    retargeted: list[str] = []
    replication: Any = SimpleNamespace(
        takes_lead=False,
        node_id="n1",
        term=lambda: NEW,
        is_leading=leads,
        role=Role("primary" if leads else "standby"),
        following=None,
        node=SimpleNamespace(store=SimpleNamespace(promise=lambda term: None)),
        callers=Callers(),
        retarget=lambda node_id, host, port, term: retargeted.append(node_id),
    )
    link: Any = SimpleNamespace(is_loopback=False, address="10.0.0.3", close=lambda: None)
    Visitors(replication)._announced(link, announcement(term))
    assert retargeted == (["n3"] if gives_way else [])


@pytest.mark.parametrize("connected", [False, True])
@pytest.mark.parametrize("role", ["standby", "primary"])
def test_a_node_that_nobody_leads_in_its_term_calls_whoever_leads_in_an_older_one(role: str, connected: bool) -> None:
    """It took a term that came to nothing: asked for records, the primary hears of that term and takes a newer one.

    A primary that was restarted, and tried to lead on, is such a node too.
    """
    retargeted: list[str] = []
    promised: list[Term] = []
    replication: Any = SimpleNamespace(
        takes_lead=False,
        node_id="n1",
        term=lambda: NEW,
        is_leading=False,
        role=Role(role),
        following=SimpleNamespace(upstream=SimpleNamespace(connected=connected)),
        node=SimpleNamespace(store=SimpleNamespace(promise=promised.append)),
        callers=Callers(),
        retarget=lambda node_id, host, port, term: retargeted.append(node_id),
    )
    link: Any = SimpleNamespace(is_loopback=False, address="10.0.0.3", close=lambda: None)
    Visitors(replication)._announced(link, announcement(OLD))
    assert retargeted == ([] if connected else ["n3"]) and promised == []


def test_a_call_that_a_dead_host_does_not_answer_is_hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(_hurried(monkeypatch))


async def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    called: asyncio.Queue[str] = asyncio.Queue()

    async def reach(_link: Any, host: str, _port: int) -> None:
        called.put_nowait(host)
        await asyncio.Event().wait()

    monkeypatch.setattr(receiver, "reach", reach)
    follower: Any = SimpleNamespace(term=lambda: OLD, lost=lambda error: None)
    host = ["10.0.0.1"]
    wal = receiver.WalReceiver(follower, asyncio.get_running_loop(), lambda: [(host[0], 5433)])
    following = asyncio.ensure_future(wal.run())
    asked = asyncio.ensure_future(wal.open_link())
    try:
        async with asyncio.timeout(5):
            assert {await called.get(), await called.get()} == {"10.0.0.1"}
            host[0] = "10.0.0.3"
            wal.hurry()
            assert await called.get() == "10.0.0.3"
            with pytest.raises(TimeoutError):
                await asked
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


def test_a_primary_that_is_cut_off_is_not_alone() -> None:
    """Its log says that it goes on without the others, who never agreed and may have gone on without it."""
    members = tuple(Member(name, "", "", 0, 0, 0, "") for name in ("n1", "n2", "n3"))
    config = ClusterConfig(1, SyncMode.QUORUM, members, ("n1", "n2", "n3"), voting=("n1", "n2", "n3"))
    lsns = LsnManager("n1", config, OLD, Lsn(100))
    lsns.propose(config.with_in_sync(["n1"]), Lsn(190), Lsn(200))
    lsns.own_flushed(Lsn(200))
    streamers: dict[str, Any] = {}
    replication: Any = SimpleNamespace(
        node_id="n1",
        term=lambda: OLD,
        leading=SimpleNamespace(lsns=lsns),
        config=lsns.newest,
        replicator=SimpleNamespace(streamers=streamers, heartbeat=lambda: None, asked=(asked := Asked())),
        now=lambda: 100.0,
    )
    check = LeadCheck(replication)
    assert not check.is_alone
    answered: list[bool] = []
    check.ask(lambda: answered.append(True))
    check.acknowledged()
    assert answered == []
    streamers["n2"] = SimpleNamespace(
        node_id="n2", confirmed_us=asked.sent(1000, 100.0, 0, asks=False), progress=Progress(OLD)
    )
    check.acknowledged()
    assert answered == [True]


def test_who_asks_for_a_term_in_vain_has_its_vote_for_the_one_that_gets_it() -> None:
    """Etcd gives a term to one of two that ask at once. The other one took none, so it hears the primary's term."""
    config = ClusterConfig(1, SyncMode.QUORUM, (), (), primary="n1", voting=("n1", "n2", "n3"))
    clock = [10.0]

    async def reserve(_floor: int, _giver: str, *, by_force: bool) -> int:
        assert not watcher.vote.heard(clock[0], 0.75, NEW), "while it asks, its vote is its own"
        raise promotion.PromotionRefused("another node asks etcd for the lead at this moment")

    replication: Any = SimpleNamespace(node_id="n2", config=config, now=lambda: clock[0], term=lambda: NEW)
    replication.node = SimpleNamespace(store=SimpleNamespace(configs=SimpleNamespace(all=lambda: (config,))))
    replication.authority = SimpleNamespace(reserve=reserve)
    replication.watcher = watcher = FailoverWatcher(replication)
    clock[0] += 10.0
    with pytest.raises(promotion.PromotionRefused, match="asks etcd"):
        asyncio.run(promotion.take_lead(replication, Cause("a test", automatic=True), unasked=True))
    assert watcher.vote.heard(clock[0], 0.75, NEW) and watcher.is_loyal


@pytest.mark.parametrize("trip_s", [0.0, 0.25])
def test_candidates_leave_each_other_the_time_that_a_slow_authority_takes(trip_s: float) -> None:
    """The second one would ask etcd for a newer term while the first is about to lead, again and again."""
    names = ("n1", "n2", "n3")
    members = tuple(Member(name, f"disk {name}", "", 0, 0, 0, "") for name in names)
    config = ClusterConfig(1, SyncMode.QUORUM, members, names, primary="n1", voting=names)
    clock, asked = [100.0], []

    def stands_at(node_id: str) -> float:
        replication: Any = SimpleNamespace(
            node_id=node_id, config=config, open_configs=(config,), now=lambda: clock[0], term=lambda: NEW,
            takes_lead=False, changing=SimpleNamespace(locked=lambda: False), role=Role("standby"),
            has_state=SimpleNamespace(is_set=lambda: True), following=SimpleNamespace(has_no_room=False, blocked_s=0.0),
            authority=SimpleNamespace(may_stand=lambda: True, trip_s=lambda: trip_s),
        )  # fmt: skip
        replication.node = SimpleNamespace(store=SimpleNamespace(configs=SimpleNamespace(all=lambda: (config,))))

        def later(election: Coroutine[Any, Any, None]) -> None:
            election.close()
            asked.append(clock[0])

        replication.later = later
        watcher = FailoverWatcher(replication)
        asked.clear()
        while not asked:
            watcher.beat()
            clock[0] += 0.01
        return asked[0] - watcher.vote.heard_at

    apart_s = stands_at("n3") - stands_at("n2")
    assert apart_s > 1.5 if trip_s else apart_s < 0.2
