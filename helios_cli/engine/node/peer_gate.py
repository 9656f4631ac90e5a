"""Links to other nodes that are cut on purpose, for drills: bytes are lost, and no connection comes to an end.

Every connection between two nodes has one that called, who knows whom it called: the gate is on its side alone, in both
directions. It is shut only on nodes that run with ``allow_faults``, and what is cut outlives a restart, as a broken
network would: ``cuts.json`` in the data directory says it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from helios_cli.engine.config.checks import is_loopback
from helios_cli.engine.config.settings import Settings
from helios_cli.engine.errors import HeliosError, SqlError

log = logging.getLogger(__name__)

NAME: Final = "cuts.json"
LINKS_MAX: Final = 4096
LOOK_S: Final = 0.05
"""How soon a call that waits before the gate sees that it is open; the caller's own time-out ends it before."""


@dataclass(frozen=True, slots=True)
class Cuts:
    """Whose bytes to whom are lost, in the whole cluster."""

    lost: frozenset[tuple[str, str]] = frozenset()
    """Pairs of sender and receiver."""
    places: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """Host and native port of each node, by which a call is known."""

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Cuts:
        """From what :meth:`record` gives. Raises HeliosError for anything else (22023)."""
        try:
            lost = frozenset((str(sender), str(receiver)) for sender, receiver in record["lost"])
            places = {str(name): (str(host), int(port)) for name, (host, port) in record["places"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise HeliosError(f"these are no cuts: {error!r}", sqlstate="22023") from None
        if len(lost) > LINKS_MAX or len(places) > LINKS_MAX:
            raise HeliosError(f"more than {LINKS_MAX} links", sqlstate="22023")
        return cls(lost, places)

    def record(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"lost": sorted(map(list, self.lost)), "places": {name: list(at) for name, at in self.places.items()}}

    def name_at(self, host: str, port: int) -> str | None:
        """Who is called there; on this machine the port tells, whatever the host is called."""
        for name, (known, its_port) in self.places.items():
            if port == its_port and (host == known or (is_loopback(host) and is_loopback(known))):
                return name
        return None

    def towards(self, own: str, other: str | None) -> tuple[bool, bool]:
        """Of ``own``'s link with ``other``: whether what it sends, and whether what it is sent, is lost."""
        return ((own, other) in self.lost, (other, own) in self.lost) if other is not None else (False, False)


class Gated(Protocol):
    """A connection that this node has made, as the gate needs it."""

    mute: bool
    deaf: bool

    def cut_off(self) -> None:
        """End it at once: bytes of it are lost."""


@dataclass(frozen=True, slots=True)
class _Call:
    """Where a connection goes, and the loop that it belongs to."""

    host: str
    port: int
    loop: asyncio.AbstractEventLoop


class Gate:
    """The calls of one node. The threads of the event loop and of the pulse use it."""

    def __init__(self) -> None:
        self._own = ""
        self._path: Path | None = None
        self._cuts = Cuts()
        self._calls: weakref.WeakKeyDictionary[Gated, _Call] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def open_for(self, settings: Settings, node_id: str) -> None:
        """Take what was cut before a restart, where faults are allowed; else nothing can be."""
        self._own, self._path, self._cuts = node_id, None, Cuts()
        if not settings.allow_faults:
            return
        self._path = Path(settings.data_dir) / NAME
        try:
            self._cuts = Cuts.of(msgspec.json.decode(self._path.read_bytes()))
        except FileNotFoundError:
            return
        except (OSError, msgspec.DecodeError, HeliosError) as error:
            log.warning("%s is left out: %s", self._path, error)
            return
        if self._cuts.lost:
            log.warning("links are cut on purpose: %s", self.told())

    def told(self) -> str:
        """Which of the node's own links are cut, in words; empty for none."""
        with self._lock:
            cuts = self._cuts
        others = sorted({one for pair in cuts.lost if self._own in pair for one in pair if one != self._own})
        return "; ".join(_told(self._own, other, *cuts.towards(self._own, other)) for other in others)

    def change(self, record: Mapping[str, Any], tell: Callable[..., None]) -> dict[str, Any]:
        """Cut what a record says, and nothing else; what is cut then. ``tell`` takes an event of the node.

        Raises:
            SqlError: the node does not run with ``allow_faults`` (55000). HeliosError: it is no such record (22023).
            OSError: it cannot be kept.
        """
        if self._path is None:
            raise SqlError(
                "this node does not let its links be cut", sqlstate="55000",
                hint="It has to run with --allow-faults: faults = true in cluster.toml, and a restart.",
            )  # fmt: skip
        cuts, before = Cuts.of(record), self.told()
        aside = self._path.with_suffix(".new")
        aside.write_bytes(msgspec.json.encode(cuts.record()))
        aside.replace(self._path)
        with self._lock:
            self._cuts = cuts
            for link, call in tuple(self._calls.items()):
                self._apply(link, call)
        told = self.told()
        if told:
            tell("links_cut", f"links are cut on purpose: {told}", severity="warning")
        elif before:
            tell("links_mended", f"links are no longer cut: {before}")
        return cuts.record()

    async def passes(self, host: str, port: int) -> None:
        """Come back when a call to a place may be made, as TCP does that gets no answer: for its time-out at least."""
        while any(self._fate(host, port)):
            await asyncio.sleep(LOOK_S)

    def called(self, link: Gated, host: str, port: int) -> None:
        """A connection to a place has been made."""
        with self._lock:
            self._calls[link] = call = _Call(host, port, asyncio.get_running_loop())
            self._apply(link, call)

    def _fate(self, host: str, port: int) -> tuple[bool, bool]:
        cuts = self._cuts
        return cuts.towards(self._own, cuts.name_at(host, port)) if cuts.lost else (False, False)

    def _apply(self, link: Gated, call: _Call) -> None:
        """What a link has lost is lost: once bytes would go through again, it ends, and is made anew."""
        mute, deaf = self._fate(call.host, call.port)
        mended = (link.mute and not mute) or (link.deaf and not deaf)
        link.mute, link.deaf = mute or (mended and link.mute), deaf or (mended and link.deaf)
        if mended and not call.loop.is_closed():
            call.loop.call_soon_threadsafe(link.cut_off)


def _told(own: str, other: str, mute: bool, deaf: bool) -> str:
    arrow = "x" if mute and deaf else "-x>" if mute else "<x-"
    return f"{own} {arrow} {other}"


GATE: Final = Gate()
"""Of this process: it runs one node."""
