"""What a node is when it starts, and how an empty data directory finds the cluster that it joins."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from helios_cli.engine.config.roles import Role, decide_role
from helios_cli.engine.config.settings import Settings
from helios_cli.engine.consensus.config import ClusterConfig, address
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.node import report
from helios_cli.engine.node.authority import refuse_another
from helios_cli.engine.node.peer_call import reach
from helios_cli.engine.node.peer_link import Identity, PeerLink, introduce
from helios_cli.engine.node.peer_tls import PeerTls
from helios_cli.engine.replication import messages
from helios_cli.engine.storage.configlog import ConfigLog
from helios_cli.engine.storage.control import ControlFile
from helios_cli.engine.storage.files import OsFiles
from helios_cli.engine.storage.first_password import load_first_password
from helios_cli.engine.storage.membership import load_role, save_role
from helios_cli.engine.storage.secret import load_secret
from helios_cli.engine.storage.store import DATABASE_NAME, refuse_remains
from helios_cli.engine.types import LSN_MAX, Term

log = logging.getLogger(__name__)

RETRY_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a node must know before it opens its data directory."""

    role: Role
    cluster_id: bytes | None
    """Of the cluster that an empty directory joins; None: it founds one, or has one."""
    secret: bytes
    """The cluster's; empty when there is none yet."""
    follows: bool
    """It shows only what is known to be committed until it is told more, or leads again: every node but one that is
    alone in its cluster."""
    first_password: str = ""
    """What the role helios is born with in a database that is founded here; empty: none."""


async def find_beginning(settings: Settings, tls: Callable[[], PeerTls]) -> Beginning:
    """The role that the directory remembers or the settings give; an empty standby waits for somebody to answer.

    ``tls`` gives what the next connection is made with.

    Raises:
        ConfigError: a new standby has no primary to join, the secret or the first password cannot be read, or the
            cluster has another authority than the settings.
        HeliosError: the directory cannot be read or written.
    """
    files = OsFiles()
    control_dir = f"{settings.data_dir}/control"
    secret = load_secret(control_dir, settings.cluster_secret_file)
    known = load_role(files, control_dir)
    empty = not ControlFile.exists(files, control_dir)
    if empty:
        refuse_remains(files, control_dir, f"{settings.data_dir}/log", f"{settings.data_dir}/db/{DATABASE_NAME}")
    decision = decide_role(settings, known if known is not None or empty else Role("standalone"))
    for warning in decision.warnings:
        log.warning("%s", warning)
    role = decision.role
    cluster_id = None
    if empty and role.name == "standby":
        own = Identity(
            report.node_id(settings), "", "", role.name, settings.replication_mode, settings.advertise_address,
            settings.pg_port, settings.native_port, settings.http_port,
        )  # fmt: skip
        welcome = await find_cluster(own, secret, tls, role.primary_host, role.primary_port)
        refuse_another(settings, welcome.authority)
        cluster_id = bytes.fromhex(welcome.cluster_id)
    if empty and known is None:
        save_role(files, control_dir, role)
    has_others = False
    if not empty:
        configs = configs_on_disk(files, control_dir)
        if configs:
            refuse_another(settings, configs[-1].authority)
        # The newest may never have been agreed on: whoever it leaves out may lead.
        members = [member for config in configs for member in config.members]
        has_others = any(member.incarnation != _own_disk(files, control_dir) for member in members)
    follows = role.name == "standby" or has_others
    founds = empty and role.name != "standby"
    password = load_first_password(settings.initial_password_file) if founds else ""
    return Beginning(role, cluster_id, secret, follows, password)


def _own_disk(files: OsFiles, control_dir: str) -> str:
    control = ControlFile.open(files, control_dir)
    incarnation = control.record.incarnation.hex()
    control.close()
    return incarnation


def configs_on_disk(files: OsFiles, control_dir: str) -> tuple[ClusterConfig, ...]:
    """The configurations that the directory holds, the oldest first; none before the first."""
    configs = ConfigLog(files, control_dir, LSN_MAX)
    try:
        return configs.all()
    finally:
        configs.close()


async def find_cluster(
    own: Identity, secret: bytes, tls: Callable[[], PeerTls], host: str, port: int
) -> messages.Welcome:
    """Who answers at an address; asks again and again until somebody does."""
    told = ""
    while True:
        link = PeerLink(lambda: Term(0), tls=tls())
        try:
            await reach(link, host, port)
            return await introduce(link, own, secret)
        except (OSError, HeliosError, TimeoutError) as error:
            reason = getattr(error, "message", None) or str(error) or "no answer"
            hint = getattr(error, "hint", None)
            reason += f" (hint: {hint})" if hint else ""
            if reason != told:
                log.warning("cannot join the cluster at %s yet: %s", address(host, port), reason)
                told = reason
        finally:
            link.close()
        await asyncio.sleep(RETRY_S)
