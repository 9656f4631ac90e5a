"""Links to nodes that are cut on purpose, for drills: bytes are lost, and no connection comes to an end.

Every connection between two nodes has one that called, who knows whom it called: the gate is on its side alone, in both
directions. So it is with the proxy. It is shut only in processes that run with ``allow_faults``, and what is cut
outlives a restart, as a broken network would: ``cuts.json`` in the data directory, or beside proxy.toml, says it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, cast

import msgspec

from helios_cli.engine.config.checks import is_loopback
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

    def open_for(self, directory: str | None, own: str) -> None:
        """Take what was cut before a restart; None: nothing can be cut here. ``own`` is the name of this process."""
        self._own, self._path, self._cuts = own, None, Cuts()
        if directory is None:
            return
        self._path = Path(directory) / NAME
        self._cuts = self._kept()
        if self._cuts.lost:
            log.warning("links are cut on purpose: %s", self.told())

    def _kept(self) -> Cuts:
        """What the file says; nothing when there is none, or none that can be read."""
        assert self._path is not None
        try:
            return Cuts.of(msgspec.json.decode(self._path.read_bytes()))
        except FileNotFoundError:
            return Cuts()
        except (OSError, msgspec.DecodeError, HeliosError) as error:
            log.warning("%s is left out: %s", self._path, error)
            return Cuts()

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
        told = self._take(cuts)
        if told:
            tell("links_cut", f"links are cut on purpose: {told}", severity="warning")
        elif before:
            tell("links_mended", f"links are no longer cut: {before}")
        return cuts.record()

    def _take(self, cuts: Cuts) -> str:
        with self._lock:
            self._cuts = cuts
            for link, call in tuple(self._calls.items()):
                self._apply(link, call)
        return self.told()

    async def watch(self) -> None:
        """Go by the file as others write it; runs until cancelled. Where nothing can be cut it comes back at once."""
        stamp = self._stamp()
        while self._path is not None:
            await asyncio.sleep(LOOK_S)
            found = self._stamp()
            if found != stamp:
                stamp, before = found, self.told()
                told = self._take(self._kept())
                if told != before:
                    log.warning("links are cut on purpose: %s", told or "none any more")

    def _stamp(self) -> tuple[int, int]:
        """Tells one content of the file from the next, since each is a file of its own."""
        try:
            found = os.stat(self._path or "")
        except OSError:
            return 0, 0
        return found.st_ino, found.st_mtime_ns

    async def connect(
        self, loop: asyncio.AbstractEventLoop, factory: Callable[[], asyncio.Protocol], host: str, port: int
    ) -> None:
        """``create_connection`` through the gate, for protocols that know nothing of it. Raises OSError."""
        if self._path is None:
            await loop.create_connection(factory, host, port)
            return
        await self.passes(host, port)
        line = Line(factory())
        await loop.create_connection(lambda: line, host, port)
        self.called(line, host, port)

    async def passes(self, host: str, port: int) -> None:
        """Come back when a call to a place may be made, as TCP does that gets no answer: for its time-out at least."""
        while any(self._fate(host, port)):
            await asyncio.sleep(LOOK_S)

    def called(self, link: Gated, host: str, port: int) -> None:
        """A connection to a place has been made."""
        with self._lock:
            self._calls[link] = call = _Call(host, port, asyncio.get_running_loop())
            self._apply(link, call)

    def handed_on(self, before: Gated, link: Gated) -> None:
        """What a connection carries from here on is another one's."""
        with self._lock:
            call = self._calls.pop(before, None)
            if call is not None:
                self._calls[link] = call
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


class Line(asyncio.Protocol):
    """Between a connection that may be cut and the protocol that it has, which may change."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self.protocol: asyncio.BaseProtocol = protocol
        self.mute = self.deaf = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self._transport = cast(asyncio.Transport, transport)
        self.protocol.connection_made(cast(asyncio.Transport, LineTransport(self, self._transport)))

    def data_received(self, data: bytes) -> None:
        """Bytes of the other side."""
        if not self.deaf:
            cast(asyncio.Protocol, self.protocol).data_received(data)

    def eof_received(self) -> bool | None:
        """The other side sends nothing more."""
        return cast(asyncio.Protocol, self.protocol).eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self.protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """The other side does not keep up."""
        self.protocol.pause_writing()

    def resume_writing(self) -> None:
        """It has caught up."""
        self.protocol.resume_writing()

    def cut_off(self) -> None:
        """End it at once."""
        if self._transport is not None:
            self._transport.abort()


class LineTransport:
    """The transport as the protocol of a :class:`Line` has it: what it writes may be lost."""

    def __init__(self, line: Line, transport: asyncio.Transport) -> None:
        self.real = transport
        self._line = line

    def write(self, data: bytes) -> None:
        """Send bytes, or lose them."""
        if not self._line.mute:
            self.real.write(data)

    def writelines(self, pieces: Iterable[bytes]) -> None:
        """Send several pieces, or lose them."""
        if not self._line.mute:
            self.real.writelines(pieces)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Another protocol has the connection from here on."""
        self._line.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who has it."""
        return self._line.protocol

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


GATE: Final = Gate()
"""Of this process: it runs one node, or a proxy."""
