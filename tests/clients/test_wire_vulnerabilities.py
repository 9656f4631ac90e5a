"""One test for each class of holes that servers and proxies of this protocol have had.

Those that stand elsewhere: bytes in the clear before TLS (CVE-2021-23214, CVE-2021-3935) and clients that dawdle over
their login (CVE-2015-3165) in ``test_wire_startup``; rows shown by errors (CVE-2014-8161) in ``test_error_fields``;
simple queries amid a pipeline in ``test_wire_twins``; a server that lies to our own client (CVE-2026-4427, -6665,
-6666, -6669) in ``tests/property/test_wire_and_types`` and ``tests/unit/wire``.
"""

from __future__ import annotations

import base64
import os
import socket
import struct
from collections.abc import Iterator

import psutil
import pytest
from support.node_process import NodeProcess, wait_until
from support.raw_wire import (
    GSSENC_REQUEST,
    SSL_REQUEST,
    SYNC,
    Closed,
    RawClient,
    bind,
    cancel_request,
    execute,
    message,
    parse,
    query,
    startup,
)

STARTUP = startup({"user": "app", "database": "heliosdb"})
LENGTHS = (0, 1, 3, 4, 5, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)
NO_SESSION = (b"R\0\0\0\x08\0\0\0\0", b"Z\0\0\0\5")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A node that asks everybody for a password."""
    node = NodeProcess(tmp_path_factory.mktemp("guarded")).start()
    with node.connect() as connection:
        connection.execute("CREATE ROLE app LOGIN PASSWORD 'secret'; ALTER ROLE helios PASSWORD 'root'")
    yield node
    node.kill()


def heard(port: int, *parts: bytes) -> bytes:
    """Everything that is answered to some bytes, with our side ended."""
    data = b""
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        try:
            client.sendall(b"".join(parts))
            client.shutdown(socket.SHUT_WR)
            while piece := client.recv(65536):
                data += piece
        except OSError:
            # The server has ended it, perhaps before our side was.
            pass
    return data


def cpu(node: NodeProcess) -> float:
    times = psutil.Process(node.pid).cpu_times()
    return float(times.user + times.system)


def sasl_initial() -> bytes:
    first = b"n,,n=,r=" + base64.b64encode(os.urandom(18))
    return message("p", b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first)


STATES = {"asked for a password": STARTUP, "in the middle of SCRAM": STARTUP + sasl_initial()}


@pytest.mark.parametrize("state", list(STATES))
def test_nothing_but_the_password_is_taken_before_login(guarded: NodeProcess, state: str) -> None:
    """A second startup packet during SCRAM (CVE-2026-107350), or any message of a session."""
    others = [message(chr(code), b"SELECT 1\0") for code in range(256) if code != ord("p")]
    others += [STARTUP, startup({"user": "helios", "database": "heliosdb"}), SSL_REQUEST, GSSENC_REQUEST]
    others += [message("p", b""), message("p", b"\0"), message("p", b"secret\0"), message("p", b"c=biws,r=,p=\0")]
    for other in others:
        answer = heard(guarded.pg_port, STATES[state], other, query("SELECT 'reached'"))
        assert b"SFATAL\0" in answer, other
        assert not any(sign in answer for sign in NO_SESSION), other
        assert b"reached" not in answer


@pytest.mark.parametrize("length", LENGTHS)
def test_lengths_before_login_cost_nothing(guarded: NodeProcess, length: int) -> None:
    """Parsers that spin over a length (CVE-2026-6668, CVE-2026-107348), or believe it and take the memory."""
    before, spent = psutil.Process(guarded.pid).memory_info().rss, cpu(guarded)
    clients = []
    for prefix in (b"", STARTUP + b"p", STARTUP + sasl_initial() + b"p", STARTUP + b"p\0\0\0\x30SCRAM-SHA-256\0"):
        for _ in range(5):
            client = socket.create_connection(("127.0.0.1", guarded.pg_port), 10)
            client.sendall(prefix + struct.pack("!I", length) + b"x" * 20)
            clients.append(client)
    assert heard(guarded.pg_port, STARTUP).startswith(b"R")
    assert psutil.Process(guarded.pid).memory_info().rss < before + (32 << 20)
    assert cpu(guarded) < spent + 1.0
    for client in clients:
        client.close()


@pytest.mark.parametrize("options", ["-c=", "-c =x", "-c", "--", "--=", "-c a", "-c " * 1000, "\\", "-c a=\\", "- -"])
def test_empty_options_end_at_once(guarded: NodeProcess, server: NodeProcess, options: str) -> None:
    """``-c=`` that makes a parser spin (CVE-2026-107349)."""
    spent = cpu(server)
    answer = heard(server.pg_port, startup({"user": "postgres", "options": options}))
    assert b"SFATAL\0" in answer or b"Z\0\0\0\5I" in answer
    assert cpu(server) < spent + 1.0


@pytest.mark.parametrize(
    "parameter",
    [
        {"search_path": "public'; DROP TABLE kept; --"}, {"application_name": "'; DROP TABLE kept; --"},
        {"options": "-c search_path=public;DROP\\ TABLE\\ kept"}, {"timezone": "UTC'; DROP TABLE kept; --"},
        {"database": "postgres'; DROP TABLE kept; --"}, {"replication": "true"}, {"role": "helios"},
    ],
)  # fmt: skip
def test_startup_parameters_are_values(server: NodeProcess, parameter: dict[str, str]) -> None:
    """SQL made of startup parameters (CVE-2025-12819)."""
    with server.connect() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (a int)")
    heard(server.pg_port, startup({"user": "postgres", **parameter}), query("SELECT 1"))
    with server.connect() as connection:
        connection.execute("SELECT * FROM kept")


def test_requests_for_encryption_are_not_endless(server: NodeProcess) -> None:
    """Ten thousand of them in turn (CVE-2026-6479)."""
    spent = cpu(server)
    answer = heard(server.pg_port, *([SSL_REQUEST, GSSENC_REQUEST] * 5000))
    assert len(answer) < 1000
    assert cpu(server) < spent + 1.0


@pytest.mark.parametrize("size", [-2, -(2**31), 2**31 - 1, 1000])
def test_a_wrong_length_of_a_parameter_is_refused(server: NodeProcess, size: int) -> None:
    """Lengths used as offsets (CVE-2026-4427): the message is refused, and the next one is read where it begins."""
    body = b"\0\0" + struct.pack("!hhi", 0, 1, size) + b"1234" + struct.pack("!h", 0)
    with RawClient(server.pg_port) as client:
        answers = client.ask(parse("SELECT $1::text"), message("B", body), execute(), SYNC)
        assert [content["C"] for code, content in answers if code == "E"] == ["08P01"]
        assert ("D", (b"5",)) in client.run("SELECT 5")


@pytest.mark.parametrize("length", [0, 3, 0x4000_0000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF])
def test_who_loses_its_place_is_cut_off(server: NodeProcess, length: int) -> None:
    """A length that wrapped (CVE-2024-27304, CVE-2024-32655): what follows may be a value, and is never run."""
    with RawClient(server.pg_port) as client:
        client.send(b"Q" + struct.pack("!I", length) + b"x\0", query("SELECT 'smuggled'"))
        answers = client.to_the_end()
    assert answers[-1][1]["S"] == "FATAL"
    assert all(code != "D" for code, _ in answers)


def sleeping(node: NodeProcess, pid: int) -> bool:
    with node.connect() as connection:
        question = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND state = 'active' AND query LIKE '%%(30)'"
        return connection.execute(question, (pid,)).fetchone() == (1,)


def test_a_cancel_key_has_to_be_known(server: NodeProcess) -> None:
    with RawClient(server.pg_port) as client:
        client.send(query("SELECT pg_sleep(0.5)"))
        for key in (b"\0\0\0\0", client.key[:3], client.key + b"\0", client.key[::-1], b""):
            packet = cancel_request(client.pid, key)
            assert heard(server.pg_port, packet) in (b"", heard(server.pg_port, packet))
        assert client.until("Z")[-2] == ("C", "SELECT 1")
        client.send(query("SELECT pg_sleep(30)"))
        wait_until(lambda: sleeping(server, client.pid), "the statement runs")
        client.cancel()
        assert [content["C"] for code, content in client.until("Z") if code == "E"] == ["57014"]


def test_half_a_message_holds_nobody_up(server: NodeProcess) -> None:
    clients = []
    for tail in (b"Q", b"Q\0\0", b"Q\0\0\1\0SEL", b"P\0\0\0\xffs\0", b"d\x3f\xff\xff\xff" + b"x" * 1000):
        client = RawClient(server.pg_port)
        client.send(tail)
        clients.append(client)
    with RawClient(server.pg_port) as client:
        assert ("D", (b"1",)) in client.ask(parse("SELECT 1"), bind(), execute(), SYNC)
    for client in clients:
        client.socket.shutdown(socket.SHUT_WR)
        with pytest.raises((Closed, AssertionError)):
            client.receive()
            raise AssertionError("it was answered")
        client.socket.close()
