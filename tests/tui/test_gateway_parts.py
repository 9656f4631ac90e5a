"""Who is asked, and how: members that come and go, slow ones, events without SQL."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.played_cluster import node, peer, peers_of

from helios_cli.commands import _admin, _http
from helios_cli.commands._admin import Reach
from helios_cli.commands.local import processes
from helios_cli.commands.local.clusterfile import LocalCluster, LocalNode, Member
from helios_cli.commands.local.hosts import HostEntry
from helios_cli.commands.monitoring import sqlways
from helios_cli.commands.monitoring.asking import Rounds
from helios_cli.commands.monitoring.gateway import ClusterGateway
from helios_cli.commands.monitoring.members import members, removed
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.remote.errors import HostUnreachable
from helios_cli.tui.facts import NodeFacts


def facts(name: str, number: int, peers: list[dict[str, Any]]) -> NodeFacts:
    found = node(name, number, peers).facts
    assert found is not None
    return found


def reach(name: str, host: str, port: int) -> Reach:
    return Reach(name, _http.Address(host, port), ("own.token",), ("cluster.secret",))


def test_from_an_address_names_and_all_others_are_learnt() -> None:
    asked = reach("db1:8081", "db1", 8081)
    known = members([asked])
    known.learn(asked, facts("standby-sync", 1, peers_of()))
    places = {name: (one.address.host, one.address.port, one.secret_files) for name, one in known.known.items()}
    assert places == {
        "standby-sync": ("db1", 8081, ("cluster.secret",)),
        "primary": ("db1", 8080, ("cluster.secret",)),  # its own word, 127.0.0.1, is that of its machine
        "standby-async": ("db1", 8082, ("cluster.secret",)),
        "observer": ("db1", 8083, ("cluster.secret",)),
    }
    assert known.renamed == {"db1:8081": "standby-sync"}
    known.learn(known.known["primary"], facts("primary", 0, peers_of()))
    assert len(known.known) == 4, "nobody twice"
    far = [*peers_of(), peer("far", 4, host="db9", http_port=9999)]
    known.learn(known.known["primary"], facts("primary", 0, far))
    assert (known.known["far"].address.host, known.known["far"].address.port) == ("db9", 9999)


def test_who_is_removed_from_the_cluster_is_forgotten_unless_it_was_named() -> None:
    fewer = [one for one in peers_of() if one["node_id"] != "standby-async"]
    newest = {"primary": facts("primary", 0, fewer)}
    names = ["primary", "standby-sync", "standby-async", "observer"]
    assert removed(newest, ["primary"], names) == ["standby-async"]
    assert removed(newest, ["standby-async"], names) == []
    assert removed({"standby-sync": facts("standby-sync", 1, fewer)}, [], names) == [], "that is the primary's to say"


def test_a_slow_answer_holds_up_no_other_and_is_taken_up_later() -> None:
    rounds, go, asked = Rounds(), threading.Event(), []

    def slow() -> str:
        asked.append(1)
        assert go.wait(30.0)
        return "late"

    try:
        assert rounds.ask({"slow": slow, "quick": lambda: "now"}, 0.2) == {"quick": "now"}
        assert rounds.ask({"slow": slow, "quick": lambda: "again"}, 0.2) == {"quick": "again"}
        go.set()
        assert rounds.ask({"slow": slow}, 30.0) == {"slow": "late"} and len(asked) == 1, "asked once meanwhile"
    finally:
        go.set()
        rounds.close()


def test_a_host_that_cannot_be_reached_keeps_no_look_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its nodes are asked by HTTP; only of one that is silent is it asked whether its process is there."""
    far = LocalNode("far", "standby", "sync", 1, 2, 9, host="db2")
    cluster = LocalCluster(
        tmp_path, (LocalNode("near", "primary", "sync", 1, 2, 3), far), hosts=(HostEntry("db2", "h2"),)
    )
    asked: list[str] = []

    def find(cluster: LocalCluster, member: Member) -> SimpleNamespace:
        asked.append(member.name)
        if member.host:
            raise HostUnreachable("nobody answers at h2:22")
        return SimpleNamespace(state="running")

    def get(address: _http.Address, path: str, timeout_s: float) -> _http.Answer:
        if address.host == "h2":
            raise _http.Unreachable("no node answers at h2:9")
        record = {"node_id": "near", "role": "primary", "state": "running"} if path == "/status" else ""
        return _http.Answer(200, record)

    monkeypatch.setattr(processes, "find", find)
    monkeypatch.setattr(_http, "get", get)
    gateway = ClusterGateway([reach("near", "h1", 3), reach("far", "h2", 9)], "cluster.toml", cluster)
    gateway.patience_s = 30.0
    monkeypatch.setattr(gateway, "_due", lambda reaches: [])
    try:
        near, silent = gateway.sample().nodes
        assert (near.process, near.error, near.facts is None) == ("running", "", False)
        assert (silent.process, silent.error) == ("", "no node answers at h2:9")
        assert sorted(asked) == ["far", "near"]
    finally:
        gateway.close()


REFUSED = _http.Answer(401, {"error": {"sqlstate": "28000", "message": "who are you"}})


def test_where_sql_is_refused_the_decisions_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_http, "post_sql", lambda *arguments: REFUSED)
    decisions = [
        {"time_us": 5, "kind": "elected", "sentence": "a leads"},
        {"time_us": 9, "kind": "vote", "sentence": "b"},
    ]
    monkeypatch.setattr(_admin, "ask", lambda *arguments: {"decisions": decisions})
    newest, told = sqlways.events(reach("n", "h", 1), 5, "", 1.0)
    assert (newest, [(one.at_us, one.kind, one.message) for one in told]) == (9, [(9, "vote", "b")])

    def none(*arguments: object) -> None:
        raise HeliosError("no token", sqlstate="28000")

    monkeypatch.setattr(_admin, "ask", none)
    with pytest.raises(HeliosError, match="who are you") as refusal:
        sqlways.events(reach("n", "h", 1), 0, "", 1.0)
    assert refusal.value.hint == sqlways.PASSWORD_HINT


def test_rows_of_events_are_read_by_their_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    rows = [[12, "2026-09-21T14:13:20.5+00:00", "elected", "info", "a leads"]]

    def post(address: object, body: Any, *rest: object) -> _http.Answer:
        asked.append(body["params"])
        return _http.Answer(200, {"columns": [], "rows": rows})

    monkeypatch.setattr(_http, "post_sql", post)
    newest, told = sqlways.events(reach("n", "h", 1), 7, "", 1.0)
    assert (newest, told[0].at_us, told[0].node, asked) == (12, 1_790_000_000_500_000, "n", [[7, sqlways.FIRST]])


def test_credentials_are_those_of_libpq() -> None:
    assert sqlways.credentials({"PGUSER": "a"}) == ""
    assert sqlways.credentials({"PGUSER": "a", "PGPASSWORD": "b:c"}) == "Basic YTpiOmM="
