"""Functions of ltree, and what its operators stand for (contrib/ltree)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.arrays import ArrayCodec
from helios_cli.engine.datatypes.ltree import LEVELS_MAX, labels, matches_lquery, matches_ltxtquery, parse_ltree
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.function_spec import CollationTable
from helios_cli.engine.sql.functions.define import Library


def contains(upper: str, lower: str) -> int:
    """``@>``: whether the first path is the second or above it."""
    return int(labels(lower)[: len(labels(upper))] == labels(upper))


def order(one: str, other: str) -> int:
    """ltree_compare: label by label, a path before those below it."""
    left, right = labels(one), labels(other)
    return int(left > right) - int(left < right)


COLLATIONS: Final[CollationTable] = {"pg_ltree": order}


def joined(one: str, other: str) -> str:
    """``||``."""
    return f"{one}.{other}" if one and other else one or other


def _subltree(path: str, start: int, end: int) -> str:
    found = labels(path)
    if start < 0 or end < 0 or start >= len(found) or start > end:
        raise SqlError("invalid positions", sqlstate="22023")
    return ".".join(found[start:end])


def _subpath(path: str, start: int, length: int | None = None) -> str:
    levels = len(labels(path))
    for _ in range(2):
        start += levels if start < 0 else 0
    end = LEVELS_MAX if length is None else length + (levels if length < 0 else start)
    return _subltree(path, start, end)


def _index(path: str, part: str, start: int = 0) -> int:
    found, wanted = labels(path), labels(part)
    start = max(start + len(found), 0) if start < 0 else start
    if not wanted:
        return -1
    ends = range(start, len(found) - len(wanted) + 1)
    return next((at for at in ends if found[at : at + len(wanted)] == wanted), -1)


def _common(*paths: str) -> str | None:
    """The longest path above all; NULL when one of them is empty."""
    found = [labels(path) for path in paths]
    if not found or not all(found):
        return None
    depth = min(len(path) for path in found) - 1
    shared = 0
    while shared < depth and len({path[shared] for path in found}) == 1:
        shared += 1
    return ".".join(found[0][:shared])


def _array(name: str) -> ArrayCodec:
    kind = registry.by_internal_name(name)
    assert kind is not None
    return ArrayCodec(kind)


def install(lib: Library) -> None:
    """Declare them."""
    paths, patterns = _array("ltree"), _array("lquery")

    def some(test: Callable[[str, str], Any]) -> Callable[[str, str], int]:
        return lambda array, value: int(any(item is not None and test(item, value) for item in paths.read(array).items))

    def first(test: Callable[[str, str], Any]) -> Callable[[str, str], str | None]:
        return lambda array, value: next(
            (item for item in paths.read(array).items if item is not None and test(item, value)), None
        )

    for name, test in (
        ("contains", contains), ("inside", lambda one, other: contains(other, one)),
        ("matches", matches_lquery), ("holds", matches_ltxtquery),
    ):  # fmt: skip
        lib.helper(f"pg_ltree_{name}", lambda one, other, test=test: int(test(one, other)), 2)
        lib.helper(f"pg_ltrees_{name}", some(test), 2)
        lib.helper(f"pg_ltrees_first_{name}", first(test), 2)
    lib.helper("pg_ltree_matches_any", lambda path, array: int(
        any(item is not None and matches_lquery(path, item) for item in patterns.read(array).items)
    ), 2)  # fmt: skip
    lib.helper("pg_ltree_join", joined, 2)
    d = lib.define
    d("nlevel", "ltree -> int4", lambda path: len(labels(path)))
    d("subltree", "ltree int4 int4 -> ltree", _subltree)
    d("subpath", "ltree int4 int4 -> ltree", _subpath)
    d("subpath", "ltree int4 -> ltree", lambda path, start: _subpath(path, start))
    d("index", "ltree ltree -> int4", lambda path, part: _index(path, part))
    d("index", "ltree ltree int4 -> int4", _index)
    d("text2ltree", "text -> ltree", parse_ltree)
    d("ltree2text", "ltree -> text", sql="{0}")
    d("lca", "ltree[] -> ltree", lambda array: _common(*[item for item in paths.read(array).items if item is not None]))
    for count in range(2, 9):
        d("lca", f"{'ltree ' * count}-> ltree", lambda *given: _common(*given))
