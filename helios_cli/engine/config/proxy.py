"""The proxy's configuration: what proxy.toml and the environment come to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """One ``[[nodes]]`` table."""

    name: str
    host: str
    port: int = 5432
    role: str = ""
    """``primary`` or ``standby``: a hint until the node is heard."""
    enabled: bool = True
    weight: int = 1


@dataclass(frozen=True, slots=True)
class UserSettings:
    """One ``[[users]]`` table."""

    name: str
    password: str = ""
    """Clients prove that they know it, and the proxy logs in with it at the nodes."""
    verifier: str = ""
    """Instead of the password: its SCRAM verifier as PostgreSQL writes it, the same that the nodes have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySettings:
    """All of proxy.toml, checked; times in seconds, sizes in bytes."""

    listen_host: str = "127.0.0.1"
    """Where to listen; narrowed to loopback already when nobody would have to prove who he is."""
    listen_port: int = 5400
    admin_host: str = "127.0.0.1"
    admin_port: int = 9090
    http_host: str = "127.0.0.1"
    http_port: int = 0
    """0: no HTTP SQL API."""
    allow_insecure_network: bool = False
    allow_faults: bool = False
    """Whether its links to nodes can be cut for drills."""
    health_check_interval: float = 5.0
    health_check_timeout: float = 2.0
    failure_threshold: int = 3
    write_timeout: float = 30.0
    """Longest wait of a statement for a node that can run it."""
    pool_mode: str = "transaction"
    """``transaction`` or ``session``."""
    pool_size: int = 20
    """Backends for each node, user and database."""
    max_clients: int = 10_000
    queue_timeout: float = 30.0
    """Longest wait for a free backend."""
    server_idle_timeout: float = 600.0
    connect_timeout: float = 5.0
    login_timeout: float = 60.0
    balancer: str = "round-robin"
    """``round-robin``, ``least-connections``, ``latency-based``, ``random``."""
    read_from_primary: bool = True
    sticky: bool = False
    """A session's reads stay with one node."""
    read_your_writes: bool = True
    max_lag_bytes: int | None = None
    max_lag: float | None = None
    replay_max_bytes: int = 1 << 20
    """Of a block's statements, kept to run it again on another primary."""
    discover: str = ""
    """host:port of a node, from which the others are found; empty when there are ``nodes``."""
    database: str = "heliosdb"
    """Which the watches connect to."""
    auth: str = "trust"
    """``scram`` or ``trust``: whether clients have to prove who they are."""
    auth_user: str = ""
    """Who the watches log in as, and reads the roles of the nodes when there is a password."""
    auth_password: str = ""
    auth_failures_max: int = 10
    """Failed logins of a user from an address of another machine after which more are refused; 0: none is."""
    auth_lockout: float = 60.0
    tls_mode: str = "disable"
    """Of clients: ``disable``, ``allow`` (who asks for it), ``require``."""
    tls_cert: str = ""
    tls_key: str = ""
    backend_tls: str = "disable"
    """``disable``, ``prefer``, ``require``, ``verify-ca``, ``verify-full``."""
    backend_ca: str = ""
    backend_cert: str = ""
    """Shown to nodes that ask for a certificate."""
    backend_key: str = ""
    admin_users: tuple[str, ...] = ()
    """Who may use database heliosproxy, beside ``auth_user``."""
    shutdown_timeout: float = 5.0
    """How long what has begun may take to end when the proxy is told to."""
    admin_token: str = ""
    """What the verbs want; empty: nobody has it, and they are refused."""
    workers: int = 1
    log_level: str = "info"
    log_format: str = "text"
    nodes: tuple[NodeSettings, ...] = ()
    users: tuple[UserSettings, ...] = ()
