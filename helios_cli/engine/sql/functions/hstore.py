"""hstore: operators and functions over the canonical text (PostgreSQL manual, F.18)."""

from __future__ import annotations

import json
from typing import Any, Final

from helios_cli.engine.datatypes.arrays import PgArray, read_array, write_array
from helios_cli.engine.datatypes.hstore import Pairs, read_hstore, write_hstore
from helios_cli.engine.datatypes.jsons import parse_json, parse_jsonb, quote_json
from helios_cli.engine.datatypes.numeric import parse_numeric
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.functions.define import Library


def _texts(array: str) -> list[Any]:
    items = read_array(array, str).items
    flat: list[Any] = []
    for item in items:
        flat += item if isinstance(item, list) else [item]
    return flat


def _array(items: list[Any], columns: int = 0) -> str:
    if not items:
        return "{}"
    if columns:
        rows = [items[at : at + columns] for at in range(0, len(items), columns)]
        return write_array(PgArray(rows, (len(rows), columns), (1, 1)), str)
    return write_array(PgArray(items, (len(items),), (1,)), str)


def _get(text: str, key: str) -> str | None:
    return read_hstore(text).get(key)


def _get_many(text: str, keys: str) -> str:
    pairs = read_hstore(text)
    return _array([pairs.get(key) if key is not None else None for key in _texts(keys)])


def _concat(left: str, right: str) -> str:
    return write_hstore(read_hstore(left) | read_hstore(right))


def _exists(text: str, key: str) -> int:
    return int(key in read_hstore(text))


def _exists_any(text: str, keys: str) -> int:
    pairs = read_hstore(text)
    return int(any(key in pairs for key in _texts(keys) if key is not None))


def _exists_all(text: str, keys: str) -> int:
    pairs = read_hstore(text)
    return int(all(key in pairs for key in _texts(keys) if key is not None))


def _contains(whole: str, part: str) -> int:
    pairs = read_hstore(whole)
    return int(all(key in pairs and pairs[key] == value for key, value in read_hstore(part).items()))


def _without(text: str, gone: set[str]) -> str:
    return write_hstore({key: value for key, value in read_hstore(text).items() if key not in gone})


def _delete_key(text: str, key: str) -> str:
    return _without(text, {key})


def _delete_keys(text: str, keys: str) -> str:
    return _without(text, set(_texts(keys)))


def _delete_pairs(text: str, other: str) -> str:
    gone = read_hstore(other)
    kept = {key: value for key, value in read_hstore(text).items() if key not in gone or gone[key] != value}
    return write_hstore(kept)


def _slice(text: str, keys: str) -> str:
    pairs = read_hstore(text)
    return write_hstore({key: pairs[key] for key in _texts(keys) if key is not None and key in pairs})


def _pair(key: Any, value: Any) -> str | None:
    return None if key is None else write_hstore({key: value})


def _store(text: Any, key: Any, value: Any) -> str:
    """``h[key] = value``."""
    if key is None:
        raise SqlError("hstore subscript in assignment must not be null", sqlstate="22004")
    return write_hstore((read_hstore(text) if text is not None else {}) | {key: value})


def _of_keys_and_values(keys: Any, values: Any) -> str | None:
    if keys is None:
        return None
    names = _texts(keys)
    found = [None] * len(names) if values is None else _texts(values)
    if len(found) != len(names):
        raise SqlError("arrays must have same bounds", sqlstate="2202E")
    return _of_items(list(zip(names, found, strict=True)))


def _of_array(array: str) -> str:
    value = read_array(array, str)
    items = _texts(array)
    if len(value.dims) > 2 or (len(value.dims) == 2 and value.dims[1] != 2):
        raise SqlError("array must have two columns", sqlstate="2202E")
    if len(items) % 2:
        raise SqlError("array must have even number of elements", sqlstate="2202E")
    return _of_items(list(zip(items[::2], items[1::2], strict=True)))


def _of_items(items: list[tuple[Any, Any]]) -> str:
    pairs: Pairs = {}
    for key, value in items:
        if key is None:
            raise SqlError("null value not allowed for hstore key", sqlstate="22004")
        pairs.setdefault(key, value)
    return write_hstore(pairs)


def _keys(text: str) -> str:
    return _array(list(read_hstore(text)))


def _values(text: str) -> str:
    return _array(list(read_hstore(text).values()))


def _to_array(text: str) -> str:
    return _array([word for pair in read_hstore(text).items() for word in pair])


def _to_matrix(text: str) -> str:
    return _array([word for pair in read_hstore(text).items() for word in pair], 2)


def _to_json(text: str) -> str:
    parts = [f"{quote_json(key)}: {'null' if value is None else quote_json(value)}"
             for key, value in read_hstore(text).items()]  # fmt: skip
    return parse_json("{" + ", ".join(parts) + "}")


def _loose(value: str | None) -> str:
    if value is None:
        return "null"
    if value in ("t", "f"):
        return "true" if value == "t" else "false"
    try:
        parse_json(value)
        parse_numeric(value)
    except SqlError:
        return quote_json(value)
    return value


def _to_json_loose(text: str) -> str:
    parts = [f"{quote_json(key)}: {_loose(value)}" for key, value in read_hstore(text).items()]
    return "{" + ", ".join(parts) + "}"


def _defined(text: str, key: str) -> int:
    return int(read_hstore(text).get(key) is not None)


_HELPERS: Final = (
    _get, _get_many, _concat, _exists, _exists_any, _exists_all, _contains, _delete_key, _delete_keys, _delete_pairs
)  # fmt: skip


def install(lib: Library) -> None:
    """Declare the functions, and those that the operators of ``extension_operators`` stand for."""
    d = lib.define
    for helper in _HELPERS:
        lib.helper(f"pg_hstore{helper.__name__}", helper, 2)
    lib.helper("pg_hstore_store", _store, 3, strict=False)
    d("hstore", "text text -> hstore", _pair, strict=False)
    d("hstore", "text[] -> hstore", _of_array)
    d("hstore", "text[] text[] -> hstore", _of_keys_and_values, strict=False)
    d("akeys", "hstore -> text[]", _keys)
    d("avals", "hstore -> text[]", _values)
    d("skeys", "hstore -> text", lambda text: json.dumps(list(read_hstore(text))), set_returning=True)
    d("svals", "hstore -> text", lambda text: json.dumps(list(read_hstore(text).values())), set_returning=True)
    d(
        "each", "hstore -> record", lambda text: json.dumps(list(read_hstore(text).items())), set_returning=True,
        columns=(("key", 25), ("value", 25)),
    )  # fmt: skip
    d("hstore_to_array", "hstore -> text[]", _to_array)
    d("hstore_to_matrix", "hstore -> text[]", _to_matrix)
    d("hstore_to_json", "hstore -> json", _to_json)
    d("hstore_to_jsonb", "hstore -> jsonb", lambda text: parse_jsonb(_to_json(text)))
    d("hstore_to_json_loose", "hstore -> json", _to_json_loose)
    d("hstore_to_jsonb_loose", "hstore -> jsonb", lambda text: parse_jsonb(_to_json_loose(text)))
    d("slice", "hstore text[] -> hstore", _slice)
    d("exist", "hstore text -> bool", _exists)
    d("defined", "hstore text -> bool", _defined)
    d("delete", "hstore text -> hstore", _delete_key)
    d("delete", "hstore text[] -> hstore", _delete_keys)
    d("delete", "hstore hstore -> hstore", _delete_pairs)
