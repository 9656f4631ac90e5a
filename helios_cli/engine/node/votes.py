"""The events that tell of elections: whom this node votes for, and why it was elected or not."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from helios_cli.engine.consensus.account import account
from helios_cli.engine.consensus.config import ClusterConfig
from helios_cli.engine.consensus.election import Answer, Candidate, Verdict
from helios_cli.engine.node.lead_changes import Cause
from helios_cli.engine.replication.messages import Ask
from helios_cli.engine.types import Term

Event = Callable[..., None]
"""As :meth:`Node.event <helios_cli.engine.node.node.Node.event>`."""


def tell_vote(event: Event, ask: Ask, term: Term, own_term: Term, primary: str, *, promised: bool, loyal: bool) -> None:
    """A candidate has asked for a vote. ``primary`` is whom this node is loyal to, if it is."""
    if not ask.promise:
        return
    fields = {"term": term.number, "candidate": ask.node_id, "promised": promised}
    if promised:
        event("vote", f"this node votes for {ask.node_id} in term {term}", **fields)
        return
    why = f"it has given its vote in term {own_term}"
    if loyal:
        began = "this node has just begun, and the primary that it heard before may lead on"
        why = f"the primary {primary} is still heard" if primary else began
    event("no_vote", f"this node does not vote for {ask.node_id} in term {term}: {why}", **fields)


def tell_election(
    event: Event,
    config: ClusterConfig,
    own: Candidate,
    term: Term,
    answers: Iterable[Answer],
    verdict: Verdict,
    cause: Cause,
    *,
    unasked: bool,
) -> None:
    """This node has asked the others to lead, and was elected or not."""
    told = account(config, own, term, answers, verdict, unasked=unasked)
    kind = "elected" if told.is_won else "not_elected"
    event(
        kind, told.sentence, severity="info" if told.is_won else "warning", **told.record(),
        old_primary=config.primary or None, new_primary=own.node_id if told.is_won else None,
        reason=cause.reason if told.is_won else verdict.reason, automatic=cause.automatic,
    )  # fmt: skip
