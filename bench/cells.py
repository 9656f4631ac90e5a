"""What is measured and what must be reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

UPDATE_SCRIPT: Final = r"""\set aid random(1, 100000 * :scale)
\set delta random(-5000, 5000)
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;
"""


@dataclass(frozen=True, slots=True)
class Cell:
    """One pgbench run: a workload at a number of clients in one query protocol."""

    workload: str
    """``select``, ``update`` or ``tpcb``."""
    clients: int
    protocol: str
    must: float | None = None
    quick: bool = False
    """Whether a short run takes it too."""

    @property
    def name(self) -> str:
        """``select-8-simple``: what ``--only`` looks at."""
        return f"{self.workload}-{self.clients}-{self.protocol}"

    def options(self, scripts: dict[str, str], scale: int) -> list[str]:
        """pgbench's arguments; ``scripts`` maps a workload of our own to its file."""
        builtin = {"select": ["-S"], "tpcb": []}
        workload = builtin[self.workload] if self.workload in builtin else ["-f", scripts[self.workload]]
        # Only a script of our own needs the scale said: the built-in ones read it from the tables.
        scale_option = ["-D", f"scale={scale}"] if self.workload in scripts else []
        return ["-M", self.protocol, *workload, *scale_option]


MUSTS: Final = {("select", 8): 0.5, ("select", 64): 0.8, ("update", 8): 0.7, ("update", 64): 1.2}
MUSTS_TPCB: Final = 0.4
MUST_COPY: Final = 0.15
MUSTS_REPLICATED: Final = {8: 0.5, 64: 0.8}

_PROTOCOLS: Final = {
    "select": ("simple", "extended", "prepared"),
    "update": ("simple", "prepared"),
    "tpcb": ("simple", "prepared"),
}


def pgbench_cells() -> list[Cell]:
    """Every pgbench cell in the order of measuring: reads first, so that they meet fresh tables."""
    return [
        Cell(workload, clients, protocol, _must(workload, clients, protocol), _is_quick(workload, clients, protocol))
        for workload, protocols in _PROTOCOLS.items()
        for clients in (1, 8, 64)
        for protocol in protocols
    ]


def replicated_cells() -> list[Cell]:
    """Single-row updates that a synchronous standby has applied before they are answered."""
    return [
        Cell("replicated-update", clients, protocol, MUSTS_REPLICATED.get(clients), clients == 8)
        for clients in (1, 8, 64)
        for protocol in ("simple", "prepared")
    ]


def _must(workload: str, clients: int, protocol: str) -> float | None:
    if protocol == "extended" or clients == 1:
        return None
    return MUSTS_TPCB if workload == "tpcb" else MUSTS[workload, clients]


def _is_quick(workload: str, clients: int, protocol: str) -> bool:
    if workload == "tpcb":
        return clients == 8 and protocol == "simple"
    return clients in (8, 64) and protocol in (("simple", "prepared") if workload == "select" else ("simple",))
