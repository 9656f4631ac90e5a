"""Text search (PostgreSQL manual, 9.13): to_tsvector, to_tsquery and their kin, ranking, headlines."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final

from helios_cli.engine.datatypes import tsmatch, tsorder, tsparser, tsquery, tsvector
from helios_cli.engine.datatypes.arrays import PgArray, read_array, write_array
from helios_cli.engine.datatypes.jsons import quote_json
from helios_cli.engine.datatypes.languages import LANGUAGES, stem
from helios_cli.engine.datatypes.tsheadline import headline, read_options
from helios_cli.engine.datatypes.tsparser import configuration, lexemes
from helios_cli.engine.datatypes.tsquery import AND, NOT, OR, PHRASE, Operation, Query, Value
from helios_cli.engine.datatypes.tsvector import WEIGHTS, Lexemes, Position
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.functions.define import Library
from helios_cli.engine.sql.functions.json_search import document_headline, document_to_tsvector


@lru_cache(64)
def _usual(settings: str) -> str:
    """The session's configuration, from its settings as JSON."""
    return configuration(json.loads(settings).get("default_text_search_config", "english"))


# -- documents ------------------------------------------------------------------------------------


def to_tsvector(name: str, text: str) -> str:
    """A document as lexemes."""
    found: dict[str, list[Position]] = {}
    for lexeme, place in lexemes(text, configuration(name)):
        if len(lexeme.encode()) <= tsvector.LEXEME_MAX:
            found.setdefault(lexeme, []).append((place, 0))
    return tsvector.write(tsvector.ordered(dict(found)))


def _weight(letter: str) -> int:
    if letter.upper() not in tuple(WEIGHTS):
        shown = letter or "\\000"
        raise SqlError(f'unrecognized weight: "{shown}"', sqlstate="22023")
    return WEIGHTS.index(letter.upper())


def setweight(vector: str, letter: str) -> str:
    """Every position with a weight."""
    weight = _weight(letter)
    found = {name: tuple((place, weight) for place, _ in places) for name, places in tsvector.read(vector).items()}
    return tsvector.write(found)


def setweight_of(vector: str, letter: str, names: str) -> str:
    """The positions of some lexemes with a weight."""
    weight, chosen = _weight(letter), set(_texts(names))
    return tsvector.write({
        name: tuple((place, weight) for place, _ in places) if name in chosen else places
        for name, places in tsvector.read(vector).items()
    })  # fmt: skip


def _texts(array: str) -> list[str]:
    return [str(item) for item in read_array(array, str).items if item is not None]


def strip(vector: str) -> str:
    """Without positions and weights."""
    return tsvector.write(dict.fromkeys(tsvector.read(vector), ()))


def tsvector_concat(left: str, right: str) -> str:
    """Two documents one behind the other."""
    one, other = tsvector.read(left), tsvector.read(right)
    last = max((place for places in one.values() for place, _ in places), default=0)
    found: dict[str, list[Position]] = {name: list(places) for name, places in one.items()}
    for name, places in other.items():
        found.setdefault(name, []).extend((place + last, weight) for place, weight in places)
    return tsvector.write(tsvector.ordered(dict(found)))


def ts_delete(vector: str, name: str) -> str:
    """Without a lexeme."""
    return tsvector.write({found: places for found, places in tsvector.read(vector).items() if found != name})


def ts_delete_many(vector: str, names: str) -> str:
    """Without some lexemes."""
    gone = set(_texts(names))
    return tsvector.write({found: places for found, places in tsvector.read(vector).items() if found not in gone})


def ts_filter(vector: str, letters: str) -> str:
    """Only positions with some weights."""
    wanted = {_weight(letter) for letter in _texts(letters)}
    found: Lexemes = {}
    for name, places in tsvector.read(vector).items():
        kept = tuple(place for place in places if place[1] in wanted)
        if kept:
            found[name] = kept
    return tsvector.write(found)


def _text_array(items: list[str]) -> str:
    return write_array(PgArray(list(items), (len(items),) if items else (), (1,) if items else ()), str)


def tsvector_to_array(vector: str) -> str:
    """The lexemes."""
    return _text_array(list(tsvector.read(vector)))


def array_to_tsvector(names: str) -> str:
    """Lexemes without positions. Raises SqlError 22004 for NULL, 22023 for an empty one."""
    items = read_array(names, str).items
    if any(item is None for item in items):
        raise SqlError("lexeme array may not contain nulls", sqlstate="22004")
    if "" in items:
        raise SqlError("lexeme array may not contain empty strings", sqlstate="2200F")
    return tsvector.write(tsvector.ordered(dict.fromkeys(map(str, items), ())))


# -- queries --------------------------------------------------------------------------------------


