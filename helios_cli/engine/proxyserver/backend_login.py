"""The proxy's side of a login at a node: it is fed the node's bytes and says what to send.

A node may be as hostile as a client, or somebody may stand between: messages and iterations have limits, a password
goes out in the clear only over TLS, a node that leaves SCRAM before it has proved itself is not believed, and bytes
behind the answer to SSLRequest end the connection (CVE-2021-23222).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from helios_cli.engine.errors import HeliosError, ProtocolViolation
from helios_cli.engine.wire import client, scram

TLS_MODES: Final = ("disable", "prefer", "require", "verify-ca", "verify-full")
"""No TLS, where the node has it, always; with a certificate that our authority signed; and made for the node's name."""
MAX_LOGIN_BYTES: Final = 1 << 20
"""All that a node may send before it is ready; the settings that it reports are a few hundred bytes."""
MAX_STATUS_BYTES: Final = 1 << 18
"""One message once authenticated: a setting's value may be long."""

_AUTHENTICATION, _ERROR, _NOTICE, _STATUS, _KEY, _READY, _NEGOTIATE = b"RENSKZv"


class BackendLogin:
    """One login: :meth:`start`, then :meth:`feed` until :attr:`done`, with :meth:`encrypted` between for TLS."""

    def __init__(
        self,
        *,
        user: str,
        database: str,
        credential: str | scram.ClientKeys | None,
        nonce: bytes,
        parameters: Mapping[str, str] | None = None,
        tls: str = "disable",
    ) -> None:
        """``nonce`` is 18 random bytes, ``parameters`` what else the startup packet holds.

        ``credential`` is the password, the keys of a client that has proved itself to the proxy, or None for a node
        that trusts. ``tls`` is one of :data:`TLS_MODES`; it is the caller's TLS context that verifies certificates.
        """
        assert tls in TLS_MODES
        self.done = False
        self.wants_tls = False
        """The node has agreed to TLS: make the connection encrypted, then call :meth:`encrypted`."""
        self.parameters: dict[str, str] = {}
        """The settings that the node has reported."""
        self.pid = 0
        self.key = b""
        """For CancelRequest; empty for a node that gave none."""
        self.notices: list[HeliosError] = []
        self.rest = b""
        """Bytes behind ReadyForQuery, once done."""
        self._startup = {"user": user, "database": database, **(parameters or {})}
        self._credential = credential
        self._nonce = nonce
        self._mode = tls
        self._asked = False
        self._tls = False
        self._binding: bytes | None = None
        self._buffer = b""
        self._total = 0
        self._authenticated = False
        self._exchange: scram.ScramClient | None = None
        self._expected = 0
        """The next authentication request; 0 where the node may choose."""

    def start(self) -> bytes:
        """What to send first: a startup packet, or the question for TLS."""
        if self._mode == "disable":
            return client.startup(self._startup)
        self._asked = True
        return client.SSL_REQUEST_PACKET

    def encrypted(self, binding: bytes | None) -> bytes:
        """The connection is TLS now; gives the startup packet.

        ``binding`` is the hash of the node's certificate (:func:`net.pgclient.certificate_hash`), None without one.
        """
        assert self.wants_tls
        self.wants_tls = False
        self._tls, self._binding = True, binding
        return client.startup(self._startup)

    def feed(self, data: bytes) -> bytes:
        """Take what the node has sent (not nothing); gives what to answer, maybe nothing.

        Raises:
            HeliosError: the node refused, with its own SQLSTATE; 28000 it asks for what we do not have or will not
                send; 08001 it has no TLS. ProtocolViolation: it broke the protocol. AuthenticationFailed: it could
                not prove that it knows the password.
        """
        assert not self.done
        self._total += len(data)
        if self._total > MAX_LOGIN_BYTES:
            raise _broken("it sent more than a megabyte before it was ready")
        if self.wants_tls:
            raise _broken("it sent data before the TLS handshake")
        self._buffer += data
        if self._asked:
            return self._tls_answer()
        out = b""
        while (found := self._next()) is not None:
            out += self._message(*found)
            if self.done:
                break
        return out

    # -- TLS ------------------------------------------------------------------------------------------------------

    def _tls_answer(self) -> bytes:
        answer, rest = self._buffer[:1], self._buffer[1:]
        self._asked, self._buffer = False, b""
        if rest and answer in (b"S", b"N"):
            raise _broken("received unencrypted data after SSL response")
        if answer == b"S":
            self.wants_tls = True
            return b""
        if answer != b"N":
            # Its text came unencrypted from who knows whom, so nobody is shown it (CVE-2024-10977).
            raise _broken("it answered the question for TLS with an error")
        if self._mode != "prefer":
            raise HeliosError(
                "the node has no TLS, but backend_tls asks for it",
                sqlstate="08001",
                hint='Give the node tls_cert and tls_key, or set [backend_tls] mode = "disable".',
            )
        return client.startup(self._startup)

    # -- messages -------------------------------------------------------------------------------------------------

    def _next(self) -> tuple[int, bytes] | None:
        """The next whole message: (type, body)."""
        buffer = self._buffer
        if len(buffer) < 5:
            return None
        length = int.from_bytes(buffer[1:5], "big")
        client.check_length(buffer[0], length, authenticated=self._authenticated)
        if length > MAX_STATUS_BYTES:
            raise _broken(f"message {chr(buffer[0])!r} has {length} bytes")
        if len(buffer) <= length:
            return None
        self._buffer = buffer[1 + length :]
        return buffer[0], buffer[5 : 1 + length]

    def _message(self, kind: int, body: bytes) -> bytes:
        if kind == _ERROR:
            raise client.parse_error(body)
        if kind == _NOTICE:
            self.notices.append(client.parse_error(body))
        elif kind == _AUTHENTICATION and not self._authenticated:
            return self._authentication(*client.parse_auth(body))
        elif kind == _NEGOTIATE and not self._authenticated:
            pass  # We asked for 3.0 without options, so whatever it can do besides is not used.
        elif not self._authenticated:
            raise _broken(f"message {chr(kind)!r} came before it had let us in")
        elif kind == _STATUS:
            name, value = client.parse_status(body)
            self.parameters[name] = value
        elif kind == _KEY:
            self.pid, self.key = client.parse_key_data(body)
        elif kind == _READY:
            if client.parse_ready(body) != "I":
                raise _broken("a new connection is in a transaction")
            self.done = True
            self.rest, self._buffer = self._buffer, b""
        else:
            raise _broken(f"message {chr(kind)!r} came unexpectedly")
        return b""

    def _authentication(self, code: int, rest: bytes) -> bytes:
        if self._exchange is not None:
            return self._scram_step(self._exchange, code, rest)
        if code == 0:
            self._authenticated = True
            return b""
        if code == 3:
            if not self._tls:
                raise _unwilling("asks for the password in the clear, which goes out over TLS alone")
            return client.password(self._password("a password in the clear"))
        if code == 5 and len(rest) == 4:
            return client.md5_password(self._startup["user"], self._password("an MD5 password"), rest)
        if code == 10:
            return self._scram_begin(client.parse_mechanisms(rest))
        raise _unwilling(f"asks for authentication method {code}, which the proxy does not know")

    def _password(self, what: str) -> str:
        if isinstance(self._credential, str):
            return self._credential
        if self._credential is None:
            raise _no_password()
        raise _unwilling(
            f"asks for {what}, and the proxy has only the client's SCRAM keys",
            hint="Set password_encryption = 'scram-sha-256' there and give the user its password again, or list the "
            "user with its password in [[users]].",
        )

    def _scram_begin(self, mechanisms: list[str]) -> bytes:
        if self._credential is None:
            raise _no_password()
        exchange = scram.ScramClient(
            self._credential,
            self._nonce,
            channel_binding=self._binding,
            server_has_plus=scram.MECHANISM_PLUS in mechanisms,
            tls=self._tls,
        )
        if exchange.mechanism not in mechanisms:
            raise _unwilling("has none of the SASL mechanisms that the proxy knows")
        self._exchange, self._expected = exchange, 11
        return client.sasl_initial(exchange.mechanism, exchange.first())

    def _scram_step(self, exchange: scram.ScramClient, code: int, rest: bytes) -> bytes:
        if code != self._expected:
            raise _broken("SCRAM was left before its end")
        if code == 11:
            self._expected = 12
            return client.sasl_response(exchange.final(rest))
        if code == 12:
            exchange.finish(rest)
            self._expected = 0
        else:
            self._authenticated = True
        return b""


def _broken(detail: str) -> ProtocolViolation:
    return ProtocolViolation("the server broke the protocol", detail=detail)


def _unwilling(what: str, hint: str | None = None) -> HeliosError:
    return HeliosError(f"cannot log in at the node: it {what}", sqlstate="28000", hint=hint)


def _no_password() -> HeliosError:
    return HeliosError(
        "cannot log in at the node: it asks for a password, and the proxy has none for this user",
        sqlstate="28000",
        hint="List the user in [[users]] of proxy.toml, or set auth_user and auth_password_file.",
    )
