"""Backslashes in ordinary strings: ``standard_conforming_strings = off`` (scan.l).

The parser knows the standard's strings only. So a string with a backslash is written as the ``E'...'`` that it means,
before anything else looks at the text.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.plan import Warned
from helios_cli.engine.sql.plan_cache import PlanCache, Planned
from helios_cli.engine.sql.relation import CatalogReader
from helios_cli.engine.sql.styled_path import StyledPath

_TOKEN: Final = re.compile(
    r"--[^\n]*+|/\*.*?(?:\*/|\Z)|\"[^\"]*+(?:\"|\Z)|\$([A-Za-z_]\w*|)\$.*?(?:\$\1\$|\Z)"
    r"|(?<![\w$])(?:[eE]'(?:[^'\\]|\\.|'')*+(?:'|\Z)|[bBxX]'[^']*+(?:'|\Z)|(?P<unicode>[uU]&'))"
    r"|(?P<string>'(?:[^'\\]|\\.|'')*+(?:'|\Z))",
    re.DOTALL,
)
_WARNINGS: Final = {
    "'": ("\\'", "Use '' to write quotes in strings, or use the escape string syntax (E'...')."),
    "\\": ("\\\\", "Use the escape string syntax for backslashes, e.g., E'\\\\'."),
}
_ESCAPE: Final = ("escape", "Use the escape string syntax for escapes, e.g., E'\\r\\n'.")


def with_escapes(sql: str) -> tuple[str, list[Warned]]:
    """The text with every string that has a backslash as an escape string, and a warning for each of them.

    Raises:
        SqlError: 0A000 for ``U&'...'``.
    """
    warnings: list[Warned] = []

    def rewritten(match: re.Match[str]) -> str:
        if match["unicode"]:
            raise SqlError(
                "unsafe use of string constant with Unicode escapes",
                sqlstate="0A000",
                detail="String constants with Unicode escapes cannot be used when standard_conforming_strings is off.",
                position=match.start() + 1,
            )
        string = match["string"]
        if string is None or "\\" not in string:
            return match[0]
        what, hint = _WARNINGS.get(string[string.index("\\") + 1], _ESCAPE)
        warnings.append(Warned(f"nonstandard use of {what} in a string literal", "22P06", hint))
        before = sql[match.start() - 1 : match.start()]
        return (" E" if before.isalnum() or before in ("_", "$") else "E") + string

    return _TOKEN.sub(rewritten, sql), warnings


class EscapingPlanCache(PlanCache):
    """Plans of a session in whose strings a backslash escapes."""

    warns = True

    def get(self, sql: str, catalog: CatalogReader, param_oids: tuple[int, ...] | None = None) -> Planned:
        """As for other sessions, with ``escape_string_warning``'s warnings among the first plan's notices."""
        text, warnings = with_escapes(sql)
        planned = super().get(text, catalog, param_oids)
        if not warnings or not self.warns or not planned:
            return planned
        plan, literals = planned[0]
        return [(replace(plan, notices=(*warnings, *plan.notices), cache={}), literals), *planned[1:]]

    def find(self, sql: str, catalog: CatalogReader, param_oids: tuple[int, ...] | None = None) -> Planned | None:
        """As :meth:`get` where it need not plan; None where it has to, or has to warn."""
        text, warnings = with_escapes(sql)
        return None if warnings and self.warns else super().find(text, catalog, param_oids)


def plan_cache_for(search_path: tuple[str, ...], cache: PlanCache) -> PlanCache:
    """The cache for plans along a search path: ``cache``, or an escaping one with its limits."""
    if not isinstance(search_path, StyledPath) or search_path.strings == "standard":
        return cache
    made = EscapingPlanCache(cache.planner, shapes_max=cache.shapes_max)
    made.warns = search_path.strings == "warn"
    return made
