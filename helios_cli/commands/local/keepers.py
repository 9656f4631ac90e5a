"""Who keeps a process alive: nobody, or systemd. Each finds it, starts it, and lets it be down."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any, Protocol

from helios_cli.commands.local import machines, network, units
from helios_cli.commands.local.clusterfile import LocalCluster, LocalProxy, Member
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.remote import deeds


class Keeper(Protocol):
    """How one node or the proxy is run on its machine."""

    def find(self) -> Sequence[Any] | None:
        """Number, start and boot of its process; None when it is down."""

    def spawn(self, arguments: Sequence[str]) -> Sequence[Any] | None:
        """Start it with these arguments of ``heliosdb-nano``; None when it ended at once.

        Raises:
            HeliosError: it could not be started. OSError: a file cannot be written.
        """

    def forget(self) -> None:
        """It is down, and stays so until it is started."""


def of(cluster: LocalCluster, member: Member) -> Keeper:
    """Who keeps something of a cluster."""
    host = cluster.host_of(member)
    return _Systemd(cluster, member) if host is not None and host.is_systemd else _Nobody(cluster, member)


class _Nobody:
    """A process of a session of its own, with a record of it beside its log."""

    def __init__(self, cluster: LocalCluster, member: Member) -> None:
        self._cluster, self._member = cluster, member
        self._machine = machines.of(cluster, member)
        self._record = str(cluster.pid_file(member))

    def find(self) -> Sequence[Any] | None:
        """By its record, else by the lock of its data directory."""
        member = self._member
        directory = None if isinstance(member, LocalProxy) else str(self._cluster.data_dir(member))
        found: Sequence[Any] | None = self._machine.ask("find", self._record, directory)
        return found

    def spawn(self, arguments: Sequence[str]) -> Sequence[Any] | None:
        """Start it and write its record."""
        argv = [*machines.program(self._cluster, self._member), *arguments]
        log = str(self._cluster.log_file(self._member))
        try:
            found: Sequence[Any] | None = self._spawn(argv, log)
        except FileNotFoundError:
            if self._member.host:
                raise not_installed(self._cluster, self._member) from None
            raise
        if found is not None:
            record = json.dumps(dict(zip(("pid", "start_ticks", "boot_id"), found, strict=True))) + "\n"
            self._machine.ask("write", self._record, record.encode(), 0o644)
        return found

    def _spawn(self, argv: list[str], log: str) -> Sequence[Any] | None:
        cluster, member = self._cluster, self._member
        if member.host:
            found: Sequence[Any] | None = self._machine.ask("spawn", argv, log)
            return found
        with network.doors(cluster, member) as handed:
            environment = {**machines.child_environment(os.environ), **network.environment(handed)}
            descriptors = [one.fileno() for _, one in handed]
            return deeds.spawn(network.command(cluster, member, argv), log, environment, descriptors)

    def forget(self) -> None:
        """Remove its record."""
        self._machine.ask("remove", self._record)


class _Systemd:
    """A unit of a host's systemd."""

    def __init__(self, cluster: LocalCluster, member: Member) -> None:
        self._cluster, self._member = cluster, member
        host = cluster.host_of(member)
        assert host is not None
        self._host = host
        self._machine = machines.of_host(cluster, host)
        self._unit = units.name_of(member)

    def find(self) -> Sequence[Any] | None:
        """By what systemd says; a node that was started otherwise by the lock of its data directory."""
        code, out, _ = self._systemctl("show", "--property=MainPID", "--value", self._unit)
        number = out.strip()
        if code == 0 and number.isdigit() and int(number):
            main: Sequence[Any] | None = self._machine.ask("identify", int(number))
            return main
        if isinstance(self._member, LocalProxy):
            return None
        record, directory = self._cluster.pid_file(self._member), self._cluster.data_dir(self._member)
        found: Sequence[Any] | None = self._machine.ask("find", str(record), str(directory))
        return found

    def spawn(self, arguments: Sequence[str]) -> Sequence[Any] | None:
        """Have the unit as it should be, and start it."""
        if not self._machine.ask("exists", self._host.program_path):
            raise not_installed(self._cluster, self._member)
        units.install(self._machine, self._cluster, self._member, arguments)
        self._must("start", self._unit)
        return self.find()

    def forget(self) -> None:
        """Stop the unit: what was killed is not to be started again by itself."""
        if self._machine.ask("exists", units.path_of(self._host, self._member)):
            self._must("stop", self._unit)
            self._systemctl("reset-failed", self._unit)

    def _systemctl(self, *words: str) -> tuple[int, str, str]:
        return units.systemctl(self._machine, self._host, *words)

    def _must(self, *words: str) -> None:
        units.must(self._machine, self._host, *words)


def not_installed(cluster: LocalCluster, member: Member) -> HeliosError:
    """The error for a host without the program."""
    host = cluster.host_of(member)
    path = host.program_path if host is not None else "heliosdb-nano"
    return HeliosError(
        f"{member.name}: there is no {path} on {member.host}", sqlstate="55000",
        hint=f"heliosdb-nano cluster install {member.name} puts it there.",
    )  # fmt: skip
