"""The nodes of a cluster, put together from what several of them say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

LOOPBACK: Final = ("127.", "localhost", "::1")
NO_HOST: Final = ("", "0.0.0.0", "::")


@dataclass(frozen=True, slots=True)
class Place:
    """A data node and where it takes clients."""

    name: str
    host: str
    port: int
    is_local: bool = False
    """It is the node that says so."""


def place_of(name: str, address: str, *, is_local: bool) -> Place | None:
    """A row of ``helios_topology``; None for what takes no clients, as an observer."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        return None
    return Place(name, host.strip("[]"), int(port), is_local)


def seen_from(places: Iterable[Place], host: str, port: int) -> tuple[Place, ...]:
    """What a node says, for somebody who has reached it at ``host`` and ``port``.

    One that names no address, or one of its own machine's, and was reached over the network, is where it was reached;
    and those that it takes to be on its own machine are on that.
    """
    elsewhere = not host.startswith(LOOPBACK)
    found = []
    for one in places:
        if one.host in NO_HOST or (elsewhere and one.host.startswith(LOOPBACK)):
            one = replace(one, host=host, port=port if one.is_local else one.port)
        found.append(one)
    return tuple(found)


def known_nodes(
    reports: Mapping[str, tuple[Place, ...]], primary: str | None, before: Mapping[str, Place]
) -> dict[str, Place]:
    """The nodes of the cluster, by what each that answers says, in the order of their names.

    Where a node is the primary says, else the node itself, else whoever names it. A node that nobody but itself names
    is gone; but only the primary knows that: without its word nobody goes.
    """
    found: dict[str, Place] = {} if primary in reports else dict(before)
    for who in sorted(reports, key=lambda name: name == primary):
        for one in reports[who]:
            counts = not one.is_local or who == primary or primary not in reports
            if counts and (who == primary or one.name not in found or one.is_local):
                found[one.name] = replace(one, is_local=False)
    return dict(sorted(found.items()))
