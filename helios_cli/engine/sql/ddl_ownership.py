"""Who owns what a statement makes, and what a role has to own or be given to change the schema.

The checks look at the tree alone and come before the statement is planned, as PostgreSQL's do: a missing object is left
to whoever plans the statement. For superusers there are none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql import privileges, tree
from helios_cli.engine.sql.authority import BOOTSTRAP, PREDEFINED
from helios_cli.engine.sql.ddl_render import database_of
from helios_cli.engine.sql.extensions import EXTENSIONS
from helios_cli.engine.sql.privileges import CREATE, PG_CLASS, PG_DATABASE, REFERENCES, TEMPORARY, TRIGGER
from helios_cli.engine.sql.relation import Relation
from helios_cli.engine.sql.rights import KIND_WORDS, Rightful, denied, not_owner
from helios_cli.engine.sql.sqltext import constant

if TYPE_CHECKING:
    from helios_cli.engine.sql.ddl_build import Builder

_RELATIONS: Final = ("OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_SEQUENCE", "OBJECT_MATVIEW")


# -- owners of what is made -------------------------------------------------------------------------------------------


def owner_steps(builder: Builder, temp: bool, first: int, end: int) -> list[str]:
    """Statements that give what was made with an OID in a range to its owner, and its default privileges.

    An index belongs to whom its table belongs to, and so does a sequence of a column.
    """
    catalog = builder.catalog
    role = catalog.acting.oid
    if role == BOOTSTRAP and len(catalog.privileges.authority().by_oid) <= len(PREDEFINED) + 1:
        return default_steps(builder, temp, first, end)
    table = f"{database_of(temp)}.helios_relation"
    made = f"oid >= {first} AND oid < {end}"
    steps = [f"UPDATE {table} SET relowner = {role} WHERE {made}"] if role != BOOTSTRAP else []
    for kind, parts, reference in (("i", "helios_index", "relid"), ("S", "helios_sequence", "owner_relid")):
        owner = (
            f"SELECT t.relowner FROM {database_of(temp)}.{parts} p JOIN {table} t ON t.oid = p.{reference} "
            "WHERE p.oid = made.oid"
        )
        steps.append(
            f"UPDATE {table} AS made SET relowner = coalesce(({owner}), relowner) "
            f"WHERE {made} AND relkind = {constant(kind)}"
        )
    return steps + default_steps(builder, temp, first, end)


def default_steps(builder: Builder, temp: bool, first: int, end: int) -> list[str]:
    """Statements that give what is made with an OID in a range the default privileges of whoever makes it."""
    facts, role = builder.catalog.privileges, builder.catalog.acting.oid
    steps = []
    for letter, kind, kinds in (("r", privileges.TABLE, "'r', 'v', 'm'"), ("S", privileges.SEQUENCE, "'S'")):
        schemas = facts.default_schemas(role, letter)
        if not schemas:
            continue
        whole = facts.default_acl(role, 0, letter)
        base = whole if whole is not None else privileges.default_acl(kind, role)
        for schema, name in schemas:
            acl = base
            for item in (facts.default_acl(role, schema, letter) or ()) if schema else ():
                acl = privileges.granted(acl, item, role)
            acl = tuple(sorted(acl, key=lambda item: (item.grantee, item.grantor)))
            others = ", ".join(constant(other) for known, other in schemas if known)
            where = f"nspname = {constant(name)}" if schema else f"nspname NOT IN ({others or 'NULL'})"
            if not schema and not others:
                where = "1"
            steps.append(
                f"INSERT OR REPLACE INTO {database_of(temp)}.helios_privilege SELECT {PG_CLASS}, oid, 0, "
                f"{constant(privileges.dump(acl))} FROM {database_of(temp)}.helios_relation "
                f"WHERE oid >= {first} AND oid < {end} AND relkind IN ({kinds}) AND {where}"
            )
    return steps


def function_defaults(builder: Builder, oid: int, schema: str) -> list[str]:
    """Statements that give a new function the default privileges of whoever makes it."""
    facts, role = builder.catalog.privileges, builder.catalog.acting.oid
    whole = facts.default_acl(role, 0, "f")
    found = facts.schema_owner(schema)
    inside = facts.default_acl(role, found[0], "f") if found is not None else None
    if whole is None and inside is None:
        return []
    acl = whole if whole is not None else privileges.default_acl(privileges.FUNCTION, role)
    for item in inside or ():
        acl = privileges.granted(acl, item, role)
    text = constant(privileges.dump(tuple(sorted(acl, key=lambda item: (item.grantee, item.grantor)))))
    return [f"INSERT OR REPLACE INTO main.helios_privilege VALUES ({privileges.PG_PROC}, {oid}, 0, {text})"]


def give_away(builder: Builder, relation: Relation, role: int) -> None:
    """Make a role the owner of a relation, and of what goes with it."""
    temp = relation.oid >= 0x8000_0000
    db = database_of(temp)
    facts = builder.catalog.privileges
    old = facts.relation_owner(relation.oid)
    builder.touch(temp)
    builder.add(
        f"UPDATE {db}.helios_relation SET relowner = {role} WHERE oid = {relation.oid} OR oid IN "
        f"(SELECT oid FROM {db}.helios_index WHERE relid = {relation.oid} "
        f"UNION SELECT oid FROM {db}.helios_sequence WHERE owner_relid = {relation.oid})"
    )
    acls = {0: facts.acl(PG_CLASS, relation.oid), **facts.column_acls(relation.oid)}
    for number, acl in acls.items():
        if acl is not None:
            text = constant(privileges.dump(privileges.with_owner(acl, old, role)))
            where = f"classid = {PG_CLASS} AND objid = {relation.oid} AND objsubid = {number}"
            builder.add(f"UPDATE {db}.helios_privilege SET acl = {text} WHERE {where}")


# -- checks -----------------------------------------------------------------------------------------------------------


class Guard:
    """Checks one statement of a role that may not do everything."""

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self.catalog = builder.catalog
        self.rightful: Rightful = builder.rightful()

    def find(self, fields: dict[str, Any]) -> Relation | None:
        """The relation of a RangeVar; None: there is none."""
        return self.catalog.relation(fields.get("schemaname"), fields["relname"])

    def owner_of(self, relation: Relation) -> int:
        """The owner of a relation."""
        return BOOTSTRAP if relation.kind == "c" else self.catalog.privileges.relation_owner(relation.oid)

    def owns(self, relation: Relation | None, word: str = "") -> None:
        """Raise SqlError 42501 unless the role owns a relation."""
        if relation is not None and not self.rightful.owns(self.owner_of(relation)):
            raise not_owner(word or KIND_WORDS.get(relation.kind, "table"), relation.name)

    def owns_index(self, schema: str | None, name: str) -> None:
        """Raise SqlError 42501 unless the role owns an index."""
        index = self.catalog.index_def(schema, name)
        if index is not None and not self.rightful.owns(self.catalog.privileges.relation_owner(index.oid)):
            raise not_owner("index", name)

    def owns_type(self, names: list[str]) -> None:
        """Raise SqlError 42501 unless the role owns a type or domain."""
        found = self.catalog.user_type(names[-2] if len(names) > 1 else None, names[-1])
        if found is not None and not found.relation and not self.rightful.owns(found.owner):
            raise not_owner("type", found.name)

    def owns_schema(self, name: str) -> None:
        """Raise SqlError 42501 unless the role owns a schema."""
        found = self.catalog.privileges.schema_owner(name)
        if found is not None and not self.rightful.owns(found[1]):
            raise not_owner("schema", name)

    def creates_in(self, range_var: dict[str, Any]) -> None:
        """Raise SqlError 42501 unless the role may make what a RangeVar names."""
        named = range_var.get("schemaname")
        if self.builder.is_temporary(range_var):
            if not self._held(TEMPORARY):
                message = f'permission denied to create temporary tables in database "{self.catalog.database.name}"'
                raise SqlError(message, sqlstate="42501")
            return
        self.creates_in_schema(named or self.builder.default_schema())

    def creates_in_schema(self, name: str) -> None:
        """Raise SqlError 42501 unless the role may make things in a schema."""
        if name not in ("pg_catalog", "information_schema"):
            self.rightful.check_schema(name, CREATE)

    def rightful_database(self) -> None:
        """Raise SqlError 42501 unless the role may make schemas."""
        if not self.may_make_schemas():
            raise denied("database", self.catalog.database.name)

    def may_make_schemas(self) -> bool:
        """Whether the role may make schemas, and extensions."""
        return self._held(CREATE)

    def _held(self, right: int) -> bool:
        """Whether the role has a right on the database that it is in."""
        database = self.catalog.database
        return bool(self.rightful.held(privileges.DATABASE, PG_DATABASE, database.oid, database.owner, right))

    def may_make_roles(self) -> None:
        """Raise SqlError 42501 unless the role may make roles."""
        facts = self.rightful.authority.by_oid.get(self.rightful.role)
        if facts is None or not facts.create_role:
            raise SqlError("must have CREATEROLE privilege", sqlstate="42501")

    def owns_extension(self, name: str) -> None:
        """Raise SqlError 42501 unless the role owns an extension: all are the bootstrap role's."""
        if name in self.catalog.extensions() and not self.rightful.owns(BOOTSTRAP):
            raise not_owner("extension", name)

    def references(self, fields: dict[str, Any]) -> None:
        """Raise SqlError 42501 unless the role may point a foreign key's columns at a table's."""
        target = self.find(fields["pktable"])
        if target is None or self.rightful.relation_held(target.oid, target.kind, target.name, REFERENCES):
            return
        names = tree.strings(fields.get("pk_attrs", [])) or _primary_key(target)
        for column in target.columns:
            if column.name in names and not self.rightful.column_held(target.oid, column.attnum, REFERENCES):
                raise denied("table", target.name)


