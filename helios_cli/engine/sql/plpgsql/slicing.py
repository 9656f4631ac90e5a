"""The slices that FOREACH ... SLICE goes through (array_create_iterator)."""

from __future__ import annotations

from typing import Any

from helios_cli.engine.datatypes.arrays import PgArray, read_array, write_array
from helios_cli.engine.errors import SqlError


def slices(text: str, dimensions: int) -> list[str]:
    """An array's parts of so many dimensions, in order, as arrays. Raises SqlError 2202E for more than it has."""
    array = read_array(text, str)
    if dimensions > len(array.dims):
        message = f"slice dimension ({dimensions}) is out of the valid range 0..{len(array.dims)}"
        raise SqlError(message, sqlstate="2202E")
    depth = len(array.dims) - dimensions
    parts: list[Any] = [array.items]
    for _ in range(depth):
        parts = [item for part in parts for item in part]
    return [write_array(PgArray(part, array.dims[depth:], (1,) * dimensions), str) for part in parts]
