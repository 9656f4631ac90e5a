"""Writing configuration files so that comments survive and a crash leaves the old file or the new one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from helios_cli.engine.config.load import AUTO_NAME
from helios_cli.engine.config.registry import ALL_SETTINGS, find
from helios_cli.engine.config.spec import BadSetting, Kind, Setting, Value
from helios_cli.engine.errors import ConfigError, IoFailed

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

_AUTO_HEADER = "# Written by ALTER SYSTEM; stronger than heliosdb.conf, weaker than the environment and flags.\n"


def write_auto(directory: str, name: str, value: object | None) -> Setting:
    """What ``ALTER SYSTEM SET name = value`` keeps in ``D/heliosdb.auto.conf``.

    Args:
        name: SQL name or dotted key.
        value: None removes the entry (``RESET``).
    Returns:
        The setting, whose ``reload`` tells whether a restart is needed.
    Raises:
        ConfigError: unknown (42704), not to be set this way (55P02), or refused (22023).
        IoFailed: the file could not be read or written; the old one is as it was.
    """
    setting = find(name)
    check_auto(setting)
    parsed = None if value is None else _parsed(setting, value)
    path = os.path.join(directory, AUTO_NAME)
    try:
        document = _load(path)
        _put(document, setting, parsed)
        replace_file(path, document.as_string())
    except OSError as error:
        raise IoFailed(f'could not write file "{path}": {error.strerror}') from error
    return setting


def check_auto(setting: Setting) -> None:
    """Refuse what ALTER SYSTEM may not set.

    Raises:
        ConfigError: 55P02, as PostgreSQL says it.
    """
    if not setting.auto:
        raise ConfigError(
            f'parameter "{setting.name}" cannot be changed', sqlstate="55P02",
            hint="It is given when the node starts: as a flag, in the environment, or in heliosdb.conf.",
        )  # fmt: skip


def reset_auto(directory: str) -> None:
    """What ``ALTER SYSTEM RESET ALL`` does: forget every entry."""
    path = os.path.join(directory, AUTO_NAME)
    try:
        replace_file(path, _AUTO_HEADER)
    except OSError as error:
        raise IoFailed(f'could not write file "{path}": {error.strerror}') from error


def replace_file(path: str, text: str) -> None:
    """Write a file as a whole: a temporary beside it, synced, renamed over it, and the directory synced.

    Raises:
        OSError: the old file is as it was.
    """
    temporary = f"{path}.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
    directory = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def template() -> str:
    """A commented heliosdb.conf: every setting with its meaning and default, all switched off by ``#``."""
    tables: dict[str, list[str]] = {}
    for setting in ALL_SETTINGS:
        if not setting.in_table:
            table, _, key = setting.key.rpartition(".")
            lines = tables.setdefault(table, [f"\n[{table}]"])
            lines.append(f"# {key} = {toml_literal(setting)}  # {setting.help}")
    head = "# heliosdb.conf: every setting with its default. Remove the first # of a line to change it."
    return "\n".join([head, *(line for lines in tables.values() for line in lines)]) + "\n"


def toml_literal(setting: Setting) -> str:
    """The default of a setting as TOML; an unset one is an empty text."""
    import tomlkit

    value = setting.default
    shown: object = setting.show(value) if setting.kind is Kind.QUANTITY else value
    return tomlkit.item(list(shown) if isinstance(shown, tuple) else "" if shown is None else shown).as_string()


def _parsed(setting: Setting, value: object) -> Value:
    try:
        return setting.parse(value)
    except BadSetting as error:
        raise ConfigError(error.message, sqlstate="22023", hint=error.hint) from None


def _load(path: str) -> TOMLDocument:
    import tomlkit  # 60 ms that only writing needs
    from tomlkit.exceptions import ParseError

    try:
        with open(path, encoding="utf-8") as file:
            return tomlkit.parse(file.read())
    except FileNotFoundError:
        return tomlkit.parse(_AUTO_HEADER)
    except (ParseError, UnicodeDecodeError) as error:
        raise ConfigError(f'"{path}" is damaged: {error}', hint="Repair or remove it.") from error


def _put(document: TOMLDocument, setting: Setting, value: Value | None) -> None:
    import tomlkit

    *tables, key = setting.key.split(".")
    place = document
    for name in tables:
        if name not in place:
            if value is None:
                return
            place[name] = tomlkit.table()
        place = place[name]
    if value is not None:
        place[key] = list(value) if isinstance(value, tuple) else value
    elif key in place:
        del place[key]
