"""Who stands before the native port: connections that have not shown yet whose they are, few and not for long."""

from __future__ import annotations

import asyncio
import logging
from typing import Final, Protocol

from helios_cli.engine.errors import HeliosError

log = logging.getLogger(__name__)

STRANGERS_MAX: Final = 64
"""Connections at a time; one more, and the one that has stood there longest is dropped: an honest node needs
milliseconds, so a crowd that only stands there does not keep it out."""

STRANGER_S: Final = 10.0
"""From accept to the end of the handshake, TLS included."""

TELL_EVERY_S: Final = 1.0


REPEAT_S: Final = 10.0
"""A link that fails for one reason, and is made anew eight times a second, is a line this often."""

REPEATS_MAX: Final = 64
"""Different lines that are remembered."""


class Repeats:
    """Log lines that come again and again: each at once, and then one now and then with how often it was left out."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[float, int]] = {}

    def tell(self, text: str, now: float) -> None:
        """Log a warning, unless it was logged within the last REPEAT_S. ``now``: seconds of a steady clock."""
        told_at, left_out = self._told.get(text, (float("-inf"), 0))
        if now - told_at < REPEAT_S:
            self._told[text] = told_at, left_out + 1
            return
        if text not in self._told and len(self._told) >= REPEATS_MAX:
            self._told.pop(next(iter(self._told)))
        self._told[text] = now, 0
        log.warning("%s%s", text, f" ({left_out} times more in the last {now - told_at:.0f} s)" if left_out else "")


class Stranger(Protocol):
    """A connection, as the door needs it."""

    def drop(self, error: HeliosError) -> None:
        """End it at once, without a word."""


class TooSlow(HeliosError):
    """It did not say in time who it is."""

    sqlstate = "57014"


class Door:
    """Bounds the connections without a finished handshake: their number, their time, and what is logged of them."""

    def __init__(self, *, strangers_max: int = STRANGERS_MAX, seconds: float = STRANGER_S) -> None:
        self.dropped = 0
        """Strangers that were dropped because there were too many, or took too long."""
        self._max = strangers_max
        self._seconds = seconds
        self._waiting: dict[Stranger, asyncio.TimerHandle] = {}
        self._told_at = float("-inf")
        self._untold = 0

    @property
    def strangers(self) -> int:
        """Connections that have not shown yet whose they are."""
        return len(self._waiting)

    def enter(self, link: Stranger) -> None:
        """A connection has come in."""
        if len(self._waiting) >= self._max:
            self._drop(next(iter(self._waiting)), "too many connections that do not say who they are")
        loop = asyncio.get_running_loop()
        self._waiting[link] = loop.call_later(self._seconds, self._drop, link, "it did not say in time who it is")

    def leave(self, link: Stranger) -> None:
        """It has shown who it is, or has gone. Idempotent."""
        timer = self._waiting.pop(link, None)
        if timer is not None:
            timer.cancel()

    def tell(self, text: str) -> None:
        """Log what happened with a stranger: a line a second at most, so that nobody can fill the disk by calling."""
        now = asyncio.get_running_loop().time()
        if now - self._told_at < TELL_EVERY_S:
            self._untold += 1
            return
        more = f" ({self._untold} more such lines were left out)" if self._untold else ""
        log.warning("%s%s", text, more)
        self._told_at, self._untold = now, 0

    def close(self) -> None:
        """Drop everybody."""
        for link in tuple(self._waiting):
            self._drop(link, "the node stops")

    def _drop(self, link: Stranger, why: str) -> None:
        self.leave(link)
        self.dropped += 1
        link.drop(TooSlow(why))
