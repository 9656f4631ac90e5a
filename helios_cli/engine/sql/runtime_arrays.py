"""Arrays: construction, subscripts, containment, and the JSON form that json_each() walks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.arrays import PgArray, quote_element, read_array, write_array
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.function_spec import AggregateTable, ScalarTable
from helios_cli.engine.sql.remembered import remembered


def element_writer(element: int) -> Callable[[Any], str]:
    """How an element of a type is written inside an array's text."""
    format_text = registry.by_oid(element).format_text
    return lambda value: format_text(value).decode("utf-8", "replace")


def flat(items: list[Any]) -> Iterator[Any]:
    """The elements of an array in storage order."""
    for item in items:
        if isinstance(item, list):
            yield from flat(item)
        else:
            yield item


def make_array(items: list[Any], element: int) -> str:
    """The text of a one-dimensional array of stored values."""
    write = element_writer(element)
    return "{" + ",".join("NULL" if item is None else quote_element(write(item)) for item in items) + "}"


def pg_array(element: int, *items: Any) -> str:
    """ARRAY[...] of scalars."""
    return make_array(list(items), element)


def pg_array_nest(*arrays: Any) -> str:
    """ARRAY[...] of arrays, one dimension more. Raises 2202E when their sizes differ."""
    parts = [read_array("{}" if array is None else array, str) for array in arrays]
    if any(part.dims != parts[0].dims for part in parts):
        raise SqlError("multidimensional arrays must have array expressions with matching dimensions", sqlstate="2202E")
    if not parts[0].dims:
        return "{}"
    dims = (len(parts), *parts[0].dims)
    return write_array(PgArray([part.items for part in parts], dims, (1,) * len(dims)), str)


@lru_cache(maxsize=512)
def _json_of(text: str, parse: Callable[[str], Any]) -> str:
    return json.dumps(list(flat(read_array(text, parse).items)), default=bytes.hex)


def pg_array_json(array: Any, element: int = 0) -> str | None:
    """The elements, flattened, as a JSON array of stored values, those that are bytes in hexadecimal."""
    if array is None:
        return None
    return _json_of(str(array), registry.by_oid(element).parse_text if element else str)


def pg_is_element(value: Any, elements: str | None) -> int | None:
    """``value = ANY (array)``, of what :func:`pg_array_json` made of it."""
    found = None if elements is None else json.loads(elements)
    if not found or value is None:
        return 0 if found == [] else None
    if value in found:
        return 1
    return None if None in found else 0


_read: Final = remembered(read_array)


def pg_array_get(element: int, array: Any, *subscripts: Any) -> Any:
    """One element; NULL outside the bounds or for another number of subscripts."""
    if array is None or None in subscripts:
        return None
    value = _read(str(array), registry.by_oid(element).parse_text)
    if len(subscripts) != len(value.dims):
        return None
    items: Any = value.items
    for subscript, size, low in zip(subscripts, value.dims, value.bounds, strict=True):
        if not low <= subscript < low + size:
            return None
        items = items[subscript - low]
    return items


def pg_array_slice(_element: int, array: Any, *limits: Any) -> str | None:
    """A slice, empty outside the array; ``limits`` are pairs of lower and upper bound, '' for an open one."""
    if array is None or None in limits:
        return None
    value = read_array(str(array), str)
    if len(limits) // 2 > len(value.dims):
        return "{}"
    items: list[Any] = value.items
    sliced = _slice(items, value, [None if limit == "" else limit for limit in limits], 0)
    dims: list[int] = []
    level: Any = sliced
    while isinstance(level, list):
        dims.append(len(level))
        if not level:
            return "{}"
        level = level[0]
    return write_array(PgArray(sliced, tuple(dims), (1,) * len(dims)), str)


def _slice(items: list[Any], value: PgArray, limits: list[Any], depth: int) -> list[Any]:
    if depth * 2 >= len(limits):
        return items
    low_bound, size = value.bounds[depth], value.dims[depth]
    low = low_bound if limits[depth * 2] is None else max(limits[depth * 2], low_bound)
    high = low_bound + size - 1 if limits[depth * 2 + 1] is None else min(limits[depth * 2 + 1], low_bound + size - 1)
    kept = items[low - low_bound : max(high - low_bound + 1, 0)] if low <= high else []
    if depth + 1 < len(value.dims):
        return [_slice(item, value, limits, depth + 1) for item in kept]
    return kept


def pg_array_concat(left: Any, right: Any) -> str | None:
    """Two arrays one after the other (array_cat). Raises 2202E for incompatible dimensions."""
    if left is None or right is None:
        return right if left is None else left  # type: ignore[no-any-return]
    one, other = read_array(str(left), str), read_array(str(right), str)
    if not one.dims or not other.dims:
        return str(right) if not one.dims else str(left)
    ours, theirs = (list(zip(array.dims, array.bounds, strict=True)) for array in (one, other))
    unlike = "Arrays with differing dimensions are"
    if len(ours) == len(theirs):
        if ours[1:] == theirs[1:]:
            dims = (one.dims[0] + other.dims[0], *one.dims[1:])
            return write_array(PgArray(one.items + other.items, dims, one.bounds), str)
        unlike = "Arrays with differing element dimensions are"
    elif len(ours) == len(theirs) - 1:
        if ours == theirs[1:]:
            return write_array(PgArray([one.items, *other.items], (other.dims[0] + 1, *one.dims), other.bounds), str)
    elif len(theirs) == len(ours) - 1:
        if theirs == ours[1:]:
            return write_array(PgArray([*one.items, other.items], (one.dims[0] + 1, *other.dims), one.bounds), str)
    else:
        unlike = f"Arrays of {len(ours)} and {len(theirs)} dimensions are"
    raise SqlError(
        "cannot concatenate incompatible arrays",
        sqlstate="2202E",
        detail=f"{unlike} not compatible for concatenation.",
    )


