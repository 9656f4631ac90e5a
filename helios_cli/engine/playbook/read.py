"""A playbook's text → its model, and everything that is wrong with it, each with its line."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.playbook import conditions, values
from helios_cli.engine.playbook.conditions import METRICS
from helios_cli.engine.playbook.lines import Path, line_of, lines_of
from helios_cli.engine.playbook.model import BOUNDS, OFF, Do, Playbook, Step, Stop, Variable
from helios_cli.engine.playbook.words import ACTIONS

TOP: Final = ("title", "summary", "needs", "stop", "variables", "steps")
STEP: Final = ("name", "do", "needs", "expect", "timeout", "delay", "stop", "undo", "parallel", "each", "when")
GIVEN: Final = ("node",)
"""Variables that a step with ``each`` has besides."""
CHOICES: Final = (
    "@primary", "@standby", "@last-standby", "@survivor", "@standbys", "@nodes", "@others", "@observers", "@deposed",
    "@all",
)  # fmt: skip
"""Nodes by what they are when a run begins."""
LISTS: Final = ("@standbys", "@nodes", "@others", "@observers", "@deposed", "@all")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    line: int
    text: str
    hint: str = ""


class Faulty(HeliosError):
    """A playbook that cannot be run; ``problems`` has everything that is wrong, in the order of its lines."""

    sqlstate = "F0000"

    def __init__(self, name: str, problems: list[Problem]) -> None:
        first = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        hint = first.hint or f"heliosdb-nano playbook check {name} says everything that is wrong."
        super().__init__(f"{name}, line {first.line}: {first.text}{more}", hint=hint)
        self.problems = problems


def read(name: str, text: str) -> Playbook:
    """The model of a file's text.

    Raises:
        Faulty: something is wrong with it.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        said, _, place = str(error).partition(" (at ")
        numbers = [int(word) for word in place.replace(",", " ").replace(")", " ").split() if word.isdigit()]
        line = numbers[0] if numbers else text.count("\n") + 1
        raise Faulty(name, [Problem(line, f"this is no TOML: {said}")]) from None
    reader = _Reader(name, text, content)
    playbook = reader.playbook()
    if reader.problems or playbook is None:
        raise Faulty(name, sorted(reader.problems, key=lambda one: one.line))
    return playbook


