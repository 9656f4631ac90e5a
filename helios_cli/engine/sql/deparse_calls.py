"""Calls of special forms: in words (``a AT TIME ZONE b``), of aggregates, over windows; as PostgreSQL prints them
(ruleutils.c).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

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


def aggregate_call(head: str, fields: Mapping[str, Any], order: str, where: str, over: str) -> str:
    """A call of an aggregate or window function (get_agg_expr, get_windowfunc_expr); ``head`` is it as a plain call.

    ``order`` is that of its ORDER BY or WITHIN GROUP, ``where`` the condition of FILTER, ``over`` the window; '' for
    none.
    """
    name, _, arguments = head.partition("(")
    arguments = "*" if fields.get("agg_star") else arguments.removesuffix(")")
    if fields.get("agg_distinct"):
        arguments = f"DISTINCT {arguments}"
    if fields.get("agg_within_group"):
        text = f"{name}({arguments}) WITHIN GROUP (ORDER BY {order})"
    else:
        text = f"{name}({arguments}{f' ORDER BY {order}' if order else ''})"
    if where:
        text += f" FILTER (WHERE {where})"
    return f"{text} OVER {over}" if over else text


_NON_DEFAULT, _RANGE, _ROWS, _GROUPS = 0x1, 0x2, 0x4, 0x8
"""FRAMEOPTION_* of parsenodes.h, as are those below."""
_STARTS: Final = (
    (0x20, "UNBOUNDED PRECEDING"), (0x200, "CURRENT ROW"), (0x800, "{} PRECEDING"), (0x2000, "{} FOLLOWING"),
)  # fmt: skip
_ENDS: Final = (
    (0x100, "UNBOUNDED FOLLOWING"), (0x400, "CURRENT ROW"), (0x1000, "{} PRECEDING"), (0x4000, "{} FOLLOWING"),
)  # fmt: skip
_BETWEEN: Final = 0x10
_EXCLUDED: Final = ((0x8000, "CURRENT ROW"), (0x10000, "GROUP"), (0x20000, "TIES"))


def window_text(fields: Mapping[str, Any], partition: str, order: str, bounds: Sequence[str]) -> str:
    """What stands in the parentheses of a window, with them (get_rule_windowspec)."""
    parts = [fields["refname"]] if "refname" in fields else []
    if partition:
        parts.append(f"PARTITION BY {partition}")
    if order:
        parts.append(f"ORDER BY {order}")
    options = fields.get("frameOptions", 0)
    if options & _NON_DEFAULT:
        words = ["RANGE" if options & _RANGE else "ROWS" if options & _ROWS else "GROUPS"]
        words += ["BETWEEN"] * bool(options & _BETWEEN)
        words += [text.format(bounds[0]) for bit, text in _STARTS if options & bit]
        if options & _BETWEEN:
            words += ["AND", *(text.format(bounds[1]) for bit, text in _ENDS if options & bit)]
        words += [f"EXCLUDE {text}" for bit, text in _EXCLUDED if options & bit]
        parts.append(" ".join(words))
    return f"({' '.join(parts)})"
