"""A standby that the log no longer reaches gets a copy of the database, while the primary goes on writing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from support.node_process import MakeNode, NodeProcess, wait_until

from helios_cli.engine.config.roles import Role
from helios_cli.engine.storage import copytarget
from helios_cli.engine.storage.control import ControlFile
from helios_cli.engine.storage.files import OsFiles
from helios_cli.engine.storage.membership import save_role

SMALL = ("--log-segment-mb", "1", "--log-retention-mb", "0", "--wal-checkpoint-mb", "1", "--max-slot-lag-mb", "1")
COPIED_S = 60.0


def standby_flags(upstream: NodeProcess) -> tuple[str, ...]:
    port = str(upstream.native_port)
    return ("--replication-role", "standby", "--primary-host", "127.0.0.1", "--primary-port", port)


def status(node: NodeProcess) -> dict[str, Any]:
    code, content = node.http("/status")
    assert code == 200
    return dict(content)


def position(node: NodeProcess) -> tuple[str, str]:
    try:
        found = status(node)
    except OSError:
        return "", "no answer"
    return found["committed_lsn"], found["database_checksum"]


def wait_equal(one: NodeProcess, other: NodeProcess) -> None:
    wait_until(lambda: position(one) == position(other), "both nodes are at the same position", COPIED_S)


def fill(writer: psycopg.Connection[Any], rows: int, table: str = "t") -> None:
    """Rows of about 700 bytes that do not compress well, in transactions that the log holds as single records."""
    writer.execute(f"CREATE TABLE IF NOT EXISTS {table} (a int PRIMARY KEY, pad text)")
    start = writer.execute(f"SELECT coalesce(max(a), 0) FROM {table}").fetchone()
    assert start is not None
    for number in range(start[0], start[0] + rows, 100):
        writer.execute(
            f"INSERT INTO {table} SELECT {number} + i, md5(random()::text) || repeat(md5(random()::text), 20) "
            "FROM generate_series(1, 100) i"
        )


def log_is_gone(primary: NodeProcess) -> None:
    """Until the primary's log does not begin at its birth any more."""
    wait_until(lambda: status(primary)["log_start_lsn"] != "0/0", "old log has been removed", COPIED_S)


@contextmanager
def writes(primary: NodeProcess) -> Iterator[None]:
    """A writer at work: rows come, change and go, and now and then many go at once."""
    stop = threading.Event()

    def work() -> None:
        with primary.connect() as writer:
            writer.execute("CREATE TABLE busy (a int PRIMARY KEY, pad text)")
            number = 0
            while not stop.is_set():
                number += 1
                writer.execute("INSERT INTO busy VALUES (%s, repeat(md5(random()::text), 30))", (number,))
                writer.execute("UPDATE busy SET pad = repeat(md5(random()::text), 20) WHERE a = %s", (number // 2,))
                if number % 200 == 0:
                    writer.execute("DELETE FROM busy WHERE a < %s", (number - 50,))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)


def test_an_empty_standby_copies_a_primary_whose_log_is_gone(make_node: MakeNode) -> None:
    primary = make_node("--replication-role", "primary", "--node-id", "n1", *SMALL)
    with primary.connect() as writer:
        fill(writer, 8000)
    log_is_gone(primary)
    standby = make_node(*standby_flags(primary), "--node-id", "n2", *SMALL)
    wait_equal(primary, standby)
    with primary.connect() as writer, standby.connect() as reader:
        writer.execute("INSERT INTO t VALUES (-1, 'after')")
        wait_equal(primary, standby)
        assert reader.execute("SELECT pad FROM t WHERE a = -1").fetchone() == ("after",)
        assert reader.execute("SELECT count(*) FROM t").fetchone() == (8001,)


def test_a_lapsed_standby_fetches_what_differs_while_writes_go_on(make_node: MakeNode) -> None:
    primary = make_node("--replication-role", "primary", "--node-id", "n1", *SMALL)
    standby = make_node(*standby_flags(primary), "--node-id", "n2", *SMALL)
    with primary.connect() as writer:
        fill(writer, 4000, "old")
        wait_equal(primary, standby)
        standby.stop()
        fill(writer, 6000, "new")
        wait_until(lambda: "slot n2 lagged" in primary.log_tail(200), "the slot has been dropped", COPIED_S)
        log_is_gone(primary)
    with writes(primary):
        standby.start()
        wait_until(lambda: "checksum verified" in standby.log_tail(200), "the copy is whole", COPIED_S)
    wait_equal(primary, standby)
    wanted = next(line for line in standby.log_tail(200).splitlines() if " pages from n1" in line)
    fetched, total = (int(wanted.split("copying ")[1].split()[at]) for at in (0, 2))
    assert 0 < fetched < total - 500, "the pages of the table that did not change are not fetched again"
    with standby.connect() as reader:
        assert reader.execute("SELECT count(*) FROM old").fetchone() == (4000,)
        assert reader.execute("SELECT count(*) FROM new").fetchone() == (6000,)


@pytest.mark.parametrize("who", ["standby", "primary"])
def test_a_copy_that_is_cut_goes_on(make_node: MakeNode, who: str) -> None:
    primary = make_node("--replication-role", "primary", "--node-id", "n1", *SMALL)
    with primary.connect() as writer:
        fill(writer, 30000)
    log_is_gone(primary)
    standby = make_node(*standby_flags(primary), "--node-id", "n2", *SMALL, start=False)
    standby.start(wait=False)
    wait_until(lambda: " pages from n1" in standby.log_tail(), "the copy has begun", COPIED_S)
    victim = standby if who == "standby" else primary
    victim.kill()
    if who == "standby":
        assert b"copying" in (standby.data_dir / "control" / "control").read_bytes()
        victim.start(wait=False)
    else:
        victim.start()
    standby.wait_healthy()
    wait_equal(primary, standby)
    with standby.connect() as reader:
        assert reader.execute("SELECT count(*) FROM t").fetchone() == (30000,)


def test_a_copy_that_the_former_primary_was_to_give_comes_from_the_one_that_leads(make_node: MakeNode) -> None:
    """It was lost before the copy was whole, and nobody tells a node that serves nobody who leads instead."""
    primary = make_node("--replication-role", "primary", "--node-id", "n1")
    standby = make_node(*standby_flags(primary), "--node-id", "n2")
    with primary.connect() as writer:
        fill(writer, 100)
    wait_equal(primary, standby)
    standby.stop()
    control = standby.data_dir / "control"
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        save_role(OsFiles(), str(control), Role("standby", "127.0.0.1", nobody.getsockname()[1]))
        half = ControlFile.open(OsFiles(), str(control))
        half.update(state=copytarget.STATE)
        half.close()
        standby.start()
        wait_equal(primary, standby)
    assert "pages copied from n1" in standby.log_tail()


def test_a_standby_copies_from_a_standby(make_node: MakeNode) -> None:
    primary = make_node("--replication-role", "primary", "--node-id", "n1", *SMALL)
    middle = make_node(*standby_flags(primary), "--node-id", "n2", *SMALL)
    with primary.connect() as writer:
        fill(writer, 8000)
    wait_equal(primary, middle)
    log_is_gone(middle)
    last = make_node(*standby_flags(middle), "--node-id", "n3", *SMALL)
    wait_equal(primary, last)
