"""The role on disk: whoever steps down needs no room for it, and finds what an older version wrote."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from helios_cli.engine.config.roles import Role
from helios_cli.engine.errors import DiskFull, LogDamaged
from helios_cli.engine.node.replication import Replication
from helios_cli.engine.storage.files import OsFile, OsFiles
from helios_cli.engine.storage.membership import load_role, save_role

PRIMARY = Role("primary")
STANDBY = Role("standby", "10.0.0.2", 5433)


class FullDisk(OsFiles):
    """Makes no file and lengthens none."""

    def open(self, path: str, *, create: bool = False) -> OsFile:
        if create:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().open(path)


def test_a_node_steps_down_on_a_full_disk(tmp_path: Path) -> None:
    directory = str(tmp_path)
    assert load_role(OsFiles(), directory) is None
    save_role(OsFiles(), directory, PRIMARY)
    size = (tmp_path / "role").stat().st_size
    save_role(FullDisk(), directory, STANDBY)
    assert load_role(FullDisk(), directory) == STANDBY
    assert (tmp_path / "role").stat().st_size == size


def test_the_role_that_an_older_version_put_down_is_taken_over(tmp_path: Path) -> None:
    old = tmp_path / "role.json"
    old.write_text('{"version": 1, "role": "standby", "primary_host": "10.0.0.2", "primary_port": 5433}\n')
    assert load_role(OsFiles(), str(tmp_path)) == STANDBY
    assert not old.exists()
    assert load_role(OsFiles(), str(tmp_path)) == STANDBY


def test_a_torn_write_leaves_the_role_of_before(tmp_path: Path) -> None:
    save_role(OsFiles(), str(tmp_path), PRIMARY)
    save_role(OsFiles(), str(tmp_path), STANDBY)
    path = tmp_path / "role"
    data = path.read_bytes()
    newer = data.index(b"10.0.0.2")
    path.write_bytes(data[:newer] + b"torn" + data[newer + 4 :])
    assert load_role(OsFiles(), str(tmp_path)) == PRIMARY
    path.write_bytes(bytes(len(data)))
    with pytest.raises(LogDamaged) as caught:
        load_role(OsFiles(), str(tmp_path))
    assert "--replication-role" in str(caught.value.hint)


def test_a_node_keeps_its_role_when_the_new_one_cannot_be_put_down(tmp_path: Path) -> None:
    replication: Any = object.__new__(Replication)
    replication.role = PRIMARY
    replication.node = SimpleNamespace(store=SimpleNamespace(files=FullDisk(), control_dir=str(tmp_path)))
    with pytest.raises(DiskFull):
        replication.become(STANDBY)
    assert replication.role == PRIMARY
