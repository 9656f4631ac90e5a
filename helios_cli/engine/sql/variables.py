"""Run-time parameters of a session: what SET accepts and SHOW answers (PostgreSQL manual, chapter 20)."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from helios_cli.engine.datatypes.encodings import encoding_name
from helios_cli.engine.errors import FeatureNotSupported, SqlError
from helios_cli.engine.sql.postgres_settings import TABLE
from helios_cli.engine.sql.setting_values import in_unit, integer_check, real_check, unchangeable, with_unit
from helios_cli.engine.types import Token, WriteId

_DURATION: Final = re.compile(r"\s*(-?\d+(?:\.\d+)?)\s*(us|ms|s|min|h|d)?\s*")
_DURATION_MS: Final = {"us": 0.001, "ms": 1.0, "s": 1000.0, "min": 60_000.0, "h": 3_600_000.0, "d": 86_400_000.0}
_TRUE: Final = ("on", "true", "yes", "1", "t", "tr", "tru", "y", "ye")
_FALSE: Final = ("off", "of", "false", "no", "0", "f", "fa", "fal", "fals", "n")

Check = Callable[[str, str], str]

READ_LEVELS: Final = ("eventual", "session", "committed", "linearizable")
"""What a query sees at least: what is committed here; the session's own writes; what was applied here when it came;
what was acknowledged anywhere when it came."""

_ALIASES: Final = {"read_consistency": "helios.read_consistency"}


def parse_duration_ms(name: str, value: str) -> int:
    """Milliseconds of ``'500'``, ``'30s'``, ``'5 min'``; a bare number is milliseconds.

    Raises:
        SqlError: 22023, as PostgreSQL words it.
    """
    match = _DURATION.fullmatch(value)
    if match is None:
        raise SqlError(
            f'invalid value for parameter "{name}": "{value}"',
            sqlstate="22023",
            hint='Valid units for this parameter are "us", "ms", "s", "min", "h", and "d".'
            if value.strip()[:1].isdigit()
            else None,
        )
    milliseconds = round(float(match[1]) * _DURATION_MS[match[2] or "ms"])
    if not 0 <= milliseconds <= 2_147_483_647:
        raise SqlError(
            f'{milliseconds} ms is outside the valid range for parameter "{name}" (0 ms .. 2147483647 ms)',
            sqlstate="22023",
        )
    return milliseconds


def format_duration(milliseconds: int) -> str:
    """The shortest exact form with a unit, as SHOW prints it: 30000 is ``30s``, 0 is ``0``."""
    if milliseconds == 0:
        return "0"
    for unit in ("d", "h", "min", "s"):
        size = round(_DURATION_MS[unit])
        if milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"


def parse_search_path(value: str, own: str | None = None) -> tuple[str, ...]:
    """The schemas of a ``search_path`` setting; empty when it names none.

    ``own`` is the schema with the user's name, which ``"$user"`` stands for; None: there is none.
    """
    schemas = []
    for quoted, plain in re.findall(r'"((?:[^"]|"")*)"|([^\s,"]+)', value):
        name = quoted.replace('""', '"') if quoted else plain.lower()
        if name == "$user":
            name = own or ""
        if name and name not in schemas:
            schemas.append(name)
    return tuple(schemas)


def _any(_name: str, value: str) -> str:
    return value


def _duration(name: str, value: str) -> str:
    return format_duration(parse_duration_ms(name, value))


def _boolean(name: str, value: str) -> str:
    folded = value.strip().lower()
    if folded in _TRUE:
        return "on"
    if folded in _FALSE:
        return "off"
    raise SqlError(f'parameter "{name}" requires a Boolean value', sqlstate="22023")


def _integer(low: int, high: int) -> Check:
    def check(name: str, value: str) -> str:
        try:
            number = int(value.strip())
        except ValueError:
            raise SqlError(f'invalid value for parameter "{name}": "{value}"', sqlstate="22023") from None
        if not low <= number <= high:
            raise SqlError(
                f'{number} is outside the valid range for parameter "{name}" ({low} .. {high})', sqlstate="22023"
            )
        return str(number)

    return check


def _one_of(*choices: str) -> Check:
    def check(name: str, value: str) -> str:
        folded = value.strip().lower()
        if folded not in choices:
            raise SqlError(
                f'invalid value for parameter "{name}": "{value}"',
                sqlstate="22023",
                hint=f"Available values: {', '.join(choices)}.",
            )
        return folded

    return check


def _encoding(name: str, value: str) -> str:
    found = encoding_name(value)
    if found is None:
        raise SqlError(f'invalid value for parameter "{name}": "{value}"', sqlstate="22023")
    return found


def _isolation(name: str, value: str) -> str:
    folded = " ".join(value.lower().split())
    return _one_of("read uncommitted", "read committed", "repeatable read", "serializable")(name, folded)


def _synchronous_commit(name: str, value: str) -> str:
    choices = ("off", "local", "remote_write", "on", "remote_apply", "semi_sync", "sync", "quorum")
    folded = value.strip().lower()
    folded = {"true": "on", "yes": "on", "1": "on", "false": "off", "no": "off", "0": "off"}.get(folded, folded)
    return _one_of(*choices)(name, folded)


def _lsn(name: str, value: str) -> str:
    text = value.strip()
    try:
        return str(Token.parse(text)) if text else ""
    except ValueError:
        raise SqlError(
            f'invalid value for parameter "{name}": "{value}"',
            sqlstate="22023",
            hint="It is written as SHOW helios.lsn does, 0/16B3748@2-9f86d081884c7d65, or as an LSN alone.",
        ) from None


def _write_id(name: str, value: str) -> str:
    text = value.strip()
    try:
        return str(WriteId.parse(text)) if text else ""
    except ValueError:
        raise SqlError(
            f'invalid value for parameter "{name}": "{value}"',
            sqlstate="22023",
            hint="It is a UUID of the client's own and the number of the write: "
            "f81d4fae-7dec-11d0-a765-00a0c91e6bf6:17.",
        ) from None


def _fixed(expected: str) -> Check:
    def check(name: str, value: str) -> str:
        if value.strip().lower() != expected.lower():
            raise SqlError(
                f'parameter "{name}" cannot be set to "{value}"',
                sqlstate="0A000",
                hint=f"Only {expected} is supported.",
            )
        return expected

    return check


def _no_oids(name: str, value: str) -> str:
    """default_with_oids, which PostgreSQL keeps for old scripts."""
    if _boolean(name, value) == "on":
        raise FeatureNotSupported("tables declared WITH OIDS are not supported")
    return "off"


def _interval_style(_name: str, value: str) -> str:
    return _one_of("postgres", "postgres_verbose", "sql_standard", "iso_8601")("intervalstyle", value)


def _read_only(name: str, value: str) -> str:
    raise SqlError(f'parameter "{name}" cannot be changed', sqlstate="55P02")


@dataclass(frozen=True, slots=True)
class Variable:
    """One parameter: its spelling, value at the start of a session, check, and whether clients are told of changes."""

    name: str
    default: str
    check: Check = _any
    reported: bool = False
    description: str = ""
    unit: str = ""
    kind: str = "s"
    """'b' boolean, 'i' integer, 'r' real, 'e' enumerated, 's' string."""
    context: str = "u"
    """Who may change it: 'u' any session, 's' a superuser's, 'c' at its start, 'h' the configuration, 'p' a restart,
    'n' nobody."""

    def in_own_unit(self, shown: str) -> str:
        """A value as pg_settings has it: the number in the parameter's own unit."""
        return in_unit(shown, self.unit) if self.unit else shown


