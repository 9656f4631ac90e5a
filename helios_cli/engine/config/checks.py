"""Rules between settings, and what a network bind may be. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from helios_cli.engine.config.problems import Problem
from helios_cli.engine.config.settings import Settings

ETCD_TTL_MIN_MS = 2000
"""With etcd's own defaults: one and a half of its longest elections."""


def is_loopback(address: str) -> bool:
    """Whether an address is reached from this machine alone; a name other than ``localhost`` is not."""
    if address == "localhost":
        return True
    try:
        found = ipaddress.ip_address(address.strip("[]").partition("%")[0])
        return (getattr(found, "ipv4_mapped", None) or found).is_loopback
    except ValueError:
        return False


def cross_check(settings: Settings) -> list[Problem]:
    """Mistakes that no setting makes alone, in the order of the table."""
    return [
        *_ports(settings),
        *_tls(settings),
        *_faults(settings),
        *_etcd(settings),
        *_storage(settings),
        *_recorded(settings),
    ]


def _problem(settings: Settings, name: str, message: str, hint: str | None = None, *, warning: bool = False) -> Problem:
    return Problem(settings.origin(name), name, message, hint, warning)


def _ports(settings: Settings) -> list[Problem]:
    seen: dict[int, str] = {}
    problems = []
    for name in ("pg_port", "native_port", "http_port"):
        port: int = getattr(settings, name)
        if port in seen:
            message = f'parameters "{seen[port]}" and "{name}" are both {port}'
            problems.append(_problem(settings, name, message, f'Give "{name}" a port of its own.'))
        seen.setdefault(port, name)
    return problems


def _tls(settings: Settings) -> list[Problem]:
    problems = []
    if bool(settings.tls_cert) != bool(settings.tls_key):
        given, missing = ("tls_cert", "tls_key") if settings.tls_cert else ("tls_key", "tls_cert")
        problems.append(_problem(settings, given, f'parameter "{given}" needs "{missing}"'))
    if settings.tls_client_ca and not (settings.tls_cert or settings.tls == "self-signed"):
        problems.append(_problem(settings, "tls_client_ca", '"tls_client_ca" needs "tls_cert"'))
    if settings.peer_tls.startswith("verify") and not settings.tls_ca:
        problems.append(_problem(settings, "peer_tls", f'"peer_tls" = {settings.peer_tls} needs "tls_ca"'))
    if settings.peer_auth == "certificate":
        problems += [
            _problem(settings, "peer_auth", f'"peer_auth" = certificate needs "{needed}"')
            for needed in ("tls_cert", "tls_ca")
            if not getattr(settings, needed)
        ]
        if settings.peer_tls in ("off", "require"):
            hint = 'Set "peer_tls" to verify-full or verify-ca.'
            message = f'"peer_auth" = certificate does not go with "peer_tls" = {settings.peer_tls}'
            problems.append(_problem(settings, "peer_auth", message, hint))
    return problems


def _faults(settings: Settings) -> list[Problem]:
    if not settings.allow_faults or is_loopback(settings.listen_address) or settings.auth == "scram":
        return []
    message = f'parameter "allow_faults" refuses the network address "{settings.listen_address}"'
    return [_problem(settings, "allow_faults", message, "Set listen_address to 127.0.0.1, or auth to scram.")]


def _etcd(settings: Settings) -> list[Problem]:
    problems = []
    if settings.authority == "etcd" and not settings.etcd_endpoints:
        hint = "Name the members of etcd: --etcd-endpoints host:2379,host:2379."
        problems.append(_problem(settings, "authority", '"authority" = etcd needs "etcd_endpoints"', hint))
    if settings.authority != "etcd" and settings.etcd_endpoints:
        hint = "Set authority to etcd."
        problems.append(_problem(settings, "etcd_endpoints", '"etcd_endpoints" needs "authority" = etcd', hint))
    if bool(settings.etcd_cert) != bool(settings.etcd_key):
        given, missing = ("etcd_cert", "etcd_key") if settings.etcd_cert else ("etcd_key", "etcd_cert")
        problems.append(_problem(settings, given, f'parameter "{given}" needs "{missing}"'))
    if settings.etcd_ttl < ETCD_TTL_MIN_MS:
        problems.append(_problem(settings, "etcd_ttl", '"etcd_ttl" is at least 2 s: etcd keeps no lease for less'))
    return problems


def _storage(settings: Settings) -> list[Problem]:
    if settings.wal_checkpoint_mb < settings.wal_max_mb:
        return []
    message = f'parameter "wal_checkpoint_mb" ({settings.wal_checkpoint_mb}) is not below "wal_max_mb"'
    return [_problem(settings, "wal_checkpoint_mb", message, f"wal_max_mb is {settings.wal_max_mb}.")]


def _recorded(settings: Settings) -> list[Problem]:
    problems = []
    for low, high in (
        ("heartbeat_interval_ms", "heartbeat_timeout_ms"),
        ("election_timeout_min_ms", "election_timeout_max_ms"),
    ):
        first, second = f"replication.{low}", f"replication.{high}"
        a, b = settings.recorded.get(first), settings.recorded.get(second)
        if isinstance(a, int) and isinstance(b, int) and a >= b:
            problems.append(_problem(settings, first, f'parameter "{first}" ({a}) is not below "{second}" ({b})'))
    for key, value in settings.recorded.items():
        if key.endswith(".replication_targets") and isinstance(value, tuple):
            allowed = settings.recorded.get(key.replace(".replication_targets", ".allowed_regions"), ())
            outside = [region for region in value if isinstance(allowed, tuple) and allowed and region not in allowed]
            problems += [
                _problem(settings, key, f'"{key}" names region "{region}", which allowed_regions does not')
                for region in outside
            ]
    return problems


@dataclass(frozen=True, slots=True)
class Binding:
    """Where a node may listen."""

    address: str
    warning: str | None
    """Why it differs from ``listen_address``, or what is unsafe; None when all is well."""


def binding(settings: Settings, *, has_credentials: bool) -> Binding:
    """Narrow a network bind that nobody guards to loopback.

    Args:
        has_credentials: whether any role has a password, so that SCRAM is on.
    """
    address = settings.listen_address
    if is_loopback(address) or settings.auth == "scram" or has_credentials:
        return Binding(address, None)
    if settings.allow_insecure_network:
        return Binding(address, f"anyone who reaches {address} has full rights: auth is trust and no password is set")
    return Binding(
        "127.0.0.1",
        f"listening on 127.0.0.1 instead of {address}: no password is set (auth = scram or allow_insecure_network)",
    )
