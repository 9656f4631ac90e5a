"""The threads that watch a fleet: health checks, lag, and failover when the primary is lost."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final

from helios_cli.engine.errors import HeliosError
from helios_cli.replication.errors import NodeUnreachable
from helios_cli.replication.failover import FailoverManager
from helios_cli.replication.fleet import Fleet
from helios_cli.replication.lag import LagMonitor, PrimaryClock
from helios_cli.replication.replica import Replica, findings

log = logging.getLogger(__name__)

WORKERS_MAX: Final = 16
"""Nodes asked at the same time."""


class Watch:
    """Runs rounds of checks on threads of its own, and on the caller's when asked to."""

    def __init__(self, fleet: Fleet, lag: LagMonitor, failover: FailoverManager) -> None:
        """Nothing runs before :meth:`start`."""
        self.fleet = fleet
        self.lag = lag
        self.failover = failover
        self.primary_failures = 0
        """Health checks in a row that the primary has failed."""
        self.clock = PrimaryClock()
        config = fleet.config
        self._ended = threading.Event()
        self._health_turn = threading.Lock()
        self._lag_turn = threading.Lock()
        self._workers = ThreadPoolExecutor(WORKERS_MAX, thread_name_prefix="replica-check")
        self._threads = [
            threading.Thread(target=self._every, args=(seconds, work), name=name, daemon=True)
            for name, seconds, work in (
                ("replica-health", config.health_check_interval.total_seconds(), self.check_health),
                ("replica-lag", config.lag_monitor_interval.total_seconds(), self.check_lag),
            )
        ]

    def start(self) -> None:
        """Make the first round of both on this thread, then go on in the background."""
        self.check_health()
        self.check_lag()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the threads; returns when they have ended, within the timeout of a check. Idempotent."""
        self._ended.set()
        for thread in self._threads:
            if thread.ident is not None and thread is not threading.current_thread():
                thread.join()
        self._workers.shutdown(wait=True, cancel_futures=True)

    # Health

    def check_health(self) -> None:
        """Ask every node how it is, and act on what has changed."""
        with self._health_turn:
            fleet = self.fleet
            checks = [self._workers.submit(self.check_node, node) for node in (fleet.primary, *fleet.replicas())]
            for check in checks:
                check.result()
            self._note_primary()
            self._adopt_new_primary()
            fleet.refresh()
            if fleet.config.auto_failover and self.primary_failures >= fleet.config.failure_threshold:
                self._fail_over()

    def check_node(self, node: Replica) -> None:
        """Ask one node; what was found is kept in it."""
        before = node.found.reason
        try:
            position = node.client.position()
            node.at(position)
        except HeliosError as error:
            node.checked(replace(node.found, answered=False, reason=error.message, sessions=0, follows=None))
        else:
            try:
                found = findings(node.client.status(), position.is_standby)
            except NodeUnreachable:
                # It answers queries, which is what it is read for; the rest stays as it was known.
                role = "standby" if position.is_standby else "primary"
                reason = "" if position.is_standby else "it is no standby"
                found = replace(node.found, answered=True, role=role, reason=reason, follows=None, node_lag_ms=None)
            node.checked(found)
        if node is not self.fleet.primary and node.found.reason != before:
            log.info("replica %s: %s", node.address, node.found.reason or "healthy")

    def _note_primary(self) -> None:
        if self.fleet.primary.found.answered:
            self.primary_failures = 0
            return
        self.primary_failures += 1
        if self.primary_failures == 1:
            log.warning("primary %s: %s", self.fleet.primary.address, self.fleet.primary.found.reason)

    def _adopt_new_primary(self) -> None:
        """Somebody else may have promoted a replica, or switched over."""
        fleet = self.fleet
        known = fleet.primary.found
        for replica in fleet.replicas():
            found = replica.found
            leads = found.answered and found.role == "primary" and not fleet.foreign(found)
            if leads and (found.term > known.term or known.role == "standby"):
                log.warning("%s is the primary now, in term %d", replica.address, found.term)
                self.primary_changed(replica.address)
                return

    def primary_changed(self, address: str) -> None:
        """A replica has become the primary."""
        self.fleet.make_primary(address)
        self.primary_failures = 0

    # Failover

    def _fail_over(self) -> None:
        fleet = self.fleet
        lost = fleet.primary
        reason = f"the primary failed {self.primary_failures} checks in a row: {lost.found.reason}"
        alive = [one for one in fleet.replicas() if not one.found.reason and not fleet.foreign(one.found)]
        following = [one for one in alive if one.found.follows]
        if following:
            # Only this process is cut off. The nodes decide themselves, too, whether a promotion is safe.
            names = ", ".join(one.address for one in following)
            self.failover.refused(lost.address, reason=reason, error=f"the primary is still followed by {names}")
            return
        needed = max(1, fleet.config.min_replicas)
        event = self.failover.automatic(lost.address, alive, needed=needed, reason=reason)
        if event is not None:
            log.warning("promoted %s: %s", event.new_primary, reason)
            self.primary_changed(event.new_primary)

    # Lag

    def check_lag(self) -> None:
        """Ask the primary and every replica that answers where they are."""
        with self._lag_turn:
            primary = self.fleet.primary
            primary_answers = self._sample_primary(primary)
            for replica in self.fleet.replicas():
                if replica.found.answered:
                    self.measure(replica, primary_answers=primary_answers)
            self.fleet.refresh()

    def _sample_primary(self, primary: Replica) -> bool:
        if not primary.found.answered:
            return False
        try:
            position = primary.client.position()
        except HeliosError:
            return False
        primary.at(position)
        self.clock.sample(position.lsn, position.at_s)
        return True

    def measure(self, replica: Replica, *, primary_answers: bool = True) -> None:
        """Ask one replica where it is, and work out its lag. One that does not answer is left to the health check."""
        try:
            position = replica.client.position()
        except HeliosError:
            return
        replica.at(position)
        lag_ms = self.clock.lag_ms(position.lsn, position.at_s)
        told = replica.found.node_lag_ms
        if not primary_answers and told is not None:
            lag_ms = max(lag_ms, told)
        replica.lag_ms = lag_ms
        replica.lag_bytes = max(0, self.clock.newest - position.lsn)
        self.lag.record(replica.address, lag_ms, at_s=position.at_s, lag_bytes=replica.lag_bytes)

    def refresh_position(self, replica: Replica) -> None:
        """Ask one replica where it is now, for a session that waits for it. Nothing changes when it does not answer."""
        try:
            replica.at(replica.client.position())
        except HeliosError as error:
            log.debug("replica %s: %s", replica.address, error.message)

    def _every(self, seconds: float, work: Callable[[], None]) -> None:
        due = time.monotonic() + seconds
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            due = max(due + seconds, time.monotonic())
            try:
                work()
            except Exception:
                if not self._ended.is_set():
                    log.exception("a check of the replicas failed")
