"""The seam between here and there: whatever has to be done on a node's machine is asked of one of these."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, Final, Protocol, TypeVar

from helios_cli.engine.remote import deeds
from helios_cli.engine.remote.host import ASK_S, Host
from helios_cli.engine.remote.login import Login

Item = TypeVar("Item")
Result = TypeVar("Result")

TOGETHER_MAX: Final = 32


class Machine(Protocol):
    """A machine on which processes of a cluster run."""

    @property
    def name(self) -> str:
        """The host's name; empty for this machine."""

    def ask(self, verb: str, *arguments: Any) -> Any:
        """Have one of :mod:`~helios_cli.engine.remote.deeds` done.

        Raises:
            OSError: it could not be done. HostError: the machine cannot be reached.
        """


class Here:
    """This machine."""

    name = ""

    def ask(self, verb: str, *arguments: Any) -> Any:
        """Do it (:class:`Machine`)."""
        return getattr(deeds, verb)(*arguments)


class There:
    """A host."""

    def __init__(self, host: Host) -> None:
        self.host = host

    @property
    def name(self) -> str:
        """The host's (:class:`Machine`)."""
        return self.host.login.name

    def ask(self, verb: str, *arguments: Any) -> Any:
        """Have it done (:class:`Machine`)."""
        if verb == "run":  # which has a time of its own
            return self.host.ask(verb, *arguments, timeout_s=float(arguments[1]) + ASK_S)
        return self.host.ask(verb, *arguments)

    @cached_property
    def about(self) -> Mapping[str, Any]:
        """What :func:`~helios_cli.engine.remote.deeds.hello` says of it. Raises HostError."""
        found: Mapping[str, Any] = self.ask("hello")
        return found


HERE: Final[Machine] = Here()

_kept: dict[Login, There] = {}
_lock = threading.Lock()


def there(login: Login) -> There:
    """The machine of a login; its connection is kept until the program ends, or :func:`close_all`."""
    with _lock:
        found = _kept.get(login)
        if found is None:
            found = _kept[login] = There(Host(login))
        return found


def close_all() -> None:
    """End every connection. Idempotent; one that is needed again is made again."""
    with _lock:
        left = list(_kept.values())
        _kept.clear()
    for one in left:
        one.host.close()


atexit.register(close_all)


def together(act: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Act on all at the same time; results in their order. When all have ended, the first error is raised."""
    found: Sequence[Item] = list(items)
    if len(found) < 2:
        return [act(one) for one in found]
    with ThreadPoolExecutor(max_workers=min(TOGETHER_MAX, len(found))) as pool:
        done = [pool.submit(act, one) for one in found]
    return [one.result() for one in done]
