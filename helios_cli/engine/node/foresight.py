"""What ``whatif`` answers: who writes when nodes are lost or cut off, what that may cost, and how long it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.consensus.config import ClusterConfig
from helios_cli.engine.consensus.cuts import loses_nothing, recovery_ms, what_if_cut
from helios_cli.engine.consensus.whatif import BY_HAND, EJECTS, WRITES, Outcome, deciding, what_if
from helios_cli.engine.errors import SqlError
from helios_cli.engine.node import explanation
from helios_cli.engine.observe.events import Event
from helios_cli.engine.replication.view import NodeView

if TYPE_CHECKING:
    from helios_cli.engine.node.replication import Replication

LONGEST_US: Final = 120_000_000
"""A promotion that came so long after the primary fell silent had another cause."""
MIB: Final = 1 << 20


async def foresee(replication: Replication, lost: Sequence[str], groups: Sequence[Sequence[str]]) -> dict[str, Any]:
    """The outcome of losing nodes, or of cutting groups from each other; one of the two is empty.

    Raises:
        SqlError: 42704 a name that nobody has, 22023 a node in two groups.
    """
    config = explanation.named(replication)
    _check(config, lost, groups)
    view = {one.node_id: one for one in replication.view().nodes}
    if groups:
        outcome, sides = what_if_cut(config, groups)
        found: dict[str, Any] = {
            "cut": [sorted(group) for group in groups],
            "sides": [{"nodes": list(side.nodes), **explanation.record(side.outcome)} for side in sides],
        }
        away = {config.primary} if outcome.primary != config.primary else set()
    else:
        outcome, away = what_if(config, lost), set(lost)
        found = {"lost": sorted(lost)}
    events = await asyncio.get_running_loop().run_in_executor(None, replication.node.events.whole)
    return {
        **found, **explanation.record(outcome), "rpo": rpo(config, outcome, away, view), "rto": rto(config, outcome),
        "past": outages(event for _, event in events),
    }  # fmt: skip


def _check(config: ClusterConfig, lost: Collection[str], groups: Sequence[Sequence[str]]) -> None:
    known = set(deciding(config))
    given = [*lost, *(name for group in groups for name in group)]
    for name in given:
        if name not in known:
            hint = f"Its nodes are {', '.join(sorted(known))}."
            raise SqlError(f'"{name}" is no node of this cluster', sqlstate="42704", hint=hint)
    twice = next((name for name in given if given.count(name) > 1), None)
    if groups and twice is not None:
        raise SqlError(f'"{twice}" is in two groups', sqlstate="22023", hint="A node is on one side of a cut.")
    if groups and len(given) == len(known) and len(groups) == 1:
        raise SqlError("there is nobody on the other side", sqlstate="22023", hint="Leave somebody out of the group.")


def rpo(config: ClusterConfig, outcome: Outcome, away: Collection[str], view: Mapping[str, NodeView]) -> dict[str, Any]:
    """What of the acknowledged commits may be gone: at most so many bytes of the log, and so many milliseconds of it.

    None: not known here. ``returns`` tells whether nothing is when those who are lost come back with their disks.
    """
    if loses_nothing(config, outcome):
        return {"bytes": 0, "ms": 0.0, "returns": True, "sentence": "no acknowledged commit is lost"}
    heirs = [name for name in (one.node_id for one in config.members) if name not in away]
    chosen = [outcome.primary] if outcome.primary else heirs
    known = [view[name] for name in chosen if name in view and view[name].lag_known and view[name].connected]
    if not known:
        told = "how far it is behind is not known here; ask the primary" if chosen else "nobody else holds the data"
        return {"bytes": None, "ms": None, "returns": not outcome.is_automatic, "sentence": told}
    best = min(known, key=lambda one: one.lag_bytes)
    behind = "nothing" if not best.lag_bytes else f"{best.lag_bytes} bytes of the log, {best.lag_ms:.0f} ms"
    if outcome.is_automatic:
        most = f", and never more than {config.max_failover_lag_bytes // MIB} MB" if outcome.primary else ""
        told = f"{best.node_id} lacks {behind} now: what it lacks then is lost{most}"
    elif outcome.kind == BY_HAND and best.node_id in config.in_sync:
        told = f"nothing when it is promoted without --allow-data-loss; {best.node_id} lacks {behind} now"
    else:
        told = (
            f"nothing when those who are lost come back; with their disks gone what {best.node_id} lacks, {behind} now"
        )
    return {
        "bytes": best.lag_bytes, "ms": best.lag_ms, "returns": not outcome.is_automatic, "sentence": told,
    }  # fmt: skip


def rto(config: ClusterConfig, outcome: Outcome) -> dict[str, Any]:
    """How long writes wait."""
    wait_ms = recovery_ms(config, outcome)
    if wait_ms is None:
        return {"ms": None, "sentence": "writes wait until somebody acts"}
    if outcome.kind == WRITES:
        return {"ms": 0, "sentence": "writes do not wait"}
    if outcome.kind == EJECTS:
        return {"ms": wait_ms, "sentence": f"writes wait for about {wait_ms / 1000:.1f} s: eject_after"}
    parts = f"the lease of {config.term_lease_ms} ms, then the election"
    if config.round_trip_ms:
        parts += f" over round trips of {config.round_trip_ms} ms"
    return {"ms": wait_ms, "sentence": f"writes wait for about {wait_ms / 1000:.1f} s: {parts}"}


def outages(events: Iterable[Event]) -> list[dict[str, Any]]:
    """The failovers by which this node came to lead: how long nobody did, from the last word of the one before."""
    found = []
    silent: Event | None = None
    for event in events:
        if event.kind == "primary_silent":
            if silent is None:
                silent = event
        elif event.kind == "promoted":
            if silent is not None and event.fields.get("automatic") and event.time_us - silent.time_us < LONGEST_US:
                waited_ms = (event.time_us - silent.time_us) / 1000 + silent.fields.get("silent_ms", 0)
                found.append({"term": event.fields.get("term"), "time_us": event.time_us, "ms": round(waited_ms)})
            silent = None
        elif event.kind in ("retargeted", "deposed"):
            silent = None
    return found
