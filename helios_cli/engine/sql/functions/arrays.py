"""Array functions (PostgreSQL manual, 9.19)."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.arrays import PgArray, quote_element, read_array, write_array
from helios_cli.engine.datatypes.interval import split_interval
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.functions.define import Library
from helios_cli.engine.sql.functions.strings import text_of
from helios_cli.engine.sql.remembered import remembered

MAX_ELEMENTS: Final = 134_217_727
"""MaxArraySize (arrayutils.c)."""


def _array(text: str) -> PgArray:
    return read_array(text, str)


def _flat(items: list[Any]) -> list[Any]:
    return [leaf for item in items for leaf in (_flat(item) if isinstance(item, list) else [item])]


def _write(items: list[Any]) -> str:
    return write_array(PgArray(items, (len(items),) if items else (), (1,) if items else ()), str)


def array_length(text: str, dimension: int) -> int | None:
    """The length of a dimension; NULL when the array has not so many."""
    dims = _array(text).dims
    return dims[dimension - 1] if 1 <= dimension <= len(dims) else None


def array_upper(text: str, dimension: int) -> int | None:
    """The last index of a dimension."""
    array = _array(text)
    if not 1 <= dimension <= len(array.dims):
        return None
    return array.bounds[dimension - 1] + array.dims[dimension - 1] - 1


def array_lower(text: str, dimension: int) -> int | None:
    """The first index of a dimension."""
    array = _array(text)
    return array.bounds[dimension - 1] if 1 <= dimension <= len(array.dims) else None


def cardinality(text: str) -> int:
    """The number of elements in all dimensions."""
    return len(_flat(_array(text).items))


def array_dims(text: str) -> str | None:
    """``[1:2][1:3]``; NULL for an empty array."""
    array = _array(text)
    shown = "".join(f"[{low}:{low + size - 1}]" for low, size in zip(array.bounds, array.dims, strict=True))
    return shown or None


_BY_VALUE: Final[dict[int, Callable[[str], Any]]] = {
    700: float, 701: float, 1700: Decimal, 1042: lambda text: text.rstrip(" "), 1186: lambda text: span_us(text),
}  # fmt: skip
"""Types whose equal values may be written in several ways: what to compare in place of the text."""


def span_us(text: str) -> int:
    """An interval as PostgreSQL compares it: months of 30 days, days of 24 hours."""
    months, days, us = split_interval(text)
    return (months * 30 + days) * 86_400_000_000 + us


def _equals(element: int, wanted: Any) -> Callable[[Any], bool]:
    """Whether an element's text equals a stored value; NULL equals NULL."""
    if wanted is None:
        return lambda item: item is None
    shown, key = text_of(element, wanted), _BY_VALUE.get(element)
    if key is None or shown == "NaN":
        return lambda item: bool(item == shown)
    value = key(shown)
    return lambda item: item is not None and (item == shown or bool(key(item) == value))


def _searched(text: str) -> PgArray:
    array = _array(text)
    if len(array.dims) > 1:
        message = "searching for elements in multidimensional arrays is not supported"
        raise SqlError(message, sqlstate="0A000")
    return array


def array_position(text: str | None, wanted: Any, types: str, start: int | None = -(2**31)) -> int | None:
    """The index of the first equal element; NULL is found as NULL."""
    if text is None:
        return None
    same = _equals(int(types.split(",")[1]), wanted)
    array = _searched(text)
    low = array.bounds[0] if array.bounds else 1
    if start is None:
        raise SqlError("initial position must not be null", sqlstate="22004")
    for index, item in enumerate(array.items):
        if index + low >= start and same(item):
            return index + low
    return None


def array_positions(text: str | None, wanted: Any, types: str) -> str | None:
    """All indexes of equal elements."""
    if text is None:
        return None
    same = _equals(int(types.split(",")[1]), wanted)
    array = _searched(text)
    low = array.bounds[0] if array.bounds else 1
    return _write([str(index) for index, item in enumerate(array.items, low) if same(item)])


def array_to_string(types: str, text: str | None, separator: str | None, null: str | None = None) -> str | None:
    """The elements with a separator between; NULLs left out, or shown as ``null``."""
    if text is None or separator is None:
        return None
    del types
    leaves = (null if item is None else item for item in _flat(_array(text).items))
    return separator.join(leaf for leaf in leaves if leaf is not None)


def array_remove(text: str | None, wanted: Any, types: str) -> str | None:
    """Without the elements that equal a value."""
    if text is None:
        return None
    if len(_array(text).dims) > 1:
        raise SqlError("removing elements from multidimensional arrays is not supported", sqlstate="0A000")
    same, array = _equals(int(types.split(",")[1]), wanted), _array(text)
    kept = [item for item in array.items if not same(item)]
    return write_array(PgArray(kept, (len(kept),) if kept else (), array.bounds if kept else ()), str)


