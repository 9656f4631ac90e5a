"""What is sent to hosts runs on the Pythons that they may have."""

from __future__ import annotations

import ast
import inspect
import sys

import pytest

from helios_cli.engine.remote import deeds


def test_it_is_written_for_python_3_8_and_imports_nothing_of_ours() -> None:
    tree = ast.parse(inspect.getsource(deeds), feature_version=(3, 8))
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([one.name for one in node.names] if isinstance(node, ast.Import) else [node.module or ""])
    }
    assert imported <= sys.stdlib_module_names
    assert len(imported) > 10


@pytest.mark.parametrize("value", [b"\0\xff", {"a": [b"", 1, None]}, ["write", "p", b"x\n", 384], "ä\n"])
def test_a_line_is_decoded_to_what_was_encoded(value: object) -> None:
    line = deeds.encode(value)
    assert line.count(b"\n") == 1 and deeds.decode(line) == value
