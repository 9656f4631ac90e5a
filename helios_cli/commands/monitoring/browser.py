"""``monitor --web``: where it listens, who gets in, and the command that each page runs."""

from __future__ import annotations

import os
import secrets
import ssl
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import typer

from helios_cli.commands._errors import ExitCode, Refused
from helios_cli.commands.local import machines
from helios_cli.engine.config.checks import is_loopback
from helios_cli.engine.errors import ConfigError, HeliosError

LISTEN: Final = "127.0.0.1:8642"
TOKEN_VARIABLE: Final = "HELIOSDB_MONITOR_TOKEN"
TOKEN_MIN: Final = 16
DRIVER_VARIABLE: Final = "TEXTUAL_DRIVER"
DRIVER: Final = "textual.drivers.web_driver:WebDriver"
INSTALL: Final = "pip install 'heliosdb-nano[web]' brings it; the monitor in a terminal needs nothing more."


def in_browser(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this process is that of a page: its terminal is the browser."""
    return environ.get(DRIVER_VARIABLE) == DRIVER


def serve(
    arguments: Sequence[str], listen: str, token_file: str | None, certificate: tuple[str | None, str | None]
) -> int:
    """Serve ``monitor ARGUMENTS`` until interrupted.

    Raises:
        Refused: other machines could reach it, and no token was given. ConfigError: what was given cannot be used.
    """
    try:
        from helios_cli.tui import web
    except ModuleNotFoundError as error:
        raise ConfigError(f"the monitor in a browser needs {error.name}", hint=INSTALL) from None
    host, port = _place(listen)
    token = _token(host, token_file, os.environ)
    place = web.Place(host, port, token or secrets.token_urlsafe(24), _tls(*certificate))
    if not is_loopback(host) and place.tls is None:
        typer.echo("warning: without --web-cert what is shown and typed can be read on its way", err=True)
    os.environ["PYTHONPATH"] = machines.child_environment(os.environ)["PYTHONPATH"]
    command = [sys.executable, "-m", "helios_cli", "monitor", *arguments]
    try:
        web.serve(command, place, lambda address: _say(address, token, host))
    except OSError as error:
        reason = error.strerror or str(error)
        raise HeliosError(f"cannot listen on {listen}: {reason}", sqlstate="08001", hint=_LISTEN_HINT) from None
    return ExitCode.OK


_LISTEN_HINT: Final = "--web-listen HOST:PORT names another address; port 0 takes a free one."


def _say(address: str, token: str, host: str) -> None:
    """Tell where it is; a token that was given is known, and stays out of terminals and their logs."""
    shown = address.replace(token, "TOKEN") if token else address
    typer.echo(f"the monitor is at {shown}")
    typer.echo("Ctrl+C ends it; the cluster goes on" + ("" if is_loopback(host) else "  (other machines reach it)"))
    sys.stdout.flush()


def _place(listen: str) -> tuple[str, int]:
    host, separator, port = listen.rpartition(":")
    if not separator or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"--web-listen takes HOST:PORT, not {listen!r}", hint=f"It is {LISTEN} otherwise.")
    return host.strip("[]"), int(port)


def _token(host: str, file: str | None, environ: Mapping[str, str]) -> str:
    """The token that was given; empty: one is to be drawn.

    Raises:
        Refused: none was given for an address that other machines reach. ConfigError: it is no token.
    """
    try:
        text = Path(file).read_text(encoding="utf-8").strip() if file else environ.get(TOKEN_VARIABLE, "")
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from None
    where = file or TOKEN_VARIABLE
    if text and (len(text) < TOKEN_MIN or not text.isascii() or not text.replace("-", "").replace("_", "").isalnum()):
        raise ConfigError(
            f"the token in {where} is not {TOKEN_MIN} letters and digits or more",
            hint="python3 -c 'import secrets; print(secrets.token_urlsafe(24))' makes one.",
        )
    if file and not text:
        raise ConfigError(f"{file} holds no token")
    if not text and not is_loopback(host):
        raise Refused(
            f"whoever reaches {host} could change the cluster",
            hint=f"Give a token: --web-token-file FILE, or {TOKEN_VARIABLE}. Or stay on {LISTEN}, and come by ssh -L.",
        )
    return text


def _tls(certificate: str | None, key: str | None) -> ssl.SSLContext | None:
    if certificate is None:
        if key is not None:
            raise ConfigError("--web-key goes with --web-cert")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"cannot use the certificate in {certificate}: {reason}") from None
    return context
