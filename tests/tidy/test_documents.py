"""Documents are held to the code: what is generated is current, what is promised exists."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from helios_cli.commands.completing.words import walk
from helios_cli.commands.reference import files
from helios_cli.commands.tree import command_tree
from helios_cli.engine.config.registry import ALL_SETTINGS

ROOT = Path(__file__).resolve().parents[2]
GENERATED = files()


@pytest.mark.parametrize("name", list(GENERATED))
def test_generated_files_are_current(name: str) -> None:
    assert (ROOT / name).read_text() == GENERATED[name], "run: make docs"


def test_no_generated_file_is_left_of_before() -> None:
    kept = {f"{path.parent.name}/{path.name}" for name in ("completions", "man") for path in (ROOT / name).iterdir()}
    assert kept == set(GENERATED) - {"docs/CLI.md"}


@pytest.mark.needs("groff")
@pytest.mark.parametrize("name", [name for name in GENERATED if name.startswith("man/")])
def test_a_manual_page_is_typeset_without_a_warning(name: str) -> None:
    made = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-rLL=80n", str(ROOT / name)], capture_output=True, text=True, timeout=60
    )
    assert (made.returncode, made.stderr) == (0, "")
    plain = re.sub(r"\x1b\[[0-9;]*m|.\x08", "", made.stdout)  # bold, in either of its ways
    program = Path(name).stem
    for verb in walk(command_tree()[program], ()):
        assert not verb.path or re.search(rf"^ *{' '.join(verb.path)}$", plain, re.MULTILINE), verb.path
        for flag, _ in verb.options if len(verb.options) < 40 else ():
            assert flag in ("--help", "--json") or flag in plain, (verb.path, flag)


def test_every_setting_is_documented() -> None:
    text = (ROOT / "docs" / "CLI.md").read_text()
    assert [one.name for one in ALL_SETTINGS if f"`{one.key}`" not in text] == []


def leaves() -> list[tuple[str, Any]]:
    found = []
    for program, command in command_tree().items():
        for verb in walk(command, ()):
            child = command
            for word in verb.path:
                child = child.commands[word]
            if not verb.children:
                found.append((" ".join((program, *verb.path)), child))
    return found


@pytest.mark.parametrize(("path", "command"), leaves(), ids=[path for path, _ in leaves()])
def test_every_command_has_help_examples_and_json(path: str, command: Any) -> None:
    assert command.help and len(command.help.splitlines()[0]) > 10
    assert "Examples:" in command.help, "one example at least"
    flags = {flag for one in command.params for flag in one.opts}
    assert "--json" in flags
    for one in command.params:
        assert getattr(one, "help", None), f"{path} {one.name} has no help"


def test_examples_name_commands_that_exist() -> None:
    known = {path for path, _ in leaves()}
    for path, command in leaves():
        for line in re.findall(
            r"^\s*((?:heliosdb-nano|heliosdb-cli)\b.*)$", command.help.partition("Examples:")[2], re.MULTILINE
        ):
            words = line.split()
            candidates = {" ".join(words[:count]) for count in (1, 2, 3, 4)}
            assert candidates & known, f"{path}: {line}"


def test_lock_files_pin_every_dependency_with_hashes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [re.split(r"[^A-Za-z0-9_-]", text)[0].replace("_", "-") for text in project["project"]["dependencies"]]
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text()
        pinned = set(re.findall(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==", text, re.MULTILINE))
        assert set(wanted) <= pinned, name
        blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
        assert all("--hash=sha256:" in block for block in blocks), name


def test_the_readme_fits_a_screen_and_names_the_two_targets() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 80
    assert "make demo" in text and "make test" in text
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (ROOT / target).exists(), target


READS = {
    "health", "status", "topology", "monitor", "version", "doctor", "whatif", "explain failover", "completion",
    "cluster status", "cluster logs", "cluster hosts list", "cluster units", "standby list", "playbook list",
    "playbook show", "playbook check",
    "playbook report", "prove verify", "user list", "user show", "log inspect", "log verify", "log dump",
    "salvage list", "salvage show", "salvage export", "config show", "config validate", "workload ledger verify",
    "workload ledger show", "proxy check", "proxy config", "proxy status", "proxy nodes", "proxy pools",
    "proxy clients", "proxy stats", "proxy explain", "sql",
    "demo", "sim run",  # in a place of their own, which they remove
}  # fmt: skip
"""Verbs that change nothing, or what somebody has typed in full."""


def test_every_command_that_changes_something_has_a_dry_run() -> None:
    lacking = set()
    for path, command in leaves():
        name = path.partition(" ")[2] or path
        if not any("--dry-run" in one.opts for one in command.params):
            lacking.add("sql" if path == "heliosdb-cli" else name)
    assert lacking == READS
