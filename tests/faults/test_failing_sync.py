"""A disk that cannot sync: the node ends at once, says so, and has everything it acknowledged when it is back."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from support.kill_drill import verify_log
from support.node_process import MakeNode, NodeProcess, wait_until

EXIT_PANIC = 70
pytestmark = pytest.mark.needs("strace")


@contextmanager
def failing(node: NodeProcess, call: str) -> Iterator[None]:
    """From now on every ``call`` of the node fails with EIO."""
    tracer = subprocess.Popen(
        ["strace", "-f", "-o", str(node.directory / "strace"), "-e", f"trace={call}", "-e", f"inject={call}:error=EIO",
         "-p", str(node.pid)],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert tracer.stderr is not None
        first = tracer.stderr.readline()
        if "attached" not in first:
            pytest.skip(f"strace may not trace here: {first.strip()}")
        wait_until(lambda: traced(node) == {tracer.pid}, "every thread is traced")
        yield
    finally:
        tracer.terminate()
        tracer.communicate()


def traced(node: NodeProcess) -> set[int]:
    """Who traces the threads of a node."""
    found: set[int] = set()
    for thread in Path(f"/proc/{node.pid}/task").iterdir():
        lines = (thread / "status").read_text().splitlines()
        found.update(int(line.split()[1]) for line in lines if line.startswith("TracerPid:"))
    return found


def fill(node: NodeProcess) -> set[int]:
    with node.connect() as connection:
        connection.execute("CREATE TABLE t (id int PRIMARY KEY, pad text)")
        for number in range(50):
            connection.execute("INSERT INTO t VALUES (%s, %s)", (number, "x" * 500))
    return set(range(50))


def check_after_restart(node: NodeProcess, acked: set[int], sent: set[int]) -> None:
    node.start()
    with node.connect() as connection:
        found = {number for (number,) in connection.execute("SELECT id FROM t")}
        assert acked <= found <= sent
        connection.execute("INSERT INTO t VALUES (100000, 'after')")
    assert node.stop() == 0
    verify_log(node.data_dir)


def test_failing_sync_of_the_log_ends_the_node(make_node: MakeNode) -> None:
    # What the kernel writes by itself cannot be made to fail from outside.
    node = make_node(environment={"HELIOSDB_IO_METHOD": "worker"})
    acked = fill(node)
    sent = set(acked)
    errors: list[psycopg.Error] = []

    def write(first: int) -> None:
        try:
            with node.connect() as connection:
                for number in range(first, first + 1000):
                    sent.add(number)
                    connection.execute("INSERT INTO t VALUES (%s, 'y')", (number,))
                    acked.add(number)
        except psycopg.Error as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(1000 * number,)) for number in range(1, 5)]
    with failing(node, "fdatasync,pwritev2"):
        for thread in threads:
            thread.start()
        assert node.wait(10) == EXIT_PANIC
    for thread in threads:
        thread.join(10)
    assert len(errors) == 4
    for error in errors:
        assert isinstance(error, psycopg.OperationalError)
        assert error.sqlstate in ("08007", None), error
    assert any(error.sqlstate == "08007" for error in errors), "no client was told that the outcome is unknown"
    assert "the page log" in node.log_tail()
    check_after_restart(node, acked, sent)


def test_failing_sync_of_the_database_file_ends_the_node(make_node: MakeNode) -> None:
    """A second fsync would succeed although the pages are lost (Rebello et al., USENIX ATC 2020)."""
    node = make_node()
    acked = fill(node)
    with failing(node, "fsync"):
        with node.connect() as connection, pytest.raises(psycopg.OperationalError):
            connection.execute("CHECKPOINT")
        assert node.wait(10) == EXIT_PANIC
    assert "could not sync the database file" in node.log_tail()
    check_after_restart(node, acked, acked)


@pytest.mark.parametrize("how", ["group", "transaction", "copy"])
def test_a_failing_write_of_the_wal_fails_the_statement_alone(make_node: MakeNode, how: str) -> None:
    """SQLite's WAL is a cache: the statement is undone, told as io_error as PostgreSQL does, and the node goes on."""
    node = make_node()
    acked = fill(node)
    with node.connect() as connection:
        with failing(node, "pwrite64"), pytest.raises(psycopg.errors.IoError) as failed:
            if how == "group":
                connection.execute("INSERT INTO t VALUES (200, 'z')")
            elif how == "transaction":
                with connection.transaction():
                    connection.execute("INSERT INTO t VALUES (200, 'z')")
                    connection.execute("UPDATE t SET pad = 'changed' WHERE id = 1")
            else:
                with connection.cursor() as cursor, cursor.copy("COPY t FROM STDIN") as copy:
                    for number in range(200, 20_200):
                        copy.write_row((number, "z" * 1000))
        assert failed.value.sqlstate == "58030"
        assert "Input/output error" in str(failed.value)
        assert "the disk is full" not in node.log_tail()
        assert node.http("/ready")[0] == 200
        assert connection.execute("SELECT count(*) FROM t WHERE pad LIKE 'x%'").fetchone() == (50,)
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (50,)
        connection.execute("INSERT INTO t VALUES (300, 'z')")
    node.kill()
    check_after_restart(node, acked | {300}, acked | {300})
