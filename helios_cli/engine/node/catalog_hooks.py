"""What the system catalogs show of the running node: settings, sessions; and the functions that act on them."""

from __future__ import annotations

import concurrent.futures
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from helios_cli.engine.config.hba import shown
from helios_cli.engine.config.registry import NODE_SETTINGS
from helios_cli.engine.datatypes.jsons import parse_jsonb
from helios_cli.engine.errors import NotServing, SqlError
from helios_cli.engine.node import report, session_calls, zone_rows
from helios_cli.engine.node.lead_changes import history
from helios_cli.engine.node.passwords import without_passwords
from helios_cli.engine.observe.events import Event
from helios_cli.engine.replication import relations
from helios_cli.engine.sql.authority import SIGNAL_BACKEND
from helios_cli.engine.sql.variables import BY_NAME, LISTED
from helios_cli.engine.storage.statistics_rows import zeros

if TYPE_CHECKING:
    from helios_cli.engine.node.engine import Engine
    from helios_cli.engine.node.session import Session

Result = TypeVar("Result")

LOOP_S: Final = 10.0
"""How long a thread waits for the loop to do something for it."""

SLEEP_SLICE_S: Final = 0.02
"""How long pg_sleep may overlook that its statement was cancelled."""


_OF_NODE: Final = {
    "pg_settings", "pg_stat_activity", "pg_stat_database", "pg_locks", "pg_stat_ssl", "pg_hba_file_rules",
    "pg_timezone_names", "pg_timezone_abbrevs", "helios_events", "helios_scrub",
    "helios_failover_history",
}  # fmt: skip


class CatalogHooks:
    """Called by SQLite on whichever thread runs the statement; everything here is short and takes no lock for long."""

    def __init__(self) -> None:
        self.engine: Engine | None = None
        """The node's engine, once there is one."""

    def shows(self, relation: str) -> bool:
        """Whether a relation tells of the running node."""
        return relation in _OF_NODE or relation in relations.MAKERS

    def rows(self, relation: str) -> Iterable[dict[str, Any]]:
        """Rows of pg_settings, pg_stat_activity and the views about the cluster; nothing for other relations."""
        engine = self.engine
        if engine is None:
            return ()
        if relation == "pg_settings":
            return _settings(engine)
        if relation == "pg_stat_activity":
            return [_activity(session) for session in tuple(engine.sessions.values())]
        if relation == "pg_stat_database":
            counts = Counter(session.database_oid for session in tuple(engine.sessions.values()))
            return [
                {**zeros(relation), "datid": one.oid, "datname": one.name, "numbackends": counts[one.oid]}
                for one in on_loop(engine, engine.catalog.databases).values()
            ]
        if relation == "pg_timezone_names":
            return zone_rows.names()
        if relation == "pg_timezone_abbrevs":
            return zone_rows.abbreviations()
        if relation == "pg_locks":
            return on_loop(engine, engine.advisory.rows)
        if relation == "pg_stat_ssl":
            return [_ssl(session) for session in tuple(engine.sessions.values())]
        if relation == "pg_hba_file_rules":
            return [shown(rule) for rule in engine.hba_rules]
        if relation == "helios_events":
            return _events(engine)
        if relation == "helios_failover_history":
            return history(report.node_id(engine.settings), _kept(engine))
        if relation == "helios_scrub":
            return _scrub(engine)
        maker = relations.MAKERS.get(relation)
        if maker is None or engine.cluster_view is None:
            return ()
        return maker(on_loop(engine, engine.cluster_view))

    def set_config(self, pid: int, name: str, value: str, local: bool, has_schema: Callable[[str], bool]) -> str:
        """set_config(): as SET. Raises what SET raises."""
        engine = self.engine
        session = engine.sessions.get(pid) if engine is not None else None
        if engine is None or session is None:
            raise SqlError("set_config() needs a session", sqlstate="55000")
        if threading.get_ident() == engine.loop_thread:
            return _set(session, name, value, local)
        # The loop cannot look into the schema meanwhile: this thread has the connection that sees it.
        session.schema_meanwhile = has_schema(session.acting.name or session.user)
        try:
            return on_loop(engine, lambda: _set(session, name, value, local))
        finally:
            session.schema_meanwhile = None

    def clock(self) -> int:
        """The node's clock."""
        return self.engine.now_us() if self.engine is not None else time.time_ns() // 1000

    def sleep(self, seconds: float, interrupted: Callable[[], bool]) -> None:
        """pg_sleep(): on a worker thread, in slices, so that a cancelled statement ends."""
        end = time.monotonic() + seconds
        while not interrupted() and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, SLEEP_SLICE_S))

    def session_call(self, pid: int, what: str, arguments: tuple[Any, ...], interrupted: Callable[[], bool]) -> Any:
        """Advisory locks, pg_notify() and the like. Raises as :func:`session_calls.call`."""
        engine = self.engine
        return None if engine is None else session_calls.call(engine, pid, what, arguments, interrupted)

    def signal(self, pid: int, what: str, caller: int) -> bool:
        """pg_cancel_backend and pg_terminate_backend; whether the session is there. Raises SqlError 42501."""
        engine = self.engine
        if engine is None:
            return False
        if what == "reload":
            engine.loop.call_soon_threadsafe(engine.on_reload)
            return True
        session = engine.sessions.get(pid)
        if session is None:
            return False
        _check_signal(engine, session, what, engine.sessions.get(caller))
        engine.loop.call_soon_threadsafe(session.cancel if what == "cancel" else session.terminate)
        return True


