"""Functions and casts of geometric types: what PostgreSQL 15 answers, as literals."""

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
        (
            "point(1,2), point(1.5,'-0'::float8), point('(0,0),(2,2)'::box), "
            "point('[(0,0),(2,4)]'::lseg), point('<(1,2),3>'::circle), "
            "point('((0,0),(1,0),(1,1))'::polygon)",
            '(1,2) (1.5,-0) (1,1) (1,2) (1,2) (0.6666666666666666,0.3333333333333333)',
        ),
        (
            "box(point(1,2),point(0,5)), box(point(1,2)), box('<(1,2),3>'::circle), "
            "box('((0,0),(1,0),(1,1))'::polygon), bound_box('(0,0),(1,1)','(3,3),(2,2)')",
            '(1,5),(0,2) (1,2),(1,2) '
            '(3.1213203435596424,4.121320343559642),(-1.1213203435596424,-0.12132034355964239) '
            '(1,1),(0,0) (3,3),(0,0)',
        ),
        (
            "lseg(point(1,2),point(3,4)), lseg(box '(1,2),(3,4)'), diagonal(box '(1,2),(3,4)'), "
            'line(point(0,0),point(1,1)), line(point(1,0),point(1,1)), line(point(0,3),point(1,3))',
            '[(1,2),(3,4)] [(3,4),(1,2)] [(3,4),(1,2)] {1,-1,0} {-1,0,1} {0,-1,3}',
        ),
        (
            "path('((0,0),(1,0),(1,1))'::polygon), polygon(box '(1,2),(3,4)'), "
            "polygon('<(1,2),3>'::circle), polygon(4,'<(1,2),3>'::circle), polygon(path "
            "'((0,0),(1,1))')",
            '((0,0),(1,0),(1,1)) ((1,2),(1,4),(3,4),(3,2)) '
            '((-2,2),(-1.598076211353316,3.5),(-0.5000000000000004,4.598076211353316),'
            '(0.9999999999999998,5),(2.499999999999999,4.598076211353316),(3.5980762113533156,'
            '3.500000000000001),(4,2.0000000000000004),(3.5980762113533165,0.5000000000000009),'
            '(2.5000000000000013,-0.5980762113533151),(1.0000000000000004,-1),(-0.499999999999998,'
            '-0.5980762113533169),(-1.5980762113533151,0.49999999999999867)) '
            '((-2,2),(0.9999999999999998,5),(4,2.0000000000000004),(1.0000000000000004,-1)) '
            '((0,0),(1,1))',
        ),
        (
            "circle(point(1,2),3), circle(box '(1,2),(3,4)'), circle('((0,0),(1,0),(1,1))'::polygon), "
            "center(box '(1,2),(3,4)'), center('<(1,2),3>'::circle), pclose(path '[(0,0),(1,1)]'), "
            "popen(path '((0,0),(1,1))')",
            '<(1,2),3> <(2,3),1.4142135623730951> '
            '<(0.6666666666666666,0.3333333333333333),0.6540388352636305> (2,3) (1,2) ((0,0),(1,1)) '
            '[(0,0),(1,1)]',
        ),
        (
            "area(box '(1,2),(3,4)'), area('<(1,2),3>'::circle), area(path '((0,0),(1,0),(1,1))'), "
            "area(path '[(0,0),(1,0),(1,1)]'), diameter('<(1,2),3>'::circle), "
            "radius('<(1,2),3>'::circle), width(box '(1,2),(3,4)'), height(box '(1,2),(3,5)')",
            '4 28.274333882308138 0.5 6 3 2 3',
        ),
        (
            "length(lseg '[(0,0),(3,4)]'), length(path '((0,0),(3,4),(3,0))'), length(path "
            "'[(0,0),(3,4),(3,0)]'), npoints(path '((0,0),(3,4),(3,0))'), npoints(polygon "
            "'((0,0),(3,4),(3,0))'), isclosed(path '((0,0),(3,4),(3,0))'), isopen(path "
            "'((0,0),(3,4),(3,0))'), slope(point(0,0),point(1,2)), slope(point(0,0),point(0,2))",
            '5 12 9 3 3 t f 2 Infinity',
        ),
        (
            "ishorizontal(point(0,1),point(5,1)), ishorizontal(lseg '[(0,0),(3,4)]'), "
            "ishorizontal(line '{1,-1,0}'), isvertical(line '{1,0,0}'), isparallel(lseg "
            "'[(0,0),(1,1)]', lseg '[(0,1),(1,2)]'), isperp(lseg '[(0,0),(1,1)]', lseg "
            "'[(0,1),(1,0)]'), isparallel(line '{1,-1,0}', line '{2,-2,5}'), isperp(line '{1,-1,0}', "
            "line '{1,1,5}')",
            't f f t t t t t',
        ),
        (
            "point('1,2'), box('(1,2),(3,4)'), circle('<(1,2),3>'), polygon('((0,0),(1,1))'), "
            "path('((0,0),(1,1))'), lseg('[(0,0),(3,4)]')",
            '(1,2) (3,4),(1,2) <(1,2),3> ((0,0),(1,1)) ((0,0),(1,1)) [(0,0),(3,4)]',
        ),
        (
            "point(1,2)::box, '(1,2),(3,4)'::box::point, ('(1,2),(3,4)'::box)::circle::polygon::path, "
            "'<(1,2),3>'::circle::box, '[(0,0),(2,4)]'::lseg::point",
            '(1,2),(1,2) (2,3) '
            '((0.5857864376269049,3),(0.7752551286084108,3.7071067811865475),(1.2928932188134523,'
            '4.224744871391589),(2,4.414213562373095),(2.707106781186547,4.224744871391589),'
            '(3.224744871391589,3.707106781186548),(3.414213562373095,3),(3.2247448713915894,'
            '2.292893218813453),(2.7071067811865483,1.7752551286084113),(2.0000000000000004,'
            '1.5857864376269049),(1.2928932188134534,1.7752551286084104),(0.7752551286084113,'
            '2.2928932188134517)) '
            '(3.1213203435596424,4.121320343559642),(-1.1213203435596424,-0.12132034355964239) (1,2)',
        ),
    ],
)  # fmt: skip
def test_values(db: LocalDatabase, sql: str, wanted: str) -> None:
    assert db.run(f"SELECT concat_ws(' ', {sql})") == [(wanted,)]


@pytest.mark.parametrize(
    ("sql", "sqlstate"),
    [
        ("line(point(0,3),point(0,3))", "22023"),
        ("polygon(path '[(0,0),(1,1)]')", "22023"),
        ("polygon(1,'<(1,2),3>'::circle)", "22023"),
        ("polygon(3,'<(1,2),0>'::circle)", "0A000"),
        ("'(1,2)'::point::circle", "42846"),
        (
            "date('2024-01-02'), int4('5'), interval('1 day'), text('x'), bool('t'), numeric('1.5'), "
            "point(null) IS NULL",
            "42601",
        ),
    ],
)
def test_errors(db: LocalDatabase, sql: str, sqlstate: str) -> None:
    with pytest.raises(HeliosError) as failed:
        db.run(f"SELECT {sql}")
    assert failed.value.sqlstate == sqlstate


def test_casts_on_assignment(db: LocalDatabase) -> None:
    db.run("CREATE TABLE figures (b box, c circle)")
    db.run("INSERT INTO figures VALUES (point(1,2), '(0,0),(2,2)'::box::circle)")
    assert db.run("SELECT b::text, c::text FROM figures") == [("(1,2),(1,2)", "<(1,1),1.4142135623730951>")]
