"""The catalog of a large schema is read when the node has started, on the connection that the first query borrows."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest
from support.inner_node import InnerNode
from support.node_process import wait_until

from helios_cli.engine.node import catalog_warmup

TABLES = 80
"""Each with an index: more relations than a small schema has."""
KEYS = "SELECT c.relname FROM pg_class c JOIN pg_constraint k ON k.conrelid = c.oid WHERE k.contype = 'p'"


def copied(node: InnerNode) -> set[str]:
    """The relations of which an idle connection has a copy."""
    found: set[str] = set()
    for connection in tuple(node.node.database._pool):
        try:
            found.update(
                str(name) for (name,) in connection.execute("SELECT relation FROM catalog_rows.filled").fetchall()
            )
        except apsw.SQLError:
            continue
    return found


@pytest.mark.parametrize("tables", [0, TABLES])
def test_a_node_that_starts_over_a_large_schema_has_its_catalog_ready(tmp_path: Path, tables: int) -> None:
    with InnerNode(tmp_path) as node, node.connect() as session:
        for number in range(tables):
            session.execute(f"CREATE TABLE t{number} (id int PRIMARY KEY, v int)")
    with InnerNode(tmp_path) as node:
        usual = set(catalog_warmup.USUAL)
        if tables:
            wait_until(lambda: copied(node) >= usual, "the catalog is read")
        with node.connect() as session:
            assert len(session.execute(KEYS).fetchall()) == tables
        # The query found them where they are: nobody else opened a connection for it.
        assert copied(node) == (usual if tables else {"pg_catalog.pg_class", "pg_catalog.pg_constraint"})
        assert not any(connection.in_transaction for connection in node.node.database._pool)
