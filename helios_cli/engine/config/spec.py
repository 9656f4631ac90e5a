"""What one setting is: its names, type, unit, range and meaning, and how text becomes its value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeAlias

from helios_cli.engine.config.units import (
    BadValue,
    format_quantity,
    parse_bool,
    parse_float,
    parse_integer,
    parse_quantity,
)

Value: TypeAlias = bool | int | float | str | tuple[str, ...]


class Kind(Enum):
    """How the text of a setting is read."""

    BOOL = "boolean"
    INTEGER = "integer"
    FLOAT = "number"
    QUANTITY = "quantity"
    TEXT = "text"
    ENUM = "word"
    LIST = "list"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One row of the table of settings; everything else (flags, environment, documents) is derived from it."""

    name: str
    """The name in SQL (``SHOW``, ``ALTER SYSTEM``), and of the attribute of ``Settings``."""
    key: str
    """Dotted place in heliosdb.conf. ``a[].b`` is a member of an array of tables, ``a.*.b`` of a table of tables."""
    kind: Kind
    default: Value | None
    """None: not set."""
    help: str
    """One sentence for ``--help``, ``SHOW`` and the documents."""
    key_aliases: tuple[str, ...] = ()
    """Other places in the file that mean the same."""
    env_aliases: tuple[str, ...] = ()
    """Environment variables besides ``HELIOSDB_<NAME>``, which wins."""
    unit: str | None = None
    """Base unit of a quantity, or the unit of a plain number for the documents."""
    bare: str | None = None
    """Unit of a quantity that is written without one; None: the base unit."""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    synonyms: Mapping[str, str] = field(default_factory=dict)
    """Other spellings of the choices."""
    pattern: str | None = None
    """A regular expression that a text, or each element of a list, matches as a whole."""
    pattern_help: str = ""
    reload: bool = False
    """Whether ``pg_reload_conf()`` is enough; otherwise the node has to start again."""
    recorded: bool = False
    """Accepted, checked and shown, but acted upon by no part of this version."""
    auto: bool = True
    """Whether ALTER SYSTEM may set it."""
    required: bool = False
    """Whether every table of its array has to have it."""

    @property
    def flag(self) -> str | None:
        """The option of ``heliosdb-nano start``; None for members of tables and recorded settings."""
        return None if self.recorded or self.in_table else "--" + self.name.replace("_", "-")

    @property
    def in_table(self) -> bool:
        """Whether it is a member of an array or of a table of tables."""
        return "[]" in self.key or "*" in self.key

    @property
    def environment(self) -> tuple[str, ...]:
        """Names of environment variables, the strongest first; empty for members of tables."""
        if self.in_table:
            return ()
        return ("HELIOSDB_" + re.sub(r"[^A-Z0-9]", "_", self.name.upper()), *self.env_aliases)

    def parse(self, raw: object) -> Value:
        """Read and check a value from any source.

        Args:
            raw: text (flags, environment, SQL) or what TOML gives.
        Raises:
            BadSetting: with the message and hint that PostgreSQL would print.
        """
        try:
            return self._checked(self._read(raw))
        except BadValue as error:
            shown = ",".join(map(str, raw)) if isinstance(raw, (list, tuple)) else str(raw)
            raise BadSetting(f'invalid value for parameter "{self.name}": "{shown}"', error.hint) from None

    def show(self, value: Value | None) -> str:
        """Print a value the way ``SHOW`` does; None is empty."""
        if value is None:
            return ""
        if isinstance(value, bool):
            return "on" if value else "off"
        if self.kind is Kind.QUANTITY and isinstance(value, int) and self.unit is not None:
            return format_quantity(value, self.unit)
        return ",".join(value) if isinstance(value, tuple) else str(value)

    def _read(self, raw: object) -> Value:
        match self.kind:
            case Kind.BOOL:
                return parse_bool(raw)
            case Kind.INTEGER:
                return parse_integer(raw)
            case Kind.FLOAT:
                return parse_float(raw)
            case Kind.QUANTITY:
                return parse_quantity(raw, self.unit or "ms", self.bare)
            case Kind.ENUM:
                return self._word(raw)
            case Kind.LIST:
                return _read_list(raw)
            case Kind.TEXT:
                return _read_text(raw)

    def _word(self, raw: object) -> str:
        text = ("on" if raw else "off") if isinstance(raw, bool) else str(raw).strip().lower()
        word = self.synonyms.get(text, text)
        if word not in self.choices:
            raise BadValue(f"Available values: {', '.join(self.choices)}.")
        return word

    def _checked(self, value: Value) -> Value:
        if self.choices and self.kind is Kind.LIST:
            _check_choices(value, self.choices)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            self._check_range(value)
        if self.pattern is not None:
            for text in value if isinstance(value, tuple) else (str(value),):
                if text and re.fullmatch(self.pattern, text) is None:
                    raise BadValue(self.pattern_help or None)
        return value

    def _check_range(self, value: float) -> None:
        low, high = self.minimum, self.maximum
        if (low is not None and value < low) or (high is not None and value > high):
            unit = f" {self.unit}" if self.unit else ""
            low_text = "-inf" if low is None else f"{low:g}" if low % 1 else str(int(low))
            high_text = "inf" if high is None else f"{high:g}" if high % 1 else str(int(high))
            raise BadSetting(
                f'{value}{unit} is outside the valid range for parameter "{self.name}" ({low_text} .. {high_text})'
            )


class BadSetting(ValueError):
    """A value was refused; ``message`` is one line, ``hint`` another or None."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


_ESCAPES: Final = re.compile(r"[\x00-\x1f]")


def _read_text(raw: object) -> str:
    if isinstance(raw, (bool, list, tuple, dict)):
        raise BadValue("A text is expected.")
    text = str(raw)
    if _ESCAPES.search(text):
        raise BadValue("Control characters are not allowed.")
    return text


def _read_list(raw: object) -> tuple[str, ...]:
    if isinstance(raw, (list, tuple)):
        return tuple(_read_text(item) for item in raw)
    if isinstance(raw, (bool, dict)):
        raise BadValue("A list is expected.")
    return tuple(part.strip() for part in str(raw).split(",") if part.strip())


def _check_choices(value: Value, choices: tuple[str, ...]) -> None:
    for item in value if isinstance(value, tuple) else ():
        if item not in choices:
            raise BadValue(f"Available values: {', '.join(choices)}.")
