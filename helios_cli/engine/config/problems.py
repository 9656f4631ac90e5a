"""What is wrong with a configuration: all of it at once, each with its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from helios_cli.engine.config.settings import Origin
from helios_cli.engine.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake and where it stands."""

    origin: Origin
    key: str
    """Dotted key, flag or variable as it was written; empty when the file itself is at fault."""
    message: str
    hint: str | None = None
    warning: bool = False
    """A warning does not keep a node from starting."""

    def __str__(self) -> str:
        place = "" if self.origin.kind == "default" else f"{self.origin}: "
        return f"{place}{self.message}"


class ConfigProblems(ConfigError):
    """A configuration that cannot be used; ``problems`` names every mistake, never empty."""

    def __init__(self, problems: Sequence[Problem], listed_by: str = "heliosdb-nano config validate") -> None:
        first = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        hint = first.hint or f"Every problem is listed by: {listed_by}"
        super().__init__(f"{first}{more}", hint=hint)
        self.problems = tuple(problems)
