"""``[hosts.NAME]`` of cluster.toml: machines that are reached over SSH."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, get_type_hints

from helios_cli.engine.errors import ConfigError
from helios_cli.engine.remote.login import Login, fingerprint

SERVICES: Final = ("process", "systemd", "systemd-user")
PROGRAM: Final = "heliosdb-nano"


@dataclass(frozen=True, slots=True)
class HostEntry:
    """One machine."""

    name: str
    address: str
    port: int = 22
    user: str = ""
    """Empty: the one who runs this."""
    identity_file: str = ""
    """Private key; empty: those of the SSH agent, and ``~/.ssh/id_*``."""
    host_key: str = ""
    """``ssh-ed25519 AAAA...``: the only key that is taken; empty: those of known_hosts."""
    directory: str = "~/heliosdb"
    """Where everything of the nodes there lies, ``~`` being the user's home."""
    python: str = "python3"
    """What acts there for us."""
    program: str = ""
    """The heliosdb-nano that nodes run as; empty: bin/heliosdb-nano of the directory, which ``cluster install`` puts
    there."""
    service: str = "process"
    """Who keeps the nodes: nobody (``process``), the system's systemd or that of the user."""
    advertise_address: str = ""
    """Where nodes and clients find what runs there; empty: the address."""

    @property
    def reached_at(self) -> str:
        """Where nodes and clients find what runs there."""
        return self.advertise_address or self.address

    @property
    def program_path(self) -> str:
        """The program that nodes run as, on that machine."""
        return self.program or str(Path(self.directory) / "bin" / PROGRAM)

    @property
    def is_systemd(self) -> bool:
        """Whether systemd keeps the nodes there."""
        return self.service != "process"

    def record(self) -> dict[str, str | int]:
        """What the file says of it: the address, and what is not as it is when nothing is said."""
        return {one.name: getattr(self, one.name) for one in fields(self)
                if one.name != "name" and getattr(self, one.name) != one.default}  # fmt: skip

    def login(self, directory: Path) -> Login:
        """How it is reached, for a cluster whose file is in a directory."""
        return Login(
            self.name, self.address, self.port, self.user, self.identity_file, self.host_key,
            str(directory / "known_hosts"), self.python,
        )  # fmt: skip


def parsed(content: Mapping[str, Any]) -> tuple[HostEntry, ...]:
    """The hosts of a file.

    Raises:
        ValueError: they are not in order; the text says what.
    """
    if not isinstance(content, Mapping):
        raise ValueError("hosts are tables like [hosts.db1]")
    return tuple(_entry(name, entry) for name, entry in content.items())


def _entry(name: str, entry: object) -> HostEntry:
    if not isinstance(entry, Mapping):
        raise ValueError(f"hosts.{name} is a table: [hosts.{name}]")
    kinds = get_type_hints(HostEntry)
    known = [one.name for one in fields(HostEntry) if one.name != "name"]
    for key, value in entry.items():
        if key not in known:
            raise ValueError(f"hosts.{name} has no {key}{_nearest(key, known)}")
        if not isinstance(value, kinds[key]) or isinstance(value, bool):
            raise ValueError(f"{key} of hosts.{name} is {'a number' if kinds[key] is int else 'a text'}, not {value!r}")
    if not entry.get("address"):
        raise ValueError(f'hosts.{name} needs an address: address = "10.0.0.11"')
    found = HostEntry(name, **entry)
    _check(found)
    return found


def _check(one: HostEntry) -> None:
    if not 0 < one.port < 65536:
        raise ValueError(f"port of hosts.{one.name} is {one.port}")
    if "@" in one.address:
        raise ValueError(f"address of hosts.{one.name} has the user in it; write user = {one.address.split('@')[0]!r}")
    if one.service not in SERVICES:
        raise ValueError(f"service of hosts.{one.name} is one of {', '.join(SERVICES)}, not {one.service!r}")
    for key in ("directory", "program"):
        path = getattr(one, key)
        if path and not path.startswith(("/", "~/")):
            raise ValueError(f"{key} of hosts.{one.name} is a whole path, from / or from ~/, not {path!r}")
    if one.host_key:
        fingerprint(one.host_key)  # says what it is like when it is none


def unknown(name: str, known: Sequence[HostEntry], where: str) -> ConfigError:
    """The error for a host that the file does not describe; ``where`` is what the message begins with."""
    names = [one.name for one in known]
    described = f"It describes {', '.join(names)}." if names else f"Describe it: [hosts.{name}] with its address."
    return ConfigError(f"{where} [hosts.{name}]{_nearest(name, names)}", hint=described)


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, 1, 0.5)
    return f"; did you mean {near[0]}?" if near else ""
