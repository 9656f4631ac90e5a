"""json and jsonb operators. Stored jsonb is canonical text, so parts of it are canonical too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from helios_cli.engine.datatypes.arrays import read_array
from helios_cli.engine.datatypes.integers import WHITESPACE
from helios_cli.engine.datatypes.json_errors import check_escapes
from helios_cli.engine.datatypes.jsons import parse_jsonb, quote_json
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.function_spec import ScalarTable
from helios_cli.engine.sql.oids import JSONB
from helios_cli.engine.sql.runtime_arrays import flat

_DECODER: Final = json.JSONDecoder(parse_float=Decimal)
_SPACE: Final = " \t\r\n"
assert set(_SPACE) <= set(WHITESPACE)


def _skip(text: str, at: int) -> int:
    while text[at] in _SPACE:
        at += 1
    return at


def members(text: str) -> Iterator[tuple[str, str]]:
    """Keys and raw values of an object's text, in order; nothing when it is no object."""
    at = _skip(text, 0)
    if text[at] != "{":
        return
    at = _skip(text, at + 1)
    while text[at] != "}":
        key, at = _DECODER.raw_decode(text, at)
        at = _skip(text, _skip(text, at) + 1)
        _, end = _DECODER.raw_decode(text, at)
        yield key, text[at:end]
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)


def items(text: str) -> list[str] | None:
    """The raw elements of an array's text; None when it is no array."""
    at = _skip(text, 0)
    if text[at] != "[":
        return None
    found: list[str] = []
    at = _skip(text, at + 1)
    while text[at] != "]":
        _, end = _DECODER.raw_decode(text, at)
        found.append(text[at:end])
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return found


def get(text: str, key: int | str) -> str | None:
    """The raw text of a member or element; None when there is none. Of equal keys the last counts."""
    if isinstance(key, int):
        array = items(text)
        if array is None or not -len(array) <= key < len(array):
            return None
        return array[key]
    found = None
    for name, value in members(text):
        if name == key:
            found = value
    return found


def as_text(raw: str | None) -> str | None:
    """What ``->>`` gives for a raw value: strings without quotes, NULL for null."""
    if raw is None or raw == "null":
        return None
    return str(json.loads(raw)) if raw.startswith('"') else raw


def pg_json_get(text: Any, key: Any, _type: int) -> str | None:
    """``->``."""
    return None if text is None or key is None else _get(text, key, _type)


def pg_json_get_text(text: Any, key: Any, _type: int) -> str | None:
    """``->>``."""
    return None if text is None or key is None else as_text(_get(text, key, _type))


def _get(text: str, key: Any, kind: int) -> str | None:
    """A member; a scalar jsonb is an array of one element to its subscripts. Raises as check_escapes()."""
    text = _read(text, kind)
    if kind == JSONB and key in (0, -1) and not isinstance(key, str) and text[:1] not in "[{":
        return text
    return get(text, key)


def _read(text: str, kind: int) -> str:
    """A document that is looked into: json has kept escapes that cannot be read. Raises as check_escapes()."""
    if kind != JSONB and "\\u" in text:
        check_escapes(text)
    return text


def _walk(text: str, path: Any) -> str | None:
    found: str | None = text.strip(_SPACE)
    for step in flat(read_array(str(path), str).items):
        if found is None or step is None:
            return None
        if found.startswith("["):
            try:
                found = get(found, int(step))
            except ValueError:
                return None
        else:
            found = get(found, step)
    return found


def pg_json_path(text: Any, path: Any, _type: int) -> str | None:
    """``#>``."""
    return None if text is None or path is None else _walk(_read(text, _type), path)


def pg_json_path_text(text: Any, path: Any, _type: int) -> str | None:
    """``#>>``."""
    return None if text is None or path is None else as_text(_walk(_read(text, _type), path))


def _object(pairs: dict[str, str]) -> str:
    return parse_jsonb("{" + ",".join(f"{quote_json(key)}:{value}" for key, value in pairs.items()) + "}")


def _array(elements: list[str]) -> str:
    return "[" + ", ".join(elements) + "]"


def pg_jsonb_concat(left: Any, right: Any) -> str | None:
    """``||``: members of objects, elements of arrays; anything else counts as an array of one."""
    if left is None or right is None:
        return None
    if left.startswith("{") and right.startswith("{"):
        return _object(dict(members(left)) | dict(members(right)))
    one, other = items(left), items(right)
    return _array((one if one is not None else [left]) + (other if other is not None else [right]))


def pg_jsonb_delete(text: Any, key: Any, key_type: int) -> str | None:
    """``-``: remove members by name, elements by position or string value. Raises 22023 for a wrong kind."""
    if text is None or key is None:
        return None
    if text[0] not in "[{":
        raise SqlError("cannot delete from scalar", sqlstate="22023")
    array = items(text)
    if key_type == 23:
        if array is None:
            raise SqlError("cannot delete from object using integer index", sqlstate="22023")
        if -len(array) <= key < len(array):
            del array[key]
        return _array(array)
    if key_type == 25:
        names = {str(key)}
    else:
        listed = read_array(str(key), str)
        if len(listed.dims) > 1:
            raise SqlError("wrong number of array subscripts", sqlstate="2202E")
        names = {name for name in listed.items if name is not None}
    if array is not None:
        return _array([raw for raw in array if not (raw.startswith('"') and json.loads(raw) in names)])
    return _object({name: raw for name, raw in members(text) if name not in names})


