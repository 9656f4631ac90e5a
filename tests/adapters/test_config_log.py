"""The configurations on disk: which one a copy of the database begins with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from helios_cli.engine.consensus.config import ClusterConfig, Member
from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.engine.storage.configlog import ConfigLog
from helios_cli.engine.storage.files import OsFiles
from helios_cli.engine.types import Lsn

FIRST = ClusterConfig(1, SyncMode.SYNC, (Member("n1", "disk", "h", 1, 2, 3, "sync"),), ("n1",))
SECOND = replace(FIRST, version=2)


def test_a_copy_begins_with_the_newest_before_its_log(tmp_path: Path) -> None:
    configs = ConfigLog(OsFiles(), str(tmp_path), Lsn(1000))
    assert configs.before(Lsn(1000)) is None
    configs.append(Lsn(100), FIRST, Lsn(0))
    configs.append(Lsn(500), SECOND, Lsn(400))
    # The second was committed since, which nothing has told the file of.
    assert configs.before(Lsn(900)) == (500, SECOND)
    assert configs.before(Lsn(499)) == (100, FIRST)
    assert configs.before(Lsn(99)) is None, "its record is in the log that comes with the copy"
    configs.close()
