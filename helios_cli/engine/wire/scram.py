"""SCRAM-SHA-256 (RFC 5802, RFC 7677) for servers and clients, without I/O or randomness of its own."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final

from helios_cli.engine.errors import HeliosError, ProtocolViolation, SqlError
from helios_cli.engine.wire.saslprep import prepare_password

MECHANISM: Final = "SCRAM-SHA-256"
MECHANISM_PLUS: Final = "SCRAM-SHA-256-PLUS"
KEY_BYTES: Final = 32
SALT_BYTES: Final = 16
"""SCRAM_DEFAULT_SALT_LEN."""
NONCE_BYTES: Final = 18
"""SCRAM_RAW_NONCE_LEN: random bytes before base64."""
DEFAULT_ITERATIONS: Final = 4096
MAX_CLIENT_ITERATIONS: Final = 1_000_000
"""What a client is willing to compute for a server it does not know yet (about half a second)."""
MAX_MESSAGE_BYTES: Final = 1024
_MAX_SALT_BYTES: Final = 256

_VERIFIER = re.compile(r"SCRAM-SHA-256\$([1-9][0-9]{0,9}):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)")
_NONCE = re.compile(r"[\x21-\x2b\x2d-\x7e]+")
_CHANNELS: Final = ("tls-server-end-point",)


class AuthenticationFailed(HeliosError):
    """The password (or the proof of knowing it) is wrong, or the user does not exist; which one is not said."""

    sqlstate = "28P01"
    severity = "FATAL"


@dataclass(frozen=True, slots=True)
class Verifier:
    """What a server keeps of a password: enough to check a proof, not enough to make one."""

    iterations: int
    salt: bytes
    stored_key: bytes
    server_key: bytes

    def __str__(self) -> str:
        """PostgreSQL's text in pg_authid.rolpassword."""
        stored, server = _b64(self.stored_key), _b64(self.server_key)
        return f"{MECHANISM}${self.iterations}:{_b64(self.salt)}${stored}:{server}"

    @classmethod
    def parse(cls, text: str) -> Verifier:
        """Read the text form. Raises SqlError 22023 when it is none."""
        match = _VERIFIER.fullmatch(text)
        try:
            if match is None:
                raise ValueError("no match")
            salt, stored, server = (base64.b64decode(part, validate=True) for part in match.groups()[1:])
            if len(stored) != KEY_BYTES or len(server) != KEY_BYTES:
                raise ValueError("key length")
        except ValueError:
            raise SqlError("malformed SCRAM verifier", sqlstate="22023") from None
        return cls(int(match[1]), salt, stored, server)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")


