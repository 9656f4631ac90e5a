"""Commands of the database heliosproxy: from text to an order, and figures to the rows of SHOW.

Columns are named as PgBouncer names them where the same thing exists there, so that its monitoring finds them.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, Final

from helios_cli.engine.errors import SqlError
from helios_cli.engine.proxy.figures import ClientRow, Figures, NodeRow, PoolRow, ServerRow, stats

DATABASE: Final = "heliosproxy"

COMMANDS: Final = {
    "SHOW POOLS": "backends by node, user and database",
    "SHOW NODES": "the nodes behind the proxy",
    "SHOW CLIENTS": "sessions",
    "SHOW SERVERS": "backends",
    "SHOW STATS": "what has been counted",
    "SHOW CONFIG": "settings; secrets are hidden",
    "SHOW VERSION": "of the proxy",
    "SHOW HELP": "this",
    "PAUSE": "have new statements wait, and come back when nothing runs any more",
    "RESUME": "end that",
    "DRAIN node [FORCE]": "give a node nothing new; the primary by FORCE alone",
    "UNDRAIN node": "use it again",
    "KILL client": "end the session of this id",
    "RELOAD": "read proxy.toml again",
}
HELP: Final = "Commands are " + ", ".join(COMMANDS) + "."

BOOL, INT8, TEXT, FLOAT8, TIMESTAMPTZ = 16, 20, 25, 701, 1184
EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""From which moments are counted in rows."""
_OIDS: Final = {bool: BOOL, int: INT8, str: TEXT, float: FLOAT8, datetime: TIMESTAMPTZ}

