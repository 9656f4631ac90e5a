"""What a manager of replicas can be told, and what it refuses."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest

from helios_cli.engine.errors import ConfigError
from helios_cli.replication import Endpoint, ReplicaConfig, ReplicationConfig, ReplicationMode, SyncMode

FIELDS = (
    "primary_address",
    "replica_addresses",
    "replication_mode",
    "lag_threshold_ms",
    "health_check_interval",
    "health_check_timeout",
    "lag_monitor_interval",
    "auto_failover",
    "min_replicas",
    "wal_buffer_size",
    "enable_compression",
    "wal_batch_size",
    "enable_read_your_writes",
    "session_timeout",
    "connection_pool_size",
)


def test_the_promised_fields_come_first_and_in_order() -> None:
    assert tuple(field.name for field in dataclasses.fields(ReplicaConfig))[: len(FIELDS)] == FIELDS


def test_durations_are_timedeltas_or_seconds() -> None:
    config = ReplicaConfig(health_check_interval=3, session_timeout=timedelta(minutes=1))  # type: ignore[arg-type]
    assert config.health_check_interval == timedelta(seconds=3)
    assert config.session_timeout == timedelta(seconds=60)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"primary_address": "localhost"}, "invalid address"),
        ({"primary_address": "a:0"}, "invalid address"),
        ({"primary_address": "::1:5432"}, "invalid address"),
        ({"replica_addresses": ["b:1", "b:1"]}, "twice"),
        ({"primary_address": "b:1", "replica_addresses": ["b:1"]}, "names the primary"),
        ({"health_check_interval": 0}, "above zero"),
        ({"health_check_timeout": True}, "duration"),
        ({"lag_threshold_ms": 0}, "at least 1"),
        ({"min_replicas": -1}, "at least 0"),
        ({"replication_mode": "fast"}, "invalid replication mode"),
    ],
)
def test_nonsense_is_refused(changes: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        ReplicaConfig(**changes)  # type: ignore[arg-type]


def test_presets_can_be_changed() -> None:
    assert ReplicaConfig.default() == ReplicaConfig()
    production = ReplicaConfig.production(replica_addresses=["b:1", "c:1"], lag_threshold_ms=700)
    assert (production.min_replicas, production.lag_threshold_ms, production.auto_failover) == (2, 700, True)
    assert production.replica_addresses == ("b:1", "c:1")
    throughput = ReplicaConfig.high_throughput()
    assert throughput.wal_batch_size >= 1000 and throughput.wal_buffer_size >= 1 << 30


def test_a_secret_is_not_shown() -> None:
    assert "hush" not in repr(ReplicaConfig(password="hush", admin_token="hush"))


def test_endpoints() -> None:
    assert Endpoint.parse("db:5432") == ("db", 5432)
    assert Endpoint.parse("[::1]:5432") == ("::1", 5432)
    assert str(Endpoint("::1", 5432)) == "[::1]:5432"


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("synchronous", SyncMode.SYNC),
        ("Asynchronous", SyncMode.ASYNC),
        ("SemiSync", SyncMode.SEMI_SYNC),
        ("semi_sync", SyncMode.SEMI_SYNC),
        ("semi-sync", SyncMode.SEMI_SYNC),
        ("QUORUM", SyncMode.QUORUM),
    ],
)
def test_spellings_of_a_mode(text: str, mode: SyncMode) -> None:
    assert SyncMode(text) is mode
    assert ReplicationMode is SyncMode


def test_no_other_words_are_modes() -> None:
    assert (SyncMode.SYNCHRONOUS, SyncMode.ASYNCHRONOUS) == (SyncMode.SYNC, SyncMode.ASYNC)
    for word in ("", "sync hronous", "synchro", "hronous", "none"):
        with pytest.raises(ValueError, match="is not a valid SyncMode"):
            SyncMode(word)


def test_the_builder() -> None:
    config = (
        ReplicationConfig.builder()
        .primary_endpoint("primary.example.com:5432")
        .standby_endpoint("a.example.com:5432")
        .standby_endpoints(["b.example.com:5432"])
        .sync_mode(SyncMode.SYNCHRONOUS)
        .build()
    )
    assert config == ReplicationConfig(
        "primary.example.com:5432", ("a.example.com:5432", "b.example.com:5432"), SyncMode.SYNC
    )
    replicas = config.replica_config(min_replicas=2)
    assert replicas.primary_address == "primary.example.com:5432"
    assert replicas.replica_addresses == config.standby_endpoints
    assert (replicas.replication_mode, replicas.min_replicas) == (SyncMode.SYNC, 2)
    with pytest.raises(ConfigError, match="needs a primary"):
        ReplicationConfig.builder().build()
