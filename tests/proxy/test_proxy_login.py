"""The way into the proxy, over real sockets: proofs, encryption, cancel requests, limits, and what is no client."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import struct
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import trustme
import uvloop

from helios_cli.engine.config.proxy import ProxySettings, UserSettings
from helios_cli.engine.net import login_limits
from helios_cli.engine.proxyserver import login as login_module
from helios_cli.engine.proxyserver.login import Credential, Entrance
from helios_cli.engine.proxyserver.tls import load_tls
from helios_cli.engine.proxyserver.users import Users
from helios_cli.engine.wire import backend, client, limits, scram

SSL_REQUEST = client.SSL_REQUEST_PACKET
GSSENC_REQUEST = struct.pack("!II", 8, limits.GSSENC_REQUEST)
STARTUP = client.startup({"user": "ann", "database": "shop"})
VERIFIER = scram.build_verifier("red", b"r" * 16)

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def on_both_loops(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """The test on asyncio's own event loop and on uvloop's, whose transports are not the same."""

    @functools.wraps(test)
    def run(loop_name: str, **fixtures: Any) -> None:
        with asyncio.Runner(loop_factory=LOOPS[loop_name]) as runner:
            runner.run(test(**fixtures))

    own = inspect.signature(test).parameters.values()
    name = inspect.Parameter("loop_name", inspect.Parameter.KEYWORD_ONLY)
    run.__signature__ = inspect.Signature([*own, name])  # type: ignore[attr-defined]
    del run.__wrapped__
    made: Callable[..., None] = pytest.mark.parametrize("loop_name", LOOPS)(run)
    return made


class Session(asyncio.Protocol):
    """What takes a client over: says that it is ready, and keeps what comes."""

    def __init__(self, rig: Rig, transport: asyncio.Transport, leftover: bytes) -> None:
        self.rig = rig
        self.received = leftover
        transport.write(backend.parameter_status("client_encoding", "UTF8") + backend.READY_IDLE)

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.rig.open -= 1


class Rig:
    """An entrance on a port, and who has come through."""

    def __init__(self, users: Users, settings: ProxySettings) -> None:
        self.entrance = Entrance(
            asyncio.get_running_loop(), settings, users,
            on_session=self.on_session, on_cancel=lambda pid, key: self.cancelled.append((pid, key)),
            sessions=lambda: self.open,
        )  # fmt: skip
        self.open = 0
        self.sessions: list[tuple[str, str, Credential, Session]] = []
        self.cancelled: list[tuple[int, bytes]] = []
        self.port = 0

    def on_session(
        self, transport: asyncio.Transport, parameters: dict[str, str], user: str, database: str,
        credential: Credential, leftover: bytes,
    ) -> None:  # fmt: skip
        session = Session(self, transport, leftover)
        transport.set_protocol(session)
        self.open += 1
        self.sessions.append((user, database, credential, session))

    async def told(self, *packets: bytes) -> bytes:
        """All that a client hears who sends these and then waits for the end."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for packet in packets:
                writer.write(packet)
                await asyncio.sleep(0)
            async with asyncio.timeout(20):
                return await reader.read()
        except ConnectionResetError:
            return b"(reset)"
        finally:
            await hang_up(writer)

    async def connect(self, **options: Any) -> psycopg.AsyncConnection[Any]:
        given = {"host": "127.0.0.1", "port": self.port, "user": "ann", "password": "red", "dbname": "shop"}
        return await psycopg.AsyncConnection.connect(**(given | {"connect_timeout": 10} | options))  # type: ignore[arg-type]


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def listed(*users: UserSettings) -> Users:
    return Users(users, secret=b"k" * 32, clock=lambda: 0.0)


@contextlib.asynccontextmanager
async def entrance(users: Users | None = None, settings: ProxySettings | None = None) -> AsyncIterator[Rig]:
    settings = settings or ProxySettings()
    rig = Rig(users or listed(UserSettings("ann", "red")), settings)
    rig.entrance.tls = load_tls(settings).clients
    server = await asyncio.get_running_loop().create_server(rig.entrance.protocol, "127.0.0.1", 0)
    rig.port = server.sockets[0].getsockname()[1]
    try:
        yield rig
    finally:
        rig.entrance.close()
        server.close()
        await server.wait_closed()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, str]:
    """The files of a certificate, its key, and who signed it."""
    directory = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    paths = directory / "proxy.crt", directory / "proxy.key", directory / "ca.crt"
    issued.cert_chain_pems[0].write_to_path(paths[0])
    issued.private_key_pem.write_to_path(paths[1])
    authority.cert_pem.write_to_path(paths[2])
    return str(paths[0]), str(paths[1]), str(paths[2])


