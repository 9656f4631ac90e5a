"""The parameters that sessions have set: what a backend must be told before it serves another client's session."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from helios_cli.engine.proxy.statement import Setting, Statement
from helios_cli.engine.types import Lsn

_LAST: Final = ("session_authorization", "role")
"""Set behind all others, since they may take the right to set those; and reset before them."""
_RESET: Final = {"session_authorization": "RESET SESSION AUTHORIZATION", "role": "RESET ROLE"}

MIN_LSN: Final = "helios.min_lsn"
_TOKEN: Final = re.compile(r"'([0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8})(?:@[0-9a-f-]+)?'")
"""In a statement that sets it."""

Settings = Mapping[str, str]
"""Parameter to the statement that sets it. Never changed in place: equal objects are equal settings at a glance."""


def difference(has: Settings, wants: Settings) -> str:
    """The statements that make a session with some settings one with others; empty when there is nothing to do."""
    gone = [name for name in has if name not in wants]
    gone.sort(key=lambda name: name not in _LAST)
    other = [name for name, text in wants.items() if has.get(name) != text]
    if "session_authorization" in has and "session_authorization" in wants and other:
        # Nothing may be set as somebody else.
        return everything(wants)
    if "session_authorization" in gone or "session_authorization" in other:
        # That has ended the role, too.
        other += ["role"] if "role" in wants and "role" not in other else []
    other.sort(key=lambda name: _LAST.index(name) + 1 if name in _LAST else 0)
    return "; ".join([*(_RESET.get(name, f"RESET {name}") for name in gone), *(wants[name] for name in other)])


def everything(wants: Settings) -> str:
    """The statements for a session of which nothing is known."""
    return "; ".join([*_RESET.values(), "RESET ALL", *filter(None, [difference({}, wants)])])


def changed(settings: Settings, changes: Iterable[Setting], began_with: Settings) -> Settings:
    """Settings after some changes."""
    result = dict(settings)
    for change in changes:
        result.pop(change.name, None)
        text = change.text if change.text is not None else began_with.get(change.name)
        if text is not None:
            result[change.name] = text
    return result


class BlockSettings:
    """What is set in a transaction block so far: it holds when the block is committed."""

    __slots__ = ("_saved", "is_sure", "now")

    def __init__(self, before: Settings) -> None:
        """``before`` held when the block began."""
        self.now = before
        self.is_sure = True
        """The server's session has just this, when the block is committed."""
        self._saved: list[tuple[str, Settings]] = []

    def set(self, settings: Settings, *, is_sure: bool) -> None:
        """Other ones from here on."""
        self.now = settings
        self.is_sure &= is_sure

    def savepoint(self, statement: Statement) -> None:
        """SAVEPOINT, RELEASE or ROLLBACK TO has succeeded."""
        name = statement.savepoint
        if statement.why == "SAVEPOINT":
            self._saved.append((name, self.now))
            return
        at = next((at for at in range(len(self._saved) - 1, -1, -1) if self._saved[at][0] == name), None)
        if at is None:
            self.is_sure = False
        elif statement.why == "RELEASE":
            del self._saved[at:]
        else:
            self.now = self._saved[at][1]
            del self._saved[at + 1 :]


def startup_settings(parameters: Mapping[str, str]) -> Settings:
    """What a client asks for when it connects: statements by parameter."""
    return {
        name.lower(): f"SELECT set_config({literal(name)}, {literal(value)}, false)"
        for name, value in parameters.items()
    }


def floor_of(settings: Settings) -> int:
    """The LSN that the session's queries must at least see, by ``helios.min_lsn``; 0 where that names none."""
    match = _TOKEN.search(settings.get(MIN_LSN, ""))
    return int(Lsn.parse(match[1])) if match is not None else 0


def literal(text: str) -> str:
    """A text as a constant of SQL, whatever standard_conforming_strings says."""
    quoted = "'" + text.replace("'", "''") + "'"
    return " E" + quoted.replace("\\", "\\\\") if "\\" in text else quoted
