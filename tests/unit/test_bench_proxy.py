"""The benchmark of the proxy: what its figures say, and what is asked of whom."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from bench import floods
from bench.__main__ import _of_proxy, parser
from bench.fronts import PgBouncer, Proxy
from bench.proxy import Figure, alone, draw, loads, make_plan
from bench.proxy import parser as proxy_parser
from bench.servers import Endpoint


@pytest.mark.parametrize(
    ("ours", "theirs", "limit", "errors", "verdict"),
    [
        ([50.0, 10.0, 60.0], [100.0], None, [], "met"),
        ([49.0], [100.0], None, [], "missed"),
        ([49.0], [], None, [], "skipped"),
        ([490.0], [10.0], 500.0, [], "met"),
        ([501.0], [], 500.0, [], "missed"),
        ([50.0], [100.0], None, ["proxy: it broke"], "failed"),
        ([50.0], [], None, ["pgbouncer: it broke"], "skipped"),
    ],
)
def test_verdicts(ours: list[float], theirs: list[float], limit: float | None, errors: list[str], verdict: str) -> None:
    figure = Figure("x", "tps", must=0.5, limit=limit, rounds={"proxy": ours, "pgbouncer": theirs}, errors=errors)
    assert (figure.verdict, figure.record()["verdict"]) == (verdict, verdict)


def test_a_latency_is_better_where_it_is_lower() -> None:
    figure = Figure("latency", "ms", "lower", "direct", rounds={"proxy": [0.2], "direct": [0.1]})
    assert (figure.ratio, figure.verdict) == (0.5, "")


def test_what_must_be_reached_is_reads_by_two_protocols_with_few_clients_and_many() -> None:
    demanded = {(load.workload, load.protocol, load.clients, load.against) for load in loads() if load.must == 0.5}
    wanted = {("select", protocol, clients) for protocol in ("simple", "extended") for clients in (8, 64)}
    assert demanded == {(*each, "pgbouncer") for each in wanted}
    assert {(load.clients, load.against) for load in alone()} == {(1, "direct")}


def test_the_whole_benchmark_hands_its_options_on() -> None:
    options = parser().parse_args(["--quick", "--only", "proxy-select", "--rounds", "2", "--json", "x.json"])
    plan = make_plan(proxy_parser().parse_args(_of_proxy(options)))
    assert (plan.rounds, plan.seconds, plan.only, plan.idle_clients) == (2, 3.0, "proxy-select", 200)
    assert "--json" not in _of_proxy(parser().parse_args(["--json", "x.json"]))


def test_what_the_fronts_are_told(tmp_path: Path) -> None:
    backends = [Endpoint(5001, "heliosdb"), Endpoint(5002, "heliosdb")]
    for front in (PgBouncer(backends, tmp_path), Proxy(backends, tmp_path)):
        front.prepare()
        written = "".join(path.read_text() for path in front.directory.iterdir())
        assert f"{front.endpoint.port}" in written
        assert "5001" in written


def test_a_chart_of_nothing_is_no_file(tmp_path: Path) -> None:
    draw([Figure("x", "tps")], tmp_path / "none.png", "")
    draw([Figure("x", "tps", rounds={"proxy": [1.0], "pgbouncer": [2.0]})], tmp_path / "one.png", "")
    assert [path.name for path in tmp_path.iterdir()] == ["one.png"]


def test_a_flood_table_has_a_row_for_each_flood_and_says_what_was_wrong() -> None:
    waits = {"median": 1.5, "p99": 4.0, "longest": 9.0, "rounds": 100, "errors": 0}
    found = {"proxy": {kind: dict(waits) for kind in (floods.QUIET, *floods.FLOODS)}}
    found["proxy"]["statements of 600 kB"]["errors"] = 2
    console = Console(width=160, file=io.StringIO())
    console.print(floods.table(found))
    text = console.file.getvalue() if isinstance(console.file, io.StringIO) else ""
    assert text.count("1.5 / 4.0") == 1 + len(floods.FLOODS) and text.count("2 wrong") == 1