_VARIABLES: Final = (
    Variable("application_name", "", _any, True, "Name of the application, shown in pg_stat_activity."),
    Variable("bytea_output", "hex", _one_of("escape", "hex")),
    Variable("check_function_bodies", "on", _boolean),
    Variable("client_encoding", "UTF8", _encoding, True),
    Variable("client_min_messages", "notice", _any),
    Variable("cursor_tuple_fraction", "0.1"),
    Variable("DateStyle", "ISO, MDY", _any, True),
    Variable("default_table_access_method", "heap", _fixed("heap")),
    Variable("default_tablespace", ""),
    Variable("default_transaction_deferrable", "off", _boolean),
    Variable("default_transaction_isolation", "read committed", _isolation),
    Variable("default_transaction_read_only", "off", _boolean, True),
    Variable("default_with_oids", "off", _no_oids),
    Variable("enable_seqscan", "on", _boolean),
    Variable("extra_float_digits", "1", _integer(-15, 3)),
    Variable("geqo", "on", _boolean),
    Variable("helios.lsn", "0/0", _read_only, False, "State that this session has seen at least: LSN and term."),
    Variable("helios.min_lsn", "", _lsn, False, "State that a node must show before it answers a query; empty: any."),
    Variable("helios.min_lsn_timeout", "5s", _duration, False, "Longest wait of a query for the state it wants."),
    Variable("helios.read_consistency", "session", _one_of(*READ_LEVELS), False, "How new a state queries must see."),
    Variable("helios.report_lsn", "off", _boolean, False, "Tell the client of helios.lsn with every commit."),
    Variable("helios.write_id", "", _write_id, False, "Name of the next write, under which it is done only once."),
    Variable("idle_in_transaction_session_timeout", "0", _duration, unit="ms", kind="i"),
    Variable("idle_session_timeout", "0", _duration, unit="ms", kind="i"),
    Variable("in_hot_standby", "off", _read_only, True),
    Variable("integer_datetimes", "on", _read_only, True),
    Variable("IntervalStyle", "postgres", _interval_style, True),
    Variable("is_superuser", "on", _read_only, True),
    Variable("jit", "off", _boolean),
    Variable("lc_messages", "C", context="s"),
    Variable("lc_monetary", "C"),
    Variable("lc_numeric", "C"),
    Variable("lc_time", "C"),
    Variable("lock_timeout", "0", _duration, unit="ms", kind="i"),
    Variable("max_identifier_length", "63", _read_only),
    Variable("role", "none"),
    Variable("password_encryption", "scram-sha-256", _one_of("scram-sha-256")),
    Variable("row_security", "on", _boolean),
    Variable("search_path", '"$user", public'),
    Variable("server_encoding", "UTF8", _read_only, True),
    Variable("server_version", "15.0", _read_only, True),
    Variable("server_version_num", "150000", _read_only),
    Variable("session_authorization", "", _any, True),
    Variable("standard_conforming_strings", "on", _boolean, True),
    Variable("statement_timeout", "0", _duration, unit="ms", kind="i"),
    Variable("synchronous_commit", "on", _synchronous_commit),
    Variable("TimeZone", "UTC", _any, True),
    Variable("transaction_deferrable", "off", _boolean),
    Variable("transaction_isolation", "read committed", _isolation),
    Variable("transaction_read_only", "off", _boolean),
    Variable("work_mem", "4MB", integer_check("kB", "64", "2147483647"), unit="kB", kind="i"),
    Variable("xmloption", "content", _one_of("content", "document")),
)