def secured(certificate: tuple[str, str, str], mode: str = "allow") -> ProxySettings:
    return ProxySettings(tls_mode=mode, tls_cert=certificate[0], tls_key=certificate[1])


# Proofs --------------------------------------------------------------------------------------------------------------


@on_both_loops
async def test_a_password_is_proved() -> None:
    async with entrance() as rig, await rig.connect():
        user, database, credential, _ = rig.sessions[0]
        assert (user, database, credential) == ("ann", "shop", "red")
        assert not rig.entrance.logins


@on_both_loops
async def test_a_verifier_leaves_the_clients_keys() -> None:
    async with entrance(listed(UserSettings("ann", verifier=str(VERIFIER)))) as rig, await rig.connect():
        credential = rig.sessions[0][2]
        assert isinstance(credential, scram.ClientKeys)
        assert credential.server_key == VERIFIER.server_key


@on_both_loops
async def test_without_users_a_client_is_trusted() -> None:
    async with entrance(listed()) as rig, await rig.connect(password=""):
        assert rig.sessions[0][2] is None


@pytest.mark.parametrize("who", [{"password": "blue"}, {"user": "nobody"}])
@on_both_loops
async def test_a_wrong_proof(who: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_limits, "LOOPBACK_DELAY_MAX_S", 0.0)
    async with entrance() as rig:
        with pytest.raises(psycopg.OperationalError, match="password authentication failed for user"):
            await rig.connect(**who)
        assert not rig.sessions
        assert rig.entrance.failed_logins == 1


@on_both_loops
async def test_who_failed_waits_for_the_answer() -> None:
    async with entrance() as rig:
        started = asyncio.get_running_loop().time()
        with pytest.raises(psycopg.OperationalError):
            await rig.connect(password="blue")
        assert asyncio.get_running_loop().time() - started >= login_limits.DELAY_FIRST_S * 0.9


@on_both_loops
async def test_a_node_is_asked_while_the_client_waits() -> None:
    release = asyncio.Event()

    async def ask(sql: str, params: Sequence[str]) -> Sequence[Sequence[str | None]]:
        await release.wait()
        return [(str(VERIFIER),)]

    async with entrance(Users((), secret=b"k", clock=lambda: 0.0, ask=ask)) as rig:
        task = asyncio.create_task(rig.connect())
        done, _ = await asyncio.wait([task], timeout=0.05)
        assert not done
        release.set()
        await (await task).close()
        assert isinstance(rig.sessions[0][2], scram.ClientKeys)


@on_both_loops
async def test_no_node_can_be_asked() -> None:
    async def ask(sql: str, params: Sequence[str]) -> Sequence[Sequence[str | None]]:
        raise ConnectionRefusedError("nobody listens")

    async with entrance(Users((), secret=b"k", clock=lambda: 0.0, ask=ask)) as rig:
        with pytest.raises(psycopg.OperationalError, match="no node could be asked"):
            await rig.connect()


@on_both_loops
async def test_a_client_that_leaves_during_the_question() -> None:
    asked, release = asyncio.Event(), asyncio.Event()

    async def ask(sql: str, params: Sequence[str]) -> Sequence[Sequence[str | None]]:
        asked.set()
        await release.wait()
        return [(str(VERIFIER),)]

    async with entrance(Users((), secret=b"k", clock=lambda: 0.0, ask=ask)) as rig:
        _, writer = await asyncio.open_connection("127.0.0.1", rig.port)
        writer.write(STARTUP + client.sasl_initial(scram.MECHANISM, b"n,,n=,r=abc"))
        await asked.wait()
        writer.transport.abort()
        release.set()
        await until(lambda: not rig.entrance.logins)
        assert not rig.sessions


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


# Encryption ----------------------------------------------------------------------------------------------------------


@on_both_loops
async def test_tls_with_channel_binding(certificate: tuple[str, str, str]) -> None:
    async with entrance(settings=secured(certificate)) as rig:
        options = {"sslmode": "verify-full", "sslrootcert": certificate[2], "channel_binding": "require"}
        async with await rig.connect(**options) as connection:
            assert connection.pgconn.ssl_in_use
        async with await rig.connect(sslmode="disable") as connection:
            assert not connection.pgconn.ssl_in_use


@on_both_loops
async def test_tls_is_asked_for(certificate: tuple[str, str, str]) -> None:
    async with entrance(settings=secured(certificate, "require")) as rig:
        with pytest.raises(psycopg.OperationalError, match="over TLS alone"):
            await rig.connect(sslmode="disable")
        async with await rig.connect(sslmode="require"):
            assert len(rig.sessions) == 1


@on_both_loops
async def test_another_certificate_holds_for_the_next_connection(certificate: tuple[str, str, str]) -> None:
    async with entrance() as rig:
        with pytest.raises(psycopg.OperationalError, match="does not support SSL"):
            await rig.connect(sslmode="require")
        rig.entrance.tls = load_tls(secured(certificate)).clients
        await (await rig.connect(sslmode="require")).close()


