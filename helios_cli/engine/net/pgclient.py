"""A small blocking PostgreSQL client for our own command line: the SQL shell, health checks, bulk copies."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import BinaryIO, Final

from helios_cli.engine.errors import HeliosError, ProtocolViolation
from helios_cli.engine.wire import client, scram
from helios_cli.engine.wire.backend import copy_data
from helios_cli.engine.wire.client import ResultColumn

Row = tuple[str | None, ...]
Notices = Callable[[HeliosError], None]

_READ_BYTES: Final = 1 << 18
_COPY_CHUNK: Final = 1 << 16
_SSL_MODES: Final = ("disable", "prefer", "require")


class CannotConnect(HeliosError):
    """No connection could be made: nobody listens, the name is unknown, time ran out, TLS was refused."""

    sqlstate = "08001"
    retryable = True


class ConnectionLost(HeliosError):
    """The connection ended while it was in use; what the server did last is unknown."""

    sqlstate = "08006"


@dataclass(slots=True)
class Result:
    """What one statement of a query string gave."""

    columns: tuple[ResultColumn, ...] | None = None
    """None for a statement that returns no rows."""
    rows: list[Row] = field(default_factory=list)
    tag: str = ""
    """The command tag, such as 'SELECT 3'; empty for an empty query."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where and as whom to connect. ``host`` is a name, an address or the directory of a Unix socket."""

    host: str = "127.0.0.1"
    port: int = 5432
    user: str = "helios"
    password: str | None = None
    database: str = "heliosdb"
    sslmode: str = "prefer"
    """'disable', 'prefer' (TLS when the server has it) or 'require' (TLS, the certificate is not checked)."""
    timeout: float = 10.0
    """Seconds for connecting and logging in, all together per network wait."""
    application_name: str = "heliosdb"
    ssl_context: ssl.SSLContext | None = None
    """Checks the server's certificate in its own way; only with TLS."""
    read_timeout: float | None = None
    """Seconds of silence after which a statement's connection is taken for lost; None: waits for ever."""


def connect(
    host: str = "127.0.0.1",
    port: int = 5432,
    user: str = "helios",
    password: str | None = None,
    database: str = "heliosdb",
    sslmode: str = "prefer",
    timeout: float = 10.0,
    application_name: str = "heliosdb",
) -> PgClient:
    """Open a connection and log in.

    Raises:
        CannotConnect: nobody there, or no time left. HeliosError: the server's own refusal (28P01, 3D000, ...).
    """
    return PgClient(Target(host, port, user, password, database, sslmode, timeout, application_name))


