"""The cluster's secret: what nodes of one cluster prove to each other that they know."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from helios_cli.engine.errors import ConfigError
from helios_cli.engine.storage.files import OsFiles

VARIABLE: Final = "HELIOSDB_CLUSTER_SECRET"
NAME: Final = "cluster.secret"

SECRET_HINT: Final = (
    "Give every node the same HELIOSDB_CLUSTER_SECRET (or cluster_secret_file); the first primary's is in "
    "control/cluster.secret of its data directory."
)


def load_secret(control_dir: str, file: str, environment: Mapping[str, str] = os.environ) -> bytes:
    """The secret from the environment, else from ``file``, else from the data directory; empty when there is none.

    Raises:
        ConfigError: ``file`` was given and cannot be read, or is empty.
    """
    if environment.get(VARIABLE):
        return environment[VARIABLE].encode()
    path = Path(file) if file else Path(control_dir) / NAME
    try:
        secret = path.read_bytes().strip()
    except OSError as error:
        if not file:
            return b""
        raise ConfigError(f"cannot read cluster_secret_file {file}: {error.strerror}") from error
    if not secret:
        raise ConfigError(f"{path} is empty", hint="Write the cluster's secret into it.")
    return secret


def create_secret(control_dir: str) -> bytes:
    """Draw a secret for a cluster that is born here, readable by this user alone."""
    secret = secrets.token_hex(32).encode()
    path = Path(control_dir) / NAME
    unfinished = path.with_name(f"{NAME}.new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, secret + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    # Under its name it is whole: a crash must not leave an empty one, with which no node starts.
    unfinished.rename(path)
    OsFiles().sync_dir(control_dir)
    return secret
