"""Changing a setting of a running node or of its cluster, and telling what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from helios_cli.engine.config.spec import BadSetting, Setting
from helios_cli.engine.config.write import check_auto
from helios_cli.engine.consensus.config import ClusterConfig
from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.engine.errors import ConfigError
from helios_cli.engine.node.cluster_settings import CLUSTER_SETTINGS, cluster_setting

if TYPE_CHECKING:
    from helios_cli.engine.node.node import Node


def change_setting(node: Node, setting: Setting, text: str | None, *, dry_run: bool) -> Mapping[str, Any]:
    """Set a setting as ALTER SYSTEM does, and take it over where a running node can.

    Args:
        text: None goes back to the default.
        dry_run: say what would be done, after every check.
    Returns:
        ``result``, a sentence; ``name``, ``value`` and ``previous`` as SHOW prints them; ``scope`` (``cluster`` or
        ``node``); ``applies`` (``now``, ``restart``, also of what cannot be taken over yet, or ``overridden`` by what
        ``origin`` names).
    Raises:
        ConfigError, SqlError: the setting cannot be changed (55P02), or the value is refused (22023).
        IoFailed: heliosdb.auto.conf could not be written.
        ReadOnlyError: a setting of the cluster, and this node does not lead.
    """
    if setting.name in CLUSTER_SETTINGS:
        return _change_cluster(node, setting, text, dry_run)
    check_auto(setting)
    shown = setting.show(setting.default if text is None else _parsed(setting, text))
    previous = setting.show(_value(node, setting))
    origin = node.settings.origin(setting.name)
    why_not = None
    if not dry_run:
        node.engine.alter_system(setting.name, text)
        why_not = node.reload()
    answer = {"name": setting.name, "value": shown, "previous": previous, "scope": "node", "dry_run": dry_run}
    place = f"on node {node.replication.node_id}"
    if origin.kind in ("flag", "environment"):
        told = f"{setting.name} is kept as {shown} {place}, but {origin} is stronger: {previous} holds"
        return answer | {"result": _would(dry_run, told), "applies": "overridden", "origin": str(origin)}
    if setting.recorded:
        return answer | {"result": _would(dry_run, f"{setting.name} is kept as {shown} {place}"), "applies": "restart"}
    if why_not is not None and setting.show(_value(node, setting)) != shown:
        told = f"{setting.name} is kept as {shown} {place}, but does not hold yet: {why_not}"
        return answer | {"result": told, "applies": "restart"}
    when = "" if setting.reload else " from its next start on"
    told = f"{setting.name} is {shown} {place}{when}"
    return answer | {"result": _would(dry_run, told), "applies": "now" if setting.reload else "restart"}


def _change_cluster(node: Node, setting: Setting, text: str | None, dry_run: bool) -> Mapping[str, Any]:
    field, value = cluster_setting(setting.name, text)
    previous, shown = (
        setting.show(one.value if isinstance(one, SyncMode) else one)
        for one in (getattr(node.replication.config, field), value)
    )
    told = f"{setting.name} is {shown} for the cluster"
    if isinstance(value, SyncMode):
        told += _fewer_copies(node.replication.config, value)
    if not dry_run:
        node.engine.alter_system(setting.name, text)
    return {
        "result": _would(dry_run, told), "name": setting.name, "value": shown,
        "previous": previous, "scope": "cluster", "applies": "now", "dry_run": dry_run,
    }  # fmt: skip


def _fewer_copies(config: ClusterConfig, mode: SyncMode) -> str:
    """With how few copies a commit is acknowledged in another mode, where that is fewer than now, and why."""
    changed = config.with_mode(mode, config.primary)
    told = ""
    if changed.copies < config.copies:
        copies = f"{changed.copies} {'copy' if changed.copies == 1 else 'copies'}"
        told = f"; a commit is acknowledged with {copies} instead of {config.copies}"
    return told + _not_counted(config, changed)


def _not_counted(config: ClusterConfig, changed: ClusterConfig) -> str:
    """Whose copies count no more in another mode: a node that was started with a mode of its own is of that class."""
    count = changed.in_sync
    gone = [name for name in config.in_sync if name not in count]
    if not gone:
        return ""
    alone = f": only {config.primary} has every commit" if count == (config.primary,) else ""
    return f"; in it the copies of {', '.join(gone)} do not count, started with another --replication-mode{alone}"


def _would(dry_run: bool, told: str) -> str:
    return f"dry run: {told}" if dry_run else told


def _value(node: Node, setting: Setting) -> Any:
    """What holds now; of a recorded setting what the files say."""
    return node.settings.recorded.get(setting.name) if setting.recorded else getattr(node.settings, setting.name)


def _parsed(setting: Setting, text: str) -> Any:
    try:
        return setting.parse(text)
    except BadSetting as error:
        raise ConfigError(error.message, sqlstate="22023", hint=error.hint) from None
