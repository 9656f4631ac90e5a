"""Finding and reading proxy.toml and what it names; again whenever it has changed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from helios_cli.engine.config.load import read_file
from helios_cli.engine.config.problems import Problem
from helios_cli.engine.config.proxy import ProxySettings
from helios_cli.engine.config.proxy_checks import Gathered
from helios_cli.engine.config.proxy_merge import Secrets, build, gather
from helios_cli.engine.config.proxy_table import CONFIG_VARIABLE, FILES, PASSWORD_VARIABLE
from helios_cli.engine.config.settings import Origin
from helios_cli.engine.config.spec import Value

SYSTEM_FILE = "/etc/heliosdb/proxy.toml"
TOKEN_NAME = "proxy.token"
SECRET_BYTES_MAX = 4096

Stamp = tuple[tuple[int, int, int] | None, ...]
"""Inode, time of change and size of each file; None for one that is not there."""


@dataclass(frozen=True, slots=True)
class LoadedProxy:
    """Settings, where they come from, and what was odd about them."""

    settings: ProxySettings
    """The admin token is missing until :func:`proxyserver.reloading.with_token` has read or drawn it."""
    warnings: tuple[Problem, ...] = ()
    config_file: str | None = None
    """The proxy.toml that was read; None when there was none."""
    token_file: str = TOKEN_NAME
    """Where the token of the verbs is, or will be."""
    files: tuple[str, ...] = ()
    """All files that were read, proxy.toml first: to be watched."""
    stamp: Stamp = ()
    """Theirs, from before they were read."""
    values: Mapping[str, Value] = field(default_factory=dict)
    """What was given, by key."""
    origins: Mapping[str, Origin] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    """As it was at the start: it holds for every reload."""


def load_proxy(environ: Mapping[str, str], config: str | None = None, system_file: str = SYSTEM_FILE) -> LoadedProxy:
    """Read every source and build the settings.

    The file is the first of ``config`` (``--config``), HELIOSDB_PROXY_CONFIG and the system's; without one the
    defaults hold. Files that it names are looked for in its directory.

    Raises:
        ConfigProblems: with every mistake of every source.
    """
    problems: list[Problem] = []
    path, named_by = _choose(environ, config, system_file)
    before = stamp((path,) if path is not None else ())
    entries = read_file(path, "file", named_by, problems) if path is not None else []
    found = gather(environ, entries, problems)
    directory = os.path.dirname(path) if path is not None else ""
    values = _beside(found.values, directory)
    found = Gathered(values, found.origins, found.problems)
    named = [str(values[key]) for key in (*FILES, "proxy.auth_password_file") if values.get(key)]
    named += [str(value) for key, value in values.items() if key.endswith(".password_file")]
    stamps = (*before, *stamp(named))
    secrets = _secrets(found, environ)
    for key in FILES:
        if values.get(key):
            _readable(found, key)
    _guarded(found, path)
    settings, warnings = build(found, secrets)
    token_file = str(values.get("proxy.admin_token_file") or os.path.join(directory, TOKEN_NAME))
    return LoadedProxy(
        settings, warnings, path, token_file, (*([path] if path is not None else []), *named), stamps, values,
        found.origins,
        {name: text for name, text in environ.items() if name.startswith("HELIOSDB_PROXY_")},
    )  # fmt: skip


def load_proxy_again(loaded: LoadedProxy) -> LoadedProxy:
    """Read the files once more, the same ones; the token stays. Raises ConfigProblems: the proxy goes on as it is."""
    fresh = load_proxy(loaded.environ, loaded.config_file, system_file="")
    return replace(fresh, settings=replace(fresh.settings, admin_token=loaded.settings.admin_token))


def stamp(files: Sequence[str]) -> Stamp:
    """What changes when one of the files does. Touches the disk, and never blocks for long."""
    found: list[tuple[int, int, int] | None] = []
    for file in files:
        try:
            status = os.stat(file)
        except OSError:
            found.append(None)
        else:
            found.append((status.st_ino, status.st_mtime_ns, status.st_size))
    return tuple(found)


def _choose(environ: Mapping[str, str], config: str | None, system_file: str) -> tuple[str | None, Origin | None]:
    if config:
        return config, Origin("flag", "--config")
    if environ.get(CONFIG_VARIABLE):
        return environ[CONFIG_VARIABLE], Origin("environment", CONFIG_VARIABLE)
    return (system_file, None) if system_file and os.path.exists(system_file) else (None, None)


def _beside(values: Mapping[str, Value], directory: str) -> dict[str, Value]:
    """The values, with files as paths from here on."""
    named = (*FILES, "proxy.auth_password_file", "proxy.admin_token_file")
    return {key: os.path.join(directory, str(value)) if value and (key in named or key.endswith(".password_file"))
            else value for key, value in values.items()}  # fmt: skip


def _secrets(found: Gathered, environ: Mapping[str, str]) -> Secrets:
    key = "proxy.auth_password_file"
    password = environ.get(PASSWORD_VARIABLE, "")
    if password and not found.value("proxy.auth_user"):
        origin = Origin("environment", PASSWORD_VARIABLE)
        found.problems.append(Problem(origin, PASSWORD_VARIABLE, f'"{PASSWORD_VARIABLE}" needs "auth_user"'))
    if not password and found.value(key):
        password = _secret(found, key)
    users = {
        number: _secret(found, f"users[{number}].password_file")
        for number, user in enumerate(found.tables("users")) if user.get("password_file")
    }  # fmt: skip
    return Secrets(password, users)


def _secret(found: Gathered, key: str) -> str:
    """The password in a file that others cannot read; empty with a problem noted."""
    path = str(found.values[key])

    def refuse(message: str, hint: str | None = None) -> str:
        found.problems.append(Problem(found.origin(key), key, message, hint))
        return ""

    try:
        with open(path, "rb") as file:
            mode, data = os.fstat(file.fileno()), file.read(SECRET_BYTES_MAX + 1)
    except OSError as error:
        return refuse(f'cannot read "{path}": {error.strerror or error}')
    # As PostgreSQL wants of a key: its owner's alone, or root's and a group's.
    if mode.st_mode & (0o027 if mode.st_uid == 0 else 0o077):
        return refuse(f'"{path}" may be read by others (mode {mode.st_mode & 0o777:04o})', f"Run: chmod 600 {path}")
    try:
        text = data.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        return refuse(f'"{path}" holds no text')
    if not text or len(data) > SECRET_BYTES_MAX or "\n" in text:
        return refuse(f'"{path}" does not hold a password alone, on one line')
    return text


def _readable(found: Gathered, key: str) -> None:
    path = str(found.values[key])
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        message = f'cannot read "{path}" of "{key}": {error.strerror or error}'
        found.problems.append(Problem(found.origin(key), key, message))


def _guarded(found: Gathered, path: str | None) -> None:
    """A warning for a proxy.toml with passwords in it that others can read."""
    if path is None or not any(user.get("password") for user in found.tables("users")):
        return
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return
    if mode & 0o077:
        told = f"it holds passwords and may be read by others (mode {mode & 0o777:04o})"
        found.problems.append(Problem(Origin("file", path), "", told, f"Run: chmod 600 {path}", warning=True))
