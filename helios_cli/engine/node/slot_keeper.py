"""Which followers a node keeps its log for: slots come and go on the loop, and get onto the disk on another thread."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.node.clock import SystemClock
from helios_cli.engine.replication.slot_claims import elsewhere
from helios_cli.engine.types import Lsn

if TYPE_CHECKING:
    from helios_cli.engine.node.replication import Replication

log = logging.getLogger(__name__)

SAVED_S: Final = 5.0
"""How often the positions of the followers are put on disk; a restart keeps more log than it needs, at worst."""


class SlotKeeper:
    """The slots of :class:`~helios_cli.engine.node.replication.Replication`."""

    def __init__(self, replication: Replication) -> None:
        self._replication = replication
        self._slots = replication.node.store.slots
        self._began = replication.now()
        self._looked_at = float("-inf")
        self._saving = False
        self._told = ""
        self._members: set[str] = set()
        """Everybody who has been a member in this life."""

    def hold(self, node_id: str, lsn: Lsn) -> None:
        """Keep the log from ``lsn`` on for a follower, unless it is kept for it already."""
        if self._slots.add(node_id, lsn, self._replication.term(), SystemClock.wall_us()):
            self.save_soon()

    def release(self, node_id: str) -> None:
        """Keep no log for a node any more; it may have no slot."""
        if self._slots.remove(node_id) is not None:
            self.save_soon()

    def beat(self, now: float) -> None:
        """Now and then: let go of what nobody needs, give back what was taken, and put the positions on disk."""
        if now - self._looked_at < SAVED_S:
            return
        self._looked_at = now
        self._members.update(member.node_id for member in self._replication.agreed_config.members)
        self._let_go(now)
        self._give_back()
        if self._slots.unsaved:
            self.save_soon()

    def save_soon(self) -> None:
        """Put the slots on disk, on another thread; where that fails it is tried again."""
        if not self._saving:
            self._saving = True
            self._replication.later(self._save())

    async def _save(self) -> None:
        try:
            while self._slots.unsaved:
                await self._replication.node.engine.read_workers.call(self._slots.save)
            self._told = ""
        except HeliosError as error:
            if error.message != self._told:
                self._told = error.message
                log.warning("the standbys' positions could not be saved: %s", error.message)
        finally:
            self._saving = False

    def _let_go(self, now: float) -> None:
        """A standby keeps no log for those who follow its primary."""
        own = self._replication
        following = own.following
        if following is None or own.role.name != "standby" or not following.upstream.connected:
            return
        claims = [slot.name for slot in self._slots.all()]
        here = self._following()
        silent = {name: now - own.heard_at.get(name, self._began) for name in claims if name not in here}
        for name in elsewhere(claims, own.agreed_config, self._members, silent, own.view().primary_id):
            self.release(name)
            own.node.event("slot_released", f"no log is kept for {name}: it follows the primary", standby=name)

    def _give_back(self) -> None:
        """A slot was taken from a follower that lagged too far; one that has come up again has it back."""
        limit = self._replication.node.settings.max_slot_lag_mb << 20
        for name, flushed in self._following().items():
            if flushed and self._replication.replicator.recent.end - flushed <= limit:
                self.hold(name, flushed)

    def _following(self) -> dict[str, Lsn]:
        """Who follows now, and what each has on disk; a reader of the log, which has no data directory, left out."""
        streamers = self._replication.replicator.streamers.values()
        return {one.node_id: one.progress.flushed for one in streamers if one.hello.incarnation}
