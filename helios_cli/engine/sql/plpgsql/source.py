"""What the text of a PL/pgSQL body tells and its parsed tree does not: which block declares what, and what is returned.

The tree (libpg_query's) has one flat list of variables, knows no types of the catalog, so that a row variable has to
be shown to it as ``record``, and leaves out the variable that a RETURN NEXT names.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

TOKEN: Final = re.compile(
    r"""(?P<space>\s+|--[^\n]*|/\*.*?\*/)
    |(?P<string>[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|\$(?P<tag>[A-Za-z_]\w*|)\$.*?\$(?P=tag)\$)
    |(?P<quoted>"(?:[^"]|"")*")
    |(?P<word>[A-Za-z_\x80-\U0010ffff][\w$]*)
    |(?P<other>:=|<<|>>|\.\.|.)""",
    re.DOTALL | re.VERBOSE,
)
_TYPE_ENDS: Final = frozenset(("not", "default", "collate", "cursor", "no", "scroll"))


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a body."""

    kind: str
    text: str
    start: int
    end: int

    @property
    def word(self) -> str:
        """A keyword or unquoted name, folded; empty for all else."""
        return self.text.lower() if self.kind == "word" else ""

    @property
    def name(self) -> str:
        """What it names as an identifier."""
        return self.text[1:-1].replace('""', '"') if self.kind == "quoted" else self.text.lower()


@dataclass(slots=True)
class Declaration:
    """One entry of a DECLARE section."""

    name: str
    type_text: str = ""
    alias_of: str = ""
    is_row: bool = False
    """Its type is the row of a table, which ``type_text`` names."""


@dataclass(slots=True)
class Source:
    """A body made ready to be parsed."""

    text: str
    blocks: list[list[Declaration]] = field(default_factory=list)
    """What each block declares, in the order of their BEGINs."""
    returns: list[str] = field(default_factory=list)
    """The expression of each RETURN and RETURN NEXT, in order; empty without one, and for RETURN QUERY."""
    column_wins: bool | None = None
    """What #variable_conflict says: True use_column, False use_variable, None error."""


def tokens_of(text: str) -> list[Token]:
    """The tokens of a body, spaces and comments left out."""
    found = []
    for match in TOKEN.finditer(text):
        kind = match.lastgroup or "other"
        if kind == "tag":
            kind = "string"
        if kind != "space":
            found.append(Token(kind, match[0], match.start(), match.end()))
    return found


def read_source(text: str, is_row: Callable[[str], bool]) -> Source:
    """Look through a body; ``is_row`` says of a type's text whether it is the row type of a table."""
    tokens = tokens_of(text)
    source = Source(text, column_wins=_conflict_option(text))
    replaced: list[tuple[int, int]] = []
    pending: list[Declaration] = []
    at = 0
    while at < len(tokens):
        word = tokens[at].word
        if word == "declare" and _starts_statement(tokens, at):
            at = _read_declarations(text, tokens, at + 1, pending, replaced, is_row)
            continue
        if word == "begin" and _starts_statement(tokens, at):
            source.blocks.append(pending)
            pending = []
        elif word == "return" and _starts_statement(tokens, at):
            source.returns.append(_returned(text, tokens, at + 1))
        at += 1
    for start, end in reversed(replaced):
        lines = "\n" * text.count("\n", start, end)
        text = f"{text[:start]}record{lines} {text[end:]}"
    source.text = text
    return source


def bare_return(text: str) -> int | None:
    """Where the semicolon of the first RETURN without an expression stands; None when each has one."""
    tokens = tokens_of(text)
    for at, token in enumerate(tokens):
        following = tokens[at + 1] if at + 1 < len(tokens) else None
        if token.word == "return" and following is not None and following.text == ";" and _starts_statement(tokens, at):
            return following.start
    return None


def valued_return(text: str) -> int | None:
    """Where the expression of the first RETURN that has one begins; RETURN NEXT and RETURN QUERY are no such."""
    tokens = tokens_of(text)
    for at, token in enumerate(tokens[:-1]):
        following = tokens[at + 1]
        is_plain = following.text != ";" and following.word not in ("next", "query")
        if token.word == "return" and is_plain and _starts_statement(tokens, at):
            return following.start
    return None


def _conflict_option(text: str) -> bool | None:
    match = re.match(r"\s*#variable_conflict\s+(use_column|use_variable|error)", text)
    return {"use_column": True, "use_variable": False}.get(match[1]) if match else None


def _starts_statement(tokens: list[Token], at: int) -> bool:
    if at == 0:
        return True
    before = tokens[at - 1]
    return before.text in (";", ">>") or before.word in (
        "begin", "then", "else", "loop", "use_column", "use_variable", "error", "declare",
    )  # fmt: skip


def _read_declarations(
    text: str,
    tokens: list[Token],
    at: int,
    pending: list[Declaration],
    replaced: list[tuple[int, int]],
    is_row: Callable[[str], bool],
) -> int:
    """Read the entries up to BEGIN; returns the position of BEGIN."""
    while at < len(tokens) and tokens[at].word != "begin":
        if tokens[at].text in (";", "<<", ">>") or tokens[at].word == "declare":
            at += 1
            continue
        end = _statement_end(tokens, at)
        entry = tokens[at:end]
        at = end + 1
        if len(entry) < 2:
            continue
        if entry[1].word == "alias":
            pending.append(Declaration(entry[0].name, alias_of=text[entry[3].start : entry[-1].end]))
            continue
        first = 2 if entry[1].word == "constant" else 1
        last = first
        while last < len(entry) and entry[last].word not in _TYPE_ENDS and entry[last].text not in (":=", "="):
            last += 1
        if last == first:
            pending.append(Declaration(entry[0].name, "refcursor"))
            continue
        start, stop = entry[first].start, entry[last - 1].end
        declared = Declaration(entry[0].name, text[start:stop])
        row_of = re.sub(r"\s*%\s*rowtype$", "", declared.type_text, flags=re.IGNORECASE)
        if row_of != declared.type_text or is_row(declared.type_text):
            declared.type_text, declared.is_row = row_of, True
            replaced.append((start, stop))
        pending.append(declared)
    return at


def _statement_end(tokens: list[Token], at: int) -> int:
    depth = 0
    while at < len(tokens):
        text = tokens[at].text
        depth += (text in "([") - (text in ")]")
        if text == ";" and depth <= 0:
            break
        at += 1
    return at


def _returned(text: str, tokens: list[Token], at: int) -> str:
    if at < len(tokens) and tokens[at].word == "query":
        return ""
    if at < len(tokens) and tokens[at].word == "next":
        at += 1
    end = _statement_end(tokens, at)
    return text[tokens[at].start : tokens[end - 1].end] if end > at else ""


def assigned_expression(text: str) -> tuple[str, str]:
    """The target and the expression of an assignment's text: ``a[1] := b`` is ('a[1]', 'b')."""
    depth = 0
    for token in tokens_of(text):
        depth += (token.text in ("(", "[")) - (token.text in (")", "]"))
        if depth == 0 and token.text in (":=", "="):
            return text[: token.start].strip(), text[token.end :].strip()
    return "", text


def names_of(target: str) -> list[str]:
    """The names that the target of an assignment begins with: ``r.f[1].g`` is r, f."""
    names = []
    tokens = tokens_of(target)
    for at in range(0, len(tokens), 2):
        if tokens[at].kind not in ("word", "quoted"):
            break
        names.append(tokens[at].name)
        if at + 1 < len(tokens) and tokens[at + 1].text != ".":
            break
    return names
