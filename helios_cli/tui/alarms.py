"""Alarms that somebody has acknowledged: known, so no longer shown, for as long as they last."""

from __future__ import annotations

from collections.abc import Sequence

from helios_cli.tui.gateway import Act, Plan
from helios_cli.tui.snapshot import Snapshot

Alarm = tuple[str, str]
"""Node and text."""


class Acknowledged:
    """What this monitor does not show again; another one does."""

    def __init__(self) -> None:
        self._known: set[Alarm] = set()

    def __len__(self) -> int:
        return len(self._known)

    def clear(self) -> None:
        """Show everything again."""
        self._known.clear()

    def seen(self, snapshot: Snapshot) -> None:
        """Alarms that are over are forgotten: when they come back they are shown."""
        answering = {one.name for one in snapshot.nodes if not one.error} | {"cluster"}
        self._known = {alarm for alarm in self._known if alarm in snapshot.alarms or alarm[0] not in answering}

    def shown(self, snapshot: Snapshot) -> list[Alarm]:
        """The alarms that nobody has acknowledged."""
        return [one for one in snapshot.alarms if one not in self._known]

    def hidden(self, snapshot: Snapshot) -> list[Alarm]:
        """The others."""
        return [one for one in snapshot.alarms if one in self._known]

    def act(self, snapshot: Snapshot) -> Act:
        """What the key means: to acknowledge those that are shown, or where none is to show them again."""
        return Act("unacknowledge" if self.hidden(snapshot) and not self.shown(snapshot) else "acknowledge")

    def plan(self, act: Act, snapshot: Snapshot) -> Plan | None:
        """What an act would do; None: there is nothing to do."""
        alarms = self.shown(snapshot) if act.verb == "acknowledge" else self.hidden(snapshot)
        if not alarms:
            return None
        what = (
            "would no longer be shown among the events of this monitor; the heading counts them as long as they last:"
            if act.verb == "acknowledge"
            else "would be shown again:"
        )
        return Plan((what, *told(alarms)), "")

    def carry_out(self, act: Act, snapshot: Snapshot) -> list[str]:
        """Do it; what to tell of it."""
        if act.verb == "acknowledge":
            alarms = self.shown(snapshot)
            self._known.update(alarms)
            return [f"acknowledged: {len(alarms)}", *told(alarms)]
        alarms = self.hidden(snapshot)
        self._known.clear()
        return [f"shown again: {len(alarms)}", *told(alarms)]


def told(alarms: Sequence[Alarm]) -> list[str]:
    """A line for each."""
    return [f"{node}: {text}" for node, text in alarms]
