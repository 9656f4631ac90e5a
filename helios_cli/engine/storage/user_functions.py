"""SQLite functions and collations over users' types, which need the labels of the connection's own snapshot.

An enum's value is stored as its label; the collation ``pg_enum_<oid>`` puts labels in their declared order. So a value
is readable, costs nothing on its way out, and ADD VALUE BEFORE changes no table: the order of the values that are
there stays as it was. What does change tables is RENAME VALUE, which rewrites those that hold the label.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import apsw

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.arrays import quote_element, read_array, write_array
from helios_cli.engine.datatypes.composite import KEPT_BINARY, Field, literal_of, read_shape, rewritten, split_record
from helios_cli.engine.datatypes.orders import NAMED
from helios_cli.engine.datatypes.usertypes import is_enum, is_temporary
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import casts
from helios_cli.engine.sql.function_spec import ScalarTable
from helios_cli.engine.sql.functions import ranges
from helios_cli.engine.sql.functions.icu import available, comparison
from helios_cli.engine.sql.sqltext import pg_identifier
from helios_cli.engine.sql.text_collations import order_of
from helios_cli.engine.storage.json_rows import Members, object_of, rows_of

_PREFIX: Final = "pg_enum_"
_ARRAY_PREFIX: Final = "pg_enum_array_"
_RANGE_PREFIX: Final = "pg_range_"

Compare = Callable[[str, str], int]


class EnumLabels:
    """The labels of enums as one connection sees them: label -> place."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._known: dict[int, dict[str, int]] = {}
        self._version = -1
        self._unsettled = False

    def of(self, oid: int) -> dict[str, int]:
        """The labels in order. Raises 42704 when the type is gone."""
        version = self._connection.data_version()
        if version != self._version:
            self._known.clear()
            self._version, self._unsettled = version, False
        found = self._known.get(oid)
        if found is None:
            found = self._read(oid)
            if not self._unsettled:
                self._known[oid] = found
        return found

    def changed(self) -> int:
        """A statement of this connection's transaction changes labels: nothing is kept until it has ended.

        SQLite's data version moves with a commit and not with a rollback, which must not leave labels behind.
        """
        self._known.clear()
        self._version, self._unsettled = self._connection.data_version(), True
        return 0

    def _read(self, oid: int) -> dict[str, int]:
        home = "temp" if is_temporary(oid) else "main"
        query = f"SELECT enumlabel FROM {home}.helios_enum WHERE enumtypid = ? ORDER BY enumsortorder"
        rows: Any = self._connection.execute(query, (oid,)).fetchall()
        return {label: place for place, (label,) in enumerate(rows)}

    def name(self, oid: int) -> str:
        """A type's name for messages, without its schema."""
        home = "temp" if is_temporary(oid) else "main"
        query = f"SELECT typname FROM {home}.helios_type WHERE oid = ?"
        rows: Any = self._connection.execute(query, (oid & ~1,)).fetchall()
        return (pg_identifier(str(rows[0][0])) if rows else str(oid)) + ("[]" if oid & 1 else "")


