"""Statements from rules: texts with choices in double braces, expanded from a random state into trees."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from bench.comparesql import values
from bench.comparesql.expressions import Expressions
from bench.comparesql.tree import Case, Node, node

_HOLE: Final = re.compile(r"\{\{((?:(?!\{\{|\}\}(?!\})).)*)\}\}(?!\})", re.DOTALL)
_OR: Final = re.compile(r"(?<!\|)\|(?!\|)")
"""Between alternatives; ``||`` is an operator."""

Rules = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Script:
    """Statements that are run one after the other; of one that begins with ``?``, two thirds are left in."""

    steps: Sequence[str]
    weight: float = 1.0
    proceed: bool = False
    """Go on after an error, as a client with savepoints does."""
    ordered: bool = True


class Grammar:
    """Expands texts. ``{{a|b}}`` is one of them, ``{{name}}`` one of a rule's, ``{{expr int4}}`` an expression,
    ``{{lit date}}`` a constant, ``{{value date}}`` a constant's text in quotes, ``{{same name}}`` what the rule gave
    the last time.
    """

    def __init__(self, expressions: Expressions, rules: Rules) -> None:
        self.expressions = expressions
        self.rng: Random = expressions.rng
        self.rules = rules
        self._given: dict[str, Node] = {}
        self._special: dict[str, Callable[[str], Node]] = {
            "expr": lambda kind: expressions.make(kind, self.rng.choices((0, 1, 2), (2, 5, 2))[0]),
            "lit": expressions.literal,
            "value": lambda kind: node("", "text", values.quoted(values.plain(self.rng, kind))),
            "any": lambda _: expressions.make(expressions.any_type(), 1),
            "same": lambda name: self._given[name],
            "int": lambda upto: node("", "text", str(self.rng.randint(0, int(upto)))),
        }

    def expand(self, text: str, construct: str = "", kind: str = "statement") -> Node:
        """The tree of a text."""
        parts: list[str | Node] = []
        at = 0
        for hole in _HOLE.finditer(text):
            parts += [text[at : hole.start()], self._filled(hole[1])]
            at = hole.end()
        return node(construct, kind, *[part for part in (*parts, text[at:]) if part != ""])

    def _filled(self, inside: str) -> Node:
        word, _, rest = inside.partition(" ")
        if word in self._special and not _OR.search(inside):
            return self._special[word](rest)
        if inside in self.rules:
            self._given[inside] = self.expand(self.rng.choice(self.rules[inside]), f"rule:{inside}", "clause")
            return self._given[inside]
        return self.expand(self.rng.choice(_OR.split(inside)), "", "clause")

    def case(self, family: str, name: str, script: Script) -> Case:
        """The case of a script."""
        kept = [step for step in script.steps if not step.startswith("?") or self.rng.random() < 0.66]
        steps = [self.expand(step.removeprefix("?"), f"{family}:{name}") for step in kept]
        return Case(family, tuple(steps), script.ordered, proceed=script.proceed)


def chosen(grammar: Grammar, family: str, scripts: Mapping[str, Script]) -> Case:
    """A case of one of the scripts."""
    names = list(scripts)
    name = grammar.rng.choices(names, [scripts[each].weight for each in names])[0]
    return grammar.case(family, name, scripts[name])
