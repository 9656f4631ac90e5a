"""Users' types through a node: drivers find them in the catalogs, a restart and a standby keep them."""

from __future__ import annotations

import asyncio
import enum
import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg import errors
from psycopg.types.composite import CompositeInfo, register_composite
from psycopg.types.enum import EnumInfo, register_enum
from psycopg.types.multirange import Multirange
from psycopg.types.range import Range
from support.inner_pair import pair
from support.node_process import NodeProcess, wait_until


class Mood(enum.Enum):
    sad = "sad"
    happy = "happy"


DEFINITIONS = """
    CREATE TYPE mood AS ENUM ('sad', 'happy');
    CREATE TYPE addr AS (street text, zip int, m mood);
    CREATE DOMAIN posint AS int CHECK (VALUE > 0);
    CREATE TABLE person (id posint PRIMARY KEY, m mood, ms mood[], home addr, others addr[], r int4range,
                         rs int4multirange, n inet)
"""


@pytest.fixture(autouse=True)
def types(server: NodeProcess) -> Iterator[None]:
    with server.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS person; DROP TYPE IF EXISTS addr, mood; DROP DOMAIN IF EXISTS posint")
        connection.execute(DEFINITIONS)
    yield


@pytest.mark.parametrize("binary", [False, True])
def test_psycopg_finds_and_adapts_them(server: NodeProcess, binary: bool) -> None:
    with server.connect() as connection:
        found = EnumInfo.fetch(connection, "mood")
        assert found is not None
        assert list(found.labels) == ["sad", "happy"]
        register_enum(found, connection, Mood)
        info = CompositeInfo.fetch(connection, "addr")
        assert info is not None
        register_composite(info, connection)
        assert info.python_type is not None
        home = info.python_type("Main St", 5, Mood.sad)
        row = (1, Mood.happy, [Mood.sad, None], home, [home], Range(1, 5), Multirange([Range(1, 3)]))
        address = ipaddress.ip_address("10.0.0.1")
        cursor = connection.cursor(binary=binary)
        mark = "%b" if binary else "%s"
        cursor.execute(f"INSERT INTO person VALUES ({', '.join([mark] * 8)})", (*row, address))
        assert cursor.execute("SELECT * FROM person").fetchone() == (*row, address)
        assert cursor.execute("SELECT (home).zip FROM person WHERE m = %s", (Mood.happy,)).fetchone() == (5,)
        with pytest.raises(errors.InvalidTextRepresentation, match='invalid input value for enum mood: "glad"'):
            connection.execute("UPDATE person SET m = %s", ("glad",))
        with pytest.raises(errors.CheckViolation) as caught:
            connection.execute("UPDATE person SET id = -1")
        assert (caught.value.diag.datatype_name, caught.value.diag.constraint_name) == ("posint", "posint_check")


def test_asyncpg_finds_and_adapts_them(server: NodeProcess) -> None:
    async def run() -> list[Any]:
        connection = await asyncpg.connect(host="127.0.0.1", port=server.pg_port, user="postgres", database="heliosdb")
        try:
            insert = "INSERT INTO person (id, m, ms, home, others, r) VALUES ($1, $2, $3, $4, $5, $6)"
            home = ("Elm", 7, "happy")
            await connection.execute(insert, 3, "sad", ["happy"], home, [home], asyncpg.Range(2, 4))
            ask = "SELECT id, m, ms, home, others, r, person FROM person WHERE m = $1"
            found = await connection.fetchrow(ask, "sad")
            assert found is not None
            rows = [tuple(found["home"]), tuple(found["others"][0])]
            return [*list(found)[:3], *rows, found["r"], found["person"]["id"]]
        finally:
            await connection.close()

    home = ("Elm", 7, "happy")
    assert asyncio.run(run()) == [3, "sad", ["happy"], home, home, asyncpg.Range(2, 4), 3]


