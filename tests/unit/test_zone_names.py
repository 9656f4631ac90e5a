"""How a session's zone is spelled when it is shown, as PostgreSQL 15 does."""

from __future__ import annotations

import pytest

from helios_cli.engine.node.timezone import check_timezone


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("gmt-3", "GMT-3"),
        ("foo+2", "FOO+2"),
        ("europe/berlin", "Europe/Berlin"),
        ("est5edt", "EST5EDT"),
        ("<-03>3", "<-03>3"),
    ],
)
def test_the_name_of_a_zone(given: str, shown: str) -> None:
    assert check_timezone(given) == shown
