"""What a data directory remembers of its place in the cluster: its role, and whom it followed last."""

from __future__ import annotations

import json
from typing import Final

from helios_cli.engine.config.roles import Role
from helios_cli.engine.errors import LogDamaged
from helios_cli.engine.ports import Files
from helios_cli.engine.storage.files import as_helios_error
from helios_cli.engine.storage.twoslots import TwoSlots

NAME: Final = "role"
OLD_NAME: Final = "role.json"
"""Of the file that the first versions wrote: the content alone, replaced by renaming."""

SLOT_BYTES: Final = 1 << 10
VERSION: Final = 1
_HINT: Final = "Remove the file, and start the node with --replication-role and --primary-host."
_ROLES: Final = ("standalone", "primary", "standby", "observer")


def load_role(files: Files, directory: str) -> Role | None:
    """The role that was put down; None where none was. What an older version put down is put into the present form.

    Raises:
        LogDamaged: the file cannot be understood.
        DiskFull, IoFailed: it cannot be read, or written in the present form.
    """
    path = f"{directory}/{NAME}"
    try:
        file = TwoSlots(files, path, SLOT_BYTES)
    except LogDamaged as error:
        raise LogDamaged(error.message, hint=_HINT) from error
    file.close()
    if file.content is not None:
        return _parsed(file.content, path)
    path = f"{directory}/{OLD_NAME}"
    if not files.exists(path):
        return None
    role = _parsed(_read(files, path), path)
    save_role(files, directory, role)
    return role


def save_role(files: Files, directory: str, role: Role) -> None:
    """Put a role down; on disk when this returns. Needs no room but the first time: a full disk can still step down.

    Raises:
        DiskFull, IoFailed: the file system refused; the one before stands.
        LogDamaged: the file that is there cannot be understood.
    """
    content = {
        "version": VERSION,
        "role": role.name,
        "primary_host": role.primary_host,
        "primary_port": role.primary_port,
    }
    old = f"{directory}/{OLD_NAME}"
    try:
        files.makedirs(directory)
        file = TwoSlots(files, f"{directory}/{NAME}", SLOT_BYTES)
        try:
            file.replace(json.dumps(content).encode())
        finally:
            file.close()
        if files.exists(old):
            files.unlink(old)
            files.sync_dir(directory)
    except OSError as error:
        raise as_helios_error(error, f"write {directory}/{NAME}") from error


def _read(files: Files, path: str) -> bytes:
    try:
        file = files.open(path)
        try:
            return file.pread(file.size(), 0)
        finally:
            file.close()
    except OSError as error:
        raise as_helios_error(error, f"read {path}") from error


def _parsed(data: bytes, path: str) -> Role:
    try:
        content = json.loads(data)
        role = Role(str(content["role"]), str(content["primary_host"]), int(content["primary_port"]))
        if content["version"] != VERSION or role.name not in _ROLES:
            raise ValueError(f"version {content['version']}, role {role.name}")
    except (ValueError, KeyError, TypeError) as error:
        raise LogDamaged(
            f"the role of this node in {path} cannot be read: {error}",
            hint=_HINT,
        ) from error
    return role
