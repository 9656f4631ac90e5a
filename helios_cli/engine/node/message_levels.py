"""Which messages a client wants to see: ``client_min_messages``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from helios_cli.engine.node.session_state import SessionState

_LEVELS: Final = ("debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error")
_OF_SEVERITY: Final = {"DEBUG": 4, "LOG": 5, "NOTICE": 6, "WARNING": 7}


def is_wanted(session: SessionState, severity: str) -> bool:
    """Whether messages of a severity are sent to the client. INFO always is."""
    level = session.variables.get("client_min_messages")
    if level is None:
        return severity not in ("DEBUG", "LOG")
    wanted = level.lower()
    least = _LEVELS.index(wanted) if wanted in _LEVELS else 4 if wanted == "debug" else 6
    return severity == "INFO" or _OF_SEVERITY.get(severity, 6) >= least
