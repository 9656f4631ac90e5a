"""What planning on a thread leaves behind."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from helios_cli.engine.errors import SqlError
from helios_cli.engine.node import planning


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


@pytest.mark.parametrize("length", [10, planning.SHALLOW_MAX + 1])
def test_an_error_frees_what_was_planned(length: int) -> None:
    work = Work()
    try:
        planning.with_room_to_nest("x" * length, work)
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
    result = planning._plan(engine, "x" * (planning.SHALLOW_MAX + 1), None, ("public",), acting, session_value=str)
    assert result.error is not None and result.error.sqlstate == "54000"
    assert work.tree is not None and work.tree() is None


def test_what_nobody_waits_for_any_more_is_not_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that send long texts and go away would keep the planner from others."""
    planned: list[object] = []
    monkeypatch.setattr(planning, "_plan", lambda *text, **_: planned.append(text))
    waiting: list[Any] = []
    worker = SimpleNamespace(run=lambda work, done, failed: waiting.append((work, done)))
    plans = SimpleNamespace(of_text=lambda *_: None, find=lambda *_: None)
    view = SimpleNamespace(plans=plans, catalog=SimpleNamespace(version=1))
    cleaned: list[bool] = []
    session: Any = SimpleNamespace(
        planned_apart=None, closed=False, committed_catalog=lambda: object(), schema_view=lambda: view,
        search_path=("public",), acting=None, checks_bodies=True, value_of=str, database_oid=1,
        engine=SimpleNamespace(plan_worker=worker), clean_up=lambda: cleaned.append(True),
    )  # fmt: skip
    frontend: Any = SimpleNamespace(session=session, wait=lambda: None, again=lambda action: action())
    for _ in range(2):
        assert planning.plan_apart(frontend, "SELECT 1" + " " * planning.LOOP_MAX, None, lambda: None)
    (work, _), (late, done) = waiting
    work()
    assert len(planned) == 1
    session.closed = True
    done(late())
    assert len(planned) == 1 and cleaned
