"""jsonb_path_query and its kin: the evaluation of a jsonpath (jsonpath_exec.c)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from helios_cli.engine.datatypes.jsonpath import Item, Path, read_path
from helios_cli.engine.datatypes.orders import compare_numeric
from helios_cli.engine.datatypes.zoned import zone_of
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import runtime_numbers as numbers
from helios_cli.engine.sql.functions.define import Library
from helios_cli.engine.sql.functions.json_moments import TYPES, Clock, Moment, order_of, read_by_template, read_moment
from helios_cli.engine.sql.functions.jsonb import Number, dump, load
from helios_cli.engine.sql.functions.regexps import compiled
from helios_cli.engine.sql.functions.template_input import Misfit

_NOT_DATETIME: Final = "22031"
_OBJECT_NOT_FOUND, _MEMBER_NOT_FOUND, _ARRAY_NOT_FOUND = "2203C", "2203A", "22039"
_SUBSCRIPT, _SINGLETON, _NOT_NUMERIC, _NUMBER_NOT_FOUND = "22033", "22038", "22036", "2203B"
_TYPES: Final = {dict: "object", list: "array", bool: "boolean", type(None): "null", Number: "number", str: "string"}
_ARITHMETIC: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "+": numbers.pg_numeric_add, "-": numbers.pg_numeric_subtract, "*": numbers.pg_numeric_multiply,
    "/": numbers.pg_numeric_divide, "%": numbers.pg_numeric_modulo,
}  # fmt: skip


class _Failed(SqlError):
    """An error that a silent evaluation swallows."""


def _failed(sqlstate: str, message: str) -> _Failed:
    return _Failed(message, sqlstate=sqlstate)


class Evaluation:
    """One path over one document."""

    def __init__(self, path: Path, document: Any, variables: Any, clock: Clock | None = None) -> None:
        self.lax = not path.strict
        self.root = document
        self.variables = variables
        self.last: list[int] = []
        self.clock = clock
        """The session's; None where a path must not depend on it."""

    # -- items ------------------------------------------------------------------------------------

    def run(self, item: Item, current: Any) -> list[Any]:
        """The items that an expression gives. Raises SqlError."""
        return list(self.stream(item, current))

    def stream(self, item: Item, current: Any) -> Iterator[Any]:
        """The same, one after the other: those before an error come."""
        if item.kind == "path":
            for value in self.run(item.parts[0], current):
                yield from self.walk(item.parts[1:], value)
        elif item.kind == "sign":
            for value in self.unwrapped(item.parts[0], current):
                yield self.signed(item.value, value)
        else:
            yield from self.computed(item, current)

    def walk(self, steps: tuple[Item, ...], value: Any) -> Iterator[Any]:
        """The items that the rest of a path gives for one item."""
        if not steps:
            yield value
            return
        for result in self.step(steps[0], value):
            yield from self.walk(steps[1:], result)

    def exists(self, item: Item, current: Any) -> bool:
        """Whether an expression gives an item; in lax mode the first one will do. Raises SqlError."""
        if not self.lax:
            return bool(self.run(item, current))
        if item.kind == "sign":
            return any(isinstance(value, Number) for value in self.unwrapped(item.parts[0], current))
        return next((True for _ in self.stream(item, current)), False)

    def computed(self, item: Item, current: Any) -> list[Any]:
        """The items of an expression that is no path."""
        kind = item.kind
        if kind in ("or", "and", "not", "compare", "starts", "like_regex", "exists", "unknown"):
            return [self.test(item, current)]
        if kind == "arithmetic":
            return [self.arithmetic(item, current)]
        return [self.constant(item, current)]

    def constant(self, item: Item, current: Any) -> Any:
        """What stands for one item. Raises 42704 for an unknown variable."""
        kind = item.kind
        if kind == "root":
            return self.root
        if kind == "current":
            return current
        if kind == "number":
            return Number(item.value)
        if kind == "string":
            return item.value
        if kind == "variable":
            if self.variables is None or item.value not in self.variables:  # The operators have none.
                raise SqlError(f'could not find jsonpath variable "{item.value}"', sqlstate="42704")
            return self.variables[item.value]
        if kind == "last":
            if not self.last:
                raise SqlError("LAST is allowed only in array subscripts", sqlstate="42601")
            return Number(str(self.last[-1]))
        if kind == "group":
            return self.run(item.parts[0], current)[0]
        return {"true": True, "false": False, "null": None}[kind]

    def unwrapped(self, item: Item, current: Any) -> list[Any]:
        """The items of an expression, arrays opened in lax mode."""
        found = self.run(item, current)
        if not self.lax:
            return found
        return [inner for value in found for inner in (value if isinstance(value, list) else [value])]

    # -- accessors --------------------------------------------------------------------------------

    def step(self, item: Item, value: Any) -> Iterator[Any]:
        """One accessor applied to one item."""
        kind = item.kind
        opens = kind in ("key", "any_key", "filter") or (kind == "method" and item.value not in ("type", "size"))
        for inner in value if opens and self.lax and isinstance(value, list) else (value,):
            yield from self.step_one(item, inner)

    def step_one(self, item: Item, value: Any) -> list[Any]:
        """The same without opening arrays."""
        kind = item.kind
        if kind == "key":
            return self.member(item.value, value)
        if kind == "any_key":
            if isinstance(value, dict):
                return list(value.values())
            return self.missing(_OBJECT_NOT_FOUND, "jsonpath wildcard member accessor can only be applied to an object")
        if kind == "any_element":
            if isinstance(value, list):
                return value
            if self.lax:
                return [value]
            raise _failed(_ARRAY_NOT_FOUND, "jsonpath wildcard array accessor can only be applied to an array")
        if kind == "elements":
            return self.elements(item, value)
        if kind == "filter":
            return [value] if self.test(item.parts[0], value) is True else []
        if kind == "descend":
            return list(self.descend(value, 0, *item.value))
        return self.method(item, value)

    def missing(self, sqlstate: str, message: str) -> list[Any]:
        """Nothing in lax mode. Raises in strict mode."""
        if self.lax:
            return []
        raise _failed(sqlstate, message)

    def member(self, key: str, value: Any) -> list[Any]:
        """``.key``."""
        if isinstance(value, dict):
            if key in value:
                return [value[key]]
            return self.missing(_MEMBER_NOT_FOUND, f'JSON object does not contain key "{key}"')
        return self.missing(_MEMBER_NOT_FOUND, "jsonpath member accessor can only be applied to an object")

    def elements(self, item: Item, value: Any) -> list[Any]:
        """``[1, 2 to last]``."""
        if not isinstance(value, list):
            if not self.lax:
                raise _failed(_ARRAY_NOT_FOUND, "jsonpath array accessor can only be applied to an array")
            value = [value]
        self.last.append(len(value) - 1)
        try:
            found: list[Any] = []
            for low, high in item.parts:
                first = self.index(low, value)
                last = first if high is None else self.index(high, value)
                if not self.lax and (first < 0 or first > last or last >= len(value)):
                    raise _failed(_SUBSCRIPT, "jsonpath array subscript is out of bounds")
                found += value[max(first, 0) : max(last + 1, 0)]
            return found
        finally:
            self.last.pop()

    def index(self, item: Item, current: Any) -> int:
        """A subscript. Raises 22033 unless it is one number."""
        found = self.run(item, current)
        if len(found) != 1 or not isinstance(found[0], Number):
            raise _failed(_SUBSCRIPT, "jsonpath array subscript is not a single numeric value")
        number = int(float(found[0]))
        if not -(2**31) <= number < 2**31:
            raise _failed(_SUBSCRIPT, "jsonpath array subscript is out of integer range")
        return number

    def descend(self, value: Any, level: int, low: int | None, high: int | None) -> Iterator[Any]:
        """``.**``: the item and what lies inside it, by levels."""
        leaf = not isinstance(value, dict | list) or not value
        if (low is None and leaf) or (low is not None and level >= low and (high is None or level <= high)):
            yield value
        if isinstance(value, dict | list) and (high is None or level < high):
            for inner in value.values() if isinstance(value, dict) else value:
                yield from self.descend(inner, level + 1, low, high)

    def method(self, item: Item, value: Any) -> list[Any]:
        """``.size()`` and the others."""
        name = item.value
        if name == "type":
            return [TYPES[value.kind] if isinstance(value, Moment) else _TYPES[type(value)]]
        if name == "size":
            if isinstance(value, list):
                return [Number(str(len(value)))]
            if self.lax:
                return [Number("1")]
            raise _failed(_ARRAY_NOT_FOUND, "jsonpath item method .size() can only be applied to an array")
        if name == "keyvalue":
            return self.pairs(value)
        if name == "double":
            return [self.double(value)]
        if name == "datetime":
            return [self.moment(item, value)]
        if not isinstance(value, Number):
            message = f"jsonpath item method .{name}() can only be applied to a numeric value"
            raise _failed(_NOT_NUMERIC, message)
        call = {"abs": numbers.pg_numeric_abs, "floor": _floor, "ceiling": _ceiling}[name]
        return [Number(call(str(value)))]

    def moment(self, item: Item, value: Any) -> Moment:
        """``.datetime()``."""
        if type(value) is not str:
            raise _failed(_NOT_DATETIME, "jsonpath item method .datetime() can only be applied to a string")
        if item.parts:
            try:
                return read_by_template(value, item.parts[0])
            except Misfit as error:
                raise _Failed(str(error), sqlstate=error.sqlstate, detail=error.detail, hint=error.hint) from None
        found = read_moment(value)
        if found is None:
            hint = "Use a datetime template argument to specify the input data format."
            raise _Failed(f'datetime format is not recognized: "{value}"', sqlstate=_NOT_DATETIME, hint=hint)
        return found

    def double(self, value: Any) -> Number:
        """``.double()``."""
        if not isinstance(value, str) or isinstance(value, Moment):
            message = "jsonpath item method .double() can only be applied to a string or numeric value"
            raise _failed(_NOT_NUMERIC, message)
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if number != number or number in (float("inf"), float("-inf")):
            kind = "numeric value" if isinstance(value, Number) else "string"
            shown = "" if kind == "string" else " out of range for type double precision"
            message = f"{kind} argument of jsonpath item method .double(){shown}"
            tail = "" if shown else " is not a valid representation of a double precision number"
            raise _failed(_NOT_NUMERIC, message + tail)
        return value if isinstance(value, Number) else Number(repr(number).removesuffix(".0"))

    def pairs(self, value: Any) -> list[Any]:
        """``.keyvalue()``."""
        if not isinstance(value, dict):
            message = "jsonpath item method .keyvalue() can only be applied to an object"
            raise _failed(_OBJECT_NOT_FOUND, message)
        return [{"key": key, "value": inner, "id": Number("0")} for key, inner in value.items()]

    # -- arithmetic -------------------------------------------------------------------------------

    def arithmetic(self, item: Item, current: Any) -> Number:
        """A binary operator. Raises 22038 unless both sides are one number."""
        sides = []
        for part, word in zip(item.parts, ("left", "right"), strict=True):
            found = self.unwrapped(part, current)
            if len(found) != 1 or not isinstance(found[0], Number):
                message = f"{word} operand of jsonpath operator {item.value} is not a single numeric value"
                raise _failed(_SINGLETON, message)
            sides.append(str(found[0]))
        try:
            return Number(_ARITHMETIC[item.value](*sides))
        except SqlError as error:
            raise _Failed(str(error), sqlstate=error.sqlstate) from None

    def signed(self, sign: str, value: Any) -> Number:
        """A sign before an item. Raises 2203B for one that is no number."""
        if not isinstance(value, Number):
            message = f"operand of unary jsonpath operator {sign} is not a numeric value"
            raise _failed(_NUMBER_NOT_FOUND, message)
        return value if sign == "+" else Number(numbers.pg_numeric_negate(str(value)))

    # -- predicates -------------------------------------------------------------------------------

    def test(self, item: Item, current: Any) -> bool | None:
        """A predicate; None is unknown. Errors inside make it unknown."""
        kind = item.kind
        if kind == "and":
            return _all(self.test(part, current) for part in item.parts)
        if kind == "or":
            return _any(self.test(part, current) for part in item.parts)
        if kind == "not":
            inner = self.test(item.parts[0], current)
            return None if inner is None else not inner
        if kind == "unknown":
            return self.test(item.parts[0], current) is None
        if kind == "group":
            return self.test(item.parts[0], current)
        try:
            if kind == "exists":
                return self.exists(item.parts[0], current)
            if kind in ("compare", "starts", "like_regex"):
                return self.compared(item, current)
            found = self.run(item, current)
        except _Failed:
            return None
        return found[0] if len(found) == 1 and isinstance(found[0], bool) else None

    def compared(self, item: Item, current: Any) -> bool | None:
        """A predicate over two sequences: true for some pair."""
        left = self.unwrapped(item.parts[0], current)
        right = self.unwrapped(item.parts[1], current) if len(item.parts) > 1 else [None]
        unknown = seen = False
        for mine in left:
            for theirs in right:
                if isinstance(mine, Moment) and isinstance(theirs, Moment) and item.kind == "compare":
                    order = order_of(mine, theirs, self.clock)
                    result = None if order is None else _is(item.value, order)
                else:
                    result = _holds(item, mine, theirs)
                if result is None:
                    if not self.lax:
                        return None
                    unknown = True
                elif result:
                    if self.lax:
                        return True
                    seen = True
        return True if seen else None if unknown else False


