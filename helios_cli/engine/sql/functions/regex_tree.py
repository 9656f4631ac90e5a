"""The parts of a regular expression, and which length of match PostgreSQL prefers for each.

PostgreSQL's expressions prefer the longest match or the shortest one as a whole, by rules of their own (manual,
9.7.3.5 Regular Expression Matching Rules), where Python's take the first that their parts' order gives.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.runtime_text import bracket, python_regex

LONGER, NEITHER, SHORTER = 1, 0, -1
"""What length a part prefers."""
ENDLESS: Final = -1
"""No upper bound of a repetition."""
_REPEAT_MAX: Final = 255
_QUANTIFIER: Final = re.compile(r"(?:[*+?]|\{(\d+)(,(\d*))?\})(\?)?", re.ASCII)
_CONSTRAINTS: Final = {"m": r"\b(?=\w)", "M": r"\b(?<=\w)", "y": r"\b", "Y": r"\B", "A": r"\A", "Z": r"\Z"}
_LOOKS: Final = ("(?=", "(?!", "(?<=", "(?<!")


@dataclass(frozen=True, slots=True)
class Char:
    """One character of a set, which ``text`` is as Python writes it."""

    text: str
    prefers: int = NEITHER
    fixed: bool = True


@dataclass(frozen=True, slots=True)
class Constraint:
    """What holds at a position and takes no characters; ``text`` as Python writes it."""

    text: str
    prefers: int = NEITHER
    fixed: bool = True


@dataclass(frozen=True, slots=True)
class Group:
    """What parentheses hold and report as group ``number``."""

    number: int
    inside: Node
    prefers: int
    fixed: bool


@dataclass(frozen=True, slots=True)
class Sequence:
    """Parts one behind the other."""

    parts: tuple[Node, ...]
    prefers: int
    fixed: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several branches."""

    branches: tuple[Node, ...]
    prefers: int
    fixed: bool


@dataclass(frozen=True, slots=True)
class Repeat:
    """A part ``low`` to ``high`` times, without a bound for :data:`ENDLESS`."""

    inside: Node
    low: int
    high: int
    prefers: int
    fixed: bool


Node = Char | Constraint | Group | Sequence | Choice | Repeat


class _NotHereError(Exception):
    """The expression has something that only Python's engine does here: back references, codes of characters."""


def parse(pattern: str, lines: bool) -> tuple[Node, int] | None:
    """The parts and the number of groups; None where Python's engine has to do: for back references, or what is wrong.

    ``lines``: whether ``^`` and ``$`` hold at every line.
    """
    reader = _Reader(pattern, lines)
    try:
        node = reader.choice()
    except _NotHereError:
        return None
    return (node, reader.groups) if reader.at == len(pattern) else None


def is_plain(node: Node) -> bool:
    """Whether Python's way leads to the same match: the length is fixed, or only one part's varies, or each part that
    does takes as many single characters as it can.
    """
    varying: list[Repeat] = []
    if _repeats_groups(node) or not _collect(node, varying):
        return False
    simple = all(isinstance(part.inside, Char) and part.prefers == LONGER for part in varying)
    alike = all(part.prefers == node.prefers for part in varying)
    return alike and (len(varying) <= 1 or simple)


def _collect(node: Node, varying: list[Repeat]) -> bool:
    """Gather the repetitions of varying length; False at a choice between branches of several lengths."""
    if isinstance(node, Char | Constraint) or node.fixed:
        return True
    if isinstance(node, Choice):
        return False
    if isinstance(node, Repeat):
        varying.append(node)
        return _collect(node.inside, varying)
    inside = node.parts if isinstance(node, Sequence) else (node.inside,)
    return all(_collect(part, varying) for part in inside)


def _repeats_groups(node: Node) -> bool:
    """Whether groups are repeated: Python keeps what one of them held in an earlier pass."""
    if isinstance(node, Char | Constraint):
        return False
    if isinstance(node, Repeat):
        return bool(groups_in(node))
    inside = node.branches if isinstance(node, Choice) else node.parts if isinstance(node, Sequence) else (node.inside,)
    return any(map(_repeats_groups, inside))


def groups_in(node: Node) -> tuple[int, ...]:
    """The numbers of the groups inside of a part."""
    if isinstance(node, Char | Constraint):
        return ()
    if isinstance(node, Group):
        return (node.number, *groups_in(node.inside))
    if isinstance(node, Repeat):
        return groups_in(node.inside)
    parts = node.branches if isinstance(node, Choice) else node.parts
    return tuple(number for part in parts for number in groups_in(part))


def _wishes(node: Node) -> set[int]:
    """What a part without groups prefers, itself and inside."""
    found = {node.prefers} - {NEITHER}
    if isinstance(node, Repeat):
        return found | _wishes(node.inside)
    inside = node.branches if isinstance(node, Choice) else node.parts if isinstance(node, Sequence) else ()
    return found.union(*map(_wishes, inside))


