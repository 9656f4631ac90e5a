"""What an operator has asked the primary for is told as done once it is agreed on, and no sooner."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from helios_cli.engine.consensus.config import ClusterConfig
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.node.promotion import PromotionRefused

if TYPE_CHECKING:
    from helios_cli.engine.node.replication import Replication

AGREED_S: Final = 5.0
"""So long an answer waits for it."""

LOOK_S: Final = 0.002


class NotAgreed(HeliosError):
    """A change of the cluster's configuration that waits for nodes that are not heard of."""

    sqlstate = "57014"


async def until_agreed(replication: Replication, is_so: Callable[[ClusterConfig], bool]) -> None:
    """Wait until a configuration of which ``is_so`` holds is in force; it has been asked for.

    Raises:
        PromotionRefused: this node leads no longer.
        NotAgreed: it is not, after a while; it is as soon as those who are missing are there.
    """
    leading, deadline = replication.leading, replication.now() + AGREED_S
    while leading is not None and not is_so(leading.lsns.config):
        if leading.is_over or replication.leading is not leading:
            raise PromotionRefused(
                "this node leads no longer: whether the cluster's configuration has changed is not known",
                hint="Ask again, of the new primary.",
            )
        if replication.now() > deadline:
            raise NotAgreed(
                f"the change of the cluster's configuration is not agreed on yet, after {AGREED_S:.0f} s",
                hint="It is made as soon as enough nodes have it; heliosdb-nano topology shows which are missing.",
            )
        await asyncio.sleep(LOOK_S)
