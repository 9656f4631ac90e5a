"""Small functions, modules of one idea. The lists of exemptions may only shrink."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FUNCTION_LINES_MAX = 70
MODULE_LINES_MAX = 500

LONG_MODULES: set[str] = set()
"""Paths of modules that are longer all the same: generated tables."""

LONG_FUNCTIONS: set[str] = set()
"""``path:qualified name`` of functions that are longer all the same."""


def sources() -> list[Path]:
    return sorted(path for top in ("helios_cli", "bench") for path in (ROOT / top).rglob("*.py"))


def function_lines(path: Path) -> dict[str, int]:
    lengths: dict[str, int] = {}

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            name = prefix
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                name = f"{prefix}.{child.name}" if prefix else child.name
                if not isinstance(child, ast.ClassDef):
                    lengths[name] = (child.end_lineno or child.lineno) - child.lineno + 1
            visit(child, name)

    visit(ast.parse(path.read_text()), "")
    return lengths


def test_no_module_is_longer_than_the_limit() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in sources()
        if (count := len(path.read_text().splitlines())) > MODULE_LINES_MAX
    }
    assert {name: count for name, count in long.items() if name not in LONG_MODULES} == {}
    assert set(long) >= LONG_MODULES, "an exempted module has become short: take it off the list"


def test_no_function_is_longer_than_the_limit() -> None:
    long = {
        f"{path.relative_to(ROOT)}:{name}": count
        for path in sources()
        for name, count in function_lines(path).items()
        if count > FUNCTION_LINES_MAX
    }
    assert {name: count for name, count in long.items() if name not in LONG_FUNCTIONS} == {}
    assert set(long) >= LONG_FUNCTIONS, "an exempted function has become short: take it off the list"


def test_the_count_sees_methods_and_inner_functions(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text("class A:\n    def b(self):\n        def c():\n            pass\n        return c\n")
    assert function_lines(path) == {"A.b": 4, "A.b.c": 2}
