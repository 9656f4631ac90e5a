"""``cluster partition`` and ``heal`` on real processes: the majority elects, the old primary comes back and follows."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.local_clusters import LEAN, Capture, asked, base_port, call, end_clusters, settle_in
from support.node_process import wait_until

from helios_cli.commands._errors import Refused
from helios_cli.commands.local import clusterfile, partitions
from helios_cli.commands.local.acts import Acts
from helios_cli.engine.errors import HeliosError


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settle_in(tmp_path, monkeypatch)
    yield
    end_clusters(tmp_path)


def test_links_between_groups() -> None:
    assert partitions.links([["a"], ["b", "c"]], one_way=True) == [("a", "b"), ("a", "c")]
    three = partitions.links([["a"], ["b"], ["c"]])
    assert sorted(three) == [(x, y) for x in "abc" for y in "abc" if x != y]
    assert partitions.told(sorted([*partitions.links([["a"], ["b"]]), ("c", "a")])) == ["a x b", "c -x> a"]


def status(capsys: Capture) -> Any:
    """``cluster status``, whatever its exit code."""
    code, out, err = call(capsys, "cluster", "status", "--json")
    assert code in (0, 6), err
    return json.loads(out)


@pytest.mark.slow
def test_the_majority_elects_and_the_old_primary_follows_when_healed(capsys: Capture) -> None:
    asked(capsys, *LEAN, "--nodes", 3, "--mode", "quorum", "--base-port", base_port())
    wait_until(lambda: len(asked(capsys, "topology")["voters"]) == 3, "all of them vote", 60)
    asked(capsys, "workload", "run", "--duration", 0.3, "--rate", 0, "-c", 2, "--ledger", "x.ledger")
    others = ["standby-quorum", "standby-quorum-2"]
    dry = asked(capsys, "cluster", "partition", "@primary", "--dry-run")
    assert (len(dry["links"]), dry["cut"], dry["done"]) == (4, [], False)
    cut_now = asked(capsys, "cluster", "partition", f"primary|{','.join(others)}")["cut"]
    assert cut_now == sorted(dry["links"])

    wait_until(lambda: status(capsys)["primary"] in others, "one of the majority leads", 60)
    cut = status(capsys)
    assert cut["nodes"][0]["state"] == "deposed" and len(cut["cut"]) == 4
    assert "cut: primary x standby-quorum, primary x standby-quorum-2" in call(capsys, "cluster", "status")[1]
    before = asked(capsys, "workload", "ledger", "verify", "x.ledger", "--port", port_of(cut))
    assert before["passed"]

    acts = Acts(clusterfile.load(None))
    acts.kill("primary")
    acts.start("primary", wait=False)
    log = acts.cluster.log_file(acts.cluster.node("primary"))
    wait_until(lambda: log.read_text().count("links are cut on purpose") == 2, "what is cut stays cut", 60)
    assert asked(capsys, "cluster", "heal")["cut"] == []

    def healed() -> bool:
        seen = status(capsys)
        sums = {one["database_checksum"] for one in seen["nodes"]}
        return seen["healthy"] and len(sums) == 1 and seen["nodes"][0]["role"] == "standby"

    wait_until(healed, "the old primary is a standby with the same pages", 60)
    assert asked(capsys, "workload", "ledger", "verify", "x.ledger", "--port", port_of(status(capsys)))["passed"]


def port_of(seen: Any) -> int:
    """The PostgreSQL port of who leads."""
    return next(int(one["ports"]["pg"]) for one in seen["nodes"] if one["name"] == seen["primary"])


@pytest.mark.slow
def test_one_way_and_what_is_refused(capsys: Capture) -> None:
    up = ("cluster", "up", "--nodes", 2, "--mode", "semi-sync", "--observers", 0, "--base-port", base_port())
    asked(capsys, *up)
    acts = Acts(clusterfile.load(None))

    def state() -> str:
        return str(status(capsys)["nodes"][1]["state"])

    acts.cut("primary", "standby-semi-sync", one_way=True)
    assert acts.cuts() == [("primary", "standby-semi-sync")]
    wait_until(lambda: state() not in ("streaming", "catchup"), "the standby hears nothing", 60)
    acts.cut("standby-semi-sync", "@primary", one_way=True)
    acts.heal("primary", "standby-semi-sync")
    assert acts.cuts() == []
    wait_until(lambda: state() == "streaming", "it follows again", 60)

    for wrong in ("primary|primary", "primary|", "primary,standby-semi-sync"):
        code, _, err = call(capsys, "cluster", "partition", wrong)
        assert code == 2 and "groups are written" in err
    acts.freeze("standby-semi-sync")
    with pytest.raises(HeliosError, match="standby-semi-sync is frozen, and cannot be told"):
        acts.cut("primary", "standby-semi-sync")
    acts.kill("standby-semi-sync")
    acts.cut("primary", "standby-semi-sync")
    assert "lost" in (acts.cluster.data_dir(acts.cluster.node("standby-semi-sync")) / "cuts.json").read_text()
    asked(capsys, "cluster", "down")
    assert acts.cuts() == [], "a cluster that comes up again is whole"

    path = acts.cluster.path
    path.write_text(path.read_text().replace("faults = true\n", ""))
    with pytest.raises(Refused, match="do not let their links be cut") as caught:
        Acts(clusterfile.load(None)).cut("primary", "standby-semi-sync")
    assert "faults = true" in (caught.value.hint or "")
    text = path.read_text()
    path.write_text("faults = 7\n" + text)
    with pytest.raises(HeliosError, match="faults is true or false, not 7"):
        clusterfile.load(None)
    path.write_text(text)


def busy(capsys: Capture) -> int:
    """Clients of the proxy for whom something is under way or waits."""
    return sum(one["state"] != "idle" for one in asked(capsys, "proxy", "clients"))


@pytest.mark.slow
def test_a_write_through_a_proxy_on_the_lesser_side_waits_until_it_is_healed(capsys: Capture) -> None:
    found = asked(capsys, "cluster", "up", "--modes", "quorum", "--base-port", base_port())
    wait_until(lambda: len(asked(capsys, "topology")["voters"]) == 3, "all of them vote", 60)
    port = found["proxy"]["ports"]["pg"]
    acts = Acts(clusterfile.load(None))
    path = acts.cluster.proxy_file
    path.write_text(path.read_text().replace("write_timeout_secs = 30", "write_timeout_secs = 100"))
    asked(capsys, "proxy", "reload")
    with psycopg.connect(f"host=127.0.0.1 port={port} user=helios dbname=heliosdb", autocommit=True) as client:
        client.execute("CREATE TABLE t (n int PRIMARY KEY)")
        asked(capsys, "cluster", "partition", "primary,proxy|standby-quorum,observer")
        assert ("proxy", "standby-quorum") in acts.cuts() and ("proxy", "primary") not in acts.cuts()
        wait_until(lambda: acts.primary() == "standby-quorum", "the other side leads", 60)
        writing = threading.Thread(target=client.execute, args=("INSERT INTO t VALUES (1)",), daemon=True)
        writing.start()
        wait_until(lambda: busy(capsys) == 1, "the proxy has it", 60)
        with psycopg.connect(f"host=127.0.0.1 port={port_of(status(capsys))} user=helios dbname=heliosdb") as other:
            row = other.execute("SELECT count(*) FROM t").fetchone()
            assert row == (0,) and writing.is_alive(), "nobody has acknowledged it"
        acts.heal("proxy")
        assert all("proxy" not in link for link in acts.cuts()) and acts.cuts()
        writing.join(60)
        assert not writing.is_alive(), "the proxy has found the new primary"
        row = client.execute("SELECT count(*) FROM t").fetchone()
        assert row == (1,)
    acts.heal()
    path.write_text(path.read_text().replace("allow_faults = true", ""))
    with pytest.raises(Refused, match="the proxy does not let its links be cut"):
        acts.cut("proxy", "primary")
    path.write_text(path.read_text() + '\n[backend_tls]\nmode = "require"\n')
    path.write_text(path.read_text().replace("[proxy]", "[proxy]\nallow_faults = true"))
    assert "does not go with" in call(capsys, "proxy", "check", "--config", path)[2]
