"""A search path together with the settings that change what a text means, where those are not the usual ones.

Plans are kept by search path, and a prepared statement is planned anew when its session's has changed. Both have to
be so for DateStyle and its like too: they ride along here, at no cost to sessions that leave them alone.
"""

from __future__ import annotations

from typing import Any

from helios_cli.engine.datatypes.styled import Style


class StyledPath(tuple[str, ...]):
    """The schemas; it equals no path with other settings, nor a plain one."""

    style: Style | None
    """How values are written and read; None: the usual way."""
    strings: str
    """'standard'; 'escape' where a backslash escapes in every string; 'warn': the same, with a warning."""

    @property
    def settings(self) -> tuple[Style | None, str]:
        """Both."""
        return self.style, self.strings

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, StyledPath) and self.settings == other.settings and tuple.__eq__(self, other)

    def __ne__(self, other: Any) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((tuple.__hash__(self), self.settings))


def styled_path(schemas: tuple[str, ...], style: Style | None, strings: str) -> tuple[str, ...]:
    """A search path with settings; ``schemas`` itself where they are the usual ones."""
    if style is None and strings == "standard":
        return schemas
    made = StyledPath(schemas)
    made.style, made.strings = style, strings
    return made
