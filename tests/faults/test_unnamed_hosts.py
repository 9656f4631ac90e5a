"""Nodes of several machines that listen on every interface and have no advertise_address: all reach all."""

from __future__ import annotations

from pathlib import Path

from support.network import HostedNode, Network
from support.node_process import wait_until

SETTLED_S = 30.0


def hosts(node: HostedNode) -> dict[str, str]:
    """Where ``node`` says that each node is."""
    return {one["node_id"]: one["host"] for one in node.http("/status")[1]["cluster"]["nodes"]}


def follows(node: HostedNode) -> str | None:
    """Whom a node streams from; None when it does not."""
    cluster = node.http("/status")[1]["cluster"]
    own = cluster["nodes"][0]
    return cluster["primary_id"] if own["role"] == "standby" and own["state"] == "streaming" else None


def test_every_node_knows_where_the_others_are(network: Network, tmp_path: Path) -> None:
    machines = [network.host(f"n{number}") for number in (1, 2, 3)]
    flags = ("--advertise-address", "", "--replication-mode", "quorum")
    first = network.node(machines[0], tmp_path / "n1", ("--replication-role", "primary", *flags)).start()
    upstream = ("--replication-role", "standby", "--primary-host", machines[0].address)
    second, third = (
        network.node(host, tmp_path / host.name, (*upstream, "--primary-port", str(first.native_port), *flags)).start()
        for host in machines[1:]
    )
    expected = {host.name: host.address for host in machines}

    def counted() -> bool:
        return all(one["in_sync"] for one in third.http("/status")[1]["cluster"]["nodes"])

    for node in (first, second, third):
        wait_until(lambda node=node: hosts(node) == expected, "it knows where all are", SETTLED_S)  # type: ignore[misc]
    wait_until(counted, "all copies count", SETTLED_S)

    first.kill()
    wait_until(lambda: follows(second) is None, "the primary is missed", SETTLED_S)
    # Of three two must be heard: the one that asks, and one that it finds by what the primary said of it.
    wait_until(lambda: second.http("/admin/promote", body={})[0] == 200, "another is promoted", SETTLED_S)
    wait_until(lambda: follows(third) == "n2", "the third follows it", SETTLED_S)
    code, refusal = third.http("/admin/pause", body={})
    assert code == 409
    assert refusal["hint"].startswith(f"Ask {machines[1].address}:{second.http_port}, ")

    # What the configuration says of one that is away is what it has said of itself.
    wait_until(lambda: hosts(third) == hosts(second) == expected, "they know where the first one was", SETTLED_S)

    # The former primary asks the others who leads, and the new one calls it.
    first.start(wait=False)
    first.wait_healthy()
    wait_until(lambda: follows(first) == "n2", "the former primary follows", SETTLED_S)
    for node in (first, second, third):
        wait_until(lambda node=node: hosts(node) == expected, "it knows where all are", SETTLED_S)  # type: ignore[misc]
