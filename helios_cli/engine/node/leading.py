"""What a primary does for its cluster: whose copies count, who has been lost, and since when it goes on without them.

The configuration is brought towards what is wanted in small steps, one record at a time: :meth:`Leading.reconcile`
looks at who is there and proposes the next step.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import replace
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, Final

from helios_cli.engine.consensus import steps
from helios_cli.engine.consensus.config import ClusterConfig, Member, address
from helios_cli.engine.consensus.lsns import LsnManager
from helios_cli.engine.consensus.rule import Progress, SyncMode
from helios_cli.engine.consensus.silence import Attention, Stall
from helios_cli.engine.errors import HeliosError, OutcomeUnknown
from helios_cli.engine.node.clock import SystemClock
from helios_cli.engine.node.lease_keeper import LeaseKeeper
from helios_cli.engine.node.peer_address import fault_of
from helios_cli.engine.node.promotion import PromotionRefused
from helios_cli.engine.node.relief import Relief
from helios_cli.engine.types import Lsn, Term

if TYPE_CHECKING:
    from helios_cli.engine.node.replication import Replication
    from helios_cli.engine.node.session import Session
    from helios_cli.engine.node.streamer import WalStreamer

log = logging.getLogger(__name__)

RETRY_S: Final = 0.001
RECORD_ROOM: Final = 256 << 10

MISSING_S: Final = 3.0
"""After so long a member is told of as missing while commits wait for it, whatever eject_after is."""

CALL_BACK_S: Final = 3.0
CALL_AGAIN_S: Final = 15.0
"""When a follower is called to see whether it can be, and while it cannot."""


class Leading:
    """The primary's side of :class:`~helios_cli.engine.node.replication.Replication`, for one term."""

    def __init__(self, replication: Replication, configs: tuple[ClusterConfig, ...]) -> None:
        """``configs`` may be in force, the oldest first."""
        self._replication = replication
        self._node = node = replication.node
        self._loop = node.engine.loop
        records = node.database.records
        self.lsns = LsnManager(
            replication.node_id,
            configs[0],
            records.term,
            node.store.log.flushed,
            begins=node.store.log.end,
            inherited=configs[1:],
        )
        self._began = self._replication.now()
        self._attention = Attention(self._began)
        self._stall = Stall(self._attention, self._began)
        self._proposing = False
        self._proposed_at = self._began
        self._untold: Callable[[], None] | None = None
        """Tells of the configuration that waits to be agreed on."""
        self._told_waiting = False
        self._closed = False
        self._holding = False
        """No change is proposed: nothing may come behind what the next primary has."""
        self.wanted: dict[str, Any] = {}
        """Fields of the configuration that the operator has asked for, until one that has them is in force."""
        self._answers: list[tuple[SyncMode, Lsn, Callable[[], None], Session]] = []
        """Commits whose clients wait for another rule than the cluster's."""
        self.unwanted: set[str] = set()
        """Members that the operator has removed, until a configuration without them is in force."""
        self.unreached: dict[str, str] = {}
        """Followers that cannot be called where they say that they are, and why."""
        self.lease = LeaseKeeper(replication, self)
        self._relief = Relief(replication)
        self._told = ""
        """Why the configuration could not be changed last: told once."""

    def begin(self) -> None:
        """From now on the mode's rule decides what is committed, and every record goes to the followers."""
        self._replication.replicator.stopped.clear()
        for streamer in self._replication.replicator.streamers.values():
            # Those who have followed this node before it led: with which disk decides whether their word counts.
            self.lsns.came(streamer.node_id, streamer.hello.incarnation)
        pipeline = self._node.pipeline
        pipeline.rule = self._own_flushed
        self._node.engine.when_reached = self.after
        pipeline.on_record = self._recorded
        self._replication.authority.hurry()

    def close(self) -> None:
        """The term is over for this node. Whoever waits for more copies of a commit will not hear of them any more."""
        self._closed = True
        self.lease.end()
        self._node.pipeline.on_record = None
        waiting, self._answers = self._answers, []
        for _mode, _lsn, _done, session in waiting:
            session.sink.terminate(
                OutcomeUnknown(
                    "this node leads no longer: whether the commit has the copies that it waited for is unknown",
                    hint="Look whether the change is there before you send it again.",
                )
            )

    @property
    def is_over(self) -> bool:
        """Whether this node leads no longer in that term."""
        return self._closed

    @property
    def is_waited_for(self) -> bool:
        """Whether a client waits for another rule than the cluster's."""
        return any(not session.closed for _mode, _lsn, _done, session in self._answers)

    def pause(self, *, paused: bool) -> str:
        """Suspend automatic failover, or resume it; what the operator is told."""
        if self.lsns.newest.paused == paused:
            return f"automatic failover is {'paused' if paused else 'not paused'} already"
        self.change(paused=paused)
        return f"automatic failover is {'paused' if paused else 'resumed'}"

    def hold(self) -> bool:
        """Propose nothing until :meth:`resume`. False, and nothing is held, while a change is made or on its way."""
        self.reconcile()
        self._holding = not self._proposing and self.lsns.pending is None
        return self._holding

    def resume(self) -> None:
        """Propose again what is to be."""
        self._holding = False
        self.reconcile()

    def change(self, **fields: Any) -> None:
        """Change fields of the cluster's configuration.

        Raises:
            PromotionRefused: the lead is being given away, and nobody would know of the wish.
        """
        self._refuse_while_holding()
        self.wanted.update(fields)
        self.reconcile()

    def remove(self, node_id: str) -> None:
        """Take a member out of the cluster.

        Raises:
            PromotionRefused: the lead is being given away, and nobody would know of the wish.
        """
        self._refuse_while_holding()
        self.unwanted.add(node_id)
        self.reconcile()

    def _refuse_while_holding(self) -> None:
        if self._holding:
            raise PromotionRefused(
                "the primary is giving the lead away: the cluster's configuration is not changed now",
                hint="Ask again, of the new primary.",
            )

    def after(self, mode: SyncMode, lsn: Lsn, done: Callable[[], None], session: Session) -> None:
        """Call back, never at once, when ``lsn`` is where another mode than the cluster's would have it.

        The session that waits is ended when it never will be.
        """
        self._answers.append((mode, lsn, done, session))
        self._loop.call_soon(self._answer)

    def _answer(self) -> None:
        if not self.lease.holds():
            return
        waiting, self._answers = self._answers, []
        lsns = self.lsns
        reached = {mode: lsns.reached_by(mode) for mode in {entry[0] for entry in waiting}}
        for entry in waiting:
            mode, lsn, done, _session = entry
            if lsn <= reached[mode]:
                done()
            else:
                self._answers.append(entry)

    def _own_flushed(self, lsn: Lsn) -> Lsn:
        committed = self.lsns.own_flushed(lsn)
        if self._answers:
            self._answer()
        if self._untold is not None:
            self._tell_agreed()
        return committed if self.lease.holds() else self._node.pipeline.committed_lsn

    def _recorded(self, data: bytes) -> None:
        replicator = self._replication.replicator
        replicator.record(data)
        if replicator.streamers:
            self._replication.log_clock.sample(replicator.recent.end, SystemClock.wall_us())

    # What followers say ----------------------------------------------------------------------------------------------

    def acknowledged(self, streamer: WalStreamer) -> None:
        """A follower has come further."""
        lsns = self.lsns
        committed = lsns.acknowledged(streamer.node_id, streamer.progress)
        voter = (streamer.node_id, streamer.hello.incarnation)
        self.lease.confirmed(voter, streamer.progress.term, streamer.confirmed_us)
        self._advance(committed)
        if self._answers:
            self._answer()
        if self._untold is not None:
            self._tell_agreed()
        if streamer.node_id not in lsns.config.in_sync:
            self.reconcile()

    def observed(self, node_id: str, incarnation: str, term: Term, version: int) -> None:
        """An observer, or etcd, has a configuration on its disk."""
        self._advance(self.lsns.observes(node_id, incarnation, term, version))
        if self._answers:
            self._answer()
        if self._untold is not None:
            self._tell_agreed()

    def _advance(self, committed: Lsn) -> None:
        """So far the log is committed by the rule: shown and answered only while nobody else can have been elected."""
        if self.lease.holds():
            self._node.pipeline.advance(committed)

    def joined(self, streamer: WalStreamer) -> None:
        """A follower has asked for what comes behind its log's end."""
        self.lsns.came(streamer.node_id, streamer.hello.incarnation)
        self.lsns.follows_from(streamer.node_id, streamer.sent)
        self.reconcile()
        if streamer.hello.incarnation:
            self._replication.later(self._call_back(streamer))

    async def _call_back(self, streamer: WalStreamer) -> None:
        """Whether a follower can be called where it says that it is: others could not follow it there if it led."""
        hello = streamer.hello
        where = address(hello.host, hello.native_port)
        for pause in chain((CALL_BACK_S,), repeat(CALL_AGAIN_S)):
            # It follows before it listens.
            await asyncio.sleep(pause)
            fault = await fault_of((hello.host, hello.native_port))
            if not fault or self._replication.replicator.streamers.get(hello.node_id) is not streamer:
                break
            text = f"node {hello.node_id} cannot be called at {where}: {fault}. "
            text += "Give it an advertise_address that the other nodes reach."
            if self.unreached.get(hello.node_id) != text:
                self._node.event("unreached", text, severity="warning", standby=hello.node_id)
            self.unreached[hello.node_id] = text
        self.unreached.pop(hello.node_id, None)

    def copies(self, node_id: str) -> None:
        """A node takes a copy of the database, and gives up what it had."""
        self.lsns.forget(node_id)

    def left(self, node_id: str) -> None:
        """A follower is not connected any more. What it had acknowledged is still on its disk."""
        self.reconcile()

    def missing(self) -> tuple[str, ...]:
        """Members that are silent, or cannot write, while commits wait for them; empty: commits do not wait."""
        members = {node for config in self.lsns.counting for node in config.in_sync}
        return self.lsns.missing({node for node in members if self._absence(node) < MISSING_S})

    def why_commits_wait(self) -> str | None:
        """For whom, and what is the matter with them; None when commits do not wait."""
        missing = self.missing()
        blocked = [node for node in missing if self._blocked(node) >= MISSING_S]
        silent = [node for node in missing if node not in blocked]
        reasons = [f"nothing is heard of {', '.join(silent)}"] if silent else []
        if blocked:
            reasons.append(f"the disk takes nothing on {', '.join(blocked)}")
        undecided = self.lsns.undecided() if self._replication.now() - self._proposed_at >= MISSING_S else ()
        if undecided and not reasons:
            reasons.append(f"a change of the configuration needs the word of {' or '.join(undecided)}")
        return f"commits wait: {', and '.join(reasons)}" if reasons else None

    def tell_missing(self) -> None:
        """Put down when commits begin to wait for those that are missing, and when they wait no more."""
        reason = self.why_commits_wait()
        if reason is not None and not self._told_waiting:
            self._node.event("commits_wait", reason, severity="error")
        elif self._told_waiting and reason is None:
            self._node.event("commits_go_on", "commits do not wait any more for those that were missing")
        self._told_waiting = reason is not None

    def beat(self, now: float) -> None:
        """The node's loop runs. Others are not ejected for what it did not hear while it stood still."""
        self._attention.beat(now)

    def look(self) -> None:
        """Look after the cluster; to be called a few times a second."""
        node = self._node
        self.reconcile()
        stalled_s = self._stall.seconds(self._replication.now(), node.store.log.flushed, node.pipeline.submitted_lsn)
        self.lease.progress(stalled_s)
        self.tell_missing()
        self.lease.tell()
        self._relief.look()

    # The configuration -----------------------------------------------------------------------------------------------

    def reconcile(self) -> None:
        """Propose the next step from the configuration in force to the one that is wanted, if there is one."""
        self.beat(self._replication.now())
        if self._proposing or self._holding or self._closed:
            return
        step = self._step()
        if step is not None and self._replication.authority.may_agree():
            self._proposing = True
            self._propose(*self._named(step))

    def _named(self, step: steps.Step) -> steps.Step:
        """A step by which automatic failover is paused, or goes on, is told as that."""
        paused = step.config.paused
        if step.kind != "configured" or set(self.wanted) != {"paused"} or paused == self.lsns.newest.paused:
            return step
        if paused:
            return step._replace(kind="failover_paused", text="automatic failover is paused, by an operator")
        return step._replace(kind="failover_resumed", text="automatic failover goes on: it is not paused any more")

    def _step(self) -> steps.Step | None:
        config = self.lsns.config
        if self.lsns.pending is not None:
            return steps.next_step(
                self.lsns, {}, self._followers(), lambda node: self._is_alive(node, config), SystemClock.wall_us()
            )
        for node_id in sorted(self.unwanted):
            if config.incarnation(node_id) is not None:
                return steps.removal(config, node_id)
            self.unwanted.discard(node_id)
        if self.wanted and steps.with_fields(config, self.wanted, self.lsns.node_id) == config:
            self.wanted = {}
        return steps.next_step(
            self.lsns, self.wanted, self._followers(), lambda node: self._is_alive(node, config), SystemClock.wall_us(),
            [watcher.member for watcher in self._replication.watchers.all()],
            self.lease.round_trip_ms(config.round_trip_ms),
        )  # fmt: skip

    def _is_alive(self, node_id: str, config: ClusterConfig) -> bool:
        return self._absence(node_id) < config.eject_after_ms / 1000

    def _absence(self, node_id: str) -> float:
        """Seconds for which a member has kept commits from being what the mode asks for."""
        return max(self.silence(node_id), self._blocked(node_id))

    def _blocked(self, node_id: str) -> float:
        streamer = self._replication.replicator.streamers.get(node_id)
        return streamer.blocked_s if streamer is not None else 0.0

    def silence(self, node_id: str) -> float:
        """Seconds since a member was heard of, or since this node leads, while it ran; 0.0 for this node.

        Infinite for one that has said that it stops.
        """
        if node_id == self._replication.node_id:
            return 0.0
        if node_id in self._replication.replicator.stopped:
            return math.inf
        streamer = self._replication.replicator.streamers.get(node_id)
        heard = streamer.heard_at if streamer is not None else self._replication.heard_at.get(node_id, self._began)
        # What it was like when this node led before says nothing of who has just promised to follow it.
        return self._attention.silence(max(heard, self._began), self._replication.now())

    def _followers(self) -> Iterator[steps.Follower]:
        """Those who keep a copy, this node first; a reader of the log, which has no data directory, does not."""
        own = self.lsns.config.member(self.lsns.node_id)
        if own is not None:
            # Where it is reached is learned from the first that comes.
            now = replace(self._replication.member(), mode=own.mode)
            yield steps.Follower(now, Progress(self.lsns.term), True)
        for streamer in self._replication.replicator.streamers.values():
            hello = streamer.hello
            if hello.incarnation:
                member = Member(
                    hello.node_id, hello.incarnation, hello.host, hello.pg_port, hello.native_port, hello.http_port,
                    hello.mode, hello.priority,
                )  # fmt: skip
                yield steps.Follower(member, streamer.progress, streamer.live)

    def propose_first(self, config: ClusterConfig) -> None:
        """The configuration that this primary begins with; the log's last record is this node's own already."""
        self._proposing = True
        kind = "ejected" if len(config.in_sync) < len(self.lsns.config.in_sync) else "configured"
        names = ", ".join(config.in_sync)
        self._propose(config, kind, f"mode {config.mode.value}, the copies that count: {names}")

    def _propose(self, config: ClusterConfig, kind: str, text: str) -> None:
        if self._closed:
            return
        try:
            extent = self.put_config(config)
        except HeliosError as error:
            self._proposing = False
            if error.message != self._told:
                self._told = error.message
                log.warning("the cluster's configuration cannot be changed yet: %s", error.message)
            return
        if extent is None:
            self._loop.call_later(RETRY_S, self._propose, config, kind, text)
            return
        self._proposing, self._told = False, ""
        self._proposed_at = self._replication.now()
        self._untold = lambda: self._node.event(kind, text, severity="warning" if kind == "ejected" else "info")
        self._replication.watchers.show(config)
        self._replication.authority.hurry()
        self._advance(self.lsns.propose(config, *extent))
        self._tell_agreed()

    def _tell_agreed(self) -> None:
        """Tell of the newest configuration once it is in force: until then nothing has changed."""
        untold = self._untold
        if untold is not None and self.lsns.pending is None:
            self._untold = None
            untold()

    def put_config(self, config: ClusterConfig) -> tuple[Lsn, Lsn] | None:
        """Put a configuration into the log; where its record begins and ends, None: try again in a moment.

        Raises:
            DiskFull, IoFailed: there is no room for it.
        """
        node = self._node
        records = node.database.records
        text = config.to_bytes()
        node.database.reserve(RECORD_ROOM)
        begins = Lsn(0)

        def make() -> bytes:
            nonlocal begins
            begins, now_us = records.lsn, SystemClock.wall_us()
            ahead = copy(records)
            ahead.config(config.version, text, now_us)
            # First: what is refused has no record yet, and leaves no hole in the log.
            node.store.configs.append(ahead.lsn, config, node.pipeline.committed_lsn)
            return records.config(config.version, text, now_us)

        end = node.pipeline.submit_apart(make)
        return (begins, end) if end is not None else None
