"""Asking a node over HTTP; blocking, with a deadline."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPException
from typing import Any

from helios_cli.commands import _options
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.storage.dirlock import running_holder

BODY_BYTES_MAX = 16 << 20


class Unreachable(HeliosError):
    """Nobody answers at the address."""

    sqlstate = "08001"


class TooSlow(HeliosError):
    """The node did not answer in time."""

    sqlstate = "57014"


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and decoded body; the body is text when it is no JSON."""

    status: int
    body: Any


def address_of(node: str | None, data_dir: str | None, config: str | None) -> tuple[str, int]:
    """Where the HTTP of a node is: what was named, else what its settings say.

    A node that listens everywhere is asked on loopback; one that runs on the data directory tells its own port.

    Raises:
        HeliosError: ``node`` is not host:port.
    """
    if node is not None:
        host, _, port = node.rpartition(":")
        if not host or not port.isdigit():
            raise HeliosError(f"--node takes HOST:PORT, not {node!r}", sqlstate="F0000")
        return host.strip("[]"), int(port)
    settings = _options.load({"data_dir": data_dir}, config).settings
    holder = running_holder(settings.data_dir)
    if holder is not None and "http" in holder.ports and settings.origin("http_port").kind == "default":
        settings = replace(settings, http_port=holder.ports["http"])
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}
    return everywhere.get(settings.listen_address, settings.listen_address), settings.http_port


def get(address: tuple[str, int], path: str, timeout_s: float) -> Answer:
    """Fetch a path.

    Raises:
        Unreachable: no connection, or no HTTP.
        TooSlow: no answer in time.
    """
    host, port = address
    connection = HTTPConnection(host, port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        text = response.read(BODY_BYTES_MAX).decode(errors="replace")
    except TimeoutError:
        raise TooSlow(f"{host}:{port} did not answer within {timeout_s:g} s") from None
    except (OSError, HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise Unreachable(
            f"no node answers at {host}:{port}: {reason}", hint="Is it running? heliosdb-nano start runs one."
        ) from None
    finally:
        connection.close()
    try:
        return Answer(response.status, json.loads(text))
    except ValueError:
        return Answer(response.status, text)
