"""Statements about roles that go through a standby to the primary."""

from __future__ import annotations

from support.node_process import MakeNode

from helios_cli.commands.proving.tcp_link import TcpLink

STANDBY = ("--replication-role", "standby", "--replication-mode", "sync", "--primary-host", "127.0.0.1")


def test_no_password_goes_from_a_standby_to_its_primary(make_node: MakeNode) -> None:
    primary = make_node("--replication-role", "primary", "--replication-mode", "sync")
    with TcpLink(primary.native_port) as link:
        link.sent = []
        standby = make_node(*STANDBY, "--primary-port", str(link.port))
        with standby.connect() as through:
            through.execute("CREATE TABLE t (v text)")
            through.execute("INSERT INTO t VALUES ('in the open')")
            through.execute("CREATE ROLE simple LOGIN PASSWORD 'kept to itself 1'")
            through.execute("CREATE ROLE prepared LOGIN PASSWORD 'kept to itself 2'", prepare=True)
            with through.transaction():
                through.execute("INSERT INTO t VALUES ('before')")
                through.execute("CREATE ROLE block LOGIN PASSWORD 'kept to itself 3'")
                through.execute("ALTER ROLE block PASSWORD 'kept to itself 4'", prepare=True)
        sent = b"".join(link.sent)
    assert b"in the open" in sent, "what goes over this link is not compressed"
    assert b"CREATE ROLE simple LOGIN PASSWORD 'SCRAM-SHA-256$" in sent
    assert b"kept to itself" not in sent
    for name, password in (
        ("simple", "kept to itself 1"),
        ("prepared", "kept to itself 2"),
        ("block", "kept to itself 4"),
    ):
        with primary.connect(user=name, password=password) as connection:
            assert connection.execute("SELECT current_user").fetchone() == (name,)
