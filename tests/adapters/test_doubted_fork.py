"""Where two logs parted a node begins again, and what lies before that may not be committed by anybody yet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.inner_pair import SETTLED_S, pair
from support.node_process import wait_until

from helios_cli.engine.node.following import Following
from helios_cli.engine.storage.store import Store
from helios_cli.engine.types import Lsn

ROW = "SELECT a FROM t WHERE a = -1"


def test_a_fork_is_shown_when_somebody_says_that_it_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, recover, committed = [True], Store._recover, Following.committed

    def went_back(store: Store, born: bool) -> Any:
        table, recovery = recover(store, born)
        return table, replace(recovery, committed=Lsn(recovery.applied - 1))

    def hears(following: Following, *said: Any) -> None:
        if told[0]:
            committed(following, *said)

    monkeypatch.setattr(Following, "committed", hears)
    with pair(tmp_path, "async") as (_, second):
        told[0], before = False, second.node.replication
        with monkeypatch.context() as patched:
            patched.setattr(Store, "_recover", went_back)
            second.on_loop(lambda: second.node.begin_again("a test wants it"))
            wait_until(lambda: second.node.replication is not before and second.node.serving, "it lives", SETTLED_S)
        node = second.node
        assert node.pipeline.committed_lsn < node.pipeline.applied_lsn()
        with second.connect(autocommit=True) as reader:
            reader.execute("SET statement_timeout = '500ms'")
            with pytest.raises(psycopg.errors.QueryCanceled):
                reader.execute(ROW)
            reader.execute("SET statement_timeout = '20s'")
            reader.execute("SET helios.read_consistency = 'eventual'")
            assert reader.execute(ROW).fetchone() == (-1,)
            reader.execute("RESET helios.read_consistency")
            told[0] = True
            assert reader.execute(ROW).fetchone() == (-1,)
        wait_until(lambda: not node.engine.settles_reads, "reads wait no more", SETTLED_S)
        assert node.pipeline.committed_lsn == node.pipeline.applied_lsn()
