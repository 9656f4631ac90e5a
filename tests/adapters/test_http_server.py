"""The node's HTTP address, spoken to through real sockets."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvloop

from helios_cli.engine.errors import ConfigError, NotServing
from helios_cli.engine.net.http import HttpServer
from helios_cli.engine.net.http_message import HttpLimits
from helios_cli.engine.net.http_routes import AdminVerb, Routes
from helios_cli.engine.net.http_token import load_or_create_token

LOOP: list[Callable[[], asyncio.AbstractEventLoop]] = [asyncio.new_event_loop]
"""The loop the scenarios of the current test run on."""


@pytest.fixture(autouse=True, params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def loop_kind(request: pytest.FixtureRequest) -> None:
    LOOP[0] = request.param


TOKEN = "a-token-of-enough-length"


@dataclass
class Backend:
    """A node in name only; ``gate`` holds the verb `wait` until it is set."""

    reason: str | None = None
    not_ready: str | None = None
    told: Sequence[str] = ()
    role: str = "primary"
    metrics_text: str = "heliosdb_up 1\n"
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    calls: list[dict[str, Any]] = field(default_factory=list)

    def health(self) -> str | None:
        return self.reason

    def ready(self) -> str | None:
        return self.not_ready

    def serves_as(self, role: str) -> str | None:
        return None if role == self.role else f"{self.role}: it does other things"

    def status(self) -> Mapping[str, Any]:
        if self.reason == "crash":
            raise RuntimeError("secret inner detail")
        return {"node_id": "n1", "lsn": "0/10"}

    def metrics(self) -> str:
        return self.metrics_text

    def admin_verbs(self) -> Mapping[str, AdminVerb]:
        return {"checkpoint": self._checkpoint, "wait": self._wait, "fail": self._fail, "crash": self._crash}

    async def _checkpoint(self, arguments: dict[str, Any]) -> object:
        self.calls.append(arguments)
        return {"lsn": "0/20"}

    async def _wait(self, arguments: dict[str, Any]) -> object:
        await self.gate.wait()
        self.calls.append({"waited": True})
        return None

    async def _fail(self, arguments: dict[str, Any]) -> object:
        if arguments.get("how") == "config":
            raise ConfigError("no such setting", hint="See config show.")
        raise NotServing("the database system is shutting down")

    async def _crash(self, arguments: dict[str, Any]) -> object:
        raise RuntimeError("secret inner detail")


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, text: bytes) -> None:
        self.writer.write(text)

    def request(self, line: str, *headers: str, body: bytes = b"") -> None:
        length = [f"Content-Length: {len(body)}"] if body else []
        self.send("\r\n".join([line + " HTTP/1.1", "Host: x", *headers, *length, "", ""]).encode() + body)

    async def answer(self, *, head: bool = False) -> Answer:
        raw = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)
        first, *lines = raw.decode().strip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        length = 0 if head else int(headers["content-length"])
        return Answer(int(first.split()[1]), headers, await asyncio.wait_for(self.reader.readexactly(length), 5))

    async def closed(self) -> bool:
        """Whether the server ends the connection without another byte."""
        try:
            return await asyncio.wait_for(self.reader.read(1), 5) == b""
        except ConnectionResetError:
            return True


@dataclass
class Rig:
    backend: Backend
    server: HttpServer
    port: int

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        try:
            yield client
        finally:
            client.writer.close()
            await until(client.writer.transport.is_closing)
            with suppress(ConnectionError):
                await asyncio.wait_for(client.writer.wait_closed(), 5)

    async def ask(self, line: str, *headers: str, body: bytes = b"") -> Answer:
        async with self.client() as client:
            client.request(line, *headers, body=body)
            return await client.answer(head=line.startswith("HEAD"))


def serve(scenario: Callable[[Rig], Awaitable[None]], limits: HttpLimits | None = None) -> None:
    async def main() -> None:
        backend = Backend()
        server = HttpServer(Routes(backend, TOKEN, alarms=lambda: backend.told), limits)
        port = await server.start("127.0.0.1", 0)
        try:
            await scenario(Rig(backend, server, port))
        finally:
            await server.stop()

    with asyncio.Runner(loop_factory=LOOP[0]) as runner:
        runner.run(main())


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


AUTH = f"Authorization: Bearer {TOKEN}"


def test_pages() -> None:
    async def scenario(rig: Rig) -> None:
        health = await rig.ask("GET /health")
        assert (health.status, health.json()) == (200, {"status": "ok"})
        assert health.headers["content-type"] == "application/json"
        assert (await rig.ask("GET /ready?verbose=1")).status == 200
        assert (await rig.ask("GET /status")).json() == {"node_id": "n1", "lsn": "0/10"}
        metrics = await rig.ask("GET /metrics")
        assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert metrics.body == b"heliosdb_up 1\n"

    serve(scenario)


def test_a_node_that_serves_tells_its_alarms() -> None:
    async def scenario(rig: Rig) -> None:
        rig.backend.told = ["page 7 is damaged"]
        answer = await rig.ask("GET /health")
        assert (answer.status, answer.json()) == (200, {"status": "ok", "alarms": ["page 7 is damaged"]})
        rig.backend.reason = "stopping"
        assert (await rig.ask("GET /health")).status == 503

    serve(scenario)


def test_unavailable_node_says_why() -> None:
    async def scenario(rig: Rig) -> None:
        rig.backend.reason = "recovering"
        rig.backend.not_ready = "lagging"
        health = await rig.ask("GET /health")
        assert (health.status, health.json()["reason"]) == (503, "recovering")
        assert health.headers["retry-after"] == "1"
        assert (await rig.ask("GET /ready")).json()["reason"] == "lagging"

    serve(scenario)


def test_a_node_serves_as_what_it_is() -> None:
    async def scenario(rig: Rig) -> None:
        assert (await rig.ask("GET /primary")).status == 200
        other = await rig.ask("GET /standby")
        assert (other.status, other.json()["reason"]) == (503, "primary: it does other things")
        rig.backend.role = "standby"
        assert (await rig.ask("GET /standby")).status == 200
        assert (await rig.ask("GET /primary")).status == 503

    serve(scenario)


def test_head_has_the_length_and_no_body() -> None:
    async def scenario(rig: Rig) -> None:
        async with rig.client() as client:
            client.request("HEAD /metrics")
            client.request("GET /health")
            head = await client.answer(head=True)
            assert head.headers["content-length"] == str(len(rig.backend.metrics_text))
            assert (await client.answer()).json() == {"status": "ok"}

    serve(scenario)


@pytest.mark.parametrize(
    ("line", "status", "allow"),
    [
        ("GET /nothing", 404, None),
        ("GET /", 404, None),
        ("GET /health/", 404, None),
        ("POST /health", 405, "GET, HEAD"),
        ("DELETE /metrics", 405, "GET, HEAD"),
        ("GET /admin/checkpoint", 405, "POST"),
    ],
)
def test_wrong_path_or_method(line: str, status: int, allow: str | None) -> None:
    async def scenario(rig: Rig) -> None:
        answer = await rig.ask(line, AUTH)
        assert (answer.status, answer.headers.get("allow")) == (status, allow)
        assert "error" in answer.json()

    serve(scenario)


def test_admin_needs_the_token() -> None:
    async def scenario(rig: Rig) -> None:
        missing = await rig.ask("POST /admin/checkpoint")
        assert (missing.status, missing.headers["www-authenticate"]) == (401, "Bearer")
        assert (await rig.ask("POST /admin/checkpoint", "Authorization: Basic YTpi")).status == 401
        assert (await rig.ask("POST /admin/checkpoint", "Authorization: Bearer ")).status == 401
        for wrong in ("x", TOKEN + "x", TOKEN[:-1], "\u00e9"):
            assert (await rig.ask("POST /admin/checkpoint", f"Authorization: Bearer {wrong}")).status == 403
        assert (await rig.ask("POST /admin/unknown")).status == 401
        assert rig.backend.calls == []

    serve(scenario)


def test_admin_verbs() -> None:
    async def scenario(rig: Rig) -> None:
        done = await rig.ask("POST /admin/checkpoint", AUTH, body=b'{"force": true}')
        assert (done.status, done.json()) == (200, {"lsn": "0/20"})
        assert (await rig.ask("POST /admin/checkpoint", AUTH)).status == 200
        assert rig.backend.calls == [{"force": True}, {}]
        unknown = await rig.ask("POST /admin/nothing", AUTH)
        assert unknown.status == 404
        assert "checkpoint" in unknown.json()["hint"]
        for body in (b"{", b"[1]", b"\xff"):
            assert (await rig.ask("POST /admin/checkpoint", AUTH, body=body)).status == 400

    serve(scenario)


def test_errors_of_verbs() -> None:
    async def scenario(rig: Rig) -> None:
        refused = await rig.ask("POST /admin/fail", AUTH)
        assert (refused.status, refused.json()["sqlstate"]) == (503, "57P03")
        config = await rig.ask("POST /admin/fail", AUTH, body=b'{"how": "config"}')
        assert (config.status, config.json()["hint"]) == (400, "See config show.")
        rig.backend.reason = "crash"
        for line in ("POST /admin/crash", "GET /status"):
            crashed = await rig.ask(line, AUTH)
            assert crashed.status == 500
            assert b"secret" not in crashed.body

    serve(scenario)


def test_pipelined_requests_are_answered_in_order_past_a_slow_verb() -> None:
    async def scenario(rig: Rig) -> None:
        async with rig.client() as client:
            client.request("GET /health")
            client.request("POST /admin/wait", AUTH)
            for _ in range(100):
                client.request("GET /status")
            client.request("GET /nothing")
            assert (await client.answer()).json() == {"status": "ok"}
            assert (await rig.ask("GET /health")).status == 200, "another client waits for the verb"
            rig.backend.gate.set()
            assert (await client.answer()).json() == {"status": "ok"}
            for _ in range(100):
                assert (await client.answer()).json()["node_id"] == "n1"
            assert (await client.answer()).status == 404

    serve(scenario)


def test_request_in_single_bytes() -> None:
    async def scenario(rig: Rig) -> None:
        async with rig.client() as client:
            for byte in b"POST /admin/checkpoint HTTP/1.1\r\nHost: x\r\n" + AUTH.encode() + b"\r\n":
                client.send(bytes([byte]))
                await asyncio.sleep(0)
            client.send(b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n")
            client.send(b'8\r\n"a": 12}\r\n0\r\nTrailer: y\r\n\r\n')
            assert (await client.answer()).status == 200
        assert rig.backend.calls == [{"a": 12}]

    serve(scenario)


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [
        (b"GET /health HTTP/1.0\r\n\r\n", [200]),
        (b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET /health HTTP/1.1\r\n", [200]),
        (b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nxx", [200]),
        (b"GET /health HTTP/1.1\r\n\r\n", [400]),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n", [404]),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400]),
        (b"\x16\x03\x01\x02\x00\x01\x00", [400]),
        (b"\x00" * 70_000, [400]),
        (b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nrubbish\r\n\r\n", [200, 400]),
        (b"GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", [400]),
        (b"GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n\r\n", [400]),
    ],
)
def test_odd_input_is_answered_and_ends_the_connection(sent: bytes, statuses: list[int]) -> None:
    async def scenario(rig: Rig) -> None:
        async with rig.client() as client:
            client.send(sent)
            answers = [await client.answer() for _ in statuses]
            assert [answer.status for answer in answers] == statuses
            assert answers[-1].headers["connection"] == "close"
            assert await client.closed()
        await until(lambda: not rig.server.connections)

    serve(scenario)


@pytest.mark.parametrize("head", [b"GET /" + b"a" * 60_000, b"GET / HTTP/1.1\r\nX: " + b"b" * 60_000])
def test_huge_head(head: bytes) -> None:
    async def scenario(rig: Rig) -> None:
        async with rig.client() as client:
            client.send(head)
            assert (await client.answer()).status == 431
            assert await client.closed()

    serve(scenario)


def test_many_headers_within_the_limit_and_beyond() -> None:
    async def scenario(rig: Rig) -> None:
        assert (await rig.ask("GET /health", *[f"X-{n}: {'v' * 50}" for n in range(150)])).status == 200
        assert (await rig.ask("GET /health", *[f"X-{n}: {'v' * 50}" for n in range(500)])).status == 431

    serve(scenario)


def test_huge_bodies() -> None:
    async def scenario(rig: Rig) -> None:
        async with rig.client() as client:
            client.send(b"POST /admin/checkpoint HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999\r\n\r\n")
            assert (await client.answer()).status == 413
            assert await client.closed()
        async with rig.client() as client:
            client.send(b"POST /admin/checkpoint HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            client.send(b"1000\r\n" + b" " * 4096 + b"\r\n")
            client.send((b"1000\r\n" + b" " * 4096 + b"\r\n") * 8)
            assert (await client.answer()).status == 413
            assert await client.closed()

    serve(scenario, HttpLimits(body_bytes=16_384))


def test_expect_continue() -> None:
    async def scenario(rig: Rig) -> None:
        async with rig.client() as client:
            client.request("POST /admin/checkpoint", AUTH, "Expect: 100-continue", "Content-Length: 2")
            assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.send(b"{}")
            assert (await client.answer()).status == 200

    serve(scenario)


SHORT = HttpLimits(request_s=0.1, idle_s=0.2, write_s=0.1, linger_s=0.1, sweep_s=0.02)


def test_slow_head_gets_408_though_bytes_keep_coming() -> None:
    async def scenario(rig: Rig) -> None:
        async with rig.client() as client:
            answer = asyncio.ensure_future(client.answer())
            client.send(b"GET /health HTTP/1.1\r\nHost: ")
            while not answer.done():
                client.send(b"x")
                await asyncio.wait([answer], timeout=0.01)
            assert (await answer).status == 408
            assert await client.closed()
        await until(lambda: not rig.server.connections)

    serve(scenario, SHORT)


def test_idle_client_is_closed_and_a_running_verb_is_not() -> None:
    async def scenario(rig: Rig) -> None:
        async with rig.client() as waiting, rig.client() as idle, rig.client() as used:
            waiting.request("POST /admin/wait", AUTH)
            used.request("GET /health")
            assert (await used.answer()).status == 200
            assert await idle.closed()
            assert await used.closed()
            rig.backend.gate.set()
            assert (await waiting.answer()).status == 200

    serve(scenario, SHORT)


def test_client_that_does_not_read_is_reset() -> None:
    async def scenario(rig: Rig) -> None:
        rig.backend.metrics_text = "#" + "x" * 1_000_000 + "\n"
        async with rig.client() as client:
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            for _ in range(40):
                client.request("GET /metrics")
            await until(lambda: rig.server.requests > 0)
            await until(lambda: not rig.server.connections)
            assert rig.server.requests < 40

    serve(scenario, SHORT)


def test_client_that_leaves_does_not_stop_its_verb() -> None:
    async def scenario(rig: Rig) -> None:
        async with rig.client() as client:
            client.request("POST /admin/wait", AUTH)
            await until(lambda: len(rig.server.tasks) == 1)
        assert (await rig.ask("GET /health")).status == 200
        assert len(rig.server.tasks) == 1
        rig.backend.gate.set()
        await until(lambda: not rig.server.tasks and not rig.server.connections)
        assert rig.backend.calls == [{"waited": True}]


def test_half_closed_client_still_gets_its_answer() -> None:
    async def scenario(rig: Rig) -> None:
        async with rig.client() as client:
            client.request("POST /admin/wait", AUTH)
            client.writer.write_eof()
            await until(lambda: len(rig.server.tasks) == 1)
            rig.backend.gate.set()
            assert (await client.answer()).status == 200
            assert await client.closed()

    serve(scenario)


def test_connection_limit() -> None:
    async def scenario(rig: Rig) -> None:
        async with rig.client() as first, rig.client():
            first.request("GET /health")
            await first.answer()
            await until(lambda: len(rig.server.connections) == 2)
            async with rig.client() as third:
                assert (await third.answer()).status == 503
                assert await third.closed()
        await until(lambda: not rig.server.connections)
        assert (await rig.ask("GET /health")).status == 200

    serve(scenario, HttpLimits(connections=2))


def test_stop_ends_connections_and_verbs() -> None:
    async def scenario(rig: Rig) -> None:
        async with rig.client() as client:
            client.request("POST /admin/wait", AUTH)
            await until(lambda: len(rig.server.tasks) == 1)
            await rig.server.stop()
            assert await client.closed()
        with pytest.raises(ConnectionRefusedError):
            await rig.ask("GET /health")

    serve(scenario)


def test_tls(tmp_path: Path, make_certificate: Callable[[Path], tuple[Path, Path]]) -> None:
    certificate, key = make_certificate(tmp_path)

    async def scenario() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server = HttpServer(Routes(Backend(), TOKEN))
        port = await server.start("127.0.0.1", 0, context)
        trust = ssl.create_default_context(cafile=str(certificate))
        client = Client(*await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname="localhost"))
        client.request("GET /health", "Connection: close")
        assert (await client.answer()).status == 200
        assert await client.closed()
        client.writer.close()
        await server.stop()

    with asyncio.Runner(loop_factory=LOOP[0]) as runner:
        runner.run(scenario())


@pytest.fixture
def make_certificate() -> Callable[[Path], tuple[Path, Path]]:
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    def make(directory: Path) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .sign(key, hashes.SHA256())
        )
        pem, encoding = serialization.PrivateFormat.PKCS8, serialization.Encoding.PEM
        (directory / "c.pem").write_bytes(certificate.public_bytes(encoding))
        (directory / "k.pem").write_bytes(key.private_bytes(encoding, pem, serialization.NoEncryption()))
        return directory / "c.pem", directory / "k.pem"

    return make


def test_token_is_drawn_once_and_private(tmp_path: Path) -> None:
    token = load_or_create_token(tmp_path)
    path = tmp_path / "http.token"
    assert len(token) >= 32
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    assert load_or_create_token(tmp_path) == token
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["http.token"]


def test_short_token_is_refused(tmp_path: Path) -> None:
    (tmp_path / "http.token").write_text("short\n")
    with pytest.raises(ConfigError, match="fewer than 16"):
        load_or_create_token(tmp_path)
    with pytest.raises(ValueError, match="empty"):
        Routes(Backend(), "")
