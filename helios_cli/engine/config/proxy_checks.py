"""Rules between the keys of proxy.toml. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from helios_cli.engine.config.checks import is_loopback
from helios_cli.engine.config.problems import Problem
from helios_cli.engine.config.proxy_table import BY_KEY, NODES, USERS
from helios_cli.engine.config.settings import DEFAULT_ORIGIN, Origin
from helios_cli.engine.config.spec import Value
from helios_cli.engine.errors import SqlError
from helios_cli.engine.wire.scram import Verifier

_WILDCARDS: Final = ("0.0.0.0", "::")
_MEMBER: Final = re.compile(r"(\w+)\[(\d+)\]\.(\w+)")


@dataclass(frozen=True, slots=True)
class Gathered:
    """Values by their key, ``proxy.pool_size`` or ``nodes[0].port``: each right by itself."""

    values: Mapping[str, Value]
    origins: Mapping[str, Origin]
    problems: list[Problem]

    def value(self, key: str) -> Value | None:
        """As it was given, else its default; None: not set."""
        return self.values.get(key, BY_KEY[key].default)

    def origin(self, key: str) -> Origin:
        """Where it was given."""
        return self.origins.get(key, DEFAULT_ORIGIN)

    def tables(self, array: str) -> list[dict[str, Any]]:
        """The tables of ``nodes`` or ``users`` in file order, defaults filled in, what is not set left out."""
        tables: dict[int, dict[str, Any]] = {}
        for key, value in self.values.items():
            match = _MEMBER.fullmatch(key)
            if match is not None and match[1] == array:
                tables.setdefault(int(match[2]), {})[match[3]] = value
        members = NODES if array == "nodes" else USERS
        defaults = {one.key.rpartition(".")[2]: one.default for one in members if one.default is not None}
        return [{**defaults, **tables[number]} for number in sorted(tables)]

    def address(self, key: str) -> tuple[str, int]:
        """Host and port of a listener or a node; ("", 0) when it is empty."""
        host, _, port = str(self.value(key) or "").rpartition(":")
        return host.strip("[]"), int(port or 0)


def cross_check(found: Gathered) -> list[Problem]:
    """Mistakes that no key makes alone."""
    return [*_listeners(found), *_nodes(found), *_users(found), *_credentials(found), *_tls(found),
            *_faults(found)]  # fmt: skip


def _problem(found: Gathered, key: str, message: str, hint: str | None = None, *, warning: bool = False) -> Problem:
    return Problem(found.origin(key), key, message, hint, warning)


def _listeners(found: Gathered) -> list[Problem]:
    problems = []
    seen: list[tuple[str, str, int]] = []
    for name in ("listen_addr", "admin_addr", "http_addr"):
        key = f"proxy.{name}"
        host, port = found.address(key)
        if not host:
            continue
        if not 1 <= port <= 65535:
            message = f'{port} is outside the valid range for the port of parameter "{name}" (1 .. 65535)'
            problems.append(_problem(found, key, message))
        for other, other_host, other_port in seen:
            if port == other_port and (host == other_host or {host, other_host} & set(_WILDCARDS)):
                message = f'parameters "{other}" and "{name}" are both on port {port}'
                problems.append(_problem(found, key, message, f'Give "{name}" a port of its own.'))
        seen.append((name, host, port))
    return problems


def _nodes(found: Gathered) -> list[Problem]:
    nodes = found.tables("nodes")
    discover = found.value("proxy.discover")
    problems = []
    if nodes and discover:
        hint = "Keep one of them: discover finds the nodes, [[nodes]] lists them."
        problems.append(_problem(found, "proxy.discover", 'there are both [[nodes]] and "discover"', hint))
    if discover and not 1 <= found.address("proxy.discover")[1] <= 65535:
        problems.append(_problem(found, "proxy.discover", f'the port of "discover" in "{discover}" is none'))
    names: set[str] = set()
    places: dict[tuple[str, int], str] = {}
    listen = found.address("proxy.listen_addr")
    for number, node in enumerate(nodes):
        key = f"nodes[{number}].name"
        name, place = str(node.get("name", "")), (str(node.get("host", "")), int(node["port"]))
        if name and name in names:
            problems.append(_problem(found, key, f'two nodes are named "{name}"', "Give each a name of its own."))
        elif place[0] and place in places:
            message = f'nodes "{places[place]}" and "{name}" are both {place[0]}:{place[1]}'
            problems.append(_problem(found, key, message))
        elif place[1] == listen[1] and is_loopback(place[0]) and (is_loopback(listen[0]) or listen[0] in _WILDCARDS):
            problems.append(_problem(found, key, f'node "{name}" is the proxy itself ({place[0]}:{place[1]})'))
        names.add(name)
        places.setdefault(place, name)
    if nodes and not any(node["enabled"] for node in nodes):
        problems.append(_problem(found, "nodes[0].enabled", "no node is enabled", warning=True))
    return problems


def _users(found: Gathered) -> list[Problem]:
    problems = []
    names: set[str] = set()
    for number, user in enumerate(found.tables("users")):
        key = f"users[{number}].name"
        name = str(user.get("name", ""))
        if name and name in names:
            problems.append(_problem(found, key, f'two users are named "{name}"'))
        names.add(name)
        given = [one for one in ("password", "password_file", "verifier") if user.get(one)]
        if len(given) != 1:
            what = " and ".join(f'"{one}"' for one in given) or "no password"
            hint = "Give one of password, password_file and verifier."
            problems.append(_problem(found, key, f'user "{name}" has {what}', hint))
        if user.get("verifier"):
            try:
                Verifier.parse(str(user["verifier"]))
            except SqlError:
                key = f"users[{number}].verifier"
                hint = "It is what SELECT rolpassword FROM pg_authid shows: SCRAM-SHA-256$4096:..."
                problems.append(_problem(found, key, f'the verifier of user "{name}" is none', hint))
    return problems


def _credentials(found: Gathered) -> list[Problem]:
    problems = []
    if found.value("proxy.auth_password_file") and not found.value("proxy.auth_user"):
        problems.append(_problem(found, "proxy.auth_password_file", '"auth_password_file" needs "auth_user"'))
    known = found.tables("users") or found.value("proxy.auth_user")
    if found.value("proxy.auth") == "scram" and not known:
        hint = "List them in [[users]], or name an auth_user who reads the roles of the nodes."
        problems.append(_problem(found, "proxy.auth", '"auth" = scram needs users', hint))
    return problems


def _tls(found: Gathered) -> list[Problem]:
    problems = []
    for table in ("tls", "backend_tls"):
        given = [one for one in ("cert", "key") if found.value(f"{table}.{one}")]
        if len(given) == 1:
            missing = "key" if given == ["cert"] else "cert"
            message = f'parameter "{table}.{given[0]}" needs "{table}.{missing}"'
            problems.append(_problem(found, f"{table}.{given[0]}", message))
    mode = found.value("tls.mode")
    if mode in ("allow", "require") and not found.value("tls.cert"):
        problems.append(_problem(found, "tls.mode", f'"tls.mode" = {mode} needs "tls.cert"'))
    if found.value("backend_tls.mode") == "disable":
        problems += [
            _problem(found, f"backend_tls.{one}", f'"backend_tls.{one}" has no effect: "backend_tls.mode" is disable',
                     warning=True)
            for one in ("ca", "cert") if found.value(f"backend_tls.{one}")
        ]  # fmt: skip
    return problems


def _faults(found: Gathered) -> list[Problem]:
    if not found.value("proxy.allow_faults") or found.value("backend_tls.mode") == "disable":
        return []
    message = '"allow_faults" does not go with "backend_tls.mode"'
    return [_problem(found, "proxy.allow_faults", message, "Links to nodes are cut beneath no TLS.")]
