"""The account: the rows that are there against those that a ledger says must be."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from helios_cli.commands.load.ledger import Ledger, Seqs, count
from helios_cli.commands.load.runner import payload
from helios_cli.commands.load.session import AT_PRIMARY
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.net.pgclient import PgClient, Target

Row = tuple[int, int]
"""Client and seq."""


@dataclass(frozen=True, slots=True)
class Account:
    """What came of the comparison; the lists are sorted."""

    acknowledged: int
    present: int
    missing: list[Row]
    """Acknowledged and not there."""
    twice: list[Row]
    """There more than once."""
    wrong: list[Row]
    """There with another content."""
    refused_present: list[Row]
    """There although the client was told that they were not written."""
    foreign: list[Row]
    """There and in no line of the ledger: of a run that was killed, else nobody wrote them."""
    unknown: int
    unknown_present: int
    complete: bool
    """Whether the ledger has its end."""

    @property
    def passed(self) -> bool:
        """Whether every acknowledged row is there exactly once and no other that should not be."""
        return not (
            self.missing or self.twice or self.wrong or self.refused_present or (self.complete and self.foreign)
        )


def take_account(ledger: Ledger, target: Target) -> Account:
    """Read all rows of the run from one node and compare.

    Raises:
        HeliosError: the node does not answer, or has no such table.
    """
    seen: Seqs = defaultdict(set)
    twice, wrong = set(), set()
    present = 0
    with PgClient(target) as client:
        of_run = f"FROM {ledger.table} WHERE run = '{ledger.run}'"
        for result in client.stream(f"SELECT client, seq, payload {of_run} {AT_PRIMARY}"):
            for texts in result.rows:
                number, seq = int(texts[0] or 0), int(texts[1] or 0)
                present += 1
                if seq in seen[number]:
                    twice.add((number, seq))
                seen[number].add(seq)
                if texts[2] != payload(number, seq):
                    wrong.add((number, seq))
    known: Seqs = defaultdict(set)
    for seqs in (ledger.acknowledged, ledger.unknown, ledger.refused):
        for number, some in seqs.items():
            known[number] |= some
    return Account(
        acknowledged=count(ledger.acknowledged),
        present=present,
        missing=_less(ledger.acknowledged, seen),
        twice=sorted(twice),
        wrong=sorted(wrong),
        refused_present=_both(ledger.refused, seen),
        foreign=_less(seen, known),
        unknown=count(ledger.unknown),
        unknown_present=len(_both(ledger.unknown, seen)),
        complete=ledger.complete,
    )


def _less(some: Seqs, others: Seqs) -> list[Row]:
    return sorted((client, seq) for client, seqs in some.items() for seq in seqs - others.get(client, set()))


def _both(some: Seqs, others: Seqs) -> list[Row]:
    return sorted((client, seq) for client, seqs in some.items() for seq in seqs & others.get(client, set()))


def first_answering(ledger: Ledger, hosts: list[Target]) -> tuple[Target, Account]:
    """The account of the first host that gives one.

    Raises:
        HeliosError: none does; the error of the last.
    """
    for number, target in enumerate(hosts, 1):
        try:
            return target, take_account(ledger, target)
        except HeliosError:
            if number == len(hosts):
                raise
    raise HeliosError("no host was named")


def record(account: Account, target: Target, ledger: Ledger) -> dict[str, Any]:
    """Everything, for programs."""
    rows = {
        name: [{"client": client, "seq": seq} for client, seq in getattr(account, name)]
        for name in ("missing", "twice", "wrong", "refused_present", "foreign")
    }
    return {
        "run": ledger.run, "table": ledger.table, "node": f"{target.host}:{target.port}", "passed": account.passed,
        "acknowledged": account.acknowledged, "present": account.present, "unknown": account.unknown,
        "unknown_present": account.unknown_present, "complete": account.complete, **rows,
    }  # fmt: skip


def lines(account: Account, target: Target, names_max: int) -> list[str]:
    """The account for people, the verdict last; of each list the first ``names_max`` rows are named."""
    found = [
        f"Node: {target.host}:{target.port}",
        f"Acknowledged writes: {account.acknowledged}",
        f"Rows present: {account.present}",
        f"Outcome unknown: {account.unknown} ({account.unknown_present} present)",
    ]
    for name, rows in (
        ("Missing", account.missing), ("Present twice", account.twice), ("Wrong content", account.wrong),
        ("Refused but present", account.refused_present), ("In no line of the ledger", account.foreign),
    ):  # fmt: skip
        if rows or name == "Missing":
            found.append(f"{name}: {len(rows)}")
            found += [f"  client {client} seq {seq}" for client, seq in rows[:names_max]]
            found += [f"  and {len(rows) - names_max} more"] if len(rows) > names_max else []
    if account.passed:
        return [*found, "VERDICT: passed. Every acknowledged row is there exactly once."]
    return [*found, "VERDICT: FAILED."]
