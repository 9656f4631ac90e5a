"""ALTER TABLE: each subcommand changes the definition and writes SQLite's own ALTER where there is one.

What SQLite's ALTER cannot do is gathered and done by one rebuild at the end, so a statement rewrites a table
at most once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from helios_cli.engine.sql.ddl_alter_columns import (
    Alteration,
    add_column,
    alter_type,
    drop_expression,
    set_default,
    set_identity,
    set_not_null,
)
from helios_cli.engine.sql.ddl_attach import attach_partition, detach_partition
from helios_cli.engine.sql.ddl_build import Builder, object_words, unsupported
from helios_cli.engine.sql.ddl_constraints import add_constraint
from helios_cli.engine.sql.ddl_create import check_storage
from helios_cli.engine.sql.ddl_dropping import Dropping
from helios_cli.engine.sql.ddl_exclusion import existing_conflict_sql
from helios_cli.engine.sql.ddl_family import Family
from helios_cli.engine.sql.ddl_index_parts import attach_index
from helios_cli.engine.sql.ddl_model import ConstraintDef
from helios_cli.engine.sql.ddl_ownership import give_away
from helios_cli.engine.sql.ddl_parents import add_parent, refuse_kind, take_parent
from helios_cli.engine.sql.ddl_policy import switch_row_security
from helios_cli.engine.sql.ddl_render import (
    check_clause,
    constraint_row,
    index_rows,
    qualified,
    stored_deferral,
    update,
)
from helios_cli.engine.sql.ddl_storage import change_options
from helios_cli.engine.sql.ddl_thing import COLUMN, CONSTRAINT, Thing
from helios_cli.engine.sql.ddl_trigger import SWITCHES, switch_triggers
from helios_cli.engine.sql.ddl_validation import mark_not_valid, validate_constraint, verify_parents
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.sql.relation import Relation
from helios_cli.engine.sql.view_checks import SET_OPTIONS, set_view_options

Command = Callable[[Alteration, dict[str, Any]], None]

_PASSES: Final = {
    "AT_DropColumn": 0, "AT_DropConstraint": 0, "AT_DropNotNull": 0, "AT_DropIdentity": 0, "AT_DropExpression": 0,
    "AT_AlterColumnType": 1,
    "AT_AddColumn": 2, "AT_SetNotNull": 3, "AT_ColumnDefault": 3, "AT_AddConstraint": 4,
}  # fmt: skip
"""The order in which ALTER TABLE does its subcommands (AlterTablePass, tablecmds.c)."""

_TAGS: Final = {
    "OBJECT_TABLE": "ALTER TABLE", "OBJECT_VIEW": "ALTER VIEW", "OBJECT_INDEX": "ALTER INDEX",
    "OBJECT_SEQUENCE": "ALTER SEQUENCE",
}  # fmt: skip
_PARTITIONS: Final = {
    "AT_AttachPartition": attach_partition,
    "AT_DetachPartition": detach_partition,
    "AT_DetachPartitionFinalize": detach_partition,
}
_NO_EFFECT: Final = frozenset(
    (
        "AT_SetStatistics", "AT_SetStorage", "AT_SetCompression", "AT_SetOptions", "AT_ResetOptions", "AT_ClusterOn",
        "AT_DropCluster", "AT_SetLogged", "AT_ReplicaIdentity", "AT_DropOids",
    )
)  # fmt: skip
"""Subcommands about storage or planning that change no answer here."""


def alter_table(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER TABLE, and ALTER VIEW/SEQUENCE/INDEX ... OWNER TO.

    Raises:
        SqlError: what the subcommands raise.
    """
    if fields.get("objtype") == "OBJECT_TYPE":
        # Composite types know of the columns that hold them, which this module drops for them.
        from helios_cli.engine.sql.ddl_attributes import alter_attributes

        return alter_attributes(builder, fields)
    tag = _TAGS.get(fields.get("objtype", "OBJECT_TABLE"))
    if tag is None:
        raise unsupported(f"ALTER {object_words(fields['objtype'])}")
    commands = sorted(
        (node["AlterTableCmd"] for node in fields["cmds"]), key=lambda item: _PASSES.get(item["subtype"], 5)
    )
    if tag != "ALTER TABLE" or _changes_another_kind(builder, fields, commands):
        return _alter_other(builder, fields, commands, tag)
    if commands[0]["subtype"] in _PARTITIONS:
        named = builder.find_relation(fields["relation"], bool(fields.get("missing_ok")))
        if named is not None:
            refuse_kind(builder, named, _shown(commands[0]["subtype"]))
    table = builder.find_table(fields["relation"], bool(fields.get("missing_ok")))
    if table is None:
        return builder.finish(tag)
    builder.altering = True
    family = Family(builder, bool(fields["relation"].get("inh")), install_constraint)
    alteration = family.of(table)
    alteration.recurses = family.recurses
    for command in commands:
        _run(family, alteration, command)
    family.finish()
    return builder.finish(tag)


