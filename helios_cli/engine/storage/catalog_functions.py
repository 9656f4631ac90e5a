"""SQLite functions that look in the catalog: names of OIDs, definitions, sizes (``functions.system`` names them)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import apsw

from helios_cli.engine.datatypes import registry
from helios_cli.engine.datatypes.usertypes import kind_of
from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.databases import OPEN_ALIASES
from helios_cli.engine.sql.ddl_schema import PUBLIC_OID
from helios_cli.engine.sql.extensions import TYPE_EXTENSIONS
from helios_cli.engine.sql.functions.proc_oids import FUNCTIONS
from helios_cli.engine.sql.privileges import PG_NAMESPACE
from helios_cli.engine.sql.sqltext import pg_identifier
from helios_cli.engine.storage import index_properties, inherit_rows, routine_definitions, text_search_rows
from helios_cli.engine.storage.description_rows import PUBLIC_COMMENT
from helios_cli.engine.storage.object_names import ObjectNames
from helios_cli.engine.storage.privilege_functions import register as register_privileges
from helios_cli.engine.storage.proc_names import ProcNames, or_null
from helios_cli.engine.storage.qualified_text import expression_text, path_of, ruledef, schemas_of, viewdef
from helios_cli.engine.storage.reg_functions import (
    CollationNames,
    by_name,
    names,
    numbers,
    over_elements,
    over_fields,
    reading,
    sending,
)
from helios_cli.engine.storage.relation_sizes import RelationSizes
from helios_cli.engine.storage.routine_definitions import routine_of
from helios_cli.engine.storage.sequences import split_name
from helios_cli.engine.storage.system_definitions import constraintdef, indexdef
from helios_cli.engine.storage.system_relations import SYSTEM_RELATIONS
from helios_cli.engine.storage.type_rows import format_type, is_hidden, shown_text, type_name

if TYPE_CHECKING:
    from helios_cli.engine.storage.system_catalog import SystemCatalog

_CLASS_OIDS = {
    "pg_class": 1259, "pg_constraint": 2606, "pg_namespace": 2615, "pg_database": 1262, "pg_authid": 1260,
    "pg_type": 1247,
    "pg_proc": 1255, "pg_trigger": 2620,
}  # fmt: skip
_SYSTEM_BY_OID = {relation.oid: relation for relation in SYSTEM_RELATIONS.values()}

_ALONG_PATH: Final = ("regclass", "regtype", "regproc", "regprocedure", "regcollation")

_CHARACTER: Final = {1042: "character", 1014: "character[]"}
"""Types that are called bpchar only where somebody says that they have no modifier."""


class _Functions:
    """The functions of one connection; each sees the catalog of the transaction it runs in."""

    def __init__(self, connection: apsw.Connection, system: SystemCatalog) -> None:
        self.connection, self.system = connection, system
        self._sizes = RelationSizes(connection, system)

    # -- names and OIDs ---------------------------------------------------------------------------

    def regclass_in(self, text: str) -> int:
        """A relation's OID by name. Raises 42P01, 3F000."""
        if text == "-" or text.isdigit():
            return int(text) if text != "-" else 0
        found = self.to_regclass(text)
        if found is None:
            schema = split_name(text)[0]
            if schema and schema != "pg_temp" and not self.system.snapshot().schema_oid(schema):
                raise SqlError(f'schema "{schema}" does not exist', sqlstate="3F000")
            raise SqlError(f'relation "{text}" does not exist', sqlstate="42P01")
        return found

    def to_regclass(self, text: str) -> int | None:
        """As :meth:`regclass_in`, NULL for a missing name; numbers are no names."""
        if text == "-" or text.isdigit():
            return None
        return self.system.relation_oid(*split_name(text))

    def regclass_out(self, oid: Any) -> str:
        """A relation's name, qualified where the search path does not find it."""
        if not isinstance(oid, int):
            return str(oid)
        if oid == 0:
            return "-"
        relation = self.system.snapshot().relations.get(oid)
        if relation is not None:
            name = pg_identifier(relation.name)
            shown = relation.schema in (self.system.path or ("public", "pg_temp"))
            return name if shown else f"{pg_identifier(relation.schema)}.{name}"
        known = _SYSTEM_BY_OID.get(oid)
        if known is None:
            return str(oid)
        return known.name if known.schema == "pg_catalog" else f"{known.schema}.{known.name}"

    def regtype_in(self, text: str) -> int:
        """A type's OID by name. Raises 42704."""
        if text.isdigit():
            return int(text)
        try:
            return registry.parse_type_name(text)[0]
        except SqlError:
            found = self._user_type(text)
            if found is None:
                raise
            return found

    def _user_type(self, text: str) -> int | None:
        """The OID of a user's type, or of an array of one, by name."""
        plain = text.strip().removesuffix("[]")
        try:
            schema, name = split_name(plain)
        except SqlError:
            return None
        catalog = self.system.catalog
        catalog.refresh()
        created = catalog.extensions().get(TYPE_EXTENSIONS.get(name, ""))
        if created is not None and schema in (None, created[1]):
            return registry.parse_type_name(name + text.strip()[len(plain) :])[0]
        found = catalog.user_type(schema, name)
        if found is None and name.startswith("_"):
            found = catalog.user_type(schema, name[1:])
            return None if found is None else found.oid + 1
        return None if found is None else found.oid + (plain != text.strip())

    def format_type(self, oid: int, typmod: int | None) -> str:
        """format_type()."""
        if typmod is None and oid in _CHARACTER:
            return _CHARACTER[oid]
        return format_type(self.system.snapshot(), oid, -1 if typmod is None else typmod)

    def type_visible(self, oid: int, path: str) -> int:
        """pg_type_is_visible, by the session's search path (a JSON array)."""
        if not kind_of(oid):
            return 1
        schema, name = type_name(self.system.snapshot(), oid & ~1)
        schemas = schemas_of(path)
        if schema not in schemas or is_hidden(schema, name, schemas):
            return 0
        return int(all(not self._has_type(earlier, name) for earlier in schemas[: schemas.index(schema)]))

    def _has_type(self, schema: str, name: str) -> bool:
        return any((found.schema, found.name) == (schema, name) for found in self.system.snapshot().types.values())

    def to_regtype(self, text: str) -> int | None:
        """As :meth:`regtype_in`, NULL for a missing name."""
        try:
            return self.regtype_in(text)
        except SqlError:
            return None

    def regtype_out(self, oid: Any) -> str:
        """A type's name."""
        if not isinstance(oid, int) or registry.find_oid(oid) is None:
            return str(oid or "-")
        return _CHARACTER.get(oid) or format_type(self.system.snapshot(), oid)

    def regnamespace_in(self, text: str) -> int:
        """A schema's OID by name or number. Raises 3F000."""
        if text == "-" or text.isdigit():
            return int(text) if text != "-" else 0
        name = split_name(text)[1]
        found = self.system.snapshot().schema_oid(name)
        if not found:
            raise SqlError(f'schema "{name}" does not exist', sqlstate="3F000")
        return found

    def regnamespace_out(self, oid: Any) -> str:
        """A schema's name."""
        for known, name, _owner in self.system.snapshot().namespaces:
            if known == oid:
                return pg_identifier(name)
        return str(oid or "-")

    def regrole_in(self, text: str) -> int:
        """A role's OID by name or number. Raises 42704."""
        if text == "-" or text.isdigit():
            return int(text) if text != "-" else 0
        name = split_name(text)[1]
        for role in self.system.snapshot().roles:
            if role["rolname"] == name:
                return int(role["oid"])
        raise SqlError(f'role "{name}" does not exist', sqlstate="42704")

    def regrole_out(self, oid: Any) -> str:
        """A role's name."""
        name = self.system.snapshot().role_names.get(oid)
        return pg_identifier(name) if name is not None else str(oid or "-")

    def plain_in(self, text: str) -> int:
        """OIDs of kinds whose names are not known."""
        return int(text) if text.isdigit() else 0

    def plain_out(self, oid: Any) -> str:
        """The OID itself."""
        return str(oid or "-")

    def userbyid(self, oid: int) -> str:
        """pg_get_userbyid."""
        return self.system.snapshot().role_names.get(oid, f"unknown (OID={oid})")

    # -- definitions ------------------------------------------------------------------------------

    def indexdef(self, oid: int, column: int, pretty: int) -> str | None:
        """pg_get_indexdef."""
        return indexdef(self.system.snapshot(), oid, column, bool(pretty))

    def constraintdef(self, oid: int, pretty: int) -> str | None:
        """pg_get_constraintdef."""
        return constraintdef(self.system.snapshot(), oid, bool(pretty))

    def viewdef(self, oid: int, pretty: int) -> str | None:
        """pg_get_viewdef."""
        return viewdef(self.system.snapshot(), oid, bool(pretty))

    def ruledef(self, oid: int, pretty: int) -> str | None:
        """pg_get_ruledef."""
        return ruledef(self.system.snapshot(), oid, bool(pretty))

    def expr(self, text: str, table_oid: int | None, pretty: int) -> str:
        """pg_get_expr."""
        return expression_text(self.system.snapshot(), table_oid or 0, text, bool(pretty))

    def along_path(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """As ``call``; the last argument is the session's search path, which decides where schemas are printed."""

        def along(*arguments: Any) -> Any:
            system = self.system
            before, system.path = system.path, path_of(arguments[-1])
            try:
                return call(*arguments[:-1])
            finally:
                system.path = before

        return along

    def searching(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """As ``call``; the last argument is the session's search path, along which names are looked for."""

        def along(*arguments: Any) -> Any:
            catalog = self.system.catalog
            before, catalog.search_path = catalog.search_path, tuple(json.loads(arguments[-1]))
            try:
                return call(*arguments[:-1])
            finally:
                catalog.search_path = before

        return along

    def serial_sequence(self, table: str, column: str | None) -> str | None:
        """pg_get_serial_sequence; NULL for a NULL column. Raises 42P01 and 42703."""
        if column is None:
            return None
        oid = self.regclass_in(table)
        snapshot = self.system.snapshot()
        number = snapshot.attnum(oid, column)
        if not number:
            raise SqlError(f'column "{column}" of relation "{table}" does not exist', sqlstate="42703")
        sequence = snapshot.owned_sequence(oid, number)
        return None if sequence is None else f"{pg_identifier(sequence.schema)}.{pg_identifier(sequence.name)}"

    def description(self, oid: int, catalog: str | None, column: int) -> str | None:
        """obj_description and its kin."""
        class_oid = _CLASS_OIDS.get(catalog or "")
        for kind, text in self.system.snapshot().comments.get((oid, column), ()):
            if class_oid is None or kind == class_oid:
                return text
        if oid == PUBLIC_OID and class_oid in (None, PG_NAMESPACE) and not column:
            return PUBLIC_COMMENT
        return text_search_rows.COMMENTS[oid][1] if oid in text_search_rows.COMMENTS and not column else None

    def visible(self, oid: int, path: str) -> int | None:
        """pg_table_is_visible, by the session's search path (a JSON array)."""
        schemas = schemas_of(path)
        system = _SYSTEM_BY_OID.get(oid)
        if system is not None:
            return int(system.schema == "pg_catalog" or system.schema in schemas)
        snapshot = self.system.snapshot()
        relation = snapshot.relations.get(oid)
        if relation is None:
            return None
        if relation.schema not in schemas:
            return 0
        first = next(
            schema for schema in schemas if schema == relation.schema or (schema, relation.name) in snapshot.names
        )
        return int(first == relation.schema)

    def collation_visible(self, oid: int, path: str) -> int:
        """pg_collation_is_visible, by the session's search path (a JSON array)."""
        found = next((one for one in self.system.snapshot().collations if one.oid == oid), None)
        return int(found is None or found.schema in schemas_of(path))

    def function_visible(self, oid: int, path: str) -> int:
        """pg_function_is_visible, by the session's search path (a JSON array)."""
        routine = routine_of(self.system.snapshot(), oid)
        return int(routine is None or routine.schema in (json.loads(path) if path else ["public"]))

    def function_result(self, oid: int) -> str | None:
        """pg_get_function_result."""
        routine = routine_of(self.system.snapshot(), oid)
        if routine is not None:
            return routine_definitions.result(self.system.snapshot(), routine)
        found = self._function(oid)
        if found is None:
            return None
        text = registry.format_type(found.result)
        return f"SETOF {text}" if found.set_returning else text

    def function_arguments(self, oid: int, identity: int) -> str | None:
        """pg_get_function_arguments, or pg_get_function_identity_arguments."""
        routine = routine_of(self.system.snapshot(), oid)
        if routine is not None:
            return routine_definitions.arguments(self.system.snapshot(), routine, identity=bool(identity))
        found = self._function(oid)
        if found is None:
            return None
        shown = [registry.format_type(argument) for argument in found.args]
        if found.variadic:
            shown[-1] = f"VARIADIC {shown[-1]}"
        return ", ".join(shown)

    def with_type_names(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """As ``call``, the users' types in its text by their names."""

        def named(*arguments: Any) -> Any:
            return shown_text(self.system.snapshot(), call(*arguments))

        return named

    def functiondef(self, oid: int) -> str | None:
        """pg_get_functiondef."""
        return routine_definitions.functiondef(self.system.snapshot(), oid)

    def function_sqlbody(self, oid: int) -> str | None:
        """pg_get_function_sqlbody."""
        routine = routine_of(self.system.snapshot(), oid)
        return routine_definitions.sqlbody(routine) if routine is not None else None

    def triggerdef(self, oid: int, pretty: int, path: str) -> str | None:
        """pg_get_triggerdef, by the session's search path (a JSON array)."""
        schemas = json.loads(path) if path else ["public"]
        return routine_definitions.triggerdef(self.system.snapshot(), oid, bool(pretty), schemas)

    def _function(self, oid: int) -> Any:
        return FUNCTIONS.get(oid)

    def sequence_last_value(self, oid: int) -> int | None:
        """pg_sequence_last_value."""
        db = "temp" if oid >= 0x8000_0000 else "main"
        query = f"SELECT last_value FROM {db}.helios_sequence WHERE oid = ? AND is_called"
        row: Any = self.connection.execute(query, (oid,)).fetchone()
        return row[0] if row else None

    # -- sizes ------------------------------------------------------------------------------------

    def size(self, oid: int, of_indexes: int) -> int | None:
        """Bytes of a relation's own pages, or of its indexes' pages, counted by SQLite (dbstat)."""
        snapshot = self.system.snapshot()
        relation = snapshot.relations.get(oid)
        if relation is None:
            return None
        names = [index.sqlite_name for index in snapshot.indexes_of(oid)] if of_indexes else [relation.sqlite_name]
        return sum(map(self._sizes.of, names))

    def database_size(self, database: str | int | None) -> int:
        """Bytes of the file in which all databases are. Raises SqlError 3D000 for one that is not there."""
        databases = self.system.version().snapshot.databases
        known = {one.name for one in databases} | {one.oid for one in databases} | {None, *OPEN_ALIASES}
        if database not in known:
            what = f'"{database}"' if isinstance(database, str) else f"with OID {database}"
            raise SqlError(f"database {what} does not exist", sqlstate="3D000")
        pages: Any = self.connection.execute(
            "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
        ).fetchone()
        return int(pages[0])


def _strict(call: Callable[..., Any]) -> Callable[..., Any]:
    def strict(*arguments: Any) -> Any:
        return None if arguments and arguments[0] is None else call(*arguments)

    return strict


def _register_names(
    connection: apsw.Connection, functions: _Functions, table: dict[str, tuple[Callable[..., Any], int]]
) -> None:
    """All of the table, and what shows and reads names along a session's search path, which comes last."""
    kinds = ("regconfig", "regdictionary", "regoper", "regoperator", "regnamespace", "regrole", *_ALONG_PATH)
    for kind in kinds:
        table[f"pg_{kind}_send"] = (sending(table[f"pg_{kind}_out"][0], table[f"pg_{kind}_in"][0], kind), 1)
        table[f"pg_{kind}_in"] = (reading(table[f"pg_{kind}_in"][0]), 1)
        for way in ("in", "out", "send"):
            table[f"pg_{kind}s_{way}"] = (over_elements(table[f"pg_{kind}_{way}"][0]), 1)
    for kind in ("regconfig", "regdictionary"):
        table[f"pg_{kind}_oid"], table[f"pg_{kind}_named"] = (numbers(kind), 1), (names(kind), 1)
        table[f"pg_{kind}s_in"] = (over_elements(by_name(kind)), 1)
        table[f"pg_{kind}s_oid"] = (over_elements(numbers(kind)), 1)
    for name, (call, count) in table.items():
        connection.create_scalar_function(name, _strict(call), count)
    for kind in _ALONG_PATH:
        for name in (f"pg_{kind}_out", f"pg_{kind}_send", f"pg_{kind}s_out", f"pg_{kind}s_send"):
            connection.create_scalar_function(name, _strict(functions.along_path(table[name][0])), 2)
        for name in (f"pg_{kind}_in", f"pg_{kind}s_in", f"cat_to_{kind}"):
            connection.create_scalar_function(name, _strict(functions.searching(table[name][0])), 2)
    for way in ("out", "send"):
        shown = {f"{mark}{kind}": functions.along_path(table[f"pg_{kind}{mark and 's'}_{way}"][0])
                 for kind in kinds for mark in ("", "_")}  # fmt: skip
        connection.create_scalar_function(f"pg_row_{way}", over_fields(shown), 3)


def register_functions(connection: apsw.Connection, system: SystemCatalog) -> None:
    """Make the ``cat_*``, ``node_*`` and ``pg_reg*`` functions known to a connection, and ``pg_clock``."""
    functions = _Functions(connection, system)
    table: dict[str, tuple[Callable[..., Any], int]] = {
        "pg_regclass_in": (functions.regclass_in, 1), "pg_regclass_out": (functions.regclass_out, 1),
        "pg_regtype_in": (functions.regtype_in, 1), "pg_regtype_out": (functions.regtype_out, 1),
        "cat_format_type": (functions.along_path(functions.format_type), 3),
        "cat_expr": (functions.along_path(functions.expr), 4),
        "cat_type_visible": (functions.type_visible, 2),
        "cat_collation_visible": (functions.collation_visible, 2),
        "pg_regnamespace_in": (functions.regnamespace_in, 1), "pg_regnamespace_out": (functions.regnamespace_out, 1),
        "pg_regrole_in": (functions.regrole_in, 1), "pg_regrole_out": (functions.regrole_out, 1),
        "cat_to_regclass": (functions.to_regclass, 1), "cat_to_regtype": (functions.to_regtype, 1),
        "cat_indexdef": (functions.along_path(functions.indexdef), 4),
        **inherit_rows.functions(functions.system.snapshot),
        **index_properties.functions(functions.system.snapshot),
        "cat_constraintdef": (functions.along_path(functions.constraintdef), 3),
        "cat_viewdef": (functions.along_path(functions.viewdef), 3),
        "cat_ruledef": (functions.along_path(functions.ruledef), 3), "cat_userbyid": (functions.userbyid, 1),
        "cat_serial_sequence": (functions.searching(functions.serial_sequence), 3),
        "cat_description": (functions.description, 3),
        "cat_visible": (functions.visible, 2), "cat_size": (functions.size, 2),
        "cat_database_size": (functions.database_size, 1),
        "cat_function_result": (functions.along_path(functions.with_type_names(functions.function_result)), 2),
        "cat_functiondef": (functions.along_path(functions.with_type_names(functions.functiondef)), 2),
        "cat_function_sqlbody": (functions.along_path(functions.function_sqlbody), 2),
        "cat_function_visible": (functions.function_visible, 2),
        "cat_function_arguments": (functions.along_path(functions.with_type_names(functions.function_arguments)), 3),
        "cat_triggerdef": (functions.triggerdef, 3),
        "cat_sequence_last_value": (functions.sequence_last_value, 1),
        **{f"cat_to_{kind}": (or_null(getattr(functions, f"{kind}_in")), 1)
           for kind in ("regnamespace", "regrole")},
    }  # fmt: skip
    table.update(ObjectNames(system, functions.regtype_in).functions())
    procs = ProcNames(system, functions.regtype_in)
    table.update(procs.functions())
    collations = CollationNames(system)
    table |= {
        "pg_regcollation_in": (collations.read, 1), "pg_regcollation_out": (collations.show, 1),
        "cat_to_regcollation": (or_null(collations.read), 1),
    }  # fmt: skip
    for kind in ("regconfig", "regdictionary"):
        table[f"pg_{kind}_in"] = (functions.plain_in, 1)
        table[f"pg_{kind}_out"] = (functions.plain_out, 1)
    _register_names(connection, functions, table)
    register_privileges(connection, system, functions.regtype_in, procs.by_signature, functions.searching)
    hooks = system.hooks

    def set_config(pid: int, name: str, value: str, local: int) -> str:
        return hooks.set_config(pid, name, value, bool(local), lambda schema: schema in system.snapshot().schema_oids)

    def sleep(seconds: float) -> str:
        hooks.sleep(float(seconds), lambda: connection.is_interrupted)
        # The text of a void.
        return ""

    def signal(pid: int, what: str, caller: int) -> int:
        return int(hooks.signal(pid, what, caller))

    def session_call(pid: int, what: str, *arguments: Any) -> Any:
        return hooks.session_call(pid, what, arguments, lambda: connection.is_interrupted)

    node: dict[str, tuple[Callable[..., Any], int]] = {
        "node_set_config": (set_config, 4), "node_sleep": (_strict(sleep), 1), "node_signal": (signal, 3),
        "node_session": (session_call, -1), "pg_clock": (hooks.clock, 0),
    }  # fmt: skip
    for name, (call, count) in node.items():
        connection.create_scalar_function(name, call, count)
