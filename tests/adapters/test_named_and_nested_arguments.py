"""Named arguments of built-in functions, and arrays whose rows are written in two ways; as PostgreSQL 15 reads them."""

from __future__ import annotations

import pytest
from support.local_database import LocalDatabase

from helios_cli.engine.errors import HeliosError


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("make_interval(secs => 10.5)", "00:00:10.5"),
        ("make_interval(1, weeks => 2)", "1 year 14 days"),
        ("make_interval(days => 3, hours => 2)", "3 days 02:00:00"),
        ("make_date(month => 2, day => 3, year => 2020)", "2020-02-03"),
        ("jsonb_set('{}', path => '{a}', replacement => '1')", '{"a": 1}'),
        ("ARRAY['{NULL,NULL}', ARRAY[1, NULL]]::int[]", "{{NULL,NULL},{1,NULL}}"),
        ("ARRAY[ARRAY[1, 2], '{3,4}']", "{{1,2},{3,4}}"),
        ("'23 1114'::oidvector::regtype[]", '[0:1]={integer,"timestamp without time zone"}'),
        ("'1 2'::int2vector::int4[]", "[0:1]={1,2}"),
        ("''::oidvector::regtype[]", "{}"),
    ],
)
def test_calls_and_arrays(expression: str, expected: str) -> None:
    assert LocalDatabase().run(f"SELECT ({expression})::text") == [(expected,)]


@pytest.mark.parametrize(
    "call", ["make_date(year => 2020)", "make_date(year => 1, nope => 2)", "make_date(1, year => 2)"]
)
def test_calls_that_fit_nothing(call: str) -> None:
    with pytest.raises(HeliosError) as caught:
        LocalDatabase().run(f"SELECT {call}")
    assert caught.value.sqlstate in ("42883", "0A000")


def test_vectors_unnest_side_by_side() -> None:
    database = LocalDatabase()
    database.run("CREATE TABLE v (a int, b int, UNIQUE (b, a))")
    query = "SELECT unnest(indkey), generate_subscripts(indkey, 1) FROM pg_index WHERE indrelid = 'v'::regclass"
    assert database.run(query) == [("2", "0"), ("1", "1")]