@on_both_loops
async def test_encryption_is_refused_without_a_certificate() -> None:
    async with entrance(listed()) as rig:
        for requests in ((SSL_REQUEST,), (GSSENC_REQUEST,), (SSL_REQUEST, GSSENC_REQUEST)):
            reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
            for request in requests:
                writer.write(request)
                assert await reader.readexactly(1) == b"N"
            writer.write(STARTUP)
            assert await reader.readexactly(len(backend.AUTH_OK)) == backend.AUTH_OK
            await hang_up(writer)


@pytest.mark.parametrize("request_packet", [SSL_REQUEST, GSSENC_REQUEST])
@pytest.mark.parametrize("with_tls", [False, True])
@on_both_loops
async def test_bytes_behind_a_request_for_encryption_end_the_connection(
    request_packet: bytes, with_tls: bool, certificate: tuple[str, str, str]
) -> None:
    async with entrance(listed(), secured(certificate) if with_tls else None) as rig:
        heard = await rig.told(request_packet + STARTUP)
        assert b"C08P01\0Mreceived unencrypted data after" in heard
        assert not rig.sessions


@on_both_loops
async def test_encryption_is_asked_for_once() -> None:
    async with entrance(listed()) as rig:
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
        writer.write(SSL_REQUEST)
        assert await reader.readexactly(1) == b"N"
        writer.write(SSL_REQUEST)
        assert b"C0A000" in await reader.read()
        await hang_up(writer)


@on_both_loops
async def test_garbage_instead_of_a_handshake(certificate: tuple[str, str, str]) -> None:
    async with entrance(listed(), secured(certificate)) as rig:
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
        writer.write(SSL_REQUEST)
        assert await reader.readexactly(1) == b"S"
        writer.write(STARTUP)
        with contextlib.suppress(ConnectionResetError):
            assert backend.AUTH_OK not in await reader.read()
        await hang_up(writer)
        assert not rig.sessions


# Order and limits ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("second", [STARTUP, SSL_REQUEST, client.query("SELECT 1"), client.TERMINATE])
@on_both_loops
async def test_nothing_but_the_proof_comes_after_the_startup_packet(second: bytes) -> None:
    """A second startup packet among them: it must not bring in other parameters."""
    async with entrance() as rig:
        assert b"C08P01" in await rig.told(STARTUP + second)
        assert b"C08P01" in await rig.told(STARTUP, second)
        assert not rig.sessions


@on_both_loops
async def test_a_second_startup_packet_in_the_middle_of_the_proof() -> None:
    async with entrance() as rig:
        heard = await rig.told(STARTUP + client.sasl_initial(scram.MECHANISM, b"n,,n=,r=abc") + STARTUP)
        assert b"C08P01" in heard
        assert not rig.sessions


@pytest.mark.parametrize(
    "message",
    [
        client.sasl_initial("SCRAM-SHA-512", b"n,,n=,r=abc"), client.sasl_initial(scram.MECHANISM_PLUS, b"n,,n=,r=abc"),
        client.sasl_initial(scram.MECHANISM, b"x"), b"p\0\0\0\3", b"p\0\x10\0\0", b"p\0\0\0\5x",
        client.sasl_initial(scram.MECHANISM, b"p=tls-server-end-point,,n=,r=abc"),
        client.sasl_initial(scram.MECHANISM, b"n,,n=,r=abc") + client.sasl_response(b"c=biws,r=abc,p=AAAA"),
    ],
)  # fmt: skip
@on_both_loops
async def test_a_proof_that_is_none(message: bytes) -> None:
    async with entrance() as rig:
        assert b"SFATAL\0" in await rig.told(STARTUP + message)
        assert not rig.sessions


@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\nHost: db\r\n\r\n", b"\0\0\0\0", b"\x7f\xff\xff\xff\0\3\0\0", b"\xff" * 64, b"X\0\0\0\4"],
)
@on_both_loops
async def test_what_is_no_startup_packet_is_not_answered(garbage: bytes) -> None:
    async with entrance(listed()) as rig:
        assert await rig.told(garbage) in (b"", b"(reset)")


@pytest.mark.parametrize("packet", [client.startup({"database": "shop"}), client.startup({"user": "ann"}, 2 << 16)])
@on_both_loops
async def test_startup_packets_that_are_refused(packet: bytes) -> None:
    async with entrance(listed()) as rig:
        assert b"SFATAL\0" in await rig.told(packet)