def _primary_key(relation: Relation) -> list[str]:
    return [name for index in relation.indexes if index.primary for name in index.columns if name is not None]


def check(builder: Builder, kind: str, fields: dict[str, Any]) -> None:
    """Raise SqlError 42501 unless the role may run a statement that changes the schema."""
    checker = _CHECKS.get(kind)
    if checker is not None and not builder.catalog.acting.unrestricted:
        checker(Guard(builder), fields)


def _constraints(guard: Guard, nodes: list[Any]) -> None:
    for part in tree.walk(nodes):
        constraint = part.get("Constraint")
        if isinstance(constraint, dict) and "pktable" in constraint:
            guard.references(constraint)


def _create_table(guard: Guard, fields: dict[str, Any]) -> None:
    guard.creates_in(fields["relation"])
    _constraints(guard, fields.get("tableElts", []))


def _alter_table(guard: Guard, fields: dict[str, Any]) -> None:
    if fields.get("objtype") == "OBJECT_INDEX":
        guard.owns_index(fields["relation"].get("schemaname"), fields["relation"]["relname"])
    relation = guard.find(fields["relation"])
    guard.owns(relation)
    _constraints(guard, fields["cmds"])
    if relation is not None and relation.oid < 0x8000_0000 and any(_makes_relation(cmd) for cmd in fields["cmds"]):
        guard.creates_in_schema(relation.schema)
    for node in fields["cmds"]:
        if node["AlterTableCmd"]["subtype"] == "AT_ChangeOwner" and relation is not None:
            check_new_owner(guard, node["AlterTableCmd"]["newowner"], relation.schema)


