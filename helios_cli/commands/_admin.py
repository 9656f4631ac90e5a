"""Asking a node's admin verbs: which node is meant, its token, and the way to the primary."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import typer

from helios_cli.commands import _http, _options
from helios_cli.commands._errors import Refused
from helios_cli.engine.errors import ConfigError, HeliosError

if TYPE_CHECKING:
    from helios_cli.commands.local.clusterfile import LocalCluster

Node: TypeAlias = Annotated[
    str | None,
    typer.Option("--node", metavar="HOST:PORT", help="HTTP address of a node, or its name in cluster.toml."),
]
TokenFile: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--token-file", metavar="FILE", help="The node's http.token; HELIOSDB_HTTP_TOKEN holds the token itself."
    ),
]
Ca: TypeAlias = Annotated[
    str | None, typer.Option("--ca", metavar="FILE", help="PEM file of certificates to trust; asks by HTTPS.")
]
DryRun: TypeAlias = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")]
Timeout: TypeAlias = Annotated[float, typer.Option("--timeout", metavar="SECONDS", min=0.1, help="Longest wait.")]

VARIABLE: Final = "HELIOSDB_HTTP_TOKEN"
STATUS_S: Final = 3.0
HOPS_MAX: Final = 3
"""How often an answer may send us on to the primary."""

NOT_PREPARED: Final = "55000"
"""What a node answers to something that is not safe, or not its to do, now."""


@dataclass(frozen=True, slots=True)
class Reach:
    """A node and how it is asked."""

    name: str
    address: _http.Address
    token_files: tuple[str, ...] = ()
    """Where its token may lie; the first that can be read is taken."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The options that say which node is meant."""

    node: str | None = None
    data_dir: str | None = None
    config: str | None = None
    ca: str | None = None
    token_file: str | None = None


def reaches(asked: Asked) -> list[Reach]:
    """The nodes that are meant: the one named, else that of a data directory, else all of the cluster's file.

    Raises:
        HeliosError: what was named cannot be understood.
    """
    cluster = _cluster(needed=asked.data_dir is None and ":" not in (asked.node or ""))
    if asked.node is not None and cluster is not None and any(one.name == asked.node for one in cluster.nodes):
        return [one for one in _all_of(cluster, asked) if one.name == asked.node]
    if asked.node is None and asked.data_dir is None and cluster is not None:
        return _all_of(cluster, asked)
    address = _http.address_of(asked.node, asked.data_dir, asked.config, asked.ca)
    files = [asked.token_file] if asked.token_file else []
    if asked.node is not None and not asked.token_file:
        files += _local_tokens(address)
    if asked.node is None or asked.data_dir is not None:
        files.append(f"{_options.load({'data_dir': asked.data_dir}, asked.config).settings.data_dir}/http.token")
    return [Reach(str(address), address, tuple(files))]


def _cluster(*, needed: bool) -> LocalCluster | None:
    """The cluster of this machine; None when there is none. One that cannot be read is an error where it is needed."""
    from helios_cli.commands.local import clusterfile

    found = clusterfile.find(None, os.environ)
    try:
        return clusterfile.read(found) if found is not None else None
    except ConfigError:
        if needed:
            raise
        return None


def _local_tokens(address: _http.Address) -> list[str]:
    """The token file of the node of cluster.toml that is asked at an address; empty when it is none of them."""
    cluster = _cluster(needed=False)
    if cluster is None or address.host not in ("127.0.0.1", "::1", "localhost"):
        return []
    return [str(cluster.token_file(one)) for one in cluster.nodes if one.http_port == address.port]


def _all_of(cluster: LocalCluster, asked: Asked) -> list[Reach]:
    from helios_cli.commands.local.clusterfile import HOST

    return [
        Reach(
            one.name,
            _http.Address(HOST, one.http_port, bool(asked.ca), asked.ca),
            (asked.token_file,) if asked.token_file else (str(cluster.token_file(one)),),
        )
        for one in cluster.nodes
    ]


def token_of(reach: Reach) -> str:
    """The token of a node's admin verbs.

    Raises:
        ConfigError: it is nowhere to be found.
    """
    for file in reach.token_files:
        try:
            return Path(file).read_text(encoding="ascii", errors="replace").strip()
        except OSError:
            continue
    token = os.environ.get(VARIABLE, "").strip()
    if token:
        return token
    tried = f" ({', '.join(reach.token_files)} cannot be read)" if reach.token_files else ""
    raise ConfigError(
        f"no token for {reach.name}{tried}",
        hint=f"It is in http.token of the data directory: give the file with --token-file, or the text in {VARIABLE}.",
    )


