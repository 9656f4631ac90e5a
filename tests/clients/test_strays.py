"""Nodes that nobody tells who leads: a restarted primary that took a term in vain, and a standby that was removed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
from support.node_process import MakeNode, NodeProcess, wait_until

from helios_cli.engine.storage.control import ControlFile
from helios_cli.engine.storage.files import OsFiles
from helios_cli.engine.types import Term

SETTLED_S = 40.0


def start(make_node: MakeNode, mode: str, count: int) -> list[NodeProcess]:
    """A primary n1 and its standbys, whose copies all count."""
    flags = ("--replication-mode", mode)
    first = make_node("--node-id", "n1", "--replication-role", "primary", *flags)
    upstream = ("--primary-host", "127.0.0.1", "--primary-port", str(first.native_port))
    nodes = [first]
    for number in range(2, count + 1):
        role = ("--node-id", f"n{number}", "--replication-role", "standby")
        nodes.append(make_node(*role, *flags, *upstream))
    with first.connect() as session:
        session.execute("CREATE TABLE t (a int)")
    wait_until(lambda: members(first) == [node.flags[1] for node in nodes], "all copies count", SETTLED_S)
    return nodes


def members(node: NodeProcess) -> list[str]:
    return sorted(one["node_id"] for one in status(node)["cluster"]["nodes"] if one["in_sync"])


def status(node: NodeProcess) -> dict[str, Any]:
    return dict(node.http("/status")[1])


def leads(node: NodeProcess) -> bool:
    try:
        return node.http("/primary", timeout=1)[0] == 200
    except OSError:
        return False


def kinds(node: NodeProcess) -> list[str]:
    with node.connect() as session:
        return [row[0] for row in session.execute("SELECT kind FROM helios_events ORDER BY id").fetchall()]


def promise(directory: Path, number: int) -> None:
    """Have a node that is down promise a term to itself, as if it had asked for it and not been elected."""
    control = ControlFile.open(OsFiles(), str(directory / "control"))
    try:
        control.update(term=Term(number, 77))
    finally:
        control.close()


def test_a_restarted_primary_that_took_a_term_in_vain_follows_who_leads(make_node: MakeNode) -> None:
    first, *others = start(make_node, "quorum", 3)
    first.kill()
    wait_until(lambda: any(map(leads, others)), "another one is elected", SETTLED_S)
    leader = next(node for node in others if leads(node))
    promise(first.data_dir, status(leader)["term"] + 3)
    first.start()
    wait_until(lambda: status(first)["role"] == "standby", "it follows", SETTLED_S)
    wait_until(lambda: any(leads(node) and members(node) == ["n1", "n2", "n3"] for node in others), "all", SETTLED_S)


def test_a_standby_that_was_removed_while_it_was_away_finds_out(make_node: MakeNode) -> None:
    first, second, third = start(make_node, "async", 3)
    third.kill()
    wait_until(lambda: first.http("/admin/switchover", body={"to": "n2"})[0] == 200, "it is given", SETTLED_S)
    wait_until(lambda: leads(second), "the other one leads", SETTLED_S)

    def removed() -> bool:
        second.http("/admin/standby/remove", body={"node_id": "n3"})
        return "n3" not in [one["node_id"] for one in status(second)["cluster"]["nodes"]]

    wait_until(removed, "it is removed", SETTLED_S)
    # Where it would look for the primary nobody answers any more.
    first.kill()
    third.start(wait=False)
    wait_until(lambda: third.running and follows(third) == "n2", "it follows the one that leads", SETTLED_S)
    wait_until(lambda: "removed" in kinds(third), "it says that it was removed", SETTLED_S)
    wait_until(lambda: "n3" in members(second), "it is a member again", SETTLED_S)


def follows(node: NodeProcess) -> str:
    try:
        found = status(node)["cluster"]["upstream"]
    except (OSError, KeyError, psycopg.Error):
        return ""
    return str(found["node_id"]) if found and found["connected"] else ""
