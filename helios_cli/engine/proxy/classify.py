"""The class of every query string that clients send, remembered by shape: parsed once, looked up ever after."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Any, Final

from helios_cli.engine.errors import SqlError
from helios_cli.engine.proxy import lexical, unparsed, utilities
from helios_cli.engine.proxy.statement import Access, Control, Setting, Statement
from helios_cli.engine.sql import grammar
from helios_cli.engine.sql.shape import lift

LIFTED_MAX: Final = 1024
"""Characters of a text from which on its first word is looked at before its shape."""
PARSED_MAX: Final = 64 * 1024
"""Characters of the longest text that is parsed, which takes 0.2 s at worst; a longer one is judged by its words."""
KEPT_MAX: Final = 16 * 1024
"""Characters of the longest shape or text that is remembered."""
CHARACTERS_MAX: Final = 16 << 20
"""Of all that are remembered."""

_BY_TEXT: Final = Statement(Access.WRITE, "by text")
"""Stands for a shape whose literals matter: its texts are remembered one by one."""


class _Memory:
    """Classes by key, bounded in number and length; the oldest goes. Each operation takes the same short time."""

    def __init__(self, size: int) -> None:
        self.entries: OrderedDict[str, Statement] = OrderedDict()
        self.get = self.entries.get
        self._size = size
        self._characters = 0

    def put(self, key: str, statement: Statement) -> None:
        """Remember one, unless its key is too long."""
        if len(key) > KEPT_MAX or key in self.entries:
            return
        self.entries[key] = statement
        self._characters += len(key)
        while len(self.entries) > self._size or self._characters > CHARACTERS_MAX:
            oldest, _statement = self.entries.popitem(last=False)
            self._characters -= len(oldest)


class Classes:
    """Judges query strings. Not thread safe: of one event loop."""

    def __init__(self, size: int = 4096) -> None:
        """``size`` is how many shapes are remembered; of texts whose literals matter, a quarter as many."""
        self._shapes = _Memory(size)
        self._texts = _Memory(max(1, size // 4))
        self._known = self._shapes.get

    def __len__(self) -> int:
        """How many classes are remembered."""
        return len(self._shapes.entries) + len(self._texts.entries)

    def of(self, sql: str) -> Statement:
        """The class of a query string, whatever it holds. Two microseconds when its shape is known."""
        found = self._known(sql)
        if found is not None:
            return found
        if len(sql) > LIFTED_MAX:
            found = unparsed.change(sql)
            if found is not None:
                return found
            if len(sql) > KEPT_MAX:
                return _of_long(sql)
        shape, literals = lift(sql)
        if literals:
            found = self._known(shape)
            if found is not None:
                return found if found is not _BY_TEXT else self._of_text(sql)
        return self._meet(sql, shape)

    def _of_text(self, sql: str) -> Statement:
        found = self._texts.get(sql)
        if found is None:
            found = _judge(sql, lexical.cut(sql))[0]
            self._texts.put(sql, found)
        return found

    def _meet(self, sql: str, shape: str) -> Statement:
        """A text whose shape is not known: perhaps it is without its comments."""
        found = self._texts.get(sql)
        if found is not None:
            return found
        pieces = lexical.cut(sql)
        if "\0" in sql:
            # No client can send it; keys of shapes have it.
            return unparsed.judge(sql, pieces, wrong=True)
        if not pieces.comments:
            return self._learn(sql, shape, sql, pieces)
        hint = lexical.hint(sql, pieces)
        bare = lexical.without(sql, pieces.comments)
        bare_shape, _literals = lift(bare)
        key = f"{bare_shape}\0\0{hint}" if hint else bare_shape
        found = self._known(key)
        if found is None or found is _BY_TEXT:
            found = self._learn(bare, key, sql, lexical.cut(bare), hint)
        if shape == sql:
            self._shapes.put(sql, found)
        return found

    def _learn(self, bare: str, key: str, sql: str, pieces: lexical.Pieces, hint: str = "") -> Statement:
        """Judge a text without comments, and remember it by its shape, or by the text where that is not enough."""
        statement, matters = _judge(bare, pieces)
        if hint:
            statement = replace(statement, hint=hint)
        if not lexical.is_lifted_cleanly(bare, pieces):
            matters = True
        else:
            self._shapes.put(key, _BY_TEXT if matters and "\0" in key else statement)
        if matters:
            self._texts.put(sql, statement)
        return statement


def _of_long(sql: str) -> Statement:
    """The class of a text that is not remembered: long lists of constants need not be parsed."""
    pieces = lexical.cut(sql)
    code = unparsed.code(sql, pieces)
    found = unparsed.change(code) or unparsed.query(code)
    if found is None:
        return _judge(sql, pieces)[0]
    hint = lexical.hint(sql, pieces)
    return replace(found, hint=hint) if hint else found


def _judge(sql: str, pieces: lexical.Pieces) -> tuple[Statement, bool]:
    """The class of a text, and whether its literals matter."""
    hint = lexical.hint(sql, pieces) if pieces.comments else ""
    bare = lexical.without(sql, pieces.comments) if pieces.comments else sql
    statement, matters = _judge_tree(bare) if len(sql) <= PARSED_MAX else (None, True)
    if statement is None:
        statement = unparsed.judge(sql, pieces, wrong=len(sql) <= PARSED_MAX)
    return (replace(statement, hint=hint) if hint else statement), matters


def _judge_tree(sql: str) -> tuple[Statement | None, bool]:
    """The same by the parser's tree; None where there is none, or not one that is understood."""
    parsed = _parse(sql)
    if parsed is None:
        return None, True
    try:
        statement = _combined([utilities.judge(node, text) for node, text in parsed])
        return statement, any(utilities.depends_on_literals(node) for node, _text in parsed)
    except (LookupError, TypeError, AttributeError):
        # A form of tree that nobody has thought of must not end a client's session.
        return None, True


