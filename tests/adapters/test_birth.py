"""A new database is there before anybody can reach it."""

from __future__ import annotations

import threading
from pathlib import Path

import psycopg
import pytest
from support.inner_node import InnerNode
from support.node_process import wait_until

from helios_cli.engine.storage.pagelog import PageLog


def test_who_comes_first_finds_the_system_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ports open when what the database was born with is on disk, however long that takes."""
    on_disk = threading.Event()
    write_through = PageLog.write_through

    def slowly(log: PageLog, data: bytes) -> None:
        assert on_disk.wait(20)
        write_through(log, data)

    monkeypatch.setattr(PageLog, "write_through", slowly)
    node = InnerNode(tmp_path)
    born: list[str] = []

    def come_first() -> None:
        wait_until(lambda: hasattr(node, "node") and hasattr(node.node, "pipeline"), "the node begins")
        wait_until(lambda: node.in_flight > 0, "its birth is on the way to the disk")
        for _ in range(300):
            # Each is a turn of the loop, which opens the ports in a few.
            assert node.on_loop(lambda: node.node.listener is None)
        with pytest.raises(psycopg.OperationalError):
            node.connect()
        born.append("waited for")
        on_disk.set()

    first = threading.Thread(target=come_first)
    first.start()
    with node:
        first.join()
        assert born
        with node.connect() as connection:
            connection.execute("CREATE TABLE t (a int)")
