"""What the system catalogs show of the running node: settings, sessions; and the functions that act on them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.config.registry import NODE_SETTINGS
from helios_cli.engine.errors import SqlError
from helios_cli.engine.node.roles import DATABASE
from helios_cli.engine.sql.variables import BY_NAME

if TYPE_CHECKING:
    from helios_cli.engine.node.engine import Engine
    from helios_cli.engine.node.session import Session

SLEEP_SLICE_S: Final = 0.02
"""How long pg_sleep may overlook that its statement was cancelled."""


class CatalogHooks:
    """Called by SQLite on whichever thread runs the statement; everything here is short and takes no lock for long."""

    def __init__(self) -> None:
        self.engine: Engine | None = None
        """The node's engine, once there is one."""

    def rows(self, relation: str) -> Iterable[dict[str, Any]]:
        """Rows of pg_settings and pg_stat_activity; nothing for other relations."""
        engine = self.engine
        if engine is None:
            return ()
        if relation == "pg_settings":
            return _settings(engine)
        if relation == "pg_stat_activity":
            return [_activity(session) for session in tuple(engine.sessions.values())]
        return ()

    def set_config(self, pid: int, name: str, value: str, local: bool) -> str:
        """set_config(): as SET. Raises what SET raises."""
        return self._on_loop(lambda session: _set(session, name, value, local), pid)

    def _on_loop(self, action: Callable[[Session], str], pid: int) -> str:
        engine = self.engine
        session = engine.sessions.get(pid) if engine is not None else None
        if engine is None or session is None:
            raise SqlError("set_config() needs a session", sqlstate="55000")
        if threading.get_ident() == engine.loop_thread:
            return action(session)
        done = threading.Event()
        outcome: list[Any] = []

        def run() -> None:
            try:
                outcome.append(action(session))
            except Exception as error:
                outcome.append(error)
            done.set()

        engine.loop.call_soon_threadsafe(run)
        done.wait()
        if isinstance(outcome[0], Exception):
            raise outcome[0]
        return str(outcome[0])

    def sleep(self, seconds: float, interrupted: Callable[[], bool]) -> None:
        """pg_sleep(): on a worker thread, in slices, so that a cancelled statement ends."""
        end = time.monotonic() + seconds
        while not interrupted() and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, SLEEP_SLICE_S))

    def signal(self, pid: int, what: str) -> bool:
        """pg_cancel_backend and pg_terminate_backend; whether the session is there."""
        engine = self.engine
        if engine is None:
            return False
        if what == "reload":
            engine.loop.call_soon_threadsafe(engine.on_reload)
            return True
        session = engine.sessions.get(pid)
        if session is None:
            return False
        engine.loop.call_soon_threadsafe(session.cancel if what == "cancel" else session.terminate)
        return True


def _set(session: Session, name: str, value: str, local: bool) -> str:
    session.set_variable(name, value, local=local)
    return session.show(name)


def _settings(engine: Engine) -> list[dict[str, Any]]:
    rows = [
        {
            "name": variable.name,
            "setting": engine.default_variable(variable),
            "short_desc": variable.description,
            "context": "user",
            "vartype": "string",
            "source": "default",
            "boot_val": variable.default,
            "reset_val": engine.default_variable(variable),
            "pending_restart": 0,
        }
        for variable in BY_NAME.values()
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


def _activity(session: Session) -> dict[str, Any]:
    transaction = session.transaction
    if session.runner.is_busy():
        state = "active"
    elif transaction is None:
        state = "idle"
    else:
        state = "idle in transaction (aborted)" if transaction.failed else "idle in transaction"
    waits = session.token is not None and session.engine.queue.holder is not session.token
    return {
        "datname": DATABASE,
        "pid": session.pid,
        "usename": session.user,
        "application_name": session.application_name,
        "client_addr": session.client_address[0] or None,
        "client_port": session.client_address[1],
        "backend_start": session.started_us,
        "xact_start": transaction.now_us if transaction is not None else None,
        "wait_event_type": "Lock" if waits else None,
        "wait_event": "writer" if waits else None,
        "state": state,
        "query": session.query,
        "backend_type": "client backend",
    }
