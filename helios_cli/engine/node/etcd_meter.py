"""What a node has asked etcd, and what came of it: for the metrics, and told in sentences."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from helios_cli.engine.consensus.authority import View
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.ports import Measured

SLOW_S: Final = 0.5
"""An etcd that takes longer for a round is told of."""


class EtcdMeter:
    """Of one life of a node. Written by the keeper's thread, read from any."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self.rounds = 0
        """Looks at the keys that etcd has answered, renewals among them."""
        self.failures = 0
        self.renewals = 0
        self.round_s = 0.0
        """What the newest answered round took."""
        self.answered_at = -math.inf
        self._failing_since = -math.inf

    @contextmanager
    def round(self) -> Iterator[None]:
        """One look; it counts as failed when it raises."""
        began = self._now()
        try:
            yield
        except HeliosError:
            self.failures += 1
            if self.failing_s is None:
                self._failing_since = began
            raise
        self.rounds += 1
        self.answered_at = self._now()
        self.round_s = self.answered_at - began
        self._failing_since = -math.inf

    @property
    def failing_s(self) -> float | None:
        """For how long every round has failed; None: the newest was answered."""
        return None if self._failing_since == -math.inf else self._now() - self._failing_since

    @property
    def silent_s(self) -> float | None:
        """How long ago etcd answered last; None: it never has."""
        return None if self.answered_at == -math.inf else self._now() - self.answered_at


def measured(meter: EtcdMeter, reached: Callable[[], bool], leads: Callable[[], bool]) -> Mapping[str, Measured]:
    """The metrics by name. ``leads``: etcd keeps the lead for this node."""
    return {
        "heliosdb_etcd_reached": ("gauge", "1 while etcd answers.", lambda: float(reached())),
        "heliosdb_etcd_leads": ("gauge", "1 while etcd keeps the lead for this node.", lambda: float(leads())),
        "heliosdb_etcd_round_seconds": ("gauge", "What the newest look at etcd's keys took.", lambda: meter.round_s),
        "heliosdb_etcd_silent_seconds": (
            "gauge", "How long ago etcd answered last; -1: never.",
            lambda: -1.0 if meter.silent_s is None else meter.silent_s,
        ),
        "heliosdb_etcd_rounds_total": ("counter", "Looks at etcd's keys that it answered.", lambda: meter.rounds),
        "heliosdb_etcd_failures_total": ("counter", "Looks at etcd's keys that failed.", lambda: meter.failures),
        "heliosdb_etcd_renewals_total": ("counter", "Renewals of a lease in etcd.", lambda: meter.renewals),
    }  # fmt: skip


def sentences(
    meter: EtcdMeter, seen: View | None, error: str, *, knows: bool, version: int, counting: Sequence[str]
) -> tuple[str, ...]:
    """What is so in etcd now. ``version``: of this node's newest configuration; ``counting``: whose copies count."""
    if error or seen is None:
        since = meter.failing_s
        ago = f" for {since:.0f} s" if since is not None else ""
        return (
            f"etcd decides nothing{ago} ({error or 'it has not been reached yet'}): nobody is elected meanwhile",
            f"a primary leads on without it while it hears {', '.join(counting)}, whose copies count",
        )
    if not knows:
        return ("etcd does not know the configuration of this cluster: nobody is elected until a primary tells it",)
    leader, sync = seen.leader, seen.sync
    holder = f"{leader.node_id} in term {leader.term}" if leader is not None else "nobody: whoever is elected gets it"
    told = [f"etcd keeps the lead for {holder}"]
    if sync is not None and sync.version != version:
        told.append(f"etcd has agreed to configuration {sync.version}, and this node knows {version}")
    if meter.round_s > SLOW_S:
        told.append(f"etcd is slow: the newest look took {meter.round_s * 1000:.0f} ms")
    return tuple(told)
