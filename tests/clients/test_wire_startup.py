"""From the first byte to a session: encryption requests, versions, parameters, limits, passwords."""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import trustme
from support.node_process import NodeProcess, wait_until
from support.raw_wire import (
    GSSENC_REQUEST,
    SSL_REQUEST,
    SYNC,
    RawClient,
    cancel_request,
    message,
    query,
    startup,
)

SECRET = "correct horse"
STARTUP = startup({"user": "postgres", "database": "heliosdb"})


def told(port: int, *parts: bytes, seconds: float = 5.0) -> bytes:
    """Send each part, wait for an answer between them, then everything to the end of the connection."""
    with socket.create_connection(("127.0.0.1", port), seconds) as client:
        for part in parts[:-1]:
            client.sendall(part)
            assert client.recv(1) == b"N"
        client.sendall(parts[-1])
        heard = b""
        while True:
            try:
                data = client.recv(65536)
            except ConnectionResetError:
                return heard
            if not data:
                return heard
            heard += data


def refused(port: int, packet: bytes) -> dict[str, str]:
    """The fields of the FATAL error that answers a packet, after which the connection is closed."""
    with RawClient(port, started=False) as client:
        client.send(packet)
        answers = client.to_the_end()
    code, fields = answers[-1]
    assert code == "E"
    assert fields["S"] == fields["V"] == "FATAL"
    assert isinstance(fields, dict)
    return fields


# Encryption and versions ---------------------------------------------------------------------------------------------


def test_encryption_is_refused_without_a_certificate(server: NodeProcess) -> None:
    for requests in ((SSL_REQUEST,), (GSSENC_REQUEST,), (SSL_REQUEST, GSSENC_REQUEST), (GSSENC_REQUEST, SSL_REQUEST)):
        with RawClient(server.pg_port, started=False) as client:
            for request in requests:
                client.send(request)
                assert client.read_exactly(1) == b"N"
            client.send(STARTUP)
            assert client.until("Z")[-1] == ("Z", "I")


@pytest.mark.parametrize("request_packet", [SSL_REQUEST, GSSENC_REQUEST])
def test_bytes_behind_an_encryption_request_end_the_connection(server: NodeProcess, request_packet: bytes) -> None:
    heard = told(server.pg_port, request_packet + STARTUP)
    assert b"C08P01\0Mreceived unencrypted data after" in heard
    assert b"\0Z" not in heard


@pytest.mark.parametrize("request_packet", [SSL_REQUEST, GSSENC_REQUEST])
def test_encryption_is_asked_for_once(server: NodeProcess, request_packet: bytes) -> None:
    assert b"C0A000\0Munsupported frontend protocol 1234.56" in told(server.pg_port, request_packet, request_packet)


@pytest.mark.parametrize(
    ("version", "options"), [(196610, {}), (196608, {"_pq_.future": "1"}), (196612, {"_pq_.future": "x"})]
)
def test_newer_minor_versions_are_negotiated_down(server: NodeProcess, version: int, options: dict[str, str]) -> None:
    with RawClient(server.pg_port, started=False) as client:
        client.send(startup({"user": "postgres"} | options, version))
        code, body = client.receive()
        assert code == "v"
        names = b"".join(name.encode() + b"\0" for name in options)
        assert body == struct.pack("!II", 3 << 16, len(options)) + names
        assert client.until("Z")[-1] == ("Z", "I")


@pytest.mark.parametrize("version", [2 << 16, 4 << 16, 0, 1234 << 16 | 5681])
def test_other_major_versions_are_refused(server: NodeProcess, version: int) -> None:
    assert refused(server.pg_port, startup({"user": "postgres"}, version))["C"] == "0A000"


@pytest.mark.parametrize(
    "garbage",
    [
        struct.pack("!ii", 20, 196608) + b"user\0postgre",
        startup({}), startup({"database": "heliosdb"}), struct.pack("!ii", 16, 196608) + b"user\0\xff\0\0",
    ],
)  # fmt: skip
def test_garbage_is_refused_at_once(server: NodeProcess, garbage: bytes) -> None:
    heard = told(server.pg_port, garbage)
    assert heard.startswith(b"E")
    assert b"SFATAL\0" in heard


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: db\r\n\r\n", b"\0\0\0\0", b"\0\0\0\4", b"\x7f\xff\xff\xff\0\3\0\0", b"\xff" * 64,
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", b"X\0\0\0\4", struct.pack("!ii", 9, 80877103) + b"x",
    ],
)  # fmt: skip
def test_what_is_no_startup_packet_is_not_answered(server: NodeProcess, garbage: bytes) -> None:
    """A client that leaves before it has begun says Terminate first, and takes no answer."""
    assert told(server.pg_port, garbage) == b""


