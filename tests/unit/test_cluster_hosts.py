"""``[hosts.NAME]`` of cluster.toml: what is read, refused and written."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from helios_cli.commands.local import clusterfile, processes, units
from helios_cli.engine.errors import ConfigError

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS"

NODES = """
[[nodes]]
name = "n1"
role = "primary"
mode = "sync"
pg_port = 5432
native_port = 5433
http_port = 8080
host = "db1"

[[nodes]]
name = "n2"
role = "standby"
mode = "sync"
pg_port = 5432
native_port = 5433
http_port = 8080
host = "db2"
"""
HOSTS = f"""
[hosts.db1]
address = "10.0.0.11"
user = "helios"
host_key = "{KEY}"

[hosts.db2]
address = "db2.example.com"
port = 2222
directory = "/srv/db"
service = "systemd"
advertise_address = "10.1.0.12"
"""


def read(directory: Path, text: str) -> clusterfile.LocalCluster:
    (directory / clusterfile.NAME).write_text(text)
    return clusterfile.read(directory)


def test_hosts_are_read_and_nodes_lie_there(tmp_path: Path) -> None:
    cluster = read(tmp_path, NODES + HOSTS)
    first, second = cluster.nodes
    assert [cluster.asked_at(one) for one in (first, second)] == ["10.0.0.11", "10.1.0.12"]
    assert cluster.data_dir(first) == Path("~/heliosdb/n1") and cluster.log_file(second) == Path("/srv/db/n2.log")
    one, other = cluster.hosts
    assert str(one.login(tmp_path)) == "helios@10.0.0.11" and one.login(tmp_path).host_key == KEY
    assert str(other.login(tmp_path)) == "db2.example.com:2222" and other.is_systemd
    assert other.program_path == "/srv/db/bin/heliosdb-nano" and cluster.is_guarded


def test_the_same_ports_on_two_hosts_are_no_conflict_and_on_one_they_are(tmp_path: Path) -> None:
    read(tmp_path, NODES + HOSTS)
    with pytest.raises(ConfigError, match=r"gives the port 10.0.0.11:5432 twice"):
        read(tmp_path, NODES.replace("db2", "db1") + HOSTS)


@pytest.mark.parametrize(
    ("was", "becomes", "message"),
    [
        ('user = "helios"', 'usr = "helios"', "hosts.db1 has no usr; did you mean user?"),
        ('user = "helios"', 'password = "x"', "hosts.db1 has no password"),
        ('address = "10.0.0.11"', "", "hosts.db1 needs an address"),
        ('address = "10.0.0.11"', 'address = "me@10.0.0.11"', "has the user in it"),
        ("port = 2222", 'port = "2222"', "port of hosts.db2 is a number, not '2222'"),
        ("port = 2222", "port = 0", "port of hosts.db2 is 0"),
        ('service = "systemd"', 'service = "runit"', "process, systemd, systemd-user, not 'runit'"),
        ('directory = "/srv/db"', 'directory = "srv"', "directory of hosts.db2 is a whole path"),
        (f'"{KEY}"', '"ssh-ed25519"', "is no public key like"),
        ('host = "db2"', 'host = "bd2"', "cluster.toml has no [hosts.bd2]; did you mean db2?"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, was: str, becomes: str, message: str) -> None:
    assert was in NODES + HOSTS
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, (NODES + HOSTS).replace(was, becomes))
    assert message in str(caught.value)


def test_nodes_here_and_there_need_an_address_of_this_machine(tmp_path: Path) -> None:
    mixed = NODES.replace('host = "db1"', "") + HOSTS
    with pytest.raises(ConfigError, match=r"cannot reach n1") as caught:
        read(tmp_path, mixed)
    assert "address = " in str(caught.value.hint)
    cluster = read(tmp_path, 'address = "10.0.0.5"\n' + mixed)
    assert cluster.asked_at(cluster.nodes[0]) == "10.0.0.5"


def test_writing_keeps_hosts_and_comments(tmp_path: Path) -> None:
    cluster = read(tmp_path, NODES + "\n# ours\n" + HOSTS)
    more = clusterfile.LocalNode("n3", "standby", "async", 5442, 5443, 8081, host="db1")
    clusterfile.write(clusterfile.with_nodes(cluster, (*cluster.nodes, more)))
    assert "# ours" in cluster.path.read_text()
    again = clusterfile.read(tmp_path)
    assert again.nodes[-1] == more and again.hosts == cluster.hosts


def test_a_unit_quotes_what_systemd_would_take_for_its_own() -> None:
    assert units._quoted('a "b" $c 100%') == '"a \\"b\\" $$c 100%%"'
    assert units._quoted("--pg-port") == "--pg-port"


def test_what_listens_on_a_network_says_where_it_is_reached(tmp_path: Path) -> None:
    first, second = read(tmp_path, NODES + HOSTS).nodes
    cluster = clusterfile.read(tmp_path)
    anywhere = ["--listen-address", "0.0.0.0", "--advertise-address"]
    assert processes._addresses(cluster, first, ()) == [*anywhere, "10.0.0.11"]
    assert processes._addresses(cluster, second, ["listen_address=10.1.0.12"]) == ["--advertise-address", "10.1.0.12"]
    loopback = read(tmp_path, (NODES + HOSTS).replace("10.0.0.11", "127.0.0.1").replace("10.1.0.12", "::1"))
    assert processes._addresses(loopback, loopback.nodes[0], ()) == ["--listen-address", "127.0.0.1"]


def system_unit(directory: Path) -> str:
    cluster = read(directory, NODES + HOSTS)
    return units.text(cluster, cluster.nodes[1], ["start", "--set", "a=b c"], is_system=True)


def test_a_unit_of_the_system_is_as_hardened_as_the_one_for_a_single_machine(tmp_path: Path) -> None:
    text = system_unit(tmp_path)
    shipped = (Path(__file__).resolve().parents[2] / "deploy/systemd/heliosdb-nano.service").read_text().splitlines()
    lines = text.splitlines()
    assert set(units.SANDBOX.splitlines()) - {"ReadWritePaths={directory}"} <= set(shipped)
    assert "ReadWritePaths=/srv/db" in lines and "WantedBy=multi-user.target" in lines
    assert 'ExecStart=/srv/db/bin/heliosdb-nano start --set "a=b c"' in lines
    assert "StandardOutput=append:/srv/db/n2.log" in lines


@pytest.mark.needs("systemd-analyze")
def test_systemd_knows_every_directive_of_it(tmp_path: Path) -> None:
    unit = tmp_path / "heliosdb-n2.service"
    unit.write_text(re.sub(r"^ExecStart=.*", "ExecStart=/bin/true", system_unit(tmp_path), flags=re.MULTILINE))
    checked = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60)
    assert unit.name not in checked.stderr, checked.stderr