def _words(chosen: str, kind: int) -> Callable[[Value], Any]:
    """What a word of a query becomes: its lexemes joined by an operator, None for a stop word (pushval_morph)."""

    def made(value: Value) -> Any:
        tree: Any = None
        place = 0
        for lexeme, at in lexemes(value.lexeme, chosen):
            found: Any = Value(lexeme, value.weights, value.prefix)
            for _ in range(at - place - 1 if place else 0):
                tree = Operation(kind, tree, None)  # type: ignore[arg-type]
            tree = found if not place else Operation(kind, tree, found)
            place = at
        return tree

    return made


def to_tsquery(name: str, text: str) -> str:
    """Operators and words."""
    return tsquery.write(tsquery.without_stops(tsquery.Parser(text, _words(configuration(name), PHRASE)).run()))


def plainto_tsquery(name: str, text: str) -> str:
    """All words of a text."""
    return tsquery.write(tsquery.without_stops(_words(configuration(name), AND)(Value(text))))


def phraseto_tsquery(name: str, text: str) -> str:
    """The words of a text one behind the other."""
    return tsquery.write(tsquery.without_stops(_words(configuration(name), PHRASE)(Value(text))))


def websearch_to_tsquery(name: str, text: str) -> str:
    """As search engines read it: quoted phrases, ``or``, a minus sign for what is not wanted."""
    word = _words(configuration(name), PHRASE)
    trees: list[Any] = []
    waiting: list[int] = []

    def apply(priority: int) -> None:
        """Take the operators that bind as strongly as the one that comes (cleanOpStack)."""
        while waiting and waiting[-1] >= priority:
            kind = waiting.pop()
            right = trees.pop()
            left = trees.pop() if kind != _WEB_NOT else None
            trees.append(Operation(_WEB_KINDS[kind], left, right))

    for kind, operand in _web_tokens(text):
        if not kind:
            trees.append(None if operand is None else word(Value(operand)))
            continue
        if kind != _WEB_NOT:
            apply(kind)
        waiting.append(kind)
    apply(0)
    return tsquery.write(tsquery.without_stops(trees[0] if trees else None))


_WEB_OR, _WEB_AND, _WEB_NOT = 1, 2, 3
_WEB_KINDS: Final = {_WEB_OR: OR, _WEB_AND: AND, _WEB_NOT: NOT}
_WEB_OPERATORS: Final = "!&|()"
_WEB_WORD: Final = re.compile(r"""[^\s!&|()"][^\s!&|()":]*""")


def _web_tokens(text: str) -> Iterator[tuple[int, str | None]]:
    """Operators, and operands under 0; None for one that is missing (gettoken_query_websearch)."""
    at, is_first, wants_operand = 0, True, True
    while at < len(text):
        if text[at].isspace() or (text[at] in _WEB_OPERATORS):
            is_first = is_first and text[at].isspace()
            at += 1
        elif not wants_operand:
            is_or = _is_web_or(text, at)
            yield (_WEB_OR if is_or else _WEB_AND), None
            at, wants_operand = at + (2 if is_or else 0), True
        elif text[at] == "-":
            yield _WEB_NOT, None
            at, is_first = at + 1, False
        else:
            wants_operand = is_first = False
            if text[at] == '"':
                end = text.find('"', at + 1)
                end = len(text) if end < 0 else end
                yield 0, text[at + 1 : end]
                at = end + 1
            else:
                match = _WEB_WORD.match(text, at)
                assert match is not None
                yield 0, match[0]
                at = match.end()
    if wants_operand and not is_first:
        yield 0, None


def _is_web_or(text: str, at: int) -> bool:
    """Whether ``or`` stands here as an operator: something has to come behind it (parse_or_operator)."""
    if text[at : at + 2].lower() != "or" or at + 2 >= len(text):
        return False
    letter = text[at + 2]
    return not (letter in "-_" or letter.isalpha() or letter.isdigit()) and bool(text[at + 3 :].strip())


def _combined(kind: int, left: str, right: str, distance: int = 1) -> str:
    one, other = tsquery.read(left), tsquery.read(right)
    if one is None or other is None:
        return tsquery.write(other if one is None else one)
    return tsquery.write(Operation(kind, one, other, distance))


def tsquery_and(left: str, right: str) -> str:
    """``&&``."""
    return _combined(AND, left, right)


def tsquery_or(left: str, right: str) -> str:
    """``||``."""
    return _combined(OR, left, right)


def tsquery_not(query: str) -> str:
    """``!!``."""
    found = tsquery.read(query)
    return "" if found is None else tsquery.write(Operation(NOT, None, found))


