"""The primary's side of write routing: sessions for clients of standbys, over the links that nodes keep.

Only a peer that was let in by the handshake gets here, so no password is asked: it has let the client in by the same
roles. A standby that is asked for a session passes the bytes on to the node that it follows itself.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.errors import HeliosError, NotServing, TooManyConnections
from helios_cli.engine.node import claims, identity
from helios_cli.engine.node.forward_link import ForwardLink, detach
from helios_cli.engine.node.frontend import Frontend
from helios_cli.engine.node.peer_link import HANDSHAKE_S, PeerLink, PeerRefused
from helios_cli.engine.replication.forwarding import EVENT, HOPS_MAX, CancelSession, OpenSession, SessionOpen
from helios_cli.engine.sql.actions import Prepare
from helios_cli.engine.types import WriteId
from helios_cli.engine.wire import backend
from helios_cli.engine.wire.peer import Frame, Kind

if TYPE_CHECKING:
    from helios_cli.engine.node.engine import Engine
    from helios_cli.engine.node.forwarder import QueryForwarder
    from helios_cli.engine.node.session import Session


LOST_S: Final = 2.0
"""Silence of a standby behind which its client's open transaction no longer keeps the writer from others."""


class Forwarded:
    """What a session does in addition for a client of a standby: it tells of all that must be remembered there."""

    def __init__(self, session: Session, node_id: str) -> None:
        """``node_id`` is the standby's."""
        self._session = session
        self._node_id = node_id
        self._catalog: object = session.engine.catalog

    def _tell(self, **event: Any) -> None:
        self._session.out.append(backend.parameter_status(EVENT, json.dumps(event)))

    @property
    def is_lost(self) -> bool:
        """Whether the standby has not been heard for so long that nothing more is to be expected of its client."""
        check = self._session.engine.lead_check
        return check is not None and check.silence(self._node_id) > LOST_S

    def variable_set(self, name: str, value: str | None) -> None:
        """A parameter has another value; None: its default."""
        self._tell(set=[name, value])

    def named(self, sql: str) -> bool:
        """A standby names its client's next write, and waits for no answer. False: it is a query."""
        if not sql.startswith(claims.NAME):
            return False
        self._session.write_id = WriteId.parse(sql[len(claims.NAME) :])
        return True

    def unit_over(self) -> None:
        """ReadyForQuery comes next: a name that was not used up goes with its write."""
        if claims.VARIABLE not in self._session.variables:
            self._session.write_id = None

    def prepared(self, action: Prepare) -> None:
        """PREPARE was run."""
        self._tell(prepare=[action.name, action.query, list(action.param_types)])

    def deallocated(self, name: str | None) -> None:
        """DEALLOCATE was run; None: of everything."""
        self._tell(deallocate=name)

    def retired(self) -> None:
        """The session ends with nothing done of what is not answered yet."""
        self._tell(retired=True)

    def schema_seen(self) -> None:
        """The LSN is told: say, too, when the schema has changed since it was told last."""
        if self._catalog is not self._session.engine.catalog:
            self._catalog = self._session.engine.catalog
            self._tell(schema=True)


