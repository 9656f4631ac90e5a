"""What lies among the salvages and is none does not keep a node from starting."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from helios_cli.engine.storage.rewind import finish_salvages
from helios_cli.engine.storage.salvage import FOLDER, Manifest, SalvageWriter, salvages


def test_a_directory_without_a_manifest_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    writer = SalvageWriter(str(tmp_path), "one")
    manifest = Manifest("c", 1, "0/1", "0/2", 1, 0, 0)
    writer.finish(manifest)
    (tmp_path / FOLDER / "lost+found").mkdir()
    (tmp_path / FOLDER / "notes.txt").write_text("of the operator")
    SalvageWriter(str(tmp_path), "two")
    with caplog.at_level(logging.WARNING):
        assert salvages(str(tmp_path)) == [("one", manifest)]
    assert [record.args[1] for record in caplog.records if isinstance(record.args, tuple)] == [
        "lost+found",
        "notes.txt",
    ]
    assert finish_salvages(str(tmp_path), "") == []
