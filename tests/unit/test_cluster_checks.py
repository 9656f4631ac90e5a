"""What doctor makes of clusters: each fault is found, with what to do, and a sound cluster has none."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from helios_cli.commands._cluster_checks import Picture, Seen, SeenProxy, examine

Change = Callable[[dict[str, Any]], None]
NOW_US = 1_795_000_000_000_000


def member(name: str, port: int, role: str, mode: str) -> dict[str, Any]:
    return {
        "node_id": name, "role": role, "mode": mode, "host": f"{name}.example.com", "pg_port": port, "http_port": 8080,
        "state": "streaming", "in_sync": mode != "async",
    }  # fmt: skip


def sound() -> dict[str, Any]:
    """A primary, two synchronous standbys and a proxy, as records."""
    nodes = [member("a", 5432, "primary", "sync"), member("b", 5432, "standby", "sync"),
             member("c", 5432, "standby", "sync")]  # fmt: skip
    cluster = {"mode": "sync", "voters": ["a", "b", "c"], "paused": False, "now_us": NOW_US, "nodes": nodes}
    records = {
        one["node_id"]: {
            "node_id": one["node_id"], "role": one["role"], "term": 3, "version": "0.1.0", "cluster_id": "77",
            "alarms": [], "cluster": deepcopy(cluster),
        } for one in nodes
    }  # fmt: skip
    proxied = [{"name": one["node_id"], "host": one["host"], "port": 5432, "state": "healthy", "enabled": True}
               for one in nodes]  # fmt: skip
    return {"records": records, "proxy": proxied, "lacking": [], "trip_s": 0.002}


def found(world: dict[str, Any]) -> dict[str, tuple[str, str, str]]:
    """Verdict, detail and hint by check, without those that are well."""
    nodes = [
        Seen(name, record, "no node answers at it" if record is None else "", NOW_US / 1e6, world["trip_s"])
        for name, record in world["records"].items()
    ]
    proxies = [SeenProxy("p:9090", world["proxy"], "no proxy answers at it" if world["proxy"] is None else "")]
    findings = examine(Picture(nodes, proxies, world["lacking"]))
    return {one.check: (one.verdict, one.detail, one.hint) for one in findings if one.verdict != "ok"}


def test_a_sound_cluster_has_nothing_to_be_mended() -> None:
    world = sound()
    assert found(world) == {}


def everywhere(world: dict[str, Any], **fields: Any) -> None:
    for record in world["records"].values():
        if "cluster" in record:
            record["cluster"] |= fields


def down(world: dict[str, Any]) -> None:
    world["records"]["c"] = None


def nobody_leads(world: dict[str, Any]) -> None:
    world["records"]["a"]["role"] = "standby"


def two_lead(world: dict[str, Any]) -> None:
    world["records"]["b"]["role"] = "primary"


def another_cluster(world: dict[str, Any]) -> None:
    world["records"]["b"]["cluster_id"] = "88"


def another_version(world: dict[str, Any]) -> None:
    world["records"]["b"]["version"] = "0.2.0"


def skewed(world: dict[str, Any]) -> None:
    world["records"]["b"]["cluster"]["now_us"] += 3_000_000


def far_off(world: dict[str, Any]) -> None:
    world["records"]["b"]["cluster"]["now_us"] -= 60_000_000


def even(world: dict[str, Any]) -> None:
    everywhere(world, voters=["a", "b", "c", "d"])


def two_nodes(world: dict[str, Any]) -> None:
    del world["records"]["c"]
    nodes = world["records"]["a"]["cluster"]["nodes"][:2]
    everywhere(world, voters=["a"], nodes=nodes)


def one_that_counts(world: dict[str, Any]) -> None:
    world["records"]["a"]["cluster"]["nodes"][2] |= {"mode": "async", "in_sync": False}


def none_counts(world: dict[str, Any]) -> None:
    for one in world["records"]["a"]["cluster"]["nodes"]:
        one["in_sync"] = one["node_id"] == "a"


def asynchronous(world: dict[str, Any]) -> None:
    everywhere(world, mode="async")


def silent(world: dict[str, Any]) -> None:
    world["records"]["a"]["cluster"]["nodes"][2]["state"] = "disconnected"


def at_loopback(world: dict[str, Any]) -> None:
    world["records"]["a"]["cluster"]["nodes"][1]["host"] = "127.0.0.1"


def paused(world: dict[str, Any]) -> None:
    everywhere(world, paused=True)


def alarmed(world: dict[str, Any]) -> None:
    world["records"]["b"]["alarms"] = ["page 58 of the database file is damaged"]


def proxy_without_one(world: dict[str, Any]) -> None:
    world["proxy"].pop()


def proxy_cut_off(world: dict[str, Any]) -> None:
    world["proxy"][1] |= {"state": "unhealthy", "reason": "Connection refused"}


def proxy_down(world: dict[str, Any]) -> None:
    world["proxy"] = None


def no_token(world: dict[str, Any]) -> None:
    world["lacking"] = ["a", "b"]


@pytest.mark.parametrize(
    ("change", "check", "verdict", "detail", "hint"),
    [
        (down, "node c", "failed", "no node answers", "heliosdb-nano cluster start c"),
        (nobody_leads, "primary", "failed", "nobody leads", "explain failover"),
        (two_lead, "primary", "failed", "a and b say that they lead", "network"),
        (another_cluster, "cluster id", "failed", "b belongs to another cluster", "--primary-host"),
        (another_version, "versions", "warning", "0.1.0: a, c; 0.2.0: b", "Upgrade"),
        (skewed, "clocks", "warning", "b is 3.0 s ahead of", "time service"),
        (far_off, "clocks", "failed", "is 60.0 s ahead of b", "time service"),
        (even, "votes", "warning", "4 vote, an even number", "observer"),
        (two_nodes, "votes", "warning", "a alone votes", "--replication-role observer"),
        (one_that_counts, "copies", "warning", "one standby that counts, b", "second one"),
        (none_counts, "copies", "failed", "no standby's copy counts", "--replication-mode"),
        (asynchronous, "copies", "warning", "may lose the newest commits", "replication_mode quorum"),
        (silent, "standby", "warning", "c is disconnected", "health"),
        (at_loopback, "addresses", "warning", "b is known by an address of its own machine", "advertise_address"),
        (paused, "failover", "warning", "paused", "resume"),
        (alarmed, "alarm", "warning", "b: page 58", ""),
        (proxy_without_one, "proxy p:9090", "warning", "it does not know c", "discover"),
        (proxy_cut_off, "proxy p:9090", "warning", "b is unhealthy: Connection refused", "proxy"),
        (proxy_down, "proxy p:9090", "failed", "no proxy answers", "heliosdb-proxy"),
        (no_token, "token", "warning", "none for a, b", "--cluster-secret-file"),
    ],
)  # fmt: skip
def test_each_fault_is_found_and_says_what_to_do(
    change: Change, check: str, verdict: str, detail: str, hint: str
) -> None:
    world = sound()
    change(world)
    assert check in found(world)
    got = found(world)[check]
    assert got[0] == verdict and detail in got[1] and hint in got[2]


def test_a_slow_answer_is_no_skew() -> None:
    world = sound()
    world["records"]["b"]["cluster"]["now_us"] += 900_000
    assert "clocks" in found(world)
    world["trip_s"] = 1.0
    assert "clocks" not in found(world)


def test_an_observer_that_has_no_vote_is_told_of_and_one_with_it_counts() -> None:
    world = sound()
    world["records"]["o"] = {"node_id": "o", "role": "observer", "version": "0.1.0", "cluster_id": "77", "term": 3,
                             "started_us": NOW_US - 5_000_000, "uptime_s": 5.0}  # fmt: skip
    assert found(world) == {}
    everywhere(world, voters=["a", "b", "o"])
    assert found(world) == {}


def test_nothing_is_known_while_nobody_answers() -> None:
    world = sound()
    world["records"] = dict.fromkeys("abc")
    assert set(found(world)) == {"node a", "node b", "node c"}