def test_message_lengths_are_bounded(server: NodeProcess) -> None:
    lengths = (b"Q\xff\xff\xff\xff", b"Q\0\0\0\3", b"Q\x7f\xff\xff\xff", b"S\0\x0f\xff\xff")
    for head in (*lengths, b"y\0\0\0\4", b"\0\0\0\0\0"):
        with RawClient(server.pg_port) as client:
            client.send(head)
            (code, fields), *rest = client.to_the_end()
            assert (code, fields["S"], fields["C"], rest) == ("E", "FATAL", "08P01", [])


# Parameters -----------------------------------------------------------------------------------------------------------


def test_reported_parameters_are_those_of_postgresql(server: NodeProcess, reference: int) -> None:
    given = {"application_name": "me", "client_encoding": "UTF8", "timezone": "Europe/Berlin"}
    given |= {"options": "-c extra_float_digits=1 --search_path=public"}
    with RawClient(server.pg_port, parameters=given) as ours, RawClient(reference, parameters=given) as theirs:
        # These two are the user's, whom the servers name differently.
        assert set(ours.parameters) >= set(theirs.parameters) - {"is_superuser", "session_authorization"}
        same = set(ours.parameters) & set(theirs.parameters) - {"server_version"}
        assert {name: ours.parameters[name] for name in same} == {name: theirs.parameters[name] for name in same}
        assert ours.parameters["server_version"].startswith("15.")
        assert ours.run("SHOW search_path")[1] == ("D", (b"public",))


def test_startup_errors_are_those_of_postgresql(server: NodeProcess, reference: int) -> None:
    base = {"user": "postgres", "database": "postgres"}
    for change in (
        {"database": "nope"}, {"options": "-c nope=5"}, {"options": "-c statement_timeout=abc"}, {"nope": "5"},
        {"client_encoding": "NOPE"}, {"timezone": "Mars/Olympus"},
    ):  # fmt: skip
        packet = startup(base | change)
        assert refused(server.pg_port, packet)["C"] == refused(reference, packet)["C"], change


# TLS, limits and passwords: a node that has them ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NodeProcess, Path]]:
    """A node with a certificate, four places, and half a second to log in; and the authority's certificate."""
    directory = tmp_path_factory.mktemp("guarded")
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    certificate.private_key_pem.write_to_path(directory / "key.pem")
    for number, part in enumerate(certificate.cert_chain_pems):
        part.write_to_path(directory / "cert.pem", append=number > 0)
    authority.cert_pem.write_to_path(directory / "ca.pem")
    flags = []
    for setting in ("authentication_timeout=500ms", "max_connections=4", f"tls_cert={directory / 'cert.pem'}"):
        flags += ["--set", setting]
    node = NodeProcess(directory, [*flags, "--set", f"tls_key={directory / 'key.pem'}"])
    # The certificate is HTTP's too, so health is asked of the PostgreSQL port.
    node.start(wait=False)
    wait_until(lambda: _answers(node), "the node answers", 20)
    yield node, directory / "ca.pem"
    node.kill()
    print(node.log_tail())


def test_tls(guarded: tuple[NodeProcess, Path]) -> None:
    node, ca = guarded
    with node.connect(host="localhost", sslmode="verify-full", sslrootcert=str(ca)) as connection:
        assert connection.pgconn.ssl_in_use
        row = connection.execute("SELECT repeat('x', 3000000)").fetchone()
        assert row is not None
        assert len(row[0]) == 3_000_000


def test_tls_refuses_what_comes_in_the_clear(guarded: tuple[NodeProcess, Path]) -> None:
    node, ca = guarded
    assert b"unencrypted data after SSL request" in told(node.pg_port, SSL_REQUEST + STARTUP)
    with socket.create_connection(("127.0.0.1", node.pg_port), 5) as plain:
        plain.sendall(SSL_REQUEST)
        assert plain.recv(1) == b"S"
        with ssl.create_default_context(cafile=str(ca)).wrap_socket(plain, server_hostname="localhost") as inside:
            inside.sendall(SSL_REQUEST)
            assert b"unsupported frontend protocol" in inside.recv(1000)
    with socket.create_connection(("127.0.0.1", node.pg_port), 5) as plain:
        plain.sendall(SSL_REQUEST)
        assert plain.recv(1) == b"S"
        plain.sendall(b"this is no handshake at all")
        while plain.recv(1000):
            pass


