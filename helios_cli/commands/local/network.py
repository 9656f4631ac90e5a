"""Network namespaces for the processes of a cluster: each has an address at a bridge, where packets can be dropped.

All of it is in namespaces with names, ``NAME`` with the bridge and ``NAME-NODE`` for each process, where NAME stands in
cluster.toml before any of them is made: whatever ends the tool, ``cluster down`` finds them. The machine's own network
is not touched. Clients reach every process where they would without: the sockets for them are opened here, outside of
the namespaces, and handed over (engine/net/listeners.py). It takes root, ``ip``, ``nft`` and ``nsenter``.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from helios_cli.commands.local.clusterfile import HOST, NETWORK_BITS, LocalCluster, LocalProxy, Member
from helios_cli.engine.config.proxy_load import load_proxy
from helios_cli.engine.errors import HeliosError

NAMED: Final = Path("/run/netns")
"""Where ``ip netns`` keeps the names (ip-netns(8))."""
TOOLS: Final = ("ip", "nft", "nsenter")
PATH: Final = "/usr/sbin:/sbin:/usr/bin:/bin"
BACKLOG: Final = 512
BRIDGE, LINK = "bridge", "net"
HINT: Final = "Leave --netns out: links are cut inside the processes then, by the same commands."

RULES: Final = """table bridge cuts
delete table bridge cuts
table bridge cuts {{
  set lost {{ type ipv4_addr . ipv4_addr; {elements} }}
  chain passing {{ type filter hook forward priority 0; policy accept; ip saddr . ip daddr @lost drop; }}
}}
"""
"""All of them, replaced at once. What one sends to another is dropped at the bridge, and nobody hears of it."""


class NotAllowed(HeliosError):
    """There are no network namespaces for us here; the message says why."""

    sqlstate = "42501"
    hint = HINT


def new_name() -> str:
    """For the namespaces of a new cluster."""
    return f"heliosdb-{secrets.token_hex(3)}"


def check() -> None:
    """Try whether namespaces, bridges and rules can be made, in one that goes at once.

    Raises:
        NotAllowed: they cannot.
    """
    missing = [tool for tool in (*TOOLS, "unshare") if _tool(tool) is None]
    if missing:
        raise NotAllowed(f"network namespaces need {' and '.join(missing)}, which is not installed here", hint=HINT)
    script = "ip link add name b0 type bridge && ip link add name v0 type veth peer name v1 && nft add table bridge t"
    done = subprocess.run(
        [_tool("unshare") or "unshare", "--net", "sh", "-c", script], capture_output=True, text=True,
        env={**os.environ, "PATH": _search()}, check=False,
    )  # fmt: skip
    if done.returncode:
        why = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        who = "" if os.geteuid() == 0 else " (only root may, or who has CAP_SYS_ADMIN and CAP_NET_ADMIN)"
        raise NotAllowed(f"network namespaces are not allowed here{who}: {why[0]}", hint=HINT)


def make(cluster: LocalCluster, members: Sequence[Member]) -> None:
    """Have the bridge there, and a namespace for each of these; what is there already is left as it is.

    Raises:
        NotAllowed: it cannot be done.
    """
    if not cluster.netns or not members:
        return
    check()
    hub = cluster.netns
    _name(hub)
    if not _has(hub, BRIDGE):
        _ip("-n", hub, "link", "add", "name", BRIDGE, "type", "bridge")
    _ip("-n", hub, "link", "set", BRIDGE, "up")
    for member in members:
        inside, port = _namespace(cluster, member), f"p{_number(member)}"
        _name(inside)
        _ip("-n", inside, "link", "set", "lo", "up")
        if not _has(inside, LINK):
            _ip("-n", hub, "link", "add", "name", port, "type", "veth", "peer", "name", LINK, "netns", inside)
        _ip("-n", hub, "link", "set", port, "master", BRIDGE, "up")
        _ip("-n", inside, "address", "replace", f"{cluster.address(member)}/{NETWORK_BITS}", "dev", LINK)
        _ip("-n", inside, "link", "set", LINK, "up")


def remove(cluster: LocalCluster, member: Member | None = None) -> list[str]:
    """Take the namespace of one process away, or all with their bridge; the names of those that were there.

    Raises:
        NotAllowed: it cannot be done.
    """
    gone = [one for one in names(cluster) if member is None or one == _namespace(cluster, member)]
    for one in gone:
        _ip("netns", "delete", one)
    return gone


def names(cluster: LocalCluster) -> list[str]:
    """The namespaces of a cluster that are there, sorted."""
    hub = cluster.netns
    if not hub or not NAMED.is_dir():
        return []
    return sorted(one for one in os.listdir(NAMED) if one == hub or one.startswith(f"{hub}-"))


def command(cluster: LocalCluster, member: Member, arguments: Sequence[str]) -> list[str]:
    """A command line that runs in the process's namespace, under the same process number."""
    if not cluster.netns:
        return list(arguments)
    enter = [_tool("nsenter") or "nsenter", f"--net={NAMED / _namespace(cluster, member)}"]
    return [*enter, "sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh", *arguments]


