"""A thread that looks at a cluster again and again, and workers that ask several nodes at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self


class Background:
    """Its life: ``start`` and ``stop``, or a ``with`` block. Who inherits it says in ``_run`` what the thread does."""

    def __init__(self, name: str, workers: int) -> None:
        """Nothing runs before :meth:`start`. ``workers`` are asked at once, at most."""
        self._ended = threading.Event()
        self._workers = ThreadPoolExecutor(workers, thread_name_prefix=f"{name}-worker")
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Go on in the background."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; returns when no callback runs any more. Idempotent."""
        self._ended.set()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join()
        self._workers.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        raise NotImplementedError
