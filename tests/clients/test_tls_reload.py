"""Certificates that are replaced while nodes run: shown to whoever connects next, and the end of a refusal."""

from __future__ import annotations

import contextlib
import datetime
import http.client
import json
import signal
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
import trustme
from support.node_process import MakeNode, NodeProcess, wait_until

from helios_cli.cli import main
from helios_cli.engine.config.settings import Settings
from helios_cli.engine.node import launch
from helios_cli.engine.wire import peer

JOINED_S = 90.0


class Authority:
    """A directory with the certificate of an authority, and those of nodes that it has signed."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.signer = directory, trustme.CA()
        self.signer.cert_pem.write_to_path(str(directory / "ca.crt"))

    def issue(self, name: str, *names: str, **more: Any) -> bytes:
        """Write ``name.crt`` and ``name.key``, over those of before; the certificate as DER."""
        made = self.signer.issue_cert(*(names or ("127.0.0.1",)), **more)
        chain = b"".join(blob.bytes() for blob in made.cert_chain_pems)
        (self.directory / f"{name}.crt").write_bytes(chain)
        (self.directory / f"{name}.key").write_bytes(made.private_key_pem.bytes())
        return ssl.PEM_cert_to_DER_cert(made.cert_chain_pems[0].bytes().decode())

    def flags(self, name: str) -> tuple[str, ...]:
        files = (str(self.directory / file) for file in (f"{name}.crt", f"{name}.key", "ca.crt"))
        return tuple(part for pair in zip(("--tls-cert", "--tls-key", "--tls-ca"), files, strict=True) for part in pair)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def anybody() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def shown(port: int, ask: bytes, yes: bytes) -> bytes:
    """The certificate, as DER, of a port that speaks TLS once it has been asked to."""
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        sock.sendall(ask)
        assert sock.recv(len(yes)) == yes
        with anybody().wrap_socket(sock) as secured:
            return secured.getpeercert(binary_form=True) or b""


def everywhere(node: NodeProcess) -> list[bytes]:
    """What the PostgreSQL port, the native port and the HTTP port show."""
    return [
        shown(node.pg_port, b"\0\0\0\x08\x04\xd2\x16\x2f", b"S"),
        shown(node.native_port, peer.TLS_WANTED, peer.TLS_WANTED),
        shown(node.http_port, b"", b""),
    ]


def https(node: NodeProcess, path: str, body: Any = None) -> tuple[int, Any]:
    with contextlib.closing(http.client.HTTPSConnection("127.0.0.1", node.http_port, context=anybody())) as connection:
        headers = {"Authorization": f"Bearer {node.token}"}
        connection.request("GET" if body is None else "POST", path, body and json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def start(node: NodeProcess) -> None:
    """/health is HTTPS here."""
    node.start(wait=False)

    def serves() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", node.pg_port), 5):
            return True
        return False

    wait_until(serves, "the node serves", JOINED_S)


def test_every_port_shows_the_new_certificate_and_no_connection_ends(make_node: MakeNode, authority: Authority) -> None:
    first = authority.issue("node")
    node = make_node("--replication-role", "primary", "--node-id", "n1", *authority.flags("node"), start=False)
    start(node)
    with node.connect(sslmode="verify-full", sslrootcert=str(authority.directory / "ca.crt")) as session:
        second = authority.issue("node")
        assert everywhere(node) == [first] * 3
        node.send(signal.SIGHUP)
        wait_until(lambda: everywhere(node) == [second] * 3, "the new certificate is shown", 30)
        (authority.directory / "node.key").write_bytes(authority.signer.issue_cert("x").private_key_pem.bytes())
        assert session.execute("SELECT pg_reload_conf()").fetchone() == (True,)
        status, refused = https(node, "/admin/reload", {})
        assert (status, refused["sqlstate"]) == (409, "55000")
        assert "node.key is not the key of the certificate in tls_cert" in refused["error"]
        assert everywhere(node) == [second] * 3
        third = authority.issue("node")
        assert https(node, "/admin/reload", {}) == (200, {"status": "ok"})
        assert everywhere(node) == [third] * 3
        told = session.execute("SELECT kind FROM helios_events WHERE kind ~ 'certificate|tls' ORDER BY id").fetchall()
        assert [kind for (kind,) in told] == [
            "certificate_replaced", "tls_not_reloaded", "tls_not_reloaded", "certificate_replaced",
        ]  # fmt: skip


def test_a_node_that_was_refused_comes_in_when_the_certificate_is_replaced(
    make_node: MakeNode, authority: Authority
) -> None:
    """The primary's has expired: what runs goes on, who comes is told why, and nobody restarts or elects."""
    yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    authority.issue("primary", not_after=yesterday)
    authority.issue("standby")
    primary = make_node(
        "--replication-role", "primary", "--node-id", "n1", *authority.flags("primary"), start=False
    )  # fmt: skip
    start(primary)
    where = ("--primary-host", "127.0.0.1", "--primary-port", str(primary.native_port))
    standby = make_node(
        "--replication-role", "standby", "--node-id", "n2", *where, *authority.flags("standby"), start=False
    )
    standby.start(wait=False)
    why = "the certificate that the node at 127.0.0.1 shows has expired (hint: Give that node a new one"
    wait_until(lambda: why in standby.log_tail(), "the standby says why", JOINED_S)
    status, pid = https(primary, "/status")[1], primary.pid
    assert "has expired" in status["alarms"][0] and "pg_reload_conf()" in status["alarms"][0]
    authority.issue("primary")
    primary.send(signal.SIGHUP)
    wait_until(lambda: "ready:" in standby.log_tail(), "the standby has joined", JOINED_S)
    after = https(primary, "/status")[1]
    assert (after["alarms"], after["term"], primary.pid) == ([], status["term"], pid)


def test_a_reload_that_comes_while_a_node_starts_waits_for_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It would end a process that has no handler for it yet."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    found: list[bool] = []

    def run(settings: Settings) -> int:
        signal.pthread_kill(threading.get_ident(), signal.SIGHUP)
        found.append(signal.SIGHUP in signal.sigpending())
        return 0

    handler = signal.signal(signal.SIGHUP, lambda *_: None)
    monkeypatch.setattr(launch, "run", run)
    try:
        assert main(["start", "--data-dir", str(tmp_path)]) == 0
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        signal.signal(signal.SIGHUP, handler)
    assert found == [True]
