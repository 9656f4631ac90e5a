"""The smallest statement that still differs in the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from bench.comparesql.answers import Difference
from bench.comparesql.tree import Case, Node, node

MAX_RUNS: Final = 60
_SOURCES: Final = ("", " FROM t1", " FROM t2 s", " FROM t1 a, t2 b")
"""Where an expression that is to stand alone may find its columns."""
_LEAVES: Final = ("literal", "column")


def shrunk(case: Case, found: Difference, differs: Callable[[Case], Difference | None]) -> Case:
    """Take the case apart while it differs in the same kind and detail; ``differs`` runs it on both servers."""
    runs = 0
    best = case
    while True:
        smaller = None
        tried: set[str] = set()
        for candidate in sorted(_candidates(best), key=lambda each: len(each.text)):
            if candidate.text in tried or len(candidate.text) >= len(best.text):
                continue
            tried.add(candidate.text)
            runs += 1
            now = differs(candidate)
            if now is not None and (now.kind, now.detail) == (found.kind, found.detail):
                smaller = candidate
                break
            if runs >= MAX_RUNS:
                return best
        if smaller is None:
            return best
        best = smaller


def _candidates(case: Case) -> Iterator[Case]:
    for at, step in enumerate(case.steps):
        if len(case.steps) > 1:
            yield replace(case, steps=case.steps[:at] + case.steps[at + 1 :])
        for changed in _smaller(step):
            yield replace(case, steps=(*case.steps[:at], changed, *case.steps[at + 1 :]))
    if case.binary:
        yield replace(case, binary=False)


def _smaller(step: Node) -> Iterator[Node]:
    for each in step.walk():
        if each is not step and each.kind.startswith(("expr:", "srf")):
            for source in _SOURCES if _names_columns(each) else _SOURCES[:1]:
                yield node("", "statement", "SELECT ", each, source)
        if each.kind == "clause" and each.text:
            yield step.replaced(each, node("", "clause"))
        if each.kind.startswith("expr:") and not each.construct.startswith(_LEAVES):
            yield from _replacements(step, each)
    yield from _without_items(step)


def _replacements(step: Node, each: Node) -> Iterator[Node]:
    for below in each.walk():
        if below is not each and below.kind == each.kind:
            yield step.replaced(each, below)
    kind = each.kind.removeprefix("expr:")
    if kind != "?":
        name = f"{kind[1:]}[]" if kind.startswith("_") else kind
        yield step.replaced(each, node("literal:null", each.kind, f"NULL::{name}"))


def _without_items(step: Node) -> Iterator[Node]:
    for each in step.walk():
        parts = list(each.parts)
        for at, part in enumerate(parts):
            if not isinstance(part, Node) or part.kind != "item":
                continue
            if at and parts[at - 1] == ", ":
                yield step.replaced(each, Node(*each.head, tuple(parts[: at - 1] + parts[at + 1 :])))
            elif at + 1 < len(parts) and parts[at + 1] == ", ":
                yield step.replaced(each, Node(*each.head, tuple(parts[:at] + parts[at + 2 :])))


def _names_columns(each: Node) -> bool:
    return any(below.construct == "column" for below in each.walk())
