"""XMLPARSE: what PostgreSQL 15 answers, as literals."""

from __future__ import annotations

import pytest
from support.local_database import LocalDatabase

from helios_cli.engine.errors import HeliosError


@pytest.fixture(scope="module")
def db() -> LocalDatabase:
    return LocalDatabase()


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("CONTENT 'a<b/>c'", "a<b/>c"),
        ("CONTENT '<a/><b/>'", "<a/><b/>"),
        ("CONTENT ''", ""),
        ("CONTENT NULL", None),
        ("CONTENT '<a:b/>'", "<a:b/>"),
        ('CONTENT \'<?xml version="1.0" encoding="UTF-8"?><a>é</a>\'', "<a>é</a>"),
        ("CONTENT '<!DOCTYPE a><a/>'", "<!DOCTYPE a><a/>"),
        ("DOCUMENT '<?xml version=\"1.0\"?><a/>'", "<a/>"),
        ("DOCUMENT '<!DOCTYPE a><a/>'", "<!DOCTYPE a><a/>"),
    ],
)
def test_what_is_well_formed(db: LocalDatabase, sql: str, wanted: str | None) -> None:
    assert db.run(f"SELECT xmlparse({sql})") == [(wanted,)]
    assert db.run(f"SELECT pg_typeof(xmlparse({sql}))") == [("xml",)]


@pytest.mark.parametrize(
    ("sql", "sqlstate", "message"),
    [
        ("xmlparse(DOCUMENT 'a<a/>')", "2200M", "invalid XML document"),
        ("xmlparse(CONTENT '<a>')", "2200N", "invalid XML content"),
        ("xmlparse(CONTENT '&lt; &x;')", "2200N", "invalid XML content"),
        ("xmlelement(NAME a)", "0A000", "XML is not supported"),
    ],
)
def test_errors(db: LocalDatabase, sql: str, sqlstate: str, message: str) -> None:
    with pytest.raises(HeliosError, match=message) as failed:
        db.run(f"SELECT {sql}")
    assert failed.value.sqlstate == sqlstate
