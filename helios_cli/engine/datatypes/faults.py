"""The input errors all types share, with PostgreSQL's texts and SQLSTATEs."""

from __future__ import annotations

from helios_cli.engine.errors import SqlError


def invalid_text(type_name: str, text: str) -> SqlError:
    """22P02: the text does not look like a value of the type (``type_name`` in SQL spelling)."""
    return SqlError(f'invalid input syntax for type {type_name}: "{text}"', sqlstate="22P02")


def out_of_range(type_name: str, text: str) -> SqlError:
    """22003: an integer's text is well formed and too large for its type."""
    return SqlError(f'value "{text}" is out of range for type {type_name}', sqlstate="22003")


def invalid_datetime(type_name: str, text: str) -> SqlError:
    """22007: the text is not a date, time or interval."""
    return SqlError(f'invalid input syntax for type {type_name}: "{text}"', sqlstate="22007")


def field_overflow(text: str) -> SqlError:
    """22008: a date or time field (month 13, hour 25) is outside its range."""
    return SqlError(f'date/time field value out of range: "{text}"', sqlstate="22008")


def bad_binary(data: bytes, size: int) -> SqlError | None:
    """The error for a binary value of another length than ``size``; None when it fits."""
    if len(data) == size:
        return None
    if len(data) < size:
        return SqlError("insufficient data left in message", sqlstate="08P01")
    return SqlError("incorrect binary data format", sqlstate="22P03")


def incorrect_binary() -> SqlError:
    """22P03: bytes are left over after a binary value."""
    return SqlError("incorrect binary data format", sqlstate="22P03")


def insufficient_data() -> SqlError:
    """08P01: a binary value ends too early."""
    return SqlError("insufficient data left in message", sqlstate="08P01")
