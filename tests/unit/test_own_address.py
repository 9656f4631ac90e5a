"""By which address a node says that it is reached, when it has only been told to listen on every interface."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from helios_cli.engine.node.peer_address import OwnAddress, reachable


def link(here: str, there: str) -> Any:
    """A connection between two addresses."""
    transport = SimpleNamespace(get_extra_info=lambda name: (here, 5433) if name == "sockname" else (there, 40000))
    return SimpleNamespace(transport=transport, address=there, is_loopback=there.startswith("127."))


NEAR, FAR, FARTHER = link("127.0.0.1", "127.0.0.2"), link("10.0.0.1", "10.0.0.2"), link("192.168.0.1", "192.168.0.2")


@pytest.mark.parametrize(
    ("advertised", "listens_on", "met", "known", "host"),
    [
        ("db1", "0.0.0.0", [FAR], "10.0.0.9", "db1"),
        ("", "10.0.0.7", [FAR], "10.0.0.9", "10.0.0.7"),
        ("", "127.0.0.1", [], "10.0.0.9", "127.0.0.1"),
        ("", "0.0.0.0", [], "", "fallback"),
        ("", "0.0.0.0", [NEAR], "", "127.0.0.1"),
        ("", "0.0.0.0", [NEAR, FAR, FARTHER], "", "10.0.0.1"),
        ("", "::", [NEAR], "10.0.0.9", "10.0.0.9"),
        ("", "::", [FARTHER, NEAR], "10.0.0.9", "192.168.0.1"),
        ("", "0.0.0.0", [NEAR], "0.0.0.0", "127.0.0.1"),
        ("", "0.0.0.0", [], "127.0.0.1", "fallback"),
    ],
)
def test_where_a_node_is(advertised: str, listens_on: str, met: list[Any], known: str, host: str) -> None:
    own = OwnAddress(advertised, listens_on)
    for one in met:
        own.met(one)
    assert own.host(known, "fallback") == host


@pytest.mark.parametrize(
    ("connection", "told", "host"),
    [
        (FAR, "0.0.0.0", "10.0.0.2"),
        (FAR, "::", "10.0.0.2"),
        (FAR, "", "10.0.0.2"),
        (FAR, "127.0.0.1", "10.0.0.2"),
        (FAR, "10.9.9.9", "10.9.9.9"),
        (FAR, "db2", "db2"),
        (NEAR, "127.0.0.1", "127.0.0.1"),
        (NEAR, "0.0.0.0", "127.0.0.2"),
    ],
)
def test_where_another_node_is(connection: Any, told: str, host: str) -> None:
    assert reachable(connection, told) == host
