"""Asking a node over HTTP; blocking, with a deadline."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http.client import BadStatusLine, HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, Final

from helios_cli.commands import _options
from helios_cli.engine.config.settings import Settings
from helios_cli.engine.errors import ConfigError, HeliosError
from helios_cli.engine.storage.dirlock import running_holder

BODY_BYTES_MAX = 16 << 20


class Unreachable(HeliosError):
    """Nobody answers at the address."""

    sqlstate = "08001"


class TooSlow(HeliosError):
    """The node did not answer in time."""

    sqlstate = "57014"


class Untrusted(HeliosError):
    """Somebody answers, but not in the way that was asked for, or with a certificate that is not trusted."""

    sqlstate = "08006"


CA_HINT: Final = "Name the node's certificate or its CA with --ca FILE, or the node's settings with --config FILE."
POSTGRESQL_HINT: Final = (
    "--node takes the HTTP address of a node, 8080 where nothing else was said: SELECT http_address FROM "
    "helios_topology WHERE is_local tells it. heliosdb-nano monitor takes the SQL address too, --host HOST --port PORT."
)
SSL_REQUEST: Final = bytes.fromhex("0000000804d2162f")
"""What a client of PostgreSQL may ask first (53.7, "SSLRequest"); the answer is one letter."""
PROBE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where the HTTP of a node is, and what it must prove."""

    host: str
    port: int
    tls: bool = False
    ca: str | None = None
    """PEM file of trusted certificates; None: those of the system."""
    own_certificate: str | None = None
    """PEM file that is the node's own by its settings: this certificate is trusted whatever name it bears."""
    cluster_ca: str | None = None
    """PEM file of those who sign the certificates of the cluster's nodes, by its settings: for all its other nodes."""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and decoded body; the body is text when it is no JSON."""

    status: int
    body: Any


def address_of(node: str | None, data_dir: str | None, config: str | None, ca: str | None = None) -> Address:
    """Where the HTTP of a node is: what was named, else what its settings say.

    A node that listens everywhere is asked on loopback; one that runs on the data directory tells its own port.
    TLS is spoken when the name says ``https://``, when a CA is given, or when the settings have a certificate; that
    certificate is trusted, and compared byte for byte, as long as neither a name nor a CA was given.

    Raises:
        HeliosError: ``node`` is not host:port.
    """
    if node is not None:
        asked = config is not None or data_dir is not None
        return _named(node, ca, _options.load({"data_dir": data_dir}, config).settings if asked else None)
    settings = _options.load({"data_dir": data_dir}, config).settings
    holder = running_holder(settings.data_dir)
    if holder is not None and "http" in holder.ports and settings.origin("http_port").kind == "default":
        settings = replace(settings, http_port=holder.ports["http"])
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}
    host = everywhere.get(settings.listen_address, settings.listen_address)
    tls = bool(settings.tls_cert or ca)
    own, cluster_ca = (None, None) if ca else (settings.tls_cert or None, settings.tls_ca or None)
    return Address(host, settings.http_port, tls, ca, own, cluster_ca)


def _named(node: str, ca: str | None, settings: Settings | None) -> Address:
    """The address of ``--node``; ``settings`` are those of the node when its files were named too."""
    scheme, separator, rest = node.rpartition("://")
    host, _, port = rest.rstrip("/").rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536 or (separator and scheme not in ("http", "https")):
        raise HeliosError(f"--node takes HOST:PORT or https://HOST:PORT, not {node!r}", sqlstate="F0000")
    own = settings.tls_cert if settings is not None and ca is None and scheme != "http" else ""
    tls = scheme == "https" or (not separator and bool(ca or own))
    cluster_ca = settings.tls_ca if settings is not None and ca is None else ""
    return Address(host.strip("[]"), int(port), tls, ca, own or None, cluster_ca or None)


def get(address: Address, path: str, timeout_s: float) -> Answer:
    """Fetch a path; raises what :func:`_ask` raises."""
    return _ask(address, "GET", path, timeout_s)


def post(address: Address, path: str, body: Mapping[str, object], token: str, timeout_s: float) -> Answer:
    """Ask for something with the admin token; raises what :func:`_ask` raises."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return _ask(address, "POST", path, timeout_s, json.dumps(body), headers)


