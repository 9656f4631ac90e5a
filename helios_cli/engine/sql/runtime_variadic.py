"""Calls of built-in functions with an array in place of their VARIADIC parameters."""

from __future__ import annotations

from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.arrays import read_array
from helios_cli.engine.sql.function_spec import ScalarTable
from helios_cli.engine.sql.functions import library
from helios_cli.engine.sql.runtime_arrays import flat

_WITHOUT_ARRAY: Final = "fn_format"
"""The one that takes NULL for an array without elements; the others are NULL themselves."""


def pg_variadic(function: str, typed: int, head: Any, element: int, array: Any, *fixed: Any) -> Any:
    """Call an SQLite function of ours with the elements of an array behind its other arguments.

    ``typed``: ``head`` lists the types of those, and the elements' join them. Otherwise ``head`` is the first argument,
    unless it is None.
    """
    if array is None and function != _WITHOUT_ARRAY:
        return None
    parse = registry.by_oid(element).parse_text
    values = [] if array is None else list(flat(read_array(str(array), parse).items))
    call = library.SCALARS[function][0]
    if typed:
        types = [word for word in str(head).split(",") if word] + [str(element)] * len(values)
        return call(",".join(types), *fixed, *values)
    return call(*([] if head is None else [head]), *fixed, *values)


SCALARS: Final[ScalarTable] = {"pg_variadic": (pg_variadic, -1, True)}
