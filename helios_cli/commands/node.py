"""``start`` and ``server``: run one node in the foreground."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Annotated

import typer

from helios_cli.commands import _options
from helios_cli.commands._output import print_json
from helios_cli.commands.config import print_settings, settings_record
from helios_cli.engine.config.load import Loaded

app = typer.Typer(add_completion=False)

DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the settings it would run with, and end.")]


@app.command()
@_options.with_settings
def start(
    *,
    flags: Mapping[str, object],
    config: _options.Config = None,
    sets: _options.Sets = None,
    dry_run: DryRun = False,
    as_json: _options.Json = False,
) -> int:
    """Run one node in the foreground until SIGTERM or SIGINT.

    Settings come from flags, then HELIOSDB_<NAME> in the environment, then ALTER SYSTEM, then heliosdb.conf.
    The role and the primary's address hold for an empty data directory alone.

    Examples:

        heliosdb-nano start

        heliosdb-nano start --data-dir /var/lib/heliosdb --pg-port 5442 --log-format json

        heliosdb-nano start --config ./heliosdb.conf --dry-run
    """
    return _run(_options.load(flags, config, sets), dry_run, as_json)


@app.command()
@_options.with_settings
def server(
    *,
    flags: Mapping[str, object],
    ha_mode: Annotated[
        str | None,
        typer.Option("--ha-mode", metavar="MODE", help="standalone, primary, standby, observer, multi-primary."),
    ] = None,
    ha_bind: Annotated[
        str | None, typer.Option("--ha-bind", metavar="HOST:PORT", help="Address of the protocol between nodes.")
    ] = None,
    ha_primary: Annotated[
        str | None, typer.Option("--ha-primary", metavar="HOST:PORT", help="The primary that an empty standby joins.")
    ] = None,
    ha_region: Annotated[str | None, typer.Option("--ha-region", metavar="NAME", help="Region of this node.")] = None,
    ha_peers: Annotated[
        str | None, typer.Option("--ha-peers", metavar="HOST:PORT,...", help="The other primaries.")
    ] = None,
    config: _options.Config = None,
    sets: _options.Sets = None,
    dry_run: DryRun = False,
    as_json: _options.Json = False,
) -> int:
    """Run one node, in the words of a cluster; every flag of `start` is taken too.

    Examples:

        heliosdb-nano server --ha-mode primary --ha-bind 0.0.0.0:5433

        heliosdb-nano server --ha-mode standby --ha-primary db1.example.com:5433
    """
    words = ha_flags(ha_mode, ha_bind, ha_primary, ha_region, ha_peers)
    given = {name: value for name, value in flags.items() if value is not None}
    return _run(_options.load({**words, **given}, config, sets), dry_run, as_json)


def ha_flags(
    mode: str | None, bind: str | None, primary: str | None, region: str | None, peers: str | None
) -> dict[str, object]:
    """The settings that the ``--ha-`` flags mean; None is not given.

    Raises:
        typer.BadParameter: an address is not host:port.
    """
    flags: dict[str, object] = {"replication.local_region": region, "replication.peers": peers}
    if mode == "multi-primary":
        flags |= {"replication.topology": "multi_master", "replication_role": "primary"}
    else:
        flags["replication_role"] = mode
    if bind is not None:
        flags["listen_address"], flags["native_port"] = _split(bind, "--ha-bind")
    if primary is not None:
        flags["primary_host"], flags["primary_port"] = _split(primary, "--ha-primary")
    return {name: value for name, value in flags.items() if value is not None}


def _split(address: str, flag: str) -> tuple[str, str]:
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdigit():
        raise typer.BadParameter(f"{flag} takes HOST:PORT, not {address!r}")
    return host.strip("[]"), port


def _run(loaded: Loaded, dry_run: bool, as_json: bool) -> int:
    for warning in loaded.warnings:
        typer.echo(f"warning: {warning}", err=True)
    if not dry_run:
        # It would end a process that does not listen to it yet: it waits until the node does.
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP,))
        from helios_cli.engine.node.launch import run

        return run(loaded.settings)
    if as_json:
        print_json(settings_record(loaded.settings))
    else:
        print_settings(loaded.settings, origin=True, changed=True)
    return 0