def post_sql(address: Address, body: Mapping[str, object], credentials: str, timeout_s: float) -> Answer:
    """Ask for SQL; ``credentials`` is the Authorization header, empty for none. Raises what :func:`_ask` raises."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": credentials} if credentials else {})
    return _ask(address, "POST", "/sql", timeout_s, json.dumps(body), headers)


def _ask(
    address: Address,
    method: str,
    path: str,
    timeout_s: float,
    body: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """One request and its answer.

    Raises:
        Unreachable: no connection, or no HTTP.
        Untrusted: TLS on one side only, or a certificate that is not trusted.
        TooSlow: no answer in time.
        ConfigError: a file of certificates cannot be read.
    """
    connection = _connection(address, timeout_s)
    try:
        connection.connect()
        if not _shows_own(address, connection):
            # Another node of the cluster, which an answer of the one at hand has sent us to.
            by_ca = replace(address, ca=address.cluster_ca, own_certificate=None)
            return _ask(by_ca, method, path, timeout_s, body, headers)
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        text = response.read(BODY_BYTES_MAX).decode(errors="replace")
    except TimeoutError:
        raise TooSlow(f"{address} did not answer within {timeout_s:g} s") from None
    except ssl.SSLCertVerificationError as error:
        raise Untrusted(f"the certificate of {address} is not trusted: {error.verify_message}", hint=CA_HINT) from None
    except (OSError, HTTPException) as error:
        raise _unreachable(address, error) from None
    finally:
        connection.close()
    try:
        return Answer(response.status, json.loads(text))
    except ValueError:
        return Answer(response.status, text)


def _connection(address: Address, timeout_s: float) -> HTTPConnection:
    if not address.tls:
        return HTTPConnection(address.host, address.port, timeout=timeout_s)
    file = address.ca or address.own_certificate or address.cluster_ca
    try:
        context = ssl.create_default_context(cafile=file)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"cannot load the certificates in {file}: {reason}", hint=CA_HINT) from None
    if address.own_certificate is not None:
        # Trusted is this very certificate, see _shows_own: whoever issued it, and whatever name it bears.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return HTTPSConnection(address.host, address.port, timeout=timeout_s, context=context)


def _shows_own(address: Address, connection: HTTPConnection) -> bool:
    """Whether the node named by its own settings shows the certificate that they name; False: ask the cluster's CA.

    Raises:
        Untrusted: it shows another one, and there is no CA to ask.
    """
    if address.own_certificate is None:
        return True
    assert isinstance(connection.sock, ssl.SSLSocket)
    shown = connection.sock.getpeercert(binary_form=True)
    pem = Path(address.own_certificate).read_text(encoding="ascii", errors="replace")
    end = "-----END CERTIFICATE-----"
    first = pem[pem.find("-----BEGIN CERTIFICATE-----") : pem.find(end) + len(end)]
    if shown is not None and shown == ssl.PEM_cert_to_DER_cert(first):
        return True
    if address.cluster_ca is None:
        raise Untrusted(
            f"{address} shows another certificate than {address.own_certificate}",
            hint="If the file is new, have the node take it over: SELECT pg_reload_conf() or SIGHUP. If it is another "
            "node, name the CA of its certificate with --ca FILE, or in tls_ca; otherwise somebody else answers there.",
        )
    return False


def _unreachable(address: Address, error: Exception) -> HeliosError:
    """The error for a connection that came to nothing."""
    if isinstance(error, ssl.SSLError) and address.tls:
        return Untrusted(f"{address} does not speak TLS", hint=f"Ask it in the clear: --node http://{address}.")
    closed = isinstance(error, (BadStatusLine, ConnectionResetError))
    if closed and _speaks_postgresql(address):
        raise Untrusted(f"{address} speaks PostgreSQL, not HTTP", hint=POSTGRESQL_HINT)
    if closed and not address.tls:
        return Untrusted(
            f"{address} closed the connection without an answer: it speaks HTTPS alone, or is no HTTP port",
            hint=f"Ask it by TLS: --node https://{address} --ca FILE, or name its settings with --config FILE. "
            "The HTTP port of a node is 8080 when nothing else is said.",
        )
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return Unreachable(f"no node answers at {address}: {reason}", hint="Is it running? heliosdb-nano start runs one.")


def _speaks_postgresql(address: Address) -> bool:
    """Whether the port is one for SQL."""
    try:
        with socket.create_connection((address.host, address.port), PROBE_S) as probe:
            probe.sendall(SSL_REQUEST)
            return probe.recv(1) in (b"S", b"N")
    except OSError:
        return False
