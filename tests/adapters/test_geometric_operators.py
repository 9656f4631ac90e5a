"""Operators of geometric types: what PostgreSQL 15 answers, as literals."""

from __future__ import annotations

import re

import pytest
from support.local_database import LocalDatabase

from helios_cli.engine.errors import HeliosError


@pytest.fixture(scope="module")
def db() -> LocalDatabase:
    return LocalDatabase()


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        (
            "point '(1,2)' + point '(3,4)', point '(1,2)' - point '(3,4)', point '(1,2)' * point '(3,4)', "
            "point '(1,2)' / point '(3,4)', box '(0,0),(1,1)' + point '(1,2)', "
            "box '(0,0),(1,1)' * point '(1,1)', path '[(0,0),(1,1)]' - point '(1,2)', "
            "circle '<(1,2),3>' * point '(0,2)', circle '<(1,2),3>' / point '(0,2)', "
            "path '[(0,0),(1,1)]' + path '[(2,2),(3,3)]', path '((0,0),(1,1))' + path '[(2,2),(3,3)]'",
            (
                '(4,6)', '(-2,-2)', '(-5,10)', '(0.44,0.08)', '(2,3),(1,2)', '(0,2),(0,0)', '[(-1,-2),(0,-1)]',
                '<(-4,2),6>', '<(1,-0.5),1.5>', '[(0,0),(1,1),(2,2),(3,3)]', None,
            ),
        ),
        (
            "point '(0,0)' <-> point '(3,4)', point '(0,0)' <-> line '{1,-1,4}', "
            "point '(5,5)' <-> lseg '[(0,0),(0,10)]', box '(0,0),(1,1)' <-> point '(4,5)', "
            "path '[(0,0),(1,0)]' <-> point '(3,0)', polygon '((0,0),(2,0),(2,2))' <-> point '(1,0.5)', "
            "circle '<(0,0),1>' <-> point '(3,4)', circle '<(0,0),1>' <-> circle '<(5,0),1>', "
            "polygon '((0,0),(2,0),(2,2))' <-> circle '<(5,0),1>', "
            "lseg '[(0,0),(1,0)]' <-> lseg '[(0,1),(1,2)]', line '{1,0,0}' <-> line '{1,0,5}', "
            "polygon '((0,0),(1,0),(1,1))' <-> polygon '((3,0),(4,0),(4,1))', "
            "box '(0,0),(1,1)' <-> box '(2,2),(3,3)', lseg '[(0,0),(1,0)]' <-> box '(0,1),(1,2)', "
            "path '[(0,0),(1,0)]' <-> path '[(0,2),(1,2)]', lseg '[(0,3),(1,3)]' <-> line '{0,1,0}'",
            (
                '5', '2.8284271247461903', '5', '5', '2', '0', '4', '3', '2', '1', '5', '2', '2.8284271247461903',
                '1', '2', '3',
            ),
        ),
        (
            "box '(0,0),(2,2)' @> point '(2,2)', point '(1,1)' <@ circle '<(0,0),1>', "
            "polygon '((0,0),(4,0),(4,4),(0,4))' @> polygon '((1,1),(2,1),(2,2))', "
            "polygon '((0,0),(4,0),(4,4),(2,1),(0,4))' @> polygon '((1,1),(3,1),(3,2))', "
            "point '(1,1)' <@ path '[(0,0),(2,2)]', point '(1,1)' <@ lseg '[(0,0),(2,2)]', "
            "lseg '[(0,0),(2,2)]' <@ line '{1,-1,0}', lseg '[(0,0),(2,2)]' <@ box '(0,0),(2,2)', "
            "circle '<(0,0),3>' @> circle '<(1,0),1>', box '(0,0),(1,1)' <@ box '(0,0),(2,2)', "
            "polygon '((0,0),(4,0),(4,4))' @> point '(2,2)', point '(2,2)' <@ line '{1,-1,0}', "
            "path '((0,0),(4,0),(4,4))' @> point '(3,1)'",
            ('t', 'f', 't', 'f', 't', 't', 't', 't', 't', 't', 't', 't', 't'),
        ),
        (
            "box '(0,0),(2,2)' && box '(1,1),(3,3)', circle '<(0,0),1>' && circle '<(2,0),1>', "
            "polygon '((0,0),(4,0),(4,4))' && polygon '((1,0.5),(2,0.5),(2,1))', "
            "box '(0,0),(2,2)' # box '(1,1),(3,3)', box '(0,0),(1,1)' # box '(2,2),(3,3)', "
            "lseg '[(0,0),(2,2)]' # lseg '[(0,2),(2,0)]', line '{1,-1,0}' # line '{1,1,-2}', "
            "line '{1,-1,0}' # line '{1,-1,5}', # path '((0,0),(1,1))', # polygon '((0,0),(1,1),(2,2))', "
            "@-@ path '((0,0),(3,4))', @-@ lseg '[(0,0),(3,4)]', @@ box '(0,0),(2,4)', @@ circle '<(1,2),3>', "
            "@@ polygon '((0,0),(3,0),(0,3))', @@ lseg '[(0,0),(2,4)]'",
            (
                't', 't', 't', '(2,2),(1,1)', None, '(1,1)', '(1,1)', None, '2', '3', '10', '5', '(1,2)', '(1,2)',
                '(1,1)', '(1,2)',
            ),
        ),
        (
            "lseg '[(0,0),(2,2)]' ?# box '(1,0),(3,1)', path '[(0,0),(2,2)]' ?# path '[(0,2),(2,0)]', "
            "line '{1,-1,0}' ?# box '(5,0),(6,1)', lseg '[(0,0),(2,2)]' ?# line '{1,1,-2}', "
            "?- lseg '[(0,1),(5,1)]', ?| line '{1,0,0}', point '(0,1)' ?- point '(4,1)', "
            "point '(0,1)' ?| point '(4,1)', lseg '[(0,0),(1,1)]' ?|| lseg '[(0,1),(1,2)]', "
            "lseg '[(0,0),(1,1)]' ?-| lseg '[(0,1),(1,0)]', line '{1,-1,0}' ?-| line '{1,1,0}', "
            "line '{1,-1,0}' ?|| line '{2,-2,5}'",
            ('t', 't', 'f', 't', 't', 't', 't', 'f', 't', 't', 't', 't'),
        ),
        (
            "point '(5,5)' ## lseg '[(0,0),(0,10)]', point '(4,4)' ## box '(0,0),(2,2)', "
            "point '(3,0)' ## line '{1,-1,0}', lseg '[(0,5),(5,5)]' ## box '(0,0),(2,2)', "
            "line '{0,1,0}' ## lseg '[(0,3),(1,2)]', lseg '[(0,0),(1,0)]' ## lseg '[(0,1),(1,2)]', "
            "lseg '[(0,0),(1,0)]' ## lseg '[(0,1),(1,1)]'",
            ('(0,5)', '(2,2)', '(1.5,1.5)', '(0,2)', '(1,2)', '(0,1)', None),
        ),
        (
            "box '(0,0),(1,1)' << box '(2,0),(3,1)', box '(0,0),(1,1)' &< box '(0,0),(3,1)', "
            "box '(0,0),(1,1)' |>> box '(2,0),(3,1)', box '(0,0),(1,1)' |&> box '(2,0),(3,1)', "
            "circle '<(0,0),1>' <<| circle '<(0,5),1>', circle '<(0,0),1>' &> circle '<(0,5),1>', "
            "polygon '((0,0),(1,1))' >> polygon '((-3,0),(-2,1))', "
            "polygon '((0,0),(1,1))' &<| polygon '((-3,0),(-2,1))', point '(1,1)' << point '(2,2)', "
            "point '(1,1)' |>> point '(0,0)', point '(1,1)' <^ point '(2,2)', "
            "box '(0,0),(1,1)' >^ box '(0,-2),(1,-1)'",
            ('t', 't', 'f', 't', 't', 't', 't', 't', 't', 't', 't', 't'),
        ),
        (
            "box '(0,0),(1,2)' = box '(5,5),(7,6)', box '(0,0),(1,2)' ~= box '(5,5),(7,6)', "
            "box '(0,0),(1,2)' < box '(0,0),(1,3)', circle '<(0,0),1>' = circle '<(1,1),1>', "
            "circle '<(0,0),1>' <> circle '<(1,1),2>', lseg '[(0,0),(3,4)]' < lseg '[(0,0),(0,6)]', "
            "lseg '[(0,0),(3,4)]' = lseg '[(0,0),(3,4)]', path '[(0,0),(1,1)]' = path '((5,5),(6,6))', "
            "line '{1,2,3}' = line '{2,4,6}', point '(1,1)' ~= point '(1,1.0000001)', "
            "point '(1,1)' <> point '(1,2)', polygon '((0,0),(1,0),(1,1))' ~= polygon '((1,1),(0,0),(1,0))'",
            ('t', 'f', 't', 't', 't', 't', 't', 't', 't', 't', 't', 't'),
        ),
        (
            "null::point <-> point '(1,1)', pg_typeof(point '(0,0)' <-> point '(3,4)'), "
            "pg_typeof(box '(0,0),(2,2)' # box '(1,1),(3,3)')",
            (None, 'double precision', 'box'),
        ),
    ],
)  # fmt: skip
def test_values(db: LocalDatabase, sql: str, wanted: tuple[str | None, ...]) -> None:
    assert db.run(f"SELECT {sql}") == [wanted]


@pytest.mark.parametrize(
    ("sql", "sqlstate", "message"),
    [
        ("point '(1,2)' / point '(0,0)'", '22012', 'division by zero'),
        ("point '(1,1)' = point '(1,1)'", '42883', 'operator does not exist: point = point'),
    ],
)  # fmt: skip
def test_errors(db: LocalDatabase, sql: str, sqlstate: str, message: str) -> None:
    with pytest.raises(HeliosError, match=re.escape(message)) as failed:
        db.run(f"SELECT {sql}")
    assert failed.value.sqlstate == sqlstate
