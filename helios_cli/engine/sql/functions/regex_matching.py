"""The matches of a regular expression as PostgreSQL finds them.

Python's engine tells where the next match begins. Where its end is another question for PostgreSQL
(:mod:`.regex_tree`), the positions that each part can reach are followed as sets, one bit for each position, and the
parts are then laid out over the match in the order in which PostgreSQL does (cdissect, regexec.c).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from helios_cli.engine.sql.functions.regex_tree import (
    ENDLESS,
    SHORTER,
    Char,
    Choice,
    Constraint,
    Group,
    Node,
    Repeat,
    groups_in,
    is_plain,
    parse,
)

_Step = Callable[[Node, int], int]
_WINDOW: Final = 64
"""Characters that are looked at first; twice as many as long as a match may be longer."""


@dataclass(frozen=True, slots=True)
class Found:
    """A match: where it and its groups are, (-1, -1) for a group that took no part."""

    text: str
    spans: tuple[tuple[int, int], ...]

    def start(self, group: int = 0) -> int:
        """Where the match or a group begins; -1 for a group without a match."""
        return self.spans[group][0]

    def end(self, group: int = 0) -> int:
        """Where it ends."""
        return self.spans[group][1]

    def __getitem__(self, group: int) -> str | None:
        start, end = self.spans[group]
        return None if start < 0 else self.text[start:end]

    def groups(self) -> list[str | None]:
        """What the groups matched."""
        return [self[number] for number in range(1, len(self.spans))]


class Expression:
    """A compiled expression; ``pattern`` as PostgreSQL writes it, ``None`` for one that Python's engine alone knows."""

    def __init__(self, finder: re.Pattern[str], pattern: str | None) -> None:
        self.finder = finder
        self.groups = finder.groups
        parsed = None if pattern is None else parse(pattern, bool(finder.flags & re.MULTILINE))
        self.tree = None if parsed is None or parsed[1] != finder.groups or is_plain(parsed[0]) else parsed[0]

    def search(self, text: str, start: int = 0) -> Found | None:
        """The first match from a position on."""
        match = self.finder.search(text, start)
        if match is None:
            return None
        if self.tree is None:
            return Found(text, tuple(match.span(group) for group in range(self.groups + 1)))
        return _laid_out(self.tree, self.groups, text, match.start(), self.finder.flags)

    def matches(self, text: str, start: int = 0) -> Iterator[Found]:
        """All matches; behind an empty one the next character is stepped over (setup_regexp_matches, regexp.c)."""
        while start <= len(text):
            found = self.search(text, start)
            if found is None:
                return
            yield found
            start = found.end() + (found.start() == found.end())


def _laid_out(tree: Node, groups: int, text: str, start: int, flags: int) -> Found:
    """The match that begins at a position where one does."""
    size = _WINDOW
    while True:
        reach = _Reach(text, start, size, flags)
        ends = reach.ahead(tree, 1)
        if not reach.at_edge and ends:
            break
        size *= 2
    end = (ends & -ends).bit_length() - 1 if tree.prefers == SHORTER else ends.bit_length() - 1
    spans = [(-1, -1)] * (groups + 1)
    reach.lay(tree, 0, end, spans)
    spans[0] = (0, end)
    return Found(text, tuple((low + start, high + start) if low >= 0 else (-1, -1) for low, high in spans))


@lru_cache(maxsize=1024)
def _compiled(text: str, flags: int) -> re.Pattern[str]:
    return re.compile(text, flags & (re.IGNORECASE | re.MULTILINE | re.DOTALL))


