"""What the translation of one statement shares: parameters, literals, session values, errors' positions."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.styled import Style
from helios_cli.engine.errors import FeatureNotSupported, SqlError
from helios_cli.engine.sql import sqltext
from helios_cli.engine.sql.function_spec import FunctionRegistry
from helios_cli.engine.sql.oids import BYTEA, FLOAT4, FLOAT8, INT4, INT8, NUMERIC, TEXT, UNKNOWN
from helios_cli.engine.sql.plan import SqliteValue
from helios_cli.engine.sql.relation import CatalogReader
from helios_cli.engine.sql.rights import Rights
from helios_cli.engine.sql.rows import Fold, RowsReader
from helios_cli.engine.sql.shape import INT4 as CLASS_INT4
from helios_cli.engine.sql.shape import INT8 as CLASS_INT8
from helios_cli.engine.sql.shape import NUMERIC as CLASS_NUMERIC
from helios_cli.engine.sql.shape import STRING as CLASS_STRING
from helios_cli.engine.sql.shape import Literal

if TYPE_CHECKING:
    from helios_cli.engine.sql.mentions import Mentions
    from helios_cli.engine.sql.snapshots import Snapshots
    from helios_cli.engine.sql.typed import TypedSql

Converter = Callable[[Any], SqliteValue]

_PLACEHOLDER: Final = re.compile("\x02(?:L([0-9]+):([0-9]+:-?[0-9]+):(-?)|S([A-Za-z_.0-9]+)|(F))\x03")
CHECKED: Final = -2
"""As a literal's modifier: it stays a text, and is refused unless it could be read as the type."""
_NATURAL: Final = {CLASS_INT4: INT4, CLASS_INT8: INT8, CLASS_NUMERIC: NUMERIC, CLASS_STRING: UNKNOWN}
SESSION_CALL: Final = "pg_session"
"""The SQLite function that gives a value of the session whose statement runs, by its name."""
IN_QUERY: Final = "(SELECT {})"
"""As ``session_form``, where SQLite allows a subquery: the value is asked for once, not for each row."""
IN_EXPRESSION: Final = "{}"
"""As ``session_form``, where it allows none."""
BARRIER: Final = "\x02B\x03"
"""Ends a subquery that nothing of the statement around may be moved into if it calls users' functions."""
GLOB_PATTERN: Final = 1
"""Pseudo-type of a literal that is a LIKE pattern, rewritten for GLOB when it is bound."""


class Unfoldable(Exception):
    """Rows of constants that are not alike enough to be one parameter, or whose values decide about the plan."""


@dataclass(slots=True)
class LiftedLiteral:
    """One piece that ``shape.lift`` took out of the text."""

    start: int
    """Byte offset of the piece."""
    letter: str
    """Its class."""
    value: Literal


