"""What planning on a thread leaves behind."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from support.played_nodes import Loop

from helios_cli.engine.errors import HeliosError, QueryCanceled, SqlError
from helios_cli.engine.net.turns import CROWD, Turns
from helios_cli.engine.node import plan_queue, planning
from helios_cli.engine.node.plan_queue import Lane, PlanQueue
from helios_cli.engine.node.planning import TRIES, PlannedApart
from helios_cli.engine.sql import nesting
from helios_cli.engine.sql.planner import is_definition


class Tree:
    """Stands for what the parser made of a text of a megabyte."""


class Work:
    """Fails with a tree in its hands."""

    def __init__(self) -> None:
        self.tree: weakref.ref[Tree] | None = None

    def __call__(self, *_text: object) -> Any:
        tree = Tree()
        self.tree = weakref.ref(tree)
        raise SqlError("too many parameters", sqlstate="54000")


@pytest.fixture(autouse=True)
def no_search_for_cycles() -> Iterator[None]:
    """A node searches seldom: what only a search frees adds up."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("length", [10, nesting.SHALLOW_MAX + 1])
def test_an_error_frees_what_was_planned(length: int) -> None:
    work = Work()
    try:
        nesting.with_room_to_nest("x" * length, work)
    except SqlError as error:
        assert error.sqlstate == "54000"
    assert work.tree is not None and work.tree() is None


def test_an_error_is_handed_over_without_what_was_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work()
    database = SimpleNamespace(
        borrow=lambda _database: object(), give_back=lambda connection: None, pin=lambda connection: None
    )
    monkeypatch.setattr(planning, "SqliteCatalog", lambda *_, **__: SimpleNamespace(version=1))
    monkeypatch.setattr(planning, "PlanCache", lambda planner: SimpleNamespace(get=work))
    engine: Any = SimpleNamespace(database=database, planner=None)
    acting: Any = None
    result = planning._plan(engine, "x" * (nesting.SHALLOW_MAX + 1), None, ("public",), acting, session_value=str)
    assert result.error is not None and result.error.sqlstate == "54000"
    assert work.tree is not None and work.tree() is None


class Asking:
    """A session whose long texts are planned apart, a queue that the test works off, and a schema that may change."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Any, Any]] = []
        self.version = 1
        self.handled = 0
        self.failures: list[HeliosError] = []
        queue = SimpleNamespace(run=lambda _session, _size, work, done, failed: self.waiting.append((work, done)))
        plans = SimpleNamespace(of_text=lambda *_: None, find=lambda *_: None)
        self.session: Any = SimpleNamespace(
            planned_apart=None, closed=False, committed_catalog=lambda: object(), pid=7,
            schema_view=lambda: SimpleNamespace(plans=plans, catalog=SimpleNamespace(version=self.version)),
            search_path=("public",), acting=None, checks_bodies=True, value_of=str, database_oid=1,
            engine=SimpleNamespace(plan_queue=queue), runner=SimpleNamespace(hold=None), failed=self.failures.append,
            arm_timeouts=lambda: None, disarm_timeouts=lambda: None,
        )  # fmt: skip
        self.frontend: Any = SimpleNamespace(session=self.session, wait=lambda: None, again=self._again)

    def _again(self, _action: Any) -> None:
        self.handled += 1

    def ask(self) -> None:
        assert planning.plan_apart(self.frontend, "SELECT 1" + " " * planning.LOOP_MAX, None, lambda: None)

    def work(self) -> None:
        work, done = self.waiting.pop(0)
        done(work(lambda: None))


def test_what_nobody_waits_for_any_more_is_not_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that send long texts and go away would keep the planner from others."""
    planned: list[object] = []

    def plan(*text: object, **_: object) -> PlannedApart:
        planned.append(text)
        return PlannedApart("", None, 1, ())

    monkeypatch.setattr(planning, "_plan", plan)
    asking = Asking()
    asking.ask()
    asking.ask()
    asking.work()
    assert len(planned) == 1
    asking.session.closed = True
    asking.work()
    assert len(planned) == 1 and asking.handled == 1


def test_one_that_is_cancelled_while_it_waits_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    planned: list[object] = []
    monkeypatch.setattr(planning, "_plan", lambda *text, **_: planned.append(text))
    asking = Asking()
    asking.ask()
    reason = QueryCanceled("canceling statement due to user request")
    asking.session.runner.hold.cancel(reason)
    assert asking.failures == [reason] and asking.session.runner.hold is None
    asking.work()
    assert not planned and not asking.handled and asking.failures == [reason]


