"""Processes by more than their number: a recorded process is signalled, a reused number never is."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from helios_cli.commands.local import keepers, machines
from helios_cli.commands.local.clusterfile import LocalCluster, LocalNode, LocalProxy, Member
from helios_cli.engine.config.checks import is_loopback
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.remote import deeds
from helios_cli.engine.remote.errors import HostError
from helios_cli.engine.remote.machine import HERE, Machine

POLL_S: Final = 0.05
LAST_WORDS_BYTES: Final = 8192


@dataclass(frozen=True, slots=True)
class Process:
    """One process of a machine. Two of the same number never have the same start on the same boot."""

    pid: int
    start_ticks: int
    """Clock ticks from the boot of the machine to its start, as the kernel counts them."""
    boot_id: str
    machine: Machine = field(default=HERE, compare=False, repr=False)

    @property
    def state(self) -> str:
        """``running``, ``frozen`` or ``gone``."""
        return str(self.machine.ask("state", self.pid, self.start_ticks))

    def send(self, number: signal.Signals) -> bool:
        """Send a signal to this very process; False when it is gone.

        Raises:
            HeliosError: it belongs to somebody else (42501).
        """
        try:
            return bool(self.machine.ask("send", self.pid, self.start_ticks, int(number)))
        except PermissionError:
            raise HeliosError(
                f"process {self.pid} is another user's", sqlstate="42501",
                hint="Run this as the user who has started the cluster.",
            ) from None  # fmt: skip

    def wait_gone(self, timeout_s: float) -> bool:
        """Whether it ended in time."""
        end = time.monotonic() + timeout_s
        while self.state != "gone":
            if time.monotonic() >= end:
                return False
            time.sleep(POLL_S)
        return True


def identify(pid: int) -> Process | None:
    """The process of a number on this machine; None when there is none."""
    found = deeds.identify(pid)
    return Process(*found) if found is not None else None


def _process(found: Sequence[Any], machine: Machine) -> Process:
    pid, start_ticks, boot_id = found
    return Process(int(pid), int(start_ticks), str(boot_id), machine)


def find(cluster: LocalCluster, member: Member) -> Process | None:
    """The process that runs a node or the proxy: the recorded one, else who holds the data directory; or None.

    Raises:
        HostError: its host cannot be reached.
    """
    found = keepers.of(cluster, member).find()
    return _process(found, machines.of(cluster, member)) if found is not None else None


def forget(cluster: LocalCluster, member: Member) -> None:
    """Remove the record of a process that is gone. Raises HostError when its host cannot be reached."""
    keepers.of(cluster, member).forget()


def command_line(cluster: LocalCluster, member: Member, join: LocalNode | None) -> list[str]:
    """The arguments of ``heliosdb-nano`` that run a node or the proxy; ``join`` is whom an empty directory follows."""
    if isinstance(member, LocalProxy):
        return [
            "proxy",
            "start",
            "--config",
            machines.whole(cluster, member, cluster.place(member) / cluster.proxy_file.name),
        ]
    return _node_command(cluster, member, join)


def _node_command(cluster: LocalCluster, node: LocalNode, join: LocalNode | None) -> list[str]:
    place, settings = cluster.place(node), cluster.settings_of(node)
    arguments = [
        "start", "--data-dir", machines.whole(cluster, node, cluster.data_dir(node)), "--node-id", node.name,
        *_addresses(cluster, node, settings),
        *(part for face, port in node.ports.items() for part in (f"--{face}-port", str(port))),
        *(() if node.is_observer else ("--replication-mode", node.mode)),
        "--cluster-secret-file", machines.whole(cluster, node, place / cluster.secret_file.name),
    ]  # fmt: skip
    if cluster.netns:  # nobody but the cluster's own processes is in that network
        arguments.append("--allow-insecure-network")
    elif cluster.faults:
        arguments.append("--allow-faults")
    if cluster.is_guarded:
        password = machines.whole(cluster, node, place / cluster.password_file.name)
        arguments += ["--set", "auth=scram", "--set", f"initial_password_file={password}"]
    if not machines.is_founded(cluster, node):  # a directory with a history knows its own role
        arguments += [
            "--replication-role",
            "primary" if join is None else "observer" if node.is_observer else "standby",
        ]
        if join is not None:
            arguments += ["--primary-host", cluster.address(join), "--primary-port", str(join.native_port)]
    for setting in settings:
        arguments += ["--set", setting]
    return arguments


def _addresses(cluster: LocalCluster, node: LocalNode, settings: Sequence[str]) -> list[str]:
    """Where it listens, and by what it is called; what the settings say is left to them."""
    listens, address = machines.listens_on(cluster, node), cluster.asked_at(node)
    wanted = {"listen_address": listens} | ({} if is_loopback(address) else {"advertise_address": address})
    given = {one.partition("=")[0].strip() for one in settings}
    return [
        part for name, text in wanted.items() if name not in given for part in (f"--{name.replace('_', '-')}", text)
    ]


def spawn(cluster: LocalCluster, member: Member, join: LocalNode | None) -> Process:
    """Start a node or the proxy as a process of its own session and record it; it outlives this one.

    Raises:
        HeliosError: it ended at once, a port is taken, or its host cannot be reached. OSError: its log or its record
            cannot be written.
    """
    found = keepers.of(cluster, member).spawn(command_line(cluster, member, join))
    if found is None:
        raise HeliosError(f"{member.name} ended at once", detail=last_words(cluster, member))
    return _process(found, machines.of(cluster, member))


def last_words(cluster: LocalCluster, member: Member, lines: int = 3) -> str:
    """The end of a process's log on one line; empty when it has said nothing, or its host cannot be reached."""
    try:
        data: bytes = machines.of(cluster, member).ask("ending", str(cluster.log_file(member)), LAST_WORDS_BYTES)
    except (OSError, HostError):
        return ""
    said = data.decode("utf-8", errors="replace").splitlines()
    return " / ".join(line.strip() for line in said[-lines:] if line.strip())


def end_all(processes: Sequence[Process], timeout_s: float, how: signal.Signals = signal.SIGTERM) -> list[Process]:
    """A signal to each, frozen ones woken first; those that still run after the time.

    With SIGINT a primary gives its place to nobody.
    """
    for one in processes:
        if one.send(how):
            one.send(signal.SIGCONT)
    end = time.monotonic() + timeout_s
    return [one for one in processes if not one.wait_gone(max(0.0, end - time.monotonic()))]
