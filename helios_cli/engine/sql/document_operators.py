"""Operators over json, jsonb and arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from helios_cli.engine.sql.oids import ANYARRAY, BOOL, INT4, JSON, JSONB, JSONPATH, TEXT
from helios_cli.engine.sql.operator_spec import Operator

TEXT_ARRAY: Final = 1009


def document_operators() -> Iterator[Operator]:
    """Every operator of documents and arrays."""
    for oid in (JSON, JSONB):
        for key in (INT4, TEXT):
            yield Operator("->", (oid, key), oid, f"pg_json_get({{0}}, {{1}}, {oid})")
            yield Operator("->>", (oid, key), TEXT, f"pg_json_get_text({{0}}, {{1}}, {oid})")
        yield Operator("#>", (oid, TEXT_ARRAY), oid, f"pg_json_path({{0}}, {{1}}, {oid})")
        yield Operator("#>>", (oid, TEXT_ARRAY), TEXT, f"pg_json_path_text({{0}}, {{1}}, {oid})")
    for key in (INT4, TEXT, TEXT_ARRAY):
        yield Operator("-", (JSONB, key), JSONB, f"pg_jsonb_delete({{0}}, {{1}}, {key})")
    yield Operator("#-", (JSONB, TEXT_ARRAY), JSONB, "pg_jsonb_delete_path({0}, {1})")
    yield Operator("@>", (JSONB, JSONB), BOOL, "pg_jsonb_contains({0}, {1})")
    yield Operator("<@", (JSONB, JSONB), BOOL, "pg_jsonb_contains({1}, {0})")
    yield Operator("@?", (JSONB, JSONPATH), BOOL, "pg_jsonpath_exists({0}, {1})")
    yield Operator("@@", (JSONB, JSONPATH), BOOL, "pg_jsonpath_match({0}, {1})")
    yield Operator("?", (JSONB, TEXT), BOOL, "pg_jsonb_exists({0}, {1})")
    yield Operator("?|", (JSONB, TEXT_ARRAY), BOOL, "pg_jsonb_exists_any({0}, {1})")
    yield Operator("?&", (JSONB, TEXT_ARRAY), BOOL, "pg_jsonb_exists_all({0}, {1})")
    yield Operator("@>", (ANYARRAY, ANYARRAY), BOOL, "pg_array_contains({elem}, {0}, {1})")
    yield Operator("<@", (ANYARRAY, ANYARRAY), BOOL, "pg_array_contains({elem}, {1}, {0})")
    yield Operator("&&", (ANYARRAY, ANYARRAY), BOOL, "pg_array_overlaps({elem}, {0}, {1})")
