"""Statements that are no queries: transactions, settings, cursors, prepared statements, definitions, maintenance."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from helios_cli.engine.proxy import queries
from helios_cli.engine.proxy.statement import Access, Control, Setting, Statement
from helios_cli.engine.sql import tree

Node = dict[str, Any]
Handler = Callable[[Node, str], Statement]
"""From a statement's fields and its text, without comments, to its class."""

TEMPORARY: Final = "temporary table"

# -- transactions ---------------------------------------------------------------------------------


def _options(nodes: list[Node]) -> dict[str, object]:
    """transaction_isolation, transaction_read_only and transaction_deferrable from a list of transaction modes."""
    return {node["DefElem"]["defname"]: tree.const_value(node["DefElem"]["arg"]["A_Const"]) for node in nodes}


def _mode(options: dict[str, object]) -> tuple[Access, bool]:
    """Where a transaction of these modes may run, and whether it is read only.

    A standby of PostgreSQL refuses SERIALIZABLE.
    """
    read_only = bool(options.get("transaction_read_only"))
    serializable = options.get("transaction_isolation") == "serializable"
    return (Access.READ if read_only and not serializable else Access.WRITE), read_only


def _transaction(fields: Node, _text: str) -> Statement:
    kind, chain = fields["kind"].removeprefix("TRANS_STMT_"), bool(fields.get("chain"))
    if kind in ("BEGIN", "START"):
        access, read_only = _mode(_options(fields.get("options", [])))
        return Statement(access, "BEGIN", control=Control.BEGIN, has_control=True, read_only=read_only)
    if kind in ("COMMIT", "ROLLBACK"):
        return Statement(Access.READ, kind, control=Control(kind), has_control=True, chain=chain)
    if kind in ("SAVEPOINT", "RELEASE", "ROLLBACK_TO"):
        name = fields.get("savepoint_name", "")
        return Statement(Access.READ, kind.replace("_", " "), control=Control.WITHIN, savepoint=name)
    if kind == "PREPARE":
        return Statement(Access.WRITE, "PREPARE TRANSACTION", has_control=True)
    return Statement(Access.WRITE, kind.replace("_", " "))


# -- settings -------------------------------------------------------------------------------------

_OF_TRANSACTION: Final = frozenset(("transaction_isolation", "transaction_read_only", "transaction_deferrable"))
_FALSE: Final = frozenset(("0", "off", "false", "no", "f", "n", "of", "fal", "fals", "fa", ""))


def _set(fields: Node, text: str) -> Statement:
    kind, name = fields["kind"], fields.get("name", "").lower()
    if kind == "VAR_RESET_ALL":
        return Statement(Access.READ, "RESET ALL", resets=True)
    if kind == "VAR_SET_MULTI":
        return _set_modes(fields, name)
    if name in _OF_TRANSACTION:
        return _set_one_mode(fields, name)
    if fields.get("is_local"):
        return Statement(Access.READ, "SET LOCAL", control=Control.WITHIN)
    if kind == "VAR_SET_CURRENT" or name == "seed":
        return Statement(Access.WRITE, "SET", pins=f"SET {name}")
    value = _strip(text) if kind == "VAR_SET_VALUE" else None
    settings = [Setting(name, value)]
    if name == "session_authorization":
        # It ends the SET ROLE before it.
        settings.insert(0, Setting("role", None))
    temporary = name == "search_path" and value is not None and _first(fields) == "pg_temp"
    why = "RESET" if kind == "VAR_RESET" else "SET"
    if temporary:
        return Statement(Access.WRITE, why, settings=tuple(settings), pins="pg_temp in search_path")
    return Statement(Access.READ, why, settings=tuple(settings))


def _strip(text: str) -> str:
    return text.strip().rstrip(";").rstrip()


def _first(fields: Node) -> object:
    argument = fields["args"][0]
    return tree.const_value(argument["A_Const"]) if "A_Const" in argument else None


def _set_modes(fields: Node, name: str) -> Statement:
    if name == "transaction snapshot":
        return Statement(Access.WRITE, "SET TRANSACTION SNAPSHOT", control=Control.WITHIN)
    options = _options(fields.get("args", []))
    if name == "session characteristics":
        settings = tuple(Setting(f"default_{mode}", _default(mode, value)) for mode, value in options.items())
        return Statement(Access.READ, "SET SESSION CHARACTERISTICS", settings=settings)
    access, read_only = _mode({"transaction_read_only": True} | options)
    read_only &= "transaction_read_only" in options
    return Statement(access, "SET TRANSACTION", control=Control.WITHIN, read_only=read_only)


def _default(mode: str, value: object) -> str:
    word = str(value) if mode == "transaction_isolation" else "on" if value else "off"
    return f"SET default_{mode} = '{word}'"


