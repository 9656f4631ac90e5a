"""``POST /sql`` of a node."""

from __future__ import annotations

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.net.http_message import Request
from helios_cli.engine.net.sql_request import SqlRequest
from helios_cli.engine.net.sql_service import SqlService, application_name
from helios_cli.engine.net.sql_work import TIMEOUT_MS
from helios_cli.engine.node import role_settings
from helios_cli.engine.node.engine import Engine
from helios_cli.engine.node.http_login import login
from helios_cli.engine.node.inner_client import InnerClient
from helios_cli.engine.sql.databases import FIRST_NAME


class SqlOverHttp(SqlService[tuple[str, bool]]):
    """Runs requests on sessions of this node."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine

    async def login(self, request: Request, database: str | None) -> tuple[str, bool]:
        """The role, and whether that was proved."""
        return await login(self._engine, request, database or FIRST_NAME)

    async def open(self, who: tuple[str, bool], request: Request, wanted: SqlRequest) -> InnerClient:
        """A session of this node."""
        user, proved = who
        client = InnerClient(
            self._engine, user=user, proved=proved, database=wanted.database or FIRST_NAME, address=request.peer,
            name=application_name(request),
        )  # fmt: skip
        session = client.session
        role_settings.apply(session)
        try:
            timeout = wanted.timeout_ms or self._engine.settings.statement_timeout or TIMEOUT_MS
            session.set_variable("statement_timeout", str(timeout))
            if wanted.min_lsn is not None:
                session.set_variable("helios.min_lsn", wanted.min_lsn)
            if wanted.write_id is not None:
                session.set_variable("helios.write_id", wanted.write_id)
            if wanted.read_only:
                session.set_variable("default_transaction_read_only", "on")
            session.out.clear()
        except HeliosError:
            client.close()
            raise
        return client
