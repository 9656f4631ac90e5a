"""Starting is quick: what a command does not need, it does not import."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

HEAVY = {
    "textual", "paramiko", "apsw", "pgparse", "asyncio", "uvloop", "sqlite3", "sqlite_utils", "prompt_toolkit",
    "tomlkit", "cryptography", "numpy",
}  # fmt: skip

PROBE = """
import json, sys
sys.argv = ["heliosdb-nano", *{arguments!r}]
from helios_cli.cli import main
code = main()
print()
print(json.dumps([code, sorted(sys.modules)]))
"""


def modules_of(*arguments: str) -> tuple[int, set[str]]:
    """Exit code and the modules that a command has imported by its end."""
    probe = PROBE.format(arguments=list(arguments))
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    code, names = json.loads(done.stdout.splitlines()[-1])
    return code, set(names)


@pytest.mark.parametrize(
    ("arguments", "code", "limit"),
    [
        (["--help"], 0, 420),
        (["start", "--help"], 0, 440),
        (["health", "--node", "127.0.0.1:1", "--quiet"], 3, 300),
        (["config", "show", "--json"], 0, 300),
        (["version", "--json"], 0, 300),
    ],
)
def test_light_commands_import_little(arguments: list[str], code: int, limit: int) -> None:
    exit_code, names = modules_of(*arguments)
    assert exit_code == code
    assert {name for name in names if name.partition(".")[0] in HEAVY} == set()
    assert len(names) < limit, f"{len(names)} modules"


def test_the_help_imports_no_command() -> None:
    _, names = modules_of("--help")
    ours = {name for name in names if name.startswith("helios_cli.commands.")}
    assert ours == {"helios_cli.commands.root", "helios_cli.commands._errors"}


def test_a_python_without_assertions_is_named() -> None:
    done = subprocess.run(
        [sys.executable, "-O", "-m", "helios_cli", "version"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
