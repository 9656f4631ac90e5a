"""A standby that has lost the node it followed, and whom nobody tells of the primary, asks the others who leads."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Final

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.node import promotion

if TYPE_CHECKING:
    from helios_cli.engine.node.replication import Replication

log = logging.getLogger(__name__)

ALONE_S: Final = 3.0
"""So long the node that was followed may be away: it may have been restarted."""


class Search:
    """Of one life of a node. A primary tells the members of its cluster; a standby's standby is none."""

    def __init__(self, replication: Replication) -> None:
        self._replication = replication
        self._alone_since = replication.now()
        self._asking = False

    def beat(self) -> None:
        """To be called often, on a node that is not going to be elected."""
        own, now = self._replication, self._replication.now()
        if self._is_followed() or own.role.name != "standby" or own.changing.locked():
            self._alone_since = now
        elif now - self._alone_since > ALONE_S and not self._asking:
            self._asking = True
            own.later(self._ask())

    def _is_followed(self) -> bool:
        following = self._replication.following
        return following is None or following.upstream.connected

    async def _ask(self) -> None:
        own = self._replication
        try:
            heard = await promotion.survey(own, promise=False, enough=partial(promotion.is_decided, own))
            found = promotion.leader(own, heard)
            async with own.changing:
                if found is not None and not self._is_followed():
                    own.retarget(found.node_id, found.primary_host, found.primary_native_port, found.term)
        except HeliosError as error:
            log.warning("the primary is not followed: %s", error.message)
        finally:
            self._alone_since = own.now()
            self._asking = False
