"""Nodes that stream over TLS, what their ports listen on, and where the cluster's secret must not appear."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from pathlib import Path

import psutil
import pytest
import trustme
from support.node_process import MakeNode, NodeProcess, wait_until

from helios_cli.engine.node.peer_call import reach
from helios_cli.engine.node.peer_link import Identity, PeerLink, PeerRefused, introduce
from helios_cli.engine.replication.forwarding import OpenSession, SessionOpen
from helios_cli.engine.types import Term
from helios_cli.engine.wire.peer import Kind

SECRET = "a secret that nobody may see"
FOLLOWED_S = 30.0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with ``ca.crt``, and ``node.crt`` and ``node.key`` for 127.0.0.1, signed by it."""
    directory = tmp_path_factory.mktemp("certificates")
    signer = trustme.CA()
    signer.cert_pem.write_to_path(str(directory / "ca.crt"))
    made = signer.issue_cert("127.0.0.1")
    made.private_key_pem.write_to_path(str(directory / "node.key"))
    (directory / "node.crt").write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    return directory


def tls(authority: Path) -> tuple[str, ...]:
    return (
        "--tls-cert", str(authority / "node.crt"), "--tls-key", str(authority / "node.key"),
        "--tls-ca", str(authority / "ca.crt"),
    )  # fmt: skip


def standby_of(primary: NodeProcess) -> tuple[str, ...]:
    where = ("--primary-host", "127.0.0.1", "--primary-port", str(primary.native_port))
    return ("--replication-role", "standby", "--node-id", "n2", *where)


def rows(node: NodeProcess) -> int:
    with node.connect() as connection:
        row = connection.execute("SELECT count(*) FROM t").fetchone()
    return int(row[0]) if row is not None else -1


def start(node: NodeProcess) -> None:
    """/health is HTTPS here: what tells that the node serves is its PostgreSQL port."""
    node.start(wait=False)

    def serves() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", node.pg_port), 1):
            return True
        return False

    wait_until(serves, "the node serves", FOLLOWED_S)


@pytest.mark.parametrize("auth", ["secret", "certificate"])
def test_a_stream_over_tls(make_node: MakeNode, authority: Path, auth: str) -> None:
    secured = (*tls(authority), "--peer-auth", auth)
    primary = make_node("--replication-role", "primary", "--node-id", "n1", *secured, start=False)
    start(primary)
    with primary.connect() as connection:
        connection.execute("CREATE TABLE t (a int); INSERT INTO t SELECT * FROM generate_series(1, 100)")
    standby = make_node(*standby_of(primary), *secured, start=False)
    start(standby)
    wait_until(lambda: rows(standby) == 100, "the standby has the rows", FOLLOWED_S)
    plain = make_node(*standby_of(primary), start=False)
    plain.start(wait=False)
    told = "the native port of this node speaks TLS only (hint: Set tls_ca"
    wait_until(lambda: told in plain.log_tail(), "what is wrong is told", FOLLOWED_S)


def test_the_secret_is_shown_nowhere(make_node: MakeNode) -> None:
    environment = {"HELIOSDB_CLUSTER_SECRET": SECRET}
    primary = make_node("--replication-role", "primary", "--log-level", "debug", environment=environment, start=False)
    standby = make_node(*standby_of(primary), "--log-level", "debug", environment=environment, start=False)
    for node in (primary, standby):
        node.program = True
        node.start()
    for node in (primary, standby):
        seen = [json.dumps(node.http("/status")[1]), node.http("/metrics")[1], node.log_path.read_text()]
        seen += psutil.Process(node.pid).cmdline()
        with node.connect() as connection:
            for view in ("pg_settings", "helios_events", "pg_stat_replication"):
                seen.append(str(connection.execute(f"SELECT * FROM {view}").fetchall()))
        assert not any(SECRET in text for text in seen)


@pytest.mark.parametrize(
    ("role", "environment", "everywhere"),
    [
        ("standalone", {}, False),
        ("standalone", {"HELIOSDB_CLUSTER_SECRET": SECRET}, True),
        ("primary", {}, True),
        ("standalone", {"HELIOSDB_ALLOW_INSECURE_NETWORK": "on"}, True),
    ],
    ids=["no secret", "a secret", "a primary draws one", "as the operator wants it"],
)
def test_without_a_secret_the_network_cannot_call(
    make_node: MakeNode, role: str, environment: dict[str, str], everywhere: bool
) -> None:
    flags = ("--replication-role", role, "--listen-address", "0.0.0.0")
    node = make_node(*flags, environment=environment)
    if everywhere:
        socket.create_connection(("127.0.0.2", node.native_port), 5).close()
    else:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", node.native_port), 5)
        assert "other nodes are served on 127.0.0.1 instead of 0.0.0.0" in node.log_tail()


async def open_session(port: int, secret: bytes, user: str = "postgres") -> int:
    """The pid of a session that is opened at a native port of this machine."""
    link = PeerLink(lambda: Term(0))
    try:
        await reach(link, "127.0.0.1", port)
        own = Identity("n9", "", "", "standby", "sync", "127.0.0.1", 1, 2, 3)
        await introduce(link, own, secret)
        link.send(Kind.SESSION, OpenSession(user, "heliosdb", "", 0, 0).to_body())
        return SessionOpen.from_body((await link.receive(Kind.SESSION_OPEN)).body).pid
    finally:
        link.close()


def test_the_native_port_is_no_way_around_passwords(make_node: MakeNode) -> None:
    primary = make_node("--replication-role", "primary")
    secret = (primary.data_dir / "control" / "cluster.secret").read_bytes().strip()
    assert asyncio.run(open_session(primary.native_port, b"")) > 0, "where clients give no passwords, nodes need not"
    with primary.connect() as connection:
        connection.execute("CREATE ROLE app LOGIN PASSWORD 'secret'")
    with pytest.raises(PeerRefused, match="so has a node that speaks for them"):
        asyncio.run(open_session(primary.native_port, b""))
    assert asyncio.run(open_session(primary.native_port, secret, "app")) > 0
