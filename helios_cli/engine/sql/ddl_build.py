"""What the planning of one DDL statement gathers: steps, OIDs, notices; and lookups with PostgreSQL's errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from helios_cli.engine.errors import FeatureNotSupported, SqlError
from helios_cli.engine.sql import tree
from helios_cli.engine.sql.context import SESSION_CALL, Context
from helios_cli.engine.sql.ddl_deparse import parse_expression
from helios_cli.engine.sql.ddl_model import ConstraintDef, DdlCatalog, TableDef
from helios_cli.engine.sql.ddl_ownership import owner_steps
from helios_cli.engine.sql.ddl_render import create_index_sql, create_table_sql, database_of
from helios_cli.engine.sql.ddl_schema import CLUSTER_META, TEMP_SCHEMA, new_version
from helios_cli.engine.sql.function_spec import FunctionRegistry
from helios_cli.engine.sql.oids import BOOL
from helios_cli.engine.sql.plan import Kind, Plan
from helios_cli.engine.sql.privileges import Acl
from helios_cli.engine.sql.relation import ColumnInfo, Relation
from helios_cli.engine.sql.rights import Rightful
from helios_cli.engine.sql.stored import translate_for_column
from helios_cli.engine.sql.translators import MODULES as _TRANSLATORS

assert _TRANSLATORS, "the translators register themselves when they are imported"

MAX_IDENTIFIER_BYTES: Final = 63
TEMP_SCHEMA_NAME: Final = "pg_temp"
"""The name under which a session's temporary objects are found; PostgreSQL numbers its own."""

_KIND_NAMES: Final = {
    "r": "table",
    "t": "table",
    "v": "view",
    "m": "materialized view",
    "M": "materialized view",
    "i": "index",
    "S": "sequence",
}
_WRONG_KIND_HINTS: Final = {
    "r": "Use DROP TABLE to remove a table.",
    "t": "Use DROP TABLE to remove a table.",
    "v": "Use DROP VIEW to remove a view.",
    "i": "Use DROP INDEX to remove an index.",
    "S": "Use DROP SEQUENCE to remove a sequence.",
}
_TO_QUOTE: Final = re.compile(r'[."]|^@')
"""What is not put into a SQLite name as it is; ``@`` begins the names of other databases."""
_CALLS: Final = "pg_routine_"
"""How the names of the functions begin that run users' functions."""


