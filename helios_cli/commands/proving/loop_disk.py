"""A file system of its own in a file, which can stand still as a disk does that answers nothing: fsfreeze.

    with LoopDisk(Path("disk")) as disk, disk.stalled(): ...

Who writes to a frozen file system waits, uninterruptibly: such a process cannot even be killed before the thaw.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from helios_cli.engine.errors import HeliosError

SIZE_MB = 256


class LoopDisk:
    """Mounted at ``path``; needs root and loop devices."""

    def __init__(self, path: Path, size_mb: int = SIZE_MB) -> None:
        self.path = path
        self._image = path.with_suffix(".image")
        path.mkdir(parents=True, exist_ok=True)
        with self._image.open("wb") as file:
            file.truncate(size_mb << 20)
        self._is_stalled = False
        _run("mkfs.ext4", "-q", "-F", str(self._image))
        _run("mount", "-o", "loop", str(self._image), str(path))

    def stall(self) -> None:
        """Take nothing any more, from now on."""
        _run("fsfreeze", "--freeze", str(self.path))
        self._is_stalled = True

    def go_on(self) -> None:
        """Take everything again, what has waited too. Idempotent."""
        if self._is_stalled:
            self._is_stalled = False
            _run("fsfreeze", "--unfreeze", str(self.path))

    @contextlib.contextmanager
    def stalled(self) -> Iterator[None]:
        """Stand still meanwhile."""
        self.stall()
        try:
            yield
        finally:
            self.go_on()

    def close(self) -> None:
        """Take it away, whoever has files there."""
        self.go_on()
        subprocess.run(["umount", "--lazy", str(self.path)], check=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class NoLoopDisks(HeliosError):
    """This machine gives none; the message says why."""

    sqlstate = "0A000"


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        raise NoLoopDisks(f"{command[0]} is not installed") from None
    if done.returncode:
        raise NoLoopDisks(f"{' '.join(command)}: {done.stderr.strip()}")
