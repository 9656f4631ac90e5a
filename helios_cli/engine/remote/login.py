"""Logging in to a host: who it must be, who we are, and what it means when it comes to nothing."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import logging
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.errors import ConfigError
from helios_cli.engine.remote.errors import HostError, HostKeyRefused, HostUnreachable, LoginRefused

if TYPE_CHECKING:
    import paramiko

CONNECT_S: Final = 10.0
ALIVE_S: Final = 15
"""How often a connection on which nothing goes is tried."""
KNOWN_HOSTS: Final = ("~/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts")
TRUST_HINT: Final = "Compare it with that of the machine (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub there); then"


@dataclass(frozen=True, slots=True)
class Login:
    """How a host is reached."""

    name: str
    """What the user calls it."""
    address: str
    port: int = 22
    user: str = ""
    """Empty: the one who runs this."""
    identity_file: str = ""
    """Private key; empty: those of the SSH agent, and ``~/.ssh/id_*``."""
    host_key: str = ""
    """``ssh-ed25519 AAAA...``: the only key that is taken; empty: those of known_hosts."""
    known_hosts: str = ""
    """One more file of known hosts, before the user's and the system's."""
    python: str = "python3"
    connect_s: float = CONNECT_S

    def __str__(self) -> str:
        who = f"{self.user}@{self.address}" if self.user else self.address
        return who if self.port == 22 else f"{who}:{self.port}"

    @property
    def known_as(self) -> str:
        """Its name in files of known hosts."""
        return self.address if self.port == 22 else f"[{self.address}]:{self.port}"


def connect(login: Login) -> paramiko.SSHClient:
    """A connection that is logged in.

    Raises:
        HostKeyRefused: its key is not known, or another one. LoginRefused: it takes none of our keys.
        HostUnreachable: nobody answers. ConfigError: a key or a file of the user's cannot be used.
    """
    import paramiko

    # What it would log is told by the errors below; a library's log has no place on a user's screen.
    logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)
    client = paramiko.SSHClient()
    _know(client, login)
    client.set_missing_host_key_policy(_Strict(login))
    key = _identity(login)
    try:
        client.connect(
            login.address, login.port, login.user or None, pkey=key, timeout=login.connect_s,
            banner_timeout=login.connect_s, auth_timeout=login.connect_s, channel_timeout=login.connect_s,
            look_for_keys=not login.identity_file, allow_agent=True,
        )  # fmt: skip
    except BaseException as error:
        client.close()
        raise _explained(login, error) from None
    transport = client.get_transport()
    assert transport is not None
    transport.set_keepalive(ALIVE_S)
    return client


def shown_key(login: Login) -> str:
    """The key that a host shows to anybody who asks, as ``ssh-ed25519 AAAA...``. Raises HostUnreachable."""
    try:
        connect(Login(login.name, login.address, login.port, host_key=_NOBODYS, connect_s=login.connect_s)).close()
    except HostKeyRefused as refused:
        return refused.shown
    raise HostError(f"{login.name} shows a key that nobody has")


_NOBODYS: Final = "ssh-ed25519 " + base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(32)).decode()
"""A key that no machine shows."""


def fingerprint(key: str) -> str:
    """Of a key as ``ssh-ed25519 AAAA...``, in the form that ssh prints: ``SHA256:...``. ValueError: it is none."""
    try:
        blob = base64.b64decode(key.split()[1], validate=True)
    except (IndexError, binascii.Error):
        raise ValueError(f"{key!r} is no public key like 'ssh-ed25519 AAAA...'") from None
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _know(client: paramiko.SSHClient, login: Login) -> None:
    """Put what is known of the host's keys into a client: one that is pinned counts alone."""
    import paramiko

    if login.host_key:
        kind, blob = login.host_key.split()[:2]
        client.get_host_keys().add(login.known_as, kind, paramiko.PKey.from_type_string(kind, base64.b64decode(blob)))
        return
    for file in (login.known_hosts, *KNOWN_HOSTS):
        path = Path(file).expanduser()
        if file and path.exists():
            try:
                client.load_system_host_keys(str(path))
            except (OSError, paramiko.SSHException) as error:
                raise ConfigError(f"cannot read {path}: {error}") from None


