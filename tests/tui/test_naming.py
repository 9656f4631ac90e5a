"""The commands that the monitor shows: they mean the cluster that it looks at, wherever they are typed."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from helios_cli.commands import _http
from helios_cli.commands._admin import Asked, Reach
from helios_cli.commands.local import clusterfile
from helios_cli.commands.local.clusterfile import LocalCluster, LocalNode
from helios_cli.commands.monitoring.naming import Naming, naming

NODE = Reach("db 1", _http.Address("10.0.0.1", 8080))


@pytest.fixture
def cluster(tmp_path: Path) -> LocalCluster:
    node = LocalNode("n1", "primary", "sync", 5432, 5433, 8080)
    made = LocalCluster(tmp_path / "my cluster", (node,))
    made.directory.mkdir()
    clusterfile.write(made)
    return made


def commands(names: Naming) -> list[str]:
    return [
        names.of_cluster("switchover", "--to", "n2"), names.of_node("promote", NODE),
        names.of_proxy("proxy drain", "h:9090", "n2"),
    ]  # fmt: skip


def test_a_cluster_that_is_found_from_here_needs_no_name(cluster: LocalCluster) -> None:
    names = naming(Asked(), cluster, "proxy.token", {"HELIOSDB_CLUSTER": str(cluster.directory)})
    assert commands(names) == [
        "heliosdb-nano switchover --to n2", "heliosdb-nano promote --node 'db 1'",
        "heliosdb-nano proxy drain n2 --admin h:9090",
    ]  # fmt: skip


def test_another_one_is_named_by_its_directory(cluster: LocalCluster) -> None:
    names = naming(Asked(directory=str(cluster.directory)), cluster, "proxy.token", {})
    where = f"--dir {shlex.quote(str(cluster.directory))}"
    assert commands(names) == [
        f"heliosdb-nano switchover --to n2 {where}", f"heliosdb-nano promote --node 'db 1' {where}",
        "heliosdb-nano proxy drain n2 --admin h:9090 --token-file proxy.token",
    ]  # fmt: skip


def test_without_a_file_a_node_is_named_with_what_it_wants() -> None:
    asked = Asked(node="10.0.0.2:8080", ca="ca.pem", secret_file="cluster.secret")
    assert commands(naming(asked, None)) == [
        "heliosdb-nano switchover --to n2 --node 10.0.0.2:8080 --ca ca.pem --cluster-secret-file cluster.secret",
        "heliosdb-nano promote --node 10.0.0.1:8080 --ca ca.pem --cluster-secret-file cluster.secret",
        "heliosdb-nano proxy drain n2 --admin h:9090",
    ]  # fmt: skip
    far = Reach("n1", _http.Address("h", 1, tls=True))
    assert naming(Asked(node="https://h:1"), None).of_node("promote", far).endswith("--node https://h:1")
    assert naming(Asked(data_dir="d"), None).of_cluster("pause") == "heliosdb-nano pause --data-dir d"
