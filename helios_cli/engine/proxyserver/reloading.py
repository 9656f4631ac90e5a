"""Other settings while the proxy runs: by SIGHUP, by POST /reload, or because one of its files has changed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from helios_cli.engine.config.problems import ConfigProblems
from helios_cli.engine.config.proxy_change import Change, compare
from helios_cli.engine.config.proxy_load import LoadedProxy, load_proxy_again, stamp
from helios_cli.engine.errors import ConfigError
from helios_cli.engine.net.http_token import token_in
from helios_cli.engine.proxyserver.tls import ProxyTls, load_tls

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 1.0


def with_token(loaded: LoadedProxy) -> LoadedProxy:
    """The settings with the token of the verbs, drawn and stored with mode 0600 when there is none yet.

    Where it cannot be stored there is none, the verbs are refused, and a line of the log says so.

    Raises:
        ConfigError: the token that is there is too short.
    """
    try:
        token = token_in(Path(loaded.token_file))
    except OSError as error:
        log.warning(
            "there is no admin token, so that the verbs are refused: cannot use %s: %s (admin_token_file)",
            loaded.token_file, error.strerror or error,
        )  # fmt: skip
        return loaded
    return replace(loaded, settings=replace(loaded.settings, admin_token=token))


class Reloading:
    """Reads the files again, and has what may change at once taken over."""

    def __init__(self, loaded: LoadedProxy, apply: Callable[[Change, ProxyTls], None]) -> None:
        """``apply`` takes over ``change.settings`` and the TLS of new connections; certificates may be all that is new.

        ``loaded`` is what the proxy has started with.
        """
        self.loaded = loaded
        self._apply = apply
        self._stamp = loaded.stamp

    def reload(self) -> Change:
        """Read the files again; a line of the log says what has changed.

        Raises:
            ConfigError: there are mistakes, which the log lists; the proxy goes on with what it has.
        """
        self._stamp = stamp(self.loaded.files)
        old = self.loaded
        try:
            fresh = load_proxy_again(old)
            change = compare(old.settings, fresh.settings, fresh.config_file)
            tls = load_tls(change.settings)
        except ConfigProblems as error:
            for problem in error.problems:
                log.error("not reloaded: %s", problem)
            raise
        except ConfigError as error:
            log.error("not reloaded: %s", error.message)
            raise
        for warning in fresh.warnings:
            log.warning("%s", warning)
        self.loaded = replace(fresh, settings=change.settings)
        self._stamp = fresh.stamp
        self._apply(change, tls)
        log.info("configuration reloaded: %s", change)
        return change

    def on_signal(self) -> None:
        """SIGHUP; mistakes are in the log."""
        with contextlib.suppress(ConfigError):
            self.reload()

    async def watch(self) -> None:
        """Reload whenever one of the files has changed and is not being written any more; runs until cancelled."""
        loop = asyncio.get_running_loop()
        before = self._stamp
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            # A file system that hangs must not stop the loop.
            found = await loop.run_in_executor(None, stamp, self.loaded.files)
            if found == before and found != self._stamp:
                self.on_signal()
                found = self._stamp
            before = found
