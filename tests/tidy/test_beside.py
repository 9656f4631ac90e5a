"""tools/beside.sh, by which mypy runs beside the tests: either of two commands that fails is a failure."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("background", "command", "code"), [("true", "true", 0), ("exit 3", "true", 3), ("true", "false", 1)]
)
def test_both_commands_must_succeed(project_root: Path, background: str, command: str, code: int) -> None:
    beside = ["sh", "tools/beside.sh", f"sh -c 'echo of the first; {background}'", command]
    ran = subprocess.run(beside, cwd=project_root, capture_output=True, text=True, timeout=60)
    assert ran.returncode == code and "of the first\n" in ran.stdout
