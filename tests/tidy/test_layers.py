"""The tree is the architecture: a module imports its own package and lower ranks, and knows what its rank may."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

RANKS: dict[str, float] = {
    "helios_cli": 0,
    "helios_cli.engine": 0,
    "helios_cli.engine.errors": 0,
    "helios_cli.engine.types": 0,
    "helios_cli.engine.status": 0,
    "helios_cli.engine.log": 1,
    "helios_cli.engine.datatypes": 1,
    "helios_cli.engine.histories": 1,
    "helios_cli.engine.wire": 2,
    "helios_cli.engine.sql": 2,
    "helios_cli.engine.consensus": 2.4,
    "helios_cli.engine.replication": 2.5,
    "helios_cli.engine.proxy": 2.5,
    "helios_cli.engine.multimaster": 2.5,
    "helios_cli.engine.shard": 2.5,
    "helios_cli.engine.playbook": 2.5,
    "helios_cli.engine.ports": 3,
    "helios_cli.engine.gateway": 3,
    "helios_cli.engine.config": 3,
    "helios_cli.engine.driver": 3,
    "helios_cli.engine.storage": 4,
    "helios_cli.engine.net": 4,
    "helios_cli.engine.remote": 4,
    "helios_cli.engine.observe": 4,
    "helios_cli.engine.sim": 4,
    "helios_cli.engine.node": 5,
    "helios_cli.engine.proxyserver": 5,
    "helios_cli.replication": 6,
    "helios_cli.tui": 6,
    "helios_cli.commands": 7,
    "helios_cli.cli": 8,
    "helios_cli.__main__": 9,
}

OUTSIDE = {
    "asyncio", "concurrent", "glob", "io", "logging", "mmap", "multiprocessing", "os", "pathlib", "random", "secrets",
    "select", "selectors", "shutil", "signal", "socket", "socketserver", "sqlite3", "ssl", "subprocess", "sys",
    "tempfile", "threading", "time", "uuid",
}  # fmt: skip
FACES = {"typer", "rich", "textual", "prompt_toolkit"}
BANNED: list[tuple[float, float, set[str]]] = [
    (0, 2.5, OUTSIDE | FACES | {"apsw", "paramiko", "psutil", "uvloop", "sqlite_utils"}),
    (3, 3, (OUTSIDE - {"sys"}) | FACES | {"apsw", "paramiko", "psutil", "uvloop", "sqlite_utils"}),
    (4, 5, FACES),
    (6, 6, {"typer", "sqlite3", "socket", "paramiko", "apsw"}),
    (7, 9, {"textual", "apsw", "sqlite3", "sqlite_utils", "asyncio"}),
]
"""Lowest rank, highest rank, and the modules that those ranks may not import."""

ALLOWED: dict[str, set[str]] = {
    "helios_cli.engine.config.load": {"os"},
    "helios_cli.engine.config.proxy_load": {"os"},
    "helios_cli.engine.config.write": {"os"},
    "helios_cli.engine.sql.nesting": {"threading"},
}
"""The files of a rank whose purpose is what the rank is denied."""

SQLITE_OF_PYTHON = {"helios_cli.engine.observe"}
"""Who may open databases with the standard library's SQLite: nobody near a live database file."""


@dataclass(frozen=True)
class Import:
    """One imported name and where."""

    module: str
    target: str
    line: int
    typing_only: bool


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def sources() -> list[Path]:
    return sorted((ROOT / "helios_cli").rglob("*.py"))


def unit_of(module: str) -> str:
    """The longest entry of the table that contains a module."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        if name in RANKS and (length == len(parts) or name not in ("helios_cli", "helios_cli.engine")):
            return name
    raise AssertionError(f"{module} has no rank: add its package to RANKS")


def imports_of(path: Path, text: str | None = None) -> Iterator[Import]:
    module = module_name(path)
    tree = ast.parse(path.read_text() if text is None else text)
    typing_lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            typing_lines.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif not isinstance(node, ast.ImportFrom):
            continue
        else:
            assert node.level == 0, f"{module}:{node.lineno}: relative import"
            base = node.module or ""
            below = ("helios_cli", "helios_cli.engine")
            targets = [f"{base}.{alias.name}" for alias in node.names] if base in below else [base]
        for target in targets:
            yield Import(module, target, node.lineno, node.lineno in typing_lines)


def layer_errors(one: Import) -> list[str]:
    if not one.target.startswith("helios_cli"):
        return []
    if one.target in ("helios_cli.__version__",):
        return []
    here, there = unit_of(one.module), unit_of(one.target)
    if here == there or RANKS[there] < RANKS[here] or (RANKS[here] == RANKS[there] == 0):
        return []
    return [f"{one.module}:{one.line} (rank {RANKS[here]:g}) imports {one.target} (rank {RANKS[there]:g})"]


def banned_errors(one: Import) -> list[str]:
    if one.typing_only:
        return []
    unit, top = unit_of(one.module), one.target.partition(".")[0]
    errors = []
    for low, high, names in BANNED:
        if low <= RANKS[unit] <= high and top in names and top not in ALLOWED.get(one.module, set()):
            errors.append(f"{one.module}:{one.line} (rank {RANKS[unit]:g}) may not import {one.target}")
    if top in ("sqlite3", "sqlite_utils") and unit not in SQLITE_OF_PYTHON and not errors:
        errors.append(f"{one.module}:{one.line} imports {top}, whose locks fight with APSW's")
    return errors


@cache
def all_imports() -> list[Import]:
    return [one for path in sources() for one in imports_of(path)]


def test_imports_go_downwards() -> None:
    assert [error for one in all_imports() for error in layer_errors(one)] == []


def test_no_rank_knows_more_than_it_may() -> None:
    assert [error for one in all_imports() for error in banned_errors(one)] == []


@pytest.mark.parametrize(
    ("path", "text", "count"),
    [
        ("helios_cli/engine/log/x.py", "import os", 1),
        ("helios_cli/engine/log/x.py", "from time import monotonic", 1),
        ("helios_cli/engine/log/x.py", "from helios_cli.engine.wire import y", 1),
        ("helios_cli/engine/log/x.py", "from helios_cli.engine import wire", 1),
        ("helios_cli/engine/log/x.py", "if TYPE_CHECKING:\n    import random", 0),
        ("helios_cli/engine/wire/x.py", "from helios_cli.engine.sql import plan", 1),
        ("helios_cli/engine/wire/x.py", "import helios_cli.engine.errors", 0),
        ("helios_cli/engine/config/load.py", "import os", 0),
        ("helios_cli/engine/config/merge.py", "import os", 1),
        ("helios_cli/engine/net/x.py", "from helios_cli.engine.storage import y", 1),
        ("helios_cli/engine/net/x.py", "import sqlite3", 1),
        ("helios_cli/engine/node/x.py", "import typer", 1),
        ("helios_cli/commands/x.py", "def f():\n    import textual", 1),
        ("helios_cli/commands/x.py", "from helios_cli.engine.node import node", 0),
    ],
)
def test_the_walk_sees_a_breach(path: str, text: str, count: int) -> None:
    found = list(imports_of(ROOT / path, text))
    assert len([error for one in found for error in (*layer_errors(one), *banned_errors(one))]) == count


def test_packages_hold_no_logic_in_their_init() -> None:
    for path in sources():
        if path.name == "__init__.py":
            kinds = {type(node) for node in ast.parse(path.read_text()).body}
            assert kinds <= {ast.Expr, ast.Assign, ast.AnnAssign, ast.Import, ast.ImportFrom}, path
