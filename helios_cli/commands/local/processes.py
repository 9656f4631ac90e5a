"""Processes of this machine by more than their number: a recorded process is signalled, a reused number never is."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from helios_cli.commands.local import network
from helios_cli.commands.local.clusterfile import LocalCluster, LocalNode, LocalProxy, Member, write_text
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.storage.dirlock import running_holder

POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Process:
    """One process. Two of the same number never have the same start on the same boot."""

    pid: int
    start_ticks: int
    """Clock ticks from the boot of the machine to its start, as the kernel counts them."""
    boot_id: str

    @property
    def state(self) -> str:
        """``running``, ``frozen`` or ``gone``."""
        letter, ticks = _stat(self.pid)
        if ticks != self.start_ticks or letter == "X" or (letter == "Z" and not _has_threads(self.pid)):
            return "gone"
        return "frozen" if letter in "Tt" else "running"

    def send(self, number: signal.Signals) -> bool:
        """Send a signal to this very process; False when it is gone.

        Raises:
            PermissionError: it belongs to somebody else.
        """
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            # The descriptor holds the process fast; only then is it compared, so that nothing can slip between.
            if self.state == "gone":
                return False
            signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(descriptor)
        return True

    def wait_gone(self, timeout_s: float) -> bool:
        """Whether it ended in time."""
        end = time.monotonic() + timeout_s
        while self.state != "gone":
            if time.monotonic() >= end:
                return False
            time.sleep(POLL_S)
        return True


def identify(pid: int) -> Process | None:
    """The process of a number; None when there is none."""
    _, ticks = _stat(pid)
    return Process(pid, ticks, _boot_id()) if ticks >= 0 else None


def _stat(pid: int) -> tuple[str, int]:
    """Letter of the state and start of a process (proc(5), fields 3 and 22); ``X`` and -1 when there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        return fields[0], int(fields[19])
    except (OSError, IndexError, ValueError):
        return "X", -1


def _has_threads(pid: int) -> bool:
    """Whether threads of a process are left whose first one has ended: they hold its ports and files until they end."""
    try:
        return len(os.listdir(f"/proc/{pid}/task")) > 1
    except OSError:
        return False


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def find(cluster: LocalCluster, member: Member) -> Process | None:
    """The process that runs a node or the proxy: the recorded one, else who holds the data directory; or None."""
    recorded = _recorded(cluster.pid_file(member))
    if recorded is not None and recorded.state != "gone":
        return recorded
    if isinstance(member, LocalProxy):
        return None
    holder = running_holder(str(cluster.data_dir(member)))
    if holder is None or not holder.pid or not _is_ours(holder.pid):
        return None
    return identify(holder.pid)


def _is_ours(pid: int) -> bool:
    """Whether a process runs our program: the number in a lock file is old for the instant after the lock is taken."""
    try:
        return b"helios" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _recorded(path: Path) -> Process | None:
    try:
        content = json.loads(path.read_text(encoding="ascii"))
        process = Process(int(content["pid"]), int(content["start_ticks"]), str(content["boot_id"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return process if process.boot_id == _boot_id() else None


def forget(cluster: LocalCluster, member: Member) -> None:
    """Remove the record of a process that is gone."""
    with contextlib.suppress(FileNotFoundError):
        cluster.pid_file(member).unlink()


def command_line(cluster: LocalCluster, member: Member, join: LocalNode | None) -> list[str]:
    """The arguments of ``heliosdb-nano`` that run a node or the proxy; ``join`` is whom an empty directory follows."""
    if isinstance(member, LocalProxy):
        return ["proxy", "start", "--config", str(cluster.proxy_file.resolve())]
    return _node_command(cluster, member, join)


def _node_command(cluster: LocalCluster, node: LocalNode, join: LocalNode | None) -> list[str]:
    arguments = [
        "start", "--data-dir", str(cluster.data_dir(node).resolve()), "--node-id", node.name,
        "--listen-address", cluster.address(node),
        *(part for face, port in node.ports.items() for part in (f"--{face}-port", str(port))),
        *(() if node.is_observer else ("--replication-mode", node.mode)),
        "--cluster-secret-file", str(cluster.secret_file.resolve()),
    ]  # fmt: skip
    if cluster.netns:  # nobody but the cluster's own processes is in that network
        arguments.append("--allow-insecure-network")
    elif cluster.faults:
        arguments.append("--allow-faults")
    if not (cluster.data_dir(node) / "control").exists():  # a directory with a history knows its own role
        arguments += [
            "--replication-role",
            "primary" if join is None else "observer" if node.is_observer else "standby",
        ]
        if join is not None:
            arguments += ["--primary-host", cluster.address(join), "--primary-port", str(join.native_port)]
    for setting in cluster.settings_of(node):
        arguments += ["--set", setting]
    return arguments


def spawn(cluster: LocalCluster, member: Member, join: LocalNode | None) -> Process:
    """Start a node or the proxy as a process of its own session and record it; it outlives this one.

    Raises:
        HeliosError: it ended at once, or a port is taken. OSError: its log or its record cannot be written.
    """
    arguments = [sys.executable, "-m", "helios_cli", *command_line(cluster, member, join)]
    log = os.open(cluster.log_file(member), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    try:
        with network.doors(cluster, member) as handed:
            whole = network.command(cluster, member, arguments)
            pid = os.posix_spawn(
                whole[0],
                whole,
                {**child_environment(os.environ), **network.environment(handed)},
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, log, 1),
                    (os.POSIX_SPAWN_DUP2, log, 2),
                    *((os.POSIX_SPAWN_DUP2, one.fileno(), at) for at, (_, one) in enumerate(handed, 3)),
                ],
                setsid=True,
            )
    finally:
        os.close(log)
    process = identify(pid)
    if process is None:
        raise HeliosError(f"{member.name} ended at once", detail=last_words(cluster, member))
    record = {"pid": pid, "start_ticks": process.start_ticks, "boot_id": process.boot_id}
    write_text(cluster.pid_file(member), json.dumps(record) + "\n")
    return process


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What a node inherits: nothing that would set it up otherwise than its ``cluster.toml``.

    The package's own directory is on the path, so that a checkout starts its own nodes from anywhere.
    """
    kept = {name: text for name, text in environ.items() if not name.startswith("HELIOSDB_")}
    here = str(Path(__file__).resolve().parents[3])
    kept["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([here, *kept.get("PYTHONPATH", "").split(os.pathsep)])).rstrip(
        ":"
    )
    return kept


def last_words(cluster: LocalCluster, member: Member, lines: int = 3) -> str:
    """The end of a process's log on one line; empty when it has said nothing."""
    try:
        said = cluster.log_file(member).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
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
