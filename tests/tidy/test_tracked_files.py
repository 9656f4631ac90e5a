"""What is committed belongs to the product: no paths of one machine, no package hosts, no unfinished marks."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Written in pieces so that this file does not find itself.
BANNED = {
    "a path of one machine": r"(?<![\w.])/(?:" + "wo" + r"rk|ro" + r"ot|home/(?!app/HeliosDB)\w+)/",
    "a scratch path": "/" + "tmp/(?!heliosdb)",
    "a package host": "|".join(
        ["py" + r"pi\.org", "pythonhost" + "ed", "npm" + r"js\.", "deb" + r"\.debian", "crates" + r"\.io"]
    ),
    "an unfinished mark": r"\b(?:TO" + "DO|FIX" + r"ME|X" + r"XX)\b",
}
TEXT = {".py", ".md", ".toml", ".sh", ".lock", ".bash", ".zsh", ".fish", ".yml", ".sql", ".txt", ".json", ""}


def tracked() -> list[Path]:
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    names = [name for name in listed.stdout.decode().split("\0") if name]
    return [ROOT / name for name in names if Path(name).suffix in TEXT and (ROOT / name).is_file()]


def test_no_tracked_file_speaks_of_this_machine() -> None:
    found = []
    for path in tracked():
        text = path.read_text(errors="replace")
        for what, pattern in BANNED.items():
            for match in re.finditer(pattern, text):
                line = text.count("\n", 0, match.start()) + 1
                found.append(f"{path.relative_to(ROOT)}:{line}: {what}: {match[0]}")
    assert found == []


def test_the_patterns_see_what_they_ban() -> None:
    samples = [
        "cd /wo" + "rk/main",
        "/ro" + "ot/.cache",
        "open('/" + "tmp/x')",
        "https://py" + "pi.org/simple",
        "# TO" + "DO: later",
    ]
    for sample in samples:
        assert any(re.search(pattern, sample) for pattern in BANNED.values()), sample


def test_scripts_are_executable_and_nothing_else_is() -> None:
    for path in tracked():
        if path.parent.name not in ("tools", ".ci"):
            assert not path.stat().st_mode & 0o111 or path.read_bytes().startswith(b"#!"), path


def test_ci_runs_make_test_and_nothing_more() -> None:
    lines = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if line and not line.startswith("#")]
    assert lines == ['cd "$(dirname "$0")/.." && exec make test']