def _all(tests: Iterator[bool | None]) -> bool | None:
    unknown = False
    for result in tests:
        if result is False:
            return False
        unknown |= result is None
    return None if unknown else True


def _any(tests: Iterator[bool | None]) -> bool | None:
    unknown = False
    for result in tests:
        if result:
            return True
        unknown |= result is None
    return None if unknown else False


def _holds(item: Item, mine: Any, theirs: Any) -> bool | None:
    if item.kind == "starts":
        plain = type(mine) is str and isinstance(theirs, str)
        return mine.startswith(theirs) if plain else None
    if item.kind == "like_regex":
        if type(mine) is not str:
            return None
        return _pattern(*item.value).search(mine) is not None
    return _compare(item.value, mine, theirs)


def _pattern(text: str, flags: str) -> re.Pattern[str]:
    """An expression of LIKE_REGEX (jspConvertRegexFlags): without ``s`` a dot is no line's end."""
    if "q" in flags:
        return compiled(text, "qi" if "i" in flags else "q").finder
    lines = {"": "p", "s": "s", "m": "n", "sm": "w"}[flags.replace("i", "")]
    return compiled(text, lines + ("i" if "i" in flags else "")).finder


def _compare(sign: str, mine: Any, theirs: Any) -> bool | None:
    """compareItems: null differs from everything else; other types are not compared with each other."""
    if type(mine) is not type(theirs):
        return sign == "!=" if mine is None or theirs is None else None
    if isinstance(mine, dict | list):
        return None
    if mine is None:
        order = 0
    elif isinstance(mine, Number):
        order = compare_numeric(str(mine), str(theirs))
    else:
        order = (mine > theirs) - (mine < theirs)
    return _is(sign, order)