@dataclass(slots=True)
class Builder:
    """The state of one DDL statement's planning; ``finish`` makes the plan."""

    catalog: DdlCatalog
    functions: FunctionRegistry
    source: str = ""
    steps: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    fk_off: bool = False
    keys_unchecked: bool = False
    """With ``fk_off``: the rows are not looked at behind it."""
    temp: bool = False
    """Objects made by the statement are temporary."""
    altering: bool = False
    """It is an ALTER TABLE."""
    session: list[str] = field(default_factory=list)
    """Values of the session that steps take as parameters."""
    variables: Any = None
    """The ``inner.Variables`` around the statement, inside a function."""
    variable_keys: tuple[Hashable, ...] = ()
    """What identifies those whose values the steps take, by their numbers."""
    evaluate: Callable[[str], Any] | None = None
    """Computes SQLite's text of an expression that names nothing; None: it cannot be done here."""
    acls: dict[tuple[int, int, int], Acl] = field(default_factory=dict)
    """Rights that the statement has changed so far, by (class, object, column)."""
    last: dict[tuple[int, int], list[str]] = field(default_factory=dict)
    """Steps at the end, behind what makes tables anew: by index and partition, 0 for all (``ddl_part_keys``)."""
    _first_oid: dict[bool, int] = field(default_factory=dict)
    _next_oid: dict[bool, int] = field(default_factory=dict)
    _taken: set[tuple[str, str]] = field(default_factory=set)
    _taken_sqlite: set[str] = field(default_factory=set)
    _touched: set[bool] = field(default_factory=set)

    # -- OIDs and steps ---------------------------------------------------------------------------

    def oid(self, temp: bool | None = None) -> int:
        """A new OID."""
        temp = self.temp if temp is None else temp
        number = self._next_oid.get(temp) or self.catalog.next_oid(temp)
        self._first_oid.setdefault(temp, number)
        self._next_oid[temp] = number + 1
        return number

    def add(self, *steps: str) -> None:
        """Append SQLite statements."""
        self.steps.extend(steps)

    def touch(self, temp: bool) -> None:
        """Note that the catalog of permanent or of temporary objects changes."""
        self._touched.add(temp)

    def use_temp(self) -> None:
        """Make the session's temporary system tables unless they are there."""
        self.temp = True
        if not self.catalog.has_temp_tables() and not any("temp.helios_meta" in step for step in self.steps):
            self.add(*TEMP_SCHEMA)

    def finish(self, tag: str, *, action: object | None = None) -> Plan:
        """The plan; one without steps or action (IF EXISTS found nothing) still sends its tag and notices."""
        steps = [*self.steps, *(step for group in self.last.values() for step in group)]
        if steps:
            if any(f"{SESSION_CALL}(" in step or _CALLS in step for step in steps):
                database = database_of(self.temp)
                steps.append(f"INSERT OR IGNORE INTO {database}.helios_meta VALUES ('stored_calls', 1)")
            for temp, number in sorted(self._next_oid.items()):
                steps += owner_steps(self, temp, self._first_oid[temp], number)
                table = "temp.helios_meta" if temp else CLUSTER_META
                steps.append(f"UPDATE {table} SET value = {number} WHERE key = 'next_oid'")
            for temp in sorted(self._touched or {self.temp}):
                steps.append(new_version(temp, self.catalog.drawn_version()))
        return Plan(
            kind=Kind.DDL,
            tag=tag,
            steps=tuple(steps),
            session_values=tuple(self.session),
            action=action,
            counts_rows=False,
            fk_off=self.fk_off or self.keys_unchecked,
            keys_unchecked=self.keys_unchecked,
            catalog_version=self.catalog.version,
            notices=tuple(self.notices),
        )

    # -- expressions and types --------------------------------------------------------------------

    def context(self) -> Context:
        """A context for resolving types of this statement."""
        return Context(catalog=self.catalog, functions=self.functions, source=self.source, parameters_allowed=False)

    def rightful(self) -> Rightful:
        """What the role may do as which the statement is planned."""
        acting = self.catalog.acting
        return Rightful(self.catalog.privileges, acting.oid, unrestricted=acting.unrestricted)

    def role_oid(self, spec: dict[str, Any]) -> int:
        """The role that a RoleSpec names.

        Raises:
            SqlError: 42704.
        """
        acting = self.catalog.acting
        kind = spec.get("RoleSpec", spec).get("roletype", "ROLESPEC_CSTRING")
        if kind in ("ROLESPEC_CURRENT_USER", "ROLESPEC_CURRENT_ROLE"):
            return acting.oid
        if kind == "ROLESPEC_SESSION_USER":
            return acting.session_oid
        name = role_name(spec)
        role = self.catalog.role(name)
        if role is None:
            raise self.error("42704", f'role "{name}" does not exist')
        return role.oid

    def error(self, sqlstate: str, message: str, at: int = -1, **more: Any) -> SqlError:
        """An error that points at a byte offset of the statement."""
        return self.context().error(sqlstate, message, at, **more)

    def translate(self, table: TableDef, text: str, purpose: str) -> str:
        """A stored PostgreSQL expression over a table as SQLite text."""
        return self.translate_node(table, parse_expression(text), purpose)

    def translate_node(self, table: TableDef | None, node: dict[str, Any], purpose: str) -> str:
        """An expression tree over a table as SQLite text.

        Raises:
            FeatureNotSupported: the translation needs a subquery, which SQLite's DDL cannot have.
        """
        node = lists_for_arrays(node)
        relation = as_relation(table) if table is not None else None
        type_oid = BOOL if purpose in ("CHECK", "PREDICATE") else None
        typed = translate_for_column(
            node, relation, catalog=self.catalog, functions=self.functions, type_oid=type_oid, purpose=purpose,
            source=self.source,
        )  # fmt: skip
        if "json_each(" in typed.sql:
            what = "a subscript or ANY over an array column"
            raise unsupported(f"{what} in a {purpose} expression", "Compare with a list: x IN (1, 2).")
        return typed.sql

    def table_sql(
        self, table: TableDef, *, sqlite_name: str | None = None, defaults: dict[str, str] | None = None
    ) -> str:
        """CREATE TABLE for a definition."""
        # The module that says it needs the one that this one needs.
        from helios_cli.engine.sql.ddl_part_keys import referred

        def refers_to(constraint: ConstraintDef) -> tuple[str, list[str]]:
            oid = constraint.ref_oid
            target = table if oid == table.oid else self.catalog.table_def(oid)
            if target is None:
                raise SqlError(f"relation with OID {oid} does not exist", sqlstate="42P01")
            return referred(self.catalog, constraint, target)

        return create_table_sql(table, self.translate, refers_to, sqlite_name=sqlite_name, defaults=defaults)

    def index_sql(self, table: TableDef, position: int) -> str:
        """CREATE INDEX for the index at a position of ``table.indexes``."""
        index = table.indexes[position]
        if index.excludes:
            # The module that writes them needs this one.
            from helios_cli.engine.sql.ddl_exclusion import exclusion_sql

            return exclusion_sql(self, table, index)
        return create_index_sql(table, index, self.translate)

    # -- names ------------------------------------------------------------------------------------

    def creation_schema(self, range_var: dict[str, Any]) -> str:
        """The schema a new object goes to; checks that user objects may be made there.

        Raises:
            SqlError: 3F000 no such schema, 42501 a system schema.
        """
        named = range_var.get("schemaname")
        if self.is_temporary(range_var):
            if named not in (None, TEMP_SCHEMA_NAME):
                message = "cannot create temporary relation in non-temporary schema"
                raise self.error("42P16", message, range_var.get("location", -1))
            self.use_temp()
            return TEMP_SCHEMA_NAME
        schema = named or self.default_schema()
        if schema in ("pg_catalog", "information_schema"):
            shown = f"{schema}.{range_var['relname']}"
            raise self.error(
                "42501",
                f'permission denied to create "{shown}"',
                detail="System catalog modifications are currently disallowed.",
            )
        if self.catalog.schema_oid(schema) is None:
            raise self.error("3F000", f'schema "{schema}" does not exist', range_var.get("location", -1))
        return str(schema)

    def is_temporary(self, range_var: dict[str, Any]) -> bool:
        """Whether what a RangeVar names is to be made among the temporary objects.

        A name without a schema is when the search path begins with pg_temp.
        """
        named = range_var.get("schemaname") or next(iter(self.catalog.search_path), None)
        return range_var.get("relpersistence") == "t" or named == TEMP_SCHEMA_NAME

    def default_schema(self) -> str:
        """The first schema of the search path that exists.

        Raises:
            SqlError: 3F000, none exists.
        """
        for schema in self.catalog.search_path:
            if schema not in ("pg_catalog", TEMP_SCHEMA_NAME) and self.catalog.schema_oid(schema) is not None:
                return schema
        raise self.error("3F000", "no schema has been selected to create in")

    def check_name(self, name: str) -> None:
        """Refuse names that belong to the node or to SQLite.

        Raises:
            SqlError: 42939.
        """
        if name.lower().startswith(("helios_", "sqlite_")):
            raise self.error(
                "42939",
                f'unacceptable relation name "{name}"',
                detail='The prefixes "helios_" and "sqlite_" are reserved.',
            )

    def sqlite_name(self, schema: str, name: str, temp: bool | None = None) -> str:
        """A free SQLite name for a relation: ``name`` in public, ``schema.name`` elsewhere, and in another database
        than the first one its prefix before that. So a temporary one hides none of public in SQLite's eyes.

        SQLite's names ignore case, so a second name that differs only in case gets ``~2`` and so on.
        """
        temp = self.temp if temp is None else temp
        parts = [f'"{part}"' if _TO_QUOTE.search(part) else part for part in (schema, name)]
        plain = schema == "public" and "." not in name
        base = candidate = ("" if temp else self.catalog.name_prefix) + (name if plain else ".".join(parts))
        count = 1
        while candidate.lower() in self._taken_sqlite or self.catalog.sqlite_name_taken(candidate, temp):
            count += 1
            candidate = f"{base}~{count}"
        self._taken_sqlite.add(candidate.lower())
        return candidate

    def name_is_free(self, schema: str, name: str) -> bool:
        """Whether no relation, and nothing this statement makes, has the name."""
        return (schema, name) not in self._taken and self.catalog.object_kind(schema, name) is None

    def claim_name(self, schema: str, name: str) -> None:
        """Take a relation name.

        Raises:
            SqlError: 42P07 it is taken.
        """
        self.check_name(name)
        if not self.name_is_free(schema, name):
            raise self.error("42P07", f'relation "{name}" already exists')
        self._taken.add((schema, name))

    def choose_relation_name(self, schema: str, *parts: str) -> str:
        """A free name made of parts, as ChooseRelationName does: ``t_a_key``, then ``t_a_key1`` ..."""
        count = 0
        while True:
            name = make_object_name(parts, str(count) if count else "")
            if self.name_is_free(schema, name):
                self._taken.add((schema, name))
                return name
            count += 1

    # -- finding ----------------------------------------------------------------------------------

    def find_relation(self, range_var: dict[str, Any], missing_ok: bool = False) -> Relation | None:
        """The relation a RangeVar names; None only with ``missing_ok``, after a notice.

        Raises:
            SqlError: 42P01.
        """
        schema, name = range_var.get("schemaname"), range_var["relname"]
        found = self.catalog.relation(schema, name)
        if found is not None:
            return found
        shown = f"{schema}.{name}" if schema else name
        if missing_ok:
            self.notices.append(f'relation "{shown}" does not exist, skipping')
            return None
        raise self.error("42P01", f'relation "{shown}" does not exist', range_var.get("location", -1))

    def find_table(self, range_var: dict[str, Any], missing_ok: bool = False) -> TableDef | None:
        """The table a RangeVar names.

        Raises:
            SqlError: 42P01 missing, 42809 not a table, 42501 a system catalog.
        """
        relation = self.find_relation(range_var, missing_ok)
        if relation is None:
            return None
        if relation.kind == "c":
            raise self.error("42501", f'permission denied: "{relation.name}" is a system catalog')
        table = self.catalog.table_def(relation.oid)
        if table is None:
            raise self.error("42809", f'"{relation.name}" is not a table')
        self.temp = table.temp
        self.touch(table.temp)
        return table


