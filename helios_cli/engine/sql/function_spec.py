"""Records that describe SQL functions to the planner, and the registry that holds them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

ScalarTable = dict[str, tuple[Callable[..., Any], int, bool]]
"""Python functions SQLite must know: name -> (callable, number of arguments or -1, deterministic)."""

AggregateTable = dict[str, tuple[Callable[[], Any], int]]
"""Aggregates SQLite must know: name -> (factory of an APSW window/aggregate object, number of arguments)."""

CollationTable = dict[str, Callable[[str, str], int]]
"""Collations SQLite must know: name -> comparison giving a negative, zero or positive number."""


@dataclass(frozen=True, slots=True)
class Function:
    """One overload of one SQL function.

    Argument and result types are type OIDs; polymorphic ones are the pseudo-types' OIDs (anyelement 2283,
    anyarray 2277, anynonarray 2776, anycompatible 5077, anycompatiblearray 5078, "any" 2276) and are
    resolved from the actual arguments.
    """

    name: str
    args: tuple[int, ...]
    result: int
    sql: str = ""
    """SQLite expression with ``{0}``, ``{1}`` ... for the translated arguments, ``{args}`` for all of them
    joined by commas, and ``{session}`` for the parameters of ``session_values`` joined by commas. Empty:
    call the SQLite function of the same name with all the arguments."""
    variadic: bool = False
    """The last entry of ``args`` is the element type of any number (one or more) of further arguments."""
    defaults: int = 0
    """How many trailing arguments may be left out; the template sees ``default_sql`` for them."""
    default_sql: str = "NULL"
    aggregate: bool = False
    """May be called as an aggregate, and over a window: ``sql`` names the SQLite aggregate
    (``sum({0})``); DISTINCT, ORDER BY and FILTER are put in by the planner."""
    distinct_sql: str = ""
    """The template under DISTINCT of several arguments, whose rows come in order. Empty: it has no such thing."""
    window_sql: str = ""
    """The template over a window, where it is another one than ``sql``."""
    window: bool = False
    """Only callable with OVER (row_number, lag, ...)."""
    set_returning: bool = False
    """``sql`` yields the text of a JSON array with one element a row: a scalar in SQLite's representation
    of ``result``, or, with several ``columns``, an array of them. NULL is no rows."""
    columns: tuple[tuple[str, int], ...] = ()
    """Names and types of the columns of a set-returning function with OUT parameters; a single one only names it."""
    strict: bool = False
    """NULL for a NULL argument; with one that is written as NULL the others are not computed."""
    volatile: bool = False
    """Two calls in one statement may differ, or the call has a side effect."""
    stable: bool = False
    """Constant within a statement but not for ever; barred from index expressions."""
    writes: bool = False
    """Changes the database (nextval, setval): the statement is routed as a write."""
    session_values: tuple[str, ...] = ()
    """Per-session values it reads, bound by the node under these names ('now', 'current_user', ...)."""
    schema: str = "pg_catalog"
    ordered_set: bool = False
    """An aggregate that wants WITHIN GROUP; ``args`` are those before it and the one it sorts by. The template has
    ``{type}`` for the latter's type and ``{args}`` for all of them with the order."""
    rows: bool = False
    """Its result is a row, even of one column: in FROM a JSON array of the values of ``columns``."""
    base_args: tuple[int, ...] = ()
    """As ``args``, with the types that domains among them are over; empty where there is none."""
    strict_collation: bool = False
    """The result keeps the collation of the type even as an expression (min, max of numeric)."""


class FunctionRegistry:
    """All functions a statement may call, by name. Filled once, then read only."""

    __slots__ = ("_by_name",)

    def __init__(self, functions: Iterable[Function] = ()) -> None:
        self._by_name: dict[str, list[Function]] = {}
        for function in functions:
            self.add(function)

    def add(self, function: Function) -> None:
        """Register one overload; a later one with the same name and arguments replaces the earlier."""
        overloads = self._by_name.setdefault(function.name, [])
        overloads[:] = [known for known in overloads if known.args != function.args]
        overloads.append(function)

    def candidates(self, name: str) -> tuple[Function, ...]:
        """Every overload of a name, in order of registration; empty when the name is unknown."""
        return tuple(self._by_name.get(name, ()))

    def lookup(self, name: str, arg_types: tuple[int, ...]) -> Function | None:
        """Choose the overload PostgreSQL's rules choose for these argument types.

        ``arg_types`` may hold 705 (unknown) for untyped literals and parameters. None: no overload fits.

        Raises:
            SqlError: 42725, several fit equally well.
        """
        from helios_cli.engine.sql.resolution import choose_function

        return choose_function(self.candidates(name), arg_types)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[Function]:
        return (function for overloads in self._by_name.values() for function in overloads)
