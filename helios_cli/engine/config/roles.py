"""What the role flags mean for a directory that has, or has not, a history. Pure.

They hold for an empty data directory alone: a container that restarts with ``HELIOSDB_ROLE=primary`` after a
failover comes back as what the cluster has made of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from helios_cli.engine.config.settings import Settings
from helios_cli.engine.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Role:
    """What a node is and whom it follows."""

    name: str
    """``standalone``, ``primary``, ``standby`` or ``observer``."""
    primary_host: str = ""
    """Empty: none, or found from the membership."""
    primary_port: int = 0


@dataclass(frozen=True, slots=True)
class RoleDecision:
    """The role to start with."""

    role: Role
    warnings: tuple[str, ...]
    """One for each setting that the persisted state overrules."""


def decide_role(settings: Settings, persisted: Role | None) -> RoleDecision:
    """Choose between the settings and what the directory remembers.

    Args:
        persisted: None for an empty data directory.
    Raises:
        ConfigError: an empty standby or observer has no primary to join.
    """
    if persisted is None:
        return RoleDecision(_first_role(settings), ())
    warnings = []
    if settings.origin("replication_role").kind != "default" and settings.replication_role != persisted.name:
        warnings.append(
            f"replication_role = {settings.replication_role} ({settings.origin('replication_role')}) is ignored: "
            f"this data directory belongs to a {persisted.name}"
        )
    for name in ("primary_host", "primary_port"):
        wanted, known = getattr(settings, name), getattr(persisted, name)
        if settings.origin(name).kind != "default" and known and wanted != known:
            warnings.append(f"{name} = {wanted} ({settings.origin(name)}) is ignored: the membership says {known}")
    return RoleDecision(persisted, tuple(warnings))


def _first_role(settings: Settings) -> Role:
    name = settings.replication_role
    if name in ("standby", "observer") and not settings.primary_host:
        raise ConfigError(
            f"a new {name} needs the address of a primary",
            hint="Give it with --primary-host and --primary-port (or HELIOSDB_PRIMARY_HOST).",
        )
    if name in ("standalone", "primary"):
        return Role(name)
    return Role(name, settings.primary_host, settings.primary_port)
