"""The history of terms on disk: which term wrote which part of this node's log.

It is put down before the record that begins a term goes into the log, so that it never lacks one; what a crash left
beyond the log's end is dropped when it is read.
"""

from __future__ import annotations

from typing import Final

from helios_cli.engine.log.history import History, TermStart
from helios_cli.engine.log.record import Kind
from helios_cli.engine.ports import Files
from helios_cli.engine.storage.pagelog import PageLog
from helios_cli.engine.storage.twoslots import TwoSlots
from helios_cli.engine.types import Lsn, Term

NAME: Final = "history"
SLOT_BYTES: Final = 16 << 10
"""A slot of a new file: about 680 terms; doubled when they are more."""


class Timeline:
    """The history of a node's log and the file that keeps it."""

    def __init__(self, file: TwoSlots, history: History) -> None:
        """Use :meth:`open`."""
        self._file = file
        self.history = history

    @classmethod
    def open(cls, files: Files, directory: str, log: PageLog) -> Timeline:
        """Read the history of ``log``; where there is no file it is read off the log itself.

        Raises:
            LogDamaged: neither slot of the file is intact.
            IoFailed: it cannot be read.
        """
        file = TwoSlots(files, f"{directory}/{NAME}", SLOT_BYTES)
        if file.content is None:
            return cls(file, _scanned(log))
        return cls(file, History.from_bytes(file.content).cut_at(log.end))

    def begins(self, term: Term, start: Lsn) -> None:
        """A term's part of the log is about to begin at ``start``.

        Raises:
            DiskFull, IoFailed: the file system refused; nothing changed.
        """
        self.replace(self.history.cut_at(start).followed_by(term, start))

    def replace(self, history: History) -> None:
        """Put another history on disk, as a rewind or a copy from another node brings.

        Raises:
            DiskFull, IoFailed: the file system refused; the one before stands.
        """
        self._file.replace(history.to_bytes())
        self.history = history

    def close(self) -> None:
        """Release the file."""
        self._file.close()


def history_on_disk(files: Files, directory: str) -> History:
    """What the file says, with what a crash may have left beyond the log's end; no terms where there is no file.

    Raises:
        LogDamaged: neither slot of the file is intact.
        IoFailed: it cannot be read.
    """
    file = TwoSlots(files, f"{directory}/{NAME}", SLOT_BYTES)
    file.close()
    return History() if file.content is None else History.from_bytes(file.content)


def _scanned(log: PageLog) -> History:
    """From the records that are kept; what is older counts as the oldest term's."""
    starts: list[TermStart] = []
    for record in log.records(log.start):
        header = record.header
        if header.kind is Kind.TERM_START or not starts:
            starts.append(TermStart(header.term, header.lsn))
    return History(starts)
