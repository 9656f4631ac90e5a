"""INSERT, UPDATE and DELETE of simple views: the statement's tree is rewritten for the table under the view.

Simple is what PostgreSQL calls automatically updatable (manual, CREATE VIEW), as far as every column of the view that
the statement names is a column of the table.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any, Final

from helios_cli.engine.sql import grammar, tree
from helios_cli.engine.sql.handlers import called_functions
from helios_cli.engine.sql.relation import Relation
from helios_cli.engine.sql.scope import Scope
from helios_cli.engine.sql.secured_writes import SHOWN, shown_name
from helios_cli.engine.sql.typed import Node

_VERBS: Final = {"INSERT": "insert into", "UPDATE": "update", "DELETE": "delete from"}
_DOING: Final = {"INSERT": "inserting into", "UPDATE": "updating", "DELETE": "deleting from"}
_NOT_SIMPLE: Final = (
    ("withClause", "Views containing WITH are not automatically updatable."),
    ("distinctClause", "Views containing DISTINCT are not automatically updatable."),
    ("groupClause", "Views containing GROUP BY are not automatically updatable."),
    ("havingClause", "Views containing HAVING are not automatically updatable."),
    ("limitCount", "Views containing LIMIT or OFFSET are not automatically updatable."),
    ("limitOffset", "Views containing LIMIT or OFFSET are not automatically updatable."),
)
_ONE_TABLE: Final = "Views that do not select from a single table or view are not automatically updatable."


def through_view(word: str, fields: dict[str, Any], view: Relation, scope: Scope) -> dict[str, Any]:
    """The statement on what the view selects from, a table or a view itself.

    Raises:
        SqlError: 55000 the view is not automatically updatable; 0A000 a column of it is no column of the table.
    """
    select = _definition(view, scope)
    _check_simple(select, word, view, scope)
    alias = fields["relation"].get("alias", {}).get("aliasname", view.name)
    columns = _columns(select, view, scope)
    shown = fields["relation"].get(SHOWN)
    by_names = shown is None and not (_has_other_tables(fields) and any(name != base for name, base in columns.items()))
    if by_names and not _has_other_tables(fields):
        _check_names(fields, columns, scope)
    base = select["fromClause"][0]["RangeVar"]
    changed = deepcopy(
        {key: value for key, value in fields.items() if key not in ("relation", "returningList", CHECKS)}
    )
    changed["relation"] = {**base, "alias": {"aliasname": alias}, "location": fields["relation"].get("location", 0)}
    _rename_targets(word, changed, columns, view, scope)
    computed = _computed(select, view, alias)
    if not by_names:
        if computed or word == "INSERT":
            what = f'a change of view "{view.name}" with renamed columns and other tables'
            raise scope.ctx.unsupported(what, hint="Change the table under it.")
        shown = {under: name if shown is None else shown_name(name, shown) for name, under in columns.items()}
        changed["relation"][SHOWN] = shown
    checks = [(name, _renamed(node, alias, columns, computed)) for name, node in fields.get(CHECKS, ())]
    for key in ("whereClause", "targetList", "onConflictClause") if by_names else ():
        _rename(changed.get(key), alias, columns, computed)
    if word != "INSERT" and "whereClause" in select:
        own = _of_base(deepcopy(select["whereClause"]), alias)
        if not by_names:
            _show(own, alias, shown or {})
        changed["whereClause"] = _both(own, changed.get("whereClause"), scope)
    if word != "DELETE":
        _add_checks(changed, checks, fields, select, view, alias, scope)
    if "returningList" in fields:
        given = _with_others(fields["returningList"], alias, fields)
        seen = columns if by_names else {name: name for name in (shown or {}).values() if name[0] != "\0"}
        changed["returningList"] = _returning(given, alias, seen, computed, renames=by_names)
    return changed


def _show(node: Node, alias: str, shown: dict[str, str]) -> None:
    """A view's own condition over its base's columns, under the names that these have in the statement."""
    for part in tree.walk(node):
        reference = part.get("ColumnRef")
        if isinstance(reference, dict) and len(reference["fields"]) > 1:
            names = tree.strings(reference["fields"])
            if names[-2] == alias:
                reference["fields"][-1] = {"String": {"sval": shown_name(names[-1], shown)}}


def _with_others(nodes: list[Node], alias: str, fields: dict[str, Any]) -> list[Node]:
    """RETURNING whose ``*`` is that of the view and of every other table."""
    others = [*fields.get("fromClause", []), *fields.get("usingClause", [])]
    names = [alias, *(name for node in others for name in _item_names(node))]
    found: list[Node] = []
    for node in nodes:
        reference = node["ResTarget"]["val"].get("ColumnRef", {}).get("fields", [{}])
        if len(reference) == 1 and "A_Star" in reference[0] and others:
            found += [
                {"ResTarget": {"val": {"ColumnRef": {"fields": [{"String": {"sval": name}}, {"A_Star": {}}],
                                                     "location": -1}}, "location": -1}}
                for name in names
            ]  # fmt: skip
        else:
            found.append(node)
    return found


def _item_names(node: Node) -> list[str]:
    """The names of the FROM items in an element of FROM."""
    kind = tree.tag(node)
    fields = node[kind]
    if kind == "JoinExpr":
        return [*_item_names(fields["larg"]), *_item_names(fields["rarg"])]
    name = fields.get("alias", {}).get("aliasname") or fields.get("relname", "")
    return [name] if name else []


CHECKS: Final = "checkOptions"
"""The field that a rewritten statement has for the conditions of WITH CHECK OPTION: pairs of view and condition."""
_CASCADES: Final = "checkCascades"


def _both(own: Node, given: Node | None, scope: Scope) -> Node:
    """The conditions of a view and of a statement; functions of users are not called for rows that the view hides."""
    if given is None:
        return own
    parts = given["BoolExpr"]["args"] if given.get("BoolExpr", {}).get("boolop") == "AND_EXPR" else [given]
    guarded = [
        {"CaseExpr": {"args": [{"CaseWhen": {"expr": deepcopy(own), "result": part, "location": -1}}], "location": -1}}
        if called_functions(part, scope.ctx.catalog)
        else part
        for part in parts
    ]
    return {"BoolExpr": {"boolop": "AND_EXPR", "args": [own, *guarded], "location": -1}}


def _renamed(node: Node, alias: str, columns: dict[str, str], computed: dict[str, Node]) -> Node:
    holder = {"node": deepcopy(node)}
    _rename(holder, alias, columns, computed)
    return holder["node"]


def _add_checks(
    changed: dict[str, Any], checks: list[tuple[str, Node]], fields: dict[str, Any], select: dict[str, Any],
    view: Relation, alias: str, scope: Scope,
) -> None:  # fmt: skip
    """The conditions that new rows have to meet: a view's own, if it checks or one above it does so for all below."""
    option = scope.ctx.catalog.view_check_option(view.oid)
    changed[_CASCADES] = bool(fields.get(_CASCADES)) or option == "cascaded"
    if "whereClause" in select and (option or fields.get(_CASCADES)):
        # The conditions of what lies below come first, as PostgreSQL checks them.
        checks = [*checks, (view.name, _of_base(deepcopy(select["whereClause"]), alias))]
    if checks:
        changed[CHECKS] = checks


