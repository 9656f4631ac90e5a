"""Functions, procedures and triggers that users define: the records the catalog keeps, as the planner sees them."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from helios_cli.engine.datatypes.usertypes import is_row
from helios_cli.engine.sql.coercion import element_of
from helios_cli.engine.sql.function_spec import Function
from helios_cli.engine.sql.oids import ANYARRAY, ANYCOMPATIBLE, ANYCOMPATIBLEARRAY, ANYELEMENT, RECORD, TRIGGER, VOID

CALL: Final = "pg_routine_call"
"""The SQLite function that runs a user's function: session, OID, arguments. Its name marks a plan as not short."""
PURE: Final = "pg_routine_pure"
"""The same for a function that is IMMUTABLE and gives one value: OID, arguments. Indexes may be made of it."""

COLLECT: Final = "agg_collect"
"""The SQLite aggregate that keeps the arguments of every row, for a user's aggregate to fold."""

_FOLD: Final = CALL + "({{session}}, {}, '{{types}}', {}({{args}}){{over}})"

INPUT_MODES: Final = ("i", "b", "v")
OUTPUT_MODES: Final = ("o", "b", "t")
_ELEMENTS: Final = {ANYARRAY: ANYELEMENT, ANYCOMPATIBLEARRAY: ANYCOMPATIBLE}
"""What VARIADIC arrays of any type are made of."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One parameter of a routine."""

    name: str
    """Empty when it has none."""
    type_oid: int
    mode: str = "i"
    """pg_proc.proargmodes: i in, o out, b inout, v variadic, t a column of RETURNS TABLE."""
    default: str | None = None
    """PostgreSQL text of the default expression."""


@dataclass(slots=True)
class AggregateParts:
    """What an aggregate is made of. Names are those of functions of the library, '' for users'; then OIDs tell."""

    state: int
    """The type of the state."""
    step: int
    step_name: str
    step_args: list[int]
    step_strict: bool
    initial: str | None
    """The text of the first state; None for NULL."""
    final: int = 0
    final_name: str = ""
    final_args: list[int] = field(default_factory=list)
    final_strict: bool = False
    final_extra: bool = False
    """The final function is also given the types of the inputs, as NULLs."""
    final_modify: str = "r"
    space: int = 0

    @property
    def has_final(self) -> bool:
        """Whether there is a final function."""
        return bool(self.final_args)


@dataclass(slots=True)
class Routine:
    """One function or procedure, as ``helios_function`` holds it."""

    oid: int
    schema: str
    name: str
    owner: int
    kind: str
    """'f' function, 'p' procedure, 'a' aggregate."""
    language: str
    arguments: list[Argument]
    result: int
    """Type OID; 2278 void, 2249 record, 2279 trigger; of a procedure 2278 or record."""
    returns_set: bool = False
    relation: int = 0
    """OID of the table whose row type is the result; then ``result`` is record."""
    body: str = ""
    sql_body: str = ""
    """Text of a standard body (RETURN or BEGIN ATOMIC); then ``body`` is empty."""
    volatility: str = "v"
    strict: bool = False
    security_definer: bool = False
    leakproof: bool = False
    parallel: str = "u"
    cost: float = 100
    rows: float = 0
    settings: dict[str, str] = field(default_factory=dict)
    """SET clauses: parameter -> value."""
    aggregate: AggregateParts | None = None
    """Of kind 'a' alone."""

    @property
    def inputs(self) -> list[Argument]:
        """Parameters that a call gives."""
        return [argument for argument in self.arguments if argument.mode in INPUT_MODES]

    @property
    def outputs(self) -> list[Argument]:
        """Parameters that make the result."""
        return [argument for argument in self.arguments if argument.mode in OUTPUT_MODES]

    @property
    def is_trigger(self) -> bool:
        """Whether only triggers may call it."""
        return self.result == TRIGGER

    @property
    def variadic(self) -> bool:
        """Whether the last parameter takes any number of arguments."""
        return any(argument.mode == "v" for argument in self.arguments)

    def signature(self) -> tuple[int, ...]:
        """Types of the input parameters: with name and schema the identity of a routine."""
        return tuple(argument.type_oid for argument in self.inputs)

    def to_json(self) -> str:
        """The definition column."""
        fields = asdict(self)
        for key in ("oid", "schema", "name", "owner"):
            del fields[key]
        return json.dumps(fields)


