"""A directory goes even when somebody who was told to end writes into it once more."""

from __future__ import annotations

import errno
import shutil
import time
from pathlib import Path

import pytest

from helios_cli.engine.remote import deeds


@pytest.mark.parametrize("times", [1, deeds.REMOVE_TRIES])
def test_what_comes_meanwhile_goes_too(times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "data"
    place.mkdir()
    whole = shutil.rmtree
    refused: list[str] = []

    def late(path: str) -> None:
        if len(refused) < times:
            refused.append(path)
            raise OSError(errno.ENOTEMPTY, "Directory not empty", path)
        whole(path)

    monkeypatch.setattr(shutil, "rmtree", late)
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    if times < deeds.REMOVE_TRIES:
        assert deeds.remove(str(place)) and not place.exists()
    else:
        with pytest.raises(OSError, match="not empty"):
            deeds.remove(str(place))
