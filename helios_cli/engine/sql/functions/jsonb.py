"""json and jsonb functions (PostgreSQL manual, 9.16)."""

from __future__ import annotations

import json
from functools import partial
from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.arrays import PgArray, read_array, write_array
from helios_cli.engine.datatypes.jsons import parse_json, parse_jsonb, quote_json
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.functions.define import Library
from helios_cli.engine.sql.runtime_json import items, members, path_index, pg_jsonb_delete_path

_NUMBERS: Final = frozenset((20, 21, 23, 700, 701, 1700))
_BOOL, _JSON, _JSONB, _TIMESTAMP, _TIMESTAMPTZ, _DATE, _RECORD = 16, 114, 3802, 1114, 1184, 1082, 2249


def to_json(oid: int, value: Any) -> str:
    """A stored value of a type as JSON text (datum_to_json, json.c)."""
    if value is None:
        return "null"
    if oid == _BOOL:
        return "true" if value else "false"
    if oid in (_JSON, _JSONB, _RECORD):
        # A row comes as its JSON already (``row_values.as_json``).
        return str(value)
    known = registry.find_oid(oid)
    if known is None:
        return quote_json(str(value))
    if known.elem_oid:
        return _array_json(known.elem_oid, value)
    text = known.format_text(value).decode("utf-8", "replace")
    if oid in _NUMBERS:
        return text if text[-1:].isdigit() else quote_json(text)
    if oid in (_TIMESTAMP, _TIMESTAMPTZ) and " " in text:
        text = text.replace(" ", "T", 1)
        if oid == _TIMESTAMPTZ and text[-3] in "+-":
            text += ":00"
    return quote_json(text)


def _array_json(element: int, value: Any) -> str:
    parse = registry.by_oid(element).parse_text

    def write(items: list[Any]) -> str:
        parts = [write(item) if isinstance(item, list) else to_json(element, item) for item in items]
        return "[" + ",".join(parts) + "]"

    return write(read_array(str(value), parse).items)


def build_object(types: str, *values: Any, kind: str = "json") -> str:
    """json_build_object."""
    oids = [int(oid) for oid in types.split(",")] if types else []
    if len(values) % 2:
        hint = f"The arguments of {kind}_build_object() must consist of alternating keys and values."
        raise SqlError("argument list must have even number of elements", sqlstate="22023", hint=hint)
    pairs = []
    for at in range(0, len(values), 2):
        if values[at] is None:
            raise SqlError(f"argument {at + 1}: key must not be null", sqlstate="22023")
        pairs.append(f"{json_key(_known(oids[at]), values[at])} : {to_json(_known(oids[at + 1]), values[at + 1])}")
    return "{" + ", ".join(pairs) + "}"


def json_key(oid: int, value: Any) -> str:
    """A value as the key of an object, in quotes. Raises 22023 for one that is no scalar."""
    shown = to_json(oid, value)
    if shown[:1] in "[{" or oid in (_JSON, _JSONB):
        raise SqlError("key value must be scalar, not array, composite, or json", sqlstate="22023")
    return shown if shown.startswith('"') else f'"{shown}"'


def build_array(types: str, *values: Any) -> str:
    """json_build_array."""
    oids = [int(oid) for oid in types.split(",")] if types else []
    return "[" + ", ".join(to_json(_known(oid), value) for oid, value in zip(oids, values, strict=True)) + "]"


def _known(oid: int) -> int:
    return 25 if oid == 705 else oid


def load(text: str) -> Any:
    """JSON as Python values; numbers keep their text."""
    return json.loads(text, parse_float=Number, parse_int=Number)


class Number(str):
    """A JSON number with its digits kept."""

    __slots__ = ()


def dump(value: Any) -> str:
    """jsonb's text of Python values."""
    return parse_jsonb(_plain(value))


