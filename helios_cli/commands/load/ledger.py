"""The ledger: a file of lines that says what became of every write of one run.

    heliosdb-ledger 1
    run 20261121T093000-5f3a
    table workload
    ack 1 1
    unknown 2 1 08006
    refused 1 2 25006
    end

``ack CLIENT SEQ``: the server answered. ``unknown``: it was sent and no answer came, the row may be there or not.
``refused``: the server or the network said no, the row must not be there. ``end`` is missing when the run was killed.
A last line without its newline is torn and does not count.
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final

from helios_cli.engine.errors import ConfigError, HeliosError

HEAD: Final = "heliosdb-ledger 1"
SYNC_S: Final = 0.05
"""Longest time between a line and the sync of the file."""

Seqs = dict[int, set[int]]
"""Numbers of writes by client."""


class LedgerWriter:
    """Writes a ledger; lines are synced in batches by a thread of its own, and all of them at the end."""

    def __init__(self, path: Path, run: str, table: str) -> None:
        """Begin a ledger.

        Raises:
            HeliosError: the file is there already (58P02). OSError: it cannot be written.
        """
        self.path = path
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        except FileExistsError:
            raise HeliosError(
                f"{path} is there already", sqlstate="58P02", hint="Name another file with --ledger, or remove it."
            ) from None
        self._lines: list[str] = [HEAD, f"run {run}", f"table {table}"]
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._sync_again_and_again, name="ledger", daemon=True)
        self._thread.start()

    def __enter__(self) -> LedgerWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write ``end`` when all went well, sync, close; an error of the file is raised here at the latest."""
        self.finish(complete=kind is None)

    def finish(self, *, complete: bool = True) -> None:
        """The run is over: ``complete`` writes ``end``. Raises OSError: of a complete one not everything is written."""
        if complete:
            self.add("end")
        self._done.set()
        self._thread.join()
        self._sync()
        os.close(self._file)
        if self._error is not None and complete:
            raise self._error

    def add(self, line: str) -> None:
        """One more line.

        Raises:
            OSError: the file could not be written a moment ago.
        """
        if self._error is not None:
            raise self._error
        with self._lock:
            self._lines.append(line)

    def _sync_again_and_again(self) -> None:
        while not self._done.wait(SYNC_S):
            self._sync()

    def _sync(self) -> None:
        with self._lock:
            lines, self._lines = self._lines, []
        if not lines:
            return
        try:
            data = ("\n".join(lines) + "\n").encode()
            while data:
                data = data[os.write(self._file, data) :]
            os.fdatasync(self._file)
        except OSError as error:
            error.filename = str(self.path)
            self._error = error


@dataclass(slots=True)
class Ledger:
    """What a ledger says."""

    run: str = ""
    table: str = ""
    acknowledged: Seqs = field(default_factory=lambda: defaultdict(set))
    unknown: Seqs = field(default_factory=lambda: defaultdict(set))
    refused: Seqs = field(default_factory=lambda: defaultdict(set))
    complete: bool = False
    """Whether the run came to its end; otherwise rows may be there that no line tells of."""


def count(seqs: Seqs) -> int:
    """How many writes."""
    return sum(map(len, seqs.values()))


def read_ledger(path: Path) -> Ledger:
    """Read a ledger.

    Raises:
        ConfigError: it cannot be read, or is none.
    """
    ledger = Ledger()
    kinds = {"ack": ledger.acknowledged, "unknown": ledger.unknown, "refused": ledger.refused}
    try:
        with path.open(encoding="ascii") as file:
            if file.readline().rstrip("\n") != HEAD:
                raise ConfigError(f"{path} is no ledger", hint="heliosdb-nano workload run writes them.")
            for number, line in enumerate(file, 2):
                if line.endswith("\n"):
                    _take(ledger, kinds, line.split(), f"{path}:{number}")
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is no ledger", hint="heliosdb-nano workload run writes them.") from None
    return ledger


def _take(ledger: Ledger, kinds: dict[str, Seqs], words: list[str], where: str) -> None:
    """One line."""
    try:
        if words[0] in kinds:
            kinds[words[0]][int(words[1])].add(int(words[2]))
        elif words[0] in ("run", "table"):
            setattr(ledger, words[0], words[1])
        elif words[0] == "end":
            ledger.complete = True
        else:
            raise ValueError
    except (IndexError, ValueError):
        raise ConfigError(f"{where}: {' '.join(words)!r} is no line of a ledger") from None
