"""Settings of clusters, multi-primary and tenants: accepted and checked now, acted upon by later parts.

A configuration written for the whole product is therefore read without an error by any of its parts, and a mistake
in it is found before it matters.
"""

from __future__ import annotations

from typing import Any, Final

from helios_cli.engine.config.settings import ENDPOINT, ENDPOINT_HELP, NODE_ID, NODE_ID_HELP
from helios_cli.engine.config.spec import Kind, Setting, Value

_R: Final = "replication"


def _row(key: str, kind: Kind, default: Value | None, help: str, **more: Any) -> Setting:
    return Setting(name=key, key=key, kind=kind, default=default, help=help, recorded=True, **more)


def _count(key: str, default: int, help: str, low: int = 0, high: int = 2**31 - 1, **more: Any) -> Setting:
    return _row(f"{_R}.{key}", Kind.INTEGER, default, help, minimum=low, maximum=high, **more)


def _time(key: str, default: int, unit: str, help: str, **more: Any) -> Setting:
    return _row(f"{_R}.{key}", Kind.QUANTITY, default, help, unit=unit, minimum=0, maximum=2**31 - 1, **more)


def _size(key: str, default: int, unit: str, help: str, **more: Any) -> Setting:
    return _row(f"{_R}.{key}", Kind.QUANTITY, default, help, unit=unit, minimum=1, maximum=1 << 40, **more)


def _switch(key: str, default: bool, help: str) -> Setting:
    return _row(f"{_R}.{key}", Kind.BOOL, default, help)


def _word(key: str, default: str, help: str, *choices: str) -> Setting:
    return _row(f"{_R}.{key}", Kind.ENUM, default, help, choices=choices)


def _name(key: str, help: str, **more: Any) -> Setting:
    return _row(f"{_R}.{key}", Kind.TEXT, None, help, pattern=NODE_ID, pattern_help=NODE_ID_HELP, **more)


def _endpoint(key: str, help: str, **more: Any) -> Setting:
    return _row(f"{_R}.{key}", Kind.TEXT, None, help, pattern=ENDPOINT, pattern_help=ENDPOINT_HELP, **more)


def _names(key: str, help: str, **more: Any) -> Setting:
    return _row(f"{_R}.{key}", Kind.LIST, (), help, **more)


_TOPOLOGY: Final = (
    _row(
        f"{_R}.topology",
        Kind.ENUM,
        "single_primary",
        "Who accepts writes; multi_master and single_master_with_replicas may also be written as replication.mode.",
        choices=("single_primary", "multi_master", "single_master_with_replicas"),
        synonyms={"multi-primary": "multi_master", "multi-master": "multi_master"},
        key_aliases=(f"{_R}.mode",),
    ),
    _name("local_master_id", "Id of this master."),
    _name("local_region", "Region this node lives in."),
    _name("primary_master", "The only writable master of single_master_with_replicas."),
    _names("peers", "Other masters, host:port.", pattern=ENDPOINT, pattern_help=ENDPOINT_HELP),
    _names("replica_addresses", "Read replicas, host:port.", pattern=ENDPOINT, pattern_help=ENDPOINT_HELP),
    _switch("use_witness_node", False, "Let witnesses vote where masters are an even number."),
    _names("witness_endpoints", "Witness nodes, host:port.", pattern=ENDPOINT, pattern_help=ENDPOINT_HELP),
    _switch("require_quorum_for_writes", False, "Refuse writes without a majority of masters."),
    _count("quorum_size", 2, "Masters that make a quorum.", 1, 1000),
)

_CONFLICTS: Final = (
    _word(
        "conflict_resolution",
        "last_write_wins",
        "How two writes of one row are settled.",
        "last_write_wins",
        "branch_wins",
        "merge",
        "custom",
        "crdt",
    ),
    _word(
        "timestamp_source",
        "server_timestamp",
        "What last_write_wins compares.",
        "server_timestamp",
        "client_timestamp",
        "logical_clock",
    ),
    _switch("timestamp_precision_ms", True, "Keep timestamps to the millisecond."),
    _name("resolver_function", "SQL function that settles conflicts."),
    _name("custom_resolver", "Resolver registered by the application."),
    _word("resolver_language", "sql", "Language of resolver_function.", "sql", "python", "rust", "javascript"),
    _names(
        "crdt_types",
        "Conflict-free column types in use.",
        choices=("counter", "set", "map", "register"),
    ),
    _switch("enable_causal_consistency", False, "Apply changes in causal order."),
    _time("vector_clock_update_interval_ms", 10, "ms", "How often vector clocks are exchanged."),
)

