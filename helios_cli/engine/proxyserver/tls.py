"""TLS of the proxy on both of its sides, read from its files at the start and at every reload."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from helios_cli.engine.config.proxy import ProxySettings
from helios_cli.engine.net.tls_files import ServerTls, load_authorities, load_pair, server_side

VERSION = ssl.TLSVersion.TLSv1_2
"""The oldest that is spoken, as PostgreSQL's ssl_min_protocol_version."""
_CLIENT_FILES = ("cert of [tls]", "key of [tls]")
_BACKEND_FILES = ("cert of [backend_tls]", "key of [backend_tls]")


@dataclass(frozen=True, slots=True)
class ProxyTls:
    """What connections that are made from now on speak TLS with; those that are there keep what they began with."""

    clients: ServerTls | None
    """For applications; None: in the clear."""
    backends: ssl.SSLContext | None
    """For nodes; None: in the clear. Under ``verify-full`` it wants the node's host as ``server_hostname``."""


def load_tls(settings: ProxySettings) -> ProxyTls:
    """Read the files.

    Raises:
        ConfigError: one cannot be used. Whoever reloads then goes on with what he has.
    """
    clients = None
    if settings.tls_mode != "disable" and settings.tls_cert:
        clients = server_side(settings.tls_cert, settings.tls_key, VERSION, _CLIENT_FILES)
    return ProxyTls(clients, backend_context(settings))


def backend_context(settings: ProxySettings) -> ssl.SSLContext | None:
    """For connections to nodes; None: in the clear. Raises ConfigError."""
    if settings.backend_tls == "disable":
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = VERSION
    context.check_hostname = settings.backend_tls == "verify-full"
    if settings.backend_tls.startswith("verify"):
        if settings.backend_ca:
            load_authorities(context, "ca of [backend_tls]", settings.backend_ca)
        else:
            context.load_default_certs()
    else:
        context.verify_mode = ssl.CERT_NONE
    if settings.backend_cert:
        load_pair(context, settings.backend_cert, settings.backend_key, _BACKEND_FILES)
    return context
