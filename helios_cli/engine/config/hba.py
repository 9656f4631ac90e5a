"""Who may connect from where, and how he proves who he is: the rules of PostgreSQL's pg_hba.conf (hba.c). Pure.

They stand in heliosdb.conf, in order, as ``[[hba]]`` tables::

    [[hba]]
    type = "hostssl"
    user = "app, +readers"
    address = "10.0.0.0/8"
    method = "scram-sha-256"
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from helios_cli.engine.config.spec import Kind, Setting, Value

TYPES: Final = ("host", "hostssl", "hostnossl", "local")
METHODS: Final = ("trust", "scram-sha-256", "cert", "reject")
CLIENT_CERTS: Final = ("no", "verify-ca", "verify-full")
_MEMBER: Final = re.compile(r"hba\[(\d+)\]\.(\w+)")
LOOPBACK: Final = ("127.0.0.1", "::1")


def _row(member: str, default: Value | None, help: str, kind: Kind = Kind.TEXT, **more: object) -> Setting:
    key = f"hba[].{member}"
    return Setting(name=key, key=key, kind=kind, default=default, help=help, recorded=True, **more)  # type: ignore[arg-type]


HBA_SETTINGS: Final = (
    _row("type", "host", "host: any connection; hostssl: with TLS; hostnossl: without.", Kind.ENUM, choices=TYPES),
    _row("database", "all", 'Databases, or "all", "sameuser", "samerole".'),
    _row("user", "all", 'Roles, "+role" for its members, or "all".'),
    _row("address", "all", 'Network (10.0.0.0/8), address, "samehost" or "all".'),
    _row("method", None, "How clients prove who they are.", Kind.ENUM, choices=METHODS, required=True),
    _row("clientcert", "no", "Certificate that is asked for besides.", Kind.ENUM, choices=CLIENT_CERTS),
)
"""Members of one rule."""


@dataclass(frozen=True, slots=True)
class HbaRule:
    """One rule; the first that fits a connection decides."""

    number: int
    """1 for the first."""
    type: str
    databases: tuple[str, ...]
    users: tuple[str, ...]
    address: str
    method: str
    clientcert: str = "no"
    error: str | None = None
    """Why it fits nobody."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A connection, as rules see it."""

    address: str
    encrypted: bool
    user: str
    database: str
    roles: Collection[str] = ()
    """Names of the roles that the user belongs to, himself among them."""


def rules_of(recorded: Mapping[str, Value]) -> tuple[HbaRule, ...]:
    """The rules of a configuration, in order; empty when it has none."""
    tables: dict[int, dict[str, str]] = {}
    for key, value in recorded.items():
        match = _MEMBER.fullmatch(key)
        if match is not None:
            tables.setdefault(int(match[1]), {})[match[2]] = str(value)
    return tuple(_rule(number, tables[number]) for number in sorted(tables))


def _rule(number: int, table: Mapping[str, str]) -> HbaRule:
    address = table.get("address", "all")
    return HbaRule(
        number + 1,
        table.get("type", "host"),
        _listed(table.get("database", "all")),
        _listed(table.get("user", "all")),
        address,
        table.get("method", "reject"),
        table.get("clientcert", "no"),
        _address_error(address),
    )


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip().strip('"') for part in text.split(",") if part.strip())


def _address_error(address: str) -> str | None:
    if address in ("all", "samehost"):
        return None
    try:
        ipaddress.ip_network(address, strict=False)
    except ValueError:
        return f'invalid IP address or network "{address}"'
    return None


def first_match(rules: tuple[HbaRule, ...], caller: Caller) -> HbaRule | None:
    """The rule that decides about a connection; None: no one does, and it is refused."""
    return next((rule for rule in rules if fits(rule, caller)), None)


def fits(rule: HbaRule, caller: Caller) -> bool:
    """Whether a rule is about a connection."""
    if rule.error is not None or rule.type == "local":
        return False
    if (rule.type == "hostssl" and not caller.encrypted) or (rule.type == "hostnossl" and caller.encrypted):
        return False
    return _address_fits(rule, caller) and _database_fits(rule, caller) and _user_fits(rule, caller)


def _address_fits(rule: HbaRule, caller: Caller) -> bool:
    if rule.address == "all":
        return True
    try:
        address = ipaddress.ip_address(caller.address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    if rule.address == "samehost":
        return address.is_loopback
    return address in ipaddress.ip_network(rule.address, strict=False)


def _database_fits(rule: HbaRule, caller: Caller) -> bool:
    for name in rule.databases:
        if name in ("all", caller.database) or (name == "sameuser" and caller.database == caller.user):
            return True
        if name in ("samerole", "samegroup") and caller.database in caller.roles:
            return True
    return False


def _user_fits(rule: HbaRule, caller: Caller) -> bool:
    return any(
        name in ("all", caller.user) or (name.startswith("+") and name[1:] in caller.roles) for name in rule.users
    )


def shown(rule: HbaRule) -> dict[str, object]:
    """The row of ``pg_hba_file_rules``; lists are arrays' text."""
    address, netmask = rule.address, None
    if rule.error is None and address not in ("all", "samehost"):
        network = ipaddress.ip_network(address, strict=False)
        address, netmask = str(network.network_address), str(network.netmask)
    options = [f"clientcert={rule.clientcert}"] if rule.clientcert != "no" else []
    return {
        "line_number": rule.number, "type": rule.type, "database": _array(rule.databases),
        "user_name": _array(rule.users), "address": address, "netmask": netmask, "auth_method": rule.method,
        "options": _array(tuple(options)) if options else None, "error": rule.error,
    }  # fmt: skip


def _array(names: tuple[str, ...]) -> str:
    return "{" + ",".join(f'"{name}"' if not name.isidentifier() else name for name in names) + "}"


def is_loopback(address: str) -> bool:
    """Whether a client's address is this machine's own."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address == ""
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback
