"""Translated queries before their text is final: their columns can still be converted."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from helios_cli.engine.sql import casts, sqltext
from helios_cli.engine.sql.bare_parameters import Untyped, check_untyped
from helios_cli.engine.sql.coercion import Context as How
from helios_cli.engine.sql.coercion import can_coerce, common_type, type_name
from helios_cli.engine.sql.context import Context
from helios_cli.engine.sql.oids import UNKNOWN
from helios_cli.engine.sql.typed import Node, TypedSql
from helios_cli.engine.sql.value_rows import value_rows


@dataclass(slots=True)
class Output:
    """One result column."""

    name: str
    value: TypedSql
    late: bool = False
    """It calls a volatile function and reads no column: it is computed for the sorted rows."""


@dataclass(slots=True)
class Query:
    """What every kind of query has: its columns, WITH before it, ORDER BY and LIMIT behind it."""

    outputs: list[Output]
    with_clause: str = ""
    order_by: list[str] = field(default_factory=list)
    limit: str = ""
    limit_node: Node | None = None
    """The expression of LIMIT."""
    single_row: bool = False
    """Known to give at most one row."""
    untyped: Untyped = ()
    """Parameters alone in its select list that nothing had given a type there."""
    effects: bool = False
    """Its select list calls volatile functions."""
    separate: bool = False
    """Its columns are computed once for each of its rows, whoever names them or does not."""

    def coerce(self, position: int, target: int, typmod: int, how: How, ctx: Context) -> None:
        """Convert a column; the caller has checked that it may be."""
        output = self.outputs[position]
        output.value = casts.coerce(output.value, target, typmod, how, ctx)

    def resolve_unknowns(self, ctx: Context) -> None:
        """Columns that nothing gave a type are text. Raises SqlError 42P08."""
        check_untyped(self.untyped, ctx)
        for position, output in enumerate(self.outputs):
            if type_in(output.value, ctx) == UNKNOWN:
                self.coerce(position, 25, -1, How.IMPLICIT, ctx)
            elif output.value.param:
                self.coerce(position, type_in(output.value, ctx), -1, How.IMPLICIT, ctx)

    def names(self) -> list[str]:
        """Names for SQLite, unique without regard to case."""
        seen: set[str] = set()
        counts: dict[str, int] = {}
        names = []
        for output in self.outputs:
            name, folded = output.name, output.name.lower()
            while name.lower() in seen:
                counts[folded] = counts.get(folded, 1) + 1
                name = f"{output.name}_{counts[folded]}"
            seen.add(name.lower())
            names.append(name)
        return names

    def body(self, named: bool) -> str:
        """The query without WITH, ORDER BY and LIMIT; ``named`` gives its columns :meth:`names`."""
        raise NotImplementedError

    def render(self, named: bool = False) -> str:
        """The whole text."""
        order = f" ORDER BY {', '.join(self.order_by)}" if self.order_by else ""
        text = f"{self.with_clause}{self.body(named)}{order}{self.limit}"
        return separated(text) if self.separate else text

    @property
    def is_plain(self) -> bool:
        """Whether it may stand as an arm of a compound query as it is."""
        return not (self.with_clause or self.order_by or self.limit)


def separated(text: str) -> str:
    """A query that SQLite does not merge with the one around it, and none of whose columns it leaves out."""
    return f'WITH "separate rows" AS (SELECT * FROM ({text}) LIMIT -1 OFFSET 0) SELECT * FROM "separate rows"'


def type_in(value: TypedSql, ctx: Context) -> int:
    """The type of a value, with what a parameter has become meanwhile."""
    return ctx.parameter_type(value.param) if value.param else value.type_oid


@dataclass(slots=True)
class Select(Query):
    """SELECT ... FROM."""

    distinct: bool = False
    collate_outputs: bool = False
    """Equality of the columns matters (DISTINCT, UNION): they carry their collation."""
    source: str = ""
    """Text from FROM to HAVING, with a leading space, or empty."""

    def render(self, named: bool = False) -> str:
        """The whole text. What is late is computed above the sorted rows."""
        if not self.order_by or not any(output.late for output in self.outputs):
            return Query.render(self, named)
        columns = [sqltext.quote_identifier(name) for name in self.names()]
        above = [
            f"{output.value.sql} AS {column}" if output.late else column
            for output, column in zip(self.outputs, columns, strict=True)
        ]
        below = [
            replace(output, value=replace(output.value, sql="NULL")) if output.late else output
            for output in self.outputs
        ]
        inner = replace(self, outputs=below)
        limit = self.limit if " OFFSET " in self.limit else f"{self.limit or ' LIMIT -1'} OFFSET 0"
        sorted_rows = f"{inner.body(named=True)} ORDER BY {', '.join(self.order_by)}{limit}"
        text = f"{self.with_clause}SELECT {', '.join(above)} FROM ({sorted_rows})"
        return separated(text) if self.separate else text

    def body(self, named: bool) -> str:
        """SELECT list and everything to HAVING."""
        texts = []
        for output, name in zip(self.outputs, self.names(), strict=True):
            text = casts.collated(output.value) if self.distinct or self.collate_outputs else output.value.sql
            texts.append(f"{text} AS {sqltext.quote_identifier(name)}" if named else text)
        return f"SELECT {'DISTINCT ' if self.distinct else ''}{', '.join(texts) or 'NULL'}{self.source}"


@dataclass(slots=True)
class Values(Query):
    """VALUES lists."""

    rows: list[list[TypedSql]] = field(default_factory=list)

    def coerce(self, position: int, target: int, typmod: int, how: How, ctx: Context) -> None:
        """Convert a column in every row."""
        for row in self.rows:
            row[position] = casts.coerce(row[position], target, typmod, how, ctx)
        not_null = all(row[position].not_null for row in self.rows)
        self.outputs[position].value = TypedSql("", target, typmod, not_null=not_null)

    def unify(self, ctx: Context) -> None:
        """Give every column one type.

        Raises:
            SqlError: 42804 VALUES types x and y cannot be matched.
        """
        for position in range(len(self.outputs)):
            column = [row[position] for row in self.rows]
            types = [type_in(value, ctx) for value in column]
            if all(oid == UNKNOWN for oid in types):
                self.outputs[position].value = replace(column[0]) if len(column) == 1 else TypedSql("", UNKNOWN)
                continue
            target = match_types("VALUES", types, column, ctx)
            self.coerce(position, target, -1, How.IMPLICIT, ctx)

    def body(self, named: bool) -> str:
        """The VALUES lists; SQLite calls the columns column1, column2, ... as PostgreSQL does."""
        values = self._text()
        if named and [output.name for output in self.outputs] != [f"column{n + 1}" for n in range(len(self.outputs))]:
            columns = ", ".join(
                f"column{n + 1} AS {sqltext.quote_identifier(name)}" for n, name in enumerate(self.names())
            )
            return f"SELECT {columns} FROM ({values})"
        # SQLite takes no ORDER BY or LIMIT behind VALUES.
        return values if self.is_plain else f"SELECT * FROM ({values})"

    def _text(self) -> str:
        rows = [[value.sql for value in row] for row in self.rows]
        if not any('"' in text for text in rows[0]):
            return f"VALUES {value_rows(rows)}"
        # The columns of a first row that reads others would have their names.
        first = ", ".join(f"{text} AS column{number}" for number, text in enumerate(rows[0], 1))
        return f"SELECT {first}" + (f" UNION ALL VALUES {value_rows(rows[1:])}" if rows[1:] else "")


@dataclass(slots=True)
class Compound(Query):
    """UNION, INTERSECT, EXCEPT."""

    left: Query = field(default_factory=lambda: Query([]))
    right: Query = field(default_factory=lambda: Query([]))
    operator: str = "UNION"
    converted: dict[int, TypedSql] = field(default_factory=dict)

    def coerce(self, position: int, target: int, typmod: int, how: How, ctx: Context) -> None:
        """Convert a column of the result, or of both arms when its type is open."""
        if self.outputs[position].value.type_oid == UNKNOWN:
            self.left.coerce(position, target, typmod, how, ctx)
            self.right.coerce(position, target, typmod, how, ctx)
            self.outputs[position].value = TypedSql("", target, typmod)
            return
        column = sqltext.quote_identifier(self.names()[position])
        source = replace(self.outputs[position].value, sql=column, raw="", param=0, literal=-1)
        value = casts.coerce(source, target, typmod, how, ctx)
        if value.sql != column:
            self.converted[position] = value
        self.outputs[position].value = TypedSql("", target, typmod)

    def body(self, named: bool) -> str:
        """Both arms. A right arm that is itself compound, or has ORDER BY or LIMIT, is wrapped."""
        wrap = bool(self.converted)
        arms = []
        for arm, is_right in ((self.left, False), (self.right, True)):
            text = arm.render((named or wrap) and not is_right)
            if not arm.is_plain or (is_right and isinstance(arm, Compound)):
                text = f"SELECT * FROM ({text})"
            arms.append(text)
        text = f"{arms[0]} {self.operator} {arms[1]}"
        if self.operator in ("INTERSECT ALL", "EXCEPT ALL"):
            text = self._counted()
        if not wrap:
            return text
        columns = []
        for position, name in enumerate(self.names()):
            quoted = sqltext.quote_identifier(name)
            value = self.converted.get(position)
            columns.append(f"{value.sql} AS {quoted}" if value is not None else quoted)
        return f"SELECT {', '.join(columns)} FROM ({text})"

    def _counted(self) -> str:
        """INTERSECT ALL or EXCEPT ALL, which SQLite has not: equal rows are told apart by their numbers."""
        arms = []
        for arm in (self.left, self.right):
            columns = [
                casts.collated(TypedSql(sqltext.quote_identifier(name), output.value.type_oid))
                for name, output in zip(arm.names(), self.outputs, strict=True)
            ]
            number = f'row_number() OVER (PARTITION BY {", ".join(columns)}) AS "number of row"'
            arms.append(f"SELECT {', '.join([*columns, number])} FROM ({arm.render(named=True)})")
        names = ", ".join(sqltext.quote_identifier(name) for name in self.names())
        listed = f'WITH "rows"({names}, "number of row") AS ({arms[0]} {self.operator.removesuffix(" ALL")} {arms[1]})'
        return f'SELECT {names} FROM ({listed} SELECT {names} FROM "rows")'


def match_types(what: str, types: list[int], values: list[TypedSql], ctx: Context) -> int:
    """The common type of a column.

    Raises:
        SqlError: 42804 when there is none.
    """
    target = common_type(types)
    if target is None or not all(can_coerce(oid, target) for oid in types):
        first = next(oid for oid in types if oid != UNKNOWN)
        unlike = (n for n, oid in enumerate(types) if oid != UNKNOWN and common_type([first, oid]) is None)
        position = next(unlike, None)
        if position is None:
            # Of one category, and still none becomes the other (coerce_to_common_type).
            position = next(n for n, oid in enumerate(types) if not can_coerce(oid, target or first))
            shown = f"{type_name(types[position])} to {type_name(target or first)}"
            raise ctx.error("42846", f"{what} could not convert type {shown}", values[position].location)
        message = f"{what} types {type_name(first)} and {type_name(types[position])} cannot be matched"
        raise ctx.error("42804", message, values[position].location)
    return target


def unify_arms(left: Query, right: Query, word: str, ctx: Context) -> list[Output]:
    """Give the arms of a compound query common column types; returns the columns of the result.

    Raises:
        SqlError: 42601 different numbers of columns, 42804 types that cannot be matched.
    """
    if len(left.outputs) != len(right.outputs):
        at = right.outputs[0].value.location if right.outputs else -1
        raise ctx.error("42601", f"each {word} query must have the same number of columns", at)
    for arm in (left, right):
        if isinstance(arm, Values):
            arm.resolve_unknowns(ctx)
    outputs = []
    for position, (one, other) in enumerate(zip(left.outputs, right.outputs, strict=True)):
        types = [type_in(one.value, ctx), type_in(other.value, ctx)]
        target = match_types(word, types, [one.value, other.value], ctx)
        typmod = one.value.typmod if types[0] == types[1] and one.value.typmod == other.value.typmod else -1
        not_null = one.value.not_null and other.value.not_null
        for arm, value, oid in ((left, one.value, types[0]), (right, other.value, types[1])):
            if oid != target or value.param:
                arm.coerce(position, target, -1, How.IMPLICIT, ctx)
        outputs.append(Output(one.name, TypedSql("", target, typmod, not_null=not_null, location=one.value.location)))
    return outputs
