"""Text search over JSON documents: to_tsvector, json_to_tsvector and ts_headline (to_tsany.c, wparser.c)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Final

from helios_cli.engine.datatypes import tsquery, tsvector
from helios_cli.engine.datatypes.jsons import quote_json
from helios_cli.engine.datatypes.tsheadline import headline, read_options
from helios_cli.engine.datatypes.tsparser import configuration, lexemes
from helios_cli.engine.datatypes.tsvector import Position
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.runtime_json import items, members

_KINDS: Final = ("string", "numeric", "boolean", "key", "all")
_HINT: Final = 'Possible values are: "string", "numeric", "boolean", "key", and "all".'


def document_to_tsvector(name: str, document: str, flags: str = '"string"') -> str:
    """The parts of a document that ``flags`` asks for, as lexemes; a position is left free between two of them.

    Raises:
        SqlError: 22023 for flags that are none.
    """
    wanted = _wanted(flags)
    chosen = configuration(name)
    found: dict[str, list[Position]] = {}
    before = 0
    for kind, text in _parts(document.strip()):
        if kind not in wanted and "all" not in wanted:
            continue
        last = before
        for lexeme, place in lexemes(text, chosen):
            last = before + place
            found.setdefault(lexeme, []).append((last, 0))
        before = last + 1
    return tsvector.write(tsvector.ordered(dict(found)))


def _wanted(flags: str) -> set[str]:
    listed = items(flags) if flags[:1] == "[" else [flags]
    if listed is None or flags[:1] == "{":
        raise SqlError("wrong flag type, only arrays and scalars are allowed", sqlstate="22023")
    wanted = set()
    for raw in listed:
        if raw[:1] != '"':
            raise SqlError("flag array element is not a string", sqlstate="22023", hint=_HINT)
        word = json.loads(raw)
        if word.lower() not in _KINDS:
            raise SqlError(f'wrong flag in flag array: "{word}"', sqlstate="22023", hint=_HINT)
        wanted.add(word.lower())
    return wanted


def _parts(raw: str) -> Iterator[tuple[str, str]]:
    """The keys and scalars of a document in their order: kind, text. Nulls are none."""
    if raw[:1] == "{":
        for key, value in members(raw):
            yield "key", key
            yield from _parts(value)
    elif raw[:1] == "[":
        for value in items(raw) or ():
            yield from _parts(value)
    elif raw[:1] == '"':
        yield "string", json.loads(raw)
    elif raw in ("true", "false"):
        yield "boolean", raw
    elif raw != "null":
        yield "numeric", raw


def document_headline(separator: str) -> Callable[..., str]:
    """ts_headline of a document: of each of its strings. ``separator``: behind a comma and a colon in its text."""

    def call(name: str, document: str, query: str, options: str = "") -> str:
        chosen, wanted, read = configuration(name), tsquery.read(query), read_options(options)

        def changed(raw: str) -> str:
            if raw[:1] == "{":
                pairs = (f"{quote_json(key)}:{separator}{changed(value)}" for key, value in members(raw))
                return "{" + f",{separator}".join(pairs) + "}"
            if raw[:1] == "[":
                return "[" + f",{separator}".join(changed(value) for value in items(raw) or ()) + "]"
            return quote_json(headline(json.loads(raw), wanted, chosen, read)) if raw[:1] == '"' else raw

        return changed(document.strip())

    return call
