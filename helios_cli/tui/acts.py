"""Which act a key means at what is seen: those that have an opposite mean that where they are in force."""

from __future__ import annotations

from helios_cli.tui.gateway import Act
from helios_cli.tui.snapshot import Snapshot


def act_of(verb: str, snapshot: Snapshot, chosen: str) -> Act:
    """The act of a verb's key, with the cursor on a node."""
    proxy = snapshot.proxy
    if verb == "pause":
        return Act("resume" if snapshot.paused else "pause")
    if verb == "proxy pause":
        return Act("proxy resume" if proxy is not None and proxy.state == "paused" else "proxy pause")
    if verb == "drain":
        rows = proxy.facts.nodes if proxy is not None and proxy.facts else ()
        drained = any(row.get("name") == chosen and row.get("state") in ("draining", "disabled") for row in rows)
        return Act("undrain" if drained else "drain", chosen)
    if verb == "promote":
        return Act("promote", chosen)
    leads = snapshot.primary is not None and snapshot.primary.name == chosen
    return Act("switchover", "" if leads else chosen)
