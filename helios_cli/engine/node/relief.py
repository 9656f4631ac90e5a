"""A primary whose disk stays full gives the lead to a standby that has room, before any client asks an operator to."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.node.handover import choose_target, hand_over

if TYPE_CHECKING:
    from helios_cli.engine.node.replication import Replication

log = logging.getLogger(__name__)

GIVEN_S: Final = 3.0
"""The transaction that holds the writer, and the standby, have so long; nothing can be written meanwhile anyway."""


class Relief:
    """Of one term of a primary. Where the others elect; ``heliosdb-nano pause`` suspends it as it does elections."""

    def __init__(self, replication: Replication) -> None:
        self._replication = replication
        self._again_at = 0.0
        self._told = ""
        """Why the lead was given to nobody: told once."""

    def look(self) -> None:
        """Give the lead away when the disk is full for ``progress_timeout``; to be called a few times a second."""
        own = self._replication
        config, now = own.config, own.now()
        timeout_s = config.progress_timeout_ms / 1000
        if not 0 < timeout_s < own.node.engine.disk_full_s:
            self._told = ""
        elif config.elects and not config.paused and not own.changing.locked() and now >= self._again_at:
            self._again_at = now + timeout_s
            own.later(self._give())

    async def _give(self) -> None:
        own = self._replication
        engine = own.node.engine
        try:
            async with own.changing:
                if not own.is_leading or not engine.disk_full_s:
                    return
                target = choose_target(own, "", unasked=True)
                # Once this node leads no more it needs the authority itself to lead again.
                await own.authority.demand()
                why = f"the disk of the primary has been full for {engine.disk_full_s:.1f} s"
                own.node.event(
                    "primary_sick", f"{why}: node {target} gets the lead", severity="error", new_primary=target
                )
                await hand_over(own, target, GIVEN_S, reason=why)
        except HeliosError as error:
            if error.message != self._told:
                self._told = error.message
                log.warning("the disk is full, and the lead is given to nobody: %s", error.message)