def _definition(view: Relation, scope: Scope) -> dict[str, Any]:
    text = scope.ctx.catalog.view_query(view.oid) or ""
    parsed: Any = grammar.parse(text)
    select: dict[str, Any] = parsed[0]["stmt"]["SelectStmt"]
    return select


def why_not_simple(select: dict[str, Any], scope: Scope) -> str | None:
    """Why a view over a query is not automatically updatable; None: it is."""
    candidates = scope.ctx.functions.candidates

    def folds(name: str) -> bool:
        return any(function.aggregate or function.set_returning for function in candidates(name))

    return reason_of_form(select, folds)


def reason_of_form(select: dict[str, Any], folds: Callable[[str], bool]) -> str | None:
    """The same; ``folds`` says of a function's name whether it is that of an aggregate or returns a set."""
    detail = next((text for key, text in _NOT_SIMPLE if key in select), None)
    source = select.get("fromClause", [])
    if select.get("op", "SETOP_NONE") != "SETOP_NONE":
        detail = "Views containing UNION, INTERSECT, or EXCEPT are not automatically updatable."
    elif detail is None and (len(source) != 1 or "RangeVar" not in source[0]):
        detail = _ONE_TABLE
    elif detail is None and any("FuncCall" in part and _folds(part["FuncCall"], folds) for part in _targets(select)):
        detail = "Views that return aggregate functions are not automatically updatable."
    return detail


