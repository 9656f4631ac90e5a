"""What a primary owes those who wait, and the configuration that it was asked for, when its term or its disk ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from helios_cli.engine.consensus.config import ClusterConfig, Member
from helios_cli.engine.consensus.rule import Progress, SyncMode
from helios_cli.engine.errors import DiskFull, HeliosError, OutcomeUnknown
from helios_cli.engine.log.encoder import RecordEncoder
from helios_cli.engine.node import explanation, failover_hooks, handover
from helios_cli.engine.node.authority import EmbeddedAuthority
from helios_cli.engine.node.leading import Leading
from helios_cli.engine.node.promotion import PromotionRefused
from helios_cli.engine.node.relay import Relay
from helios_cli.engine.types import Lsn, Term

TERM = Term(3, 3)
END = Lsn(500)
NAMES = ("n1", "n2", "n3")
MEMBERS = tuple(Member(name, f"disk of {name}", "h", 1, 2, 3, "") for name in NAMES)
CONFIG = ClusterConfig(4, SyncMode.SEMI_SYNC, MEMBERS, NAMES, voting=NAMES)


class Client:
    """A session that waits for its commit."""

    def __init__(self) -> None:
        self.closed = False
        self.answered = 0
        self.told: HeliosError | None = None
        self.sink = self

    def terminate(self, error: HeliosError) -> None:
        self.told, self.closed = error, True

    def done(self) -> None:
        self.answered += 1


class Primary:
    """The primary n1 of three, in term 3, without a disk; what is to be called later is kept."""

    def __init__(self) -> None:
        self.at = 1000.0
        self.later: list[Callable[[], None]] = []
        self.events: list[str] = []
        self.put: list[ClusterConfig] = []
        self.refusal: HeliosError | None = None
        self.busy = False
        self.asked, self.step_s = 0, 0.001
        self.authority = EmbeddedAuthority()
        loop = SimpleNamespace(time=lambda: self.at, call_soon=self._keep, call_later=self._keep_later)
        streamer = SimpleNamespace(
            progress=Progress(TERM, END, END, END),
            link=None,
            heard_at=self.at,
            blocked_s=0.0,
            hello=SimpleNamespace(incarnation=""),
        )
        self.streamers = {"n2": streamer}
        self.node = SimpleNamespace(
            database=SimpleNamespace(records=SimpleNamespace(term=TERM, lsn=END), reserve=self._reserve),
            store=SimpleNamespace(log=SimpleNamespace(flushed=END, end=END)),
            engine=SimpleNamespace(loop=loop),
            pipeline=SimpleNamespace(
                quiesce=self._quiesce, on_record=None, advance=lambda lsn: [], committed_lsn=END, in_flight=()
            ),
            event=lambda kind, text, **_: self.events.append(kind),
        )
        self.node_id = "n1"
        self.heard_at: dict[str, float] = {"n3": self.at}
        self.replicator = SimpleNamespace(streamers={}, stopped=set())
        this: Any = self
        self.leading: Any = Leading(this, (CONFIG,))
        lease: Any = SimpleNamespace(
            holds=lambda: True,
            confirmed=lambda *_: None,
            progress=lambda s: None,
            end=lambda: None,
            round_trip_ms=lambda current: current,
        )
        self.leading.lease = lease
        self.put_config = self.leading.put_config
        self.leading.put_config = self._config_put  # type: ignore[method-assign]

        self.watchers = SimpleNamespace(all=lambda: (), show=lambda config: None)

    def member(self) -> Member:
        return MEMBERS[0]

    def identity(self) -> Any:
        return SimpleNamespace(incarnation=MEMBERS[0].incarnation)

    def _keep(self, callback: Callable[..., None], *args: Any) -> None:
        self.later.append(lambda: callback(*args))

    def _keep_later(self, _seconds: float, callback: Callable[..., None], *args: Any) -> None:
        self._keep(callback, *args)

    def _reserve(self, _size: int) -> None:
        """There is room."""

    def _config_put(self, config: ClusterConfig) -> tuple[Lsn, Lsn] | None:
        if self.refusal is not None:
            raise self.refusal
        if self.busy:
            return None
        self.put.append(config)
        end = END + 100 * len(self.put)
        return Lsn(end - 100), Lsn(end)

    async def _quiesce(self) -> None:
        """Nothing is in flight."""

    def turn(self) -> None:
        """What was to be called later, once."""
        due, self.later = self.later, []
        for callback in due:
            callback()

    def drained(self, timeout_s: float = 0.05) -> tuple[Any, Lsn]:
        """The wait of a switchover to n2, at most a moment."""
        this: Any = self
        self.replicator = SimpleNamespace(streamers=self.streamers, stopped=set())
        self.asked, self.step_s = 0, timeout_s / 50
        return asyncio.run(handover._drained(this, "n2", timeout_s))

    def now(self) -> float:
        """The clock of the loop: time passes whenever somebody looks, too little to give anybody up."""
        self.asked += 1
        self.at += self.step_s
        return self.at


AT_ONCE = 4
"""So often the clock is looked at when nobody is waited for."""


def test_a_client_that_waits_for_more_copies_is_waited_for_half_of_the_time() -> None:
    """The next primary has its commit, and it may have its answer here."""
    primary, client = Primary(), Client()
    assert primary.drained() == (primary.streamers["n2"], END) and primary.asked == AT_ONCE
    primary.leading.after(SyncMode.SYNC, END, client.done, client)
    assert primary.drained(2.0)[1] == END
    assert primary.asked > AT_ONCE and client.told is None
    primary.leading.close()
    assert isinstance(client.told, OutcomeUnknown)


def test_a_client_that_has_its_answer_is_not_waited_for() -> None:
    primary, client, other = Primary(), Client(), Client()
    end = Lsn(END + 100)
    for one in (client, other):
        primary.leading.after(SyncMode.SYNC, end, one.done, one)
    other.closed = True
    primary.leading.lsns.own_flushed(end)
    said = Progress(TERM, end, end, end)
    for node_id in ("n2", "n3"):
        primary.leading.lsns.acknowledged(node_id, said)
    primary.turn()
    assert client.answered == 1
    assert primary.drained()[1] == END and primary.asked == AT_ONCE


def test_a_client_that_waits_for_more_copies_is_told_when_the_term_ends() -> None:
    primary, client = Primary(), Client()
    primary.leading.after(SyncMode.SYNC, END, client.done, client)
    primary.turn()
    assert primary.leading.is_waited_for and client.answered == 0
    primary.leading.close()
    assert isinstance(client.told, OutcomeUnknown) and client.told.sqlstate == "08007"
    primary.turn()
    assert client.answered == 0


def test_a_commit_that_was_not_answered_is_not_said_to_be_rolled_back() -> None:
    relay: Any = object.__new__(Relay)
    relay._ends, relay._awaiting, relay._retired = True, True, True
    assert relay._loss(None).sqlstate == "08007"
    relay._awaiting = False
    assert relay._loss(None).sqlstate == "40001"


def test_no_change_of_the_configuration_comes_behind_what_the_next_primary_has() -> None:
    primary = Primary()
    leading = primary.leading
    leading.change(paused=True)
    assert len(primary.put) == 1 and leading.lsns.pending is not None
    with pytest.raises(PromotionRefused, match="did not catch up"):
        # The change is on its way: the end of the log is not known.
        primary.drained()
    leading.lsns.acknowledged("n2", Progress(TERM, Lsn(900), Lsn(900), Lsn(900)))
    leading.lsns.own_flushed(Lsn(900))
    assert leading.lsns.pending is None
    primary.drained()
    with pytest.raises(PromotionRefused, match="giving the lead away"):
        leading.change(paused=False)
    with pytest.raises(PromotionRefused, match="giving the lead away"):
        leading.remove("n3")
    assert not leading.unwanted
    for _ in range(100):
        primary.at += 0.1
        leading.reconcile()
    assert len(primary.put) == 1
    leading.resume()
    assert [config.in_sync for config in primary.put[1:]] == [("n1",)], "both are lost, which is said now"


def test_what_an_operator_wants_is_not_forgotten_when_the_disk_is_full(caplog: pytest.LogCaptureFixture) -> None:
    primary = Primary()
    leading = primary.leading
    primary.refusal = DiskFull("no space left")
    leading.change(paused=True)
    leading.remove("n3")
    assert primary.put == [] and len(caplog.records) == 1
    primary.refusal = None
    for _ in range(3):
        leading.reconcile()
        leading.lsns.acknowledged("n2", Progress(TERM, Lsn(900), Lsn(900), Lsn(900)))
        leading.lsns.own_flushed(Lsn(900))
    assert [(config.paused, config.member("n3") is None) for config in primary.put] == [(False, True), (True, True)]
    assert leading.lsns.config.paused and not leading.wanted and not leading.unwanted


def test_a_configuration_that_is_refused_leaves_no_hole_in_the_log() -> None:
    primary = Primary()
    node: Any = primary.node
    records = RecordEncoder(TERM, last=None, db_pages=0, db_checksum=0)
    kept: list[Lsn] = []

    def append(end: Lsn, _config: ClusterConfig, _committed: Lsn) -> None:
        if primary.refusal is not None:
            raise primary.refusal
        kept.append(end)

    node.database.records = records
    node.store.configs = SimpleNamespace(append=append)
    node.pipeline.submit_apart = lambda make: Lsn(len(make()))
    primary.refusal = DiskFull("no space left")
    with pytest.raises(DiskFull):
        primary.put_config(CONFIG)
    assert records.lsn == 0 and records.config_version == 0
    primary.refusal = None
    assert primary.put_config(CONFIG) == (0, records.lsn)
    assert kept == [records.lsn] and records.lsn > 0


def test_a_change_that_nobody_takes_holds_commits_up_and_that_is_told() -> None:
    """The link of each is well, and its disk takes nothing: by the mode alone commits would wait for none of them."""
    primary = Primary()
    leading = primary.leading
    leading.lsns.config = replace(CONFIG, mode=SyncMode.ASYNC)
    primary.streamers.clear()
    leading.unwanted.add("n3")
    leading.reconcile()
    leading.lsns.own_flushed(Lsn(900))
    assert leading.lsns.committed == 0 and leading.why_commits_wait() is None
    primary.at += 3.5
    primary.heard_at = {"n2": primary.at, "n3": primary.at}
    assert leading.why_commits_wait() == "commits wait: a change of the configuration needs the word of n2 or n3"
    leading.lsns.acknowledged("n2", Progress(TERM, Lsn(700), Lsn(700), Lsn(700)))
    assert leading.lsns.committed == 900 and leading.why_commits_wait() is None


def test_who_followed_before_this_node_led_counts_by_its_disk() -> None:
    """One that lost its disk has forgotten what it promised: it is none of those whom the configuration knows."""
    primary = Primary()
    primary.replicator = SimpleNamespace(
        streamers={
            name: SimpleNamespace(node_id=name, hello=SimpleNamespace(incarnation=disk))
            for name, disk in (("n2", "a new disk of n2"), ("n3", "disk of n3"))
        },
        stopped=set(),
    )
    primary.node.pipeline.rule = None
    primary.leading.begin()
    lsns = primary.leading.lsns
    lsns.own_flushed(Lsn(600))
    assert lsns.acknowledged("n2", Progress(TERM, Lsn(600), Lsn(600), Lsn(600))) == 0
    assert lsns.acknowledged("n3", Progress(TERM, Lsn(600), Lsn(600), Lsn(600))) == 600


def test_who_was_heard_of_when_this_node_led_before_is_not_lost_as_soon_as_it_leads_again() -> None:
    """They followed another primary meanwhile, and come when they have heard of this one."""
    primary = Primary()
    primary.heard_at = {"n2": primary.at - 60, "n3": primary.at - 60}
    leading = primary.leading
    assert leading.missing() == () and leading.why_commits_wait() is None
    leading.reconcile()
    assert primary.put == []
    for _ in range(30):
        primary.at += 0.1
        leading.beat(primary.at)
    leading.reconcile()
    assert [config.in_sync for config in primary.put] == [("n1",)], "they have not come"


def test_who_had_stopped_when_this_node_led_before_may_be_there_again() -> None:
    primary = Primary()
    primary.replicator.stopped = {"n2", "n3"}
    primary.node.pipeline.rule = None
    primary.authority = EmbeddedAuthority()
    primary.leading.begin()
    primary.leading.reconcile()
    assert primary.put == []
    primary.replicator.stopped.add("n2")
    primary.replicator.stopped.add("n3")
    primary.leading.reconcile()
    assert [config.in_sync for config in primary.put] == [("n1",)]


def test_a_pause_is_told_as_one_and_the_end_of_it() -> None:
    """Hooks and explain failover have it by that name."""
    primary = Primary()
    for end, paused, kind in ((600, True, "failover_paused"), (700, False, "failover_resumed")):
        primary.leading.pause(paused=paused)
        assert kind not in primary.events, "it is not agreed on"
        primary.leading.lsns.acknowledged("n2", Progress(TERM, Lsn(end), Lsn(end), Lsn(end)))
        primary.leading._own_flushed(Lsn(end))
        assert primary.events[-1] == kind
        assert kind in failover_hooks.KINDS and kind in explanation.KINDS