def pg_jsonb_delete_path(text: Any, path: Any) -> str | None:
    """``#-``."""
    if text is None or path is None:
        return None
    steps = list(flat(read_array(str(path), str).items))
    if text[0] not in "[{":
        raise SqlError("cannot delete path in scalar", sqlstate="22023")
    return _delete_path(text, steps) if steps and text not in ("{}", "[]") else str(text)


def path_index(step: Any, depth: int) -> int:
    """A step of a path, ``depth`` steps from its beginning, as an array's index. Raises 22P02."""
    try:
        return int(step)
    except ValueError:
        message = f'path element at position {depth + 1} is not an integer: "{step}"'
        raise SqlError(message, sqlstate="22P02") from None


def _delete_path(text: str, steps: list[Any], depth: int = 0) -> str:
    if text[:1] not in "[{":
        return text
    step, rest = steps[depth], depth + 1 < len(steps)
    if step is None:
        raise SqlError(f"path element at position {depth + 1} is null", sqlstate="22004")
    array = items(text)
    if array is not None:
        index = path_index(step, depth)
        if not -len(array) <= index < len(array):
            return text
        if rest:
            array[index] = _delete_path(array[index], steps, depth + 1)
        else:
            del array[index]
        return _array(array)
    pairs = dict(members(text))
    if step in pairs:
        if rest:
            pairs[step] = _delete_path(pairs[step], steps, depth + 1)
        else:
            del pairs[step]
        return _object(pairs)
    return text


def _load(text: str) -> Any:
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


def _contains(whole: Any, part: Any) -> bool:
    if isinstance(whole, dict) and isinstance(part, dict):
        return all(key in whole and _contains(whole[key], value) for key, value in part.items())
    if isinstance(whole, list) and isinstance(part, list):
        return all(any(_contains_element(item, wanted) for item in whole) for wanted in part)
    if isinstance(whole, dict | list) or isinstance(part, dict | list):
        return False
    return type(whole) is type(part) and bool(whole == part)


def _contains_element(item: Any, wanted: Any) -> bool:
    return type(item) is type(wanted) and _contains(item, wanted)


def pg_jsonb_contains(whole: Any, part: Any) -> int | None:
    """``@>``. An array also contains a scalar that is one of its elements."""
    if whole is None or part is None:
        return None
    outer, inner = _load(whole), _load(part)
    if isinstance(outer, list) and not isinstance(inner, dict | list):
        return int(any(_contains_element(item, inner) for item in outer))
    return int(_contains(outer, inner))


def _exists(text: str, key: str) -> bool:
    value = _load(text)
    if isinstance(value, dict):
        return key in value
    if isinstance(value, list):
        return any(isinstance(item, str) and item == key for item in value)
    return isinstance(value, str) and value == key


def pg_jsonb_exists(text: Any, key: Any) -> int | None:
    """``?``."""
    return None if text is None or key is None else int(_exists(text, key))


def pg_jsonb_exists_any(text: Any, keys: Any) -> int | None:
    """``?|``."""
    if text is None or keys is None:
        return None
    return int(any(key is not None and _exists(text, key) for key in flat(read_array(str(keys), str).items)))


def pg_jsonb_exists_all(text: Any, keys: Any) -> int | None:
    """``?&``."""
    if text is None or keys is None:
        return None
    return int(all(key is None or _exists(text, key) for key in flat(read_array(str(keys), str).items)))


_SCALAR_NAMES: Final = {
    16: "boolean",
    21: "smallint",
    23: "integer",
    20: "bigint",
    700: "real",
    701: "double precision",
    1700: "numeric",
}


def pg_jsonb_scalar(target: int, text: Any) -> Any:
    """A cast from jsonb to a number or boolean. Raises 22023 for another kind of value."""
    if text is None:
        return None
    value = _load(text)
    if target == 16 and isinstance(value, bool):
        return int(value)
    if target != 16 and isinstance(value, Decimal):
        from helios_cli.engine.sql.runtime_values import convert

        return convert(1700, target, text)
    kinds = {bool: "boolean", Decimal: "numeric", str: "string", list: "array", dict: "object"}
    kind = kinds.get(type(value), "null")
    raise SqlError(f"cannot cast jsonb {kind} to type {_SCALAR_NAMES[target]}", sqlstate="22023")


SCALARS: Final[ScalarTable] = {
    "pg_json_get": (pg_json_get, 3, True),
    "pg_json_get_text": (pg_json_get_text, 3, True),
    "pg_json_path": (pg_json_path, 3, True),
    "pg_json_path_text": (pg_json_path_text, 3, True),
    "pg_jsonb_concat": (pg_jsonb_concat, 2, True),
    "pg_jsonb_delete": (pg_jsonb_delete, 3, True),
    "pg_jsonb_delete_path": (pg_jsonb_delete_path, 2, True),
    "pg_jsonb_contains": (pg_jsonb_contains, 2, True),
    "pg_jsonb_exists": (pg_jsonb_exists, 2, True),
    "pg_jsonb_exists_any": (pg_jsonb_exists_any, 2, True),
    "pg_jsonb_exists_all": (pg_jsonb_exists_all, 2, True),
    "pg_jsonb_scalar": (pg_jsonb_scalar, 2, True),
}
