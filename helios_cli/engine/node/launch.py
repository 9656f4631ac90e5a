"""Which kind of process a data directory is run by; what that one does not need is not loaded."""

from __future__ import annotations

import gc

from helios_cli.engine.config.settings import Settings
from helios_cli.engine.storage.files import OsFiles
from helios_cli.engine.storage.membership import load_role


def run(settings: Settings) -> int:
    """Run a node or an observer to its end; gives the exit code.

    Raises:
        HeliosError: it cannot start.
    """
    known = load_role(OsFiles(), f"{settings.data_dir}/control")
    if (known.name if known is not None else settings.replication_role) == "observer":
        from helios_cli.engine.node import observer

        return observer.run(settings)
    # What modules are made of stays: searching it for cycles meanwhile takes a tenth of the time to load them.
    gc.disable()
    try:
        from helios_cli.engine.node import node  # SQLite, the parser and the event loop, for a data node alone
    finally:
        gc.enable()
    return node.run(settings)
