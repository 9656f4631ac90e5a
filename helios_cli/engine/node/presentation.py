"""The settings of a session that say how values and strings are written: checked, and put where they take effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from helios_cli.engine.datatypes.styled import USUAL, Style, styled_name
from helios_cli.engine.errors import SqlError
from helios_cli.engine.node.timezone import time_context
from helios_cli.engine.sql.styled_path import styled_path
from helios_cli.engine.sql.variables import parse_search_path
from helios_cli.engine.storage.catalog import DEFAULT_PATH

if TYPE_CHECKING:
    from helios_cli.engine.node.session_state import SessionState

NAMES: Final = frozenset((
    "timezone", "search_path", "datestyle", "intervalstyle", "bytea_output", "standard_conforming_strings",
    "escape_string_warning", "extra_float_digits",
))  # fmt: skip
"""Parameters that :func:`refresh` looks at."""
_STYLES: Final = {"iso": "ISO", "sql": "SQL", "german": "German"}
_ORDERS: Final = {"ymd": "YMD", "dmy": "DMY", "mdy": "MDY", "us": "MDY"}


def check_datestyle(value: str, current: str, default: str) -> str:
    """DateStyle as SHOW prints it. What ``value`` does not name stays as it is in ``current``.

    Raises:
        SqlError: 22023 for unknown and contradicting words.
    """
    style: str | None = None
    order: str | None = None
    old_style, old_order = current.split(", ")
    for word in value.split(","):
        name = word.strip().strip('"').lower()
        found_style = "Postgres" if name.startswith("postgres") else _STYLES.get(name)
        found_order = _order_of(name)
        if name == "default":
            usual_style, usual_order = default.split(", ")
            style, order = style or usual_style, order or usual_order
        elif found_style is not None:
            if style not in (None, found_style):
                raise _invalid(value, 'Conflicting "datestyle" specifications.')
            style = found_style
            if style == "German" and order is None:
                old_order = "DMY"
        elif found_order is not None:
            if order not in (None, found_order):
                raise _invalid(value, 'Conflicting "datestyle" specifications.')
            order = found_order
        else:
            raise _invalid(value, f'Unrecognized key word: "{name}".')
    return f"{style or old_style}, {order or old_order}"


def _order_of(name: str) -> str | None:
    if name.startswith("euro"):
        return "DMY"
    return "MDY" if name.startswith("noneuro") else _ORDERS.get(name)


def _invalid(value: str, detail: str) -> SqlError:
    return SqlError(f'invalid value for parameter "DateStyle": "{value}"', sqlstate="22023", detail=detail)


def refresh(session: SessionState, folded: str) -> None:
    """Follow a parameter of :data:`NAMES` that was given a value."""
    style = _style_of(session)
    if folded != "search_path":
        zone = session.show("TimeZone")
        session.styled_zone = None if style is None else styled_name(zone, style)
        session.times = time_context(session.styled_zone or zone)
    if folded == "timezone":
        return
    path = parse_search_path(session.show("search_path"), session.own_schema())
    session.search_path = styled_path(DEFAULT_PATH if path == DEFAULT_PATH else path, style, _strings_of(session))


def _style_of(session: SessionState) -> Style | None:
    dates, order = session.show("DateStyle").split(", ")
    floats = str(min(int(session.show("extra_float_digits")), 1))
    style = Style(dates, order, session.show("IntervalStyle"), session.show("bytea_output"), floats)
    return None if style == USUAL else style


def _strings_of(session: SessionState) -> str:
    if session.show("standard_conforming_strings") == "on":
        return "standard"
    return "warn" if session.show("escape_string_warning") == "on" else "escape"
