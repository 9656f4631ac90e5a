"""A small language for declaring functions: ``define("lpad", "text int4 text -> text", lpad)``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.sql.function_spec import AggregateTable, Function, ScalarTable

_PSEUDO: Final = {
    "any": 2276, "anyelement": 2283, "anyarray": 2277, "anynonarray": 2776, "anycompatible": 5077,
    "anycompatiblearray": 5078, "anyenum": 3500, "anyrange": 3831, "anymultirange": 4537,
    "record": 2249, "void": 2278, "regclass": 2205, "regtype": 2206,
}  # fmt: skip


def type_oid(name: str) -> int:
    """The OID of an internal type name, ``text[]`` for arrays.

    Raises:
        KeyError: no such type; a mistake in the library.
    """
    if name in _PSEUDO:
        return _PSEUDO[name]
    found = registry.by_internal_name(f"_{name[:-2]}" if name.endswith("[]") else name)
    if found is None:
        raise KeyError(name)
    return found.oid


class Library:
    """Collects declarations: specs for the planner, callables for SQLite."""

    def __init__(self) -> None:
        self.functions: list[Function] = []
        self.scalars: ScalarTable = {}
        self.aggregates: AggregateTable = {}

    def define(
        self,
        name: str,
        signature: str,
        call: Callable[..., Any] | None = None,
        *,
        sql: str = "",
        strict: bool = True,
        null_for_null: bool = False,
        **marks: Any,
    ) -> None:
        """Declare one overload.

        ``signature`` is argument types, ``->``, result type; a last argument with ``...`` is variadic. With
        ``call`` SQLite gets a function ``fn_<name>``, which sees session values after its arguments and, when
        ``strict``, is not called for NULLs. With ``sql`` alone the template is the whole translation, which is strict
        when ``null_for_null`` says so. ``marks`` are fields of ``Function``.
        """
        left, _, right = signature.partition("->")
        words = left.split()
        variadic = bool(words) and words[-1].endswith("...")
        arguments = tuple(type_oid(word.removesuffix("...")) for word in words)
        if call is not None:
            placeholders = "{args}" if variadic else ", ".join(f"{{{at}}}" for at in range(len(words)))
            extra = ["{session}"] if marks.get("session_values") else []
            count = -1 if variadic or sql else len(words) + len(marks.get("session_values", ()))
            udf = self._register(name, call, count, strict, bool(marks.get("volatile")))
            sql = (
                sql.replace("{udf}", udf) if sql else f"{udf}({', '.join([placeholders, *extra] if words else extra)})"
            )
        if call is not None and strict and not marks.get("aggregate") and not marks.get("set_returning"):
            marks.setdefault("strict", True)
        if null_for_null:
            marks["strict"] = True
        self.functions.append(Function(name, arguments, type_oid(right.strip()), sql=sql, variadic=variadic, **marks))

    def _register(self, name: str, call: Callable[..., Any], count: int, strict: bool, volatile: bool) -> str:
        udf, number = f"fn_{name}", 1
        known = self.scalars.get(udf)
        wrapped = null_strict(call) if strict else call
        while known is not None and getattr(known[0], "origin", known[0]) is not call:
            number += 1
            udf = f"fn_{name}_{number}"
            known = self.scalars.get(udf)
        self.scalars[udf] = (wrapped, count, not volatile)
        return udf

    def helper(self, name: str, call: Callable[..., Any], count: int, *, strict: bool = True) -> None:
        """A SQLite function that templates use but no statement can name."""
        self.scalars[name] = (null_strict(call) if strict else call, count, True)


def null_strict(call: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, NULL when any argument is."""

    def strict(*arguments: Any) -> Any:
        for argument in arguments:
            if argument is None:
                return None
        return call(*arguments)

    strict.origin = call  # type: ignore[attr-defined]
    return strict
