"""Arguments of type refcursor and rows given back: to the parser of PL/pgSQL only declared variables are such.

So a block around the body declares variables of the arguments' names, which then stand for the arguments.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

_OPTIONS: Final = re.compile(r"(?:\s*#[^\n]*\n)*")
_BLOCK: Final = "PLpgSQL_stmt_block"
_VARIABLES: Final = ("PLpgSQL_var", "PLpgSQL_rec")


def wrapped(text: str, kinds: Mapping[str, str]) -> str:
    """A body inside a block that declares arguments, on the same lines; ``kinds`` are their types by name."""
    if not kinds:
        return text
    options = _OPTIONS.match(text)
    at = options.end() if options is not None else 0
    declared = " ".join('"' + name.replace('"', '""') + f'" {kind};' for name, kind in kinds.items())
    body = text[at:].rstrip()
    return f"{text[:at]}DECLARE {declared} BEGIN {body}{'' if body.endswith(';') else ';'} END"


def unwrapped(function: dict[str, Any], arguments: Sequence[str], names: Iterable[str]) -> dict[int, int]:
    """Take the block around a parsed body away; for each such argument the number of the variable for it."""
    if not names:
        return {}
    outer = function["action"][_BLOCK]["body"]
    inner = outer[0]
    if _BLOCK in inner:
        # The RETURN that every function ends with is the outermost block's.
        inner[_BLOCK]["body"] = [*inner[_BLOCK].get("body", []), *outer[1:]]
        function["action"] = inner
    moved = {}
    for name in names:
        number = list(arguments).index(name)
        moved[number] = next(
            at
            for at, datum in enumerate(function["datums"])
            if at > number and any(datum.get(kind, {}).get("refname") == name for kind in _VARIABLES)
        )
    return moved
