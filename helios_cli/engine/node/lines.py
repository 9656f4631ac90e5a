"""Calls to other nodes for the questions of an election: one that was answered stays open for the next question."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from helios_cli.engine.consensus.config import Member
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.node.peer_call import reach
from helios_cli.engine.node.peer_link import PeerLink, introduce

if TYPE_CHECKING:
    from helios_cli.engine.node.replication import Replication

HELD_S: Final = 5.0
"""How long a call waits for the next question; less than the other side waits for it."""


class Lines:
    """Between nodes far apart a new call takes three round trips, and a question on one that is open a single one."""

    def __init__(self, replication: Replication) -> None:
        self._replication = replication
        self._held: dict[Member, PeerLink] = {}
        self.faults: dict[str, str] = {}
        """Of each node that was called last in vain: why."""

    def held(self, member: Member) -> PeerLink | None:
        """A call that is open; it is the caller's from here on."""
        link = self._held.pop(member, None)
        return link if link is not None and not link.closed else None

    async def call(self, member: Member) -> PeerLink:
        """A new call. Raises OSError, HeliosError, TimeoutError."""
        link = PeerLink(self._replication.term, tls=self._replication.node.tls.peer)
        try:
            await reach(link, member.host, member.native_port)
            await introduce(link, self._replication.identity(), self._replication.secret())
        except BaseException as error:
            link.close()
            self.faults[member.node_id] = _fault(error)
            raise
        self.faults.pop(member.node_id, None)
        self._replication.address.met(link)
        return link

    def hold(self, member: Member, link: PeerLink) -> None:
        """It was answered: keep it for the next question, not for long."""
        before = self._held.pop(member, None)
        if before is not None:
            before.close()
        self._held[member] = link
        self._replication.node.engine.loop.call_later(HELD_S, self._let_go, member, link)

    def close(self) -> None:
        """End all that are open."""
        for link in self._held.values():
            link.close()
        self._held.clear()

    def _let_go(self, member: Member, link: PeerLink) -> None:
        if self._held.get(member) is link:
            del self._held[member]
            link.close()


def _fault(error: BaseException) -> str:
    if isinstance(error, HeliosError):
        return error.message
    return (error.strerror if isinstance(error, OSError) else "") or "it does not answer"
