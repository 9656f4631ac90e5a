"""What a manager of replicas is told: addresses, intervals, limits, and how to log in."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, NamedTuple, Self

from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.engine.errors import ConfigError

ReplicationMode = SyncMode
"""The same modes under the name that :class:`ReplicaConfig` has for them."""

_MIB: Final = 1 << 20


class Endpoint(NamedTuple):
    """A host and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """Read ``host:port`` or ``[address]:port``.

        Raises:
            ConfigError: it is neither.
        """
        host, separator, port = text.strip().rpartition(":")
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        wrong = not separator or not bare or (":" in bare and bare == host) or not (port.isascii() and port.isdigit())
        if wrong or not 0 < int(port) < 65536:
            raise ConfigError(f'invalid address: "{text}"', hint="An address is HOST:PORT, such as 127.0.0.1:5433.")
        return cls(bare, int(port))


def _duration(name: str, value: object) -> timedelta:
    """A duration of the configuration; plain numbers are seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = timedelta(seconds=value)
    if not isinstance(value, timedelta) or value <= timedelta(0):
        raise ConfigError(f"{name} must be a duration above zero", hint="Give a timedelta, or seconds as a number.")
    return value


def _mode(given: SyncMode | str) -> SyncMode:
    try:
        return SyncMode(given)
    except ValueError as error:
        hint = "Modes are async, semi-sync, quorum and sync."
        raise ConfigError(f'invalid replication mode: "{given}"', hint=hint) from error


@dataclass(frozen=True, kw_only=True)
class ReplicaConfig:
    """A primary, its replicas, and how they are watched and read. Addresses are those of the PostgreSQL protocol.

    Durations are timedeltas; plain numbers are taken as seconds. ``dataclasses.replace`` makes changed copies.

    Raises:
        ConfigError: an address, a duration or a number makes no sense.
    """

    primary_address: str = "127.0.0.1:5432"
    """Primary database address."""
    replica_addresses: tuple[str, ...] | list[str] = ()
    """Addresses of the replicas; kept as a tuple."""
    replication_mode: ReplicationMode = SyncMode.ASYNC
    """What the cluster's commits wait for. A statement of intent: the cluster's own configuration decides."""
    lag_threshold_ms: int = 1000
    """The lag above which a replica is not read from, milliseconds."""
    health_check_interval: timedelta = timedelta(seconds=5)
    health_check_timeout: timedelta = timedelta(seconds=1)
    """A node that has not answered by then is not healthy."""
    lag_monitor_interval: timedelta = timedelta(seconds=1)
    auto_failover: bool = False
    """Promote a replica when the primary is lost. Off by default, because every process that has it on acts."""
    min_replicas: int = 1
    """Healthy replicas that reads and failovers need; ``remove_replica`` leaves as many."""
    wal_buffer_size: int = 16 * _MIB
    """Bytes that wait for one replica at most."""
    enable_compression: bool = True
    """LZ4 for log entries that are sent."""
    wal_batch_size: int = 100
    """Log entries sent together."""
    enable_read_your_writes: bool = True
    session_timeout: timedelta = timedelta(minutes=5)
    """A session that has neither written nor read for so long is forgotten."""
    connection_pool_size: int = 10
    """Connections kept to one replica at most."""

    failure_threshold: int = 3
    """Health checks in a row that the primary must fail before it is taken for lost."""
    user: str = "helios"
    password: str | None = field(default=None, repr=False)
    database: str = "heliosdb"
    sslmode: str = "prefer"
    """``disable``, ``prefer`` or ``require``."""
    ssl_context: ssl.SSLContext | None = field(default=None, repr=False)
    """For nodes with certificates: checks them, over both protocols. HTTP is without TLS when it is None."""
    http_addresses: Mapping[str, str] = field(default_factory=dict)
    """HTTP addresses by PostgreSQL address, where they are not the node's host and its configured port."""
    admin_token: str | Mapping[str, str] | None = field(default=None, repr=False)
    """What ``/admin/...`` wants of whoever promotes: one for all nodes, or by address. A node on this machine needs
    none: its token file is read.
    """

    def __post_init__(self) -> None:
        """Normalize and check."""
        for name in ("health_check_interval", "health_check_timeout", "lag_monitor_interval", "session_timeout"):
            self._set(name, _duration(name, getattr(self, name)))
        self._set("primary_address", str(Endpoint.parse(self.primary_address)))
        self._set("replica_addresses", tuple(str(Endpoint.parse(text)) for text in self.replica_addresses))
        self._set("replication_mode", _mode(self.replication_mode))
        if len(set(self.replica_addresses)) != len(self.replica_addresses):
            raise ConfigError("replica_addresses names a replica twice")
        if self.primary_address in self.replica_addresses:
            raise ConfigError("replica_addresses names the primary", hint="A primary is no replica of itself.")
        for name in ("lag_threshold_ms", "wal_buffer_size", "wal_batch_size", "connection_pool_size"):
            self._at_least(name, 1)
        self._at_least("failure_threshold", 1)
        self._at_least("min_replicas", 0)

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _at_least(self, name: str, least: int) -> None:
        if getattr(self, name) < least:
            raise ConfigError(f"{name} must be at least {least}")

    @classmethod
    def default(cls, **changes: Any) -> Self:
        """Every default; ``changes`` are fields by name."""
        return cls(**changes)

    @classmethod
    def production(cls, **changes: Any) -> Self:
        """For serving users: two replicas at least, half a second of lag, failover by itself."""
        given: dict[str, Any] = {
            "lag_threshold_ms": 500,
            "health_check_interval": timedelta(seconds=5),
            "min_replicas": 2,
            "enable_compression": True,
            "enable_read_your_writes": True,
            "auto_failover": True,
        }
        return cls(**(given | changes))

    @classmethod
    def high_throughput(cls, **changes: Any) -> Self:
        """For bulk loads: large batches, a gigabyte of buffer, ten seconds of lag are nothing to act on."""
        given: dict[str, Any] = {
            "lag_threshold_ms": 10_000,
            "wal_batch_size": 1000,
            "wal_buffer_size": 1024 * _MIB,
            "enable_compression": True,
            "connection_pool_size": 32,
        }
        return cls(**(given | changes))


