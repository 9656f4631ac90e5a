"""What is read out of a session's settings."""

from __future__ import annotations

import pytest

from helios_cli.engine.proxy.settings_sync import floor_of, startup_settings
from helios_cli.engine.types import Lsn

TOKEN = "0/16B3748@2-9f86d081884c7d65"


@pytest.mark.parametrize(
    ("statement", "floor"),
    [
        (f"SET helios.min_lsn = '{TOKEN}'", "0/16B3748"),
        (f"SET SESSION helios.min_lsn TO '{TOKEN}'", "0/16B3748"),
        ("SET helios.min_lsn = '1/0'", "1/0"),
        (f"SELECT set_config('helios.min_lsn', '{TOKEN}', false)", "0/16B3748"),
        (startup_settings({"helios.min_lsn": TOKEN})["helios.min_lsn"], "0/16B3748"),
        ("SET helios.min_lsn = ''", "0/0"),
        ("SET helios.min_lsn = 'nothing of the kind'", "0/0"),
        ("SET helios.min_lsn = '123456789/0'", "0/0"),
    ],
)
def test_the_floor_of_a_token(statement: str, floor: str) -> None:
    assert floor_of({"work_mem": "SET work_mem = 1", "helios.min_lsn": statement}) == Lsn.parse(floor)
    assert floor_of({"other": statement}) == 0
