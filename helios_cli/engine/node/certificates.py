"""The certificates that a node shows and trusts: when they end, told long enough before."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from helios_cli.engine.config.settings import Settings
from helios_cli.engine.errors import ConfigError
from helios_cli.engine.node.clock import SystemClock
from helios_cli.engine.node.server_tls import CERTIFICATE_FILE
from helios_cli.engine.observe.metrics import Registry, Sample

WARN_US: Final = 30 * 86_400 * 1_000_000
"""So long before its end a certificate is an alarm; one that lives less than four times that, in its last quarter."""

REPLACE: Final = "Replace the file, then SELECT pg_reload_conf() or SIGHUP."

LOOK_S: Final = 3600.0
"""How often a node looks; it looks at once when the next certificate ends."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """The first of a file's certificates to end. Times are microseconds since 1970."""

    setting: str
    file: str
    begins_us: int
    ends_us: int
    sha256: str = ""
    """Its fingerprint."""

    def warns_at_us(self) -> int:
        """From when on its end is near."""
        return self.ends_us - min(WARN_US, (self.ends_us - self.begins_us) // 4)


class Certificates:
    """Those that are in use: what has come into the files since they were read does not count yet."""

    def __init__(
        self,
        found: Sequence[Certificate],
        event: Callable[..., None],
        wall_us: Callable[[], int] = SystemClock.wall_us,
    ) -> None:
        self._found = found
        self._event = event
        self._wall_us = wall_us
        self._told: dict[str, str] = {}
        self._new = asyncio.Event()

    def register(self, registry: Registry) -> None:
        """The metric."""
        text = "When the certificate that a setting names ends, in seconds since 1970."
        registry.observe("gauge", "heliosdb_certificate_expires_seconds", text, self._samples, ("setting",))

    def replaced_by(self, found: Sequence[Certificate]) -> None:
        """The files were read again: tell of those that are others than before."""
        for one in found:
            if one not in self._found:
                self._told.pop(one.setting, None)
                text = f"the certificate of {one.setting} ({one.file}) is in use: good until {_day(one)}"
                self._event("certificate_replaced", text, setting=one.setting, sha256=one.sha256)
        self._found = found
        self._new.set()

    def _samples(self) -> list[Sample]:
        return [((one.setting,), one.ends_us / 1e6) for one in self._found]

    def alarms(self) -> list[str]:
        """Those that have ended or soon will, and what to do."""
        now = self._wall_us()
        return [_text(one, now) for one in self._found if now >= one.warns_at_us()]

    async def watch(self) -> None:
        """Tell once of each that is near its end, and once of each that has ended."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.look()):
                    await self._new.wait()
            self._new.clear()

    def look(self) -> float:
        """Tell what is to be told now; seconds until it is worth looking again."""
        now = self._wall_us()
        for one in self._found:
            if now >= one.warns_at_us():
                self._tell(one, now)
        changes = [when for one in self._found for when in (one.warns_at_us(), one.ends_us) if when > now]
        return min([LOOK_S, *((when - now) / 1e6 for when in changes)])

    def _tell(self, one: Certificate, now: int) -> None:
        kind, severity = ("certificate_expires", "warning") if now < one.ends_us else ("certificate_expired", "error")
        if self._told.get(one.setting) != kind:
            self._told[one.setting] = kind
            self._event(kind, _text(one, now), severity=severity, setting=one.setting, file=one.file)


def _text(one: Certificate, now: int) -> str:
    day = _day(one)
    what = f"the certificate of {one.setting} ({one.file})"
    if now >= one.ends_us:
        return f"{what} has expired, {day}: whoever checks it refuses this node. {REPLACE}"
    return f"{what} expires {day}. {REPLACE}"


def _day(one: Certificate) -> str:
    return datetime.datetime.fromtimestamp(one.ends_us / 1e6, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def certificates_of(settings: Settings) -> tuple[Certificate, ...]:
    """Of each setting that names a file with certificates. Raises ConfigError when one holds none."""
    files = {name: getattr(settings, name) for name in ("tls_cert", "tls_ca", "tls_client_ca")}
    if not files["tls_cert"] and settings.tls == "self-signed":
        own = Path(settings.data_dir) / CERTIFICATE_FILE
        files["tls_cert"] = str(own) if own.exists() else ""
    return tuple(_first_to_end(setting, file) for setting, file in files.items() if file)


def _first_to_end(setting: str, file: str) -> Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    try:
        held = x509.load_pem_x509_certificates(Path(file).read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the certificate in {setting} {file}: {error}") from error
    first = min(held, key=lambda one: one.not_valid_after_utc)
    begins, ends = (round(when.timestamp() * 1e6) for when in (first.not_valid_before_utc, first.not_valid_after_utc))
    return Certificate(setting, file, begins, ends, first.fingerprint(hashes.SHA256()).hex())
