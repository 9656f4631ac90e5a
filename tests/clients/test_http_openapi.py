"""The OpenAPI document against the node: what it allows is answered as it says, what it does not is refused."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.node_process import NodeProcess

from helios_cli.engine.net import openapi

DOCUMENT = openapi.document()
CHANGES_LIFE = {"/admin/stop", "/admin/promote", "/admin/switchover", "/admin/standby/remove", "/admin/reload"}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
TEXTS = st.sampled_from(
    ["SELECT 1", "SELECT $1", "SELECT $1::int + $2::int", "selec", "SELECT 1/0", "",
     "CREATE TABLE IF NOT EXISTS z (a int)", "INSERT INTO z VALUES ($1)", "SELECT * FROM z LIMIT 3",
     "BEGIN", "COMMIT", "LISTEN x", "COPY z TO STDOUT",
     "int4", "text[]", "0/1", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6:1", "SET timezone = 'UTC'", "SELECT NULL::jsonb"]
) | st.text(max_size=6)  # fmt: skip


def values(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """What a schema of the document allows."""
    kind = schema.get("type")
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if isinstance(kind, list):
        return st.one_of(*(values({**schema, "type": one}) for one in kind))
    simple: dict[str, st.SearchStrategy[Any]] = {
        "string": TEXTS,
        "boolean": st.booleans(),
        "null": st.none(),
        "number": st.floats(0.001, 3600),
        "integer": st.integers(schema.get("minimum", -5), schema.get("maximum", 2**40)),
    }
    if kind == "array":
        return st.lists(values(schema["items"]), min_size=schema.get("minItems", 0), max_size=4)
    if kind == "object":
        required = set(schema.get("required", ()))
        members = {name: values(one) for name, one in schema.get("properties", {}).items()}
        return st.fixed_dictionaries(
            {name: one for name, one in members.items() if name in required},
            optional={name: one for name, one in members.items() if name not in required},
        )
    return simple.get(str(kind), ANYTHING)


def ask(
    node: NodeProcess, method: str, path: str, body: str | bytes | None, headers: dict[str, str]
) -> tuple[int, str]:
    with closing(http.client.HTTPConnection("127.0.0.1", node.http_port, timeout=20)) as connection:
        connection.request(method, path, body, headers)
        with connection.getresponse() as answer:
            return answer.status, answer.read().decode()


FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
POSTS = {path: methods["post"] for path, methods in DOCUMENT["paths"].items() if "post" in methods}


def schema_of(operation: Mapping[str, Any]) -> Mapping[str, Any]:
    schema: Mapping[str, Any] = operation["requestBody"]["content"]["application/json"]["schema"]
    return schema


@FUZZ
@given(data=st.data())
def test_sql_as_the_document_allows(server: NodeProcess, data: st.DataObject) -> None:
    operation = POSTS["/sql"]
    body = data.draw(values(schema_of(operation)))
    accept = data.draw(st.sampled_from(["*/*", *operation["responses"]["200"]["content"], "image/png"]))
    headers = {"Content-Type": "application/json", "Accept": accept}
    status, text = ask(server, "POST", "/sql", json.dumps(body), headers)
    assert str(status) in operation["responses"], (status, text)
    if status != 200:
        error = json.loads(text)["error"]
        assert error["message"]
        assert error.get("sqlstate") != "XX000", text
    elif accept == "*/*":
        answer = json.loads(text)
        assert ("results" in answer) == ("statements" in body)


@FUZZ
@given(body=ANYTHING.map(json.dumps) | st.binary(max_size=40))
def test_sql_as_it_does_not(server: NodeProcess, body: str | bytes) -> None:
    status, text = ask(server, "POST", "/sql", body, {"Content-Type": "application/json"})
    assert status == 400, text
    assert json.loads(text)["error"]["sqlstate"] == "08P01"


@pytest.mark.parametrize("path", sorted(POSTS.keys() - CHANGES_LIFE - {"/sql"}))
@settings(FUZZ, max_examples=15)
@given(data=st.data())
def test_verbs(server: NodeProcess, path: str, data: st.DataObject) -> None:
    operation = POSTS[path]
    body = data.draw(values(schema_of(operation)) | ANYTHING)
    if isinstance(body, dict) and path == "/admin/config":
        body["dry_run"] = True
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {server.token}"}
    status, text = ask(server, "POST", path, json.dumps(body), headers)
    assert str(status) in operation["responses"], (status, text)
    assert isinstance(json.loads(text), dict)
    if status == 500:
        assert json.loads(text).get("sqlstate"), text


@pytest.mark.parametrize("path", sorted(POSTS.keys() - {"/sql"}))
def test_verbs_want_their_token(server: NodeProcess, path: str) -> None:
    assert ask(server, "POST", path, "{}", {})[0] == 401
    assert ask(server, "POST", path, "{}", {"Authorization": "Bearer x"})[0] == 403
    basic = {"Authorization": "Basic aGVsaW9zOng="}
    assert ask(server, "POST", path, "{}", basic)[0] == 401
