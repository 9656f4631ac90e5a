"""Operators, their families and descriptions of objects: what PostgreSQL 15 answers."""

from __future__ import annotations

from typing import Any

import apsw
import pytest
from support.catalog_schema import Schema

from helios_cli.engine.errors import SqlError

FAMILY = (
    "SELECT o.amopstrategy, o.amopopr::regoperator::text FROM pg_amop o JOIN pg_opfamily f ON f.oid = o.amopfamily "
    "JOIN pg_am a ON a.oid = f.opfmethod WHERE a.amname = 'btree' AND f.opfname = 'integer_ops' "
    "AND o.amoplefttype = 'int4'::regtype AND o.amoprighttype = 'int8'::regtype ORDER BY 1"
)
CASES: dict[str, list[Any]] = {
    FAMILY: [
        (1, "<(integer,bigint)"), (2, "<=(integer,bigint)"), (3, "=(integer,bigint)"), (4, ">=(integer,bigint)"),
        (5, ">(integer,bigint)"),
    ],
    "SELECT c.opcname, f.opfname FROM pg_opclass c JOIN pg_opfamily f ON f.oid = c.opcfamily JOIN pg_am a "
    "ON a.oid = c.opcmethod WHERE a.amname = 'gist' AND c.opcintype = 'tsvector'::regtype":
        [("tsvector_ops", "tsvector_ops")],
    "SELECT count(*) FROM pg_opclass c WHERE NOT EXISTS (SELECT FROM pg_opfamily f WHERE f.oid = c.opcfamily)": [(0,)],
    "SELECT count(*) FROM pg_amop o WHERE NOT EXISTS (SELECT FROM pg_operator p WHERE p.oid = o.amopopr)": [(0,)],
    "SELECT amprocnum, amproc::oid FROM pg_amproc WHERE amprocfamily = 1976 AND amproclefttype = 23 "
    "AND amprocrighttype = 23 ORDER BY 1": [(1, 351), (2, 3130), (3, 4128), (4, 5051)],
    "SELECT 96::regoperator::text, 96::regoper::text, 484::regoperator::text, 1054::regoperator::text, "
    "0::regoperator::text": [("=(integer,integer)", "pg_catalog.=", "-(NONE,bigint)", "=(character,character)", "0")],
    "SELECT '=(int4,int4)'::regoperator::oid, '-(none,bigint)'::regoperator::oid, '!!'::regoper::oid":
        [(96, 484, 3682)],
    "SELECT pg_describe_object(1259, t.oid, 1), pg_describe_object(2617, 96, 0), pg_describe_object(1247, 23, 0) "
    "FROM pg_class t WHERE t.relname = 't0'":
        [("column id of table t0", "operator =(integer,integer)", "type integer")],
    "SELECT pg_describe_object(2606, c.oid, 0) FROM pg_constraint c WHERE c.conname = 't0_pkey'":
        [("constraint t0_pkey on table t0",)],
    "SELECT pg_describe_object(1255, 1299, 0), pg_describe_object(2615, 2200, 0), pg_describe_object(1259, 1, 0)":
        [("function now()", "schema public", None)],
    "SELECT pg_tablespace_size(1664)": [(0,)],
    "SELECT count(*) FROM pg_stats": [(0,)],
}  # fmt: skip
ERRORS = {
    "SELECT '='::regoper": ("42725", "more than one operator named ="),
    "SELECT '=(int4,text)'::regoperator": ("42883", "operator does not exist: =(int4,text)"),
    "SELECT '='::regoperator": ("22P02", "expected a left parenthesis"),
}


@pytest.fixture(scope="module")
def schema() -> Schema:
    return Schema(1)


@pytest.mark.parametrize("sql", CASES)
def test_answers(schema: Schema, sql: str) -> None:
    assert schema.rows(sql) == CASES[sql]


@pytest.mark.parametrize("sql", ERRORS)
def test_errors(schema: Schema, sql: str) -> None:
    with pytest.raises((SqlError, apsw.Error)) as caught:
        schema.rows(sql)
    assert ERRORS[sql][1] in str(caught.value)
