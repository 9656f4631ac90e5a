"""An idle node seals its log, and never when it gives the lead away or when a commit waits for others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.inner_node import InnerNode
from support.node_process import wait_until
from support.raw_wire import query

from helios_cli.engine.errors import ReadOnlyError
from helios_cli.engine.log.record import Kind
from helios_cli.engine.node import sealing
from helios_cli.engine.storage.ring import PINS_AFTER_READ


class Idling:
    """A node for which idle seconds pass at once."""

    def __init__(self, inner: InnerNode) -> None:
        self.inner = inner
        self.rounds = 0

    async def sleep(self, seconds: float) -> None:
        """Stands in for asyncio's."""
        self.rounds += 1
        await asyncio.sleep(seconds / 1000)

    def pass_seconds(self) -> None:
        """So many that the log is sealed if it may be; also over when somebody waits for the writer."""
        until, queue = self.rounds + 4, self.inner.node.engine.queue
        wait_until(lambda: self.rounds > until or len(queue) > 0, "time passes")

    @property
    def end(self) -> int:
        """Where the log ends, written or not."""
        return self.inner.node.database.records.lsn

    def is_sealed(self) -> bool:
        """Whether the log ends with a seal, on disk."""
        last = self.inner.node.store.log.last
        return last is not None and last.kind is Kind.SEAL and last.end == self.end


@pytest.fixture
def idling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Idling]:
    inner = InnerNode(tmp_path)
    made = Idling(inner)
    monkeypatch.setattr(sealing, "asyncio", SimpleNamespace(sleep=made.sleep))
    with inner:
        with inner.connect() as client:
            client.execute("CREATE TABLE t (a int PRIMARY KEY)")
        yield made


def test_one_seal_for_each_time_of_rest(idling: Idling) -> None:
    node = idling.inner.node
    with idling.inner.connect() as client:
        idling.pass_seconds()
        seq = node.database.commit_seq
        client.execute("INSERT INTO t VALUES (1)")
        wait_until(idling.is_sealed, "the log is sealed")
        end = idling.end
        idling.pass_seconds()
        assert idling.end == end
        assert node.database.commit_seq == seq + 1, "a seal is no commit"
        assert node.pipeline.committed_lsn == end


def test_no_seal_by_a_node_that_has_given_the_lead_away(idling: Idling) -> None:
    """Its log ends where that of the new primary goes on, whoever waited for the writer meanwhile."""
    inner, engine = idling.inner, idling.inner.node.engine
    with inner.connect() as client:
        client.execute("BEGIN")
        client.execute("INSERT INTO t VALUES (1)")
        # Not sealed yet, if the transaction began soon: the log's last record is that of the table.
        inner.on_loop(lambda: inner.node.pipeline.submit_apart(lambda: inner.node.database.records.seal(0)))
        end = idling.end
        idling.pass_seconds()
        assert idling.end == end, "a transaction is open"
        inner.on_loop(lambda: setattr(engine, "standby_refusal", lambda: ReadOnlyError("it follows now")))
        client.execute("ROLLBACK")
        wait_until(lambda: engine.queue.holder is None and not len(engine.queue), "the writer is free")
        assert idling.end == end
        idling.rounds = 0
        idling.pass_seconds()
        assert idling.end == end


def test_no_seal_and_no_read_waits_while_a_commit_does(idling: Idling) -> None:
    inner = idling.inner
    with inner.raw() as writer, inner.connect() as reader:
        for number in range(PINS_AFTER_READ + 9):
            writer.run(f"INSERT INTO t VALUES ({number})")
        wait_until(idling.is_sealed, "the log is sealed")
        inner.hold_disk()
        writer.send(query("INSERT INTO t VALUES (1000)"))
        inner.wait_in_flight()
        end = idling.end
        idling.pass_seconds()
        assert (idling.end, inner.in_flight) == (end, 1)
        reader.execute("SET statement_timeout = '5s'")
        assert reader.execute("SELECT a FROM t WHERE a = 7").fetchone() == (7,)
        inner.release_disk()
        writer.until("Z")