def _makes_relation(node: dict[str, Any]) -> bool:
    """Whether a part of ALTER TABLE makes a sequence or an index, which lie in the table's schema."""
    from helios_cli.engine.sql.ddl_columns import SERIAL

    command = node["AlterTableCmd"]
    made = command.get("def", {})
    if "ColumnDef" in made:
        column = made["ColumnDef"]
        names = tree.strings(column["typeName"]["names"]) if "typeName" in column else [""]
        if command["subtype"] == "AT_AddColumn" and names[-1] in SERIAL:
            return True
        constraints = [part["Constraint"] for part in column.get("constraints", [])]
    else:
        constraints = [made["Constraint"]] if "Constraint" in made else []
    return command["subtype"] in ("AT_AddColumn", "AT_AddConstraint", "AT_AddIdentity") and any(
        part["contype"] in _WITH_RELATIONS and "indexname" not in part for part in constraints
    )


_WITH_RELATIONS: Final = ("CONSTR_PRIMARY", "CONSTR_UNIQUE", "CONSTR_EXCLUSION", "CONSTR_IDENTITY")


def check_new_owner(guard: Guard, spec: dict[str, Any], schema: str | None) -> None:
    """Raise SqlError 42501 unless the role may give something away to another."""
    role = guard.builder.role_oid(spec)
    if not guard.rightful.authority.is_member(guard.rightful.role, role):
        name = guard.rightful.authority.name(role)
        raise SqlError(f'must be member of role "{name}"', sqlstate="42501")
    if schema is not None and schema != "pg_temp":
        Rightful(guard.catalog.privileges, role).check_schema(schema, CREATE)