_WORD: Final = re.compile(r"\s*(?:\"((?:[^\"]|\"\")+)\"|'((?:[^']|'')+)'|([^\s;\"']+))")
_COMMENT: Final = re.compile(r"\s*(?:--[^\n]*(?:\n|$)|/\*.*?\*/)", re.DOTALL)
_SESSION: Final = {
    "BEGIN": "BEGIN", "START": "START TRANSACTION", "COMMIT": "COMMIT", "END": "COMMIT", "ROLLBACK": "ROLLBACK",
    "ABORT": "ROLLBACK", "SET": "SET", "RESET": "RESET", "DISCARD": "DISCARD ALL", "DEALLOCATE": "DEALLOCATE",
    "CLOSE": "CLOSE", "UNLISTEN": "UNLISTEN",
}  # fmt: skip
"""What drivers and their pools send of themselves: it is answered, and does nothing."""
_VALUES: Final = re.compile(r"\s*SELECT\s+(?:(\d{1,18})|'((?:[^']|'')*)'|(version)\s*\(\s*\))\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Order:
    """One command."""

    verb: str
    """Empty for an empty text; ``SHOW``, a verb, ``SELECT`` of a constant, or what is only answered."""
    argument: str = ""
    """What to show; the node; the client; the tag of what is only answered."""
    force: bool = False


def split(text: str) -> list[str]:
    """The commands of a query string; the empty ones are left out, quotes and comments are respected."""
    parts, begun, at = [], 0, 0
    while at < len(text):
        found = _COMMENT.match(text, at) or (_WORD.match(text, at) if text[at] in "\"'" else None)
        if found is not None:
            at = found.end()
        elif text[at] == ";":
            parts.append(text[begun:at])
            at = begun = at + 1
        else:
            at += 1
    parts.append(text[begun:])
    return [part for part in parts if _words(part)]


def read(text: str) -> Order:
    """One command.

    Raises:
        SqlError: 42601, there is no such one.
    """
    words = _words(text)
    if not words:
        return Order("")
    verb, rest = words[0].upper(), words[1:]
    if verb == "SHOW" and len(rest) == 1 and f"SHOW {rest[0].upper()}" in COMMANDS:
        return Order("SHOW", rest[0].upper())
    if verb in ("PAUSE", "RESUME", "RELOAD") and not rest:
        return Order(verb)
    if verb == "DRAIN" and (len(rest) == 1 or (len(rest) == 2 and rest[1].upper() == "FORCE")):
        return Order(verb, rest[0], force=len(rest) == 2)
    if verb == "UNDRAIN" and len(rest) == 1:
        return Order(verb, rest[0])
    if verb == "KILL" and len(rest) == 1 and rest[0].isascii() and rest[0].isdigit() and len(rest[0]) < 19:
        return Order(verb, rest[0])
    if verb in _SESSION:
        return Order("ANSWER", _SESSION[verb])
    value = _VALUES.fullmatch(_COMMENT.sub(" ", text))
    if value is not None:
        return Order("SELECT", value[3] or value[1] or value[2].replace("''", "'"))
    raise SqlError(f'the proxy\'s console has no command "{" ".join(words)[:60]}"', sqlstate="42601", hint=HELP)


def _words(text: str) -> list[str]:
    text = _COMMENT.sub(" ", text) if "--" in text or "/*" in text else text
    found = [match for match in _WORD.finditer(text)]
    return [
        match[1].replace('""', '"') if match[1] else match[2].replace("''", "'") if match[2] else match[3]
        for match in found
    ]


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a SHOW."""

    columns: Sequence[tuple[str, int]]
    """Name and type."""
    rows: Sequence[Sequence[Any]]


_Column = tuple[str, type, Callable[[Any], Any]]


def _table(columns: Sequence[_Column], rows: Iterable[Any]) -> Table:
    return Table(
        [(name, _OIDS[kind]) for name, kind, _ in columns], [[read(row) for _, _, read in columns] for row in rows]
    )


def _same(row: type, names: Sequence[str]) -> list[_Column]:
    """Columns that are called like the fields that they show."""
    kinds = {"str": str, "int": int, "float": float, "bool": bool}
    return [(name, kinds[row.__annotations__[name]], attrgetter(name)) for name in names]


_POOLS: Final[list[_Column]] = [
    *_same(PoolRow, ("database", "user")),
    ("cl_active", int, lambda row: row.active),
    ("cl_waiting", int, lambda row: row.waiting),
    ("sv_active", int, lambda row: row.active),
    ("sv_idle", int, lambda row: row.idle),
    ("sv_used", int, lambda row: 0),
    ("sv_tested", int, lambda row: 0),
    ("sv_login", int, lambda row: row.opening),
    ("maxwait", int, lambda row: int(row.wait_ms // 1000)),
    ("maxwait_us", int, lambda row: int(row.wait_ms % 1000 * 1000)),
    ("pool_mode", str, lambda row: row.mode),
    *_same(PoolRow, ("node", "size")),
]
_NODES: Final = _same(NodeRow, list(NodeRow.__annotations__))


def _ago(now: datetime, seconds: float) -> int:
    """A moment in microseconds, as rows have it."""
    return (now - timedelta(seconds=seconds) - EPOCH) // timedelta(microseconds=1)


def _clients(now: datetime) -> list[_Column]:
    def ago(seconds: float) -> int:
        return _ago(now, seconds)

    return [
        ("type", str, lambda row: "C"),
        *_same(ClientRow, ("user", "database", "state")),
        ("addr", str, lambda row: row.address.rpartition(":")[0] or row.address),
        ("port", int, lambda row: _port(row.address)),
        ("connect_time", datetime, lambda row: ago(row.age_s)),
        ("request_time", datetime, lambda row: ago(row.idle_s)),
        ("tls", str, lambda row: "TLS" if row.tls else ""),
        *_same(ClientRow, ("application_name", "id", "node", "pinned", "statements")),
    ]


def _servers(now: datetime) -> list[_Column]:
    return [
        ("type", str, lambda row: "S"),
        *_same(ServerRow, ("user", "database", "state")),
        ("addr", str, lambda row: row.address.rpartition(":")[0]),
        ("port", int, lambda row: _port(row.address)),
        ("request_time", datetime, lambda row: _ago(now, row.idle_s)),
        ("link", int, lambda row: row.client),
        ("remote_pid", int, lambda row: row.pid),
        ("prepared_statements", int, lambda row: row.prepared),
        *_same(ServerRow, ("node",)),
    ]


def _port(address: str) -> int:
    text = address.rpartition(":")[2]
    return int(text) if text.isdigit() else 0


def needs(order: Order) -> dict[str, bool]:
    """Which of the figures it shows, beside those that are always there."""
    return {"clients": order.argument == "CLIENTS", "servers": order.argument == "SERVERS"}


def shown(order: Order, figures: Figures, settings: object, version: str, now: datetime | None = None) -> Table | None:
    """What a command answers with; None: a tag alone. The columns do not depend on what the figures are."""
    moment = now or EPOCH
    if order.verb == "SELECT":
        if order.argument == "version":
            return Table([("version", TEXT)], [[version]])
        kind = INT8 if order.argument.isdigit() else TEXT
        return Table([("?column?", kind)], [[int(order.argument) if kind == INT8 else order.argument]])
    if order.verb != "SHOW":
        return None
    match order.argument:
        case "POOLS":
            return _table(_POOLS, figures.pools)
        case "NODES":
            return _table(_NODES, figures.nodes)
        case "CLIENTS":
            return _table(_clients(moment), figures.clients)
        case "SERVERS":
            return _table(_servers(moment), figures.servers)
        case "STATS":
            return Table([("name", TEXT), ("value", FLOAT8)], [[name, float(value)] for name, value in stats(figures)])
        case "CONFIG":
            return Table([("key", TEXT), ("value", TEXT), ("default", TEXT)], config(settings))
        case "HELP":
            return Table([("command", TEXT), ("meaning", TEXT)], [list(item) for item in COMMANDS.items()])
        case _:
            return Table([("version", TEXT)], [[version]])


_SECRET: Final = re.compile(r"password|verifier|token|secret")


def config(settings: Any) -> list[list[str | None]]:
    """Every setting, its value and its default. What is secret is not shown, of the users their names alone."""
    rows: list[list[str | None]] = []
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        default = None if field.default is dataclasses.MISSING else _told(field.default)
        if _SECRET.search(field.name):
            rows.append([field.name, "(hidden)" if value else "", ""])
        else:
            rows.append([field.name, _told(value), default])
    return rows


def _told(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ", ".join(map(_told, value))
    if dataclasses.is_dataclass(value):
        host, port = getattr(value, "host", ""), getattr(value, "port", "")
        name = str(getattr(value, "name", ""))
        return f"{name} = {host}:{port}" if host else name
    return f"{value:g}" if isinstance(value, float) else str(value)
