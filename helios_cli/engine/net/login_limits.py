"""Failed logins, by address and by user: each makes the next answer slower, and too many are refused for a while.

Pure: the time is handed in. An address of this machine is slowed down and never refused, so that nobody can lock the
administrator out; and a user is refused only where he has failed, not where he comes from otherwise.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

ENTRIES_MAX: Final = 4096
"""Addresses, and pairs of user and address, that are remembered; the one that failed longest ago gives way."""
DELAY_FIRST_S: Final = 0.1
DELAY_MAX_S: Final = 3.0
LOOPBACK_DELAY_MAX_S: Final = 0.5


@dataclass(slots=True)
class _Failures:
    count: int = 0
    last_s: float = 0.0


class LoginLimiter:
    """What a node remembers of failed logins."""

    def __init__(self) -> None:
        self._failures: OrderedDict[tuple[str, str], _Failures] = OrderedDict()
        """By (user or '' for all of an address, address)."""

    def __len__(self) -> int:
        """The number of addresses, and of users at an address, that are remembered."""
        return len(self._failures)

    def refused_for(self, user: str, address: str, *, limit: int, lockout_s: float, now_s: float) -> float:
        """Seconds for which a login is not even looked at; 0: it is. ``limit`` 0 refuses nobody."""
        if not limit:
            return 0.0
        return max(
            self._left((name, address), limit * factor, lockout_s, now_s) for name, factor in ((user, 1), ("", 3))
        )

    def _left(self, key: tuple[str, str], limit: int, lockout_s: float, now_s: float) -> float:
        found = self._failures.get(key)
        if found is None:
            return 0.0
        left = found.last_s + lockout_s - now_s
        if left <= 0:
            del self._failures[key]
            return 0.0
        return left if found.count >= limit else 0.0

    def failed(self, user: str, address: str, *, loopback: bool, now_s: float) -> float:
        """A login has failed. Returns the seconds to wait before its client hears of it."""
        count = 0
        for key in ((user, address), ("", address)):
            found = self._failures.setdefault(key, _Failures())
            self._failures.move_to_end(key)
            found.count += 1
            found.last_s = now_s
            count = max(count, found.count) if key[0] else count
        while len(self._failures) > ENTRIES_MAX:
            self._failures.popitem(last=False)
        most = LOOPBACK_DELAY_MAX_S if loopback else DELAY_MAX_S
        return float(min(DELAY_FIRST_S * 2 ** min(count - 1, 10), most))

    def succeeded(self, user: str, address: str) -> None:
        """A login has worked: what failed before is forgotten."""
        self._failures.pop((user, address), None)