def lists_for_arrays(node: Any) -> Any:
    """A copy of a tree with ``x = ANY (ARRAY[...])`` as ``x IN (...)``, its twin that needs no subquery in SQLite.

    PostgreSQL prints IN in the first form, so that is how stored expressions hold it.
    """
    if isinstance(node, list):
        return [lists_for_arrays(item) for item in node]
    if not isinstance(node, dict):
        return node
    copied = {key: lists_for_arrays(value) for key, value in node.items()}
    fields = copied.get("A_Expr")
    if isinstance(fields, dict) and fields.get("kind") in ("AEXPR_OP_ANY", "AEXPR_OP_ALL"):
        wanted = "=" if fields["kind"] == "AEXPR_OP_ANY" else "<>"
        array = fields["rexpr"]
        while "TypeCast" in array:
            array = array["TypeCast"]["arg"]
        if (
            "A_ArrayExpr" in array
            and tree.strings(fields["name"])[-1] == wanted
            and array["A_ArrayExpr"].get("elements")
        ):
            items = {"List": {"items": array["A_ArrayExpr"]["elements"]}}
            copied["A_Expr"] = {**fields, "kind": "AEXPR_IN", "rexpr": items}
    return copied


def make_object_name(parts: Iterable[str], suffix: str = "") -> str:
    """Join name parts with underscores and cut the longest until 63 bytes hold them (makeObjectName, indexcmds.c).

    The last part is the label ('key', 'idx'), which is never cut.
    """
    *names, label = [part for part in parts if part]
    tail = f"_{label}{suffix}"
    while len("_".join(names).encode()) + len(tail.encode()) > MAX_IDENTIFIER_BYTES:
        longest = max(range(len(names)), key=lambda index: len(names[index].encode()))
        names[longest] = names[longest][:-1]
    return "_".join(names) + tail