@dataclass(frozen=True, slots=True)
class ReplicationConfig:
    """A cluster in brief: who leads, who follows, what commits wait for. Made by :meth:`builder`."""

    primary_endpoint: str
    standby_endpoints: tuple[str, ...] = ()
    sync_mode: SyncMode = SyncMode.ASYNC

    @staticmethod
    def builder() -> ReplicationConfigBuilder:
        """Begin one."""
        return ReplicationConfigBuilder()

    def replica_config(self, **changes: Any) -> ReplicaConfig:
        """The same for a :class:`ReplicaManager`; ``changes`` are fields of :class:`ReplicaConfig` by name."""
        given: dict[str, Any] = {
            "primary_address": self.primary_endpoint,
            "replica_addresses": self.standby_endpoints,
            "replication_mode": self.sync_mode,
        }
        return ReplicaConfig(**(given | changes))


class ReplicationConfigBuilder:
    """Collects the parts of a :class:`ReplicationConfig`; every method but the last gives the builder back."""

    def __init__(self) -> None:
        self._primary = ""
        self._standbys: list[str] = []
        self._mode = SyncMode.ASYNC

    def primary_endpoint(self, address: str) -> Self:
        """Where the primary is, ``host:port``."""
        self._primary = str(Endpoint.parse(address))
        return self

    def standby_endpoint(self, address: str) -> Self:
        """One more standby, ``host:port``."""
        self._standbys.append(str(Endpoint.parse(address)))
        return self

    def standby_endpoints(self, addresses: Iterable[str]) -> Self:
        """More standbys."""
        for address in addresses:
            self.standby_endpoint(address)
        return self

    def sync_mode(self, mode: SyncMode | str) -> Self:
        """What commits wait for."""
        self._mode = _mode(mode)
        return self

    def build(self) -> ReplicationConfig:
        """The configuration. Raises ConfigError without a primary."""
        if not self._primary:
            raise ConfigError("a replication configuration needs a primary", hint="Call primary_endpoint(HOST:PORT).")
        return ReplicationConfig(self._primary, tuple(self._standbys), self._mode)
