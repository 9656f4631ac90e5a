"""Why a host cannot be acted on."""

from __future__ import annotations

from helios_cli.engine.errors import HeliosError


class HostError(HeliosError):
    """Something that a host was asked for did not come about."""

    sqlstate = "58000"


class HostUnreachable(HostError):
    """Nobody answers there, or not any more."""

    sqlstate = "08001"


class LoginRefused(HostError):
    """The host takes none of the keys."""

    sqlstate = "28000"


class HostKeyRefused(HostError):
    """Nobody has said that this key is the host's: somebody else may be answering there."""

    sqlstate = "NH010"

    def __init__(self, message: str, *, shown: str, changed: bool, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.shown = shown
        """The key that was shown, as a line of known_hosts has it: type and base64."""
        self.changed = changed
        """Whether another one was known."""


class NoRoom(HostError):
    """The disk of a host is full."""

    sqlstate = "53100"
