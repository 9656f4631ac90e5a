"""Answers kept for functions of short texts, which queries call with the same few texts for row after row."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, Final, TypeVar, cast

Call = TypeVar("Call", bound=Callable[..., Any])

TEXT_MAX: Final = 200
"""Characters of a text whose answer is kept, so that what is kept stays small."""
ANSWERS_MAX: Final = 1024


def remembered(call: Call) -> Call:
    """As ``call``, whose first argument is a text and which has no effect: the answers of short ones are kept.

    An answer is given out more than once, so nobody may change it.
    """
    kept = lru_cache(maxsize=ANSWERS_MAX)(call)

    @wraps(call)
    def answer(text: str, *rest: Any) -> Any:
        return kept(text, *rest) if len(text) <= TEXT_MAX else call(text, *rest)

    return cast("Call", answer)
