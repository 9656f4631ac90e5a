"""The units in deploy/systemd: directives that systemd knows, commands that the product takes, few rights."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
EXPOSURE_MAX = 2.0
"""Of ten; systemd calls up to 2 "safe enough to be OK"."""

HARDENED = {
    "NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes",
    "CapabilityBoundingSet": "", "UMask": "0077", "User": "heliosdb", "StateDirectoryMode": "0700",
}  # fmt: skip


def directives(path: Path) -> list[tuple[str, str, str]]:
    """Section, name and value of each line."""
    found, section = [], ""
    for line in path.read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            name, equals, value = line.partition("=")
            assert equals and section and name.isalnum(), line
            found.append((section, name, value))
    return found


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_a_unit_is_hardened(path: Path) -> None:
    own = {name: value for section, name, value in directives(path) if section == "Service"}
    assert HARDENED.items() <= own.items()
    assert int(own["TimeoutStopSec"]) >= 30, "a node may take a while to give its lead away and to checkpoint"
    assert ("Install", "WantedBy", "multi-user.target") in directives(path)


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_the_command_of_a_unit_is_taken(path: Path, tmp_path: Path) -> None:
    command = next(value for _, name, value in directives(path) if name == "ExecStart").split()
    program = Path(command[0]).name
    call = {"heliosdb-nano": "main", "heliosdb-proxy": "main_proxy"}[program]
    (tmp_path / "proxy.toml").write_text('[proxy]\ndiscover = "127.0.0.1:5432"\n')
    for name in ("heliosdb.conf", "observer.conf"):
        (tmp_path / name).write_text('[replication]\nprimary_host = "db1"\n')
    arguments = [
        re.sub("/var/lib", str(tmp_path), word.replace("/etc/heliosdb", str(tmp_path))) for word in command[1:]
    ]
    run = f"import sys; from helios_cli.cli import {call}; sys.exit({call}())"
    kept = {name: text for name, text in os.environ.items() if not name.startswith("HELIOSDB_")}
    done = subprocess.run(
        [sys.executable, "-c", run, *arguments, "--dry-run"], capture_output=True, text=True, cwd=ROOT, timeout=60,
        env=kept,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_systemd_knows_every_directive_and_calls_the_unit_safe(path: Path, tmp_path: Path) -> None:
    unit = tmp_path / path.name
    unit.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", path.read_text(), flags=re.MULTILINE))
    checked = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60)
    assert path.name not in checked.stderr, checked.stderr
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", str(unit)], capture_output=True, text=True, timeout=60
    )
    if "unrecognized option" in rated.stderr:
        pytest.skip("this systemd cannot rate a file")
    level = re.search(r"exposure level for \S+: ([\d.]+)", rated.stdout)
    assert level is not None and float(level[1]) <= EXPOSURE_MAX, rated.stdout + rated.stderr


def test_there_is_a_unit_for_each_kind_of_process() -> None:
    assert [path.name for path in UNITS] == [
        "heliosdb-nano.service", "heliosdb-observer.service", "heliosdb-proxy.service",
    ]  # fmt: skip
