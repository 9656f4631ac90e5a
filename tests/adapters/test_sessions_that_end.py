"""What a session leaves behind when its client goes."""

from __future__ import annotations

from pathlib import Path

from support.inner_node import InnerNode
from support.node_process import wait_until


def test_what_was_prepared_is_freed_at_once(tmp_path: Path) -> None:
    """Not when Python finds the session's cycle, which may be after thousands of others."""
    with InnerNode(tmp_path) as node:
        sessions = node.node.engine.sessions
        with node.connect() as connection:
            connection.prepare_threshold = 0
            connection.prepared_max = None
            for number in range(50):
                connection.execute(f"SELECT %s::int AS c{number}", (number,))
            (session,) = sessions.values()
            assert len(session.statements) == 50
            assert session.shortcuts
        wait_until(lambda: session.closed and not sessions, "the session has ended")
        wait_until(lambda: not (session.statements or session.shortcuts or session.parsed), "it keeps nothing")
