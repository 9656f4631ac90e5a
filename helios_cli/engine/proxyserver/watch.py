"""The watch over one node: a connection that stays, and questions on it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.net.pgclient import ConnectionLost
from helios_cli.engine.proxy.health import PING_S, RETRY_S, Health, Told
from helios_cli.engine.proxyserver.link import Account, Link, Results
from helios_cli.engine.proxyserver.questions import (
    CHANNEL,
    HELIOS_CHECK,
    HELIOS_LOOK,
    POSTGRES_CHECK,
    POSTGRES_LOOK,
    PRODUCT,
    Announcement,
    Report,
    announcement,
    report,
)
from helios_cli.engine.proxyserver.tls import backend_context

if TYPE_CHECKING:
    from helios_cli.engine.config.proxy import ProxySettings
    from helios_cli.engine.proxyserver.node import Node

log = logging.getLogger(__name__)

T = TypeVar("T")

LOOK_S: Final = 0.005
"""Between two looks at how far a node is."""
ALARM_S: Final = 3.0
"""So long after something suspicious a node is asked often."""
LIMITED_S: Final = 0.25
"""Between two checks where standbys may lag so much and no more."""
LATENCY_SHARE: Final = 0.2
"""Of the newest round trip in the smoothed one."""
SLICE_S: Final = 0.1
"""However late it is noticed that so much of a wait is over, it counts as no more."""
BRIEF_S: Final = 1.0
"""A connection that lasted no longer is not made anew at once."""


class Keeper(Protocol):
    """Who is told."""

    primary: Node | None
    """Who leads; while nobody does every node is asked often."""

    def heard(self, node: Node, told: Report, *, looked: bool = False) -> None:
        """The node has answered; ``looked``: because somebody wants to know how far it is."""

    def lost(self, node: Node) -> None:
        """Its connection broke, and it has to show that it is there."""

    def failed(self, node: Node) -> None:
        """It is not there: nobody listens, or no answer came in time."""

    def announced(self, node: Node, told: Announcement) -> None:
        """It has told something unasked."""

    def follows_now(self, node: Node) -> None:
        """It has told that it takes no writes any more."""


def account_of(settings: ProxySettings) -> Account:
    """As whom the watches log in: ``auth_user``, else the first of the configured users with a password.

    Raises:
        ConfigError: a file of ``[backend_tls]`` cannot be used.
    """
    user, password = settings.auth_user, settings.auth_password or None
    listed = {one.name: one.password for one in settings.users if one.password}
    user = user or next(iter(listed), "")
    password = password or listed.get(user)
    return Account(user or "helios", password, settings.database, settings.backend_tls, backend_context(settings))


class Watch:
    """One node's watch. It connects, asks, and connects again, until it is ended."""

    def __init__(
        self, node: Node, settings: ProxySettings, account: Account, loop: asyncio.AbstractEventLoop, keeper: Keeper
    ) -> None:
        self.node = node
        self.health = Health(settings.failure_threshold)
        self.has_tried = False
        """The first attempt is over."""
        self._loop, self._keeper = loop, keeper
        self._account = account
        self.set(settings, account)
        self._link: Link | None = None
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._wants_check = False
        self._checked_at = 0.0
        self._alarm_until = 0.0
        self._looked_at = 0.0
        self._is_looking = False
        self._news = 0
        """What it has told unasked, counted: an answer on its way then is older than that."""
        self._reason = ""

    def set(self, settings: ProxySettings, account: Account) -> None:
        """Other settings; who is logged in stays so."""
        limited = settings.max_lag is not None or settings.max_lag_bytes is not None
        self._interval = min(settings.health_check_interval, LIMITED_S if limited else settings.health_check_interval)
        self._timeout = settings.health_check_timeout
        self._connect_timeout = min(settings.connect_timeout, settings.health_check_timeout)
        self.health.threshold = max(1, settings.failure_threshold)
        self._account = account

    def begin(self) -> None:
        """Start watching."""
        self._task = self._loop.create_task(self._run())

    async def end(self) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._close()

    def check(self) -> None:
        """Ask everything soon; and often for a while."""
        self._wants_check = True
        self.alarm()

    def alarm(self) -> None:
        """Something suspicious was heard: ask often for a while, beginning now."""
        self._alarm_until = self._loop.time() + ALARM_S
        self._wake.set()

    def suspect(self, reason: str) -> None:
        """Connections to the node break or are refused: does it let anybody in?"""
        self.health.broke()
        self._reason = self.node.reason = reason
        self.alarm()
        self._close()

    def look(self) -> None:
        """Ask how far it is, unless that was just done: then as soon as that may be done again."""
        if self._is_looking or self._link is None or not self._link.is_open:
            return
        self._is_looking = True
        wait = self._looked_at + LOOK_S - self._loop.time()
        if wait > 0:
            self._loop.call_later(wait, self._look)
        else:
            self._look()

    def _look(self) -> None:
        link = self._link
        self._looked_at = self._loop.time()
        if link is None or not link.is_open:
            self._is_looking = False
            return
        answer = link.query(HELIOS_LOOK if self.node.is_heliosdb else POSTGRES_LOOK)
        answer.add_done_callback(partial(self._looked, self._news))

    def _looked(self, news: int, answer: asyncio.Future[Results]) -> None:
        self._is_looking = False
        with contextlib.suppress(HeliosError, asyncio.CancelledError):
            self._tell(report(answer.result(), is_heliosdb=self.node.is_heliosdb), news, looked=True)

    def _tell(self, told: Report, news: int, *, looked: bool = False) -> None:
        """Pass an answer on; ``news`` is what had been told when it was asked for."""
        if news == self._news:
            self._keeper.heard(self.node, told, looked=looked)
        else:
            self.check()

    # The loop ----------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            began = self._loop.time()
            link = await self._opened()
            if link is not None:
                await self._follow(link)
                self._close()
            is_brief = link is not None and self._loop.time() - began < BRIEF_S
            wait = max(self.health.retry_s, RETRY_S if is_brief else 0.0)
            await asyncio.sleep(min(wait, RETRY_S))
            await self._rest(wait - RETRY_S)

    async def _opened(self) -> Link | None:
        link = Link(self._notified, self._reported, self._broke)
        self._link = link
        try:
            async with asyncio.timeout(self._connect_timeout):
                await link.open(self.node.host, self.node.port, self._account)
        except (OSError, HeliosError, TimeoutError) as error:
            self._fail(_reason(error, "no login", self._connect_timeout))
            return None
        self.node.is_heliosdb = PRODUCT in link.parameters.get("server_version", "")
        return link

    async def _follow(self, link: Link) -> None:
        """Ask until the connection is over."""
        if self.node.is_heliosdb:
            link.query(f"LISTEN {CHANNEL}").add_done_callback(self._listens)
        self._wants_check = True
        try:
            while link.is_open:
                now = self._loop.time()
                if self._wants_check or now - self._checked_at >= self._interval:
                    await self._ask(link, HELIOS_CHECK if self.node.is_heliosdb else POSTGRES_CHECK)
                elif self.node.active or now < self._alarm_until or self._keeper.primary is None:
                    await self._ask(link, HELIOS_LOOK if self.node.is_heliosdb else POSTGRES_LOOK)
                await self._rest(min(PING_S, self._interval))
        except (HeliosError, TimeoutError) as error:
            if link.is_open:
                # It is there and says nothing, or nothing that helps.
                self._fail(_reason(error, "no answer", self._patience))

    def _listens(self, answer: asyncio.Future[Results]) -> None:
        error = None if answer.cancelled() else answer.exception()
        if error is not None and not isinstance(error, ConnectionLost):
            log.warning("node %s tells nothing unasked, and is only asked: %s", self.node.name, error)

    async def _ask(self, link: Link, text: str) -> None:
        began, began_s, news = self._loop.time(), time.perf_counter(), self._news
        if text in (HELIOS_CHECK, POSTGRES_CHECK):
            self._wants_check, self._checked_at = False, began
        results = await _within(link.query(text), self._patience)
        round_trip = time.perf_counter() - began_s
        node = self.node
        node.latency_s += (round_trip - node.latency_s) * (LATENCY_SHARE if node.latency_s else 1.0)
        told = report(results, is_heliosdb=node.is_heliosdb)
        self.has_tried = True
        node.reason = ""
        if self.health.answered() is Told.HEALTHY:
            log.info("node %s is healthy: %s at %s:%d", node.name, _kind(node), node.host, node.port)
        if told.leads != node.leads and text in (HELIOS_LOOK, POSTGRES_LOOK):
            self.check()
        self._tell(told, news)

    @property
    def _patience(self) -> float:
        """How long an answer may take: half as long where the primary has the node's reads as soon as it is lost."""
        lead = self._keeper.primary
        return self._timeout if lead is None or lead is self.node else self._timeout / 2

    async def _rest(self, seconds: float) -> None:
        if seconds > 0 and not self._wake.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._wake.wait()
        self._wake.clear()

    # What comes unasked ------------------------------------------------------------------------------------------

    def _notified(self, channel: str, payload: str) -> None:
        told = announcement(payload) if channel == CHANNEL else None
        if told is not None:
            self._news += 1
            self._keeper.announced(self.node, told)

    def _reported(self, name: str, value: str) -> None:
        if name == "in_hot_standby":
            self._news += 1
            if value == "on" and self.node.leads:
                self._keeper.follows_now(self.node)
            self.check()

    def _broke(self, _link: Link, reason: str) -> None:
        """The connection ended while it was in use."""
        self.health.broke()
        self._reason = self.node.reason = reason
        self._keeper.lost(self.node)
        self.alarm()

    def _fail(self, reason: str) -> None:
        self.has_tried = True
        self.node.reason = reason
        self._close()
        if self.health.failed() is Told.UNHEALTHY:
            more = f" ({self._reason})" if self._reason and self._reason != reason else ""
            log.warning(
                "node %s is unhealthy: %s%s, at %s:%d", self.node.name, reason, more, self.node.host, self.node.port
            )
        self._keeper.failed(self.node)

    def _close(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()


def _kind(node: Node) -> str:
    return "HeliosDB" if node.is_heliosdb else "PostgreSQL"


async def _within(answer: asyncio.Future[T], seconds: float) -> T:
    """Wait for an answer, but so long at most. When our own loop stands still that is not the node's delay.

    Raises:
        TimeoutError: none came.
    """
    left = seconds
    while left > 0:
        await asyncio.wait({answer}, timeout=min(SLICE_S, left))
        if answer.done():
            return answer.result()
        left -= SLICE_S
    answer.cancel()
    raise TimeoutError


def _reason(error: BaseException, what: str, timeout: float) -> str:
    if isinstance(error, TimeoutError) and not str(error):
        return f"{what} within {timeout:g} s"
    return error.message if isinstance(error, HeliosError) else (getattr(error, "strerror", "") or str(error))
