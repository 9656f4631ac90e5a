"""``proxy`` and ``heliosdb-proxy``: run HeliosProxy, check its configuration, and ask one that runs."""

from __future__ import annotations

import os
import signal
from dataclasses import fields
from typing import Annotated, Final

import typer

from helios_cli.commands import _options, proxy_verbs
from helios_cli.commands._errors import ExitCode
from helios_cli.commands._output import plain, print_json, print_table
from helios_cli.commands._proxy_admin import Config
from helios_cli.commands.config import problem_record
from helios_cli.engine.config.problems import ConfigProblems
from helios_cli.engine.config.proxy import NodeSettings, ProxySettings
from helios_cli.engine.config.proxy_load import LoadedProxy, load_proxy
from helios_cli.engine.config.proxy_table import FIELDS, SCALARS
from helios_cli.engine.config.settings import DEFAULT_ORIGIN
from helios_cli.engine.config.spec import Setting

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="One address for a cluster: reads spread, writes find the primary, and wait while there is none.",
)

HIDDEN: Final = "(hidden)"
_ADDRESSES: Final = {"proxy.listen_addr": "listen", "proxy.admin_addr": "admin", "proxy.http_addr": "http"}


@app.command()
def start(
    config: Config = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the settings it would run with, and end.")] = False,
    as_json: _options.Json = False,
) -> int:
    """Run the proxy in the foreground until SIGTERM or SIGINT; SIGHUP and a changed file reload its settings.

    The file is that of --config, else of HELIOSDB_PROXY_CONFIG, else /etc/heliosdb/proxy.toml; without one the nodes
    are found from 127.0.0.1:5432. Every key of the file has a variable HELIOSDB_PROXY_<KEY>, which is stronger.

    Examples:

        heliosdb-proxy --config /etc/heliosdb/proxy.toml

        heliosdb-nano proxy start --config proxy.toml --dry-run
    """
    loaded = load_proxy(os.environ, config)
    for warning in loaded.warnings:
        typer.echo(f"warning: {warning}", err=True)
    if dry_run:
        return _show(loaded, changed=True, as_json=as_json)
    # It would end a process that does not listen to it yet: it waits until the proxy does.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP,))
    from helios_cli.engine.proxyserver.launch import run

    return run(loaded)


@app.command()
def check(config: Config = None, as_json: _options.Json = False) -> int:
    """Name every mistake of proxy.toml at once, with file and line. Exit code 2 when there is one.

    Examples:

        heliosdb-nano proxy check --config proxy.toml

        heliosdb-nano proxy check --json
    """
    try:
        problems = load_proxy(os.environ, config).warnings
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


@app.command("config")
def show(
    config: Config = None,
    changed: Annotated[bool, typer.Option("--changed", help="Only what differs from its default.")] = False,
    as_json: _options.Json = False,
) -> int:
    """Print the settings a proxy would start with here, and where each comes from. Passwords are not shown.

    Examples:

        heliosdb-nano proxy config --config proxy.toml

        heliosdb-nano proxy config --changed --json
    """
    return _show(load_proxy(os.environ, config), changed=changed, as_json=as_json)


def _show(loaded: LoadedProxy, *, changed: bool, as_json: bool) -> int:
    settings = loaded.settings
    rows = [(one.key, *_effective(one, loaded), str(loaded.origins.get(one.key, DEFAULT_ORIGIN))) for one in SCALARS]
    if as_json:
        print_json({
            "config_file": loaded.config_file,
            "token_file": loaded.token_file,
            "settings": {key: {"value": plain(value), "shown": shown, "origin": origin}
                         for key, value, shown, origin in rows},
            "nodes": [{one.name: getattr(node, one.name) for one in fields(NodeSettings)} for node in settings.nodes],
            "users": [{"name": user.name, "by": "verifier" if user.verifier else "password"}
                      for user in settings.users],
        })  # fmt: skip
        return ExitCode.OK
    table = [(key, shown, origin) for key, _, shown, origin in rows if origin != "default" or not changed]
    for number, node in enumerate(settings.nodes):
        more = "" if node.enabled else ", disabled"
        shown = f"{node.name} = {node.host}:{node.port} {node.role or 'role unknown'}, weight {node.weight}{more}"
        table.append((f"nodes[{number}]", shown, str(loaded.origins[f"nodes[{number}].name"])))
    for number, user in enumerate(settings.users):
        table.append((f"users[{number}]", f"{user.name} {HIDDEN}", str(loaded.origins[f"users[{number}].name"])))
    print_table(("setting", "value", "origin"), table)
    return ExitCode.OK


def _effective(one: Setting, loaded: LoadedProxy) -> tuple[object, str]:
    """The value that the proxy runs with, which may not be the one that was given; and its text."""
    settings: ProxySettings = loaded.settings
    if one.key in _ADDRESSES:
        name = _ADDRESSES[one.key]
        host, port = getattr(settings, f"{name}_host"), getattr(settings, f"{name}_port")
        text = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return (text, text) if port else ("", "")
    if one.key in ("proxy.auth_password_file", "proxy.admin_token_file"):
        path = loaded.token_file if one.key.endswith("token_file") else str(loaded.values.get(one.key, ""))
        return path, path
    value = getattr(settings, FIELDS.get(one.key, one.name))
    if one.unit == "ms" and value is not None:
        return value, one.show(round(value * 1000))
    return value, one.show(value)


for verb in (
    proxy_verbs.status, proxy_verbs.nodes, proxy_verbs.pools, proxy_verbs.clients, proxy_verbs.stats,
    proxy_verbs.explain, proxy_verbs.pause, proxy_verbs.resume, proxy_verbs.drain, proxy_verbs.undrain,
    proxy_verbs.reload,
):  # fmt: skip
    app.command()(verb)
