"""A page that rots on the disk of a running node, and what a kill makes of it before and after a scrub."""

from __future__ import annotations

import os

from support.node_process import MakeNode, NodeProcess, wait_until

from helios_cli.engine.types import PAGE_SIZE

ROTTEN = 40
DEADLINE_S = 30.0


def rot(node: NodeProcess) -> None:
    with node.connect() as writer:
        writer.execute("CHECKPOINT")
    # The locks that closing this descriptor drops are this process's own: none.
    file = os.open(node.data_dir / "db" / "helios.db", os.O_RDWR)
    os.pwrite(file, bytes(50), (ROTTEN - 1) * PAGE_SIZE + 1000)
    os.close(file)


def test_a_scrub_comes_before_the_kill_or_too_late(make_node: MakeNode) -> None:
    node = make_node()
    with node.connect() as writer:
        writer.execute("CREATE TABLE t (a int PRIMARY KEY, b text)")
        writer.execute("INSERT INTO t SELECT i, repeat('x', 300) FROM generate_series(1, 3000) i")
    rot(node)
    status, begun = node.http("/admin/scrub", body={"rate_mb": 0})
    assert status == 200 and begun["running"]
    wait_until(lambda: not node.http("/status")[1]["scrub"]["running"], "the scrub is over", DEADLINE_S)
    found = node.http("/status")[1]["scrub"]
    assert (found["pages_bad"], found["pages_repaired"], found["last_error"]) == (0, 1, "")
    node.kill()
    # Every page is read before anything is served.
    node.start()
    with node.connect() as reader:
        assert reader.execute("SELECT count(*) FROM t WHERE b = repeat('x', 300)").fetchone() == (3000,)
    rot(node)
    node.kill()
    node.start(wait=False)
    assert node.wait() != 0
    assert f"the database file differs from its log on 1 pages, the first is page {ROTTEN}" in node.log_tail()
