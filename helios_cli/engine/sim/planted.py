"""The simulator over cores with one line changed: a bug that is planted to prove that the checkers bite.

The modules of the cores and of the simulator are loaded once more, beside the real ones, one of them from a changed
text. Nothing of the real ones is touched, and none of them knows of it.
"""

from __future__ import annotations

import builtins
import importlib.util
from collections.abc import Mapping, Sequence
from functools import cache
from types import CodeType, ModuleType
from typing import Any, Final, NamedTuple, cast

from helios_cli.engine.sim.plan import Spec
from helios_cli.engine.sim.world import Result, run

ENGINE: Final = "helios_cli.engine"
LOADED_AGAIN: Final = (
    f"{ENGINE}.consensus", f"{ENGINE}.sim", f"{ENGINE}.replication.messages", f"{ENGINE}.log.history",
)  # fmt: skip


class Bug(NamedTuple):
    """A mistake that could be made."""

    text: str
    module: str
    """Below ``helios_cli.engine``."""
    before: str
    """What stands in its text, once."""
    after: str


def run_with(bug: Bug, spec: Spec) -> Result:
    """One run in which the bug is there. Raises ValueError: its text is not found exactly once."""
    world, plan = loaded(bug)
    mode = world.SyncMode(spec.mode.value)
    found = world.run(plan.Spec(spec.seed, spec.nodes, mode, spec.steps, spec.observers, spec.survivable, spec.only))
    return Result(spec, found.rule, found.text, found.story, found.digest, found.counts)


def run_any(spec: Spec, bug: Bug | None) -> Result:
    """One run, with a bug or without."""
    return run(spec) if bug is None else run_with(bug, spec)


@cache
def loaded(bug: Bug) -> tuple[Any, Any]:
    """The modules ``sim.world`` and ``sim.plan`` where the bug is there. Raises ValueError as :func:`run_with` does."""
    modules = _Modules(bug)
    return modules.load(f"{ENGINE}.sim.world"), modules.load(f"{ENGINE}.sim.plan")


class _Modules:
    """The modules of one universe."""

    def __init__(self, bug: Bug) -> None:
        self._bug = bug
        self._loaded: dict[str, ModuleType] = {}
        self._builtins = {**vars(builtins), "__import__": self._import}

    def load(self, name: str) -> ModuleType:
        """A module, with what it imports."""
        if name not in self._loaded:
            module = self._loaded[name] = ModuleType(name)
            module.__dict__["__builtins__"] = self._builtins
            exec(self._code(name), module.__dict__)
        return self._loaded[name]

    def _code(self, name: str) -> CodeType:
        found = importlib.util.find_spec(name)
        assert found is not None and found.loader is not None
        loader = cast(Any, found.loader)
        if name != f"{ENGINE}.{self._bug.module}":
            return cast(CodeType, loader.get_code(name))
        text = loader.get_source(name)
        if text.count(self._bug.before) != 1:
            raise ValueError(f"what is to be changed stands {text.count(self._bug.before)} times in {name}")
        return compile(text.replace(self._bug.before, self._bug.after), f"{found.origin} (changed)", "exec")

    def _import(
        self,
        name: str,
        globals_: Mapping[str, Any] | None = None,
        locals_: Mapping[str, Any] | None = None,
        names: Sequence[str] = (),
        level: int = 0,
    ) -> ModuleType:
        if names and name.startswith(LOADED_AGAIN):
            module = self.load(name)
            for one in names:
                if not hasattr(module, one):
                    setattr(module, one, self.load(f"{name}.{one}"))
            return module
        return __import__(name, globals_, locals_, names, level)
