"""``heliosdb_statements_total``: each statement counts once, whichever way it is asked."""

from __future__ import annotations

import re

from support.node_process import NodeProcess


def count(node: NodeProcess) -> int:
    _, text = node.http("/metrics")
    found = re.search(r"^heliosdb_statements_total (\d+)$", str(text), re.MULTILINE)
    assert found is not None, text
    return int(found[1])


def test_statements_count_once_by_each_protocol(node: NodeProcess) -> None:
    with node.connect(autocommit=True) as client:
        client.execute("CREATE TABLE t (id int PRIMARY KEY, n int)")
        before = count(node)
        for i in range(20):  # psycopg prepares it after five times
            client.execute("INSERT INTO t VALUES (%s, 1)", (i,))
        assert count(node) - before == 20
        before = count(node)
        client.execute("SELECT n FROM t WHERE id = 3")
        client.execute("SELECT count(*) FROM t")
        client.execute("SELECT 1; SELECT 2; UPDATE t SET n = 2")
        assert count(node) - before == 5
        before = count(node)
        with client.transaction():
            client.execute("UPDATE t SET n = n + 1 WHERE id = %s", (1,))
            client.execute("UPDATE t SET n = n + 1")
        assert count(node) - before == 4, "BEGIN and COMMIT too"
        before = count(node)
        with client.transaction(), client.cursor("c") as cursor:
            cursor.execute("SELECT * FROM t")
            assert len(cursor.fetchmany(3) + cursor.fetchall()) == 20
        assert count(node) - before == 6, "BEGIN, DECLARE, two FETCH, CLOSE, COMMIT"
