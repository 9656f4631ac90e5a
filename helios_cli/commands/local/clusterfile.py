"""``cluster.toml``: the nodes of a cluster and its proxy, their machines, their ports and their directories."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

from helios_cli.commands.local import hosts
from helios_cli.commands.local.hosts import HostEntry
from helios_cli.engine.config.checks import is_loopback
from helios_cli.engine.errors import ConfigError, HeliosError
from helios_cli.engine.remote import deeds

NAME: Final = "cluster.toml"
DIRECTORY: Final = "heliosdb-cluster"
"""Where ``cluster up`` makes a cluster when nothing else is said."""

HOST: Final = "127.0.0.1"
NETWORK, NETWORK_BITS = "10.76.0.0", 14
"""Of every cluster whose processes have network namespaces: nothing leads from there to any other network."""
PROXY_FILE: Final = "proxy.toml"
SECRET_FILE: Final = "cluster.secret"
PASSWORD_FILE: Final = "helios.password"
PROXY: Final = "proxy"
"""Name of the proxy among the processes of a cluster."""

MODES: Final = ("async", "semi-sync", "sync", "quorum")
UP_HINT: Final = "heliosdb-nano cluster up makes one; name it with --dir DIR or HELIOSDB_CLUSTER."

HEAD: Final = """A HeliosDB Nano cluster on this machine, written by: heliosdb-nano cluster up
The roles here are those of an empty directory; a node remembers what became of it.
The data of node N is in N/, its log in N.log, its process in N.pid, beside this file; proxy.toml is the proxy's.
"""


@dataclass(frozen=True, slots=True)
class LocalNode:
    """One node of the file."""

    name: str
    """Its node_id, and the name of its data directory."""
    role: str
    """``primary``, ``standby`` or ``observer``: what it was made as."""
    mode: str
    """The cluster's mode for the primary, its class for a standby; empty for an observer."""
    pg_port: int
    """0 for an observer, which serves no SQL."""
    native_port: int
    http_port: int
    settings: tuple[str, ...] = field(default=(), kw_only=True)
    """Further settings of this node, as NAME=VALUE."""
    host: str = field(default="", kw_only=True)
    """Name of the host it runs on; empty: this machine."""

    @property
    def ports(self) -> dict[str, int]:
        """Ports by face, those that it has."""
        sql = {} if self.is_observer else {"pg": self.pg_port}
        return sql | {"native": self.native_port, "http": self.http_port}

    @property
    def is_observer(self) -> bool:
        """Whether it votes and holds no data."""
        return self.role == "observer"


@dataclass(frozen=True, slots=True)
class LocalProxy:
    """The proxy before the nodes; everything but its ports is in its proxy.toml."""

    pg_port: int
    admin_port: int
    name: str = PROXY
    host: str = ""
    """Name of the host it runs on; empty: this machine."""

    @property
    def ports(self) -> dict[str, int]:
        """Ports by face."""
        return {"pg": self.pg_port, "admin": self.admin_port}


Member: TypeAlias = LocalNode | LocalProxy
"""What runs as a process of its own."""


