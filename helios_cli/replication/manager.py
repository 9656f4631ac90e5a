"""The replicas of one primary as one thing: where to read, how they are, who leads."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from helios_cli.engine.net.pgclient import CannotConnect, PgClient
from helios_cli.engine.types import Lsn, Token
from helios_cli.replication.balancer import LoadBalancer, LoadBalancingStrategy
from helios_cli.replication.config import Endpoint, ReplicaConfig
from helios_cli.replication.consistency import ConsistencyManager, shows
from helios_cli.replication.errors import NodeUnreachable, NoHealthyReplicas, ReplicaRefused, ReplicasBehind, WriteGone
from helios_cli.replication.failover import FailoverEvent, FailoverManager
from helios_cli.replication.fleet import Fleet
from helios_cli.replication.lag import LagMonitor, percentile
from helios_cli.replication.node_client import NodeClient
from helios_cli.replication.replica import Replica, ReplicaStatus
from helios_cli.replication.watch import Watch

BEHIND_PAUSE_S: Final = 0.005
"""Between two questions whether a replica has caught up with a session."""


@dataclass(frozen=True, slots=True)
class ReplicationStats:
    """All replicas together. Lags are milliseconds, over the replicas that answer; 0 when none does."""

    total_replicas: int
    healthy_replicas: int
    avg_lag_ms: float
    max_lag_ms: int
    p50_lag_ms: float
    p95_lag_ms: float
    p99_lag_ms: float
    """Percentiles over the replicas as they are now; ``lag_monitor`` has those of each over time."""
    failover_count: int
    session_count: int
    primary_address: str
    primary_healthy: bool


class ReplicaManager:
    """Watches real nodes in the background, and says which to read from. Any thread may call any method.

    The first round of checks is made before the constructor returns; nodes that do not answer make it take
    ``health_check_timeout`` longer. :meth:`close`, or leaving a ``with`` block, ends the threads and the connections.
    """

    def __init__(self, config: ReplicaConfig) -> None:
        """``config`` is fixed for the manager's life, but for the addresses that are added, removed and promoted."""
        self.config = config
        self.load_balancer = LoadBalancer()
        self.lag_monitor = LagMonitor()
        self.consistency = ConsistencyManager(config.session_timeout)
        self.failover = FailoverManager(self._promote)
        self._fleet = Fleet(config)
        self._watch = Watch(self._fleet, self.lag_monitor, self.failover)
        self._closed = False
        try:
            self._watch.start()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop watching and end every connection; returns when the threads have ended. Idempotent."""
        if not self._closed:
            self._closed = True
            self._watch.stop()
            self._fleet.close()

    # Reading

    @property
    def primary_address(self) -> str:
        """Who leads, as far as is known: where to write, and to read what no replica can serve."""
        return self._fleet.primary.address

    def get_replica_for_read(self, strategy: LoadBalancingStrategy = LoadBalancingStrategy.ROUND_ROBIN) -> str:
        """The address of a healthy replica. Asks nobody: takes microseconds.

        Raises:
            NoHealthyReplicas: fewer than ``min_replicas`` are healthy, or none.
        """
        replica = self.load_balancer.select(self._readable(), strategy)
        replica.chosen()
        return replica.address

    def get_replica_for_read_with_session(
        self, session_id: str, strategy: LoadBalancingStrategy = LoadBalancingStrategy.ROUND_ROBIN
    ) -> str:
        """The address of a healthy replica that has all that the session has written (:meth:`record_write`).

        When none is known to have it, replicas are asked until one does, for ``health_check_timeout`` at most.

        Raises:
            ReplicasBehind: none has it yet; a NoHealthyReplicas, so that falling back to the primary is one clause.
            WriteGone: a failover gave it up. That is said once; then the session reads what there is.
            NoHealthyReplicas: as :meth:`get_replica_for_read`.
        """
        replica = self._for_session(session_id, strategy)
        replica.chosen()
        return replica.address

    def record_write(self, session_id: str, written: int | Token | None = None) -> Lsn:
        """The session has written up to a state (what ``helios.lsn`` says) or an LSN; gives the LSN for its reads.

        None asks the primary where it is now, which is at or behind the session's write. An LSN alone counts in any
        term: behind a failover it may be another state.

        Raises:
            NodeUnreachable: the primary was to be asked and does not answer.
        """
        known = written if written is not None else self._fleet.primary.client.position().state
        self.consistency.record_write(session_id, known)
        return known.lsn if isinstance(known, Token) else Lsn(known)

    @contextlib.contextmanager
    def connection(
        self,
        strategy: LoadBalancingStrategy = LoadBalancingStrategy.LEAST_CONNECTIONS,
        *,
        session_id: str | None = None,
    ) -> Iterator[PgClient]:
        """Borrow a connection to a healthy replica from its pool; the next replica is tried when one is gone.

        Raises:
            NoHealthyReplicas, ReplicasBehind: as for the addresses. TooManyConnections: the replica's pool is used up.
        """
        with contextlib.ExitStack() as stack:
            while True:
                replica = self._for_session(session_id, strategy)
                try:
                    client = stack.enter_context(replica.pool.connection())
                except CannotConnect:
                    self._watch.check_node(replica)
                    self._fleet.refresh()
                    if not self._fleet.problem(replica):
                        raise
                    continue
                break
            yield client

    def _for_session(self, session_id: str | None, strategy: LoadBalancingStrategy) -> Replica:
        readable = self._readable()
        if session_id is None or not self.config.enable_read_your_writes:
            return self.load_balancer.select(readable, strategy)
        wanted = self.consistency.required(session_id)
        able = [replica for replica in readable if shows(replica.state, wanted)]
        return self.load_balancer.select(able or self._caught_up(session_id, wanted), strategy)

    def _readable(self) -> tuple[Replica, ...]:
        eligible, needed = self._fleet.eligible, self.config.min_replicas
        if not eligible or len(eligible) < needed:
            problems = [self._fleet.problem(one) for one in self._fleet.replicas()]
            reasons = "; ".join(sorted({problem for problem in problems if problem}))
            raise NoHealthyReplicas(
                f"{len(eligible)} healthy replicas, {max(1, needed)} are needed",
                detail=reasons or None,
                hint="Read from the primary, or try again.",
            )
        return eligible

    def _caught_up(self, session_id: str, wanted: Token) -> Sequence[Replica]:
        """Healthy replicas that show ``wanted``, asked until there is one."""
        deadline = time.monotonic() + self.config.health_check_timeout.total_seconds()
        while True:
            for replica in self._readable():
                self._watch.refresh_position(replica)
                shown = shows(replica.state, wanted)
                if shown or (shown is None and self._went_on_with(session_id, wanted, replica)):
                    return [one for one in self._readable() if shows(one.state, wanted)] or [replica]
            if time.monotonic() > deadline:
                raise ReplicasBehind(
                    f"no healthy replica has applied {wanted.lsn} yet", hint="Read from the primary, or try again."
                )
            time.sleep(BEHIND_PAUSE_S)

    def _went_on_with(self, session_id: str, wanted: Token, replica: Replica) -> bool:
        """Whether a replica of a newer term has a state of an older one; then it is that of its own term, too."""
        try:
            replica.client.check_shows(wanted)
        except WriteGone:
            self.consistency.forget(session_id)
            raise
        except NodeUnreachable:
            return False
        self.consistency.record_write(session_id, Token(wanted.lsn, replica.state.term))
        return True

    # The set of replicas

    def add_replica(self, address: str) -> ReplicaStatus:
        """Manage one more; gives what was found. One that does not answer yet is added too, as not healthy.

        Raises:
            ReplicaRefused: it is managed already, leads, or belongs to another cluster. ConfigError: no address.
        """
        replica = Replica(str(Endpoint.parse(address)), self.config)
        try:
            if self._is_known(replica.address):
                raise ReplicaRefused(f"{replica.address} is managed already")
            self._watch.check_node(replica)
            wrong = self._fleet.foreign(replica.found)
            if replica.found.answered and (wrong or replica.found.role != "standby"):
                raise ReplicaRefused(f"{replica.address} cannot be added: {wrong or 'it is no standby'}")
            if replica.found.answered:
                self._watch.measure(replica)
            self._fleet.add(replica)
        except BaseException:
            replica.close()
            raise
        return replica.status(self._fleet.problem(replica))

    def remove_replica(self, address: str) -> None:
        """Manage one less; nobody is sent there any more. Connections that are lent out end when they come back.

        Raises:
            UnknownReplica: it is none. ReplicationError: fewer than ``min_replicas`` would be left.
        """
        removed = self._fleet.remove(address)
        removed.close()
        self.lag_monitor.forget(removed.address)

    def _is_known(self, address: str) -> bool:
        return address == self.primary_address or any(address == one.address for one in self._fleet.replicas())

    # How they are

    def get_lag(self, address: str) -> int:
        """How far a replica is behind, milliseconds, by the newest sample.

        Raises:
            UnknownReplica: it is none.
        """
        return round(self._fleet.find(address).lag_ms)

    def get_all_status(self) -> list[ReplicaStatus]:
        """Every replica, in the order in which they were added."""
        return [replica.status(self._fleet.problem(replica)) for replica in self._fleet.replicas()]

    def get_stats(self) -> ReplicationStats:
        """All of them together."""
        replicas, eligible = self._fleet.replicas(), self._fleet.eligible
        lags = sorted(replica.lag_ms for replica in replicas if replica.found.answered)
        primary = self._fleet.primary
        return ReplicationStats(
            total_replicas=len(replicas),
            healthy_replicas=len(eligible),
            avg_lag_ms=sum(lags) / len(lags) if lags else 0.0,
            max_lag_ms=round(lags[-1]) if lags else 0,
            p50_lag_ms=percentile(lags, 50),
            p95_lag_ms=percentile(lags, 95),
            p99_lag_ms=percentile(lags, 99),
            failover_count=self.failover.failover_count,
            session_count=len(self.consistency),
            primary_address=primary.address,
            primary_healthy=primary.found.answered,
        )

    def check_now(self) -> None:
        """Make a round of health checks and one of lag on this thread, without waiting for their turn."""
        self._watch.check_health()
        self._watch.check_lag()

    # Failover

    def promote_replica(self, address: str) -> FailoverEvent:
        """Make a replica the primary, with nothing lost that was acknowledged; the old primary becomes a replica.

        A primary that answers hands its place over (a switchover); in place of one that does not, the replica is
        promoted, which it refuses when acknowledged commits could be missing from it.

        Raises:
            UnknownReplica: it is none. PromotionRefused: the nodes will not, and why. NodeUnreachable: no answer.
        """
        replica = self._fleet.find(address)
        event = self.failover.promote(self.primary_address, replica.address, reason="requested")
        self._watch.primary_changed(replica.address)
        self.check_now()
        return event

    def _promote(self, address: str) -> object:
        """One step of :class:`FailoverManager`. Clients of its own, so that checks go on while it takes its time."""
        replica, old = self._fleet.find(address), NodeClient(self.primary_address, self.config)
        new = NodeClient(address, self.config)
        try:
            with contextlib.suppress(NodeUnreachable):
                old.position()
                return old.switch_over(replica.found.node_id)
            return new.promote()
        finally:
            old.close()
            new.close()
