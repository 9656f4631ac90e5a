"""Asking the nodes and proxies of a cluster for what ``doctor`` checks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final

from helios_cli.commands import _admin, _http, _tokens
from helios_cli.commands._admin import Asked, Reach
from helios_cli.commands._cluster_checks import Picture, Seen, SeenProxy
from helios_cli.engine.errors import ConfigError, HeliosError

ASK_S: Final = 3.0
SETTLE_S: Final = 3.0
"""How long a proxy may take to find a node well again that answers here: it asks a node that was lost once a second."""
POLL_S: Final = 0.2


def look(asked: Asked, proxies: Sequence[str]) -> Picture:
    """Ask all nodes of the cluster at once: those of its file, or the one that is named and those that it knows of.

    Raises:
        HeliosError: what was named cannot be understood.
    """
    reaches = _admin.reaches(asked)
    nodes = _ask_all(reaches)
    if len(reaches) == 1 and asked.node is not None and (others := _others(reaches[0], nodes[0])):
        reaches = [replace(reaches[0], name=nodes[0].name), *others]
        nodes = [*nodes, *_ask_all(others)]
    lacking = [reach.name for reach, seen in zip(reaches, nodes, strict=True) if not _is_observer(seen)
               and not _has_token(reach)]  # fmt: skip
    well = [one.name for one in nodes if one.record is not None]
    return Picture(nodes, [_settled(address, well) for address in proxies], lacking)


def _ask_all(reaches: Sequence[Reach]) -> list[Seen]:
    with ThreadPoolExecutor(max_workers=min(32, len(reaches))) as pool:
        return list(pool.map(_ask, reaches))


def _ask(reach: Reach) -> Seen:
    began, at = time.monotonic(), time.time()
    try:
        record = _admin.status_of(reach, ASK_S)
    except HeliosError as error:
        return Seen(reach.name, None, error.message)
    trip_s = time.monotonic() - began
    return Seen(str(record.get("node_id") or reach.name), record, "", at + trip_s / 2, trip_s)


def _others(reach: Reach, seen: Seen) -> list[Reach]:
    """The members that the node at ``reach`` knows of, where they say that they are."""
    cluster = (seen.record or {}).get("cluster")
    if not isinstance(cluster, dict):
        return []
    known: list[dict[str, Any]] = [*(cluster.get("nodes") or ()), *(cluster.get("observers") or ())]
    return [
        Reach(str(one["node_id"]), replace(reach.address, host=str(one["host"]), port=int(one["http_port"])), (),
              reach.secret_files)
        for one in known
        if one.get("node_id") != seen.name and one.get("host") and one.get("http_port")
    ]  # fmt: skip


def _is_observer(seen: Seen) -> bool:
    return seen.record is None or seen.record.get("role") == "observer"


def _has_token(reach: Reach) -> bool:
    try:
        return bool(_tokens.tokens(reach.name, reach.token_files, reach.secret_files))
    except ConfigError:
        return False


def _settled(address: str, well: Sequence[str]) -> SeenProxy:
    """A proxy, asked again while it holds a node for lost that was only just mended."""
    end = time.monotonic() + SETTLE_S
    while True:
        seen = _proxy(address)
        doubted = [one for one in seen.nodes or () if one.get("state") == "unhealthy" and one.get("name") in well]
        if not doubted or time.monotonic() >= end:
            return seen
        time.sleep(POLL_S)


def _proxy(address: str) -> SeenProxy:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ConfigError(f"--proxy takes HOST:PORT, not {address!r}")
    try:
        answer = _http.get(_http.Address(host.strip("[]"), int(port)), "/nodes", ASK_S)
    except HeliosError as error:
        return SeenProxy(address, None, error.message.replace("no node answers", "no proxy answers"))
    if answer.status != 200 or not isinstance(answer.body, list):
        return SeenProxy(address, None, f"{address} answered {answer.status} to /nodes: is it a proxy's admin address?")
    return SeenProxy(address, [one for one in answer.body if isinstance(one, dict)])
