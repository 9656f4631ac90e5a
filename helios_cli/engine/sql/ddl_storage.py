"""Storage parameters: they change no answer, and are kept to be shown."""

from __future__ import annotations

from typing import Any

from helios_cli.engine.sql import tree
from helios_cli.engine.sql.ddl_build import Builder
from helios_cli.engine.sql.ddl_render import update
from helios_cli.engine.sql.ddl_schema import FIRST_TEMP_OID


def storage_options(nodes: list[dict[str, Any]]) -> str | None:
    """Storage parameters, which change no answer, as an array's text; None for none."""
    pairs = []
    for node in nodes:
        value = next(iter(node["DefElem"].get("arg", {"String": {"sval": "true"}}).values()))
        shown = tree.strings(value["names"])[-1] if "names" in value else next(iter(value.values()), 0)
        pairs.append(f"{node['DefElem']['defname']}={str(shown).lower()}")
    return "{" + ",".join(pairs) + "}" if pairs else None


def change_options(builder: Builder, oid: int, nodes: list[dict[str, Any]], *, reset: bool) -> None:
    """ALTER ... SET (...) or RESET (...). What a temporary table does at COMMIT lies in the same place, and stays."""
    temp = oid >= FIRST_TEMP_OID
    relation = builder.catalog.relation_by_oid(oid)
    if temp and (relation is None or relation.kind != "v"):
        return
    known = {name: value for name, _, value in (pair.partition("=") for pair in _pairs(builder.catalog.options(oid)))}
    for name, _, value in (pair.partition("=") for pair in _pairs(storage_options(nodes))):
        known.pop(name, None)
        if not reset:
            known[name] = value
    text = "{" + ",".join(f"{name}={value}" for name, value in known.items()) + "}" if known else None
    builder.touch(temp)
    builder.add(update(temp, "helios_relation", {"options": text}, oid=oid))


def _pairs(text: str | None) -> list[str]:
    return text[1:-1].split(",") if text else []
