"""The settings a node runs by: one declarative class, whose fields are also the table of settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from helios_cli.engine.config.spec import Kind, Setting, Value

T = TypeVar("T")

HOST: Final = r"[A-Za-z0-9._:%\[\]-]{1,253}"
ENDPOINT: Final = r"(?:\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]{1,253}):[0-9]{1,5}"
ENDPOINT_HELP: Final = "An address is written host:port."
ETCD_ENDPOINT: Final = rf"(?:https?://)?{ENDPOINT}"
ETCD_ENDPOINT_HELP: Final = "An endpoint of etcd is written host:port, or https://host:port."
NODE_ID: Final = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}"
NODE_ID_HELP: Final = "A node id has up to 63 letters, digits, dots, dashes or underscores."

REPLICATION_MODES: Final = ("async", "semi-sync", "sync", "quorum")
MODE_SYNONYMS: Final = {
    "asynchronous": "async",
    "synchronous": "sync",
    "semi_sync": "semi-sync",
    "semisync": "semi-sync",
    "semi-synchronous": "semi-sync",
}
_ON_WORDS: Final = {"true": "on", "yes": "on", "1": "on", "false": "off", "no": "off", "0": "off"}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from."""

    kind: str
    """``flag``, ``environment``, ``auto``, ``file`` or ``default``."""
    where: str = ""
    """The flag, the variable's name or ``path``; empty for a default."""
    line: int | None = None
    """1-based line of the file; None when it has none."""

    def __str__(self) -> str:
        if self.kind == "default":
            return "default"
        return self.where if self.line is None else f"{self.where}:{self.line}"


DEFAULT_ORIGIN: Final = Origin("default")


def _setting(default: T, kind: Kind, section: str, help: str, **more: Any) -> T:
    """Declare a field of ``Settings`` and its row in the table at once."""
    row = {"kind": kind, "section": section, "help": help, **more}
    return field(default=default, metadata={"setting": row})


def _bool(default: bool, section: str, help: str, **more: Any) -> bool:
    return _setting(default, Kind.BOOL, section, help, **more)


def _number(default: int, section: str, help: str, low: int, high: int, **more: Any) -> int:
    return _setting(default, Kind.INTEGER, section, help, minimum=low, maximum=high, **more)


def _duration(default: int, section: str, help: str, **more: Any) -> int:
    return _setting(default, Kind.QUANTITY, section, help, unit="ms", minimum=0, maximum=2**31 - 1, **more)


def _megabytes(default: int, section: str, help: str, low: int, high: int, **more: Any) -> int:
    return _setting(default, Kind.QUANTITY, section, help, unit="MB", minimum=low, maximum=high, **more)


def _text(default: str, section: str, help: str, **more: Any) -> str:
    return _setting(default, Kind.TEXT, section, help, **more)


def _list(section: str, help: str, **more: Any) -> tuple[str, ...]:
    return _setting((), Kind.LIST, section, help, **more)


