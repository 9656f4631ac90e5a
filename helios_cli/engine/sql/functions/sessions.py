"""Functions that act on the session: advisory locks (PostgreSQL manual, 9.27.10) and notifications."""

from __future__ import annotations

from helios_cli.engine.sql.functions.define import Library


def install(lib: Library) -> None:
    """Declare them; what they do is the node's (``node_session``)."""
    for pair, types in ((False, "int8"), (True, "int4 int4")):
        keys = "{0}, {1}" if pair else "{0}, NULL"
        for shared in (0, 1):
            suffix = "_shared" if shared else ""
            for in_transaction in (0, 1):
                scope = "_xact" if in_transaction else ""
                for wait, prefix, result in ((1, "pg_advisory", "void"), (0, "pg_try_advisory", "bool")):
                    name = f"{prefix}{scope}_lock{suffix}"
                    arguments = f"{keys}, {shared}, {in_transaction}, {wait}"
                    _define(lib, name, f"{types} -> {result}", "lock", arguments)
            _define(lib, f"pg_advisory_unlock{suffix}", f"{types} -> bool", "unlock", f"{keys}, {shared}")
    _define(lib, "pg_advisory_unlock_all", "-> void", "unlock_all", "")
    _define(lib, "pg_notify", "text text -> void", "notify", "{0}, {1}")
    _define(lib, "pg_listening_channels", "-> text", "listening", "", set_returning=True)
    lib.define("pg_notification_queue_usage", "-> float8", sql="0.0", volatile=True)


def _define(lib: Library, name: str, signature: str, what: str, arguments: str, *, set_returning: bool = False) -> None:
    rest = f", {arguments}" if arguments else ""
    sql = f"node_session({{session}}, '{what}'{rest})"
    lib.define(name, signature, sql=sql, session_values=("pid",), volatile=True, set_returning=set_returning)
