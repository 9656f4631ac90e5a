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
