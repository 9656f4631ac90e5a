"""A node that is copied anew has afterwards what it had acknowledged: it still counts for that."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.inner_node import InnerNode
from support.inner_pair import SETTLED_S, in_sync, pair, replication
from support.node_process import wait_until

from helios_cli.engine.config.roles import Role
from helios_cli.engine.node import copy_source
from helios_cli.engine.node.divergence import Diverged
from helios_cli.engine.node.peer_link import PeerRefused
from helios_cli.engine.storage.copytarget import CopyTarget
from helios_cli.engine.types import Lsn


def test_a_copy_of_a_node_that_lags_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whom it followed last need not lead any more, and may lack what this node has acknowledged since."""
    ends: list[Lsn] = []
    finish = CopyTarget.finish

    def finished(self: CopyTarget, *arguments: Any) -> int:
        ends.append(self.log_end)
        return finish(self, *arguments)

    with pair(tmp_path, "quorum") as (first, lagging):
        port = first.settings.native_port
        third = InnerNode(
            tmp_path / "n3", node_id="n3", replication_role="standby", primary_host="127.0.0.1", primary_port=port,
            replication_mode="quorum",
        )  # fmt: skip
        with third:
            wait_until(lambda: in_sync(first) == ("n1", "n2", "n3"), "all copies count", SETTLED_S)
            with first.connect() as writer:
                lagging.hold_disk()
                writer.execute("INSERT INTO t SELECT i FROM generate_series(1, 1000) i")
                acknowledged = first.on_loop(lambda: first.node.pipeline.committed_lsn)
            assert third.node.store.log.flushed >= acknowledged > lagging.node.store.log.flushed
            monkeypatch.setattr(CopyTarget, "finish", finished)

            def diverge() -> None:
                own = replication(third)
                own.become(Role("standby", "127.0.0.1", lagging.settings.native_port))
                assert own.following is not None
                own.following._apply_failed(Diverged("a test wants it"))

            before = replication(third)
            third.on_loop(diverge)
            wait_until(lambda: replication(third) is not before and third.node.serving, "it lives", SETTLED_S)
            lagging.release_disk()
        assert ends and ends[0] >= acknowledged


def test_what_may_be_taken_back_is_not_copied() -> None:
    """Where two logs parted a node begins with a database that nobody has called committed yet."""
    node: Any = SimpleNamespace(
        checkpointer=SimpleNamespace(base_copies={}),
        pipeline=SimpleNamespace(committed_lsn=Lsn(900)),
        store=SimpleNamespace(log=SimpleNamespace(last=SimpleNamespace(lsn=Lsn(950), end=Lsn(1000), flags=0), start=0)),
    )
    with pytest.raises(PeerRefused, match="not known to be committed"):
        copy_source._start(node, "n2", Lsn(1000))
    node.pipeline.committed_lsn = Lsn(1000)
    assert copy_source._start(node, "n2", Lsn(1000)) == 950
