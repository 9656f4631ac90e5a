"""Reading libpg_query's trees: nodes are one-key dictionaries, default values are left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from helios_cli.engine.sql.typed import Node


def tag(node: Node) -> str:
    """The type of a node: its only key."""
    return next(iter(node))


def body(node: Node) -> dict[str, Any]:
    """The fields of a node."""
    fields: dict[str, Any] = next(iter(node.values()))
    return fields


def strings(nodes: list[Node]) -> list[str]:
    """The values of a list of String nodes; names with their qualifiers are such lists."""
    return [node["String"].get("sval", "") for node in nodes]


def location(node: Node) -> int:
    """Byte offset of a node in the query string; 0 when the node has none (the parser leaves 0 out)."""
    return int(body(node).get("location", 0))


def walk(node: Any) -> Iterator[Node]:
    """Every node of a tree, itself included, parents first."""
    pending = [node]
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            pending.extend(reversed(item))
        elif isinstance(item, dict):
            yield item
            pending.extend(value for value in reversed(item.values()) if isinstance(value, dict | list))


def const_value(fields: dict[str, Any]) -> int | str | bool | None:
    """The value of an A_Const's fields: int, numeric constants as text, strings, bool, or None for NULL."""
    if "ival" in fields:
        return int(fields["ival"].get("ival", 0))
    if "sval" in fields:
        return str(fields["sval"].get("sval", ""))
    if "fval" in fields:
        return str(fields["fval"].get("fval", ""))
    if "boolval" in fields:
        return bool(fields["boolval"].get("boolval", False))
    if "bsval" in fields:
        return str(fields["bsval"].get("bsval", ""))
    return None


def without_locations(node: Any) -> Any:
    """A copy of a tree that compares equal to any other tree of the same text apart from whitespace."""
    if isinstance(node, dict):
        return {key: without_locations(value) for key, value in node.items() if key != "location"}
    if isinstance(node, list):
        return [without_locations(item) for item in node]
    return node
