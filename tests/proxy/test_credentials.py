"""Passwords and TLS through the whole proxy: applications prove themselves to it, and it proves itself to nodes for
them, without knowing their passwords."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import trustme
from support.node_process import NodeProcess, wait_until
from support.postgres_pair import PlainPostgres, PostgresPair
from support.proxied import MakeProxy
from support.proxy_process import ProxyProcess

from helios_cli.engine.wire.scram import build_verifier

ROLES = (
    "CREATE ROLE boss LOGIN SUPERUSER PASSWORD 'swordfish'", "CREATE ROLE ann LOGIN PASSWORD 'red'",
    "CREATE ROLE nopass LOGIN",
)  # fmt: skip


@dataclass
class Guarded:
    """A node that wants SCRAM, over TLS."""

    port: int
    database: str
    ca: Path
    execute: Callable[[str], Any]
    """Runs a statement there as a superuser."""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with ca.crt, node.crt, node.key, proxy.crt and proxy.key."""
    directory = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(directory / "ca.crt")
    for name in ("node", "proxy"):
        issued = authority.issue_cert("127.0.0.1", "localhost")
        issued.cert_chain_pems[0].write_to_path(directory / f"{name}.crt")
        issued.private_key_pem.write_to_path(directory / f"{name}.key")
    return directory