class UserFunctions:
    """The functions of one connection."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.labels = EnumLabels(connection)

    # -- input ------------------------------------------------------------------------------------

    def enum_in(self, oid: int, text: Any) -> str | None:
        """A label. Raises 22P02 for a text that is none."""
        if text is None:
            return None
        label = str(text)
        if label not in self.labels.of(oid):
            message = f'invalid input value for enum {self.labels.name(oid)}: "{label}"'
            raise SqlError(message, sqlstate="22P02")
        return label

    def enum_array_in(self, oid: int, text: Any) -> str | None:
        """An array of labels; ``oid`` is the enum's."""
        if text is None:
            return None
        return write_array(read_array(str(text), lambda item: self.enum_in(oid, item)), str)

    def row_in(self, shape: str, text: Any) -> str | None:
        """A row, or an array of rows, every field read by its own type."""
        return None if text is None else rewritten(read_shape(shape), literal_of(text), self.leaf)

    def leaf(self, type_oid: int, typmod: int, text: str) -> str:
        """A text as its type's own text. Raises 22P02 and its kin."""
        if text.startswith(KEPT_BINARY):
            known = registry.by_oid(type_oid)
            data = bytes.fromhex(text.removeprefix(KEPT_BINARY))
            text = known.format_text(known.parse_binary(data)).decode("utf-8", "replace")
        if is_enum(type_oid):
            return str(self.enum_in(type_oid, text))
        if is_enum(type_oid - 1):
            return str(self.enum_array_in(type_oid - 1, text))
        known = registry.by_oid(type_oid)
        value = registry.apply_typmod(type_oid, typmod, known.parse_text(text))
        return known.format_text(value).decode("utf-8", "replace")

    def array_relabel(self, array: Any, old: str, new: str) -> str | None:
        """An array of labels with one of them renamed."""
        if array is None:
            return None
        return write_array(read_array(str(array), lambda item: new if item == old else item), str)

    def row_relabel(self, shape: str, row: Any, oid: int, old: str, new: str) -> str | None:
        """A row, or an array of rows, with a label of the enum renamed wherever it stands."""
        if row is None:
            return None

        def leaf(type_oid: int, _typmod: int, text: str) -> str:
            if type_oid == oid + 1:
                return str(self.array_relabel(text, old, new))
            return new if type_oid == oid and text == old else text

        return rewritten(read_shape(shape), literal_of(row), leaf)

    # -- comparisons ------------------------------------------------------------------------------

    def enum_compare(self, oid: int) -> Compare:
        """The collation of an enum; what is no label (never stored) comes first."""
        labels = self.labels

        def compare(one: str, other: str) -> int:
            if one == other:
                return 0
            order = labels.of(oid)
            return order.get(one, -1) - order.get(other, -1)

        return compare

    def enum_array_compare(self, oid: int) -> Compare:
        """The collation of arrays of an enum (array_cmp)."""
        return array_comparison(self.enum_compare(oid))

    def row_compare(self, shape: str, one: Any, other: Any) -> int | None:
        """record_cmp: field by field, NULL last and equal to NULL; NULL when a row is."""
        if one is None or other is None:
            return None
        return self._order(shape, one, other)

    def row_compare_unlike(self, shape: str, one: Any, other: Any, message: str) -> int | None:
        """The same of rows that are alike in the fields of ``shape`` alone. Raises 42804 when these are equal."""
        if one is None or other is None:
            return None
        order = self._order(shape, one, other)
        if not order:
            raise SqlError(message, sqlstate="42804")
        return order

    def _order(self, shape: str, one: Any, other: Any) -> int:
        fields = read_shape(shape).fields
        pairs = zip(fields, split_record(literal_of(one)), split_record(literal_of(other)), strict=False)
        for field, mine, theirs in pairs:
            order = _nulls_last(mine, theirs, self._field_compare(field))
            if order:
                return order
        return 0

    def _field_compare(self, field: Field) -> Compare:
        if field.shape is not None and field.shape.element is None:
            inner = field.shape.text()
            return lambda one, other: self.row_compare(inner, one, other) or 0
        oid = field.type_oid
        collation = casts.collation_of(oid)
        parse = registry.by_oid(oid).parse_text
        call = NAMED.get(collation) or (self.collation(collation) if collation else None)

        def compare(one: str, other: str) -> int:
            left, right = parse(one), parse(other)
            if call is not None:
                return call(str(left), str(right))
            return int(left > right) - int(left < right)

        return compare

    def collation(self, name: str) -> Compare | None:
        """The comparison behind a collation's name; None for a name that is not ours."""
        for prefix, make in ((_ARRAY_PREFIX, self.enum_array_compare), (_PREFIX, self.enum_compare)):
            if name.startswith(prefix) and name[len(prefix) :].isdigit():
                return make(int(name[len(prefix) :]))
        if name.startswith(_RANGE_PREFIX) and name[len(_RANGE_PREFIX) :].isdigit():
            return ranges.comparison(int(name[len(_RANGE_PREFIX) :]))
        order = order_of(name)
        if order is None or not available():
            return None
        texts = comparison(order.locale, deterministic=order.deterministic, padded=order.padded)
        return array_comparison(texts) if order.arrays else texts

    # -- enum_first and its kin -------------------------------------------------------------------

    def enum_edge(self, types: str, last: int) -> str | None:
        """enum_first and enum_last, by the type of their argument."""
        labels = list(self.labels.of(int(types)))
        return (labels[-1] if last else labels[0]) if labels else None

    def enum_range(self, types: str, low: Any, high: Any) -> str:
        """enum_range: the labels between two, NULL for an open end."""
        oid = int(types.partition(",")[0])
        order = self.labels.of(oid)
        labels = list(order)
        first = 0 if low is None else order.get(str(low), 0)
        last = len(labels) - 1 if high is None else order.get(str(high), -1)
        return write_array_of(labels[first : last + 1])


def write_array_of(labels: list[str]) -> str:
    """The literal of a list of labels."""
    return "{" + ",".join(map(quote_element, labels)) + "}"


def _flat(items: list[Any]) -> list[Any]:
    out: list[Any] = []
    for item in items:
        out += _flat(item) if isinstance(item, list) else [item]
    return out


def array_comparison(element: Compare) -> Compare:
    """The order of arrays whose elements have one (array_cmp)."""

    def compare(one: str, other: str) -> int:
        if one == other:
            return 0
        left, right = _flat(read_array(one, str).items), _flat(read_array(other, str).items)
        for mine, theirs in zip(left, right, strict=False):
            order = _nulls_last(mine, theirs, element)
            if order:
                return order
        return len(left) - len(right)

    return compare


def _nulls_last(mine: str | None, theirs: str | None, compare: Compare) -> int:
    if mine is None or theirs is None:
        return (mine is None) - (theirs is None)
    return compare(mine, theirs)


def register(connection: apsw.Connection) -> UserFunctions:
    """Make the functions and collations known to a connection."""
    functions = UserFunctions(connection)
    table: ScalarTable = {
        "pg_enum_in": (functions.enum_in, 2, True),
        "pg_enum_array_in": (functions.enum_array_in, 2, True),
        "pg_row_in": (functions.row_in, 2, True),
        "pg_row_compare": (functions.row_compare, 3, True),
        "pg_row_compare_unlike": (functions.row_compare_unlike, 4, True),
        "pg_enum_edge": (functions.enum_edge, 2, True),
        "pg_enum_range": (functions.enum_range, 3, True),
        "pg_row_relabel": (functions.row_relabel, 5, True),
        "pg_array_relabel": (functions.array_relabel, 3, True),
        "pg_enum_changed": (functions.labels.changed, 0, False),
    }
    members = Members(functions.leaf)
    table |= {
        "pg_json_rows": (rows_of, 3, True),
        "pg_json_object": (object_of, 2, True),
        "pg_json_field": (members.field, 6, True),
    }
    for name, (call, count, deterministic) in table.items():
        connection.create_scalar_function(name, call, count, deterministic=deterministic)

    def needed(where: apsw.Connection, name: str) -> None:
        compare = functions.collation(name)
        if compare is not None:
            where.create_collation(name, compare)

    connection.collation_needed(needed)
    return functions
