"""What the observers of a cluster say of its lead: whether enough of them agree on one primary."""

from __future__ import annotations

import json
import logging
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Final

from helios_cli.engine.errors import ConfigError
from helios_cli.replication.background import Background
from helios_cli.replication.config import Endpoint
from helios_cli.replication.errors import NotProtected

log = logging.getLogger(__name__)

HTTP_PORT: Final = 8080
"""Where an observer answers whose address names no port."""
BODY_MAX: Final = 1 << 20


@dataclass(frozen=True, kw_only=True)
class ObserverConfig:
    """Observers, and how many of them have to agree.

    Raises:
        ConfigError: an address makes no sense, or two sets of ``quorum_size`` observers could say different things.
    """

    observers: tuple[str, ...] | list[str]
    """Their HTTP addresses, ``host`` or ``host:port``; kept as a tuple of ``host:port``."""
    quorum_size: int
    check_interval_s: float = 1.0
    check_timeout_s: float = 1.0
    ssl_context: ssl.SSLContext | None = field(default=None, repr=False)
    """For observers that answer over HTTPS."""

    def __post_init__(self) -> None:
        """Normalize and check."""
        named = tuple(str(_endpoint(text)) for text in self.observers)
        object.__setattr__(self, "observers", named)
        if len(set(named)) != len(named):
            raise ConfigError("observers names one twice")
        if not len(named) // 2 < self.quorum_size <= len(named):
            raise ConfigError(
                f"quorum_size must be a majority of the {len(named)} observers, and is {self.quorum_size}",
                hint=f"Give one from {len(named) // 2 + 1} to {len(named)}.",
            )
        if self.check_interval_s <= 0 or self.check_timeout_s <= 0:
            raise ConfigError("check_interval_s and check_timeout_s must be above zero")


def _endpoint(text: str) -> Endpoint:
    has_port = (text.startswith("[") and not text.endswith("]")) or text.count(":") == 1
    return Endpoint.parse(text if has_port else f"{text}:{HTTP_PORT}")


@dataclass(frozen=True, slots=True)
class Protection:
    """What one look at the observers has shown."""

    primary: str = ""
    """The name of the node that they hear and whose vote theirs is; empty: too few agree on one."""
    term: int = 0
    """The newest that one of them has promised."""
    agreeing: tuple[str, ...] = ()
    """Addresses of those who hear that primary."""
    answering: tuple[str, ...] = ()
    """Addresses of those who answered."""
    problem: str = ""
    """Why there is no quorum; empty when there is."""

    @property
    def has_quorum(self) -> bool:
        """Whether enough observers hear one and the same primary."""
        return not self.problem


def judge(answers: Mapping[str, Mapping[str, Any]], quorum_size: int) -> Protection:
    """Decide by the ``/status`` of those who answered, by address."""
    answering = tuple(sorted(answers))
    strange = sorted(address for address, told in answers.items() if told.get("role") != "observer")
    clusters = {told.get("cluster_id") for told in answers.values()}
    term = max((int(told.get("term", 0)) for told in answers.values()), default=0)
    problem = ""
    if strange:
        problem = f"{', '.join(strange)}: this is no observer"
    elif len(clusters) > 1:
        problem = "the observers belong to different clusters"
    elif len(answers) < quorum_size:
        problem = f"{len(answers)} observers answer, and {quorum_size} are needed"
    if problem:
        return Protection("", term, (), answering, problem)
    # One that has promised a newer term may have voted for somebody else there.
    hearing: dict[str, list[str]] = {}
    for address in answering:
        told = answers[address]
        if told.get("reaches_primary") and int(told.get("term", 0)) == term:
            hearing.setdefault(str(told.get("primary_id", "")), []).append(address)
    name, most = max(hearing.items(), key=lambda item: len(item[1]), default=("", []))
    if len(most) < quorum_size:
        problem = f"{len(most)} observers hear one primary in term {term}, and {quorum_size} are needed"
        return Protection("", term, tuple(most), answering, problem)
    return Protection(name, term, tuple(most), answering)


class SplitBrainProtector(Background):
    """Watches the observers, and says at any time whether enough of them stand behind one primary.

    That no two nodes take writes at once is the nodes' own doing: a primary that a majority of the voters, observers
    among them, does not hear acknowledges nothing. This shows from outside that it holds, for programs that must not
    act on the word of a primary that has been replaced, such as those that move an address or start a job.
    """

    def __init__(self, config: ObserverConfig) -> None:
        """Nothing runs before :meth:`start`."""
        super().__init__("split-brain-protector", min(16, len(config.observers)))
        self.config = config
        self._latest = Protection(problem="nobody was asked yet")
        self._callbacks: list[Callable[[Protection], object]] = []

    @property
    def latest(self) -> Protection:
        """What the last look has shown."""
        return self._latest

    def on_change(self, callback: Callable[[Protection], object]) -> None:
        """Call back, on the protector's thread, when the primary changes or the quorum is lost or found again."""
        self._callbacks.append(callback)

    def check(self) -> Protection:
        """Ask every observer now; takes ``check_timeout_s`` at most."""
        asked = self._workers.map(self._ask, self.config.observers)
        answers = {address: told for address, told in zip(self.config.observers, asked, strict=True) if told}
        self._latest = judge(answers, self.config.quorum_size)
        return self._latest

    def may_lead(self, node_id: str) -> bool:
        """Ask now whether a quorum of the observers has the node for the primary."""
        found = self.check()
        return found.has_quorum and found.primary == node_id

    def start(self) -> None:
        """Look once, then go on in the background.

        Raises:
            NotProtected: too few observers answer, or they do not belong together.
        """
        found = self.check()
        if len(found.answering) < self.config.quorum_size or not found.has_quorum:
            self.stop()
            raise NotProtected(
                f"the cluster's lead is not watched over: {found.problem}",
                hint="heliosdb-nano explain failover shows who votes; an observer is started with "
                "--replication-role observer.",
            )
        super().start()

    def _run(self) -> None:
        while not self._ended.wait(self.config.check_interval_s):
            before = self._latest
            try:
                found = self.check()
            except RuntimeError:
                return  # stopped meanwhile
            if (found.primary, found.has_quorum) != (before.primary, before.has_quorum):
                self._tell(self._callbacks, found)

    @staticmethod
    def _tell(callbacks: Iterable[Callable[[Protection], object]], found: Protection) -> None:
        for callback in tuple(callbacks):
            try:
                callback(found)
            except Exception:
                log.exception("a callback of the split-brain protector failed")

    def _ask(self, address: str) -> Mapping[str, Any] | None:
        """An observer's ``/status``; None when it does not answer."""
        where, timeout_s, context = Endpoint.parse(address), self.config.check_timeout_s, self.config.ssl_context
        if context is None:
            link = HTTPConnection(where.host, where.port, timeout=timeout_s)
        else:
            link = HTTPSConnection(where.host, where.port, timeout=timeout_s, context=context)
        try:
            link.request("GET", "/status")
            answer = link.getresponse()
            told = json.loads(answer.read(BODY_MAX))
            return told if answer.status == 200 and isinstance(told, dict) else None
        except (OSError, HTTPException, ValueError) as error:
            log.debug("observer at %s: %s", address, error)
            return None
        finally:
            link.close()