@pytest.fixture(scope="module")
def guarded_node(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[Guarded]:
    flags = ["--tls-cert", str(certificates / "node.crt"), "--tls-key", str(certificates / "node.key"), "--tls-ca",
             str(certificates / "ca.crt")]  # fmt: skip
    node = NodeProcess(tmp_path_factory.mktemp("guarded"), flags)
    node.start(wait=False)

    def trusts() -> bool:
        try:
            with node.connect() as connection:
                for role in ROLES:
                    connection.execute(role)
        except psycopg.OperationalError:
            return False
        return True

    def execute(sql: str) -> None:
        with node.connect(user="boss", password="swordfish") as connection:
            connection.execute(sql)

    try:
        wait_until(trusts, "the node takes roles", 30)
        yield Guarded(node.pg_port, "heliosdb", certificates / "ca.crt", execute)
    finally:
        node.kill()
        print(node.log_tail())


@pytest.fixture(scope="module")
def guarded_postgres(program: Callable[[str], str], certificates: Path) -> Iterator[Guarded]:
    # Only for its directory, which belongs to whom PostgreSQL runs as.
    pair = PostgresPair(program)
    server: PlainPostgres = pair.primary
    server.create()
    rules = "local all all trust\nhostssl all postgres 127.0.0.1/32 trust\nhost all postgres 127.0.0.1/32 trust\n"
    (server.data / "pg_hba.conf").write_text(rules + "hostssl all all 127.0.0.1/32 scram-sha-256\n")
    owner = server.data.stat()
    for name in ("node.crt", "node.key"):
        copy = server.data / name
        copy.write_bytes((certificates / name).read_bytes())
        copy.chmod(0o600)
        os.chown(copy, owner.st_uid, owner.st_gid)
    with (server.data / "postgresql.conf").open("a") as settings:
        settings.write("ssl = on\nssl_cert_file = 'node.crt'\nssl_key_file = 'node.key'\n")

    def execute(sql: str) -> None:
        with server.connect() as connection:
            connection.execute(sql)

    try:
        server.start()
        for role in ROLES:
            execute(role)
        yield Guarded(server.pg_port, "postgres", certificates / "ca.crt", execute)
    finally:
        pair.close()


@pytest.fixture(params=["heliosdb", "postgresql"])
def guarded(request: pytest.FixtureRequest) -> Guarded:
    """Either of them."""
    name = {"heliosdb": "guarded_node", "postgresql": "guarded_postgres"}[request.param]
    found: Guarded = request.getfixturevalue(name)
    return found


def tls(node: Guarded, certificates: Path, mode: str = "verify-full") -> str:
    return (
        f'[tls]\ncert = "{certificates}/proxy.crt"\nkey = "{certificates}/proxy.key"\n'
        f'[backend_tls]\nmode = "{mode}"\nca = "{node.ca}"\n'
    )


def started(proxy: ProxyProcess, **options: Any) -> ProxyProcess:
    """Wait until a login goes through."""
    proxy.start(wait=False)

    def answers() -> bool:
        assert proxy.running, proxy.log_tail()
        try:
            proxy.connect(**options).close()
        except psycopg.OperationalError as error:
            # Somebody answers, and says no.
            return "FATAL" in str(error) and "refused" not in str(error)
        return True

    wait_until(answers, "the proxy answers", 30)
    return proxy


def who(connection: psycopg.Connection[tuple[Any, ...]]) -> Any:
    row = connection.execute("SELECT current_user").fetchone()
    assert row is not None
    return row[0]


ANN = {"user": "ann", "password": "red"}


@pytest.fixture
def by_roles(guarded: Guarded, certificates: Path, make_proxy: MakeProxy, tmp_path: Path) -> ProxyProcess:
    """A proxy that lets the nodes' roles in."""
    (tmp_path / "boss").write_text("swordfish\n")
    (tmp_path / "boss").chmod(0o600)
    settings = {"auth_password_file": str(tmp_path / "boss")}
    made = make_proxy(
        [guarded.port], start=False, settings=settings, user="boss", database=guarded.database,
        more=tls(guarded, certificates),
    )  # fmt: skip
    return started(made, **ANN)


def test_the_roles_of_the_nodes_log_in(by_roles: ProxyProcess, guarded: Guarded, certificates: Path) -> None:
    """The proxy has never seen the password: it logs in with what the client's proof has given it."""
    bound = {"sslmode": "verify-full", "sslrootcert": str(certificates / "ca.crt"), "channel_binding": "require"}
    with by_roles.connect(**ANN, **bound) as connection:
        assert who(connection) == "ann"
        assert connection.pgconn.ssl_in_use
    with by_roles.connect(**ANN, sslmode="disable", host="127.0.0.1") as connection:
        assert who(connection) == "ann"
    with by_roles.connect(user="boss", password="swordfish") as connection:
        assert who(connection) == "boss"


@pytest.mark.parametrize("options", [{"password": "blue"}, {"user": "nobody"}, {"user": "nopass"}])
def test_who_cannot_prove_it_is_refused(options: dict[str, str], by_roles: ProxyProcess) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        by_roles.connect(**(ANN | options))


def test_a_new_password_holds_at_once(by_roles: ProxyProcess, guarded: Guarded) -> None:
    by_roles.connect(**ANN).close()
    guarded.execute("ALTER ROLE ann PASSWORD 'green'")
    try:
        # The first attempt shows the proxy that its answer is old; it asks again a second later at the earliest.
        def logs_in() -> bool:
            try:
                with by_roles.connect(user="ann", password="green") as connection:
                    return bool(who(connection) == "ann")
            except psycopg.OperationalError:
                return False

        wait_until(logs_in, "the new password logs in", 20)
        with pytest.raises(psycopg.OperationalError):
            by_roles.connect(**ANN)
    finally:
        guarded.execute("ALTER ROLE ann PASSWORD 'red'")


def test_an_expired_password_is_none(by_roles: ProxyProcess, guarded: Guarded) -> None:
    guarded.execute("CREATE ROLE late LOGIN PASSWORD 'red' VALID UNTIL '2001-01-01'")
    try:
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            by_roles.connect(user="late", password="red")
    finally:
        guarded.execute("DROP ROLE late")


def test_listed_users(guarded: Guarded, certificates: Path, make_proxy: MakeProxy) -> None:
    """With the password that the nodes know; nobody else comes in, and a changed file lets others in at once."""
    ann = '[[users]]\nname = "ann"\npassword = "red"\n'
    made = make_proxy(
        [guarded.port], start=False, user="ann", database=guarded.database,
        more=tls(guarded, certificates, "require") + ann,
    )  # fmt: skip
    del made.settings["auth_user"]
    started(made, **ANN)
    with made.connect(**ANN) as connection:
        assert who(connection) == "ann"
    boss = {"user": "boss", "password": "swordfish"}
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        made.connect(**boss)
    made.more += '[[users]]\nname = "boss"\npassword = "swordfish"\n'
    made.write_config()

    def boss_logs_in() -> bool:
        try:
            with made.connect(**boss) as connection:
                return bool(who(connection) == "boss")
        except psycopg.OperationalError:
            return False

    wait_until(boss_logs_in, "the proxy has read its file again", 20)


def test_a_password_that_the_node_does_not_take(guarded: Guarded, certificates: Path, make_proxy: MakeProxy) -> None:
    """The client hears it, with the node's SQLSTATE, and the proxy goes on."""
    users = '[[users]]\nname = "ann"\npassword = "other"\n[[users]]\nname = "boss"\npassword = "swordfish"\n'
    made = make_proxy(
        [guarded.port], start=False, user="boss", database=guarded.database, more=tls(guarded, certificates) + users
    )
    started(made, user="boss", password="swordfish")
    with pytest.raises(psycopg.Error) as caught, made.connect(user="ann", password="other") as connection:
        who(connection)
    assert "password authentication failed" in str(caught.value)
    with made.connect(user="boss", password="swordfish") as connection:
        assert who(connection) == "boss"


def test_a_listed_verifier_of_another_password_is_none_of_the_nodes(
    guarded: Guarded, certificates: Path, make_proxy: MakeProxy
) -> None:
    """Keys are good where the verifier is the same one, salt and all; here only the proxy knows it."""
    verifier = build_verifier("red", b"x" * 16)
    users = f'[[users]]\nname = "boss"\npassword = "swordfish"\n[[users]]\nname = "ann"\nverifier = "{verifier}"\n'
    made = make_proxy(
        [guarded.port], start=False, user="boss", database=guarded.database, more=tls(guarded, certificates) + users
    )
    started(made, user="boss", password="swordfish")
    with pytest.raises(psycopg.Error) as caught, made.connect(**ANN) as connection:
        who(connection)
    assert "password authentication failed" in str(caught.value)


def test_a_node_with_another_certificate_is_not_trusted(
    guarded: Guarded, certificates: Path, make_proxy: MakeProxy, tmp_path: Path
) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.crt")
    other = Guarded(guarded.port, guarded.database, tmp_path / "other.crt", guarded.execute)
    users = '[[users]]\nname = "ann"\npassword = "red"\n'
    made = make_proxy(
        [guarded.port], start=False, user="ann", database=guarded.database, settings={"write_timeout_secs": 0.2},
        more=tls(other, certificates) + users,
    )  # fmt: skip
    made.start(wait=False)
    wait_until(lambda: "certificate verify failed" in made.log_tail(), "the proxy has seen the certificate", 30)
    with pytest.raises(psycopg.Error), made.connect(**ANN) as connection:
        who(connection)


def test_sighup_and_a_changed_file(guarded_node: Guarded, certificates: Path, make_proxy: MakeProxy) -> None:
    """What is wrong is refused with its line, and the proxy goes on; what needs a restart is said."""
    users = '[[users]]\nname = "ann"\npassword = "red"\n'
    made = make_proxy([guarded_node.port], start=False, user="ann", more=tls(guarded_node, certificates) + users)
    started(made, **ANN)
    config = made.config().replace("[proxy]", "[proxy]\npool_size = 0")
    made.config_path.write_text(config)
    made.send(signal.SIGHUP)
    wait_until(lambda: "proxy.toml:2: 0 is outside the valid range" in made.log_tail(), "the mistake is logged")
    made.config_path.write_text(config.replace("pool_size = 0", "max_clients = 1\nworkers = 2"))
    made.send(signal.SIGHUP)
    told = "max_clients changed; workers will change at the next start"
    wait_until(lambda: told in made.log_tail(), "the change is logged")
    with made.connect(**ANN), pytest.raises(psycopg.OperationalError, match="too many clients"):
        made.connect(**ANN)
    made.config_path.write_text(config.replace("pool_size = 0", "max_clients = 5"))
    wait_until(lambda: made.log_tail().count("max_clients changed") == 2, "the file has been seen", 20)
    with made.connect(**ANN), made.connect(**ANN):
        pass
    assert made.stop() == 0
