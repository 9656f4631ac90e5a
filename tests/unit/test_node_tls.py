"""Certificates that are read again: what is taken over, what is refused, and what a connection goes on with."""

from __future__ import annotations

import re
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from helios_cli.engine.config.settings import Settings
from helios_cli.engine.errors import ConfigError
from helios_cli.engine.net.pgclient import certificate_hash
from helios_cli.engine.node.node_tls import NodeTls


class Files:
    """An authority, and the certificate and the key of a node, which may be replaced."""

    def __init__(self, directory: Path) -> None:
        self.ca, self.cert, self.key = (directory / name for name in ("ca.crt", "node.crt", "node.key"))
        self.new_authority()
        self.issue()

    def new_authority(self) -> None:
        self.authority = trustme.CA()
        self.authority.cert_pem.write_to_path(str(self.ca))

    def issue(self) -> bytes:
        """Replace the pair; the new certificate as DER."""
        made = self.authority.issue_cert("localhost")
        self.cert.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        self.key.write_bytes(made.private_key_pem.bytes())
        return self.der()

    def der(self) -> bytes:
        return ssl.PEM_cert_to_DER_cert(self.cert.read_text().partition(ssl.PEM_FOOTER)[0] + ssl.PEM_FOOTER)

    def settings(self, **more: Any) -> Settings:
        return Settings(tls_cert=str(self.cert), tls_key=str(self.key), tls_ca=str(self.ca), **more)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


Told = list[tuple[str, str]]


def node_tls(settings: Settings) -> tuple[NodeTls, Told]:
    told: Told = []
    return NodeTls(settings, lambda kind, message, **fields: told.append((kind, message))), told


def shown(server: ssl.SSLContext, name: str | None = None) -> bytes:
    """The certificate, as DER, that a server shows whoever calls it, by a name or without one."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [client.wrap_bio(back, there, server_hostname=name), server.wrap_bio(there, back, server_side=True)]
    for _ in range(6):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    der = sides[0].getpeercert(binary_form=True)
    assert der is not None
    return der


def everywhere(tls: NodeTls) -> set[bytes]:
    assert tls.clients is not None and tls.peer.server is not None and tls.http is not None
    ports = (tls.clients.context, tls.peer.server, tls.http)
    return {shown(port, name) for port in ports for name in (None, "localhost")}


def test_a_new_pair_is_shown_on_every_port(files: Files) -> None:
    tls, told = node_tls(files.settings())
    old, before = files.der(), tls.peer
    assert everywhere(tls) == {old}
    new = files.issue()
    assert everywhere(tls) == {old}, "a file that is replaced changes nothing by itself"
    assert tls.reload(files.settings(), files.settings()) == (files.settings(), None)
    assert everywhere(tls) == {new} != {old}
    assert tls.clients is not None and tls.clients.binding == certificate_hash(new)
    assert tls.peer.binding != before.binding
    assert before.server is not None and shown(before.server) == old, "a connection goes on with what it began with"
    assert [kind for kind, _ in told] == ["certificate_replaced"] and "tls_cert" in told[0][1]


def other_key(files: Files) -> None:
    files.key.write_bytes(files.authority.issue_cert("localhost").private_key_pem.bytes())


def locked_key(files: Files) -> None:
    key: Any = serialization.load_pem_private_key(files.key.read_bytes(), None)
    form = serialization.PrivateFormat.PKCS8
    locked = serialization.BestAvailableEncryption(b"secret")
    files.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, locked))


@pytest.mark.parametrize(
    ("breaks", "why"),
    [
        (other_key, "node.key is not the key of the certificate in tls_cert"),
        (locked_key, "node.key: it is protected by a passphrase"),
        (lambda files: files.key.unlink(), "cannot read tls_key .*node.key: No such file"),
        (lambda files: files.cert.unlink(), "cannot read tls_cert .*node.crt: No such file"),
        (lambda files: files.cert.write_text("nothing"), "cannot load tls_cert .*node.crt with tls_key .*node.key"),
        (lambda files: files.ca.write_text("nothing"), "cannot load tls_ca .*ca.crt"),
        (lambda files: files.ca.unlink(), "cannot read tls_ca .*ca.crt: No such file"),
    ],
)
def test_what_cannot_be_used_is_refused_as_a_whole(files: Files, breaks: Any, why: str) -> None:
    before = files.settings()
    tls, told = node_tls(before)
    old, peer = files.der(), tls.peer
    files.issue()
    breaks(files)
    wanted = replace(before, tls_min_version="1.3", lock_timeout=7)
    settings, why_not = tls.reload(wanted, before)
    assert settings == replace(before, lock_timeout=7), "nothing of TLS, and all else"
    assert everywhere(tls) == {old} and tls.peer is peer
    ((kind, message),) = told
    assert kind == "tls_not_reloaded" and message == why_not
    assert message.startswith("TLS goes on with the certificates that it has: ")
    assert re.search(why, message) and "\n" not in message, "one line"
    with pytest.raises(ConfigError, match=why):
        NodeTls(wanted, lambda *args, **fields: None)


def test_the_ports_of_the_nodes_begin_no_tls_while_they_run(files: Files) -> None:
    bare = Settings()
    tls, told = node_tls(bare)
    assert tls.reload(files.settings(), bare)[0] == bare
    assert told[0][0] == "tls_not_reloaded" and "at a restart only" in told[0][1]
    assert tls.clients is None and tls.http is None


def test_the_postgresql_port_begins_and_ends_it(tmp_path: Path) -> None:
    off, made = Settings(data_dir=str(tmp_path)), Settings(data_dir=str(tmp_path), tls="self-signed")
    tls, _ = node_tls(off)
    assert tls.reload(made, off) == (made, None) and tls.clients is not None
    assert tls.reload(off, made) == (off, None) and tls.clients is None


def test_another_authority_is_trusted_from_the_next_connection_on(files: Files) -> None:
    tls, told = node_tls(files.settings(peer_auth="certificate"))

    def trusted() -> list[dict[str, Any]]:
        assert tls.peer.client is not None and tls.peer.server is not None
        assert tls.peer.client.get_ca_certs() == tls.peer.server.get_ca_certs()
        return tls.peer.client.get_ca_certs()

    before = trusted()
    files.new_authority()
    files.issue()
    tls.reload(files.settings(peer_auth="certificate"), files.settings(peer_auth="certificate"))
    assert len(trusted()) == 1 and trusted() != before
    assert [kind for kind, _ in told] == ["certificate_replaced"] * 2
