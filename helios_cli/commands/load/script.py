r"""Scripts as pgbench has them: SQL statements, variables, and lines that begin with a backslash.

    \set id random(1, 100 * :scale)
    \set amount :id % 7 + 1
    UPDATE t SET n = n + :amount WHERE id = :id;
    \sleep 5 ms
    SELECT n FROM t WHERE id = :id;

A statement ends with a semicolon at the end of a line. ``:name`` is replaced by the variable's text, if there is one.
Functions of ``\set`` are random, abs, min, max, sqrt and int; ``:client_id``, from 0, and ``:scale`` are there.
"""

from __future__ import annotations

import ast
import math
import operator
import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from helios_cli.commands.load.driver import Worker
from helios_cli.engine.errors import ConfigError

VARIABLE: Final = re.compile(r"(?<!:):([A-Za-z_][A-Za-z0-9_]*)")
UNITS_S: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0}

_BINARY: Final[Mapping[type, Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Mod: operator.mod,
}  # fmt: skip
_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "abs": abs,
    "min": min,
    "max": max,
    "sqrt": math.sqrt,
    "int": int,
}

Variables = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One line or statement."""

    line: int
    kind: str
    """``sql``, ``set`` or ``sleep``."""
    text: str
    name: str = ""
    """The variable of ``set``; the unit of ``sleep``."""
    expression: ast.expr | None = None


@dataclass(slots=True)
class Script:
    """A file that each operation runs once."""

    path: Path
    steps: list[Step]
    variables: Mapping[str, Any] = field(default_factory=dict)
    name: str = "script"

    def prepare(self, worker: Worker) -> None:
        """Nothing: what a script needs is made by hand."""

    def turn(self, worker: Worker) -> str:
        """The whole of it."""
        values: Variables = {"client_id": worker.number - 1, **self.variables}
        for step in self.steps:
            if step.kind == "sql":
                worker.execute(substituted(step, values))
            elif step.kind == "set":
                assert step.expression is not None
                values[step.name] = evaluate(step.expression, values, worker.rng, f"{self.path}:{step.line}")
            else:
                time.sleep(float(substituted(step, values)) * UNITS_S[step.name])
        return self.path.name

    def check(self, worker: Worker) -> list[str]:
        """Nobody knows what has to be there."""
        return []


def read(path: Path) -> list[Step]:
    """The steps of a file.

    Raises:
        ConfigError: it cannot be read, or a line of it is not understood.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {getattr(error, 'strerror', error)}") from None
    steps: list[Step] = []
    statement: list[str] = []
    began = 0
    for at, line in enumerate(lines, 1):
        text = line.strip()
        if not statement and (not text or text.startswith("--")):
            continue
        if not statement and text.startswith("\\"):
            steps.append(_backslash(text, f"{path}:{at}", at))
            continue
        began = began if statement else at
        statement.append(text)
        if text.endswith(";"):
            steps.append(Step(began, "sql", "\n".join(statement)))
            statement = []
    if statement:
        steps.append(Step(began, "sql", "\n".join(statement)))
    if not any(step.kind == "sql" for step in steps):
        raise ConfigError(f"{path} has no statement")
    return steps


def _backslash(text: str, where: str, line: int) -> Step:
    word, _, rest = text.partition(" ")
    if word == "\\set":
        name, _, expression = rest.strip().partition(" ")
        if not re.fullmatch(r"[A-Za-z_]\w*", name) or not expression.strip():
            raise ConfigError(f"{where}: \\set takes a name and an expression")
        return Step(line, "set", expression, name, parsed(expression, where))
    if word == "\\sleep":
        match = re.fullmatch(r"(\d+(?:\.\d+)?|:\w+)\s*(us|ms|s)?", rest.strip())
        if match is None:
            raise ConfigError(f"{where}: \\sleep takes a number and us, ms or s")
        return Step(line, "sleep", match[1], match[2] or "s")
    raise ConfigError(f"{where}: {word} is not understood", hint="Of pgbench's meta commands there are \\set, \\sleep.")


def parsed(expression: str, where: str) -> ast.expr:
    """The tree of an expression. Raises ConfigError when it is none that :func:`evaluate` takes."""
    try:
        tree = ast.parse(VARIABLE.sub(r"\1", expression.strip()), mode="eval").body
    except (SyntaxError, ValueError):
        raise ConfigError(f"{where}: {expression.strip()!r} is no expression") from None
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") not in ("random", *_FUNCTIONS):
            raise ConfigError(
                f"{where}: there is no function {ast.unparse(node.func)}", hint="See workload script --help."
            )
        known = isinstance(node, (ast.BinOp, ast.UnaryOp, ast.Call, ast.Name, ast.Constant, ast.operator, ast.unaryop))
        number = not isinstance(node, ast.Constant) or isinstance(node.value, (int, float))
        if not ((known and number) or isinstance(node, ast.expr_context)):
            raise ConfigError(f"{where}: {expression.strip()!r} is no expression of numbers")
    return tree


def evaluate(node: ast.expr, values: Mapping[str, Any], rng: random.Random, where: str) -> Any:
    """The value of an expression. Raises ConfigError for an unknown variable or function, and for division by zero."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        if node.id not in values:
            raise ConfigError(
                f"{where}: there is no variable {node.id}", hint=f"\\set {node.id} ..., or -D {node.id}=..."
            )
        return values[node.id]
    if isinstance(node, ast.UnaryOp):
        operand = evaluate(node.operand, values, rng, where)
        return -operand if isinstance(node.op, ast.USub) else operand
    try:
        if isinstance(node, ast.BinOp):
            return _binary(node, evaluate(node.left, values, rng, where), evaluate(node.right, values, rng, where))
        assert isinstance(node, ast.Call)
        arguments = [evaluate(one, values, rng, where) for one in node.args]
        assert isinstance(node.func, ast.Name)
        name = node.func.id
        return rng.randint(*map(int, arguments)) if name == "random" else _FUNCTIONS[name](*arguments)
    except (ZeroDivisionError, TypeError, ValueError, OverflowError) as error:
        raise ConfigError(f"{where}: cannot be reckoned: {error}") from None


def _binary(node: ast.BinOp, left: Any, right: Any) -> Any:
    if isinstance(node.op, ast.Div):
        # As in SQL, and in pgbench: of integers towards zero.
        whole = isinstance(left, int) and isinstance(right, int)
        return int(left / right) if whole else left / right
    return _BINARY[type(node.op)](left, right)


def substituted(step: Step, values: Mapping[str, Any]) -> str:
    """The text with the values of its variables; what is none is left as it is."""
    return VARIABLE.sub(lambda match: str(values.get(match[1], match[0])), step.text)
