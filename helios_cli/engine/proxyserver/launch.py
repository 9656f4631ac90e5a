"""The proxy's start: one process that serves, or a parent and its workers."""

from __future__ import annotations

import asyncio

from helios_cli.engine.config.proxy_load import LoadedProxy
from helios_cli.engine.observe.logs import configure_logging
from helios_cli.engine.proxyserver.fleet import Fleet
from helios_cli.engine.proxyserver.process import Process
from helios_cli.engine.proxyserver.reloading import with_token
from helios_cli.engine.proxyserver.runner import raise_file_limit, run_loop


def run(loaded: LoadedProxy) -> int:
    """Run the proxy to its end; gives the exit code. Raises HeliosError when it cannot start."""
    settings = loaded.settings
    configure_logging(settings.log_level, settings.log_format)  # type: ignore[arg-type]
    loaded = with_token(loaded)
    raise_file_limit()
    several = settings.workers > 1

    async def work() -> int:
        loop = asyncio.get_running_loop()
        return await (Fleet(loaded, loop) if several else Process(loaded, loop)).run()

    return run_loop(work)
