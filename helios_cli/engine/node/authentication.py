"""How one client proves who it is: which rule is about it, and the dialogue that the rule's method asks for.

It is told of messages and tells what to send; sockets and clocks are the listener's.
"""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING, Any

from helios_cli.engine.config.hba import Caller, HbaRule, first_match, is_loopback
from helios_cli.engine.errors import HeliosError, ProtocolViolation
from helios_cli.engine.sql.databases import reached
from helios_cli.engine.wire import backend, scram, startup

if TYPE_CHECKING:
    from helios_cli.engine.node.engine import Engine


class Refused(HeliosError):
    """The client may not connect; no further proof would change that."""

    severity = "FATAL"


class Authentication:
    """The proof of one connection, from its startup packet to the moment when it is believed or refused."""

    def __init__(
        self, engine: Engine, *, user: str, database: str, address: str, tls: ssl.SSLObject | None,
        binding: bytes | None = None,
    ) -> None:  # fmt: skip
        """``tls`` is the connection's, None in the clear; ``binding`` the hash of the certificate that it was shown."""
        self.engine = engine
        self.user = user
        self.address = address
        self.tls = tls
        self.binding = binding if tls is not None else None
        found = reached(engine.catalog.databases(), database, user)
        self.database = found.name if found is not None else database
        self.proved = False
        """Somebody has decided that it is who it says, so that its name has to be a role's."""
        self._scram: scram.ScramServer | None = None
        self._scram_started = False

    # -- which method ---------------------------------------------------------------------------------------------

    def begin(self, *, require_password: bool = False) -> bytes | None:
        """What to send first; None: the client is believed.

        Raises:
            HeliosError: 28000 no rule lets it in, its certificate is not what the rule asks for; 53300 too many logins
                have failed.
        """
        self._check_limits()
        rule = self._rule()
        if rule is not None:
            self.proved = True
            self._check_certificate(rule)
            if rule.method in ("trust", "cert"):
                return None
        elif not require_password and not self.engine.roles.scram_required():
            return None
        self.proved = True
        offered = [scram.MECHANISM]
        if self.binding is not None:
            offered.insert(0, scram.MECHANISM_PLUS)
        return backend.auth_sasl(offered)

    def _check_limits(self) -> None:
        settings = self.engine.settings
        if is_loopback(self.address):
            return
        left = self.engine.login_limits.refused_for(
            self.user, self.address, limit=settings.auth_failures_max, lockout_s=settings.auth_lockout / 1000,
            now_s=self.engine.loop.time(),
        )  # fmt: skip
        if left > 0:
            self.engine.audit.record(
                "login_refused", f"login of {self.user!r} from {self.address} refused: too many have failed",
                user=self.user, address=self.address,
            )  # fmt: skip
            raise Refused(
                "too many failed logins", sqlstate="53300", hint=f"Try again in {int(left) + 1} s, or see auth_lockout."
            )

    def _rule(self) -> HbaRule | None:
        """The rule about this connection; None where there are no rules.

        Raises:
            Refused: 28000, no rule, or one that rejects.
        """
        rules = self.engine.hba_rules
        if not rules:
            return None
        authority = self.engine.catalog.privileges.authority()
        facts = authority.by_name.get(self.user)
        oids = authority.memberships_of(facts.oid) if facts is not None else frozenset[int]()
        names = frozenset(authority.name(oid) for oid in oids)
        rule = first_match(rules, Caller(self.address, self.tls is not None, self.user, self.database, names))
        if rule is not None and rule.method != "reject":
            return rule
        encryption = "SSL encryption" if self.tls is not None else "no encryption"
        where = f'host "{self.address}", user "{self.user}", database "{self.database}", {encryption}'
        what = f"no pg_hba.conf entry for {where}" if rule is None else f"pg_hba.conf rejects connection for {where}"
        self.engine.audit.record("hba_refused", what, user=self.user, address=self.address)
        raise Refused(what, sqlstate="28000", hint="The rules are the [[hba]] tables of heliosdb.conf.")

    def _check_certificate(self, rule: HbaRule) -> None:
        wanted = "verify-full" if rule.method == "cert" else rule.clientcert
        if wanted == "no":
            return
        certificate: Any = self.tls.getpeercert() if self.tls is not None else None
        if not certificate:
            raise Refused("connection requires a valid client certificate", sqlstate="28000")
        name = common_name(certificate.get("subject", ()))
        if wanted == "verify-full" and name != self.user:
            self.failed(f'the certificate is for "{name}"; the role has to bear the name in its subject (CN)')
            if rule.method == "cert":
                raise Refused(f'certificate authentication failed for user "{self.user}"', sqlstate="28000")
            raise Refused(f'password authentication failed for user "{self.user}"', sqlstate="28P01")

    # -- the dialogue ---------------------------------------------------------------------------------------------

    def message(self, data: bytes, end: int) -> tuple[bytes, bool]:
        """A password message that ends at ``end``: what to answer, and whether the client is believed now.

        Raises:
            ProtocolViolation: malformed. AuthenticationFailed: the proof is wrong.
        """
        if self._scram is None:
            return self._initial(data, end), False
        if not self._scram_started:
            self._scram_started = True
            return backend.auth_sasl_continue(self._scram.first(data[5:end])), False
        try:
            answer = backend.auth_sasl_final(self._scram.final(data[5:end]))
        except scram.AuthenticationFailed:
            self.failed()
            raise
        self.engine.login_limits.succeeded(self.user, self.address)
        return answer, True

    def _initial(self, data: bytes, end: int) -> bytes:
        mechanism, first = startup.parse_sasl_initial(data, 5, end)
        known = (scram.MECHANISM,) if self.binding is None else (scram.MECHANISM, scram.MECHANISM_PLUS)
        if mechanism not in known:
            raise ProtocolViolation("client selected an invalid SASL authentication mechanism")
        verifier, doomed = self.engine.roles.verifier(self.user)
        self._scram = scram.ScramServer(
            verifier, os.urandom(scram.NONCE_BYTES), doomed=doomed, user=self.user, channel_binding=self.binding,
            mechanism=mechanism,
        )  # fmt: skip
        if first is None:
            return backend.auth_sasl_continue(b"")
        self._scram_started = True
        return backend.auth_sasl_continue(self._scram.first(first))

    def failed(self, why: str = "") -> None:
        """Remember a login that has failed, and how long its client is to wait for the answer.

        ``why`` is for the log and the events; the client is not told.
        """
        engine = self.engine
        text = f"login of {self.user!r} from {self.address or 'a local socket'} failed"
        engine.audit.record(
            "login_failed", f"{text}: {why}" if why else text,
            user=self.user, address=self.address,
        )  # fmt: skip
        self.delay_s = engine.login_limits.failed(
            self.user, self.address, loopback=is_loopback(self.address), now_s=engine.loop.time()
        )

    delay_s = 0.0
    """Time to let pass before the client hears that it has failed."""


def common_name(subject: Any) -> str | None:
    """The CN of a certificate's subject as the ssl module gives it; None when there is none."""
    for part in subject:
        for name, value in part:
            if name == "commonName":
                return str(value)
    return None
