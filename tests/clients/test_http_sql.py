"""``POST /sql``: values, errors, transactions, streams, credentials, and the document that describes it all."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import psutil
import psycopg
import pytest
from support.node_process import NodeProcess, wait_until

from helios_cli.engine.net.http_message import Request
from helios_cli.engine.net.sql_service import AT_ONCE
from helios_cli.engine.node.http_sql import SqlOverHttp

ROOT = Path(__file__).resolve().parents[2]
JSON = {"Content-Type": "application/json"}
Answered = tuple[int, Any]


def post(
    node: NodeProcess, body: Any, *, accept: str = "", headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], str]:
    sent = {**JSON, **({"Accept": accept} if accept else {}), **(headers or {})}
    with closing(http.client.HTTPConnection("127.0.0.1", node.http_port, timeout=20)) as connection:
        connection.request("POST", "/sql", body if isinstance(body, str | bytes) else json.dumps(body), sent)
        with connection.getresponse() as answer:
            text = answer.read().decode()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text


def sql(node: NodeProcess, statement: str, *params: Any, **more: Any) -> Answered:
    status, _, text = post(node, {"sql": statement, "params": list(params), **more})
    return status, json.loads(text)


def value(node: NodeProcess, expression: str, *params: Any) -> Any:
    status, answer = sql(node, f"SELECT {expression}", *params)
    assert status == 200, answer
    return answer["rows"][0][0]


# Values ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("9007199254740992::int8", 9007199254740992), ("9007199254740993::int8", "9007199254740993"),
        ("-9223372036854775808", "-9223372036854775808"), ("1.50::numeric", 1.5), ("0.1::numeric", "0.1"),
        ("'NaN'::numeric", "NaN"), ("0.1::float8", 0.1), ("'-Infinity'::float8", "-Infinity"), ("true", True),
        ("NULL::int", None), ("'\\x00ff'::bytea", "\\x00ff"), ("'{\"a\": [1, null]}'::jsonb", {"a": [1, None]}),
        ("'[1,\n2]'::json", [1, 2]), ("ARRAY[1, NULL, 3]", [1, None, 3]), ("'{}'::int[]", []),
        ("ARRAY[ARRAY['a,b', NULL], ARRAY['\"', 'ü']]", [["a,b", None], ['"', "ü"]]),
        ("ARRAY[0.1, 2]::numeric[]", ["0.1", 2]), ("ARRAY[true, false]", [True, False]),
        ("timestamp '2026-01-02 03:04:05.5'", "2026-01-02T03:04:05.5"),
        ("timestamptz '2026-01-02 03:04:05+00'", "2026-01-02T03:04:05+00:00"), ("'infinity'::timestamp", "infinity"),
        ("timestamp '0044-03-15 12:00:00 BC'", "0044-03-15 12:00:00 BC"), ("date '2026-01-02'", "2026-01-02"),
        ("ARRAY[timestamp '2026-01-02 00:00:00']", ["2026-01-02T00:00:00"]),
        ("'é\u2028\"\\'::text", 'é\u2028"\\'), ("interval '1 day 2 hours'", "1 day 02:00:00"),
    ],
)  # fmt: skip
def test_values(server: NodeProcess, expression: str, expected: Any) -> None:
    assert value(server, expression) == expected


@pytest.mark.parametrize(
    ("expression", "param", "expected"),
    [
        ("$1::int", 7, 7), ("$1::bool", True, True), ("$1::numeric = 0.1", 0.1, True), ("$1::text", None, None),
        ("$1::jsonb", {"a": [1, 2.5, "x", None, True]}, {"a": [1, 2.5, "x", None, True]}), ("$1::jsonb", "[1]", [1]),
        ("$1::jsonb", 5, 5), ("$1::jsonb", [1, "b"], [1, "b"]), ("$1::int[]", [1, None, [2]][:2], [1, None]),
        ("$1::text[]", ['a"b', "NULL", "", "x\\y"], ['a"b', "NULL", "", "x\\y"]),
        ("$1::int[]", [[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        ("$1::timestamptz", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05+00:00"), ("$1::bytea", "\\xff", "\\xff"),
    ],
)  # fmt: skip
def test_parameters(server: NodeProcess, expression: str, param: Any, expected: Any) -> None:
    assert value(server, expression, param) == expected


def test_numbers_keep_their_digits(server: NodeProcess) -> None:
    body = (
        '{"sql": "SELECT $1::numeric::text, $2::int8::text", "params": [0.10000000000000000001, 9223372036854775807]}'
    )
    assert json.loads(post(server, body)[2])["rows"] == [["0.10000000000000000001", "9223372036854775807"]]


def test_declared_types(server: NodeProcess) -> None:
    answer = sql(server, "SELECT $1, $2", "5", ["x"], types=["int8", "text[]"])[1]
    assert [column["type"] for column in answer["columns"]] == ["bigint", "text[]"]
    assert answer["rows"] == [[5, ["x"]]]
    assert sql(server, "SELECT $1", "5", types=["nope"])[1]["error"]["sqlstate"] == "42704"


# What a statement comes to --------------------------------------------------------------------------------------------


@pytest.fixture
def table(server: NodeProcess) -> str:
    with server.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS h; CREATE TABLE h (a int PRIMARY KEY, b text)")
    return "h"


def test_commands_and_counts(server: NodeProcess, table: str) -> None:
    told = [
        sql(server, statement)[1]
        for statement in (
            "INSERT INTO h VALUES (1), (2)", "UPDATE h SET b = 'x'", "SELECT * FROM h", "DELETE FROM h RETURNING a",
            "CREATE TABLE IF NOT EXISTS h (a int)", "SET work_mem = '8MB'", "SHOW datestyle",
        )
    ]  # fmt: skip
    assert [(one["command"], one["row_count"]) for one in told] == [
        ("INSERT", 2), ("UPDATE", 2), ("SELECT", 2), ("DELETE", 2), ("CREATE TABLE", 0), ("SET", 0), ("SHOW", 1)
    ]  # fmt: skip
    assert told[4]["notices"][0]["sqlstate"] == "42P07"
    assert told[3]["rows"] == [[1], [2]]


@pytest.mark.parametrize(
    ("body", "status", "sqlstate"),
    [
        ({"sql": "selec"}, 400, "42601"), ({"sql": "SELECT nope"}, 400, "42703"), ({"sql": "SELECT 1/0"}, 400, "22012"),
        ({"sql": "SELECT 1; SELECT 2"}, 400, "42601"), ({"sql": "SELECT $1::int", "params": ["x"]}, 400, "22P02"),
        ({"sql": "SELECT $1::int", "params": []}, 400, "08P01"), ({"sql": " "}, 400, "08P01"),
        ({"sql": "COPY pg_class TO STDOUT"}, 501, "0A000"), ({"sql": "COPY h FROM STDIN"}, 501, "0A000"),
        ({"sql": "SELECT pg_sleep(9)", "timeout_ms": 30}, 504, "57014"),
        ({"sql": "CREATE TABLE z (a int)", "read_only": True}, 409, "25006"),
        ({"sql": "SELECT 1", "min_lsn": "nonsense"}, 400, "22023"), ({"sql": "SELECT 1", "more": 1}, 400, "08P01"),
        ({"sql": "SELECT 1", "statements": []}, 400, "08P01"), ({}, 400, "08P01"), ([], 400, "08P01"),
        ({"sql": "SELECT 1", "max_rows": -1}, 400, "08P01"), ({"sql": "a\0"}, 400, "08P01"), ("{", 400, "08P01"),
        ({"statements": [{"sql": "SELECT 1"}], "params": [1]}, 400, "08P01"), (b'{"sql": "\xff"}', 400, "08P01"),
        ({"sql": "SELECT 1", "isolation": "serializable"}, 400, "08P01"), ({"sql": "SELECT '\ud800'"}, 400, "08P01"),
    ],
)  # fmt: skip
def test_errors(server: NodeProcess, table: str, body: Any, status: int, sqlstate: str) -> None:
    told, _, text = post(server, body)
    assert (told, json.loads(text)["error"]["sqlstate"]) == (status, sqlstate), text


def test_a_broken_constraint_is_told_whole(server: NodeProcess, table: str) -> None:
    sql(server, "INSERT INTO h VALUES (1)")
    assert sql(server, "INSERT INTO h VALUES ($1)", 1) == (409, {"error": {
        "sqlstate": "23505", "message": 'duplicate key value violates unique constraint "h_pkey"',
        "detail": "Key (a)=(1) already exists.", "schema": "public", "table": "h", "constraint": "h_pkey",
    }})  # fmt: skip


def test_a_transaction_is_all_or_nothing(server: NodeProcess, table: str) -> None:
    insert = {"sql": "INSERT INTO h VALUES ($1, $2)"}
    status, _, text = post(server, {"statements": [{**insert, "params": [1, "x"]}, {**insert, "params": [1, "y"]}]})
    assert (status, json.loads(text)["error"]["statement"]) == (409, 1)
    assert value(server, "count(*) FROM h") == 0
    good = {"statements": [{**insert, "params": [1, "x"]}, {"sql": "SELECT * FROM h"}], "isolation": "serializable"}
    status, _, text = post(server, good)
    assert [one["rows"] for one in json.loads(text)["results"]] == [[], [[1, "x"]]]
    refused = json.loads(post(server, {"statements": [{**insert, "params": [2, "x"]}], "read_only": True})[2])
    assert refused["error"]["sqlstate"] == "25006"
    ended = json.loads(post(server, {"statements": [{"sql": "ROLLBACK"}, {**insert, "params": [3, "x"]}]})[2])
    assert "results" in ended or "error" in ended
    assert value(server, "count(*) FROM h WHERE a = 2") == 0


def test_its_lsn_is_one_to_wait_for(server: NodeProcess, table: str) -> None:
    lsn = sql(server, "INSERT INTO h VALUES (1)")[1]["lsn"]
    assert sql(server, "SELECT a FROM h", min_lsn=lsn)[1]["rows"] == [[1]]


def test_a_write_id_does_it_once(server: NodeProcess, table: str) -> None:
    for _ in range(2):
        assert sql(server, "INSERT INTO h VALUES (5) RETURNING a", write_id="f81d4fae-7dec-11d0-a765-00a0c91e6bf6:1")[
            1
        ]["rows"] == [[5]]


# Forms and streams ----------------------------------------------------------------------------------------------------


def test_json_lines(server: NodeProcess) -> None:
    _, headers, text = post(
        server, {"sql": "SELECT g, NULL FROM generate_series(1, 3) g"}, accept="application/x-ndjson"
    )
    head, *rows, tail = map(json.loads, text.splitlines())
    assert headers["content-type"] == "application/x-ndjson"
    assert [column["oid"] for column in head["columns"]] == [23, 25]
    assert rows == [[1, None], [2, None], [3, None]]
    assert tail["row_count"] == 3


def test_csv(server: NodeProcess) -> None:
    question = {"sql": "SELECT 'a,\"b' AS x, NULL AS y, '' AS z, 1.50 AS n"}
    assert post(server, question, accept="text/csv")[2] == 'x,y,z,n\r\n"a,""b",,"",1.50\r\n'


def test_other_forms_are_not_to_be_had(server: NodeProcess) -> None:
    assert post(server, {"sql": "SELECT 1"}, accept="image/png")[0] == 406


def test_row_limit(server: NodeProcess) -> None:
    answer = sql(server, "SELECT g FROM generate_series(1, 9) g", max_rows=2)[1]
    assert (answer["rows"], answer["row_count"], answer["truncated"]) == ([[1], [2]], 2, True)


def test_long_results_come_in_chunks(server: NodeProcess) -> None:
    statement = "SELECT g, repeat('x', 100) FROM generate_series(1, 20000) g"
    status, headers, text = post(server, {"sql": statement})
    answer = json.loads(text)
    assert (status, headers["transfer-encoding"], answer["row_count"]) == (200, "chunked", 20000)
    assert [row[0] for row in answer["rows"]] == list(range(1, 20001))


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson", "text/csv"])
def test_an_error_behind_rows(server: NodeProcess, accept: str) -> None:
    question = {"sql": "SELECT repeat('x', 100), 1 / (20000 - g) FROM generate_series(1, 30000) g"}
    if accept == "text/csv":
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            post(server, question, accept=accept)
        return
    text = post(server, question, accept=accept)[2]
    error = json.loads(text if accept == "application/json" else text.splitlines()[-1])["error"]
    assert error["sqlstate"] == "22012"


def test_an_error_in_a_later_statement_behind_rows(server: NodeProcess) -> None:
    rows = {"sql": "SELECT repeat('x', 100) FROM generate_series(1, 3000)"}
    answer = json.loads(post(server, {"statements": [rows, {"sql": "SELECT 1/0"}]})[2])
    assert (len(answer["results"]), answer["error"]["statement"]) == (1, 1)


def raw_request(node: NodeProcess, statement: str, version: str = "1.1") -> socket.socket:
    body = json.dumps({"sql": statement, "timeout_ms": 60_000}).encode()
    client = socket.create_connection(("127.0.0.1", node.http_port), 20)
    head = f"POST /sql HTTP/{version}\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"
    client.sendall(head.encode() + body)
    return client


def rss(node: NodeProcess) -> int:
    return int(psutil.Process(node.pid).memory_info().rss)


def running(node: NodeProcess, pattern: str) -> int:
    with node.connect() as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE %s AND pid <> pg_backend_pid()"
        row = connection.execute(query, (pattern,)).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize(
    "statement", ["SELECT pg_sleep(50)", "SELECT repeat('y', 1000) FROM generate_series(1, 5000000)"]
)
def test_a_client_that_goes_away_cancels_its_statement(server: NodeProcess, statement: str) -> None:
    client = raw_request(server, statement)
    wait_until(lambda: running(server, statement.replace("%", "")) == 1, "the statement runs")
    client.close()
    wait_until(lambda: running(server, statement) == 0, "the statement is cancelled")


def test_a_client_that_does_not_read_is_waited_for_in_little_memory(server: NodeProcess) -> None:
    statement = "SELECT repeat('z', 1000) FROM generate_series(1, 3000000)"
    before = rss(server)
    with raw_request(server, statement):
        wait_until(lambda: running(server, statement) == 1, "the statement runs")
        for _ in range(20):
            value(server, "1")
        assert rss(server) < before + 64 * 1024 * 1024
        wait_until(lambda: running(server, statement) == 0, "it is given up", seconds=30)


def test_http_1_0_has_no_chunks(server: NodeProcess) -> None:
    with raw_request(server, "SELECT repeat('x', 100) FROM generate_series(1, 3000)", "1.0") as client:
        data = b""
        while piece := client.recv(65536):
            data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert json.loads(body)["row_count"] == 3000


def test_a_connection_serves_many_requests(server: NodeProcess) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=20)
    for number in (1, 30_000, 2):
        connection.request("POST", "/sql", json.dumps({"sql": f"SELECT generate_series(1, {number})"}), JSON)
        assert json.loads(connection.getresponse().read())["row_count"] == number
    connection.close()


def test_so_many_at_a_time() -> None:
    class Outlet:
        answer: Any = None

        def respond(self, response: Any) -> None:
            self.answer = response

    handler, outlet = SqlOverHttp(cast(Any, None)), Outlet()
    handler.running = AT_ONCE
    asked = Request("POST", "/sql", JSON, b"{}", True)
    asyncio.run(handler(asked).run(cast(Any, outlet)))
    assert outlet.answer.status == 503
    assert outlet.answer.headers["Retry-After"] == "1"
    assert handler.running == AT_ONCE


# Who asks -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example"])
def test_without_credentials_no_other_name_is_asked_for(server: NodeProcess, host: str) -> None:
    status, _, text = post(server, {"sql": "SELECT 1"}, headers={"Host": host})
    assert (status, json.loads(text)["error"]["sqlstate"]) == (403, "28000")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_what_a_page_may_post_unasked_is_no_request(server: NodeProcess, kind: str) -> None:
    assert post(server, '{"sql": "SELECT 1"}', headers={"Content-Type": kind})[0] == 400


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    node = NodeProcess(tmp_path_factory.mktemp("guarded")).start()
    with node.connect() as connection:
        connection.execute("CREATE ROLE app LOGIN PASSWORD 'p:ä ss'; CREATE ROLE gone LOGIN PASSWORD 'x'")
        connection.execute("ALTER ROLE helios PASSWORD 'root'")
    yield node
    node.kill()


def asked(node: NodeProcess, authorization: str) -> tuple[int, Any]:
    headers = {"Authorization": authorization} if authorization else {}
    status, told, text = post(node, {"sql": "SELECT current_user"}, headers=headers)
    assert ("www-authenticate" in told) == (status == 401)
    answer = json.loads(text)
    return status, answer["rows"][0][0] if status == 200 else answer["error"]["sqlstate"]


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_passwords(guarded: NodeProcess) -> None:
    assert asked(guarded, basic("app", "p:ä ss")) == (200, "app")
    broken = ["Basic " + base64.b64encode(text).decode() for text in (b"app", b"\xff:x")]
    wrong = ["", "Basic", "Basic ?", "Digest x", "Bearer x", "Bearer hdb_x_y", *broken]
    wrong += [basic("app", "p"), basic("app", ""), basic("nobody", "x"), basic("", "x")]
    assert {asked(guarded, authorization) for authorization in wrong} == {(401, "28P01")}


def made(node: NodeProcess, *arguments: str) -> str:
    with psycopg.connect(
        host="127.0.0.1", port=node.pg_port, user="helios", password="root", dbname="heliosdb"
    ) as connection:
        places = ", ".join(["%s", "%s", "%s::interval"][: len(arguments)])
        row = connection.execute(f"SELECT helios_token_create({places})", arguments).fetchone()
    assert row is not None
    return str(row[0])


def test_tokens(guarded: NodeProcess) -> None:
    token = made(guarded, "t1", "app", "1 hour")
    short = made(guarded, "t2", "app", "1 microsecond")
    role = made(guarded, "t3", "gone")
    assert asked(guarded, f"Bearer {token}") == (200, "app")
    assert asked(guarded, f"bearer {token}") == (200, "app")
    assert asked(guarded, f"Bearer {token}x") == (401, "28P01")
    assert asked(guarded, f"Bearer {token[:-1]}") == (401, "28P01")
    assert asked(guarded, f"Bearer {short}") == (401, "28P01")
    assert asked(guarded, f"Bearer {role}") == (200, "gone")
    with psycopg.connect(
        host="127.0.0.1", port=guarded.pg_port, user="helios", password="root", dbname="heliosdb"
    ) as connection:
        connection.execute("ALTER ROLE gone NOLOGIN")
        listed = connection.execute(
            "SELECT name, role_name, expires_at IS NULL FROM helios_tokens ORDER BY 1"
        ).fetchall()
        connection.execute("SELECT helios_token_revoke('t1')")
    assert listed == [("t1", "app", False), ("t2", "app", False), ("t3", "gone", True)]
    assert asked(guarded, f"Bearer {token}") == (401, "28P01")
    assert asked(guarded, f"Bearer {role}") == (401, "28P01")
    # What is random may have the character in it that stands before it.
    secret = token[-16:]
    assert secret not in guarded.log_tail(10_000)
    assert not any(secret.encode() in path.read_bytes() for path in guarded.data_dir.rglob("*") if path.is_file())


def test_a_token_outlives_a_kill(guarded: NodeProcess) -> None:
    token = made(guarded, "kept", "app")
    guarded.kill()
    guarded.start()
    assert asked(guarded, f"Bearer {token}") == (200, "app")


# The document and the guide -------------------------------------------------------------------------------------------


def document(node: NodeProcess) -> Any:
    status, content = node.http("/openapi.json")
    assert status == 200
    return content


def request(node: NodeProcess, method: str, path: str, body: str = "") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", node.http_port, timeout=20)
    connection.request(method, path, body or None, JSON)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_the_document_has_every_path_and_no_other(server: NodeProcess) -> None:
    paths = document(server)["paths"]
    for path, methods in paths.items():
        allowed = {"get": {"GET", "HEAD"}, "post": {"POST"}}[next(iter(methods))]
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"):
            status, _ = request(server, method, path)
            assert (status == 405) == (method not in allowed), (method, path, status)
            assert status != 404
            if method in allowed:
                assert str(status) in methods[method.lower().replace("head", "get")]["responses"]
    hint = json.loads(request(server, "GET", "/nope")[1])["hint"]
    assert {path for path in re.findall(r"/[a-z./]+", hint) if path != "/admin/"} == {
        path for path in paths if not path.startswith("/admin/")
    }
    verbs = json.loads(_with_token(server, "/admin/nope")[1])["hint"]
    assert set(re.findall(r"[a-z]+(?:/[a-z]+)?", verbs.removeprefix("Verbs are "))) == {
        path.removeprefix("/admin/") for path in paths if path.startswith("/admin/")
    }


def _with_token(node: NodeProcess, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", node.http_port, timeout=20)
    connection.request("POST", path, "{}", {**JSON, "Authorization": f"Bearer {node.token}"})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


EXAMPLE = re.compile(r"```sh\n(.*?)```\n\n```(json|text)\n(.*?)```", re.DOTALL)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_examples_of_the_guide(server: NodeProcess) -> None:
    examples = EXAMPLE.findall((ROOT / "docs" / "HTTP.md").read_text())
    assert len(examples) >= 6
    for command, _, expected in examples:
        there = command.replace("localhost:8080", f"localhost:{server.http_port}")
        told = subprocess.run(["sh", "-c", there], capture_output=True, text=True, timeout=20, check=True).stdout
        pattern = re.escape(expected.strip()).replace(re.escape("..."), '[^"]+')
        assert re.fullmatch(pattern, told.strip().replace("\r\n", "\n")), (command, told)


RULES = """
[security]
[[hba]]
user = "mallory"
method = "reject"
[[hba]]
user = "helios"
address = "127.0.0.0/8"
method = "trust"
[[hba]]
method = "scram-sha-256"
"""


def test_the_rules_of_the_postgresql_port_hold(make_node: Callable[..., NodeProcess], tmp_path: Path) -> None:
    (tmp_path / "rules.conf").write_text(RULES)
    node = make_node("--config", str(tmp_path / "rules.conf"))
    created = "CREATE ROLE mallory LOGIN PASSWORD 'm'", "CREATE ROLE sue LOGIN PASSWORD 's'"
    assert [sql(node, statement)[0] for statement in created] == [200, 200]
    token = value(node, "helios_token_create('m', 'mallory')")
    assert asked(node, "") == (200, "helios")
    assert asked(node, basic("sue", "s")) == (200, "sue")
    assert asked(node, basic("sue", "x")) == (401, "28P01")
    assert asked(node, basic("mallory", "m")) == (403, "28000")
    assert asked(node, f"Bearer {token}") == (403, "28000")
    kinds = {row[0] for row in sql(node, "SELECT kind FROM helios_events")[1]["rows"]}
    assert {"login_failed", "hba_refused"} <= kinds