def new_owner(builder: Builder, spec: dict[str, Any], old: int, schema: str) -> int:
    """The role that is to own what lies in a schema and was another's.

    Raises:
        SqlError: 42501 the role that gives it away is no member of it, or it may not make things in the schema.
    """
    role = builder.role_oid(spec)
    if role != old and not builder.catalog.acting.unrestricted:
        check_new_owner(Guard(builder), spec, schema)
    return role


def _create_index(guard: Guard, fields: dict[str, Any]) -> None:
    relation = guard.find(fields["relation"])
    guard.owns(relation)
    if relation is not None and relation.oid < 0x8000_0000:
        guard.creates_in_schema(relation.schema)


def _reindex(guard: Guard, fields: dict[str, Any]) -> None:
    if "relation" in fields:
        guard.owns(guard.find(fields["relation"]))


def _drop(guard: Guard, fields: dict[str, Any]) -> None:
    kind = fields["removeType"]
    for node in fields["objects"]:
        if kind == "OBJECT_SCHEMA":
            guard.owns_schema(node["String"]["sval"])
        elif kind == "OBJECT_EXTENSION":
            guard.owns_extension(node["String"]["sval"])
        elif kind in (*_RELATIONS, "OBJECT_INDEX"):
            names = tree.strings(node["List"]["items"])
            schema = names[-2] if len(names) > 1 else None
            if kind == "OBJECT_INDEX":
                guard.owns_index(schema, names[-1])
            else:
                _owns_or_schema(guard, guard.catalog.relation(schema, names[-1]))
        elif kind in ("OBJECT_TYPE", "OBJECT_DOMAIN"):
            guard.owns_type(tree.strings(node["TypeName"]["names"]))
        elif kind in ("OBJECT_TRIGGER", "OBJECT_RULE", "OBJECT_POLICY"):
            names = tree.strings(node["List"]["items"])
            schema = names[-3] if len(names) > 2 else None
            guard.owns(guard.catalog.relation(schema, names[-2]), "relation")


def _owns_or_schema(guard: Guard, relation: Relation | None) -> None:
    """Whoever owns the schema may drop what is in it."""
    if relation is None:
        return
    found = guard.catalog.privileges.schema_owner(relation.schema)
    if found is None or not guard.rightful.owns(found[1]):
        guard.owns(relation)


def _create_view(guard: Guard, fields: dict[str, Any]) -> None:
    old = guard.find(fields["view"]) if fields.get("replace") else None
    guard.creates_in(fields["view"])
    guard.owns(old)


def _rename(guard: Guard, fields: dict[str, Any]) -> None:
    kind = fields["renameType"]
    if kind == "OBJECT_SCHEMA":
        guard.owns_schema(fields["subname"])
        guard.rightful_database()
    elif kind == "OBJECT_INDEX":
        guard.owns_index(fields["relation"].get("schemaname"), fields["relation"]["relname"])
        index = guard.catalog.index_def(fields["relation"].get("schemaname"), fields["relation"]["relname"])
        if index is not None and index.schema != "pg_temp":
            guard.creates_in_schema(index.schema)
    elif "relation" in fields:
        relation = guard.find(fields["relation"])
        guard.owns(relation)
        if kind in _RELATIONS and relation is not None and relation.schema != "pg_temp":
            guard.creates_in_schema(relation.schema)


def _set_schema(guard: Guard, fields: dict[str, Any]) -> None:
    if "relation" in fields:
        guard.owns(guard.find(fields["relation"]))
    if guard.catalog.schema_oid(fields["newschema"]) is not None:
        guard.creates_in_schema(fields["newschema"])


def _create_extension(guard: Guard, fields: dict[str, Any]) -> None:
    name = fields["extname"]
    if name in guard.catalog.extensions() or name not in EXTENSIONS:
        return  # There is nothing to be allowed.
    if not guard.may_make_schemas():
        hint = "Must have CREATE privilege on current database to create this extension."
        raise SqlError(f'permission denied to create extension "{name}"', sqlstate="42501", hint=hint)


