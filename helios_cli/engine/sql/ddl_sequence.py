"""CREATE, ALTER and DROP of sequences. Taking values is ``engine.storage.sequences``'s business."""

from __future__ import annotations

from typing import Any

from helios_cli.engine.errors import SqlError
from helios_cli.engine.sql.ddl_build import Builder, list_names, range_var_of
from helios_cli.engine.sql.ddl_model import SequenceDef
from helios_cli.engine.sql.ddl_render import RESTARTED, sequence_rows, update
from helios_cli.engine.sql.ddl_sequence_options import apply_options, new_sequence, number
from helios_cli.engine.sql.plan import Plan


def create_sequence(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan CREATE SEQUENCE.

    Raises:
        SqlError: 42P07 exists already, 22023 impossible options.
    """
    range_var = fields["sequence"]
    schema, name = builder.creation_schema(range_var), range_var["relname"]
    if fields.get("if_not_exists") and not builder.name_is_free(schema, name):
        builder.notices.append(f'relation "{name}" already exists, skipping')
        builder.steps.clear()
        return builder.finish("CREATE SEQUENCE")
    builder.claim_name(schema, name)
    options = [node for node in fields.get("options", []) if node["DefElem"]["defname"] != "owned_by"]
    sequence = new_sequence(builder, options, schema=schema, name=name, temp=builder.temp)
    _own(builder, sequence, fields.get("options", []))
    builder.add(*sequence_rows(sequence))
    return builder.finish("CREATE SEQUENCE")


def alter_sequence(builder: Builder, fields: dict[str, Any]) -> Plan:
    """Plan ALTER SEQUENCE.

    Raises:
        SqlError: 42P01 missing, 42809 not a sequence, 22023 impossible options.
    """
    relation = builder.find_relation(fields["sequence"], bool(fields.get("missing_ok")))
    if relation is None:
        return builder.finish("ALTER SEQUENCE")
    sequence = builder.catalog.sequence_def(relation.oid)
    if sequence is None:
        raise builder.error("42809", f'"{relation.name}" is not a sequence')
    builder.touch(sequence.temp)
    options = [node for node in fields.get("options", []) if node["DefElem"]["defname"] != "owned_by"]
    found = apply_options(builder, sequence, options, is_new=False)
    _own(builder, sequence, fields.get("options", []))
    builder.add(sequence_changes(sequence, found))
    return builder.finish("ALTER SEQUENCE")


def sequence_changes(sequence: SequenceDef, options: dict[str, Any]) -> str:
    """The UPDATE that gives a sequence's row its new parameters, RESTART among them. It raises 22023 where the
    value that the sequence has is out of its new bounds.
    """
    changes: dict[str, object] = {
        "seqtypid": sequence.type_oid, "seqstart": sequence.start, "seqincrement": sequence.increment,
        "seqmin": sequence.minimum, "seqmax": sequence.maximum, "seqcache": sequence.cache,
        "seqcycle": int(sequence.cycle), "owner_relid": sequence.owner_oid, "owner_attnum": sequence.owner_attnum,
    }  # fmt: skip
    if "restart" in options:
        node = options["restart"]
        value = number(node) if node is not None else sequence.start
        if value < sequence.minimum:
            raise SqlError(f"RESTART value ({value}) {_too_small(sequence)}", sqlstate="22023")
        if value > sequence.maximum:
            raise SqlError(f"RESTART value ({value}) {_too_large(sequence)}", sqlstate="22023")
        changes["last_value"] = value
        changes["is_called"] = 0
    step = update(sequence.temp, "helios_sequence", changes, oid=sequence.oid)
    if "restart" in options:
        # A new epoch tells the node to forget which values it handed out.
        return step.replace(" SET ", f" SET epoch = {RESTARTED}, ", 1)
    shown = "'RESTART value (' || last_value || ') {}'"
    checked = (
        f"CASE WHEN last_value < {sequence.minimum} THEN pg_raise('22023', {shown.format(_too_small(sequence))}) "
        f"WHEN last_value > {sequence.maximum} THEN pg_raise('22023', {shown.format(_too_large(sequence))}) "
        "ELSE last_value END"
    )
    return step.replace(" SET ", f" SET last_value = {checked}, ", 1)


def _too_small(sequence: SequenceDef) -> str:
    return f"cannot be less than MINVALUE ({sequence.minimum})"


def _too_large(sequence: SequenceDef) -> str:
    return f"cannot be greater than MAXVALUE ({sequence.maximum})"


def _own(builder: Builder, sequence: SequenceDef, options: list[dict[str, Any]]) -> None:
    """OWNED BY table.column, or NONE."""
    node = next((item["DefElem"]["arg"] for item in options if item["DefElem"]["defname"] == "owned_by"), None)
    if node is None:
        return
    names = list_names(node)
    if sequence.internal:
        table = builder.catalog.table_def(sequence.owner_oid)
        detail = f'Sequence "{sequence.name}" is linked to table "{table.name}".' if table is not None else None
        raise builder.error("0A000", "cannot change ownership of identity sequence", detail=detail)
    if names == ["none"]:
        sequence.owner_oid = sequence.owner_attnum = 0
        return
    if len(names) < 2:
        raise builder.error("42601", "invalid OWNED BY option", hint="Specify OWNED BY table.column or OWNED BY NONE.")
    relation = builder.find_relation(range_var_of(names[:-1]))
    table = builder.catalog.table_def(relation.oid) if relation is not None else None
    if table is None:
        raise builder.error("42809", f'referenced relation "{names[-2]}" is not a table')
    column = table.column(names[-1])
    if column is None:
        raise builder.error("42703", f'column "{names[-1]}" of relation "{table.name}" does not exist')
    if table.schema != sequence.schema:
        raise builder.error("55000", "sequence must be in same schema as table it is linked to")
    sequence.owner_oid, sequence.owner_attnum = table.oid, column.attnum