class SessionServer:
    """Opens sessions for standbys, and passes on what a standby cannot do itself."""

    def __init__(self, engine: Engine, upstream: Callable[[], QueryForwarder | None]) -> None:
        """``upstream`` gives what reaches the node that this one follows; None on a primary."""
        self.engine = engine
        self.upstream = upstream
        self._served: dict[Frontend, None] = {}

    async def serve(self, link: PeerLink, frame: Frame, node_id: str) -> None:
        """SESSION or CANCEL has come from a node. Raises PeerRefused, which ends the link."""
        if not link.proved and self.engine.roles.scram_required():
            raise PeerRefused(
                "clients of this node have to prove who they are, and so has a node that speaks for them",
                sqlstate="28000",
                hint="Give the standby the cluster's secret with HELIOSDB_CLUSTER_SECRET or cluster_secret_file.",
            )
        if frame.kind is Kind.CANCEL:
            link.close()
            await self._cancel(frame)
        else:
            await self._opened(link, frame, node_id)

    async def _opened(self, link: PeerLink, frame: Frame, node_id: str) -> None:
        wanted = OpenSession.from_body(frame.body)
        if self.engine.standby_refusal is None:
            # A primary that has just come to lead shows what it found in its log only once that is committed.
            await self._all_committed()
        if self.engine.standby_refusal is None:
            self._open(link, wanted, node_id)
            return
        upstream = self.upstream()
        if upstream is None or wanted.hops >= HOPS_MAX:
            raise PeerRefused("this node is a standby, and so are those that it follows", sqlstate="25006")
        onward = await upstream.connect(
            OpenSession(wanted.user, wanted.database, wanted.client, wanted.client_port, wanted.hops + 1)
        )
        link.send(Kind.SESSION_OPEN, SessionOpen(onward.pid, onward.key).to_body(), compress=False)
        splice(detach(link), onward)

    async def _all_committed(self) -> None:
        reached = asyncio.Event()
        self.engine.pipeline.after_latest(reached.set)
        async with asyncio.timeout(HANDSHAKE_S):
            await reached.wait()

    def _open(self, link: PeerLink, wanted: OpenSession, node_id: str) -> None:
        engine = self.engine
        if engine.stopping:
            raise _refused(NotServing("the database system is shutting down"))
        if len(engine.sessions) >= engine.settings.max_connections:
            raise _refused(
                TooManyConnections("sorry, too many clients already", hint="Raise max_connections at the primary.")
            )
        pid, key = engine.next_pid(), os.urandom(4)
        try:
            proved = bool(engine.hba_rules) or engine.roles.scram_required()
            identity.check_login(engine, wanted.user, wanted.database, proved=proved)
        except HeliosError as error:
            raise _refused(error) from None
        link.send(Kind.SESSION_OPEN, SessionOpen(pid, key.hex()).to_body(), compress=False)
        transport = detach(link)

        def lost(_error: Exception | None) -> None:
            engine.sessions.pop(pid, None)
            engine.channels.unlisten(None, frontend.session)
            self._served.pop(frontend, None)

        frontend = Frontend(
            engine, transport, user=wanted.user, database=wanted.database, pid=pid, secret=key, on_lost=lost
        )
        session = frontend.session
        session.client_address = (wanted.client, wanted.client_port)
        session.forwarded = Forwarded(session, node_id)
        session.report_lsn = session.unusual = True
        identity.log_in(session, proved=proved, limited=False)
        engine.sessions[pid] = session
        self._served[frontend] = None
        transport.set_protocol(frontend)

    async def _cancel(self, frame: Frame) -> None:
        """Like CancelRequest: nothing happens unless the key is right."""
        wanted = CancelSession.from_body(frame.body)
        if self.engine.standby_refusal is None:
            session = self.engine.sessions.get(wanted.pid)
            if session is not None and hmac.compare_digest(session.secret.hex(), wanted.key):
                session.cancel()
            return
        upstream = self.upstream()
        if upstream is not None and wanted.hops < HOPS_MAX:
            await upstream.send_cancel(CancelSession(wanted.pid, wanted.key, wanted.hops + 1))

    def retire(self) -> None:
        """This node does not lead any more. What it has not answered by now was not done, and the standbys may do it
        elsewhere.
        """
        for frontend in tuple(self._served):
            forwarded = frontend.session.forwarded
            if forwarded is not None and not frontend.session.closed:
                forwarded.retired()
            frontend.terminate(NotServing("this node does not lead any more"))

    def close(self) -> None:
        """End every session that was opened for a standby."""
        for frontend in tuple(self._served):
            frontend.terminate(HeliosError("terminating connection due to administrator command", sqlstate="57P01"))


def _refused(error: HeliosError) -> PeerRefused:
    return PeerRefused(error.message, sqlstate=error.sqlstate, hint=error.hint)


class _Splice(asyncio.Protocol):
    """One end of two connections that are made one."""

    def __init__(self, other: asyncio.Transport) -> None:
        self._other = other

    def data_received(self, data: bytes) -> None:
        """Bytes for the other end."""
        self._other.write(data)

    def pause_writing(self) -> None:
        """This end does not keep up."""
        self._other.pause_reading()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._other.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """This end is gone, and so is the other."""
        self._other.close()


def splice(transport: asyncio.Transport, onward: ForwardLink) -> None:
    """Make the standby's connection and the one further on a single one."""
    transport.set_protocol(_Splice(onward.transport))
    onward.transport.set_protocol(_Splice(transport))
