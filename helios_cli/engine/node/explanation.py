"""Why the lead is where it is, where it would go, and how it went before: in sentences, with the facts beside them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.consensus.config import ETCD, ClusterConfig
from helios_cli.engine.consensus.whatif import Outcome, deciding, what_if
from helios_cli.engine.errors import SqlError
from helios_cli.engine.node import promotion
from helios_cli.engine.node.following import trouble
from helios_cli.engine.observe.events import Event

if TYPE_CHECKING:
    from helios_cli.engine.node.replication import Replication

KINDS: Final = frozenset(
    ("primary_silent", "primary_sick", "primary_well", "elected", "not_elected", "promoted", "deposed", "retargeted",
     "gave_way", "renewed", "vote", "no_vote", "lease_over", "lease_held", "ejected", "in_sync", "observer", "voter",
     "forked", "salvaged", "removed", "failover_paused", "failover_resumed", "etcd_lost", "etcd_back", "links_cut",
     "links_mended")
)  # fmt: skip
"""Events that say how the lead, and who decides about it, came about."""
BEFORE_US: Final = 30_000_000
AFTER_US: Final = 10_000_000
"""What is told around a decision."""


async def explain(replication: Replication, limit: int) -> dict[str, Any]:
    """What ``explain failover`` answers: the present, what would happen next, and the newest ``limit`` decisions."""
    loop = asyncio.get_running_loop()
    config = named(replication)
    happened = await loop.run_in_executor(None, replication.node.events.whole)
    chosen = [(number, event) for number, event in happened if event.kind in KINDS][-limit:]
    return {
        "node_id": replication.node_id,
        "term": replication.term().number,
        "primary_id": config.primary,
        "mode": config.mode.value,
        "voters": list(config.voters(config.primary)),
        "observers": [one.node_id for one in config.observers],
        "in_sync": list(config.in_sync),
        "paused": config.paused,
        "authority": config.authority,
        "now": present(replication, config),
        "losses": [{"lost": [name], **record(what_if(config, (name,)))} for name in deciding(config)],
        "decisions": [decision(number, event) for number, event in chosen],
    }


async def recall(replication: Replication, number: int) -> dict[str, Any]:
    """What ``explain failover ID`` answers: one decision of this node, and what it saw around it.

    Raises:
        SqlError: 42704 this node has no decision of that number.
    """
    happened = await asyncio.get_running_loop().run_in_executor(None, replication.node.events.whole)
    chosen = [(own, event) for own, event in happened if event.kind in KINDS]
    found = next((event for own, event in chosen if own == number), None)
    if found is None:
        newest = ", ".join(str(own) for own, _ in chosen[-5:])
        hint = f"The newest here are {newest}." if newest else "There was none yet."
        raise SqlError(f"node {replication.node_id} has no decision {number}", sqlstate="42704", hint=hint)
    around = [
        decision(own, event) for own, event in chosen
        if own != number and -BEFORE_US <= event.time_us - found.time_us <= AFTER_US
    ]  # fmt: skip
    return {"node_id": replication.node_id, "decision": decision(number, found), "around": around}


def named(replication: Replication) -> ClusterConfig:
    """The configuration in force, with its primary as this node knows it."""
    config = replication.agreed_config
    return replace(config, primary=replication.view().primary_id or config.primary)


def record(outcome: Outcome) -> dict[str, Any]:
    """An outcome as JSON."""
    return {
        "kind": outcome.kind, "automatic": outcome.is_automatic, "primary": outcome.primary or None,
        "sentence": outcome.sentence, "hint": outcome.hint or None,
    }  # fmt: skip


def decision(number: int, event: Event) -> dict[str, Any]:
    """One event as JSON; ``id`` is that of helios_failover_history, this node's own."""
    return {"id": number, "time_us": event.time_us, "kind": event.kind, "sentence": event.message, **event.fields}


def present(replication: Replication, config: ClusterConfig) -> list[str]:
    """One sentence for each thing that is so now."""
    voters = config.voters(config.primary)
    told = [_who_leads(replication, config)]
    if config.authority == ETCD:
        told += ["etcd gives the lead, with the promises of the data nodes", *replication.authority.present()]
    elif len(voters) == 1:
        told.append(f"{voters[0]} alone votes: nobody is elected without an operator; an observer would change that")
    else:
        told.append(f"{', '.join(voters)} vote, {len(voters) // 2 + 1} of them elect")
    idle = [one.node_id for one in config.observers if one.node_id not in voters]
    if idle:
        told.append(f"{', '.join(idle)} observes without a vote: it would make the number of voters even")
    if config.paused:
        told.append("automatic failover is paused; heliosdb-nano resume ends that")
    told += [text] if (text := trouble(replication)) else []
    return [*told, *_without_primary(replication, config), _own_side(replication)]


def _reaches_primary(replication: Replication) -> bool:
    following = replication.following
    return replication.is_leading or (following is not None and following.upstream.connected)


def _who_leads(replication: Replication, config: ClusterConfig) -> str:
    primary, mode = config.primary, config.mode.value
    if not primary or _reaches_primary(replication):
        return f"{primary or 'nobody'} leads in term {replication.term()}, mode {mode}"
    term = promotion.candidate(replication).last_term
    return f"{primary} led in term {term}, mode {mode}, and this node does not reach it"


def _without_primary(replication: Replication, config: ClusterConfig) -> list[str]:
    """What becomes of a primary that this node does not reach, and what an operator can do."""
    if not config.primary or _reaches_primary(replication):
        return []
    outcome = what_if(config, (config.primary,))
    return [f"by the rules: {outcome.sentence}", *([outcome.hint] if outcome.hint else [])]


def _own_side(replication: Replication) -> str:
    leading = replication.leading
    if leading is not None and replication.is_leading:
        if leading.lease.is_sick:
            return "the disk of this primary takes nothing: it has given its lease up"
        return f"this primary's lease {'holds' if leading.lease.holds() else 'is over: it acknowledges nothing'}"
    remaining_ms = round(replication.watcher.vote.remaining(replication.now()) * 1000)
    if remaining_ms:
        return f"this node's vote is the primary's for {remaining_ms} ms more"
    return "this node has heard no primary for longer than a lease: its vote is free"
