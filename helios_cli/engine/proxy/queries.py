"""Queries and changes of rows: SELECT, INSERT, UPDATE, DELETE and MERGE, by what stands anywhere in their trees."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from helios_cli.engine.proxy import functions
from helios_cli.engine.proxy.functions import Call
from helios_cli.engine.proxy.statement import Access, Setting, Statement
from helios_cli.engine.sql import tree

Node = dict[str, Any]

CHANGES: Final = {"InsertStmt": "INSERT", "UpdateStmt": "UPDATE", "DeleteStmt": "DELETE", "MergeStmt": "MERGE"}
"""Statements that change rows, and their names."""
QUERIES: Final = frozenset(("SelectStmt", *CHANGES))
OF_PRIMARY: Final = frozenset((
    "pg_stat_activity", "pg_locks", "pg_stat_replication", "pg_replication_slots", "pg_stat_ssl", "pg_stat_gssapi",
    "pg_prepared_xacts", "pg_prepared_statements", "pg_cursors",
))  # fmt: skip
"""Relations whose rows are sessions of one node: what is done to one of them is done at the primary."""
_STRENGTHS: Final = {
    "LCS_FORKEYSHARE": "FOR KEY SHARE",
    "LCS_FORSHARE": "FOR SHARE",
    "LCS_FORNOKEYUPDATE": "FOR NO KEY UPDATE",
    "LCS_FORUPDATE": "FOR UPDATE",
}
_BARE: Final = frozenset(("targetList", "limitOption", "op"))
"""The fields of a SELECT that computes one row."""


@dataclass(slots=True)
class _Found:
    """What a walk through a tree has met."""

    change: str = ""
    lock: str = ""
    writes: str = ""
    """A function that changes the database."""
    unknown: str = ""
    primary: str = ""
    """A function or relation of the primary's."""
    pins: str = ""
    configs: list[Node] = field(default_factory=list)
    """Calls of set_config()."""

    def see(self, node: Node) -> None:
        """Take note of one node."""
        for kind, fields in node.items():
            if kind == "FuncCall":
                self._call(fields)
            elif kind == "lockingClause":
                self.lock = self.lock or _STRENGTHS.get(fields[0]["LockingClause"].get("strength", ""), "FOR UPDATE")
            elif kind == "RangeVar":
                if fields["relname"] in OF_PRIMARY and fields.get("schemaname", "pg_catalog") == "pg_catalog":
                    self.primary = self.primary or f"reads {fields['relname']}"
            elif kind in CHANGES:
                self.change = self.change or CHANGES[kind]

    def _call(self, fields: Node) -> None:
        names = tree.strings(fields["funcname"])
        name = names[-1]
        if name == "set_config" and names[0] in (name, "pg_catalog"):
            self.configs.append(fields)
            return
        call = functions.judge(names)
        if call is Call.READS:
            return
        why = f"calls {name}()"
        if call is Call.WRITES:
            self.writes = self.writes or why
        elif call is Call.UNKNOWN:
            self.unknown = self.unknown or why
        else:
            self.primary = self.primary or why
            self.pins = self.pins or functions.PINS.get(name, "")


def judge(node: Node) -> Statement:
    """The class of a statement of :data:`QUERIES`."""
    kind, fields = tree.tag(node), tree.body(node)
    found = _Found()
    pending: list[Any] = [fields]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            found.see(item)
            pending.extend([value for value in item.values() if value.__class__ is dict or value.__class__ is list])
        else:
            # Most of what a large statement holds is constants.
            pending.extend([one for one in item if "A_Const" not in one])
    settings, unclear = _settings(fields, found.configs)
    pins = found.pins or ("set_config()" if unclear else "")
    if kind in CHANGES:
        if _is_change_of_settings(fields):
            return Statement(Access.WRITE, "UPDATE pg_settings", pins="UPDATE pg_settings")
        return Statement(Access.WRITE, CHANGES[kind], named=not pins, settings=settings, pins=pins)
    if "intoClause" in fields:
        temporary = is_temporary(fields["intoClause"]["rel"])
        pins = pins or ("temporary table" if temporary else "")
        return Statement(Access.WRITE, "SELECT INTO", named=not pins, settings=settings, pins=pins)
    writes = f"WITH {found.change}" if found.change else found.writes or found.unknown
    why = writes or found.lock or found.primary or ("set_config()" if unclear else "")
    if not why:
        return Statement(Access.READ, "SELECT", settings=settings)
    named = bool(writes) and not found.lock and not pins
    return Statement(Access.WRITE, why, named=named, settings=settings, pins=pins)


def is_temporary(relation: Node) -> bool:
    """Whether a RangeVar's fields name a temporary relation."""
    return relation.get("relpersistence") == "t" or relation.get("schemaname") == "pg_temp"


def has_config(node: Node) -> bool:
    """Whether a statement calls set_config(), so that its literals matter."""
    return any(
        "FuncCall" in item and tree.strings(item["FuncCall"]["funcname"])[-1] == "set_config"
        for item in tree.walk(node)
    )


def _is_change_of_settings(fields: Node) -> bool:
    relation = fields.get("relation", {})
    return "targetList" in fields and relation.get("relname") == "pg_settings"


# -- set_config() ---------------------------------------------------------------------------------


def _settings(fields: Node, calls: list[Node]) -> tuple[tuple[Setting, ...], bool]:
    """What set_config() sets for the session, and whether there is more that cannot be told from the text."""
    if not calls:
        return (), False
    direct = (
        [] if set(fields) - _BARE else [target["ResTarget"]["val"].get("FuncCall") for target in fields["targetList"]]
    )
    settings = []
    unclear = False
    for call in calls:
        arguments = [_constant(argument) for argument in call.get("args", [])]
        name, value, local = arguments if len(arguments) == 3 else (None, None, None)
        if local is not None and _is_true(local[0]):
            continue
        if name is None or name[0] is None or value is None or local is None or not any(call is one for one in direct):
            unclear = True
            continue
        settings.append(_setting(str(name[0]), value[0]))
    return tuple(settings), unclear


def _setting(name: str, value: object) -> Setting:
    if value is None:
        return Setting(name.lower(), None)
    return Setting(name.lower(), f"SELECT pg_catalog.set_config({_quoted(name)}, {_quoted(str(value))}, false)")


def _quoted(text: str) -> str:
    doubled = text.replace("'", "''")
    return f"'{doubled}'" if "\\" not in text else "E'" + doubled.replace("\\", "\\\\") + "'"


def _is_true(value: object) -> bool:
    return str(value).lower() in ("true", "t", "on", "yes", "y", "1")


def _constant(node: Node) -> tuple[object] | None:
    """A constant, possibly behind casts; None for anything else."""
    while "TypeCast" in node:
        node = node["TypeCast"]["arg"]
    return (tree.const_value(node["A_Const"]),) if "A_Const" in node else None
