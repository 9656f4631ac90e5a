"""etcd as the authority: a thread that keeps the lead there while this node has it, and looks who has it else.

What the keys mean, and which transactions there are, is in :mod:`~helios_cli.engine.consensus.authority`.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.consensus import authority as rules
from helios_cli.engine.consensus.authority import Keys, Leader, Sync, View
from helios_cli.engine.consensus.config import ETCD, REFEREE, REFEREE_DISK, ClusterConfig, Voter
from helios_cli.engine.consensus.election import Answer
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.net.etcd import Access, Etcd, EtcdFailed
from helios_cli.engine.node.clock import SystemClock
from helios_cli.engine.node.etcd_meter import EtcdMeter, measured, sentences
from helios_cli.engine.node.promotion import PromotionRefused
from helios_cli.engine.ports import Measured
from helios_cli.engine.types import Term

if TYPE_CHECKING:
    from helios_cli.engine.node.replication import Replication

log = logging.getLogger(__name__)

TICK_S: Final = 0.05
LOOK_S: Final = 0.1
"""How often a node looks at the keys that does not hear the primary."""
IDLE_S: Final = 1.0
"""How often one does that hears it."""
RENEWALS: Final = 4
"""So many in the time for which etcd keeps the lead."""
FRESH_S: Final = 3.0
"""What was read longer ago says nothing of whether etcd is there."""
STOP_S: Final = 3.0


class EtcdAuthority:
    """Of one life of a node. Two threads ask etcd, each with a client of its own: the keeper, and one for elections."""

    def __init__(self, replication: Replication) -> None:
        """Raises ConfigError: etcd cannot be asked by these settings."""
        node = replication.node
        settings = node.settings
        self._replication = replication
        self._ttl_s = math.ceil(settings.etcd_ttl / 1000)
        record = node.store.control.record
        self._own: Voter = (replication.node_id, record.incarnation.hex())
        self.keys = Keys(settings.etcd_prefix.rstrip("/"), record.cluster_id.hex())
        access = Access.of(settings)
        self._keeper = Etcd(access, self.keys)
        self._asker = Etcd(access, self.keys)
        self._asking = ThreadPoolExecutor(1, "etcd-asker")
        self._thread = threading.Thread(target=self._run, name="etcd", daemon=True)
        self._over = threading.Event()
        self._wake = threading.Event()
        self._due_at = -math.inf
        self._renew_at = -math.inf
        self._lease = ""
        """The lease by which this node has the lead in etcd; empty: it has none."""
        self._granted: tuple[Term, float, int] | None = None
        """The term, when it was asked for by the steady clock, and the seconds that etcd has promised."""
        self._seen: View | None = None
        self._seen_at = -math.inf
        self._known: Sync | None = None
        """The newest configuration that etcd has ever shown to this life of the node, or taken from it."""
        self._consulted: View | None = None
        self._error = ""
        self._why = ""
        self._missed = False
        self._meter = EtcdMeter()

    # For the loop ----------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Look at the keys from now on."""
        self._thread.start()

    def stop(self) -> None:
        """End, and give the lead back in etcd. Idempotent; waits a few seconds at most."""
        self._over.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(STOP_S)
        else:
            self._release()
        self._asking.shutdown(wait=False, cancel_futures=True)

    def hurry(self) -> None:
        """The keeper has something to do now."""
        self._due_at = -math.inf
        self._wake.set()

    def may_stand(self) -> bool:
        """Whether etcd answers, knows the cluster, and would not keep the lead for somebody else."""
        seen = self._seen
        if seen is None or time.monotonic() - self._seen_at > FRESH_S or rules.has_forgotten(seen, self._known):
            return False
        return not rules.is_kept(seen, self._own, "", protected=self._is_protected(seen))

    def may_agree(self) -> bool:
        """Whether etcd answers."""
        return self._is_reached()

    def trip_s(self) -> float:
        """Of a node that follows: a look at the keys is one question."""
        return self._meter.round_s

    async def consult(self, giver: str, *, promise: bool) -> Answer | None:
        """What etcd says to this node as a candidate; None: it is not reached, or has forgotten the cluster."""
        self._consulted = None
        try:
            seen = await self._ask(self._asker.read)
        except EtcdFailed:
            return None
        self._consulted = seen
        if rules.has_forgotten(seen, self._known):
            return None
        self._learn(seen)
        return rules.answer(seen, self._own, giver, promise=promise, protected=self._is_protected(seen))

    async def reserve(self, floor: int, giver: str, *, by_force: bool) -> int:
        """Have a term to itself, if nobody has led or asked for one since this node looked around; it is above this.

        Raises:
            PromotionRefused: somebody has, or etcd is not reached.
        """
        own = self._replication

        def work() -> int | None:
            seen = self._consulted if self._consulted is not None and not giver else self._asker.read()
            number = max(own.term().number, floor, seen.term) + 1
            return number - 1 if self._asker.commit(rules.ask_for_term(self.keys, seen, number)) else None

        try:
            above = await self._ask(work)
        except EtcdFailed as error:
            if by_force:
                return floor
            raise PromotionRefused(error.message, hint=error.hint) from error
        if above is None:
            raise PromotionRefused("another node asks etcd for the lead at this moment", hint="Ask again.")
        return int(above)

    async def claim(self, term: Term, *, by_force: bool) -> None:
        """Have etcd give ``term`` to this node, if the keys are as it was told when it asked for promises.

        Raises:
            PromotionRefused: etcd has given the lead or agreed to another configuration meanwhile, or is not reached.
        """
        seen = self._consulted
        own = self._replication
        identity = own.identity()
        leader = Leader(*self._own, term.number, term.term_id, identity.host, identity.native_port)
        flushed = own.node.store.log.flushed

        def work() -> bool:
            assert seen is not None
            return self._give(self._asker, seen, leader, flushed, term)

        try:
            if seen is None:
                raise EtcdFailed("etcd does not answer", hint="Look whether the members in etcd_endpoints run.")
            if seen.term > term.number or seen.given >= term.number:
                raise EtcdFailed(f"another node has asked etcd for term {seen.term} already", hint="Ask again.")
            done = await self._ask(work)
        except EtcdFailed as error:
            if by_force:
                return
            raise PromotionRefused(error.message, hint=error.hint) from error
        if not done:
            raise PromotionRefused(
                "etcd has given the lead away, or agreed to another configuration, meanwhile", hint="Ask again."
            )

    async def demand(self) -> None:
        """Raises EtcdFailed, PromotionRefused when etcd could not give the lead to another node now."""
        seen = await self._ask(self._asker.read)
        if rules.has_forgotten(seen, self._known):
            raise PromotionRefused("etcd does not know this cluster's configuration", hint="Ask again in a moment.")

    def record(self) -> Mapping[str, Any]:
        """What /status shows of it."""
        seen, own = self._seen, self._replication
        leader = seen.leader if seen is not None else None
        return {
            "kind": ETCD,
            "endpoints": list(own.node.settings.etcd_endpoints),
            "prefix": f"{self.keys.prefix}/{self.keys.cluster_id}",
            "ttl_ms": self._ttl_s * 1000,
            "reached": self._is_reached(),
            "error": self._error or None,
            "leader": leader.node_id if leader is not None else None,
            "leader_term": leader.term if leader is not None else None,
            "config_version": seen.sync.version if seen is not None and seen.sync is not None else None,
            "knows_cluster": seen is not None and not rules.has_forgotten(seen, self._known),
        }

    def present(self) -> tuple[str, ...]:
        """What is so in etcd now, in sentences."""
        seen, own = self._seen, self._replication
        knows = seen is not None and not rules.has_forgotten(seen, self._known)
        config = own.config
        return sentences(self._meter, seen, self._error, knows=knows, version=config.version, counting=config.in_sync)

    def trouble(self) -> str:
        """Why etcd decides nothing, once that has lasted; empty while it does."""
        since = self._meter.failing_s
        return self._why if self._error and since is not None and since >= FRESH_S else ""

    def metrics(self) -> Mapping[str, Measured]:
        """How etcd does, for /metrics."""

        def leads() -> bool:
            leader = self._seen.leader if self._seen is not None else None
            return self._is_reached() and leader is not None and leader.is_node(self._own)

        return measured(self._meter, self._is_reached, leads)

    def _is_reached(self) -> bool:
        return time.monotonic() - self._seen_at < FRESH_S and not self._error

    async def _ask(self, work: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._asking, work)

    def _is_protected(self, seen: View) -> bool:
        configs = list(self._replication.open_configs)
        if seen.sync is not None:
            configs.append(ClusterConfig.from_bytes(seen.sync.config.encode()))
        return rules.is_protected(configs)

    # On either thread ------------------------------------------------------------------------------------------------

    def _give(self, etcd: Etcd, seen: View, leader: Leader, log_end: Any, term: Term) -> bool:
        """Take the lead in etcd; whether it is this node's now. Raises EtcdFailed: etcd did not say, and it is not."""
        asked_at = time.monotonic()
        lease, ttl_s = etcd.grant(self._ttl_s)
        transaction = rules.give_term(self.keys, seen, leader, log_end, SystemClock.wall_us())
        try:
            done = etcd.commit(transaction, lease)
        except EtcdFailed:
            # Whether it was done is seen by who has the lead now.
            now = etcd.read()
            done = now.leader is not None and now.leader.leads_in(term, self._own)
            if not done:
                raise
        if done:
            self._lease, self._granted = lease, (term, asked_at, ttl_s)
            self._renew_at = asked_at + ttl_s / RENEWALS
        return done

    def _learn(self, seen: View) -> None:
        self._seen, self._seen_at = seen, time.monotonic()
        if seen.sync is not None and (self._known is None or self._known.is_behind(seen.sync)):
            self._known = seen.sync

    # The keeper ------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._over.is_set():
            self._wake.wait(TICK_S)
            self._wake.clear()
            if time.monotonic() < self._due_at or self._over.is_set():
                continue
            try:
                self._due_at = math.inf
                with self._meter.round():
                    pause = self._look()
                self._due_at = min(self._due_at, time.monotonic() + pause)
                self._answered()
            except EtcdFailed as error:
                self._due_at = time.monotonic() + LOOK_S
                self._failed(error)
            except Exception as error:
                self._due_at = time.monotonic() + IDLE_S
                self._replication.node.engine.loop.call_soon_threadsafe(self._replication.node.engine.unexpected, error)
        self._release()

    def _look(self) -> float:
        """Do what is to be done now; in how many seconds to look again."""
        own = self._replication
        asks = own.pulse_node.asks()
        if asks is None:
            self._learn_if_known(self._keeper.read())
            return IDLE_S if own.watcher.is_loyal else LOOK_S
        term, lease_ms = asks
        if not lease_ms:
            self._release()
            return LOOK_S
        self._keep(term)
        return self._lead(term, self._keeper.read())

    def _learn_if_known(self, seen: View) -> None:
        if rules.has_forgotten(seen, self._known):
            self._seen, self._seen_at = seen, time.monotonic()
        else:
            self._learn(seen)

    def _keep(self, term: Term) -> None:
        """Renew the lease, if there is one and it is time."""
        asked_at = time.monotonic()
        if self._lease and asked_at >= self._renew_at:
            ttl_s = self._keeper.renew(self._lease)
            self._meter.renewals += 1
            self._granted = (term, asked_at, min(ttl_s, self._ttl_s)) if ttl_s else None
            self._lease = self._lease if ttl_s else ""
            self._renew_at = asked_at + self._ttl_s / RENEWALS

    def _lead(self, term: Term, seen: View) -> float:
        """As the primary of ``term``: have the lead in etcd, and tell the configuration; in how many seconds again."""
        leader = seen.leader
        if leader is None or not self._lease or not leader.leads_in(term, self._own):
            return 0.0 if self._take_again(term, seen) else LOOK_S
        self._tell_lease(term)
        wanted = self._wanted(term)
        if wanted is not None and (seen.sync is None or seen.sync.is_behind(wanted)):
            if not self._keeper.commit(rules.agree(self.keys, seen, wanted)):
                return LOOK_S
            self._known = wanted
            self._tell_agreed(term, wanted.version)
            return 0.0
        self._learn(seen)
        if seen.sync is not None and seen.sync.term == term.number:
            self._tell_agreed(term, seen.sync.version)
        return self._ttl_s / RENEWALS

    def _wanted(self, term: Term) -> Sync | None:
        newest = self._replication.node.store.configs.newest
        return Sync.of(term, newest) if newest is not None else None

    def _take_again(self, term: Term, seen: View) -> bool:
        """The lead is not in etcd, or not by a lease of this life: put it there, unless another node has it.

        Whether it is there now; not, when a key has changed meanwhile.

        An etcd that has forgotten the cluster may have given the lead to another node before. It has not while all
        those hear this node whose promise that one would have needed.
        """
        leader, own = seen.leader, self._replication
        later = max(seen.given, leader.term if leader is not None else 0)
        if later > term.number:
            own.node.engine.loop.call_soon_threadsafe(own.visitors.deposed, Term(later, 0))
            raise EtcdFailed(f"etcd has given term {later} to another node")
        if leader is not None and not leader.is_node(self._own):
            raise EtcdFailed(f"etcd keeps the lead for {leader.node_id} of the older term {leader.term}")
        leading = own.leading
        if rules.has_forgotten(seen, self._known) and (leading is None or not leading.lease.hears_everybody()):
            raise EtcdFailed("etcd has forgotten this cluster, and not every node whose copy counts is heard")
        identity = own.identity()
        taken = Leader(*self._own, term.number, term.term_id, identity.host, identity.native_port)
        return self._give(self._keeper, seen, taken, own.node.store.log.flushed, term)

    def _tell_lease(self, term: Term) -> None:
        granted = self._granted
        if granted is not None and granted[0] == term:
            asked_at, ttl_s = granted[1:]
            self._replication.pulse_node.granted(REFEREE, REFEREE_DISK, term, asked_at, ttl_s * 1000)

    def _tell_agreed(self, term: Term, version: int) -> None:
        def tell() -> None:
            leading = self._replication.leading
            if leading is not None:
                leading.observed(REFEREE, REFEREE_DISK, term, version)

        self._replication.node.engine.loop.call_soon_threadsafe(tell)

    def _release(self) -> None:
        """Give the lead back, if this node has it: somebody else need not wait."""
        lease, self._lease, self._granted = self._lease, "", None
        if lease:
            try:
                self._keeper.revoke(lease)
            except HeliosError as error:
                log.debug("the lead was not given back in etcd: %s", error)

    def _failed(self, error: EtcdFailed) -> None:
        hint = f" (hint: {error.hint})" if error.hint else ""
        self._why = f"{error.message}{hint}: nobody is elected; a primary goes on while it hears all whose copies count"
        self._error = error.message
        if not self._missed:
            self._missed = True
            self._tell("etcd_lost", self._why, "warning")

    def _answered(self) -> None:
        self._error = ""
        if self._missed:
            self._missed = False
            self._tell("etcd_back", f"etcd answers at {self._keeper.endpoint}", "info")

    def _tell(self, kind: str, text: str, severity: str) -> None:
        node = self._replication.node
        node.engine.loop.call_soon_threadsafe(lambda: node.event(kind, text, severity=severity))
