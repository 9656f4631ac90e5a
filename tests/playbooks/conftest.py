"""A cluster of real processes that a module's playbooks share: each leaves it as it found it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.stage import PlaybookStage


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlaybookStage]:
    patch = pytest.MonkeyPatch()
    for name in [name for name in os.environ if name.startswith(("PG", "HELIOSDB_"))]:
        patch.delenv(name)
    made = PlaybookStage(Path(tmp_path_factory.mktemp("stage")))
    try:
        made.up()
        yield made
    finally:
        made.close()
        patch.undo()