@contextmanager
def doors(cluster: LocalCluster, member: Member) -> Iterator[list[tuple[str, socket.socket]]]:
    """Listening sockets of the machine's own network for the clients of a process, by face; closed in the end.

    Empty where it has no namespace.

    Raises:
        HeliosError: somebody listens there already (55006), or the proxy has several workers (0A000).
    """
    found: list[tuple[str, socket.socket]] = []
    with contextlib.ExitStack() as stack:
        if cluster.netns:
            _refuse_workers(cluster, member)
            for face, port in member.ports.items():
                if face != "native":
                    found.append((face, stack.enter_context(_listening(port, f"{face} port {port} of {member.name}"))))
        yield found


def environment(handed: Sequence[tuple[str, socket.socket]]) -> dict[str, str]:
    """Variables of the process that gets these sockets as its descriptors from 3 on."""
    faces = ":".join(face for face, _ in handed)
    return {"LISTEN_FDS": str(len(handed)), "LISTEN_FDNAMES": faces} if handed else {}


def _listening(port: int, told: str) -> socket.socket:
    try:
        return socket.create_server((HOST, port), backlog=BACKLOG)
    except OSError as error:
        raise HeliosError(f"{told}: {error.strerror}", sqlstate="55006", hint="Stop who listens there.") from None


def _refuse_workers(cluster: LocalCluster, member: Member) -> None:
    if isinstance(member, LocalProxy) and load_proxy({}, str(cluster.proxy_file)).settings.workers > 1:
        raise HeliosError(
            "a proxy in a network namespace has one worker", sqlstate="0A000",
            hint=f"Take workers out of {cluster.proxy_file}.",
        )  # fmt: skip


# Cuts -----------------------------------------------------------------------------------------------------------------


def lose(cluster: LocalCluster, links: Iterable[tuple[str, str]]) -> None:
    """Drop the packets of these senders to these receivers from now on, and no others; all at the same moment.

    Raises:
        HeliosError: the namespaces are not there (55000), or not ours to change.
    """
    if not names(cluster):
        raise HeliosError(
            f"the network of {cluster.path} is not there", sqlstate="55000",
            hint="heliosdb-nano cluster up makes it again.",
        )  # fmt: skip
    at = {one.name: cluster.address(one) for one in cluster.members}
    pairs = ", ".join(f"{at[sender]} . {at[receiver]}" for sender, receiver in links)
    elements = f"elements = {{ {pairs} }};" if pairs else ""
    _run([*_at_bridge(cluster), "-f", "-"], RULES.format(elements=elements))


def lost(cluster: LocalCluster) -> list[tuple[str, str]]:
    """Whose packets to whom are dropped, sorted; what cannot be asked counts as nothing."""
    if cluster.netns not in names(cluster):
        return []
    by_address = {cluster.address(one): one.name for one in cluster.members}
    try:
        told = json.loads(_run([*_at_bridge(cluster), "-j", "list", "ruleset"]))
    except HeliosError:
        return []
    pairs = [one["concat"] for entry in told["nftables"] for one in entry.get("set", {}).get("elem", ())]
    return sorted(
        (by_address[sender], by_address[receiver])
        for sender, receiver in pairs
        if sender in by_address and receiver in by_address
    )


def _at_bridge(cluster: LocalCluster) -> list[str]:
    return [_tool("nsenter") or "nsenter", f"--net={NAMED / cluster.netns}", _tool("nft") or "nft"]


# Tools ----------------------------------------------------------------------------------------------------------------


def _namespace(cluster: LocalCluster, member: Member) -> str:
    return f"{cluster.netns}-{member.name}"


def _number(member: Member) -> int:
    return member.pg_port if isinstance(member, LocalProxy) else member.native_port


def _search() -> str:
    return f"{os.environ.get('PATH', '')}:{PATH}"


def _tool(name: str) -> str | None:
    return shutil.which(name, path=_search())


def _name(namespace: str) -> None:
    if not (NAMED / namespace).exists():
        _ip("netns", "add", namespace)


def _has(namespace: str, link: str) -> bool:
    shown = subprocess.run(
        [_tool("ip") or "ip", "-n", namespace, "link", "show", link], capture_output=True, check=False
    )
    return shown.returncode == 0


def _ip(*arguments: str) -> None:
    _run([_tool("ip") or "ip", *arguments])


def _run(arguments: Sequence[str], given: str | None = None) -> str:
    try:
        done = subprocess.run(list(arguments), capture_output=True, text=True, input=given, check=False)
    except FileNotFoundError:
        raise NotAllowed(f"{arguments[0]} is not installed", hint=HINT) from None
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise NotAllowed(
            f"{' '.join(arguments)}: {said[0]}", hint="It takes root. heliosdb-nano cluster status shows the cluster."
        )
    return done.stdout