_FAILOVER: Final = (
    _time("heartbeat_interval_ms", 100, "ms", "How often nodes say that they live."),
    _time("heartbeat_timeout_ms", 500, "ms", "Silence after which a node is suspected."),
    _time("election_timeout_min_ms", 1000, "ms", "Shortest wait before an election."),
    _time("election_timeout_max_ms", 2000, "ms", "Longest wait before an election."),
    _switch("enable_automatic_failover", True, "Elect a new primary without an operator."),
    _switch("auto_failover", True, "The same, in the words of single_master_with_replicas."),
    _time("failover_timeout_sec", 10, "s", "Longest time a failover may take."),
    _count("min_replicas_for_failover", 1, "Replicas that must be healthy before one is promoted.", 0, 1000),
    _size("max_failover_lag_bytes", 16 << 20, "B", "Most that an automatic failover may lose in async mode."),
)

_STREAM: Final = (
    _count("batch_size", 1000, "Changes in one batch.", 1, 10_000_000),
    _count("replication_batch_size", 1000, "The same, in the words of the network profiles.", 1, 10_000_000),
    _time("batch_timeout_ms", 100, "ms", "Time after which a batch that is not full is sent."),
    _size("max_batch_size_mb", 10, "MB", "Most bytes of one batch."),
    _switch("enable_compression", True, "Compress what is sent."),
    _count("compression_threshold_bytes", 1024, "Smallest message worth compressing.", 0),
    _time("replication_lag_threshold_ms", 500, "ms", "Lag that raises an alarm."),
    _time("replication_timeout_ms", 5000, "ms", "Longest wait for a peer's answer."),
    _count("max_retries", 3, "Attempts before a peer counts as unreachable.", 0, 1000),
    _time("health_check_interval_sec", 10, "s", "How often peers are checked."),
    _time("replication_monitor_interval_sec", 30, "s", "How often lag is recorded."),
    _count("connection_pool_size", 10, "Connections to each peer.", 1, 10_000),
    _size("buffers.queue_buffer_size_mb", 256, "MB", "Memory of the main queue."),
    _size("buffers.per_peer_buffer_mb", 64, "MB", "Memory of each peer's queue."),
    _size("buffers.wal_buffer_size_mb", 512, "MB", "Memory of the log that waits to be archived."),
    _size("buffers.conflict_detection_buffer_mb", 128, "MB", "Memory for finding conflicts."),
    _count("connection_pool.pool_size", 10, "Connections kept open to a peer.", 1, 10_000),
    _count("connection_pool.max_connections", 50, "Most connections to all peers.", 1, 100_000),
    _time("connection_pool.idle_timeout_sec", 300, "s", "Idle time after which a connection is closed."),
    _time("connection_pool.connection_timeout_sec", 10, "s", "Longest wait for a connection."),
)

_TABLES: Final = (
    _name("masters[].master_id", "Id of a master.", required=True),
    _endpoint("masters[].endpoint", "Its address, host:port.", required=True),
    _name("masters[].region", "Its region."),
    _count("masters[].priority", 1, "Weight when masters compete; larger wins.", 0, 1_000_000),
    _name("peer_connections[].peer_id", "Id of a peer.", required=True),
    _count("peer_connections[].pool_size", 10, "Connections kept open to it.", 1, 10_000),
    _count("peer_connections[].priority", 1, "Larger is served first.", 0, 1_000_000),
    _switch("enable_tenant_isolation", False, "Keep tenants apart and in their regions."),
    _row(f"{_R}.default_tenant_master", Kind.TEXT, "auto", "Master of a tenant without one; auto: by its region."),
    _name("tenant_config.*.primary_region", "Region that owns the tenant's data.", required=True),
    _names("tenant_config.*.allowed_regions", "Regions that may hold the tenant's data."),
    _names("tenant_config.*.replication_targets", "Regions the tenant's data is copied to; empty: none."),
)

RECORDED: Final = (*_TOPOLOGY, *_CONFLICTS, *_FAILOVER, *_STREAM, *_TABLES)
"""Every recorded setting, in the order of the documents."""
