"""Statements as trees: what a generator makes, what a report counts, and what a shrinker takes apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Node:
    """A piece of SQL: text and smaller pieces in order.

    ``construct`` names what it exercises (``function:lower``, ``clause:ORDER BY``), and ``kind`` what may stand in
    its place: ``expr:int4`` an expression of that type, ``clause`` what may be left out, ``rows`` a query,
    ``item`` one of a list that may be left out with the comma before it, ``statement`` a whole one.
    """

    construct: str
    kind: str
    parts: tuple[str | Node, ...]

    @cached_property
    def text(self) -> str:
        """The SQL."""
        return "".join(part if isinstance(part, str) else part.text for part in self.parts)

    def walk(self) -> Iterator[Node]:
        """This node and all below it, the outermost first."""
        yield self
        for part in self.parts:
            if isinstance(part, Node):
                yield from part.walk()

    def replaced(self, old: Node, new: Node) -> Node:
        """The same tree with one node, found by identity, in place of another."""
        if self is old:
            return new
        parts = tuple(part if isinstance(part, str) else part.replaced(old, new) for part in self.parts)
        return self if all(a is b for a, b in zip(parts, self.parts, strict=True)) else Node(*self.head, parts)

    @property
    def head(self) -> tuple[str, str]:
        """Construct and kind."""
        return self.construct, self.kind


@dataclass(frozen=True)
class Case:
    """What is run in one transaction that is rolled back: statements in order, up to the first that fails."""

    family: str
    steps: tuple[Node, ...]
    ordered: bool = False
    """The rows of queries come in an order that the statement determines; they are compared sorted otherwise."""
    binary: bool = False
    """Rows are asked for in the binary format."""
    proceed: bool = False
    """The statements after one that fails are run too."""
    described: bool = False
    """The statements are only prepared: their answer is the types of parameters and columns."""

    @property
    def text(self) -> str:
        """The statements, separated as psql would take them."""
        return "; ".join(step.text for step in self.steps)

    @property
    def constructs(self) -> set[str]:
        """Everything the case exercises."""
        return {node.construct for step in self.steps for node in step.walk() if node.construct}


def node(construct: str, kind: str, *parts: str | Node) -> Node:
    """A node of its parts."""
    return Node(construct, kind, parts)


def separated(parts: list[Node], comma: str = ", ") -> tuple[str | Node, ...]:
    """Nodes with a separator between."""
    out: list[str | Node] = []
    for at, part in enumerate(parts):
        out.extend([comma, part] if at else [part])
    return tuple(out)
