"""What an observer keeps, through crashes and full disks; and a vote that two threads may give."""

from __future__ import annotations

from pathlib import Path

import pytest

from helios_cli.engine.config.roles import Role
from helios_cli.engine.consensus.config import ClusterConfig, Member
from helios_cli.engine.consensus.lease import Loyalty
from helios_cli.engine.consensus.rule import SyncMode
from helios_cli.engine.consensus.vote import Vote
from helios_cli.engine.errors import IoFailed, LogDamaged
from helios_cli.engine.node.observer_disk import NAME, ObserverDisk
from helios_cli.engine.sim.files import SimFiles
from helios_cli.engine.storage.files import OsFiles
from helios_cli.engine.storage.membership import save_role
from helios_cli.engine.types import Term

CONFIG = ClusterConfig(7, SyncMode.QUORUM, (Member("a", "d", "h", 1, 2, 3, ""),), ("a",))
ROLE = Role("observer", "10.0.0.1", 5433)


def made(path: Path) -> ObserverDisk:
    return ObserverDisk.create(OsFiles(), str(path / "control"), b"c" * 16, ROLE)


def opened(path: Path) -> ObserverDisk:
    return ObserverDisk.open(OsFiles(), str(path / "control"))


def test_a_new_observer_has_promised_nothing_and_has_a_disk_of_its_own(tmp_path: Path) -> None:
    first, second = made(tmp_path / "1"), made(tmp_path / "2")
    assert first.term == Term(0) and first.observed.parsed is None and first.observed.version == 0
    assert first.control.record.incarnation != second.control.record.incarnation
    assert first.control.record.cluster_id == b"c" * 16


def test_what_it_says_is_on_disk_before_it_says_so(tmp_path: Path) -> None:
    disk = made(tmp_path)
    disk.promise(Term(4, 9))
    disk.promise(Term(3, 1))
    disk.told(CONFIG.to_bytes(), Term(4, 9))
    disk.granted(750)
    disk.granted(500)
    disk.follow("10.0.0.2", 5433)
    # The process is killed: nothing is closed.
    again = opened(tmp_path)
    assert again.term == Term(4, 9)
    assert again.observed.parsed == CONFIG
    assert (again.observed.config_term, again.observed.lease_ms) == (4, 750)
    assert again.role == Role("observer", "10.0.0.2", 5433)
    assert again.control.record.incarnation == disk.control.record.incarnation


def test_a_promise_that_the_next_process_finds_is_on_disk_before_it_counts() -> None:
    """A failed sync leaves in the cache what is not on the disk: a power cut must not take it back."""
    files = SimFiles()
    files.makedirs("/o")
    disk = ObserverDisk.create(files, "/o/control", b"c" * 16, ROLE)
    files.sync_dir("/o/control")
    disk.promise(Term(4, 9))
    disk.granted(500)
    files.fail_sync_at = files.syncs + 1
    with pytest.raises(IoFailed):
        disk.promise(Term(5, 7))
    files.fail_sync_at = files.syncs + 1
    with pytest.raises(IoFailed):
        disk.granted(750)
    again = ObserverDisk.open(files, "/o/control")
    promised, lease_ms = again.term, again.observed.lease_ms
    assert (promised, lease_ms) == (Term(5, 7), 750), "the cache has it"
    for seed in range(20):
        left = ObserverDisk.open(files.power_cut(seed), "/o/control")
        assert (left.term, left.observed.lease_ms) == (promised, lease_ms)


def test_a_torn_write_leaves_what_was_before(tmp_path: Path) -> None:
    disk = made(tmp_path)
    disk.told(CONFIG.to_bytes(), Term(1))
    disk.granted(750)
    disk.close()
    path = tmp_path / "control" / NAME
    data = bytearray(path.read_bytes())
    newest = max((0, len(data) // 2), key=lambda at: int.from_bytes(data[at + 8 : at + 16], "little"))
    data[newest + 20] ^= 1
    path.write_bytes(data)
    again = opened(tmp_path)
    assert again.observed.parsed == CONFIG and again.observed.lease_ms == 0


def test_damage_and_other_directories_are_refused(tmp_path: Path) -> None:
    made(tmp_path).close()
    path = tmp_path / "control" / NAME
    path.write_bytes(b"\1" * path.stat().st_size)
    with pytest.raises(LogDamaged, match="neither slot"):
        opened(tmp_path)
    other = made(tmp_path / "other")
    save_role(OsFiles(), str(tmp_path / "other" / "control"), Role("standby", "h", 1))
    other.close()
    with pytest.raises(LogDamaged, match="not that of an observer"):
        opened(tmp_path / "other")


def test_what_is_no_configuration_is_not_kept(tmp_path: Path) -> None:
    disk = made(tmp_path)
    with pytest.raises(LogDamaged):
        disk.told(b"{}", Term(1))
    assert opened(tmp_path).observed.config == ""


def test_a_vote_is_the_primary_s_until_its_lease_is_over() -> None:
    vote = Vote(Loyalty(0.0, 0.0))
    assert vote.heard(1.0, 0.75, Term(3))
    assert not vote.pledge(1.7, 4)
    assert vote.pledge(1.7, 4, excused=True), "the primary has given it away"
    assert not vote.heard(1.8, 0.75, Term(3)), "it is a candidate's"
    assert vote.heard(1.9, 0.75, Term(4)), "who was elected"
    assert vote.pledge(2.7, 5)
    assert not vote.heard(2.8, 0.75, Term(4))
