"""Other nodes that call: what each of them wants, and whether it gets it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from helios_cli.engine.consensus.acceptance import may_follow
from helios_cli.engine.consensus.candidacy import VOTE_TRIPS
from helios_cli.engine.errors import HeliosError
from helios_cli.engine.node import promotion
from helios_cli.engine.node.copy_source import give_copy
from helios_cli.engine.node.page_repair import give_pages
from helios_cli.engine.node.peer_address import reachable
from helios_cli.engine.node.peer_link import PeerLink, PeerRefused, admit
from helios_cli.engine.replication import messages
from helios_cli.engine.types import Term
from helios_cli.engine.wire.peer import Frame, Kind

if TYPE_CHECKING:
    from helios_cli.engine.node.replication import Replication


ASKED_S: Final = 0.3
"""Between a candidate's look around and its request for a vote, at most."""


class Visitors:
    """The answering side of every connection between nodes."""

    def __init__(self, replication: Replication) -> None:
        self._replication = replication

    def visited(self, link: PeerLink) -> None:
        """A connection has come in."""
        self._replication.later(self._receive(link))

    async def _receive(self, link: PeerLink) -> None:
        try:
            hello = await admit(link, self._replication.identity(), self._replication.secret(), self.welcome)
            self._replication.address.met(link)
            frame = await link.receive(
                Kind.FOLLOW, Kind.SNAPSHOT, Kind.ASK, Kind.ANNOUNCE, Kind.SESSION, Kind.CANCEL, Kind.WANT_PAGES,
                Kind.OBSERVE,
            )  # fmt: skip
            await self._serve(link, replace(hello, host=reachable(link, hello.host)), frame)
        except PeerRefused as error:
            self._replication.door.tell(f"node at {link.address} refused: {error.message}")
            link.refuse(error)
        except HeliosError as error:
            link.fail(error)
        except TimeoutError:
            link.fail(PeerRefused("it did not say in time who it is"))
        except Exception as error:
            self._replication.node.engine.unexpected(error)
            link.close()

    async def _serve(self, link: PeerLink, hello: messages.Hello, frame: Frame) -> None:
        if frame.kind is Kind.FOLLOW:
            self._check_term(frame.term)
            self._check_name(hello)
            self._replication.replicator.follow(link, hello, frame)
        elif frame.kind is Kind.OBSERVE:
            self._check_term(frame.term)
            self._replication.watchers.observe(link, hello)
        elif frame.kind is Kind.SNAPSHOT:
            self._check_term(frame.term)
            await give_copy(self._replication.node, link, hello)
        elif frame.kind is Kind.WANT_PAGES:
            await give_pages(self._replication.node, link, frame)
        elif frame.kind is Kind.ASK:
            await self._asked(link, frame)
        elif frame.kind is Kind.SESSION or frame.kind is Kind.CANCEL:
            self._check_term(frame.term)
            await self._replication.sessions.serve(link, frame, hello.node_id)
        else:
            self._announced(link, frame)

    async def _asked(self, link: PeerLink, frame: Frame) -> None:
        """A candidate asks; what it asks next, and that it leads then, it may say on the same connection."""
        try:
            while frame.kind is Kind.ASK:
                ask = messages.Ask.from_body(frame.body)
                link.send(Kind.ANSWER, promotion.answer(self._replication, ask, frame.term).to_body())
                self._look_up(frame.term)
                frame = await link.receive(Kind.ASK, Kind.ANNOUNCE)
            self._announced(link, frame)
        finally:
            # Also when this life of the node ends: whoever asks next asks the one that comes.
            link.close()

    def _announced(self, link: PeerLink, frame: Frame) -> None:
        """Another node says that it leads in the frame's term."""
        own, announced, term = self._replication, messages.Announce.from_body(frame.body), frame.term
        link.close()
        if own.takes_lead or announced.node_id == own.node_id:
            return
        # A primary gives way to a newer term alone: in its own there is no other.
        if may_follow(own.term(), term) and not (own.is_leading and term == own.term()):
            own.node.store.promise(term)
        elif own.following is None or own.following.upstream.connected:
            return
        # Of an older term, to one that nobody leads in the newer: when it is asked for records that one hears of it.
        host = reachable(link, announced.host)
        own.callers.called(link, (host, announced.native_port))
        own.retarget(announced.node_id, host, announced.native_port, term.number)

    def _check_term(self, term: Term) -> None:
        """A node of a newer term wants to follow: nobody leads it, so this one takes a term that does."""
        if term > self._replication.term() and self._replication.leading is not None:
            self._replication.give_way(term, "a node that would follow is")
            self._replication.later(self._renew(term))
            raise PeerRefused(
                f"term {term} is newer than this primary's {self._replication.term()}", hint="Ask again in a moment."
            )

    def _check_name(self, hello: messages.Hello) -> None:
        """An observer and a data node of one name would be one voter twice."""
        if any(one.node_id == hello.node_id for one in self._replication.config.observers):
            raise PeerRefused(
                f"node {hello.node_id} is an observer of this cluster",
                hint="Give each node its own --node-id; heliosdb-nano standby remove takes out an observer too.",
            )

    def _look_up(self, term: Term) -> None:
        """A candidate knows of a newer term. A primary whose lease is over waits for it to ask for the vote, not long.

        It does not ask when this primary has more of the log: then nobody else may be able to lead.
        """
        own = self._replication
        if own.is_leading and term > own.term():
            own.node.engine.loop.call_later(
                max(ASKED_S, VOTE_TRIPS * own.config.round_trip_s),
                own.give_way,
                term,
                "a node has promised to another that it may lead",
            )

    def deposed(self, term: Term) -> None:
        """Etcd has given a newer term to another node: this primary leads no more."""
        if term > self._replication.term():
            self._replication.later(self._renew(term))

    async def _renew(self, term: Term) -> None:
        async with self._replication.changing:
            if self._replication.is_leading and not self._replication.node.life_over.is_set():
                self._replication.node.event(
                    "renewed", f"a node has promised term {term}: this primary starts over", severity="warning"
                )
                self._replication.node.begin_again("its term is over")

    def welcome(self, proof: str) -> messages.Welcome:
        """What a node is told that has shown who it is."""
        settings = self._replication.node.settings
        page_log = self._replication.node.store.log
        return messages.Welcome(
            proof,
            self._replication.node_id,
            self._replication.node.store.control.record.cluster_id.hex(),
            self._replication.role.name,
            self._replication.config.mode.value,
            self._replication.identity().host,
            settings.pg_port,
            settings.http_port,
            page_log.start,
            self._replication.replicator.recent.end,
            self._replication.config.authority,
        )