def _set_one_mode(fields: Node, name: str) -> Statement:
    value = str(_first(fields)).lower() if fields["kind"] == "VAR_SET_VALUE" else ""
    read_only = name == "transaction_read_only" and value not in _FALSE and fields["kind"] == "VAR_SET_VALUE"
    writes = value == "serializable" or (name == "transaction_read_only" and not read_only)
    access = Access.WRITE if writes else Access.READ
    return Statement(access, "SET TRANSACTION", control=Control.WITHIN, read_only=read_only)


_PRIMARY_SHOWS: Final = frozenset(("transaction_read_only", "in_hot_standby"))
"""What drivers ask to find out whether they can write."""


def _show(fields: Node, _text: str) -> Statement:
    name = fields["name"].lower()
    access = Access.WRITE if name in _PRIMARY_SHOWS else Access.READ
    return Statement(access, "SHOW", shows=name)


def _discard(fields: Node, _text: str) -> Statement:
    what = fields.get("target", "DISCARD_ALL").replace("_", " ")
    everything = what == "DISCARD ALL"
    return Statement(Access.READ, what, resets=everything, discards=everything)


def _constraints(_fields: Node, _text: str) -> Statement:
    return Statement(Access.READ, "SET CONSTRAINTS", control=Control.WITHIN)


# -- prepared statements, cursors, channels -------------------------------------------------------

_HOLD: Final = 0x20
"""CURSOR_OPT_HOLD."""


def _prepare(_fields: Node, _text: str) -> Statement:
    return Statement(Access.WRITE, "PREPARE", pins="PREPARE")


def _execute(_fields: Node, _text: str) -> Statement:
    return Statement(Access.WRITE, "EXECUTE")


def _deallocate(fields: Node, _text: str) -> Statement:
    return Statement(Access.READ, "DEALLOCATE", frees=fields.get("name", ""))


def _declare(fields: Node, _text: str) -> Statement:
    inner = _inner(fields["query"])
    if fields.get("options", 0) & _HOLD:
        return Statement(Access.WRITE, "WITH HOLD", pins=f"WITH HOLD cursor {fields['portalname']}")
    return Statement(inner.access, f"DECLARE {inner.why}", pins=inner.pins)


def _fetch(fields: Node, _text: str) -> Statement:
    return Statement(Access.READ, "MOVE" if fields.get("ismove") else "FETCH")


def _close(fields: Node, _text: str) -> Statement:
    return Statement(Access.READ, "CLOSE", unpins=(f"WITH HOLD cursor {fields.get('portalname') or '*'}",))


def _unlisten(fields: Node, _text: str) -> Statement:
    return Statement(Access.WRITE, "UNLISTEN", unpins=() if fields.get("conditionname") else ("LISTEN",))


def _listen(_fields: Node, _text: str) -> Statement:
    return Statement(Access.WRITE, "LISTEN", pins="LISTEN")


def _load(_fields: Node, _text: str) -> Statement:
    return Statement(Access.WRITE, "LOAD", pins="LOAD")


def _explain(fields: Node, _text: str) -> Statement:
    inner = _inner(fields["query"])
    for option in fields.get("options", []):
        element = option["DefElem"]
        if element["defname"].lower() == "analyze" and _is_on(element):
            return Statement(inner.access, f"EXPLAIN ANALYZE {inner.why}", pins=inner.pins)
    if tree.tag(fields["query"]) == "ExecuteStmt":
        return Statement(Access.WRITE, "EXPLAIN EXECUTE")
    return Statement(Access.READ, "EXPLAIN")


def _is_on(element: Node) -> bool:
    argument = element.get("arg")
    if argument is None:
        return True
    fields = tree.body(argument)
    value = fields.get("sval", fields.get("boolval", fields.get("ival", 0)))
    return str(value).lower() not in _FALSE


def _inner(node: Node) -> Statement:
    """The class of a statement within another one."""
    return judge(node, "")


# -- COPY and locks -------------------------------------------------------------------------------


def _copy(fields: Node, _text: str) -> Statement:
    to_client = "filename" not in fields and not fields.get("is_program")
    if fields.get("is_from"):
        return Statement(Access.WRITE, "COPY FROM", named=to_client, copies_in=to_client)
    if not to_client:
        return Statement(Access.WRITE, "COPY TO a file of the server")
    if "query" not in fields:
        return Statement(Access.READ, "COPY TO")
    inner = _inner(fields["query"])
    return Statement(inner.access, f"COPY {inner.why}", settings=inner.settings, pins=inner.pins)


_ROW_SHARE: Final = 2


def _lock(fields: Node, _text: str) -> Statement:
    return Statement(Access.READ if fields.get("mode", 8) <= _ROW_SHARE else Access.WRITE, "LOCK TABLE")


# -- definitions and the rest ---------------------------------------------------------------------

