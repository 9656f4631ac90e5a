"""What sessions have set: how a backend's session becomes like a client's, and what a block leaves of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_cli.engine.proxy.classify import Classes
from helios_cli.engine.proxy.settings_sync import (
    BlockSettings,
    changed,
    difference,
    everything,
    floor_of,
    literal,
    startup_settings,
)
from helios_cli.engine.proxy.statement import Setting
from helios_cli.engine.types import Lsn

NAMES = ("a", "b", "role", "session_authorization")


def run(sql: str, session: dict[str, str]) -> dict[str, str]:
    """A server's session after a query string; who may set what depends on the authorization, as at a server."""
    session = dict(session)
    for text in filter(None, sql.split("; ")):
        if text == "RESET ALL":
            session = {name: value for name, value in session.items() if name in NAMES[2:]}
        elif text == "RESET SESSION AUTHORIZATION":
            session.pop("session_authorization", None)
            session.pop("role", None)
        elif text.startswith("RESET "):
            session.pop(text.removeprefix("RESET ").lower(), None)
        else:
            name = text.split()[1]
            assert name in NAMES[2:] or "session_authorization" not in session, f"{text} as somebody else"
            session[name] = text
            if name == "session_authorization":
                session.pop("role", None)
    return session


settings = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["1", "2"])).map(
    lambda found: {name: f"SET {name} TO {value}" for name, value in found.items()}
)


@given(settings, settings)
def test_the_difference_makes_one_session_of_another(has: dict[str, str], wants: dict[str, str]) -> None:
    assert run(difference(has, wants), has) == wants


@given(settings, settings)
def test_everything_makes_a_session_of_any(has: dict[str, str], wants: dict[str, str]) -> None:
    assert run(everything(wants), has) == wants


def test_equal_sessions_need_nothing() -> None:
    assert difference({"a": "SET a TO 1"}, {"a": "SET a TO 1"}) == difference({}, {}) == ""


def test_a_reset_is_back_at_what_the_session_began_with() -> None:
    began = startup_settings({"A": "it's"})
    after = changed({"a": "SET a TO 1", "b": "SET b TO 1"}, [Setting("a", None), Setting("b", None)], began)
    assert after == began == {"a": "SELECT set_config('A', 'it''s', false)"}


def test_texts_are_constants_whatever_the_server_thinks_of_backslashes() -> None:
    assert literal("a'b") == "'a''b'" and literal("a\\'b") == " E'a\\\\''b'"


def block(*texts: str) -> BlockSettings:
    classes, found = Classes(), BlockSettings({"a": "SET a TO 0"})
    for text in texts:
        statement = classes.of(text)
        if statement.savepoint:
            found.savepoint(statement)
        else:
            found.set(changed(found.now, statement.settings, {}), is_sure=True)
    return found


def test_a_savepoint_takes_back_what_was_set_behind_it() -> None:
    found = block("SAVEPOINT s", "SET a TO 1", "SAVEPOINT t", "SET b TO 1", "ROLLBACK TO s")
    assert found.now == {"a": "SET a TO 0"} and found.is_sure
    assert block("SAVEPOINT s", "SET a TO 1", "RELEASE s").now == {"a": "SET a TO 1"}
    assert block("SAVEPOINT s", "SET a TO 1", "ROLLBACK TO s", "SET a TO 2", "ROLLBACK TO s").now == {"a": "SET a TO 0"}


def test_of_savepoints_of_one_name_the_last_counts() -> None:
    found = block("SAVEPOINT s", "SET a TO 1", "SAVEPOINT s", "SET a TO 2", "ROLLBACK TO s")
    assert found.now == {"a": "SET a TO 1"}
    assert block("SAVEPOINT s", "SET a TO 1", "SAVEPOINT s", "RELEASE s", "ROLLBACK TO s").now == {"a": "SET a TO 0"}


def test_a_savepoint_that_was_not_seen_leaves_doubt() -> None:
    assert not block("SET a TO 1", "ROLLBACK TO unseen").is_sure


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
