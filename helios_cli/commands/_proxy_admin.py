"""Asking a running proxy at its admin address: where that is, the token, and what its errors mean."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import typer

from helios_cli.commands import _http
from helios_cli.commands._errors import Refused
from helios_cli.engine.config.proxy_load import LoadedProxy, load_proxy
from helios_cli.engine.config.proxy_table import CONFIG_VARIABLE, TOKEN_VARIABLE
from helios_cli.engine.errors import ConfigError, HeliosError

Admin: TypeAlias = Annotated[
    str | None,
    typer.Option("--admin", metavar="HOST:PORT", help="Admin address of the proxy; else that of its settings."),
]
Config: TypeAlias = Annotated[
    str | None, typer.Option("--config", metavar="FILE", help="proxy.toml to read (HELIOSDB_PROXY_CONFIG).")
]
TokenFile: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--token-file", metavar="FILE", help="The proxy's proxy.token; HELIOSDB_PROXY_TOKEN holds the token itself."
    ),
]
Timeout: TypeAlias = Annotated[float, typer.Option("--timeout", metavar="SECONDS", min=0.1, help="Longest wait.")]
DryRun: TypeAlias = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")]

_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_RUNNING_HINT: Final = "Is it running? heliosdb-nano proxy start runs one. --admin HOST:PORT names another address."


@dataclass(frozen=True, slots=True)
class Asked:
    """The options that say which proxy is meant."""

    admin: str | None = None
    config: str | None = None
    token_file: str | None = None
    timeout: float = 10.0


def get(asked: Asked, path: str) -> _http.Answer:
    """Fetch a path; any answer is given back but 404.

    Raises:
        HeliosError: nobody answers, or it knows no such path.
    """
    answer = _request(asked, "GET", path, None)
    if answer.status == 404:
        raise _error(answer, path)
    return answer


def records(asked: Asked, path: str) -> list[Mapping[str, Any]]:
    """Fetch a list of objects. Raises what :func:`get` raises."""
    answer = get(asked, path)
    if answer.status != 200 or not isinstance(answer.body, list):
        raise _error(answer, path)
    return [one for one in answer.body if isinstance(one, dict)]


def post(asked: Asked, path: str) -> Mapping[str, Any]:
    """Ask for a verb; its answer, which has ``result``.

    Raises:
        Refused: it would not be safe. HeliosError: anything else that went wrong.
    """
    token = _token(asked)
    if token is None:
        _request(asked, "GET", "/health", None)  # whether anybody answers matters more
        raise ConfigError(
            "no token for the proxy",
            hint=f"It lies in proxy.token beside proxy.toml: --config FILE or --token-file FILE, or the text in "
            f"{TOKEN_VARIABLE}.",
        )
    answer = _request(asked, "POST", path, token)
    if answer.status != 200 or not isinstance(answer.body, dict):
        raise _error(answer, path)
    return answer.body


def _request(asked: Asked, method: str, path: str, token: str | None) -> _http.Answer:
    address = _address(asked)
    try:
        if method == "GET":
            return _http.get(address, path, asked.timeout)
        return _http.post(address, path, {}, token or "", asked.timeout)
    except _http.Unreachable as error:
        raise _http.Unreachable(
            error.message.replace("no node answers", "no proxy answers"), hint=_RUNNING_HINT
        ) from None


def _error(answer: _http.Answer, path: str) -> HeliosError:
    said = answer.body if isinstance(answer.body, dict) else {}
    message = str(said.get("error") or f"the proxy answered {answer.status} to {path}")
    hint, sqlstate = said.get("hint"), str(said.get("sqlstate") or "")
    if answer.status in (401, 403):
        hint = f"Its token is in proxy.token beside its proxy.toml: --token-file FILE, or the text in {TOKEN_VARIABLE}."
        return HeliosError(message, sqlstate="28000", hint=hint)
    if answer.status == 404 and not said.get("sqlstate"):
        return HeliosError(f"nothing at {path}", sqlstate="0A000", hint="Is it the admin address of a proxy?")
    if sqlstate == "55000":
        return Refused(message, hint=hint)
    problems = said.get("problems")
    detail = "; ".join(map(str, problems)) if isinstance(problems, list) and len(problems) > 1 else said.get("detail")
    return HeliosError(message, sqlstate=sqlstate or "XX000", detail=detail, hint=hint)


def address_of(asked: Asked) -> str:
    """The admin address, host:port."""
    return str(_address(asked))


def _address(asked: Asked) -> _http.Address:
    if asked.admin is not None:
        host, _, port = asked.admin.rpartition(":")
        if not host or not port.isdigit():
            raise ConfigError(f"--admin takes HOST:PORT, not {asked.admin!r}")
        return _http.Address(host.strip("[]"), int(port))
    settings = _settings(asked).settings
    return _http.Address(_EVERYWHERE.get(settings.admin_host, settings.admin_host), settings.admin_port)


def _settings(asked: Asked) -> LoadedProxy:
    return load_proxy(os.environ, asked.config or _of_cluster())


def _of_cluster() -> str | None:
    """The proxy.toml of the cluster on this machine, where neither option nor environment names another."""
    from helios_cli.commands.local import clusterfile

    if os.environ.get(CONFIG_VARIABLE):
        return None
    found = clusterfile.find(None, os.environ)
    file = found / clusterfile.PROXY_FILE if found is not None else None
    return str(file) if file is not None and file.exists() else None


def _token(asked: Asked) -> str | None:
    """The token, None when there is none: the file that was named, then the environment, then beside proxy.toml."""
    if asked.token_file is not None:
        text = _text(asked.token_file)
        if not text:
            raise ConfigError(f"cannot read a token in {asked.token_file}")
        return text
    if os.environ.get(TOKEN_VARIABLE, "").strip():
        return os.environ[TOKEN_VARIABLE].strip()
    if asked.admin is None or asked.config is not None or os.environ.get(CONFIG_VARIABLE):
        return _text(_settings(asked).token_file)
    return None


def _text(file: str) -> str | None:
    try:
        return Path(file).read_text(encoding="ascii", errors="replace").strip() or None
    except OSError:
        return None