_UNNAMED: Final = {
    "AlterSystemStmt": "ALTER SYSTEM",
    "CallStmt": "CALL",
    "CheckPointStmt": "CHECKPOINT",
    "ClusterStmt": "CLUSTER",
    "DoStmt": "DO",
    "NotifyStmt": "NOTIFY",
    "VacuumStmt": "VACUUM",
}
"""What the primary alone runs, and takes no write id for, or cannot with one: procedures end transactions."""
_CREATED: Final = {
    "CreateStmt": "relation", "CreateSeqStmt": "sequence", "CreateForeignTableStmt": "base", "ViewStmt": "view",
}  # fmt: skip
"""Statements that make relations, and the field that names them."""
_NAMED_THINGS: Final = ("funcname", "typeName", "domainname", "defnames")
_WORD: Final = re.compile(r"[A-Z][a-z]*")


def _definition(kind: str, fields: Node) -> Statement:
    """A statement that changes definitions: by default a write like any other."""
    into = fields["into"]["rel"] if kind == "CreateTableAsStmt" else fields.get(_CREATED.get(kind, ""), {})
    relation = into.get("RangeVar", into)
    pins = TEMPORARY if queries.is_temporary(relation) or _is_for_session(fields) else ""
    if kind == "CreateTableAsStmt":
        inner = _inner(fields["query"])
        pins = pins or inner.pins
        sent_again = tree.tag(fields["query"]) != "ExecuteStmt"
        return Statement(Access.WRITE, "CREATE TABLE AS", named=sent_again and not pins, pins=pins)
    return Statement(Access.WRITE, _shown(kind, fields), named=not pins, pins=pins)


def _is_for_session(fields: Node) -> bool:
    """Whether a function or type is made in the schema of temporary objects."""
    for key in _NAMED_THINGS:
        names = fields.get(key)
        if isinstance(names, list) and "String" in names[0] and tree.strings(names[:1]) == ["pg_temp"]:
            return True
    return False


def _shown(kind: str, fields: Node) -> str:
    """A statement's name from its node: 'CreateFunctionStmt' is CREATE FUNCTION."""
    if kind == "DropStmt":
        return f"DROP {fields.get('removeType', '').removeprefix('OBJECT_').replace('MATVIEW', 'MATERIALIZED VIEW')}"
    if kind in ("GrantStmt", "GrantRoleStmt") and not fields.get("is_grant"):
        return "REVOKE"
    words = " ".join(_WORD.findall(kind.removesuffix("Stmt"))).upper()
    return _SHOWN.get(words, words)


_SHOWN: Final = {
    "CREATE": "CREATE TABLE", "INDEX": "CREATE INDEX", "VIEW": "CREATE VIEW", "RULE": "CREATE RULE",
    "CREATEDB": "CREATE DATABASE", "DROPDB": "DROP DATABASE", "CREATE SEQ": "CREATE SEQUENCE",
    "ALTER SEQ": "ALTER SEQUENCE", "CREATE TRIG": "CREATE TRIGGER", "DEFINE": "CREATE",
    "REFRESH MAT VIEW": "REFRESH MATERIALIZED VIEW", "COMPOSITE TYPE": "CREATE TYPE", "RENAME": "ALTER RENAME",
    "GRANT ROLE": "GRANT",
}  # fmt: skip

_HANDLERS: Final[dict[str, Handler]] = {
    "TransactionStmt": _transaction,
    "VariableSetStmt": _set,
    "VariableShowStmt": _show,
    "DiscardStmt": _discard,
    "ConstraintsSetStmt": _constraints,
    "PrepareStmt": _prepare,
    "ExecuteStmt": _execute,
    "DeallocateStmt": _deallocate,
    "DeclareCursorStmt": _declare,
    "FetchStmt": _fetch,
    "ClosePortalStmt": _close,
    "UnlistenStmt": _unlisten,
    "ListenStmt": _listen,
    "LoadStmt": _load,
    "ExplainStmt": _explain,
    "CopyStmt": _copy,
    "LockStmt": _lock,
}


def judge(node: Node, text: str) -> Statement:
    """The class of one parsed statement; ``text`` is its own, without comments."""
    kind, fields = tree.tag(node), tree.body(node)
    if kind in queries.QUERIES:
        return queries.judge(node)
    handler = _HANDLERS.get(kind)
    if handler is not None:
        return handler(fields, text)
    if kind in _UNNAMED:
        return Statement(Access.WRITE, "ANALYZE" if _is_analyze(kind, fields) else _UNNAMED[kind])
    return _definition(kind, fields)


def _is_analyze(kind: str, fields: Node) -> bool:
    return kind == "VacuumStmt" and not fields.get("is_vacuumcmd")


def depends_on_literals(node: Node) -> bool:
    """Whether a statement with other literals may be of another class, or leave something else behind."""
    return tree.tag(node) in ("VariableSetStmt", "ExplainStmt", "SelectStmt") and (
        tree.tag(node) != "SelectStmt" or queries.has_config(node)
    )
