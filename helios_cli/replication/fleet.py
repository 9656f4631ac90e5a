"""The primary and its replicas, and which of them may be read from."""

from __future__ import annotations

import threading
from dataclasses import replace

from helios_cli.engine.errors import ConfigError
from helios_cli.replication.config import Endpoint, ReplicaConfig
from helios_cli.replication.errors import ReplicaRefused, ReplicationError, UnknownReplica
from helios_cli.replication.replica import Findings, Replica


class Fleet:
    """Any thread may call it. What may be read from is a tuple that is replaced as a whole: readers never wait."""

    def __init__(self, config: ReplicaConfig) -> None:
        self.config = config
        self.primary = Replica(config.primary_address, config)
        self.eligible: tuple[Replica, ...] = ()
        """Healthy replicas, in the order in which they were added."""
        self._lock = threading.Lock()
        self._replicas = {address: Replica(address, config) for address in config.replica_addresses}

    def replicas(self) -> tuple[Replica, ...]:
        """All of them, healthy or not."""
        with self._lock:
            return tuple(self._replicas.values())

    def find(self, address: str) -> Replica:
        """The replica at an address.

        Raises:
            UnknownReplica: there is none.
        """
        with self._lock:
            found = self._replicas.get(_normal(address))
        if found is None:
            raise UnknownReplica(f"{address} is no replica of this manager", hint="Add it with add_replica.")
        return found

    def add(self, replica: Replica) -> None:
        """One more, as it was found.

        Raises:
            ReplicaRefused: it is here already.
        """
        with self._lock:
            if replica.address in self._replicas or replica.address == self.primary.address:
                raise ReplicaRefused(f"{replica.address} is managed already")
            self._replicas[replica.address] = replica
        self.refresh()

    def remove(self, address: str) -> Replica:
        """Take one out; it is not chosen any more when this returns. The caller closes it.

        Raises:
            UnknownReplica: there is none. ReplicationError: fewer than ``min_replicas`` would be left.
        """
        replica = self.find(address)
        least = self.config.min_replicas
        with self._lock:
            if len(self._replicas) <= least:
                raise ReplicationError(
                    f"without {replica.address} there are fewer than {least} replicas (min_replicas)",
                    hint="Add another replica first.",
                )
            self._replicas.pop(replica.address, None)
        self.refresh()
        return replica

    def make_primary(self, address: str) -> None:
        """A replica has become the primary; what was the primary is a replica from now on, not a healthy one yet."""
        with self._lock:
            new = self._replicas.pop(address, None)
            if new is None:
                return
            old, self.primary = self.primary, new
            new.found = replace(new.found, role="primary", reason="")
            old.found = Findings(reason="it was the primary until now", cluster_id=old.found.cluster_id)
            self._replicas[old.address] = old
        self.refresh()

    def refresh(self) -> None:
        """Decide anew which replicas may be read from."""
        with self._lock:
            self.eligible = tuple(replica for replica in self._replicas.values() if not self.problem(replica))

    def problem(self, replica: Replica) -> str:
        """Why a replica is not read from; empty when it is."""
        found, threshold = replica.found, self.config.lag_threshold_ms
        if found.reason:
            return found.reason
        foreign = self.foreign(found)
        if foreign:
            return foreign
        if replica.lag_ms > threshold:
            return f"it lags {replica.lag_ms:.0f} ms, more than {threshold} ms"
        return ""

    def foreign(self, found: Findings) -> str:
        """That a node belongs to another cluster than the primary; empty when it does not, or nobody can tell."""
        own = self.primary.found.cluster_id
        if own and found.cluster_id and found.cluster_id != own:
            return f"it belongs to another cluster ({found.cluster_id})"
        return ""

    def close(self) -> None:
        """End every connection."""
        for replica in (self.primary, *self.replicas()):
            replica.close()


def _normal(address: str) -> str:
    try:
        return str(Endpoint.parse(address))
    except ConfigError:
        return address
