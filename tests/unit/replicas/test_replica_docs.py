"""docs/REPLICAS.md names what exists, and everything that can be set."""

from __future__ import annotations

import ast
import dataclasses
import re
from pathlib import Path

import helios_cli.replication
from helios_cli.replication import LoadBalancingStrategy, ReplicaConfig, ReplicationError, engine

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "REPLICAS.md").read_text()


def test_its_code_is_python_and_its_imports_exist() -> None:
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) >= 5
    imported = set()
    for block in blocks:
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                imported |= {alias.name for alias in node.names if node.module == "helios_cli.replication"}
    assert len(imported) >= 4
    assert imported <= set(helios_cli.replication.__all__)


def test_every_setting_strategy_and_engine_class_is_there() -> None:
    names = [field.name for field in dataclasses.fields(ReplicaConfig)]
    names += [strategy.name for strategy in LoadBalancingStrategy]
    names += engine.__all__
    assert [name for name in names if f"`{name}`" not in TEXT] == []


def test_what_is_exported_exists_and_every_error_is_a_replication_error() -> None:
    found = [getattr(helios_cli.replication, name) for name in helios_cli.replication.__all__]
    assert not [one for one in found if _is(one, Exception) and not _is(one, ReplicationError)]
    errors = [one for one in found if isinstance(one, type) and issubclass(one, ReplicationError)]
    assert len(errors) >= 7
    assert len({one.sqlstate for one in errors}) == len(errors)


def _is(one: object, kind: type) -> bool:
    return isinstance(one, type) and issubclass(one, kind)
