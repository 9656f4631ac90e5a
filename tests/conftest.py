"""What every test may use: programs of the system, found or skipped by name."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["support.node_process", "support.network", "support.etcd_server"]

ROOT = Path(__file__).resolve().parent.parent


settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")
"""How long an example takes says how busy the machine is."""


def pytest_configure(config: pytest.Config) -> None:
    """Have what nodes import compiled once, though hundreds are started: where no bytecode is wanted, in the cache."""
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
        os.environ["PYTHONPYCACHEPREFIX"] = str(config.rootpath / ".pytest_cache" / "bytecode")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the faults, which take longest: no worker shall be left alone with one at the end."""
    items.sort(key=lambda item: "faults" not in item.path.parts)


def find_program(name: str) -> str | None:
    """The path of a program, PostgreSQL's own directories included; None when it is not installed."""
    for directory in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (directory / name).exists():
            return str(directory / name)
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose programs are missing; fail it where CI promises that they are there."""
    for marker in item.iter_markers("needs"):
        for name in marker.args:
            if find_program(name) is None:
                message = f"{name} is not installed (make deps)"
                if os.environ.get("CI") == "true":
                    pytest.fail(message)
                pytest.skip(message)


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """A function from the name of a program to its path; a missing one skips the test by name."""

    def path_of(name: str) -> str:
        found = find_program(name)
        if found is None:
            message = f"{name} is not installed (make deps)"
            if os.environ.get("CI") == "true":
                pytest.fail(message)
            pytest.skip(message)
        return found

    return path_of


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The top of the checkout."""
    return ROOT