@dataclass(slots=True)
class Context:
    """State of one statement's translation. SQL text made with it holds placeholders until :meth:`finish`."""

    catalog: CatalogReader
    functions: FunctionRegistry
    source: str = ""
    """The whole query string; locations in the tree are byte offsets in it."""
    params: list[int] = field(default_factory=list)
    """Type OIDs of $1 .. $n; 0 while unknown."""
    lifted: dict[int, LiftedLiteral] = field(default_factory=dict)
    """Lifted literals by index. Empty when every constant is to be written in place."""
    lifted_at: dict[int, int] = field(default_factory=dict)
    """Byte offset -> index of the lifted literal that starts there."""
    bound: set[int] = field(default_factory=set)
    """Literals that must stay constants: the plan holds for their values only."""
    fold: Fold | None = None
    """The rows of constants that were taken out of the text; ``lifted`` then holds a sample of each column."""
    fold_alias: str = ""
    """SQLite's alias of the FROM item that gives them, quoted."""
    parameters_allowed: bool = True
    session_allowed: bool = True
    nested: bool = False
    """It is a statement of a function: what it gives goes to the function, not to a client."""
    session_form: str = ""
    """How SQL that SQLite stores asks for a value of the session that runs it, with {} for its name; empty: it is a
    parameter of the plan."""
    asks_session: bool = False
    """A stored text asks for a value of the session."""
    volatile: bool = False
    unrepeatable: bool = False
    """Something volatile was met beside nextval."""
    effects: int = 0
    """How many calls of volatile functions were met so far; each has to be made once for each row."""
    writes: bool = False
    locks_rows: bool = False
    rights: Rights = field(default_factory=Rights)
    """What the statement needs to be allowed to do."""
    nowait: str = ""
    session: list[str] = field(default_factory=list)
    kept: set[str] = field(default_factory=set)
    """Session values that the plan's program takes, whatever the texts do."""
    aliases: set[str] = field(default_factory=set)
    """Lower-case SQLite aliases in use; SQLite's names ignore case, PostgreSQL's do not."""
    notices: list[str] = field(default_factory=list)
    snapshots: Snapshots | None = None
    """What the parts of a statement see of the tables that others of its parts change; None: it is one part."""
    encoded: bytes = b""
    """The source in UTF-8, as byte offsets count it."""
    variables: Any = None
    """The ``inner.Variables`` that names may mean, inside a function; None elsewhere."""
    variable_keys: list[Hashable] = field(default_factory=list)
    """What identifies the variable behind each of :attr:`params`."""
    made_from: list[TypedSql] = field(default_factory=list)
    """Texts with a collation of their own that the expression being translated is made from."""
    made: set[int] = field(default_factory=set)
    """The operators and casts of users that it uses, by OID."""
    calls: bool = False
    """Calls a user's function, which may run statements of its own."""
    security_role: int = 0
    """As whom tables with row level security are read: the owner of the view in hand; 0: whoever runs the statement."""
    securing: list[int] = field(default_factory=list)
    """The tables whose policies are being translated."""
    unsecured: bool = False
    """The text is that of a view, which is read by its query where policies count."""
    met: list[tuple[int, int, int]] = field(default_factory=list)
    """Lifted literals and the types that they are wanted as, in the order of translation."""
    assumed: set[int] = field(default_factory=set)
    """Parameters that are taken for text where any type will do, and stand nowhere else so far."""
    makes_temporary: bool = False
    """Calls a function that may make temporary tables."""
    row_by_row: bool = False
    """The rows that a write changes are found by a query of its own, which runs what a writing statement cannot."""
    evaluate: Callable[[str], Any] | None = None
    """Computes a constant expression now (``constants``); None leaves it to run time."""
    constant_error: Exception | None = None
    mentions: Mentions | None = None
    """Takes down what the text names, and where; None: nobody asks."""
    planning_error: Exception | None = None
    """What PostgreSQL finds wrong only after the constants."""
    """The first error that a constant gave: raised when the whole statement was found to be right otherwise."""
    impure: int = 0
    """How many nodes were translated so far that are no constants."""
    lazy: bool = False
    """Within what is computed only under a condition."""
    free: tuple[int, ...] = ()
    """After :meth:`finish`: the indexes of the literals that are SQLite parameters."""

    @contextmanager
    def not_asked_for(self) -> Iterator[None]:
        """Leave constants to run time: what is translated may be dropped, as a column that nobody asks for is."""
        before, self.lazy = self.lazy, True
        try:
            yield
        finally:
            self.lazy = before

    # -- errors -----------------------------------------------------------------------------------

    def changes_each_time(self) -> None:
        """What is read is not the same when the statement is run again, or not for every session."""
        self.volatile = self.unrepeatable = True

    def position(self, byte_offset: int) -> int | None:
        """The 1-based character position of a byte offset, None for a negative offset."""
        if byte_offset < 0 or not self.source:
            return None
        if self.source.isascii():
            return byte_offset + 1
        return len(self.source.encode()[:byte_offset].decode(errors="ignore")) + 1

    def error(self, sqlstate: str, message: str, at: int = -1, **more: Any) -> SqlError:
        """An error that points at a byte offset of the statement."""
        return SqlError(message, sqlstate=sqlstate, position=self.position(at), **more)

    def unsupported(self, what: str, at: int = -1, hint: str | None = None) -> FeatureNotSupported:
        """A 0A000 that says what cannot be done."""
        return FeatureNotSupported(f"{what} is not supported", position=self.position(at), hint=hint)

    # -- names ------------------------------------------------------------------------------------

    def unique_alias(self, name: str) -> str:
        """A SQLite alias close to ``name`` that nothing else in the statement uses."""
        alias, count = name, 1
        while alias.lower() in self.aliases:
            count += 1
            alias = f"{name}_{count}"
        self.aliases.add(alias.lower())
        return alias

    # -- parameters and session values ------------------------------------------------------------

    def parameter_type(self, number: int) -> int:
        """The type of ``$number``, 705 while it is unknown."""
        while len(self.params) < number:
            self.params.append(0)
        return self.params[number - 1] or UNKNOWN

    def set_parameter_type(self, number: int, type_oid: int) -> None:
        """Fix the type of a parameter whose type was unknown."""
        self.params[number - 1] = type_oid

    def variable(self, names: Sequence[str]) -> tuple[int, int] | None:
        """The parameter that stands for the variable of a name, and its type; None when there is no such variable."""
        found = self.variables.find(names)
        if found is None:
            return None
        key, type_oid = found
        return self.variable_number(key, type_oid), type_oid

    def variable_number(self, key: Hashable, type_oid: int) -> int:
        """The number of the parameter that stands for a variable."""
        if key not in self.variable_keys:
            self.variable_keys.append(key)
            self.params.append(type_oid)
        return self.variable_keys.index(key) + 1

    @property
    def style(self) -> Style | None:
        """How the session writes and reads values; None: the usual way, as stored expressions always have it."""
        if not self.session_allowed or self.session_form:
            return None
        return getattr(self.catalog.search_path, "style", None)

    @property
    def takes_no_query(self) -> bool:
        """Whether the SQL goes where SQLite allows no subquery: CHECK, indexes, generated columns."""
        return not self.session_allowed or self.session_form == IN_EXPRESSION

    def session_value(self, name: str) -> str:
        """SQL text for a per-session value.

        Raises:
            FeatureNotSupported: in SQLite's own DDL, which cannot see sessions.
        """
        if not self.session_allowed:
            raise FeatureNotSupported(f'the session\'s "{name}" is not available in a stored expression')
        if self.session_form:
            self.asks_session = True
            return self.session_form.format(f"{SESSION_CALL}('{name}')")
        if name not in self.session:
            self.session.append(name)
        return f"\x02S{name}\x03"

    def keep_session_value(self, name: str) -> None:
        """Have a per-session value among the plan's parameters although no text needs it."""
        self.session_value(name)
        self.kept.add(name)

    # -- literals ---------------------------------------------------------------------------------

    def literal_at(self, offset: int, value: Any) -> int:
        """The index of the lifted literal that stands at a byte offset with this value, else -1."""
        index = self.lifted_at.get(offset, -1)
        if index >= 0:
            found = self.lifted[index]
            if found.letter in _NATURAL and (found.value == value or str(found.value) == str(value)):
                return index
        return -1

    def literal_sql(self, index: int, type_oid: int, negative: bool = False, typmod: int = -1) -> str:
        """Placeholder for a literal converted to a type and fitted to a modifier as an assignment does."""
        self.met.append((index, type_oid, typmod))
        return f"\x02L{index}:{type_oid}:{typmod}:{'-' if negative else ''}\x03"

    def read_met(self) -> None:
        """Read the literals that were met so far, as PostgreSQL does at once. Raises SqlError for a bad one."""
        for index, type_oid, typmod in self.met:
            self._inline(index, f"{type_oid}:{typmod}", False)

    def bind_constant(self, index: int) -> None:
        """Make the plan depend on a literal's value."""
        if index >= 0:
            self.bound.add(index)

    def bind_all(self) -> None:
        """Make the plan depend on every literal of the statement."""
        self.bound.update(self.lifted)

    # -- the end ----------------------------------------------------------------------------------

    def finish(self, texts: list[str]) -> tuple[tuple[str, ...], tuple[Converter | None, ...]]:
        """Number the placeholders. Returns the final texts and the converter of each literal that is a parameter.

        Literals that stand in no text, or are wanted as two different types, become part of the plan
        (``bound`` grows); the converters are those of the others, in order.
        """
        # What was translated and then not used leaves values behind that nothing would take.
        self.session[:] = [
            name for name in self.session if name in self.kept or any(f"\x02S{name}\x03" in text for text in texts)
        ]
        wanted: dict[int, set[str]] = {}
        for text in texts:
            for match in _PLACEHOLDER.finditer(text):
                if match[1] is not None:
                    wanted.setdefault(int(match[1]), set()).add(match[2])
        if self.fold is not None:
            return self._finish_fold(self.fold, texts, wanted)
        self.bound.update(index for index in self.lifted if len(wanted.get(index, ())) != 1)
        free = self.free = tuple(index for index in sorted(self.lifted) if index not in self.bound)
        numbers = {index: len(self.params) + 1 + rank for rank, index in enumerate(free)}
        first_session = len(self.params) + len(free) + 1

        def number(match: re.Match[str]) -> str:
            if match[4] is not None:
                return f"?{first_session + self.session.index(match[4])}"
            index = int(match[1])
            if index in numbers:
                return _negative(f"?{numbers[index]}", match[2]) if match[3] else f"?{numbers[index]}"
            return self._inline(index, match[2], bool(match[3]))

        barrier = " LIMIT -1" if self.calls else ""
        done = tuple(_PLACEHOLDER.sub(number, text).replace(BARRIER, barrier) for text in texts)
        converters = tuple(self._converter(index, next(iter(wanted[index]))) for index in free)
        return done, converters if any(converters) else ()

    def _finish_fold(
        self, fold: Fold, texts: list[str], wanted: dict[int, set[str]]
    ) -> tuple[tuple[str, ...], tuple[Converter, ...]]:
        """The same for a statement whose only literal is its rows, one JSON parameter.

        Raises:
            Unfoldable: a column is wanted as two types, or its values decide about the plan.
        """
        if self.bound or not self.fold_alias or any(len(targets) > 1 for targets in wanted.values()):
            raise Unfoldable
        rows = len(self.params) + 1
        targets = {index: tuple(map(int, next(iter(found)).split(":"))) for index, found in wanted.items()}
        hexed = frozenset(index for index, (type_oid, _) in targets.items() if type_oid == BYTEA)

        def number(match: re.Match[str]) -> str:
            if match[5] is not None:
                return f"?{rows}"
            if match[4] is not None:
                return f"?{rows + 1 + self.session.index(match[4])}"
            read = f"json_extract({self.fold_alias}.value, '$[{match[1]}]')"
            return f"unhex({read})" if int(match[1]) in hexed else read

        barrier = " LIMIT -1" if self.calls else ""
        done = tuple(_PLACEHOLDER.sub(number, text).replace(BARRIER, barrier) for text in texts)
        readers = [
            {letter: _class_converter(letter, *targets[column]) for letter in classes} if column in targets else None
            for column, classes in enumerate(fold.classes)
        ]
        return done, (RowsReader(readers, hexed),)

    def _converter(self, index: int, target: str) -> Converter | None:
        type_oid, typmod = map(int, target.split(":"))
        return literal_converter(self.lifted[index].letter, type_oid, typmod)

    def inlined(self, text: str) -> str:
        """A text over constants with the values of its literals in place. Raises as reading them does."""
        return _PLACEHOLDER.sub(lambda match: self._inline(int(match[1]), match[2], bool(match[3])), text)

    def _inline(self, index: int, target: str, negative: bool) -> str:
        value = self.lifted[index].value
        converter = self._converter(index, target)
        try:
            plain = converter(value) if converter else value
        except SqlError as error:
            error.position = error.position or self.position(self.lifted[index].start)
            raise
        if isinstance(plain, bytes):
            # EXPLAIN shows a blob's bytes as text, which they need not be.
            return f"unhex('{plain.hex()}')"
        return _negative(sqltext.constant(plain), target) if negative else sqltext.constant(plain)


