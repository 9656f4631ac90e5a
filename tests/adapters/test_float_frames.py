"""Sums of floats over moving frames, as PostgreSQL 15 gives them; NaN goes when its row leaves the frame."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.local_database import LocalDatabase


@pytest.fixture
def db() -> Iterator[LocalDatabase]:
    database = LocalDatabase()
    database.run("CREATE TABLE f (n int PRIMARY KEY, x float8)")
    database.run("INSERT INTO f VALUES (1, 1), (2, 'NaN'), (3, 0.1), (4, 0.2), (5, NULL), (6, 1e300)")
    yield database


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        ("sum(x)", "1 NaN NaN 0.30000000000000004 0.2 1e+300"),
        ("avg(x)", "1 NaN NaN 0.15000000000000002 0.2 1e+300"),
        ("var_pop(x)", "0 NaN NaN 0.0024999999999999988 0 0"),
    ],
)
def test_a_frame_forgets_what_has_left_it(db: LocalDatabase, call: str, wanted: str) -> None:
    rows = db.run(f"SELECT {call} OVER (ORDER BY n ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)::text FROM f ORDER BY n")
    assert " ".join(str(value) for (value,) in rows) == wanted
