"""Where in a statement's text the literal stands that no value can be made of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from helios_cli.engine.errors import HeliosError, SqlError
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.shape import Literal, lift, literal_spans

_QUOTED: Final = re.compile(r'.*: "(.*)"', re.DOTALL)
_TIMES: Final = ("22007", "22008", "22009", "22015")


def of_bound(plan: Plan, literals: Sequence[Literal], text: str) -> int | None:
    """The 1-based position of the first bound literal that its converter refuses; None when it cannot be told."""
    spans = literal_spans(text)
    for number, convert, value in zip(plan.literal_numbers, plan.literal_in, literals, strict=False):
        try:
            if convert is not None:
                convert(value)
        except SqlError as error:
            # A value that is none of its column's length is refused later in PostgreSQL, at no place in the text.
            fits_not = error.sqlstate == "22001" or error.message == "numeric field overflow"
            return spans[number][0] + 1 if number < len(spans) and not fits_not else None
    return None


def point_at_time(error: HeliosError, text: str) -> None:
    """Give an error of a date or time the position of the literal that it quotes.

    Those are read when the statement runs, where the clock and the zone are known.
    """
    match = _QUOTED.fullmatch(error.message) if error.sqlstate in _TIMES and error.position is None else None
    if match is None:
        return
    literals = lift(text)[1]
    if match[1] in literals:
        error.position = literal_spans(text)[literals.index(match[1])][0] + 1
