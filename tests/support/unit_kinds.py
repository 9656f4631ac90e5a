"""Every kind of unit that a client sends to a proxy: what comes before it, and the messages one after the other."""

from __future__ import annotations

from helios_cli.engine.wire import backend as answers
from helios_cli.engine.wire import client as wire

RUN = wire.bind([]) + wire.describe("P") + wire.execute()
USE = wire.bind([], statement="s") + wire.execute()
MANY = wire.parse("SELECT many")
ONE, TWO = "INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2)"
COPY = [wire.query("COPY t FROM STDIN"), answers.copy_data(b"1\n"), answers.copy_data(b"2\n") + answers.COPY_DONE]
BEGIN = [wire.query("BEGIN"), wire.query(ONE)]

KINDS: dict[str, tuple[list[bytes], list[bytes]]] = {
    "a read": ([], [wire.query("SELECT 1")]),
    "a read of several rows": ([], [wire.query("SELECT many")]),
    "a read by the extended protocol": ([], [wire.parse("SELECT many") + RUN + wire.SYNC]),
    "a read of a prepared statement": ([wire.parse("SELECT many", "s") + wire.SYNC], [USE + wire.SYNC]),
    "a pipeline that reads": ([], [wire.parse("SELECT many") + RUN + wire.parse("SELECT 1") + RUN + wire.SYNC]),
    "a pipeline in parts": ([], [MANY + RUN + wire.FLUSH, wire.parse("SELECT 1") + RUN + wire.SYNC]),
    "an error": ([], [wire.query("SELECT fail")]),
    "a preparation": ([], [wire.parse(ONE, "s") + wire.describe("S", "s") + wire.SYNC]),
    "a write": ([], [wire.query(ONE)]),
    "a write by the extended protocol": ([], [wire.parse(ONE) + RUN + wire.SYNC]),
    "a write of a prepared statement": ([wire.parse(ONE, "s") + wire.SYNC], [USE + wire.SYNC]),
    "several writes": ([], [wire.parse(ONE) + RUN + wire.parse(TWO) + RUN + wire.SYNC]),
    "several writes of which one fails": ([], [wire.parse(ONE) + RUN + wire.parse("SELECT fail") + RUN + wire.SYNC]),
    "a string of several writes": ([], [wire.query(f"{ONE}; {TWO}")]),
    "a string that is a block": ([], [wire.query(f"BEGIN; {ONE}; COMMIT")]),
    "a setting": ([], [wire.query("SET a = 1"), wire.query("SELECT setting a")]),
    "a read with settings": ([wire.query("SET a = 1")], [wire.query("SELECT setting a")]),
    "COPY": ([], COPY),
    "a block": ([], [*BEGIN, wire.query("SELECT many"), wire.query(TWO), wire.query("COMMIT")]),
    "a block that is begun with its first write": ([], [wire.parse("BEGIN") + RUN + wire.parse(ONE) + RUN + wire.SYNC]),
    "a block that only reads": ([], [wire.query("BEGIN READ ONLY"), wire.query("SELECT many"), wire.query("COMMIT")]),
    "a block that is rolled back": ([], [*BEGIN, wire.query("ROLLBACK")]),
    "a block that fails": ([], [*BEGIN, wire.query("SELECT fail"), wire.query("COMMIT")]),
    "a block with a savepoint": (
        [*BEGIN, wire.query("SAVEPOINT a")],
        [wire.query("SELECT fail"), wire.query("ROLLBACK TO a"), wire.query("COMMIT")],
    ),
    "a block with COPY": (BEGIN, [*COPY, wire.query("COMMIT")]),
    "a block that sets something": (
        [], [*BEGIN, wire.query("SET a = 1"), wire.query("COMMIT"), wire.query("SELECT setting a")]
    ),
    "a commit by the extended protocol": (BEGIN, [wire.parse("COMMIT") + RUN + wire.SYNC]),
    "a write and its commit": (BEGIN, [wire.parse(TWO) + RUN + wire.parse("COMMIT") + RUN + wire.SYNC]),
    "a chain": (BEGIN, [wire.query("COMMIT AND CHAIN"), wire.query(TWO), wire.query("COMMIT")]),
}  # fmt: skip
