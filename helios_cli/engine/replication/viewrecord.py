"""A cluster's view as plain JSON: what /status says of it, and what the commands print."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Final

from helios_cli.engine.replication.relations import checksum, identical
from helios_cli.engine.replication.view import ClusterView, NodeView
from helios_cli.engine.types import Lsn

_RECORDS: Final = ("nodes", "observers", "gaps", "slots", "upstream", "counters")
_LATENCIES: Final = ("lag_ms", "round_trip_ms", "write_lag_ms", "flush_lag_ms", "catch_up_s")


def view_record(view: ClusterView) -> dict[str, Any]:
    """LSNs and checksums are text, times microseconds since 1970-01-01 UTC; what is not known is null."""
    names = (field.name for field in fields(view) if field.name not in _RECORDS)
    record: dict[str, Any] = {name: getattr(view, name) for name in names}
    record["nodes"] = [node_record(node, view.local) for node in view.nodes]
    record["observers"] = [_plain(one) for one in view.observers]
    record["gaps"] = [_plain(gap) for gap in view.gaps]
    record["slots"] = [_plain(slot) for slot in view.slots]
    record["upstream"] = None if view.upstream is None else _plain(view.upstream)
    record["counters"] = _plain(view.counters)
    return record


def node_record(node: NodeView, local: NodeView) -> dict[str, Any]:
    """One node, by the names of :class:`NodeView`."""
    record = _plain(node)
    del record["lag_known"]
    if not node.lag_known:
        record["lag_bytes"] = None
        record["lag_ms"] = node.lag_ms or None
    for name in _LATENCIES:
        if record[name] is not None:
            record[name] = round(record[name], 3)
    same = identical(node, local)
    record["db_checksum"] = checksum(node)
    record["identical"] = None if same is None else bool(same)
    return record


def _plain(value: Any) -> dict[str, Any]:
    found = ((field.name, getattr(value, field.name)) for field in fields(value))
    return {name: str(item) if isinstance(item, Lsn) else item for name, item in found}
