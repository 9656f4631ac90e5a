"""Texts that the parser does not take, or that are too long for it: judged by their words, on the safe side."""

from __future__ import annotations

import re
from typing import Final

from helios_cli.engine.proxy.statement import Access, Statement

_FIRST: Final = re.compile(r"[\s;(]*([^\W\d]\w*)")


def judge(sql: str) -> Statement:
    """The class of a text without comments. What may be a write is one; the server tells what is wrong with it."""
    match = _FIRST.match(sql)
    word = match[1].upper() if match is not None else "?"
    return Statement(Access.WRITE, f"{word}, not parsed", has_control=True)
