"""Logging: text or JSON lines on standard error, secrets removed, and never a wait for a stuck reader.

Records pass through a bounded queue to a thread; when whoever reads standard error stops reading, the node goes
on and the lines beyond the queue's size are counted and left out.
"""

from __future__ import annotations

import atexit
import logging
import queue
import re
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final, Literal, TextIO

import msgspec

LogFormat = Literal["text", "json"]

_QUEUE_SIZE: Final = 10_000
_FLUSH_S: Final = 2.0
_HIDDEN: Final = "[hidden]"

_SECRETS: Final = (
    re.compile(r"(?i)(\bbearer\s+)[\w.~+/=-]+"),
    re.compile(r"(://[^\s:/@]*:)[^\s/]+(?=@)"),
    re.compile(r"(?i)(\bpassword\s+(?:e)?)'(?:[^'\\]|''|\\.)*'"),
    re.compile(
        r"""(?i)((?:password|passwd|secret|token|passphrase)["']?\s*[=:]\s*)("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s,;&}"']+)"""
    ),
    re.compile(r"(SCRAM-SHA-256\$\d+:)[\w+/=:$]+"),
)
_MARKS: Final = ("://", "bearer", "pass", "secret", "token", "scram")
"""One of these is in every text that has a secret; next to no line has any."""
_SECRET_FIELD = re.compile(r"(?i)password|passwd|secret|token|passphrase")


def redact(text: str) -> str:
    """``text`` with passwords, tokens and SCRAM verifiers replaced by ``[hidden]``."""
    folded = text.casefold()
    if not any(mark in folded for mark in _MARKS):
        return text
    for pattern in _SECRETS:
        text = pattern.sub(rf"\g<1>{_HIDDEN}", text)
    return text


class TextFormatter(logging.Formatter):
    """``2026-01-31 12:00:00.123 UTC [pid] WARNING name: message key=value``, tracebacks on the lines after it."""

    def __init__(self) -> None:
        form = "%(asctime)s.%(msecs)03d UTC [%(process)d] %(levelname)s %(name)s: %(message)s"
        super().__init__(form)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """The record's second in UTC."""
        return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(record.created))

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line without its traceback."""
        pairs = "".join(f" {key}={value}" for key, value in _fields(record).items())
        return super().formatMessage(record) + pairs

    def format(self, record: logging.LogRecord) -> str:
        """The whole entry with secrets removed."""
        return redact(super().format(record))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, pid, message, the fields, and ``exception`` with the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The line with secrets removed."""
        entry: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "message": redact(record.getMessage()),
        }
        entry.update((key, value) for key, value in _fields(record).items() if key not in entry)
        if record.exc_info:
            entry["exception"] = redact(self.formatException(record.exc_info))
        return msgspec.json.encode(entry, enc_hook=str).decode()


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """What the caller passed as ``extra={"fields": {...}}``; secrets are hidden by name and by content."""
    given = getattr(record, "fields", None)
    if not isinstance(given, dict):
        return {}
    return {str(key): _clean(str(key), value) for key, value in given.items()}


def _clean(key: str, value: Any) -> Any:
    if _SECRET_FIELD.search(key):
        return _HIDDEN
    return redact(value) if isinstance(value, str) else value


class LogSink(logging.Handler):
    """Hands formatted lines to a thread that writes them; full means counted in ``dropped``."""

    def __init__(self, stream: TextIO, formatter: logging.Formatter, size: int = _QUEUE_SIZE) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self.dropped = 0
        self._stream = stream
        self._lines: queue.Queue[str | threading.Event | None] = queue.Queue(size)
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue one line; never waits, except after CRITICAL, which often is the last word of a process."""
        try:
            self._lines.put_nowait(self.format(record))
        except queue.Full:
            self.dropped += 1
        except Exception:
            self.handleError(record)
        if record.levelno >= logging.CRITICAL:
            self.flush()

    def flush(self) -> None:
        """Wait until what is queued was written, at most 2 s."""
        done = threading.Event()
        try:
            self._lines.put(done, timeout=_FLUSH_S)
        except queue.Full:
            return
        if self._thread.is_alive():
            done.wait(_FLUSH_S)

    def close(self) -> None:
        """Write what is queued (at most 2 s) and end the thread. Idempotent."""
        if self._thread.is_alive():
            self.flush()
            try:
                self._lines.put_nowait(None)
            except queue.Full:
                return
            self._thread.join(_FLUSH_S)
        super().close()

    def _run(self) -> None:
        while (entry := self._lines.get()) is not None:
            if isinstance(entry, threading.Event):
                entry.set()
                continue
            try:
                self._stream.write(entry + "\n")
                self._stream.flush()
            except (OSError, ValueError):
                self.dropped += 1


def configure_logging(
    level: str = "info", form: LogFormat = "text", stream: TextIO | None = None
) -> Callable[[], None]:
    """Send every logger of this process to ``stream`` (standard error when None); gives the function that undoes it.

    ``level`` is debug, info, warning, error or critical. Raises ValueError for another word.
    """
    formatter = JsonFormatter() if form == "json" else TextFormatter()
    set_level(level)
    sink = LogSink(stream or sys.stderr, formatter)
    root = logging.getLogger()
    root.addHandler(sink)
    atexit.register(sink.close)

    def undo() -> None:
        root.removeHandler(sink)
        atexit.unregister(sink.close)
        sink.close()

    return undo


def set_level(level: str) -> None:
    """Change what is logged from now on. Raises ValueError for an unknown word."""
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None or number == logging.NOTSET:
        raise ValueError(f"not a log level: {level!r}; levels are debug, info, warning, error, critical")
    logging.getLogger().setLevel(number)
