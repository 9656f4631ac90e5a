"""Catalogs of text search: the default parser, a dictionary and a configuration for each language (pg_ts_*.dat)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from helios_cli.engine.datatypes.languages import ENGLISH_IN_ASCII, LANGUAGES
from helios_cli.engine.datatypes.stop_words import STOP_WORDS
from helios_cli.engine.datatypes.tsparser import CONFIGURATION_OIDS
from helios_cli.engine.storage.type_rows import Rows

_PARSER: Final = 3722
_SIMPLE_TEMPLATE: Final = 3727
_SNOWBALL_TEMPLATE: Final = 13150
_SIMPLE_DICTIONARY: Final = 3765
_SIMPLE_CONFIGURATION: Final = 3748
_WORDS_IN_ASCII: Final = (1, 11, 16)
_WORDS: Final = (2, 10, 17)
_NO_WORDS: Final = (3, 4, 5, 6, 7, 8, 9, 15, 18, 19, 20, 21, 22)
_DICTIONARIES: Final = {language: _SNOWBALL_TEMPLATE + 1 + 2 * n for n, language in enumerate(LANGUAGES)}
DICTIONARY_OIDS: Final = {"simple": _SIMPLE_DICTIONARY} | {f"{name}_stem": oid for name, oid in _DICTIONARIES.items()}


def _configurations() -> Iterator[tuple[str, int]]:
    """Those of languages, with their OIDs."""
    return ((language, CONFIGURATION_OIDS[language]) for language in LANGUAGES)


def pg_ts_parser() -> Rows:
    """The one parser."""
    yield {
        "oid": _PARSER, "prsname": "default", "prsnamespace": 11, "prsstart": "prsd_start",
        "prstoken": "prsd_nexttoken", "prsend": "prsd_end", "prsheadline": "prsd_headline",
        "prslextype": "prsd_lextype",
    }  # fmt: skip


def pg_ts_template() -> Rows:
    """What dictionaries are made of."""
    for oid, name, prefix in (
        (_SIMPLE_TEMPLATE, "simple", "dsimple"),
        (_SNOWBALL_TEMPLATE, "snowball", "dsnowball"),
    ):
        yield {
            "oid": oid, "tmplname": name, "tmplnamespace": 11, "tmplinit": f"{prefix}_init",
            "tmpllexize": f"{prefix}_lexize",
        }  # fmt: skip


def pg_ts_dict() -> Rows:
    """The dictionaries."""
    place = {"dictnamespace": 11, "dictowner": 10}
    yield {"oid": _SIMPLE_DICTIONARY, "dictname": "simple", "dicttemplate": _SIMPLE_TEMPLATE, **place}
    for language, oid in _DICTIONARIES.items():
        options = f"language = '{language}'" + (f", stopwords = '{language}'" if language in STOP_WORDS else "")
        yield {
            "oid": oid, "dictname": f"{language}_stem", "dicttemplate": _SNOWBALL_TEMPLATE, "dictinitoption": options,
            **place,
        }  # fmt: skip


def pg_ts_config() -> Rows:
    """The configurations."""
    for name, oid in CONFIGURATION_OIDS.items():
        yield {"oid": oid, "cfgname": name, "cfgnamespace": 11, "cfgowner": 10, "cfgparser": _PARSER}


def pg_ts_config_map() -> Rows:
    """Which dictionary a configuration asks about which kind of token."""
    for kind in sorted(_WORDS_IN_ASCII + _WORDS + _NO_WORDS):
        yield _mapped(_SIMPLE_CONFIGURATION, kind, _SIMPLE_DICTIONARY)
        for language, oid in _configurations():
            known = "english" if kind in _WORDS_IN_ASCII and language in ENGLISH_IN_ASCII else language
            yield _mapped(oid, kind, _SIMPLE_DICTIONARY if kind in _NO_WORDS else _DICTIONARIES[known])


def _mapped(configuration: int, kind: int, dictionary: int) -> dict[str, object]:
    return {"mapcfg": configuration, "maptokentype": kind, "mapseqno": 1, "mapdict": dictionary}


def _comments() -> Iterator[tuple[int, int, str]]:
    plain = "simple dictionary: just lower case and check for stopword"
    yield _PARSER, 3601, "default word parser"
    yield _SIMPLE_TEMPLATE, 3764, plain
    yield _SNOWBALL_TEMPLATE, 3764, "snowball stemmer"
    yield _SIMPLE_DICTIONARY, 3600, plain
    yield _SIMPLE_CONFIGURATION, 3602, "simple configuration"
    for language in LANGUAGES:
        yield _DICTIONARIES[language], 3600, f"snowball stemmer for {language} language"
        yield CONFIGURATION_OIDS[language], 3602, f"configuration for {language} language"


COMMENTS: Final = {oid: (class_oid, text) for oid, class_oid, text in _comments()}
"""What they are said to be, by OID, with the OID of their catalog."""


def text_search_comments() -> Rows:
    """Their rows of pg_description."""
    for oid, (class_oid, text) in COMMENTS.items():
        yield {"objoid": oid, "classoid": class_oid, "objsubid": 0, "description": text}


FIXED: Final[dict[str, Callable[[], Rows]]] = {
    "pg_ts_parser": pg_ts_parser, "pg_ts_template": pg_ts_template, "pg_ts_dict": pg_ts_dict,
    "pg_ts_config": pg_ts_config, "pg_ts_config_map": pg_ts_config_map,
}  # fmt: skip
