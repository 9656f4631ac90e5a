"""Expressions of more parts than SQLite takes as arguments of one function."""

from __future__ import annotations

import pytest
from support.local_database import LocalDatabase

COUNT = 2500
NUMBERS = ", ".join(map(str, range(COUNT)))


@pytest.fixture(scope="module")
def db() -> LocalDatabase:
    return LocalDatabase()


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        (f"array_length(ARRAY[{NUMBERS}], 1), (ARRAY[{NUMBERS}])[{COUNT}]", ("2500", "2499")),
        (f"ARRAY[{NUMBERS}] = (SELECT array_agg(n) FROM generate_series(0, {COUNT - 1}) n)", ("t",)),
        (f"1999 = ANY (ARRAY[{NUMBERS}]), 3000 = ANY (ARRAY[{NUMBERS}])", ("t", "f")),
        (f"array_dims(ARRAY[{', '.join(f'[{n}, NULL]' for n in range(COUNT))}])", ("[1:2500][1:2]",)),
        (f"COALESCE({'NULL::int, ' * COUNT} 7), COALESCE({NUMBERS}, 1/(random()*0)::int)", ("7", "0")),
        (f"GREATEST({NUMBERS}), LEAST({NUMBERS}, -1)", ("2499", "-1")),
    ],
)
def test_values(db: LocalDatabase, sql: str, wanted: tuple[str, ...]) -> None:
    assert db.run(f"SELECT {sql}") == [wanted]


def test_values_of_rows(db: LocalDatabase) -> None:
    db.run("CREATE TABLE parts (a int); INSERT INTO parts VALUES (1), (NULL)")
    long = ", ".join(f"a + {n}" for n in range(1200))
    assert db.run(f"SELECT (ARRAY[{long}])[1200], COALESCE({long}, -1) FROM parts ORDER BY 1") == [
        ("1200", "1"), (None, "-1"),
    ]  # fmt: skip