def _parse(sql: str) -> list[tuple[dict[str, Any], str]] | None:
    """The statements' trees and texts; None for what the parser does not take."""
    try:
        parsed: Any = grammar.parse(sql)
        encoded = sql.encode()
    except (grammar.Refused, SqlError, RecursionError, ValueError):
        return None
    found = []
    for item in parsed:
        start = item.get("stmt_location", 0)
        length = item.get("stmt_len", len(encoded) - start)
        found.append((item["stmt"], encoded[start : start + length].decode()))
    return found


def _combined(statements: list[Statement]) -> Statement:
    """The class of a query string from those of its statements, in order."""
    if len(statements) == 1:
        return statements[0]
    if not statements:
        return Statement(Access.READ, "empty", count=0)
    writer = next((one for one in statements if one.access is Access.WRITE), statements[0])
    settings, resets = _settings_left(statements)
    frees = [one.frees for one in statements if one.frees is not None]
    return Statement(
        writer.access,
        f"{writer.why} among {len(statements)} statements",
        count=len(statements),
        has_control=any(one.has_control for one in statements),
        read_only=any(one.read_only and one.control is Control.BEGIN for one in statements),
        settings=settings,
        resets=resets,
        discards=any(one.discards for one in statements),
        pins=next((one.pins for one in statements if one.pins), ""),
        unpins=tuple([name for one in statements for name in one.unpins]),
        frees=None if not frees else "" if "" in frees else frees[-1],
        copies_in=any(one.copies_in for one in statements),
        wraps=any(one.named for one in statements)
        and all(one.plain and (one.named or not one.access) for one in statements),
    )


def _settings_left(statements: list[Statement]) -> tuple[tuple[Setting, ...], bool]:
    """What the statements leave set when all of them succeed, and whether a RESET ALL came before."""
    kept: list[Setting] = []
    kept_resets = resets = False
    settings: list[Setting] = []
    for one in statements:
        if one.resets:
            settings, resets = [], True
        settings += one.settings
        if one.control is Control.COMMIT:
            kept, kept_resets = list(settings), resets
        elif one.control is Control.ROLLBACK:
            settings, resets = list(kept), kept_resets
    return tuple(settings), resets