def test_copy_checks_them(server: NodeProcess) -> None:
    with server.connect() as connection:
        with connection.cursor() as cursor, cursor.copy("COPY person (id, m, home) FROM STDIN") as copy:
            copy.write_row((5, "happy", "(a,1,sad)"))
        assert connection.execute("SELECT home::text FROM person").fetchone() == ("(a,1,sad)",)
        for value, error in ((("6", "glad"), errors.InvalidTextRepresentation), (("0", "sad"), errors.CheckViolation)):
            with pytest.raises(error), connection.cursor() as cursor:  # noqa: SIM117
                with cursor.copy("COPY person (id, m) FROM STDIN") as copy:
                    copy.write_row(value)


def test_a_prepared_statement_meets_a_new_value(server: NodeProcess) -> None:
    with server.connect(prepare_threshold=1) as connection, server.connect() as other:
        insert = "INSERT INTO person (id, m) VALUES (%s, %s::mood)"
        for number in range(1, 4):
            connection.execute(insert, (number, "sad"))
        other.execute("ALTER TYPE mood ADD VALUE 'calm' BEFORE 'happy'")
        connection.execute(insert, (9, "calm"))
        rows = connection.execute("SELECT m FROM person WHERE m > %s ORDER BY m", ("sad",)).fetchall()
        assert rows == [("calm",)]


def test_a_standby_has_them(tmp_path: Path) -> None:
    with pair(tmp_path) as (primary, standby):
        with primary.connect() as connection:
            connection.execute(DEFINITIONS)
            connection.execute("CREATE INDEX person_m ON person (m)")
            connection.execute("INSERT INTO person (id, m, home) VALUES (1, 'happy', '(x,2,sad)'), (2, 'sad', NULL)")
            connection.execute("ALTER TYPE mood ADD VALUE 'calm' BEFORE 'happy'")
            connection.execute("INSERT INTO person (id, m) VALUES (3, 'calm')")

        def read(connection: psycopg.Connection[Any]) -> list[Any]:
            return connection.execute("SELECT m FROM person ORDER BY m").fetchall()

        with standby.connect() as connection:
            wait_until(lambda: _count(connection) == 3, "the standby has the rows")
            assert read(connection) == [("sad",), ("calm",), ("happy",)]
            assert connection.execute("SELECT (home).zip FROM person WHERE m = 'happy'").fetchone() == (2,)
            connection.execute("ALTER TYPE mood RENAME VALUE 'calm' TO 'still'")
            wait_until(lambda: read(connection)[1] == ("still",), "the standby has the new label")


def _count(connection: psycopg.Connection[Any]) -> int:
    try:
        row = connection.execute("SELECT count(*) FROM person").fetchone()
    except psycopg.Error:
        return -1
    return int(row[0]) if row else -1


def test_types_of_one_session(server: NodeProcess) -> None:
    with server.connect() as one, server.connect() as other:
        one.execute("CREATE TYPE pg_temp.shade AS ENUM ('dark', 'light')")
        one.execute("CREATE TYPE pg_temp.spot AS (at int, shade shade)")
        one.execute("CREATE DOMAIN pg_temp.positive AS int CHECK (VALUE > 0)")
        one.execute("CREATE TEMP TABLE spots (s shade, p spot, n positive)")
        one.execute("INSERT INTO spots VALUES ('light', (2, 'dark'), 1), ('dark', NULL, 2)")
        assert one.execute("SELECT s, (p).shade, n FROM spots ORDER BY s").fetchall() == [
            ("dark", None, 2),
            ("light", "dark", 1),
        ]
        with pytest.raises(psycopg.errors.CheckViolation):
            one.execute("INSERT INTO spots (n) VALUES (0)")
        one.execute("ALTER TYPE shade ADD VALUE 'grey' AFTER 'dark'")
        one.execute("ALTER TYPE shade RENAME VALUE 'light' TO 'bright'")
        shown = "SELECT enum_range(NULL::shade)::text, array_agg(s ORDER BY s DESC)::text FROM spots"
        assert one.execute(shown).fetchone() == ("{dark,grey,bright}", "{bright,dark}")
        labels = "SELECT enumlabel FROM pg_enum JOIN pg_type t ON t.oid = enumtypid WHERE typname = 'shade' ORDER BY 1"
        assert one.execute(labels).fetchall() == [("bright",), ("dark",), ("grey",)]
        assert other.execute(labels).fetchall() == []
        with pytest.raises(psycopg.errors.UndefinedObject):
            other.execute("SELECT 'dark'::shade")
        other.execute("CREATE TYPE shade AS ENUM ('none')")
        assert one.execute("SELECT 'grey'::shade::text, 'none'::public.shade::text").fetchone() == ("grey", "none")
        for statement in (
            "CREATE TABLE kept (s pg_temp.shade)",
            "CREATE TYPE kept AS (s pg_temp.shade)",
            "CREATE FUNCTION kept(s pg_temp.shade) RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "CREATE TYPE pg_temp.extent AS RANGE (SUBTYPE = int4)",
        ):
            with pytest.raises(psycopg.errors.FeatureNotSupported):
                one.execute(statement)
        with pytest.raises(psycopg.errors.DependentObjectsStillExist):
            one.execute("DROP TYPE pg_temp.shade")
        one.execute("DROP TABLE spots")
        one.execute("DROP TYPE spot")
        one.execute("DROP TYPE pg_temp.shade")
        assert one.execute("SELECT 'none'::shade::text").fetchone() == ("none",)
        one.execute("DISCARD TEMP")
        with pytest.raises(psycopg.errors.UndefinedObject):
            one.execute("SELECT 1::positive")
        other.execute("DROP TYPE shade")