def _joined(parts: list[Node]) -> list[Node]:
    """Neighbours without groups that prefer the same become one part, whose length counts as a whole (parseqatom)."""
    out: list[Node] = []
    run: list[Node] = []
    wishes: set[int] = set()

    def close() -> None:
        if len(run) > 1:
            out.append(Sequence(tuple(run), next(iter(wishes), NEITHER), all(part.fixed for part in run)))
        else:
            out.extend(run)
        run.clear()
        wishes.clear()

    for part in parts:
        if groups_in(part):
            close()
            out.append(part)
            continue
        mixed = len(wishes | _wishes(part)) > 1
        if mixed:
            close()
        run.append(part)
        wishes |= _wishes(part)
        if mixed:
            close()
    close()
    return out


def _length(node: Node) -> int:
    """How many characters a part of fixed length takes."""
    if isinstance(node, Char):
        return 1
    if isinstance(node, Constraint):
        return 0
    if isinstance(node, Group):
        return _length(node.inside)
    if isinstance(node, Sequence):
        return sum(map(_length, node.parts))
    if isinstance(node, Choice):
        return _length(node.branches[0])
    return node.low * _length(node.inside)


class _Reader:
    """One expression from its beginning."""

    def __init__(self, pattern: str, lines: bool) -> None:
        self.pattern, self.lines = pattern, lines
        self.at = self.groups = self.looks = 0

    def choice(self) -> Node:
        """Branches up to a closing parenthesis or the end."""
        branches = [self._sequence()]
        while self.pattern.startswith("|", self.at):
            self.at += 1
            branches.append(self._sequence())
        if len(branches) == 1:
            return branches[0]
        fixed = all(branch.fixed for branch in branches) and len(set(map(_length, branches))) == 1
        return Choice(tuple(branches), LONGER, fixed)

    def _sequence(self) -> Node:
        parts: list[Node] = []
        while self.at < len(self.pattern) and self.pattern[self.at] not in "|)":
            parts.append(self._quantified(self._atom()))
        prefers = next((part.prefers for part in parts if part.prefers), NEITHER)
        parts = _joined(parts)
        if len(parts) == 1:
            return parts[0]
        return Sequence(tuple(parts), prefers, all(part.fixed for part in parts))

    def _quantified(self, atom: Node) -> Node:
        match = _QUANTIFIER.match(self.pattern, self.at)
        if match is None:
            return atom
        if isinstance(atom, Constraint):
            raise _NotHereError
        self.at = match.end()
        wanted = SHORTER if match[4] else LONGER
        if match[1] is None:
            low, high = {"*": (0, ENDLESS), "+": (1, ENDLESS), "?": (0, 1)}[match[0][0]]
        elif match[2] is None:
            low = high = int(match[1])
            wanted = atom.prefers
        else:
            low, high = int(match[1]), int(match[3]) if match[3] else ENDLESS
        if max(low, high) > _REPEAT_MAX or (high != ENDLESS and high < low):
            raise _NotHereError
        if _QUANTIFIER.match(self.pattern, self.at):
            raise _NotHereError
        return Repeat(atom, low, high, wanted, atom.fixed and low == high)

    def _atom(self) -> Node:
        pattern, at = self.pattern, self.at
        character = pattern[at]
        if character == "(":
            return self._parenthesis()
        if character == "[":
            text, self.at = bracket(pattern, at)
            return Constraint(text) if text.startswith(r"\b") else Char(text)
        if character == "\\":
            return self._escape()
        self.at += 1
        if character == "^":
            return Constraint("^")
        if character == "$":
            return Constraint("$" if self.lines else r"\Z")
        if character in "*+?" or (character == "{" and pattern[at + 1 : at + 2].isdigit()):
            raise _NotHereError
        return Char("." if character == "." else re.escape(character))

    def _parenthesis(self) -> Node:
        pattern = self.pattern
        look = next((start for start in _LOOKS if pattern.startswith(start, self.at)), "")
        if not look and pattern.startswith("(?", self.at) and not pattern.startswith("(?:", self.at):
            raise _NotHereError
        begin, before = self.at, self.groups
        if look or pattern.startswith("(?:", self.at):
            self.at += len(look) or 3
            self.looks += bool(look)
            inside, number = self.choice(), 0
            self.looks -= bool(look)
        else:
            self.at += 1
            self.groups += 1
            number = self.groups
            inside = self.choice()
        if not pattern.startswith(")", self.at):
            raise _NotHereError
        self.at += 1
        if look:
            if self.groups > before:
                raise _NotHereError
            return Constraint(python_regex(pattern[begin : self.at], "$" if self.lines else r"\Z"))
        return Group(number, inside, inside.prefers, inside.fixed) if number else inside

    def _escape(self) -> Node:
        following = self.pattern[self.at + 1 : self.at + 2]
        if following in _CONSTRAINTS:
            self.at += 2
            return Constraint(_CONSTRAINTS[following])
        if self.looks and following in "123456789":
            raise SqlError("invalid regular expression: invalid backreference number", sqlstate="2201B")
        if not following or following.isdigit() or following in "xuUcB":
            raise _NotHereError
        text = python_regex(self.pattern[self.at : self.at + 2], "")
        self.at += 2
        return Char(text)
