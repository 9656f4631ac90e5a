"""Functions that take json and jsonb apart. The parts of json keep the text that they were written with.

Stored jsonb is canonical text, so its parts are canonical too: one way serves both.
"""

from __future__ import annotations

import json

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.functions.define import Library
from helios_cli.engine.sql.runtime_json import as_text, get, items, members

_JSON, _JSONB, _TEXT = 114, 3802, 25


def _refused(message: str) -> SqlError:
    return SqlError(message, sqlstate="22023")


def _kind(text: str) -> str:
    """The first character that tells: '{', '[' or another for a scalar."""
    return text.lstrip()[:1]


def array_length(text: str) -> int:
    """json_array_length. Raises 22023 for another document."""
    found = items(text)
    if found is None:
        raise _refused(f"cannot get array length of {'a non-array' if _kind(text) == '{' else 'a scalar'}")
    return len(found)


def array_elements(name: str, text: str) -> str:
    """The rows of json_array_elements as a JSON array of texts. Raises 22023 for another document."""
    found = items(text)
    if found is None:
        is_object = _kind(text) == "{"
        if name.startswith("jsonb"):
            raise _refused(f"cannot extract elements from {'an object' if is_object else 'a scalar'}")
        raise _refused(f"cannot call {name} on a {'non-array' if is_object else 'scalar'}")
    shown = [as_text(item) for item in found] if name.endswith("_text") else found
    return json.dumps(shown, ensure_ascii=False)


def each(name: str, text: str) -> str:
    """The rows of json_each: a JSON array of [key, value] texts. Raises 22023 for another document."""
    kind = _kind(text)
    if kind != "{":
        if name.startswith("jsonb"):
            raise _refused(f"cannot call {name} on a non-object")
        raise _refused("cannot deconstruct an array as an object" if kind == "[" else "cannot deconstruct a scalar")
    shown = as_text if name.endswith("_text") else str
    return json.dumps([[key, shown(value)] for key, value in members(text)], ensure_ascii=False)


def object_keys(name: str, text: str) -> str:
    """The rows of json_object_keys. Raises 22023 for another document."""
    kind = _kind(text)
    if kind != "{":
        raise _refused(f"cannot call {name} on {'an array' if kind == '[' else 'a scalar'}")
    return json.dumps([key for key, _ in members(text)], ensure_ascii=False)


def extract_path(text: str, *path: str) -> str | None:
    """json_extract_path: the raw text of a part; None when there is none."""
    found: str | None = text.strip()
    for step in path:
        if found is None:
            return None
        kind = _kind(found)
        if kind == "{":
            found = get(found, step)
        elif kind == "[":
            digits = step.removeprefix("-")
            found = get(found, int(step)) if digits.isascii() and digits.isdigit() else None
        else:
            return None
    return found


def _install(lib: Library, prefix: str, oid: int) -> None:
    d, kind = lib.define, prefix

    def rows(name: str, result: str, call: object, columns: tuple[tuple[str, int], ...]) -> None:
        full = f"{prefix}_{name}"
        assert callable(call)
        d(full, f"{kind} -> {result}", lambda text: call(full, text), set_returning=True, columns=columns)

    d(f"{prefix}_array_length", f"{kind} -> int4", array_length)
    rows("array_elements", kind, array_elements, (("value", oid),))
    rows("array_elements_text", "text", array_elements, (("value", _TEXT),))
    rows("each", "record", each, (("key", _TEXT), ("value", oid)))
    rows("each_text", "record", each, (("key", _TEXT), ("value", _TEXT)))
    rows("object_keys", "text", object_keys, ())
    d(f"{prefix}_extract_path", f"{kind} text... -> {kind}", extract_path)
    d(
        f"{prefix}_extract_path_text",
        f"{kind} text... -> text",
        lambda text, *path: as_text(extract_path(text, *path)),
    )


def install(lib: Library) -> None:
    """Declare the functions of this module."""
    _install(lib, "json", _JSON)
    _install(lib, "jsonb", _JSONB)
