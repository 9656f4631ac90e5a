"""The journal of a run: one JSON object a line, each written and synced before what it tells of is done."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from helios_cli.engine.errors import HeliosError

VERSION: Final = 1
KINDS: Final = ("began", "ready", "step", "seen", "failing", "undo", "resumed", "ended")
"""``began`` has the whole plan, ``ready`` says that what the playbook needs holds, ``seen`` tells of the cluster."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line."""

    at_s: float
    """Seconds since 1970."""
    kind: str
    """One of :data:`KINDS`."""
    fields: Mapping[str, Any]

    def line(self) -> str:
        """As it is written, with its newline."""
        return json.dumps({"at": round(self.at_s, 3), "kind": self.kind, **self.fields}, ensure_ascii=False) + "\n"


class Damaged(HeliosError):
    """A journal that cannot be read."""

    sqlstate = "XX001"


def parse(text: str) -> list[Entry]:
    """The entries of a journal. A last line that was cut off by a crash is left out: what it tells was not done.

    Raises:
        Damaged: another line is no entry.
    """
    entries = []
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if number == len(lines):
            break  # empty, or torn
        try:
            content = json.loads(line)
            entries.append(Entry(float(content.pop("at")), str(content.pop("kind")), content))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Damaged(f"line {number} of the journal is no entry") from None
    return entries


def of_kind(entries: Iterable[Entry], *kinds: str) -> list[Entry]:
    """The entries of some kinds, in their order."""
    return [one for one in entries if one.kind in kinds]
