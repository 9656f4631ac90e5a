"""money: kept as a number of cents, which is what the wire carries; written as locale C does (cash.c)."""

from __future__ import annotations

import re
from typing import Any, Final

from helios_cli.engine.datatypes.faults import invalid_text, out_of_range
from helios_cli.engine.datatypes.integers import format_number

CENTS: Final = 100
"""Of one unit: locale C has two digits behind the point."""
_LOW: Final = -(1 << 63)

_AMOUNT: Final = re.compile(
    # A sign or an opening parenthesis may stand before or behind the currency's.
    r"[ \t\n\v\f\r]*\$?[ \t\n\v\f\r]*([-(+]?)[ \t\n\v\f\r]*\$?[ \t\n\v\f\r]*"
    r"([0-9,]*)(?:\.([0-9,]*))?([0-9]*)([ \t\n\v\f\r)+$-]*)",
    re.ASCII,
)


def parse_money(text: str) -> int:
    """Cents, of which the third digit behind the point is rounded: ``$1,234.565``, ``(12)``, ``7-``; 0 for nothing.

    Raises:
        SqlError: 22P02 no amount, 22003 beyond 64 bits.
    """
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise invalid_text("money", text)
    sign, whole, digits, _rest, behind = match.groups()
    fraction = (digits or "").replace(",", "")
    cents = int(whole.replace(",", "") or "0") * CENTS + int(fraction[:2].ljust(2, "0"))
    cents += len(fraction) > 2 and fraction[2] >= "5"
    if sign in ("-", "(") or "-" in behind:
        cents = -cents
    if not _LOW <= cents < -_LOW:
        raise out_of_range("money", text)
    return cents


def format_money(value: Any) -> bytes:
    """``-$1,234.56``; what is no number of cents is shown as it is."""
    if not isinstance(value, int):
        return format_number(value)
    whole, cents = divmod(abs(value), CENTS)
    return f"{'-' if value < 0 else ''}${whole:,}.{cents:02}".encode()