def read_routine(oid: int, schema: str, name: str, owner: int, definition: str) -> Routine:
    """A row of ``helios_function``."""
    fields: dict[str, Any] = json.loads(definition)
    fields["arguments"] = [Argument(**argument) for argument in fields["arguments"]]
    if fields.get("aggregate") is not None:
        fields["aggregate"] = AggregateParts(**fields["aggregate"])
    return Routine(oid=oid, schema=schema, name=name, owner=owner, **fields)


@dataclass(frozen=True, slots=True)
class UserFunction(Function):
    """A routine as the planner's overload resolution sees it."""

    oid: int = 0
    kind: str = "f"
    names: tuple[str, ...] = ()
    """Of the input parameters."""
    default_texts: tuple[str, ...] = ()
    """Of the last ``defaults`` input parameters."""
    is_trigger: bool = False
    effects: bool = False
    """It is VOLATILE."""
    strict_args: bool = False
    owner: int = 10
    returns_set: bool = False
    makes_temporary: bool = False


def as_function(
    routine: Routine, columns: tuple[tuple[str, int], ...], library: frozenset[str] = frozenset()
) -> UserFunction:
    """The planner's view; ``columns`` are those of a result of several columns, or a set's only one.

    ``library`` names the functions that are known to change nothing.
    """
    if routine.aggregate is not None:
        return _as_aggregate(routine)
    inputs = routine.inputs
    defaults = tuple(argument.default for argument in inputs if argument.default is not None)
    variadic = routine.variadic
    types = tuple(argument.type_oid for argument in inputs)
    if variadic:
        types = (*types[:-1], _ELEMENTS.get(types[-1]) or element_of(types[-1]) or types[-1])
    volatile = routine.volatility == "v"
    rows = len(columns) > 1 or (bool(columns) and gives_rows(routine))
    pure = routine.volatility == "i" and not routine.returns_set and not rows
    call = f"{PURE}({routine.oid}" if pure else f"{CALL}({{session}}, {routine.oid}"
    return UserFunction(
        routine.name,
        types,
        routine.result,
        sql=f"{call}, '{{types}}'{{comma}}{{args}})",
        variadic=variadic,
        defaults=len(defaults),
        set_returning=routine.returns_set or rows,
        columns=columns,
        rows=rows,
        volatile=not pure,
        effects=volatile,
        stable=routine.volatility != "i",
        writes=volatile and may_write(routine, library),
        session_values=() if pure else ("pid",),
        schema=routine.schema,
        oid=routine.oid,
        kind=routine.kind,
        names=tuple(argument.name for argument in inputs),
        default_texts=defaults,
        is_trigger=routine.is_trigger,
        strict_args=routine.strict,
        owner=routine.owner,
        returns_set=routine.returns_set,
        makes_temporary=text_makes_temporary(routine.body or routine.sql_body),
    )


def _as_aggregate(routine: Routine) -> UserFunction:
    """An aggregate: its rows are collected, in the order and of the frame that the call wants, and then folded."""
    return UserFunction(
        routine.name,
        routine.signature(),
        routine.result,
        sql=_FOLD.format(routine.oid, COLLECT),
        distinct_sql=_FOLD.format(routine.oid, f"{COLLECT}_distinct"),
        aggregate=True,
        volatile=True,
        stable=True,
        session_values=("pid",),
        schema=routine.schema,
        oid=routine.oid,
        kind="a",
        names=tuple(argument.name for argument in routine.inputs),
        owner=routine.owner,
    )


_TEMPORARY: Final = re.compile(r"\b(?:create\s+(?:local\s+|global\s+)?|into\s+)temp(?:orary)?\b", re.IGNORECASE)


def text_makes_temporary(text: str) -> bool:
    """Whether a body may make a temporary table, judged by its words."""
    return _TEMPORARY.search(text) is not None


_WRITING: Final = (
    "insert", "update", "delete", "merge", "truncate", "create", "drop", "alter", "grant", "revoke", "execute", "call",
    "nextval", "setval", "set_config", "copy", "lock", "comment", "notify", "refresh", "reindex", "do", "set",
    "share",
)  # fmt: skip


