"""The tutorials of docs/OPERATIONS.md, run as they stand there: every command, and what is shown under it."""

from __future__ import annotations

import functools
import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from support.compose_stack import Stack
from support.local_clusters import base_port, end_clusters
from support.node_process import ROOT, wait_until
from support.told import matches, sessions
from support.walkthrough import Walkthrough

pytestmark = [pytest.mark.slow, pytest.mark.needs("psql", "curl")]

DOCUMENT = ROOT / "docs" / "OPERATIONS.md"
COMPOSE = re.compile(r"docker compose -f docker-compose\.ha-cluster\.yml (\w+)(?: (.*))?")
LOCAL_PORTS = {5432, 5433, 8080, 5442, 5443, 8081, 5452, 5453, 8082, 5400, 9090}


def test_a_cluster_in_containers(tmp_path: Path, program: Callable[[str], str]) -> None:
    stack = Stack(tmp_path, program, {})
    ran = 0
    try:
        for command, shown in sessions(DOCUMENT, "Tutorial: a cluster in containers"):
            ran += 1
            if command.startswith("export "):
                stack.variables |= dict(word.split("=", 1) for word in shlex.split(command)[1:])
            elif (compose := COMPOSE.fullmatch(command)) is not None:
                _compose(stack, compose[1], compose[2])
            else:
                printed = stack.say(command)
                assert matches(shown, printed), f"$ {command}\n{printed}"
    finally:
        stack.close()
    assert ran > 20


def _compose(stack: Stack, verb: str, name: str | None) -> None:
    if verb == "up":
        stack.up()
    elif verb == "stop":
        stack.stop(str(name))
    elif verb == "start":
        stack.start(str(name))
        stack.wait_healthy(str(name))
    else:
        assert verb == "ps", verb


def test_the_same_as_processes(tmp_path: Path, program: Callable[[str], str]) -> None:
    tour = Walkthrough(tmp_path, LOCAL_PORTS, {"/tmp/heliosdb-ha": "ha"}, program)
    ran = 0
    try:
        for command, shown in sessions(DOCUMENT, "Tutorial: the same as processes"):
            ran += 1
            if command.endswith(" &"):
                tour.terminal(command.removesuffix(" &"))
            elif command.startswith("until "):
                condition = command.removeprefix("until ").partition("; do")[0]
                passed = f"{condition} && echo passed || true"
                wait_until(lambda passed=passed: "passed" in tour.run(passed), condition, 60)  # type: ignore[misc]
            else:
                printed = tour.run(command)
                assert matches(shown, printed), f"$ {command}\n{printed}"
    finally:
        tour.close()
    assert ran > 15


def test_the_session_of_the_readme(tmp_path: Path, program: Callable[[str], str]) -> None:
    """As it stands there, on ports of its own and with a shorter load; figures may be others."""
    first = base_port()
    tour = Walkthrough(tmp_path, (), {}, program)
    own = {"cluster up": f"cluster up --base-port {first}", "5400": str(first + 40), "--duration 60": "--duration 12"}
    ran: list[str] = []
    loads = []
    try:
        for line, shown in sessions(ROOT / "README.md", "From a clone to a disaster, and back"):
            ran.append(line)
            command = functools.reduce(lambda text, pair: text.replace(*pair), own.items(), line)
            if line.startswith("git clone "):
                continue
            if line.endswith(" &"):
                text, _, output = command.removesuffix(" &").partition(" > ")
                loads.append((tour.terminal(text), output))
            elif line.startswith("wait; "):
                assert loads[0][0].wait(60) == 0
                tour.run(f"cp terminal-1.log {loads[0][1]}")
                assert matches(without_figures(shown), tour.run(command.removeprefix("wait; ")))
            else:
                printed = tour.run(f"({command}) 2> /dev/null" if " up " in command else command)
                assert not shown or matches(without_figures(shown), printed), f"$ {command}\n{printed}"
    finally:
        tour.close()
        end_clusters(tmp_path)
    assert len(ran) == 9 and loads


def without_figures(shown: list[str]) -> list[str]:
    """What is shown, with anything in place of each figure."""
    return [re.sub(r"\S*\d\S*", "...", line) for line in shown]


def test_what_is_shown_is_compared() -> None:
    assert matches(["INSERT 0 1"], "INSERT 0 1\n")
    assert not matches(["INSERT 0 1"], "INSERT 0 2\n")
    assert matches(["a", "...", "z"], "a\nb c\nz") and not matches(["a", "...", "z"], "a\nb")
    assert matches(["stopped process ..."], "stopped process 17") and not matches([], "x")
    assert os.path.exists(DOCUMENT)
