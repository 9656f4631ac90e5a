"""The simulated disk: what a process sees, what a power cut leaves, and the faults that can be asked for."""

from __future__ import annotations

import errno

import pytest

from helios_cli.engine.sim.files import SECTOR_BYTES, PowerCut, SimFiles


def made(**settings: object) -> SimFiles:
    files = SimFiles(**settings)  # type: ignore[arg-type]
    files.makedirs("/d")
    return files


def content(files: SimFiles, path: str) -> bytes:
    file = files.open(path)
    return file.pread(file.size(), 0)


def test_reads_and_writes_by_offset() -> None:
    files = made()
    file = files.open("/d/a", create=True)
    file.pwrite(b"hello", 3)
    assert file.pread(100, 0) == b"\0\0\0hello"
    assert file.pread(2, 4) == b"el"
    assert file.pread(5, 100) == b""
    file.allocate(10)
    assert file.size() == 10
    file.allocate(5)
    assert file.size() == 10
    file.truncate(4)
    file.truncate(6)
    assert content(files, "/d/a") == b"\0\0\0h\0\0"


def test_names() -> None:
    files = made()
    with pytest.raises(FileNotFoundError):
        files.open("/d/a")
    with pytest.raises(FileNotFoundError):
        files.open("/nowhere/a", create=True)
    file = files.open("/d/b", create=True)
    files.open("/d/a", create=True).pwrite(b"a", 0)
    assert files.listdir("/d") == ["a", "b"]
    assert files.listdir("/x") == []
    files.rename("/d/a", "/d/b")
    assert files.listdir("/d") == ["b"]
    assert content(files, "/d/b") == b"a"
    file.pwrite(b"unnamed", 0)
    assert file.pread(7, 0) == b"unnamed"
    files.unlink("/d/b")
    assert not files.exists("/d/b")
    with pytest.raises(FileNotFoundError):
        files.unlink("/d/b")
    file.close()
    file.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        file.size()


def test_synced_content_and_names_survive_every_cut() -> None:
    files = made()
    file = files.open("/d/a", create=True)
    file.pwrite(b"kept", 0)
    file.sync()
    files.sync_dir("/d")
    for seed in range(30):
        assert content(files.power_cut(seed), "/d/a") == b"kept"


def test_unsynced_writes_survive_in_part_and_torn() -> None:
    files = made()
    file = files.open("/d/a", create=True)
    file.pwrite(bytes(4 * SECTOR_BYTES), 0)
    file.sync()
    files.sync_dir("/d")
    file.pwrite(b"\1" * (4 * SECTOR_BYTES), 0)
    seen = {content(files.power_cut(seed), "/d/a") for seed in range(200)}
    assert bytes(4 * SECTOR_BYTES) in seen
    assert b"\1" * (4 * SECTOR_BYTES) in seen
    assert any(left[:SECTOR_BYTES].count(1) == 0 and left[SECTOR_BYTES:].count(1) for left in seen), "never reordered"
    assert any(left.count(1) % SECTOR_BYTES for left in seen), "never torn inside a sector"
    assert content(files, "/d/a") == b"\1" * (4 * SECTOR_BYTES), "the cut changed the original"


def test_the_same_seed_gives_the_same_survivor() -> None:
    files = made()
    for name in "abc":
        files.open(f"/d/{name}", create=True).pwrite(name.encode() * 3000, 0)
    for seed in range(20):
        one, two = files.power_cut(seed), files.power_cut(seed)
        assert one.listdir("/d") == two.listdir("/d")
        assert all(content(one, f"/d/{n}") == content(two, f"/d/{n}") for n in one.listdir("/d"))


def test_names_that_were_not_synced_may_be_lost() -> None:
    files = made()
    files.open("/d/old", create=True).sync()
    files.sync_dir("/d")
    files.rename("/d/old", "/d/new")
    files.open("/d/more", create=True)
    seen = {tuple(files.power_cut(seed).listdir("/d")) for seed in range(100)}
    assert seen == {("old",), ("new",), ("more", "old"), ("more", "new")}
    files.unlink("/d/new")
    assert any("new" in files.power_cut(seed).listdir("/d") for seed in range(100))


def test_truncation_may_be_lost() -> None:
    files = made()
    file = files.open("/d/a", create=True)
    file.pwrite(b"12345678", 0)
    file.sync()
    files.sync_dir("/d")
    file.truncate(2)
    assert {content(files.power_cut(seed), "/d/a") for seed in range(50)} == {b"12", b"12345678"}


def test_no_space() -> None:
    files = made(capacity=1000)
    file = files.open("/d/a", create=True)
    file.allocate(600)
    other = files.open("/d/b", create=True)
    with pytest.raises(OSError, match="No space left") as caught:
        other.pwrite(b"x" * 500, 0)
    assert caught.value.errno == errno.ENOSPC
    assert other.size() == 400, "the part that fits is written"
    file.pwrite(b"y" * 600, 0)
    with pytest.raises(OSError, match="No space left"):
        file.allocate(601)
    assert files.free_bytes("/d") == 0
    files.unlink("/d/b")
    file.allocate(1000)
    assert made().free_bytes("/d") > 1 << 30


def test_a_failed_sync_loses_what_it_should_have_saved_and_the_next_one_lies() -> None:
    files = made()
    files.fail_sync_at = 2
    file = files.open("/d/a", create=True)
    file.pwrite(b"one", 0)
    file.sync()
    files.sync_dir("/d")
    file.pwrite(b"two", 0)
    with pytest.raises(OSError, match="Input/output error"):
        file.sync()
    file.sync()
    assert content(files, "/d/a") == b"two"
    assert content(files.power_cut(1), "/d/a") == b"one"


def test_syncs_can_be_ignored() -> None:
    files = made(ignore_sync=True)
    file = files.open("/d/a", create=True)
    file.pwrite(b"one", 0)
    file.sync()
    files.sync_dir("/d")
    assert any(files.power_cut(seed).listdir("/d") == [] for seed in range(20))


def test_the_power_goes_at_the_step_asked_for() -> None:
    files = made()
    file = files.open("/d/a", create=True)
    files.cut_at = files.steps + 2
    file.pwrite(b"done", 0)
    with pytest.raises(PowerCut):
        file.pwrite(b"not!", 0)
    assert file.pread(4, 0) == b"done"