@dataclass(frozen=True, slots=True)
class LocalCluster:
    """The file's content and where it is."""

    directory: Path
    nodes: tuple[LocalNode, ...]
    settings: tuple[str, ...] = ()
    """Further settings of every node, as NAME=VALUE."""
    proxy: LocalProxy | None = None
    """None: clients go to the nodes themselves."""
    data: str = ""
    """Where the data directories are, relative to the file's directory; empty: beside the file."""
    faults: bool = False
    """Whether links between the nodes can be cut for drills (``allow_faults``)."""
    netns: str = ""
    """The name of its network namespaces, in which links are cut then; empty: it has none."""
    hosts: tuple[HostEntry, ...] = ()
    """Machines that are reached over SSH, on which some or all of it run."""
    here: str = HOST
    """Of this machine, as the nodes of other machines call those here."""

    @property
    def members(self) -> tuple[Member, ...]:
        """Everything that runs: the nodes in the order of the file, then the proxy."""
        return (*self.nodes, self.proxy) if self.proxy is not None else self.nodes

    @property
    def data_nodes(self) -> tuple[LocalNode, ...]:
        """Those that hold data; all but the observers."""
        return tuple(one for one in self.nodes if not one.is_observer)

    @property
    def path(self) -> Path:
        """The file."""
        return self.directory / NAME

    @property
    def secret_file(self) -> Path:
        """The secret that the nodes prove to each other, on this machine."""
        return self.directory / SECRET_FILE

    @property
    def is_guarded(self) -> bool:
        """Whether clients have to prove who they are: what listens on a network is never open."""
        return any(one.host for one in self.members)

    @property
    def password_file(self) -> Path:
        """The password of helios on this machine, where clients have to prove who they are."""
        return self.directory / PASSWORD_FILE

    def host_of(self, member: Member) -> HostEntry | None:
        """The host that something runs on; None: this machine."""
        return next((one for one in self.hosts if member.host and one.name == member.host), None)

    def asked_at(self, member: Member) -> str:
        """Where commands and clients on this machine find it."""
        return HOST if self.netns else self.address(member)

    def place(self, member: Member) -> Path:
        """The directory, on its own machine, in which everything of it lies."""
        host = self.host_of(member)
        return Path(host.directory) if host is not None else self.directory

    def address(self, member: Member) -> str:
        """Where the others reach it: its machine's, or in its network namespace the one that its port tells."""
        host = self.host_of(member)
        if host is not None:
            return host.reached_at
        port = member.pg_port if isinstance(member, LocalProxy) else member.native_port
        return f"10.77.{port >> 8}.{port & 255}" if self.netns else self.here

    def data_dir(self, node: LocalNode) -> Path:
        """Where a node keeps everything, on its own machine."""
        return self.place(node) / ("" if node.host else self.data) / node.name

    @property
    def proxy_file(self) -> Path:
        """The proxy's settings on this machine; a proxy on a host has them sent."""
        return self.directory / PROXY_FILE

    @property
    def proxy_token_file(self) -> Path:
        """The token of the proxy's admin verbs, beside its settings."""
        return self.directory / "proxy.token"

    def log_file(self, member: Member) -> Path:
        """What a process says, on its own machine."""
        return self.place(member) / f"{member.name}.log"

    def pid_file(self, member: Member) -> Path:
        """Which process it is, on its own machine."""
        return self.place(member) / f"{member.name}.pid"

    def settings_of(self, node: LocalNode) -> tuple[str, ...]:
        """Further settings of a node, as NAME=VALUE: its own are the stronger ones."""
        return (*self.settings, *node.settings)

    def token_file(self, node: LocalNode) -> Path:
        """The token of its admin verbs, on its own machine."""
        return self.data_dir(node) / "http.token"

    def node(self, name: str) -> LocalNode:
        """The node of a name.

        Raises:
            HeliosError: there is none (42704).
        """
        for one in self.nodes:
            if one.name == name:
                return one
        raise self._unknown(name, self.nodes)

    def member(self, name: str) -> Member:
        """The node of a name, or the proxy.

        Raises:
            HeliosError: there is none (42704).
        """
        for one in self.members:
            if one.name == name:
                return one
        raise self._unknown(name, self.members)

    def _unknown(self, name: str, known: tuple[Member, ...]) -> HeliosError:
        names = ", ".join(one.name for one in known)
        return HeliosError(
            f'there is no node "{name}" in {self.path}', sqlstate="42704", hint=f"Its nodes are {names}."
        )


def find(directory: str | None, environ: Mapping[str, str]) -> Path | None:
    """The directory of the cluster that is meant; None when nothing points to one.

    The first of ``directory``, HELIOSDB_CLUSTER, ``./cluster.toml`` and ``./heliosdb-cluster/cluster.toml``. The first
    two may name the file or its directory and need not exist.
    """
    for named in (directory, environ.get("HELIOSDB_CLUSTER")):
        if named:
            path = Path(named)
            return path.parent if path.name == NAME else path
    return next((path for path in (Path(), Path(DIRECTORY)) if (path / NAME).exists()), None)


