"""Parameters of a Bind message as SQLite values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from helios_cli.engine.datatypes.datetime_in import UTC_CONTEXT, TimeContext
from helios_cli.engine.datatypes.registry import by_oid, find_oid
from helios_cli.engine.datatypes.utf8 import decode_utf8
from helios_cli.engine.datatypes.zoned import session_parser
from helios_cli.engine.errors import SqlError
from helios_cli.engine.wire.messages import formats_for

Decoder = Callable[[bytes], Any]

_SMALL_INTEGERS: Final = (23, 20)
_TEXT_OID: Final = 25
_OF_TIMES: Final = ("22007", "22023")
"""What texts of dates and times raise that name the clock or a zone, where nothing knows them."""
_BAD_BINARY: Final = "incorrect binary data format"


@lru_cache(1024)
def param_decoders(
    type_oids: tuple[int, ...], formats: tuple[int, ...], times: TimeContext = UTC_CONTEXT
) -> tuple[Decoder, ...]:
    """One decoder per parameter. ``formats`` is Bind's list of format codes: none, one for all, or one for each.

    ``times`` has the session's zone, for texts that name none.
    """
    codes = formats_for(formats, len(type_oids))
    return tuple(_decoder(oid, code, times) for oid, code in zip(type_oids, codes, strict=True))


def decode_params(
    type_oids: tuple[int, ...],
    formats: tuple[int, ...],
    params: Sequence[bytes | None],
    times: TimeContext = UTC_CONTEXT,
    portal: str = "",
    clock: Callable[[], int] | None = None,
) -> Sequence[Any]:
    """The values of all parameters; None stays None. ``portal`` is its name, for the context of an error; ``clock``
    gives the time that a text like 'now' or 'today' stands for, in microseconds since 2000-01-01 UTC.

    Raises:
        SqlError: 22P02, 22P03, 22003 and their kin, as the type's input function says; 22021 for bytes that are no
            UTF-8.
    """
    # Decoders that know the time are good for this time alone.
    decoders = (param_decoders if times.now_us is None else param_decoders.__wrapped__)(type_oids, formats, times)
    try:
        return [None if data is None else decode(data) for decode, data in zip(decoders, params, strict=True)]
    except SqlError as error:
        if clock is not None and error.sqlstate in _OF_TIMES:
            return decode_params(type_oids, formats, params, replace(times, now_us=clock()), portal)
        number = _first_refused(decoders, params)
        whose = f'portal "{portal}"' if portal else "unnamed portal"
        # PostgreSQL leaves the value itself out, unless log_parameter_max_length_on_error says otherwise.
        in_text = not formats_for(formats, len(params))[number - 1]
        error.context = f"{whose} parameter ${number}" + (" = '...'" if in_text else "")
        if error.message == _BAD_BINARY:
            error.message += f" in bind parameter {number}"
        raise


def _first_refused(decoders: Sequence[Decoder], params: Sequence[bytes | None]) -> int:
    """The number of the first parameter that its decoder refuses."""
    for number, (decode, data) in enumerate(zip(decoders, params, strict=True), 1):
        try:
            if data is not None:
                decode(data)
        except SqlError:
            return number
    return 0


def _decoder(oid: int, code: int, times: TimeContext) -> Decoder:
    pg_type = find_oid(oid) or by_oid(_TEXT_OID)
    if code == 1:
        return pg_type.parse_binary
    parse = session_parser(oid, times) or pg_type.parse_text
    if oid in _SMALL_INTEGERS:

        def integer(data: bytes) -> Any:
            # Fewer than ten digits fit both types, with a sign or without; anything else is the type's own business.
            if len(data) < 10 and (data.isdigit() or (data[:1] == b"-" and data[1:].isdigit())):
                return int(data)
            return parse(decode_utf8(data))

        return integer
    return lambda data: parse(decode_utf8(data))
