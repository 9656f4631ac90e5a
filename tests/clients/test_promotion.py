"""Who leads: promotion after a kill, switchover under load, and the refusals that keep acknowledged commits."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg
import pytest
from support.node_process import MakeNode, NodeProcess, wait_until

SETTLED_S = 20.0


def standby_of(upstream: NodeProcess) -> tuple[str, ...]:
    port = str(upstream.native_port)
    return ("--replication-role", "standby", "--primary-host", "127.0.0.1", "--primary-port", port)


def cluster(make_node: MakeNode, count: int, mode: str) -> list[NodeProcess]:
    """A primary n1 and its standbys, all in sync, with the table t."""
    nodes = [make_node("--replication-role", "primary", "--node-id", "n1", "--replication-mode", mode)]
    with nodes[0].connect() as writer:
        writer.execute("CREATE TABLE t (a int PRIMARY KEY, b text)")
    for number in range(2, count + 1):
        flags = (*standby_of(nodes[0]), "--node-id", f"n{number}", "--replication-mode", mode)
        nodes.append(make_node(*flags))
    wait_until(lambda: len(in_sync(nodes[0])) == count, "every copy counts", SETTLED_S)
    return nodes


def status(node: NodeProcess) -> dict[str, Any]:
    code, content = node.http("/status")
    assert code == 200
    return dict(content)


def in_sync(node: NodeProcess) -> list[str]:
    return [each["node_id"] for each in status(node)["cluster"]["nodes"] if each["in_sync"]]


def position(node: NodeProcess) -> tuple[str, str]:
    found = status(node)
    return found["committed_lsn"], found["database_checksum"]


def reaches(node: NodeProcess, other: str) -> bool:
    found = {each["node_id"]: each["connected"] for each in status(node)["cluster"]["nodes"]}
    return bool(found[other])


def wait_equal(one: NodeProcess, other: NodeProcess) -> None:
    wait_until(lambda: position(one) == position(other), "both nodes are at the same position", SETTLED_S)


class Writers:
    """Threads that insert rows of their own and remember which were acknowledged."""

    def __init__(self, node: NodeProcess, count: int = 4) -> None:
        self.acknowledged: set[int] = set()
        self._node = node
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(count)]

    def _write(self, number: int) -> None:
        key = number
        try:
            with self._node.connect() as connection:
                while not self._ended.is_set():
                    key += 100
                    connection.execute("INSERT INTO t VALUES (%s, 'row')", (key,))
                    with self._lock:
                        self.acknowledged.add(key)
        except psycopg.Error:
            return

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()


def keys(node: NodeProcess) -> set[int]:
    with node.connect() as reader:
        return {row[0] for row in reader.execute("SELECT a FROM t").fetchall()}


@contextmanager
def frozen(node: NodeProcess) -> Iterator[None]:
    import signal

    node.send(signal.SIGSTOP)
    try:
        yield
    finally:
        node.send(signal.SIGCONT)


@pytest.mark.parametrize("mode", ["sync", "semi-sync", "quorum"])
def test_no_acknowledged_commit_is_lost_when_the_primary_is_killed(make_node: MakeNode, mode: str) -> None:
    first, second, third = cluster(make_node, 3, mode)
    with Writers(first) as writers:
        wait_until(lambda: len(writers.acknowledged) > 200, "there is load", SETTLED_S)
        first.kill()
    for node in (second, third):
        wait_until(lambda node=node: not reaches(node, "n1"), "the primary is missed", SETTLED_S)  # type: ignore[misc]
    code, answer = second.http("/admin/promote", body={})
    # Meanwhile one of them may be elected by itself.
    if code != 200 and "n2 is the primary already" not in answer["error"]:
        # The other one has more of the log, and is the one to promote.
        assert "has more of the log" in answer["error"] or "n3" in answer["error"], answer
        second, third = third, second
        code, answer = second.http("/admin/promote", body={})
    wait_until(lambda: leads(second), f"it leads: {answer}", SETTLED_S)
    assert writers.acknowledged <= keys(second)
    with second.connect() as writer:
        writer.execute("INSERT INTO t VALUES (1, 'after')")
    wait_equal(second, third)
    assert 1 in keys(third)


def test_the_old_primary_comes_back_as_a_standby(make_node: MakeNode) -> None:
    first, second = cluster(make_node, 2, "sync")
    first.kill()
    wait_until(lambda: not reaches(second, "n1"), "the primary is missed", SETTLED_S)
    assert second.http("/admin/promote", body={})[0] == 200
    with second.connect() as writer:
        writer.execute("INSERT INTO t VALUES (1, 'after')")
    first.start()
    wait_equal(first, second)
    assert status(first)["role"] == "standby"
    with first.connect() as reader:
        assert reader.execute("SELECT b FROM t WHERE a = 1").fetchone() == ("after",)
    wait_until(lambda: in_sync(second) == ["n2", "n1"], "its copy counts again", SETTLED_S)


def test_a_promotion_is_refused_while_the_primary_is_reached(make_node: MakeNode) -> None:
    first, second = cluster(make_node, 2, "async")
    code, answer = second.http("/admin/promote", body={"allow_data_loss": True})
    assert (code, answer["sqlstate"]) == (409, "55000")
    assert "still reaches the primary n1" in answer["error"]
    code, answer = first.http("/admin/promote", body={})
    assert code == 409 and "is the primary already" in answer["error"]


def test_a_promotion_is_refused_where_commits_may_be_missing(make_node: MakeNode) -> None:
    """Two of three were asked for each commit: one alone cannot know that it has them all."""
    first, second, third = cluster(make_node, 3, "semi-sync")
    first.kill()
    third.kill()
    wait_until(lambda: not reaches(second, "n1"), "the primary is missed", SETTLED_S)
    code, answer = second.http("/admin/promote", body={})
    assert code == 409 and "2 of n1, n2, n3 must be heard" in answer["error"], answer
    code, answer = second.http("/admin/promote", body={"allow_data_loss": True})
    assert code == 200, answer


def test_commits_wait_for_a_standby_and_go_on_without_a_lost_one(make_node: MakeNode) -> None:
    first, second = cluster(make_node, 2, "sync")
    with first.connect() as writer, first.connect() as reader, frozen(second):
        done = threading.Event()

        def write() -> None:
            writer.execute("INSERT INTO t VALUES (7, 'waits')")
            done.set()

        thread = threading.Thread(target=write)
        thread.start()
        # Nothing is seen of it before it is committed by the rule.
        assert not done.wait(0.5)
        assert reader.execute("SELECT count(*) FROM t WHERE a = 7").fetchone() == (0,)
        assert done.wait(SETTLED_S)
        thread.join()
        assert in_sync(first) == ["n1"]
        gaps = status(first)["cluster"]["gaps"]
        assert [(gap["node_id"], gap["to_lsn"]) for gap in gaps] == [("n2", None)]
    wait_until(lambda: in_sync(first) == ["n1", "n2"], "its copy counts again", SETTLED_S)
    assert status(first)["cluster"]["gaps"][0]["to_lsn"] is not None


@pytest.mark.parametrize("mode", ["async", "sync"])
def test_a_switchover_under_load_loses_nothing(make_node: MakeNode, mode: str) -> None:
    first, second = cluster(make_node, 2, mode)
    with Writers(first) as writers:
        wait_until(lambda: len(writers.acknowledged) > 200, "there is load", SETTLED_S)
        code, answer = first.http("/admin/switchover", body={"to": "n2"})
        assert code == 200, answer
    assert writers.acknowledged <= keys(second)
    assert status(second)["role"] == "primary"
    wait_equal(first, second)
    with second.connect() as writer:
        writer.execute("INSERT INTO t VALUES (1, 'after')")
    wait_equal(first, second)
    code, answer = second.http("/admin/switchover", body={})
    assert code == 200, answer
    with first.connect() as writer:
        writer.execute("INSERT INTO t VALUES (2, 'and back')")
    wait_equal(first, second)


def test_who_has_just_been_given_the_lead_gives_it_on_at_once(make_node: MakeNode) -> None:
    """Its own vote is free for the next: the primary that it was loyal to leads no more."""
    nodes = cluster(make_node, 3, "quorum")
    term = status(nodes[0])["term"]
    with Writers(nodes[0]):
        for turn in range(4):
            giver, taker, name = nodes[turn % 3], nodes[(turn + 1) % 3], f"n{(turn + 1) % 3 + 1}"
            wait_until(partial(reaches, giver, name), "the next one follows", SETTLED_S)
            code, answer = giver.http("/admin/switchover", body={"to": name})
            assert code == 200, answer
            assert (answer["term"], status(taker)["role"]) == (term + turn + 1, "primary"), answer


def test_who_has_just_begun_to_lead_gives_it_on_at_once(make_node: MakeNode) -> None:
    """Whomever it may have heard in its life before: it has led since this one began."""
    first = make_node("--replication-role", "primary", "--node-id", "n1", "--lease", "20s")
    first.restart()
    for name in ("n2", "n3"):
        make_node(*standby_of(first), "--node-id", name)
    wait_until(lambda: len(in_sync(first)) == 3, "every copy counts", SETTLED_S)
    term = status(first)["term"]
    code, answer = first.http("/admin/switchover", body={"to": "n2"}, timeout=30)
    assert (code, answer.get("term")) == (200, term + 1), answer


@pytest.mark.parametrize(("how", "automatic"), [(signal.SIGTERM, False), (signal.SIGINT, True)])
def test_a_primary_that_stops_gives_the_lead_away_first(
    make_node: MakeNode, how: signal.Signals, automatic: bool
) -> None:
    """Not where that is not wanted: then the others find out."""
    first, *others = cluster(make_node, 3, "quorum")
    with Writers(first) as writers:
        wait_until(lambda: len(writers.acknowledged) > 50, "there is load", SETTLED_S)
        first.send(how)
        assert first.wait() == 0
        if not automatic:
            assert any(leads(node) for node in others)
        wait_until(lambda: any(leads(node) for node in others), "another leads", SETTLED_S)
        (second,) = [node for node in others if leads(node)]
    with second.connect() as connection:
        connection.execute("INSERT INTO t VALUES (1, 'after')")
        query = "SELECT old_primary, automatic FROM replicate.failover_history ORDER BY failover_time DESC LIMIT 1"
        assert connection.execute(query).fetchone() == ("n1", automatic)
    assert writers.acknowledged <= keys(second)
    first.start()
    wait_equal(first, second)


def test_commits_do_not_wait_for_a_copy_whose_node_was_stopped(make_node: MakeNode) -> None:
    """Nor for that of a primary that was: it says so, and is not missed for eject_after first."""
    first, second = cluster(make_node, 2, "sync")
    make_node("--node-id", "o1", "--replication-role", "observer", *standby_of(first)[2:])
    wait_until(lambda: status(first)["cluster"]["voters"] == ["n1", "n2", "o1"], "the observer votes", SETTLED_S)
    with first.connect() as writer:
        writer.execute("ALTER SYSTEM SET eject_after = '60s'")
        assert second.stop() == 0
        began = time.monotonic()
        writer.execute("INSERT INTO t VALUES (1, 'without the standby')")
        assert time.monotonic() - began < 30
    second.start()
    wait_until(lambda: in_sync(first) == ["n1", "n2"], "its copy counts again", SETTLED_S)
    assert first.stop() == 0
    wait_until(lambda: leads(second), "it was given the lead", SETTLED_S)
    with second.connect() as writer:
        writer.execute("INSERT INTO t VALUES (2, 'without the primary')")
        query = "SELECT reason FROM helios_durability_gaps WHERE to_lsn IS NULL"
        assert writer.execute(query).fetchall() == [("lost when the primary changed",)]


def test_nodes_that_are_all_stopped_at_once_lead_again(make_node: MakeNode) -> None:
    """Whoever is given the lead while it stops leaves it: the next start elects."""
    nodes = cluster(make_node, 3, "quorum")
    with nodes[0].connect() as connection:
        connection.execute("INSERT INTO t VALUES (1, 'before')")
    ends = [threading.Thread(target=node.stop) for node in nodes]
    for end in ends:
        end.start()
    for end in ends:
        end.join()
    for node in nodes:
        node.start(wait=False)

    def takes_a_write(node: NodeProcess) -> bool:
        # Who has just come to lead may have to give way to a candidate that had taken a newer term.
        try:
            with node.connect() as connection:
                connection.execute("INSERT INTO t VALUES (2, 'after') ON CONFLICT DO NOTHING")
        except psycopg.Error:
            return False
        return True

    wait_until(lambda: any(leads(node) and takes_a_write(node) for node in nodes), "one leads", SETTLED_S)
    assert any(leads(node) and keys(node) == {1, 2} for node in nodes)


def test_standbys_that_have_heard_no_primary_since_they_began_elect_one(make_node: MakeNode) -> None:
    first, *others = cluster(make_node, 3, "quorum")
    with first.connect() as connection:
        connection.execute("INSERT INTO t VALUES (1, 'before')")
    for node in (first, *others):
        node.kill()
    for node in others:
        node.start(wait=False)
    wait_until(lambda: any(leads(node) for node in others), "one of them leads", SETTLED_S)
    (primary,) = [node for node in others if leads(node)]
    assert keys(primary) == {1}


def leads(node: NodeProcess) -> bool:
    try:
        return node.http("/primary", timeout=1)[0] == 200
    except OSError:
        return False


def test_a_switchover_that_cannot_be_leaves_the_primary(make_node: MakeNode) -> None:
    first, second = cluster(make_node, 2, "sync")
    code, answer = first.http("/admin/switchover", body={"to": "n9"})
    assert code == 409 and "n9 does not follow" in answer["error"]
    code, answer = first.http("/admin/switchover", body={"to": "n1"})
    assert code == 409 and "n1 leads already" in answer["error"]
    with first.connect(autocommit=False) as holder:
        holder.execute("INSERT INTO t VALUES (5, 'open')")
        code, answer = first.http("/admin/switchover", body={"timeout_s": 0.3})
        assert code == 409 and "did not end within 0.3 s" in answer["error"]
        holder.commit()
    assert 5 in keys(first)
    assert status(first)["role"] == "primary"
    assert second.http("/admin/switchover", body={})[0] == 409


def test_the_last_of_three_leads_and_writes_by_force(make_node: MakeNode) -> None:
    """The operator gives up two copies: the third takes writes at once, and says what it goes on without."""
    first, second, third = cluster(make_node, 3, "sync")
    with first.connect() as writer:
        writer.execute("INSERT INTO t VALUES (1, 'kept')")
    wait_equal(first, third)
    first.kill()
    second.kill()
    wait_until(lambda: not reaches(third, "n1"), "the loss of the primary is seen", SETTLED_S)
    assert third.http("/admin/promote", body={})[0] == 409
    code, answer = third.http("/admin/promote", body={"allow_data_loss": True}, timeout=30)
    assert (code, answer["term"]) == (200, 2), answer
    with third.connect(options="-c statement_timeout=20s") as writer:
        writer.execute("INSERT INTO t VALUES (2, 'alone')")
        gaps = writer.execute("SELECT * FROM helios_durability_gaps").fetchall()
        assert gaps and "n1" in str(gaps) and "n2" in str(gaps)
    assert in_sync(third) == ["n3"]
    for other in (first, second):
        other.start()
        wait_equal(third, other)
    wait_until(lambda: len(in_sync(third)) == 3, "every copy counts again", SETTLED_S)
    with third.connect() as writer:
        writer.execute("INSERT INTO t VALUES (3, 'together')")
        assert [a for (a,) in writer.execute("SELECT a FROM t ORDER BY a")] == [1, 2, 3]


def test_a_standby_that_was_restarted_shows_everything_once_it_is_promoted(make_node: MakeNode) -> None:
    """What it found in its log is not known committed before its term's first record is; the answer waits for that."""
    first, second = cluster(make_node, 2, "sync")
    with first.connect() as writer:
        writer.execute("CREATE TABLE late (a int)")
    first.kill()
    second.kill()
    second.start()
    code, answer = second.http("/admin/promote", body={}, timeout=30)
    assert (code, answer["result"]) == (200, f"node n2 is the primary of term {answer['term']}")
    with second.connect() as writer:
        writer.execute("INSERT INTO late VALUES (1)")