def pg_array_append(element: int, array: Any, item: Any) -> str:
    """An array with one element more at the end. Raises 22000 for several dimensions."""
    value = _one_dimensional(array)
    value.items.append(None if item is None else element_writer(element)(item))
    bounds = value.bounds or (1,)
    return write_array(PgArray(value.items, (len(value.items),), bounds), str)


def pg_array_prepend(element: int, item: Any, array: Any) -> str:
    """An array with one element more at the front. Raises 22000 for several dimensions."""
    value = _one_dimensional(array)
    value.items.insert(0, None if item is None else element_writer(element)(item))
    return write_array(PgArray(value.items, (len(value.items),), value.bounds or (1,)), str)


def _one_dimensional(array: Any) -> PgArray:
    value = read_array("{}" if array is None else str(array), str)
    if len(value.dims) > 1:
        raise SqlError("argument must be empty or one-dimensional array", sqlstate="22000")
    return value


def _elements(element: int, array: Any) -> list[Any]:
    parse = registry.by_oid(element).parse_text
    key = _KEYS.get(element, lambda value: value)
    return [None if item is None else key(item) for item in flat(read_array(str(array), parse).items)]


def _numeric_key(value: Any) -> Any:
    from helios_cli.engine.datatypes.orders import numeric_key

    return numeric_key(value)


_KEYS: Final[dict[int, Callable[[Any], Any]]] = {1700: _numeric_key, 1042: lambda value: value.rstrip(" ")}


def pg_array_contains(element: int, whole: Any, part: Any) -> int | None:
    """``whole @> part``: every element of the part occurs; a NULL element occurs nowhere."""
    if whole is None or part is None:
        return None
    present = set(_elements(element, whole)) - {None}
    return int(all(item in present for item in _elements(element, part)))


def pg_array_overlaps(element: int, left: Any, right: Any) -> int | None:
    """``left && right``: some element is common."""
    if left is None or right is None:
        return None
    present = set(_elements(element, left)) - {None}
    return int(any(item in present for item in _elements(element, right)))


def pg_array_cast(source: int, target: int, array: Any) -> str | None:
    """An array with its elements converted by way of text, numbers by value."""
    if array is None:
        return None
    return str(_converted(str(array), source, target))


@remembered
def _converted(array: str, source: int, target: int) -> str:
    from helios_cli.engine.sql.runtime_values import convert

    value = read_array(array, registry.by_oid(source).parse_text)
    write = element_writer(target)
    return write_array(value, lambda item: write(convert(source, target, item)))


class Collect:
    """ARRAY(subquery): the rows of one column in order."""

    def __init__(self) -> None:
        self._element = 25
        self._items: list[Any] = []

    def step(self, element: int, item: Any) -> None:
        """Take one row."""
        self._element = element
        self._items.append(item)

    def final(self) -> str:
        """The array's text."""
        return make_array(self._items, self._element)


class CollectArrays:
    """ARRAY(subquery) of arrays: the rows of one column as an array of one dimension more."""

    def __init__(self) -> None:
        self._arrays: list[Any] = []

    def step(self, array: Any) -> None:
        """Take one row. Raises SqlError 22004 for NULL."""
        if array is None:
            raise SqlError("cannot accumulate null arrays", sqlstate="22004")
        if self._arrays and read_array(array, str).dims != read_array(self._arrays[0], str).dims:
            raise SqlError("cannot accumulate arrays of different dimensionality", sqlstate="2202E")
        if not read_array(array, str).dims:
            raise SqlError("cannot accumulate empty arrays", sqlstate="2202E")
        self._arrays.append(array)

    def final(self) -> str:
        """The array's text."""
        return pg_array_nest(*self._arrays) if self._arrays else "{}"


SCALARS: Final[ScalarTable] = {
    "pg_array": (pg_array, -1, True),
    "pg_array_nest": (pg_array_nest, -1, True),
    "pg_array_json": (pg_array_json, -1, True),
    "pg_is_element": (pg_is_element, 2, True),
    "pg_array_get": (pg_array_get, -1, True),
    "pg_array_slice": (pg_array_slice, -1, True),
    "pg_array_concat": (pg_array_concat, 2, True),
    "pg_array_append": (pg_array_append, 3, True),
    "pg_array_prepend": (pg_array_prepend, 3, True),
    "pg_array_contains": (pg_array_contains, 3, True),
    "pg_array_overlaps": (pg_array_overlaps, 3, True),
    "pg_array_cast": (pg_array_cast, 3, True),
}
AGGREGATES: Final[AggregateTable] = {"pg_array_collect": (Collect, 2), "pg_array_of_arrays": (CollectArrays, 1)}
