"""The default parser of text search, and the configurations: ``simple`` and one for each language (wparser_def.c).

Words, numbers, hyphenated words, hosts, addresses and paths are told apart as PostgreSQL does, markup is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from helios_cli.engine.datatypes.languages import LANGUAGES, dictionary_of, stem
from helios_cli.engine.errors import SqlError

_LETTER: Final = r"[^\W\d_]"
_ALNUM: Final = r"[^\W_]"
_LABEL: Final = r"[A-Za-z0-9](?:[\w-]{0,62}[A-Za-z0-9])?"
# What could reach far ahead is bounded, so that a text is read in a time that grows with its length alone.
_HOST: Final = rf"(?=[\w.-]{{0,253}}[A-Za-z])(?:{_LABEL}\.){{1,30}}{_LABEL}(?::\d{{1,5}})?"
_PATH: Final = r"[/?#][^\s<>\"'`{}|\\^\[\]]+"
_TOKEN: Final = re.compile(
    rf"(?P<tag></?[A-Za-z!?][^<>]*>|&(?:\#\d+|\#[xX][0-9a-fA-F]+|[A-Za-z]\w*);)"
    rf"|(?P<protocol>[A-Za-z]+://)"
    rf"|(?P<email>[A-Za-z0-9][\w.+-]{{0,63}}+@{_HOST})"
    rf"|(?P<url>(?P<host_of_url>(?>{_HOST}))(?P<path>{_PATH}))"
    rf"|(?P<version>\d++(?:\.\d++){{2,30}}+)(?!\w)"
    rf"|(?P<sfloat>(?:(?<!\w)[+-])?\d+(?:\.\d+)?[eE][+-]?\d+)(?!\w)"
    rf"|(?P<float>(?:(?<!\w)[+-])?\d+\.\d+)(?!\w)"
    rf"|(?P<file>(?:/|[A-Za-z0-9][\w.]{{0,255}}+/)[\w.~-]+(?:/[\w.~-]+)*/?)"
    rf"|(?P<host>{_HOST})(?!\w)"
    rf"|(?P<compound>{_LETTER}{_ALNUM}*(?:-{_ALNUM}*{_LETTER}{_ALNUM}*)+)"
    rf"|(?P<int>[+-]\d+)(?!\w)"
    rf"|(?P<word>{_ALNUM}+)"
)


class Token(NamedTuple):
    """A piece of a document."""

    text: str
    kind: str
    """'word' (letters alone), 'simple' and 'number' (indexed as they are), 'compound' (its parts follow it), 'tag',
    'blank'."""
    plain: bool = True
    """Of a compound: it is of letters alone."""


INDEXED: Final = frozenset(("word", "simple", "number", "compound"))
"""Kinds of pieces that are indexed."""
_NUMBERS: Final = ("version", "sfloat", "float", "int")


def pieces(text: str) -> Iterator[Token]:
    """A document piece by piece, with nothing left out; the parts of a compound stand behind it once more."""
    at = 0
    for match in _TOKEN.finditer(text):
        if match.start() > at:
            yield Token(text[at : match.start()], "blank")
        at = match.end()
        if match["tag"]:
            yield Token(match["tag"], "tag")
        elif match["protocol"]:
            yield Token(match["protocol"], "blank")
        elif match["url"]:
            yield Token(match["url"], "compound", plain=False)
            yield Token(match["host_of_url"], "simple")
            yield Token(match["path"], "simple")
        elif match["compound"]:
            yield from _compound(match["compound"])
        elif match["word"]:
            word = match["word"]
            yield Token(word, "word" if word.isalpha() else "number" if word.isdigit() else "simple")
        else:
            yield Token(match[0], "number" if match.lastgroup in _NUMBERS else "simple")
    if at < len(text):
        yield Token(text[at:], "blank")


def _compound(text: str) -> Iterator[Token]:
    """A hyphenated word: the whole, and each part."""
    parts = text.split("-")
    yield Token(text, "compound", plain=all(part.isalpha() for part in parts))
    for number, part in enumerate(parts):
        if number:
            yield Token("-", "blank")
        yield Token(part, "word" if part.isalpha() else "simple")


KINDS: Final = (
    ("asciiword", "Word, all ASCII"),
    ("word", "Word, all letters"),
    ("numword", "Word, letters and digits"),
    ("email", "Email address"),
    ("url", "URL"),
    ("host", "Host"),
    ("sfloat", "Scientific notation"),
    ("version", "Version number"),
    ("hword_numpart", "Hyphenated word part, letters and digits"),
    ("hword_part", "Hyphenated word part, all letters"),
    ("hword_asciipart", "Hyphenated word part, all ASCII"),
    ("blank", "Space symbols"),
    ("tag", "XML tag"),
    ("protocol", "Protocol head"),
    ("numhword", "Hyphenated word, letters and digits"),
    ("asciihword", "Hyphenated word, all ASCII"),
    ("hword", "Hyphenated word, all letters"),
    ("url_path", "URL path"),
    ("file", "File or path name"),
    ("float", "Decimal notation"),
    ("int", "Signed integer"),
    ("uint", "Unsigned integer"),
    ("entity", "XML entity"),
)
"""PostgreSQL's kinds of tokens, from number 1: name and description."""
CONFIGURATIONS: Final = ("simple", *LANGUAGES)
CONFIGURATION_OIDS: Final = {"simple": 3748} | {language: 13152 + 2 * n for n, language in enumerate(LANGUAGES)}
_BY_OID: Final = {str(oid): name for name, oid in CONFIGURATION_OIDS.items()}


def configuration(name: str) -> str:
    """The configuration of a name, with or without its schema, or of an OID. Raises SqlError 42704."""
    plain = name.strip().strip('"').removeprefix("pg_catalog.").lower()
    plain = _BY_OID.get(plain, plain)
    if plain not in CONFIGURATIONS:
        raise SqlError(f'text search configuration "{name}" does not exist', sqlstate="42704")
    return plain


def lexeme(token: Token, chosen: str) -> str | None:
    """What a token is indexed as; None for a stop word."""
    word = token.text.lower()
    if chosen == "simple" or token.kind not in ("word", "compound") or not token.plain:
        return word
    return stem(dictionary_of(chosen, word), word)


def lexemes(text: str, chosen: str) -> list[tuple[str, int]]:
    """Lexemes with their positions, from 1; stop words take a position too."""
    found = []
    indexed = (token for token in pieces(text) if token.kind in INDEXED)
    for place, token in enumerate(indexed, 1):
        kept = lexeme(token, chosen)
        if kept is not None:
            found.append((kept, place))
    return found