class _Reach:
    """Positions of ``text`` from ``start`` on, bit 0 for ``start`` itself, and how parts lead from one to another."""

    def __init__(self, text: str, start: int, size: int, flags: int) -> None:
        self.text, self.start, self.flags = text, start, flags
        self.window = text[start : start + size]
        self.whole = start + size >= len(text)
        self.edge = 1 << len(self.window)
        self.at_edge = False
        """Whether a part wanted to see what is behind the window."""
        self.masks: dict[str, int] = {}

    def _mask(self, node: Char | Constraint) -> int:
        known = self.masks.get(node.text)
        if known is None:
            known = self._chars(node.text) if isinstance(node, Char) else self._constraint(node.text)
            self.masks[node.text] = known
        return known

    def _chars(self, text: str) -> int:
        """The positions whose character belongs to a set."""
        match = _compiled(text, self.flags).fullmatch
        table = {ord(character): "1" if match(character) else "0" for character in set(self.window)}
        return int(self.window[::-1].translate(table) or "0", 2)

    def _constraint(self, text: str) -> int:
        """The positions where a constraint holds."""
        match = _compiled(text, self.flags).match
        return sum(1 << at for at in range(len(self.window) + 1) if match(self.text, self.start + at))

    def ahead(self, node: Node, origins: int) -> int:
        """Where a part that begins at any of ``origins`` may end."""
        if isinstance(node, Char):
            if origins & self.edge and not self.whole:
                self.at_edge = True
            return (origins & self._mask(node)) << 1
        if isinstance(node, Constraint):
            return origins & self._mask(node)
        if isinstance(node, Group):
            return self.ahead(node.inside, origins)
        if isinstance(node, Choice):
            reached = 0
            for branch in node.branches:
                reached |= self.ahead(branch, origins)
            return reached
        if isinstance(node, Repeat):
            return self._repeated(node, origins, self.ahead)
        for part in node.parts:
            origins = self.ahead(part, origins)
        return origins

    def back(self, node: Node, ends: int) -> int:
        """Where a part that ends at any of ``ends`` may begin."""
        if isinstance(node, Char):
            return (ends >> 1) & self._mask(node)
        if isinstance(node, Constraint):
            return ends & self._mask(node)
        if isinstance(node, Group):
            return self.back(node.inside, ends)
        if isinstance(node, Choice):
            reached = 0
            for branch in node.branches:
                reached |= self.back(branch, ends)
            return reached
        if isinstance(node, Repeat):
            return self._repeated(node, ends, self.back)
        for part in reversed(node.parts):
            ends = self.back(part, ends)
        return ends

    def _repeated(self, node: Repeat, places: int, step: _Step) -> int:
        for _ in range(node.low):
            places = step(node.inside, places)
        if node.high == ENDLESS and isinstance(node.inside, Char):
            return self._run(self._mask(node.inside), places, step == self.back)
        reached = fresh = places
        left = node.high - node.low if node.high != ENDLESS else ENDLESS
        while fresh and left:
            fresh = step(node.inside, fresh) & ~reached
            reached |= fresh
            left -= 1
        return reached

    def _run(self, mask: int, places: int, backwards: bool) -> int:
        """All positions that any number of steps over the characters of ``mask`` leads to."""
        if backwards:
            shift = 1
            while mask:
                places |= (places >> shift) & mask
                mask &= mask >> shift
                shift *= 2
            return places
        # A carry runs through neighbouring ones (Cameron et al., Bitwise Data Parallelism in Regular Expressions).
        places |= ((places & mask) + mask) ^ mask
        if places & self.edge and not self.whole:
            self.at_edge = True
        return places

    # -- laying the parts out over a match ------------------------------------------------------------

    def lay(self, node: Node, start: int, end: int, spans: list[tuple[int, int]]) -> None:
        """Note the groups of a part that is known to match from ``start`` to ``end``."""
        if isinstance(node, Group):
            spans[node.number] = (start, end)
            self.lay(node.inside, start, end, spans)
        elif isinstance(node, Choice):
            branch = next(one for one in node.branches if self.ahead(one, 1 << start) >> end & 1)
            self.lay(branch, start, end, spans)
        elif isinstance(node, Repeat):
            self._lay_repeat(node, start, end, spans)
        elif not isinstance(node, Char | Constraint):
            self._lay_sequence(node.parts, start, end, spans)

    def _lay_sequence(self, parts: Sequence[Node], start: int, end: int, spans: list[tuple[int, int]]) -> None:
        """Each part takes as much as it prefers of what lets the others match, the first one first."""
        from_here = [1 << end]
        for part in reversed(parts):
            from_here.append(self.back(part, from_here[-1]))
        from_here.pop()
        for part, follows in zip(parts, reversed(from_here), strict=True):
            middle = _preferred(self.ahead(part, 1 << start) & follows & -(1 << start), part.prefers)
            self.lay(part, start, middle, spans)
            start = middle

    def _lay_repeat(self, node: Repeat, start: int, end: int, spans: list[tuple[int, int]]) -> None:
        """The last pass alone has groups; where there need not be any, each pass takes what the part prefers."""
        inside = node.inside
        if not groups_in(inside):
            return
        if node.low > 0:
            before = Repeat(inside, node.low - 1, node.high if node.high == ENDLESS else node.high - 1, 0, False)
            places = self.ahead(before, 1 << start) & self.back(inside, 1 << end) & -(1 << start)
            self.lay(inside, _preferred(places, node.prefers or inside.prefers), end, spans)
            return
        if start == end and (inside.prefers == SHORTER or not self.ahead(inside, 1 << start) >> end & 1):
            return
        high, groups = node.high, groups_in(inside)
        follows = self.back(node, 1 << end)
        while True:
            if high != ENDLESS:
                high -= 1
                follows = self.back(Repeat(inside, 0, high, 0, False), 1 << end)
            reached = self.ahead(inside, 1 << start) & follows & -(1 << start)
            middle = _preferred(reached & ~(1 << start) or reached, inside.prefers)
            for number in groups:
                spans[number] = (-1, -1)
            self.lay(inside, start, middle, spans)
            if middle == end:
                return
            start = middle


def _preferred(places: int, prefers: int) -> int:
    """The nearest or the farthest of some positions."""
    return (places & -places).bit_length() - 1 if prefers == SHORTER else places.bit_length() - 1
