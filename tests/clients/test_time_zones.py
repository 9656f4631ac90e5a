"""Timestamps in the session's time zone, compared with PostgreSQL through every way in and out."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql
from support.node_process import NodeProcess

ZONES = ["UTC", "America/New_York", "Asia/Kolkata", "EST5EDT", "+05:30", "3", "-3.5", "<+02>-02", "Etc/GMT-4"]
TIMES = ["2024-01-01 12:00", "2024-07-01 12:00", "2024-07-01 12:00+00", "1999-12-31 23:59:59.5 Europe/Rome", "infinity"]


def outcome(port: int, zone: str) -> list[object]:
    heard: list[object] = []
    address = {"host": "127.0.0.1", "port": port, "user": "postgres", "dbname": "postgres"}
    with psycopg.connect(**address, autocommit=True) as connection:  # type: ignore[arg-type]

        def ask(text: str, *params: object, prepare: bool = False) -> None:
            cursor = connection.execute(text, params or None, prepare=prepare)
            result = cursor.pgresult
            assert result is not None
            heard.append([[result.get_value(row, at) for at in range(result.nfields)] for row in range(result.ntuples)])

        connection.execute("drop table if exists zoned")
        connection.execute("create table zoned (id serial primary key, t timestamptz, a timestamptz[])")
        connection.execute(sql.SQL("set timezone to {}").format(sql.Literal(zone)))
        heard.append(connection.execute("show timezone").fetchall())
        for text in TIMES:
            array = f'{{"{text}",NULL}}'
            connection.execute(f"insert into zoned (t, a) values ('{text}', '{array}')")
            connection.execute("insert into zoned (t, a) values (%s, %s)", (text, array))
            connection.execute("insert into zoned (t, a) values (%s, %s)", (text, array), prepare=True)
            with connection.cursor().copy("copy zoned (t, a) from stdin") as copy:
                copy.write_row((text, array))
        ask("select * from zoned order by id")
        ask("select * from zoned order by id", prepare=True)
        ask("select t::text, a::text, t::date, date_trunc('day', t) from zoned order by id")
        ask("select count(*) from zoned where t = %s", TIMES[0])
        connection.execute("prepare at (timestamptz) as select count(*), $1 from zoned where t = $1")
        ask(f"execute at ('{TIMES[1]}')")
        with connection.cursor().copy("copy zoned to stdout") as out:
            heard.append(b"".join(bytes(piece) for piece in out))
        with connection.cursor().copy("copy zoned to stdout (format csv)") as out:
            heard.append(b"".join(bytes(piece) for piece in out))
        connection.execute("begin")
        connection.execute("set local timezone to 'Asia/Tokyo'")
        ask("select t from zoned order by id limit 1")
        connection.execute("rollback")
        ask("select t from zoned order by id limit 1")
        connection.execute("set time zone interval '-01:30' hour to minute")
        ask("select t, current_setting('timezone') from zoned order by id limit 1")
    return heard


@pytest.mark.parametrize("zone", ZONES)
def test_as_postgresql_reads_and_writes_them(server: NodeProcess, reference: int, zone: str) -> None:
    assert outcome(server.pg_port, zone) == outcome(reference, zone)


def test_the_zone_a_client_starts_with_counts(server: NodeProcess, reference: int) -> None:
    heard = []
    for port in (server.pg_port, reference):
        address = f"host=127.0.0.1 port={port} user=postgres dbname=postgres options='-c timezone=Asia/Tokyo'"
        with psycopg.connect(address) as connection:
            result = connection.execute("select timestamptz '2024-01-01 12:00+00'").pgresult
            assert result is not None
            heard.append(result.get_value(0, 0))
    assert heard == [b"2024-01-01 21:00:00+09"] * 2
