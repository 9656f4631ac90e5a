"""``POST /sql`` of the proxy: the same requests and answers as a node's, wherever the statements run."""

from __future__ import annotations

import base64
import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from support.node_cluster import NodeCluster
from support.node_process import free_port, wait_until
from support.postgres_pair import PostgresPair
from support.proxied import MakeProxy
from support.proxy_process import ProxyProcess


class Http:
    """The HTTP address of a proxy."""

    def __init__(self, proxy: ProxyProcess, port: int) -> None:
        self.proxy, self.port = proxy, port

    def post(self, body: Any, **headers: str) -> tuple[int, dict[str, str], str]:
        sent = {"Content-Type": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}}
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request("POST", "/sql", body if isinstance(body, str) else json.dumps(body), sent)
            with connection.getresponse() as answer:
                return answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read().decode()

    def sql(self, statement: str, *params: Any, **more: Any) -> tuple[int, Any]:
        status, _, text = self.post({"sql": statement, "params": list(params), **more})
        return status, json.loads(text)

    def rows(self, statement: str, *params: Any, **more: Any) -> Any:
        status, answer = self.sql(statement, *params, **more)
        assert status == 200, answer
        return answer["rows"]


@pytest.fixture(scope="module")
def http_sql(behind: NodeCluster | PostgresPair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Http]:
    """A proxy with an HTTP address."""
    port = free_port()
    nodes = [behind.primary, *(node for node in behind.nodes if node is not behind.primary)]
    settings = {"http_addr": f"127.0.0.1:{port}", "pool_size": 4}
    proxy = ProxyProcess(tmp_path_factory.mktemp("http"), nodes, settings=settings, database=behind.database)
    try:
        yield Http(proxy.start(), port)
    finally:
        proxy.kill()


def test_a_statement_and_its_answer(http_sql: Http) -> None:
    status, answer = http_sql.sql("SELECT $1::int AS n, $2::text AS t, $3::jsonb AS j", 7, "x'y", {"a": [1]})
    assert status == 200
    assert [(one["name"], one["type"]) for one in answer["columns"]] == [
        ("n", "integer"),
        ("t", "text"),
        ("j", "jsonb"),
    ]
    assert answer["rows"] == [[7, "x'y", {"a": [1]}]] and (answer["row_count"], answer["command"]) == (1, "SELECT")


def test_writes_are_read_again_by_their_lsn(http_sql: Http) -> None:
    assert http_sql.sql("DROP TABLE IF EXISTS by_http")[0] == 200
    assert http_sql.sql("CREATE TABLE by_http (id int PRIMARY KEY, name text)")[0] == 200
    for number in range(20):
        status, answer = http_sql.sql("INSERT INTO by_http VALUES ($1, $2)", number, f"n{number}")
        assert (status, answer["row_count"]) == (200, 1) and answer["lsn"]
        assert http_sql.rows("SELECT name FROM by_http WHERE id = $1", number, min_lsn=answer["lsn"]) == [
            [f"n{number}"]
        ]


def test_statements_are_one_transaction(http_sql: Http) -> None:
    http_sql.sql("CREATE TABLE IF NOT EXISTS at_once (id int PRIMARY KEY)")
    http_sql.sql("DELETE FROM at_once")
    body = {"statements": [{"sql": "INSERT INTO at_once VALUES ($1)", "params": [n]} for n in (1, 2)]}
    status, _, text = http_sql.post(body)
    assert status == 200 and [one["row_count"] for one in json.loads(text)["results"]] == [1, 1]
    lsn = json.loads(text)["lsn"]
    body["statements"] = [{"sql": "INSERT INTO at_once VALUES ($1)", "params": [n]} for n in (3, 2)]
    status, _, text = http_sql.post(body)
    assert (
        status == 409
        and json.loads(text)["error"]["sqlstate"] == "23505"
        and json.loads(text)["error"]["statement"] == 1
    )
    assert http_sql.rows("SELECT id FROM at_once ORDER BY id", min_lsn=lsn) == [[1], [2]]


@pytest.mark.parametrize(
    ("body", "status", "sqlstate"),
    [
        ({"sql": "SELEC 1"}, 400, "42601"),
        ({"sql": "SELECT $1::int"}, 400, "08P01"),
        ({"sql": "SELECT 1", "params": [1]}, 400, "08P01"),
        ({"sql": "SELECT 1/0"}, 400, "22012"),
        ({"sql": "COPY pg_class TO STDOUT"}, 501, "0A000"),
        ({"sql": "SELECT 1", "min_lsn": "soon"}, 400, "22023"),
        ({"sql": "SELECT 1", "write_id": "mine"}, 400, "22023"),
        ({"sql": "CREATE TABLE never (id int)", "read_only": True}, 409, "25006"),
        ({"nothing": 1}, 400, "08P01"),
    ],
)
def test_errors(http_sql: Http, body: Any, status: int, sqlstate: str) -> None:
    found, _, text = http_sql.post(body)
    assert (found, json.loads(text)["error"]["sqlstate"]) == (status, sqlstate)
    assert http_sql.rows("SELECT 1") == [[1]]


