"""An etcd cluster, through its HTTP gateway: one request at a time, to one member after the other.

The client is etcd3gw, which keeps no connection of gRPC; it is loaded only where etcd has the authority. An object of
:class:`Etcd` belongs to one thread.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from helios_cli.engine.config.settings import Settings
from helios_cli.engine.consensus.authority import Keys, Transaction, View, view_of
from helios_cli.engine.errors import ConfigError, HeliosError

PASSWORD_VARIABLE: Final = "HELIOSDB_ETCD_PASSWORD"
API_PATH: Final = "/v3/"
REQUEST_S: Final = 1.0
"""A member that takes longer is passed over."""

PORT: Final = 2379

TOKEN_OVER: Final = ("invalid auth token", "revision in header is old", "revision of auth store is old")
"""What members say to a token that is too old, or was given before users or their rights were changed."""

T = TypeVar("T")


class EtcdFailed(HeliosError):
    """No member of etcd did what it was asked; whether it will have done it is unknown."""

    sqlstate = "08006"


class _TokenOver(Exception):
    """The member wants the password again."""


@dataclass(frozen=True, slots=True)
class Access:
    """Where etcd is, and as whom it is asked."""

    endpoints: tuple[str, ...]
    user: str = ""
    password: str = ""
    ca: str = ""
    cert: str = ""
    key: str = ""

    @classmethod
    def of(cls, settings: Settings, environment: Mapping[str, str] = os.environ) -> Access:
        """As the settings have it.

        Raises:
            ConfigError: the file with the password cannot be read.
        """
        password = environment.get(PASSWORD_VARIABLE, "")
        if settings.etcd_password_file and not password:
            try:
                password = Path(settings.etcd_password_file).read_text().strip()
            except OSError as error:
                raise ConfigError(
                    f"cannot read etcd_password_file {settings.etcd_password_file}: {error.strerror}"
                ) from error
        return cls(
            settings.etcd_endpoints, settings.etcd_user, password, settings.etcd_ca, settings.etcd_cert,
            settings.etcd_key,
        )  # fmt: skip


class Etcd:
    """The keys of one cluster. Every method may raise EtcdFailed."""

    def __init__(self, access: Access, keys: Keys, request_s: float = REQUEST_S) -> None:
        """Nothing is asked yet.

        Raises:
            ConfigError: the client library is not installed.
        """
        try:
            import etcd3gw
            import requests
        except ImportError as error:
            raise ConfigError(
                "authority = etcd needs the package etcd3gw", hint='Install it: pip install "heliosdb-nano[etcd]".'
            ) from error
        self._access = access
        self._keys = keys
        self._refused = (requests.exceptions.RequestException, etcd3gw.exceptions.Etcd3Exception, ValueError, KeyError)
        self._clients = [_client(access, endpoint, request_s) for endpoint in access.endpoints]
        self._tokens = [""] * len(self._clients)
        self._at = 0

    @property
    def endpoint(self) -> str:
        """The member that answered last, or is asked next."""
        return self._access.endpoints[self._at]

    def read(self) -> View:
        """What the keys say now, all of them at one moment."""
        names = (self._keys.leader, self._keys.term, self._keys.sync)
        told = self._ask("kv/txn", {"success": [{"request_range": {"key": _encoded(name)}} for name in names]})
        found: dict[str, tuple[str, int]] = {}
        for name, part in zip(names, told["responses"], strict=True):
            for one in part["response_range"].get("kvs", ()):
                found[name] = (base64.b64decode(one["value"]).decode(), int(one["mod_revision"]))
        try:
            return view_of(self._keys, found)
        except ValueError as error:
            raise EtcdFailed(
                f"the keys of this cluster in etcd cannot be read: {error}",
                hint=f"Another program writes below {self._keys.prefix}/{self._keys.cluster_id}.",
            ) from error

    def grant(self, ttl_s: int) -> tuple[str, int]:
        """A new lease: its name, and for how many seconds it is kept at least."""
        told = self._ask("lease/grant", {"TTL": ttl_s, "ID": 0})
        return str(told["ID"]), min(ttl_s, int(told["TTL"]))

    def renew(self, lease: str) -> int:
        """Keep a lease for longer: for how many seconds, 0 when it is over."""
        return max(0, int(self._ask("lease/keepalive", {"ID": lease})["result"].get("TTL", 0)))

    def revoke(self, lease: str) -> None:
        """End a lease, and with it what is kept by it."""
        self._ask("lease/revoke", {"ID": lease})

    def commit(self, transaction: Transaction, lease: str = "") -> bool:
        """Whether all of it happened; False: nothing did, for a key has changed. Asked once, of one member."""
        compares = [
            {"key": _encoded(key), "target": "MOD", "result": "EQUAL", "mod_revision": str(revision)}
            for key, revision in transaction.unchanged
        ]
        done: list[dict[str, Any]] = []
        for put in transaction.puts:
            content = {"key": _encoded(put.key), "value": _encoded(put.value)}
            done.append({"request_put": content | ({"lease": lease} if put.leased else {})})
        if transaction.forget_before:
            ends = {"key": _encoded(transaction.forget_from), "range_end": _encoded(transaction.forget_before)}
            done.append({"request_delete_range": ends})
        told = self._ask("kv/txn", {"compare": compares, "success": done, "failure": []}, once=True)
        return bool(told.get("succeeded", False))

    # Members ---------------------------------------------------------------------------------------------------------

    def _ask(self, path: str, content: dict[str, Any], *, once: bool = False) -> Any:
        """What the first member says that answers; ``once``: what may have been done is not asked for again."""
        last: Exception | None = None
        for _ in self._clients:
            try:
                return self._authenticated(lambda: self._post(path, content))
            except self._refused as error:
                last = error
                self._at = (self._at + 1) % len(self._clients)
                if once and not _never_came(error):
                    break
        assert last is not None
        what = "says" if '"message":"' in (getattr(last, "detail_text", None) or "") else "does not answer"
        raise EtcdFailed(f"etcd {what}: {_reason(last)}", hint=_hint(last)) from last

    def _authenticated(self, work: Callable[[], T]) -> T:
        if not self._access.user:
            return work()
        if not self._tokens[self._at]:
            self._log_in()
        try:
            return work()
        except _TokenOver:
            self._log_in()
            return work()

    def _log_in(self) -> None:
        client = self._clients[self._at]
        client.session.headers.pop("Authorization", None)
        told = self._post("auth/authenticate", {"name": self._access.user, "password": self._access.password})
        self._tokens[self._at] = client.session.headers["Authorization"] = told["token"]

    def _post(self, path: str, content: dict[str, Any]) -> Any:
        client = self._clients[self._at]
        try:
            return client.post(client.get_url(path), json=content)
        except self._refused as error:
            told = getattr(error, "detail_text", None) or ""
            if self._tokens[self._at] and any(text in told for text in TOKEN_OVER):
                self._tokens[self._at] = ""
                raise _TokenOver from error
            raise


def _client(access: Access, endpoint: str, request_s: float) -> Any:
    from etcd3gw import Etcd3Client
    from requests import Session

    protocol, _, rest = endpoint.rpartition("://")
    host, _, port = rest.rpartition(":")
    session = Session()
    # Proxies and passwords of the environment are not meant for this.
    session.trust_env = False
    if access.ca:
        session.verify = access.ca
    if access.cert:
        session.cert = (access.cert, access.key)
    secured = bool(access.ca or access.cert)
    return Etcd3Client(
        host.strip("[]"), int(port or PORT), protocol or ("https" if secured else "http"), timeout=request_s,
        api_path=API_PATH, session=session,
    )  # fmt: skip


def _never_came(error: Exception) -> bool:
    """Whether the member cannot have heard what it was asked."""
    return "Connection refused" in str(error)


def _reason(error: Exception) -> str:
    """What went wrong, in one line: what etcd itself says, if it does."""
    detail = getattr(error, "detail_text", None)
    told = detail or str(error) or type(error).__name__
    if "ConnectTimeout" in told or "Read timed out" in told or "timed out" in told:
        return "it takes too long"
    if "RemoteDisconnected" in told or "Connection reset" in told:
        return "it ends the connection"
    if "Connection refused" in told:
        return "nobody listens there"
    if "certificate verify failed: " in told:
        why = told.partition("certificate verify failed: ")[2].partition(" (_ssl")[0]
        return f"its certificate is not trusted: {why}"
    if '"message":"' in told:
        told = told.partition('"message":"')[2].partition('"')[0]
    return " ".join(told.split())[:300]


def _hint(error: Exception) -> str:
    told = f"{getattr(error, 'detail_text', None)} {error}"
    if "authentication failed" in told or "user name is empty" in told or "permission denied" in told:
        return "Look at etcd_user and its password, and at what the user may write below etcd_prefix."
    if "CERTIFICATE" in told.upper() or "SSL" in told:
        return "Look at etcd_ca, etcd_cert and etcd_key, and at https:// in etcd_endpoints."
    return "Look whether the members in etcd_endpoints run and are healthy."


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
