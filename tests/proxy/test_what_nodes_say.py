"""What the proxy makes of what nodes say, in whichever order it comes, and of nodes that break the protocol."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from support.fake_node import READY, FakeNode, message, result
from support.node_process import wait_until
from support.watched import Watched, as_nodes, watched

from helios_cli.engine.proxyserver.node import State
from helios_cli.engine.types import Lsn

NEVER = {"health_check_interval": 600.0}


class Play:
    """Fake nodes, and the proxy's watch over them on the same loop."""

    def __init__(self, stack: ExitStack, nodes: tuple[FakeNode, ...], settings: dict[str, Any]) -> None:
        self.loop = asyncio.new_event_loop()
        self.nodes = {node.name: node for node in nodes}
        self._stack = stack
        for node in nodes:
            self.loop.run_until_complete(node.start())
        self.seen: Watched = stack.enter_context(watched(self.loop, nodes=as_nodes(nodes), **settings))

    def send(self, name: str, data: bytes) -> None:
        """A node sends something unasked."""
        self.seen.call(lambda: self.nodes[name].send(data))

    def stop(self, name: str) -> None:
        """A node is gone."""
        asyncio.run_coroutine_threadsafe(self.nodes[name].stop(), self.loop).result(10)

    def start(self, name: str) -> None:
        """A node is back."""
        asyncio.run_coroutine_threadsafe(self.nodes[name].start(), self.loop).result(10)


MakePlay = Callable[..., Play]


@pytest.fixture
def play() -> Iterator[MakePlay]:
    """Starts fake nodes and watches them; all end with the test."""
    with ExitStack() as stack:

        def make(*nodes: FakeNode, **settings: Any) -> Play:
            found = Play(stack, nodes, NEVER | settings)
            for node in nodes:
                stack.callback(found.stop, node.name)
            return found

        yield make


def two() -> tuple[FakeNode, FakeNode]:
    return FakeNode("a", leads=True), FakeNode("b")


def test_who_announces_that_he_leads_is_believed_at_once(play: MakePlay) -> None:
    a, b = two()
    scene = play(a, b)
    scene.seen.wait_primary("a")
    b.answer = lambda _question: b""
    b.leads, b.term = True, 2
    scene.send("b", b.notice("role", primary="b"))
    scene.seen.wait_primary("b")
    assert scene.seen.node("a").role == "deposed"
    assert scene.seen.node("a").generation == 1
    assert scene.seen.readers() == {"b"}


def test_an_answer_that_was_on_its_way_is_older_than_what_was_told(play: MakePlay) -> None:
    """The node has looked at its role, then it took the lead and told so, then the answer was sent."""
    a, b = two()
    scene = play(a, b)
    scene.seen.wait_primary("a")

    def late(question: str) -> bytes:
        b.answer = None
        stale = b.says(question)
        b.leads, b.term = True, 2
        return stale + b.notice("role", primary="b") + READY

    b.answer = late
    scene.seen.call(lambda: scene.seen.cluster._watches["b"].check())
    scene.seen.wait_primary("b")
    wait_until(lambda: b.questions[-1].endswith("TOPOLOGY") and len(b.questions) > 3, "it was asked again")
    assert [name for name, _term in scene.seen.leads] == ["a", "b"]
    assert scene.seen.node("b").generation == 0, "it never led no longer"


def test_a_term_that_anybody_tells_of_deposes_the_primary(play: MakePlay) -> None:
    a, b = two()
    scene = play(a, b)
    scene.seen.wait_primary("a")
    scene.send("b", b.notice("term", term=2, primary="c"))
    wait_until(lambda: scene.seen.node("a").role == "deposed", "a is deposed")
    assert (scene.seen.primary, scene.seen.cluster.term) == ("", 2)
    assert scene.seen.readers() == {"b"}, "of an older term, but there is nobody else"
    b.term = 2
    b.leads = True
    scene.send("b", b.notice("role", primary="b"))
    scene.seen.wait_primary("b")