def _plain(value: Any) -> str:
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quote_json(key)}: {_plain(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_plain(item) for item in value) + "]"
    if isinstance(value, str):
        return quote_json(value)
    return json.dumps(value)


def type_of_json(text: str) -> str:
    """json_typeof."""
    value = load(text)
    if isinstance(value, bool):
        return "boolean"
    if value is None:
        return "null"
    if isinstance(value, Number):
        return "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def strip_nulls(text: str, binary: bool) -> str:
    """Without object fields whose value is null; the other members stay as they are, also those of one name."""

    def strip(raw: str) -> str:
        elements = items(raw)
        if elements is not None:
            return "[" + ",".join(map(strip, elements)) + "]"
        if raw[:1] != "{":
            return raw
        kept = (f"{quote_json(key)}:{strip(value)}" for key, value in members(raw) if value != "null")
        return "{" + ",".join(kept) + "}"

    stripped = strip(text.strip())
    return parse_jsonb(stripped) if binary else stripped


def set_path(text: str, path: str, new: str, create: int = 1) -> str:
    """jsonb_set."""
    root, keys = _changed(text, path)
    _set(root, keys, load(new), bool(create), None)
    return dump(root)


def set_path_lax(
    text: str | None, path: str | None, new: str | None, create: int | None, null: str | None
) -> str | None:
    """jsonb_set_lax. Raises 22023 for no or an unknown treatment of NULL, 22004 where it is to be refused."""
    if text is None or path is None or create is None:
        return None
    if null is None or (new is None and null not in _NULL_TREATMENTS):
        *others, last = (f'"{word}"' for word in _NULL_TREATMENTS)
        message = f"null_value_treatment must be {', '.join(others)}, or {last}"
        raise SqlError(message, sqlstate="22023")
    if new is not None:
        return set_path(text, path, new, create)
    if null == "raise_exception":
        detail = 'Exception was raised because null_value_treatment is "raise_exception".'
        hint = "To avoid, either change the null_value_treatment argument or ensure that an SQL NULL is not passed."
        raise SqlError("JSON value must not be null", sqlstate="22004", detail=detail, hint=hint)
    if null == "use_json_null":
        return set_path(text, path, "null", create)
    return pg_jsonb_delete_path(text, path) if null == "delete_key" else text


_NULL_TREATMENTS: Final = ("delete_key", "return_target", "use_json_null", "raise_exception")


def insert_path(text: str, path: str, new: str, after: int = 0) -> str:
    """jsonb_insert."""
    root, keys = _changed(text, path)
    _set(root, keys, load(new), True, bool(after))
    return dump(root)


def _changed(text: str, path: str) -> tuple[Any, list[str | None]]:
    """What is to be changed, and the way to its part. Raises 22023 for a scalar, 2202E for an array of arrays."""
    listed = read_array(path, str)
    if len(listed.dims) > 1:
        raise SqlError("wrong number of array subscripts", sqlstate="2202E")
    root = load(text)
    if not isinstance(root, dict | list):
        raise SqlError("cannot set path in scalar", sqlstate="22023")
    return root, list(listed.items)


def _set(node: Any, keys: list[str | None], new: Any, create: bool, insert: bool | None, depth: int = 0) -> None:
    """Change a part in place. ``insert``: None to replace, else whether to insert behind the element."""
    if depth == len(keys) or not isinstance(node, dict | list):
        return
    key, is_last = keys[depth], depth == len(keys) - 1
    if key is None:
        raise SqlError(f"path element at position {depth + 1} is null", sqlstate="22004")
    if isinstance(node, list):
        _set_item(node, keys, new, create, insert, depth)
    elif not is_last:
        if key in node:
            _set(node[key], keys, new, create, insert, depth + 1)
    elif key in node and insert is not None:
        raise SqlError(
            "cannot replace existing key",
            sqlstate="22023",
            hint="Try using the function jsonb_set to replace key value.",
        )
    elif key in node or create:
        node[key] = new


def _set_item(node: list[Any], keys: list[str | None], new: Any, create: bool, insert: bool | None, depth: int) -> None:
    at = path_index(keys[depth], depth)
    inside = -len(node) <= at < len(node)
    if depth < len(keys) - 1:
        if inside:
            _set(node[at], keys, new, create, insert, depth + 1)
    elif insert is not None:
        place = at if at >= 0 else max(len(node) + at, 0)
        node.insert(place + 1 if insert else place, new)
    elif inside:
        node[at] = new
    elif create:
        node.insert(0 if at < 0 else len(node), new)


def pretty(text: str) -> str:
    """jsonb_pretty."""

    def write(value: Any, indent: int) -> str:
        space, inner = " " * indent, " " * (indent + 4)
        if isinstance(value, dict) and value:
            rows = (f"{inner}{quote_json(key)}: {write(item, indent + 4)}" for key, item in value.items())
            return "{\n" + ",\n".join(rows) + f"\n{space}}}"
        if isinstance(value, list) and value:
            return "[\n" + ",\n".join(inner + write(item, indent + 4) for item in value) + f"\n{space}]"
        if isinstance(value, dict | list):
            return "{\n" + space + "}" if isinstance(value, dict) else "[\n" + space + "]"
        return _plain(value)

    return write(load(text), 0)


def json_object(text: str, values: str | None = None) -> str:
    """json_object(text[]): pairs of keys and values, or those of two arrays. Raises 2202E, 22004."""
    array = read_array(text, str)
    items, dims = array.items, array.dims
    if values is not None:
        other = read_array(values, str)
        if len(dims) > 1 or len(other.dims) > 1:
            raise SqlError("wrong number of array subscripts", sqlstate="2202E")
        if dims != other.dims:
            raise SqlError("mismatched array dimensions", sqlstate="2202E")
        items = [part for pair in zip(items, other.items, strict=True) for part in pair]
    elif len(dims) == 2 and dims[1] == 2:
        items = [part for pair in items for part in pair]
    elif len(dims) == 2:
        raise SqlError("array must have two columns", sqlstate="2202E")
    elif len(dims) > 2:
        raise SqlError("wrong number of array subscripts", sqlstate="2202E")
    elif len(items) % 2:
        raise SqlError("array must have even number of elements", sqlstate="2202E")
    pairs = []
    for at in range(0, len(items), 2):
        if items[at] is None:
            raise SqlError("null value not allowed for object key", sqlstate="22004")
        value = "null" if items[at + 1] is None else quote_json(items[at + 1])
        pairs.append(f"{quote_json(items[at])} : {value}")
    return "{" + ", ".join(pairs) + "}"


def install(lib: Library) -> None:
    """Declare the json functions."""
    d = lib.define
    d("to_json", "anyelement -> json", _to_json, sql="{udf}({types}, {0})")
    d("to_jsonb", "anyelement -> jsonb", _to_jsonb, sql="{udf}({types}, {0})")
    d("array_to_json", "anyarray -> json", _to_json, sql="{udf}({types}, {0})")
    d("array_to_json", "anyarray bool -> json", _array_to_json, sql="{udf}('{types}', {0}, {1})")
    for prefix, kind in (("json", "json"), ("jsonb", "jsonb")):
        binary = kind == "jsonb"
        build = _binary(partial(build_object, kind="jsonb")) if binary else build_object
        listed = _binary(build_array) if binary else build_array
        d(f"{prefix}_build_object", f"-> {kind}", sql="'{{}}'")
        d(f"{prefix}_build_array", f"-> {kind}", sql="'[]'")
        d(f"{prefix}_build_object", f"any... -> {kind}", build, sql="{udf}('{types}', {args})", strict=False)
        d(f"{prefix}_build_array", f"any... -> {kind}", listed, sql="{udf}('{types}', {args})", strict=False)
        d(f"{prefix}_typeof", f"{kind} -> text", type_of_json)
        d(f"{prefix}_strip_nulls", f"{kind} -> {kind}", lambda text, binary=binary: strip_nulls(text, binary))
        pairs = _binary(json_object) if binary else json_object
        d(f"{prefix}_object", f"text[] -> {kind}", lambda text, pairs=pairs: pairs(text))
        d(f"{prefix}_object", f"text[] text[] -> {kind}", lambda text, values, pairs=pairs: pairs(text, values))
    d("jsonb_set", "jsonb text[] jsonb -> jsonb", set_path)
    d("jsonb_set", "jsonb text[] jsonb bool -> jsonb", _set4)
    for given, filled in (("", ", 1, 'use_json_null'"), (" bool", ", 'use_json_null'"), (" bool text", "")):
        sql = f"{{udf}}({{args}}{filled})"
        d("jsonb_set_lax", f"jsonb text[] jsonb{given} -> jsonb", set_path_lax, sql=sql, strict=False)
    d("jsonb_insert", "jsonb text[] jsonb -> jsonb", insert_path)
    d("jsonb_insert", "jsonb text[] jsonb bool -> jsonb", _insert4)
    d("jsonb_pretty", "jsonb -> text", pretty)


def _binary(call: Any) -> Any:
    return lambda *arguments: parse_jsonb(call(*arguments))


def _to_json(oid: int, value: Any) -> str:
    return to_json(_known(oid), value)


def _array_to_json(types: str, text: str, pretty: int) -> str:
    """With ``pretty`` there is a line for each element of the first dimension."""
    oid = int(types.partition(",")[0])
    array = read_array(text, str)
    if not pretty or not array.items:
        return to_json(oid, text)
    dims, bounds = (1, *array.dims[1:]), (1,) * len(array.dims)
    parts = [to_json(oid, write_array(PgArray([item], dims, bounds), str))[1:-1] for item in array.items]
    return "[" + ",\n ".join(parts) + "]"


def _to_jsonb(oid: int, value: Any) -> str:
    return parse_jsonb(to_json(_known(oid), value))


def _set4(text: str, path: str, new: str, create: int) -> str:
    return set_path(text, path, new, create)


def _insert4(text: str, path: str, new: str, after: int) -> str:
    return insert_path(text, path, new, after)


__all__ = ["install", "parse_json", "to_json"]
