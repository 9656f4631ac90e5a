"""The cluster's secret as a file: drawn once, whole, and for nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from helios_cli.engine.errors import ConfigError
from helios_cli.engine.storage.files import OsFiles
from helios_cli.engine.storage.secret import NAME, create_secret, load_secret


def test_what_was_drawn_is_loaded(tmp_path: Path) -> None:
    secret = create_secret(str(tmp_path))
    assert load_secret(str(tmp_path), "", {}) == secret
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_a_crash_while_it_was_drawn_leaves_none(tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.new").write_bytes(b"")
    assert load_secret(str(tmp_path), "", {}) == b""
    assert load_secret(str(tmp_path), "", {}) != create_secret(str(tmp_path))


def test_where_it_comes_from(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("of the file\n")
    create_secret(str(tmp_path))
    assert load_secret(str(tmp_path), str(file), {}) == b"of the file"
    assert load_secret(str(tmp_path), str(file), {"HELIOSDB_CLUSTER_SECRET": "of the environment"}) == (
        b"of the environment"
    )


@pytest.mark.parametrize("content", [None, " \n"])
def test_a_file_without_a_secret(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=r"cannot read cluster_secret_file|is empty"):
        load_secret(str(tmp_path), str(file), {})


def test_its_name_is_on_disk_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(
        OsFiles, "sync_dir", lambda _, path: synced.append((path, [p.name for p in tmp_path.iterdir()]))
    )
    create_secret(str(tmp_path))
    assert synced == [(str(tmp_path), [NAME])]
