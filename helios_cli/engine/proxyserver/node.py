"""One node behind the proxy."""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """Whether a node is given statements."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    DRAINING = "draining"
    """What runs there may end; nothing new comes."""
    DISABLED = "disabled"


class Node:
    """One node, as it was last heard of."""

    def __init__(self, name: str, host: str, port: int, *, weight: int = 1, enabled: bool = True) -> None:
        self.name = name
        self.host = host
        self.port = port
        self.weight = weight
        self.state = State.UNHEALTHY if enabled else State.DISABLED
        self.is_heliosdb = True
        """Else plain PostgreSQL."""
        self.role = ""
        """``primary`` or ``standby``; empty before it has been heard; ``deposed``: it claims to lead, and does not."""
        self.term = 0
        """Of a HeliosDB node the cluster's, of plain PostgreSQL the timeline."""
        self.lsn = 0
        """A query that comes now sees at least this."""
        self.lag_bytes = 0
        self.lag_ms = 0.0
        self.latency_s = 0.0
        self.active = 0
        """Units in hand there; kept by the pools."""
        self.generation = 0
        """Raised when every connection to it must go: it was lost, it leads no longer, its address has changed."""
        self.leads = False
        """It says so."""
        self.is_handing_over = False
        """It gives the lead away: it takes no new writes, and what it has begun may end."""
        self.handover_ends = 0.0
        """When that has come to nothing, by the loop's clock."""
        self.is_draining = False
        """An operator wants it to get nothing new."""
        self.is_enabled = enabled
        self.hint = ""
        """Its role by the configuration."""
        self.is_lost = False
        """Since it was lost it has not answered."""
        self.began_anew = True
        """Since its connection was made it has not answered: what it shows may be less than before."""
        self.reason = ""
        """Why it was not reached when it was last tried; empty when it was."""

    def __repr__(self) -> str:
        return f"<Node {self.name} {self.host}:{self.port} {self.role or 'unheard'} {self.state.value}>"
