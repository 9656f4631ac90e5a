"""SQL over HTTP, as the monitor speaks it: the console's statements, and the events of nodes."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from helios_cli.commands import _admin, _http
from helios_cli.commands._admin import Reach
from helios_cli.engine.errors import ConfigError, HeliosError
from helios_cli.tui.facts import Told
from helios_cli.tui.gateway import SqlAnswer

ROWS_MAX: Final = 1000
FIRST: Final = 500
"""Events of a node that are asked for at first; afterwards those behind the newest one."""

EVENTS: Final = (
    "SELECT id, occurred_at, kind, severity, message FROM helios_events WHERE id > $1 ORDER BY id DESC LIMIT $2"
)
PASSWORD_HINT: Final = "Give the name and password of a role in PGUSER and PGPASSWORD."


def credentials(environ: Mapping[str, str]) -> str:
    """The Authorization header of PGUSER and PGPASSWORD; empty without a password."""
    password = environ.get("PGPASSWORD", "")
    if not password:
        return ""
    pair = f"{environ.get('PGUSER') or 'helios'}:{password}".encode()
    return "Basic " + base64.b64encode(pair).decode()


def run(reach: Reach, text: str, authorization: str, timeout_s: float) -> SqlAnswer:
    """One statement at a node.

    Raises:
        HeliosError: it failed, with its SQLSTATE; or the node does not answer.
    """
    began = time.monotonic()
    body = {"sql": text, "max_rows": ROWS_MAX, "timeout_ms": round(timeout_s * 1000)}
    found = _asked(reach, body, authorization, timeout_s + 1.0)
    return SqlAnswer(
        columns=tuple(str(one.get("name")) for one in found.get("columns", ())),
        rows=tuple(tuple(row) for row in found.get("rows", ())),
        command=str(found.get("command") or ""),
        row_count=int(found.get("row_count") or 0),
        truncated=bool(found.get("truncated")),
        took_ms=(time.monotonic() - began) * 1000,
        node=reach.name,
        notices=tuple(str(one.get("message")) for one in found.get("notices", ()) if isinstance(one, Mapping)),
    )


def _asked(reach: Reach, body: Mapping[str, object], authorization: str, timeout_s: float) -> Mapping[str, Any]:
    answer = _http.post_sql(reach.address, body, authorization, timeout_s)
    content = answer.body if isinstance(answer.body, dict) else {}
    if answer.status == 200 and "error" not in content:
        return content
    said = content.get("error")
    if not isinstance(said, Mapping):
        said = {
            "message": str(said or answer.body)[:200],
            "sqlstate": content.get("sqlstate"),
            "hint": content.get("hint"),
        }
    hint = PASSWORD_HINT if answer.status in (401, 403) else said.get("hint")
    sqlstate = "28000" if answer.status in (401, 403) else str(said.get("sqlstate") or "XX000")
    if answer.status == 404:
        raise HeliosError(f"{reach.name} serves no SQL", sqlstate="0A000", hint="Ask a data node.")
    raise HeliosError(str(said.get("message")), sqlstate=sqlstate, detail=said.get("detail"), hint=hint)


def events(reach: Reach, after: int, authorization: str, timeout_s: float) -> tuple[int, list[Told]]:
    """The events of a node behind a number, and the number of the newest; by SQL, else with the token of admin verbs.

    Raises:
        HeliosError: neither way is open, or the node does not answer.
    """
    body = {"sql": EVENTS, "params": [after, FIRST], "types": ["int8", "int4"]}
    try:
        rows = _asked(reach, body, authorization, timeout_s).get("rows", [])
    except HeliosError as refusal:
        if refusal.sqlstate[:2] not in ("28", "42"):
            raise
        return _decisions(reach, after, refusal, timeout_s)
    told = [
        Told(node=reach.name, at_us=_us(str(at)), kind=str(kind), severity=str(severity), message=str(message))
        for _, at, kind, severity, message in rows
    ]
    return max([after, *(int(row[0]) for row in rows)]), told


def _decisions(reach: Reach, after_us: int, refusal: HeliosError, timeout_s: float) -> tuple[int, list[Told]]:
    """What ``explain failover`` tells of before, in place of all events; the number is then a time."""
    try:
        found = _admin.ask(reach, "explain/failover", {"limit": FIRST}, timeout_s).get("decisions", ())
    except (ConfigError, HeliosError):
        raise refusal from None
    told = [
        Told(
            node=reach.name, at_us=int(one["time_us"]), kind=str(one["kind"]), severity="info",
            message=str(one["sentence"]),
        )
        for one in found
        if int(one["time_us"]) > after_us
    ]  # fmt: skip
    return max([after_us, *(one.at_us for one in told)]), told


def _us(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1_000_000)
