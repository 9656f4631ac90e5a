"""What other settings mean for a proxy that runs: what changes at once, and what at its next start. Pure."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Final

from helios_cli.engine.config.checks import is_loopback
from helios_cli.engine.config.problems import ConfigProblems, Problem
from helios_cli.engine.config.proxy import ProxySettings
from helios_cli.engine.config.settings import Origin

AT_RESTART: Final = ("listen_host", "listen_port", "admin_host", "admin_port", "http_host", "http_port", "workers",
                     "log_format", "allow_faults")  # fmt: skip
"""Fields that a running proxy keeps as they are."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a reload comes to."""

    settings: ProxySettings
    """To go on with: the new ones, but for what needs a restart."""
    at_once: tuple[str, ...]
    """Fields that are others now, in the order of ``ProxySettings``."""
    at_restart: tuple[str, ...]
    """Fields that will be others after a restart."""

    def __str__(self) -> str:
        parts = []
        if self.at_once:
            parts.append(f"{', '.join(self.at_once)} changed")
        if self.at_restart:
            parts.append(f"{', '.join(self.at_restart)} will change at the next start")
        return "; ".join(parts) or "nothing has changed"


def compare(old: ProxySettings, new: ProxySettings, config_file: str | None = None) -> Change:
    """What of ``new`` a proxy that runs by ``old`` takes over.

    Raises:
        ConfigProblems: everybody would be let in from the network that it listens on.
    """
    names = [one.name for one in fields(ProxySettings) if getattr(old, one.name) != getattr(new, one.name)]
    at_restart = tuple(name for name in names if name in AT_RESTART)
    settings = replace(new, **{name: getattr(old, name) for name in at_restart})
    if settings.auth == "trust" and not settings.allow_insecure_network and old.auth != "trust":
        hosts = (settings.listen_host, settings.admin_host, settings.http_host)
        reached = next((host for host in hosts if not is_loopback(host)), None)
        if reached is not None:
            message = f"nobody would have to prove who he is, and the proxy listens on {reached}: that needs a restart"
            raise ConfigProblems([Problem(Origin("file", config_file or ""), "proxy.auth", message)])
    return Change(settings, tuple(name for name in names if name not in AT_RESTART), at_restart)