def test_domains_show_the_collation_that_they_were_made_with(server: NodeProcess) -> None:
    with server.connect() as connection:
        connection.execute('CREATE DOMAIN sorted_text AS text COLLATE "C"')
        connection.execute("CREATE DOMAIN more_sorted AS sorted_text CHECK (VALUE <> '')")
        connection.execute("CREATE DOMAIN any_text AS text")
        shown = (
            "SELECT typname, collname FROM pg_type t JOIN pg_collation c ON c.oid = typcollation "
            "WHERE typname IN ('sorted_text', 'more_sorted', 'any_text') ORDER BY 1"
        )
        expected = [("any_text", "default"), ("more_sorted", "C"), ("sorted_text", "C")]
        assert connection.execute(shown).fetchall() == expected
        connection.execute("ALTER DOMAIN sorted_text SET DEFAULT 'x'")
        assert connection.execute(shown).fetchall() == expected
        with pytest.raises(errors.DatatypeMismatch, match="collations are not supported by type integer"):
            connection.execute('CREATE DOMAIN wrong AS int COLLATE "C"')
        connection.execute("DROP DOMAIN sorted_text CASCADE")
        connection.execute("DROP DOMAIN any_text")


def test_rows_with_fields_of_domains_in_binary(server: NodeProcess) -> None:
    """A field of a domain is sent under the domain's own OID."""

    async def dialogue() -> None:
        connection = await asyncpg.connect(host="127.0.0.1", port=server.pg_port, user="postgres", database="postgres")
        await connection.execute(
            "CREATE DOMAIN share AS numeric(4,1) CHECK (VALUE <= 100);"
            "CREATE TYPE shade AS ENUM ('light', 'dark'); CREATE DOMAIN tint AS shade;"
            "CREATE TYPE part AS (amount share, look tint); CREATE TYPE whole AS (first part, others part[])"
        )
        part, other = (12.5, "dark"), (None, "light")
        for sql, value, wanted in (
            ("SELECT $1::part::text", part, "(12.5,dark)"),
            ("SELECT $1::part[]::text", [part, other], '{"(12.5,dark)","(,light)"}'),
            ("SELECT $1::whole::text", (part, [other]), '("(12.5,dark)","{""(,light)""}")'),
        ):
            assert await connection.fetchval(sql, value) == wanted
        assert await connection.fetchval("SELECT ($1::whole).first", (part, [])) == part
        for wrong in ((12.25, "blue"), (1e6, "dark")):
            with pytest.raises((asyncpg.InvalidTextRepresentationError, asyncpg.NumericValueOutOfRangeError)):
                await connection.fetchval("SELECT $1::part", wrong)
        await connection.execute(
            "DROP TYPE whole; DROP TYPE part; DROP DOMAIN tint; DROP TYPE shade; DROP DOMAIN share"
        )
        await connection.close()

    asyncio.run(dialogue())
