"""JSON documents as rows: what json_populate_record and its kin make of a member (populate_record, jsonfuncs.c)."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from itertools import zip_longest
from typing import Any

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.arrays import PgArray, write_array
from helios_cli.engine.datatypes.composite import Field, Shape, join_record, read_shape, split_record
from helios_cli.engine.datatypes.jsons import parse_jsonb
from helios_cli.engine.datatypes.usertypes import is_enum
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.runtime_json import as_text, items, members

Leaf = Callable[[int, int, str], str]
"""(type OID, typmod, text) to the type's own text; raises for a text that the type refuses."""
_JSON, _JSONB = 114, 3802


@lru_cache(maxsize=64)
def _read(text: str) -> dict[str, str] | None:
    """The members of an object, each as it is written; None for another document."""
    return dict(members(text)) if text.lstrip()[:1] == "{" else None


def rows_of(name: str, text: Any, is_set: int) -> str | None:
    """The JSON array of the objects that give a call's rows, each as text. Raises 22023 for another document."""
    if text is None:
        return None if is_set else "[null]"
    if not is_set:
        return json.dumps([object_of(name, text)])
    found = items(str(text))
    if found is None:
        raise SqlError(f"cannot call {name} on {_what(str(text))}", sqlstate="22023")
    if any(item != "null" and item[0] != "{" for item in found):
        raise SqlError(f"argument of {name} must be an array of objects", sqlstate="22023")
    return json.dumps(found, ensure_ascii=False)


def object_of(name: str, text: Any) -> str | None:
    """An object's text as it is. Raises 22023 for another document."""
    if text is None:
        return None
    if _read(str(text)) is None:
        raise SqlError(f"cannot call populate_composite on {_what(str(text))}", sqlstate="22023")
    return str(text)


def _what(text: str) -> str:
    return {"{": "an object", "[": "an array"}.get(text.lstrip()[:1], "a scalar")


class Members:
    """Reads members of documents; ``leaf`` knows the connection's enums."""

    def __init__(self, leaf: Leaf) -> None:
        self._leaf = leaf

    def field(self, text: Any, name: str, type_oid: int, typmod: int, shape: str | None, default: Any) -> Any:
        """A member as a stored value of a type; ``default`` when the document lacks it."""
        if text is None:
            return default
        document = _read(str(text))
        if document is None or name not in document:
            return default
        known = read_shape(shape) if shape is not None else None
        found = self._read_as(document[name], type_oid, typmod, known, name, default)
        if found is None or shape is not None or is_enum(type_oid):
            return found
        return registry.by_oid(type_oid).parse_text(found)

    def _read_as(
        self, raw: str, type_oid: int, typmod: int, shape: Shape | None, key: str, base: Any = None
    ) -> str | None:
        """A JSON value as the text of a type; ``base``: the row whose fields an object leaves as they are."""
        if raw == "null":
            return None
        if type_oid in (_JSON, _JSONB):
            return parse_jsonb(raw) if type_oid == _JSONB else raw
        if shape is not None and shape.element is None and raw[0] == "{":
            return self._row(raw, shape.fields, base)
        element = registry.by_oid(type_oid).elem_oid
        if element and raw[0] != '"':
            return self._array(raw, element, typmod, shape.element if shape is not None else None, key)
        text = as_text(raw) or ""
        return text if shape is not None else self._leaf(type_oid, typmod, text)

    def _row(self, raw: str, fields: tuple[Field, ...], base: Any) -> str:
        found = dict(members(raw))
        known = split_record(str(base)) if base is not None else [None] * len(fields)
        return join_record(
            self._read_as(found[field.name], field.type_oid, field.typmod, field.shape, field.name, given)
            if field.name in found
            else given
            for field, given in zip_longest(fields, known[: len(fields)])
        )

    def _array(self, raw: str, element: int, typmod: int, shape: Shape | None, key: str) -> str:
        """An array of as many dimensions as its first elements show. Raises 22P02 for another document or shape."""
        dims: list[int] = []
        first = raw
        while (level := items(first)) is not None and (not dims or element not in (_JSON, _JSONB)):
            dims.append(len(level))
            if not level:
                break
            first = level[0]
        if not dims:
            raise SqlError("expected JSON array", sqlstate="22P02", hint=f'See the value of key "{key}".')

        def read(part: str, depth: int) -> Any:
            inner = items(part) if element not in (_JSON, _JSONB) or depth < len(dims) else None
            if depth == len(dims):
                if inner is not None:
                    raise _malformed()
                return self._read_as(part, element, typmod, shape, key)
            if inner is None:
                raise SqlError("expected JSON array", sqlstate="22P02", hint=f'See the array element of key "{key}".')
            if len(inner) != dims[depth]:
                raise _malformed()
            return [read(item, depth + 1) for item in inner]

        found = read(raw, 0)
        if 0 in dims:
            found, dims = [], []
        return write_array(PgArray(found, tuple(dims), (1,) * len(dims)), str)


def _malformed() -> SqlError:
    detail = "Multidimensional arrays must have sub-arrays with matching dimensions."
    return SqlError("malformed JSON array", sqlstate="22P02", detail=detail)