def _salted(password: str | bytes, salt: bytes, iterations: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", prepare_password(password), salt, iterations)


def build_verifier(password: str | bytes, salt: bytes, iterations: int = DEFAULT_ITERATIONS) -> Verifier:
    """Derive the verifier; ``salt`` is 16 random bytes from the caller. Costs a millisecond at 4096 iterations."""
    salted = _salted(password, salt, iterations)
    stored = hashlib.sha256(_hmac(salted, b"Client Key")).digest()
    return Verifier(iterations, salt, stored, _hmac(salted, b"Server Key"))


def fake_verifier(user: str, secret: bytes, iterations: int = DEFAULT_ITERATIONS) -> Verifier:
    """A verifier nobody can satisfy, with a salt that is always the same for a user name.

    ``secret`` is the server's own and constant, so that asking twice does not tell an unknown user from a real one.
    """
    name = user.encode("utf-8", "surrogateescape")
    salt = _hmac(secret, b"salt:" + name)[:SALT_BYTES]
    return Verifier(iterations, salt, bytes(KEY_BYTES), _hmac(secret, b"key:" + name))


def verify_password(verifier: Verifier, password: str | bytes) -> bool:
    """Whether a password sent in the clear fits."""
    salted = _salted(password, verifier.salt, verifier.iterations)
    return hmac.compare_digest(_hmac(salted, b"Server Key"), verifier.server_key)


def _malformed(detail: str) -> ProtocolViolation:
    return ProtocolViolation("malformed SCRAM message", detail=detail)


def _attributes(message: bytes) -> list[tuple[str, str]]:
    """``a=x,b=y`` as pairs. Raises ProtocolViolation unless every part is a letter, ``=`` and a value."""
    if len(message) > MAX_MESSAGE_BYTES:
        raise _malformed("Message length exceeds the limit.")
    if b"\0" in message:
        raise _malformed("Message length does not match input length.")
    try:
        text = message.decode()
    except UnicodeDecodeError:
        raise _malformed("Message is not UTF-8.") from None
    pairs = []
    for part in text.split(","):
        if len(part) < 2 or part[1] != "=" or not (part[0].isascii() and part[0].isalpha()):
            raise _malformed("Attribute expected, but found invalid character.")
        pairs.append((part[0], part[2:]))
    return pairs


def _expect(pairs: list[tuple[str, str]], names: str) -> list[str]:
    """The values of the leading attributes, which must be ``names`` in this order."""
    if "".join(name for name, _ in pairs[: len(names)]) != names:
        if any(name == "m" for name, _ in pairs):
            raise _malformed("SCRAM mandatory extensions are not supported.")
        raise _malformed(f'Expected attributes "{names}".')
    return [value for _, value in pairs[: len(names)]]


def _decode(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise _malformed(f"Malformed {what}.") from None


class ScramServer:
    """One exchange on the server's side: :meth:`first`, then :meth:`final`, each once and in this order.

    ``doomed`` runs the exchange to its end with a verifier made up by :func:`fake_verifier` and then fails, so that
    the answers and their timing do not tell whether the user exists.
    """

    def __init__(
        self,
        verifier: Verifier,
        nonce: bytes,
        *,
        doomed: bool = False,
        user: str = "",
        channel_binding: bytes | None = None,
        mechanism: str = MECHANISM,
    ) -> None:
        """``nonce`` is 18 random bytes.

        ``channel_binding`` is the hash of our certificate when the connection is TLS and SCRAM-SHA-256-PLUS was
        offered; None otherwise.
        """
        self._verifier = verifier
        self._nonce = nonce
        self._doomed = doomed
        self._user = user
        self._binding = channel_binding
        self._mechanism = mechanism
        self._state = "first"
        self._combined = ""
        self._header = b""
        self._auth_message = b""
        self.client_key: bytes | None = None
        """After success: the client's key, with which its login can be repeated on another server."""

    def first(self, message: bytes) -> bytes:
        """Take client-first-message, give server-first-message. Raises ProtocolViolation."""
        self._enter("first")
        header, bare = self._split_header(message)
        _, client_nonce = _expect(_attributes(bare), "nr")
        if not _NONCE.fullmatch(client_nonce):
            raise _malformed("Non-printable characters in SCRAM nonce.")
        self._header = header
        self._combined = client_nonce + _b64(self._nonce)
        verifier = self._verifier
        answer = f"r={self._combined},s={_b64(verifier.salt)},i={verifier.iterations}".encode()
        self._auth_message = bare + b"," + answer
        self._state = "final"
        return answer

    def _enter(self, state: str) -> None:
        """Each step once: a repeated or early message ends the exchange for good."""
        if self._state != state:
            self._state = "failed"
            raise ProtocolViolation("unexpected SCRAM message")
        self._state = "failed"

    def _split_header(self, message: bytes) -> tuple[bytes, bytes]:
        """The GS2 header (``n,,`` with its commas) and what follows it."""
        if len(message) > MAX_MESSAGE_BYTES:
            raise _malformed("Message length exceeds the limit.")
        parts = message.split(b",", 2)
        if len(parts) < 3:
            raise _malformed("Unexpected end of message.")
        flag, authzid, bare = parts
        self._check_flag(flag)
        if authzid:
            raise _authorization_unsupported(authzid)
        if bare.startswith(b"m="):
            raise ProtocolViolation("client requires an unsupported SCRAM extension")
        return flag + b",,", bare

    def _check_flag(self, flag: bytes) -> None:
        """n: the client cannot bind; y: it could and thinks we cannot; p: it does."""
        plus = self._mechanism == MECHANISM_PLUS
        if flag in (b"n", b"y"):
            if plus:
                raise ProtocolViolation(
                    "malformed SCRAM message",
                    detail="The client selected SCRAM-SHA-256-PLUS, but the SCRAM message does not include channel "
                    "binding data.",
                )
            if flag == b"y" and self._binding is not None:
                raise SqlError(
                    "SCRAM channel binding negotiation error",
                    sqlstate="28000",
                    detail="The client supports SCRAM channel binding but thinks the server does not.  However, this "
                    "server does support channel binding.",
                )
        elif flag.startswith(b"p="):
            if not plus or self._binding is None:
                raise _malformed(
                    "The client selected SCRAM-SHA-256 without channel binding, but the SCRAM message includes "
                    "channel binding data."
                )
            channel = flag[2:].decode("ascii", "replace")
            if channel not in _CHANNELS:
                raise ProtocolViolation(f'unsupported SCRAM channel-binding type "{channel}"')
        else:
            raise _malformed("Unexpected channel-binding flag.")

    def final(self, message: bytes) -> bytes:
        """Take client-final-message, give server-final-message.

        Raises:
            ProtocolViolation: malformed or out of order. AuthenticationFailed: the proof is wrong.
        """
        self._enter("final")
        without_proof, mark, proof_text = message.rpartition(b",p=")
        pairs = _attributes(message)
        if not mark or pairs[-1][0] != "p":
            raise _malformed('Expected attribute "p".')
        binding, nonce = _expect(pairs, "cr")
        expected = self._header + (self._binding or b"" if self._header.startswith(b"p=") else b"")
        if not hmac.compare_digest(_decode(binding, "channel binding"), expected):
            raise ProtocolViolation("SCRAM channel binding check failed" if self._binding else
                                    "unexpected SCRAM channel-binding attribute in client-final-message")  # fmt: skip
        if not hmac.compare_digest(nonce.encode(), self._combined.encode()):
            raise ProtocolViolation("invalid SCRAM response", detail="Nonce does not match.")
        proof = _decode(proof_text.decode("utf-8", "replace"), "proof in client-final-message")
        if len(proof) != KEY_BYTES:
            raise _malformed("Malformed proof in client-final-message.")
        return self._check_proof(proof, self._auth_message + b"," + without_proof)

    def _check_proof(self, proof: bytes, auth_message: bytes) -> bytes:
        signature = _hmac(self._verifier.stored_key, auth_message)
        client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
        fits = hmac.compare_digest(hashlib.sha256(client_key).digest(), self._verifier.stored_key)
        if self._doomed or not fits:
            raise AuthenticationFailed(f'password authentication failed for user "{self._user}"')
        self.client_key = client_key
        self._state = "done"
        return b"v=" + base64.b64encode(_hmac(self._verifier.server_key, auth_message))


def _authorization_unsupported(authzid: bytes) -> HeliosError:
    if not authzid.startswith(b"a="):
        return _malformed("Unexpected attribute while expecting authorization identity.")
    return HeliosError("client uses authorization identity, but it is not supported", sqlstate="0A000")


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """What a proxy knows of a client that it let in: enough to log in elsewhere with the same verifier."""

    client_key: bytes
    server_key: bytes


class ScramClient:
    """One exchange on the client's side: :meth:`first`, :meth:`final`, :meth:`finish`, each once, in this order."""

    def __init__(
        self,
        credential: str | bytes | ClientKeys,
        nonce: bytes,
        *,
        channel_binding: bytes | None = None,
        server_has_plus: bool = False,
        tls: bool = False,
        max_iterations: int = MAX_CLIENT_ITERATIONS,
    ) -> None:
        """``nonce`` is 18 random bytes.

        With ``channel_binding`` (the hash of the server's certificate) and ``server_has_plus`` the exchange is bound
        to the TLS connection.
        """
        self._credential = credential
        self._nonce = _b64(nonce)
        self._max_iterations = max_iterations
        self._bound = channel_binding if server_has_plus else None
        self.mechanism = MECHANISM if self._bound is None else MECHANISM_PLUS
        if self._bound is not None:
            self._header = b"p=tls-server-end-point,,"
        else:
            self._header = b"y,," if tls and channel_binding is not None else b"n,,"
        self._state = "first"
        self._signature = b""

    def first(self) -> bytes:
        """client-first-message. PostgreSQL ignores the user name in it, so it is empty."""
        self._enter("first", "final")
        return self._header + b"n=,r=" + self._nonce.encode()

    def _enter(self, state: str, following: str) -> None:
        if self._state != state:
            self._state = "failed"
            raise ProtocolViolation("unexpected SCRAM message")
        self._state = following

    def final(self, message: bytes) -> bytes:
        """Take server-first-message, give client-final-message.

        Raises:
            ProtocolViolation: malformed, a foreign nonce, or more iterations than we are willing to compute.
        """
        self._enter("final", "failed")
        nonce, salt_text, count = _expect(_attributes(message), "rsi")
        if not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce):
            raise ProtocolViolation("invalid SCRAM response (nonce mismatch)")
        salt = _decode(salt_text, "salt")
        if not salt or len(salt) > _MAX_SALT_BYTES:
            raise _malformed("Malformed salt.")
        iterations = self._iterations(count)
        bare = b"n=,r=" + self._nonce.encode()
        binding = base64.b64encode(self._header + (self._bound or b""))
        without_proof = b"c=" + binding + b",r=" + nonce.encode()
        auth_message = bare + b"," + message + b"," + without_proof
        keys = self._keys(salt, iterations)
        signature = _hmac(hashlib.sha256(keys.client_key).digest(), auth_message)
        proof = bytes(a ^ b for a, b in zip(keys.client_key, signature, strict=True))
        self._signature = _hmac(keys.server_key, auth_message)
        self._state = "finish"
        return without_proof + b",p=" + base64.b64encode(proof)

    def _iterations(self, text: str) -> int:
        if not re.fullmatch(r"[1-9][0-9]{0,9}", text):
            raise _malformed("Invalid iteration count.")
        if int(text) > self._max_iterations:
            raise ProtocolViolation(
                f"the server asks for {text} SCRAM iterations, more than {self._max_iterations}",
                hint="Store the password again with fewer iterations.",
            )
        return int(text)

    def _keys(self, salt: bytes, iterations: int) -> ClientKeys:
        if isinstance(self._credential, ClientKeys):
            return self._credential
        salted = _salted(self._credential, salt, iterations)
        return ClientKeys(_hmac(salted, b"Client Key"), _hmac(salted, b"Server Key"))

    def finish(self, message: bytes) -> None:
        """Take server-final-message and check that the server knows the verifier.

        Raises:
            ProtocolViolation: malformed. AuthenticationFailed: the server reports an error or cannot prove itself.
        """
        self._enter("finish", "failed")
        name, value = _attributes(message)[0]
        if name == "e":
            raise AuthenticationFailed(f"error received from server in SCRAM exchange: {value}")
        if name != "v":
            raise _malformed('Expected attribute "v".')
        if not hmac.compare_digest(_decode(value, "server signature"), self._signature):
            raise AuthenticationFailed("incorrect server signature")
        self._state = "done"
