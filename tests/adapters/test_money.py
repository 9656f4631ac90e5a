"""money: what PostgreSQL 15 answers, as literals."""

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
            "'12.345'::money, '-1234567.891'::money, '$1,234.5'::money, '($12)'::money, '-$ 7'::money, "
            "'$-7'::money, '12-'::money, ' +3.999 $ '::money, ''::money, '.5'::money",
            (
                '$12.35', '-$1,234,567.89', '$1,234.50', '-$12.00', '-$7.00', '-$7.00', '-$12.00', '$4.00',
                '$0.00', '$0.50',
            ),
        ),
        (
            "'12'::money + '0.5', '12'::money - '13', '12'::money * 2, 2::int2 * '12'::money, "
            "3::int8 * '1.01'::money, '12'::money * 1.5::float8, 0.333::float4 * '10'::money",
            ('$12.50', '-$1.00', '$24.00', '$24.00', '$3.03', '$18.00', '$3.33'),
        ),
        (
            "'10'::money / 3, '10'::money / 3::int2, '-10'::money / 3::int8, '10'::money / 3.0::float8, "
            "'10'::money / 4::float4, '10'::money / '3'::money",
            ('$3.33', '$3.33', '-$3.33', '$3.33', '$2.50', '3.3333333333333335'),
        ),
        (
            "'1'::money = '1.00', '1'::money < '2', '10'::money > '9', '1'::money <> '1', '1'::money <= '1', "
            "'-1'::money >= '0'",
            ('t', 't', 't', 'f', 't', 'f'),
        ),
        (
            "12.345::money, 12::money, 12::int8::money, (-12.345)::money, '12.34'::money::numeric, "
            "'-0.05'::money::numeric, '12'::money::text, '12.5'::text::money",
            ('$12.35', '$12.00', '$12.00', '-$12.35', '12.34', '-0.05', '$12.00', '$12.50'),
        ),
        (
            "sum(x), min(x), max(x), count(distinct x) from (values ('1.5'::money), ('10'), ('9'), (null), "
            "('9')) v(x)",
            ('$29.50', '$1.50', '$10.00', '3'),
        ),
        (
            "string_agg(x::text, ' ' order by x) from (values ('1.5'::money), ('10'), ('9'), ('-2')) v(x)",
            ('-$2.00 $1.50 $9.00 $10.00',),
        ),
        (
            "array_agg(x order by x desc) from (values ('1.5'::money), ('1000'), ('9')) v(x)",
            ('{"$1,000.00",$9.00,$1.50}',),
        ),
        (
            "'{1,2.5,1000}'::money[], ('{1,2.5,1000}'::money[])[3], array['1'::money, '2'] < array['1'::money, "
            "'10'], '{1.5}'::numeric[]::money[], '{1.5}'::money[]::numeric[]",
            ('{$1.00,$2.50,"$1,000.00"}', '$1,000.00', 't', '{$1.50}', '{1.50}'),
        ),
        (
            "to_json('1234.5'::money), row_to_json(row('1'::money)), to_jsonb('{1,2}'::money[])",
            ('"$1,234.50"', '{"f1":"$1.00"}', '["$1.00", "$2.00"]'),
        ),
        (
            "cash_words('123.45'), cash_words('-1'), cash_words('0.01'), cash_words('1000'), "
            "cash_words('1234567.11'), cash_words('2120'), cash_words('119.20')",
            (
                'One hundred twenty three dollars and forty five cents', 'Minus one dollar and zero cents',
                'Zero dollars and one cent', 'One thousand  dollars and zero cents',
                'One million two hundred thirty four thousand five hundred sixty seven dollars and eleven cents',
                'Two thousand one hundred twenty dollars and zero cents',
                'One hundred and nineteen dollars and twenty cents',
            ),
        ),
        (
            "pg_typeof('1'::money + '1'), pg_typeof('1'::money / '1'::money), pg_typeof('1'::money * 2), "
            "pg_typeof(sum('1'::money))",
            ('money', 'double precision', 'money', 'money'),
        ),
        (
            "cash_pl('1','2'), cash_mul_int4('3', 2), cash_div_cash('3','2'), cash_eq('1','1')",
            ('$3.00', '$6.00', '1.5', 't'),
        ),
        (
            "cash_send('1.5'), format('%s', '1234'::money), '1'::money || 'x', concat('5'::money)",
            ('\\x0000000000000096', '$1,234.00', '$1.00x', '$5.00'),
        ),
    ],
)  # fmt: skip
def test_values(db: LocalDatabase, sql: str, wanted: tuple[str | None, ...]) -> None:
    assert db.run(f"SELECT {sql}") == [wanted]


@pytest.mark.parametrize(
    ("sql", "sqlstate", "message"),
    [
        ("'1.234.5'::money", '22P02', 'invalid input syntax for type money: "1.234.5"'),
        ("'abc'::money", '22P02', 'invalid input syntax for type money: "abc"'),
        ("'92233720368547758.08'::money", '22003', 'value "92233720368547758.08" is out of range for type money'),
        ("'10'::money / 0", '22012', 'division by zero'),
        ("'10'::money / '0'::money", '22012', 'division by zero'),
        ("'10'::money / 0::float8", '22012', 'division by zero'),
        ("'NaN'::numeric::money", '0A000', 'cannot convert NaN to bigint'),
        ('1e30::money', '22003', 'bigint out of range'),
        ('5::int8 * 1000000000000000000::money', '22003', 'bigint out of range'),
        ('1.5::float8::money', '42846', 'cannot cast type double precision to money'),
        ("- '1'::money", '42883', 'operator does not exist: - money'),
        ("'1'::money + 1", '42883', 'operator does not exist: money + integer'),
    ],
)  # fmt: skip
def test_errors(db: LocalDatabase, sql: str, sqlstate: str, message: str) -> None:
    with pytest.raises(HeliosError, match=re.escape(message)) as failed:
        db.run(f"SELECT {sql}")
    assert failed.value.sqlstate == sqlstate
