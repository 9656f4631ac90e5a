"""Names in the kept texts of views and policies: made definite when a text is kept, changed when a name is.

A kept text names relations with their schemas, columns with their FROM items, and no ``*``: so it means the same under
every search path, and whatever columns its tables get later.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.arrays import read_array, write_array
from helios_cli.engine.datatypes.usertypes import pinned_name
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.sql import grammar, tree
from helios_cli.engine.sql.context import IN_QUERY, Context
from helios_cli.engine.sql.ddl_build import TEMP_SCHEMA_NAME, Builder
from helios_cli.engine.sql.expressions import expect_boolean
from helios_cli.engine.sql.from_clause import table_columns
from helios_cli.engine.sql.functions import REGISTRY
from helios_cli.engine.sql.mentions import Mentions, NamedColumn
from helios_cli.engine.sql.names import column_name
from helios_cli.engine.sql.relation import Relation
from helios_cli.engine.sql.scope import RangeItem, Scope
from helios_cli.engine.sql.select import translate_query
from helios_cli.engine.sql.sqltext import constant, pg_identifier
from helios_cli.engine.sql.typed import Node

_HEAD: Final = "SELECT "
"""Before an expression, so that it is parsed as a query."""
_WORD: Final = rb'(?:"(?:[^"]|"")*"|[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*)'
_NAME: Final = re.compile(_WORD + rb"(?:\s*\.\s*" + _WORD + rb")*")
_STAR: Final = re.compile(rb"(?:" + _WORD + rb"\s*\.\s*)*\*")
_PART: Final = re.compile(_WORD)
_QUOTED: Final = re.compile(rb"'(?:[^']|'')*'")
_ALIAS: Final = re.compile(rb"\s+(?:AS\s+)?" + _WORD, re.IGNORECASE)
_TOKEN: Final = re.compile(
    rb"'(?:[^']|'')*'|\$([A-Za-z_]*)\$.*?\$\1\$|--[^\n]*|/\*.*?\*/|" + _WORD + rb"|[(),\[\]]|[^\s]", re.DOTALL
)
_ENDS: Final = frozenset(
    (b"from", b"where", b"group", b"having", b"window", b"union", b"intersect", b"except", b"order", b"limit",
     b"offset", b"fetch", b"for")
)  # fmt: skip
"""Words that end a select list."""

Edit = tuple[int, int, str]
"""Start and end of what is replaced, and by what."""
Moved = tuple[str, str]
"""The schema and the name that a relation gets."""


class KeptText:
    """A query, or a condition over one table's columns, that is kept as text."""

    def __init__(self, builder: Builder, text: str, table: Relation | None = None) -> None:
        """``table`` is that of a condition.

        Raises:
            SqlError: it no longer says anything.
        """
        self._catalog = builder.catalog
        self._head = "" if table is None else _HEAD
        self._own, self._own_name = (table.oid, table.name) if table is not None else (0, "")
        self._data = (self._head + text).encode()
        parsed: Any = grammar.parse(self._head + text)
        self.select: dict[str, Any] = parsed[0]["stmt"]["SelectStmt"]
        self.mentions = Mentions()
        ctx = Context(
            catalog=builder.catalog, functions=builder.functions, parameters_allowed=False, session_form=IN_QUERY,
            unsecured=True, mentions=self.mentions,
        )  # fmt: skip
        scope = Scope(ctx=ctx)
        if table is None:
            translate_query(self.select, scope).resolve_unknowns(ctx)
        else:
            columns = table_columns(table, table.name)
            scope.items, scope.columns = [RangeItem(table.name, columns, table, table.schema)], columns
            expect_boolean(self.select["targetList"][0]["ResTarget"]["val"], scope, "POLICY")
        self._name_grouped()

    def _name_grouped(self) -> None:
        """What stands in GROUP BY is translated there alone: elsewhere in the query it means the same."""
        columns = self.mentions.columns
        for select in tree.walk(self.select):
            if "groupClause" not in select:
                continue
            references = [part["ColumnRef"] for part in tree.walk(select["groupClause"]) if _is_reference(part)]
            known = {
                str(one["fields"]): columns[one["location"]] for one in references if one.get("location") in columns
            }
            sorted_by = [one["SortBy"]["node"] for one in select.get("sortClause", [])]
            # A bare name in ORDER BY is that of a column of the result.
            parts = [
                select.get("targetList"),
                select.get("havingClause"),
                [one for one in sorted_by if "ColumnRef" not in one],
            ]
            for part in tree.walk(parts):
                if _is_reference(part) and str(part["ColumnRef"]["fields"]) in known:
                    columns.setdefault(part["ColumnRef"].get("location", -1), known[str(part["ColumnRef"]["fields"])])

    def settled(self) -> str:
        """The text with every name made definite."""
        edits: list[Edit] = []
        for at, relation in self.mentions.relations.items():
            parts = self._parts(_NAME, at)
            if len(parts) == 1 and relation.kind != "c" and relation.schema not in ("pg_temp", TEMP_SCHEMA_NAME):
                edits.append((at, at, f"{pg_identifier(relation.schema)}."))
        for call, parts in self._calls():
            made = self._catalog.functions(None, tree.strings(call["funcname"])[0])
            if len(parts) == 1 and made and not REGISTRY.candidates(made[0].name):
                edits.append((parts[0][0], parts[0][0], f"{pg_identifier(made[0].schema)}."))
        edits += self._pinned_types()
        for at, columns in self.mentions.stars.items():
            end = self._end(_STAR, at)
            if columns and end:
                edits.append((at, end, ", ".join(_written(column) for column in columns)))
        for at, column in self.mentions.columns.items():
            if at not in self.mentions.stars and column.item and len(self._parts(_NAME, at)) == 1:
                edits.append((at, at, f"{pg_identifier(column.item)}."))
        return self._edited(edits)

    def _pinned_types(self) -> Iterator[Edit]:
        """Users' types are named by their OIDs."""
        for part in tree.walk(self.select):
            fields = part.get("typeName")
            names = tree.strings(fields["names"]) if isinstance(fields, dict) and "names" in fields else []
            if not names or (registry.by_internal_name(names[-1]) is not None and names[:-1] in ([], ["pg_catalog"])):
                continue
            found = self._catalog.user_type(names[-2] if len(names) > 1 else None, names[-1])
            parts = self._parts(_NAME, part["typeName"].get("location", -1))
            if found is not None and parts:
                yield parts[0][0], parts[-1][1], pinned_name(found.oid)

    def with_column(self, relations: Collection[int], old: str, new: str) -> str:
        """The text after a column of some relations was renamed; the columns that the query gives keep their names."""
        if any(_joins_by_name(part, old) for part in tree.walk(self.select)):
            return self._with_old_names(relations)
        edits: list[Edit] = []
        for at, column in self.mentions.columns.items():
            parts = self._parts(_NAME, at)
            if parts and column.name == old and column.relation in relations:
                edits.append((*parts[-1], pg_identifier(new)))
        for at, columns in self.mentions.stars.items():
            end = self._end(_STAR, at)
            if end and any(column.name == old and column.relation in relations for column in columns):
                names = [
                    f"{_written(NamedColumn(column.item, 0, new))} AS {pg_identifier(old)}"
                    if column.name == old and column.relation in relations else _written(column)
                    for column in columns
                ]  # fmt: skip
                edits.append((at, end, ", ".join(names)))
        edited = {start for start, _, _ in edits}
        for target in self._unnamed(old):
            places = (part["ColumnRef"].get("location", -1) for part in tree.walk(target) if _is_reference(part))
            if any(parts[-1][0] in edited for at in places if (parts := self._parts(_NAME, at))):
                end = self._target_end(tree.location(target))
                edits.append((end, end, f" AS {pg_identifier(old)}"))
        return self._edited(edits)

    def with_relations(self, moved: Mapping[int, Moved]) -> str:
        """The text after relations were renamed or moved to another schema; ``moved`` is by OID."""
        edits: list[Edit] = []
        unaliased = {self._own} & moved.keys()
        clashing = set(self._item_names())
        for fields, relation in self._range_vars(moved):
            parts = self._parts(_NAME, fields["location"])
            if not parts:
                continue
            schema, name = moved[relation.oid]
            shown = pg_identifier(name) if schema == "pg_temp" else f"{pg_identifier(schema)}.{pg_identifier(name)}"
            if "alias" not in fields and name != relation.name and name in clashing:
                shown += f" AS {pg_identifier(relation.name)}"
            elif "alias" not in fields:
                unaliased.add(relation.oid)
            edits.append((parts[0][0], parts[-1][1], shown))
        for oid in unaliased:
            edits += self._qualifiers(oid, moved[oid][1])
        return self._edited(edits)

    def with_function(self, old: Moved, new: Moved) -> str:
        """The text after a function was renamed or moved to another schema; kept calls name the schema."""
        shown = ".".join(map(pg_identifier, new))
        calls = [parts for call, parts in self._calls() if tuple(tree.strings(call["funcname"])) in (old, old[1:])]
        return self._edited([(parts[0][0], parts[-1][1], shown) for parts in calls if parts])

    # -- places ---------------------------------------------------------------------------------------------------

    def _calls(self) -> Iterator[tuple[dict[str, Any], list[tuple[int, int]]]]:
        """The calls that are written as such, with the parts of their names."""
        for part in tree.walk(self.select):
            call = part.get("FuncCall")
            if isinstance(call, dict) and call.get("funcformat") != "COERCE_SQL_SYNTAX":
                yield call, self._parts(_NAME, call.get("location", -1))

    def with_label(self, enum: int, old: str, new: str) -> str:
        """The text after a label of an enum was renamed, in arrays too."""
        edits: list[Edit] = []
        for at, type_oid in self.mentions.labels.items():
            found = _QUOTED.match(self._data, at) if at >= 0 else None
            if found is None or type_oid & ~1 != enum:
                continue
            text = found[0].decode()
            if type_oid & 1:
                edits.append((*found.span(), with_label_in_array(text, old, new)))
            elif text == constant(old):
                edits.append((*found.span(), constant(new)))
        return self._edited(edits)

    def _item_names(self) -> Iterator[str]:
        for part in tree.walk(self.select):
            for key, name in (("RangeVar", "relname"), ("alias", "aliasname"), ("CommonTableExpr", "ctename")):
                if isinstance(part.get(key), dict):
                    yield part[key].get(name, "")

    def _range_vars(self, relations: Collection[int]) -> Iterator[tuple[dict[str, Any], Relation]]:
        """The FROM items that are one of some relations."""
        for part in tree.walk(self.select):
            fields = part.get("RangeVar")
            if isinstance(fields, dict):
                found = self.mentions.relations.get(fields.get("location", -1))
                if found is not None and found.oid in relations:
                    yield fields, found

    def _qualifiers(self, relation: int, new: str) -> Iterator[Edit]:
        """Changes of what columns are qualified with: that of a relation becomes another name, without a schema."""
        known = next((one.name for one in self.mentions.relations.values() if one.oid == relation), self._own_name)
        named = {at for at, column in self.mentions.columns.items() if column.item == known}
        rows = {at for at, item in self.mentions.rows.items() if item.name == known}
        stars = {at for at, found in self.mentions.stars.items() if any(one.item == known for one in found)}
        for part in tree.walk(self.select):
            if not _is_reference(part):
                continue
            fields, at = part["ColumnRef"]["fields"], part["ColumnRef"].get("location", -1)
            parts = self._parts(_STAR if "A_Star" in fields[-1] else _NAME, at)
            whole = at in rows and at not in stars and "A_Star" not in fields[-1]
            own = parts if whole else parts[: len(fields) - 1]
            if own and at in named | rows | stars:
                yield own[0][0], own[-1][1], pg_identifier(new)

    def _with_old_names(self, relations: Collection[int]) -> str:
        """The text whose FROM items of some relations give their columns the names that they have had so far."""
        edits: list[Edit] = []
        for fields, relation in self._range_vars(relations):
            parts, alias = self._parts(_NAME, fields["location"]), fields.get("alias", {})
            if not parts or "colnames" in alias:
                continue
            start, end = parts[0][0], parts[-1][1]
            shown = self._data[start:end].decode()
            if "aliasname" in alias:
                following = _ALIAS.match(self._data, end)
                end = following.end() if following is not None else end
            names = ", ".join(pg_identifier(column.name) for column in relation.columns)
            edits.append((start, end, f"{shown} AS {pg_identifier(alias.get('aliasname', relation.name))}({names})"))
        return self._edited(edits)

    def _unnamed(self, name: str) -> Iterator[Node]:
        """The values of select lists that give a column this name without AS."""
        for part in tree.walk(self.select):
            target = part.get("ResTarget")
            if isinstance(target, dict) and "name" not in target and "val" in target and not self._head:
                value = target["val"]
                starred = "ColumnRef" in value and "A_Star" in value["ColumnRef"]["fields"][-1]
                if not starred and column_name(value) == name:
                    yield value

    def _parts(self, form: re.Pattern[bytes], at: int) -> list[tuple[int, int]]:
        """Start and end of each part of the name at a place; none where the parser counts otherwise."""
        end = self._end(form, at)
        return [found.span() for found in _PART.finditer(self._data, at, end)] if end else []

    def _end(self, form: re.Pattern[bytes], at: int) -> int:
        found = form.match(self._data, at) if at >= 0 else None
        return found.end() if found is not None else 0

    def _target_end(self, at: int) -> int:
        """Where the value of a select list that starts at a place ends."""
        depth, end = 0, at
        for token in _TOKEN.finditer(self._data, at):
            word = token[0]
            if depth == 0 and (word in (b",", b")", b"]") or word.lower() in _ENDS):
                break
            depth += {b"(": 1, b"[": 1, b")": -1, b"]": -1}.get(word, 0)
            if not word.startswith((b"--", b"/*")):
                end = token.end()
        return end

    def _edited(self, edits: list[Edit]) -> str:
        data = self._data
        for start, end, text in sorted(set(edits), reverse=True):
            data = data[:start] + text.encode() + data[end:]
        return data.decode().removeprefix(self._head)


def with_label_in_array(quoted: str, old: str, new: str) -> str:
    """An array's constant, in quotes, with one of its labels renamed."""
    labels = read_array(quoted[1:-1].replace("''", "'"), lambda label: new if label == old else label)
    return constant(write_array(labels, str))


def _is_reference(part: Node) -> bool:
    return isinstance(part.get("ColumnRef"), dict)


def _joins_by_name(part: Node, name: str) -> bool:
    join = part.get("JoinExpr")
    return isinstance(join, dict) and (bool(join.get("isNatural")) or name in tree.strings(join.get("usingClause", [])))


def _written(column: NamedColumn) -> str:
    return f"{pg_identifier(column.item)}.{pg_identifier(column.name)}" if column.item else pg_identifier(column.name)


def settled_query(builder: Builder, text: str) -> str:
    """A query as it is kept; one whose names cannot be told keeps its text."""
    try:
        return KeptText(builder, text).settled()
    except HeliosError:
        return text