def _word(default: str, section: str, help: str, *choices: str, **more: Any) -> str:
    return _setting(default, Kind.ENUM, section, help, choices=choices, **more)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting of one node, checked, with the origin of each.

    Durations are milliseconds, sizes are MiB (as their names say), 0 switches a timeout off.
    """

    data_dir: str = _text(
        "./heliosdb-data", "server", "Directory that holds the node's database, log and state.", auto=False
    )
    node_id: str = _text(
        "",
        "server",
        "Name of this node, unique in its cluster; empty means node-<pg_port>.",
        pattern=NODE_ID,
        pattern_help=NODE_ID_HELP,
        auto=False,
    )
    listen_address: str = _text(
        "127.0.0.1", "server", "Address to listen on; 0.0.0.0 or :: for every interface.", pattern=HOST
    )
    advertise_address: str = _text(
        "", "server", "Host name or address that others reach this node by; empty means listen_address.", pattern=HOST
    )
    pg_port: int = _number(
        5432, "server", "Port of the PostgreSQL protocol.", 1, 65535, key_aliases=("server.port",), auto=False
    )
    native_port: int = _number(5433, "server", "Port of the protocol between nodes.", 1, 65535, auto=False)
    http_port: int = _number(
        8080, "server", "Port of HTTP: health, status, metrics and administration.", 1, 65535, auto=False
    )
    allow_faults: bool = _bool(
        False,
        "server",
        "Let links to other nodes be cut for drills (cluster partition); on loopback, or with auth = scram.",
        auto=False,
    )

    auth: str = _word(
        "trust", "security", "How clients prove who they are; the first password set turns scram on.", "trust", "scram"
    )
    allow_insecure_network: bool = _bool(
        False, "security", "Serve beyond loopback although no client has to prove who it is.", auto=False
    )
    tls: str = _word(
        "auto",
        "security",
        "TLS for clients: auto is on with tls_cert; self-signed makes a certificate in the data directory for the "
        "PostgreSQL port when there is no tls_cert.",
        "auto",
        "off",
        "self-signed",
        reload=True,
    )
    tls_min_version: str = _word("1.2", "security", "Oldest TLS that clients may speak.", "1.2", "1.3", reload=True)
    tls_client_ca: str = _text(
        "",
        "security",
        "PEM file with the certificates that sign those of clients; empty: none is asked for.",
        reload=True,
    )
    tls_cert: str = _text("", "security", "PEM file with the server's certificate chain; empty: no TLS.", reload=True)
    tls_key: str = _text("", "security", "PEM file with the private key of tls_cert.", reload=True)
    tls_ca: str = _text(
        "",
        "security",
        "PEM file with the certificates that sign those of the other nodes; empty: none is verified.",
        reload=True,
    )
    peer_tls: str = _word(
        "auto",
        "security",
        "TLS between nodes, as in libpq's sslmode; auto is verify-full with tls_ca, require with tls_cert, else off.",
        "auto",
        "off",
        "require",
        "verify-ca",
        "verify-full",
        reload=True,
    )
    peer_auth: str = _word(
        "secret",
        "security",
        "How nodes of other machines show that they belong to the cluster: its secret, or a certificate of tls_ca.",
        "secret",
        "certificate",
    )
    cluster_secret_file: str = _text(
        "",
        "security",
        "File with the secret that nodes of a cluster prove to each other; HELIOSDB_CLUSTER_SECRET holds the secret "
        "itself. Empty: control/cluster.secret of the data directory.",
    )
    initial_password_file: str = _text(
        "",
        "security",
        "File with the password that the role helios has from the birth of a database on; HELIOSDB_INITIAL_PASSWORD "
        "holds the password itself. An old directory keeps its passwords.",
        auto=False,
    )
    auth_failures_max: int = _number(
        10,
        "security",
        "Failed logins of a user from an address of another machine after which more are refused for auth_lockout; "
        "three times as many of all users from one address. 0: none is.",
        0,
        1_000_000,
        reload=True,
    )
    auth_lockout: int = _duration(
        60_000, "security", "How long logins are refused after auth_failures_max have failed.", reload=True
    )
    authentication_timeout: int = _duration(
        60_000, "security", "Longest time a client may take to log in.", reload=True
    )

    max_connections: int = _number(1000, "sessions", "Most client connections at a time.", 1, 262_143)
    statement_timeout: int = _duration(0, "sessions", "Longest time a statement may run; 0: no limit.", reload=True)
    lock_timeout: int = _duration(0, "sessions", "Longest wait for the writer; 0: no limit.", reload=True)
    idle_in_transaction_session_timeout: int = _duration(
        0, "sessions", "Longest idle time inside a transaction that holds nothing; 0: no limit.", reload=True
    )
    idle_writer_timeout: int = _duration(
        30_000, "sessions", "Longest idle time inside a transaction that holds the writer; 0: no limit.", reload=True
    )
    synchronous_commit: str = _word(
        "on",
        "sessions",
        "What a commit waits for: on is the cluster's mode, local and off only shorten this session's wait.",
        "on",
        "off",
        "local",
        "remote_write",
        "remote_apply",
        synonyms=_ON_WORDS,
        reload=True,
    )

    wal_checkpoint_mb: int = _megabytes(
        64, "storage", "Size of SQLite's WAL at which a checkpoint begins.", 1, 1 << 20, reload=True
    )
    wal_max_mb: int = _megabytes(
        1024, "storage", "Size of SQLite's WAL at which readers of old states are cancelled.", 2, 1 << 20, reload=True
    )
    log_segment_mb: int = _megabytes(16, "storage", "Size of one segment file of the page log.", 1, 1024)
    log_retention_mb: int = _megabytes(
        256, "storage", "Page log kept although nobody needs it any more.", 0, 1 << 30, reload=True
    )
    max_slot_lag_mb: int = _megabytes(
        16_384, "storage", "Page log kept for a standby that lags, before its slot is dropped.", 1, 1 << 30, reload=True
    )
    group_max_transactions: int = _number(
        256, "storage", "Most client transactions that commit as one record.", 1, 10_000, reload=True
    )
    groups_in_flight: int = _number(
        4, "storage", "Groups that may wait for the disk while the next one executes.", 1, 64
    )
    io_method: str = _word(
        "auto",
        "storage",
        "Who writes the page log: the kernel (io_uring) or a thread (worker); auto is the kernel where it can.",
        "auto",
        "io_uring",
        "worker",
    )
    scrub_interval: int = _duration(
        86_400_000,
        "storage",
        "How often every page of the database file is read and compared with its checksum; 0: only when asked for.",
        reload=True,
    )
    scrub_rate_mb: int = _megabytes(
        20, "storage", "What a scrub reads in a second; 0: as fast as it can.", 0, 1 << 20, reload=True
    )
    reader_threads: int = _number(2, "storage", "Threads for statements that are not known to be short.", 1, 256)

    replication_role: str = _word(
        "standalone",
        "replication",
        "Role of an empty data directory; later the persisted membership decides.",
        "standalone",
        "primary",
        "standby",
        "observer",
        key="replication.role",
        env_aliases=("HELIOSDB_ROLE",),
        auto=False,
    )
    replication_mode: str = _word(
        "async",
        "replication",
        "When a commit is acknowledged: flushed here, on one standby, on all, or on a majority.",
        *REPLICATION_MODES,
        key="replication.mode",
        synonyms=MODE_SYNONYMS,
        env_aliases=("HA_SYNC_MODE",),
    )
    on_sync_loss: str = _word(
        "eject",
        "replication",
        "When too few copies can be had: eject goes on without the lost standby, wait holds commits until it is back. "
        "Seeds a new cluster; later ALTER SYSTEM changes it for all nodes.",
        "eject",
        "wait",
    )
    eject_after: int = _duration(
        2000,
        "replication",
        "Silence after which a standby is lost. Seeds a new cluster; later ALTER SYSTEM changes it for all nodes.",
    )
    lease: int = _duration(
        750,
        "replication",
        "How long a voter that has heard from the primary votes for nobody else: so long a lost one is waited for. "
        "Seeds a new cluster; later ALTER SYSTEM changes it for all nodes.",
    )
    progress_timeout: int = _duration(
        3000,
        "replication",
        "After so long without a write that its disk took, a primary gives the lead up; 0: never. Seeds a new cluster; "
        "later ALTER SYSTEM changes it for all nodes.",
    )
    max_failover_lag_mb: int = _megabytes(
        16,
        "replication",
        "How much of the log an automatic failover may lose in async mode. Seeds a new cluster; later ALTER SYSTEM "
        "changes it for all nodes.",
        0,
        1 << 20,
    )
    failover_priority: int = _number(
        1,
        "replication",
        "Of the standbys that could be elected the one with the highest tries first; 0: never by itself.",
        0,
        1000,
    )
    failover_hook: str = _text(
        "",
        "replication",
        "Shell command that is run when the lead changes or is in danger, with the event as JSON on its input.",
        reload=True,
    )
    failover_webhook: str = _text(
        "", "replication", "Address to which the same events are sent, as JSON in a POST request.", reload=True
    )
    primary_host: str = _text(
        "", "replication", "Address of the primary that an empty standby joins.", pattern=HOST, auto=False
    )
    primary_port: int = _number(
        5433, "replication", "Port of the protocol between nodes at primary_host.", 1, 65535, auto=False
    )

    authority: str = _word(
        "embedded",
        "replication",
        "Who decides who leads: the nodes among themselves, or an etcd cluster. A cluster keeps the one that it "
        "was born with, and every node is started with it.",
        "embedded",
        "etcd",
        key_aliases=("authority",),
        auto=False,
    )
    etcd_endpoints: tuple[str, ...] = _list(
        "etcd",
        "Members of the etcd cluster, host:port or https://host:port; one after the other is asked.",
        key="etcd.endpoints",
        pattern=ETCD_ENDPOINT,
        pattern_help=ETCD_ENDPOINT_HELP,
        auto=False,
    )
    etcd_prefix: str = _text(
        "/heliosdb",
        "etcd",
        "Under which keys of etcd clusters are, each below its own id.",
        key="etcd.prefix",
        pattern=r"/[A-Za-z0-9._/-]{0,200}",
        pattern_help="A prefix begins with a slash.",
        auto=False,
    )
    etcd_ttl: int = _duration(
        3000,
        "etcd",
        "For how long etcd keeps the lead for a primary that does not renew it, in whole seconds; etcd itself takes no "
        "less than two.",
        key="etcd.ttl",
        auto=False,
    )
    etcd_user: str = _text("", "etcd", "User of etcd; empty: none.", key="etcd.user", auto=False)
    etcd_password_file: str = _text(
        "",
        "etcd",
        "File with the password of etcd_user; HELIOSDB_ETCD_PASSWORD holds the password itself.",
        key="etcd.password_file",
        auto=False,
    )
    etcd_ca: str = _text(
        "",
        "etcd",
        "PEM file with the certificates that sign etcd's; empty: those that Python's certifi trusts.",
        key="etcd.ca",
        auto=False,
    )
    etcd_cert: str = _text(
        "", "etcd", "PEM file with the certificate that is shown to etcd.", key="etcd.cert", auto=False
    )
    etcd_key: str = _text("", "etcd", "PEM file with the private key of etcd_cert.", key="etcd.key", auto=False)

    forward_timeout: int = _duration(
        30_000,
        "replication",
        "Longest time that a write on a standby waits for the primary before it fails.",
        reload=True,
    )
    switchover_drain: int = _duration(
        1_000,
        "replication",
        "Longest time that a switchover waits for the transaction that has the writer before it undoes that (40001); "
        "0 waits for the whole timeout of the switchover, and leaves the lead where it is then.",
        reload=True,
    )
    forward_connections: int = _number(
        64, "replication", "Most sessions at the primary that a standby keeps for its clients' writes.", 1, 10_000
    )

    log_level: str = _word(
        "info",
        "logging",
        "Least severe messages that are written.",
        "debug",
        "info",
        "warning",
        "error",
        key="logging.level",
        reload=True,
    )
    log_format: str = _word(
        "text", "logging", "One line for people, or one JSON object a line.", "text", "json", key="logging.format"
    )

    config_file: str | None = None
    """The heliosdb.conf that was read; None when there was none."""
    recorded: Mapping[str, Value] = field(default_factory=dict)
    """Values of settings that later parts act upon, by dotted key (``replication.masters[0].priority``)."""
    origins: Mapping[str, Origin] = field(default_factory=dict)
    """Where each value came from, by setting name or, for recorded ones, dotted key; absent means a default."""

    def origin(self, name: str) -> Origin:
        """Where the value of a setting came from."""
        return self.origins.get(name, DEFAULT_ORIGIN)


def declared() -> tuple[Setting, ...]:
    """The rows declared by the fields of ``Settings``, in their order."""
    rows = []
    for one in dataclasses.fields(Settings):
        if "setting" in one.metadata:
            row = dict(one.metadata["setting"])
            section = row.pop("section")
            rows.append(Setting(name=one.name, **{"key": f"{section}.{one.name}", "default": one.default, **row}))
    return tuple(rows)
