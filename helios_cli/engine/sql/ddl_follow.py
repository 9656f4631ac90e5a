"""What is kept as text follows a rename: views, policies and triggers name what they are about."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.sql.ddl_build import Builder
from helios_cli.engine.sql.ddl_policy import store as store_policy
from helios_cli.engine.sql.ddl_render import update
from helios_cli.engine.sql.ddl_trigger import follow_in_trigger, is_temporary
from helios_cli.engine.sql.relation import Relation
from helios_cli.engine.sql.routines import Routine
from helios_cli.engine.sql.stored_names import KeptText, Moved

Change = Callable[[KeptText], str]


def follow_column(builder: Builder, relations: Sequence[int], old: str, new: str) -> None:
    """A column of some relations is renamed."""

    def change(text: KeptText) -> str:
        return text.with_column(relations, old, new)

    _views(builder, relations, change)
    _policies(builder, change, [old])
    for oid in relations:
        for trigger in builder.catalog.triggers(oid):
            follow_in_trigger(builder, trigger, old, new)


def follow_relations(builder: Builder, moved: Mapping[int, Moved]) -> None:
    """Relations get other names or schemas; ``moved`` is by OID."""

    def change(text: KeptText) -> str:
        return text.with_relations(moved)

    _views(builder, list(moved), change)
    found = (builder.catalog.relation_by_oid(oid) for oid in moved)
    _policies(builder, change, [one.name for one in found if one is not None])


def follow_schema(builder: Builder, old: str, new: str) -> None:
    """A schema is renamed."""
    follow_relations(builder, {found.oid: (new, found.name) for found in builder.catalog.schema_objects(old)})


def follow_label(builder: Builder, text: str, enum: int, old: str, new: str) -> str:
    """The query of a view after a label of an enum was renamed."""
    return _changed(builder, text, lambda kept: kept.with_label(enum, old, new))


def follow_label_in_policies(builder: Builder, enum: int, old: str, new: str) -> None:
    """A label of an enum is renamed."""
    _policies(builder, lambda kept: kept.with_label(enum, old, new), [old.replace("'", "''")])


def follow_function(builder: Builder, routine: Routine, schema: str, name: str) -> None:
    """A function gets another name or schema."""

    def change(text: KeptText) -> str:
        return text.with_function((routine.schema, routine.name), (schema, name))

    _views(builder, [routine.oid], change)
    _policies(builder, change, [routine.name])


def _views(builder: Builder, things: Sequence[int], change: Change) -> None:
    """Write anew the queries of the views that depend on some things."""
    views = {view.oid for oid in things for view in builder.catalog.dependents(oid)}
    for oid in sorted(views):
        before = builder.catalog.view_query(oid) or ""
        after = _changed(builder, before, change)
        if after != before:
            builder.add(update(is_temporary(oid), "helios_relation", {"definition": after}, oid=oid))


def _policies(builder: Builder, change: Change, names: Sequence[str]) -> None:
    """Write anew the policies that name what is renamed; ``names`` are those that it has had."""
    written = [name.replace('"', '""') for name in names]
    for _, _, policies in builder.catalog.securities().values():
        for policy in policies:
            kept = policy.using, policy.check
            if not any(name in (text or "") for name in written for text in kept):
                continue
            table = builder.catalog.relation_by_oid(policy.relation)
            texts = [_changed(builder, text, change, table) if text is not None else None for text in kept]
            if texts != [policy.using, policy.check]:
                builder.add(store_policy(replace(policy, using=texts[0], check=texts[1])))


def _changed(builder: Builder, text: str, change: Change, table: Relation | None = None) -> str:
    """A kept text after a rename; one that no longer says anything stays as it is."""
    try:
        return change(KeptText(builder, text, table))
    except HeliosError:
        return text
