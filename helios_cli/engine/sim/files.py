"""Files in memory that lose what was not synced, as disks do when the power fails.

The model is harsher than most file systems: unsynced writes survive as any subset of their 512-byte sectors, the
last of them torn; unsynced directory entries survive as any subset; a failed sync drops the writes it should have
saved and reports nothing about them again (danluu.com/fsyncgate; Rebello et al., "Can Applications Recover from
fsync Failures?", USENIX ATC 2020).
"""

from __future__ import annotations

import errno
import os
import posixpath
from random import Random
from typing import Final, NamedTuple

SECTOR_BYTES: Final = 512


class PowerCut(Exception):
    """The simulated machine lost its power in the middle of what it was doing."""


class _Write(NamedTuple):
    offset: int
    data: bytes


class _Resize(NamedTuple):
    size: int


class _Inode:
    """One file: what processes see, what is on the disk, and the difference in order."""

    __slots__ = ("data", "pending", "space", "stable")

    def __init__(self, stable: bytes = b"") -> None:
        self.stable = bytearray(stable)
        self.data = bytearray(stable)
        self.pending: list[_Write | _Resize] = []
        self.space = len(stable)

    def do(self, change: _Write | _Resize) -> None:
        _apply(self.data, change)
        self.pending.append(change)

    def flush(self) -> None:
        for change in self.pending:
            _apply(self.stable, change)
        self.pending.clear()

    def survivor(self, rng: Random, keep: float) -> _Inode:
        """The file as the disk has it after a power cut."""
        left = bytearray(self.stable)
        kept = [piece for change in self.pending for piece in _sectors(change) if rng.random() < keep]
        if kept and isinstance(kept[-1], _Write) and rng.random() < 0.5:
            torn = kept[-1]
            kept[-1] = _Write(torn.offset, torn.data[: rng.randrange(len(torn.data) + 1)])
        for piece in kept:
            _apply(left, piece)
        return _Inode(bytes(left))


def _apply(data: bytearray, change: _Write | _Resize) -> None:
    if isinstance(change, _Resize):
        del data[change.size :]
        data.extend(bytes(change.size - len(data)))
        return
    offset, new = change
    if offset > len(data):
        data.extend(bytes(offset - len(data)))
    data[offset : offset + len(new)] = new


