"""``config``: show, check, write and change settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from helios_cli.commands import _admin, _options
from helios_cli.commands._errors import ExitCode, Refused
from helios_cli.commands._output import plain, print_json, print_table
from helios_cli.engine.config.problems import ConfigProblems, Problem
from helios_cli.engine.config.registry import ALL_SETTINGS, NODE_SETTINGS, find
from helios_cli.engine.config.settings import Settings
from helios_cli.engine.config.spec import BadSetting, Setting, Value
from helios_cli.engine.errors import ConfigError

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Show, check, write and change settings.")


@app.command()
def show(
    name: Annotated[str | None, typer.Argument(help="One setting only.")] = None,
    origin: Annotated[bool, typer.Option("--origin", help="Tell where each value comes from.")] = False,
    changed: Annotated[bool, typer.Option("--changed", help="Only what differs from its default.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Also settings of clusters, tenants and masters.")] = False,
    data_dir: _options.DataDir = None,
    config: _options.Config = None,
    sets: _options.Sets = None,
    as_json: _options.Json = False,
) -> int:
    """Print the settings a node would start with here.

    Examples:

        heliosdb-nano config show --origin

        heliosdb-nano config show statement_timeout

        heliosdb-nano config show --changed --json
    """
    settings = _options.load({"data_dir": data_dir}, config, sets).settings
    if name is not None:
        row = find(name)
        value = _value(settings, row)
        record = _record(settings, row.name, value, row)
        print_json(record) if as_json else typer.echo(row.show(value) + (f"  ({record['origin']})" if origin else ""))
    elif as_json:
        print_json(settings_record(settings))
    else:
        print_settings(settings, origin=origin, changed=changed, everything=everything)
    return ExitCode.OK


@app.command()
def validate(
    file: Annotated[Path | None, typer.Argument(help="A file instead of the one a node would read.")] = None,
    data_dir: _options.DataDir = None,
    as_json: _options.Json = False,
) -> int:
    """Name every mistake of the configuration at once, with file and line. Exit code 2 when there is one.

    Examples:

        heliosdb-nano config validate

        heliosdb-nano config validate ./heliosdb.conf --json
    """
    path = None if file is None else str(file)
    try:
        problems = _options.load({"data_dir": data_dir}, path).warnings
    except ConfigProblems as error:
        problems = error.problems
    errors = [one for one in problems if not one.warning]
    if as_json:
        print_json({"valid": not errors, "problems": [problem_record(one) for one in problems]})
        return ExitCode.USAGE if errors else ExitCode.OK
    for one in problems:
        typer.echo(f"{'warning' if one.warning else 'error'}: {one}", err=True)
        if one.hint:
            typer.echo(f"hint: {one.hint}", err=True)
    if not errors:
        typer.echo("the configuration is valid")
    return ExitCode.USAGE if errors else ExitCode.OK


@app.command()
def init(
    file: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("heliosdb.conf"),
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print it instead.")] = False,
    as_json: _options.Json = False,
) -> int:
    """Write a heliosdb.conf with every setting, its meaning and its default, all commented out.

    Examples:

        heliosdb-nano config init /etc/heliosdb/heliosdb.conf

        heliosdb-nano config init --dry-run
    """
    from helios_cli.engine.config.write import replace_file, template

    text = template()
    if dry_run:
        print_json({"file": str(file), "text": text}) if as_json else typer.echo(text, nl=False)
        return ExitCode.OK
    if file.exists() and not force:
        raise Refused(f'file "{file}" exists', hint="Add --force to replace it.")
    replace_file(str(file), text)
    print_json({"file": str(file), "written": True}) if as_json else typer.echo(f"wrote {file}")
    return ExitCode.OK


@app.command("set")
@_admin.orders
def set_value(
    asked: _admin.Asked,
    name: Annotated[str, typer.Argument(help="A setting, as config show names it.")],
    value: Annotated[str | None, typer.Argument(help="Its new value.")] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Go back to the default.")] = False,
    timeout: _admin.Timeout = 10.0,
    dry_run: _admin.DryRun = False,
    as_json: _options.Json = False,
) -> int:
    """Change a setting of a running node, or of its whole cluster, as ALTER SYSTEM does.

    replication_mode, on_sync_loss and eject_after belong to the cluster: any node may be asked, the primary changes
    them, for all nodes at once. Every other setting is the node's own, kept in its heliosdb.auto.conf; it holds at once
    or from the next start on, as the answer says. A node that is down is changed by its --data-dir.

    Examples:

        heliosdb-nano config set replication_mode quorum

        heliosdb-nano config set lock_timeout 5s --node standby-sync

        heliosdb-nano config set lock_timeout --reset --data-dir d1 --dry-run
    """
    if (value is None) is not reset:
        raise typer.BadParameter("give either VALUE or --reset")
    setting = find(name)
    if value is not None:
        _checked(setting, value)
    answer = _set_offline(setting, value, asked, dry_run) or _set_running(setting, value, asked, timeout, dry_run)
    print_json(answer) if as_json else typer.echo(answer["result"])
    return ExitCode.OK


def _checked(setting: Setting, value: str) -> Value:
    """Raises ConfigError 22023 before anybody is asked."""
    try:
        return setting.parse(value)
    except BadSetting as error:
        raise ConfigError(error.message, sqlstate="22023", hint=error.hint) from None


def _set_running(
    setting: Setting, value: str | None, asked: _admin.Asked, timeout: float, dry_run: bool
) -> Mapping[str, Any]:
    from helios_cli.engine.node.cluster_settings import CLUSTER_SETTINGS

    body = {"name": setting.name, "value": value, "dry_run": dry_run}
    nodes = _admin.reaches(asked)
    if setting.name in CLUSTER_SETTINGS:
        return _admin.ask_primary(_admin.leader(nodes), "config", body, timeout)
    if len(nodes) > 1:
        names = ", ".join(one.name for one in nodes)
        raise ConfigError(
            f"{setting.name} is a setting of each node: say of which", hint=f"Add --node NAME, one of {names}."
        )
    return _admin.ask(nodes[0], "config", body, timeout)


def _set_offline(setting: Setting, value: str | None, asked: _admin.Asked, dry_run: bool) -> Mapping[str, Any] | None:
    """Write a setting of a node that is down into its directory; None when a running one has to be asked.

    Raises:
        ConfigError: it cannot be set this way.
    """
    from helios_cli.engine.config.write import check_auto, write_auto
    from helios_cli.engine.node.cluster_settings import CLUSTER_SETTINGS
    from helios_cli.engine.storage.dirlock import running_holder

    if asked.node is not None or asked.data_dir is None or setting.name in CLUSTER_SETTINGS:
        return None
    directory = _options.load({"data_dir": asked.data_dir}, asked.config).settings.data_dir
    if not Path(directory, "control").is_dir() or running_holder(directory) is not None:
        return None
    check_auto(setting)
    if not dry_run:
        write_auto(directory, setting.name, value)
    shown = setting.show(setting.default if value is None else _checked(setting, value))
    told = f"{setting.name} is {shown} when the node of {directory} starts"
    return {
        "result": f"dry run: {told}" if dry_run else told, "name": setting.name, "value": shown, "scope": "node",
        "applies": "restart", "dry_run": dry_run,
    }  # fmt: skip


def settings_record(settings: Settings) -> dict[str, Any]:
    """Every setting with its value, text, unit and origin, by name."""
    rows = {one.name: _record(settings, one.name, getattr(settings, one.name), one) for one in NODE_SETTINGS}
    for key, value in settings.recorded.items():
        rows[key] = _record(settings, key, value, None)
    return {"config_file": settings.config_file, "settings": rows}


def print_settings(settings: Settings, *, origin: bool, changed: bool, everything: bool = False) -> None:
    """The table of settings for people; recorded ones only when set or asked for."""
    rows: list[tuple[str, str, str]] = []
    for one in NODE_SETTINGS:
        rows.append((one.name, one.show(getattr(settings, one.name)), str(settings.origin(one.name))))
    for key, value in settings.recorded.items():
        if everything or key in settings.origins:
            rows.append((key, _show_any(key, value), str(settings.origin(key))))
    if changed:
        rows = [row for row in rows if row[2] != "default"]
    columns = ("setting", "value", "origin") if origin else ("setting", "value")
    print_table(columns, [row[: len(columns)] for row in rows])


def _value(settings: Settings, row: Setting) -> Value | None:
    if row.recorded:
        return settings.recorded.get(row.name)
    value: Value = getattr(settings, row.name)
    return value


def _record(settings: Settings, name: str, value: Value | None, row: Setting | None) -> dict[str, Any]:
    shown = row.show(value) if row is not None else _show_any(name, value)
    record = {"value": plain(value), "shown": shown, "origin": str(settings.origin(name))}
    if row is not None and row.unit is not None:
        record["unit"] = row.unit
    return record


def _show_any(key: str, value: Value | None) -> str:
    for one in ALL_SETTINGS:
        if one.key == key:
            return one.show(value)
    return ",".join(value) if isinstance(value, tuple) else str(value)


def problem_record(problem: Problem) -> dict[str, Any]:
    """A mistake as programs read it."""
    return {
        "severity": "warning" if problem.warning else "error",
        "where": str(problem.origin),
        "file": problem.origin.where if problem.origin.kind in ("file", "auto") else None,
        "line": problem.origin.line,
        "key": problem.key,
        "message": problem.message,
        "hint": problem.hint,
    }