def tsquery_phrase(left: str, right: str, distance: int = 1) -> str:
    """``<->``, and with a distance ``<N>``. Raises SqlError 22023."""
    if not 0 <= distance <= tsquery.DISTANCE_MAX:
        limit = tsquery.DISTANCE_MAX
        message = f"distance in phrase operator must be an integer value between zero and {limit} inclusive"
        raise SqlError(message, sqlstate="22023")
    return _combined(PHRASE, left, right, distance)


def _named(query: str) -> set[str]:
    return {node.lexeme for node in tsquery.nodes(tsquery.read(query)) if isinstance(node, Value)}


def tsquery_contains(left: str, right: str) -> int:
    """``@>``: whether one query names every lexeme of another."""
    return int(_named(right) <= _named(left))


def numnode(query: str) -> int:
    """How many lexemes and operators."""
    return sum(1 for _ in tsquery.nodes(tsquery.read(query)))


def querytree(query: str) -> str:
    """What an index can be asked for: the query without negations."""
    found = tsquery.read(query)
    if found is None:
        return ""
    kept = _positive(found)
    return "T" if kept is None else tsquery.write(kept)


def _positive(query: Query) -> Query | None:
    if isinstance(query, Value):
        return query
    if query.kind == NOT or query.left is None:
        return None
    left, right = _positive(query.left), _positive(query.right)
    if query.kind == OR:
        return None if left is None or right is None else Operation(OR, left, right)
    if left is None or right is None:
        return right if left is None else left
    return Operation(query.kind, left, right, query.distance)


# -- answers --------------------------------------------------------------------------------------


def ts_match(vector: str, query: str) -> int:
    """``tsvector @@ tsquery``."""
    return int(tsmatch.matches(tsvector.read(vector), tsquery.read(query)))


def ts_match_text(text: str, query: str, settings: str) -> int:
    """``text @@ tsquery``."""
    return ts_match(to_tsvector(_usual(settings), text), query)


def ts_match_texts(text: str, query: str, settings: str) -> int:
    """``text @@ text``."""
    return ts_match(to_tsvector(_usual(settings), text), plainto_tsquery(_usual(settings), query))


def _weights(array: str) -> tuple[float, ...]:
    found = read_array(array, float).items
    if len(found) < len(WEIGHTS):
        raise SqlError("array of weight is too short", sqlstate="2202E")
    if any(item is None for item in found):
        raise SqlError("array of weight must not contain nulls", sqlstate="22004")
    given = [usual if item < 0 else item for item, usual in zip(found, tsmatch.USUAL_WEIGHTS, strict=False)]
    if any(item > 1 for item in given):
        raise SqlError("weight out of range", sqlstate="22023")
    return tuple(given)


def ts_rank(vector: str, query: str, normalization: int = 0, weights: str | None = None) -> float:
    """By how often the lexemes are there."""
    chosen = tsmatch.USUAL_WEIGHTS if weights is None else _weights(weights)
    return tsmatch.rank(chosen, tsvector.read(vector), tsquery.read(query), normalization)


def ts_rank_cd(vector: str, query: str, normalization: int = 0, weights: str | None = None) -> float:
    """By how near to each other they are."""
    chosen = tsmatch.USUAL_WEIGHTS if weights is None else _weights(weights)
    return tsmatch.rank_cd(chosen, tsvector.read(vector), tsquery.read(query), normalization)


def ts_headline(name: str, text: str, query: str, options: str = "") -> str:
    """The piece of a text that answers a query best."""
    return headline(text, tsquery.read(query), configuration(name), read_options(options))


def ts_lexize(dictionary: str, word: str) -> str | None:
    """What a dictionary makes of a word. Raises SqlError 42704."""
    plain = dictionary.removeprefix("pg_catalog.")
    language = plain.removesuffix("_stem")
    if plain == "simple":
        found: str | None = word.lower()
    elif language in LANGUAGES and language != plain:
        found = stem(language, word.lower())
    else:
        raise SqlError(f'text search dictionary "{dictionary}" does not exist', sqlstate="42704")
    return _text_array([] if found is None else [found])


def ts_token_type(parser: Any) -> str:
    """The kinds of tokens as JSON: number, name, description. Raises SqlError 42704."""
    if str(parser).removeprefix("pg_catalog.") not in ("default", "3722"):
        raise SqlError(f'text search parser "{parser}" does not exist', sqlstate="42704")
    return json.dumps([[number, *kind] for number, kind in enumerate(tsparser.KINDS, 1)])


def ts_unnest(vector: str) -> str:
    """A row for each lexeme, as JSON: lexeme, positions, weights."""
    rows = []
    for name, places in tsvector.read(vector).items():
        at = "{" + ",".join(str(place) for place, _ in places) + "}" if places else None
        weights = "{" + ",".join(WEIGHTS[weight] for _, weight in places) + "}" if places else None
        rows.append(f"[{quote_json(name)},{json.dumps(at)},{json.dumps(weights)}]")
    return "[" + ",".join(rows) + "]"