def status_of(reach: Reach, timeout_s: float = STATUS_S) -> Mapping[str, Any]:
    """The status record of a node.

    Raises:
        HeliosError: it does not answer, or not with one.
    """
    answer = _http.get(reach.address, "/status", timeout_s)
    if answer.status != 200 or not isinstance(answer.body, dict):
        raise _http.Unreachable(f"{reach.address} answered {answer.status} to /status")
    return answer.body


def statuses(nodes: Sequence[Reach]) -> list[tuple[Reach, Mapping[str, Any]]]:
    """The records of the nodes that give one, asked all at once.

    Raises:
        HeliosError: none does; the error of the first.
    """
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=min(32, len(nodes))) as pool:
        asked = [(one, pool.submit(status_of, one)) for one in nodes]
    found = [(one, future.result()) for one, future in asked if future.exception() is None]
    if not found:
        problem = asked[0][1].exception()
        assert problem is not None
        raise problem
    return found


def leader(nodes: Sequence[Reach]) -> Reach:
    """Of several nodes the one that leads; where none says so, the first that answers, which knows who does.

    Raises:
        HeliosError: none answers.
    """
    if len(nodes) == 1:
        return nodes[0]
    found = statuses(nodes)
    leading = [
        (int(status.get("term") or 0), one) for one, status in found if status.get("role") in ("primary", "standalone")
    ]
    return max(leading, key=lambda pair: pair[0])[1] if leading else found[0][0]


def ask(reach: Reach, verb: str, body: Mapping[str, object], timeout_s: float) -> Mapping[str, Any]:
    """Ask a node for a verb; its answer, a JSON object.

    Raises:
        Refused: it is not safe, or not this node's to do. HeliosError: anything else that went wrong.
    """
    answer = _http.post(reach.address, f"/admin/{verb}", body, _token_for(reach), timeout_s)
    if answer.status == 200 and isinstance(answer.body, dict):
        return answer.body
    said = answer.body if isinstance(answer.body, dict) else {"error": str(answer.body).strip() or "no reason given"}
    message, hint = str(said.get("error")), said.get("hint")
    if answer.status in (401, 403):
        hint = f"The token is in http.token of the data directory of {reach.name}: --token-file FILE."
        raise HeliosError(f"{reach.name}: {message}", sqlstate="28000", hint=hint)
    if answer.status == 404:
        raise HeliosError(f"{reach.name} does not know {verb}", sqlstate="0A000", hint="Its version is another one.")
    kind = Refused if said.get("sqlstate") == NOT_PREPARED else HeliosError
    sqlstate = None if kind is Refused else str(said.get("sqlstate") or "XX000")
    raise kind(message, sqlstate=sqlstate, detail=said.get("detail"), hint=hint)


def _token_for(reach: Reach) -> str:
    """The token of a node that is about to be asked; where there is none, whether anybody answers matters more."""
    try:
        return token_of(reach)
    except ConfigError:
        _http.get(reach.address, "/health", STATUS_S)
        raise


def ask_primary(reach: Reach, verb: str, body: Mapping[str, object], timeout_s: float) -> Mapping[str, Any]:
    """Ask a node for something that is the primary's; one that does not lead says who does, and that is followed.

    Raises:
        HeliosError: as :func:`ask`.
    """
    for _ in range(HOPS_MAX):
        try:
            return ask(reach, verb, body, timeout_s)
        except Refused as refusal:
            onward = _sent_on(reach, refusal)
            if onward is None:
                raise
            reach = onward
    return ask(reach, verb, body, timeout_s)


def _sent_on(reach: Reach, refusal: Refused) -> Reach | None:
    """The primary that a refusal names; None when it names none."""
    match = re.search(r"\bAsk (\[[0-9a-fA-F:.]+\]|[\w.-]+):(\d+)", refusal.hint or "")
    if match is None or "not the primary" not in refusal.message:
        return None
    address = replace(reach.address, host=match[1].strip("[]"), port=int(match[2]))
    return Reach(str(address), address, (*_local_tokens(address), *reach.token_files))