def _sectors(change: _Write | _Resize) -> list[_Write | _Resize]:
    """What the disk may take or leave by itself."""
    if isinstance(change, _Resize):
        return [change]
    pieces: list[_Write | _Resize] = []
    at, end = change.offset, change.offset + len(change.data)
    while at < end:
        stop = min(end, (at // SECTOR_BYTES + 1) * SECTOR_BYTES)
        pieces.append(_Write(at, change.data[at - change.offset : stop - change.offset]))
        at = stop
    return pieces


class _Rename(NamedTuple):
    """A change of a directory: ``inode`` leaves ``source`` and arrives at ``target``; None where there is neither."""

    source: str | None
    target: str | None
    inode: _Inode


class SimFile:
    """An open simulated file; it stays readable after its name is gone."""

    def __init__(self, files: SimFiles, inode: _Inode) -> None:
        self._files = files
        self._inode = inode
        self._open = True

    def _check_open(self) -> None:
        if not self._open:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    def pread(self, size: int, offset: int) -> bytes:
        """Up to ``size`` bytes at ``offset``, as the processes of the machine see them."""
        self._check_open()
        return bytes(self._inode.data[offset : offset + size])

    def pwrite(self, data: bytes | bytearray | memoryview, offset: int) -> None:
        """Write; without room only the part that fits is written before ENOSPC."""
        self._check_open()
        self._files.step()
        room = self._files.grow(self._inode, offset + len(data))
        fits = len(data) if room is None else max(0, room - offset)
        if fits:
            self._inode.do(_Write(offset, bytes(data[:fits])))
        if fits < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def pwrite_through(self, data: bytes, offset: int) -> None:
        """Write and sync; a power cut in between leaves the write as unsynced as any."""
        self.pwrite(data, offset)
        self.sync()

    def through_descriptor(self) -> int | None:
        """None: the operating system knows nothing of this file."""
        return None

    def allocate(self, size: int) -> None:
        """Reserve room; the new bytes read as zero."""
        self._check_open()
        self._files.step()
        if self._files.grow(self._inode, size) is not None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if size > len(self._inode.data):
            self._inode.do(_Resize(size))

    def truncate(self, size: int) -> None:
        """Cut or extend the file; an extension takes no room."""
        self._check_open()
        self._files.step()
        self._inode.space = min(self._inode.space, size)
        self._inode.do(_Resize(size))

    def sync(self) -> None:
        """Make the file's present content survive; or fail, and lose what was pending for good."""
        self._check_open()
        self._files.step()
        if self._files.sync_fails():
            self._inode.pending.clear()
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if not self._files.ignore_sync:
            self._inode.flush()

    def size(self) -> int:
        """Bytes in the file now."""
        self._check_open()
        return len(self._inode.data)

    def stable(self, size: int) -> bytes:
        """The first ``size`` bytes as a power cut now would certainly leave them."""
        return bytes(self._inode.stable[:size])

    def close(self) -> None:
        """Close; closing twice is harmless."""
        self._open = False


class SimFiles:
    """A directory tree in memory; directories are durable at once, names in them when their directory is synced."""

    def __init__(self, *, capacity: int | None = None, ignore_sync: bool = False) -> None:
        """``capacity``: bytes that fit, None without limit. ``ignore_sync``: syncs succeed and do nothing."""
        self.capacity = capacity
        self.ignore_sync = ignore_sync
        self.steps = 0
        """Changes and syncs so far."""
        self.cut_at: int | None = None
        """The value of :attr:`steps` at which PowerCut is raised instead; None never."""
        self.fail_sync_at: int | None = None
        """The sync, counted from 1, that fails with EIO; None none."""
        self.syncs = 0
        """Syncs of files so far."""
        self._names: dict[str, _Inode] = {}
        self._stable_names: dict[str, _Inode] = {}
        self._pending: list[_Rename] = []
        self._directories = {"", "/"}

    # What files report back.

    def step(self) -> None:
        """Count one change, and lose the power if it is time."""
        self.steps += 1
        if self.cut_at is not None and self.steps >= self.cut_at:
            raise PowerCut(f"power lost at step {self.steps}")

    def sync_fails(self) -> bool:
        """Count one sync; whether it is the one that fails."""
        self.syncs += 1
        return self.syncs == self.fail_sync_at

    def grow(self, inode: _Inode, size: int) -> int | None:
        """Take room for a file of ``size`` bytes; None when there is, else the size up to which there is."""
        more = size - inode.space
        if more <= 0:
            return None
        free = more if self.capacity is None else self.capacity - self.used()
        inode.space += max(0, min(more, free))
        return None if free >= more else inode.space

    def used(self) -> int:
        """Bytes that the named files take."""
        return sum(inode.space for inode in self._names.values())

    # The port.

    def open(self, path: str, *, create: bool = False) -> SimFile:
        """Open a file; a new one needs its directory."""
        inode = self._names.get(path)
        if inode is None:
            if not create or posixpath.dirname(path) not in self._directories:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            self.step()
            inode = _Inode()
            self._change(_Rename(None, path, inode))
        return SimFile(self, inode)

    def listdir(self, path: str) -> list[str]:
        """Names in a directory, sorted; empty when it does not exist."""
        entries = (*self._names, *self._directories)
        return sorted(posixpath.basename(name) for name in entries if name and posixpath.dirname(name) == path)

    def exists(self, path: str) -> bool:
        """Whether a file or directory of that name is there."""
        return path in self._names or path in self._directories

    def makedirs(self, path: str) -> None:
        """Create a directory and its parents."""
        while path not in self._directories:
            self._directories.add(path)
            path = posixpath.dirname(path)

    def rename(self, source: str, target: str) -> None:
        """Replace ``target`` by ``source``; after a power cut either all of it happened or nothing."""
        inode = self._find(source)
        self.step()
        self._change(_Rename(source, target, inode))

    def unlink(self, path: str) -> None:
        """Remove a name; open files stay usable."""
        inode = self._find(path)
        self.step()
        self._change(_Rename(path, None, inode))

    def sync_dir(self, path: str) -> None:
        """Make the names in a directory survive."""
        if path not in self._directories:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        self.step()
        if self.ignore_sync:
            return
        later: list[_Rename] = []
        for change in self._pending:
            if posixpath.dirname(change.target or change.source or "") == path:
                _rename(self._stable_names, change)
            else:
                later.append(change)
        self._pending = later

    def free_bytes(self, path: str) -> int:
        """What is left of the capacity."""
        return 1 << 40 if self.capacity is None else max(0, self.capacity - self.used())

    def _find(self, path: str) -> _Inode:
        inode = self._names.get(path)
        if inode is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return inode

    def _change(self, change: _Rename) -> None:
        _rename(self._names, change)
        self._pending.append(change)

    # The power.

    def power_cut(self, seed: int) -> SimFiles:
        """The tree that a machine finds when the power is back; the same for the same seed. This one is unchanged."""
        rng = Random(seed)
        keep = rng.choice((0.0, 0.2, 0.5, 0.8, 1.0))
        names = dict(self._stable_names)
        for change in self._pending:
            if rng.random() < keep:
                _rename(names, change)
        after = SimFiles(capacity=self.capacity)
        after._directories = set(self._directories)
        survivors: dict[int, _Inode] = {}
        for path, inode in sorted(names.items()):
            if id(inode) not in survivors:
                survivors[id(inode)] = inode.survivor(rng, keep)
            after._names[path] = survivors[id(inode)]
        after._stable_names = dict(after._names)
        return after


def _rename(names: dict[str, _Inode], change: _Rename) -> None:
    """Apply a change of names, as far as the names it needs are there."""
    if change.source is not None and names.get(change.source) is change.inode:
        del names[change.source]
    if change.target is not None:
        names[change.target] = change.inode
