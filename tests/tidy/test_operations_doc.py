"""OPERATIONS.md, SQL.md and hints against the code: metrics, settings, verbs and commands that they name exist."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from helios_cli.commands.completing.words import walk
from helios_cli.commands.tree import command_tree
from helios_cli.engine.config.registry import ALL_SETTINGS
from helios_cli.engine.sql.functions import REGISTRY
from helios_cli.engine.storage.system_relations import SYSTEM_RELATIONS

ROOT = Path(__file__).resolve().parents[2]
ENGINE = ROOT / "helios_cli" / "engine"
OPERATIONS = (ROOT / "docs" / "OPERATIONS.md").read_text()
SQL = (ROOT / "docs" / "SQL.md").read_text()
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])

METRIC = re.compile(r"heliosdb_[a-z0-9_]*[a-z0-9]")
COMMAND = re.compile(r"heliosdb-nano ((?:[a-z]+)(?: [a-z]+)?)")


def strings_of(path: Path) -> Iterator[tuple[int, str]]:
    """Every string of a module but its docstrings."""
    tree = ast.parse(path.read_text())
    prose = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.lineno, node.value


def sources(word: str) -> list[Path]:
    """The modules in which a word stands: to parse all of them takes seconds."""
    return [path for path in sorted((ROOT / "helios_cli").rglob("*.py")) if word in path.read_text()]


def registered_metrics() -> set[str]:
    nodes = (ENGINE / "node" / name for name in ("report.py", "certificates.py", "cluster_metrics.py", "etcd_meter.py"))
    paths = [*nodes, *sorted((ENGINE / "observe").glob("*.py"))]
    return {text for path in paths for _, text in strings_of(path) if METRIC.fullmatch(text)}


@functools.cache
def commands() -> set[str]:
    found = set()
    for verb in walk(command_tree()["heliosdb-nano"], ()):
        found.add(" ".join(verb.path))
    return found


def test_every_metric_is_explained_and_no_other() -> None:
    registered = registered_metrics()
    assert len(registered) > 20
    assert {*METRIC.findall(OPERATIONS)} == registered


def test_hints_name_commands_that_exist() -> None:
    known = commands()
    wrong, seen = [], 0
    for path in sources("heliosdb-nano "):
        for line, text in strings_of(path):
            for words in COMMAND.findall(text):
                seen += 1
                if not {words, words.partition(" ")[0]} & known:
                    wrong.append(f"{path.name}:{line}: heliosdb-nano {words}")
    assert seen > 3
    assert wrong == []


def hints() -> Iterator[tuple[str, str]]:
    """Where each hint stands and its text, f-strings without their values."""
    for path in sources("hint"):
        for node in ast.walk(ast.parse(path.read_text())):
            value: ast.expr | None = None
            if isinstance(node, ast.keyword) and node.arg == "hint":
                value = node.value
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if any(isinstance(one, ast.Name) and "hint" in one.id.lower() for one in targets):
                    value = node.value
            if value is not None:
                parts = [one.value for one in ast.walk(value) if isinstance(one, ast.Constant)]
                yield f"{path.name}:{value.lineno}", "".join(part for part in parts if isinstance(part, str))


def test_hints_name_flags_that_exist() -> None:
    known = {flag for verb in walk(command_tree()["heliosdb-nano"], ()) for flag in re.findall(r"--[a-z-]+", str(verb))}
    known |= set(re.findall(r"--[a-z][a-z-]+", (ROOT / "docs" / "CLI.md").read_text()))
    named = [(where, flag) for where, text in hints() for flag in re.findall(r"--[a-z][a-z-]+[a-z]", text)]
    assert len(named) > 5
    assert [(where, flag) for where, flag in named if flag not in known] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documents_name_commands_that_exist(document: Path) -> None:
    known = commands()
    lines = re.findall(r"(?:^\$ |`)(?:\w+=\S+ )*heliosdb-nano ([a-z]+)", document.read_text(), re.MULTILINE)
    assert {name for name in lines if name not in known} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
        assert (document.parent / target).exists(), target


def test_settings_that_operations_name_exist() -> None:
    known = {one.name for one in ALL_SETTINGS}
    named = re.findall(r"`([a-z]+_(?:timeout|mb|port|cert|key|network|connections|threads|flight|format))`", OPERATIONS)
    assert len(named) > 10
    assert {name for name in named if name not in known} - {"idle_session_timeout"} == set()


def test_admin_verbs_are_documented() -> None:
    text = (ENGINE / "node" / "admin.py").read_text()
    verbs = re.findall(r'^ +"([\w/]+)": self\._\w+,$', text, re.MULTILINE)
    assert verbs
    assert [verb for verb in verbs if f"/admin/{verb}`" not in OPERATIONS] == []


def test_the_counts_of_functions_and_catalogs_are_current() -> None:
    assert f"{len({one.name for one in REGISTRY})} names" in SQL, "docs/SQL.md, Functions"
    for schema in ("pg_catalog", "information_schema"):
        count = sum(own == schema for own, _ in SYSTEM_RELATIONS)
        assert re.search(rf"\b{count} (?:relations )?of `{schema}`", SQL), f"docs/SQL.md: {count} of {schema}"


def test_functions_that_the_document_lists_exist() -> None:
    known = {one.name for one in REGISTRY}
    rows = re.findall(r"^\| (?:strings|aggregates|windows|arrays|sets) \| (.*) \|$", SQL, re.MULTILINE)
    named = {word for row in rows for word in re.findall(r"(?<![\w*\[])[a-z][a-z0-9_]+(?![\w*\[])", row)}
    assert len(named) > 60
    assert named - known - {"and", "every", "aggregate", "trim"} == set()
