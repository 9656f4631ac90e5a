"""Who decides who leads, as the settings have it; and that a node keeps to what its cluster was born with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from helios_cli.engine.config.settings import Settings
from helios_cli.engine.consensus.config import EMBEDDED, ETCD
from helios_cli.engine.consensus.election import Answer
from helios_cli.engine.errors import ConfigError
from helios_cli.engine.ports import Authority, Measured
from helios_cli.engine.types import Term

if TYPE_CHECKING:
    from helios_cli.engine.node.replication import Replication


class EmbeddedAuthority:
    """The nodes decide among themselves, and their answers are all that counts."""

    def begin(self) -> None:
        """Nothing is needed."""

    def stop(self) -> None:
        """Nothing is kept."""

    def hurry(self) -> None:
        """The other nodes hear of it by themselves."""

    def may_stand(self) -> bool:
        """The others say."""
        return True

    def may_agree(self) -> bool:
        """A primary that has its lease hears enough of the others."""
        return True

    def trip_s(self) -> float:
        """Nobody else is asked."""
        return 0.0

    async def consult(self, giver: str, *, promise: bool) -> Answer | None:
        """Nobody else is asked."""
        return None

    async def reserve(self, floor: int, giver: str, *, by_force: bool) -> int:
        """The others promise one term to one node."""
        return floor

    async def claim(self, term: Term, *, by_force: bool) -> None:
        """The promises of the others are enough."""

    async def demand(self) -> None:
        """The others say."""

    def record(self) -> Mapping[str, Any]:
        """What /status shows of it."""
        return {"kind": EMBEDDED}

    def metrics(self) -> Mapping[str, Measured]:
        """There is nothing else that could fail."""
        return {}

    def trouble(self) -> str:
        """The voters are all that could fail."""
        return ""

    def present(self) -> tuple[str, ...]:
        """The voters tell it all."""
        return ()


def authority_of(replication: Replication) -> Authority:
    """What the node's settings name.

    Raises:
        ConfigError: it cannot be asked: its client is not installed, or a file of the settings cannot be read.
    """
    if replication.node.settings.authority == ETCD:
        from helios_cli.engine.node.etcd_authority import EtcdAuthority

        return EtcdAuthority(replication)
    return EmbeddedAuthority()


def refuse_another(settings: Settings, authority: str) -> None:
    """Refuse to run a node by another authority than its cluster's.

    Raises:
        ConfigError: its settings name another one.
    """
    if settings.authority != authority:
        more = " and --etcd-endpoints" if authority == ETCD else ""
        raise ConfigError(
            f"the authority of this cluster is {authority}, and that of this node would be {settings.authority}",
            hint=f"Start it with --authority {authority}{more}: a cluster keeps the one that it was born with.",
        )
