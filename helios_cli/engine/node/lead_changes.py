"""Changes of the lead: how they are told as events, and the history that is read from these."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.datatypes.jsons import parse_jsonb
from helios_cli.engine.observe.events import Event
from helios_cli.engine.replication.relations import timestamp

if TYPE_CHECKING:
    from helios_cli.engine.node.replication import Replication

DECISIONS: Final = frozenset(("elected", "not_elected", "promoted", "deposed", "retargeted", "gave_way"))
"""Kinds of events that are rows of the history."""

_FACTS: Final = ("term", "old_primary", "new_primary", "automatic", "reason")


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a node asks to lead."""

    reason: str
    automatic: bool = False
    """No operator has asked for it."""


def facts(*, term: int, old: str | None, new: str | None, reason: str, automatic: bool | None = None) -> dict[str, Any]:
    """What every event about the lead has among its fields.

    ``old`` led before, ``new`` leads now; None or empty: nobody. ``automatic`` None: this node does not know.
    """
    found = {"term": term, "old_primary": old or None, "new_primary": new or None, "reason": reason}
    return found if automatic is None else found | {"automatic": automatic}


def tell_promoted(replication: Replication, old: str, cause: Cause) -> None:
    """This node leads."""
    own, term = replication.node_id, replication.term()
    replication.node.event(
        "promoted", f"node {own} is the primary of term {term}",
        **facts(term=term.number, old=old, new=own, reason=cause.reason, automatic=cause.automatic),
    )  # fmt: skip
    replication.news.look()


def tell_deposed(replication: Replication, new: str, term: int) -> None:
    """This node leads no more: ``new`` does."""
    why = f"node {new} is the primary now: this node follows it"
    told = facts(term=term, old=replication.node_id, new=new, reason=f"node {new} leads in term {term}")
    replication.node.event("deposed", why, severity="warning", **told)
    replication.news.heard(term, new)


def tell_retargeted(replication: Replication, new: str, where: str, term: int) -> None:
    """This node follows ``new`` from now on."""
    following = replication.following
    # A standby that was followed has led nobody.
    known = following.upstream.node_id if following is not None and following.upstream.role == "primary" else ""
    told = facts(term=term, old=known or replication.config.primary, new=new, reason=f"node {new} leads in term {term}")
    replication.node.event("retargeted", f"following {new} at {where}", primary=new, **told)
    replication.news.heard(term, new)


def tell_gave_way(replication: Replication, term: int, why: str) -> None:
    """This node's lease is over, and a newer term is known."""
    reason = f"{why} in term {term}, and this primary's lease is over"
    told = facts(term=term, old=replication.node_id, new=None, reason=reason, automatic=True)
    replication.node.event("gave_way", reason, severity="warning", **told)


def history(node_id: str, events: Iterable[tuple[int, Event]]) -> list[dict[str, Any]]:
    """Rows of ``helios_failover_history``, oldest first: what this node has decided, and learnt, about the lead."""
    return [_row(node_id, number, event) for number, event in events if event.kind in DECISIONS]


def _row(node_id: str, number: int, event: Event) -> dict[str, Any]:
    fields = event.fields
    more = {name: value for name, value in fields.items() if name not in _FACTS}
    automatic = fields.get("automatic")
    return {
        "id": number,
        "failover_time": timestamp(event.time_us),
        "node_id": node_id,
        "decision": event.kind,
        "term": fields.get("term"),
        "old_primary": fields.get("old_primary"),
        "new_primary": fields.get("new_primary"),
        "automatic": None if automatic is None else int(automatic),
        "reason": fields.get("reason") or event.message,
        "details": parse_jsonb(json.dumps({"message": event.message, **more})),
    }
