"""The statements of the SQL console, to be fetched back; on disk where there is a file for them."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Final

KEPT: Final = 1000
_SECRET: Final = re.compile(r"password|secret|token", re.IGNORECASE)


class SqlHistory:
    """Statements, the newest last, and a place among them. What speaks of a password is not written down."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._lines = self._load()[-KEPT:]
        self._at = len(self._lines)
        self._typed = ""

    def _load(self) -> list[str]:
        if self._path is None:
            return []
        try:
            return [line for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines() if line]
        except OSError:
            return []

    def add(self, text: str) -> None:
        """Keep a statement, unless it is the newest already; the place is behind it."""
        line = " ".join(text.split())
        if line and self._lines[-1:] != [line]:
            self._lines.append(line)
            del self._lines[:-KEPT]
            self._store(line)
        self._at, self._typed = len(self._lines), ""

    def _store(self, line: str) -> None:
        if self._path is None or _SECRET.search(line):
            return
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "a", encoding="utf-8") as file:
                file.write(line + "\n")

    def before(self, typed: str) -> str:
        """The statement before; ``typed`` is what stands there, and comes back behind the newest one."""
        if self._at == len(self._lines):
            self._typed = typed
        self._at = max(0, self._at - 1)
        return self._lines[self._at] if self._lines else typed

    def after(self, typed: str) -> str:
        """The statement after, in the end what was typed."""
        if self._at >= len(self._lines):
            return typed
        self._at += 1
        return self._typed if self._at == len(self._lines) else self._lines[self._at]