class _Reader:
    """Walks the content of one file; what is wrong is collected, so that all of it can be told at once."""

    def __init__(self, name: str, text: str, content: dict[str, Any]) -> None:
        self.problems: list[Problem] = []
        self._name, self._text, self._content = name, text, content
        self._lines = lines_of(text)
        self._variables: dict[str, Variable] = {}
        self._loads: tuple[str, ...] = ()

    def playbook(self) -> Playbook | None:
        """The model; None when it could not be made. See :attr:`problems`."""
        content = self._content
        self._unknown(content, TOP, (), "a playbook")
        self._variables = {one.name: one for one in self._read_variables(content.get("variables", {}))}
        tables = content.get("steps", [])
        if not isinstance(tables, list) or not tables or not all(isinstance(one, dict) for one in tables):
            self._say(("steps",), "a playbook has steps: [[steps]] begins one")
            return None
        self._loads = tuple(str(one.get("load", "")) for one in tables if one.get("do") == "workload")
        steps = [self._step(table, ("steps", number)) for number, table in enumerate(tables)]
        self._twice([one.name for one in steps], "step")
        self._twice(list(self._loads), "workload")
        return Playbook(
            self._name, self._word(content, "title", (), self._name), self._word(content, "summary", (), ""),
            tuple(self._variables.values()), self._sentences(content, "needs", (), False),
            self._stop(content.get("stop", {}), ("stop",), False), tuple(steps), self._text,
        )  # fmt: skip

    def _say(self, path: Path, text: str, hint: str = "") -> None:
        self.problems.append(Problem(line_of(self._lines, path), text, hint))

    def _unknown(self, table: Mapping[str, Any], known: Iterable[str], path: Path, what: str) -> None:
        """Complain of keys that there are not, with the one that is most like it."""
        names = list(known)
        for key in table:
            if key not in names:
                self._say((*path, key), f"{what} has no {key!r}{_nearest(key, names)}", _listed(names))

    def _read_variables(self, table: object) -> Iterable[Variable]:
        if not isinstance(table, dict):
            self._say(("variables",), "[variables] is a table of names and defaults")
            return
        for name, given in table.items():
            path = ("variables", name)
            default = given.get("default") if isinstance(given, dict) else given
            if isinstance(given, dict):
                self._unknown(given, ("default", "help"), path, "a variable")
            if name in GIVEN:
                self._say(path, f"a variable cannot be called {name!r}: that is a step's of each")
            elif values.NAME.fullmatch(name) is None:
                self._say(path, f"a variable cannot be called {name!r}", "Small letters, digits and underscores.")
            elif not isinstance(default, (str, int, float, bool)):
                self._say(path, f"the default of {name!r} is a text, a number, true or false")
            elif isinstance(default, str) and default.startswith("@") and default not in CHOICES:
                self._say(path, f"{default!r} stands for no nodes{_nearest(default, CHOICES)}", _listed(CHOICES))
            else:
                yield Variable(name, default, str(given.get("help", "")) if isinstance(given, dict) else "")

    def _step(self, table: Mapping[str, Any], path: Path) -> Step:
        action = self._do(table, path, STEP)
        each = self._word(table, "each", path, "")
        if each and each not in LISTS and not values.VARIABLE.fullmatch(each):
            self._say((*path, "each"), f"each takes {', '.join(LISTS)} or a variable, not {each!r}")
        self._filled({key: one for key, one in table.items() if key not in ("each", "undo")}, path, bool(each))
        undo = table.get("undo")
        if undo is not None and not (isinstance(undo, list) and all(isinstance(one, dict) for one in undo)):
            self._say((*path, "undo"), 'undo is a list of actions, such as [{ do = "start", node = "a" }]')
            undo = None
        when = table.get("when", True)
        undone = [self._undo(one, (*path, "undo", number), bool(each)) for number, one in enumerate(undo or ())]
        return Step(
            self._word(table, "name", path, ""), action, self._sentences(table, "needs", path, bool(each)),
            self._sentences(table, "expect", path, bool(each)), self._time(table, "timeout", path, None),
            self._time(table, "delay", path, 0), self._stop(table.get("stop", {}), (*path, "stop"), bool(each)),
            None if undo is None else tuple(undone),
            self._word(table, "parallel", path, ""), each, self._when(when, path), line_of(self._lines, path),
        )  # fmt: skip

    def _undo(self, table: Mapping[str, Any], path: Path, each: bool) -> Do:
        self._filled(table, path, each)
        return self._do(table, path, ("do",))

    def _do(self, table: Mapping[str, Any], path: Path, beside: Iterable[str]) -> Do:
        """The action of a step, or of one that undoes it; ``beside`` are the keys that are not the action's."""
        word = table.get("do")
        if not isinstance(word, str):
            self._say(path, 'a step says what it does: do = "wait"', _listed(ACTIONS))
            return Do("wait")
        action = ACTIONS.get(word)
        if action is None:
            self._say((*path, "do"), f"there is no action {word!r}{_nearest(word, ACTIONS)}", _listed(ACTIONS))
            return Do("wait")
        self._unknown(table, (*beside, *action.takes), path, f"a step that does {word!r}")
        for key in action.needs:
            if key not in table:
                self._say(path, f"{word!r} needs {key!r}")
        arguments = {key: one for key, one in table.items() if key in action.takes}
        for key, one in arguments.items():
            if not values.variables_in(one):
                self._try(action.takes[key], one, (*path, key), f"{key} of {word!r}")
        if word == "finish" and arguments.get("load") not in self._loads:
            self._say((*path, "load"), f"no step starts a workload {arguments.get('load')!r}")
        return Do(word, arguments)

    def _filled(self, value: object, path: Path, each: bool) -> None:
        """Complain of variables that there are not."""
        known = [*self._variables, *(GIVEN if each else ())]
        entries = value.items() if isinstance(value, dict) else [(None, value)]
        for key, one in entries:
            for name in values.variables_in(one):
                if name not in known:
                    where = path if key is None else (*path, key)
                    self._say(where, f"there is no variable {name!r}{_nearest(name, known)}", _listed(known))

    def _sentences(self, table: Mapping[str, Any], key: str, path: Path, each: bool) -> tuple[str, ...]:
        """The conditions under a key: a list of texts."""
        given = table.get(key, [])
        if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
            self._say((*path, key), f'{key} is a list of conditions, such as ["healthy"]')
            return ()
        if not path:
            self._filled(given, (key,), each)
        for one in given:
            self._try(lambda text: conditions.parse(text, self._loads), self._sample(one), (*path, key), key)
        return tuple(given)

    def _sample(self, text: str) -> str:
        """A text with its variables' defaults, so that it can be read."""
        defaults = {name: one.default for name, one in self._variables.items()} | {name: "node" for name in GIVEN}
        return values.VARIABLE.sub(lambda found: values.text(defaults.get(found[1], "name")), text)

    def _stop(self, table: object, path: Path, each: bool) -> Stop:
        if not isinstance(table, dict):
            self._say(path, 'stop is a table of bounds, such as { lag = "64MB" }', _listed(BOUNDS))
            return Stop()
        self._unknown(table, BOUNDS, path, "stop")
        self._filled(table, path, each)
        bounds = {key: one for key, one in table.items() if key in BOUNDS}
        for key, one in bounds.items():
            if one != OFF and not values.variables_in(one):
                self._try(METRICS[key][1], one, (*path, key), key)
        return Stop(bounds)

    def _time(self, table: Mapping[str, Any], key: str, path: Path, default: float | None) -> Any:
        value = table.get(key, default)
        if value is not None and not values.variables_in(value):
            self._try(values.duration, value, (*path, key), key)
        return value

    def _when(self, value: object, path: Path) -> str:
        if not isinstance(value, bool) and not (isinstance(value, str) and values.VARIABLE.fullmatch(value)):
            self._say((*path, "when"), "when is true, false or a variable")
        return values.text(value)

    def _word(self, table: Mapping[str, Any], key: str, path: Path, default: str) -> str:
        value = table.get(key, default)
        if not isinstance(value, str):
            self._say((*path, key), f"{key} is a text")
            return default
        if key == "name" and not value:
            self._say(path, "a step has a name")
        return str(value)

    def _try(self, check: Callable[[Any], object], value: object, path: Path, what: str) -> None:
        try:
            check(value)
        except ValueError as error:
            self._say(path, f"{what}: {error}")

    def _twice(self, names: list[str], what: str) -> None:
        """Complain of names that are there twice."""
        tables = [("steps", number) for number in range(len(self._content["steps"]))]
        if what == "workload":
            tables = [path for path in tables if self._content["steps"][path[1]].get("do") == "workload"]
        for number, name in enumerate(names):
            if name and name in names[:number]:
                self._say(tables[number], f"there is a {what} {name!r} already")


def _nearest(word: str, known: Iterable[str]) -> str:
    found = get_close_matches(word, list(known), 1)
    return f"; did you mean {found[0]!r}?" if found else ""


def _listed(names: Iterable[str]) -> str:
    listed = ", ".join(names)
    return f"There are: {listed}." if listed else ""
