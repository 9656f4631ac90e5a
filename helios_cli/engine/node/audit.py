"""Events about security: logins that failed, roles and rights that were changed; so many a minute, never a secret."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from helios_cli.engine.node.engine import Engine
    from helios_cli.engine.node.session import Session

log = logging.getLogger(__name__)

BURST: Final = 30
PER_SECOND: Final = 1.0
"""Events of one kind beyond these are counted and told of with the next one."""

ROLE_TAGS: Final = frozenset(("CREATE ROLE", "ALTER ROLE", "DROP ROLE", "GRANT ROLE", "REVOKE ROLE"))
PRIVILEGE_TAGS: Final = frozenset(
    ("GRANT", "REVOKE", "ALTER DEFAULT PRIVILEGES", "REASSIGN OWNED", "DROP OWNED")
)  # fmt: skip

AUDITED: Final = ROLE_TAGS | PRIVILEGE_TAGS
"""Command tags of the statements that are put down."""


class Audit:
    """Writes events, at a bounded rate for each kind."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._buckets: dict[str, tuple[float, float]] = {}
        """kind -> (what may still be written, when that was)."""
        self._held_back: dict[str, int] = {}

    def record(self, kind: str, message: str, **fields: Any) -> None:
        """Put an event down, in the log and in the node's history."""
        now = self._engine.loop.time()
        left, since = self._buckets.get(kind, (float(BURST), now))
        left = min(float(BURST), left + (now - since) * PER_SECOND)
        if left < 1:
            self._buckets[kind] = (left, now)
            self._held_back[kind] = self._held_back.get(kind, 0) + 1
            return
        self._buckets[kind] = (left - 1, now)
        held_back = self._held_back.pop(kind, 0)
        if held_back:
            fields["held_back"] = held_back
            message += f" (and {held_back} more of this kind)"
        severity = "info" if kind.endswith("_changed") else "warning"
        log.log(20 if severity == "info" else 30, "%s", message)
        if self._engine.events is not None:
            self._engine.events.record(kind, "info" if severity == "info" else "warning", message, **fields)

    def statement(self, session: Session, tag: str, subject: str) -> None:
        """A statement about roles or rights was run; told of once its transaction is committed."""
        kind = "role_changed" if tag in ROLE_TAGS else "privilege_changed"
        user, address = session.acting.name, session.client_address[0]
        message = f"{tag}{' ' + subject if subject else ''} by {user}" + (f" from {address}" if address else "")
        session.at_commit(
            lambda: self.record(kind, message, user=user, address=address, statement=tag, subject=subject)
        )
