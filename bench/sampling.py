"""A sampling profiler of one's own process: a thread that looks at every other thread's stack."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Final

INTERVAL_S: Final = 0.002
_SWITCH_S: Final = 0.0002
"""The interpreter's thread-switch interval while sampling. With the default of 5 ms the sampler would mostly run
where other threads let go of the interpreter by themselves, and see nothing but those places."""


@dataclass(slots=True)
class Samples:
    """Counts by thread name: of stacks, of functions on top, of functions anywhere, of lines on top."""

    stacks: Counter[str] = field(default_factory=Counter)
    own: dict[str, Counter[str]] = field(default_factory=dict)
    total: dict[str, Counter[str]] = field(default_factory=dict)
    lines: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, thread: str, frame: FrameType) -> None:
        """Count one stack, given by its top frame; a recursive function counts once."""
        self.stacks[thread] += 1
        top = function_name(frame)
        self.own.setdefault(thread, Counter())[top] += 1
        self.lines.setdefault(thread, Counter())[f"{top}:{frame.f_lineno}"] += 1
        self.total.setdefault(thread, Counter()).update(set(_functions(frame)))

    def record(self, top: int = 200) -> dict[str, Any]:
        """The ``top`` hottest of each kind by thread, JSON-able; the busiest thread first."""
        return {
            thread: {
                "samples": count,
                "own": dict(self.own[thread].most_common(top)),
                "total": dict(self.total[thread].most_common(top)),
                "lines": dict(self.lines[thread].most_common(top)),
            }
            for thread, count in self.stacks.most_common()
        }


class Sampler:
    """Takes samples between :meth:`start` and :meth:`stop`."""

    def __init__(self, interval_s: float = INTERVAL_S) -> None:
        self.samples = Samples()
        self._interval_s = interval_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._switch_s = sys.getswitchinterval()

    def start(self) -> None:
        """Begin."""
        sys.setswitchinterval(_SWITCH_S)
        self._thread.start()

    def stop(self) -> Samples:
        """End, and give what was counted."""
        self._ended.set()
        self._thread.join()
        sys.setswitchinterval(self._switch_s)
        return self.samples

    def _run(self) -> None:
        own = threading.get_ident()
        while not self._ended.wait(self._interval_s):
            names = {thread.ident: thread.name for thread in threading.enumerate()}
            for ident, frame in sys._current_frames().items():
                if ident != own:
                    self.samples.add(names.get(ident, str(ident)), frame)


def function_name(frame: FrameType) -> str:
    """``package/module.py Class.function``: the file's last two parts and the qualified name."""
    file = "/".join(frame.f_code.co_filename.split("/")[-2:])
    return f"{file} {frame.f_code.co_qualname}"


def _functions(frame: FrameType | None) -> Iterator[str]:
    while frame is not None:
        yield function_name(frame)
        frame = frame.f_back
