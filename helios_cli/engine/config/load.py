"""Finding and reading the files of a configuration. Only ``write.py`` and ``proxy_load.py`` touch files besides."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from helios_cli.engine.config.merge import merge
from helios_cli.engine.config.problems import Problem
from helios_cli.engine.config.registry import BY_NAME, NODE_SETTINGS
from helios_cli.engine.config.settings import Origin, Settings
from helios_cli.engine.config.source import Entry, read_entries

FILE_NAME = "heliosdb.conf"
AUTO_NAME = "heliosdb.auto.conf"
SYSTEM_FILE = "/etc/heliosdb/heliosdb.conf"
BYTES_MAX = 4 << 20
"""A configuration file larger than this is a mistake."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings and what was odd about them."""

    settings: Settings
    warnings: tuple[Problem, ...]


def load_settings(
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    *,
    config: str | None = None,
    system_file: str = SYSTEM_FILE,
) -> Loaded:
    """Read every source and build the settings.

    The file is the first of ``config``, ``HELIOSDB_CONFIG``, ``D/heliosdb.conf`` and the system's; only one is read.

    Args:
        flags: by setting name; None means not given.
        config: the file named by ``--config``.
    Raises:
        ConfigProblems: with every mistake of every source.
    """
    problems: list[Problem] = []
    path, origin = _choose_file(flags, environ, config, system_file)
    entries = read_file(path, "file", origin, problems) if path is not None else []
    directory = _data_dir(flags, environ, entries)
    auto_path = os.path.join(directory, AUTO_NAME)
    auto = read_file(auto_path, "auto", None, problems) if os.path.exists(auto_path) else []
    settings, warnings = merge(flags, environ, auto, entries, config_file=path, problems=problems)
    return Loaded(settings, warnings)


def load_again(settings: Settings) -> Settings:
    """Read the files once more for a running node (``pg_reload_conf()``, SIGHUP).

    Only settings marked ``reload`` change; flags and environment hold as they were at the start.

    Raises:
        ConfigProblems: the files have mistakes; the node goes on with what it has.
    """
    strong: dict[str, object] = {}
    for name, origin in settings.origins.items():
        if origin.kind in ("flag", "environment"):
            strong[name] = settings.recorded[name] if name in settings.recorded else getattr(settings, name)
    flags = {"data_dir": settings.data_dir, **strong}
    problems: list[Problem] = []
    path = settings.config_file or _choose_file(flags, {}, None, SYSTEM_FILE)[0]
    entries = read_file(path, "file", None, problems) if path is not None else []
    auto_path = os.path.join(settings.data_dir, AUTO_NAME)
    auto = read_file(auto_path, "auto", None, problems) if os.path.exists(auto_path) else []
    fresh, _ = merge(flags, {}, auto, entries, config_file=path, problems=problems)
    changed = {row.name: getattr(fresh, row.name) for row in NODE_SETTINGS if row.reload}
    started = {row.name for row in NODE_SETTINGS if not row.reload}
    origins = {name: origin for name, origin in fresh.origins.items() if name not in started and name not in strong}
    kept = {name: origin for name, origin in settings.origins.items() if name in started or name in strong}
    return replace(settings, **changed, recorded=fresh.recorded, origins={**origins, **kept}, config_file=path)


def _choose_file(
    flags: Mapping[str, object], environ: Mapping[str, str], config: str | None, system_file: str
) -> tuple[str | None, Origin | None]:
    """The file to read and, when someone named it, who; None when there is none."""
    if config:
        return config, Origin("flag", "--config")
    if environ.get("HELIOSDB_CONFIG"):
        return environ["HELIOSDB_CONFIG"], Origin("environment", "HELIOSDB_CONFIG")
    for candidate in (os.path.join(_data_dir(flags, environ, []), FILE_NAME), system_file):
        if os.path.exists(candidate):
            return candidate, None
    return None, None


def _data_dir(flags: Mapping[str, object], environ: Mapping[str, str], entries: list[Entry]) -> str:
    row = BY_NAME["data_dir"]
    for raw in (flags.get("data_dir"), *(environ.get(name) for name in row.environment)):
        if raw:
            return str(raw)
    for entry in entries:
        if entry.pattern == row.key and isinstance(entry.raw, str):
            return entry.raw
    return str(row.default)


def read_file(path: str, kind: str, named_by: Origin | None, problems: list[Problem]) -> list[Entry]:
    """The entries of a TOML file; what is wrong with it is added to ``problems``. ``named_by`` said to read it."""
    try:
        with open(path, "rb") as file:
            data = file.read(BYTES_MAX + 1)
        if len(data) > BYTES_MAX:
            raise OSError(f"larger than {BYTES_MAX} bytes")
        text = data.decode()
    except OSError as error:
        reason = error.strerror or str(error)
        hint = None if named_by is None else f"It was named by {named_by}."
        problems.append(Problem(Origin(kind, path), "", f"could not open file: {reason}", hint))
        return []
    except UnicodeDecodeError:
        problems.append(Problem(Origin(kind, path), "", "not UTF-8"))
        return []
    entries, mistakes = read_entries(text, path, kind)
    problems.extend(mistakes)
    return entries
