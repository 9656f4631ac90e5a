"""Options that the workloads share, and where they connect by them."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from helios_cli.engine.net.pgclient import Target

CONNECT_S: Final = 2.0
"""Longest wait for a login where several hosts can be tried."""

Text = str | None
Hosts = Annotated[
    Text,
    typer.Option(
        "--host",
        "-h",
        metavar="HOST:PORT,...",
        help="Where to connect; the next when one cannot serve (PGHOST). \\[the nodes of cluster.toml]",
    ),
]
Port = Annotated[int | None, typer.Option("--port", "-p", min=1, max=65535, help="Port of hosts without one (PGPORT).")]
User = Annotated[Text, typer.Option("--username", "--user", "-U", help="Role (PGUSER). \\[helios]")]
Database = Annotated[Text, typer.Option("--dbname", "-d", metavar="NAME", help="Database (PGDATABASE). \\[heliosdb]")]
Password = Annotated[Text, typer.Option("--password", help="Better: PGPASSWORD.")]
SslMode = Annotated[Text, typer.Option("--sslmode", help="disable, prefer or require (PGSSLMODE).")]
Duration = Annotated[
    float, typer.Option("--duration", metavar="SECONDS", min=0, help="How long; 0: until Ctrl-C or SIGTERM.")
]
Clients = Annotated[
    int, typer.Option("--clients", "-c", min=1, max=512, help="Connections that work at the same time.")
]
Timeout = Annotated[
    float,
    typer.Option("--timeout", metavar="SECONDS", min=0.1, help="Silence after which a connection is given up."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what it would do.")]


def find_hosts(
    host: Text, port: int | None, user: Text, dbname: Text, password: Text, sslmode: Text, timeout: float
) -> list[Target]:
    """Where to connect: what was named, else the environment, else the cluster's nodes, else the default port."""
    from helios_cli.commands.load.session import targets
    from helios_cli.commands.local import clusterfile
    from helios_cli.commands.sql import make_target

    environ = dict(os.environ)
    named = host or environ.pop("PGHOST", None)
    if named is None and port is None and not environ.get("PGPORT") and clusterfile.find(None, environ) is not None:
        cluster = clusterfile.load(None, environ)
        named = ",".join(f"{cluster.asked_at(one)}:{one.pg_port}" for one in cluster.data_nodes)
        password = password or environ.get("PGPASSWORD") or clusterfile.password_of(cluster)
    base = make_target(
        environ, None, None, port, user or environ.get("PGUSER") or "helios", dbname, password, sslmode, 5.0
    )
    base = replace(base, application_name="heliosdb-workload", read_timeout=timeout)
    found = targets(named, base)
    # A node that hangs takes connections and never answers: where there are others, it is not waited for long. A proxy
    # answers a login when there is a node for it.
    return [replace(one, timeout=min(timeout, CONNECT_S) if len(found) > 1 else timeout) for one in found]


def check_table(table: str) -> None:
    from helios_cli.commands.load.session import TABLE_NAME

    if not TABLE_NAME.fullmatch(table):
        raise typer.BadParameter(f"--table takes a plain name in small letters, not {table!r}")