def _open_socket(target: Target) -> socket.socket:
    """A connected TCP or Unix socket."""
    where = f"{target.host}:{target.port}"
    try:
        if target.host.startswith("/"):
            where = f"{target.host}/.s.PGSQL.{target.port}"
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                sock.settimeout(target.timeout)
                sock.connect(where)
            except BaseException:
                sock.close()
                raise
            return sock
        sock = socket.create_connection((target.host, target.port), target.timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock
    except OSError as exc:
        reason = "timeout expired" if isinstance(exc, TimeoutError) else exc.strerror or str(exc)
        raise CannotConnect(f"connection to {where} failed: {reason}", hint="Is the node running there?") from exc


def _unchecked_context() -> ssl.SSLContext:
    """TLS without checking who answers: what sslmode=require means to every PostgreSQL client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _start_tls(sock: socket.socket, target: Target) -> socket.socket:
    """Ask for TLS and start it. One byte is read, so nothing an attacker adds behind it is ever taken as data."""
    if target.sslmode == "disable" or target.host.startswith("/"):
        return sock
    sock.sendall(client.SSL_REQUEST_PACKET)
    answer = sock.recv(1)
    if answer == b"S":
        context = target.ssl_context or _unchecked_context()
        return context.wrap_socket(sock, server_hostname=target.host)
    if not answer:
        raise ConnectionLost("the server closed the connection during the TLS request")
    if target.sslmode == "require":
        raise CannotConnect(
            "the server does not support TLS, but it is required", hint="Use sslmode prefer or disable."
        )
    if answer != b"N":
        raise ProtocolViolation("the server broke the protocol", detail="an unknown answer to the TLS request")
    return sock


def certificate_hash(certificate: bytes) -> bytes | None:
    """The tls-server-end-point binding (RFC 5929) of a DER certificate; None when it has no single hash."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    try:
        parsed = x509.load_der_x509_certificate(certificate)
        algorithm = parsed.signature_hash_algorithm
    except Exception:  # An unusual certificate only means that the exchange is not bound to it.
        return None
    if algorithm is None:
        return None
    if isinstance(algorithm, hashes.MD5 | hashes.SHA1):
        algorithm = hashes.SHA256()
    return parsed.fingerprint(algorithm)


class PgClient:
    """One connection. Not for use by several threads, but for :meth:`cancel`."""

    def __init__(self, target: Target, on_notice: Notices | None = None) -> None:
        """Connect and log in. ``on_notice`` gets every notice; without it they collect in ``notices``."""
        if target.sslmode not in _SSL_MODES:
            raise HeliosError(f'invalid sslmode value: "{target.sslmode}"', sqlstate="22023")
        self.target = target
        self.parameters: dict[str, str] = {}
        """Settings the server reported: server_version, TimeZone, ..."""
        self.notices: list[HeliosError] = []
        self.transaction_status = "I"
        """'I' idle, 'T' in a transaction, 'E' in a failed one."""
        self.pid = 0
        self._key = b""
        self._on_notice = on_notice or self.notices.append
        self._buffer = bytearray()
        self._at = 0
        self._authenticated = False
        self._in_use = False
        self._sock = _open_socket(target)
        try:
            self._log_in()
        except BaseException:
            self._sock.close()
            raise

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return isinstance(self._sock, ssl.SSLSocket)

    @property
    def ready(self) -> bool:
        """Whether the connection is open and runs nothing, so that a statement may be sent."""
        return self.fileno() >= 0 and not self._in_use

    def fileno(self) -> int:
        """The socket's descriptor, to wait on; -1 when the connection is closed."""
        return self._sock.fileno()

    def __enter__(self) -> PgClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Say goodbye and close; harmless when closed already."""
        with contextlib.suppress(OSError):
            if self._sock.fileno() >= 0:
                self._sock.sendall(client.TERMINATE)
        self._sock.close()

    # Logging in

    def _log_in(self) -> None:
        target = self.target
        try:
            self._sock = _start_tls(self._sock, target)
            self._send(
                client.startup(
                    {
                        "user": target.user,
                        "database": target.database,
                        "application_name": target.application_name,
                        "client_encoding": "UTF8",
                    }
                )
            )
            self._authenticate()
            self._await_ready()
        except TimeoutError as exc:
            raise CannotConnect(f"connection to {target.host}:{target.port} failed: timeout expired") from exc
        except (OSError, ConnectionLost) as exc:
            raise CannotConnect(f"connection to {target.host}:{target.port} failed: {exc}") from exc
        self._sock.settimeout(target.read_timeout)

    def _authenticate(self) -> None:
        """Answer the server's requests until AuthenticationOk."""
        while True:
            code, rest = self._auth_request()
            if code == 0:
                self._authenticated = True
                return
            if code == 3:
                self._send(client.password(self._secret()))
            elif code == 5:
                self._send(client.md5_password(self.target.user, self._secret(), rest[:4]))
            elif code == 10:
                self._run_scram(client.parse_mechanisms(rest))
            else:
                raise HeliosError(f"authentication method {code} is not supported", sqlstate="0A000")

    def _auth_request(self) -> tuple[int, bytes]:
        """The next authentication request; errors are raised, a version negotiation is passed over."""
        while True:
            kind, body = self._read()
            if kind == 0x52:
                return client.parse_auth(body)
            if kind == 0x45:
                raise client.parse_error(body)
            if kind == 0x4E:
                self._on_notice(client.parse_error(body))
            elif kind != 0x76:
                raise self._unexpected(kind)

    def _secret(self) -> str:
        if self.target.password is None:
            raise HeliosError(
                "fe_sendauth: no password supplied", sqlstate="28P01", hint="Set PGPASSWORD or give --password."
            )
        return self.target.password

    def _run_scram(self, mechanisms: list[str]) -> None:
        """A whole SCRAM exchange; AuthenticationOk before the server proved itself is refused."""
        binding = None
        if isinstance(self._sock, ssl.SSLSocket):
            certificate = self._sock.getpeercert(binary_form=True)
            binding = certificate_hash(certificate) if certificate else None
        exchange = scram.ScramClient(
            self._secret(),
            os.urandom(scram.NONCE_BYTES),
            channel_binding=binding,
            server_has_plus=scram.MECHANISM_PLUS in mechanisms,
            tls=self.tls,
        )
        if exchange.mechanism not in mechanisms:
            raise HeliosError("none of the server's SASL authentication mechanisms are supported", sqlstate="0A000")
        self._send(client.sasl_initial(exchange.mechanism, exchange.first()))
        self._send(client.sasl_response(exchange.final(self._sasl(11))))
        exchange.finish(self._sasl(12))

    def _sasl(self, expected: int) -> bytes:
        code, rest = self._auth_request()
        if code != expected:
            raise ProtocolViolation("the server broke the protocol", detail="SCRAM was left before its end")
        return rest

    def _await_ready(self) -> None:
        while True:
            kind, body = self._read()
            if kind == 0x45:
                raise client.parse_error(body)
            if kind == 0x4B:
                self.pid, self._key = client.parse_key_data(body)
            elif kind == 0x5A:
                self.transaction_status = client.parse_ready(body)
                return
            elif not self._aside(kind, body):
                raise self._unexpected(kind)

    # Bytes

    def _send(self, data: bytes) -> None:
        self._sock.sendall(data)

    def _read(self) -> tuple[int, bytes]:
        """The next message: (type byte, body). Raises ConnectionLost at the end of the stream."""
        head = self._take(5)
        length = int.from_bytes(head[1:5], "big")
        client.check_length(head[0], length, authenticated=self._authenticated)
        return head[0], self._take(length - 4)

    def _take(self, size: int) -> bytes:
        while len(self._buffer) - self._at < size:
            if self._at:
                del self._buffer[: self._at]
                self._at = 0
            data = self._sock.recv(_READ_BYTES)
            if not data:
                raise ConnectionLost("server closed the connection unexpectedly")
            self._buffer += data
        piece = bytes(memoryview(self._buffer)[self._at : self._at + size])
        self._at += size
        return piece

    def _aside(self, kind: int, body: bytes) -> bool:
        """Deal with what may come at any time: notices, settings, notifications."""
        if kind == 0x4E:
            self._on_notice(client.parse_error(body))
        elif kind == 0x53:
            name, value = client.parse_status(body)
            self.parameters[name] = value
        elif kind != 0x41:
            return False
        return True

    def _unexpected(self, kind: int) -> ProtocolViolation:
        return ProtocolViolation("the server broke the protocol", detail=f"message {chr(kind)!r} came unexpectedly")

    # Queries

    def execute(self, sql: str) -> list[Result]:
        """Run a query string and collect everything; an empty string gives one empty result.

        Raises:
            HeliosError: the server's error, after the connection is ready again. ConnectionLost.
        """
        results: list[Result] = []
        current = Result()
        for item in self._run(sql, None, None):
            if isinstance(item, tuple):
                current.rows.append(item)
            elif isinstance(item, str):
                current.tag = item
                results.append(current)
                current = Result()
            else:
                current.columns = item.columns
        return results

    def stream(self, sql: str, batch_rows: int = 1000) -> Iterator[Result]:
        """Run a query string and give its rows in batches, so that memory stays bounded.

        Every batch has its columns; the last one of a statement has its tag. Leaving the loop early cancels the
        query and makes the connection ready again.
        """
        events = self._run(sql, None, None)
        current = Result()
        finished = False
        try:
            for item in events:
                if isinstance(item, tuple):
                    current.rows.append(item)
                    if len(current.rows) >= batch_rows:
                        yield current
                        current = Result(current.columns)
                elif isinstance(item, str):
                    current.tag = item
                    yield current
                    current = Result()
                else:
                    current.columns = item.columns
            finished = True
        finally:
            if not finished and self._in_use and self._sock.fileno() >= 0:
                self._abandon(events)

    def _abandon(self, events: Iterator[object]) -> None:
        """Cancel what runs and read to the end of it."""
        with contextlib.suppress(HeliosError, OSError):
            self.cancel()
            for _ in events:
                pass

    def copy_in(self, sql: str, source: BinaryIO) -> str:
        """Run COPY ... FROM STDIN with the bytes of ``source``; the command tag."""
        return self._tag(self._run(sql, source, None))

    def copy_out(self, sql: str, sink: BinaryIO) -> str:
        """Run COPY ... TO STDOUT and write its bytes to ``sink``; the command tag."""
        return self._tag(self._run(sql, None, sink))

    def _tag(self, events: Iterator[Row | str | Result]) -> str:
        tags = [item for item in events if isinstance(item, str)]
        return tags[-1] if tags else ""

    def _run(self, sql: str, source: BinaryIO | None, sink: BinaryIO | None) -> Iterator[Row | str | Result]:
        """Rows (tuples), command tags (strings) and column lists (Results) until the server is ready.

        An error of the server is raised after that, so the connection stays usable.
        """
        if self._in_use:
            raise HeliosError("another query is still running on this connection", sqlstate="55000")
        error: HeliosError | None = None
        self._in_use = True
        try:
            self._send(client.query(sql))
            while True:
                kind, body = self._read()
                if kind == 0x44:
                    yield client.parse_text_row(body)
                elif kind == 0x54:
                    yield Result(client.parse_row_description(body))
                elif kind == 0x43:
                    yield client.parse_tag(body)
                elif kind == 0x49:
                    yield ""
                elif kind == 0x45:
                    error = error or client.parse_error(body)
                elif kind == 0x5A:
                    self.transaction_status = client.parse_ready(body)
                    self._in_use = False
                    break
                elif not self._copy_step(kind, body, source, sink) and not self._aside(kind, body):
                    raise self._unexpected(kind)
        except OSError as exc:
            raise self._lost(error, str(exc)) from exc
        except ConnectionLost as exc:
            raise self._lost(error, exc.message) from exc
        if error is not None:
            raise error

    def _lost(self, error: HeliosError | None, reason: str) -> HeliosError:
        """The server's last word (57P01 ...) when it gave one, else the loss itself."""
        self._sock.close()
        return error or ConnectionLost(f"connection to server was lost: {reason}")

    def _copy_step(self, kind: int, body: bytes, source: BinaryIO | None, sink: BinaryIO | None) -> bool:
        """CopyInResponse, CopyOutResponse, CopyData, CopyDone; False for anything else."""
        if kind == 0x47:
            self._send_copy(source)
        elif kind == 0x64:
            if sink is not None:
                sink.write(body)
        elif kind not in (0x48, 0x63):
            return False
        return True

    def _send_copy(self, source: BinaryIO | None) -> None:
        if source is None:
            self._send(client.copy_fail("COPY FROM STDIN has no input here"))
            return
        try:
            while data := source.read(_COPY_CHUNK):
                self._send(copy_data(data))
        except OSError as exc:
            if isinstance(exc, ConnectionError):
                return  # The server's reason is waiting to be read.
            self._send(client.copy_fail(f"could not read the input: {exc}"))
            return
        self._send(client.COPY_DONE)

    def cancel(self) -> None:
        """Ask the server, on a second connection, to stop what this one runs. Returns when the server took it.

        Raises:
            CannotConnect: the second connection failed.
        """
        sock = _open_socket(self.target)
        try:
            if self.tls:
                sock = _start_tls(sock, self.target)
            sock.sendall(client.cancel_request(self.pid, self._key))
            sock.recv(1)
        except OSError as exc:
            raise CannotConnect(f"could not send the cancel request: {exc}") from exc
        finally:
            sock.close()
