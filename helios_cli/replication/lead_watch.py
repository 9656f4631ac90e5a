"""Watching from Python who leads a cluster, and being called when that changes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from helios_cli.engine.errors import HeliosError
from helios_cli.replication.background import Background
from helios_cli.replication.config import ReplicaConfig, ReplicationConfig
from helios_cli.replication.errors import NodeUnreachable
from helios_cli.replication.node_client import NodeClient

log = logging.getLogger(__name__)

INTERVAL_S: Final = 0.5
WORKERS_MAX: Final = 16

_LEADS: Final = "SELECT node_id, role, term FROM helios_replication_status WHERE is_local"
_KNOWN: Final = "SELECT DISTINCT pg_address FROM helios_topology WHERE pg_address <> ''"
_HISTORY: Final = (
    "SELECT term, old_primary, new_primary, extract(epoch FROM failover_time), automatic, reason "
    "FROM helios_failover_history WHERE decision = 'promoted' AND term > {} ORDER BY term"
)


@dataclass(frozen=True, slots=True)
class LeadChange:
    """Another node leads. Nodes are named as their ``--node-id`` says."""

    term: int
    """In which the new primary leads; it grows with every change."""
    old_primary: str
    new_primary: str
    at_s: float
    """When it took the lead, seconds since 1970-01-01 UTC by its clock."""
    automatic: bool
    """No operator asked for it: a failover. False: a switchover, or a promotion by hand."""
    reason: str


@dataclass(frozen=True, slots=True)
class _Told:
    """What one node says of itself."""

    address: str
    node_id: str
    leads: bool
    term: int


class FailoverWatcher(Background):
    """Asks the nodes of a cluster who leads, and calls back once for each change of it, in order.

    The cluster replaces a lost primary itself; this only tells of it, and may be stopped at any time. It needs the
    address of one node, and finds the others there. ``start`` and ``stop``, or a ``with`` block, bound its thread.
    """

    def __init__(self, config: ReplicationConfig | ReplicaConfig, *, interval_s: float = INTERVAL_S) -> None:
        """Nothing runs before :meth:`start`. ``interval_s`` lies between two rounds of questions."""
        super().__init__("failover-watcher", WORKERS_MAX)
        self._config = config.replica_config() if isinstance(config, ReplicationConfig) else config
        self._interval_s = interval_s
        self._callbacks: list[Callable[[LeadChange], object]] = []
        self._nodes: dict[str, NodeClient] = {}
        self._add((self._config.primary_address, *self._config.replica_addresses))
        self._leader: _Told | None = None
        self._told_term = 0
        self.answering = 0
        """Nodes that answered in the last round."""

    def on_failover(self, callback: Callable[[LeadChange], object]) -> None:
        """Call back whenever another node has come to lead, on the watcher's thread; what it raises is logged."""
        self._callbacks.append(callback)

    @property
    def primary_address(self) -> str:
        """The PostgreSQL address of the node that leads; empty while none says that it does."""
        return self._leader.address if self._leader is not None else ""

    @property
    def primary(self) -> str:
        """Its name; empty while none says that it leads."""
        return self._leader.node_id if self._leader is not None else ""

    @property
    def term(self) -> int:
        """The newest term in which a node was seen to lead; 0: none yet."""
        return self._told_term

    def start(self) -> None:
        """Look once, then go on in the background.

        Raises:
            NodeUnreachable: no node of the configuration answers.
        """
        found = self._round()
        if not found:
            self.stop()
            raise NodeUnreachable(
                f"none of {', '.join(self._nodes)} answers", hint="Give the PostgreSQL address of a node that runs."
            )
        self._told_term = max((told.term for told in found if told.leads), default=0)
        super().start()

    def stop(self) -> None:
        """End the watching; returns when no callback runs any more. Idempotent."""
        super().stop()
        for node in self._nodes.values():
            node.close()

    # The thread

    def _run(self) -> None:
        while not self._ended.wait(self._interval_s):
            try:
                self._round()
                leader = self._leader
                if leader is not None and leader.term > self._told_term:
                    self._tell(self._changes(self._told_term, leader.term))
                    self._told_term = leader.term
            except Exception:
                if not self._ended.is_set():
                    log.exception("a look at who leads failed")

    def _round(self) -> list[_Told]:
        """Ask every node; whoever leads in the newest term is the primary."""
        found = [told for told in self._workers.map(self._ask, tuple(self._nodes.values())) if told is not None]
        self.answering = len(found)
        leading = [told for told in found if told.leads]
        self._leader = max(leading, key=lambda told: told.term, default=None)
        return found

    def _ask(self, node: NodeClient) -> _Told | None:
        try:
            ((node_id, role, term),) = node.rows(_LEADS)
            known = [address for (address,) in node.rows(_KNOWN) if address]
        except (HeliosError, ValueError) as error:
            log.debug("node at %s: %s", node.address, error)
            return None
        self._add(known)
        return _Told(node.address, node_id or "", role in ("primary", "standalone"), int(term or 0))

    def _add(self, addresses: Iterable[str]) -> None:
        for address in addresses:
            if address not in self._nodes:
                # On several threads at once: the first of two alike stays.
                self._nodes.setdefault(address, NodeClient(address, self._config))

    def _changes(self, after: int, to: int) -> list[LeadChange]:
        """What the nodes' histories say of the terms in between, by term."""
        found: dict[int, LeadChange] = {}
        for node in tuple(self._nodes.values()):
            try:
                rows = node.rows(_HISTORY.format(after))
            except HeliosError:
                continue
            for term, old, new, at_s, automatic, reason in rows:
                change = LeadChange(
                    int(term or 0), old or "", new or "", float(at_s or 0), automatic == "t", reason or ""
                )
                if change.term <= to:
                    found[change.term] = change
        # A primary that leads on in a new term, after a restart, is no change.
        return [found[term] for term in sorted(found) if found[term].old_primary != found[term].new_primary]

    def _tell(self, changes: Iterable[LeadChange]) -> None:
        for change in changes:
            for callback in tuple(self._callbacks):
                try:
                    callback(change)
                except Exception:
                    log.exception("a callback of the failover watcher failed")
