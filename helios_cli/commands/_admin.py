"""Asking a node's admin verbs: which node is meant, the tokens for it, and the way to the primary."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import typer

from helios_cli.commands import _http, _options, _tokens
from helios_cli.commands._errors import Refused
from helios_cli.engine.errors import ConfigError, HeliosError
from helios_cli.engine.storage.secret import NAME as SECRET_NAME
from helios_cli.engine.storage.secret import load_secret

if TYPE_CHECKING:
    from helios_cli.commands.local.clusterfile import LocalCluster, LocalNode

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
SecretFile: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--cluster-secret-file",
        metavar="FILE",
        help="The cluster's secret, in place of a token: every node takes it (HELIOSDB_CLUSTER_SECRET_FILE).",
    ),
]
Ca: TypeAlias = Annotated[
    str | None, typer.Option("--ca", metavar="FILE", help="PEM file of certificates to trust; asks by HTTPS.")
]
Directory: TypeAlias = Annotated[
    str | None,
    typer.Option("--dir", metavar="DIR", help="Directory of the cluster and its cluster.toml (HELIOSDB_CLUSTER)."),
]
DryRun: TypeAlias = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")]
Timeout: TypeAlias = Annotated[float, typer.Option("--timeout", metavar="SECONDS", min=0.1, help="Longest wait.")]

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
    """Where its own token may lie; the first that can be read is taken."""
    secret_files: tuple[str, ...] = ()
    """Where the secret of its cluster may lie."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The options that say which node is meant."""

    node: str | None = None
    data_dir: str | None = None
    config: str | None = None
    ca: str | None = None
    token_file: str | None = None
    secret_file: str | None = None
    directory: str | None = None


def asks(function: Callable[..., int]) -> Callable[..., int]:
    """Give a command the options that name a node; they arrive as ``asked``."""
    return _with_options(function, _NAMING)


def orders(function: Callable[..., int]) -> Callable[..., int]:
    """The same for a command that asks for what takes a token."""
    return _with_options(function, {**_NAMING, "token_file": TokenFile, "secret_file": SecretFile})


_NAMING: Final = {
    "node": Node, "data_dir": _options.DataDir, "config": _options.Config, "ca": Ca, "directory": Directory
}  # fmt: skip


def _with_options(function: Callable[..., int], options: Mapping[str, Any]) -> Callable[..., int]:
    """A command with options in the place of ``asked``, whose fields they are."""
    parameters: list[inspect.Parameter] = []
    for one in inspect.signature(function, eval_str=True).parameters.values():
        taken = options.items() if one.name == "asked" else [(one.name, one.annotation)]
        parameters += [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None if one.name == "asked" else one.default,
                annotation=annotation,
            )
            for name, annotation in taken
        ]

    def command(**values: Any) -> int:
        asked = Asked(**{name: values.pop(name) for name in options})
        return function(asked=asked, **values)

    command.__doc__ = function.__doc__
    command.__name__ = function.__name__
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return command


def reaches(asked: Asked) -> list[Reach]:
    """The nodes that are meant: the one named, else that of a data directory, else all of the cluster's file.

    Raises:
        HeliosError: what was named cannot be understood.
    """
    needed = asked.directory is not None or (asked.data_dir is None and ":" not in (asked.node or ""))
    cluster = _cluster(asked.directory, needed=needed)
    if asked.node is not None and cluster is not None and ":" not in asked.node:
        name = cluster.node(asked.node).name
        return [one for one in all_of(cluster, asked) if one.name == name]
    if asked.node is None and asked.data_dir is None and cluster is not None:
        return all_of(cluster, asked)
    address = _http.address_of(asked.node, asked.data_dir, asked.config, asked.ca)
    own, secrets = _local_files(address, asked.directory) if asked.node is not None else ([], [])
    if asked.node is None or asked.data_dir is not None or asked.config is not None:
        settings = _options.load({"data_dir": asked.data_dir}, asked.config).settings
        own.append(f"{settings.data_dir}/http.token")
        secrets.append(settings.cluster_secret_file or f"{settings.data_dir}/control/{SECRET_NAME}")
    return [Reach(str(address), address, _files(asked.token_file, own), _secret_files(asked, secrets))]


def _files(given: str | None, found: Sequence[str]) -> tuple[str, ...]:
    return (given,) if given else tuple(found)


def _secret_files(asked: Asked, found: Sequence[str]) -> tuple[str, ...]:
    """What was named, and checked, else what was found."""
    if asked.secret_file:
        load_secret("", asked.secret_file, {})
    return _files(asked.secret_file, found or _files(os.environ.get(_tokens.SECRET_FILE_VARIABLE), ()))


def _cluster(directory: str | None, *, needed: bool) -> LocalCluster | None:
    """The cluster of a directory, else the one that is found from here; None when there is none.

    One that cannot be read is an error where it is needed.
    """
    from helios_cli.commands.local import clusterfile

    found = clusterfile.find(directory, os.environ)
    try:
        return clusterfile.read(found) if found is not None else None
    except ConfigError:
        if needed:
            raise
        return None