def _create_schema(guard: Guard, fields: dict[str, Any]) -> None:
    guard.rightful_database()
    if fields.get("authrole"):
        check_new_owner(guard, fields["authrole"], None)


def _comment(guard: Guard, fields: dict[str, Any]) -> None:
    kind, node = fields["objtype"], fields["object"]
    items = node["List"]["items"] if "List" in node else []
    names = tree.strings(items) if all("String" in item for item in items) else []
    if kind == "OBJECT_DOMCONSTRAINT":
        guard.owns_type(tree.strings(items[0]["TypeName"]["names"]))
    elif kind == "OBJECT_SCHEMA":
        guard.owns_schema(node["String"]["sval"])
    elif kind == "OBJECT_DATABASE":
        raise not_owner("database", node["String"]["sval"])
    elif kind in ("OBJECT_TYPE", "OBJECT_DOMAIN"):
        guard.owns_type(tree.strings(node["TypeName"]["names"]))
    elif kind == "OBJECT_ROLE":
        guard.may_make_roles()
    elif kind in ("OBJECT_COLUMN", "OBJECT_TABCONSTRAINT", "OBJECT_TRIGGER", "OBJECT_POLICY") and len(names) > 1:
        schema = names[-3] if len(names) > 2 else None
        guard.owns(guard.catalog.relation(schema, names[-2]), "relation")
    elif kind == "OBJECT_INDEX":
        guard.owns_index(names[-2] if len(names) > 1 else None, names[-1])
    elif names and kind in ("OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_SEQUENCE", "OBJECT_MATVIEW"):
        guard.owns(guard.catalog.relation(names[-2] if len(names) > 1 else None, names[-1]))


def _create_trigger(guard: Guard, fields: dict[str, Any]) -> None:
    relation = guard.find(fields["relation"])
    if relation is not None and not guard.rightful.relation_held(relation.oid, relation.kind, relation.name, TRIGGER):
        raise denied(KIND_WORDS.get(relation.kind, "table"), relation.name)


def _named(key: str) -> Callable[[Guard, dict[str, Any]], None]:
    """A check of the schema in which a list of names makes something."""

    def check_schema(guard: Guard, fields: dict[str, Any]) -> None:
        names = tree.strings(fields[key])
        guard.creates_in_schema(names[-2] if len(names) > 1 else guard.builder.default_schema())

    return check_schema


_CHECKS: Final[dict[str, Callable[[Guard, dict[str, Any]], None]]] = {
    "CreateStmt": _create_table,
    "AlterTableStmt": _alter_table,
    "IndexStmt": _create_index,
    "ReindexStmt": _reindex,
    "DropStmt": _drop,
    "CreateSeqStmt": lambda guard, fields: guard.creates_in(fields["sequence"]),
    "AlterSeqStmt": lambda guard, fields: guard.owns(guard.find(fields["sequence"])),
    "CreateTableAsStmt": lambda guard, fields: guard.creates_in(fields["into"]["rel"]),
    "SelectStmt": lambda guard, fields: guard.creates_in(fields["intoClause"]["rel"]),
    "RefreshMatViewStmt": lambda guard, fields: guard.owns(guard.find(fields["relation"])),
    "ViewStmt": _create_view,
    "RenameStmt": _rename,
    "AlterObjectSchemaStmt": _set_schema,
    "CreateSchemaStmt": _create_schema,
    "CommentStmt": _comment,
    "CreateTrigStmt": _create_trigger,
    "CreatePolicyStmt": lambda guard, fields: guard.owns(guard.find(fields["table"])),
    "AlterPolicyStmt": lambda guard, fields: guard.owns(guard.find(fields["table"])),
    "CreateFunctionStmt": _named("funcname"),
    "DefineStmt": _named("defnames"),
    "CreateExtensionStmt": _create_extension,
    "AlterExtensionStmt": lambda guard, fields: guard.owns_extension(fields["extname"]),
    "CreateEnumStmt": _named("typeName"),
    "CreateRangeStmt": _named("typeName"),
    "AlterEnumStmt": lambda guard, fields: guard.owns_type(tree.strings(fields["typeName"])),
    "AlterDomainStmt": lambda guard, fields: guard.owns_type(tree.strings(fields["typeName"])),
    "CreateDomainStmt": _named("domainname"),
    "CompositeTypeStmt": lambda guard, fields: guard.creates_in(fields["typevar"]),
}
