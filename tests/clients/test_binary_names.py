"""regclass and its kin in the binary format: the OID in four bytes, as PostgreSQL sends and takes it."""

from __future__ import annotations

from struct import pack
from typing import Any

import psycopg
from psycopg.pq import DiagnosticField
from support.node_process import NodeProcess

SYSTEM = [
    "SELECT 'pg_class'::regclass, 'int4'::regtype, 'now'::regproc, 'abs(int)'::regprocedure, '+(int,int)'::regoperator",
    "SELECT 'pg_catalog'::regnamespace, '\"C\"'::regcollation, 'simple'::regconfig, 'simple'::regdictionary",
    "SELECT pg_typeof(1), NULL::regclass, 0::regclass, 99999999::oid::regclass",
    "VALUES ('pg_class'::regclass), ('pg_type')",
    "SELECT 'pg_class'::regclass UNION ALL SELECT 'pg_type'::regclass",
    "SELECT ARRAY['pg_class'::regclass], ROW('int4'::regtype)",
    "SELECT typinput, typoutput FROM pg_type WHERE typname = 'int4'",
]
TYPES = {2205: 1259, 2206: 23, 24: 1299, 2202: 1397, 2204: 551, 4089: 11, 4191: 950, 3734: 3748}


def _answers(connection: psycopg.Connection[Any]) -> list[Any]:
    raw, found = connection.pgconn, list[Any]()
    for query in SYSTEM:
        result = raw.exec_params(query.encode(), [], result_format=1)
        columns = range(result.nfields)
        found.append([[result.get_value(row, column) for column in columns] for row in range(result.ntuples)])
    for type_oid, oid in TYPES.items():
        for shown in (0, 1):
            result = raw.exec_params(b"SELECT $1", [pack("!I", oid)], [type_oid], [1], shown)
            found.append(result.get_value(0, 0))
        wrong = raw.exec_params(b"SELECT $1", [b"abc"], param_types=[type_oid], param_formats=[1])
        found.append((wrong.error_field(DiagnosticField.SQLSTATE), wrong.error_field(DiagnosticField.MESSAGE_PRIMARY)))
    return found


def test_they_are_oids_as_in_postgresql(server: NodeProcess, reference: int) -> None:
    given = f"host=127.0.0.1 port={reference} user=postgres dbname=postgres"
    with server.connect(autocommit=True) as connection, psycopg.connect(given, autocommit=True) as real:
        assert _answers(connection) == _answers(real)


def test_objects_of_users_and_what_functions_return(server: NodeProcess) -> None:
    with server.connect(autocommit=True) as connection:
        connection.execute("CREATE SCHEMA apart; CREATE TABLE apart.named (r regclass)")
        connection.execute(
            "CREATE FUNCTION which() RETURNS regclass LANGUAGE sql AS $$ SELECT 'apart.named'::regclass $$"
        )
        oid = connection.execute("SELECT 'apart.named'::regclass::oid").fetchone()
        assert oid is not None
        raw = connection.pgconn
        for query in (
            "SELECT 'apart.named'::regclass", "SELECT which()", "SELECT * FROM which()",
            "INSERT INTO apart.named VALUES ('apart.named') RETURNING r", "SELECT r FROM apart.named",
            "WITH made AS (UPDATE apart.named SET r = r RETURNING r) SELECT r FROM made",
        ):  # fmt: skip
            binary = raw.exec_params(query.encode(), [], result_format=1)
            assert (query, binary.get_value(0, 0)) == (query, pack("!I", oid[0]))
            assert raw.exec_params(query.encode(), [], result_format=0).get_value(0, 0) == b"apart.named"
        with connection.cursor().copy("COPY (SELECT r FROM apart.named) TO STDOUT (FORMAT binary)") as copy:
            assert pack("!hiI", 1, 4, oid[0]) in b"".join(copy)