def _local_files(address: _http.Address, directory: str | None = None) -> tuple[list[str], list[str]]:
    """Token and secret file of the node of cluster.toml that is asked at an address; empty when it is none of them."""
    cluster = _cluster(directory, needed=False)
    if cluster is None:
        return [], []
    host = "127.0.0.1" if address.host in ("::1", "localhost") else address.host
    asked = (host, address.port)
    ours = [one for one in cluster.nodes if (cluster.asked_at(one), one.http_port) == asked]
    return _own_tokens(ours, cluster), [str(cluster.secret_file)] if ours else []


def _own_tokens(nodes: Sequence[LocalNode], cluster: LocalCluster) -> list[str]:
    """Files of this machine; nodes of hosts are asked with a token of the cluster's secret."""
    return [str(cluster.token_file(one)) for one in nodes if not one.host]


def all_of(cluster: LocalCluster, asked: Asked) -> list[Reach]:
    """The nodes of a cluster of this machine."""
    from helios_cli.commands.local.faces import http_address

    return [
        Reach(
            one.name,
            _http.Address(cluster.asked_at(one), one.http_port, True, asked.ca)
            if asked.ca
            else http_address(cluster, one),
            _files(asked.token_file, _own_tokens([one], cluster)),
            _secret_files(asked, [str(cluster.secret_file)]),
        )
        for one in cluster.nodes
    ]


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
    answer = _asked(reach, verb, body, timeout_s)
    if answer.status == 200 and isinstance(answer.body, dict):
        return answer.body
    said = answer.body if isinstance(answer.body, dict) else {"error": str(answer.body).strip() or "no reason given"}
    message, hint = str(said.get("error")), said.get("hint")
    if answer.status in (401, 403):
        hint = "Give the cluster's secret with --cluster-secret-file FILE, which every node of the cluster takes; its "
        hint += f"own token is in http.token of the data directory of {reach.name}: --token-file FILE."
        raise HeliosError(f"{reach.name}: {message}", sqlstate="28000", hint=hint)
    if answer.status == 404:
        if is_observer(reach):
            hint = "Ask a data node; heliosdb-nano topology names them."
            raise Refused(f"{reach.name} is an observer, which takes no orders", hint=hint)
        raise HeliosError(f"{reach.name} does not know {verb}", sqlstate="0A000", hint="Its version is another one.")
    kind = Refused if said.get("sqlstate") == NOT_PREPARED else HeliosError
    sqlstate = None if kind is Refused else str(said.get("sqlstate") or "XX000")
    raise kind(message, sqlstate=sqlstate, detail=said.get("detail"), hint=hint)


def is_observer(reach: Reach) -> bool:
    """Whether it answers, and holds no data."""
    try:
        return status_of(reach).get("role") == "observer"
    except HeliosError:
        return False


def _asked(reach: Reach, verb: str, body: Mapping[str, object], timeout_s: float) -> _http.Answer:
    """The answer to one token after the other, until one is taken; a node does nothing for a wrong one."""
    first, *others = _tokens_for(reach)
    answer = _http.post(reach.address, f"/admin/{verb}", body, first, timeout_s)
    for token in others:
        if answer.status != 403:
            break
        answer = _http.post(reach.address, f"/admin/{verb}", body, token, timeout_s)
    return answer


def _tokens_for(reach: Reach) -> list[str]:
    """The tokens for a node that is about to be asked; without any, whether anybody answers matters more."""
    try:
        return _tokens.tokens(reach.name, reach.token_files, reach.secret_files)
    except ConfigError:
        _http.get(reach.address, "/health", STATUS_S)
        raise


def ask_primary(reach: Reach, verb: str, body: Mapping[str, object], timeout_s: float) -> Mapping[str, Any]:
    """Ask a node for something that is the primary's; one that does not lead says who does, and that is followed.

    Raises:
        HeliosError: as :func:`ask`.
    """
    hops = 0
    while True:
        try:
            return ask(reach, verb, body, timeout_s)
        except Refused as refusal:
            onward = _sent_on(reach, refusal) if hops < HOPS_MAX else None
            if onward is None:
                raise
            reach, hops = onward, hops + 1
        except _http.Unreachable as error:
            if not hops:
                raise
            hint = "heliosdb-nano explain failover says whether another node takes its place, and promote makes one."
            raise _http.Unreachable(
                f"{verb} is the primary's to do, which is lost: {error.message}", hint=hint
            ) from error


def _sent_on(reach: Reach, refusal: Refused) -> Reach | None:
    """The primary that a refusal names; None when it names none."""
    match = re.search(r"\bAsk (\[[0-9a-fA-F:.]+\]|[\w.-]+):(\d+)", refusal.hint or "")
    if match is None or "not the primary" not in refusal.message:
        return None
    address = replace(reach.address, host=match[1].strip("[]"), port=int(match[2]))
    own, secrets = _local_files(address)
    return Reach(str(address), address, (*own, *reach.token_files), (*secrets, *reach.secret_files))
