"""Values from the environment and proxy.toml to one ``ProxySettings``: environment > file > default.

Pure: what stands in files, of configuration as of passwords, is handed in.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from helios_cli.engine.config.checks import is_loopback
from helios_cli.engine.config.merge import Merged, missing_members
from helios_cli.engine.config.problems import ConfigProblems, Problem
from helios_cli.engine.config.proxy import NodeSettings, ProxySettings, UserSettings
from helios_cli.engine.config.proxy_checks import Gathered, cross_check
from helios_cli.engine.config.proxy_table import (
    ALL,
    BY_KEY,
    CONFIG_VARIABLE,
    DEFAULT_DISCOVER,
    FIELDS,
    PASSWORD_VARIABLE,
    SCALARS,
    TOKEN_VARIABLE,
    VARIABLES,
)
from helios_cli.engine.config.registry import did_you_mean
from helios_cli.engine.config.settings import DEFAULT_ORIGIN, Origin
from helios_cli.engine.config.source import Entry
from helios_cli.engine.config.spec import Setting, Value

_OTHER_FIELDS: Final = ("proxy.listen_addr", "proxy.admin_addr", "proxy.http_addr", "proxy.auth", "proxy.discover",
                 "proxy.auth_password_file", "proxy.admin_token_file", "tls.mode")  # fmt: skip
"""Keys whose value is not that of one field as it stands."""

LISTED_MAX: Final = 8
"""A table of more keys is not listed in a hint."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """The texts of files with passwords."""

    auth_password: str = ""
    users: Mapping[int, str] = field(default_factory=dict)
    """By the number of the ``[[users]]`` table, from 0."""


def gather(environ: Mapping[str, str], entries: Sequence[Entry], problems: Sequence[Problem] = ()) -> Gathered:
    """Read and check every value by itself; mistakes are among ``problems``."""
    merged = Merged(problems=list(problems))
    _take_environment(merged, environ)
    for entry in entries:
        setting = BY_KEY.get(entry.pattern)
        if setting is None:
            message = f'unrecognized configuration parameter "{entry.key}"'
            merged.refuse(entry.origin, entry.key, message, _nearest(entry.pattern))
        else:
            merged.put(setting, entry.key, entry.raw, entry.origin, entry.key)
    merged.problems.extend(missing_members(entries, ALL))
    return Gathered(merged.values, merged.origins, merged.problems)


def _nearest(key: str) -> str | None:
    """A hint for a key that there is not: the nearest of its table, else of all, else what its table has."""
    table, _, name = key.rpartition(".")
    beside = [one.rpartition(".")[2] for one in BY_KEY if one.rpartition(".")[0] == table]
    near = difflib.get_close_matches(name, beside, n=1)
    if near:
        return f'Did you mean "{table}.{near[0]}"?'
    if beside and len(beside) <= LISTED_MAX:
        return f"There are: {', '.join(beside)}."
    return did_you_mean(key, BY_KEY, cutoff=0.75)


def _take_environment(merged: Merged, environ: Mapping[str, str]) -> None:
    known = (*VARIABLES, CONFIG_VARIABLE, TOKEN_VARIABLE, PASSWORD_VARIABLE)
    for name in sorted(environ):
        if not name.startswith("HELIOSDB_PROXY_") or not environ[name]:
            continue  # an empty variable is how containers say "not set"
        origin = Origin("environment", name)
        if name in VARIABLES:
            merged.put(VARIABLES[name], VARIABLES[name].key, environ[name], origin, name)
        elif name not in known and (hint := did_you_mean(name, known, cutoff=0.85)) is not None:
            # Only misspellings: an orchestrator has variables of its own for a service of this name.
            message = f'environment variable "{name}" is not known and has no effect'
            merged.problems.append(Problem(origin, name, message, hint, warning=True))


def build(found: Gathered, secrets: Secrets) -> tuple[ProxySettings, tuple[Problem, ...]]:
    """Make the record.

    Returns:
        The settings and the warnings.
    Raises:
        ConfigProblems: something cannot be used; it names everything at once.
    """
    problems = [*found.problems, *cross_check(found)]
    errors = [one for one in problems if not one.warning]
    if errors:
        raise ConfigProblems(errors, "heliosdb-nano proxy check")
    fields = {FIELDS.get(one.key, one.name): _plain(one, found.value(one.key)) for one in SCALARS
              if one.key not in _OTHER_FIELDS}  # fmt: skip
    nodes = tuple(NodeSettings(**table) for table in found.tables("nodes"))
    users = tuple(_user(table, secrets.users.get(number, "")) for number, table in enumerate(found.tables("users")))
    auth = str(found.value("proxy.auth"))
    if auth == "auto":
        auth = "scram" if users or secrets.auth_password else "trust"
    discover = str(found.value("proxy.discover"))
    if not nodes and not discover:
        discover = DEFAULT_DISCOVER
        told = f'there are no [[nodes]] and no "discover": the nodes are found from {discover}'
        problems.append(Problem(DEFAULT_ORIGIN, "proxy.discover", told, warning=True))
    mode = found.value("tls.mode") or ("allow" if found.value("tls.cert") else "disable")
    settings = ProxySettings(
        **fields, **_addresses(found, auth, problems), nodes=nodes, users=users, auth=auth, discover=discover,
        auth_password=secrets.auth_password, tls_mode=str(mode),
    )  # fmt: skip
    return settings, tuple(problems)


def _plain(one: Setting, value: Value | None) -> Any:
    """Durations in seconds, all else as it is."""
    if one.unit == "ms" and isinstance(value, int):
        return value / 1000
    return value


def _user(table: Mapping[str, Any], password: str) -> UserSettings:
    return UserSettings(table["name"], table.get("password") or password, table.get("verifier", ""))


def _addresses(found: Gathered, auth: str, problems: list[Problem]) -> dict[str, Any]:
    """Hosts and ports of the listeners, narrowed to loopback where nobody guards them."""
    fields: dict[str, Any] = {}
    for name in ("listen", "admin", "http"):
        key = f"proxy.{name}_addr"
        host, port = found.address(key)
        if host and auth == "trust" and not is_loopback(host):
            origin = found.origin(key)
            if found.value("proxy.allow_insecure_network"):
                message = f"anyone who reaches {host}:{port} is let in: nobody has to prove who he is"
            else:
                message = (
                    f"listening on 127.0.0.1:{port} instead of {host}: nobody would have to prove who he is "
                    "([[users]], auth_user with its password, or allow_insecure_network)"
                )
                host = "127.0.0.1"
            problems.append(Problem(origin, key, message, warning=True))
        fields[f"{name}_host"], fields[f"{name}_port"] = host or "127.0.0.1", port
    return fields
