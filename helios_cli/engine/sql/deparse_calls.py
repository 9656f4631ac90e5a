"""Calls that are written in words (``a AT TIME ZONE b``), as PostgreSQL prints them (ruleutils.c)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_SIDES: Final = {"btrim": "BOTH", "ltrim": "LEADING", "rtrim": "TRAILING"}


def in_words(name: str, given: Sequence[str], plain: str) -> str | None:
    """The call of a function that was written in words; None for one that is printed as an ordinary call.

    ``given`` are its arguments as they are printed, ``plain`` the last one's text when it is a string constant.
    """
    count = len(given)
    if name == "extract":
        return None
    if name == "timezone" and count == 2:
        return f"({given[1]} AT TIME ZONE {given[0]})"
    if name == "overlaps" and count == 4:
        return f"(({given[0]}, {given[1]}) OVERLAPS ({given[2]}, {given[3]}))"
    if name == "position":
        return f"POSITION(({given[1]}) IN ({given[0]}))"
    if name == "substring" and count == 3:
        return f"SUBSTRING({given[0]} FROM {given[1]} FOR {given[2]})"
    if name == "overlay":
        length = f" FOR {given[3]}" if count > 3 else ""
        return f"OVERLAY({given[0]} PLACING {given[1]} FROM {given[2]}{length})"
    if name in _SIDES:
        characters = f" {given[1]}" if count > 1 else ""
        return f"TRIM({_SIDES[name]}{characters} FROM {given[0]})"
    if name == "normalize":
        return f"NORMALIZE({given[0]}{f', {plain}' if plain else ''})"
    if name == "is_normalized":
        return f"({given[0]} IS {f'{plain} ' if plain else ''}NORMALIZED)"
    return None
