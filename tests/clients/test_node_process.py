"""A node as a program: started, asked over HTTP, stopped, killed and started again."""

from __future__ import annotations

import re
import signal

import pytest
from support.node_process import MakeNode, NodeProcess, wait_until


@pytest.fixture
def node(make_node: MakeNode) -> NodeProcess:
    made = make_node(start=False)
    made.program = True
    return made.start()


def test_faces_of_a_running_node(node: NodeProcess) -> None:
    assert node.http("/health") == (200, {"status": "ok"})
    assert node.http("/ready")[0] == 200
    status, record = node.http("/status")
    assert status == 200
    assert isinstance(record, dict)
    status, metrics = node.http("/metrics")
    assert status == 200
    assert re.search(r"^heliosdb_loop_lag_seconds_count \d+$", metrics, re.M)
    assert node.http("/admin/checkpoint")[0] == 405
    assert node.http("/admin/checkpoint", body={})[0] == 200
    with node.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_stop_and_start_keep_the_data(node: NodeProcess) -> None:
    with node.connect() as connection:
        connection.execute("CREATE TABLE t (a int PRIMARY KEY)")
        connection.execute("INSERT INTO t VALUES (1)")
    first = node.pid
    node.restart()
    assert node.pid != first
    with node.connect() as connection:
        connection.execute("INSERT INTO t VALUES (2)")
    node.kill()
    assert not node.running
    node.start()
    with node.connect() as connection:
        assert connection.execute("SELECT a FROM t ORDER BY a").fetchall() == [(1,), (2,)]
    assert node.stop() == 0


def test_stop_by_http(node: NodeProcess) -> None:
    assert node.http("/admin/stop", body={})[0] == 200
    assert node.wait() == 0


def test_a_stopped_process_answers_after_it_continues(node: NodeProcess) -> None:
    node.send(signal.SIGSTOP)
    node.send(signal.SIGCONT)
    wait_until(lambda: node.http("/health")[0] == 200, "the node answers")


def test_second_node_on_the_same_directory_is_refused(node: NodeProcess, make_node: MakeNode) -> None:
    other = make_node(start=False)
    other.program = True
    other.data_dir = node.data_dir
    other.start(wait=False)
    assert other.wait() != 0
    assert str(node.pid) in other.log_tail()
    assert node.http("/health")[0] == 200
