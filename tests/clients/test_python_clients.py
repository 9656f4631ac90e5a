"""psycopg2, pg8000, SQLAlchemy, Alembic and pgcli do against a node what their users do; expected is what PostgreSQL 15
answers them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from support.node_process import NodeProcess

HOST = "127.0.0.1"


@pytest.fixture(autouse=True)
def empty(server: NodeProcess) -> Iterator[None]:
    yield
    with server.connect() as connection:
        names = connection.execute(
            "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
        for (name,) in names:
            connection.execute(f"DROP TABLE IF EXISTS {name} CASCADE")


# psycopg2 ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def psycopg2_connection(server: NodeProcess) -> Iterator[Any]:
    psycopg2 = pytest.importorskip("psycopg2")
    connection = psycopg2.connect(host=HOST, port=server.pg_port, user="tester", dbname="heliosdb")
    yield connection
    connection.close()


def test_psycopg2_values_batches_and_copy(psycopg2_connection: Any) -> None:
    extras = pytest.importorskip("psycopg2.extras")
    cursor = psycopg2_connection.cursor(cursor_factory=extras.DictCursor)
    cursor.execute("CREATE TABLE item (id serial PRIMARY KEY, name text, price numeric(8, 2), tags text[], doc jsonb)")
    rows = [("pen", Decimal("1.50"), ["a", "b"], extras.Json({"x": 1})), ("ink", None, [], extras.Json([1, None]))]
    found = extras.execute_values(
        cursor, "INSERT INTO item (name, price, tags, doc) VALUES %s RETURNING id", rows, fetch=True
    )
    assert [row[0] for row in found] == [1, 2]
    cursor.execute("SELECT * FROM item ORDER BY id")
    assert [dict(row) for row in cursor] == [
        {"id": 1, "name": "pen", "price": Decimal("1.50"), "tags": ["a", "b"], "doc": {"x": 1}},
        {"id": 2, "name": "ink", "price": None, "tags": [], "doc": [1, None]},
    ]
    cursor.copy_expert("COPY item (name) FROM STDIN", StringIO("nib\n\\N\n"))
    out = StringIO()
    cursor.copy_expert("COPY (SELECT id, name FROM item WHERE id > 2 ORDER BY 1) TO STDOUT WITH CSV", out)
    assert (cursor.rowcount, out.getvalue()) == (2, "3,nib\n4,\n")
    psycopg2_connection.commit()


def test_psycopg2_cursors_notices_and_states(psycopg2_connection: Any) -> None:
    extensions = pytest.importorskip("psycopg2.extensions")
    psycopg2_connection.set_session(isolation_level="SERIALIZABLE", readonly=True, deferrable=True)
    cursor = psycopg2_connection.cursor()
    cursor.execute("SHOW transaction_deferrable")
    assert cursor.fetchone() == ("on",)
    named = psycopg2_connection.cursor("some", scrollable=True)
    named.execute("SELECT generate_series(0, 9)")
    named.scroll(2)
    assert named.fetchone() == (2,)
    named.scroll(9, mode="absolute")
    assert named.fetchone() == (9,)
    assert psycopg2_connection.info.transaction_status == extensions.TRANSACTION_STATUS_INTRANS
    psycopg2_connection.rollback()
    psycopg2_connection.set_session(
        isolation_level="DEFAULT", readonly="DEFAULT", deferrable="DEFAULT", autocommit=True
    )
    cursor.execute("DROP TABLE IF EXISTS nothing")
    assert psycopg2_connection.notices == ['NOTICE:  table "nothing" does not exist, skipping\n']
    cursor.execute("SET client_min_messages = warning; DROP TABLE IF EXISTS nothing; ROLLBACK")
    cursor.execute("SET client_min_messages = error; ROLLBACK")
    assert psycopg2_connection.notices[1:] == ["WARNING:  there is no transaction in progress\n"]
    cursor.execute("LISTEN news; NOTIFY news, 'hello'")
    psycopg2_connection.poll()
    assert [(one.channel, one.payload) for one in psycopg2_connection.notifies] == [("news", "hello")]
    named_error = None
    try:
        cursor.execute("SELECT no_such_column")
    except psycopg2_connection.ProgrammingError as error:
        named_error = (error.pgcode, error.diag.statement_position)
    assert named_error == ("42703", "8")


def test_a_deferred_key_fails_at_commit_and_by_set_constraints(psycopg2_connection: Any) -> None:
    cursor = psycopg2_connection.cursor()
    cursor.execute("CREATE TABLE parent (id int PRIMARY KEY)")
    cursor.execute("CREATE TABLE child (p int CONSTRAINT child_p REFERENCES parent DEFERRABLE)")
    psycopg2_connection.commit()
    cursor.execute("SET CONSTRAINTS child_p DEFERRED")
    cursor.execute("INSERT INTO child VALUES (7)")
    with pytest.raises(psycopg2_connection.IntegrityError) as at_commit:
        psycopg2_connection.commit()
    assert (at_commit.value.pgcode, at_commit.value.diag.constraint_name) == ("23503", "child_p")
    cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    cursor.execute("INSERT INTO child VALUES (8)")
    with pytest.raises(psycopg2_connection.IntegrityError):
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    psycopg2_connection.rollback()
    cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    cursor.execute("INSERT INTO child VALUES (9)")
    cursor.execute("INSERT INTO parent VALUES (9)")
    cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    psycopg2_connection.commit()
    cursor.execute("SELECT p FROM child")
    assert cursor.fetchall() == [(9,)]
    with pytest.raises(psycopg2_connection.ProgrammingError) as unknown:
        cursor.execute("SET CONSTRAINTS nothing DEFERRED")
    assert unknown.value.pgcode == "42704"


def test_temporary_tables_in_a_transaction_that_has_written(psycopg2_connection: Any) -> None:
    cursor = psycopg2_connection.cursor()
    cursor.execute("CREATE TABLE kept (a int)")
    cursor.execute("INSERT INTO kept VALUES (1)")
    cursor.execute("SAVEPOINT s")
    cursor.execute("CREATE TEMPORARY TABLE other AS SELECT a + 1 AS a FROM kept")
    cursor.execute("ROLLBACK TO s")
    cursor.execute("CREATE TEMPORARY TABLE other AS SELECT a + 2 AS a FROM kept")
    cursor.execute("INSERT INTO kept SELECT a FROM other")
    psycopg2_connection.commit()
    cursor.execute("SELECT a FROM kept ORDER BY a")
    assert cursor.fetchall() == [(1,), (3,)]
    cursor.execute("SELECT a FROM other")
    assert cursor.fetchall() == [(3,)]


# pg8000 --------------------------------------------------------------------------------------------------------------


def test_pg8000(server: NodeProcess) -> None:
    dbapi = pytest.importorskip("pg8000.dbapi")
    connection = dbapi.connect(user="tester", host=HOST, port=server.pg_port, database="heliosdb")
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE book (id bigserial PRIMARY KEY, title varchar(20), added timestamptz, pages int[])")
    moment = datetime(2024, 2, 29, 12, 30, tzinfo=UTC)
    cursor.executemany(
        "INSERT INTO book (title, added, pages) VALUES (%s, %s, %s)", [("one", moment, [1, 2]), ("two", None, None)]
    )
    cursor.execute("SELECT title, added, pages FROM book WHERE id = ANY(%s) ORDER BY id", ([1, 2],))
    assert list(cursor.fetchall()) == [["one", moment, [1, 2]], ["two", None, None]]
    assert [column[:2] for column in cursor.description] == [("title", 1043), ("added", 1184), ("pages", 1007)]
    cursor.execute("SELECT %s::interval, %s::date, %s::uuid IS NULL", (timedelta(days=1), date(2020, 1, 2), None))
    assert cursor.fetchone() == [timedelta(days=1), date(2020, 1, 2), True]
    with pytest.raises(dbapi.DatabaseError) as caught:
        cursor.execute("INSERT INTO book (title) VALUES (%s)", ("x" * 21,))
    assert caught.value.args[0]["C"] == "22001"
    connection.rollback()
    connection.close()


# SQLAlchemy ----------------------------------------------------------------------------------------------------------


def engine_of(server: NodeProcess, driver: str = "psycopg") -> Any:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    return sqlalchemy.create_engine(f"postgresql+{driver}://tester@{HOST}:{server.pg_port}/heliosdb")


def test_sqlalchemy_orm(server: NodeProcess) -> None:
    sa = pytest.importorskip("sqlalchemy")
    orm = pytest.importorskip("sqlalchemy.orm")
    postgresql = pytest.importorskip("sqlalchemy.dialects.postgresql")
    base = orm.declarative_base()
    engine = engine_of(server)

    author: Any = type("Author", (base,), {
        "__tablename__": "author", "id": sa.Column(sa.Integer, primary_key=True),
        "name": sa.Column(sa.String(40), unique=True),
        "data": sa.Column(postgresql.JSONB), "books": orm.relationship("Volume", back_populates="author"),
    })  # fmt: skip
    volume: Any = type("Volume", (base,), {
        "__tablename__": "volume", "id": sa.Column(sa.Integer, sa.Identity(), primary_key=True),
        "title": sa.Column(sa.Text, nullable=False), "author_id": sa.Column(sa.ForeignKey("author.id")),
        "author": orm.relationship("Author", back_populates="books"),
    })  # fmt: skip
    base.metadata.create_all(engine)
    with orm.Session(engine) as session:
        session.add_all([
            author(name=f"a{n}", data={"n": n}, books=[volume(title=f"t{n}{m}") for m in range(3)]) for n in range(50)
        ])  # fmt: skip
        session.commit()
        found = session.scalars(
            sa.select(author).options(orm.selectinload(author.books)).where(author.data["n"].as_integer() < 2)
            .order_by(author.id)
        ).all()  # fmt: skip
        assert [(one.name, [book.title for book in one.books]) for one in found] == [
            ("a0", ["t00", "t01", "t02"]), ("a1", ["t10", "t11", "t12"])
        ]  # fmt: skip
        upsert = postgresql.insert(author).values(name="a0", data={"n": -1})
        upsert = upsert.on_conflict_do_update(index_elements=["name"], set_={"data": upsert.excluded.data})
        session.execute(upsert)
        assert session.scalar(sa.select(author.data["n"].astext).where(author.name == "a0")) == "-1"
        assert session.execute(sa.update(volume).where(volume.id > 140).values(title="x")).rowcount == 10
        counted = sa.select(sa.func.count(), sa.func.max(volume.id)).join(author)
        assert tuple(session.execute(counted).one()) == (150, 150)
        with pytest.raises(sa.exc.IntegrityError), session.begin_nested():
            session.add(author(name="a1"))
            session.flush()
    engine.dispose()


def test_sqlalchemy_reflection(server: NodeProcess) -> None:
    sa = pytest.importorskip("sqlalchemy")
    engine = engine_of(server)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE one (a int, b text, PRIMARY KEY (a, b))")
        connection.exec_driver_sql(
            "CREATE TABLE two (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, a int, b text, "
            "price numeric(8, 2) DEFAULT 1.5 NOT NULL CONSTRAINT price_positive CHECK (price > 0), "
            "CONSTRAINT to_one FOREIGN KEY (a, b) REFERENCES one ON DELETE CASCADE, CONSTRAINT two_b UNIQUE (b, a))"
        )
        connection.exec_driver_sql("CREATE INDEX two_lower ON two (lower(b)) WHERE a > 0")
        connection.exec_driver_sql("COMMENT ON COLUMN two.price IS 'what it costs'")
        connection.exec_driver_sql("COMMENT ON TABLE two IS 'the second'")
    inspector = sa.inspect(engine)
    assert sorted(inspector.get_table_names()) == ["one", "two"]
    columns = {column["name"]: column for column in inspector.get_columns("two")}
    assert (str(columns["price"]["type"]), columns["price"]["default"], columns["price"]["nullable"]) == (
        "NUMERIC(8, 2)", "1.5", False
    )  # fmt: skip
    assert columns["price"]["comment"] == "what it costs"
    assert columns["id"]["identity"]["always"] is False
    assert inspector.get_pk_constraint("one")["constrained_columns"] == ["a", "b"]
    (key,) = inspector.get_foreign_keys("two")
    assert (key["name"], key["constrained_columns"], key["referred_columns"], key["options"]) == (
        "to_one", ["a", "b"], ["a", "b"], {"ondelete": "CASCADE"}
    )  # fmt: skip
    assert [(one["name"], one["column_names"]) for one in inspector.get_unique_constraints("two")] == [
        ("two_b", ["b", "a"])
    ]
    assert [(one["name"], one["sqltext"]) for one in inspector.get_check_constraints("two")] == [
        ("price_positive", "price > 0::numeric")
    ]
    indexes = {one["name"]: one for one in inspector.get_indexes("two")}
    assert indexes["two_lower"]["expressions"] == ["lower(b)"]
    assert indexes["two_lower"]["dialect_options"]["postgresql_where"] == "(a > 0)"
    assert indexes["two_b"]["duplicates_constraint"] == "two_b"
    assert inspector.get_table_comment("two") == {"text": "the second"}
    engine.dispose()


def test_alembic_upgrades_and_compares(server: NodeProcess) -> None:
    sa = pytest.importorskip("sqlalchemy")
    migration = pytest.importorskip("alembic.migration")
    operations = pytest.importorskip("alembic.operations")
    autogenerate = pytest.importorskip("alembic.autogenerate")
    engine = engine_of(server, "psycopg2")
    with engine.begin() as connection:
        context = migration.MigrationContext.configure(connection)
        op = operations.Operations(context)
        op.create_table(
            "account", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(50), nullable=False),
            sa.Column("on", sa.Boolean, server_default=sa.text("true"), nullable=False),
        )  # fmt: skip
        op.add_column("account", sa.Column("balance", sa.Numeric(10, 2), server_default="0"))
        op.alter_column("account", "name", type_=sa.Text(), existing_nullable=False)
        op.create_index("account_name", "account", ["name"], unique=True)
        op.execute("INSERT INTO account (name) VALUES ('x')")
        op.drop_column("account", "on")
    wanted = sa.MetaData()
    account = sa.Table(
        "account", wanted, sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Text, nullable=False),
        sa.Column("balance", sa.Numeric(10, 2), server_default="0"), sa.Index("account_name", "name", unique=True),
    )  # fmt: skip
    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        context = migration.MigrationContext.configure(connection, opts=options)
        assert autogenerate.compare_metadata(context, wanted) == []
        account.append_column(sa.Column("note", sa.String(10)))
        (difference,) = autogenerate.compare_metadata(context, wanted)
        assert (difference[0], difference[3].name) == ("add_column", "note")
    engine.dispose()


# pgcli ---------------------------------------------------------------------------------------------------------------


def test_what_pgcli_completes(server: NodeProcess) -> None:
    pgexecute = pytest.importorskip("pgcli.pgexecute")
    pgspecial = pytest.importorskip("pgspecial.main")
    with server.connect() as connection:
        connection.execute("CREATE TABLE shelf (id int PRIMARY KEY, room text DEFAULT 'hall')")
        connection.execute(
            "CREATE TABLE vase (id int, shelf int REFERENCES shelf); CREATE VIEW seen AS SELECT 1 AS one"
        )
    executor = pgexecute.PGExecute("heliosdb", "tester", "", HOST, server.pg_port)
    assert executor.search_path()[-1] == "public"
    assert "public" in executor.schemata()
    assert ("public", "shelf") in list(executor.tables())
    assert ("public", "seen") in list(executor.views())
    columns = [tuple(column) for column in executor.table_columns() if column[1] == "shelf"]
    assert columns == [("public", "shelf", "id", "integer", False, None),
                       ("public", "shelf", "room", "text", True, "'hall'::text")]  # fmt: skip
    (key,) = executor.foreignkeys()
    assert (key.parenttable, key.parentcolumn, key.childtable, key.childcolumn) == ("shelf", "id", "vase", "shelf")
    assert "heliosdb" in executor.databases()
    assert list(executor.datatypes()) == []
    lengths = [list(one.arg_types) for one in executor.functions() if one.func_name == "length"]
    assert ["text"] in lengths
    ((_title, rows, headers, status, *_rest),) = executor.run("SELECT 1 AS one, 'x' AS two")
    assert (list(rows), headers, status) == ([(1, "x")], ["one", "two"], "SELECT 1")
    ((_title, rows, headers, *_rest),) = executor.run("\\dt shelf", pgspecial.PGSpecial())
    assert [tuple(row)[:3] for row in rows] == [("public", "shelf", "table")]
    executor.conn.close()
    with server.connect() as connection:
        connection.execute("DROP VIEW seen")