def _negative(text: str, target: str) -> str:
    """A constant with a minus before it. A numeric is text, of which SQLite's own minus would make an integer."""
    return f"pg_numeric_negate({text})" if target.partition(":")[0] == str(NUMERIC) else f"(-{text})"


def _class_converter(letter: str, type_oid: int, typmod: int) -> Converter | None:
    return literal_converter(letter, type_oid, typmod) if letter in _NATURAL else None


def literal_converter(letter: str, type_oid: int, typmod: int = -1) -> Converter | None:
    """How a lifted literal of a class becomes a value of a type; None when it already is one."""
    if typmod == CHECKED:
        return partial(_checked, type_oid)
    if typmod >= 0:
        read = literal_converter(letter, type_oid) or _same
        return lambda value: registry.apply_typmod(type_oid, typmod, read(value))
    if type_oid == GLOB_PATTERN:
        return sqltext.like_to_glob
    if letter in (CLASS_INT4, CLASS_INT8):
        if type_oid == FLOAT8:
            return float
        if type_oid == FLOAT4:
            return lambda value: registry.by_oid(FLOAT4).parse_text(str(value))
        return str if type_oid == NUMERIC else None
    if type_oid in (TEXT, UNKNOWN):
        return None
    return registry.by_oid(type_oid).parse_text


@lru_cache(maxsize=2048)
def _checked(type_oid: int, text: str) -> str:
    """A text that is read as a date or time later, where the session is known. Raises as reading it does."""
    from helios_cli.engine.sql.runtime_times import pg_time_in

    pg_time_in(type_oid, text, "UTC", 0)
    return text


def _same(value: Any) -> SqliteValue:
    result: SqliteValue = value
    return result
