"""The keys of proxy.toml: kind, range and meaning of each, and which field of ``ProxySettings`` it fills."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from helios_cli.engine.config.settings import ENDPOINT, ENDPOINT_HELP, HOST, NODE_ID, NODE_ID_HELP
from helios_cli.engine.config.spec import Kind, Setting, Value
from helios_cli.engine.proxy.balance import BALANCERS

POOL_MODES: Final = ("transaction", "session")
BALANCER_SYNONYMS: Final = {
    "round_robin": "round-robin", "roundrobin": "round-robin", "least_connections": "least-connections",
    "latency": "latency-based", "latency_based": "latency-based",
}  # fmt: skip
TLS_MODES: Final = ("disable", "allow", "require")
BACKEND_TLS_MODES: Final = ("disable", "prefer", "require", "verify-ca", "verify-full")
ROLES: Final = ("primary", "standby")
ROLE_SYNONYMS: Final = {"replica": "standby", "secondary": "standby", "master": "primary"}
AUTH: Final = ("auto", "trust", "scram")
DEFAULT_DISCOVER: Final = "127.0.0.1:5432"
_TEXT: Final = r"[^\x00-\x1f]+"


def _row(key: str, kind: Kind, default: Value | None, help: str, **more: Any) -> Setting:
    table, _, name = key.rpartition(".")
    return Setting(name=name if table == "proxy" else key, key=key, kind=kind, default=default, help=help, **more)


def _seconds(name: str, default_ms: int, help: str, low_ms: int = 0, **more: Any) -> Setting:
    """A duration that is written in seconds when it has no unit."""
    return _row(
        f"proxy.{name}", Kind.QUANTITY, default_ms, help, unit="ms", bare="s", minimum=low_ms, maximum=2**31 - 1, **more
    )


def _number(name: str, default: int, help: str, low: int, high: int, **more: Any) -> Setting:
    return _row(f"proxy.{name}", Kind.INTEGER, default, help, minimum=low, maximum=high, **more)


def _bool(name: str, default: bool, help: str, **more: Any) -> Setting:
    return _row(f"proxy.{name}", Kind.BOOL, default, help, **more)


def _text(key: str, help: str, **more: Any) -> Setting:
    return _row(key, Kind.TEXT, "", help, **more)


def _word(key: str, default: str | None, help: str, choices: tuple[str, ...], **more: Any) -> Setting:
    return _row(key, Kind.ENUM, default, help, choices=choices, **more)


def _address(name: str, default: str, help: str) -> Setting:
    return _row(f"proxy.{name}", Kind.TEXT, default, help, pattern=ENDPOINT, pattern_help=ENDPOINT_HELP)


SCALARS: Final = (
    _address("listen_addr", "127.0.0.1:5400", "Where applications connect."),
    _address("admin_addr", "127.0.0.1:9090", "HTTP: health, nodes, pools, metrics and administration."),
    _address("http_addr", "", "HTTP SQL API; empty: there is none."),
    _bool("allow_insecure_network", False, "Let other machines in although nobody has to prove who he is.",
          reload=True),
    _bool("allow_faults", False, "Let links to nodes be cut for drills (cluster partition)."),
    _number("workers", 1, "Processes that share the port; more than one for a machine of many cores.", 1, 64),

    _text("proxy.discover", "host:port of a node; the others are found from it. In place of [[nodes]].", reload=True,
          pattern=ENDPOINT, pattern_help=ENDPOINT_HELP),
    _row("proxy.database", Kind.TEXT, "heliosdb", "Database that the watches of the nodes connect to.", reload=True),
    _seconds("health_check_interval_secs", 5000, "How often each node is asked how it is.", 100, reload=True),
    _seconds("health_check_timeout_secs", 2000, "Longest wait for an answer; a standby's is half.", 50, reload=True),
    _number("failure_threshold", 3, "Unanswered checks after which a node gets nothing more.", 1, 1000, reload=True),
    _seconds("write_timeout_secs", 30_000, "Longest wait of a statement for a node that can run it.", reload=True),

    _word("proxy.pool_mode", "transaction", "Whether a backend is a client's for a transaction or for its session.",
          POOL_MODES, reload=True),
    _number("pool_size", 20, "Backends for each node, user and database.", 1, 10_000, reload=True),
    _number("max_clients", 10_000, "Most clients at a time.", 1, 1_000_000, reload=True),
    _seconds("queue_timeout_secs", 30_000, "Longest wait for a free backend.", reload=True),
    _seconds("server_idle_timeout_secs", 600_000, "How long an idle backend is kept; 0: for ever.", reload=True),
    _seconds("connect_timeout_secs", 5000, "Longest time to connect and log in at a node.", 100, reload=True),
    _seconds("login_timeout_secs", 60_000, "Longest time a client may take to log in.", 100, reload=True),

    _word("proxy.balancer", "round-robin", "How reads are spread over the nodes.", BALANCERS,
          synonyms=BALANCER_SYNONYMS, reload=True),
    _bool("read_from_primary", True, "Whether the primary gets reads while a standby can have them.", reload=True),
    _bool("sticky", False, "Whether a session's reads stay with one node.", reload=True),
    _bool("read_your_writes", True, "Whether a session never reads an older state than it wrote.", reload=True),
    _row("proxy.max_lag_bytes", Kind.QUANTITY, None, "A standby that is further behind gets no reads.", unit="B",
         minimum=0, maximum=2**62, reload=True),
    _row("proxy.max_lag_ms", Kind.QUANTITY, None, "Likewise, as time.", unit="ms", minimum=0, maximum=2**31 - 1,
         reload=True),
    _row("proxy.replay_max_bytes", Kind.QUANTITY, 1 << 20,
         "Of a transaction's statements, kept so that it can be run again on the next primary; 0: never.", unit="B",
         minimum=0, maximum=1 << 30, reload=True),

    _word("proxy.auth", "auto",
          "scram: clients prove who they are. auto: when there are users, or a password of auth_user.", AUTH,
          reload=True),
    _text("proxy.auth_user", "Who the watches log in as at the nodes; with a password also reads their roles.",
          reload=True),
    _text("proxy.auth_password_file", "File with the password of auth_user, mode 0600; HELIOSDB_PROXY_AUTH_PASSWORD "
          "holds the password itself.", reload=True),
    _number("auth_failures_max", 10, "Failed logins of a user from an address of another machine after which more are "
            "refused for auth_lockout_secs; 0: none is.", 0, 1_000_000, reload=True),
    _seconds("auth_lockout_secs", 60_000, "How long logins are refused then.", reload=True),
    _text("proxy.admin_token_file", "File with the token of the verbs; empty: proxy.token beside proxy.toml."),
    _row("proxy.admin_users", Kind.LIST, (), "Who may use the database heliosproxy, beside auth_user.", reload=True),
    _seconds("shutdown_timeout_secs", 5000, "How long what has begun may take to end when the proxy is told to.",
             reload=True),

    _word("proxy.log_level", "info", "Least severe messages that are written.", ("debug", "info", "warning", "error"),
          synonyms={"warn": "warning"}, reload=True),
    _word("proxy.log_format", "text", "One line for people, or one JSON object a line.", ("text", "json")),

    _word("tls.mode", None, "Of clients: who asks for TLS gets it, or nobody, or everybody must. allow with a cert.",
          TLS_MODES, reload=True),
    _text("tls.cert", "PEM file of the proxy's certificate and those between it and its authority.", reload=True),
    _text("tls.key", "PEM file of its key.", reload=True),
    _word("backend_tls.mode", "disable", "TLS with the nodes, and what of their certificates is verified.",
          BACKEND_TLS_MODES, reload=True),
    _text("backend_tls.ca", "PEM file of those who sign the nodes' certificates; empty: the system's.", reload=True),
    _text("backend_tls.cert", "PEM file of the certificate that is shown to nodes.", reload=True),
    _text("backend_tls.key", "PEM file of its key.", reload=True),
)  # fmt: skip
"""Keys that stand once. ``None`` as default: not set."""

NODES: Final = (
    _row("nodes[].name", Kind.TEXT, None, "Its name in logs and verbs.", required=True, pattern=NODE_ID,
         pattern_help=NODE_ID_HELP),
    _row("nodes[].host", Kind.TEXT, None, "Host name or address.", required=True, pattern=HOST),
    _row("nodes[].port", Kind.INTEGER, 5432, "Port of the PostgreSQL protocol.", minimum=1, maximum=65535),
    _row("nodes[].role", Kind.ENUM, None, "A hint until the node has been heard.", choices=ROLES,
         synonyms=ROLE_SYNONYMS),
    _row("nodes[].enabled", Kind.BOOL, True, "Whether it is used."),
    _row("nodes[].weight", Kind.INTEGER, 1, "Its part of the reads; 0: only what no other node can have.", minimum=0,
         maximum=1000),
)  # fmt: skip

USERS: Final = (
    _row("users[].name", Kind.TEXT, None, "Who may log in.", required=True, pattern=_TEXT),
    _row("users[].password", Kind.TEXT, None, "The password, for clients and for the nodes.", pattern=_TEXT),
    _row("users[].password_file", Kind.TEXT, None, "File with the password, mode 0600.", pattern=_TEXT),
    _row("users[].verifier", Kind.TEXT, None, "SCRAM verifier as in pg_authid, the same that the nodes have.",
         pattern=_TEXT),
)  # fmt: skip

ALL: Final = (*SCALARS, *NODES, *USERS)
BY_KEY: Final = {one.key: one for one in ALL}

FIELDS: Final[Mapping[str, str]] = {
    "proxy.health_check_interval_secs": "health_check_interval",
    "proxy.health_check_timeout_secs": "health_check_timeout",
    "proxy.write_timeout_secs": "write_timeout",
    "proxy.queue_timeout_secs": "queue_timeout",
    "proxy.server_idle_timeout_secs": "server_idle_timeout",
    "proxy.connect_timeout_secs": "connect_timeout",
    "proxy.login_timeout_secs": "login_timeout",
    "proxy.auth_lockout_secs": "auth_lockout",
    "proxy.shutdown_timeout_secs": "shutdown_timeout",
    "proxy.max_lag_ms": "max_lag",
    "tls.mode": "tls_mode",
    "tls.cert": "tls_cert",
    "tls.key": "tls_key",
    "backend_tls.mode": "backend_tls",
    "backend_tls.ca": "backend_ca",
    "backend_tls.cert": "backend_cert",
    "backend_tls.key": "backend_key",
}
"""Field of ``ProxySettings`` for each key whose last part is not its name."""

FILES: Final = ("tls.cert", "tls.key", "backend_tls.ca", "backend_tls.cert", "backend_tls.key")
"""Keys that name files which are read as they are."""


def variable(one: Setting) -> str | None:
    """The environment variable of a key, ``HELIOSDB_PROXY_TLS_CERT``; None for those of arrays."""
    if one.in_table:
        return None
    return "HELIOSDB_PROXY_" + re.sub(r"[^A-Z0-9]", "_", one.key.removeprefix("proxy.").upper())


VARIABLES: Final = {name: one for one in SCALARS if (name := variable(one)) is not None}
CONFIG_VARIABLE: Final = "HELIOSDB_PROXY_CONFIG"
TOKEN_VARIABLE: Final = "HELIOSDB_PROXY_TOKEN"
PASSWORD_VARIABLE: Final = "HELIOSDB_PROXY_AUTH_PASSWORD"
"""The password of auth_user itself; stronger than its file."""
"""The admin token itself, for the verbs."""
