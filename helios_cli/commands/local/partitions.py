"""Links between the nodes of a cluster that are cut for a drill, and mended again."""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from helios_cli.commands import _admin, _http
from helios_cli.commands._errors import Refused
from helios_cli.commands.local import faces, machines, network, processes
from helios_cli.commands.local.clusterfile import LocalCluster, LocalNode, LocalProxy, Member
from helios_cli.engine.config.proxy_load import load_proxy
from helios_cli.engine.errors import ConfigError, HeliosError
from helios_cli.engine.remote.errors import HostError
from helios_cli.engine.remote.machine import together

NAME: Final = "cuts.json"
"""In the data directory of every node, which reads it when it starts; the proxy's is beside proxy.toml."""

ASK_S: Final = 5.0
POLL_S: Final = 0.1

Link = tuple[str, str]
"""Who sends, and to whom: what is sent there is lost."""


def links(groups: Sequence[Sequence[str]], *, one_way: bool = False) -> list[Link]:
    """The links between nodes of different groups; ``one_way``: only what an earlier group sends to a later one."""
    pairs = [
        (a, b) for number, group in enumerate(groups) for later in groups[number + 1 :] for a in group for b in later
    ]
    return pairs if one_way else [link for a, b in pairs for link in ((a, b), (b, a))]


def cut_links(cluster: LocalCluster) -> list[Link]:
    """What is cut now, by the files of the nodes and of the proxy, or by the rules of their network; sorted."""
    if cluster.netns:
        return network.lost(cluster)
    return sorted({link for found in together(lambda one: _known(cluster, one), cluster.members) for link in found})


def _known(cluster: LocalCluster, member: Member) -> set[Link]:
    """What is cut by the file of one; nothing where its host cannot be asked."""
    try:
        return _read(cluster, member)
    except HostError:
        return set()


def change(cluster: LocalCluster, *, cut: Iterable[Link] = (), heal: Iterable[Link] | None = ()) -> list[Link]:
    """Cut some links more, and mend some (None: all); what is cut then. Who is down finds it when it starts.

    Nodes have done it when this returns; the proxy does it at once, by its file.

    Raises:
        Refused: the processes were not started for it. HeliosError: a node does not answer, or a file is not in order.
    """
    with _alone(cluster):
        left = set(cut_links(cluster)) - set(heal) if heal is not None else set()
        lost = sorted(left | set(cut))
        if cluster.netns:
            network.lose(cluster, lost)
            return lost
        if lost and not cluster.faults:
            raise Refused(
                f"the nodes of {cluster.path} do not let their links be cut",
                hint="Write faults = true above [[nodes]] there, and restart the nodes: heliosdb-nano cluster restart.",
            )
        if cluster.proxy is not None:
            _tell_proxy(cluster, cluster.proxy, [link for link in lost if cluster.proxy.name in link])
        between = [link for link in lost if cluster.proxy is None or cluster.proxy.name not in link]
        together(lambda node: _tell(cluster, node, between), cluster.nodes)
    return lost


def _tell_proxy(cluster: LocalCluster, proxy: LocalProxy, lost: Sequence[Link]) -> None:
    if not lost and not _read(cluster, proxy):
        return
    if lost and not load_proxy({}, str(cluster.proxy_file)).settings.allow_faults:
        raise Refused(
            "the proxy does not let its links be cut",
            hint=f"Write allow_faults = true below [proxy] in {cluster.proxy_file}, and restart it.",
        )
    places = {one.name: [cluster.address(one), one.pg_port] for one in cluster.data_nodes}
    _write(cluster, proxy, {"lost": lost, "places": places})


def _tell(cluster: LocalCluster, node: LocalNode, lost: Sequence[Link]) -> None:
    """Tell one node; one that starts just now is asked until it answers, or for :data:`ASK_S`."""
    record = {
        "lost": [list(link) for link in lost],
        "places": {one.name: [cluster.address(one), one.native_port] for one in cluster.nodes},
    }
    if not lost and not _read(cluster, node):
        return  # one that has nothing to mend need not be able to
    end = time.monotonic() + ASK_S
    while (process := processes.find(cluster, node)) is not None:
        if process.state == "frozen":
            raise HeliosError(
                f"{node.name} is frozen, and cannot be told", hint=f"heliosdb-nano cluster thaw {node.name} first."
            )
        try:
            _admin.ask(_reach(cluster, node), "cuts", record, ASK_S)
        except (_http.Unreachable, ConfigError):  # not there yet, or its token is not
            if time.monotonic() >= end:
                raise
            time.sleep(POLL_S)
        else:
            return
    if machines.of(cluster, node).ask("exists", str(cluster.data_dir(node))):
        _write(cluster, node, record)


def _reach(cluster: LocalCluster, node: LocalNode) -> _admin.Reach:
    tokens, secrets = () if node.host else (str(cluster.token_file(node)),), (str(cluster.secret_file),)
    return _admin.Reach(node.name, faces.http_address(cluster, node), tokens, secrets)


def _file(cluster: LocalCluster, member: Member) -> str:
    directory = cluster.place(member) if isinstance(member, LocalProxy) else cluster.data_dir(member)
    return str(directory / NAME)


def _write(cluster: LocalCluster, member: Member, record: Mapping[str, object]) -> None:
    data = (json.dumps(record) + "\n").encode()
    machines.of(cluster, member).ask("write", _file(cluster, member), data, 0o644)


def _read(cluster: LocalCluster, member: Member) -> set[Link]:
    """What a node's file says; nothing when there is none, or none that can be read, as the node takes it too.

    Raises:
        HostError: its host cannot be reached.
    """
    try:
        data: bytes | None = machines.of(cluster, member).ask("read", _file(cluster, member))
        return {(str(sender), str(receiver)) for sender, receiver in json.loads(data or b"null")["lost"]}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


@contextmanager
def _alone(cluster: LocalCluster) -> Iterator[None]:
    """One change at a time: parallel steps of a drill must not take each other's away."""
    with open(cluster.path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def told(cut: Sequence[Link]) -> list[str]:
    """What is cut, in words: ``a x b`` both ways, ``a -x> b`` what a sends."""
    both = {link for link in cut if link[::-1] in cut}
    return [f"{a} x {b}" for a, b in sorted(both) if a < b] + [f"{a} -x> {b}" for a, b in cut if (a, b) not in both]
