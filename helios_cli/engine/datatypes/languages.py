"""The languages of text search: what their stemming dictionaries make of a word (dict_snowball.c)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from helios_cli.engine.datatypes.stop_words import STOP_WORDS

LANGUAGES: Final = (
    "arabic", "armenian", "basque", "catalan", "danish", "dutch", "english", "finnish", "french", "german", "greek",
    "hindi", "hungarian", "indonesian", "irish", "italian", "lithuanian", "nepali", "norwegian", "portuguese",
    "romanian", "russian", "serbian", "spanish", "swedish", "tamil", "turkish", "yiddish",
)  # fmt: skip
ENGLISH_IN_ASCII: Final = frozenset(("hindi", "russian"))
"""Words of ASCII letters alone are English in texts of these."""
_LENGTH_MAX: Final = 1000
"""In bytes. Longer words are no words of a language."""


def dictionary_of(configuration: str, word: str) -> str:
    """The language whose dictionary a configuration asks about a word."""
    return "english" if configuration in ENGLISH_IN_ASCII and word.isascii() else configuration


def stem(language: str, word: str) -> str | None:
    """The stem of a word in lower case, never empty; None for a stop word."""
    if not word or word in STOP_WORDS.get(language, ()):
        return None
    if len(word.encode()) > _LENGTH_MAX:
        return word
    return _stemmed(language, word)


@lru_cache(4096)
def _stemmed(language: str, word: str) -> str:
    return str(_stemmer(language).stemWord(word)) or word


@lru_cache
def _stemmer(language: str) -> Any:
    import snowballstemmer

    return snowballstemmer.stemmer(language)
