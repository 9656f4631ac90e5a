"""Certificates near their end are told of in time; a link that fails again and again is a line now and then."""

from __future__ import annotations

import datetime
import logging
from pathlib import Path

import pytest
import trustme

from helios_cli.engine.config.settings import Settings
from helios_cli.engine.errors import ConfigError
from helios_cli.engine.node.certificates import LOOK_S, Certificates, certificates_of
from helios_cli.engine.node.peer_door import REPEAT_S, REPEATS_MAX, Repeats
from helios_cli.engine.observe.metrics import Registry

BEGIN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)


def at(when: datetime.datetime) -> int:
    return round(when.timestamp() * 1e6)


def certificate(directory: Path, days: int) -> Path:
    """A file with a certificate that is good for so many days."""
    made = trustme.CA().issue_cert("127.0.0.1", not_before=BEGIN, not_after=BEGIN + days * DAY)
    file = directory / f"{days}.crt"
    made.cert_chain_pems[0].write_to_path(str(file))
    return file


@pytest.mark.parametrize(("days", "warned_before"), [(365, 30), (40, 10)])
def test_an_alarm_before_the_end_and_behind_it(tmp_path: Path, days: int, warned_before: int) -> None:
    now, end = BEGIN, BEGIN + days * DAY
    told: list[tuple[str, str]] = []
    file = certificate(tmp_path, days)
    watch = Certificates(
        certificates_of(Settings(tls_cert=str(file), tls_key="k")),
        lambda kind, text, severity, **fields: told.append((kind, severity)),
        lambda: at(now),
    )
    assert watch.look() == LOOK_S
    assert not watch.alarms() and not told
    now = end - warned_before * DAY - DAY / 1000
    assert watch.look() == pytest.approx(86.4, abs=2)
    assert told == []
    now = end - warned_before * DAY
    watch.look()
    (alarm,) = watch.alarms()
    assert alarm.startswith(f"the certificate of tls_cert ({file}) expires {end:%Y-%m-%d}")
    now = end
    watch.look()
    watch.look()
    assert "has expired" in watch.alarms()[0]
    assert told == [("certificate_expires", "warning"), ("certificate_expired", "error")]
    registry = Registry()
    watch.register(registry)
    assert (
        f'heliosdb_certificate_expires_seconds{{setting="tls_cert"}} {end.timestamp():.0f}'
        in registry.render().replace(".0\n", "\n")
    )


def test_the_first_of_a_file_to_end_counts_and_a_file_must_hold_one(tmp_path: Path) -> None:
    chain = tmp_path / "chain.crt"
    chain.write_bytes(certificate(tmp_path, 300).read_bytes() + certificate(tmp_path, 100).read_bytes())
    settings = Settings(tls_cert=str(certificate(tmp_path, 365)), tls_key="k", tls_ca=str(chain))
    watch = Certificates(certificates_of(settings), lambda *args, **fields: None, lambda: at(BEGIN + 101 * DAY))
    assert [text.partition(" (")[0] for text in watch.alarms()] == ["the certificate of tls_ca"]
    chain.write_text("nothing")
    with pytest.raises(ConfigError, match="cannot read the certificate in tls_ca"):
        certificates_of(settings)


def test_what_comes_again_and_again_is_a_line_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    repeats = Repeats()
    with caplog.at_level(logging.WARNING):
        for tenth in range(round(REPEAT_S * 10) + 1):
            repeats.tell("TLS failed", tenth / 10)
        repeats.tell("another", 0.1)
    assert [record.getMessage() for record in caplog.records] == [
        "TLS failed",
        f"TLS failed ({round(REPEAT_S * 10) - 1} times more in the last {REPEAT_S:.0f} s)",
        "another",
    ]
    caplog.clear()
    for number in range(REPEATS_MAX + 1):
        repeats.tell(f"line {number}", 0.0)
    repeats.tell("TLS failed", REPEAT_S + 0.1)
    assert caplog.records[-1].getMessage() == "TLS failed", "only so many are remembered"
