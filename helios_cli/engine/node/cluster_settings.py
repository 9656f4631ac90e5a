"""Settings that are the whole cluster's: they live in its replicated configuration, not in a node's files."""

from __future__ import annotations

from typing import Any, Final

from helios_cli.engine.config.registry import find
from helios_cli.engine.config.spec import BadSetting
from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.engine.errors import SqlError

CLUSTER_SETTINGS: Final = {
    "replication_mode": "mode",
    "on_sync_loss": "on_sync_loss",
    "eject_after": "eject_after_ms",
}
"""The field of the configuration for each."""

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
    if name == "eject_after" and parsed < 100:
        raise SqlError(f'{parsed} ms is outside the valid range for parameter "eject_after"', sqlstate="22023")
    return CLUSTER_SETTINGS[name], parsed
