"""The verbs of ``proxy`` that ask one that runs; what they read is written down in ``proxyserver/admin_fields.py``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote

import typer

from helios_cli.commands import _options
from helios_cli.commands._errors import ExitCode
from helios_cli.commands._output import print_json, print_table
from helios_cli.commands._proxy_admin import (
    Admin,
    Asked,
    Config,
    DryRun,
    Timeout,
    TokenFile,
    address_of,
    get,
    post,
    records,
)
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.proxyserver import admin_fields

NodeName = Annotated[str, typer.Argument(help="Name of a node, as proxy nodes shows it.", metavar="NODE")]

Force = Annotated[bool, typer.Option("--force", help="The primary too: writes then wait, and fail in the end.")]


def status(admin: Admin = None, config: Config = None, timeout: Timeout = 3.0, as_json: _options.Json = False) -> int:
    """Whether the proxy serves, who leads, and what it is doing. Exit code 6 when it does not serve.

    Examples:

        heliosdb-nano proxy status

        heliosdb-nano proxy status --admin proxy1.example.com:9090 --json
    """
    asked = Asked(admin, config, timeout=timeout)
    health = get(asked, "/health")
    body = health.body if isinstance(health.body, dict) else {}
    serves = health.status == 200
    nodes, stats = records(asked, "/nodes"), records(asked, "/stats")
    leading = [one for one in nodes if one.get("role") == "primary" and one.get("state") == "healthy"]
    record: dict[str, Any] = {
        "admin": address_of(asked),
        "serves": serves,
        "reason": None if serves else str(body.get("reason") or f"it answered {health.status}"),
        "primary": leading[0].get("name") if leading else None,
        "term": leading[0].get("term") if leading else None,
        "nodes": len(nodes),
        "nodes_healthy": sum(one.get("state") == "healthy" for one in nodes),
        "stats": {str(one.get("name")): one.get("value") for one in stats},
    }
    if as_json:
        print_json(record)
    else:
        rows = [(name, value) for name, value in record.items() if name != "stats" and value is not None]
        rows += [(str(name), value) for name, value in record["stats"].items() if name not in record]
        print_table(("item", "value"), rows)
    return ExitCode.OK if serves else ExitCode.DEGRADED


def nodes(admin: Admin = None, config: Config = None, timeout: Timeout = 3.0, as_json: _options.Json = False) -> int:
    """The nodes behind the proxy: role, state, term, lag, and what they are doing.

    Examples:

        heliosdb-nano proxy nodes

        heliosdb-nano proxy nodes --config /etc/heliosdb/proxy.toml --json
    """
    droppable = (
        "is_heliosdb",
        "enabled",
        "weight",
        "backends",
        "lsn",
        "term",
        "latency_ms",
        "lag_bytes",
        "active",
        "host",
    )
    return _list(Asked(admin, config, timeout=timeout), "/nodes", admin_fields.NODES, as_json, droppable)


def pools(admin: Admin = None, config: Config = None, timeout: Timeout = 3.0, as_json: _options.Json = False) -> int:
    """The pools of backends, one for each node, user and database, and who waits for one.

    Examples:

        heliosdb-nano proxy pools
    """
    return _list(Asked(admin, config, timeout=timeout), "/pools", admin_fields.POOLS, as_json, ("mode", "opening"))


def clients(admin: Admin = None, config: Config = None, timeout: Timeout = 3.0, as_json: _options.Json = False) -> int:
    """Who is connected, what it is doing, and what keeps it at one backend.

    Examples:

        heliosdb-nano proxy clients --json
    """
    droppable = ("tls", "statements", "age_s", "application_name", "idle_s", "database")
    return _list(Asked(admin, config, timeout=timeout), "/clients", admin_fields.CLIENTS, as_json, droppable)


def stats(admin: Admin = None, config: Config = None, timeout: Timeout = 3.0, as_json: _options.Json = False) -> int:
    """What the proxy has counted since its start.

    Examples:

        heliosdb-nano proxy stats
    """
    return _list(Asked(admin, config, timeout=timeout), "/stats", admin_fields.STATS, as_json)


def _list(asked: Asked, path: str, columns: Sequence[str], as_json: bool, droppable: Sequence[str] = ()) -> int:
    found = records(asked, path)
    if as_json:
        print_json(found)
    else:
        print_table(columns, [[one.get(name) for name in columns] for one in found], droppable=droppable)
    return ExitCode.OK


def explain(
    sql: Annotated[str, typer.Argument(help="A statement; it is not run.", metavar="SQL")],
    admin: Admin = None,
    config: Config = None,
    timeout: Timeout = 3.0,
    as_json: _options.Json = False,
) -> int:
    """Where the proxy would send a statement now, and why.

    Examples:

        heliosdb-nano proxy explain "SELECT * FROM t FOR UPDATE"
    """
    answer = get(Asked(admin, config, timeout=timeout), f"/routing/explain?sql={quote(sql, safe='')}")
    if answer.status != 200 or not isinstance(answer.body, dict):
        said = answer.body.get("error") if isinstance(answer.body, dict) else answer.body
        raise HeliosError(str(said or f"the proxy answered {answer.status}"))
    if as_json:
        print_json(answer.body)
        return ExitCode.OK
    rows = [(name, _told(answer.body.get(name))) for name in admin_fields.EXPLAINED if name in answer.body]
    print_table(("item", "value"), rows)
    return ExitCode.OK


def _told(value: object) -> object:
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def pause(
    admin: Admin = None, config: Config = None, token_file: TokenFile = None, timeout: Timeout = 60.0,
    dry_run: DryRun = False, as_json: _options.Json = False,
) -> int:  # fmt: skip
    """Have new statements wait, and come back when nothing runs any more. No client is told; resume ends it.

    Examples:

        heliosdb-nano proxy pause --timeout 30

        heliosdb-nano proxy pause --dry-run
    """
    asked = Asked(admin, config, token_file, timeout)
    return _verb(asked, "/pause?wait=1", dry_run, as_json, "have new statements of {clients} clients wait")


def resume(
    admin: Admin = None, config: Config = None, token_file: TokenFile = None, timeout: Timeout = 10.0,
    dry_run: DryRun = False, as_json: _options.Json = False,
) -> int:  # fmt: skip
    """End what pause began: the statements that wait go on.

    Examples:

        heliosdb-nano proxy resume
    """
    asked = Asked(admin, config, token_file, timeout)
    return _verb(asked, "/resume", dry_run, as_json, "have the statements of {clients} clients go on")


def drain(
    node: NodeName, admin: Admin = None, config: Config = None, token_file: TokenFile = None, timeout: Timeout = 10.0,
    force: Force = False, dry_run: DryRun = False, as_json: _options.Json = False,
) -> int:  # fmt: skip
    """Send nothing new to a node; what runs there may end. For maintenance of a standby; a primary needs --force.

    Examples:

        heliosdb-nano proxy drain standby-async

        heliosdb-nano proxy drain standby-async --dry-run
    """
    asked = Asked(admin, config, token_file, timeout)
    return _node_verb("drain", node, asked, dry_run, as_json, "?force=1" if force else "")


def undrain(
    node: NodeName, admin: Admin = None, config: Config = None, token_file: TokenFile = None, timeout: Timeout = 10.0,
    dry_run: DryRun = False, as_json: _options.Json = False,
) -> int:  # fmt: skip
    """Use a drained node again.

    Examples:

        heliosdb-nano proxy undrain standby-async
    """
    return _node_verb("undrain", node, Asked(admin, config, token_file, timeout), dry_run, as_json)


def reload(
    admin: Admin = None, config: Config = None, token_file: TokenFile = None, timeout: Timeout = 10.0,
    dry_run: DryRun = False, as_json: _options.Json = False,
) -> int:  # fmt: skip
    """Have the proxy read its proxy.toml again, as SIGHUP does; it says what changed and what needs a restart.

    Examples:

        heliosdb-nano proxy check && heliosdb-nano proxy reload
    """
    asked = Asked(admin, config, token_file, timeout)
    would = (
        "have it read its file again, for {clients} clients; heliosdb-nano proxy check says whether that is in order"
    )
    return _verb(asked, "/reload", dry_run, as_json, would)


def _verb(asked: Asked, path: str, dry_run: bool, as_json: bool, would: str) -> int:
    if not dry_run:
        return _say(post(asked, path), as_json)
    told = f"dry run: would {would.format(clients=len(records(asked, '/clients')))}"
    return _say({"result": told, "dry_run": True}, as_json)


def _node_verb(verb: str, node: str, asked: Asked, dry_run: bool, as_json: bool, more: str = "") -> int:
    if not dry_run:
        return _say(post(asked, f"/{verb}/{quote(node, safe='')}{more}"), as_json)
    known = {str(one.get("name")): one for one in records(asked, "/nodes")}
    if node not in known:
        names = ", ".join(known) or "none"
        raise HeliosError(f'the proxy has no node "{node}"', sqlstate="42704", hint=f"Its nodes: {names}.")
    state, active = known[node].get("state"), known[node].get("active")
    told = f"dry run: would {verb} {node}, which is {state} and has {active} statements in hand"
    return _say({"result": told, "dry_run": True}, as_json)


def _say(answer: Mapping[str, Any], as_json: bool) -> int:
    if as_json:
        print_json(answer)
    else:
        typer.echo(answer.get("result", "done"))
    return ExitCode.OK