def _check_signal(engine: Engine, target: Session, what: str, caller: Session | None) -> None:
    """Raise SqlError 42501 unless a session may end another's statement, or another (pg_signal_backend)."""
    if caller is None or not caller.restricted:
        return
    word = "terminate" if what == "terminate" else "cancel"
    if target.acting.session_unrestricted:
        message = f"must be a superuser to {word} superuser {'process' if word == 'terminate' else 'query'}"
        raise SqlError(message, sqlstate="42501")
    role, other = caller.acting.oid, target.acting.session_oid
    authority = on_loop(engine, engine.catalog.privileges.authority)
    if not (authority.has_privileges_of(role, other) or authority.has_privileges_of(role, SIGNAL_BACKEND)):
        what_is = "process is being terminated" if word == "terminate" else "query is being canceled"
        message = f"must be a member of the role whose {what_is} or member of pg_signal_backend"
        raise SqlError(message, sqlstate="42501")


def on_loop(engine: Engine, action: Callable[[], Result]) -> Result:
    """What ``action`` gives on the loop's thread, asked from any thread. Raises what it raises.

    Raises:
        NotServing: the loop has no time any more, because the node stops.
    """
    if threading.get_ident() == engine.loop_thread:
        return action()
    answer: concurrent.futures.Future[Result] = concurrent.futures.Future()

    def run() -> None:
        try:
            answer.set_result(action())
        except Exception as error:
            answer.set_exception(error)

    try:
        engine.loop.call_soon_threadsafe(run)
        return answer.result(LOOP_S)
    except (RuntimeError, TimeoutError):
        raise NotServing("the database system is shutting down") from None


def _set(session: Session, name: str, value: str, local: bool) -> str:
    session.set_variable(name, value, local=local)
    return session.show(name) if session.in_transaction or not local else value


_CONTEXTS: Final = {"u": "user", "s": "superuser", "c": "backend", "h": "sighup", "p": "postmaster", "n": "internal"}
_KINDS: Final = {"b": "bool", "i": "integer", "r": "real", "e": "enum", "s": "string"}


def _settings(engine: Engine) -> list[dict[str, Any]]:
    rows = [
        {
            "name": variable.name,
            "setting": variable.in_own_unit(engine.default_variable(variable)),
            "short_desc": variable.description,
            "context": _CONTEXTS[variable.context],
            "vartype": _KINDS[variable.kind],
            "unit": variable.unit or None,
            "source": "default",
            "boot_val": variable.in_own_unit(variable.default),
            "reset_val": variable.in_own_unit(engine.default_variable(variable)),
            "pending_restart": 0,
        }
        for variable in LISTED
    ]
    for setting in NODE_SETTINGS:
        if setting.name in BY_NAME or not hasattr(engine.settings, setting.name):
            continue
        rows.append(
            {
                "name": f"helios.{setting.name}",
                "setting": str(getattr(engine.settings, setting.name)),
                "short_desc": setting.help,
                "context": "sighup" if setting.reload else "postmaster",
                "vartype": "string",
                "source": engine.settings.origin(setting.name).kind,
                "pending_restart": 0,
            }
        )
    return sorted(rows, key=lambda row: str(row["name"]).lower())