@pytest.mark.parametrize("changes", [0, 1, TRIES + 1])
def test_a_schema_that_changes_meanwhile_has_it_planned_anew(changes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop would stand still for as long as the thread has taken."""
    asking = Asking()
    monkeypatch.setattr(planning, "_plan", lambda *_, **__: PlannedApart("", None, asking.version, ()))
    asking.ask()
    times = 0
    while asking.waiting:
        work, done = asking.waiting.pop(0)
        result = work(lambda: None)
        asking.version += times < changes
        times += 1
        done(result)
    assert times == min(changes + 1, TRIES) and asking.handled == 1


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT nosuch", False), ("WITH a AS (SELECT 1) SELECT 1", False), ("(VALUES (1))", False),
        ("-- CREATE\n/* VIEW */ UPDATE t SET a = 1", False), ("/* /* SELECT */ */ CREATE VIEW v AS SELECT 1", True),
        ("CREATE TABLE t (a int)", True), ("CREATE TABLE t AS SELECT 1", False), ("SELECT 1; DROP TABLE t", False),
        ("selection", False), ("DROP TABLE t", True), ("", False),
    ],
)  # fmt: skip
def test_what_is_a_definition(sql: str, expected: bool) -> None:
    if sql == "selection":
        with pytest.raises(SqlError):
            is_definition(sql)
    else:
        assert is_definition(sql) is expected


class Thread:
    """A worker whose work takes as long as the test says."""

    def __init__(self, loop: Loop, takes_s: float) -> None:
        self.loop, self.takes_s = loop, takes_s

    def run(self, work: Any, done: Any, failed: Any) -> None:
        self.loop.call_later(self.takes_s, lambda: done(work()))


def lane(loop: Loop, thread: object) -> tuple[Lane, Turns]:
    turns = Turns(cast(Any, loop), others_share=1)
    return Lane(cast(Any, loop), cast(Any, thread), turns), turns


def add(lane: Lane, size: int, work: Any, done: Any) -> None:
    lane.add(size, (1, work, done, lambda error: None))


@pytest.mark.parametrize(
    ("waiting", "other", "takes_s", "pause_s"),
    [(3, True, 0.5, 0.5 * 2), (30, True, 0.5, 0.5 * CROWD), (3, False, 0.5, 0.0), (3, True, 0.01, 0.0)],
)
def test_long_texts_are_planned_one_by_one_and_leave_time_to_others(
    waiting: int, other: bool, takes_s: float, pause_s: float
) -> None:
    loop = Loop()
    queue, turns = lane(loop, Thread(loop, takes_s))
    done: list[float] = []
    for _ in range(waiting):
        add(queue, 1000, loop.time, done.append)
    turns.newest = 2 if other else 1
    loop.advance(takes_s)
    turns.newest = 1
    loop.advance(60.0)
    assert len(done) == waiting
    assert done[1] - done[0] == pytest.approx(takes_s + pause_s)
    add(queue, 1000, loop.time, done.append)
    loop.advance(takes_s)
    assert len(done) == waiting + 1, "a queue that was empty goes on"


def test_the_shortest_is_planned_first_and_a_rest_after_a_long_one_is_none_for_it() -> None:
    """A client with a short text must not wait for a crowd with long ones, nor for the rests between these."""
    loop = Loop()
    queue, turns = lane(loop, Thread(loop, 1.0))
    done: list[str] = []
    for name, size in (("long", 9000), ("longer", 10_000), ("short", 100)):
        add(queue, size, str, lambda _result, name=name: done.append(name))
    turns.newest = 2
    loop.advance(1.0)
    assert done == ["long"]
    turns.newest = 1
    loop.advance(1.0)
    assert done == ["long", "short"]
    loop.advance(0.5)
    add(queue, 200, str, lambda _result: done.append("late"))
    loop.advance(1.0)
    assert done == ["long", "short", "late"], "the rest is not over for the longer one"
    loop.advance(10.0)
    assert done == ["long", "short", "late", "longer"]


def test_long_texts_and_short_ones_have_a_thread_each() -> None:
    async def run() -> list[str]:
        loop = asyncio.get_running_loop()
        queue = PlanQueue(loop, Turns(loop, others_share=1))
        done: list[str] = []
        both, held = asyncio.Event(), threading.Event()

        def over(name: str) -> None:
            done.append(name)
            if len(done) == 2:
                both.set()
            held.set()

        queue.run(1, plan_queue.LONG_MIN, lambda _let_in: held.wait(10), lambda _: over("long"), lambda error: None)
        queue.run(2, 5000, lambda _let_in: None, lambda _: over("short"), lambda error: None)
        await asyncio.wait_for(both.wait(), 20)
        await loop.run_in_executor(None, queue.stop)
        return done

    assert asyncio.run(run()) == ["short", "long"]


@pytest.mark.parametrize(("newest", "sleeps"), [(0, 0), (1, 0), (2, 1)])
def test_the_thread_lets_those_in_who_wait_for_answers(
    newest: int, sleeps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    queue, turns = lane(Loop(), SimpleNamespace(run=lambda work, done, failed: work()))

    def work() -> None:
        turns.newest = newest
        nesting.with_room_to_nest("x" * (nesting.SHALLOW_MAX + 1), nesting.pause, queue.let_in)
        nesting.pause()

    add(queue, 1000, work, lambda result: None)
    assert slept == [plan_queue.LET_IN_S] * sleeps
