"""Which views, and which of their columns, statements may change: the flags of information_schema."""

from __future__ import annotations

from functools import lru_cache
from itertools import chain
from typing import Any, Final

from helios_cli.engine.sql import grammar
from helios_cli.engine.sql.routines import Trigger
from helios_cli.engine.sql.view_checks import is_simple
from helios_cli.engine.storage.system_snapshot import RelationRow, Snapshot

UPDATE, INSERT, DELETE = 4, 8, 16
"""Bits of what may be done with the rows of a relation, as pg_relation_is_updatable() gives them."""

_EVENTS: Final = {"updatable": "UPDATE", "deletable": "DELETE", "insertable_into": "INSERT"}


_STAR: Final = "*"
"""All columns of what is read."""


def updatable_columns(snapshot: Snapshot, oid: int) -> frozenset[str]:
    """The columns of a table or view that UPDATE may set, without triggers."""
    relation = snapshot.relations.get(oid)
    if relation is None:
        return frozenset()
    columns = [column.name for column in snapshot.columns.get(oid, ())]
    if relation.kind == "r":
        return frozenset(columns)
    base, targets = _base(snapshot, relation)
    settable = updatable_columns(snapshot, base) if base else frozenset()
    return frozenset(own for own, read in zip(columns, targets, strict=False) if read in settable)


def _base(snapshot: Snapshot, view: RelationRow) -> tuple[int, tuple[str, ...]]:
    """What a simple view reads, and the column that each of its outputs is, '' for another; 0 for what is none."""
    text = view.definition or ""
    if view.kind != "v" or not is_simple(text):
        return 0, ()
    schema, name, targets = _read(text)
    for target in snapshot.depends_of.get(view.oid, ()):
        found = snapshot.relations.get(target)
        if found is not None and found.name == name and schema in ("", found.schema):
            whole = tuple(column.name for column in snapshot.columns.get(target, ()))
            return target, tuple(chain.from_iterable(whole if one == _STAR else (one,) for one in targets))
    return 0, ()


@lru_cache(1024)
def _read(text: str) -> tuple[str, str, tuple[str, ...]]:
    """Schema and name of what a simple query reads, and the column that each of its outputs is, '' for another."""
    parsed: Any = grammar.parse(text)
    select = parsed[0]["stmt"]["SelectStmt"]
    table = select["fromClause"][0]["RangeVar"]
    targets = []
    for target in select["targetList"]:
        fields = target["ResTarget"].get("val", {}).get("ColumnRef", {}).get("fields", [])
        last = fields[-1] if fields else {}
        targets.append(_STAR if "A_Star" in last else last.get("String", {}).get("sval", ""))
    return table.get("schemaname", ""), table["relname"], tuple(targets)


def relation_events(snapshot: Snapshot, oid: int, triggers: bool = False, among: frozenset[str] | None = None) -> int:
    """What may be done with a relation's rows; with ``triggers`` also where views' INSTEAD OF triggers do it.

    ``among`` are the columns that matter, None for all.
    """
    relation = snapshot.relations.get(oid)
    if relation is None or relation.kind == "r":
        return 0 if relation is None else UPDATE | INSERT | DELETE
    found = 0
    for one in snapshot.table_triggers.get(oid, ()) if triggers else ():
        found |= sum(_BITS[event] for event in one.events) if one.timing == "i" else 0
    base, targets = _base(snapshot, relation)
    if base:
        columns = [column.name for column in snapshot.columns.get(oid, ())]
        pairs = zip(columns, targets, strict=False)
        read = frozenset(name for own, name in pairs if name and (among is None or own in among))
        own_events = UPDATE | INSERT | DELETE if read else DELETE
        found |= own_events & relation_events(snapshot, base, triggers, read)
    return found


_BITS: Final = {"UPDATE": UPDATE, "INSERT": INSERT, "DELETE": DELETE}


def column_is_updatable(snapshot: Snapshot, oid: int, number: int, triggers: bool = False) -> bool:
    """pg_column_is_updatable(): whether UPDATE and DELETE are possible where the column is the one that matters."""
    name = next((column.name for column in snapshot.columns.get(oid, ()) if column.attnum == number), None)
    both = UPDATE | DELETE
    return name is not None and relation_events(snapshot, oid, triggers, frozenset((name,))) & both == both


def view_flags(snapshot: Snapshot, oid: int) -> dict[str, str]:
    """What information_schema.views says of a view: by itself, and by INSTEAD OF triggers."""
    columns = updatable_columns(snapshot, oid)
    own = "YES" if columns else "NO"
    triggers = [one for one in snapshot.table_triggers.get(oid, ()) if one.timing == "i"]
    flags = {f"is_trigger_{word}": _has(triggers, event) for word, event in _EVENTS.items()}
    return {"is_updatable": own, "is_insertable_into": own, **flags}


def _has(triggers: list[Trigger], event: str) -> str:
    return "YES" if any(event in trigger.events for trigger in triggers) else "NO"