def _is(sign: str, order: int) -> bool:
    """Whether an operator holds of two items, by their order."""
    return {"==": order == 0, "!=": order != 0, "<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[
        sign
    ]


def _floor(text: str) -> str:
    whole, _, rest = text.partition(".")
    return str(int(whole) - (text.startswith("-") and rest.strip("0") != ""))


def _ceiling(text: str) -> str:
    whole, _, rest = text.partition(".")
    return str(int(whole) + (not text.startswith("-") and rest.strip("0") != ""))


# -- functions ------------------------------------------------------------------------------------


def evaluation(document: str, path: str, variables: Any, session: tuple[Any, ...] = ()) -> tuple[Evaluation, Item]:
    """A path over a document, and what of it is to be run. Raises SqlError 22023 for variables that are no object."""
    known = load(str(variables)) if variables is not None else None
    if variables is not None and not isinstance(known, dict):
        message = '"vars" argument is not an object'
        detail = 'Jsonpath parameters should be encoded as key-value pairs of "vars" object.'
        raise SqlError(message, sqlstate="22023", detail=detail)
    parsed = read_path(path)
    clock = Clock(session[0], zone_of(session[1])) if session else None
    return Evaluation(parsed, load(document), known, clock), parsed.root


def items(document: str, path: str, variables: Any, silent: Any, session: tuple[Any, ...] = ()) -> list[Any]:
    """The items of a path; those before an error that is silent. Raises SqlError.

    ``session``: its time and zone, for the functions that may depend on them.
    """
    run, root = evaluation(document, path, variables, session)
    found: list[Any] = []
    try:
        found.extend(run.stream(root, run.root))
    except _Failed:
        if not silent:
            raise
    return found


