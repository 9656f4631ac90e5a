"""What becomes of a cluster whose nodes are cut into groups, and how long that takes and what it may cost."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from helios_cli.engine.consensus.candidacy import JITTER_S, RANK_S, rank
from helios_cli.engine.consensus.config import ETCD, REFEREE, ClusterConfig
from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.engine.consensus.whatif import BY_HAND, EJECTS, ELECTS, WAITS, WRITES, Outcome, deciding, what_if

ELECTION_TRIPS: Final = 12
"""From the end of the lease to the first write: asking, being answered, agreeing on the new primary."""
LEADING_MS: Final = 100
"""What a new primary needs besides: its term on the disk, a record in the log, and word of it to those who wait."""


@dataclass(frozen=True, slots=True)
class Side:
    """A group of a cut, with what becomes of it."""

    nodes: tuple[str, ...]
    outcome: Outcome


def what_if_cut(config: ClusterConfig, groups: Sequence[Collection[str]]) -> tuple[Outcome, list[Side]]:
    """When the links between the groups are cut, and nodes that no group names keep all of theirs.

    The outcome of the whole cluster, and that of each group in turn; a group alone is cut from all other nodes.
    """
    everyone = set(deciding(config))
    sides = [set(group) for group in groups]
    if len(sides) == 1:
        sides.append(everyone - sides[0])
    between = everyone - set().union(*sides)
    primary = config.primary
    lead = next((side for side in sides if primary in side), None)
    if lead is None:
        goes_on = Outcome(WRITES, primary, f"{primary} goes on: it reaches all groups")
        return goes_on, [Side(tuple(sorted(side)), goes_on) for side in sides]
    led = what_if(config, everyone - lead - between)
    found: list[tuple[set[str], Outcome]] = []
    for side in sides:
        if side is not lead:
            # Those between hear the primary, and keep their votes for it; etcd promises nobody anything.
            heard = side | (between & {REFEREE})
            found.append((side, what_if(config, everyone - heard)))
    elected = next((outcome for _, outcome in found if outcome.kind == ELECTS), None)
    if elected is not None and led.is_automatic and not _etcd_prefers(config, elected):
        elected = None
    if elected is not None and led.is_automatic:
        led = Outcome(WAITS, "", f"{primary} acknowledges nothing, and follows {elected.primary} when it hears of it")
    others = [Side(tuple(sorted(side)), _beside(config, outcome, led, elected)) for side, outcome in found]
    whole = elected or (led if led.is_automatic else _best([led, *(side.outcome for side in others)]))
    return whole, [Side(tuple(sorted(lead)), led), *others]


def _etcd_prefers(config: ClusterConfig, elected: Outcome) -> bool:
    """With etcd in the middle those who can be elected without losing a commit are, before the primary ejects them."""
    return config.authority == ETCD and config.mode is not SyncMode.ASYNC and bool(elected.primary)


def _beside(config: ClusterConfig, own: Outcome, led: Outcome, elected: Outcome | None) -> Outcome:
    """What a group without the primary can do, when it is known who leads."""
    leader = elected or (led if led.is_automatic else None)
    if leader is None or own is elected:
        return own
    return Outcome(
        WAITS, "", f"no writes there, and reads of an old state: {leader.primary} leads, and is not reached",
        f"Mend the links; {leader.primary} takes the writes.",
    )  # fmt: skip


def _best(outcomes: Sequence[Outcome]) -> Outcome:
    """Where nobody goes on by himself: rather what an operator can end than what only a node that is back can."""
    return next((one for one in outcomes if one.kind == BY_HAND), outcomes[0])


def recovery_ms(config: ClusterConfig, outcome: Outcome) -> int | None:
    """How long writes wait, by the cluster's own timers; None: until somebody does something."""
    if outcome.kind == WRITES:
        return 0
    if outcome.kind == EJECTS:
        return config.eject_after_ms
    if outcome.kind != ELECTS:
        return None
    place = rank(config, outcome.primary) or 0
    turns_ms = 1000 * (place * RANK_S + JITTER_S)
    return round(config.term_lease_ms + turns_ms + ELECTION_TRIPS * config.round_trip_ms + LEADING_MS)


def loses_nothing(config: ClusterConfig, outcome: Outcome) -> bool:
    """Whether no commit that was acknowledged can be missing afterwards, whatever becomes of those who were lost."""
    return outcome.kind in (WRITES, EJECTS) or (outcome.kind == ELECTS and config.mode is not SyncMode.ASYNC)