def _events(engine: Engine) -> list[dict[str, Any]]:
    """The history of the node, oldest first."""
    node_id = report.node_id(engine.settings)
    return [
        {
            "id": number,
            "occurred_at": relations.timestamp(event.time_us),
            "node_id": node_id,
            "severity": event.severity,
            "kind": event.kind,
            "message": event.message,
            "details": parse_jsonb(json.dumps(event.fields)),
        }
        for number, event in _kept(engine)
    ]


def _kept(engine: Engine) -> list[tuple[int, Event]]:
    return engine.events.whole() if engine.events is not None else []


def _scrub(engine: Engine) -> list[dict[str, Any]]:
    """The scrub that runs, or else the last one; no row without a node."""
    if engine.scrub is None:
        return []
    record = on_loop(engine, engine.scrub.record)
    names = ("pages", "pages_checked", "pages_bad", "pages_repaired", "seconds")
    return [
        {name: record[name] for name in names}
        | {
            "node_id": report.node_id(engine.settings),
            "is_running": int(record["running"]),
            "started_at": relations.timestamp(record["started_us"]),
            "finished_at": relations.timestamp(record["finished_us"]),
            "next_at": relations.timestamp(record["next_us"]),
            "bad_pages": parse_jsonb(json.dumps(record["bad_pages"])),
            "last_error": record["last_error"] or None,
        }
    ]


def _ssl(session: Session) -> dict[str, Any]:
    """A row of pg_stat_ssl."""
    tls = session.tls
    if tls is None:
        return {"pid": session.pid, "ssl": 0}
    cipher: Any = tls.cipher() or ("", "", 0)
    certificate: Any = tls.getpeercert() or {}
    serial = certificate.get("serialNumber")
    return {
        "pid": session.pid, "ssl": 1, "version": tls.version(), "cipher": cipher[0], "bits": cipher[2],
        "client_dn": _distinguished(certificate.get("subject")),
        "client_serial": str(int(serial, 16)) if serial else None,
        "issuer_dn": _distinguished(certificate.get("issuer")),
    }  # fmt: skip


_SHORT: Final = {"commonName": "CN", "organizationName": "O", "organizationalUnitName": "OU", "countryName": "C"}


def _distinguished(name: Any) -> str | None:
    """A name of a certificate as PostgreSQL shows it: /CN=app."""
    if not name:
        return None
    return "".join(f"/{_SHORT.get(key, key)}={value}" for part in name for key, value in part)


def _activity(session: Session) -> dict[str, Any]:
    transaction = session.transaction
    queue, queued = session.engine.queue, session.runner.queued
    waits = queue.is_waiting(queued) if queued is not None else session.token not in (None, queue.holder)
    if waits or session.runner.is_busy():
        state = "active"
    elif transaction is None:
        state = "idle"
    else:
        state = "idle in transaction (aborted)" if transaction.failed else "idle in transaction"
    role = session.engine.catalog.privileges.authority().by_name.get(session.user)
    return {
        "datid": session.database_oid,
        "datname": session.database,
        "pid": session.pid,
        "usesysid": role.oid if role is not None else None,
        "usename": session.user,
        "application_name": session.application_name,
        "client_addr": session.client_address[0] or None,
        "client_port": session.client_address[1],
        "backend_start": session.started_us,
        "xact_start": transaction.now_us if transaction is not None else None,
        "wait_event_type": "Lock" if waits else None,
        "wait_event": "writer" if waits else None,
        "state": state,
        "query": without_passwords(session.query),
        "backend_type": "client backend",
    }
