"""Settings that are the whole cluster's: they live in its replicated configuration, not in a node's files."""

from __future__ import annotations

from typing import Any, Final

from helios_cli.engine.config.registry import find
from helios_cli.engine.config.settings import Settings
from helios_cli.engine.config.spec import BadSetting
from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.engine.errors import SqlError

CLUSTER_SETTINGS: Final = {
    "replication_mode": "mode",
    "on_sync_loss": "on_sync_loss",
    "eject_after": "eject_after_ms",
    "lease": "lease_ms",
    "progress_timeout": "progress_timeout_ms",
    "max_failover_lag_mb": "max_failover_lag_bytes",
}
"""The field of the configuration for each."""

LEAST_MS: Final = {"eject_after": 100, "lease": 300}
"""Shorter ones would not outlast a few heartbeats."""

LEVELS: Final = {
    "local": SyncMode.ASYNC,
    "remote_write": SyncMode.SEMI_SYNC,
    "semi_sync": SyncMode.SEMI_SYNC,
    "quorum": SyncMode.QUORUM,
    "remote_apply": SyncMode.SYNC,
    "sync": SyncMode.SYNC,
}
"""What ``synchronous_commit`` waits for, by its words; ``on`` is the cluster's mode and ``off`` waits for nothing."""


def cluster_setting(name: str, value: str | None) -> tuple[str, Any]:
    """The field of the configuration that a setting is, and its value.

    Raises:
        SqlError: 22023, the value is refused.
    """
    setting = find(name)
    text = str(setting.default) if value is None else value
    try:
        parsed: Any = setting.parse(text)
    except BadSetting as error:
        raise SqlError(f'invalid value for parameter "{name}": "{text}"', sqlstate="22023", hint=error.hint) from error
    if isinstance(parsed, str) and name == "replication_mode":
        parsed = SyncMode(parsed)
    if name in LEAST_MS and parsed < LEAST_MS[name]:
        raise SqlError(
            f'{parsed} ms is outside the valid range for parameter "{name}"', sqlstate="22023",
            hint=f"It is at least {LEAST_MS[name]} ms.",
        )  # fmt: skip
    return CLUSTER_SETTINGS[name], in_config(name, parsed)


def in_config(name: str, value: Any) -> Any:
    """A setting's value as the configuration has it."""
    return value << 20 if name == "max_failover_lag_mb" else value


def first_fields(settings: Settings) -> dict[str, Any]:
    """The fields of a new cluster's configuration that the first node's settings give."""
    fields = {field: in_config(name, getattr(settings, name)) for name, field in CLUSTER_SETTINGS.items()}
    own = {"mode": SyncMode(settings.replication_mode), "lease_ms": max(settings.lease, LEAST_MS["lease"])}
    return fields | own | {"authority": settings.authority}