def _identity(login: Login) -> Any:
    """The private key of the user's file; None when there is none, or the agent has to have it unlocked."""
    import paramiko

    if not login.identity_file:
        return None
    path = Path(login.identity_file).expanduser()
    try:
        return paramiko.PKey.from_path(path)
    except paramiko.PasswordRequiredException:
        if os.environ.get("SSH_AUTH_SOCK"):
            return None
        hint = f"Unlock it for the session: eval $(ssh-agent); ssh-add {path}"
        raise ConfigError(f"{path} is locked by a passphrase, and no SSH agent runs", hint=hint) from None
    except OSError as error:
        raise ConfigError(f"cannot read identity_file {path}: {error.strerror}") from None
    except (paramiko.SSHException, ValueError, TypeError) as error:
        # Newer keys than the library knows, or no key at all; TypeError is what cryptography says to a locked PEM.
        raise ConfigError(f"{path} is no private key that can be used: {error}") from None


class _Strict:
    """What is done about a key that is not known: it is refused."""

    def __init__(self, login: Login) -> None:
        self._login = login

    def missing_host_key(self, _client: Any, _hostname: str, key: Any) -> None:
        """Refuse it (paramiko calls this)."""
        raise _unknown(self._login, key)


def _unknown(login: Login, key: Any) -> HostKeyRefused:
    shown = f"{key.get_name()} {key.get_base64()}"
    hint = f"{TRUST_HINT} heliosdb-nano cluster hosts trust {login.name}"
    return HostKeyRefused(
        f"the key of {login.name} ({login}) is not known: {key.get_name()} {fingerprint(shown)}",
        shown=shown, changed=False, hint=hint,
    )  # fmt: skip


def _changed(login: Login, error: Any) -> HostKeyRefused:
    shown = f"{error.key.get_name()} {error.key.get_base64()}"
    known = fingerprint(f"{error.expected_key.get_name()} {error.expected_key.get_base64()}")
    place = "host_key in cluster.toml" if login.host_key else "known_hosts"
    return HostKeyRefused(
        f"{login.name} ({login}) shows another key than {place} has: {fingerprint(shown)}, not {known}",
        shown=shown, changed=True,
        hint="Somebody else may be answering there. If the machine was made anew: "
        f"heliosdb-nano cluster hosts trust {login.name} --replace",
    )  # fmt: skip


def _explained(login: Login, error: BaseException) -> BaseException:
    """The error for a login that came to nothing."""
    import paramiko

    if isinstance(error, HostError):
        return error
    if isinstance(error, paramiko.BadHostKeyException):
        return _changed(login, error)
    where = f"{login.name} ({login})"
    if isinstance(error, paramiko.AuthenticationException) or "No authentication methods" in str(error):
        tried = login.identity_file or "the keys of the SSH agent and of ~/.ssh"
        who = login.user or "you"
        hint = f"The public key has to be in ~/.ssh/authorized_keys of {who} there: ssh-copy-id; try it with ssh first."
        return LoginRefused(f"{where} does not let {who} in with {tried}", hint=hint)
    if isinstance(error, socket.gaierror):
        return HostUnreachable(f"nobody knows the address of {where}", hint="Write its address in [hosts] right.")
    if isinstance(error, TimeoutError):
        return HostUnreachable(f"{where} does not answer within {login.connect_s:g} s", hint=_HINT)
    if isinstance(error, (OSError, EOFError)):
        reason = "connection refused" if _is_refusal(error) else getattr(error, "strerror", None) or str(error)
        return HostUnreachable(f"{where} cannot be reached: {reason or 'it hung up'}", hint=_HINT)
    if isinstance(error, paramiko.SSHException):
        return HostUnreachable(f"{where} cannot be reached: {error}", hint="Is it an SSH server that answers there?")
    return error


_HINT: Final = "Does sshd run there? Address and port stand in [hosts] of cluster.toml."


def _is_refusal(error: BaseException) -> bool:
    causes = getattr(error, "errors", None)  # paramiko's NoValidConnectionsError has one for each address
    found = list(causes.values()) if isinstance(causes, dict) else [error]
    return all(isinstance(one, ConnectionRefusedError) for one in found)


def close(client: paramiko.SSHClient) -> None:
    """Let go of a connection, whatever has become of it."""
    with contextlib.suppress(Exception):
        client.close()