def array_replace(text: str | None, old: Any, new: Any, types: str) -> str | None:
    """Elements that equal a value replaced."""
    if text is None:
        return None
    element = int(types.split(",")[1])
    same = _equals(element, old)
    after = None if new is None else text_of(element, new)

    def changed(item: Any) -> Any:
        if isinstance(item, list):
            return [changed(part) for part in item]
        return after if same(item) else item

    array = _array(text)
    return write_array(PgArray([changed(item) for item in array.items], array.dims, array.bounds), str)


_BYTES_MAX: Final = 0x3FFF_FFFF
"""Of a value (MaxAllocSize)."""


def array_fill(value: Any, dims: str | None, types: str, bounds: str | None = "") -> str:
    """An array of one value, with lower bounds of 1 or those given. Raises 22004, 2202E, 54000."""
    if dims is None or bounds is None:
        raise SqlError("dimension array or low bound array cannot be null", sqlstate="22004")
    sizes = _whole(dims)
    lows = _whole(bounds) if bounds else [1] * len(sizes)
    if len(lows) != len(sizes):
        detail = "Low bound array has different size than dimensions array."
        raise SqlError("wrong number of array subscripts", sqlstate="2202E", detail=detail)
    if any(size < 0 for size in sizes) or math.prod(sizes) > MAX_ELEMENTS:
        raise SqlError(f"array size exceeds the maximum allowed ({MAX_ELEMENTS})", sqlstate="54000")
    if 0 in sizes:
        return "{}"
    if not sizes:
        return "{}"
    text = "NULL" if value is None else quote_element(text_of(int(types.split(",")[0]), value))
    if math.prod(sizes) * (len(text) + 1) > _BYTES_MAX:
        raise SqlError(f"array size exceeds the maximum allowed ({_BYTES_MAX} bytes)", sqlstate="54000")
    for size in reversed(sizes):
        text = "{" + ",".join([text] * size) + "}"
    if any(low != 1 for low in lows):
        bounds = "".join(f"[{low}:{low + size - 1}]" for low, size in zip(lows, sizes, strict=True))
        text = f"{bounds}={text}"
    return text


def _whole(text: str) -> list[int]:
    array = _array(text)
    if len(array.dims) > 1:
        detail = "Dimension array must be one dimensional."
        raise SqlError("wrong number of array subscripts", sqlstate="2202E", detail=detail)
    if None in array.items:
        raise SqlError("dimension values cannot be null", sqlstate="22004")
    return [int(item) for item in array.items]


@remembered
def unnest(text: str, element: int) -> str:
    """The elements as a JSON array of stored values, those that are bytes in hexadecimal."""
    parse = registry.by_oid(element).parse_text
    values = [None if item is None else parse(item) for item in _flat(_array(text).items)]
    return json.dumps(values, ensure_ascii=False, default=bytes.hex)


@remembered
def generate_subscripts(text: str, dimension: int, backwards: int = 0) -> str:
    """The indexes of a dimension as rows, the last first when ``backwards``."""
    array = _array(text)
    if not 1 <= dimension <= len(array.dims):
        return "[]"
    low = array.bounds[dimension - 1]
    found = list(range(low, low + array.dims[dimension - 1]))
    return json.dumps(found[::-1] if backwards else found)


def trim_array(text: str, count: int) -> str:
    """Without the last n elements of the first dimension. Raises 2202E."""
    array = _array(text)
    size = array.dims[0] if array.dims else 0
    if not 0 <= count <= size:
        message = f"number of elements to trim must be between 0 and {size}"
        raise SqlError(message, sqlstate="2202E")
    items = array.items[: size - count]
    # It is a slice (array_ops.c trim_array), which begins at 1.
    return write_array(PgArray(items, (len(items), *array.dims[1:]), (1,) * len(array.dims)), str) if items else "{}"


def nest_arrays(parts: list[Any]) -> str | None:
    """array_agg of arrays: one dimension more. Raises 22004, 2202E."""
    if not parts:
        return None
    if None in parts:
        raise SqlError("cannot accumulate null arrays", sqlstate="22004")
    arrays = [_array(part) for part in parts]
    if not arrays[0].dims:
        raise SqlError("cannot accumulate empty arrays", sqlstate="2202E")
    if any(array.dims != arrays[0].dims for array in arrays):
        raise SqlError("cannot accumulate arrays of different dimensionality", sqlstate="2202E")
    dims = (len(arrays), *arrays[0].dims)
    return write_array(PgArray([array.items for array in arrays], dims, (1, *arrays[0].bounds)), str)