_OF_VIEWS: Final = ("AT_ChangeOwner", "AT_ColumnDefault", *SET_OPTIONS)


def _changes_another_kind(builder: Builder, fields: dict[str, Any], commands: list[dict[str, Any]]) -> bool:
    """ALTER TABLE takes views too, and sequences for their owner, which is how pg_dump writes it."""
    kinds = {command["subtype"] for command in commands}
    if not kinds.issubset(_OF_VIEWS):
        return False
    relation = builder.find_relation(fields["relation"], bool(fields.get("missing_ok")))
    return relation is not None and (relation.kind == "v" or (relation.kind == "S" and kinds == {"AT_ChangeOwner"}))


def _alter_other(builder: Builder, fields: dict[str, Any], commands: list[dict[str, Any]], tag: str) -> Plan:
    relation = (
        builder.find_relation(fields["relation"], bool(fields.get("missing_ok"))) if tag != "ALTER INDEX" else None
    )
    for command in commands:
        if command["subtype"] == "AT_ChangeOwner" and relation is not None:
            _record_owner(builder, relation.oid, command)
        elif relation is not None and relation.kind == "v" and command["subtype"] in SET_OPTIONS:
            set_view_options(builder, relation, command)
        elif command["subtype"] in SET_OPTIONS:
            _other_options(builder, fields, command, relation)
        elif command["subtype"] == "AT_AttachPartition" and tag == "ALTER INDEX":
            attach_index(builder, fields["relation"], command["def"]["PartitionCmd"]["name"])
        elif command["subtype"] not in _NO_EFFECT:
            word = "ALTER VIEW" if relation is not None and relation.kind == "v" else tag
            raise unsupported(f"{word} {_shown(command['subtype'])}")
    return builder.finish(tag)


def _other_options(
    builder: Builder, fields: dict[str, Any], command: dict[str, Any], relation: Relation | None
) -> None:
    """Storage parameters of an index; those of views are not kept."""
    named = fields["relation"]
    index = builder.catalog.index_def(named.get("schemaname"), named["relname"]) if relation is None else None
    if index is not None:
        reset = command["subtype"] == "AT_ResetRelOptions"
        change_options(builder, index.oid, command["def"]["List"]["items"], reset=reset)


def _shown(subtype: str) -> str:
    words = "".join(f" {letter}" if letter.isupper() else letter for letter in subtype.removeprefix("AT_"))
    return words.strip().upper()


def _run(family: Family, alteration: Alteration, fields: dict[str, Any]) -> None:
    subtype = fields["subtype"]
    command = _COMMANDS.get(subtype)
    if subtype in _PARTITIONS:
        _PARTITIONS[subtype](family, alteration, fields)
    elif command is not None:
        family.run(alteration, fields, command)
    elif subtype not in _NO_EFFECT:
        raise unsupported(f"ALTER TABLE {_shown(subtype)}")


# -- constraints --------------------------------------------------------------------------------------------------


def _add_constraint(alteration: Alteration, fields: dict[str, Any]) -> None:
    install_constraint(alteration, fields["def"]["Constraint"])


