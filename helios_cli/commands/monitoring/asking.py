"""Asking many places at once without waiting for the slow ones: what has no answer in time is taken up later."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Final

THREADS_MAX: Final = 32


class Rounds:
    """Questions that are asked again and again, each by name; of each at most one is under way."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="monitor")
        self._under_way: dict[str, Future[Any]] = {}

    def ask(self, questions: Mapping[str, Callable[[], Any]], patience_s: float) -> dict[str, Any]:
        """Ask whatever is not under way; the answers that are there within ``patience_s``, by name."""
        for name, question in questions.items():
            if name not in self._under_way:
                self._under_way[name] = self._pool.submit(question)
        wait(self._under_way.values(), patience_s)
        done = {name: future for name, future in self._under_way.items() if future.done()}
        for name in done:
            del self._under_way[name]
        return {name: future.result() for name, future in done.items() if name in questions}

    def close(self) -> None:
        """Ask no more; what is under way ends by its own deadline."""
        self._pool.shutdown(wait=False, cancel_futures=True)
