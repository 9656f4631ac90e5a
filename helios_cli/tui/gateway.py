"""What the monitor asks of the world: a look at the cluster, statements, logs, and the acts that change something."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from helios_cli.tui.facts import Sample
from helios_cli.tui.past import Past

Verb = Literal[
    "switchover", "promote", "pause", "resume", "drain", "undrain", "proxy pause", "proxy resume", "playbook",
    "acknowledge", "unacknowledge",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Act:
    """Something that changes the cluster."""

    verb: Verb
    node: str = ""
    """To whom the lead is given, who is promoted or drained, which playbook is run; empty where the verb has none."""

    @property
    def title(self) -> str:
        """What would be done, in a few words."""
        return {
            "switchover": f"Give the lead to {self.node}" if self.node else "Give the lead away",
            "promote": f"Promote {self.node}",
            "pause": "Pause automatic failover",
            "resume": "Resume automatic failover",
            "drain": f"Drain {self.node} at the proxy",
            "undrain": f"Use {self.node} at the proxy again",
            "proxy pause": "Pause the proxy",
            "proxy resume": "Let the proxy go on",
            "playbook": f"Run the playbook {self.node}",
            "acknowledge": "Acknowledge the alarms",
            "unacknowledge": "Show acknowledged alarms again",
        }[self.verb]


@dataclass(frozen=True, slots=True)
class Plan:
    """What an act would do, as its dry run tells."""

    lines: tuple[str, ...]
    command: str
    """The command that does the same; empty: there is none."""


@dataclass(frozen=True, slots=True)
class SqlAnswer:
    """The result of one statement."""

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()
    command: str = ""
    row_count: int = 0
    truncated: bool = False
    took_ms: float = 0.0
    node: str = ""
    notices: tuple[str, ...] = field(default=())


class Gateway(Protocol):
    """Everything blocks, and is called by one worker at a time for each of its methods."""

    def sample(self) -> Sample:
        """Look at every node; whoever does not answer in time is in it with an error. Raises nothing."""

    def past(self, until_s: float) -> Past:
        """What the nodes have kept of the hours before a time. Raises nothing."""

    def plan(self, act: Act) -> Plan:
        """The dry run of an act. Raises HeliosError: it would be refused."""

    def carry_out(self, act: Act) -> list[str]:
        """Do it: what to tell of it. Raises HeliosError: it was refused, or went wrong."""

    def playbooks(self) -> list[tuple[str, str]]:
        """Name and summary of each. Raises HeliosError: none can be run from here."""

    def sql(self, node: str, text: str) -> SqlAnswer:
        """Run one statement at a node. Raises HeliosError."""

    def log_tail(self, name: str, lines: int) -> list[str]:
        """The newest lines of a node's log, or the proxy's. Raises HeliosError: it cannot be read from here."""

    def close(self) -> None:
        """Let go of everything."""