def install_constraint(alteration: Alteration, fields: dict[str, Any]) -> ConstraintDef:
    """Add one constraint to an existing table."""
    builder, table = alteration.builder, alteration.table
    before = {column.name for column in table.columns if column.not_null}
    known = {index.oid for index in table.indexes}
    old_names = {index.oid: index.name for index in table.indexes}
    constraint = add_constraint(builder, table, fields)
    mark_not_valid(alteration, constraint, fields)
    for column in table.columns:
        if column.not_null and column.name not in before:
            column.not_null = False
            set_not_null(alteration, {"name": column.name}, wanted=True)
    builder.add(constraint_row(table.temp, constraint))
    if constraint.kind == "f":
        if constraint.validated and not alteration.rebuild:
            verify_parents(alteration, constraint)
        alteration.rebuild = True
    elif constraint.kind == "c":
        if not alteration.rebuild:
            condition = f"NOT ({builder.translate(table, constraint.expression or '', 'CHECK')})"
            message = f'check constraint "{constraint.name}" of relation "{table.name}" is violated by some row'
            alteration.verify(condition, "23514", message, constraint=constraint.name)
        alteration.native(lambda: _add_check_step(alteration, constraint))
    elif constraint.index_oid in known:
        _adopt(alteration, constraint, old_names[constraint.index_oid])
    else:
        position = next(at for at, index in enumerate(table.indexes) if index.oid == constraint.index_oid)
        alteration.native(lambda: builder.index_sql(table, position))
        if constraint.kind == "x":
            builder.add(existing_conflict_sql(builder, table, table.indexes[position]))
        builder.add(*index_rows(table.temp, table.indexes[position]))
    return constraint


def _add_check_step(alteration: Alteration, constraint: ConstraintDef) -> str:
    table = alteration.table
    clause = check_clause(table, constraint, alteration.builder.translate)
    return f"ALTER TABLE {qualified(table.sqlite_name, table.temp)} ADD {clause}"


def _adopt(alteration: Alteration, constraint: ConstraintDef, old_name: str) -> None:
    temp = alteration.table.temp
    changes: dict[str, object] = {"indisprimary": int(constraint.kind == "p")}
    alteration.builder.add(update(temp, "helios_index", changes, oid=constraint.index_oid))
    if constraint.name != old_name:
        alteration.builder.add(update(temp, "helios_relation", {"relname": constraint.name}, oid=constraint.index_oid))


def _drop_constraint(alteration: Alteration, fields: dict[str, Any]) -> None:
    builder, table = alteration.builder, alteration.table
    constraint = table.constraint(fields["name"])
    if constraint is None:
        message = f'constraint "{fields["name"]}" of relation "{table.name}" does not exist'
        if not fields.get("missing_ok"):
            raise builder.error("42704", message)
        builder.notices.append(f"{message}, skipping")
        return
    _take(alteration, Thing(CONSTRAINT, constraint.oid), fields)


def _drop_column(alteration: Alteration, fields: dict[str, Any]) -> None:
    """DROP COLUMN with what is made of it. Raises SqlError 42703, 2BP01."""
    builder, table = alteration.builder, alteration.table
    if table.column(fields["name"]) is None and fields.get("missing_ok"):
        builder.notices.append(f'column "{fields["name"]}" of relation "{table.name}" does not exist, skipping')
        return
    _take(alteration, Thing(COLUMN, table.oid, alteration.column(fields["name"]).attnum), fields)


def _take(alteration: Alteration, thing: Thing, fields: dict[str, Any]) -> None:
    dropping = Dropping(alteration.builder, cascade=fields.get("behavior") == "DROP_CASCADE")
    dropping.within(alteration)
    dropping.run([thing])


def _alter_constraint(alteration: Alteration, fields: dict[str, Any]) -> None:
    wanted = fields["def"]["Constraint"]
    constraint = alteration.table.constraint(wanted["conname"])
    if constraint is None:
        message = f'constraint "{wanted["conname"]}" of relation "{alteration.table.name}" does not exist'
        raise alteration.builder.error("42704", message)
    if constraint.kind != "f":
        message = (
            f'constraint "{constraint.name}" of relation "{alteration.table.name}" is not a foreign key constraint'
        )
        raise alteration.builder.error("42809", message)
    constraint.deferrable = bool(wanted.get("deferrable") or wanted.get("initdeferred"))
    constraint.deferred = bool(wanted.get("initdeferred"))
    changes: dict[str, object] = {"condeferrable": stored_deferral(constraint), "condeferred": int(constraint.deferred)}
    alteration.builder.add(update(alteration.table.temp, "helios_constraint", changes, oid=constraint.oid))
    alteration.rebuild = True


