"""Queries back to PostgreSQL text, in the form pg_get_viewdef and pg_get_expr print them (ruleutils.c).

What is printed is a kept text (``stored_names``): its columns are named with their FROM items, its relations with their
schemas. Line breaks of the form are kept apart from those within constants until the end.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from helios_cli.engine.errors import FeatureNotSupported
from helios_cli.engine.sql import tree
from helios_cli.engine.sql.deparse_calls import aggregate_call, window_text
from helios_cli.engine.sql.deparse_constants import named_type
from helios_cli.engine.sql.deparse_names import Item, NamedItems, Relations, function_item, is_set
from helios_cli.engine.sql.names import column_name
from helios_cli.engine.sql.oids import TEXT
from helios_cli.engine.sql.sqltext import pg_identifier
from helios_cli.engine.sql.typed import Node

_STEP: Final = 8
"""PRETTYINDENT_STD."""
_PART: Final = 4
"""PRETTYINDENT_VAR and PRETTYINDENT_JOIN."""
_LIMIT: Final = 40
"""PRETTYINDENT_LIMIT."""
_BREAK: Final = "\x01"
"""A line break of the form."""
_BREAKS: Final = re.compile(f" *{_BREAK}")
_SET_WORDS: Final = {"SETOP_UNION": "UNION", "SETOP_INTERSECT": "INTERSECT", "SETOP_EXCEPT": "EXCEPT"}
_JOIN_WORDS: Final = {"JOIN_LEFT": " LEFT JOIN ", "JOIN_FULL": " FULL JOIN ", "JOIN_RIGHT": " RIGHT JOIN "}
_LOCK_WORDS: Final = {
    "LCS_FORKEYSHARE": " FOR KEY SHARE", "LCS_FORSHARE": " FOR SHARE", "LCS_FORNOKEYUPDATE": " FOR NO KEY UPDATE",
    "LCS_FORUPDATE": " FOR UPDATE",
}  # fmt: skip
_KNOWN: Final = frozenset(
    ("distinctClause", "targetList", "fromClause", "whereClause", "groupClause", "groupDistinct", "havingClause",
     "windowClause", "valuesLists", "sortClause", "limitOffset", "limitCount", "limitOption", "lockingClause",
     "withClause", "op", "all", "larg", "rarg")
)  # fmt: skip


class QueryWriter(NamedItems):
    """Writes one query, or one expression with subqueries."""

    def __init__(self, relations: Relations, columns: Mapping[str, int] | None = None, *, pretty: bool) -> None:
        """``columns`` are those of the table that an expression is about."""
        super().__init__(relations, columns or {}, pretty)
        self._level = 0
        """The indentation, in columns."""
        self._methods |= {
            "SubLink": self._sublink,
            "GroupingFunc": lambda fields: f"GROUPING({self._listed(fields['args'])})",
            "NamedArgExpr": lambda fields: f"{pg_identifier(fields['name'])} => {self.expression(fields['arg'])}",
        }

    def query(self, select: dict[str, Any], names: Sequence[str]) -> str:
        """The whole text of a view's query; ``names`` are those of the view's columns.

        Raises:
            FeatureNotSupported: something in it is not printed here.
        """
        return _BREAKS.sub("\n", self._query(select, names, visible=True)) + ";"

    def condition(self, node: Node) -> str:
        """The text of an expression. Raises FeatureNotSupported."""
        return _BREAKS.sub("\n", self.expression(node))

    # -- layout ---------------------------------------------------------------------------------------------------

    def _keyword(self, text: str, before: int, after: int, plus: int = 0) -> str:
        """A word at the start of a line (appendContextKeyword)."""
        self._level += before
        amount = max(self._level, 0)
        if self._level >= _LIMIT:
            amount = (_LIMIT + (self._level - _LIMIT) // (_STEP // 2)) % _LIMIT
        self._level = max(self._level + after, 0)
        return f"{_BREAK}{' ' * (amount + plus)}{text}"

    # -- queries --------------------------------------------------------------------------------------------------

    def _query(self, select: dict[str, Any], names: Sequence[str] | None, *, visible: bool) -> str:
        """get_query_def: a query within another starts at the indentation of its place."""
        if not _KNOWN.issuperset(select):
            raise FeatureNotSupported("a query of this form")
        kept = self._level
        with self._entered(select):
            text = self._with(select["withClause"]) if "withClause" in select else ""
            text += self._set(select, names, visible) if is_set(select) else self._basic(select, names, visible)
            text += self._tail(select)
        self._level = kept
        return text

    def _with(self, fields: dict[str, Any]) -> str:
        self._level += _STEP
        parts = []
        for node in fields["ctes"]:
            cte = node["CommonTableExpr"]
            if "search_clause" in cte or "cycle_clause" in cte or "SelectStmt" not in cte["ctequery"]:
                raise FeatureNotSupported("a WITH query of this form")
            columns = tree.strings(cte.get("aliascolnames", []))
            listed = f"({', '.join(map(pg_identifier, columns))})" if columns else ""
            words = {"CTEMaterializeAlways": "MATERIALIZED ", "CTEMaterializeNever": "NOT MATERIALIZED "}
            head = f"{pg_identifier(cte['ctename'])}{listed} AS {words.get(cte['ctematerialized'], '')}("
            head += self._keyword("", 0, 0)
            query = self._query(cte["ctequery"]["SelectStmt"], None, visible=True)
            parts.append(f"{head}{query}{self._keyword('', 0, 0)})")
        self._level -= _STEP
        word = "RECURSIVE " if fields.get("recursive") else ""
        return f" WITH {word}{', '.join(parts)}{self._keyword('', 0, 0)}"

    def _set(self, select: dict[str, Any], names: Sequence[str] | None, visible: bool) -> str:
        """get_setop_query: UNION, INTERSECT, EXCEPT."""
        left, right = select["larg"], select["rarg"]
        nested = is_set(left) and (left["op"], left.get("all")) != (select["op"], select.get("all"))
        text = ""
        if nested:
            text = f"({self._keyword('', _STEP, 0)}"
        text += self._side(left, names, visible)
        text += self._keyword(") ", -_STEP, 0) if nested else self._keyword("", 0, 0)
        text += f"{_SET_WORDS[select['op']]} {'ALL ' if select.get('all') else ''}"
        nested = is_set(right)
        step = _STEP if nested else 0
        text += "(" * nested + self._keyword("", step, 0) + self._side(right, names, False)
        self._level -= step
        return text + self._keyword(")", 0, 0) * nested

    def _side(self, select: dict[str, Any], names: Sequence[str] | None, visible: bool) -> str:
        if is_set(select) and not any(key in select for key in ("sortClause", "limitCount", "limitOffset")):
            with self._entered(select):
                return self._set(select, names, visible)
        enclosed = any(key in select for key in ("sortClause", "limitCount", "limitOffset", "withClause"))
        text = self._query(select, names, visible=visible)
        return f"({text})" if enclosed else text

    def _basic(self, select: dict[str, Any], names: Sequence[str] | None, visible: bool) -> str:
        """get_basic_select_query."""
        self._level += _STEP
        if "valuesLists" in select:
            return f" {self._values(select['valuesLists'])}"
        text = " SELECT"
        if "distinctClause" in select:
            on = [node for node in select["distinctClause"] if node]
            text += " DISTINCT" + (f" ON ({', '.join(self._sorted_by(node, select) for node in on)})" if on else "")
        text += self._targets(select.get("targetList", []), names, visible)
        text += self._from(select.get("fromClause", []))
        if "whereClause" in select:
            text += self._keyword(" WHERE ", -_STEP, _STEP, 1) + self.expression(select["whereClause"])
        if "groupClause" in select:
            word = " GROUP BY DISTINCT " if select.get("groupDistinct") else " GROUP BY "
            text += self._keyword(word, -_STEP, _STEP, 1)
            text += ", ".join(self._grouped_by(node, select) for node in select["groupClause"])
        if "havingClause" in select:
            text += self._keyword(" HAVING ", -_STEP, _STEP) + self.expression(select["havingClause"])
        word = " WINDOW "
        for node in select.get("windowClause", []):
            window = node["WindowDef"]
            head = self._keyword(word, -_STEP, _STEP, 1) if word == " WINDOW " else word
            text += f"{head}{pg_identifier(window['name'])} AS {self._window(window)}"
            word = ", "
        return text

    def _values(self, rows: list[Node]) -> str:
        shown = (",".join(self.expression(node, TEXT) for node in row["List"]["items"]) for row in rows)
        return f"VALUES {', '.join(f'({row})' for row in shown)}"

    def _tail(self, select: dict[str, Any]) -> str:
        """ORDER BY, OFFSET, LIMIT and locks."""
        text = ""
        if "sortClause" in select:
            text += self._keyword(" ORDER BY ", -_STEP, _STEP, 1)
            text += self._ordered(select["sortClause"], select)
        if "limitOffset" in select:
            text += self._keyword(" OFFSET ", -_STEP, _STEP) + self.expression(select["limitOffset"])
        if "limitCount" in select:
            count = self.expression(select["limitCount"])
            if select.get("limitOption") == "LIMIT_OPTION_WITH_TIES":
                text += self._keyword(" FETCH FIRST ", -_STEP, _STEP) + f"({count}) ROWS WITH TIES"
            else:
                text += self._keyword(" LIMIT ", -_STEP, _STEP) + ("ALL" if count == "NULL" else count)
        for node in select.get("lockingClause", []):
            lock = node["LockingClause"]
            text += self._keyword(_LOCK_WORDS[lock["strength"]], -_STEP, _STEP)
            locked = [part["RangeVar"]["relname"] for part in lock.get("lockedRels", [])]
            locked = locked or [item.shown for item in self._levels[-1].items]
            text += "".join(f" OF {pg_identifier(name)}" for name in locked)
            waits = {"LockWaitError": " NOWAIT", "LockWaitSkip": " SKIP LOCKED"}
            text += waits.get(lock.get("waitPolicy", ""), "")
        return text

    def _targets(self, targets: list[Node], names: Sequence[str] | None, visible: bool) -> str:
        """get_target_list: one line a column."""
        text, several_lines = " ", False
        if names is not None and len(names) != len(targets):
            raise FeatureNotSupported("a star")
        for place, target in enumerate(targets):
            fields = target["ResTarget"]
            node: Node = fields["val"]
            given = names[place] if names is not None else fields.get("name") or column_name(node)
            shown = self._target(node)
            own = self._own_name(node, visible)
            if own != given:
                shown += f" AS {pg_identifier(given)}"
            if place:
                text += ", "
                if not shown.startswith(_BREAK):
                    text += self._keyword("", -_STEP, _STEP, _PART)
            several_lines |= _BREAK in shown[1:]
            text += shown
        return text if targets else ""

    def _target(self, node: Node) -> str:
        whole = self._whole_row(node)
        if whole is None:
            return self.expression(node, TEXT)
        item = self._item_of(whole)
        if not item.row_type:
            raise FeatureNotSupported("a whole row of no table in a select list")
        return f"{self.expression(node)}::{item.row_type}"

    # -- FROM -----------------------------------------------------------------------------------------------------

    def _from(self, nodes: list[Node]) -> str:
        """get_from_clause."""
        text = ""
        for place, node in enumerate(nodes):
            if place == 0:
                text += self._keyword(" FROM ", -_STEP, _STEP, 2) + self._element(node)
            else:
                shown = self._element(node)
                start = "" if shown.startswith(_BREAK) else self._keyword("", -_STEP, _STEP, _PART)
                text += f", {start}{shown}"
        return text

    def _element(self, node: Node) -> str:
        """get_from_clause_item."""
        kind = tree.tag(node)
        fields: dict[str, Any] = node[kind]
        if kind == "JoinExpr":
            return self._join(fields)
        if kind == "RangeTableSample":
            return self._sample(fields)
        lateral = "LATERAL " if fields.get("lateral") else ""
        alias = fields.get("alias", {})
        columns = tree.strings(alias.get("colnames", []))
        item = self._item_of(alias.get("aliasname") or fields.get("relname", ""))
        if kind == "RangeVar":
            if columns and len(item.columns) > len(columns):
                columns = list(item.columns)
            named = "aliasname" in alias or item.shown != fields["relname"]
            text = self._table(fields)
        elif kind == "RangeSubselect":
            text, named = f"({self._query(fields['subquery']['SelectStmt'], None, visible=True)})", True
            if "valuesLists" in fields["subquery"]["SelectStmt"]:
                columns = list(item.columns)
        else:
            return self._function_source(fields, columns)
        listed = f"({', '.join(map(pg_identifier, columns))})" if columns else ""
        return f"{lateral}{text}{f' {pg_identifier(item.shown)}' * named}{listed}"

    def _item_of(self, name: str) -> Item:
        found = [item for item in self._levels[-1].items if item.name == name]
        return found[0] if found else Item(name, {}, name)

    def _sample(self, fields: dict[str, Any]) -> str:
        arguments = ", ".join(self.expression(node) for node in fields["args"])
        text = f"{self._element(fields['relation'])} TABLESAMPLE {tree.strings(fields['method'])[-1]} ({arguments})"
        seed = fields.get("repeatable")
        return f"{text} REPEATABLE ({self.expression(seed)})" if seed is not None else text

    def _table(self, fields: dict[str, Any]) -> str:
        if self._cte(fields) is not None:
            return pg_identifier(fields["relname"])
        found = self._relations(fields.get("schemaname"), fields["relname"])
        if found is None:
            raise FeatureNotSupported("a relation that is not known")
        return found[0] if fields.get("inh") else f"ONLY {found[0]}"

    def _function_source(self, fields: dict[str, Any], columns: list[str]) -> str:
        """A function in FROM: all its columns are always named."""
        calls = [node["List"]["items"][0] for node in fields["functions"]]
        if fields.get("is_rowsfrom") or len(calls) != 1:
            raise FeatureNotSupported("ROWS FROM")
        text = self.expression(calls[0])
        if fields.get("ordinality"):
            text += " WITH ORDINALITY"
        item = self._item_of(function_item(fields).name)
        if "coldeflist" in fields:
            listed = ", ".join(
                f"{pg_identifier(one['ColumnDef']['colname'])} {named_type(one['ColumnDef']['typeName'])[2]}"
                for one in fields["coldeflist"]
            )
        else:
            listed = ", ".join(map(pg_identifier, [*columns, *list(item.columns)[len(columns) :]]))
        beside = {one.name for one in self._levels[-1].items} - {item.name}
        named = (part["ColumnRef"]["fields"] for part in tree.walk(calls[0]) if isinstance(part.get("ColumnRef"), dict))
        lateral = any(len(parts) > 1 and parts[-2].get("String", {}).get("sval") in beside for parts in named)
        return f"{'LATERAL ' * lateral}{text} {pg_identifier(item.shown)}({listed})"

    def _join(self, fields: dict[str, Any]) -> str:
        using = self._using(fields)
        text = self._element(fields["larg"])
        word = " JOIN " if "quals" in fields or using else " CROSS JOIN "
        inner = fields["jointype"] == "JOIN_INNER"
        text += self._keyword(word if inner else _JOIN_WORDS[fields["jointype"]], -_STEP, _STEP, _PART)
        right = self._element(fields["rarg"])
        text += f"({right})" if self._pretty and "JoinExpr" in fields["rarg"] else right
        if using:
            text += f" USING ({', '.join(map(pg_identifier, using))})"
            if "join_using_alias" in fields:
                text += f" AS {pg_identifier(fields['join_using_alias']['aliasname'])}"
        elif "quals" in fields:
            condition = self.expression(fields["quals"])
            text += f" ON {condition if self._pretty else f'({condition})'}"
        elif not inner:
            text += " ON TRUE"
        return text if self._pretty else f"({text})"

    # -- GROUP BY and ORDER BY ------------------------------------------------------------------------------------

    def _grouped_by(self, node: Node, select: dict[str, Any], bare: bool = False) -> str:
        """get_rule_groupingset; ``bare``: within ROLLUP or CUBE."""
        fields = node.get("GroupingSet")
        if fields is None:
            row = node.get("RowExpr")
            if row is not None and row.get("row_format") == "COERCE_IMPLICIT_CAST" and bare:
                return f"({', '.join(self._sorted_by(part, select) for part in row.get('args', []))})"
            return self._sorted_by(node, select)
        kind = fields["kind"]
        if kind == "GROUPING_SET_EMPTY":
            return "()"
        content = fields["content"]
        if kind == "GROUPING_SET_SETS":
            parts = []
            for part in content:
                row = part.get("RowExpr")
                if "GroupingSet" in part:
                    parts.append(self._grouped_by(part, select))
                else:
                    members = row.get("args", []) if row is not None else [part]
                    parts.append(f"({', '.join(self._sorted_by(one, select) for one in members)})")
            return f"GROUPING SETS ({', '.join(parts)})"
        word = "ROLLUP" if kind == "GROUPING_SET_ROLLUP" else "CUBE"
        return f"{word}({', '.join(self._grouped_by(part, select, bare=True) for part in content)})"

    def _sorted_by(self, node: Node, select: dict[str, Any]) -> str:
        """get_rule_sortgroupclause: the expression that a name or a number of the select list stands for."""
        node = self._meant(node, select)
        text = self.expression(node, TEXT)
        if "ColumnRef" in node or "A_Const" in node:
            return text
        if "TypeCast" in node and "A_Const" in node["TypeCast"]["arg"]:
            return text
        return f"({text})" if self._pretty or "FuncCall" in node else text

    def _meant(self, node: Node, select: dict[str, Any]) -> Node:
        targets = [target["ResTarget"] for target in select.get("targetList", [])]
        constant = node.get("A_Const", {})
        if "ival" in constant:
            place = constant["ival"].get("ival", 0)
            if 0 < place <= len(targets):
                found: Node = targets[place - 1]["val"]
                return found
        reference = node.get("ColumnRef", {}).get("fields", [])
        if len(reference) == 1 and "String" in reference[0]:
            name = reference[0]["String"]["sval"]
            for target in targets:
                if (target.get("name") or column_name(target["val"])) == name:
                    return dict(target["val"])
        return node

    def _ordered(self, nodes: list[Node], select: dict[str, Any]) -> str:
        return ", ".join(self._order(nodes, select))

    def _order(self, nodes: list[Node], select: dict[str, Any]) -> list[str]:
        """get_rule_orderby; of UNION and the like by the columns' numbers."""
        parts = []
        for node in nodes:
            fields = node["SortBy"]
            text = self._number(fields["node"], select) if is_set(select) else self._sorted_by(fields["node"], select)
            falls = fields.get("sortby_dir") == "SORTBY_DESC"
            if fields.get("sortby_dir") == "SORTBY_USING":
                falls = tree.strings(fields["useOp"])[-1] == ">"
            nulls = fields.get("sortby_nulls")
            text += " DESC" * falls
            if nulls == "SORTBY_NULLS_FIRST" and not falls:
                text += " NULLS FIRST"
            elif nulls == "SORTBY_NULLS_LAST" and falls:
                text += " NULLS LAST"
            parts.append(text)
        return parts

    def _number(self, node: Node, select: dict[str, Any]) -> str:
        while "larg" in select:
            select = select["larg"]
        targets = [target["ResTarget"] for target in select.get("targetList", [])]
        names = [target.get("name") or column_name(target["val"]) for target in targets]
        if "ival" in node.get("A_Const", {}):
            return str(node["A_Const"]["ival"]["ival"])
        reference = tree.strings(node["ColumnRef"]["fields"]) if "ColumnRef" in node else []
        if reference[-1:] and reference[-1] in names:
            return str(names.index(reference[-1]) + 1)
        raise FeatureNotSupported("a sort key of this form")

    # -- expressions ----------------------------------------------------------------------------------------------

    def _sublink(self, fields: dict[str, Any]) -> str:
        """get_sublink_expr."""
        kind, select = fields["subLinkType"], fields["subselect"]["SelectStmt"]
        if kind in ("EXPR_SUBLINK", "ARRAY_SUBLINK"):
            return f"{'ARRAY' * (kind == 'ARRAY_SUBLINK')}({self._query(select, None, visible=False)})"
        if kind == "EXISTS_SUBLINK":
            return f"(EXISTS ({self._query(select, None, visible=False)}))"
        if kind not in ("ANY_SUBLINK", "ALL_SUBLINK"):
            raise FeatureNotSupported("a subquery of this form")
        operator = tree.strings(fields["operName"])[-1] if "operName" in fields else "="
        test = fields["testexpr"]
        given = self._operand(test, test) if "RowExpr" not in test else ""
        if "RowExpr" in test:
            given = f"({', '.join(self._operand(node, node) for node in test['RowExpr']['args'])})"
        word = "ANY" if kind == "ANY_SUBLINK" else "ALL"
        shown = "IN" if (word, operator) == ("ANY", "=") else f"{operator} {word}"
        return f"({given} {shown} ({self._query(select, None, visible=False)}))"

    def _case(self, fields: dict[str, Any]) -> str:
        text = self._keyword("CASE", 0, _PART)
        if "arg" in fields:
            text += f" {self.expression(fields['arg'])}"
        for when in fields["args"]:
            branch = when["CaseWhen"]
            text += self._keyword("WHEN ", 0, 0) + self.expression(branch["expr"])
            text += f" THEN {self.expression(branch['result'], TEXT)}"
        text += self._keyword("ELSE ", 0, 0)
        text += self.expression(fields["defresult"], TEXT) if "defresult" in fields else self._no_result(fields)
        return text + self._keyword("END", -_PART, 0)

    def _no_result(self, fields: dict[str, Any]) -> str:
        """ELSE that nobody wrote: NULL of the type of the others."""
        types = {self.type_of(when["CaseWhen"]["result"]) for when in fields["args"]} - {705}
        return self.expression({"A_Const": {"isnull": True}}, types.pop() if len(types) == 1 else TEXT)

    def _listed(self, nodes: Sequence[Node]) -> str:
        return ", ".join(self.expression(node) for node in nodes)

    def _call(self, fields: dict[str, Any]) -> str:
        plain = {key: value for key, value in fields.items() if not key.startswith("agg_") and key != "over"}
        if plain.keys() == fields.keys():
            return super()._call(fields)
        head, order = super()._call(plain), ""
        if "agg_order" in fields:
            order = self._aggregated_order(fields)
        if fields.get("agg_within_group") and "args" in fields:
            head = f"{head.partition('(')[0]}({', '.join(self._aggregated(fields)[: len(fields['args'])])})"
        where = self.expression(fields["agg_filter"]) if "agg_filter" in fields else ""
        over = ""
        if "over" in fields:
            window = fields["over"]
            over = pg_identifier(window["name"]) if "name" in window else self._window(window)
        return aggregate_call(head, fields, order, where, over)

    def _aggregated(self, fields: dict[str, Any]) -> list[str]:
        """The arguments of an aggregate, those that it sorts by among them when it is WITHIN GROUP."""
        sorted_by = [node["SortBy"]["node"] for node in fields["agg_order"] if fields.get("agg_within_group")]
        return self._arguments({"funcname": fields["funcname"], "args": [*fields.get("args", []), *sorted_by]})

    def _aggregated_order(self, fields: dict[str, Any]) -> str:
        """ORDER BY of an aggregate: what is an argument, too, is cast as that is."""
        sorted_by = [node["SortBy"]["node"] for node in fields["agg_order"]]
        arguments = [*fields.get("args", []), *(sorted_by if fields.get("agg_within_group") else [])]
        cast = dict(zip(map(_form, arguments), self._aggregated(fields), strict=True))
        parts = []
        for node, text in zip(sorted_by, self._order(fields["agg_order"], {}), strict=True):
            plain, own = self._sorted_by(node, {}), cast.get(_form(node))
            if own is not None and own != plain:
                # A cast of varchar to text is no call.
                bare = not self._pretty and own.endswith("::text")
                text = (own if bare else f"({own})") + text[len(plain) :]
            parts.append(text)
        return ", ".join(parts)

    def _window(self, fields: dict[str, Any]) -> str:
        listed = ", ".join(self._sorted_by(node, {}) for node in fields.get("partitionClause", []))
        order = self._ordered(fields["orderClause"], {}) if "orderClause" in fields else ""
        bounds = [self.expression(fields[key]) if key in fields else "" for key in ("startOffset", "endOffset")]
        return window_text(fields, listed, order, bounds)


def _form(node: Any) -> str:
    """A tree without the places where its parts stand."""
    return re.sub(r'"location": -?\d+,? ?', "", json.dumps(node, sort_keys=True))