def path_exists(document: str, path: str, variables: Any = None, silent: Any = 0, *session: Any) -> int | None:
    """jsonb_path_exists; NULL for an error that is silent."""
    run, root = evaluation(document, path, variables, session)
    try:
        return int(run.exists(root, run.root))
    except _Failed:
        if not silent:
            raise
        return None


def path_match(document: str, path: str, variables: Any = None, silent: Any = 0, *session: Any) -> int | None:
    """jsonb_path_match. Raises 22038 unless the result is one boolean."""
    found = items(document, path, variables, silent, session)
    if len(found) == 1:
        if isinstance(found[0], bool):
            return int(found[0])
        if found[0] is None:
            return None
    if not silent:
        raise SqlError("single boolean result is expected", sqlstate=_SINGLETON)
    return None


def path_query(document: str, path: str, variables: Any = None, silent: Any = 0, *session: Any) -> str:
    """jsonb_path_query: a JSON array of the items' texts."""
    found = items(document, path, variables, silent, session)
    return json.dumps([dump(value) for value in found], ensure_ascii=False)


def path_query_array(document: str, path: str, variables: Any = None, silent: Any = 0, *session: Any) -> str:
    """jsonb_path_query_array."""
    return dump(items(document, path, variables, silent, session))


def path_query_first(document: str, path: str, variables: Any = None, silent: Any = 0, *session: Any) -> str | None:
    """jsonb_path_query_first; NULL for no items."""
    found = items(document, path, variables, silent, session)
    return dump(found[0]) if found else None


