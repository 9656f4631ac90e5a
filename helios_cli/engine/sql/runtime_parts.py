"""Storing into parts of arrays and jsonb values (array_set_element, array_set_slice, jsonb_set_element)."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.arrays import PgArray, read_array, write_array
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.function_spec import ScalarTable
from helios_cli.engine.sql.functions.jsonb import dump, load

_ELEMENTS_MAX: Final = (2**30 - 1) // 8


def _out_of_range() -> SqlError:
    return SqlError("array subscript out of range", sqlstate="2202E")


def _refuse_null(subscripts: tuple[Any, ...]) -> None:
    if None in subscripts:
        raise SqlError("array subscript in assignment must not be null", sqlstate="22004")


def _text(element: int, value: Any) -> str | None:
    return None if value is None else registry.by_oid(element).format_text(value).decode("utf-8", "replace")


def pg_array_store(element: int, array: Any, value: Any, *subscripts: Any) -> str:
    """An array with one element replaced; one of one dimension grows to hold it. Raises 22004 and 2202E."""
    _refuse_null(subscripts)
    new = _text(element, value)
    found = read_array("{}" if array is None else str(array), str)
    if not found.dims:
        items: Any = new
        for _ in subscripts:
            items = [items]
        return write_array(PgArray(items, (1,) * len(subscripts), tuple(subscripts)), str)
    if len(subscripts) != len(found.dims):
        raise SqlError("wrong number of array subscripts", sqlstate="2202E")
    if len(subscripts) == 1:
        return _store_one(found, new, int(subscripts[0]))
    level: Any = found.items
    for subscript, size, low in zip(subscripts, found.dims, found.bounds, strict=True):
        if not low <= subscript < low + size:
            raise _out_of_range()
    for subscript, low in zip(subscripts[:-1], found.bounds, strict=False):
        level = level[subscript - low]
    level[subscripts[-1] - found.bounds[-1]] = new
    return write_array(found, str)


def _store_one(found: PgArray, new: str | None, subscript: int) -> str:
    items, low = _grown(list(found.items), found.bounds[0], subscript, subscript)
    items[subscript - low] = new
    return write_array(PgArray(items, (len(items),), (low,)), str)


def _grown(items: list[Any], low: int, first: int, last: int) -> tuple[list[Any], int]:
    """Elements with NULLs before and behind, so that all of ``first`` to ``last`` are there."""
    before, behind = max(low - first, 0), max(last - (low + len(items) - 1), 0)
    if before + behind + len(items) > _ELEMENTS_MAX:
        raise SqlError(f"array size exceeds the maximum allowed ({_ELEMENTS_MAX})", sqlstate="54000")
    return [None] * before + items + [None] * behind, low - before


def pg_array_store_slice(element: int, array: Any, values: Any, *limits: Any) -> str | None:
    """An array with a slice replaced; '' is a limit that is left out. Raises 22004, 2202E."""
    if values is None:
        return None if array is None else str(array)
    _refuse_null(limits)
    limits = tuple(None if limit == "" else limit for limit in limits)
    source = _flat(read_array(str(values), str).items)
    found = read_array("{}" if array is None else str(array), str)
    if len(limits) > 2 or len(found.dims) > 1:
        return write_array(_with_block(found, source, limits), str)
    low, high = limits
    if not found.dims:
        if low is None or high is None:
            raise SqlError("array slice subscript must provide both boundaries", sqlstate="2202E", detail=(
                "When assigning to a slice of an empty array value, slice boundaries must be fully specified."
            ))  # fmt: skip
        items: list[Any] = []
        base = int(low)
    else:
        items, base = list(found.items), found.bounds[0]
    first = base if low is None else int(low)
    last = base + len(items) - 1 if high is None else int(high)
    if first > last:
        raise SqlError("upper bound cannot be less than lower bound", sqlstate="2202E")
    if len(source) < last - first + 1:
        raise SqlError("source array too small", sqlstate="2202E")
    items, base = _grown(items, base, first, last)
    items[first - base : last - base + 1] = source[: last - first + 1]
    return write_array(PgArray(items, (len(items),), (base,)), str)


def _with_block(found: PgArray, source: list[Any], limits: tuple[Any, ...]) -> PgArray:
    """An array of several dimensions with a block of it replaced (array_set_slice, arrayfuncs.c)."""
    pairs = list(zip(limits[::2], limits[1::2], strict=True))
    if not found.dims:
        if None in limits:
            raise SqlError("array slice subscript must provide both boundaries", sqlstate="2202E", detail=(
                "When assigning to a slice of an empty array value, slice boundaries must be fully specified."
            ))  # fmt: skip
        dims = tuple(int(high) - int(low) + 1 for low, high in pairs)
        found = PgArray(_filled(dims), dims, tuple(int(low) for low, _ in pairs))
    if len(pairs) > len(found.dims):
        raise SqlError("wrong number of array subscripts", sqlstate="2202E")
    pairs += [(None, None)] * (len(found.dims) - len(pairs))
    ranges = []
    for (low, high), size, base in zip(pairs, found.dims, found.bounds, strict=True):
        first = 0 if low is None else int(low) - base
        last = size - 1 if high is None else int(high) - base
        if first > last:
            raise SqlError("upper bound cannot be less than lower bound", sqlstate="2202E")
        if first < 0 or last >= size:
            raise _out_of_range()
        ranges.append(range(first, last + 1))
    places = list(product(*ranges))
    if len(source) < len(places):
        raise SqlError("source array too small", sqlstate="2202E")
    for place, value in zip(places, source, strict=False):
        level: Any = found.items
        for at in place[:-1]:
            level = level[at]
        level[place[-1]] = value
    return found


def _filled(dims: tuple[int, ...]) -> Any:
    """Items of so many dimensions, all NULL. Raises SqlError 2202E, 54000."""
    if min(dims) < 1:
        raise SqlError("upper bound cannot be less than lower bound", sqlstate="2202E")
    if prod(dims) > _ELEMENTS_MAX:
        raise SqlError(f"array size exceeds the maximum allowed ({_ELEMENTS_MAX})", sqlstate="54000")
    return [_filled(dims[1:]) for _ in range(dims[0])] if len(dims) > 1 else [None] * dims[0]


def _flat(items: list[Any]) -> list[Any]:
    out: list[Any] = []
    for item in items:
        out += _flat(item) if isinstance(item, list) else [item]
    return out


def pg_jsonb_store(document: Any, path: str, numbers: str, value: Any) -> str:
    """A document with a member replaced; what lies on the way to it is made. Raises 22023 where a scalar is."""
    keys = list(read_array(path, str).items)
    if None in keys:
        raise SqlError("jsonb subscript in assignment must not be null", sqlstate="22004")
    new = None if value is None else load(str(value))
    if document is None:
        root: Any = [] if numbers[0] == "1" else {}
    else:
        root = load(str(document))
    if not isinstance(root, dict | list):
        raise _scalar_in_the_way()
    _store_member(root, keys, new, 1)
    return dump(root)


def _scalar_in_the_way() -> SqlError:
    detail = "The path assumes key is a composite object, but it is a scalar value."
    return SqlError("cannot replace existing key", sqlstate="22023", detail=detail)


def _store_member(node: Any, keys: list[str], new: Any, depth: int) -> None:
    key, rest = keys[0], keys[1:]
    if isinstance(node, list):
        at = _place(node, key, depth)
        if rest and node[at] is None:
            node[at] = _made_for(rest)
        elif rest and not isinstance(node[at], dict | list):
            raise _scalar_in_the_way()
        if rest:
            _store_member(node[at], rest, new, depth + 1)
        else:
            node[at] = new
        return
    if not rest:
        node[key] = new
        return
    if key not in node:
        node[key] = _made_for(rest)
    elif not isinstance(node[key], dict | list):
        raise _scalar_in_the_way()
    _store_member(node[key], rest, new, depth + 1)


def _made_for(rest: list[str]) -> Any:
    """What is made on the way: an array for a number, an object for any other key."""
    return [] if rest[0].isdigit() else {}


def _place(node: list[Any], key: str, depth: int) -> int:
    """The index of a subscript, the array grown with nulls to hold it."""
    try:
        at = int(key)
    except ValueError:
        message = f'path element at position {depth} is not an integer: "{key}"'
        raise SqlError(message, sqlstate="22P02") from None
    if at < 0:
        if -at > len(node):
            raise SqlError(f"path element at position {depth} is out of range: {at}", sqlstate="22023")
        return at + len(node)
    while len(node) <= at:
        node.append(None)
    return at


SCALARS: Final[ScalarTable] = {
    "pg_array_store": (pg_array_store, -1, True),
    "pg_array_store_slice": (pg_array_store_slice, -1, True),
    "pg_jsonb_store": (pg_jsonb_store, 4, True),
}
