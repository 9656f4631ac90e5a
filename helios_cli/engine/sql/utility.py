"""Statements the node carries out itself, from their trees to ``engine.sql.actions``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from helios_cli.engine.datatypes.interval import split_interval
from helios_cli.engine.errors import FeatureNotSupported, SqlError
from helios_cli.engine.sql import actions, tree
from helios_cli.engine.sql.oids import BOOL, FLOAT8, INT8, PG_LSN, TEXT
from helios_cli.engine.sql.plan import Column, Kind, Plan
from helios_cli.engine.sql.privileges import DELETE, INSERT, SELECT, TRUNCATE, UPDATE
from helios_cli.engine.sql.relation import CatalogReader
from helios_cli.engine.sql.rights import RelationRight
from helios_cli.engine.sql.sqltext import pg_identifier

Handler = Callable[[dict[str, Any], CatalogReader], Plan]


def utility_plan(tag: str, action: object, columns: tuple[Column, ...] | None = None) -> Plan:
    """A plan for the node itself."""
    return Plan(Kind.UTILITY, tag, columns=columns, action=action, counts_rows=False)


# -- transactions ---------------------------------------------------------------------------------


def _options(nodes: list[dict[str, Any]]) -> dict[str, Any]:
    """isolation, read_only and deferrable from a list of transaction modes."""
    found: dict[str, Any] = {}
    for node in nodes:
        element = node["DefElem"]
        value = tree.const_value(element["arg"]["A_Const"])
        name = element["defname"].removeprefix("transaction_")
        found[name] = value if name == "isolation" else bool(value)
    return found


def _transaction(fields: dict[str, Any], _catalog: CatalogReader) -> Plan:
    kind = fields["kind"].removeprefix("TRANS_STMT_")
    name, chain = fields.get("savepoint_name", ""), bool(fields.get("chain"))
    if kind in ("BEGIN", "START"):
        tag = "BEGIN" if kind == "BEGIN" else "START TRANSACTION"
        return utility_plan(tag, actions.Begin(**_options(fields.get("options", []))))
    if kind == "COMMIT":
        return utility_plan("COMMIT", actions.Commit(chain))
    if kind == "ROLLBACK":
        return utility_plan("ROLLBACK", actions.Rollback(chain))
    if kind == "SAVEPOINT":
        return utility_plan("SAVEPOINT", actions.Savepoint(name))
    if kind == "RELEASE":
        return utility_plan("RELEASE", actions.Release(name))
    if kind == "ROLLBACK_TO":
        return utility_plan("ROLLBACK", actions.RollbackTo(name))
    if kind == "PREPARE":
        return utility_plan("PREPARE TRANSACTION", actions.PrepareTransaction())
    committed = kind == "COMMIT_PREPARED"
    return utility_plan(kind.replace("_", " "), actions.EndPrepared(fields.get("gid", ""), committed))


# -- settings -------------------------------------------------------------------------------------


def _set(fields: dict[str, Any], _catalog: CatalogReader) -> Plan:
    kind, name = fields["kind"], fields.get("name", "")
    if kind == "VAR_SET_MULTI":
        return utility_plan("SET", _set_transaction(fields, name))
    if kind == "VAR_SET_VALUE":
        value = setting_text(fields.get("args", []), quoted=name.lower() in NAME_LISTS)
        return utility_plan("SET", actions.SetVariable(name, value, bool(fields.get("is_local"))))
    if kind == "VAR_SET_DEFAULT":
        return utility_plan("SET", actions.SetVariable(name, None, bool(fields.get("is_local"))))
    if kind == "VAR_RESET":
        return utility_plan("RESET", actions.ResetVariable(name))
    if kind == "VAR_RESET_ALL":
        return utility_plan("RESET", actions.ResetVariable(None))
    raise FeatureNotSupported("SET ... FROM CURRENT is not supported")


def _set_transaction(fields: dict[str, Any], name: str) -> actions.SetTransaction:
    nodes = fields.get("args", [])
    if name == "TRANSACTION SNAPSHOT":
        snapshot = tree.const_value(nodes[0]["A_Const"])
        return actions.SetTransaction(snapshot=str(snapshot))
    return actions.SetTransaction(**_options(nodes), session=name == "SESSION CHARACTERISTICS")


NAME_LISTS: Final = frozenset(("search_path", "temp_tablespaces"))
"""Parameters that are lists of identifiers (GUC_LIST_QUOTE)."""


def setting_text(nodes: list[dict[str, Any]], *, quoted: bool = False) -> str:
    """The value of SET as PostgreSQL keeps it: list members joined by ', ', as identifiers when ``quoted``."""
    parts = []
    for node in nodes:
        constant = node.get("A_Const") or node.get("TypeCast", {}).get("arg", {}).get("A_Const")
        if constant is None:
            raise SqlError("SET takes constants only", sqlstate="42601")
        value = tree.const_value(constant)
        if isinstance(value, bool):
            value = "on" if value else "off"
        elif "TypeCast" in node and node["TypeCast"]["typeName"]["names"][-1]["String"]["sval"] == "interval":
            # SET TIME ZONE INTERVAL '+02:00': hours east of UTC.
            value = str(split_interval(str(value)).us / 3_600_000_000)
        parts.append(pg_identifier(str(value)) if quoted else str(value))
    return ", ".join(parts)


TOPOLOGY: Final = (
    Column("node_id", TEXT), Column("role", TEXT), Column("mode", TEXT), Column("state", TEXT),
    Column("pg_address", TEXT), Column("native_address", TEXT), Column("http_address", TEXT), Column("follows", TEXT),
    Column("term", INT8), Column("lsn", PG_LSN), Column("in_sync", BOOL), Column("lag_bytes", INT8),
    Column("lag_ms", FLOAT8),
)  # fmt: skip
"""Columns of SHOW TOPOLOGY: those of helios_topology, whose first row is the local node."""


def _show(fields: dict[str, Any], _catalog: CatalogReader) -> Plan:
    name = fields["name"]
    if name == "all":
        columns = tuple(Column(column, TEXT) for column in ("name", "setting", "description"))
        return utility_plan("SHOW", actions.Show(None), columns)
    if name == "topology":
        return utility_plan("SHOW", actions.ShowTopology(), TOPOLOGY)
    shown = {"timezone": "TimeZone", "datestyle": "DateStyle", "intervalstyle": "IntervalStyle"}.get(name, name)
    return utility_plan("SHOW", actions.Show(name), (Column(shown, TEXT),))


def _alter_system(fields: dict[str, Any], _catalog: CatalogReader) -> Plan:
    statement = fields["setstmt"]
    kind, name = statement["kind"], statement.get("name")
    value = setting_text(statement["args"]) if kind == "VAR_SET_VALUE" else None
    return utility_plan("ALTER SYSTEM", actions.AlterSystem(None if kind == "VAR_RESET_ALL" else name, value))


def _set_constraints(fields: dict[str, Any], _catalog: CatalogReader) -> Plan:
    names = tuple(node["RangeVar"]["relname"] for node in fields.get("constraints", []))
    return utility_plan("SET CONSTRAINTS", actions.SetConstraints(names, bool(fields.get("deferred"))))


# -- cursors, prepared statements, channels -------------------------------------------------------

_ALL: Final = 2**63 - 1


def _fetch(fields: dict[str, Any], _catalog: CatalogReader) -> Plan:
    word = fields.get("direction", "FETCH_FORWARD").removeprefix("FETCH_").lower()
    count = fields.get("howMany", 0)
    move = bool(fields.get("ismove"))
    action = actions.Fetch(fields["portalname"], actions.Direction(word), None if count == _ALL else count, move)
    return Plan(Kind.UTILITY, "MOVE" if move else "FETCH", columns=None, action=action)


def _close(fields: dict[str, Any], _catalog: CatalogReader) -> Plan:
    name = fields.get("portalname")
    return utility_plan("CLOSE CURSOR ALL" if name is None else "CLOSE CURSOR", actions.CloseCursor(name))


def _deallocate(fields: dict[str, Any], _catalog: CatalogReader) -> Plan:
    name = fields.get("name")
    return utility_plan("DEALLOCATE ALL" if name is None else "DEALLOCATE", actions.Deallocate(name))


def _listen(fields: dict[str, Any], _catalog: CatalogReader) -> Plan:
    return utility_plan("LISTEN", actions.Listen(fields["conditionname"]))


def _unlisten(fields: dict[str, Any], _catalog: CatalogReader) -> Plan:
    return utility_plan("UNLISTEN", actions.Unlisten(fields.get("conditionname")))


def _notify(fields: dict[str, Any], _catalog: CatalogReader) -> Plan:
    return utility_plan("NOTIFY", actions.Notify(fields["conditionname"], fields.get("payload", "")))


# -- maintenance ----------------------------------------------------------------------------------


def _discard(fields: dict[str, Any], _catalog: CatalogReader) -> Plan:
    what = fields.get("target", "DISCARD_ALL").removeprefix("DISCARD_").lower()
    return utility_plan(f"DISCARD {what.upper()}", actions.Discard(what))


def _checkpoint(_fields: dict[str, Any], _catalog: CatalogReader) -> Plan:
    return utility_plan("CHECKPOINT", actions.Checkpoint())


def flag(element: dict[str, Any]) -> bool:
    """A boolean option: absent means true (``EXPLAIN (ANALYZE)``)."""
    argument = element.get("arg")
    if argument is None:
        return True
    kind, fields = tree.tag(argument), tree.body(argument)
    value = fields.get("sval", "") if kind == "String" else fields.get("boolval", fields.get("ival", 0))
    return str(value).lower() in ("true", "on", "1", "yes")


def _vacuum(fields: dict[str, Any], catalog: CatalogReader) -> Plan:
    is_vacuum = bool(fields.get("is_vacuumcmd"))
    options = {node["DefElem"]["defname"]: flag(node["DefElem"]) for node in fields.get("options", [])}
    tables = []
    for node in fields.get("rels", []):
        reference = node["VacuumRelation"]["relation"]
        relation = catalog.relation(reference.get("schemaname"), reference["relname"])
        if relation is None:
            raise SqlError(f'relation "{reference["relname"]}" does not exist', sqlstate="42P01")
        tables.append(relation.sqlite_name or relation.name)
    analyze = not is_vacuum or options.get("analyze", False)
    action = actions.Vacuum(is_vacuum, analyze, options.get("full", False), tuple(tables))
    return utility_plan("VACUUM" if is_vacuum else "ANALYZE", action)


_LOCK_MODES: Final = (
    "", "ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE",
    "EXCLUSIVE", "ACCESS EXCLUSIVE",
)  # fmt: skip

_LOCK_RIGHTS: Final = UPDATE | DELETE | TRUNCATE
"""One of these is enough for every lock but ACCESS SHARE (LockTableAclCheck)."""


def _lock(fields: dict[str, Any], catalog: CatalogReader) -> Plan:
    names, rights = [], []
    mode = _LOCK_MODES[fields.get("mode", 8)]
    for node in fields["relations"]:
        reference = node["RangeVar"]
        found = catalog.relation(reference.get("schemaname"), reference["relname"])
        if found is None:
            raise SqlError(f'relation "{reference["relname"]}" does not exist', sqlstate="42P01")
        names.append(reference["relname"])
        any_of = SELECT if mode == "ACCESS SHARE" else _LOCK_RIGHTS | (INSERT if mode == "ROW EXCLUSIVE" else 0)
        rights.append(RelationRight(found.oid, found.name, found.kind, found.schema, found.owner, any_of=any_of))
    action = actions.LockTable(tuple(names), mode, bool(fields.get("nowait")))
    plan = utility_plan("LOCK TABLE", action)
    plan.rights = tuple(rights)
    plan.guarded = any(right.kind == "v" for right in rights)
    return plan


HANDLERS: Final[dict[str, Handler]] = {
    "TransactionStmt": _transaction,
    "VariableSetStmt": _set,
    "VariableShowStmt": _show,
    "AlterSystemStmt": _alter_system,
    "ConstraintsSetStmt": _set_constraints,
    "FetchStmt": _fetch,
    "ClosePortalStmt": _close,
    "DeallocateStmt": _deallocate,
    "ListenStmt": _listen,
    "UnlistenStmt": _unlisten,
    "NotifyStmt": _notify,
    "DiscardStmt": _discard,
    "CheckPointStmt": _checkpoint,
    "VacuumStmt": _vacuum,
    "LockStmt": _lock,
}
"""Utility statements that need no planner of queries."""

UNSUPPORTED: Final = {
    "CreateFunctionStmt": ("CREATE FUNCTION", None),
    "CreateTrigStmt": ("CREATE TRIGGER", None),
    "CreateExtensionStmt": ("CREATE EXTENSION", None),
    "CreatedbStmt": ("CREATE DATABASE", "A node has one database; start another node."),
    "RuleStmt": ("CREATE RULE", None),
    "CreatePolicyStmt": ("CREATE POLICY", None),
    "CreatePublicationStmt": ("CREATE PUBLICATION", None),
    "CreateSubscriptionStmt": ("CREATE SUBSCRIPTION", None),
    "CreateTableSpaceStmt": ("CREATE TABLESPACE", None),
    "ClusterStmt": ("CLUSTER", None),
    "LoadStmt": ("LOAD", None),
    "ReassignOwnedStmt": ("REASSIGN OWNED", None),
}
"""What PostgreSQL has and the node has not: its name and a hint."""