def install(lib: Library) -> None:
    """Declare them; the ``_tz`` forms know the session's time and zone."""
    calls: tuple[tuple[str, str, Callable[..., Any]], ...] = (
        ("exists", "bool", path_exists), ("match", "bool", path_match), ("query_array", "jsonb", path_query_array),
        ("query_first", "jsonb", path_query_first), ("query", "jsonb", path_query),
    )  # fmt: skip
    lib.helper("pg_jsonpath_exists", lambda document, path: path_exists(document, path, None, 1), 2)
    lib.helper("pg_jsonpath_match", lambda document, path: path_match(document, path, None, 1), 2)
    for name, result, call in calls:
        lib.helper(f"pg_jsonpath_{name}_all", call, 4)
        lib.helper(f"pg_jsonpath_{name}_tz_all", call, 6)
        for suffix in ("", "_tz"):
            marks: dict[str, Any] = {"session_values": ("now", "timezone"), "stable": True} if suffix else {}
            for extra, given in (("", "'{{}}', 0"), (" jsonb", "{2}, 0"), (" jsonb bool", "{2}, {3}")):
                lib.define(
                    f"jsonb_path_{name}{suffix}", f"jsonb jsonpath{extra} -> {result}",
                    sql=f"pg_jsonpath_{name}{suffix}_all({{0}}, {{1}}, {given}{', {session}' if suffix else ''})",
                    set_returning=name == "query", null_for_null=name != "query", **marks,
                )  # fmt: skip