_REFUSALS: Final = {
    "n": unchangeable("cannot be changed"),
    "p": unchangeable("cannot be changed without restarting the server"),
    "h": unchangeable("cannot be changed now"),
    "c": unchangeable("cannot be set after connection start"),
}


def _without_effect() -> list[Variable]:
    """PostgreSQL's other parameters."""
    found = []
    for line in TABLE.strip().splitlines():
        name, kind, unit, default, low, high, words = (*line.split("|"), *[""] * 6)[:7]
        checks: dict[str, Callable[[], Check]] = {
            "b": lambda: _boolean,
            "i": lambda unit=unit, low=low, high=high: integer_check(unit, low, high),  # type: ignore[misc]
            "r": lambda unit=unit, low=low, high=high: real_check(unit, low, high),  # type: ignore[misc]
            "e": lambda words=words: _one_of(*words.split(",")),  # type: ignore[misc]
        }
        check = _REFUSALS.get(kind[1]) or checks.get(kind[0], lambda: _any)()
        shown = with_unit(int(default), unit) if kind[0] == "i" and default else default
        found.append(Variable(name, shown, check, unit=unit, kind=kind[0], context=kind[1]))
    return found


CORE: Final[Mapping[str, Variable]] = {variable.name.lower(): variable for variable in _VARIABLES}
"""The parameters that a session keeps; of the others most are never asked for."""

BY_NAME: Final[Mapping[str, Variable]] = {
    **CORE,
    **{variable.name.lower(): variable for variable in _without_effect()},
}

_UNLISTED: Final = frozenset(("default_with_oids", "is_superuser", "role", "session_authorization"))

LISTED: Final = tuple(
    variable
    for variable in sorted(BY_NAME.values(), key=lambda variable: variable.name.lower())
    if variable.name not in _UNLISTED
)
"""What SHOW ALL and pg_settings show, by name: all but what PostgreSQL answers to SHOW alone."""


def canonical(name: str) -> str:
    """The lower-case name that a parameter is kept under."""
    folded = name.lower()
    return _ALIASES.get(folded, folded)


def find(name: str) -> Variable:
    """Look a parameter up, without regard to case.

    Raises:
        SqlError: 42704 with the nearest known name as a hint. A name with a dot is a custom parameter and is found.
    """
    folded = canonical(name)
    if is_custom(folded):
        return Variable(folded, "")
    return known(name)


def is_custom(folded: str) -> bool:
    """Whether a parameter is one that whoever sets it brings into being."""
    return "." in folded and folded not in BY_NAME


def known(name: str) -> Variable:
    """Look a parameter up that is there without being set. Raises SqlError 42704 as :func:`find`."""
    folded = canonical(name)
    variable = BY_NAME.get(folded)
    if variable is not None:
        return variable
    near = difflib.get_close_matches(folded, BY_NAME, 1)
    hint = f'Perhaps you meant "{near[0]}".' if near else None
    raise SqlError(f'unrecognized configuration parameter "{name}"', sqlstate="42704", hint=hint)