def _check_simple(select: dict[str, Any], word: str, view: Relation, scope: Scope) -> None:
    detail = why_not_simple(select, scope)
    if detail is None:
        return
    hint = (
        f"To enable {_DOING[word]} the view, provide an INSTEAD OF {word} trigger or an unconditional ON {word} DO "
        "INSTEAD rule."
    )
    raise scope.ctx.error("55000", f'cannot {_VERBS[word]} view "{view.name}"', detail=detail, hint=hint)


def _targets(select: dict[str, Any]) -> list[Node]:
    return [part for target in select.get("targetList", []) for part in tree.walk(target["ResTarget"]["val"])]


def _folds(call: dict[str, Any], folds: Callable[[str], bool]) -> bool:
    return "over" in call or folds(tree.strings(call["funcname"])[-1])


def _columns(select: dict[str, Any], view: Relation, scope: Scope) -> dict[str, str]:
    """For each column of the view the base's column; '' for one that is none."""
    bases: list[str] = []
    base = select["fromClause"][0]["RangeVar"]
    for target in select.get("targetList", []):
        reference = target["ResTarget"]["val"].get("ColumnRef")
        if reference is None:
            bases.append("")
        elif "A_Star" in reference["fields"][-1]:
            found = scope.ctx.catalog.relation(base.get("schemaname"), base["relname"])
            bases += [column.name for column in found.columns] if found is not None else []
        else:
            bases.append(tree.strings(reference["fields"])[-1])
    return {column.name: name for column, name in zip(view.columns, bases, strict=False)}


def _has_other_tables(fields: dict[str, Any]) -> bool:
    """Whether a name may be that of another table, which is not told apart here."""
    written = {key: value for key, value in fields.items() if key not in ("selectStmt", "withClause")}
    return bool(fields.get("fromClause") or fields.get("usingClause")) or any(
        "SubLink" in part for part in tree.walk(written)
    )


def _check_names(fields: dict[str, Any], columns: dict[str, str], scope: Scope) -> None:
    """Raise SqlError 42703 for a column of the table that the view does not show."""
    for key in ("whereClause", "targetList", "returningList", "onConflictClause"):
        for part in tree.walk(fields.get(key)):
            reference = part.get("ColumnRef")
            if isinstance(reference, dict) and "String" in reference["fields"][-1]:
                name = tree.strings(reference["fields"])[-1]
                if name not in columns:
                    at = reference.get("location", 0)
                    raise scope.ctx.error("42703", f'column "{name}" does not exist', at)


