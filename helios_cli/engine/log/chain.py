"""Which records take effect: the rules of chains (docs/FORMAT.md, "Chains")."""

from __future__ import annotations

from helios_cli.engine.log.record import RecordDamaged, RecordHeader
from helios_cli.engine.types import Lsn, Term


class ChainTracker:
    """Follows the headers of a log in order and says what each one completes.

    A part has no effect until the end of its chain. Any record that does not continue the open chain voids it:
    its writer gave up and, if it tried again, began a new one.
    """

    __slots__ = ("_term", "open_start", "pages")

    def __init__(self) -> None:
        self.open_start: Lsn | None = None
        """LSN of the first part of the chain that is still open; None when the log ends between transactions."""
        self.pages = 0
        """Page images in the chain that is open, or has just ended."""
        self._term = Term(0)

    def feed(self, header: RecordHeader) -> Lsn | None:
        """Take the next header; returns where the change that it completes starts.

        That is the record's own LSN for an ordinary one, the first part's for the end of a chain, and None for a
        part, which completes nothing.

        Raises:
            RecordDamaged: a part or an end continues a chain that is not open.
        """
        if header.is_part:
            if header.opens_chain:
                self.open_start, self._term, self.pages = header.lsn, header.term, 0
            else:
                self._continued(header)
            self.pages += header.page_count
            return None
        self.pages += header.page_count
        start = self._continued(header) if header.ends_chain else header.lsn
        self.open_start = None
        return start

    def plain(self) -> None:
        """The next record is an ordinary one: it takes effect by itself."""
        self.open_start = None

    def _continued(self, header: RecordHeader) -> Lsn:
        if self.open_start is None or header.term != self._term:
            raise RecordDamaged(header.lsn, "it continues a chain that was not begun")
        return self.open_start
