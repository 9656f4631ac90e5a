"""Power cuts at every kind of moment: what was synced is there afterwards, and nothing else passes for a record."""

from __future__ import annotations

from random import Random

import pytest

from helios_cli.engine.errors import HeliosError
from helios_cli.engine.log.controlrecord import ControlRecord
from helios_cli.engine.log.encoder import RecordEncoder
from helios_cli.engine.log.record import peek_length
from helios_cli.engine.sim.files import PowerCut, SimFiles
from helios_cli.engine.storage.control import ControlFile
from helios_cli.engine.storage.pagelog import PageLog
from helios_cli.engine.storage.spare import inline
from helios_cli.engine.types import Lsn, Term

CLUSTER = b"power-cut-tests!"
SEGMENT_BYTES = 4096 + 6000
LOG, CONTROL = "/d/log", "/d/control"


class Node:
    """A log and a control file under a random history, with a model of what must be found again."""

    def __init__(self, files: SimFiles, seed: int) -> None:
        self.rng = Random(seed)
        self.files = files
        self.records: dict[int, bytes] = {}
        """Every record written and not taken back, by LSN."""
        self.synced = 0
        self.kept_from = 0
        self.floor = 0
        self.term = 0
        self.rewinding: int | None = None

    def start(self) -> None:
        """Open what is there, compare it with the model, and go on in a new term."""
        if not ControlFile.exists(self.files, CONTROL):
            assert self.synced == 0
            ControlFile.create(self.files, CONTROL, ControlRecord(CLUSTER, bytes(16)))
        self.control = ControlFile.open(self.files, CONTROL)
        record = self.control.record
        assert record.flushed_lsn >= self.floor
        assert record.term.number in (self.term, self.term - 1)
        rewind_to = Lsn.parse(record.state.split()[-1]) if record.state else None
        self.log = PageLog.open(
            self.files,
            LOG,
            cluster_id=CLUSTER,
            segment_bytes=SEGMENT_BYTES,
            flushed_floor=record.flushed_lsn,
            own_term=record.own_term,
            rewind_to=rewind_to,
            run_background=inline,
        )
        self.compare(rewind_to)
        self.term = max(self.term, record.term.number) + 1
        self.control.update(state="", term=Term(self.term, 1), is_own_term=True)
        self.floor = int(record.flushed_lsn)
        self.rewinding = None
        self.encoder = RecordEncoder(Term(self.term, 1), last=self.log.last, db_pages=0, db_checksum=0)
        self.append([self.encoder.term_start(0)])

    def compare(self, rewind_to: Lsn | None) -> None:
        """The log must be the model's records from its start on, and reach at least as far as was synced."""
        end = self.log.end
        if rewind_to is not None:
            assert end == rewind_to
        else:
            assert end >= self.synced, "a synced record is gone"
        assert self.log.start <= self.kept_from, "a segment that was to stay is gone"
        expected = self.log.start
        for record in self.log.records(self.log.start):
            assert record.header.lsn == expected
            assert record.raw == self.records[record.header.lsn], "bytes that were never written as a record"
            expected = record.end
        assert expected == end
        assert self.log.flushed == end
        self.records = {lsn: raw for lsn, raw in self.records.items() if lsn < end}
        self.synced = end

    def append(self, records: list[bytes]) -> None:
        """Write several records at once; the log itself may sync some of them when it rolls."""
        data = b"".join(records)
        self.log.reserve(len(data))
        at = 0
        lsn = int(self.log.end)
        while at < len(data):
            length = peek_length(data, at)
            self.records[lsn] = data[at : at + length]
            at, lsn = at + length, lsn + length
        try:
            self.log.write(data)
        finally:
            self.synced = max(self.synced, self.log.flushed)

    def data(self) -> bytes:
        """A record of random pages, now and then larger than a segment."""
        count = self.rng.choice((0, 1, 1, 1, 1, 2, 3))
        sizes = (40, 300, 2000)
        pages = {n + 1: self.rng.randbytes(self.rng.choice(sizes)).ljust(4096, b"\0") for n in range(count)}
        self.encoder.flushed_lsn = self.log.flushed
        return self.encoder.data(pages, 9, self.rng.getrandbits(64), 0)

    def act(self) -> None:
        """One random step of a node's life."""
        choice = self.rng.randrange(20)
        if choice < 10:
            self.append([self.data() for _ in range(self.rng.choice((1, 1, 2, 4)))])
        elif choice < 15:
            self.log.sync()
            self.synced = max(self.synced, self.log.flushed)
        elif choice == 15:
            self.control.update(flushed_lsn=self.log.flushed)
            self.floor = int(self.control.record.flushed_lsn)
        elif choice == 16:
            self.kept_from = max(self.kept_from, self.rng.randint(0, self.synced))
            self.log.retain_from(Lsn(self.kept_from))
        elif choice == 17 and self.rng.random() < 0.5:
            self.rewind()
        elif choice == 18:
            self.append([self.encoder.seal(0)])

    def rewind(self) -> None:
        """A step-down: the control file says so first, then the log is cut."""
        places = [lsn for lsn in self.records if lsn >= max(self.log.start, self.kept_from)]
        if not places:
            return
        target = Lsn(self.rng.choice(places))
        # What lies before the target must be on disk before the control file relies on it.
        self.log.sync()
        self.synced = max(self.synced, self.log.flushed)
        self.floor = 0
        self.synced = min(self.synced, int(target))
        self.control.update(state=f"rewinding to {target}", flushed_lsn=min(target, self.control.record.flushed_lsn))
        self.log.truncate_to(target)
        assert self.log.end == target
        self.records = {lsn: raw for lsn, raw in self.records.items() if lsn < target}
        self.control.update(state="")
        self.floor = int(self.control.record.flushed_lsn)
        self.start_term()

    def start_term(self) -> None:
        """After a rewind no LSN is used again in the old term."""
        self.term += 1
        self.control.update(term=Term(self.term, 1), is_own_term=True)
        self.encoder = RecordEncoder(Term(self.term, 1), last=self.log.last, db_pages=0, db_checksum=0)
        self.append([self.encoder.term_start(0)])


def live(seed: int, *, ignore_sync: bool = False, cuts: int = 3) -> int:
    """Live through some power cuts; returns how many happened in the middle of an operation."""
    node = Node(SimFiles(ignore_sync=ignore_sync), seed)
    inside = 0
    for cut in range(cuts):
        node.files.ignore_sync = ignore_sync
        node.files.cut_at = node.files.steps + node.rng.randint(1, 120)
        try:
            node.start()
            for _ in range(node.rng.randint(0, 40)):
                node.act()
        except PowerCut:
            inside += 1
        if node.rng.random() < 0.3:
            node.files.cut_at = None  # Only the process died: what it had written is still in the cache.
        else:
            node.files = node.files.power_cut(seed * 10 + cut)
    node.start()
    node.append([node.data()])
    node.log.sync()
    node.synced = int(node.log.flushed)
    node.log.close()
    node.start()
    return inside


@pytest.mark.parametrize("block", range(8))
def test_what_was_synced_survives_any_power_cut(block: int) -> None:
    inside = sum(live(seed) for seed in range(block * 50, block * 50 + 50))
    assert inside > 25, "hardly any cut fell inside an operation"


def test_the_harness_notices_a_disk_that_ignores_syncs() -> None:
    detected = 0
    for seed in range(60):
        try:
            live(seed, ignore_sync=True)
        except (AssertionError, HeliosError, FileNotFoundError, KeyError):
            detected += 1
    assert detected > 50
