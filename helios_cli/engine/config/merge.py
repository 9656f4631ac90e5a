"""Values from flags, environment and files to one ``Settings``: flag > environment > auto file > file > default.

Pure: what was read from files and environment is handed in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from helios_cli.engine.config.checks import cross_check
from helios_cli.engine.config.problems import ConfigProblems, Problem
from helios_cli.engine.config.registry import ALL_SETTINGS, BY_KEY, BY_NAME, OTHER_ENVIRONMENT, did_you_mean
from helios_cli.engine.config.settings import Origin, Settings
from helios_cli.engine.config.source import Entry
from helios_cli.engine.config.spec import BadSetting, Setting, Value


@dataclass(slots=True)
class Merged:
    """What has been gathered so far; the first source to set a value keeps it."""

    values: dict[str, Value] = field(default_factory=dict)
    """By setting name; members of tables by their shown key."""
    origins: dict[str, Origin] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def put(self, setting: Setting, name: str, raw: object, origin: Origin, key: str) -> None:
        """Check a value, and keep it unless a stronger source has set the same one."""
        try:
            value = setting.parse(raw)
        except BadSetting as error:
            self.problems.append(Problem(origin, key, error.message, error.hint))
            return
        if name not in self.origins:
            self.values[name] = value
            self.origins[name] = origin

    def refuse(self, origin: Origin, key: str, message: str, hint: str | None = None) -> None:
        """Note a mistake."""
        self.problems.append(Problem(origin, key, message, hint))


def merge(
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    auto: Sequence[Entry],
    file: Sequence[Entry],
    *,
    config_file: str | None = None,
    problems: Iterable[Problem] = (),
) -> tuple[Settings, tuple[Problem, ...]]:
    """Build the settings.

    Args:
        flags: by setting name; None means the flag was not given.
        problems: mistakes found earlier, while reading.
    Returns:
        The settings and the warnings.
    Raises:
        ConfigProblems: something cannot be used; it names everything at once.
    """
    merged = Merged(problems=list(problems))
    _take_flags(merged, flags)
    _take_environment(merged, environ)
    _take_entries(merged, auto)
    _take_entries(merged, file)
    settings = build(merged, config_file)
    if not any(not one.warning for one in merged.problems):
        merged.problems.extend(cross_check(settings))
    errors = [one for one in merged.problems if not one.warning]
    if errors:
        raise ConfigProblems(errors)
    return settings, tuple(merged.problems)


def build(merged: Merged, config_file: str | None) -> Settings:
    """Make the record; settings nobody set keep their defaults."""
    recorded: dict[str, Value] = {
        one.key: one.default for one in ALL_SETTINGS if one.recorded and not one.in_table and one.default is not None
    }
    chosen: dict[str, Value] = {}
    for name, value in merged.values.items():
        setting = BY_NAME.get(name)
        if setting is not None and not setting.recorded:
            chosen[name] = value
        else:
            recorded[name] = value
    if not chosen.get("node_id"):
        chosen["node_id"] = f"node-{chosen.get('pg_port', BY_NAME['pg_port'].default)}"
    return Settings(
        **chosen,  # type: ignore[arg-type]  # each value was read by the row its field declares
        recorded=recorded,
        origins=dict(merged.origins),
        config_file=config_file,
    )


def _take_flags(merged: Merged, flags: Mapping[str, object]) -> None:
    for name, raw in flags.items():
        if raw is None:
            continue
        setting = BY_NAME.get(name) or BY_KEY.get(name, (None,))[0]
        flag = (setting.flag if setting is not None else None) or f"--set {name}"
        origin = Origin("flag", flag)
        if setting is None or setting.in_table:
            merged.refuse(
                origin, name, f'unrecognized configuration parameter "{name}"', did_you_mean(name, (*BY_NAME, *BY_KEY))
            )
        else:
            merged.put(setting, setting.name, raw, origin, flag)


def _take_environment(merged: Merged, environ: Mapping[str, str]) -> None:
    known = set(OTHER_ENVIRONMENT)
    for setting in ALL_SETTINGS:
        known.update(setting.environment)
        for variable in setting.environment:
            if environ.get(variable):  # an empty variable is how containers say "not set"
                merged.put(setting, setting.name, environ[variable], Origin("environment", variable), variable)
    for variable in sorted(environ):
        if not variable.startswith("HELIOSDB_") or variable.startswith("HELIOSDB_PROXY_") or variable in known:
            continue
        hint = did_you_mean(variable, known, cutoff=0.85)  # only misspellings: scripts keep variables of their own
        if hint is not None:
            message = f'environment variable "{variable}" is not known and has no effect'
            merged.problems.append(Problem(Origin("environment", variable), variable, message, hint, warning=True))


def _take_entries(merged: Merged, entries: Sequence[Entry]) -> None:
    for entry in entries:
        rows = BY_KEY.get(entry.pattern)
        if rows is None:
            hint = did_you_mean(entry.pattern, BY_KEY)
            merged.refuse(entry.origin, entry.key, f'unrecognized configuration parameter "{entry.key}"', hint)
        elif entry.origin.kind == "auto" and not rows[0].auto:
            merged.refuse(entry.origin, entry.key, f'parameter "{entry.key}" cannot be set by ALTER SYSTEM')
        else:
            setting = _fitting(rows, entry.raw)
            name = entry.key if setting.in_table else setting.name
            merged.put(setting, name, entry.raw, entry.origin, entry.key)
    merged.problems.extend(missing_members(entries, ALL_SETTINGS))


def _fitting(rows: tuple[Setting, ...], raw: object) -> Setting:
    """The row of a shared key that takes the value; the first when none does, for its message."""
    for row in rows:
        try:
            row.parse(raw)
        except BadSetting:
            continue
        return row
    return rows[0]


def missing_members(entries: Sequence[Entry], known: Iterable[Setting]) -> list[Problem]:
    """A problem for each table that lacks a member it has to have, of those ``known``."""
    required = [one for one in known if one.required]
    present: dict[str, tuple[str, Origin, set[str]]] = {}
    for entry in entries:
        pattern, _, member = entry.pattern.rpartition(".")
        if pattern.endswith(("[]", ".*")):
            present.setdefault(entry.table, (pattern, entry.origin, set()))[2].add(member)
    problems = []
    for table, (pattern, origin, members) in present.items():
        for setting in required:
            parent, _, member = setting.key.rpartition(".")
            if parent == pattern and member not in members:
                problems.append(Problem(origin, table, f'"{table}" has no "{member}"'))
    return problems
