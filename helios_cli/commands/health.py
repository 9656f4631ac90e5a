"""``health`` and ``status``: look at a node over HTTP."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from helios_cli.commands import _http, _options
from helios_cli.commands._errors import ExitCode
from helios_cli.commands._output import flatten, print_json, print_table

app = typer.Typer(add_completion=False)

Node = Annotated[
    str | None, typer.Option("--node", metavar="HOST:PORT",
                             help="The node's HTTP address; https:// before it for TLS; or its name in cluster.toml.")
]  # fmt: skip
Ca = Annotated[
    str | None, typer.Option("--ca", metavar="FILE", help="PEM file of certificates to trust; asks by HTTPS.")
]
Timeout = Annotated[float, typer.Option("--timeout", metavar="SECONDS", min=0.01, help="Longest wait for an answer.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only the exit code.")]


@app.command()
def health(
    node: Node = None,
    data_dir: _options.DataDir = None,
    config: _options.Config = None,
    ca: Ca = None,
    timeout: Timeout = 3.0,
    quiet: Quiet = False,
    as_json: _options.Json = False,
) -> int:
    """Exit 0 when the node serves clients; 6 when it answers but does not, 3 when nobody answers, 4 when too slow.

    What somebody has to look after, such as a damaged page, is an alarm: the node serves, and the exit code is 0.

    Examples:

        heliosdb-nano health

        heliosdb-nano health --node db1.example.com:8080 --timeout 1

        heliosdb-nano health --node https://db1.example.com:8080 --ca ca.pem
    """
    address = _address(node, data_dir, config, ca)
    answer = _get(address, "/health", timeout, named=bool(node or data_dir or config))
    serves = answer.status == 200
    reason = _reason(answer.body)
    alarms = answer.body.get("alarms", []) if serves and isinstance(answer.body, dict) else []
    if as_json:
        reported = {"node": str(address), "serves": serves, "reason": None if serves else reason, "alarms": alarms}
        print_json(reported)
    elif not quiet:
        typer.echo("ok" if serves else f"not serving: {reason}")
        for alarm in alarms:
            typer.echo(f"alarm: {alarm}")
    return ExitCode.OK if serves else ExitCode.DEGRADED


@app.command()
def status(
    node: Node = None,
    data_dir: _options.DataDir = None,
    config: _options.Config = None,
    ca: Ca = None,
    timeout: Timeout = 3.0,
    as_json: _options.Json = False,
) -> int:
    """What the node says about itself: role, term, LSNs, connections, log and WAL.

    Examples:

        heliosdb-nano status

        heliosdb-nano status --node standby-sync

        heliosdb-nano status --node 127.0.0.1:8081 --json
    """
    address = _address(node, data_dir, config, ca)
    answer = _get(address, "/status", timeout, named=bool(node or data_dir or config))
    if answer.status != 200:
        raise _http.Unreachable(f"{address} answered {answer.status}: {_reason(answer.body)}")
    if as_json:
        print_json(answer.body)
    else:
        print_table(("item", "value"), flatten(_brief(answer.body)))
    return ExitCode.OK


def _address(node: str | None, data_dir: str | None, config: str | None, ca: str | None) -> _http.Address:
    """Where the node is asked; a name without a port is one of cluster.toml."""
    if node is None or ":" in node or data_dir is not None or config is not None:
        return _http.address_of(node, data_dir, config, ca)
    from helios_cli.commands import _admin  # a health check, which names no node so, goes without

    return _admin.reaches(_admin.Asked(node, ca=ca))[0].address


def _get(address: _http.Address, path: str, timeout_s: float, *, named: bool) -> _http.Answer:
    """Ask it; when nobody was named, and a cluster is here, an error says how its nodes are asked."""
    try:
        return _http.get(address, path, timeout_s)
    except _http.Unreachable as error:
        from helios_cli.commands.local import clusterfile

        found = None if named else clusterfile.find(None, os.environ)
        if found is None:
            raise
        hint = f"--node NAME asks a node of {found / clusterfile.NAME}; heliosdb-nano cluster status shows them all."
        raise _http.Unreachable(error.message, hint=hint) from None


def _reason(body: Any) -> str:
    if isinstance(body, dict):
        for key in ("reason", "message", "error", "status"):
            if body.get(key):
                return str(body[key])
    return str(body).strip() or "no reason given"


def _brief(record: Any) -> Any:
    """The record with a line for each node of the cluster; ``topology`` and --json have the rest."""
    cluster = record.get("cluster") if isinstance(record, dict) else None
    if not isinstance(cluster, dict):
        return record
    nodes = [node for node in cluster.get("nodes") or () if isinstance(node, dict)]
    lines: dict[str, object] = {name: cluster.get(name) for name in ("mode", "primary_id")}
    lines |= {f"{node.get('node_id')}": _node(node) for node in nodes}
    return {**record, "cluster": lines}


def _node(node: Mapping[str, Any]) -> str:
    lag = node.get("lag_bytes")
    parts = [node.get("role"), node.get("state"), "in sync" if node.get("in_sync") else "not in sync"]
    parts.append("lag unknown" if lag is None else f"lag {lag} bytes")
    return ", ".join(str(part) for part in parts)
