"""Plans by the shape of the statement, so that the same statement with other literals is planned once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, Final

from helios_cli.engine.sql import actions
from helios_cli.engine.sql.plan import Kind, Plan
from helios_cli.engine.sql.planner import Planner
from helios_cli.engine.sql.relation import CatalogReader
from helios_cli.engine.sql.rows import VALUES_MIN, Fold, find
from helios_cli.engine.sql.shape import Literal, lift

Planned = Sequence[tuple[Plan, Sequence[Literal]]]
"""The statements of a query string: each plan with the literals to bind."""

SHAPE_MAX: Final = 256 * 1024
"""Longest shape that is kept, in characters."""
TEXT_MIN: Final = 200
"""Characters of a text from which on it is kept whole, when it comes again: taking it apart takes 4 us and more."""
TEXTS_MAX: Final = 2 << 20
"""Characters of all texts that are kept whole."""
_PUBLIC: Final = ("public",)

_ONCE: Final = (
    actions.Fetch,
    actions.DeclareCursor,
    actions.Execute,
    actions.Prepare,
    actions.Explain,
    actions.SetVariable,
    actions.Notify,
)
"""Actions whose texts rarely come twice."""


class _Entry:
    """What is known about one shape."""

    __slots__ = ("bound", "by_values", "free", "plan", "select", "used", "version")

    def __init__(self, version: int) -> None:
        self.version = version
        self.plan: Plan | None = None
        """The plan when no literal is part of it."""
        self.bound: frozenset[int] = frozenset()
        """Positions of the literals that plans of this shape depend on."""
        self.select: Callable[[Sequence[Literal]], Any] | None = None
        """Picks the values at ``bound``."""
        self.free: tuple[int, ...] = ()
        self.by_values: dict[Any, list[Plan]] = {}
        self.used = False


class PlanCache:
    """A bounded cache of plans, shared by all sessions of a node. Not thread safe: the event loop's own.

    At its limit the oldest entry that was not used since it was last looked at goes. Entries of another
    ``catalog.version`` are replaced when they are met.
    """

    def __init__(
        self,
        planner: Planner | None = None,
        *,
        shapes_max: int = 4096,
        values_max: int = 64,
        characters_max: int = 16 << 20,
    ) -> None:
        """``values_max`` bounds the plans of one shape that depends on its literals' values, ``characters_max`` the
        total length of the shapes.
        """
        self.planner = planner if planner is not None else Planner()
        self.shapes_max = shapes_max
        self.values_max = values_max
        self.characters_max = characters_max
        self._characters = 0
        self.hits = 0
        self.misses = 0
        self._entries: dict[Any, _Entry] = {}
        self._texts: dict[Any, tuple[int, Planned]] = {}
        """Plans of whole texts too long to take apart for every use, with the version they are for."""
        self._text_characters = 0

    def __len__(self) -> int:
        """The number of shapes."""
        return len(self._entries)

    def clear(self) -> None:
        """Forget every plan."""
        self._entries.clear()
        self._texts.clear()
        self._characters = self._text_characters = 0

    def get(self, sql: str, catalog: CatalogReader, param_oids: tuple[int, ...] | None = None) -> Planned:
        """The plans of a query string; empty when it holds no statement.

        ``param_oids`` are the types that Parse declares for $1, $2 ... (0 for open ones, all of them optional); None is
        the simple protocol, which has no parameters.

        Raises:
            SqlError: the statement is wrong. Errors are not cached.
        """
        if len(sql) >= TEXT_MIN:
            return self._get_long(sql, catalog, param_oids)
        return self._get(sql, catalog, param_oids)

    def _get_long(self, sql: str, catalog: CatalogReader, param_oids: tuple[int, ...] | None) -> Planned:
        planned = self.of_text(sql, catalog, param_oids)
        if planned is not None:
            self.hits += 1
            return planned
        fold = find(sql) if len(sql) >= VALUES_MIN else None
        if fold is not None:
            planned = self._known_fold(fold, catalog, param_oids) or self._plan_fold(fold, catalog, param_oids)
            if planned is not None:
                return planned
        misses = self.misses
        planned = self._get(sql, catalog, param_oids)
        if misses == self.misses:
            self.keep_text(sql, catalog, param_oids, planned)
        return planned

    def _get(self, sql: str, catalog: CatalogReader, param_oids: tuple[int, ...] | None) -> Planned:
        shape, literals = lift(sql)
        key = _key(shape, catalog, param_oids)
        entry = self._entries.get(key)
        if entry is not None and entry.plan is not None and entry.version == catalog.version:
            # As _known does, without the call: this is the way of nearly every simple query.
            self.hits += 1
            entry.used = True
            return ((entry.plan, literals),)
        known = self._known(key, literals, catalog)
        if known is not None:
            return known
        self.misses += 1
        return self._plan(sql, key, len(shape), literals, catalog, param_oids)

    def find(self, sql: str, catalog: CatalogReader, param_oids: tuple[int, ...] | None = None) -> Planned | None:
        """As :meth:`get` where it need not plan; None where it has to."""
        fold = find(sql)
        if fold is not None:
            planned = self._known_fold(fold, catalog, param_oids)
            if planned is not None:
                return planned
        shape, literals = lift(sql)
        return self._known(_key(shape, catalog, param_oids), literals, catalog)

    def of_text(self, sql: str, catalog: CatalogReader, param_oids: tuple[int, ...] | None) -> Planned | None:
        """What :meth:`keep_text` was given for exactly this text; None when nothing, or under another schema."""
        version, planned = self._texts.get((sql, param_oids, catalog.search_path), (-1, None))
        return planned if version == catalog.version else None

    def keep_text(self, sql: str, catalog: CatalogReader, param_oids: tuple[int, ...] | None, planned: Planned) -> None:
        """Keep the plans of a long query, literals and all; the oldest goes when there are too many.

        Long texts that write are rows, and so never the same again.
        """
        if len(sql) > SHAPE_MAX or any(plan.kind is not Kind.READ for plan, _literals in planned):
            return
        texts, key = self._texts, (sql, param_oids, catalog.search_path)
        if key not in texts:
            self._text_characters += len(sql)
        texts[key] = (catalog.version, planned)
        while self._text_characters > TEXTS_MAX:
            oldest = next(iter(texts))
            self._text_characters -= len(oldest[0])
            del texts[oldest]

    def adopt(self, other: PlanCache) -> None:
        """Take over what another cache knows, which is not used any more."""
        for key, entry in other._entries.items():
            if key not in self._entries:
                self._characters += _length(key)
            self._entries[key] = entry
        self.hits += other.hits
        self.misses += other.misses
        self._trim()

    def _known(self, key: Any, literals: tuple[Literal, ...], catalog: CatalogReader) -> Planned | None:
        entry = self._entries.get(key)
        if entry is None or entry.version != catalog.version:
            return None
        plan = entry.plan
        if plan is None:
            return self._by_values(entry, literals)
        self.hits += 1
        entry.used = True
        return ((plan, literals),)

    def _known_fold(self, fold: Fold, catalog: CatalogReader, param_oids: tuple[int, ...] | None) -> Planned | None:
        rows: Any = fold.rows
        return self._known((fold.key, param_oids, catalog.search_path), (rows,), catalog)

    def _plan_fold(self, fold: Fold, catalog: CatalogReader, param_oids: tuple[int, ...] | None) -> Planned | None:
        """Plan a text by its reduced form. None: it has to be planned whole."""
        plan = self.planner.plan_folded(fold, param_oids, catalog)
        if plan is None:
            return None
        self.misses += 1
        if len(fold.key) <= SHAPE_MAX:
            self._keep((fold.key, param_oids, catalog.search_path), [plan], (), frozenset(), catalog.version)
        rows: Any = fold.rows
        return ((plan, (rows,)),)

    def _by_values(self, entry: _Entry, literals: tuple[Literal, ...]) -> Planned | None:
        if entry.select is None:
            return None
        plans = entry.by_values.get(entry.select(literals))
        if plans is None:
            return None
        self.hits += 1
        entry.used = True
        free = tuple(literals[position] for position in entry.free)
        return [(plan, free) for plan in plans]

    def _plan(
        self,
        sql: str,
        key: Any,
        length: int,
        literals: tuple[Literal, ...],
        catalog: CatalogReader,
        param_oids: tuple[int, ...] | None,
    ) -> Planned:
        plans, bound = self.planner.plan_lifted(sql, literals, param_oids, catalog)
        free = tuple(position for position in range(len(literals)) if position not in bound)
        result = [(plan, tuple(literals[position] for position in free)) for plan in plans]
        if length <= SHAPE_MAX and _worth_keeping(plans):
            self._keep(key, plans, literals, bound, catalog.version)
        return result

    def _keep(
        self, key: Any, plans: list[Plan], literals: tuple[Literal, ...], bound: frozenset[int], version: int
    ) -> None:
        entry = self._entries.get(key)
        if entry is None or entry.version != version:
            if entry is None:
                self._characters += _length(key)
            entry = self._entries[key] = _Entry(version)
            if not bound and len(plans) == 1:
                entry.plan = plans[0]
                self._trim()
                return
        if entry.plan is not None or not bound <= entry.bound or entry.select is None:
            # Another text of the shape depends on more of its literals: all its plans must be told apart by them.
            entry.bound |= bound
            entry.plan = None
            entry.by_values.clear()
            entry.free = tuple(position for position in range(len(literals)) if position not in entry.bound)
            entry.select = itemgetter(*sorted(entry.bound)) if entry.bound else _nothing
        if bound == entry.bound:
            if len(entry.by_values) >= self.values_max:
                entry.by_values.pop(next(iter(entry.by_values)))
            entry.by_values[entry.select(literals)] = plans
        self._trim()

    def _trim(self) -> None:
        entries = self._entries
        while len(entries) > self.shapes_max or self._characters > self.characters_max:
            key = next(iter(entries))
            entry = entries.pop(key)
            if entry.used:
                entry.used = False
                entries[key] = entry
            else:
                self._characters -= _length(key)


def _key(shape: str, catalog: CatalogReader, param_oids: tuple[int, ...] | None) -> Any:
    if param_oids is not None or catalog.search_path != _PUBLIC:
        return (shape, param_oids, catalog.search_path)
    return shape


def _length(key: Any) -> int:
    return len(key if isinstance(key, str) else key[0])


def _nothing(_literals: Sequence[Literal]) -> tuple[()]:
    return ()


def _worth_keeping(plans: list[Plan]) -> bool:
    """Only plans that hold as long as the schema does, and whose text is likely to come again."""
    return all(
        plan.kind is not Kind.DDL
        and plan.catalog_version != -1
        and plan.constant_error is None
        and not isinstance(plan.action, _ONCE)
        for plan in plans
    )
