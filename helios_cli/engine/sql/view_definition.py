"""The query of a view as pg_get_viewdef prints it (get_select_query_def, ruleutils.c), where it reads one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from helios_cli.engine.errors import FeatureNotSupported
from helios_cli.engine.sql import tree
from helios_cli.engine.sql.ddl_deparse import Deparser
from helios_cli.engine.sql.oids import TEXT
from helios_cli.engine.sql.sqltext import pg_identifier
from helios_cli.engine.sql.typed import Node

_KNOWN: Final = frozenset(("targetList", "fromClause", "whereClause", "limitOption", "op"))


class _Qualified(Deparser):
    """Columns are written with the table they are of."""

    def __init__(self, table: str, columns: Mapping[str, int], pretty: bool) -> None:
        super().__init__(columns, pretty)
        self._table, self._known = pg_identifier(table), columns

    def _column(self, fields: dict[str, Any]) -> str:
        names = tree.strings(fields["fields"])
        if len(names) != len(fields["fields"]) or names[-1] not in self._known:
            raise FeatureNotSupported("a column of another kind")
        return f"{self._table}.{pg_identifier(names[-1])}"


def view_definition(
    select: dict[str, Any], table: str, columns: Mapping[str, int], names: Sequence[str], *, pretty: bool
) -> str | None:
    """The text; None for a query of another form. ``names`` are those of the view's columns, ``table`` its table as it
    is to be written.
    """
    sources = select.get("fromClause", [])
    if not _KNOWN.issuperset(select) or len(sources) != 1 or tree.tag(sources[0]) != "RangeVar":
        return None
    relation = sources[0]["RangeVar"]
    alias = relation.get("alias", {})
    targets = _expanded(select["targetList"], list(columns), len(names))
    if "colnames" in alias or len(targets) != len(names):
        return None
    known = alias.get("aliasname", relation["relname"])
    writer = _Qualified(known, columns, pretty)
    try:
        items = [_item(writer, node, name) for node, name in zip(targets, names, strict=True)]
        where = f"\n  WHERE {writer.expression(select['whereClause'])}" if "whereClause" in select else ""
    except FeatureNotSupported:
        return None
    table = table if relation.get("inh") else f"ONLY {table}"
    shown = f"{table} {pg_identifier(known)}" if "aliasname" in alias else table
    return f" SELECT {f',{chr(10)}    '.join(items)}\n   FROM {shown}{where};"


def _expanded(targets: Sequence[Node], columns: Sequence[str], count: int) -> list[Node]:
    """What a view of so many columns selects: a ``*`` stands for those that the table had when the view was made."""
    found: list[Node] = []
    for target in targets:
        node = target["ResTarget"]["val"]
        if "ColumnRef" in node and "A_Star" in node["ColumnRef"]["fields"][-1]:
            meant = columns[: count - len(targets) + 1]
            found += [{"ColumnRef": {"fields": [{"String": {"sval": name}}], "location": -1}} for name in meant]
        else:
            found.append(node)
    return found


def _item(writer: _Qualified, node: Node, name: str) -> str:
    text = writer.expression(node, TEXT)
    if "CaseExpr" in node:
        text = "    " + text.lstrip("\n").replace("\n", "\n        ")
    plain = "ColumnRef" in node and tree.strings(node["ColumnRef"]["fields"])[-1] == name
    return text if plain else f"{text} AS {pg_identifier(name)}"
