"""JSON documents as rows: what json_populate_record and its kin make of a member (populate_record, jsonfuncs.c)."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.arrays import PgArray, write_array
from helios_cli.engine.datatypes.composite import Field, Shape, join_record, read_shape
from helios_cli.engine.datatypes.usertypes import is_enum
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.functions.jsonb import Number, dump, load

Leaf = Callable[[int, int, str], str]
"""(type OID, typmod, text) to the type's own text; raises for a text that the type refuses."""
_JSON, _JSONB = 114, 3802


@lru_cache(maxsize=64)
def _read(text: str) -> Any:
    return load(text)


def rows_of(name: str, text: Any, is_set: int) -> str | None:
    """The JSON array of the objects that give a call's rows, each as text. Raises 22023 for another document."""
    if text is None:
        return None if is_set else "[null]"
    if not is_set:
        return json.dumps([object_of(name, text)])
    value = _read(str(text))
    if not isinstance(value, list):
        what = "an object" if isinstance(value, dict) else "a scalar"
        raise SqlError(f"cannot call {name} on {what}", sqlstate="22023")
    if any(item is not None and not isinstance(item, dict) for item in value):
        raise SqlError(f"argument of {name} must be an array of objects", sqlstate="22023")
    return json.dumps([_text(item) for item in value], ensure_ascii=False)


def object_of(name: str, text: Any) -> str | None:
    """An object's text as it is. Raises 22023 for another document."""
    if text is None:
        return None
    value = _read(str(text))
    if not isinstance(value, dict):
        what = "an array" if isinstance(value, list) else "a scalar"
        raise SqlError(f"cannot call populate_composite on {what}", sqlstate="22023")
    return str(text)


def _text(value: Any) -> str:
    """JSON text of a value as :func:`load` gives it."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_text, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


class Members:
    """Reads members of documents; ``leaf`` knows the connection's enums."""

    def __init__(self, leaf: Leaf) -> None:
        self._leaf = leaf

    def field(self, text: Any, name: str, type_oid: int, typmod: int, shape: str | None, default: Any) -> Any:
        """A member as a stored value of a type; ``default`` when the document lacks it."""
        if text is None:
            return default
        document = _read(str(text))
        if not isinstance(document, dict) or name not in document:
            return default
        found = self._read_as(document[name], type_oid, typmod, read_shape(shape) if shape is not None else None)
        if found is None or shape is not None or is_enum(type_oid):
            return found
        return registry.by_oid(type_oid).parse_text(found)

    def _read_as(self, value: Any, type_oid: int, typmod: int, shape: Shape | None) -> str | None:
        """A JSON value as the text of a type."""
        if value is None:
            return None
        if type_oid in (_JSON, _JSONB):
            return dump(value) if type_oid == _JSONB else _text(value)
        if shape is not None and shape.element is None and isinstance(value, dict):
            return self._row(value, shape.fields)
        element = registry.by_oid(type_oid).elem_oid
        if element and isinstance(value, list):
            return self._array(value, element, typmod, shape.element if shape is not None else None)
        if element and not isinstance(value, str | Number):
            raise SqlError("expected JSON array", sqlstate="22P02")
        text = ("true" if value else "false") if isinstance(value, bool) else str(value)
        if not isinstance(value, bool | str):
            text = _text(value)
        return text if shape is not None else self._leaf(type_oid, typmod, text)

    def _row(self, value: dict[str, Any], fields: tuple[Field, ...]) -> str:
        return join_record(
            self._read_as(value.get(field.name), field.type_oid, field.typmod, field.shape) for field in fields
        )

    def _array(self, value: list[Any], element: int, typmod: int, shape: Shape | None) -> str:
        def read(item: Any) -> Any:
            return list(map(read, item)) if isinstance(item, list) else self._read_as(item, element, typmod, shape)

        items = [read(item) for item in value]
        dims: list[int] = []
        level: Any = items
        while isinstance(level, list) and level:
            dims.append(len(level))
            level = level[0]
        return write_array(PgArray(items, tuple(dims), (1,) * len(dims)), str)