def test_writes_are_held_back_while_the_lead_is_given_away(play: MakePlay) -> None:
    a, b = two()
    scene = play(a, b)
    scene.seen.wait_primary("a")
    scene.send("a", a.notice("handover", primary="a"))
    wait_until(lambda: scene.seen.primary == "", "writes are held back")
    assert scene.seen.node("a").generation == 0
    assert scene.seen.readers() == {"a", "b"}
    count = len(a.questions)
    wait_until(lambda: len(a.questions) > count, "it is asked, and says that it leads")
    assert scene.seen.call(lambda: scene.seen.cluster.primary) is None
    scene.send("a", a.notice("handover_ended", primary="a"))
    scene.seen.wait_primary("a")


@pytest.mark.parametrize(
    "payload",
    ["", "x", "[]", '"x"', "null", "1", '{"term": "9", "event": 7, "leads": "yes"}', '{"term": true}', "{" * 999],
)
def test_payloads_that_make_no_sense_change_nothing(play: MakePlay, payload: str) -> None:
    a, b = two()
    scene = play(a, b)
    scene.seen.wait_primary("a")
    scene.seen.call(lambda: scene.seen.cluster.term)
    scene.send("b", b.notification(payload) + b.notice("topology"))
    count = len(b.questions)
    wait_until(lambda: len(b.questions) > count, "it goes on")
    assert (scene.seen.primary, scene.seen.cluster.term) == ("a", 1)


def test_a_role_that_is_reported_takes_the_writes_away_at_once(play: MakePlay) -> None:
    a, b = two()
    scene = play(a, b)
    scene.seen.wait_primary("a")
    a.leads = False
    scene.send("a", message(b"S", b"in_hot_standby\0on\0"))
    wait_until(lambda: scene.seen.node("a").role == "standby", "a is a standby")
    assert scene.seen.primary == ""
    assert scene.seen.node("a").generation == 1


def test_one_that_is_silent_is_lost_only_when_somebody_waits(play: MakePlay) -> None:
    a, b = two()
    scene = play(a, b)
    scene.seen.wait_primary("a")
    b.is_silent = True
    assert scene.seen.node("b").state is State.HEALTHY
    scene.seen.node("b").active = 1
    scene.seen.wait_state("b", State.UNHEALTHY)
    assert scene.seen.node("b").generation == 1
    b.is_silent = False
    scene.seen.wait_state("b", State.HEALTHY)
    assert scene.seen.node("b").generation == 1


def test_one_that_is_gone_is_noticed_at_once_and_asked_for_until_it_is_back(play: MakePlay) -> None:
    a, b = two()
    scene = play(a, b)
    scene.seen.wait_primary("a")
    scene.stop("a")
    wait_until(lambda: scene.seen.primary == "", "it is gone")
    wait_until(lambda: scene.seen.node("a").generation == 1, "nobody listens")
    assert scene.seen.readers() == {"b"}
    scene.start("a")
    scene.seen.wait_primary("a")
    assert scene.seen.node("a").generation == 1


def test_a_lower_term_is_not_believed_when_it_comes_back(play: MakePlay) -> None:
    a, b = two()
    scene = play(a, b)
    scene.seen.wait_primary("a")
    scene.stop("a")
    b.leads, b.term = True, 2
    scene.send("b", b.notice("role", primary="b"))
    scene.seen.wait_primary("b")
    scene.start("a")
    scene.seen.wait_state("a", State.HEALTHY)
    wait_until(lambda: scene.seen.node("a").role == "deposed", "a is heard")
    scene.stop("b")
    wait_until(lambda: scene.seen.primary == "", "b is gone")
    assert scene.seen.readers() == set(), "what a shows is of a term that is over"
    a.leads, a.term = False, 2
    scene.send("a", a.notice("role", primary="b"))
    wait_until(lambda: scene.seen.readers() == {"a"}, "a follows")


def test_a_standby_that_says_how_far_behind_it_is_is_believed(play: MakePlay) -> None:
    a, b = two()
    scene = play(a, b, max_lag=1.0, max_lag_bytes=1000)
    scene.seen.wait_readers("a", "b")
    b.lag = ("1001", "0")
    scene.seen.wait_readers("a")
    b.lag = ("1000", "1000")
    scene.seen.wait_readers("a", "b")
    b.lag = ("0", "1001")
    scene.seen.wait_readers("a")


