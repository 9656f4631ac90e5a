"""What a node is asked, and how its answers read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from helios_cli.engine.errors import ProtocolViolation
from helios_cli.engine.proxy.topology import Place, place_of
from helios_cli.engine.proxyserver.link import Results, Row
from helios_cli.engine.types import Lsn, Token

CHANNEL: Final = "helios_cluster"
"""On which a HeliosDB node tells of what changes in its cluster."""

PRODUCT: Final = "HeliosDB"
"""In the ``server_version`` of our nodes."""

HELIOS_LOOK: Final = "SHOW in_hot_standby; SHOW helios.lsn"
"""Queries could wait for a reader, or for what they are to see."""
HELIOS_CHECK: Final = f"{HELIOS_LOOK}; SHOW TOPOLOGY"
_TOPOLOGY: Final = (
    "node_id", "role", "mode", "state", "pg_address", "native_address", "http_address", "follows", "term", "lsn",
    "in_sync", "lag_bytes", "lag_ms",
)  # fmt: skip
"""Columns of SHOW TOPOLOGY; more may follow them."""

_TIMELINE: Final = """CASE WHEN pg_is_in_recovery()
  THEN greatest((SELECT timeline_id FROM pg_control_checkpoint()), (SELECT received_tli FROM pg_stat_wal_receiver))
  ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END"""
_SHOWN: Final = "CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END"
POSTGRES_CHECK: Final = f"SELECT pg_is_in_recovery(), {_SHOWN}, {_TIMELINE}"
POSTGRES_LOOK: Final = f"SELECT pg_is_in_recovery(), {_SHOWN}"


@dataclass(frozen=True, slots=True)
class Report:
    """What a node has said of itself. None: it does not know, or was not asked."""

    leads: bool
    lsn: int
    """A query that comes behind this answer sees at least this."""
    term: int | None = None
    """Of a primary the one that it leads in, else the one that what it shows was written in."""
    lag_bytes: int | None = None
    lag_ms: float | None = None
    is_full: bool = False
    """It answers a check, not a mere look."""
    node_id: str = ""
    places: tuple[Place, ...] = ()
    """The cluster's nodes; empty where none were asked for."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a node tells unasked on :data:`CHANNEL`."""

    node_id: str
    event: str
    """``role``, ``term``, ``topology``, ``handover``, ``handover_ended``."""
    term: int
    """The newest that somebody leads in, as far as it knows."""
    leads: bool
    primary: str
    """The name of the node that leads; empty: it does not know."""


def announcement(payload: str) -> Announcement | None:
    """The payload of a notification; None for what is none of ours: anybody may NOTIFY."""
    try:
        told = json.loads(payload)
    except ValueError:
        return None
    if not isinstance(told, dict):
        return None
    return Announcement(
        _text(told, "node_id"), _text(told, "event"), _number(told, "term"), told.get("leads") is True,
        _text(told, "primary"),
    )  # fmt: skip


def _text(told: Mapping[str, Any], name: str) -> str:
    found = told.get(name)
    return found if isinstance(found, str) else ""


def _number(told: Mapping[str, Any], name: str) -> int:
    found = told.get(name)
    return found if isinstance(found, int) and not isinstance(found, bool) else 0


def report(results: Results, *, is_heliosdb: bool) -> Report:
    """The answer to a check or a look.

    Raises:
        ProtocolViolation: it is none.
    """
    try:
        return _of_heliosdb(results) if is_heliosdb else _of_postgres(results[0][0])
    except (IndexError, KeyError, ValueError, TypeError) as error:
        detail = f"an answer that makes no sense: {error}"
        raise ProtocolViolation("the server broke the protocol", detail=detail) from error


def _of_heliosdb(results: Results) -> Report:
    state = results[1][0][0]
    token = Token.parse(state) if state else Token(Lsn(0))
    leads = results[0][0][0] == "off"
    shown = token.term.number if token.term is not None else 0
    if len(results) == 2:
        # Of a primary that begins its term the token is that of the one before.
        return Report(leads, token.lsn, None if leads else shown)
    rows = [dict(zip(_TOPOLOGY, row, strict=False)) for row in results[2]]
    local = rows[0]
    places = [
        place_of(row["node_id"] or "", row["pg_address"], is_local=row is local) for row in rows if row["pg_address"]
    ]
    return Report(
        leads,
        token.lsn,
        _int(local["term"]) if leads else shown,
        _int(local.get("lag_bytes")),
        _float(local.get("lag_ms")),
        True,
        local["node_id"] or "",
        tuple(place for place in places if place is not None),
    )


def _of_postgres(row: Row) -> Report:
    leads = row[0] == "f"
    lsn = Lsn.parse(row[1]) if row[1] else Lsn(0)
    return Report(leads, lsn) if len(row) == 2 else Report(leads, lsn, _int(row[2]), is_full=True)


def _int(text: str | None) -> int | None:
    return None if text is None else int(text)


def _float(text: str | None) -> float | None:
    return None if text is None else float(text)
