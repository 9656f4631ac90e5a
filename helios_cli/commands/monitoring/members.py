"""Who is to be asked: the nodes that were named, and those that they know of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from helios_cli.commands import _http
from helios_cli.commands._admin import Reach
from helios_cli.engine.config.checks import is_loopback
from helios_cli.tui.facts import NodeFacts

NO_HOSTS: Final = ("", "0.0.0.0", "::")


@dataclass(slots=True)
class Members:
    """The nodes by name, in the order in which they came to be known."""

    known: dict[str, Reach]
    renamed: dict[str, str]

    def learn(self, asked: Reach, facts: NodeFacts) -> None:
        """Take in what a node says of itself and of the others.

        A node that was named by its address gets its name; nodes that it knows and nobody named are asked from now on.
        """
        if facts.name and facts.name != asked.name and asked.name in self.known:
            self._rename(asked.name, facts.name)
            asked = self.known.get(facts.name, asked)
        for peer in facts.peers:
            if not peer.name or peer.name in self.known or not peer.http_port:
                continue
            host = peer.address.rpartition(":")[0]
            if host in NO_HOSTS or (is_loopback(host) and not is_loopback(asked.address.host)):
                host = asked.address.host
            address = replace(asked.address, host=host, port=peer.http_port)
            if any(_same(one.address, address) for one in self.known.values()):
                continue
            self.known[peer.name] = Reach(peer.name, address, asked.token_files, asked.secret_files)

    def forget(self, gone: Iterable[str]) -> None:
        """Ask these no more."""
        for name in gone:
            self.known.pop(name, None)

    def _rename(self, old: str, new: str) -> None:
        reach = self.known[old]
        if new in self.known:
            del self.known[old]
            return
        self.known = {
            (new if name == old else name): (replace(reach, name=new) if name == old else one)
            for name, one in self.known.items()
        }
        self.renamed[old] = new


def members(named: Sequence[Reach]) -> Members:
    """Those that were named, to begin with."""
    return Members({one.name: one for one in named}, {})


def _same(one: _http.Address, other: _http.Address) -> bool:
    hosts = {one.host, other.host}
    return one.port == other.port and (len(hosts) == 1 or all(is_loopback(host) for host in hosts))


def removed(newest: Mapping[str, NodeFacts], named: Iterable[str], known: Iterable[str]) -> list[str]:
    """Of the nodes that nobody named those that the primary does not know any more; none while nobody leads."""
    leading = max((one for one in newest.values() if one.leads), key=lambda one: one.term, default=None)
    if leading is None or leading.role == "standalone":
        return []
    members = {peer.name for peer in leading.peers}
    return [name for name in known if name not in members and name not in set(named)]
