"""What a node remembers of its scrubs: when the last one ended, and which pages are damaged. Survives a restart."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Final

from helios_cli.engine.errors import HeliosError, LogDamaged
from helios_cli.engine.ports import Files
from helios_cli.engine.storage.twoslots import TwoSlots

NAME: Final = "scrub"
SLOT_BYTES: Final = 8 << 10
VERSION: Final = 1
BAD_KEPT: Final = 500
"""Numbers of damaged pages that are put down; the next scrub finds the others again."""


@dataclass(frozen=True, slots=True)
class ScrubState:
    """Times are microseconds since 1970-01-01 UTC, 0 where there is none."""

    since_us: int = 0
    """When this node began to count; the first scrub is due an interval later."""
    started_us: int = 0
    """Of the scrub that runs, or else of the last one."""
    finished_us: int = 0
    """When a whole scrub last ended."""
    pages: int = 0
    """Size of the database when it began."""
    pages_checked: int = 0
    pages_repaired: int = 0
    """In that scrub, and since."""
    seconds: float = 0.0
    """What the last whole scrub took."""
    bad: tuple[int, ...] = ()
    """Pages that are damaged now, as far as is known; ascending."""
    last_error: str = ""
    """Why the last scrub or the last repair failed; empty when it did not."""

    def to_bytes(self) -> bytes:
        """As it is put down."""
        return json.dumps({"version": VERSION, **asdict(self), "bad": self.bad[:BAD_KEPT]}).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> ScrubState:
        """The inverse. Raises ValueError for bytes that are none."""
        content = json.loads(data)
        if not isinstance(content, dict) or content.pop("version", None) != VERSION:
            raise ValueError("another version")
        for field in fields(cls):
            value = content[field.name]
            kinds = {"seconds": (float, int), "bad": list, "last_error": str}.get(field.name, int)
            if not isinstance(value, kinds):  # type: ignore[arg-type]
                raise ValueError(f"{field.name} is {value!r}")
        if any(type(number) is not int or number < 1 for number in content["bad"]):
            raise ValueError("a page number is none")
        return cls(**{**{f.name: content[f.name] for f in fields(cls)}, "bad": tuple(sorted(content["bad"]))})


def load_scrub(files: Files, directory: str) -> ScrubState:
    """What was put down; a state without any scrub where nothing was, or nothing that can be read."""
    try:
        file = TwoSlots(files, f"{directory}/{NAME}", SLOT_BYTES)
    except (LogDamaged, HeliosError):
        return ScrubState()
    file.close()
    try:
        return ScrubState.from_bytes(file.content) if file.content is not None else ScrubState()
    except (ValueError, KeyError):
        return ScrubState()


def save_scrub(files: Files, directory: str, state: ScrubState) -> None:
    """Put a state down. Raises DiskFull, IoFailed: the one before stands. LogDamaged: it cannot be understood."""
    file = TwoSlots(files, f"{directory}/{NAME}", SLOT_BYTES)
    try:
        file.replace(state.to_bytes())
    finally:
        file.close()