def install(lib: Library) -> None:
    """Declare the array functions."""
    _install_vectors(lib)
    d = lib.define
    d("array_length", "anyarray int4 -> int4", array_length)
    d("array_upper", "anyarray int4 -> int4", array_upper)
    d("array_lower", "anyarray int4 -> int4", array_lower)
    d("array_ndims", "anyarray -> int4", lambda text: len(_array(text).dims) or None)
    d("array_dims", "anyarray -> text", array_dims)
    d("cardinality", "anyarray -> int4", cardinality)
    position = "{udf}({0}, {1}, '{types}')"
    d("array_position", "anycompatiblearray anycompatible -> int4", array_position, sql=position, strict=False)
    d(
        "array_position",
        "anycompatiblearray anycompatible int4 -> int4",
        _position_from,
        sql="{udf}({0}, {1}, '{types}', {2})",
        strict=False,
    )
    d("array_positions", "anycompatiblearray anycompatible -> int4[]", array_positions, sql=position, strict=False)
    d("array_to_string", "anyarray text -> text", array_to_string, sql="{udf}('{types}', {0}, {1})", strict=False)
    d("array_to_string", "anyarray text text -> text", _to_string3, sql="{udf}('{types}', {0}, {1}, {2})", strict=False)
    d(
        "array_remove",
        "anycompatiblearray anycompatible -> anycompatiblearray",
        array_remove,
        sql=position,
        strict=False,
    )
    d(
        "array_replace",
        "anycompatiblearray anycompatible anycompatible -> anycompatiblearray",
        array_replace,
        sql="{udf}({0}, {1}, {2}, '{types}')",
        strict=False,
    )
    fill = "{udf}({0}, {1}, '{types}', {2})"
    d("array_fill", "anyelement int4[] -> anyarray", array_fill, sql="{udf}({0}, {1}, '{types}')", strict=False)
    d("array_fill", "anyelement int4[] int4[] -> anyarray", array_fill, sql=fill, strict=False)
    d("unnest", "anyarray -> anyelement", unnest, sql="{udf}({0}, {elem})", set_returning=True)
    d("generate_subscripts", "anyarray int4 -> int4", _subscripts2, set_returning=True)
    d("generate_subscripts", "anyarray int4 bool -> int4", generate_subscripts, set_returning=True)
    d("trim_array", "anyarray int4 -> anyarray", trim_array)
    lib.helper("fn_nest_arrays", lambda text: nest_arrays(json.loads(text)), 1)
    group = "json_group_array({0}){over}"
    d("array_agg", "anyarray -> anyarray", sql=f"fn_nest_arrays({group})", aggregate=True)
    d("array_append", "anycompatiblearray anycompatible -> anycompatiblearray", sql="pg_array_append({elem}, {0}, {1})")
    d(
        "array_prepend",
        "anycompatible anycompatiblearray -> anycompatiblearray",
        sql="pg_array_prepend({elem}, {0}, {1})",
    )
    d("array_cat", "anycompatiblearray anycompatiblearray -> anycompatiblearray", sql="pg_array_concat({0}, {1})")


def _install_vectors(lib: Library) -> None:
    """int2vector and oidvector are arrays whose first subscript is 0, and whose text has spaces in place of commas."""
    d = lib.define
    for vector, element in (("int2vector", "int2"), ("oidvector", "oid")):
        d("unnest", f"{vector} -> {element}", _vector_items, set_returning=True)
        d("generate_subscripts", f"{vector} int4 -> int4", _vector_subscripts, set_returning=True)
        d("array_length", f"{vector} int4 -> int4", lambda text, at: len(text.split()) or None if at == 1 else None)
        d("array_upper", f"{vector} int4 -> int4", lambda text, at: len(text.split()) - 1 if at == 1 else None)
        d("array_lower", f"{vector} int4 -> int4", lambda _text, at: 0 if at == 1 else None)
        d("cardinality", f"{vector} -> int4", lambda text: len(text.split()))
        d("array_to_string", f"{vector} text -> text", lambda text, separator: separator.join(text.split()))


def _vector_items(text: str) -> str:
    return f"[{','.join(text.split())}]"


def _vector_subscripts(text: str, dimension: int) -> str:
    return str(list(range(len(text.split())))) if dimension == 1 else "[]"


def _subscripts2(text: str, dimension: int) -> str:
    return generate_subscripts(text, dimension)


def _position_from(text: str | None, wanted: Any, types: str, start: int | None) -> int | None:
    return array_position(text, wanted, types, start)


def _to_string3(types: str, text: str | None, separator: str | None, null: str | None) -> str | None:
    return array_to_string(types, text, separator, null)