_KEYWORDS: Final = frozenset(
    (
        "select", "from", "where", "and", "or", "not", "is", "in", "as", "begin", "end", "if", "then", "else", "elsif",
        "loop", "for", "while", "return", "values", "exists", "any", "all", "some", "on", "using", "when", "case", "by",
        "coalesce", "nullif", "greatest", "least", "array", "row", "extract", "over", "partition", "filter", "cast",
        "between", "like", "numeric", "varchar", "char", "decimal", "timestamp", "time", "interval", "bit", "float",
        "with", "distinct", "limit", "offset", "having", "union", "except", "intersect", "trim", "position",
        "substring", "overlay", "into", "strict", "query", "next", "assert", "exception", "raise", "count", "lateral",
    )
)  # fmt: skip
_CALLED: Final = re.compile(r"([a-z_][a-z0-9_$.]*)\s*\(")
_WORD: Final = re.compile(r"[a-z_][a-z0-9_]*")


def may_write(routine: Routine, library: frozenset[str]) -> bool:
    """Whether running it could change something, judged by the words of its body and by what it calls."""
    return text_may_write(routine.body or routine.sql_body, library)


def text_may_write(text: str, library: frozenset[str]) -> bool:
    """Whether a body could change something. True where that is not certain."""
    folded = text.lower()
    if not set(_WORD.findall(folded)).isdisjoint(_WRITING):
        return True
    return any(name.rpartition(".")[2] not in library and name not in _KEYWORDS for name in _CALLED.findall(folded))


def gives_rows(routine: Routine) -> bool:
    """Whether its result is declared as a row of a table or of a named type."""
    return bool(routine.relation) or (is_row(routine.result) and routine.result != RECORD)


def result_columns(routine: Routine) -> tuple[tuple[str, int], ...]:
    """Columns by OUT parameters or RETURNS TABLE; unnamed ones are column1 ..."""
    return tuple(
        (argument.name or f"column{number}", argument.type_oid) for number, argument in enumerate(routine.outputs, 1)
    )


BUILTIN_TRIGGERS: Final = {
    "suppress_redundant_updates_trigger": 1291,
    "tsvector_update_trigger": 3752,
    "tsvector_update_trigger_column": 3753,
}
"""PostgreSQL's own trigger functions, with their OIDs."""
BUILTIN_TRIGGER_NAMES: Final = {oid: name for name, oid in BUILTIN_TRIGGERS.items()}


@dataclass(slots=True)
class Trigger:
    """One trigger, as ``helios_trigger`` holds it."""

    oid: int
    relation: int
    name: str
    function: int
    """OID of the routine."""
    row: bool
    timing: str
    """'b' before, 'a' after, 'i' instead of."""
    events: list[str]
    """Of INSERT, UPDATE, DELETE, TRUNCATE."""
    columns: list[str] = field(default_factory=list)
    """UPDATE OF."""
    arguments: list[str] = field(default_factory=list)
    when: str = ""
    """PostgreSQL text of the condition."""
    enabled: str = "O"
    """pg_trigger.tgenabled: O origin, D disabled, A always, R replica."""
    old_table: str = ""
    new_table: str = ""
    is_constraint: bool = False
    deferrable: bool = False
    deferred: bool = False
    """INITIALLY DEFERRED."""
    constraint_oid: int = 0
    """Its row of pg_constraint; 0 for one that is no constraint."""
    from_oid: int = 0
    """The table that FROM names; 0 for none."""
    parent: int = 0
    """Of a partition's: the trigger of the partitioned table that it is like; 0 for none."""

    def to_json(self) -> str:
        """The definition column."""
        fields = asdict(self)
        for key in ("oid", "relation", "name"):
            del fields[key]
        return json.dumps(fields)

    @property
    def fires(self) -> bool:
        """Whether it fires for some session."""
        return self.enabled != "D"

    def fires_for(self, *, replica: bool) -> bool:
        """Whether it fires for what a session writes, by its session_replication_role."""
        return self.enabled in ("R", "A") if replica else self.enabled in ("O", "A")

    @property
    def type_bits(self) -> int:
        """pg_trigger.tgtype."""
        bits = (1 if self.row else 0) | {"b": 2, "a": 0, "i": 64}[self.timing]
        return bits | sum({"INSERT": 4, "DELETE": 8, "UPDATE": 16, "TRUNCATE": 32}[event] for event in self.events)


def read_trigger(oid: int, relation: int, name: str, definition: str) -> Trigger:
    """A row of ``helios_trigger``."""
    return Trigger(oid=oid, relation=relation, name=name, **json.loads(definition))


__all__ = ["CALL", "RECORD", "VOID", "Argument", "Routine", "Trigger", "UserFunction", "as_function", "read_routine"]