def _rename_targets(word: str, changed: dict[str, Any], columns: dict[str, str], view: Relation, scope: Scope) -> None:
    """The columns that are assigned: by the base's names."""
    key = {"INSERT": "cols", "UPDATE": "targetList"}.get(word)
    if key is None:
        return
    if word == "INSERT" and key not in changed and "selectStmt" in changed:
        count = _width(changed["selectStmt"]["SelectStmt"], len(columns))
        changed["cols"] = [{"ResTarget": {"name": name}} for name in list(columns)[:count]]
    conflicting = changed.get("onConflictClause", {}).get("targetList", []) if word == "INSERT" else []
    for node in [*changed.get(key, []), *conflicting]:
        target = node["ResTarget"]
        name = target["name"]
        if name not in columns:
            message = f'column "{name}" of relation "{view.name}" does not exist'
            raise scope.ctx.error("42703", message, target.get("location", 0))
        if not columns[name]:
            verb = {"INSERT": "insert into", "UPDATE": "update"}[word]
            detail = "View columns that are not columns of their base relation are not updatable."
            raise scope.ctx.error("0A000", f'cannot {verb} column "{name}" of view "{view.name}"', detail=detail)
        target["name"] = columns[name]


def _width(select: dict[str, Any], columns: int) -> int:
    """How many columns INSERT's source has, as far as its text tells."""
    if "valuesLists" in select:
        return min(len(select["valuesLists"][0]["List"]["items"]), columns)
    return min(len(select.get("targetList", [])) or columns, columns)


def _computed(select: dict[str, Any], view: Relation, alias: str) -> dict[str, Node]:
    """The expressions of the view's columns that are no columns of the base, over the base's columns."""
    targets = [node["ResTarget"] for node in select.get("targetList", [])]
    if len(targets) != len(view.columns):
        return {}
    return {
        column.name: _of_base(deepcopy(target["val"]), alias)
        for column, target in zip(view.columns, targets, strict=True)
        if "ColumnRef" not in target["val"]
    }


def _rename(node: Any, alias: str, columns: dict[str, str], computed: dict[str, Node]) -> None:
    """Column references of the statement: by the base's names, or what the view computes."""
    for part in list(tree.walk(node)):
        element = part.get("IndexElem")
        if isinstance(element, dict) and columns.get(element.get("name", "")):
            element["name"] = columns[element["name"]]
        reference = part.get("ColumnRef")
        if not isinstance(reference, dict) or "String" not in reference["fields"][-1]:
            continue
        names = tree.strings(reference["fields"])
        base = columns.get(names[-1])
        if len(names) > 1 and names[-2] not in (alias, "excluded"):
            continue
        if base:
            reference["fields"][-1] = {"String": {"sval": base}}
        elif names[-1] in computed:
            part.clear()
            part.update(deepcopy(computed[names[-1]]))


def _of_base(node: Node, alias: str) -> Node:
    """The view's own condition, its columns under the statement's name for the table."""
    simple = not any("SubLink" in part for part in tree.walk(node))
    for part in tree.walk(node):
        reference = part.get("ColumnRef")
        if isinstance(reference, dict) and (simple or len(reference["fields"]) > 1):
            reference["fields"] = [{"String": {"sval": alias}}, reference["fields"][-1]]
    return node


def _returning(
    nodes: list[Node], alias: str, columns: dict[str, str], computed: dict[str, Node], *, renames: bool
) -> list[Node]:
    """RETURNING with the view's stars written out and its names kept."""
    found: list[Node] = []
    for node in deepcopy(nodes):
        target = node["ResTarget"]
        reference = target["val"].get("ColumnRef")
        if reference is not None and "A_Star" in reference["fields"][-1]:
            qualifier = tree.strings(reference["fields"][:-1])
            if qualifier and qualifier[-1] != alias:
                found.append(node)
                continue
            for name, base in columns.items():
                value = _column(alias, base) if base else deepcopy(computed[name])
                found.append({"ResTarget": {"name": name, "val": value, "location": -1}})
            continue
        if reference is not None:
            target.setdefault("name", tree.strings(reference["fields"])[-1])
        if renames:
            _rename(target["val"], alias, columns, computed)
        found.append(node)
    return found


def _column(alias: str, base: str) -> Node:
    return {"ColumnRef": {"fields": [{"String": {"sval": alias}}, {"String": {"sval": base}}], "location": -1}}
