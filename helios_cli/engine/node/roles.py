"""Who may log in: roles and their SCRAM verifiers, kept in the replicated database."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import apsw

from helios_cli.engine.node.passwords import stored_password
from helios_cli.engine.sql.authority import valid_until
from helios_cli.engine.sql.ddl_roles import SetRolePassword
from helios_cli.engine.sql.plan import Plan
from helios_cli.engine.wire import scram

if TYPE_CHECKING:
    from helios_cli.engine.node.engine import Engine


class Roles:
    """Answers the authenticator's questions from the newest state."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._fake_secret = os.urandom(32)

    def _query(self, sql: str, *binds: Any) -> list[Any]:
        database = self._engine.database
        connection = database.borrow()
        try:
            return connection.execute(sql, binds).fetchall()
        except apsw.SQLError:
            return []
        finally:
            database.give_back(connection)

    def password_set(self) -> bool:
        """Whether any role has a password: then SCRAM is asked of everybody."""
        return bool(self._query("SELECT 1 FROM helios_role WHERE rolpassword IS NOT NULL LIMIT 1"))

    def scram_required(self) -> bool:
        """Whether clients have to prove who they are."""
        return self._engine.settings.auth == "scram" or self.password_set()

    def verifier(self, user: str) -> tuple[scram.Verifier, bool]:
        """The user's verifier, or one made up from a stable secret, and whether it is made up."""
        rows = self._query("SELECT rolpassword, rolvaliduntil FROM helios_role WHERE rolname = ?1", user)
        if rows and rows[0][0]:
            ends_us = valid_until(rows[0][1])
            return scram.Verifier.parse(rows[0][0]), ends_us is not None and ends_us < self._engine.now_us()
        return scram.fake_verifier(user, self._fake_secret), True

    def binds(self, plan: Plan) -> list[Any]:
        """Parameters of a role statement with a password: the plain text becomes a verifier and goes no further."""
        action = plan.action
        assert isinstance(action, SetRolePassword)
        verifier = None
        if action.password is not None:
            verifier = stored_password(action.password)
        return [verifier]
