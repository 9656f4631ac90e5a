"""Histories that a sum or a set can judge: unique rows, a counter, and accounts among which money moves."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from helios_cli.engine.histories.verdict import Verdict

SHOWN = 5


def check_set(
    acknowledged: Collection[int], there: Sequence[int], failed: Collection[int] = (), unknown: Collection[int] = ()
) -> Verdict:
    """Rows with keys of their own, and what is there in the end.

    ``failed``: certainly not done, as their client was told; ``unknown``: nobody knows. Every acknowledged one must be
    there, once; no failed one, and none that nobody wrote.
    """
    rows = set(there)
    wrong = [
        _told("acknowledged and lost", set(acknowledged) - rows),
        _told("refused and there", rows & set(failed)),
        _told("there, and never written", rows - set(acknowledged) - set(failed) - set(unknown)),
    ]
    if len(rows) != len(there):
        seen: set[int] = set()
        wrong.append(_told("there twice", {key for key in there if key in seen or seen.add(key)}))  # type: ignore[func-returns-value]
    return Verdict.of([text for text in wrong if text])


def _told(what: str, keys: Collection[int]) -> str:
    shown = ", ".join(map(str, sorted(keys)[:SHOWN]))
    return f"{len(keys)} {what}: {shown}{', ...' if len(keys) > SHOWN else ''}" if keys else ""


@dataclass(frozen=True, slots=True)
class Addition:
    """One that adds to the counter."""

    called: float
    returned: float
    """``math.inf`` when nobody knows whether it was done."""
    amount: int = 1


@dataclass(frozen=True, slots=True)
class Count:
    """One that reads it."""

    called: float
    returned: float
    value: int


def check_counter(additions: Sequence[Addition], counts: Sequence[Count], initial: int = 0) -> Verdict:
    """Each read lies between what was certainly added before it began and what can have been added when it ended.

    Amounts are positive.
    """
    wrong = []
    for count in counts:
        least = initial + sum(one.amount for one in additions if one.returned < count.called)
        most = initial + sum(one.amount for one in additions if one.called <= count.returned)
        if not least <= count.value <= most:
            wrong.append(f"the counter was read as {count.value}, when it was between {least} and {most}")
    return Verdict.of(wrong)


def check_bank(reads: Sequence[Sequence[int]], total: int) -> Verdict:
    """Money moves between accounts: every read of all balances has one sum, and no balance is below 0."""
    wrong = [f"balances of {sum(read)} in all, where {total} are: {list(read)}" for read in reads if sum(read) != total]
    wrong += [f"a balance below 0: {list(read)}" for read in reads if read and min(read) < 0]
    return Verdict.of(wrong)