@on_both_loops
async def test_newer_minor_versions_are_negotiated_down() -> None:
    async with entrance(listed()) as rig:
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
        writer.write(client.startup({"user": "ann", "_pq_.future": "1"}, 196610))
        assert await reader.readexactly(1) == b"v"
        await until(lambda: len(rig.sessions) == 1)
        assert rig.sessions[0][:2] == ("ann", "ann"), "the database is the user's when none is named"
        await hang_up(writer)


@on_both_loops
async def test_what_comes_behind_the_login_is_the_sessions() -> None:
    async with entrance(listed()) as rig:
        _, writer = await asyncio.open_connection("127.0.0.1", rig.port)
        writer.write(STARTUP + client.query("SELECT 1"))
        await until(lambda: len(rig.sessions) == 1)
        assert rig.sessions[0][3].received == client.query("SELECT 1")
        writer.write(client.SYNC)
        await until(lambda: rig.sessions[0][3].received.endswith(client.SYNC))
        await hang_up(writer)


@pytest.mark.parametrize("value", ["true", "database", "1"])
@on_both_loops
async def test_replication_does_not_pass(value: str) -> None:
    async with entrance(listed()) as rig:
        assert b"C0A000" in await rig.told(client.startup({"user": "ann", "replication": value}))


@on_both_loops
async def test_cancel_requests_are_handed_on(certificate: tuple[str, str, str]) -> None:
    async with entrance(settings=secured(certificate, "require")) as rig:
        assert await rig.told(client.cancel_request(7, b"abcd")) == b""
        assert rig.cancelled == [(7, b"abcd")]
        assert b"C08P01" in await rig.told(struct.pack("!III", 12, limits.CANCEL_REQUEST, 7))
        assert len(rig.cancelled) == 1


@on_both_loops
async def test_more_clients_than_allowed() -> None:
    async with entrance(settings=ProxySettings(max_clients=1)) as rig, await rig.connect():
        with pytest.raises(psycopg.OperationalError, match="too many clients already"):
            await rig.connect()
        assert rig.entrance.refused_clients == 1
        rig.entrance.settings = replace(rig.entrance.settings, max_clients=2)
        await (await rig.connect()).close()


@on_both_loops
async def test_a_client_that_takes_too_long() -> None:
    async with entrance(settings=ProxySettings(login_timeout=0.05)) as rig:
        assert await rig.told(STARTUP[:9]) in (b"", b"(reset)")
        await rig.told(STARTUP)
        await until(lambda: not rig.entrance.logins)
        assert not rig.sessions


@on_both_loops
async def test_a_session_is_not_ended_by_the_deadline_of_its_login() -> None:
    async with entrance(listed(), ProxySettings(login_timeout=0.05)) as rig:
        _, writer = await asyncio.open_connection("127.0.0.1", rig.port)
        writer.write(STARTUP)
        await until(lambda: len(rig.sessions) == 1)
        await asyncio.sleep(0.2)
        writer.write(client.SYNC)
        await until(lambda: rig.sessions[0][3].received == client.SYNC)
        await hang_up(writer)


@on_both_loops
async def test_clients_that_do_not_log_in_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_module, "LOGINS_MAX", 2)
    async with entrance(settings=ProxySettings(max_clients=3)) as rig:
        idle = [await asyncio.open_connection("127.0.0.1", rig.port) for _ in range(3)]
        await until(lambda: len(rig.entrance.logins) == 3)
        assert await rig.told(STARTUP) in (b"", b"(reset)")
        await hang_up(idle.pop()[1])
        await until(lambda: len(rig.entrance.logins) == 2)
        await (await rig.connect()).close()
        for _, writer in idle:
            await hang_up(writer)


@on_both_loops
async def test_a_proxy_that_stops_lets_nobody_in() -> None:
    async with entrance() as rig:
        rig.entrance.stopping = True
        with pytest.raises(psycopg.OperationalError, match="shutting down"):
            await rig.connect()


@on_both_loops
async def test_failures_from_elsewhere_are_refused_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_limits, "DELAY_MAX_S", 0.0)
    monkeypatch.setattr(login_module, "is_loopback", lambda address: False)
    async with entrance(settings=ProxySettings(auth_failures_max=2)) as rig:
        for _ in range(2):
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                await rig.connect(password="blue")
        with pytest.raises(psycopg.OperationalError, match="too many failed logins"):
            await rig.connect()


# The proxy's files ---------------------------------------------------------------------------------------------------


def test_files_that_cannot_be_used_are_named(certificate: tuple[str, str, str], tmp_path: Path) -> None:
    from helios_cli.engine.errors import ConfigError

    with pytest.raises(ConfigError, match=r"cert of \[tls\]"):
        load_tls(replace(secured(certificate), tls_cert=str(tmp_path / "none")))
    with pytest.raises(ConfigError, match=r"ca of \[backend_tls\]"):
        load_tls(ProxySettings(backend_tls="verify-ca", backend_ca=str(tmp_path / "none")))
