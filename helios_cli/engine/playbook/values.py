"""What a playbook writes as text: durations, sizes, shares, and variables in ``${...}``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

Value = str | int | float | bool

SECONDS: Final[Mapping[str, float]] = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
BYTES: Final[Mapping[str, float]] = {"B": 1.0, "kB": 2.0**10, "MB": 2.0**20, "GB": 2.0**30}
_NUMBER: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z%]*)\s*")
VARIABLE: Final = re.compile(r"\$\{([^}]*)\}")
NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
"""What a variable may be called."""


def duration(value: object) -> float:
    """Seconds of ``20s``, ``500ms``, ``2min``, ``1h``; a bare number is seconds. Raises ValueError."""
    return _quantity(value, SECONDS, "s", "a time such as 20s, 500ms or 2min")


def size(value: object) -> float:
    """Bytes of ``64MB``, ``16kB``; a bare number is bytes. Raises ValueError."""
    return _quantity(value, BYTES, "B", "a size such as 64MB or 16kB")


def share(value: object) -> float:
    """Percent of ``1.5%``; a bare number is percent. Raises ValueError."""
    return _quantity(value, {"%": 1.0}, "%", "a share such as 5%")


def number(value: object) -> float:
    """A bare number. Raises ValueError."""
    return _quantity(value, {"": 1.0}, "", "a number")


def _quantity(value: object, units: Mapping[str, float], bare: str, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"{value!r} is not {what}")
    found = _NUMBER.fullmatch(str(value))
    if found is None or (found[2] or bare) not in units:
        raise ValueError(f"{str(value)!r} is not {what}")
    return float(found[1]) * units[found[2] or bare]


def like(text: str, default: Value) -> Value:
    """A text of the command line as the kind of value that the variable's default is. Raises ValueError."""
    if isinstance(default, bool):
        if text.lower() not in ("true", "false", "yes", "no", "on", "off", "1", "0"):
            raise ValueError(f"{text!r} is neither true nor false")
        return text.lower() in ("true", "yes", "on", "1")
    if isinstance(default, (int, float)):
        found = number(text)
        return int(found) if isinstance(default, int) and found == int(found) else found
    if _is(duration, default):
        duration(text)
    return text


def _is(read: Callable[[object], float], value: object) -> bool:
    try:
        read(value)
    except ValueError:
        return False
    return True


def variables_in(value: object) -> list[str]:
    """The names in ``${...}`` of a text, or of the texts in lists and tables; in their order."""
    if isinstance(value, str):
        return VARIABLE.findall(value)
    if isinstance(value, Mapping):
        return [name for one in value.values() for name in variables_in(one)]
    if isinstance(value, (list, tuple)):
        return [name for one in value for name in variables_in(one)]
    return []


def filled(value: Any, variables: Mapping[str, Value]) -> Any:
    """The value with its variables' values; a text that is nothing but one variable becomes that value, kind and all.

    Every name must be there.
    """
    if isinstance(value, str):
        whole = VARIABLE.fullmatch(value)
        if whole is not None:
            return variables[whole[1]]
        return VARIABLE.sub(lambda found: text(variables[found[1]]), value)
    if isinstance(value, Mapping):
        return {key: filled(one, variables) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [filled(one, variables) for one in value]
    return value


def text(value: object) -> str:
    """A value as a playbook would write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def seconds_text(seconds: float) -> str:
    """A time for people: ``850 ms``, ``12.3 s``, ``4 min 10 s``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60} s"
