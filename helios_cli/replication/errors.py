"""What can go wrong when replicas are managed."""

from __future__ import annotations

from helios_cli.engine.errors import HeliosError


class ReplicationError(HeliosError):
    """Something about replicas cannot be done; every error of this package is one."""

    sqlstate = "NH000"


class NoHealthyReplicas(ReplicationError):
    """No replica may be read from now. The primary may: whoever can afford it falls back to that."""

    sqlstate = "NH001"
    retryable = True


class ReplicasBehind(NoHealthyReplicas):
    """Replicas are healthy, but none has what the session has written."""

    sqlstate = "NH002"


class WriteGone(ReplicationError):
    """What a session has written was given up in a failover; a former primary keeps it as a salvage."""

    sqlstate = "NH020"


class UnknownReplica(ReplicationError):
    """The address is none of a replica."""

    sqlstate = "NH003"


class ReplicaRefused(ReplicationError):
    """A node cannot be a replica here: there already, the primary itself, or of another cluster."""

    sqlstate = "NH004"


class FellBehindBuffer(ReplicationError):
    """A replica lacks entries that the replicator holds no more."""


class PromotionRefused(ReplicationError):
    """A node was not promoted; the message is the node's own where it gave one."""

    sqlstate = "NH005"


class NotProtected(ReplicationError):
    """Too few observers stand behind one primary."""

    sqlstate = "NH007"
    retryable = True


class NodeUnreachable(ReplicationError):
    """A node gives no answer, or none in time."""

    sqlstate = "08001"
    retryable = True
