"""Settings and certificates that a running node takes over from its files: SIGHUP, pg_reload_conf(), /admin/reload."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from helios_cli.engine.config.load import load_again
from helios_cli.engine.config.settings import Settings
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.node.node_tls import NodeTls
from helios_cli.engine.observe.logs import set_level

if TYPE_CHECKING:
    from helios_cli.engine.node.node import Node

log = logging.getLogger(__name__)


def read_again(settings: Settings, tls: NodeTls, event: Callable[..., None]) -> tuple[Settings, str | None]:
    """The settings to go on with, and why not everything was taken over; events tell of both."""
    try:
        fresh = load_again(settings)
    except HeliosError as error:
        why = f"settings not reloaded: {error.message}"
        event("not_reloaded", why, severity="error")
        return settings, why
    fresh, why_not = tls.reload(fresh, settings)
    set_level(fresh.log_level)
    event("reloaded", "settings reloaded")
    return fresh, why_not


def reload_node(node: Node) -> str | None:
    """Take over what may change while a node runs; why not everything was."""
    settings, why_not = read_again(node.settings, node.tls, node.event)
    node.settings = settings
    if hasattr(node, "checkpointer"):  # its database has been opened, if not shown to anybody yet
        node.engine.settings = settings
        node.engine.queue.group_max = settings.group_max_transactions
        node.checkpointer.configure(
            threshold_mb=settings.wal_checkpoint_mb,
            wal_max_mb=settings.wal_max_mb,
            log_retention_mb=settings.log_retention_mb,
            max_slot_lag_mb=settings.max_slot_lag_mb,
        )
    return why_not


def refuse_half(why_not: str | None) -> None:
    """For a caller who waits for the outcome. Raises HeliosError when not everything was taken over."""
    if why_not is not None:
        raise HeliosError(why_not, sqlstate="55000", hint="What was in force goes on. Mend the files and reload again.")
