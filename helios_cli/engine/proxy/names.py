"""Names for writes, so that one that was sent and not answered can be asked after and sent again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from helios_cli.engine.types import WriteId

SPARE_MAX: Final = 4096


class Names:
    """Names that are free to be used. One goes on where another has ended: so few rows are left of them."""

    def __init__(self, fresh: Callable[[], bytes]) -> None:
        """``fresh`` gives 16 random bytes."""
        self._fresh = fresh
        self._free: list[WriteId] = []

    def take(self) -> WriteId:
        """A name for one write."""
        last = self._free.pop() if self._free else WriteId(self._fresh(), 0, is_last=True)
        return WriteId(last.client, last.seq + 1, is_last=True)

    def give_back(self, name: WriteId) -> None:
        """The write is answered, and was sent once: its name's series goes on with another."""
        if len(self._free) < SPARE_MAX:
            self._free.append(name)
