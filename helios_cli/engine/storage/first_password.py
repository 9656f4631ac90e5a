"""The password that the first role of a database is born with, so that its node may listen on a network at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from helios_cli.engine.errors import ConfigError
from helios_cli.engine.sql.ddl_schema import BOOTSTRAP_ROLE_OID

VARIABLE: Final = "HELIOSDB_INITIAL_PASSWORD"

SET_PASSWORD: Final = f"UPDATE main.helios_role SET rolpassword = ? WHERE oid = {BOOTSTRAP_ROLE_OID}"


def load_first_password(file: str, environment: Mapping[str, str] = os.environ) -> str:
    """The password from the environment, else the first line of ``file``; empty when neither is given.

    Raises:
        ConfigError: ``file`` was given and cannot be read, or its first line is empty.
    """
    if environment.get(VARIABLE):
        return environment[VARIABLE]
    if not file:
        return ""
    try:
        password = Path(file).read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigError(f"cannot read initial_password_file {file}: {reason}") from error
    if not password:
        raise ConfigError(f"{file} is empty", hint="Write the password into its first line.")
    return password
