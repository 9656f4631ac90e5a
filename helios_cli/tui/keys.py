"""The keys of the monitor, each once: for the bindings, the footer and the help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Key:
    """One key, or several that do the same, separated by commas."""

    keys: str
    action: str
    short: str
    """For the footer."""
    long: str
    """For the help."""
    shown: str
    """How the key is written."""
    group: str
    rank: int = 0
    """Its place among those below the screen, from 1, of which the last ones leave first; 0: it is not there."""


VIEWS: Final = (
    ("overview", "Overview"), ("events", "Events"), ("proxy", "Proxy"), ("log", "Log"), ("sql", "SQL"),
    ("charts", "Charts"),
)  # fmt: skip
"""The views, numbered from 1."""

_TOLD: Final = {
    "overview": "Overview: who follows whom, and what has happened",
    "events": "Events: all of them, with their reasons",
    "proxy": "Proxy: how it sees the nodes, and its pools",
    "log": "Log: the end of that of the chosen node",
    "sql": "SQL at the chosen node; Esc goes back to the nodes",
    "charts": "Charts: lag, statements, commits and more over time",
}

KEYS: Final = (
    *(
        Key(str(number), f"view('{name}')", title, _TOLD[name], str(number), "Views")
        for number, (name, title) in enumerate(VIEWS, 1)
    ),
    Key("question_mark,f1", "help", "help", "These keys, and what the signs mean", "?", "Monitor", 1),
    Key("up,down", "", "choose", "Choose a node; the mouse does as well", "↑ ↓", "Nodes"),
    Key("enter", "details", "details", "All that is known of the chosen node", "↵", "Nodes"),
    Key("s", "act('switchover')", "switchover", "Give the lead to the chosen standby", "s", "Acts", 4),
    Key("o", "act('promote')", "promote", "Promote the chosen standby: its primary is lost", "o", "Acts", 12),
    Key("p", "act('pause')", "pause", "Suspend automatic failover, or have it on again", "p", "Acts", 5),
    Key(
        "d", "act('drain')", "drain", "Have the proxy send the chosen node nothing new, or use it again", "d", "Acts", 9
    ),
    Key("x", "act('proxy pause')", "proxy", "Have statements at the proxy wait, or go on", "x", "Acts", 16),
    Key("b", "playbooks", "playbook", "Run a playbook: a drill, or a change step by step", "b", "Acts", 8),
    Key("k", "acknowledge", "ack", "Acknowledge the alarms: they are shown no longer, or again", "k", "Acts", 13),
    Key("comma,left", "step(-1)", "back", "One look back in time", ",", "Time", 6),
    Key("full_stop,right", "step(1)", "forward", "One look forward", ". →", "Time"),
    Key("less_than_sign,shift+left", "step(-60)", "back 60", "Sixty looks back", "<", "Time"),
    Key("greater_than_sign,shift+right", "step(60)", "forward 60", "Sixty looks forward", ">", "Time"),
    Key("left_square_bracket", "event(-1)", "event before", "To the event before", "[", "Time", 17),
    Key("right_square_bracket", "event(1)", "event after", "To the event after", "]", "Time", 18),
    Key("l", "live", "live", "Back to the present", "l", "Time", 10),
    Key("space", "hold", "hold", "Hold what is shown, or go on", "space", "Time", 7),
    Key("r", "refresh_now", "look", "Look at once", "r", "Monitor", 19),
    Key("t", "theme", "theme", "Dark, or light", "t", "Monitor", 11),
    Key("f", "filter", "filter", "Events: all, warnings and errors, errors", "f", "Views", 14),
    Key(
        "pagedown",
        "scroll_view(1)",
        "further",
        "Further down below the nodes; the wheel does as well",
        "PgDn",
        "Views",
    ),
    Key("pageup", "scroll_view(-1)", "back up", "Up again", "PgUp", "Views"),
    Key("c", "charts", "charts", "Charts: the next ones", "c", "Views", 15),
    Key("q,ctrl+q", "quit", "quit", "End; the cluster goes on", "q", "Monitor", 2),
)