def pg_regconfig(name: Any) -> str | None:
    """A text search configuration by its name. Raises SqlError 42704."""
    return None if name is None else configuration(str(name))


_OPERATORS: Final[tuple[Callable[..., Any], ...]] = (
    tsvector_concat, tsquery_and, tsquery_or, tsquery_not, tsquery_contains, ts_match, ts_match_text, ts_match_texts
)  # fmt: skip


def install(lib: Library) -> None:
    """Declare the functions of text search."""
    d = lib.define
    lib.scalars["pg_regconfig"] = (pg_regconfig, 1, True)
    usual: dict[str, Any] = {"session_values": ("settings",), "stable": True}
    for call in (to_tsquery, plainto_tsquery, phraseto_tsquery, websearch_to_tsquery):
        _both(lib, call.__name__, "text", "tsquery", call, usual)
    _both(lib, "to_tsvector", "text", "tsvector", to_tsvector, usual)
    for kind in ("json", "jsonb"):
        _both(lib, "to_tsvector", kind, "tsvector", document_to_tsvector, usual)
        _both(lib, f"{kind}_to_tsvector", f"{kind} jsonb", "tsvector", document_to_tsvector, usual)
        highlighted = document_headline(" " if kind == "jsonb" else "")
        _both(lib, "ts_headline", f"{kind} tsquery", kind, highlighted, usual)
        _both(lib, "ts_headline", f"{kind} tsquery text", kind, highlighted, usual)
    _both(lib, "ts_headline", "text tsquery", "text", ts_headline, usual)
    _both(lib, "ts_headline", "text tsquery text", "text", ts_headline, usual)
    for rank in (ts_rank, ts_rank_cd):
        name = rank.__name__
        d(name, "tsvector tsquery -> float4", rank, sql="{udf}({0}, {1})")
        d(name, "tsvector tsquery int4 -> float4", rank, sql="{udf}({0}, {1}, {2})")
        d(name, "float4[] tsvector tsquery -> float4", rank, sql="{udf}({1}, {2}, 0, {0})")
        d(name, "float4[] tsvector tsquery int4 -> float4", rank, sql="{udf}({1}, {2}, {3}, {0})")
    d("setweight", "tsvector char -> tsvector", setweight)
    d("setweight", "tsvector char text[] -> tsvector", setweight_of)
    d("strip", "tsvector -> tsvector", strip)
    d("length", "tsvector -> int4", lambda vector: len(tsvector.read(vector)))
    d("ts_delete", "tsvector text -> tsvector", ts_delete)
    d("ts_delete", "tsvector text[] -> tsvector", ts_delete_many)
    d("ts_filter", "tsvector char[] -> tsvector", ts_filter)
    d("tsvector_to_array", "tsvector -> text[]", tsvector_to_array)
    d("array_to_tsvector", "text[] -> tsvector", array_to_tsvector)
    d("numnode", "tsquery -> int4", numnode)
    d("querytree", "tsquery -> text", querytree)
    d("ts_rewrite", "tsquery tsquery tsquery -> tsquery", tsorder.rewrite)
    d("tsquery_cmp", "tsquery tsquery -> int4", tsorder.compare_queries)
    d("tsvector_cmp", "tsvector tsvector -> int4", tsorder.compare_vectors)
    d("tsquery_phrase", "tsquery tsquery -> tsquery", tsquery_phrase, sql="{udf}({args})")
    d("tsquery_phrase", "tsquery tsquery int4 -> tsquery", tsquery_phrase, sql="{udf}({args})")
    d("ts_lexize", "regdictionary text -> text[]", ts_lexize)
    for kind in ("text", "oid"):
        d("ts_token_type", f"{kind} -> record", ts_token_type, set_returning=True,
          columns=(("tokid", 23), ("alias", 25), ("description", 25)))  # fmt: skip
    d("get_current_ts_config", "-> regconfig", _usual, **usual)
    for helper in _OPERATORS:
        lib.helper(f"fn_{helper.__name__}", helper, -1)


def _both(
    lib: Library, name: str, arguments: str, result: str, call: Callable[..., Any], usual: dict[str, Any]
) -> None:
    """Declare a function with a configuration as its first argument, and one that takes the session's."""
    lib.define(name, f"regconfig {arguments} -> {result}", call, sql="{udf}({args})")

    def of_session(*given: Any) -> Any:
        return call(_usual(given[-1]), *given[:-1])

    lib.define(name, f"{arguments} -> {result}", of_session, sql="{udf}({args}, {session})", **usual)