# -- the rest -----------------------------------------------------------------------------------------------------


def _change_owner(alteration: Alteration, fields: dict[str, Any]) -> None:
    _record_owner(alteration.builder, alteration.table.oid, fields)


def _record_owner(builder: Builder, oid: int, fields: dict[str, Any]) -> None:
    relation = builder.catalog.relation_by_oid(oid)
    assert relation is not None
    give_away(builder, relation, builder.role_oid(fields["newowner"]))


def _set_options(alteration: Alteration, fields: dict[str, Any]) -> None:
    nodes, reset = fields["def"]["List"]["items"], fields["subtype"] == "AT_ResetRelOptions"
    check_storage({"options": nodes})
    change_options(alteration.builder, alteration.table.oid, nodes, reset=reset)


def _set_tablespace(_alteration: Alteration, fields: dict[str, Any]) -> None:
    check_storage({"tablespacename": fields["name"]})


def _row_security(alteration: Alteration, fields: dict[str, Any]) -> None:
    switch_row_security(alteration.builder, alteration.table, fields["subtype"])


def _switch(alteration: Alteration, fields: dict[str, Any]) -> None:
    builder, table = alteration.builder, alteration.table
    whole = fields["subtype"].endswith("TrigAll")
    keys = [key for key in table.constraints if key.kind == "f"] if whole else []
    theirs = builder.catalog.referencing(table.oid) if whole else ()
    if (keys or theirs) and not builder.rightful().unrestricted:
        name = f"RI_ConstraintTrigger_{'c' if keys else 'a'}_{(keys or theirs)[0].oid}"
        raise builder.error("42501", f'permission denied: "{name}" is a system trigger')
    switch_triggers(builder, table.oid, table.name, fields, recurses=alteration.recurses)
    enabled = fields["subtype"] != "AT_DisableTrigAll"
    for key in keys:
        if key.enabled != enabled:
            key.enabled, alteration.rebuild = enabled, True
            # What was stored meanwhile is not looked at, as in PostgreSQL.
            builder.keys_unchecked = True
            changes: dict[str, object] = {"condeferrable": stored_deferral(key)}
            builder.add(update(table.temp, "helios_constraint", changes, oid=key.oid))


def _not_null(alteration: Alteration, fields: dict[str, Any]) -> None:
    set_not_null(alteration, fields, wanted=fields["subtype"] == "AT_SetNotNull")


def _add_column(alteration: Alteration, fields: dict[str, Any]) -> None:
    spec = add_column(alteration, fields)
    for constraint in spec.constraints if spec is not None else ():
        install_constraint(alteration, constraint)


_COMMANDS: Final[dict[str, Command]] = {
    "AT_AddColumn": _add_column,
    "AT_DropColumn": _drop_column,
    "AT_ColumnDefault": set_default,
    "AT_SetNotNull": _not_null,
    "AT_DropNotNull": _not_null,
    "AT_AlterColumnType": alter_type,
    "AT_AddIdentity": set_identity,
    "AT_SetIdentity": set_identity,
    "AT_DropIdentity": set_identity,
    "AT_DropExpression": drop_expression,
    "AT_AddConstraint": _add_constraint,
    "AT_DropConstraint": _drop_constraint,
    "AT_AlterConstraint": _alter_constraint,
    "AT_ValidateConstraint": validate_constraint,
    "AT_AddInherit": add_parent,
    "AT_DropInherit": take_parent,
    "AT_ChangeOwner": _change_owner,
    "AT_SetRelOptions": _set_options,
    "AT_ResetRelOptions": _set_options,
    "AT_SetTableSpace": _set_tablespace,
    "AT_EnableRowSecurity": _row_security,
    "AT_ForceRowSecurity": _row_security,
    "AT_DisableRowSecurity": _row_security,
    "AT_NoForceRowSecurity": _row_security,
    **dict.fromkeys(SWITCHES, _switch),
}
