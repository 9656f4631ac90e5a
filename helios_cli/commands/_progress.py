"""What a command tells while it waits: a moving line on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.status import Status


class Progress:
    """Narration on standard error. ``quiet`` says nothing."""

    def __init__(self, *, quiet: bool = False, stream: TextIO | None = None) -> None:
        self._quiet = quiet
        self._stream = stream or sys.stderr
        self._live: Status | None = None
        self._last = ""

    def __enter__(self) -> Progress:
        if not self._quiet and self._stream.isatty():
            from rich.console import Console

            self._live = Console(file=self._stream, highlight=False).status("")
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, text: str) -> None:
        """What is being waited for now; the same text again costs nothing."""
        if text == self._last or self._quiet:
            return
        self._last = text
        if self._live is not None:
            from rich.markup import escape

            self._live.update(escape(text))
        else:
            print(text, file=self._stream, flush=True)

    def say(self, text: str) -> None:
        """Something that is done, and stays on the screen."""
        if self._quiet:
            return
        if self._live is not None:
            self._live.console.print(text, markup=False)
        else:
            print(text, file=self._stream, flush=True)