@pytest.mark.parametrize("first", [b"", b"\0\0", GSSENC_REQUEST, STARTUP[:20], SSL_REQUEST])
def test_slow_clients_are_cut(guarded: tuple[NodeProcess, Path], first: bytes) -> None:
    node, _ = guarded
    with socket.create_connection(("127.0.0.1", node.pg_port), 5) as slow:
        began = time.monotonic()
        slow.sendall(first)
        while slow.recv(100):
            pass
        assert 0.3 < time.monotonic() - began < 4


def test_too_many_connections(guarded: tuple[NodeProcess, Path]) -> None:
    node, _ = guarded
    clients = [RawClient(node.pg_port) for _ in range(4)]
    assert refused(node.pg_port, STARTUP)["C"] == "53300"
    told(node.pg_port, cancel_request(1, b"zzzz"))
    for client in clients:
        client.socket.close()
    wait_until(lambda: _answers(node), "a place is free again")


def _answers(node: NodeProcess) -> bool:
    try:
        with node.connect() as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


def _login(node: NodeProcess, user: str, password: str | None) -> str:
    """The role that logged in, or what the server said."""
    try:
        with node.connect(user=user, password=password, sslmode="disable") as connection:
            row = connection.execute("SELECT current_user").fetchone()
            assert row is not None
            return str(row[0])
    except psycopg.OperationalError as error:
        return str(error)


def test_a_password_turns_scram_on_for_everybody(guarded: tuple[NodeProcess, Path]) -> None:
    node, _ = guarded
    with node.connect() as admin:
        admin.execute(f"CREATE ROLE ann LOGIN PASSWORD '{SECRET}'")
        try:
            _check_scram(node)
            with node.connect(user="ann", password=SECRET, sslmode="require") as bound:
                assert bound.execute("SELECT 1").fetchone() == (1,)
            admin.execute("ALTER ROLE ann PASSWORD 'another'")
            assert "password authentication failed" in _login(node, "ann", SECRET)
            assert _login(node, "ann", "another") == "ann"
        finally:
            admin.execute("DROP ROLE ann")
        assert _login(node, "bob", None) == "bob"
    written = b"".join(path.read_bytes() for path in node.directory.rglob("*") if path.is_file())
    assert SECRET.encode() not in written


def _check_scram(node: NodeProcess) -> None:
    assert _login(node, "ann", SECRET) == "ann"
    assert 'password authentication failed for user "ann"' in _login(node, "ann", "wrong")
    assert 'password authentication failed for user "bob"' in _login(node, "bob", "wrong")
    assert "no password supplied" in _login(node, "postgres", None)
    for packet in (STARTUP, query("SELECT 1"), SYNC, message("p", b"PLAIN\0\xff\xff\xff\xff"), b"p\x7f\xff\xff\xff"):
        with _asked_for_password(node, "ann") as client:
            client.send(packet)
            (code, fields), *rest = client.to_the_end()
            assert (code, fields["C"], rest) == ("E", "08P01", [])
    known, unknown = _first_server_message(node, "ann"), _first_server_message(node, "bob")
    assert [len(part) for part in known.values()] == [len(part) for part in unknown.values()]
    assert known["s"] != unknown["s"]
    # A stable salt: the same name asked twice gets the same, as a real one would.
    assert unknown["s"] == _first_server_message(node, "bob")["s"]
    assert known["s"] == _first_server_message(node, "ann")["s"]


def _asked_for_password(node: NodeProcess, user: str) -> RawClient:
    client = RawClient(node.pg_port, started=False)
    client.send(startup({"user": user, "database": "heliosdb"}))
    assert client.receive() == ("R", b"\0\0\0\nSCRAM-SHA-256\0\0")
    return client


def _first_server_message(node: NodeProcess, user: str) -> dict[str, Any]:
    first = b"n,,n=,r=abcdefghijklmnopqrst"
    with _asked_for_password(node, user) as client:
        client.send(message("p", b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first))
        code, body = client.receive()
        assert code == "R"
        return dict(part.split("=", 1) for part in body[4:].decode().split(","))


def test_auth_scram_lets_nobody_in_without_a_password(make_node: Any) -> None:
    node = make_node("--set", "auth=scram")
    assert "no password supplied" in _login(node, "postgres", None)
    assert "password authentication failed" in _login(node, "postgres", "x")
