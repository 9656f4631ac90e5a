"""Stems, the document parser, and the binary forms of text search, as PostgreSQL 15 has them."""

from __future__ import annotations

import pytest

from helios_cli.engine.datatypes import tsparser, tsquery, tsvector
from helios_cli.engine.datatypes.languages import stem
from helios_cli.engine.datatypes.tsheadline import headline, read_options
from helios_cli.engine.errors import SqlError

STEMS = {
    "running": "run", "flies": "fli", "dying": "die", "happily": "happili", "nationalization": "nation",
    "generously": "generous", "communism": "communism", "arsenal": "arsenal", "hopping": "hop", "hoped": "hope",
    "proceed": "proceed", "agreed": "agre", "controlled": "control", "relational": "relat", "adjustable": "adjust",
    "youth": "youth", "boys": "boy", "saying": "say", "skies": "sky", "inning": "inning", "oed": "o",
    "geologi": "geolog", "formalize": "formal", "electricity": "electr", "effective": "effect",
    "bowdlerize": "bowdler", "triplicate": "triplic",
}  # fmt: skip
DOCUMENTS = {
    "visit http://example.com/foo/bar?x=1#y now":
        "'/foo/bar?x=1#y':4 'example.com':3 'example.com/foo/bar?x=1#y':2 'visit':1",
    "A-B C 12-foo v1.2.3 -5 10:30 a/b/c":
        "'-5':8 '10':9 '12':5 '30':10 'a-b':1 'a/b/c':11 'b':3 'c':4 'foo':6 'v1.2.3':7",
    "<b>bold</b> &amp; text": "'bold':1 'text':2",
    "john.doe@example.com, it's 1e10": "'1e10':4 'john.doe@example.com':1",
}  # fmt: skip


@pytest.mark.parametrize(("word", "expected"), STEMS.items())
def test_stems(word: str, expected: str) -> None:
    assert stem("english", word) == expected


@pytest.mark.parametrize(
    ("language", "word", "expected"),
    [
        ("french", "continuellement", "continuel"),
        ("french", "avec", None),
        ("german", "häuser", "haus"),
        ("spanish", "corriendo", "corr"),
        ("russian", "красивая", "красив"),
        ("turkish", "evlerinizden", "ev"),
        ("greek", "ίομουνα", "ίομουνα"),
        ("french", "a" * 1001, "a" * 1001),
    ],
)
def test_languages(language: str, word: str, expected: str | None) -> None:
    assert stem(language, word) == expected


def test_russian_texts_have_english_words() -> None:
    assert tsparser.lexemes("running кошки the", "russian") == [("run", 1), ("кошк", 2)]


FRAGMENTS = {
    "MaxFragments=2, MaxWords=4, MinWords=1": "[one] two three four ... more [one] word",
    'MaxFragments=2, MaxWords=4, MinWords=1, FragmentDelimiter=" / "': "[one] two three four / more [one] word",
    "MaxFragments=1, MaxWords=4, MinWords=1": "[one] two three four",
}


@pytest.mark.parametrize(("options", "expected"), FRAGMENTS.items())
def test_fragments_of_headlines(options: str, expected: str) -> None:
    text = "one two three four five six seven eight nine more one word"
    marks = "StartSel=[, StopSel=], ShortWord=2, "
    assert headline(text, tsquery.read("'one'"), "simple", read_options(marks + options)) == expected


def test_fragments_are_not_negative() -> None:
    with pytest.raises(SqlError, match="MaxFragments should be >= 0"):
        read_options("MaxFragments=-1")


@pytest.mark.parametrize(("document", "expected"), DOCUMENTS.items())
def test_documents(document: str, expected: str) -> None:
    found: dict[str, list[tuple[int, int]]] = {}
    for lexeme, place in tsparser.lexemes(document, "english"):
        found.setdefault(lexeme, []).append((place, 0))
    assert tsvector.write(tsvector.ordered(dict(found))) == expected


def test_binary_forms() -> None:
    vector = "'a':1A,3 'b'"
    assert tsvector.format_tsvector_binary(vector).hex() == "000000026100" + "0002c00100036200" + "0000"
    assert tsvector.parse_tsvector_binary(tsvector.format_tsvector_binary(vector)) == vector
    query = "'a' & !'b' <2> 'c':*A"
    data = tsquery.format_tsquery_binary(query)
    assert data.hex() == "00000006" + "0202" + "02040002" + "0108016300" + "0201" + "0100006200" + "0100006100"
    assert tsquery.parse_tsquery_binary(data) == query


@pytest.mark.parametrize("piece", ["a+", "a.", "a-", "<a", "a@", "1.", "a/", "+-"])
def test_nothing_of_a_document_is_lost(piece: str) -> None:
    # Long enough for a reader that looks ahead without bounds to run into the timeout of tests.
    document = piece * 20_000
    assert "".join(found.text for found in tsparser.pieces(document) if found.kind != "compound") == document
