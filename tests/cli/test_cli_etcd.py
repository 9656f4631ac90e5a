"""What the commands say of an etcd: ``doctor``, ``cluster up``, ``explain failover``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from support.etcd_server import EtcdProcess
from support.node_process import ROOT, free_port


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("HELIOSDB_")}
    return subprocess.run(
        [sys.executable, "-m", "helios_cli", *arguments], cwd=ROOT, env=inherited | environment, text=True,
        capture_output=True, timeout=100,
    )  # fmt: skip


def test_doctor_tries_to_reach_it(etcd: EtcdProcess, tmp_path: Path) -> None:
    place = ("--data-dir", str(tmp_path / "d"), "--json")

    def found(endpoints: str) -> dict[str, str]:
        ran = run("doctor", *place, HELIOSDB_AUTHORITY="etcd", HELIOSDB_ETCD_ENDPOINTS=endpoints)
        (one,) = [one for one in json.loads(ran.stdout)["checks"] if one["check"] == "authority"]
        return dict(one)

    nobody = f"127.0.0.1:{free_port()}"
    assert found(nobody)["verdict"] == "failed" and "nobody listens there" in found(nobody)["detail"]
    there = found(f"{nobody},{etcd.endpoint}")
    assert (there["verdict"], there["detail"]) == ("ok", f"etcd answers at {etcd.endpoint}")


def test_a_cluster_of_this_machine_goes_by_it(etcd: EtcdProcess, tmp_path: Path) -> None:
    place = str(tmp_path / "c")
    refused = run("cluster", "up", "--dir", place, "--authority", "etcd")
    assert refused.returncode == 2 and '"authority" = etcd needs "etcd_endpoints"' in refused.stderr
    options = ("--authority", "etcd", "--etcd-endpoints", etcd.endpoint, "--nodes", "2", "--mode", "sync")
    try:
        made = run("cluster", "up", "--dir", place, *options, "--base-port", str(free_port()))
        assert made.returncode == 0, made.stderr
        secret = str(tmp_path / "c" / "cluster.secret")
        node = next(line for line in (tmp_path / "c" / "cluster.toml").read_text().splitlines() if "http_port" in line)
        where = ("--node", f"127.0.0.1:{node.split('=')[1].strip()}", "--cluster-secret-file", secret)
        told = run("explain", "failover", *where)
        assert "etcd keeps the lead for primary" in told.stdout, told
        assert "primary is lost: standby-sync is elected" in run("whatif", "lose", "primary", *where).stdout
        assert "etcd is lost: primary leads on" in run("whatif", "lose", "@etcd", *where).stdout
    finally:
        run("cluster", "down", "--dir", place, "--delete", "--yes")
