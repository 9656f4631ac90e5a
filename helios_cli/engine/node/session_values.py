"""Values of the session that plans bind as parameters: now(), current_user, settings."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import apsw

from helios_cli.engine.config.registry import NODE_SETTINGS
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.node.cursors import current_row
from helios_cli.engine.node.engine import PG_EPOCH_US
from helios_cli.engine.sql.current_rows import CURRENT_OF
from helios_cli.engine.sql.ddl_build import TEMP_SCHEMA_NAME
from helios_cli.engine.sql.ddl_schema import TEMP_SCHEMA_OID
from helios_cli.engine.sql.variables import BY_NAME, CORE
from helios_cli.engine.types import Lsn

if TYPE_CHECKING:
    from helios_cli.engine.node.engine import Engine
    from helios_cli.engine.node.session import Session


def session_value(session: Session, name: str) -> Any:
    """The value of ``Plan.session_values`` entry ``name``.

    Raises:
        HeliosError: XX000, the planner asked for something the node does not have.
    """
    read = _VALUES.get(name)
    if read is None:
        if name.startswith(CURRENT_OF):
            return current_row(session, *json.loads(bytes.fromhex(name.removeprefix(CURRENT_OF))))
        if name.startswith("saved."):
            return None  # What an earlier step of the statement leaves, bound when that has run.
        raise HeliosError(f"internal error: the plan asks for the session value {name!r}")
    return read(session)


def _now(session: Session) -> int:
    transaction = session.transaction
    if session.boundary is not None and session.boundary.now_us:
        return session.boundary.now_us
    return transaction.now_us if transaction is not None else _statement_now(session)


def _statement_now(session: Session) -> int:
    if not session.statement_now_us:
        session.statement_now_us = session.engine.now_us()
    return session.statement_now_us


def _timezone(session: Session) -> str:
    return session.styled_zone or session.variables.get("timezone") or session.show("TimeZone")


def _settings(session: Session) -> str:
    """Every parameter as a JSON object, for current_setting()."""
    values = {variable.name.lower(): session.show(variable.name) for variable in CORE.values()}
    settings = session.engine.settings
    values |= {f"helios.{name}": str(getattr(settings, name)) for name in _OF_NODE if hasattr(settings, name)}
    return json.dumps(values | session.variables)


_OF_NODE: Final = tuple(setting.name for setting in NODE_SETTINGS if setting.name not in BY_NAME)
"""Settings of the node that are no parameters of sessions; pg_settings shows them under these names too."""


def _of_primary(session: Session, read: Callable[[Engine], int]) -> str | None:
    """An LSN that only a node that writes has; None on a standby."""
    engine = session.engine
    return str(Lsn(read(engine))) if engine.standby_refusal is None else None


def _of_standby(session: Session, read: Callable[[Engine], int]) -> str | None:
    """An LSN that only a standby has; None on a primary."""
    engine = session.engine
    return str(Lsn(read(engine))) if engine.standby_refusal is not None else None


def _replayed_time(session: Session) -> int | None:
    """When the newest transaction that a standby shows was committed, on the primary's clock; None elsewhere."""
    engine = session.engine
    if engine.standby_refusal is None or engine.cluster_view is None:
        return None
    committed_us = engine.cluster_view().replayed_us
    return committed_us - PG_EPOCH_US if committed_us else None


def _transaction_id(session: Session) -> int:
    """txid_current(): the number of the transaction, or else of the statement."""
    transaction = session.transaction
    if transaction is None:
        return session.engine.next_transaction_id()
    if not transaction.number:
        transaction.number = session.engine.next_transaction_id()
    return transaction.number


def _assigned_id(session: Session) -> int | None:
    """The same; None for a transaction that has not written and was not asked."""
    transaction = session.transaction
    has_one = transaction is not None and (transaction.number or transaction.writing)
    return _transaction_id(session) if has_one else None


def _current_schema(session: Session) -> str | None:
    """The first schema of the search path that is there; None: no one is."""
    return next(iter(_schemas(session)), None)


def _schemas(session: Session) -> list[str]:
    """The schemas of the search path that are there; the one of temporary objects once the session has some."""
    catalog = session.schema_view().catalog
    known = catalog.privileges.schemas()
    temp = (TEMP_SCHEMA_NAME,) if catalog.has_temp_tables() else ()
    return [name for name in session.search_path if name in known or name in temp]


def _temp_schema(session: Session) -> int:
    """The OID of the session's schema of temporary objects; 0 before it makes the first."""
    return TEMP_SCHEMA_OID if session.schema_view().catalog.has_temp_tables() else 0


_VALUES: Final[dict[str, Callable[[Any], Any]]] = {
    "now": _now,
    "statement_now": _statement_now,
    "current_user": lambda session: session.acting.name,
    "acting_oid": lambda session: session.acting.oid,
    "transaction_scope": _now,
    "acting_role": lambda session: -1 if session.acting.unrestricted else session.acting.oid,
    "session_user": lambda session: session.session_name or session.user,
    "current_database": lambda session: session.database,
    "current_schema": _current_schema,
    "schemas": lambda session: json.dumps(_schemas(session)),
    "temp_schema": _temp_schema,
    "search_path": lambda session: json.dumps(session.search_path),
    "settings": _settings,
    "version": lambda session: f"PostgreSQL {session.show('server_version')} on SQLite {apsw.sqlite_lib_version()}",
    "client_addr": lambda session: session.client_address[0] or None,
    "client_port": lambda session: session.client_address[1],
    "server_addr": lambda session: session.server_address[0] or None,
    "server_port": lambda session: session.server_address[1],
    "in_block": lambda session: int(session.transaction is not None),
    "in_recovery": lambda session: int(session.engine.standby_refusal is not None),
    "start_time": lambda session: session.engine.started_us,
    "txid": _transaction_id,
    "assigned_txid": _assigned_id,
    "trigger_depth": lambda session: session.trigger_depth,
    "pid": lambda session: session.pid,
    "timezone": _timezone,
    "TimeZone": _timezone,
    "current_lsn": lambda session: _of_primary(session, lambda engine: engine.pipeline.committed_lsn),
    "insert_lsn": lambda session: _of_primary(session, lambda engine: engine.database.records.lsn),
    "flush_lsn": lambda session: _of_primary(session, lambda engine: engine.database.log.flushed),
    "received_lsn": lambda session: _of_standby(session, lambda engine: engine.database.log.flushed),
    "replayed_lsn": lambda session: _of_standby(session, lambda engine: engine.pipeline.committed_lsn),
    "replayed_time": _replayed_time,
}
