"""Array functions (PostgreSQL manual, 9.19)."""

from __future__ import annotations

import json
from typing import Any

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.arrays import PgArray, read_array, write_array
from helios_cli.engine.sql.functions.define import Library
from helios_cli.engine.sql.functions.strings import text_of


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


def array_position(text: str | None, wanted: Any, types: str, start: int = 1) -> int | None:
    """The index of the first equal element; NULL is found as NULL."""
    if text is None:
        return None
    element = int(types.split(",")[1])
    shown = None if wanted is None else text_of(element, wanted)
    array = _array(text)
    low = array.bounds[0] if array.bounds else 1
    for index, item in enumerate(array.items):
        if index + low >= start and item == shown:
            return index + low
    return None


def array_positions(text: str, wanted: Any, types: str) -> str:
    """All indexes of equal elements."""
    shown = text_of(int(types.split(",")[1]), wanted)
    return _write([str(index) for index, item in enumerate(_array(text).items, 1) if item == shown])


def array_to_string(types: str, text: str | None, separator: str | None, null: str | None = None) -> str | None:
    """The elements with a separator between; NULLs left out, or shown as ``null``."""
    if text is None or separator is None:
        return None
    del types
    leaves = (null if item is None else item for item in _flat(_array(text).items))
    return separator.join(leaf for leaf in leaves if leaf is not None)


def array_remove(text: str, wanted: Any, types: str) -> str:
    """Without the elements that equal a value."""
    shown = None if wanted is None else text_of(int(types.split(",")[1]), wanted)
    return _write([item for item in _array(text).items if item != shown])


def array_replace(text: str, old: Any, new: Any, types: str) -> str:
    """Elements that equal a value replaced."""
    element = int(types.split(",")[1])
    before = None if old is None else text_of(element, old)
    after = None if new is None else text_of(element, new)
    return _write([after if item == before else item for item in _array(text).items])


def array_fill(value: Any, dims: str, types: str) -> str:
    """An array of one value."""
    sizes = [int(size) for size in _array(dims).items]
    shown = None if value is None else text_of(int(types.split(",")[0]), value)

    def fill(rest: list[int]) -> list[Any]:
        return [fill(rest[1:]) if len(rest) > 1 else shown for _ in range(rest[0])] if rest else []

    return write_array(PgArray(fill(sizes), tuple(sizes), (1,) * len(sizes)), str)


def unnest(text: str, element: int) -> str:
    """The elements as a JSON array of stored values."""
    parse = registry.by_oid(element).parse_text
    return json.dumps([None if item is None else parse(item) for item in _flat(_array(text).items)], ensure_ascii=False)


def generate_subscripts(text: str, dimension: int) -> str:
    """The indexes of a dimension as rows."""
    array = _array(text)
    if not 1 <= dimension <= len(array.dims):
        return "[]"
    low = array.bounds[dimension - 1]
    return json.dumps(list(range(low, low + array.dims[dimension - 1])))


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
    d("array_positions", "anycompatiblearray anycompatible -> int4[]", array_positions, sql=position)
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
    d("array_fill", "anyelement int4[] -> anyarray", array_fill, sql="{udf}({0}, {1}, '{types}')", strict=False)
    d("unnest", "anyarray -> anyelement", unnest, sql="{udf}({0}, {elem})", set_returning=True)
    d("generate_subscripts", "anyarray int4 -> int4", generate_subscripts, set_returning=True)
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


def _vector_items(text: str) -> str:
    return json.dumps([int(item) for item in text.split()])


def _vector_subscripts(text: str, dimension: int) -> str:
    return json.dumps(list(range(len(text.split()))) if dimension == 1 else [])


def _position_from(text: str | None, wanted: Any, types: str, start: int) -> int | None:
    return array_position(text, wanted, types, start)


def _to_string3(types: str, text: str | None, separator: str | None, null: str | None) -> str | None:
    return array_to_string(types, text, separator, null)