def load(directory: str | None, environ: Mapping[str, str] = os.environ) -> LocalCluster:
    """Read the cluster that is meant.

    Raises:
        ConfigError: there is none, or its file is not in order.
    """
    found = find(directory, environ)
    if found is None:
        raise ConfigError(f"no {NAME} here", hint=UP_HINT)
    return read(found)


def read(directory: Path) -> LocalCluster:
    """Read ``cluster.toml`` of a directory.

    Raises:
        ConfigError: it is not there, cannot be read, or is not in order.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    path = directory / NAME
    try:
        content = tomlkit.parse(path.read_text(encoding="utf-8")).unwrap()
        nodes = tuple(_node(entry) for entry in content["nodes"])
        cluster = LocalCluster(
            directory, nodes, _settings(content, "settings"), _proxy(content.get("proxy")),
            str(content.get("data", "")), _faults(content.get("faults", False)), _netns(content.get("netns", "")),
            hosts.parsed(content.get("hosts", {})), str(content.get("address", HOST)),
        )  # fmt: skip
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", hint=UP_HINT) from None
    except (TOMLKitError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no TOML: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"{path} is not in order: {_reason(error)}", hint="See docs/OPERATIONS.md.") from None
    check(cluster)
    return cluster


def _node(entry: Mapping[str, Any]) -> LocalNode:
    name, role = str(entry["name"]), str(entry["role"])
    is_observer = role == "observer"
    ports = [entry[face] for face in ("pg_port", "native_port", "http_port")[is_observer:]]
    _check_ports(name, ports)
    if not name or "/" in name or name.startswith("."):
        raise ValueError(f"{name!r} cannot be the name of a node")
    more: dict[str, Any] = {"settings": _settings(entry, f"settings of {name}"), "host": str(entry.get("host", ""))}
    if is_observer:
        return LocalNode(name, role, "", 0, *ports, **more)
    mode = str(entry["mode"])
    if role not in ("primary", "standby") or mode not in MODES:
        raise ValueError(f"{name} has role {role!r} and mode {mode!r}")
    return LocalNode(name, role, mode, *ports, **more)


def _proxy(entry: Mapping[str, Any] | None) -> LocalProxy | None:
    if entry is None:
        return None
    pg_port, admin_port = (entry[face] for face in ("pg_port", "admin_port"))
    _check_ports(PROXY, [pg_port, admin_port])
    return LocalProxy(pg_port, admin_port, host=str(entry.get("host", "")))


def _faults(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"faults is true or false, not {value!r}")
    return value


def _netns(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"(heliosdb-[\w.]+)?", value):
        raise ValueError(f'netns is a name like "heliosdb-1f2e3d", not {value!r}')
    return value


def _check_ports(name: str, ports: Sequence[object]) -> None:
    if not all(isinstance(port, int) and 0 < port < 65536 for port in ports):
        raise ValueError(f"the ports of {name} are {list(ports)}")


def _settings(entry: Mapping[str, Any], what: str) -> tuple[str, ...]:
    given = entry.get("settings", [])
    if not isinstance(given, list) or not all(isinstance(one, str) and "=" in one for one in given):
        raise ValueError(f'{what} are a list of texts like "lock_timeout=5s", not {given!r}')
    return tuple(given)


def check(cluster: LocalCluster) -> None:
    """Refuse a cluster without nodes, with a name or a port twice, or whose nodes cannot find each other.

    Raises:
        ConfigError: it is so.
    """
    names = [one.name for one in cluster.members]
    ports = [f"{cluster.asked_at(one)}:{port}" for one in cluster.members for port in one.ports.values()]
    for what, values in (("name", names), ("port", ports)):
        twice = sorted({one for one in values if values.count(one) > 1})
        if twice:
            raise ConfigError(f"{cluster.path} gives the {what} {twice[0].removeprefix(f'{HOST}:')} twice")
    if not cluster.data_nodes:
        raise ConfigError(f"{cluster.path} names no node" + (" but observers" if cluster.nodes else ""))
    if cluster.netns and cluster.is_guarded:
        raise ConfigError(f"{cluster.path} has hosts and netns: namespaces are of this machine alone")
    for one in cluster.members:
        if one.host and cluster.host_of(one) is None:
            raise hosts.unknown(one.host, cluster.hosts, f"{one.name} is on {one.host}, and {cluster.path} has no")
    lonely = [one.name for one in cluster.nodes if is_loopback(cluster.address(one))]
    if lonely and len(lonely) < len(cluster.nodes):
        raise ConfigError(
            f"the nodes on other machines cannot reach {', '.join(lonely)}",
            hint=f'Write the address of this machine at the top of {cluster.path}: address = "10.0.0.5"',
        )


def _reason(error: Exception) -> str:
    return f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)


def write(cluster: LocalCluster) -> None:
    """Write the file, all of it or nothing; comments and foreign keys of the file that is there are kept."""
    import tomlkit

    if cluster.path.exists():
        document = tomlkit.parse(cluster.path.read_text(encoding="utf-8"))
    else:
        document = tomlkit.document()
        for line in HEAD.splitlines():
            document.add(tomlkit.comment(line))
        document.add(tomlkit.nl())
    if cluster.settings or "settings" in document:
        document["settings"] = list(cluster.settings)
    if cluster.data or "data" in document:
        document["data"] = cluster.data
    if cluster.faults or "faults" in document:
        document["faults"] = cluster.faults
    if cluster.netns:
        document["netns"] = cluster.netns
    tables = tomlkit.aot()
    kept = {str(entry.get("name")): entry for entry in document.get("nodes", ())}
    for node in cluster.nodes:
        table = kept.get(node.name) or tomlkit.table()
        table["name"] = node.name
        table.update({"role": node.role} if node.is_observer else {"role": node.role, "mode": node.mode})
        table.update({f"{face}_port": port for face, port in node.ports.items()})
        if node.host:
            table["host"] = node.host
        tables.append(table)
    document["nodes"] = tables
    if cluster.proxy is not None:
        proxy = document.setdefault("proxy", tomlkit.table())
        proxy.update({f"{face}_port": port for face, port in cluster.proxy.ports.items()})
        if cluster.proxy.host:
            proxy["host"] = cluster.proxy.host
    for host in cluster.hosts:
        entry = document.setdefault("hosts", tomlkit.table(True)).setdefault(host.name, tomlkit.table())
        entry.update({key: value for key, value in host.record().items() if entry.get(key) != value})
    write_text(cluster.path, tomlkit.dumps(document))


def write_text(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file of this machine so that a reader sees the old text or the new one.

    Raises:
        OSError: the file system refuses.
    """
    deeds.write(str(path), text.encode(), mode)


def create_secret(cluster: LocalCluster) -> None:
    """Draw the cluster's secret when there is none yet, and the password of helios where one is needed."""
    if not cluster.secret_file.exists():
        write_text(cluster.secret_file, secrets.token_hex(32) + "\n", 0o600)
    if cluster.is_guarded and not cluster.password_file.exists():
        write_text(cluster.password_file, secrets.token_urlsafe(18) + "\n", 0o600)


def password_of(cluster: LocalCluster) -> str | None:
    """The password of helios; None where there is none, or none that can be read."""
    try:
        return cluster.password_file.read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


def with_nodes(cluster: LocalCluster, nodes: tuple[LocalNode, ...]) -> LocalCluster:
    """The cluster with other nodes."""
    return replace(cluster, nodes=nodes)


def with_proxy(cluster: LocalCluster, proxy: LocalProxy) -> LocalCluster:
    """The cluster with a proxy before it."""
    return replace(cluster, proxy=proxy)