def as_relation(table: TableDef) -> Relation:
    """A definition as the planner sees tables."""
    columns = tuple(
        ColumnInfo(
            column.name,
            column.type_oid,
            column.typmod,
            column.not_null,
            column.default,
            column.identity,
            column.attnum,
            collation=column.collation,
        )
        for column in table.columns
    )
    return Relation(table.oid, table.schema, table.name, "t" if table.temp else "r", columns, (), table.sqlite_name)


def kind_name(kind: str) -> str:
    """'table', 'view', 'index' or 'sequence'."""
    return _KIND_NAMES.get(kind, "relation")


def wrong_kind_hint(kind: str) -> str | None:
    """PostgreSQL's hint when DROP names an object of this kind by another kind's command."""
    return _WRONG_KIND_HINTS.get(kind)


def list_names(node: dict[str, Any]) -> list[str]:
    """The strings of a List node: a possibly qualified name."""
    return tree.strings(node["List"]["items"])


def range_var_of(names: list[str]) -> dict[str, Any]:
    """A RangeVar's fields for a possibly qualified name."""
    fields: dict[str, Any] = {"relname": names[-1], "location": -1}
    if len(names) > 1:
        fields["schemaname"] = names[-2]
    return fields


def role_name(spec: dict[str, Any]) -> str:
    """The role a RoleSpec names; keywords come back as ``current_user`` and the like."""
    fields = spec.get("RoleSpec", spec)
    kind = fields.get("roletype", "ROLESPEC_CSTRING")
    if kind == "ROLESPEC_CSTRING":
        return str(fields["rolename"])
    return {"ROLESPEC_PUBLIC": "public", "ROLESPEC_SESSION_USER": "session_user"}.get(kind, "current_user")


_OBJECT_WORDS: Final = {
    "OBJECT_TSCONFIGURATION": "TEXT SEARCH CONFIGURATION", "OBJECT_TSDICTIONARY": "TEXT SEARCH DICTIONARY",
    "OBJECT_TSPARSER": "TEXT SEARCH PARSER", "OBJECT_TSTEMPLATE": "TEXT SEARCH TEMPLATE",
    "OBJECT_STATISTIC_EXT": "STATISTICS", "OBJECT_OPCLASS": "OPERATOR CLASS", "OBJECT_OPFAMILY": "OPERATOR FAMILY",
    "OBJECT_FDW": "FOREIGN DATA WRAPPER", "OBJECT_FOREIGN_SERVER": "SERVER",
}  # fmt: skip


def object_words(kind: str) -> str:
    """The words of SQL for a kind of object (``OBJECT_...``)."""
    return _OBJECT_WORDS.get(kind) or kind.removeprefix("OBJECT_").replace("_", " ")


def unsupported(what: str, hint: str | None = None) -> FeatureNotSupported:
    """A 0A000 that names what cannot be done."""
    return FeatureNotSupported(f"{what} is not supported", hint=hint)