def test_long_answers_are_streamed_in_every_form(http_sql: Http) -> None:
    query = {"sql": "SELECT n, repeat('x', 100) FROM generate_series(1, 20000) n"}
    assert len(json.loads(http_sql.post(query)[2])["rows"]) == 20000
    status, headers, text = http_sql.post(query, Accept="application/x-ndjson")
    assert status == 200 and len(text.splitlines()) == 20002 and headers["transfer-encoding"] == "chunked"
    assert len(http_sql.post(query, Accept="text/csv")[2].splitlines()) == 20001
    status, _, text = http_sql.post({**query, "max_rows": 5})
    assert (json.loads(text)["row_count"], json.loads(text)["truncated"]) == (5, True)
    assert http_sql.post(query, Accept="image/png")[0] == 406


def test_a_statement_has_its_time(http_sql: Http) -> None:
    status, answer = http_sql.sql("SELECT pg_sleep(60)", timeout_ms=200)
    assert (status, answer["error"]["sqlstate"]) == (504, "57014")


def test_who_goes_away_cancels_what_runs(http_sql: Http) -> None:
    proxy = http_sql.proxy

    def running() -> list[Any]:
        return [row for row in proxy.http("/clients")[1] if row["application_name"] == "goes away"]

    connection = http.client.HTTPConnection("127.0.0.1", http_sql.port, timeout=60)
    headers = {"Content-Type": "application/json", "User-Agent": "goes away"}
    connection.request("POST", "/sql", json.dumps({"sql": "SELECT pg_sleep(50)"}), headers)
    wait_until(lambda: [row["state"] for row in running()] == ["active"], "it runs", 20)
    connection.close()
    wait_until(lambda: not running(), "its session is gone", 20)
    wait_until(lambda: all(row["state"] != "active" for row in proxy.http("/servers")[1]), "nothing runs", 20)


def test_what_else_there_is(http_sql: Http) -> None:
    for method, path, status in (
        ("GET", "/health", 200), ("GET", "/sql", 405), ("POST", "/health", 405), ("GET", "/nodes", 404),
    ):  # fmt: skip
        with closing(http.client.HTTPConnection("127.0.0.1", http_sql.port, timeout=20)) as connection:
            connection.request(method, path)
            assert connection.getresponse().status == status


def test_at_the_admin_address_it_wants_the_token(http_sql: Http) -> None:
    proxy, body = http_sql.proxy, {"sql": "SELECT 1"}
    assert proxy.http("/sql", body=body)[0] == 401 and proxy.http("/sql", body=body, token="no" * 20)[0] == 403

    def post() -> tuple[int, str]:
        with closing(http.client.HTTPConnection("127.0.0.1", proxy.admin_port, timeout=20)) as connection:
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {proxy.token}"}
            connection.request("POST", "/sql", json.dumps(body), headers)
            with connection.getresponse() as answer:
                return answer.status, answer.read().decode()

    status, text = post()
    assert status == 200 and json.loads(text)["rows"] == [[1]]


def test_a_page_from_elsewhere_is_nobody(http_sql: Http) -> None:
    assert http_sql.post({"sql": "SELECT 1"}, Host="evil.example.com")[0] == 403
    assert http_sql.post({"sql": "SELECT 1"}, Content_Type="text/plain")[0] == 400


def test_passwords(make_proxy: MakeProxy, node_cluster: NodeCluster) -> None:
    port = free_port()
    more = '[[users]]\nname = "postgres"\npassword = "right"\n'
    proxy = make_proxy(
        node_cluster.nodes, start=False, more=more, settings={"http_addr": f"127.0.0.1:{port}", "workers": 2}
    ).start(wait=False)
    wait_until(lambda: proxy.http("/ready")[0] == 200, "the proxy is ready", 30)
    found = Http(proxy, port)

    def ask(user: str, password: str) -> int:
        basic = base64.b64encode(f"{user}:{password}".encode()).decode()
        return found.post({"sql": "SELECT 1"}, Authorization=f"Basic {basic}")[0]

    assert ask("postgres", "right") == 200
    assert ask("postgres", "wrong") == ask("nobody", "right") == ask("", "") == 401
    status, headers, text = found.post({"sql": "SELECT 1"})
    assert status == 401 and headers["www-authenticate"].startswith("Basic")
    assert json.loads(text)["error"]["sqlstate"] == "28P01"
    assert found.post({"sql": "SELECT 1"}, Authorization="Bearer hdb_x")[0] == 401
    assert "right" not in proxy.log_path.read_text()


def test_a_write_waits_for_a_pause_to_end(http_sql: Http) -> None:
    proxy = http_sql.proxy
    http_sql.sql("CREATE TABLE IF NOT EXISTS paused (id int)")
    proxy.verb("/pause?wait=1")
    found: list[int] = []
    thread = threading.Thread(
        target=lambda: found.append(http_sql.sql("INSERT INTO paused VALUES (1)")[0]), daemon=True
    )
    thread.start()
    wait_until(lambda: "waiting" in [row["state"] for row in proxy.http("/clients")[1]], "it waits", 20)
    proxy.verb("/resume")
    thread.join(30)
    assert found == [200]
