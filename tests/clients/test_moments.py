"""What a node keeps of how it was: asked for with the token, still there after a kill."""

from __future__ import annotations

from typing import Any

from support.node_process import NodeProcess, wait_until


def moments(node: NodeProcess, **body: Any) -> list[dict[str, Any]]:
    code, found = node.http("/admin/moments", body=body)
    assert code == 200, found
    return list(found["moments"])


def test_moments_of_a_life_are_there_in_the_next(node: NodeProcess) -> None:
    wait_until(lambda: moments(node) != [], "a moment", 30)
    first = moments(node)[-1]
    assert (first["role"], first["cluster"]["nodes"][0]["state"]) == ("standalone", "streaming")
    assert first["counters"]["heliosdb_process_resident_memory_bytes"] > 1_000_000
    assert set(first["counters"]) == {
        "heliosdb_statements_total", "heliosdb_commits_total", "heliosdb_log_bytes_total",
        "heliosdb_process_cpu_seconds_total", "heliosdb_process_resident_memory_bytes",
    }  # fmt: skip
    node.kill()
    node.start()
    wait_until(lambda: moments(node)[0]["pid"] != first["pid"], "one of this life", 30)
    found = moments(node)
    assert found[-1]["time_us"] == first["time_us"]
    times = [one["time_us"] for one in found]
    assert times == sorted(times, reverse=True)
    assert [one["time_us"] for one in moments(node, before_us=times[0], limit=1)] == [times[1]]


def test_what_is_asked_wrongly_is_refused(node: NodeProcess) -> None:
    for body in ({"limit": 0}, {"limit": 501}, {"before_us": -1}, {"before_us": "now"}):
        code, answer = node.http("/admin/moments", body=body)
        assert (code, answer["sqlstate"]) == (400, "22023"), body
