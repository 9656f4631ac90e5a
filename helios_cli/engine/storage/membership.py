"""What a data directory remembers of its place in the cluster: its role, and whom it followed last."""

from __future__ import annotations

import json
from typing import Final

from helios_cli.engine.config.roles import Role
from helios_cli.engine.errors import LogDamaged
from helios_cli.engine.ports import Files
from helios_cli.engine.storage.files import as_helios_error

NAME: Final = "role.json"
VERSION: Final = 1
_ROLES: Final = ("standalone", "primary", "standby", "observer")


def load_role(files: Files, directory: str) -> Role | None:
    """The role that was put down; None where none was.

    Raises:
        LogDamaged: the file cannot be understood.
        IoFailed: it cannot be read.
    """
    path = f"{directory}/{NAME}"
    if not files.exists(path):
        return None
    try:
        file = files.open(path)
        try:
            data = file.pread(file.size(), 0)
        finally:
            file.close()
    except OSError as error:
        raise as_helios_error(error, f"read {path}") from error
    try:
        content = json.loads(data)
        role = Role(str(content["role"]), str(content["primary_host"]), int(content["primary_port"]))
        if content["version"] != VERSION or role.name not in _ROLES:
            raise ValueError(f"version {content['version']}, role {role.name}")
    except (ValueError, KeyError, TypeError) as error:
        raise LogDamaged(
            f"the role of this node in {path} cannot be read: {error}",
            hint="Remove the file, and start the node with --replication-role and --primary-host.",
        ) from error
    return role


def save_role(files: Files, directory: str, role: Role) -> None:
    """Put a role down; on disk when this returns.

    Raises:
        DiskFull, IoFailed: the file system refused; the one before stands.
    """
    path = f"{directory}/{NAME}"
    content = {
        "version": VERSION,
        "role": role.name,
        "primary_host": role.primary_host,
        "primary_port": role.primary_port,
    }
    try:
        files.makedirs(directory)
        file = files.open(f"{path}.new", create=True)
        try:
            file.truncate(0)
            file.pwrite((json.dumps(content) + "\n").encode(), 0)
            file.sync()
        finally:
            file.close()
        files.rename(f"{path}.new", path)
        files.sync_dir(directory)
    except OSError as error:
        raise as_helios_error(error, f"write {path}") from error
