"""What the dialogs say: the help, and one node in full."""

from __future__ import annotations

from helios_cli.engine.types import Lsn
from helios_cli.tui import words
from helios_cli.tui.keys import KEYS
from helios_cli.tui.lines import Line
from helios_cli.tui.snapshot import NodeSeen, Snapshot

SIGNS = (
    ("★", "leads"), ("●", "as it should be"), ("◐", "on the way there, or something to look after"),
    ("✖", "lost, broken, or two that lead"), ("✓", "its copies count for the mode"),
    ("= ≠ ~", "its database equals the primary's, differs, cannot be compared now"),
    ("══▶", "a link whose copies count"), ("──▶", "a link whose copies do not"), ("┄┄✖", "a broken link"),
)  # fmt: skip


def help_lines() -> list[Line]:
    """The keys by group, then the signs."""
    found: list[Line] = []
    for group in dict.fromkeys(key.group for key in KEYS):
        found.append(((group, "accent"),))
        found += [((f"  {key.shown:<6} ", "strong"), (key.long, "")) for key in KEYS if key.group == group]
    found += [(("Signs", "accent"),)]
    found += [((f"  {sign:<6} ", "strong"), (text, "")) for sign, text in SIGNS]
    return found


def node_lines(snapshot: Snapshot, node: NodeSeen, now_s: float) -> list[Line]:
    """All that is known of a node."""
    rows: list[tuple[str, str]] = [("state", node.state), ("HTTP", node.address)]
    if node.error:
        rows.append(("why", node.error))
    took = "" if node.error else f", answered in {words.milliseconds(node.took_ms)}"
    rows.append(("heard", f"{words.age(node.age_s(now_s))} ago{took}" if node.seen_at_s is not None else "never"))
    facts = node.facts
    if facts is not None:
        rows += [
            ("role", facts.role + (f", {facts.mode}" if facts.mode else "")), ("term", str(facts.term)),
            ("address", facts.address), ("version", facts.version), ("process", str(facts.pid)),
            ("up for", words.duration(max(0.0, now_s - facts.started_us / 1e6))), ("directory", facts.data_dir),
        ]  # fmt: skip
        if facts.role != "observer":
            rows += _log_rows(node)
        rows += [("voters", ", ".join(facts.voters)), ("lease", words.milliseconds(facts.lease_ms))]
    lines: list[Line] = [((f"{name:<12} ", "dim"), (text, "")) for name, text in rows if text]
    speaker = snapshot.speaker
    told = speaker.facts.peer(node.name) if speaker and speaker is not node and speaker.facts else None
    if told is not None and speaker is not None:
        lines.append(
            (("to the primary ", "dim"), (f"({speaker.name}) {told.state}", ""), (f" {told.lag_cause}", "dim"))
        )
    lines += [(("alarm        ", "warn"), (text, "warn")) for text in (facts.alarms if facts else ())]
    return lines


def _log_rows(node: NodeSeen) -> list[tuple[str, str]]:
    facts = node.facts
    assert facts is not None
    memory = facts.counters.get("heliosdb_process_resident_memory_bytes")
    stall = facts.counters.get("heliosdb_loop_stall_recent_seconds")
    rows = [
        ("written", str(Lsn(facts.written_lsn))), ("flushed", str(Lsn(facts.flushed_lsn))),
        ("committed", str(Lsn(facts.committed_lsn))), ("checksum", facts.checksum),
        ("log kept", words.size(facts.log_bytes_kept)), ("database", words.size(facts.database_pages * 4096)),
        ("clients", words.count(facts.clients)), ("statements", f"{words.rate(node.statements_s)} /s"),
        ("commits", f"{words.rate(node.commits_s)} /s"), ("memory", words.size(memory)),
        ("processor", "" if node.cpu is None else f"{node.cpu:.0%}"),
        ("longest stall", words.milliseconds(None if stall is None else stall * 1000)),
        ("not writable", facts.read_only_reason),
    ]  # fmt: skip
    if not node.leads:
        rows += [
            ("lag", f"{words.size(node.lag_bytes)}, {words.milliseconds(node.lag_ms)}"),
            ("eta", words.duration(node.eta_s)),
        ]
    return rows