def test_a_standby_that_hears_nothing_of_a_primary_lags_by_what_that_has_written(play: MakePlay) -> None:
    """Its silence alone is no lag: during an outage reads go on."""
    a, b = two()
    scene = play(a, b, max_lag=0.3)
    b.lag = (None, "90000")
    scene.seen.wait_readers("a", "b")
    count = len(b.questions)
    wait_until(lambda: len(b.questions) > count + 2, "it was asked again")
    assert scene.seen.readers() == {"a", "b"}
    a.lsn = 200
    scene.seen.wait_readers("a")
    scene.stop("a")
    wait_until(lambda: scene.seen.readers() == set(), "the primary is gone")
    b.lsn = 200
    scene.seen.wait_readers("b")


BROKEN = {
    "a message without an end": message(b"D", b"")[:3] + b"\0",
    "an impossible length": b"D\0\0\0\x01",
    "a message that is too long": b"D\x7f\xff\xff\xff",
    "a row without a description": message(b"D", struct.pack("!h", 0)) + READY,
    "a row that is cut off": result([["off"]])[:8] + message(b"D", b"\0\x01\0\0\0\x09x") + READY,
    "no rows": READY,
    "one row of nothing": result([]) + READY,
    "a token that is none": result([["off"]]) + result([["x"]]) + READY,
    "another answer": result([["a", "b"]]) + READY,
    "answers that nobody asked for": READY + READY + READY,
    "an error": message(b"E", b"SERROR\0C53300\0Mno\0\0") + READY,
    "half an error": message(b"E", b"SERROR"),
    "a status without an end": message(b"S", b"x"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_node_that_breaks_the_protocol_gets_nothing_and_harms_nobody(play: MakePlay, name: str) -> None:
    a, b = two()
    scene = play(a, b)
    scene.seen.wait_readers("a", "b")
    b.answer = lambda _question: BROKEN[name]
    scene.seen.node("b").active = 1
    scene.seen.wait_state("b", State.UNHEALTHY)
    assert (scene.seen.primary, scene.seen.readers()) == ("a", {"a"})
    b.answer = None
    scene.seen.wait_state("b", State.HEALTHY)
    scene.seen.wait_readers("a", "b")


def test_looks_are_few_and_somebody_who_waits_hears_of_each(play: MakePlay) -> None:
    a, b = two()
    scene = play(a, b)
    scene.seen.wait_readers("a", "b")
    count, floor = len(b.questions), 1000
    heard: list[int] = []

    def look() -> None:
        heard.append(b.lsn)
        for _ in range(50):
            scene.seen.cluster.look(floor)
        scene.seen.cluster.when_changed(look)

    scene.seen.call(look)
    wait_until(lambda: len(heard) > 5, "each look is told of")
    assert len(b.questions) - count <= len(heard) + 1
    assert scene.seen.readers(floor) == {"a"}
    b.lsn = floor
    scene.seen.wait_readers("a", "b", floor=floor)


def test_who_waits_no_longer_is_not_called(play: MakePlay) -> None:
    a, b = two()
    scene = play(a, b)
    scene.seen.wait_primary("a")
    called: list[str] = []

    def wait() -> None:
        scene.seen.cluster.when_changed(lambda: called.append("here"))
        scene.seen.cluster.when_changed(lambda: called.append("gone"))()

    scene.seen.call(wait)
    scene.stop("b")
    scene.seen.wait_state("b", State.UNHEALTHY)
    assert called == ["here"]


def test_what_a_node_shows_falls_only_when_it_has_begun_anew(play: MakePlay) -> None:
    a, b = two()
    scene = play(a, b)
    scene.seen.wait_readers("a", "b")
    scene.seen.call(lambda: scene.seen.cluster.saw(scene.seen.node("b"), Lsn(500)))
    count = len(b.questions)
    scene.send("b", b.notice("topology"))
    wait_until(lambda: len(b.questions) > count + 1, "an answer that knows less has come")
    assert scene.seen.readers(500) == {"a", "b"}
    b.lsn = 50
    scene.stop("b")
    scene.seen.wait_state("b", State.UNHEALTHY)
    scene.start("b")
    scene.seen.wait_state("b", State.HEALTHY)
    assert scene.seen.readers(51) == {"a"}
    assert scene.seen.node("b").lsn == 50
