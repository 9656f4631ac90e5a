"""systemd's units for nodes and proxies on hosts, as deploy/systemd has them for one machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from helios_cli.commands.local import machines
from helios_cli.commands.local.clusterfile import LocalCluster, LocalProxy, Member
from helios_cli.commands.local.hosts import HostEntry
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.remote.machine import Machine, There

SYSTEM_DIRECTORY: Final = "/etc/systemd/system"
USER_DIRECTORY: Final = "~/.config/systemd/user"
TALK_S: Final = 15.0
STOP_S: Final = 90.0

SANDBOX: Final = """
# What it may not do. Its own directory is all that it writes to.
CapabilityBoundingSet=
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths={directory}
PrivateTmp=yes
PrivateDevices=yes
ProtectProc=invisible
ProtectClock=yes
ProtectHostname=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
"""
"""For the system's manager: that of a user cannot do it everywhere."""

UNIT: Final = """# Written by: heliosdb-nano cluster install. What is changed here is lost.
[Unit]
Description=HeliosDB Nano, {what} {name}
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
WorkingDirectory={directory}
Environment=HELIOSDB_UNPACK_DIR={directory}/unpacked
ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
StandardOutput=append:{log}
StandardError=append:{log}
# A wrong configuration (2) is not tried again; a disk that failed (70) and a crash are, a little later.
Restart=on-failure
RestartSec=1
RestartPreventExitStatus=2
# SIGTERM: the lead is given away, sessions end, everything is checkpointed.
TimeoutStopSec=60
LimitNOFILE=65536
UMask=0077
{sandbox}
[Install]
WantedBy={target}
"""


def name_of(member: Member) -> str:
    """The unit of a node or the proxy."""
    return f"heliosdb-{member.name}.service"


def path_of(host: HostEntry, member: Member) -> str:
    """Where its unit lies on a host."""
    directory = SYSTEM_DIRECTORY if host.service == "systemd" else USER_DIRECTORY
    return f"{directory}/{name_of(member)}"


def text(cluster: LocalCluster, member: Member, arguments: Sequence[str], *, is_system: bool) -> str:
    """The unit of a node or the proxy that is run with these arguments, for the system's manager or that of a user.

    Raises:
        HostError: its host cannot be reached, which knows the paths.
    """
    directory = machines.whole(cluster, member, cluster.place(member))
    words = [*machines.program(cluster, member), *arguments]
    return UNIT.format(
        what="proxy" if isinstance(member, LocalProxy) else "observer" if member.is_observer else "node",
        name=member.name, directory=directory, log=machines.whole(cluster, member, cluster.log_file(member)),
        command=" ".join(map(_quoted, words)),
        sandbox=SANDBOX.format(directory=directory) if is_system else "",
        target="multi-user.target" if is_system else "default.target",
    )  # fmt: skip


def _quoted(word: str) -> str:
    """A word as systemd.syntax(7) takes it."""
    word = word.replace("%", "%%").replace("$", "$$")
    if not set(word) & set(" \t\"'\\;"):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def install(machine: There, cluster: LocalCluster, member: Member, arguments: Sequence[str]) -> bool:
    """Have the unit there as it should be, and begun with its machine; whether it was another one before.

    Raises:
        HeliosError: the host has no systemd that takes it. OSError: it cannot be written.
    """
    host = cluster.host_of(member)
    assert host is not None
    if not machine.about["systemctl"]:
        raise HeliosError(
            f"{host.name} has no systemctl", sqlstate="55000", hint='Write service = "process" in its [hosts] table.'
        )
    content = text(cluster, member, arguments, is_system=host.service == "systemd")
    try:
        is_new = bool(machine.ask("write", path_of(host, member), content.encode(), 0o644))
    except PermissionError as error:
        raise HeliosError(
            f"{host.user or 'you'} may not write {error.filename}", sqlstate="42501",
            hint='Log in as root there, or write service = "systemd-user" in its [hosts] table.',
        ) from None  # fmt: skip
    if is_new:
        must(machine, host, "daemon-reload")
    must(machine, host, "enable", name_of(member))
    return is_new


def uninstall(machine: Machine, host: HostEntry, member: Member) -> bool:
    """Take the unit away; whether it was there. Raises HeliosError when systemd does not let it go."""
    if not machine.ask("exists", path_of(host, member)):
        return False
    must(machine, host, "disable", name_of(member))
    machine.ask("remove", path_of(host, member))
    must(machine, host, "daemon-reload")
    return True


def systemctl(machine: Machine, host: HostEntry, *words: str) -> tuple[int, str, str]:
    """Exit code, output and complaints of a host's ``systemctl``."""
    manager = ["--user"] if host.service == "systemd-user" else []
    code, out, err = machine.ask("run", ["systemctl", *manager, *words], STOP_S if "stop" in words else TALK_S)
    return int(code), str(out), str(err)


def must(machine: Machine, host: HostEntry, *words: str) -> None:
    """Have ``systemctl`` do something. HeliosError: it does not; its own words say why."""
    code, _, err = systemctl(machine, host, *words)
    if code:
        said = err.strip().splitlines()
        hint = None
        if host.service == "systemd-user" and "connect to" in err:
            hint = f"Nobody of that name is logged in there: loginctl enable-linger {host.user or '$USER'}, as root."
        raise HeliosError(
            f"{host.name}: systemctl {' '.join(words)} ended with {code}", detail=said[-1] if said else None, hint=hint
        )
